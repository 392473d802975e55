"""How judges wait: for what comes at once or never, and never for ever.

All of them wait in short turns of the event loop. While the whole machine
stands still, only one turn goes by: a slow machine gets more time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

PATIENCE = 1.0  # seconds to wait for what comes at once or never
MOMENT = 0.15  # seconds in which what must not happen would have happened
TURN = 0.01  # seconds between two looks
SLACK = 50  # turns of the loop in which a task ends whose time is up

T = TypeVar("T")


class Silence(Exception):
    """What was waited for did not come."""


async def until(
    condition: Callable[[], Any], seconds: float = PATIENCE
) -> bool:
    """Wait until a condition holds, and tell whether it does.

    A slow machine takes more than the seconds. One whose clock is coarse has
    turns that take no time, and gets more of them.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    turns = round(seconds / TURN)
    while turns > 0 or loop.time() < end:
        if condition():
            return True
        turns -= 1
        await asyncio.sleep(TURN)
    return bool(condition())


async def patiently(awaitable: Awaitable[T], seconds: float = PATIENCE) -> T:
    """Await something that comes soon if it comes at all.

    Raises:
        Silence: if it does not. It is cancelled then.
    """
    task = asyncio.ensure_future(awaitable)
    try:
        if await _done(task, seconds):
            return task.result()
    finally:
        task.cancel()
    raise Silence


async def ends(task: asyncio.Future[Any], seconds: float = PATIENCE) -> bool:
    """Whether an answer's task ends in time. If not, it is cancelled."""
    if await _done(task, seconds):
        return True
    task.cancel()
    await asyncio.wait({task}, timeout=0.5)
    return False


async def _done(task: asyncio.Future[Any], seconds: float) -> bool:
    for _ in range(max(1, round(seconds / (5 * TURN)))):
        await asyncio.wait({task}, timeout=5 * TURN)
        if task.done():
            return True
    return False


def timer(seconds: float, slack: bool = False) -> asyncio.Event:
    """An event that is set when the event loop has waited so long.

    Timers of one loop end in their order, however slow the machine is: an
    answer that sleeps longer than a timer started before ends after it.

    Arguments:
        slack: when the machine stood still, and the answer's own time was
            up as well, whether the answer may end first.
    """
    loop = asyncio.get_running_loop()
    over = asyncio.Event()

    def count(left: int) -> None:
        if left:
            loop.call_soon(count, left - 1)
        else:
            over.set()

    loop.call_later(seconds, count, SLACK if slack else 0)
    return over


async def ends_before(task: asyncio.Future[Any], seconds: float) -> bool:
    """Whether a task ends before such a timer, started now, would.

    As with ``timer``, that is no matter of how slow the machine is. The task
    goes on.
    """
    await asyncio.wait({task}, timeout=seconds)
    for _ in range(SLACK):
        if not task.done():
            await asyncio.sleep(0)
    return task.done()


class Queue(asyncio.Queue[Any]):
    """A queue that notes whether somebody wanted to wait for it."""

    waits = False

    # No coroutine functions: what counts is the call, awaited or not.
    def put(self, item: Any) -> Any:
        self.waits = True
        return super().put(item)

    def get(self) -> Any:
        self.waits = True
        return super().get()
