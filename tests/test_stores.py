"""What tasks wait in for each other: how full it was, and how many waited."""

import asyncio
import contextlib
import sys

import pytest
from recordings import brew, record, text_of, turns

import aula.judges.waiting
from aula.instruments.chart import MOST_STORES
from aula.instruments.stores import Store

pytest_plugins = ["clocks"]
pytestmark = pytest.mark.usefixtures("clock")


def said(recorder, language="en"):
    """What the text says of each of them, by its label."""
    labels = [store.label for store in recorder.stores.found]
    lines = text_of(recorder, language).split("\n")
    return [
        (label, line.removeprefix(label).strip())
        for label in labels
        for line in lines
        if line.startswith(f"{label} ")
    ]


def fills(recorder):
    (store,) = recorder.stores.found
    return [(held, waited) for _, held, waited in store.fills]


async def produce(queue, count):
    for number in range(count):
        await queue.put(number)


async def consume(queue, count):
    for _ in range(count):
        await queue.get()


def test_a_full_queue_holds_its_producer_up():
    async def block():
        orders = asyncio.Queue(2)
        producer = asyncio.create_task(produce(orders, 5))
        await turns(2)
        await consume(orders, 5)
        await producer

    recorder = record(block)
    label = "queue: Queue(2)"
    said_in = {"en": "room for 2; at most 2 in it, 1 waiting"}
    said_in["es"] = "caben 2; como mucho 2 dentro, 1 esperando"
    for language, words in said_in.items():
        assert said(recorder, language) == [(label, words)]
    assert fills(recorder)[0] == (2, 1)
    assert fills(recorder)[-1] == (0, 0)


def test_a_queue_without_a_limit():
    async def block():
        orders = asyncio.Queue()
        await asyncio.gather(consume(orders, 2), produce(orders, 2))

    recorder = record(block)
    words = "no limit; at most 2 in it, 1 waiting"
    assert said(recorder) == [("queue: Queue", words)]
    assert fills(recorder) == [(0, 1), (2, 0), (0, 0)]


@pytest.mark.parametrize(
    ("make", "label"),
    [
        (lambda: asyncio.Semaphore(1), "gate: Semaphore"),
        (lambda: asyncio.BoundedSemaphore(1), "gate: BoundedSemaphore"),
        (lambda: asyncio.Lock(), "gate: Lock"),
    ],
)
def test_who_waits_for_a_turn(make, label):
    async def enter(gate):
        async with gate:
            await turns(2)

    async def block():
        gate = make()
        await asyncio.gather(*(enter(gate) for _ in range(3)))

    recorder = record(block)
    assert said(recorder) == [(label, "at most 2 waiting")]
    assert fills(recorder)[-1] == (0, 0)
    assert max(fills(recorder)) == (1, 2)


def test_an_event_and_a_condition():
    async def block():
        ready, news = asyncio.Event(), asyncio.Condition()

        async def wait():
            await ready.wait()

        async def read():
            async with news:
                await news.wait()

        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(wait())
            group.create_task(read())
            await turns(2)
            ready.set()
            async with news:
                news.notify_all()

    recorder = record(block)
    assert said(recorder) == [
        ("ready: Event", "at most 3 waiting"),
        ("news: Condition", "at most 1 waiting"),
    ]
    event, _ = recorder.stores.found
    assert event.is_event
    assert [fill[1:] for fill in event.fills][-1] == (1, 0)


def test_who_is_woken_waits_no_more():
    """Though its turn has not come: else a queue has items and waiters."""

    async def block():
        orders = asyncio.Queue()
        consumer = asyncio.create_task(consume(orders, 1))
        await turns(2)
        orders.put_nowait("latte")
        await consumer

    assert (1, 1) not in fills(record(block))


def test_who_joins_a_queue_waits_in_it():
    async def work(orders):
        await orders.get()
        await turns(1)
        orders.task_done()

    async def block():
        orders = asyncio.Queue()
        orders.put_nowait("latte")
        worker = asyncio.create_task(work(orders))
        await orders.join()
        await worker

    words = "no limit; at most 1 in it, 1 waiting"
    assert said(record(block)) == [("orders: Queue", words)]


def test_what_waits_under_a_deadline():
    async def block():
        orders = asyncio.Queue()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(orders.get(), 0.001)

    ((label, words),) = said(record(block))
    # Up to 3.11 the call has a task of its own, which no variable names.
    assert label == ("orders: Queue" if sys.version_info >= (3, 12) else label)
    assert words == "no limit; at most 0 in it, 1 waiting"


def test_queues_of_libraries_are_their_own_affair():
    class Letters:
        def __init__(self):
            self.queue = asyncio.Queue()

    async def block():
        names = {"queue": asyncio.Queue()}
        code = compile(
            "async def read(): return await queue.get()",
            f"{asyncio.__path__[0]}/../x.py",
            "exec",
        )
        exec(code, names)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.001):
                await names["read"]()

    assert record(block).stores.found == []


def test_what_as_completed_waits_in_is_its_own_affair():
    async def block():
        for ready in asyncio.as_completed([brew("latte"), brew("mocha")]):
            await ready

    assert record(block).stores.found == []


def test_what_a_check_waits_in_is_its_own_affair():
    names = {}
    code = "async def make(gate):\n    await gate.wait()"
    exec(compile(code, aula.judges.waiting.__file__, "exec"), names)

    async def block():
        gate = asyncio.Event()
        task = asyncio.create_task(names["make"](gate))
        await turns(2)
        gate.set()
        await task

    assert record(block).stores.found == []


def test_a_label_that_is_found_elsewhere():
    class Cafe:
        def __init__(self):
            self.orders = asyncio.Queue(1)

        async def work(self):
            await self.orders.get()

    async def block():
        cafe = Cafe()
        task = asyncio.create_task(cafe.work())
        lone = asyncio.create_task(asyncio.Lock().acquire())
        event = [asyncio.Event()]
        waiter = asyncio.create_task(event[0].wait())
        await turns(2)
        for other in (task, waiter):
            other.cancel()
        await asyncio.wait([task, lone, waiter])

    recorder = record(block)
    labels = [store.label for store in recorder.stores.found]
    assert labels == ["orders: Queue(1)", "Event"]


def test_many_of_them_are_counted():
    async def block():
        queues = [asyncio.Queue() for _ in range(MOST_STORES + 3)]
        tasks = [asyncio.create_task(consume(one, 1)) for one in queues]
        await turns(2)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    lines = text_of(record(block)).split("\n")
    assert sum(line.startswith("queue: ") for line in lines) == MOST_STORES
    assert lines[-2] == "… and 3 more"


def test_nobody_waits():
    async def block():
        orders = asyncio.Queue()
        await orders.put(1)
        await orders.get()
        await brew("latte")

    assert record(block).stores.found == []


def test_the_same_text_on_ten_runs():
    async def block():
        orders = asyncio.Queue(2)
        async with asyncio.TaskGroup() as group:
            group.create_task(produce(orders, 9))
            for _ in range(3):
                group.create_task(consume(orders, 3))

    assert len({text_of(record(block)) for _ in range(10)}) == 1


def test_what_has_not_been_looked_at():
    store = Store(asyncio.Queue(), "x")
    assert (store.most_held, store.most_waited) == (0, 0)
