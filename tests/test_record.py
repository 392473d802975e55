"""A recording tells what tasks did, in which order and for how long."""

import asyncio
import concurrent.futures
import contextlib
import logging
import os
import re
import sysconfig
import textwrap
import threading
import time
import traceback
from concurrent.futures import Executor

import pytest
from recordings import (
    LEGEND,
    brew,
    burn,
    drawing,
    hooks,
    labels,
    record,
    recording,
    run,
    said,
    text_of,
    turns,
)
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from aula.instruments.chart import MOST_JOBS
from aula.instruments.lanes import BLOCKING
from aula.instruments.lines import line_of
from aula.instruments.record import Recorder

SERVERS = logging.getLogger("websockets.server")

pytest_plugins = ["clocks"]
pytestmark = pytest.mark.usefixtures("clock")


# What happened, in which order.


def test_one_after_the_other():
    async def block():
        await brew("latte")
        await brew("mocha")

    assert text_of(record(block)) == drawing("""\
        cell()  ●─   waits in brew("latte"), brew("mocha")
        """)


def test_gather():
    async def block():
        await asyncio.gather(brew("latte", 2), brew("mocha"))

    assert text_of(record(block)) == drawing("""\
        cell()            ●─────────────   waits in block()
        brew("latte", 2)    ○┄┄┄●─────✓    returns "LATTE"
        brew("mocha")         ○┄┄┄●─✓      returns "MOCHA"
        """)


def test_created_is_not_started():
    async def block():
        first = asyncio.create_task(brew("latte"))
        await asyncio.sleep(0)
        second = asyncio.create_task(brew("mocha"))
        await first
        await second

    recorder = record(block)
    assert [(kind, lane.label) for kind, lane in recorder.events] == [
        ("started", "cell()"),
        ("created", 'brew("latte")'),
        ("started", 'brew("latte")'),
        ("created", 'brew("mocha")'),
        ("ended", 'brew("latte")'),
        ("started", 'brew("mocha")'),
        ("ended", 'brew("mocha")'),
    ]
    assert text_of(recorder) == drawing("""\
        cell()         ●─────────────   waits in block()
        brew("latte")    ○┄●───✓        returns "LATTE"
        brew("mocha")        ○┄┄┄●─✓    returns "MOCHA"
        """)


def test_a_task_that_never_starts():
    tasks = []

    async def block():
        tasks.append(asyncio.create_task(brew("latte")))

    assert text_of(record(block)) == drawing("""\
        cell()         ●───
        brew("latte")    ○┄…  never starts
        """)


def test_a_task_that_outlives_the_block():
    async def main():
        with recording() as recorder:
            task = asyncio.create_task(brew("latte", 5))
            await turns(3)
        steps = len(recorder.lanes[1].steps)
        assert await task == "LATTE"
        assert len(recorder.lanes[1].steps) == steps
        return recorder

    assert text_of(run(main)) == drawing("""\
        cell()            ●─────   waits in turns(3)
        brew("latte", 5)    ○┄●─…  still alive
        """)


def test_a_cancelled_task():
    async def block():
        task = asyncio.create_task(brew("latte", 99))
        await turns(2)
        task.cancel()
        await asyncio.wait([task])

    recorder = record(block)
    assert said(recorder, 'brew("latte", 99)') == "cancelled"
    assert "○┄●─⊘" in text_of(recorder)


def test_a_task_cancelled_before_it_starts():
    entered = []

    async def enter():
        entered.append(True)

    async def block():
        task = asyncio.create_task(enter())
        task.cancel()
        await asyncio.wait([task])

    recorder = record(block)
    assert not entered
    assert not recorder.lanes[1].steps
    assert text_of(recorder) == drawing("""\
        cell()   ●─────   waits in block()
        enter()    ○┄⊘    cancelled
        """)


def test_a_failing_task():
    async def block():
        with pytest.raises(ValueError):
            await asyncio.create_task(burn("latte"))

    recorder = record(block)
    assert said(recorder, 'burn("latte")') == "raises ValueError: latte"
    assert "○┄●─✗" in text_of(recorder)


def test_a_task_group():
    async def block():
        async with asyncio.TaskGroup() as group:
            group.create_task(brew("latte", 99))
            group.create_task(burn("mocha"))

    async def main():
        with recording() as recorder, contextlib.suppress(ExceptionGroup):
            await block()
        return recorder

    assert text_of(run(main)) == drawing("""\
        cell()             ●─────────────   waits in block()
        brew("latte", 99)    ○┄┄┄●─────⊘    cancelled
        burn("mocha")          ○┄┄┄●─✗      raises ValueError: mocha
        """)


def test_a_step_that_blocks(clock):
    async def freeze(seconds):
        await asyncio.sleep(0)
        clock.block(seconds)
        await asyncio.sleep(0)

    async def block():
        await asyncio.gather(brew("latte", 3), freeze(0.2), freeze(0.09))

    recorder = record(block)
    assert text_of(recorder) == drawing("""\
        cell()            ●─────────────────────   waits in block()
        brew("latte", 3)    ○┄┄┄┄┄●───────────✓    returns "LATTE"
        freeze(0.2)           ○┄┄┄┄┄●───█─✓        returns None
        freeze(0.09)            ○┄┄┄┄┄●─────✓      returns None
        """)
    ((began, ended),) = recorder.lanes[2].blocks
    assert ended - began == pytest.approx(0.2, abs=0.001)


def test_the_cell_blocks_at_its_beginning_and_at_its_end(clock):
    async def main():
        with recording() as recorder:
            clock.block(0.2)
            await brew("latte")
            clock.block(0.05)
            await brew("mocha")
            clock.block(0.3)
        clock.block(0.4)
        return recorder

    cell = run(main).lanes[0]
    lengths = [ended - began for began, ended in cell.steps]
    assert lengths == pytest.approx([0.2, 0.05, 0.3], abs=0.001)


def test_really_blocking(real_time):
    async def block():
        await asyncio.sleep(0)
        time.sleep(0.15)

    (lane,) = record(block).lanes
    assert [ended - began >= 0.15 for began, ended in lane.blocks] == [True]


def test_the_cell_does_not_pay_for_what_was_waiting_before(clock):
    async def freeze():
        clock.block(0.5)

    async def main():
        first = asyncio.create_task(freeze())
        asyncio.get_running_loop().call_soon(clock.block, 0.5)
        with recording() as recorder:
            await brew("latte")
        await first
        # And again in the same step, when a first block is over.
        second = asyncio.create_task(freeze())
        with recording() as again:
            await brew("mocha")
        await second
        return recorder, again

    for recorder in run(main):
        (cell,) = recorder.lanes
        assert not cell.blocks
        assert len(cell.steps) == 2


def test_a_tenth_of_a_second_is_blocking(clock):
    clock.now = clock.tick = 0.0

    async def block():
        clock.block(BLOCKING)
        await asyncio.sleep(0)
        clock.block(BLOCKING * 0.99)

    assert text_of(record(block)).startswith("cell()  ●─█─")
    assert text_of(record(block)).count("█") == 1 + LEGEND.count("█")


def test_a_recording_that_somebody_else_stops(clock):
    """The task that began it waits meanwhile, which is no step."""

    async def block():
        recorder = Recorder()
        recorder.start()
        loop = asyncio.get_running_loop()
        loop.call_soon(clock.block, 0.5)
        loop.call_soon(recorder.stop)
        await turns(5)
        return recorder

    (cell,) = run(block).lanes
    assert len(cell.steps) == 1
    assert not cell.blocks


@pytest.mark.parametrize("patience", [1, 3])
def test_a_task_in_place_of_the_cell(patience):
    """A check shows the task that ran the answer, and not how it ended."""

    async def main():
        with recording() as recorder:
            task = asyncio.create_task(brew("latte"))
            await turns(patience)
        recorder.lanes[0].shown = False
        recorder.adopt(task, "shout")
        await task
        return recorder

    lines = {
        1: "shout  ○┄●─…  still alive\n",
        3: "shout  ○┄●─\n",
    }
    assert text_of(run(main)) == lines[patience] + LEGEND


def test_the_same_text_on_twenty_runs():
    async def block():
        with contextlib.suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                for number in range(5):
                    group.create_task(brew({"b", "a", "c"}, number))
                group.create_task(burn(object()))

    assert len({text_of(record(block)) for _ in range(20)}) == 1


# Blocks in blocks, one after another, and crosswise.


def test_repeated_use():
    async def main():
        found = []
        for drink in ("latte", "mocha"):
            with recording() as recorder:
                await asyncio.gather(brew(drink))
            found.append(labels(recorder))
        return found

    assert run(main) == [['brew("latte")'], ['brew("mocha")']]


def test_nested():
    async def main():
        with recording() as outer:
            await asyncio.gather(brew("latte"))
            with recording() as inner:
                await asyncio.gather(brew("mocha"))
            assert hooks()[0] is not None
            await asyncio.gather(brew("chai"))
        return labels(outer), labels(inner)

    assert run(main) == (
        ['brew("latte")', 'brew("mocha")', 'brew("chai")'],
        ['brew("mocha")'],
    )


@pytest.mark.parametrize("first_to_end", [0, 1])
def test_overlapping(first_to_end):
    """Two cells draw at the same time; none has to end first."""
    drinks = "latte", "mocha"

    async def cell(number, gates, found):
        with recording() as recorder:
            await gates[number].wait()
            await asyncio.gather(brew(drinks[number]))
        found[number] = labels(recorder)

    async def main():
        gates, found = [asyncio.Event(), asyncio.Event()], {}
        cells = [asyncio.create_task(cell(n, gates, found)) for n in (0, 1)]
        await turns(2)
        for number in (first_to_end, 1 - first_to_end):
            gates[number].set()
            await cells[number]
        return found

    found = run(main)
    first, last = first_to_end, 1 - first_to_end
    assert found[first] == [f'brew("{drinks[first]}")']
    assert found[last] == [
        f'brew("{drink}")'
        for drink in (
            drinks[first],
            drinks[last],
        )
    ]


def test_a_block_in_a_callback_has_no_lane_of_its_own():
    found = []

    def callback(done):
        with recording() as recorder:
            task = asyncio.create_task(brew("latte"))
        found.append(text_of(recorder))
        task.add_done_callback(done.set_result)

    async def main():
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        loop.call_soon(callback, done)
        await done

    run(main)
    assert found == [
        drawing("""\
        brew("latte")  ○┄…  never starts
        """)
    ]


def test_waits_name_the_innermost_of_the_learners_calls():
    async def inner(number):
        await asyncio.sleep(0)
        number += 1
        await asyncio.sleep(0)

    async def outer():
        await inner(1)
        await asyncio.sleep(0)
        await inner(2)

    async def block():
        await asyncio.gather(outer())

    # inner() once for each call; not sleep(), which is the library's.
    recorder = record(block)
    assert said(recorder, "outer()") == (
        "waits in inner(1), inner(2); returns None"
    )
    (lane,) = (lane for lane in recorder.lanes if lane.call == "outer()")
    calls = [call for _, _, call in lane.waits]
    assert calls == ["inner(1)", "", "inner(2)"]


def test_the_cell_is_a_lane():
    """In a notebook the task that runs the cell is the kernel's."""
    source = textwrap.dedent("""
        async def run_cell(block):
            await block()
        """)
    names = {}
    path = os.path.join(sysconfig.get_path("purelib"), "kernel.py")
    exec(compile(source, path, "exec"), names)
    found = []

    async def cell():
        with recording() as recorder:
            await asyncio.gather(brew("latte"))
            await brew("mocha")
        found.append(recorder)

    run(lambda: asyncio.create_task(names["run_cell"](cell)))
    first = [text_of(found[0], lang).split("\n")[0] for lang in ("en", "es")]
    assert [re.sub("  +", "  ", line) for line in first] == [
        'cell  ●───────  waits in brew("mocha")',
        'celda  ●───────  espera en brew("mocha")',
    ]


def test_a_handler_that_fails():
    """Its server catches the exception, and the task returns."""

    async def fall(websocket):
        raise ValueError("latte")

    async def block():
        async with serve(fall, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with connect(f"ws://127.0.0.1:{port}") as websocket:
                await websocket.wait_closed()

    before = list(SERVERS.handlers)
    recorder = record(block)
    assert said(recorder, "fall") == "raises ValueError: latte"
    assert SERVERS.handlers == before


def test_failures_that_are_no_tasks():
    """Such as those of blocking servers, in threads of their own."""

    def report(error=None):
        SERVERS.error("connection handler failed", exc_info=error)

    async def block():
        await asyncio.to_thread(report, ValueError("latte"))
        asyncio.get_running_loop().call_soon(report, ValueError("mocha"))
        await asyncio.create_task(brew("chai"))
        report()

    recorder = record(block)
    assert said(recorder, 'brew("chai")') == 'returns "CHAI"'


# Requests to cancel.


def requests(recorder):
    """Of each lane when it was asked, by what, and by which lane."""
    began = recorder.began
    return {
        lane.label: [
            (round(moment - began, 2), by, asker and asker.label)
            for moment, by, asker in lane.requests
        ]
        for lane in recorder.lanes
        if lane.requests
    }


async def hold(drink):
    await asyncio.get_running_loop().create_future()


def later(clock, seconds, callback=None, *args):
    """The loop gives this much time to nobody, and then calls back."""

    def pass_time():
        clock.block(seconds)
        if callback is not None:
            callback(*args)

    asyncio.get_running_loop().call_soon(pass_time)


def test_a_deadline_strikes(clock):
    async def block():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60) as deadline:
                later(clock, 0.5, deadline.reschedule, 0)
                await asyncio.gather(hold("latte"), hold("mocha"))

    struck = [(0.5, "deadline", None)]
    assert requests(record(block)) == {
        "cell()": struck,
        'hold("latte")': struck,
        'hold("mocha")': struck,
    }


def test_a_deadline_of_wait_for(clock):
    async def block():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(hold("latte"), 1e-9)

    (asked,) = requests(record(block)).values()
    # Up to 3.11 the call has a task of its own.
    assert asked == [(0.0, "deadline", asked[0][2])]


def test_wait_for_hands_on_what_it_is_told(clock):
    async def block():
        task = asyncio.create_task(hand_on())
        await turns(3)
        task.cancel()
        await asyncio.wait([task])

    async def hand_on():
        await asyncio.wait_for(hold("latte"), 60)

    asked = requests(record(block))
    assert asked["hand_on()"] == [(0.0, "call", "cell()")]
    assert {by for each in asked.values() for _, by, _ in each} == {"call"}


def test_a_group_cancels_the_others_and_wakes_who_is_in_it(clock):
    async def stay():
        async with asyncio.TaskGroup() as group:
            group.create_task(hold("latte"))
            group.create_task(burn("mocha"))
            await asyncio.Future()

    async def leave():
        async with asyncio.TaskGroup() as group:
            group.create_task(hold("latte"))
            group.create_task(burn("mocha"))

    async def block():
        await asyncio.wait([asyncio.create_task(stay())])
        await asyncio.wait([asyncio.create_task(leave())])

    recorder = record(block)
    assert [
        (lane.label, by)
        for lane in recorder.lanes
        for _, by, _ in lane.requests
    ] == [
        ("stay()", "group"),
        ('hold("latte")', "group"),
        ('hold("latte")', "group"),
    ]


def test_a_task_that_waits_for_another_is_asked_when_it_is_asked(clock):
    """And not when the other is done with cleaning up."""

    async def clean():
        try:
            await asyncio.Future()
        finally:
            later(clock, 0.5)
            await turns(3)

    async def wait():
        await asyncio.create_task(clean())

    async def block():
        task = asyncio.create_task(wait())
        await turns(3)
        later(clock, 0.25, task.cancel)
        await asyncio.wait([task])

    asked = [(0.25, "call", None)]
    assert requests(record(block)) == {"wait()": asked, "clean()": asked}


def test_a_task_that_has_its_turn_already_is_asked(clock):
    async def block():
        tasks = [asyncio.create_task(brew("x", n)) for n in (0, 9)]
        await asyncio.sleep(0)
        for task in [*tasks, asyncio.create_task(brew("y"))]:
            task.cancel()
        await turns(3)

    assert [*requests(record(block)).items()] == [
        ('brew("x", 9)', [(0.0, "call", None)]),
        ('brew("y")', [(0.0, "call", None)]),
    ]


def test_a_task_asks_itself(clock):
    async def resign():
        clock.block(0.05)
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    async def block():
        await asyncio.wait([asyncio.create_task(resign())])

    asked = [(0.05, "call", "resign()")]
    assert requests(record(block)) == {"resign()": asked}


def test_each_request_is_noted_once(clock):
    async def stubborn():
        for _ in range(3):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Future()
        asyncio.current_task().uncancel()
        await turns(5)

    async def block():
        task = asyncio.create_task(stubborn())
        for seconds in (0.1, 0.2, 0.3):
            await turns(2)
            later(clock, seconds, task.cancel)
            await turns(2)
        await task
        return task

    assert requests(record(block)) == {
        "stubborn()": [
            (0.1, "call", None),
            (0.3, "call", None),
            (0.6, "call", None),
        ]
    }


def test_a_lane_knows_what_its_client_asked_for():
    async def echo(websocket):
        await websocket.send(await websocket.recv())

    async def visit(port, path):
        async with connect(f"ws://127.0.0.1:{port}{path}") as websocket:
            await websocket.send("hola")
            await websocket.recv()

    async def block():
        async with serve(echo, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            await visit(port, "/ada?x=1")
            await visit(port, "/lima")

    recorder = record(block)
    assert [
        (lane.label, lane.path) for lane in recorder.lanes if lane.path
    ] == [
        ("echo", "/ada?x=1"),
        ("echo", "/lima"),
    ]


def test_a_lane_knows_who_created_it():
    async def order():
        async with asyncio.TaskGroup() as group:
            group.create_task(brew("latte"))

    async def block():
        asyncio.get_running_loop().call_soon(
            lambda: kept.append(asyncio.create_task(brew("tea")))
        )
        await asyncio.gather(order(), turns(1))
        await asyncio.wait(kept)

    kept = []
    recorder = record(block)
    assert {
        each.label: each.creator and each.creator.label
        for each in recorder.lanes
    } == {
        "cell()": None,
        "order()": "cell()",
        "turns(1)": "cell()",
        'brew("tea")': None,
        'brew("latte")': "order()",
    }


# Jobs of threads and of other processes.


def grind(drink):
    if drink == "mud":
        raise ValueError("no beans")
    return drink.upper()


def test_a_job_in_a_thread():
    async def block():
        await asyncio.to_thread(grind, "latte")
        with contextlib.suppress(ValueError):
            await asyncio.get_running_loop().run_in_executor(
                None, grind, "mud"
            )

    recorder = record(block)
    assert text_of(recorder) == drawing("""\
        cell()          ●─────────   waits in block()
        grind("latte")    ○░✓        in a thread; returns "LATTE"
        grind("mud")          ○░✗    in a thread; raises ValueError: no beans
        """)
    first, _ = recorder.jobs
    assert first.creator is recorder.own
    assert first.created <= first.job.began <= first.job.ended <= first.ended


def test_a_job_of_a_task_that_asyncio_makes():
    async def block():
        await asyncio.gather(asyncio.to_thread(grind, "latte"))

    _, waiter, job, _ = text_of(record(block)).split("\n")
    assert waiter.startswith('to_thread(grind, "latte") ')
    assert job.startswith('grind("latte") ')


def test_a_job_that_goes_on_without_its_task():
    ready = threading.Event()

    async def block():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await asyncio.to_thread(ready.wait)
        ready.set()

    recorder = record(block)
    how = "in a thread; cancelled, but its thread goes on"
    assert said(recorder, "wait()") == how
    how = "en un hilo; cancelada, pero su hilo sigue"
    assert how in text_of(recorder, "es")


def test_a_job_of_another_process():
    class Pool(Executor):
        def submit(self, call, *args):
            assert call is grind  # it can be pickled
            future = concurrent.futures.Future()
            future.set_result(call(*args))
            return future

    async def block():
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(Pool(), grind, "latte")

    assert said(record(block), 'grind("latte")') == (
        'in another process; returns "LATTE"'
    )


def test_jobs_of_libraries_have_no_lane():
    source = "async def work(): await asyncio.to_thread(str)"
    path = os.path.join(sysconfig.get_paths()["purelib"], "x.py")
    names = {"asyncio": asyncio}
    exec(compile(source, path, "exec"), names)
    work = names["work"]
    assert record(work).jobs == []


def test_many_jobs_are_counted():
    async def block():
        await asyncio.gather(
            *(asyncio.to_thread(grind, "latte") for _ in range(30))
        )

    lines = text_of(record(block)).split("\n")
    jobs = [line for line in lines if line.startswith("grind(")]
    assert len(jobs) == MOST_JOBS
    assert lines[-2] == "… and 18 more jobs in threads: ✓ 18"


def test_what_a_job_raises_shows_no_frame_of_ours():
    async def block():
        try:
            await asyncio.to_thread(grind, "mud")
        except ValueError as error:
            names.extend(
                frame.f_code.co_filename
                for frame, _ in traceback.walk_tb(error.__traceback__)
            )

    names = []
    record(block)
    assert names
    assert not any("instruments" in name for name in names)


def test_executors_are_left_as_they_were_found():
    async def main():
        loop = asyncio.get_running_loop()
        with recording():
            assert "run_in_executor" in vars(loop)
        assert "run_in_executor" not in vars(loop)

    asyncio.run(main())


# Where in the learner's code.


def test_a_lane_knows_where_it_stood(clock):
    async def wait():
        await turns(1)
        await turns(
            2,
        )

    async def block():
        await asyncio.create_task(wait())

    _, lane = record(block).lanes
    first = wait.__code__.co_firstlineno
    turn = turns.__code__.co_firstlineno + 2
    assert [line_of(place)[0] for _, place in lane.places] == [turn]
    assert line_of(lane.place) == (
        block.__code__.co_firstlineno + 1,
        "await asyncio.create_task(wait())",
    )
    assert first < block.__code__.co_firstlineno


def test_a_step_that_takes_long_is_looked_at(real_time):
    def sleep():
        time.sleep(0.2)

    async def block():
        sleep()
        await turns(1)

    recorder = record(block)
    places = {place for _, place in recorder.own.looks}
    line = sleep.__code__.co_firstlineno + 1
    assert [line_of(place) for place in places] == [(line, "time.sleep(0.2)")]
