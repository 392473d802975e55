"""A crowd on the classroom's board, and on a server that only broadcasts.

``python tests/bench.py load`` runs both by turns and prints what it saw.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import psutil
from boards import TOKENS, running
from websockets.asyncio.client import connect
from websockets.asyncio.server import broadcast, serve
from websockets.exceptions import ConnectionClosed

from aula.board.__main__ import allow_files

PEOPLE = 1000
EACH = 3  # exercises that each of them solves, all at once
SCREENS = 3
SINGLE = 500  # events that come one after another, while nobody floods
AT_ONCE = 50  # people who knock at the same time
PATIENCE = 120  # seconds for all of it


@dataclass
class Seen:
    """What one run took.

    Attributes:
        joined, flood: seconds until all are in, and until all is solved.
        answer: of the flood, the median of seconds until an acknowledgement.
        single, slowest: of single events, the median and the 99th percentile
            of seconds from who solves it to the last screen.
        memory: of the server at the end, in MiB.
    """

    joined: float
    flood: float
    answer: float
    single: float
    slowest: float
    memory: float


def run_board() -> Seen:
    with tempfile.TemporaryDirectory(prefix="aula-") as folder:
        with running(Path(folder) / "board.sqlite") as board:
            address, pid = board.address, board.process.pid
            return asyncio.run(crowd(address, pid, board.tokens))


def run_bare() -> Seen:
    process = subprocess.Popen(
        [sys.executable, __file__], stdout=subprocess.PIPE, encoding="utf-8"
    )
    with process:
        address = process.stdout.readline().strip()
        try:
            return asyncio.run(crowd(address, process.pid, TOKENS))
        finally:
            process.kill()


async def crowd(address: str, pid: int, tokens: dict[str, str]) -> Seen:
    """People and screens visit a server, solve, and count what they see."""
    allow_files()
    loop = asyncio.get_running_loop()
    options = {"compression": None, "ping_interval": None, "max_size": None}
    knocking = asyncio.Semaphore(AT_ONCE)
    news = asyncio.Queue()
    counts = [0] * SCREENS

    async def enter(hello):
        async with knocking:
            websocket = await stack.enter_async_context(
                connect(address, proxy=None, **options)
            )
            await websocket.send(json.dumps(hello))
            return websocket

    async def solve(websocket, name):
        began = loop.time()
        await websocket.send(json.dumps({"solved": name}))
        assert json.loads(await websocket.recv()) == {"kept": name}
        return loop.time() - began

    async def watch(number, screen):
        async for message in screen:
            counts[number] += 1
            news.put_nowait((json.loads(message)["exercise"], loop.time()))

    async with asyncio.timeout(PATIENCE), contextlib.AsyncExitStack() as stack:
        began = loop.time()
        people = await asyncio.gather(
            *(
                enter({"token": tokens["class"], "nick": f"n{number}"})
                for number in range(PEOPLE)
            )
        )
        joined = loop.time() - began
        hello = {"token": tokens["screen"], "role": "screen"}
        screens = [await enter(hello) for _ in range(SCREENS)]
        for screen in screens:
            await screen.recv()  # the snapshot
        watching = [
            asyncio.create_task(watch(*each)) for each in enumerate(screens)
        ]

        async def person(websocket):
            return [await solve(websocket, f"e{n}") for n in range(EACH)]

        began = loop.time()
        answers = await asyncio.gather(*map(person, people))
        while min(counts) < PEOPLE * EACH:
            await news.get()
        flood = loop.time() - began
        while not news.empty():
            news.get_nowait()

        taken = []
        for number in range(SINGLE):
            name = f"single{number}"
            sent = loop.time()
            answer = asyncio.create_task(solve(people[number], name))
            for _ in screens:
                exercise, seen = await news.get()
                assert exercise == name
            taken.append(seen - sent)
            await answer
            await asyncio.sleep(0.002)
        memory = psutil.Process(pid).memory_info().rss / 2**20
        rows = PEOPLE * EACH + SINGLE
        assert counts == [rows] * SCREENS
        for task in watching:
            task.cancel()
        late = await enter(hello)
        snapshot = json.loads(await late.recv())["snapshot"]
        assert len(snapshot) in (rows, 0)  # the bare server has none
        for websocket in [*people, *screens, late]:
            websocket.transport.abort()
    return Seen(
        joined,
        flood,
        median(sum(answers, [])),
        median(taken),
        quantiles(taken, n=100)[98],
        memory,
    )


async def serve_bare() -> None:
    """Say yes to everybody, keep nothing, and broadcast."""
    screens = set()

    async def handler(websocket):
        hello = json.loads(await websocket.recv())
        if hello.get("role") == "screen":
            await websocket.send(json.dumps({"snapshot": []}))
            screens.add(websocket)
            try:
                await websocket.wait_closed()
            finally:
                screens.discard(websocket)
        with contextlib.suppress(ConnectionClosed):
            async for message in websocket:
                name = json.loads(message)["solved"]
                row = {"nick": hello["nick"], "exercise": name}
                broadcast(screens, json.dumps(row | {"time": time.time()}))
                await websocket.send(json.dumps({"kept": name}))

    allow_files()
    options = {"compression": None, "backlog": 1024}
    async with serve(handler, "127.0.0.1", 0, **options) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"ws://127.0.0.1:{port}", flush=True)
        await asyncio.Future()


if __name__ == "__main__":
    asyncio.run(serve_bare())
