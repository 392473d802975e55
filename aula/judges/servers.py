"""Servers of the learner's handlers, and people who visit them."""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from aula.exercises.exercise import UNSET, Answer, Wrong
from aula.exercises.scope import let_go
from aula.instruments.record import Recorder
from aula.judges.mistakes import (
    frames,
    leaves,
    lost,
    named,
    naming_unawaited,
)
from aula.judges.waiting import PATIENCE, ends, patiently, until

if TYPE_CHECKING:
    from aiohttp import web

SMALL = 2**16  # bytes of a small buffer, which is soon full
HANDLER_LIMIT = 0.5  # seconds that handlers have to end when a check is over

# The servers of a check say what went wrong in its verdict, and only there.
quiet = logging.getLogger("aula.judges")
quiet.addHandler(logging.NullHandler())
quiet.propagate = False


class Hung(Exception):
    """The connection was closed instead of bringing a message."""


class Service:
    """A learner's handler behind a real server: ``async with Service(...)``.

    Attributes:
        url: where it is served, ``ws://127.0.0.1:port``.
        running: how many handlers run now.
        ended: set while there was a handler and none runs any more.
        errors: what the handlers raised, groups taken apart, but for
            ConnectionClosed; where an error tells little, the ``Wrong`` that
            is behind it.
        closed: each ConnectionClosed that left a handler.
        cancelled: whether a CancelledError left one.

    Arguments:
        handler: the answer.
        arguments: what it is given after the connection.
        run: the record of the run, where ``raise_errors`` shall also raise
            what tasks of the answer have raised and nobody has picked up.
        small: whether the buffers between the ends are small.
    """

    def __init__(
        self,
        handler: Answer,
        *arguments: Any,
        run: Recorder | None = None,
        small: bool = False,
    ) -> None:
        self.url = ""
        self.running = 0
        self.ended = asyncio.Event()
        self.errors: list[BaseException] = []
        self.closed: list[ConnectionClosed] = []
        self.cancelled = False
        self._run = run
        self._small = small
        self._over = False
        self._tasks: set[asyncio.Task[Any] | None] = set()
        self._people: list[Person] = []
        self._naming = naming_unawaited()

        @functools.wraps(handler)  # for the picture, which shows its name
        async def watched(websocket: ServerConnection) -> None:
            self._tasks.add(asyncio.current_task())
            self.running += 1
            self.ended.clear()
            try:
                await self.handle(handler, websocket, *arguments)
            except BaseException as error:
                # What fails because the check is over tells nothing.
                if not self._over:
                    self._note(error)
                    raise
            finally:
                self.running -= 1
                if not self.running:
                    self.ended.set()

        self._handler = watched

    async def handle(
        self, handler: Answer, websocket: ServerConnection, *arguments: Any
    ) -> None:
        """Run the handler; a judge that watches its calls does more."""
        await handler(websocket, *arguments)

    async def __aenter__(self) -> Self:
        options: dict[str, Any] = {"host": "127.0.0.1", "port": 0}
        if self._small:
            # Connections inherit the buffer.
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
            sock.bind(("127.0.0.1", 0))
            options = {"sock": sock, "max_size": None, "compression": None}
        self._server = await serve(self._handler, logger=quiet, **options)
        self.url = address(self._server)
        self._naming.__enter__()
        return self

    async def __aexit__(self, *error: Any) -> bool | None:
        self._over = True
        for person in self._people:
            person.vanish()
        self._server.close()
        # What ends by itself forgets nothing that it would still await.
        await until(lambda: not self.running, HANDLER_LIMIT)
        for task in self._tasks:
            # One that waits for ever would keep the server open.
            if task is not None:
                task.cancel()
        # Nor must one that hides from it hide what was found out.
        with suppress(TimeoutError):
            async with asyncio.timeout(HANDLER_LIMIT):
                await self._server.wait_closed()
        return self._naming.__exit__(*error)

    @asynccontextmanager
    async def connect(self, path: str = "") -> AsyncIterator[ClientConnection]:
        """A client that says goodbye properly, also after a wrong answer."""
        async with calling(self.url + path) as websocket:
            yield websocket

    async def visit(self, path: str = "/") -> Person:
        """A person who is connected now, and stays until the check ends."""
        websocket = await connect(
            self.url + path,
            max_size=None,
            compression=None,
            close_timeout=HANDLER_LIMIT,
        )
        if self._small:
            # Else Linux lets it grow to megabytes for whoever reads quickly.
            sock = websocket.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        person = Person(websocket)
        self._people.append(person)
        return person

    async def finish(self) -> None:
        """Wait until no handler runs.

        Raises:
            Silence: if one is still running.
        """
        await patiently(self.ended.wait())

    def raised(self) -> list[BaseException]:
        """What the handlers raised, then what their tasks lost."""
        return self.errors + (lost(self._run) if self._run else [])

    def raise_errors(self) -> None:
        """Raise the first of what the handlers or their tasks raised."""
        for error in self.raised():
            raise error

    def failure(self) -> Any:
        """What a handler raised first, for showing; UNSET if none raised.

        Raises:
            Wrong: if that is a mistake with a name of its own.
        """
        error = next(iter(self.raised()), UNSET)
        if isinstance(error, Wrong):
            raise error
        return error

    def _note(self, error: BaseException) -> None:
        for leaf in leaves(error):
            if isinstance(leaf, ConnectionClosed):
                self.closed.append(leaf)
            elif isinstance(leaf, asyncio.CancelledError):
                self.cancelled = True
            else:
                self.errors.append(named(leaf))
            let_go(leaf)


class Person:
    """A client that notes all it hears.

    Attributes:
        address: its end of the connection, the server's ``remote_address``.
    """

    def __init__(self, websocket: ClientConnection) -> None:
        self.address = websocket.local_address
        self.heard: list[str | bytes] = []
        self.gone = False
        self._websocket = websocket
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        with suppress(ConnectionClosed):
            async for message in self._websocket:
                self.heard.append(message)
        self.gone = True

    @property
    def code(self) -> int | None:
        """The code its connection was closed with."""
        return self._websocket.close_code

    @property
    def reason(self) -> str | None:
        """The reason its connection was closed with."""
        return self._websocket.close_reason

    async def send(self, message: Any) -> None:
        """Send a message, if it can still be sent."""
        with suppress(ConnectionClosed):
            await self._websocket.send(message)

    async def hears(self, *messages: Any, seconds: float = PATIENCE) -> bool:
        """Whether it has heard all of these, in time."""
        return await until(
            lambda: all(message in self.heard for message in messages), seconds
        )

    async def leave(self) -> None:
        """Say goodbye."""
        await self._websocket.close()

    def sleep(self) -> None:
        """Read nothing more."""
        self._websocket.transport.pause_reading()

    def wake(self) -> None:
        """Read again."""
        self._websocket.transport.resume_reading()

    def vanish(self) -> None:
        """Go without a word."""
        self._websocket.transport.abort()


class Machine:
    """What the learner's handler awaits: says who is in it, and holds them.

    Attributes:
        started, ended, cancelled: the orders, as they went in and came out.
        most: how many were in it at once.
    """

    def __init__(self) -> None:
        self.started: list[Any] = []
        self.ended: list[Any] = []
        self.cancelled: list[Any] = []
        self.most = 0
        self._doors: dict[Any, asyncio.Event] = {}
        self._open = False

    async def hold(self, order: Any) -> str:
        """Go in with an order, and wait to be let out."""
        self.started.append(order)
        inside = len(self.started) - len(self.ended) - len(self.cancelled)
        self.most = max(self.most, inside)
        door = self._doors.setdefault(order, asyncio.Event())
        try:
            if not self._open:
                await door.wait()
        except asyncio.CancelledError:
            self.cancelled.append(order)
            raise
        self.ended.append(order)
        return f"{order} ready"

    def let_out(self, order: Any) -> None:
        """Let one order out."""
        self._doors[order].set()

    def let_all_out(self) -> None:
        """Let all out, also those that come later."""
        self._open = True
        for door in self._doors.values():
            door.set()


def address(server: Server) -> str:
    """Where a server listens, as a URL without a path."""
    port = next(iter(server.sockets)).getsockname()[1]
    return f"ws://127.0.0.1:{port}"


def path_of(websocket: ServerConnection) -> str:
    """The path that a client has asked for."""
    return websocket.request.path if websocket.request else ""


def refuse_all_hosts(server: Server) -> None:
    """Refuse a server that listens to more than its own machine.

    Raises:
        Wrong: all-hosts.
    """
    hosts = [sock.getsockname()[0] for sock in server.sockets]
    if not {*hosts} <= {"127.0.0.1", "::1"}:
        raise Wrong("all-hosts", expected="127.0.0.1", seen=hosts[0])


@asynccontextmanager
async def serving(
    handler: Callable[[ServerConnection], Awaitable[None]],
) -> AsyncIterator[str]:
    """A server of the judge's own, for answers to call; yields its URL."""
    server = await serve(
        handler, "127.0.0.1", 0, logger=quiet, close_timeout=PATIENCE
    )
    try:
        yield address(server)
    finally:
        await stop(server)


@asynccontextmanager
async def running(app: web.Application, **options: Any) -> AsyncIterator[str]:
    """An application of aiohttp on a free port.

    Arguments:
        options: what its ``AppRunner`` is given besides.

    Yields its address, without a path.
    """
    from aiohttp import web  # most lessons do without

    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=0.1, **options
    )
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield site.name
    finally:
        await runner.cleanup()


async def stop(server: Server) -> None:
    """Close a server, and wait until it is closed."""
    server.close()
    await server.wait_closed()


@asynccontextmanager
async def calling(url: str, **options: Any) -> AsyncIterator[ClientConnection]:
    """A client that says goodbye properly, also after a wrong answer.

    Arguments:
        options: what ``connect`` is given besides.
    """
    websocket = await connect(url, close_timeout=HANDLER_LIMIT, **options)
    try:
        yield websocket
    finally:
        await websocket.close()


async def hear(
    websocket: ClientConnection, seconds: float = PATIENCE
) -> str | bytes:
    """The next message.

    Raises:
        Silence: if none comes.
        Hung: if the connection is closed instead.
    """
    try:
        return await patiently(websocket.recv(), seconds)
    except ConnectionClosed:
        raise Hung from None


async def tell(
    websocket: ClientConnection, message: str | bytes
) -> str | bytes:
    """Send a message and hear the answer to it.

    Raises:
        Silence, Hung: as ``hear`` does.
    """
    try:
        await websocket.send(message)
    except ConnectionClosed:
        raise Hung from None
    return await hear(websocket)


async def refuse_late_answers(
    service: Service, *clients: ClientConnection
) -> None:
    """Let the clients leave; refuse a handler that would answer only now.

    Raises:
        Wrong: after-loop.
    """
    for client in clients:
        await client.close()
    await until(service.ended.is_set)
    for error in service.closed:
        if any(frame.f_code.co_name == "send" for frame in frames(error)):
            raise Wrong("after-loop", seen=error) from None


async def send_all(websocket: Connection, *messages: Any) -> None:
    """Send messages to a peer that may have gone."""
    with suppress(ConnectionClosed):
        for message in messages:
            await websocket.send(message)


async def receive(
    websocket: Connection, count: int, seconds: float = PATIENCE
) -> list[str | bytes]:
    """As many messages as come in time, and at most so many."""
    received: list[str | bytes] = []

    async def listen() -> None:
        with suppress(ConnectionClosed):
            while len(received) < count:
                received.append(await websocket.recv())

    await ends(asyncio.create_task(listen()), seconds)
    return received
