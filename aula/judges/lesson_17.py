"""Judges the exercises of lesson 17: old programs brought to the present."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import re
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from inspect import CO_COROUTINE
from itertools import pairwise
from types import FrameType
from typing import Any
from unittest.mock import patch

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection
from websockets.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    InvalidHandshake,
)

from aula.exercises.answer import close_unawaited
from aula.exercises.exercise import (
    Answer,
    Right,
    Unawaited,
    Wrong,
    exercise,
)
from aula.exercises.prediction import Program, refuse_other
from aula.exercises.scope import hear_warnings
from aula.instruments.lanes import Lane
from aula.instruments.record import Recorder
from aula.judges.mistakes import (
    NEVER_AWAITED,
    NO_COROUTINES,
    UNKNOWN,
    UNPACKED,
    awaits_none,
    discard,
    equal,
    frames,
    named,
    refuse_bare_connect,
    refuse_changed,
    refuse_future,
    refuse_no_star,
    refuse_none,
    refuse_unawaited,
    runs_second_loop,
)
from aula.judges.servers import (
    HANDLER_LIMIT,
    Hung,
    Service,
    hear,
    path_of,
    refuse_all_hosts,
    stop,
    tell,
)
from aula.judges.waiting import (
    MOMENT,
    SLACK,
    Silence,
    ends,
    patiently,
    until,
)

LIMIT = 9  # seconds for a whole answer
NEAR = timedelta(minutes=5)  # for clocks that tell the right time
# Between the first and the third time of a clock that keeps its sleep(0.1)
# pass two tenths of a second.
PAUSE = timedelta(seconds=0.1)
NAP = 0.05  # seconds that the naps of a program of 17.2 take
LULL = 1.1  # seconds for which a server of 17.1 lets its client wait
# A clock is hurried, so that one that counts its messages comes to its end.
MANY = 150
HURRY = 0.6  # seconds for so many
BRIEF = 0.001  # seconds that a hurried pause takes
RARE = 0.5  # seconds; a clock with longer pauses has not kept them
# What 17.3's first handler sends for those who take no path for None.
NO_PATH = ("then None", "then", "then ")
TODAY = {
    "path": "websocket.request.path",
    "request_headers": "websocket.request.headers",
    "open": "websocket.state",
    "closed": "websocket.state",
}


def _refuse_old_names(errors: Iterable[BaseException]) -> None:
    """Name what a handler still takes from the library of old."""
    for error in errors:
        name = getattr(error, "name", None)
        if isinstance(error, AttributeError) and name in TODAY:
            raise Wrong("old-name", seen=error, name=name, new=TODAY[name])
        if isinstance(error, NameError) and name == "path":
            raise Wrong("no-path", seen=error)


def _refuse_second_loop(error: BaseException) -> None:
    if runs_second_loop(error):
        discard(error)
        raise Wrong("nested-loop", seen=error) from None


@exercise("17.1", parameters=2, limit=LIMIT, picture="wiretap")
async def ask_all_today(answer: Answer) -> Right:
    names = ["Ada", "Lima", "Lima"]
    expected = [f"Hello {name}! 🙂" for name in names]
    asked: list[str | bytes] = []
    connections: list[ServerConnection] = []

    async def greet(websocket: ServerConnection) -> None:
        connections.append(websocket)
        with suppress(ConnectionClosed):
            async for name in websocket:
                asked.append(name)
                await websocket.send(f"Hello {name!s}! 🙂")

    async with Service(greet) as service:
        given = [*names]
        asking = asyncio.create_task(answer(service.url, given))
        if not await until(asking.done):
            more = asked == names
            raise Wrong("waits-for-more" if more else "waits", seen=asked)
        try:
            seen = asking.result()
        except (AttributeError, TypeError) as error:
            refuse_bare_connect(error)
            raise
        except (ConcurrencyError, RuntimeError) as error:
            _refuse_second_loop(error)
            raise named(error) from None
        refuse_unawaited(seen, "recv-unawaited")
        if seen is None:
            raise Wrong("nothing-returned", expected=expected, seen=seen)
        if seen in (expected[:1], expected[0]):
            raise Wrong("only-first", expected=names, seen=asked)
        if seen == [*dict.fromkeys(expected)]:
            raise Wrong("each-once", expected=expected, seen=seen)
        equal(seen, expected, "other-answers")
        equal(asked, names, "other-answers")
        if len(connections) > 1:
            raise Wrong("reconnects", count=len(connections))
        if not await until(service.ended.is_set):
            raise Wrong("left-open")
        refuse_changed(given, names)
        # Without names there are no answers, whatever was asked before.
        equal([*await answer(service.url, [])], [], "kept-between-calls")
    await _judge_interruption(answer)
    await _judge_failure(answer)
    return Right(close_code=connections[0].close_code)


async def _judge_failure(answer: Answer) -> None:
    """Whoever called is told that a conversation broke off half-way."""

    async def leave(websocket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await websocket.send(f"Hello {await websocket.recv()!s}!")

    async with Service(leave) as service:
        asking = asyncio.create_task(answer(service.url, ["Ada", "Lima"]))
        if not await ends(asking):
            raise Wrong("failure-hidden")
        if not asking.cancelled() and asking.exception() is None:
            raise Wrong("failure-hidden", seen=asking.result())


async def _judge_interruption(answer: Answer) -> None:
    """A conversation that is interrupted half-way is closed as well."""
    named = asyncio.Event()

    async def stall(websocket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for _ in websocket:
                named.set()

    async with Service(stall) as service:
        asking = asyncio.create_task(answer(service.url, ["Ada", "Lima"]))
        await until(named.is_set)
        if await until(asking.done, LULL) and not asking.cancelled():
            seen = asking.exception() or asking.result()
            raise Wrong("gives-up", seen=seen)
        asking.cancel()
        await until(asking.done)
        if not await until(service.ended.is_set):
            raise Wrong("open-on-failure")


@exercise("17.2", parameters=2, limit=LIMIT, picture="wiretap")
async def main(answer: Answer) -> Right:
    servers: set[Server] = set()
    programs: list[_Program] = []

    async def hello(websocket: ServerConnection) -> None:
        servers.add(websocket.server)
        with suppress(ConnectionClosed):
            async for name in websocket:
                await websocket.send(f"Welcome, {name!s}!")

    loop = asyncio.get_running_loop()
    try:
        with (
            patch.object(loop, "run_forever", _refuse_run_forever),
            patch.object(asyncio, "sleep", _sleep_of(programs)),
            hear_warnings() as heard,
        ):
            # Two programs at once, so that a port of their own shows.
            for number in (1, 2):
                program = _Program(answer, hello, f"main {number}", heard)
                programs.append(program)
                await program.open()
            for program in programs:
                await program.talk()
            for server in servers:
                refuse_all_hosts(server)
            for program in programs:
                await program.let_go()
            await asyncio.sleep(MOMENT)
            for program in programs:
                await program.talk_to_another()
            for program in programs:
                await program.interrupt()
    finally:
        for program in programs:
            await program.clear()
        for server in servers:
            await stop(server)
    return Right()


def _refuse_run_forever() -> None:
    """Say what a nested ``run_forever`` says, and no more.

    The first releases of Python 3.13 forget the running loop as well, and
    nothing in this kernel would work after it.
    """
    raise RuntimeError("This event loop is already running")


def _sleep_of(programs: list[_Program]) -> Any:
    """``asyncio.sleep``, in which a program's own naps are short.

    Who sleeps for a second, or for a day, and then stops serving has ended
    before the client of this check has gone; a loop of naps goes on.
    """
    sleep = asyncio.sleep

    async def nap(delay: float, result: Any = None) -> Any:
        for program in programs:
            if program.runs_this() and delay > NAP:
                program.naps = True
                delay = NAP
        return await sleep(delay, result)

    return nap


class _Program:
    """A run of a learner's ``main``, as ``asyncio.run`` would have it."""

    def __init__(
        self,
        answer: Answer,
        hello: Answer,
        name: str,
        heard: list[warnings.WarningMessage],
    ) -> None:
        self._heard = heard
        self._addresses: list[Any] = []
        self._url = ""
        self._websocket: ClientConnection | None = None
        self._task = asyncio.create_task(answer(hello, self._ready), name=name)
        self.naps = False

    def runs_this(self) -> bool:
        """Whether it is this program that is running now."""
        return asyncio.current_task() is self._task

    def _ready(self, url: Any = None) -> None:
        self._addresses.append(url)

    async def open(self) -> None:
        """Wait for the address and connect to it."""
        if not await until(lambda: self._task.done() or self._addresses):
            raise Wrong("not-ready")
        self._refuse_failure()
        if not self._addresses:
            raise Wrong("never-ready")
        url = self._addresses[0]
        if not isinstance(url, str) or not url.startswith("ws://"):
            raise Wrong("no-address", seen=type(url).__name__)
        self._url = url
        try:
            self._websocket = await connect(url)
        except (OSError, InvalidHandshake):
            await self._refuse_end()
            raise Wrong("nobody-there", seen=url) from None

    async def talk(self) -> None:
        """Be answered, while the program serves."""
        assert self._websocket is not None
        for name in ("Ada", "Lima"):
            try:
                heard = await tell(self._websocket, name)
            except (Hung, Silence):
                await self._refuse_end()
                raise Wrong("silent-server") from None
            equal(heard, f"Welcome, {name}!", "other-handler")
        if self.naps:
            await until(self._task.done, MOMENT)
        if self._task.done():
            await self._refuse_end()
        if len(self._addresses) > 1:
            raise Wrong("ready-again", expected=1, seen=len(self._addresses))
        async with connect(self._url) as another:
            try:
                await tell(another, "Eva")
            except (Hung, Silence):
                raise Wrong("one-client") from None

    async def let_go(self) -> None:
        """Its first client leaves."""
        assert self._websocket is not None
        await self._websocket.close()

    async def talk_to_another(self) -> None:
        """Another client comes, after the first has left."""
        self._refuse_failure()
        if self._task.done():
            raise Wrong("ends-with-client")
        try:
            self._websocket = await connect(self._url)
        except (OSError, InvalidHandshake):
            raise Wrong("ends-with-client") from None
        await self.talk()

    async def interrupt(self) -> None:
        """Do what Ctrl+C does, and see whether the server is closed."""
        assert self._websocket is not None
        self._task.cancel()
        if not await until(self._task.done):
            raise Wrong("deaf")
        self._refuse_failure()
        try:
            await patiently(self._websocket.wait_closed())
        except Silence:
            raise Wrong("left-open") from None

    async def clear(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=HANDLER_LIMIT)
        if self._websocket is not None:
            await self._websocket.close()

    async def _refuse_end(self) -> None:
        """Whoever ended stopped serving too soon."""
        ended = await until(self._task.done)
        self._refuse_failure()
        if ended and self.naps:
            raise Wrong("ends-by-itself")
        if ended:
            forgotten = [f"{warning.message}" for warning in self._heard]
            if inspect.iscoroutine(result := self._task.result()):
                forgotten.append(f"{result.__qualname__!r} {NEVER_AWAITED}")
                close_unawaited(result)
            if any(f"serve_forever' {NEVER_AWAITED}" in f for f in forgotten):
                raise Unawaited("serve-unawaited")
            raise Wrong("ends-at-once")

    def _refuse_failure(self) -> None:
        if not self._task.done() or self._task.cancelled():
            return
        error = self._task.exception()
        if isinstance(error, AttributeError) and isinstance(error.obj, Server):
            raise Wrong("not-served", seen=error)
        if error is None:
            return
        _refuse_second_loop(error)
        if awaits_none(error):
            raise Wrong("ready-awaited", seen=error)
        if isinstance(error, OSError):
            raise Wrong("fixed-port", seen=type(error).__name__)
        raise error


@exercise("17.3", answer="prediction", limit=LIMIT, picture="wiretap")
async def path_lines(answer: Any, program: Program) -> Right:
    await program.run()
    given = ["then /latte", "then /mocha", "today /latte", "today /mocha"]
    if answer == given:
        equal(answer, program.lines, "path-still-given")
    if answer == ["then /", "then /", "today /", "today /"]:
        equal(answer, program.lines, "path-always-empty")
    turns = ["then /", "today /latte", "then /", "today /mocha"]
    if answer in (turns, [given[0], given[2], given[1], given[3]]):
        equal(answer, program.lines, "as-if-in-turns")
    if answer in ([none, none, *given[2:]] for none in NO_PATH):
        equal(answer, program.lines, "path-none")
    if _same_letters(answer, program.lines):
        equal(answer, program.lines, "not-whole-lines")
    refuse_other(answer, program.lines)
    return Right()


def _same_letters(answer: Any, lines: list[str]) -> bool:
    """Whether only the words, the slashes or the spaces are missing."""
    if not isinstance(answer, list):
        return False
    bare = [re.sub("then|today|[ /]", "", f"{line}") for line in lines]
    return bare == [
        re.sub("then|today|[ /]", "", f"{line}") for line in answer
    ] and not any("today" in f"{line}" for line in answer[:2])


async def _floods(websocket: ClientConnection) -> bool:
    """Whether messages come much faster than ten in a second."""
    with suppress(TimeoutError, ConnectionClosed):
        async with asyncio.timeout(0.25):
            for _ in range(20):
                await websocket.recv()
            # The goodbye would have to wait for the rest.
            websocket.transport.abort()
            return True
    return False


@exercise("17.4", parameters=1, limit=LIMIT, picture=None)
async def collect(answer: Answer) -> Right:
    # One address is there twice.
    drinks = ["mocha", "tea", "latte", "water", "juice", "cocoa", "cocoa"]
    paths = [f"/{drink}" for drink in drinks]
    visitors: list[ServerConnection] = []
    everybody = asyncio.Event()

    async def reply(websocket: ServerConnection) -> None:
        visitors.append(websocket)
        if len(visitors) == len(paths):
            everybody.set()
        await websocket.wait_closed()

    async def answer_backwards() -> None:
        await everybody.wait()
        for visitor in sorted(visitors, key=place, reverse=True):
            with suppress(ConnectionClosed):
                await visitor.send(f"message of {path_of(visitor)}")
            # Each message is heard before the next one is sent.
            with suppress(Silence):
                await patiently(visitor.wait_closed(), MOMENT)

    def place(visitor: ServerConnection) -> int:
        path = path_of(visitor)
        return paths.index(path) if path in paths else 0

    async with Service(reply) as service:
        urls = [service.url + path for path in paths]
        given = urls.copy()
        answering = asyncio.create_task(answer_backwards())
        collecting = asyncio.create_task(answer(given), name="collect(urls)")
        await until(lambda: collecting.done() or everybody.is_set())
        if not collecting.done() and 0 < len(visitors) < len(paths):
            if {*map(path_of, visitors)} < {*paths}:
                raise Wrong("one-at-a-time")
            everybody.set()
        try:
            seen = await collecting
        except asyncio.InvalidStateError as error:
            raise Wrong("not-all-done", seen=error) from None
        except (
            AttributeError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:
            _refuse_old_arguments(error)
            if everybody.is_set():
                _refuse_gathered(error)
            refuse_no_star(error)
            raise named(error) from None
        finally:
            answering.cancel()
        refuse_future(seen, "not-awaited")
        refuse_none(seen)
        _judge_messages(seen, [f"message of {path}" for path in paths])
        for visitor in visitors:
            assert visitor.request is not None
            token = visitor.request.headers.get("Token")
            if token is None:
                raise Wrong("no-token", expected="latte", seen=token)
            equal(token, "latte", "other-token")
        is_open = [visitor for visitor in visitors if not await _left(visitor)]
        if is_open:
            raise Wrong("left-open", count=len(is_open))
    refuse_changed(given, urls)
    await _judge_connecting(answer)
    await _judge_late_address(answer)
    await _judge_lost_address(answer)
    return Right(count=len(visitors))


async def _judge_connecting(answer: Answer) -> None:
    """All are called at once, also if each lets its caller wait."""
    callers: list[asyncio.StreamWriter] = []

    async def wait(_: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        callers.append(out)

    server = await asyncio.start_server(wait, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    urls = [f"ws://{host}:{port}/{drink}" for drink in ("latte", "mocha")]
    collecting = asyncio.create_task(answer(urls), name="collect(urls)")
    try:
        if not await until(lambda: len(callers) == len(urls)):
            raise Wrong(
                "connects-in-turn", expected=len(urls), seen=len(callers)
            )
    finally:
        collecting.cancel()
        await asyncio.wait({collecting}, timeout=HANDLER_LIMIT)
        for caller in callers:
            caller.transport.abort()
        server.close()


async def _judge_late_address(answer: Answer) -> None:
    """Who is asked may take time; what was said before is another matter."""

    async def reply(websocket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            for _ in range(SLACK):  # until the client waits for it
                await asyncio.sleep(0)
            await asyncio.sleep(LULL)
            await websocket.send("message")

    async with Service(reply) as service:
        collecting = asyncio.create_task(answer([service.url]))
        await until(collecting.done, 2 * LULL)
        if not collecting.done() or collecting.exception() is not None:
            raise Wrong("gives-up")
        seen = collecting.result()
    if "message" not in seen:
        raise Wrong("gives-up", expected=["message"], seen=seen)
    equal([*seen], ["message"], "kept-between-calls")


async def _judge_lost_address(answer: Answer) -> None:
    """What fails at one address comes out of the answer."""

    async def reply(websocket: ServerConnection) -> None:
        if path_of(websocket) == "/lost":
            websocket.transport.abort()
        else:
            await websocket.send("message")

    async with Service(reply) as service:
        urls = [service.url + path for path in ("/latte", "/lost")]
        collecting = asyncio.create_task(answer(urls), name="collect(urls)")
        if not await ends(collecting):
            raise Wrong("error-hidden")
        if collecting.exception() is None:
            raise Wrong("error-hidden", seen=collecting.result())


async def _left(visitor: ServerConnection) -> bool:
    """Whether a client has closed its connection, or does so now."""
    try:
        await patiently(visitor.wait_closed(), MOMENT)
    except Silence:
        return False
    return True


def _refuse_old_arguments(error: Exception) -> None:
    if NO_COROUTINES in f"{error}":
        discard(error)
        raise Wrong("wait-coroutines", seen=error) from None
    for name in ("extra_headers", "headers"):
        if f"{UNKNOWN} '{name}'" in f"{error}":
            raise Wrong("old-headers", name=name, seen=error) from None


def _refuse_gathered(error: Exception) -> None:
    """Name what belongs to ``wait``, and is of no use to ``gather``."""
    inside = [f for f in frames(error) if f.f_code.co_flags & CO_COROUTINE]
    if "gather" not in inside[-1].f_code.co_names:
        return
    if isinstance(error, AttributeError) and (
        isinstance(error.obj, str) and error.name == "result"
    ):
        raise Wrong("result-of-text", seen=error) from None
    if isinstance(error, ValueError) and UNPACKED in f"{error}":
        raise Wrong("no-pending", seen=error) from None


def _judge_messages(seen: Any, expected: list[str]) -> None:
    try:
        messages = list(seen)
        same = sorted(messages) == sorted(expected)
        if messages == [*dict.fromkeys(expected)]:
            raise Wrong("each-once", expected=expected, seen=seen)
        if len(messages) == len(expected) and len({*messages}) == 1:
            raise Wrong("same-address", expected=expected, seen=seen)
    except TypeError:
        messages, same = [seen], False
    if same and messages == sorted(expected):
        raise Wrong("sorted", expected=expected, seen=seen)
    came = expected[::-1]
    if messages in (came, [*dict.fromkeys(came)]):
        raise Wrong("as-they-came", expected=expected, seen=seen)
    if same:
        equal(messages, expected, "any-order")
    elif messages != expected:
        raise Wrong("other-messages", expected=expected, seen=seen)


@exercise("17.5", parameters=1, limit=LIMIT, picture="wiretap")
async def clock(answer: Answer, run: Recorder) -> Right:
    async with _Spaced(answer) as service:
        with _far_from_utc(), _watching("utcnow", "sleep") as calls:
            for path in ("/Lima", "/Ada"):
                await _judge_clock(answer, service, path, calls)
                if not await until(lambda: all(map(_is_over, run.lanes[1:]))):
                    raise Wrong("leaves-task")
        await _judge_endless(service)
    return Right()


def _is_over(lane: Lane) -> bool:
    """Whether a task has ended, or is none of the answer's."""
    return not lane.shown or lane.task.done()


async def _judge_endless(service: Service) -> None:
    """A clock goes on for as long as its client is there."""
    sleep = asyncio.sleep

    async def hurry(delay: float, result: Any = None) -> Any:
        # Neither the looks of this check nor what libraries wait for.
        return await sleep(BRIEF if NAP < delay < 1 else delay, result)

    end = time.monotonic() + HURRY
    async with service.connect("/Lima") as websocket:
        with patch.object(asyncio, "sleep", hurry):
            for count in range(MANY):
                try:
                    await hear(websocket, HURRY)
                except Hung:
                    service.raise_errors()
                    raise Wrong("ends-by-itself", count=count) from None
                except Silence:
                    break
                if time.monotonic() > end:
                    break
            await websocket.send("hola")
            try:
                for _ in range(3):
                    await hear(websocket)
            except Hung:
                service.raise_errors()
                raise Wrong("ends-when-spoken") from None
    await until(service.ended.is_set)


class _Spaced(Service):
    """Its messages are seen while the handler sends them without a pause.

    Otherwise it would hold the loop until the buffers are full, or for ever
    if it goes on when the client has left.
    """

    async def handle(
        self, handler: Answer, websocket: ServerConnection, *arguments: Any
    ) -> None:
        send = websocket.send

        @functools.wraps(send)
        async def send_and_yield(*arguments: Any, **options: Any) -> None:
            try:
                await send(*arguments, **options)
            finally:
                await asyncio.sleep(0)

        with patch.object(websocket, "send", send_and_yield):
            await handler(websocket, *arguments)


@contextmanager
def _far_from_utc() -> Iterator[None]:
    """Local time is not UTC, as it is on many a server."""
    tzset = getattr(time, "tzset", lambda: None)  # Windows has none
    is_far = datetime.now().astimezone().utcoffset()
    try:
        with patch.dict(os.environ, {} if is_far else {"TZ": "<-05>5"}):
            tzset()
            yield
    finally:
        tzset()


@contextmanager
def _watching(*names: str) -> Iterator[list[str]]:
    """Notice the calls of functions written in C, which are silent.

    ``utcnow`` warns since Python 3.12 only, and what it gives looks right.
    Who waits with ``time.sleep`` sends the right times as well.
    """
    calls: list[str] = []

    def profile(frame: FrameType, event: str, called: Any) -> None:
        name = getattr(called, "__name__", "")
        if event == "c_call" and name in names:
            calls.append(name)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield calls
    finally:
        sys.setprofile(before)


async def _judge_clock(
    answer: Answer, service: Service, path: str, calls: list[str]
) -> None:
    times: list[datetime] = []
    heard: list[float] = []
    left = len(service.closed)
    async with service.connect(path) as websocket:
        for _ in range(3):
            try:
                message = await hear(websocket)
            except Hung:
                _refuse_old_names(service.errors)
                service.raise_errors()
                if len(service.closed) > left:
                    raise Wrong("fails-with-another") from None
                told = [f"{each}" for each in times]
                raise Wrong("only-once", seen=told) from None
            except Silence:
                raise Wrong("silent") from None
            heard.append(time.monotonic())
            _refuse_default(answer, message, path)
            times.append(_read_time(message, path, calls))
        # Only clocks that seem to run too fast are worth a closer look.
        if abs(times[-1] - times[0]) < PAUSE and await _floods(websocket):
            raise Wrong("no-pause")
    # One of two pauses may be long on a busy machine.
    if min(b - a for a, b in pairwise(heard)) > RARE:
        raise Wrong("too-rare")
    # A clock that tells whole seconds may tell the same one twice.
    if len(set(times)) < len(times) and times[0].microsecond:
        raise Wrong("stopped", seen=[f"{each}" for each in times])
    if not await until(service.ended.is_set):
        raise Wrong("never-ends")
    service.raise_errors()


def _refuse_default(answer: Answer, message: str | bytes, path: str) -> None:
    """The second parameter of old, which now keeps its default."""
    said = f"{message!s}".partition(" ")[0]
    if said != path and len(inspect.signature(answer).parameters) > 1:
        raise Wrong("old-handler", expected=path, seen=said)


def _read_time(message: str | bytes, path: str, calls: list[str]) -> datetime:
    expected = f"{path} {datetime.now(UTC).isoformat()}"
    if "utcnow" in calls:
        raise Wrong("utcnow", seen=message)
    if "sleep" in calls:
        raise Wrong("stops-all", seen=message)
    said, _, text = f"{message!s}".partition(" ")
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        two = text.endswith("00:00Z")
        raise Wrong(
            "two-zones" if two else "other-text",
            expected=expected,
            seen=message,
        ) from None
    if said != path and said in ("/Lima", "/Ada"):
        raise Wrong("other-path", expected=path, seen=said)
    equal(said, path, "other-text")
    if time.tzinfo is None:
        raise Wrong("no-zone", expected=expected, seen=message)
    if abs(datetime.now(UTC) - time) > NEAR:
        raise Wrong("other-time", expected=expected, seen=message)
    return time
