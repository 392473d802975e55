"""Judges the exercise of lesson 00."""

from __future__ import annotations

import asyncio
import time

from aula.exercises.exercise import Answer, Right, Unawaited, Wrong, exercise
from aula.exercises.scope import hear_warnings
from aula.judges.mistakes import (
    awaited,
    discard,
    equal,
    refuse_none,
    refuse_unawaited,
    runs_second_loop,
)
from aula.judges.waiting import timer


@exercise("00.1", parameters=1)
async def greet(answer: Answer) -> Right:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    asyncio.create_task(count_turns())
    await asyncio.sleep(0)
    turned = asyncio.Event()
    asyncio.get_running_loop().call_soon(turned.set)
    short, long = timer(0.05), timer(0.4, slack=True)
    began = time.monotonic()
    with hear_warnings() as heard:
        try:
            seen = await answer("Ada")
        except (NameError, RuntimeError, TypeError) as error:
            _refuse_known(error)
            raise
    took, too_long = time.monotonic() - began, long.is_set()
    if any("was never awaited" in f"{w.message}" for w in heard):
        raise Unawaited("sleep-unawaited")
    refuse_unawaited(seen, "sleep-unawaited")
    refuse_none(seen, "Hola, Ada")
    equal(seen, "Hola, Ada", "other-text")
    if turns < 2 and took >= 0.05:
        raise Wrong("blocking")
    if not turned.is_set():
        raise Wrong("never-waits")
    if not short.is_set():
        raise Wrong("too-short")
    if too_long:
        raise Wrong("too-long")
    await _judge_other_name(answer, seen)
    return Right()


async def _judge_other_name(answer: Answer, first: str) -> None:
    """A long name, which is in no answer and takes no longer than a short."""
    expected = "Hola, Maximiliana"
    short, long = timer(0.05), timer(0.4, slack=True)
    try:
        seen = await answer("Maximiliana")
    except LookupError as error:
        raise Wrong("known-names", expected=expected, seen=error) from None
    if seen == first:
        equal(seen, expected, "always-the-same")
    equal(seen, expected, "known-names")
    if not short.is_set():
        raise Wrong("kept-between-calls")
    if long.is_set():
        raise Wrong("too-long-then")


def _refuse_known(error: Exception) -> None:
    if runs_second_loop(error):
        discard(error)
        raise Wrong("second-loop", seen=error) from None
    if awaited(error) == "str":
        raise Wrong("text-awaited", seen=error) from None
    if isinstance(error, NameError) and error.name == "sleep":
        raise Wrong("sleep-alone", seen=error) from None
