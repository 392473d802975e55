"""What judges of several lessons do with tasks and peers, never for ever."""

import asyncio
import logging
from contextlib import suppress

from websockets.exceptions import ConnectionClosed

# The servers of a check say what went wrong in its verdict, and only there.
quiet = logging.getLogger("aula.checks")
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
