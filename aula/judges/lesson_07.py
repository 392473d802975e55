"""Judges the exercises of lesson 07: real servers, real clients, port 0."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, NoReturn
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from aula.exercises.exercise import Answer, Right, Wrong, exercise
from aula.exercises.prediction import Program, refuse_other
from aula.instruments.record import Recorder
from aula.judges.mistakes import (
    NOT_DATA,
    equal,
    frames,
    leaves,
    naming_unawaited,
    refuse_bare_connect,
    refuse_none,
    refuse_unawaited,
)
from aula.judges.servers import (
    Hung,
    Service,
    address,
    hear,
    quiet,
    refuse_late_answers,
    send_all,
    serving,
    stop,
    tell,
)
from aula.judges.waiting import (
    MOMENT,
    PATIENCE,
    Silence,
    patiently,
    timer,
    until,
)

LIMIT = 6  # seconds for a whole answer
HELLO = "Hello Ada! 🙂"


@exercise("07.1", parameters=1, limit=LIMIT, picture="wiretap")
async def ask(answer: Answer, run: Recorder) -> Right:
    connections: list[ServerConnection] = []
    names: list[str | bytes] = []
    spoken = asyncio.Event()
    left = asyncio.Event()

    async def greet(websocket: ServerConnection) -> None:
        connections.append(websocket)
        with suppress(ConnectionClosed):
            names.append(await websocket.recv())
            spoken.set()
            await websocket.send(f"Hello {names[0]!s}! 🙂")
            async for more in websocket:
                names.append(more)
        left.set()

    server = await serve(
        greet, "127.0.0.1", 0, logger=quiet, close_timeout=PATIENCE
    )
    asking = asyncio.create_task(answer(address(server)), name="ask")
    try:
        with naming_unawaited():
            if not await until(lambda: asking.done() or spoken.is_set()):
                raise Wrong("both-wait")
            if not await until(asking.done):
                raise Wrong("waits-on")
            seen = await asking
            refuse_unawaited(seen, "recv-unawaited")
            if not connections:
                # The library keeps a connection alive, and there is none here.
                elsewhere = any(
                    lane.call == "keepalive()" for lane in run.lanes
                )
                raise Wrong("own-server" if elsewhere else "never-connected")
            equal(names, ["Ada"], "other-name")
            refuse_none(seen, HELLO)
            equal(seen, HELLO, "other-answer")
            if not await until(left.is_set):
                raise Wrong("left-open")
            equal(names, ["Ada"], "other-name")
            if connections[0].close_code == CloseCode.ABNORMAL_CLOSURE:
                raise Wrong("cut-off")
            await _judge_other_server(answer)
    except (AttributeError, TypeError) as error:
        refuse_bare_connect(error)
        raise
    except IndexError:
        if connections:
            raise
        raise Wrong("own-server") from None  # address() of one that is closed
    except ConnectionClosed as error:
        raise Wrong("too-late", seen=error) from None
    except OSError as error:
        if connections:
            raise
        raise Wrong("own-server", seen=error) from None  # it is closed
    finally:
        asking.cancel()
        await stop(server)
    return Right(close_code=connections[0].close_code)


async def _judge_other_server(answer: Answer) -> None:
    """Another server, which greets in another way, is asked anew."""

    async def greet(websocket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            name = await websocket.recv()
            # Not all servers answer at once.
            await timer(2 * MOMENT).wait()
            await websocket.send(f"Hi {name!s}! ☕")
            await websocket.wait_closed()

    async with serving(greet) as url:
        try:
            seen = await patiently(answer(url))
        except Silence:
            raise Wrong("waits-on") from None
    if seen == HELLO:
        equal(seen, "Hi Ada! ☕", "kept-between-calls")
    equal(seen, "Hi Ada! ☕", "other-answer")


@exercise("07.2", parameters=1, limit=LIMIT, picture="wiretap")
async def shout(answer: Answer) -> Right:
    messages = ["hola", "hola", "Latte  y té", "", "¿qué tal?"]
    capitals = [message.upper() for message in messages]
    heard: list[str | bytes] = []
    async with Service(answer) as service:
        async with service.connect() as websocket:
            try:
                for message in messages:
                    heard.append(await tell(websocket, message))
            except Hung:
                service.raise_errors()
                await _refuse_empty(service, messages[len(heard)])
                _refuse_early_end(heard, len(messages))
            except Silence:
                await _refuse_empty(service, messages[len(heard)])
                await _refuse_fragments(websocket)
                await _refuse_extra_recv(websocket, messages[len(heard)])
                await _refuse_only_new(websocket, messages, len(heard))
                await refuse_late_answers(service, websocket)
                raise Wrong("silent", number=len(heard) + 1) from None
            if heard == messages:
                raise Wrong("same", expected=capitals, seen=heard)
            equal(heard, capitals, "other-text")
            await _judge_together(service, websocket)
        await _judge_leaving(service)
    return Right(count=len(messages))


async def _judge_together(service: Service, ada: ClientConnection) -> None:
    """Another client comes, and both speak before either has its answer."""
    async with service.connect() as lima:
        await send_all(ada, "mocha")
        await send_all(lima, "chai")
        try:
            seen = [await hear(ada), await hear(lima)]
        except Hung:
            service.raise_errors()
            raise Wrong("one-client") from None
        except Silence:
            await _refuse_turns(ada, lima, "Lima")
            raise Wrong("one-client") from None
    equal(seen, ["MOCHA", "CHAI"], "mixed-up")


async def _refuse_only_new(
    websocket: ClientConnection, messages: list[str], which: int
) -> None:
    """A message that came twice has no second answer, and another has one."""
    if which and messages[which] == messages[which - 1]:
        with suppress(Silence, Hung):
            await tell(websocket, messages[which + 1])
            raise Wrong("repeated") from None


async def _refuse_empty(service: Service, message: str) -> None:
    """An empty message had no answer, nor has it as another client's first."""
    if not message:
        async with service.connect() as websocket:
            with suppress(Silence, Hung):
                await tell(websocket, message)
                return
        raise Wrong("empty-message")


async def _refuse_fragments(websocket: ClientConnection) -> None:
    """The beginning of a message has come, and not its end."""
    with suppress(Silence, ConnectionClosed):
        pieces = aiter(websocket.recv_streaming())
        seen = await patiently(anext(pieces), MOMENT)
        raise Wrong("fragments", seen=seen) from None


async def _refuse_extra_recv(
    websocket: ClientConnection, message: str
) -> None:
    """Only one message in two is answered, the other is lost."""
    with suppress(Silence, Hung):
        await tell(websocket, message)
        raise Wrong("extra-recv") from None


def _refuse_early_end(heard: list[str | bytes], total: int) -> NoReturn:
    """The handler has returned while its client was still talking."""
    if not heard:
        raise Wrong("no-answer") from None
    raise Wrong(
        "only-first", seen=heard, count=len(heard), total=total
    ) from None


async def _judge_leaving(service: Service) -> None:
    """The client has left: the handler has to end, without an exception."""
    try:
        await service.finish()
    except Silence:
        raise Wrong("never-ends") from None
    if service.closed:
        raise Wrong("client-left", error=type(service.closed[0]).__name__)
    service.raise_errors()


@exercise("07.3", answer="prediction", picture="wiretap")
async def lunch_lines(answer: Any, program: Program) -> Right:
    await program.run()
    if answer == ["1/1", "2/2", "3/3"]:
        equal(answer, program.lines, "one-list")
    if answer == ["1/1", "1/1", "2/2"]:
        equal(answer, program.lines, "list-for-each")
    refuse_other(answer, program.lines)
    return Right()


# Who says what: Ada something new each time but the last, Lima the same twice.
TURNS = [
    ("Ada", "hola"),
    ("Lima", "hola"),
    ("Ada", "latte"),
    ("Lima", "hola"),
    ("Ada", "hola"),
    ("Lima", ""),
]
MANY = 12  # messages, so that the number has two digits


@exercise("07.4", parameters=1, limit=LIMIT, picture="wiretap")
async def count(answer: Answer) -> Right:
    numbers: list[str | bytes] = []
    async with Service(answer) as service:
        async with service.connect() as ada, service.connect() as lima:
            clients = {"Ada": ada, "Lima": lima}
            for name, message in TURNS:
                try:
                    numbers.append(await tell(clients[name], message))
                except Hung:
                    _refuse_numbers(service.errors)
                    service.raise_errors()
                    if not message:
                        raise Wrong("empty-message") from None
                    _refuse_early_end(numbers, len(TURNS))
                except Silence:
                    if not message:
                        raise Wrong("empty-message") from None
                    await _refuse_turns(ada, lima, name)
                    await refuse_late_answers(service, ada, lima)
                    raise Wrong("silent", name=name) from None
            _judge_counts(numbers)
            await _judge_many(service, ada)
        await _judge_leaving(service)
        async with service.connect() as another:
            with suppress(Silence, Hung):
                if await tell(another, "hola") != "1":
                    raise Wrong("goes-on")
    return Right(counts=", ".join(_named(numbers)))


async def _refuse_turns(
    ada: ClientConnection, lima: ClientConnection, silent: str
) -> None:
    """Lima has an answer only when Ada has left."""
    if silent == "Lima":
        await ada.close()
        with suppress(Silence, Hung):
            await hear(lima)
            raise Wrong("one-at-a-time") from None


async def _judge_many(service: Service, client: ClientConnection) -> None:
    """The client that has three answers goes on."""
    for number in range(4, MANY + 1):
        try:
            seen = await tell(client, "hola")
        except Hung:
            service.raise_errors()
            raise Wrong("stops-counting", number=number) from None
        except Silence:
            raise Wrong("stops-counting", number=number) from None
        equal(seen, f"{number}", "other-text")


def _refuse_numbers(errors: list[BaseException]) -> None:
    if any(
        isinstance(error, TypeError) and NOT_DATA in f"{error}"
        for error in errors
    ):
        raise Wrong("number-sent") from None


def _named(numbers: list[Any]) -> list[str]:
    """Each number with the client that was given it: ``"Ada 1"``."""
    return [
        f"{name} {number!s}"
        for (name, _), number in zip(TURNS, numbers, strict=True)
    ]


def _judge_counts(numbers: list[str | bytes]) -> None:
    expected = ["1", "1", "2", "2", "3", "3"]
    if numbers == expected:
        return
    both = {"expected": _named(expected), "seen": _named(numbers)}
    if numbers == ["1", "2", "3", "4", "5", "6"]:
        raise Wrong("shared", **both)
    if numbers == ["0", "0", "1", "1", "2", "2"]:
        raise Wrong("from-zero", **both)
    if numbers == ["1"] * len(TURNS):
        raise Wrong("always-one", **both)
    # A count for each text, in each connection or in all of them.
    if numbers in (
        ["1", "1", "1", "2", "2", "1"],
        ["1", "2", "1", "3", "4", "1"],
    ):
        raise Wrong("text-by-text", **both)
    # A set of texts, in each connection or in all of them.
    if numbers in (
        ["1", "1", "2", "1", "2", "2"],
        ["1", "1", "2", "2", "2", "3"],
    ):
        raise Wrong("only-new", **both)
    if numbers == [*expected[:-1], "2"]:
        raise Wrong("empty-message", **both)
    raise Wrong("other-text", **both)


@exercise("07.5", parameters=1, limit=LIMIT, picture="wiretap")
async def welcome(answer: Answer) -> Right:
    greetings = {"/": "Hello World!"}
    for name in ("Ada", "Lima", "José", "ana", "Zoë", "Ana Eva", "Ada+Lima"):
        # The space is no part of an address, and connect() would not write it.
        path = name.replace(" ", "%20")
        greetings[f"/{path}"] = f"Hello {name}!"
    for path, expected in greetings.items():
        async with Service(answer) as service:
            async with service.connect(path) as websocket:
                await _judge_welcome(service, websocket, path, expected)
    return Right()


async def _judge_welcome(
    service: Service, websocket: ClientConnection, path: str, expected: str
) -> None:
    try:
        seen = await hear(websocket)
    except Silence:
        raise Wrong("asks-first") from None
    except Hung:
        for error in service.errors:
            if isinstance(error, AttributeError) and error.name == "path":
                raise Wrong("old-path") from None
            if isinstance(error, KeyError):
                raise Wrong("known-names", path=path, seen=error) from None
        service.raise_errors()
        raise Wrong("no-answer") from None
    if seen in (expected.replace("Hello ", "Hello /"), "Hello /!"):
        raise Wrong("slash", expected=expected, seen=seen)
    if path == "/" and seen == "Hello !":
        raise Wrong("no-name", expected=expected, seen=seen)
    if "+" in path and seen == expected.replace("+", " "):
        raise Wrong("plus", expected=expected, seen=seen)
    if " " in expected and seen == expected.partition(" Eva")[0] + "!":
        raise Wrong("cut-name", expected=expected, seen=seen)
    if "%" in str(seen):
        raise Wrong("percent", expected=expected, seen=seen)
    equal(seen, expected, "other-text", path=path)
    try:
        extra = await hear(websocket)
    except Hung:
        service.raise_errors()
        return
    except Silence:
        raise Wrong("stays-open") from None
    raise Wrong("too-much", seen=[seen, extra])


@exercise("07.6", parameters=2, limit=LIMIT, picture="wiretap")
async def visit(answer: Answer) -> Right:
    host = _Host(answer)
    met = asyncio.Event()
    inside = []

    def client(name: str) -> _Client:
        async def meet(url: str) -> tuple[str, str]:
            """Stay until both servers are up."""
            inside.append(name)
            if len(inside) == 2:
                met.set()
            greeting = await _call(url)
            await patiently(met.wait())
            server = host.server_at(url)
            await timer(2 * MOMENT).wait()
            host.early |= not server.is_serving()
            return name, greeting

        return meet

    left = []

    async def leave(url: str) -> NoReturn:
        left.append(url)
        await _call(url)
        raise LookupError("the client left early")

    visits = [
        asyncio.create_task(host.visit(client(name)), name=f"visit {name}")
        for name in ("1", "2")
    ]
    try:
        # An answer that fails has an error to tell.
        called = await until(
            lambda: inside or any(task.done() for task in visits)
        )
        if not called:
            raise Wrong("never-calls")
        seen = await _both(visits, met)
        refuse_unawaited(seen, "client-unawaited")
        late = [one for one in seen if asyncio.isfuture(one)]
        if late:
            # Their servers are closed by now, and so they end.
            met.set()
            await asyncio.gather(*late, return_exceptions=True)
            raise Wrong("client-unawaited")
        if seen != [("1", HELLO), ("2", HELLO)]:
            raise Wrong("not-returned", expected=("1", HELLO), seen=seen[0])
        if host.early:
            raise Wrong("closed-early")
        if not await host.is_closed():
            raise Wrong("left-open")
        swallowed = False
        try:
            await host.visit(leave)
            swallowed = True
        except LookupError:
            pass
        except Exception as error:
            _refuse_other_error(error)
            raise
        if len(left) > 1:
            raise Wrong("tries-again", expected=1, seen=len(left))
        if not await host.is_closed():
            raise Wrong("open-after-error")
        # What closes later was not waited for.
        if host.hasty:
            raise Wrong("hasty")
        if swallowed:
            raise Wrong("error-swallowed")
    finally:
        for task in visits:
            task.cancel()
        await asyncio.gather(*visits, return_exceptions=True)
        for server in host.servers:
            await stop(server)
    return Right()


def _refuse_other_error(error: Exception) -> None:
    """What leaves is not the client's exception, but another one about it."""
    if any(isinstance(leaf, LookupError) for leaf in leaves(error)):
        raise Wrong("in-a-group", seen=error) from None
    if isinstance(error.__context__, LookupError):
        raise Wrong("other-error", seen=error) from None


_Client = Callable[[str], Awaitable[tuple[str, str]]]


class _Host:
    """Calls the answer, and notes the servers that it opens.

    Attributes:
        servers: all of them.
        early: whether one was closed while its client was still there.
        hasty: whether the answer ended while one was still serving.
    """

    def __init__(self, answer: Answer) -> None:
        self.servers: list[Server] = []
        self.early = False
        self.hasty = False
        self._answer = answer

    async def visit(self, client: _Client) -> Any:
        opened: list[Server] = []

        async def greet(websocket: ServerConnection) -> None:
            opened.append(websocket.server)
            self.servers.append(websocket.server)
            with suppress(ConnectionClosed):
                name = await websocket.recv()
                await websocket.send(f"Hello {name!s}! 🙂")

        @functools.wraps(greet)  # for the picture, which shows its name
        def handler(*arguments: Any) -> Coroutine[Any, Any, None]:
            if not arguments or not isinstance(arguments[0], ServerConnection):
                raise Wrong("handler-called")
            return greet(*arguments)

        try:
            return await self._answer(handler, client)
        except NameError as error:
            if error.name == "websocket":
                raise Wrong("handler-called", seen=error) from None
            raise
        finally:
            self.hasty |= any(one.is_serving() for one in opened)

    def server_at(self, url: str) -> Server:
        """The server that a client has just called."""
        port = urlsplit(url).port
        return next(
            server
            for server in reversed(self.servers)
            if any(sock.getsockname()[1] == port for sock in server.sockets)
        )

    async def is_closed(self) -> bool:
        """Whether every server is closed, or closes soon."""
        return await until(
            lambda: not any(one.is_serving() for one in self.servers)
        )


async def _call(url: Any) -> str:
    """Greet the server that the answer has opened."""
    if not isinstance(url, str) or not url.startswith("ws://"):
        raise Wrong("no-url", seen=url)
    if url.rstrip("/").endswith(":0"):
        raise Wrong("port-zero", seen=url)
    try:
        async with connect(url) as websocket:
            await websocket.send("Ada")
            greeting = await websocket.recv()
    except OSError as error:
        raise Wrong("nobody-there", seen=type(error).__name__) from None
    equal(greeting, HELLO, "other-handler")
    return HELLO


async def _both(
    visits: list[asyncio.Task[Any]], met: asyncio.Event
) -> list[Any]:
    """The results of both visits, which run at the same time."""
    try:
        return list(await asyncio.gather(*visits))
    except Silence:
        raise Wrong("one-at-a-time") from None
    except IndexError as error:
        _refuse_old_server(error)
        raise
    except AttributeError as error:
        if isinstance(error.obj, Server):
            raise Wrong("not-served", seen=error) from None
        raise
    except OSError as error:
        # The other visit comes to its end, and so the picture shows it whole.
        met.set()
        await asyncio.wait(visits, timeout=PATIENCE)
        raise Wrong("fixed-port", seen=type(error).__name__) from None


def _refuse_old_server(error: IndexError) -> None:
    """``address()`` of a closed server, which the answer did not open."""
    for frame in frames(error):
        if frame.f_code.co_name != "address" and any(
            isinstance(value, Server) for value in frame.f_locals.values()
        ):
            return
    raise Wrong("old-server", seen=error) from None
