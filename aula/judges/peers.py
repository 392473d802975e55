"""What judges of several lessons do with tasks and peers, never for ever."""

import asyncio
import logging
import traceback
from contextlib import suppress

from websockets.exceptions import ConnectionClosed

from aula.exercises.answer import close_unawaited
from aula.exercises.exercise import Wrong

# The servers of a check say what went wrong in its verdict, and only there.
quiet = logging.getLogger("aula.judges")
quiet.addHandler(logging.NullHandler())
quiet.propagate = False


class Queue(asyncio.Queue):
    """A queue that notes whether somebody wanted to wait for it."""

    waits = False

    def put(self, item):
        self.waits = True
        return super().put(item)

    def get(self):
        self.waits = True
        return super().get()


async def within(seconds, condition):
    """Whether a condition comes true in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.005)
    return bool(condition())


async def finished(task, seconds):
    """Whether the answer's task ends in time. If not, it is cancelled."""
    await asyncio.wait({task}, timeout=seconds)
    if task.done():
        return True
    task.cancel()
    await asyncio.wait({task}, timeout=0.5)
    return False


async def send_all(websocket, *messages):
    """Send messages to a peer that may have gone."""
    with suppress(ConnectionClosed):
        for message in messages:
            await websocket.send(message)


async def receive(websocket, count, seconds=1.0):
    """As many messages as come in time, and at most so many."""
    received = []
    with suppress(TimeoutError, ConnectionClosed):
        async with asyncio.timeout(seconds):
            while len(received) < count:
                received.append(await websocket.recv())
    return received


def no_star(error):
    """Whether gather complains of a collection given as one argument."""
    # Python 3.11 still takes a generator for a coroutine, and fails later.
    if "Task got bad yield" in f"{error}":
        return True
    frames = traceback.walk_tb(error.__traceback__)
    in_gather = any(frame.f_code.co_name == "gather" for frame, _ in frames)
    complaints = ("unhashable type", "awaitable is required")
    return in_gather and any(said in f"{error}" for said in complaints)


def discard(error):
    """Close the coroutines that a failed call has left behind.

    Otherwise the check would speak of them, and not of the call.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        close_unawaited(list(frame.f_locals.values()))


def refuse_no_star(error):
    """Refuse a collection where gather wants each coroutine.

    Raises:
        Wrong: no-star.
    """
    if no_star(error):
        discard(error)
        raise Wrong("no-star", seen=error) from None


def refuse_printed(seen, expected):
    """Refuse an answer that returned nothing.

    Raises:
        Wrong: printed.
    """
    if seen is None:
        raise Wrong("printed", expected=expected, seen=seen)
