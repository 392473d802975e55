"""What tests of the timeline's parts share: recordings of a block."""

import asyncio
import contextlib
import re
import textwrap

from aula.instruments import tasks
from aula.instruments.chart import TEXT, draw_text
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
