"""Runs a learner's program as a process, for judges of scripts.

A program has a loop and an end of its own. Threads read what it prints, so
that it never waits for its judge, on any system.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO

from aula.exercises.exercise import Wrong

TURN = 0.02  # seconds between two looks at what a process has printed
GRACE = 1.0  # seconds a process has to end after it is asked to
MOST = 2**20  # bytes that are kept of each of its outputs
SHOWN = 600  # characters shown of its last words
FRAME = re.compile(r'  File "(.+)", line')
UNKNOWN_NAME = re.compile(r"^NameError: name '(\w+)' is not", re.MULTILINE)


class Script:
    """A learner's program: what a judge of scripts gets for an answer.

    Attributes:
        path: where the program stands; it runs in that folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).resolve()
        self._processes: list[Process] = []

    def start(self, *arguments: str) -> Process:
        """Start the program once more, with these arguments.

        It is killed when the check is over, and all that it has started.
        """
        process = Process(self.path, arguments)
        self._processes.append(process)
        return process

    def close(self) -> None:
        """Kill what is still running."""
        for process in self._processes:
            process.kill()


class Process:
    """A running program."""

    def __init__(self, path: Path, arguments: tuple[str, ...]) -> None:
        self._path = path
        self._read = 0
        environment = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "PYTHONIOENCODING": "utf-8",
        }
        self._popen = subprocess.Popen(
            [sys.executable, path.name, *arguments],
            cwd=path.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Stop, which the whole group of a terminal gets, is not for it.
            start_new_session=True,
        )
        assert self._popen.stdout and self._popen.stderr
        self._output = _Kept(self._popen.stdout)
        self._errors = _Kept(self._popen.stderr)

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self._output.text()

    @property
    def errors(self) -> str:
        """What it has written to its error output so far."""
        return self._errors.text()

    async def line(self) -> str:
        """The next line that it prints, without its end; as it comes.

        Raises:
            Wrong: unknown-name, script-raises or script-ended, if the
                program has ended and there is none.
        """
        while True:
            ended = self._popen.poll() is not None
            if ended:  # and then all that it printed can be read
                await asyncio.to_thread(self._output.join, GRACE)
            lines = self.output.splitlines(keepends=True)
            if self._read < len(lines) and (
                ended or lines[self._read].endswith("\n")
            ):
                self._read += 1
                return lines[self._read - 1].rstrip("\n")
            if ended:
                self.raise_errors()
                raise Wrong("script-ended", seen=self.output)
            await asyncio.sleep(TURN)

    async def exit(self) -> int:
        """Its exit code, when it has ended; negative for a signal."""
        return await asyncio.to_thread(self._popen.wait)

    async def stop(self) -> int:
        """Ask it to end (SIGTERM; on Windows it is killed); its exit code.

        One that does not end in time is killed.
        """
        self._popen.terminate()
        try:
            async with asyncio.timeout(GRACE):
                return await self.exit()
        except TimeoutError:
            self.kill()
            return await self.exit()

    def kill(self) -> None:
        """End it at once, with what it has started."""
        if hasattr(os, "killpg"):
            # Also after its own end: its children may live on.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)
        elif self._popen.poll() is None:
            self._popen.kill()
        self._popen.wait()
        for kept in (self._output, self._errors):
            kept.join(GRACE)

    def raise_errors(self) -> None:
        """Refuse a program that an exception has ended.

        Raises:
            Wrong: unknown-name or script-raises, with its traceback.
        """
        if not self._popen.poll():
            return
        self._errors.join(GRACE)
        if unknown := UNKNOWN_NAME.search(self.errors):
            raise Wrong(
                "unknown-name", name=unknown[1], seen=self.last_words()
            )
        if 'File "' in self.errors:  # a SyntaxError has no Traceback
            raise Wrong("script-raises", seen=self.last_words())

    def last_words(self) -> str:
        """The end of its error output: nothing of Python's own files."""
        text = self.errors.replace(f"{self._path.parent}{os.sep}", "")
        lines, own = [], True
        for line in text.strip("\n").splitlines():
            if frame := FRAME.match(line):
                own = not Path(frame[1]).is_absolute()
            elif not line.startswith("    "):
                own = True
            if own:
                lines.append(line)
        text = "\n".join(lines)
        return text if len(text) < SHOWN else f"…{text[1 - SHOWN :]}"


class _Kept(threading.Thread):
    """The beginning of what a process writes to a pipe; the rest is read."""

    def __init__(self, pipe: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._pipe = pipe
        self._data = bytearray()
        self.start()

    def run(self) -> None:
        with self._pipe:
            while piece := self._pipe.read1():  # type: ignore[attr-defined]
                self._data += piece[: MOST - len(self._data)]

    def text(self) -> str:
        text = bytes(self._data).decode(errors="replace")
        return text.replace("\r\n", "\n")
