"""Judges the exercise of lesson 00."""

import asyncio
import time
import warnings

from aula.exercises.exercise import Right, Unawaited, Wrong, exercise
from aula.judges.peers import refuse_printed


@exercise("00.1", parameters=1)
async def greet(answer):
    turns, turned, due = 0, [], []

    async def count_turns():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    async def wait_longer():
        await asyncio.sleep(0.4)

    loop = asyncio.get_running_loop()
    counting = asyncio.create_task(count_turns())
    await asyncio.sleep(0)
    # Timers of one loop end in their order, however slow the machine is.
    loop.call_later(0.05, due.append, True)
    loop.call_soon(turned.append, True)
    late = asyncio.create_task(wait_longer())
    began = time.monotonic()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        seen = await answer("Ada")
    took, too_long = time.monotonic() - began, late.done()
    counting.cancel()
    late.cancel()
    if any("was never awaited" in str(w.message) for w in caught):
        raise Unawaited("sleep-unawaited")
    refuse_printed(seen, "Hola, Ada")
    if seen != "Hola, Ada":
        raise Wrong("other-text", expected="Hola, Ada", seen=seen)
    if turns < 2 and took >= 0.05:
        raise Wrong("blocking")
    if not turned:
        raise Wrong("never-waits")
    if not due:
        raise Wrong("too-short")
    if too_long:
        raise Wrong("too-long")
    again = await answer("Lima")
    if again != "Hola, Lima":
        raise Wrong("always-the-same", expected="Hola, Lima", seen=again)
    return Right()
