"""The timeline draws what tasks did, and leaves the event loop as it was."""

import asyncio
import base64
import contextlib
import functools
import gc
import io
import itertools
import logging
import os
import re
import subprocess
import sys
import sysconfig
import textwrap
import time
import types
import weakref
from collections.abc import Coroutine
from unittest.mock import Mock

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from aula import display
from aula.instruments import timeline
from aula.instruments.timeline import TEXT, Recorder, Timeline, draw

LEGEND = TEXT["en"]["legend"]
SERVERS = logging.getLogger("websockets.server")
draw_picture = timeline._draw_picture


class Linea(Timeline):
    language = "es"


class Clock:
    """In place of ``time``: a busy machine must not add a bar."""

    def __init__(self):
        self.now = 1000.0
        self.tick = 1e-6

    def perf_counter(self):
        self.now += self.tick
        return self.now

    def block(self, seconds):
        self.now += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timeline, "time", clock)
    return clock


@pytest.fixture(autouse=True)
def shown(monkeypatch):
    """What was displayed. Pictures cost time: most tests look at the text."""
    bundles = []
    monkeypatch.setattr(timeline, "show", bundles.append)
    monkeypatch.setattr(timeline, "_draw_picture", lambda *_: "")
    return bundles


@pytest.fixture
def pictures(monkeypatch):
    monkeypatch.setattr(timeline, "_draw_picture", draw_picture)


@pytest.fixture
def figures(pictures, monkeypatch):
    """The pictures while matplotlib still knows what is what in them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: save(self))

    def save(figure):
        FigureCanvasAgg(figure).draw()  # which puts each thing in its place
        drawn.append(figure)

    return drawn


def hooks():
    loop = asyncio.get_running_loop()
    return loop.get_task_factory(), vars(loop).get("call_soon")


def run(main, **options):
    """Run a coroutine function and see that it leaves no hook behind."""

    async def cell():
        before = hooks()
        try:
            return await main()
        finally:
            assert hooks() == before
            assert not timeline._Watch._watches

    return asyncio.run(cell(), **options)


@contextlib.contextmanager
def recording():
    recorder = Recorder()
    recorder.start()
    try:
        yield recorder
    finally:
        recorder.stop()


def record(block, **options):
    """A recording of a coroutine function."""

    async def record():
        with recording() as recorder:
            await block()
        return recorder

    return run(record, **options)


def text_of(recorder, language="en"):
    return draw(recorder, language)["text/plain"]


def labels(recorder):
    return [lane.label for lane in recorder.lanes if lane.shown][1:]


def said(recorder, label):
    """What the text says at the end of a lane's line."""
    lines = text_of(recorder).split("\n")
    (line,) = [line for line in lines if line.startswith(f"{label} ")]
    return re.split("  +", line)[-1]


def drawing(text):
    return textwrap.dedent(text) + LEGEND


async def brew(drink, turns=1):
    for _ in range(turns):
        await asyncio.sleep(0)
    return drink.upper()


async def burn(drink):
    await asyncio.sleep(0)
    raise ValueError(drink)


async def turns(count):
    for _ in range(count):
        await asyncio.sleep(0)


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


def test_really_blocking(monkeypatch):
    monkeypatch.setattr(timeline, "time", time)

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


def test_a_tenth_of_a_second_is_blocking(clock):
    clock.now = clock.tick = 0.0

    async def block():
        clock.block(timeline.BLOCKING)
        await asyncio.sleep(0)
        clock.block(timeline.BLOCKING * 0.99)

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


def test_one_timeline_used_again_starts_afresh(shown):
    async def main():
        line = Timeline()
        for drink in ("latte", "mocha"):
            with line:
                await asyncio.gather(brew(drink))
        with line:
            await asyncio.gather(brew("outer"))
            with line:
                await asyncio.gather(brew("inner"))

    run(main)
    drinks = [
        re.findall(r'^brew\("(\w+)"', bundle["text/plain"], re.MULTILINE)
        for bundle in shown
    ]
    assert drinks == [["latte"], ["mocha"], ["inner"], ["outer", "inner"]]


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


def test_a_block_that_raises_shows_its_picture(shown):
    async def main():
        with Timeline():
            await asyncio.gather(brew("latte"), burn("mocha"))

    with pytest.raises(ValueError, match="mocha"):
        run(main)
    (bundle,) = shown
    assert bundle.keys() == {"text/plain", "image/png"}
    assert "raises ValueError: mocha" in bundle["text/plain"]


def test_a_block_that_is_cancelled_shows_its_picture(shown):
    async def main():
        async with asyncio.timeout(0.01):
            with Timeline():
                await asyncio.Future()

    with pytest.raises(TimeoutError):
        run(main)
    assert len(shown) == 1


@pytest.mark.parametrize("kind", [Timeline, Linea])
def test_outside_a_running_loop(kind):
    line = kind()
    words = re.escape(TEXT[line.language]["no-loop"])
    with pytest.raises(RuntimeError, match=words) as caught:
        with line:
            pytest.fail("the block ran")
    assert caught.value.__suppress_context__


# The loop stays the learner's.


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

    class Container(Recorder):
        def contains(self, task):
            return task.get_name() == "answer"

    async def leave():
        raise SystemExit

    async def main():
        with recording():
            container = Container()
            container.start()
            with pytest.raises(SystemExit):
                await asyncio.create_task(leave(), name="answer")
            container.stop()
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


def test_an_orphaned_exception_is_still_reported(shown):
    """Drawing a failed task must not count as retrieving its exception.

    Nor may the timeline hold on to the task: the report comes at once.
    """
    reports = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reports.append(context))
        with Timeline():
            asyncio.create_task(burn("latte"))
            await turns(3)
        (report,) = reports
        assert str(report["exception"]) == "latte"
        assert "never retrieved" in report["message"]

    gc.disable()
    try:
        run(main)
    finally:
        gc.enable()
    assert "raises ValueError: latte" in shown[0]["text/plain"]


# Many.


def test_hundreds_of_tasks():
    kept = []

    async def fall(number):
        if number % 3 == 0:
            raise ValueError(number)
        if number % 3 == 1:
            await asyncio.Future()
        return number

    async def block():
        tasks = [asyncio.create_task(fall(number)) for number in range(300)]
        await turns(3)
        for task in tasks[250:]:
            task.cancel()
        await turns(3)
        tasks += [asyncio.create_task(fall(n)) for n in range(10)]
        await turns(3)
        kept.extend(tasks)
        kept.extend(asyncio.create_task(fall(n)) for n in range(7))

    recorder = record(block)
    *lanes, more, legend = text_of(recorder).split("\n")
    assert len(lanes) == timeline.MOST_LANES
    assert [line.split()[0] for line in lanes] == [
        "cell()",
        *(f"fall({n})" for n in range(23)),
    ]
    assert more == "… and 294 more tasks: ✓ 96  ✗ 96  ⊘ 17  … 78  ○ 7"
    assert max(map(len, [*lanes, more])) < 160
    assert "y 294 tareas más" in text_of(recorder, "es")


def test_hundreds_of_waits():
    async def block():
        for number in range(300):
            await brew("latte", number % 2 + 1)

    assert said(record(block), "cell()") == (
        'waits in brew("latte"), brew("latte", 2), brew("latte"), '
        'brew("latte", 2), brew("latte"), brew("latte", 2), brew("latte"), '
        "… and 293 more"
    )


def test_as_many_waits_as_can_be_named():
    async def block():
        for _ in range(timeline.MOST_WAITS):
            await brew("latte")

    assert said(record(block), "cell()") == (
        "waits in " + ", ".join(['brew("latte")'] * timeline.MOST_WAITS)
    )


@pytest.mark.parametrize(("events", "columns"), [(30, 2), (31, 1)])
def test_many_events_move_together(events, columns):
    kept = []

    async def block():
        # Two events each, as they start and do not end, and the cell's one.
        kept.extend(asyncio.create_task(brew("x", 99)) for _ in range(10))
        await turns(2)
        kept.extend(
            asyncio.create_task(brew("x", 99)) for _ in range(events - 21)
        )

    recorder = record(block)
    assert len(recorder.events) == events
    cell, first, *_ = text_of(recorder).split("\n")
    assert first.index("●") - first.index("○") == 10 * columns
    assert cell.index("waits") == first.index("still")


def test_thousands_of_steps_make_few_bars():
    steps = [(n / 1000, n / 1000 + 0.0001) for n in range(5000)]
    steps[2500] = (2.5, 2.75)
    bars = timeline._merge(steps, 0.005)
    assert bars == [
        [0.0, pytest.approx(2.4991), False],
        [2.5, 2.75, True],
        [pytest.approx(2.501), pytest.approx(4.9991), False],
    ]


# Labels.


class Bar:
    async def pour(self, drink, turns=1):
        await asyncio.sleep(0)

    @classmethod
    async def open(cls, name, *, late=False):
        await asyncio.sleep(0)


class Hostile:
    def __repr__(self):
        raise RuntimeError


class Matrix:
    def __repr__(self):
        return "Matrix([1, 2],\n       [3, 4])"


async def order(drink, /, size="m", *extras, hot=True, **wishes):
    served = await asyncio.sleep(0)
    return served


async def make(drink, turns=1):
    await asyncio.sleep(0)


async def fetch(place, *, limit):
    await asyncio.sleep(0)


async def enclosed(drink):
    async def again():
        return drink

    return await again()


def decorated(function):
    @functools.wraps(function)
    async def wrapper(*args, **options):
        return await function(*args, **options)

    return wrapper


@decorated
async def deco(drink, turns=1):
    await asyncio.sleep(0)


LABELS = {
    "strings in double quotes": (lambda: make("latte", 0), 'make("latte", 0)'),
    "unless they hold one": (lambda: make('"x"'), "make('\"x\"')"),
    "numbers": (lambda: make(0.2, -1), "make(0.2, -1)"),
    "a default": (lambda: make("x", 1), 'make("x")'),
    "containers": (
        lambda: make([1, "a"], {"b": (2,)}),
        "make([1, 'a'], {'b': (2,)})",
    ),
    "a set has no order": (
        lambda: make({"mocha", "latte", "chai"}, 0),
        "make({'chai', 'latte', 'mocha'}, 0)",
    ),
    "an address": (lambda: make(object(), Hostile()), "make(drink, turns)"),
    "an address within": (lambda: make([object()], 0), "make(drink, 0)"),
    "a function": (lambda: make(make, {"a": make}), "make(drink, turns)"),
    "less than": (lambda: make("a <b", ["<b>"]), "make(\"a <b\", ['<b>'])"),
    "a line end": (
        lambda: make(Matrix(), "a\nb"),
        'make(Matrix([1, 2], [3, 4]), "a\\nb")',
    ),
    "a long value": (
        lambda: make("x" * 99, 0),
        f'make("{"x" * 30}…, 0)',
    ),
    "a value that just fits": (
        lambda: make("x" * 30, 0),
        f'make("{"x" * 30}", 0)',
    ),
    "many values": (
        lambda: order(*range(99)),
        "order(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,…",
    ),
    "a method": (lambda: Bar().pour("latte"), 'pour("latte")'),
    "a class method": (lambda: Bar.open("Ada"), 'open("Ada")'),
    "a class method's keyword": (
        lambda: Bar.open("Ada", late=True),
        'open("Ada", late=True)',
    ),
    "keyword-only": (lambda: fetch("Lima", limit=3), 'fetch("Lima", limit=3)'),
    "keyword with an address": (
        lambda: fetch("Lima", limit=object()),
        'fetch("Lima", limit=limit)',
    ),
    "stars": (
        lambda: order("latte", "l", "soy", hot=False, sugar=2),
        'order("latte", "l", "soy", hot=False, sugar=2)',
    ),
    "a default before a keyword": (
        lambda: order("latte", hot=False),
        'order("latte", hot=False)',
    ),
    "a default before stars": (
        lambda: order("latte", "m", "soy"),
        'order("latte", "m", "soy")',
    ),
    "a closure": (lambda: enclosed("latte"), 'enclosed("latte")'),
    "a decorator": (lambda: deco("latte"), 'deco("latte")'),
    "a library's": (lambda: asyncio.sleep(0), "sleep(0)"),
}


@pytest.mark.parametrize(("make", "label"), LABELS.values(), ids=LABELS)
def test_label(make, label):
    async def block():
        await asyncio.create_task(make())

    assert labels(record(block)) == [label]


def test_the_name_of_a_task_comes_first():
    async def block():
        async with asyncio.TaskGroup() as group:
            group.create_task(brew("latte"), name="Ada")
            group.create_task(brew("mocha")).set_name("Lima")
            group.create_task(brew("chai"), name="x" * 99)
            group.create_task(brew("té"), name="a\nb")

    assert labels(record(block)) == ["Ada", "Lima", f"{'x' * 59}…", "a b"]


def test_what_is_awaited_without_being_a_coroutine():
    class Waiter:
        def __await__(self):
            return asyncio.sleep(0).__await__()

    async def block():
        await asyncio.gather(Waiter())

    assert labels(record(block)) == ["Waiter()"]


class Handmade(Coroutine):
    """A coroutine as other compilers make them: with nothing to look into."""

    def __init__(self):
        self.steps = asyncio.sleep(0).__await__()

    def send(self, value):
        return self.steps.send(value)

    def throw(self, *error):
        return self.steps.throw(*error)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.steps)

    __await__ = __iter__


def test_coroutines_that_cannot_be_looked_into():
    async def outer():
        await Handmade()

    async def block():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: errors.append(context))
        await asyncio.create_task(Handmade())
        await asyncio.create_task(outer())

    errors = []
    assert labels(record(block)) == ["Handmade", "outer()"]
    assert not errors


def test_the_columns_of_wide_characters():
    async def block():
        async with asyncio.TaskGroup() as group:
            group.create_task(brew("é"), name="日本")
            group.create_task(brew("é"), name="e\u0301x")

    first, second = text_of(record(block)).split("\n")[1:3]
    # One character of a pair takes two columns, one accent none.
    assert first.index("○") + 2 == second.index("○") - 2 - 1


class Silent(Exception):
    def __str__(self):
        raise RuntimeError


class Color(str):
    def __repr__(self):
        return "Color.RED"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("latte", 'returns "latte"'),
        (None, "returns None"),
        (object(), "returns object"),
        (Hostile(), "returns Hostile"),
        (Color("red"), "returns Color.RED"),
        ("x" * 99, f'returns "{"x" * 30}…'),
        (ValueError("sin leche\nni té"), "raises ValueError: sin leche"),
        (KeyError(), "raises KeyError"),
        (Silent(), "raises Silent"),
        (ValueError("x" * 99), f"raises ValueError: {'x' * 19}…"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_how_a_task_ends(value, words):
    async def end():
        if isinstance(value, Exception):
            raise value
        return value

    async def block():
        await asyncio.wait([asyncio.create_task(end())])

    assert said(record(block), "end()") == words


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


# Whose tasks there are.


def module_in(folder):
    """A module that seems to be there."""
    module = types.ModuleType("espresso")
    source = textwrap.dedent("""
        import asyncio

        def machine(coro):
            return asyncio.create_task(coro)

        async def clean():
            await asyncio.sleep(0)
        """)
    path = os.path.join(folder, "espresso.py")
    exec(compile(source, path, "exec"), vars(module))
    return module


@pytest.fixture
def library():
    return module_in(sysconfig.get_path("purelib"))


def test_tasks_of_libraries_have_no_lane(library):
    async def block():
        await library.machine(brew("latte"))
        await asyncio.create_task(library.clean())

    recorder = record(block)
    assert labels(recorder) == ["clean()"]
    assert len(recorder.lanes) == 3


def test_tasks_that_a_check_starts_are_the_learners():
    """But not those that it starts for itself."""
    judge = module_in(os.path.dirname(timeline.__file__))

    async def block():
        await judge.machine(brew("latte"))
        await judge.machine(judge.clean())
        await asyncio.create_task(judge.clean(), name="Ada")

    assert labels(record(block)) == ['brew("latte")', "Ada"]


def test_tasks_of_the_loop_belong_to_who_wrote_the_coroutine(library):
    async def block():
        loop = asyncio.get_running_loop()
        loop.call_soon(asyncio.ensure_future, brew("latte"))
        loop.call_soon(asyncio.ensure_future, library.clean())
        loop.call_soon(lambda: asyncio.ensure_future(brew("mocha")))
        await turns(5)

    assert labels(record(block)) == ['brew("latte")', 'brew("mocha")']


def test_a_coroutine_sent_from_a_thread():
    async def block():
        loop = asyncio.get_running_loop()

        def elsewhere():
            coro = brew("latte")
            return asyncio.run_coroutine_threadsafe(coro, loop).result(5)

        assert await asyncio.to_thread(elsewhere) == "LATTE"

    assert labels(record(block)) == ['brew("latte")']


async def echo(websocket):
    async for message in websocket:
        await answer(websocket, message)


async def answer(websocket, message):
    await websocket.send(message)
    await asyncio.sleep(0)


class Chat:
    async def __call__(self, websocket):
        await echo(websocket)

    async def room(self, websocket):
        await echo(websocket)


@pytest.mark.parametrize(
    ("handler", "name"),
    [
        (echo, "echo"),
        (functools.partial(functools.partial(echo)), "echo"),
        (Chat(), "Chat"),
        (Chat().room, "room"),
    ],
)
def test_each_connection_has_a_lane_named_after_its_handler(handler, name):
    async def block():
        async with serve(handler, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            uri = f"ws://127.0.0.1:{port}"
            async with connect(uri) as first, connect(uri) as second:
                for websocket in (first, second):
                    await websocket.send("hola")
                    assert await websocket.recv() == "hola"

    recorder = record(block)
    assert labels(recorder) == [name, name]
    # There were others: keepalive, for example.
    assert len(recorder.lanes) > 5
    assert all(
        lane.outcome() == ("returned", "None")
        for lane in recorder.lanes[1:]
        if lane.shown
    )


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


def test_a_streams_server():
    async def serve_one(reader, writer):
        writer.write(await reader.readline())
        writer.close()

    async def block():
        server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hola\n")
            assert await reader.readline() == b"hola\n"
            writer.close()
            await turns(3)

    assert labels(record(block)) == ["serve_one(reader, writer)"]


# Words and pictures.


def test_both_languages_say_the_same_things():
    assert TEXT["es"].keys() == TEXT["en"].keys()
    for key, words in TEXT["es"].items():
        fields = re.findall(r"{\w+}", words)
        assert fields == re.findall(r"{\w+}", TEXT["en"][key]), key


def test_in_spanish(shown):
    async def main():
        with Linea():
            await asyncio.wait(
                [asyncio.create_task(c) for c in (brew("té"), burn("té"))]
            )

    run(main)
    lines = shown[0]["text/plain"].split("\n")
    assert lines[1].endswith('devuelve "TÉ"')
    assert lines[2].endswith("lanza ValueError: té")
    assert lines[3] == TEXT["es"]["legend"]


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


def pixels(picture):
    from matplotlib.image import imread

    return imread(io.BytesIO(base64.b64decode(picture)), format="png")


def test_picture(pictures, clock):
    async def freeze(seconds):
        clock.block(seconds)

    async def block():
        await asyncio.gather(brew("latte"), freeze(0.3))

    bundle = draw(record(block), "en")
    image = pixels(bundle["image/png"])
    assert image.shape[1] == 1480
    colors = (image[:, :, :3] * 255).round()
    for part in ("paper", "waits", "runs", "blocks"):
        color = list(bytes.fromhex(timeline._COLORS[part][1:]))
        assert (colors == color).all(axis=2).any(), part


@pytest.mark.parametrize(
    ("next_wait", "place"),
    [((9, lambda: None, "turns()"), 4.1), ((4, lambda: None, ""), 1.1)],
    ids=["between steps", "before its own code waits again"],
)
def test_what_a_lane_waits_in_is_written_where_no_step_hides_it(
    next_wait, place
):
    """Of the gaps from 1 to 3 and from 4 to 8, the widest in its wait."""

    async def main():
        task = asyncio.create_task(brew("latte"), name="x")
        await task
        return task

    steps = [(0, 1), (3, 4), (8, 9)]
    lane = timeline.Lane(run(main), "x()", True, 0, steps, started=True)
    lane.waits = [(1, lambda: None, "brew()"), next_wait]
    recorder = timeline.Recorder()
    recorder.finished = lane.ended = 10
    axes = Mock()
    timeline._draw_lane(axes, recorder, lane, 0, 10, width=5)
    texts = [call.args for call in axes.text.call_args_list]
    assert texts == [(pytest.approx(place), 0, "brew()")]


def test_picture_of_what_is_hard_to_draw(pictures, capfd, recwarn):
    """A label is no formula, and no character is too much."""
    kept = []

    async def hold():
        await asyncio.Future()

    async def block():
        kept.append(asyncio.create_task(hold()))
        names = ["$\\frac$", "日本 😀", "a\nb", "x" * 999, "$", "\\", "_^{"]
        tasks = [
            *(asyncio.create_task(brew("x"), name=name) for name in names),
            asyncio.create_task(brew("$\\frac$", 3)),
            asyncio.create_task(burn("$\\frac$")),
            asyncio.create_task(hold()),
            *(asyncio.create_task(brew("x")) for _ in range(200)),
        ]
        await turns(2)
        tasks[9].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await brew("$\\frac$")
        kept.append(asyncio.create_task(hold()))

    image = pixels(draw(record(block), "es")["image/png"])
    assert image.shape[1] == 1480
    assert image.shape[0] > 1600
    assert capfd.readouterr().err == ""
    assert not recwarn.list


def kinds(axes):
    """Each bar and what it stands for; not the shade over all lanes."""
    from matplotlib.colors import to_hex

    names = {color: name for name, color in timeline._COLORS.items()}
    return [
        (names[to_hex(patch.get_facecolor())], patch)
        for patch in axes.patches
        if patch.get_alpha() is None
    ]


def bars(axes, row):
    """The bars of a lane: from when, for how long, and what they stand for."""
    return [
        (round(bar.get_x(), 2), round(bar.get_width(), 2), kind)
        for kind, bar in kinds(axes)
        if bar.get_y() + bar.get_height() / 2 == pytest.approx(row)
    ]


def shades(axes):
    """What a step that blocks lays over all lanes: from when, for how long."""
    return sorted(
        (round(patch.get_x(), 2), round(patch.get_width(), 2))
        for patch in axes.patches
        if patch.get_alpha() is not None
    )


def test_a_picture_shows_each_moment_in_its_place(figures, clock):
    async def work():
        clock.block(0.05)
        await asyncio.sleep(0)
        clock.block(0.2)
        await asyncio.sleep(0)

    async def rest():
        await asyncio.sleep(0)

    async def block():
        tasks = [asyncio.create_task(work()), asyncio.create_task(rest())]
        clock.block(0.5)
        await asyncio.wait(tasks)
        clock.block(1.25)

    recorder = record(block)
    draw(recorder, "en")
    (axes,) = figures[0].axes
    # A bar for all the time that a lane is there; over it, what it ran.
    assert bars(axes, 0) == [
        (0, 2, "waits"),
        (0, 0.5, "blocks"),
        (0.75, 1.25, "blocks"),
    ]
    assert bars(axes, 1) == [
        (0.5, 0.25, "waits"),
        (0.5, 0.05, "runs"),
        (0.55, 0.2, "blocks"),
        (0.75, 0, "runs"),
    ]
    assert bars(axes, 2) == [
        (0.55, 0.2, "waits"),
        (0.55, 0, "runs"),
        (0.75, 0, "runs"),
    ]
    heights = {kind: bar.get_height() for kind, bar in kinds(axes)}
    # What blocks stands out, and stays in its lane.
    assert 0 < heights["waits"] <= heights["runs"] < heights["blocks"] < 1
    assert shades(axes) == [(0, 0.5), (0.55, 0.2), (0.75, 1.25)]
    # Dots from its creation to its first step; a mark where it ended.
    dots = [line.get_segments()[0].round(2) for line in axes.collections]
    assert [line.tolist() for line in dots] == [
        [[0, 0], [0, 0]],
        [[0, 1], [0.5, 1]],
        [[0, 2], [0.55, 2]],
    ]
    ends = [(line.get_marker(), *line.get_xydata()[0]) for line in axes.lines]
    assert ends == [
        ("o", pytest.approx(0.75, abs=0.01), 1),
        ("o", pytest.approx(0.75, abs=0.01), 2),
    ]
    # All of it is in the picture, and hardly anything else.
    left, right = axes.get_xlim()
    assert -0.05 < left < -0.01 and 2.01 < right < 2.1
    bottom, top = axes.get_ylim()
    assert -1 < top < -0.5 and 2.5 < bottom < 3


@pytest.mark.parametrize(
    ("length", "label", "naps"), [(1, 1, 20), (1, 60, 12), (20, 30, 6)]
)
def test_a_wait_is_named_where_its_name_fits(
    figures, clock, length, label, naps
):
    """Names stay within their waits; too little room shows none."""
    name = "n" * length

    def nap(seconds):
        async def nap():
            # The time is somebody else's, so that no step hides the name.
            asyncio.get_running_loop().call_soon(clock.block, seconds)
            await asyncio.sleep(0)

        nap.__name__ = name
        return nap()

    async def block():
        task = asyncio.create_task(brew("x"), name="L" * label)
        clock.block(0.1)
        for number in range(naps):
            await nap(number / naps)
        await task

    recorder = record(block)
    draw(recorder, "en")
    (axes,) = figures[0].axes

    def pixel(moment):
        return axes.transData.transform((moment, 0))[0]

    moments = itertools.accumulate(
        (number / naps for number in range(naps)), initial=0.1
    )
    rooms = list(itertools.pairwise(map(pixel, moments)))
    texts = [text.get_window_extent() for text in axes.texts]
    assert {text.get_text() for text in axes.texts} == {f"{name}()"}
    letter = texts[0].width / (length + 2)
    named = 0
    for begin, end in rooms:
        inside = [text for text in texts if begin < text.x0 and text.x1 < end]
        # It takes about two letters more, so as not to look crowded.
        spare = (end - begin) / letter - (length + 2)
        assert spare > 1.5 if inside else spare < 2.5
        named += len(inside)
    assert named == len(texts)


def test_a_wait_full_of_steps_is_not_named(figures, clock):
    async def drip():
        for _ in range(30):
            asyncio.get_running_loop().call_soon(clock.block, 0.1)
            await asyncio.sleep(0)

    async def block():
        await drip()

    recorder = record(block)
    assert said(recorder, "cell()") == "waits in drip()"
    draw(recorder, "en")
    assert not figures[-1].axes[0].texts


def test_a_wait_is_no_formula(figures, clock):
    async def pay(price):
        asyncio.get_running_loop().call_soon(clock.block, 1)
        await asyncio.sleep(0)

    async def block():
        await pay("$\\frac$")

    draw(record(block), "en")
    (text,) = figures[0].axes[0].texts
    assert text.get_text() == r'pay("$\\frac$")'


def test_a_lane_is_as_high_in_every_picture(figures, clock, monkeypatch):
    """Whatever else there is to be read above and below."""
    kept = []

    async def few():
        await asyncio.gather(*(brew("x", n) for n in range(4)))

    async def many():
        await asyncio.gather(*(brew("x", n) for n in range(5)))

    async def all_ends(seconds=0.0):
        kept.append(asyncio.create_task(brew("x", 99)))
        tasks = [
            asyncio.create_task(coro)
            for coro in (brew("x"), brew("x", 99), burn("x"))
        ]
        clock.block(0.05)
        await turns(2)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        clock.block(seconds)

    async def all_kinds():
        await all_ends(0.2)

    monkeypatch.setattr(timeline, "MOST_LANES", 5)
    for block in (few, many, all_ends, all_kinds):
        draw(record(block), "en")
    legends = [
        [text.get_window_extent() for text in figure.legends[0].get_texts()]
        for figure in figures
    ]
    assert [len(legend) for legend in legends] == [4, 4, 7, 8]
    rows = [len({round(text.y0) for text in legend}) for legend in legends]
    assert rows == [1, 1, 1, 2]
    heights = []
    for figure in figures:
        (axes,) = figure.axes
        assert len(axes.get_yticks()) == 5
        heights.append(axes.get_window_extent().height / figure.dpi / 5)
    assert 0.3 < heights[0] < 0.5  # inches
    assert heights == pytest.approx(heights[:1] * 4, abs=0.02)


def test_the_legend_tells_of_every_end_but_the_cells():
    async def main():
        with recording() as recorder:
            await asyncio.gather(burn("latte"), return_exceptions=True)
        return recorder

    def ends(recorder):
        lanes = [lane for lane in recorder.lanes if lane.shown]
        words = TEXT["en"]
        handles = timeline._legend(recorder, lanes, 1.0, words)
        return [handle.get_label() for handle in handles[2:]]

    recorder = run(main)
    assert ends(recorder) == ["raises"]
    recorder.lanes[0].shown = False  # as in a check
    assert ends(recorder) == ["raises"]


@pytest.mark.parametrize(("delay", "seen"), [(0.1, True), (0.001, False)])
def test_the_legend_tells_of_the_dots_that_can_be_seen(clock, delay, seen):
    """Those before a task starts, if it ever does."""

    async def work():
        await asyncio.sleep(0)
        clock.block(1)
        await asyncio.sleep(0)

    async def started():
        task = asyncio.create_task(work())
        clock.block(delay)
        await task

    kept = []

    async def unstarted():
        clock.block(1)
        kept.append(asyncio.create_task(work()))
        clock.block(delay)

    for block, ends in (started, ["returns"]), (unstarted, []):
        recorder = record(block)
        handles = timeline._legend(recorder, recorder.lanes, 1.0, TEXT["en"])
        labels = [handle.get_label() for handle in handles]
        others = ["waits", "runs", "blocks the loop", *ends]
        assert labels == ["created"] * seen + others


def test_a_quiet_matplotlib_no_sooner_than_needed(tmp_path):
    """In a home that cannot be written to, where matplotlib complains."""
    file = tmp_path / "file"
    file.touch()
    script = textwrap.dedent("""
        import asyncio, sys
        from aula.en import check, timeline
        assert "matplotlib" not in sys.modules

        async def main():
            with timeline():
                await asyncio.create_task(asyncio.sleep(0), name="日本 😀")

        asyncio.run(main())
        assert "matplotlib" in sys.modules
        import logging
        assert logging.getLogger("matplotlib").level == logging.NOTSET
        """)
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", script],
        capture_output=True,
        encoding="utf-8",
        env={
            **os.environ,
            "MPLCONFIGDIR": str(file / "nowhere"),
            "PYTHONUTF8": "1",
        },
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("main()")


# Displaying.


def in_notebook(monkeypatch):
    calls = []

    def publish(bundle, **options):
        calls.append((bundle, options))

    notebook = types.SimpleNamespace(
        get_ipython=lambda: True,
        display=types.SimpleNamespace(display=publish),
    )
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    return calls


def test_a_png_is_shown_at_half_its_size(monkeypatch):
    calls = in_notebook(monkeypatch)
    header = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (1481).to_bytes(4, "big")
    picture = base64.b64encode(header + bytes(1000)).decode()
    bundle = {"text/plain": "hola", "image/png": picture}
    display.show(bundle)
    assert calls == [
        (bundle, {"raw": True, "metadata": {"image/png": {"width": 740}}})
    ]


def test_what_has_no_png_is_shown_as_it_is(monkeypatch):
    calls = in_notebook(monkeypatch)
    display.show({"text/plain": "hola", "text/markdown": "hola"})
    ((_, options),) = calls
    assert options == {"raw": True, "metadata": {}}


def test_outside_a_notebook_the_text_is_printed(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    display.show({"text/plain": "hola", "image/png": "?"})
    assert capsys.readouterr().out == "hola\n"
