"""Judges the exercises of lesson 04: real servers, real clients, port 0."""

import asyncio
import functools
import inspect
import re
import traceback
import warnings
from contextlib import asynccontextmanager, contextmanager, suppress

from websockets.asyncio.client import connect
from websockets.asyncio.server import Server, serve
from websockets.exceptions import ConnectionClosed

from aula.exercises.exercise import Right, Unawaited, Wrong, exercise
from aula.instruments.frames import refused_by_send
from aula.judges.peers import quiet, refuse_printed

LIMIT = 6  # seconds for a whole answer
# What comes soon if it comes at all is waited for in short turns: while the
# whole machine stands still, only one of them goes by.
TURNS = 12
TURN = 0.05  # seconds


class Silence(Exception):
    """What was waited for did not come."""


class Hung(Exception):
    """The server closed the connection instead of sending a message."""


class Service:
    """A learner's handler behind a real server.

    Attributes:
        url: where it is served.
        errors: the exceptions that left the handler.
    """

    def __init__(self, url):
        self.url = url
        self.errors = []
        self.running = 0
        self.idle = asyncio.Event()

    async def finish(self):
        """Wait until no handler runs.

        Raises:
            Silence: if one is still running.
        """
        await patiently(self.idle.wait())

    def reraise(self):
        """Raise what the handler raised, as it did."""
        if not self.errors:
            return
        error = self.errors[0]
        if isinstance(error, TypeError) and (
            "ServerConnection' object is not iterable" in f"{error}"
        ):
            raise Wrong("plain-for", seen=error) from None
        if isinstance(error, TypeError):
            _refuse_message(error)
        raise error


def _refuse_message(error):
    """``send`` was given ``message.upper``, or a coroutine."""
    for message in refused_by_send(error):
        if inspect.iscoroutine(message):
            message.close()
            raise _forgotten(message.__name__) from None
        if inspect.isbuiltin(message) and isinstance(message.__self__, str):
            raise Wrong(
                "no-parentheses", seen=error, message=message.__name__
            ) from None


@contextmanager
def naming_forgotten():
    """When an answer goes wrong, name the call whose ``await`` is missing."""
    caught = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    except (AttributeError, Wrong) as error:
        _name_forgotten(error, caught)
        raise
    finally:
        for warning in caught:  # for whoever watches the whole check
            warnings.warn_explicit(
                warning.message,
                warning.category,
                warning.filename,
                warning.lineno,
            )


def _name_forgotten(error, caught):
    names = [f"{warning.message}" for warning in caught]
    coroutine = getattr(error, "obj", None)
    if inspect.iscoroutine(coroutine):
        coroutine.close()
        names.append(f"'{coroutine.__qualname__}'")
    name = re.search(r"'Connection\.(\w+)'", " ".join(names))
    if name is not None:
        raise _forgotten(name[1]) from None


def _forgotten(call):
    return Unawaited("call-unawaited", call=call)


@asynccontextmanager
async def serving(handler):
    """Serve the handler of an answer while the block runs."""
    tasks = set()

    @functools.wraps(handler)  # for the picture, which shows its name
    async def watched(websocket):
        tasks.add(asyncio.current_task())
        service.running += 1
        service.idle.clear()
        try:
            await handler(websocket)
        except Exception as error:
            service.errors.append(error)
            raise
        finally:
            service.running -= 1
            if not service.running:
                service.idle.set()

    server = await serve(watched, "127.0.0.1", 0, logger=quiet)
    service = Service(address(server))
    try:
        with naming_forgotten():
            yield service
    finally:
        # A handler that waits for ever would keep the server open.
        for task in tasks:
            task.cancel()
        await stop(server)


@asynccontextmanager
async def calling(url):
    """A client that says goodbye properly, also after a wrong answer."""
    websocket = await connect(url)
    try:
        yield websocket
    finally:
        await websocket.close()


def address(server):
    port = server.sockets[0].getsockname()[1]
    return f"ws://127.0.0.1:{port}"


async def stop(server):
    server.close()
    await server.wait_closed()


async def patiently(awaitable):
    """Await something that comes soon if it comes at all.

    Raises:
        Silence: if it does not.
    """
    task = asyncio.ensure_future(awaitable)
    try:
        for _ in range(TURNS):
            await asyncio.wait({task}, timeout=TURN)
            if task.done():
                return task.result()
    finally:
        task.cancel()
    raise Silence


async def hear(websocket):
    """The next message.

    Raises:
        Silence: if none comes.
        Hung: if the connection is closed instead.
    """
    try:
        return await patiently(websocket.recv())
    except ConnectionClosed:
        raise Hung from None


async def tell(websocket, message):
    """Send a message and hear the answer to it.

    Raises:
        Silence, Hung: as ``hear`` does.
    """
    try:
        await websocket.send(message)
    except ConnectionClosed:
        raise Hung from None
    return await hear(websocket)


@exercise("04.1", parameters=1, limit=LIMIT, picture="wiretap")
async def ask(answer, run):
    with naming_forgotten():
        return await _judge_ask(answer, run)


async def _judge_ask(answer, run):
    connections = []
    names = []
    spoken = asyncio.Event()
    left = asyncio.Event()

    async def greet(websocket):
        connections.append(websocket)
        try:
            names.append(await websocket.recv())
            spoken.set()
            await websocket.send(f"Hello {names[0]}! 🙂")
            async for more in websocket:
                names.append(more)
        except ConnectionClosed:
            pass
        finally:
            left.set()

    server = await serve(greet, "127.0.0.1", 0, logger=quiet)
    asking = asyncio.create_task(answer(address(server)), name="ask")
    talking = asyncio.create_task(spoken.wait(), name="spoken")
    try:
        try:
            await patiently(
                asyncio.wait(
                    {asking, talking}, return_when=asyncio.FIRST_COMPLETED
                )
            )
        except Silence:
            raise Wrong("both-wait") from None
        try:
            await patiently(asyncio.wait({asking}))
        except Silence:
            raise Wrong("waits-on") from None
        seen = await asking
        if inspect.iscoroutine(seen):
            seen.close()
            raise Unawaited("recv-unawaited")
        if not connections:
            # That of another server, as the judge's was not called.
            if any(lane.call == "greet" for lane in run.lanes):
                _refuse_own_server()
            raise Wrong("never-connected")
        _judge_names(names)
        refuse_printed(seen, "Hello Ada! 🙂")
        if seen != "Hello Ada! 🙂":
            raise Wrong("other-answer", expected="Hello Ada! 🙂", seen=seen)
        try:
            await patiently(left.wait())
        except Silence:
            raise Wrong("left-open") from None
        _judge_names(names)
    except (AttributeError, TypeError) as error:
        _judge_connect(error)
        raise
    except IndexError:
        if connections:
            raise
        _refuse_own_server()  # address() of one that is closed
    except ConnectionClosed as error:
        raise Wrong("too-late", seen=error) from None
    finally:
        asking.cancel()
        talking.cancel()
        await stop(server)
    return Right(close_code=connections[0].close_code)


def _refuse_own_server():
    raise Wrong("own-server") from None


def _judge_names(names):
    if names != ["Ada"]:
        raise Wrong("other-name", expected=["Ada"], seen=names)


def _judge_connect(error):
    """Without ``await`` or ``async``, ``connect()`` is no connection."""
    if isinstance(getattr(error, "obj", None), connect) or (
        "'connect' object" in f"{error}"
    ):
        raise Wrong("not-connected", seen=error) from None


@exercise("04.2", parameters=1, limit=LIMIT, picture="wiretap")
async def shout(answer):
    messages = ["hola", "latte", "¿qué tal?"]
    heard = []
    async with serving(answer) as service:
        async with calling(service.url) as websocket:
            try:
                for message in messages:
                    heard.append(await tell(websocket, message))
            except Hung:
                service.reraise()
                _refuse_early_end(heard, messages)
            except Silence:
                await _refuse_extra_recv(websocket, messages[len(heard)])
                raise Wrong("silent", number=len(heard) + 1) from None
            if heard == messages:
                raise Wrong(
                    "same",
                    expected=[message.upper() for message in messages],
                    seen=heard,
                )
            if heard != [message.upper() for message in messages]:
                raise Wrong(
                    "other-text",
                    expected=[message.upper() for message in messages],
                    seen=heard,
                )
        await _take_leave(service)
    return Right()


async def _refuse_extra_recv(websocket, message):
    """Only one message in two is answered, the other is lost."""
    with suppress(Silence, Hung):
        await tell(websocket, message)
        raise Wrong("extra-recv") from None


def _refuse_early_end(heard, messages):
    """The handler has returned while its client was still talking."""
    if not heard:
        raise Wrong("no-answer") from None
    raise Wrong(
        "only-first", seen=heard, count=len(heard), total=len(messages)
    ) from None


async def _take_leave(service):
    """The client has left: the handler has to end, without an exception."""
    try:
        await service.finish()
    except Silence:
        raise Wrong("never-ends") from None
    if any(isinstance(error, ConnectionClosed) for error in service.errors):
        raise Wrong("client-left", error=type(service.errors[0]).__name__)
    service.reraise()


@exercise("04.3", parameters=1, limit=LIMIT, picture="wiretap")
async def count(answer):
    said = []
    async with serving(answer) as service:
        async with (
            calling(service.url) as ada,
            calling(service.url) as lima,
        ):
            clients = {"Ada": ada, "Lima": lima}
            turns = ["Ada", "Lima", "Ada", "Lima", "Ada"]
            for turn, name in enumerate(turns):
                try:
                    number = await tell(clients[name], "hola")
                except Hung:
                    _refuse_numbers(service.errors)
                    service.reraise()
                    _refuse_early_end([n for _, n in said], turns)
                except Silence:
                    raise Wrong("silent", name=name) from None
                said.append((name, number))
                _judge_number(said, turns[: turn + 1])
        await _take_leave(service)
    counts = ", ".join(f"{name} {number}" for name, number in said)
    return Right(counts=counts)


def _refuse_numbers(errors):
    if any(
        isinstance(error, TypeError) and "data must be" in f"{error}"
        for error in errors
    ):
        raise Wrong("number-sent") from None


def _judge_number(said, turns):
    name, number = said[-1]
    expected = turns.count(name)
    if number == f"{expected}":
        return
    both = {
        "expected": [
            f"{one} {turns[: turn + 1].count(one)}"
            for turn, one in enumerate(turns)
        ],
        "seen": [f"{one} {given}" for one, given in said],
    }
    if number == f"{len(said)}":
        raise Wrong("shared", **both)
    if number == f"{expected - 1}" and len(said) == 1:
        raise Wrong("from-zero", **both)
    if number == "1":
        raise Wrong("always-one", **both, name=name)
    raise Wrong("other-text", **both, value=expected, name=name)


@exercise("04.4", parameters=1, limit=LIMIT, picture="wiretap")
async def welcome(answer):
    greetings = {"/Ada": "Hello Ada!", "/Lima": "Hello Lima!"}
    greetings["/"] = "Hello World!"
    for path, expected in greetings.items():
        async with serving(answer) as service:
            async with calling(service.url + path) as websocket:
                await _judge_welcome(service, websocket, path, expected)
    return Right()


async def _judge_welcome(service, websocket, path, expected):
    try:
        seen = await hear(websocket)
    except Silence:
        raise Wrong("asks-first") from None
    except Hung:
        if any(
            isinstance(error, AttributeError) and error.name == "path"
            for error in service.errors
        ):
            raise Wrong("old-path") from None
        service.reraise()
        _refuse_early_end([], [])
    if seen == expected.replace("Hello ", "Hello /") or seen == "Hello /!":
        raise Wrong("slash", expected=expected, seen=seen)
    if path == "/" and seen == "Hello !":
        raise Wrong("no-name", expected=expected, seen=seen)
    if seen != expected:
        raise Wrong("other-text", expected=expected, seen=seen, path=path)
    try:
        extra = await hear(websocket)
    except Hung:
        service.reraise()
        return
    except Silence:
        raise Wrong("stays-open") from None
    raise Wrong("too-much", seen=[seen, extra])


@exercise("04.5", parameters=2, limit=LIMIT, picture="wiretap")
async def visit(answer):
    servers = []
    hasty = []
    met = asyncio.Event()
    inside = []

    async def call(url):
        _judge_url(url)
        try:
            async with connect(url) as websocket:
                await websocket.send("Ada")
                greeting = await websocket.recv()
        except OSError as error:
            raise Wrong("nobody-there", seen=type(error).__name__) from None
        if greeting != "Hello Ada! 🙂":
            raise Wrong(
                "other-handler", expected="Hello Ada! 🙂", seen=greeting
            )
        return greeting

    def client(name):
        async def meet(url):
            """Stay until both servers are up."""
            inside.append(name)
            if len(inside) == 2:
                met.set()
            greeting = await call(url)
            await patiently(met.wait())
            return f"{name}: {greeting}"

        return meet

    async def leave(url):
        await call(url)
        raise LookupError("the client left early")

    async def visiting(client):
        opened = []

        async def greet(websocket):
            opened.append(websocket.server)
            servers.append(websocket.server)
            with suppress(ConnectionClosed):
                name = await websocket.recv()
                await websocket.send(f"Hello {name}! 🙂")

        try:
            return await answer(greet, client)
        finally:
            hasty.extend(one for one in opened if one.is_serving())

    visits = [
        asyncio.create_task(visiting(client(name)), name=f"visit {name}")
        for name in ("1", "2")
    ]
    try:
        try:
            seen = await _both(visits, met)
        except IndexError as error:
            _refuse_old_server(error)
            raise
        if inspect.iscoroutine(seen[0]):
            for coroutine in seen:
                coroutine.close()
            raise Unawaited("client-unawaited")
        if seen != ["1: Hello Ada! 🙂", "2: Hello Ada! 🙂"]:
            raise Wrong(
                "not-returned", expected="1: Hello Ada! 🙂", seen=seen[0]
            )
        if not await _are_closed(servers):
            raise Wrong("left-open")
        swallowed = False
        try:
            await visiting(leave)
            swallowed = True
        except LookupError:
            pass
        if not await _are_closed(servers):
            raise Wrong("open-after-error")
        # What closes later was not waited for.
        if hasty:
            raise Wrong("hasty")
        if swallowed:
            raise Wrong("error-swallowed")
    finally:
        for task in visits:
            task.cancel()
        await asyncio.gather(*visits, return_exceptions=True)
        for server in servers:
            await stop(server)
    return Right()


def _refuse_old_server(error):
    """address() of a closed server, which the answer did not open."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name != "address" and any(
            isinstance(value, Server) for value in frame.f_locals.values()
        ):
            return
    raise Wrong("old-server", seen=error) from None


async def _both(visits, met):
    """The results of both visits, which run at the same time."""
    try:
        return list(await asyncio.gather(*visits))
    except Silence:
        raise Wrong("one-at-a-time") from None
    except AttributeError as error:
        if isinstance(error.obj, Server):
            raise Wrong("not-served", seen=error) from None
        raise
    except OSError as error:
        # The other visit comes to its end, and so the picture shows it whole.
        met.set()
        await asyncio.wait(visits, timeout=TURNS * TURN)
        raise Wrong("fixed-port", seen=type(error).__name__) from None


def _judge_url(url):
    if not isinstance(url, str) or not url.startswith("ws://"):
        raise Wrong("no-url", seen=url)
    if url.rstrip("/").endswith(":0"):
        raise Wrong("port-zero", seen=url)


async def _are_closed(servers):
    """Whether every server is closed, or closes soon."""
    for _ in range(TURNS):
        if not any(server.is_serving() for server in servers):
            return True
        await asyncio.sleep(TURN)
    return False
