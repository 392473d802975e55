"""Judges the exercises of lesson 23: tests, and what they are made of."""

from __future__ import annotations

import asyncio
import inspect
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from websockets.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
)

from aula.exercises.exercise import Answer, Right, Wrong, exercise
from aula.exercises.prediction import Program, refuse_other
from aula.exercises.script import Process, Script
from aula.judges.mistakes import NEVER_AWAITED, equal, refuse_none
from aula.judges.servers import Hung, Person, Service, hear
from aula.judges.waiting import MOMENT, Silence, ends, until

# The handlers that tests of 23.1 are tried with; the first is right.
TILLS = {
    "right": """
async def total(websocket):
    called()
    result = 0
    async for price in websocket:
        result += int(price)
        await websocket.send(str(result))
""",
    "same-price": """
async def total(websocket):
    called()
    async for price in websocket:
        await websocket.send(price)
""",
    "first-only": """
async def total(websocket):
    called()
    await websocket.send(await websocket.recv())
""",
    "one-sum": """
result = 0

async def total(websocket):
    global result
    called()
    async for price in websocket:
        result += int(price)
        await websocket.send(str(result))
""",
    "silent-till": """
async def total(websocket):
    called()
    async for price in websocket:
        pass
""",
    "other-answer": """
async def total(websocket):
    called()
    async for price in websocket:
        await websocket.send("nobody expects this")
""",
    "late-sum": """
async def total(websocket):
    called()
    result, first = 0, True
    async for price in websocket:
        result += int(price)
        await websocket.send("no sum" if first else str(result))
        first = False
""",
    "equal-prices": """
async def total(websocket):
    called()
    count = 0
    async for price in websocket:
        count += 1
        await websocket.send(str(int(price) * count))
""",
}
CALLED = "called"  # the file that tells that a handler was called
NOTE = f"""
from pathlib import Path

def called():
    Path(__file__).with_name({CALLED!r}).touch()
"""
SAYS = "aula says:"
# Runs pytest in each of the folders: one process, for its start takes most of
# the time. What a test has imported is forgotten before the next.
RUNNER = f"""
import os, sys

os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
os.environ["COLUMNS"] = "200"
sys.dont_write_bytecode = True
import pytest

known, path, here = set(sys.modules), sys.path[:], os.getcwd()
for folder in sys.argv[1:]:
    os.chdir(os.path.join(here, folder))
    code = pytest.main(
        "-rfE --tb=no --color=no -p no:cacheprovider -p anyio .".split()
    )
    print({SAYS!r}, folder, int(code), flush=True)
    sys.path[:] = path
    for name in set(sys.modules) - known:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(here):
            del sys.modules[name]
"""
FIRST = 10  # seconds for the first run: pytest has to start
NEXT = 6  # and for each other, in which tests may wait for 2
NO_TESTS = 5  # pytest's exit code when it has found none
NOT_SUPPORTED = "async def functions are not natively supported"


@exercise("23.1", answer="script", picture=None, limit=40)
async def test_till(script: Script) -> Right:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _lay_out(folder, script)
        runner = Script(folder / "run.py")
        try:
            process = runner.start(*TILLS)
            passed = await _judge_tills(process, folder)
        finally:
            runner.close()
    if "other-answer" in passed:
        raise Wrong("asserts-nothing")
    _refuse_passed(passed, "same-price")
    _refuse_passed(passed, "first-only")
    _refuse_passed(passed, "one-sum")
    _refuse_passed(passed, "silent-till")
    _refuse_passed(passed, "late-sum")
    _refuse_passed(passed, "equal-prices")
    return Right(count=len(TILLS) - 1)


def _lay_out(folder: Path, script: Script) -> None:
    """A folder for each handler, with the tests in it; and what runs them."""
    for till, source in TILLS.items():
        place = folder / till
        place.mkdir()
        (place / "pytest.ini").write_text("[pytest]\n")
        (place / "till.py").write_text(NOTE + source, encoding="utf-8")
        (place / "test_till.py").write_bytes(script.path.read_bytes())
    (folder / "run.py").write_text(RUNNER, encoding="utf-8")


def _refuse_passed(passed: list[str], mistake: str) -> None:
    """The mistake is named as the handler that the tests have let through."""
    if mistake in passed:
        raise Wrong(mistake)


async def _judge_tills(process: Process, folder: Path) -> list[str]:
    """Which of the wrong handlers the tests have let through."""
    passed = []
    for till in TILLS:
        right = till == "right"
        ended = await _run_ends(process, FIRST if right else NEXT)
        if ended is None and right:
            raise Wrong("right-hangs")
        if ended is None:
            raise Wrong("hangs")
        code, said = ended
        if right:
            _refuse_first(code, said)
            if not (folder / till / CALLED).exists():
                if any(NEVER_AWAITED in line for line in said):
                    raise Wrong("never-awaited")
                raise Wrong("never-called")
        elif code == 0:
            passed.append(till)
    return passed


def _refuse_first(code: int, said: list[str]) -> None:
    """Refuse tests that do not pass with the right handler."""
    if code == NO_TESTS:
        raise Wrong("finds-none")
    text = "\n".join(said)
    if NOT_SUPPORTED in text:
        raise Wrong("no-mark", seen=text)
    if "<coroutine object" in text or "'coroutine' object" in text:
        raise Wrong("never-awaited", seen=text)
    if code:
        failures = [line for line in said if NEVER_AWAITED not in line]
        raise Wrong("refuses-right", seen="\n".join(failures))


async def _run_ends(
    process: Process, seconds: float
) -> tuple[int, list[str]] | None:
    """How a run ended and what it said of failures; None if it did not.

    It also says which coroutines were never awaited.
    """
    said: list[str] = []

    async def read() -> int:
        while True:
            line = await process.line()
            if line.startswith(("FAILED", "ERROR ")) or NEVER_AWAITED in line:
                said.append(line)
            if line.startswith(SAYS):
                return int(line.split()[-1])

    reading = asyncio.create_task(read())
    if not await ends(reading, seconds):
        reading.cancel()
        return None
    return reading.result(), said


@exercise("23.2", answer="prediction", limit=9, picture=None)
async def flaws_found(answer: Any, program: Program) -> Right:
    await program.run()
    if isinstance(answer, dict) and answer.get("mock") == 1:
        equal(answer, program.result, "mock-knows-names")
    if isinstance(answer, dict) and answer.get("mock") == 0:
        if answer.get("spec") == 2:
            equal(answer, program.result, "spec-sees-all")
        if answer.get("spec") == 0:
            equal(answer, program.result, "spec-sees-nothing")
        if answer.get("server") in (0, 1):
            equal(answer, program.result, "server-lets-pass")
    refuse_other(answer, program.result)
    return Right()


@exercise("23.3", answer="function", parameters=1, picture=None)
async def cut_peer(answer: Answer) -> Right:
    try:
        await _judge_peer(answer)
    except AttributeError as error:
        if hasattr(error.obj, "recv"):
            raise Wrong(
                "not-set", attribute=f"self.{error.name}", seen=error
            ) from None
        raise
    except AssertionError as error:
        raise Wrong("no-frames", seen=repr(error)) from None
    return Right()


async def _judge_peer(answer: Answer) -> None:
    refuse_none(answer("latte"))
    first, second = "café", "té"
    await _judge_own_cut(answer, first)
    await _judge_recv(answer, first, second, "latte")
    await _judge_recv(answer)
    await _judge_empty(answer, second)
    await _judge_replies(answer, first, second)
    await _judge_afterwards(answer, first)
    await _judge_numbers(answer, first)
    one, other = answer(first, second), answer(second)
    await one.send("latte")
    await one.recv()
    equal(list(other.sent), [], "shares")
    equal(await other.recv(), second, "shares")


async def _judge_own_cut(answer: Answer, message: str) -> None:
    """One's cut is not another's."""
    if not await _can_send(answer(message)):
        return  # which is another mistake
    one = answer()
    with suppress(ConnectionClosed, TypeError):
        await one.recv()
    if not await _can_send(answer(message)):
        raise Wrong("shares-cut")


async def _can_send(peer: Any) -> bool:
    try:
        await peer.send("latte")
    except (ConnectionClosed, TypeError):
        return False
    return True


async def _judge_recv(answer: Answer, *messages: str) -> None:
    peer = answer(*messages)
    for message in messages:
        try:
            equal(await _next(peer), message, "other-message")
        except ConnectionClosed as error:
            raise Wrong("cut-with-messages", seen=error) from None
    for before in range(2):
        try:
            seen = await _next(peer)
        except ConnectionClosedError:
            continue
        except ConnectionClosedOK as error:
            raise Wrong("polite-cut", seen=error) from None
        except (IndexError, RuntimeError, StopIteration) as error:
            if before:
                raise Wrong("cut-once", seen=error) from None
            raise
        raise Wrong("goes-on", seen=seen)


async def _judge_empty(answer: Answer, message: str) -> None:
    """A message in which there is nothing is a message."""
    peer = answer("", message)
    try:
        equal(await _next(peer), "", "other-message")
        equal(await _next(peer), message, "other-message")
    except ConnectionClosed as error:
        raise Wrong("empty-ends", seen=error) from None


async def _next(peer: Any) -> Any:
    """What ``recv`` gives.

    Raises:
        Wrong: returned-error or bare-error, if it does not raise rightly.
    """
    try:
        seen = await peer.recv()
    except TypeError as error:
        _refuse_bare(error)
        raise
    refuse_none(seen)
    if isinstance(seen, BaseException) or inspect.isclass(seen):
        raise Wrong("returned-error", seen=seen)
    return seen


def _refuse_bare(error: TypeError) -> None:
    """``raise ConnectionClosedError`` and ``ConnectionClosedError()``."""
    if "ConnectionClosed" in f"{error}" and "missing" in f"{error}":
        raise Wrong("bare-error", seen=error) from None


async def _judge_replies(answer: Answer, *messages: str) -> None:
    """What a handler can do until the cut."""
    peer = answer(*messages)
    expected = [message.upper() for message in messages]
    heard = []
    try:
        async for message in peer:
            heard.append(message)
            if len(heard) > len(messages):
                raise Wrong("goes-on", seen=message)
            try:
                await peer.send(message.upper())
            except ConnectionClosedError as error:
                raise Wrong("cut-too-early", seen=error) from None
    except ConnectionClosedError:
        equal(heard, [*messages], "loop-loses")
    except ConnectionClosedOK as error:
        raise Wrong("polite-cut", seen=error) from None
    else:
        raise Wrong("loop-ends-well", seen=heard)
    equal(list(peer.sent), expected, "other-sent")


async def _judge_afterwards(answer: Answer, message: str) -> None:
    """What it cannot do after the cut."""
    peer = answer(message)
    await _next(peer)
    await peer.send("latte")
    with suppress(ConnectionClosed):
        await _next(peer)
    await _refuse_sending(peer, "mocha", "sends-after-cut")
    await _refuse_sending(peer, "mocha", "heals")
    with suppress(ConnectionClosed):
        await _next(peer)
    await _refuse_sending(peer, b"mocha", "heals")


async def _refuse_sending(peer: Any, message: Any, mistake: str) -> None:
    try:
        await peer.send(message)
    except ConnectionClosedError:
        equal(list(peer.sent), ["latte"], "kept-after-cut")
    except ConnectionClosedOK as error:
        raise Wrong("polite-cut", seen=error) from None
    except TypeError as error:
        _refuse_bare(error)
        raise
    else:
        raise Wrong(mistake, seen=peer.sent)


async def _judge_numbers(answer: Answer, message: str) -> None:
    peer = answer(message)
    try:
        await peer.send(b"latte")
    except TypeError as error:
        raise Wrong("refuses-bytes", seen=error) from None
    try:
        await peer.send(7)
    except TypeError:
        return
    raise Wrong("takes-numbers", seen=peer.sent)


class _Clock:
    """A ``sleep`` that waits for nothing, and notes what it was asked for.

    Attributes:
        events: the seconds, and beside them what a person has heard. A pause
            in parts is one pause, and one of no seconds is none.
        visiting: brings that person.
    """

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.visiting: asyncio.Future[Person] = asyncio.Future()

    def visit(self, service: Service) -> None:
        """Begin again, with another person."""
        self.events = []
        self.visiting = asyncio.create_task(service.visit())

    async def sleep(self, seconds: Any) -> None:
        person = await self.visiting
        known = len(_texts(self.events))
        await until(lambda: len(person.heard) > known, MOMENT)
        self.note(person)
        if isinstance(seconds, int | float):
            before = self.events[-1:]
            if before and not isinstance(before[0], str):
                self.events[-1] += seconds
            elif seconds:
                self.events.append(seconds)
        else:
            self.events.append(f"{seconds!r}")

    def note(self, person: Person) -> None:
        """Note what somebody has heard since the last pause."""
        self.events += person.heard[len(_texts(self.events)) :]


@exercise("23.4", parameters=1, limit=9, picture="wiretap")
async def remind(answer: Answer) -> Right:
    expected = ["5 min", 240, "1 min", 60, "closed"]
    try:
        inspect.signature(answer).bind(None, None)
    except TypeError:
        raise Wrong("no-parameter") from None
    clock = _Clock()
    async with Service(answer, clock.sleep) as service:
        ada = await _visit(service, clock)
        if clock.events != expected:
            await _refuse_waiting(clock, ada)
            _refuse_events(clock.events, expected, ada)
        await _visit(service, clock)
        equal(clock.events, expected, "once-only")
    await _judge_default(answer)
    return Right()


async def _visit(service: Service, clock: _Clock) -> Person:
    """One client hears all that there is to hear."""
    clock.visit(service)
    person = await clock.visiting
    await until(lambda: person.gone)
    service.raise_errors()
    clock.note(person)
    return person


async def _refuse_waiting(clock: _Clock, person: Person) -> None:
    """Refuse what goes on when the client says something, and not before."""
    before = len(clock.events)

    def goes_on() -> bool:
        return len(clock.events) > before or person.gone

    if await until(goes_on, 2 * MOMENT):
        return
    await person.send("go on")
    if await until(goes_on, 2 * MOMENT):
        raise Wrong("waits-for-client")


async def _judge_default(answer: Answer) -> None:
    """Without a ``sleep`` of somebody else's, it really waits."""
    async with Service(answer) as service, service.connect() as websocket:
        try:
            equal(await hear(websocket), "5 min", "default-hurries")
            seen = await hear(websocket, MOMENT)
        except Silence:
            return
        except Hung:
            for error in service.errors:
                if "not callable" in f"{error}":
                    raise Wrong("default-uncallable", seen=error) from None
            service.raise_errors()
            raise Wrong("default-hurries") from None
    raise Wrong("default-hurries", expected="5 min", seen=seen)


def _texts(events: list[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, str)]


def _refuse_events(
    events: list[Any], expected: list[Any], ada: Person
) -> None:
    if events == expected:
        return
    if events[: len(expected)] == expected:
        raise Wrong("goes-on", expected=expected, seen=events[:9])
    asked = [event for event in events if not isinstance(event, str)]
    if len(asked) < 2 and not ada.gone:
        raise Wrong("really-sleeps", expected=expected, seen=events)
    if not asked and len(events) < 3:
        raise Wrong("ends-early", expected=expected, seen=events)
    if not asked:
        raise Wrong("no-pauses", expected=expected, seen=events)
    if asked in ([4, 1], [5, 1]):
        raise Wrong("minutes", expected=[240, 60], seen=asked)
    if asked == [300, 60]:
        raise Wrong("five-minutes", expected=[240, 60], seen=asked)
    if sorted(map(str, events)) == sorted(map(str, expected)):
        raise Wrong("other-order", expected=expected, seen=events)
    if asked == [240, 60]:
        raise Wrong("other-texts", expected=expected, seen=events)
    raise Wrong("other-events", expected=expected, seen=events)
