"""Judges the exercises of lesson 02."""

from __future__ import annotations

import asyncio
from typing import Any

from aula.exercises.exercise import Answer, Right, Wrong, exercise
from aula.exercises.scope import hear_reports
from aula.instruments.record import Recorder
from aula.judges.mistakes import (
    equal,
    named,
)
from aula.judges.waiting import MOMENT, ends_before

RESULT = "mocha #7"  # what the future of 01.4 brings


@exercise("02.1", parameters=2, limit=8)
async def patience(answer: Answer, run: Recorder) -> Right:
    loop = asyncio.get_running_loop()
    reports = hear_reports()

    def start(
        seconds: float, comes_after: float | None = None
    ) -> asyncio.Task[Any]:
        """The answer, waiting for a future that comes, or never does."""
        future = loop.create_future()
        if comes_after is not None:
            loop.call_later(comes_after, _complete, future)
        return asyncio.create_task(answer(future, seconds), name="patience")

    waiting = start(0.1)
    in_time = await ends_before(waiting, 0.3)
    if not await ends_before(waiting, 2):
        raise Wrong("no-limit")
    try:
        late = waiting.result()
    except TimeoutError:
        raise Wrong("escapes") from None
    except TypeError as error:
        raise named(error) from None
    if isinstance(late, asyncio.Future):
        raise Wrong("not-awaited", seen=late)

    await ends_before(start(0.1, comes_after=0.02), 0.3)
    # A timer that the answer has set is due before this sleep ends.
    await asyncio.sleep(MOMENT)
    for report in reports:
        if isinstance(report.get("exception"), asyncio.InvalidStateError):
            raise Wrong("timer-left", seen=report["exception"])

    waiting = start(3, comes_after=0.4)
    await ends_before(waiting, 1.5)
    steps = [s for x in run.lanes if x.task is waiting for s in x.steps]
    if any(ended - began > 1 for began, ended in steps):
        raise Wrong("blocking")
    if not waiting.done():
        raise Wrong("sleeps-first")
    soon = waiting.result()
    both_late = (late, soon) == ("tarde", "tarde")
    if not in_time or (both_late and len(steps) > 1):
        raise Wrong("fixed-limit")
    if soon is None:
        raise Wrong("result-not-returned", expected=RESULT, seen=soon)
    if late is None:
        raise Wrong("late-not-returned", expected="tarde", seen=late)
    equal((late, soon), ("tarde", RESULT), "other-results")

    waiting = start(3)
    await asyncio.sleep(0.03)
    waiting.cancel()
    await ends_before(waiting, 0.5)
    if not waiting.cancelled():
        raise Wrong("swallows-cancel")
    return Right()


def _complete(future: asyncio.Future[str]) -> None:
    if not future.done():
        future.set_result(RESULT)
