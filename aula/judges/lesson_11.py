"""Judges the exercises of lesson 11: old programs brought to the present."""

import asyncio
import functools
import inspect
import sys
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

from websockets.asyncio.client import connect
from websockets.asyncio.server import Server
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from aula.exercises.exercise import Right, Unawaited, Wrong, exercise
from aula.judges.peers import discard, refuse_no_star
from aula.judges.servers import (
    Hung,
    Service,
    calling,
    hear,
    stop,
    tell,
)
from aula.judges.waiting import Silence, patiently

LIMIT = 6  # seconds for a whole answer

# A clock that calls local time UTC is wrong by a quarter of an hour at least.
NEAR = timedelta(minutes=5)

# Between the first and the third time of a clock that keeps its sleep(0.1)
# pass two tenths of a second.
PAUSE = timedelta(seconds=0.1)


def refuse_old_names(errors):
    """Name what a handler still takes from the library of old."""
    today = {
        "path": "websocket.request.path",
        "request_headers": "websocket.request.headers",
        "open": "websocket.state",
        "closed": "websocket.state",
    }
    for error in errors:
        name = getattr(error, "name", None)
        if isinstance(error, AttributeError) and name in today:
            new = today[name]
            raise Wrong("old-name", seen=error, name=name, new=new) from None
        if isinstance(error, NameError) and name == "path":
            raise Wrong("no-path", seen=error) from None


@exercise("11.1", parameters=2, limit=LIMIT, picture="wiretap")
async def ask_all_today(answer):
    names = ["Ada", "Lima", "Eva"]
    expected = [f"Hello {name}! 🙂" for name in names]
    asked, connections = [], []

    async def greet(websocket):
        connections.append(websocket)
        with suppress(ConnectionClosed):
            async for name in websocket:
                asked.append(name)
                await websocket.send(f"Hello {name}! 🙂")

    async with Service(greet) as service:
        asking = asyncio.create_task(answer(service.url, list(names)))
        try:
            await patiently(asyncio.wait({asking}))
        except Silence:
            raise Wrong("waits", seen=asked) from None
        try:
            seen = asking.result()
        except (AttributeError, TypeError) as error:
            _refuse_bare_connect(error)
            raise
        _refuse_coroutines(seen)
        if seen is None:
            raise Wrong("not-returned", expected=expected, seen=seen)
        if asked == names[:1]:
            raise Wrong("only-first", expected=names, seen=asked)
        if asked != names or seen != expected:
            raise Wrong("other-answers", expected=expected, seen=seen)
        if len(connections) > 1:
            raise Wrong("reconnects", count=len(connections))
        try:
            await service.finish()
        except Silence:
            raise Wrong("left-open") from None
    await _judge_failure(answer)
    return Right(close_code=connections[0].close_code)


async def _judge_failure(answer):
    """A conversation that breaks off half-way is closed as well."""
    named = asyncio.Event()

    async def stall(websocket):
        with suppress(ConnectionClosed):
            async for _ in websocket:
                named.set()

    async with Service(stall) as service:
        asking = asyncio.create_task(answer(service.url, ["Ada", "Lima"]))
        await patiently(named.wait())
        asking.cancel()
        await asyncio.wait({asking}, timeout=1)
        try:
            await service.finish()
        except Silence:
            raise Wrong("open-on-failure") from None


def _refuse_coroutines(seen):
    """Each answer has to be awaited."""
    pieces = seen if isinstance(seen, list | tuple) else [seen]
    forgotten = [piece for piece in pieces if inspect.iscoroutine(piece)]
    for coroutine in forgotten:
        coroutine.close()
    if forgotten:
        raise Unawaited("recv-unawaited")


def _refuse_bare_connect(error):
    """A bare ``connect()`` is what ``yield from`` or ``await`` needs."""
    if isinstance(getattr(error, "obj", None), connect) or (
        "'connect' object" in f"{error}"
    ):
        raise Wrong("not-connected", seen=error) from None


@exercise("11.2", parameters=2, limit=LIMIT, picture="wiretap")
async def main(answer):
    servers, programs = set(), []

    async def hello(websocket):
        servers.add(websocket.server)
        with suppress(ConnectionClosed):
            async for name in websocket:
                await websocket.send(f"Welcome, {name}!")

    try:
        with refusing_run_forever():
            # Two programs at once, so that a port of their own shows.
            for number in (1, 2):
                program = Program(answer, hello, f"main {number}")
                programs.append(program)
                await program.open()
            for program in programs:
                await program.talk()
            for program in programs:
                await program.interrupt()
    finally:
        for program in programs:
            await program.clear()
        for server in servers:
            await stop(server)
    return Right()


@contextmanager
def refusing_run_forever():
    """Say what a nested ``run_forever`` says, and no more.

    The first releases of Python 3.13 forget the running loop as well, and
    nothing in this kernel would work after it.
    """

    def run_forever():
        raise RuntimeError("This event loop is already running")

    loop = asyncio.get_running_loop()
    loop.run_forever = run_forever
    try:
        yield
    finally:
        del loop.run_forever


class Program:
    """A run of a learner's ``main``, as ``asyncio.run`` would have it."""

    def __init__(self, answer, hello, name):
        self.addresses = []
        self.opened = asyncio.Event()
        self.websocket = None
        self.task = asyncio.create_task(answer(hello, self.ready), name=name)

    def ready(self, url=None):
        self.addresses.append(url)
        self.opened.set()

    async def open(self):
        """Wait for the address and connect to it."""
        opening = asyncio.create_task(self.opened.wait())
        try:
            await patiently(
                asyncio.wait(
                    {self.task, opening}, return_when=asyncio.FIRST_COMPLETED
                )
            )
        except Silence:
            raise Wrong("not-ready") from None
        finally:
            opening.cancel()
        await self._refuse_failure()
        if not self.addresses:
            raise Wrong("never-ready")
        url = self.addresses[0]
        if not isinstance(url, str) or not url.startswith("ws://"):
            raise Wrong("no-address", seen=type(url).__name__)
        try:
            self.websocket = await connect(url)
        except (OSError, InvalidHandshake):
            await self._refuse_end()
            raise Wrong("nobody-there", seen=url) from None

    async def talk(self):
        for name in ("Ada", "Lima"):
            try:
                heard = await tell(self.websocket, name)
            except (Hung, Silence):
                await self._refuse_end()
                raise Wrong("silent-server") from None
            if heard != f"Welcome, {name}!":
                raise Wrong(
                    "other-handler", expected=f"Welcome, {name}!", seen=heard
                )
        if self.task.done():
            await self._refuse_end()

    async def interrupt(self):
        """Do what Ctrl+C does, and see whether the server is closed."""
        self.task.cancel()
        try:
            await patiently(asyncio.wait({self.task}))
        except Silence:
            raise Wrong("deaf") from None
        await self._refuse_failure()
        try:
            await patiently(self.websocket.wait_closed())
        except Silence:
            raise Wrong("left-open") from None

    async def clear(self):
        self.task.cancel()
        await asyncio.wait({self.task}, timeout=0.5)
        if self.websocket is not None:
            await self.websocket.close()

    async def _refuse_end(self):
        """Whoever ended stopped serving too soon."""
        with suppress(Silence):
            await patiently(asyncio.wait({self.task}))
        await self._refuse_failure()
        if self.task.done():
            raise Wrong("ends-at-once")

    async def _refuse_failure(self):
        if not self.task.done() or self.task.cancelled():
            return
        error = self.task.exception()
        if isinstance(error, AttributeError) and isinstance(error.obj, Server):
            raise Wrong("not-served", seen=error)
        if isinstance(error, RuntimeError) and "running" in f"{error}":
            discard(error)
            raise Wrong("nested-loop", seen=error)
        if isinstance(error, OSError):
            raise Wrong("fixed-port", seen=type(error).__name__)
        if error is not None:
            raise error


@exercise("11.3", parameters=1, limit=LIMIT, picture="wiretap")
async def countdown_today(answer):
    heard = []
    async with Service(answer) as service:
        async with calling(f"{service.url}/3") as websocket:
            with suppress(Hung):
                while len(heard) < 4:
                    try:
                        heard.append(await hear(websocket))
                    except Silence:
                        _refuse_silence(heard)
        refuse_old_names(service.errors)
        _refuse_other_errors(service)
        if heard != ["3", "2", "1"]:
            raise Wrong("other-count", expected=["3", "2", "1"], seen=heard)
        async with calling(f"{service.url}/1000") as websocket:
            await hear(websocket)
            if await _floods(websocket):
                raise Wrong("no-pause")
        try:
            await service.finish()
        except Silence:
            raise Wrong("never-ends") from None
        if service.closed:
            raise Wrong("client-left", error=type(service.closed[0]).__name__)
        service.raise_errors()
        async with calling(f"{service.url}/1000") as websocket:
            await hear(websocket)
            websocket.transport.abort()
        with suppress(Silence):
            await service.finish()
        if service.closed:
            raise Wrong("closed-ok")
        service.raise_errors()
    return Right()


async def _floods(websocket):
    """Whether messages come much faster than ten in a second."""
    with suppress(TimeoutError, ConnectionClosed):
        async with asyncio.timeout(0.25):
            for _ in range(20):
                await websocket.recv()
            # The goodbye would have to wait for the rest.
            websocket.transport.abort()
            return True
    return False


def _refuse_silence(heard):
    if heard:
        raise Wrong("stays-open", seen=heard) from None
    raise Wrong("silent") from None


def _refuse_other_errors(service):
    for error in service.errors:
        if isinstance(error, TypeError) and "data must be" in f"{error}":
            raise Wrong("number-sent", seen=error)
        if isinstance(error, ValueError) and "invalid literal" in f"{error}":
            raise Wrong("slash", seen=error)
    service.raise_errors()


@exercise("11.4", parameters=1, limit=LIMIT, picture=None)
async def collect(answer):
    paths = [f"/{number}" for number in range(8)]
    arrived, tokens = set(), set()
    complete = asyncio.Event()

    async def reply(websocket):
        path = websocket.request.path
        arrived.add(path)
        tokens.add(websocket.request.headers.get("Token"))
        if len(arrived) == len(paths):
            complete.set()
        with suppress(ConnectionClosed):
            await complete.wait()
            await websocket.send(f"message of {path}")

    async with Service(reply) as service:
        urls = [service.url + path for path in paths]
        collecting = asyncio.create_task(answer(urls), name="collect(urls)")
        try:
            try:
                await patiently(asyncio.wait({collecting}))
            except Silence:
                _refuse_queue(arrived)
                await asyncio.wait({collecting})
            seen = collecting.result()
        except (AttributeError, TypeError, ValueError) as error:
            _refuse_old_arguments(error)
            _refuse_gathered(error)
            raise
        await _judge_messages(seen, [f"message of {path}" for path in paths])
        if tokens != {"latte"}:
            raise Wrong(
                "no-token",
                expected="latte",
                seen=next(iter(tokens - {"latte"})),
            )
    return Right(count=len(paths))


def _refuse_queue(arrived):
    if len(arrived) == 1:
        raise Wrong("one-at-a-time") from None


def _refuse_old_arguments(error):
    if "coroutines is forbidden" in f"{error}":
        discard(error)
        raise Wrong("wait-coroutines", seen=error) from None
    if "extra_headers" in f"{error}":
        raise Wrong("old-headers", seen=error) from None


def _refuse_gathered(error):
    """Name what belongs to ``wait``, and is of no use to ``gather``."""
    refuse_no_star(error)
    if isinstance(error, AttributeError) and (
        isinstance(error.obj, str) and error.name == "result"
    ):
        raise Wrong("result-of-text", seen=error) from None
    if isinstance(error, ValueError) and "to unpack" in f"{error}":
        raise Wrong("no-pending", seen=error) from None


async def _judge_messages(seen, expected):
    if asyncio.isfuture(seen):
        with suppress(Exception):
            await seen
        raise Wrong("not-awaited")
    if seen is None:
        raise Wrong("not-returned", expected=expected, seen=seen)
    try:
        messages = list(seen)
        same = sorted(messages) == sorted(expected)
    except TypeError:
        messages, same = None, False
    if same and messages != expected:
        raise Wrong("any-order", expected=expected, seen=messages)
    if messages != expected:
        raise Wrong("other-messages", expected=expected, seen=seen)


@exercise("11.5", parameters=1, limit=LIMIT, picture="wiretap")
async def clock(answer):
    async with Service(giving_way(answer)) as service:
        with watching("utcnow") as calls:
            for path in ("/Lima", "/Ada"):
                await _judge_clock(service, path, calls)
    return Right()


def giving_way(handler):
    """The handler, whose messages are seen while it sends without a pause.

    Otherwise it would hold the loop until the buffers are full.
    """

    @functools.wraps(handler)
    async def watched(websocket):
        send = websocket.send

        async def send_and_yield(*arguments, **options):
            await send(*arguments, **options)
            await asyncio.sleep(0)

        websocket.send = send_and_yield
        await handler(websocket)

    return watched


@contextmanager
def watching(name):
    """Notice the calls of a function written in C: ``utcnow`` is silent.

    It warns since Python 3.12 only, and what it gives looks right.
    """
    calls = []

    def profile(frame, event, called):
        if event == "c_call" and getattr(called, "__name__", "") == name:
            calls.append(called)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield calls
    finally:
        sys.setprofile(before)


async def _judge_clock(service, path, calls):
    times = []
    async with calling(service.url + path) as websocket:
        for _ in range(3):
            try:
                message = await hear(websocket)
            except Hung:
                refuse_old_names(service.errors)
                service.raise_errors()
                raise Wrong(
                    "only-once", seen=[f"{time}" for time in times]
                ) from None
            except Silence:
                raise Wrong("silent") from None
            times.append(_read_time(message, path, calls))
        # Only clocks that seem to run too fast are worth a closer look.
        if abs(times[-1] - times[0]) < PAUSE and await _floods(websocket):
            raise Wrong("no-pause")
    # A clock that tells whole seconds may tell the same one twice.
    if len(set(times)) < len(times) and times[0].microsecond:
        raise Wrong("stopped", seen=[f"{time}" for time in times])
    try:
        await service.finish()
    except Silence:
        raise Wrong("never-ends") from None
    for error in service.errors:
        if not isinstance(error, ConnectionClosed):
            raise error


def _read_time(message, path, calls):
    expected = f"{path} {datetime.now(UTC).isoformat()}"
    if calls:
        raise Wrong("utcnow", seen=message)
    said, _, text = f"{message}".partition(" ")
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None and text.endswith("00:00Z"):
        raise Wrong("two-zones", expected=expected, seen=message)
    if time is None or said != path:
        raise Wrong("other-text", expected=expected, seen=message)
    if time.tzinfo is None:
        raise Wrong("no-zone", expected=expected, seen=message)
    if abs(datetime.now(UTC) - time) > NEAR:
        raise Wrong("other-time", expected=expected, seen=message)
    return time
