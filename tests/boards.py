"""Boards for tests: in a process of their own, and people who visit them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

from aula.board import server

TOKENS = {"class": "for-the-class", "screen": "for-the-screen"}
SLOW_DISK = 0.002  # seconds
START = 60  # seconds that a process may take to begin


class SlowBook(server.Book):
    """On a disk that takes its time."""

    def keep(self, rows):
        time.sleep(SLOW_DISK)
        return super().keep(rows)


async def write_early(queue, book, tell):
    """Acknowledges before it commits, as no board may."""
    while True:
        row, kept = await queue.get()
        kept.set_result(None)
        for new in await asyncio.to_thread(book.keep, [row]):
            tell(new)


def serve_until_killed(path: str, early: bool) -> None:
    """What a process does that is killed; it prints its id and port."""
    server.Book = SlowBook
    if early:
        server.write = write_early

    async def serve() -> None:
        async with server.serve_board(path, TOKENS) as board:
            port = board.sockets[0].getsockname()[1]
            print(os.getpid(), port, flush=True)
            await asyncio.Future()

    asyncio.run(serve())


def fork_boards() -> None:
    """Begin a board in milliseconds for each line; the next ends it."""
    for line in sys.stdin:
        path, early = json.loads(line)
        child = os.fork()
        if not child:
            serve_until_killed(path, early)
        sys.stdin.readline()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        print("dead", flush=True)


class Doomed:
    """A board in a process that is killed; ``kill`` may come at any time."""

    def __init__(self, pid: int, port: int) -> None:
        self.pid = pid
        self.address = f"ws://127.0.0.1:{port}"

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


@contextlib.contextmanager
def forking():
    """What makes doomed boards: ``with doom(path) as board``."""
    process = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        bufsize=1,
    )

    def hear() -> str:
        return process.stdout.readline().strip()

    @contextlib.contextmanager
    def doom(path, early: bool = False):
        print(json.dumps([str(path), early]), file=process.stdin, flush=True)
        pid, port = map(int, hear().split())
        yield Doomed(pid, port)
        print(file=process.stdin, flush=True)
        assert hear() == "dead"

    with process:
        try:
            yield doom
        finally:
            process.stdin.close()


class Board:
    """``python -m aula.board`` as it runs.

    Attributes:
        address: for WebSockets; ``page`` is the same for a browser.
        tokens: as it has printed them, by role.
        said: what it has printed so far.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said = ""
        self.address = ""
        self.tokens: dict[str, str] = {}
        self._begun = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self.process.stdout:
            self.said += line
            if found := re.search(r'board\("(\S+)", token="(\w+)"', line):
                self.address, self.tokens["class"] = found.groups()
            if found := re.search(r"screen's token: (\w+)", line):
                self.tokens["screen"] = found[1]
                self._begun.set()
            if "Ctrl+C closes" in line or "--tokens" in line:
                self._begun.set()
        self._begun.set()

    def wait(self) -> Board:
        assert self._begun.wait(START), self.said
        return self

    @property
    def page(self) -> str:
        return self.address.replace("ws", "http", 1)

    @contextlib.contextmanager
    def screen(self, **options: Any):
        """A screen that has said who it is."""
        hello = {"token": self.tokens["screen"], "role": "screen"}
        with connect(self.address, **options) as websocket:
            websocket.send(json.dumps(hello))
            yield websocket

    def solve(self, nick: str, *exercises: str, **options: Any) -> None:
        """Somebody comes, solves exercises, and goes."""
        with connect(self.address, **options) as websocket:
            hello = {"token": self.tokens["class"], "nick": nick}
            websocket.send(json.dumps(hello))
            for exercise in exercises:
                websocket.send(json.dumps({"solved": exercise}))
                said = json.loads(websocket.recv(10))
                assert said == {"kept": exercise}

    def rows(self, **options: Any) -> list[list[Any]]:
        """What a screen is shown at first."""
        with self.screen(**options) as websocket:
            return json.loads(websocket.recv(10))["snapshot"]

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(20)


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "aula.board", *map(str, arguments)]


@contextlib.contextmanager
def running(
    file: Path, *arguments: str | Path, **environment: str
) -> Iterator[Board]:
    """The board on a file, at a port that is free unless one is given."""
    asked = ["--file", file, "--host", "127.0.0.1", "--port", "0", *arguments]
    process = subprocess.Popen(
        command(*asked),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1", **environment},
    )
    try:
        yield Board(process).wait()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    fork_boards()
