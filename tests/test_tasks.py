"""The observers of a loop's tasks leave the loop as the learner's."""

import asyncio
import gc
import sys
import weakref

import pytest
from recordings import (
    brew,
    drawing,
    hooks,
    labels,
    record,
    recording,
    run,
    text_of,
    turns,
)

from aula.instruments import tasks

pytest_plugins = ["clocks"]
pytestmark = pytest.mark.usefixtures("clock")


class Log(tasks.Observer):
    """All that it is told of the tasks of a block, in order."""

    def __init__(self):
        self.told = []
        self.numbers = {}

    def before_task_spawned(self, coro, asker):
        self.told.append(("spawns", coro.__name__, asker.f_code.co_name))
        return len(self.numbers) + 1

    def task_spawned(self, task, note):
        self.numbers[task] = note
        self.told.append(("spawned", note))

    def before_task_step(self, task):
        self.note("before", task)

    def after_task_step(self, task, began):
        self.note("after", task)

    def task_exited(self, task):
        self.note("exited", task)

    def note(self, what, task):
        if task in self.numbers:  # and not the block's own
            self.told.append((what, self.numbers[task]))


def observed(block, factory=None):
    async def main():
        loop, log = asyncio.get_running_loop(), Log()
        loop.set_task_factory(factory)
        tasks.observe(loop, log)
        await block()
        tasks.ignore(loop, log)
        loop.set_task_factory(None)
        return log.told

    return run(main)


def test_what_an_observer_is_told():
    async def block():
        await asyncio.create_task(brew("latte"))

    assert observed(block) == [
        ("spawns", "brew", "block"),
        ("spawned", 1),
        *[("before", 1), ("after", 1)] * 2,
        ("exited", 1),
    ]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")
def test_what_an_observer_is_told_of_eager_tasks():
    async def block():
        await asyncio.create_task(brew("latte", 0))
        await asyncio.create_task(brew("latte"))

    assert observed(block, asyncio.eager_task_factory) == [
        ("spawns", "brew", "block"),
        ("spawned", 1),
        ("before", 1),
        ("after", 1),
        ("exited", 1),
        ("spawns", "brew", "block"),
        ("spawned", 2),
        *[("before", 2), ("after", 2)] * 2,
        ("exited", 2),
    ]


def test_what_only_looks_like_a_task():
    """Such as a learner's own, that runs its own steps."""

    class Toy:
        def get_coro(self):
            return None

        def step(self):
            self.ran = True

    toy = Toy()

    async def block():
        asyncio.get_running_loop().call_soon(toy.step)
        await turns(1)

    assert observed(block) == []
    assert toy.ran


def test_the_loop_keeps_its_order():
    """A recorder puts itself in front, and moves nobody else."""

    async def main():
        order = []
        loop = asyncio.get_running_loop()
        for number in range(4):
            loop.call_soon(order.append, number)
        with recording():
            loop.call_soon(order.append, 4)
            await turns(3)
        return order

    assert run(main) == [0, 1, 2, 3, 4]


def test_the_loop_keeps_its_order_under_a_call_soon_of_the_learners():
    """Such as one that has something else to do after each callback."""

    async def main():
        order = []
        loop = asyncio.get_running_loop()
        original = loop.call_soon

        def twice(callback, *args, context=None):
            handle = original(callback, *args, context=context)
            original(order.append, "after")
            return handle

        original(order.append, "before")
        loop.call_soon = twice
        with recording():
            await turns(1)
        del loop.call_soon
        return order

    assert run(main)[0] == "before"


class Special(asyncio.Task):
    pass


def special(loop, coro, **options):
    return Special(coro, loop=loop, **options)


def test_a_task_factory_is_used_and_restored():
    async def main():
        loop = asyncio.get_running_loop()
        loop.set_task_factory(special)
        with recording() as recorder:
            task = asyncio.create_task(brew("latte"), name="Ada")
            assert type(task) is Special
            await task
        assert loop.get_task_factory() is special
        loop.set_task_factory(None)
        return labels(recorder)

    assert run(main) == ["Ada"]


def test_a_task_factory_set_in_the_block_stays():
    async def main():
        loop = asyncio.get_running_loop()
        with recording():
            loop.set_task_factory(special)
        assert loop.get_task_factory() is special
        loop.set_task_factory(None)

    run(main)


def test_hooks_wrapped_in_the_block_go_on_working():
    """A learner's own instrument may keep what it found in the block."""

    async def main():
        loop = asyncio.get_running_loop()
        calls = []
        with recording():
            factory, call_soon = hooks()

            def make(loop, coro, **options):
                calls.append("make")
                return factory(loop, coro, **options)

            def schedule(callback, *args, context=None):
                calls.append("schedule")
                return call_soon(callback, *args, context=context)

            loop.set_task_factory(make)
            loop.call_soon = schedule
        assert hooks() == (make, schedule)
        assert await asyncio.create_task(brew("latte")) == "LATTE"
        with recording() as recorder:
            assert await asyncio.create_task(brew("mocha")) == "MOCHA"
        assert hooks() == (make, schedule)
        assert calls.count("make") == 2
        loop.set_task_factory(None)
        del loop.call_soon
        return labels(recorder)

    assert run(main) == ['brew("mocha")']


def test_call_soon_is_restored_exactly():
    async def main():
        loop = asyncio.get_running_loop()
        with recording():
            assert "call_soon" in vars(loop)
        assert "call_soon" not in vars(loop)

        seen = []
        original = loop.call_soon

        def patched(callback, *args, context=None):
            seen.append(callback)
            return original(callback, *args, context=context)

        loop.call_soon = patched
        with recording() as recorder:
            await asyncio.create_task(brew("latte"))
        assert vars(loop)["call_soon"] is patched
        assert seen
        del loop.call_soon
        return labels(recorder)

    assert run(main) == ['brew("latte")']


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")
def test_eager_tasks(clock):
    async def at_once(drink):
        clock.block(0.2)
        drink = "rebound"
        return drink

    async def block():
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)
        with recording() as recorder:
            at_once_task = asyncio.create_task(at_once("latte"))
            assert at_once_task.done()
            await asyncio.create_task(brew("mocha"))
        assert loop.get_task_factory() is asyncio.eager_task_factory
        loop.set_task_factory(None)
        return recorder

    recorder = run(block)
    assert text_of(recorder) == drawing("""\
        cell()            ●─────────────█───   waits in block()
        at_once("latte")    ○┄●─█─✓            returns "rebound"
        brew("mocha")               ○┄●───✓    returns "MOCHA"
        """)
    assert recorder.lanes[1].created - recorder.began < 0.1


def test_debug_mode():
    async def block():
        await asyncio.gather(brew("latte"))

    assert labels(record(block, debug=True)) == ['brew("latte")']


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_what_ends_the_loop_goes_on_ending_it(error):
    reached = []

    async def leave():
        raise error

    async def main():
        with recording():
            task = asyncio.create_task(leave())
            await turns(3)
        reached.append(task)

    with pytest.raises(error):
        run(main)
    assert not reached


def test_what_ends_the_loop_may_be_contained():
    """As a check does with the tasks of an answer, and with no others."""

    class Container(tasks.Observer):
        def contains(self, task):
            return task.get_name() == "answer"

    async def leave():
        raise SystemExit

    async def main():
        loop = asyncio.get_running_loop()
        with recording():
            container = Container()
            tasks.observe(loop, container)
            with pytest.raises(SystemExit):
                await asyncio.create_task(leave(), name="answer")
            tasks.ignore(loop, container)
        return "survived"

    assert run(main) == "survived"


def test_a_loop_is_not_kept_alive():
    async def main():
        with recording():
            await brew("latte")
        return weakref.ref(asyncio.get_running_loop())

    loop = run(main)
    gc.collect()
    assert loop() is None
