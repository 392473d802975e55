"""What tests of the timeline's parts share: recordings of a block."""

import asyncio
import contextlib
import re
import textwrap
from types import SimpleNamespace

from aula.instruments import tasks
from aula.instruments.chart import TEXT, draw_text
from aula.instruments.lanes import Lane
from aula.instruments.record import Recorder

LEGEND = TEXT["en"]["legend"]


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
            assert asyncio.get_running_loop() not in tasks._watches

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
    return draw_text(recorder, language)


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


def lane(label, *steps, end="returned", ended=None, **fields):
    """A lane of a task that ran at other times: from, to; from, to.

    Arguments:
        end: how it ended: returned, raised, cancelled or pending.
        ended: when, if not with its last step.
    """
    task = SimpleNamespace(
        get_name=lambda: "Task-1",
        cancelled=lambda: end == "cancelled",
        result=lambda: 1,
        _exception=ValueError("late") if end == "raised" else None,
    )
    steps = [*zip(steps[::2], steps[1::2], strict=True)]
    if end == "pending":
        ended = None
    elif ended is None:
        ended = steps[-1][1]
    fields = {"created": steps[0][0] if steps else 0.0} | fields
    return Lane(
        task,
        label,
        True,
        steps=steps,
        started=bool(steps),
        ended=ended,
        **fields,
    )


def recorded(*lanes, finished=10.0):
    """A recording of lanes, the first of which is the block's own."""
    recorder = Recorder()
    recorder.lanes = [*lanes]
    recorder.own = lanes[0]
    recorder.finished = finished
    return recorder
