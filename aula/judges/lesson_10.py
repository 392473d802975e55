"""Judges the exercises of lesson 10: aiohttp's servers and its client."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    suppress,
)
from typing import Any, NoReturn
from unittest.mock import patch

import aiohttp
from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from aula.exercises.exercise import Answer, Right, Wrong, exercise
from aula.judges.mistakes import (
    CHANGED_SIZE,
    NO_RESPONSE,
    NO_RETURN,
    equal,
    frames,
    refuse_future,
    refuse_no_star,
    refuse_none,
    refuse_unawaited,
)
from aula.judges.servers import HANDLER_LIMIT, Hung, Machine, hear
from aula.judges.waiting import MOMENT, Silence, ends, patiently, until

LIMIT = 12  # seconds for an answer with which much may be waited for in vain
# A set's order is anybody's guess. That all of so many listeners come after
# all of as many others happens once in 12,870 times.
LOST = 8
LONG = "latte, mocha, " * 2**15  # more than is sent without a drain


class _Complaints(logging.Handler):
    """Keeps what the server logs: exceptions of handlers, and the rest."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.errors: list[BaseException] = []
        self.messages: list[str] = []
        self.logger = logging.Logger("board")
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        if message.startswith("Error handling request") and error:
            self.errors.append(error)
        else:
            self.messages.append(message)


@asynccontextmanager
async def _running(app: web.Application, **options: Any) -> AsyncIterator[str]:
    """An application on a free port; yields its address, without a path."""
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


def _serving(
    *routes: web.AbstractRouteDef,
) -> AbstractAsyncContextManager[str]:
    """An application with these routes; a client that left is let go."""
    app = web.Application()
    app.add_routes(routes)
    return _running(app, handler_cancellation=True)


@exercise("10.1", parameters=1, picture=None)
async def order(answer: Answer) -> Right:
    # What the answer raised, or gave that is no response.
    odd: list[Any] = []

    async def watched(request: web.Request) -> web.StreamResponse:
        try:
            response = await answer(request)
        except web.HTTPException:
            raise
        except Exception as error:
            response = error
        if isinstance(response, web.StreamResponse):
            return response
        odd.append(response)
        return web.Response(status=500)

    async def ask(**body: Any) -> tuple[int, Any]:
        async with session.post(f"{address}/order", **body) as response:
            try:
                return response.status, await response.json()
            except (ValueError, aiohttp.ContentTypeError):
                return response.status, await response.text()

    async with (
        _serving(web.post("/order", watched)) as address,
        aiohttp.ClientSession() as session,
    ):
        for drink in ("latte", "mocha"):
            reply = await ask(json={"drink": drink})
            if odd and isinstance(odd[0], Exception):
                raise odd[0]
            if odd:
                raise Wrong("no-response", seen=odd[0])
            _judge_order(*reply, drink)
        status, _ = await ask(data="latte, please")
        if odd or status != 400:
            seen = odd[0] if odd else status
            raise Wrong("bad-json", expected=400, seen=seen)
        status, _ = await ask(json={"size": "grande"})
        if odd:
            raise Wrong("no-drink", expected=400, seen=odd[0])
        equal(status, 400, "accepted" if status < 400 else "other-refusal")
    return Right()


def _judge_order(status: int, body: Any, drink: str) -> None:
    ready = {"ready": drink}
    if body == ready:
        equal(status, 201, "other-status")
    elif isinstance(body, dict):
        raise Wrong("other-reply", expected=(201, ready), seen=(status, body))
    else:
        raise Wrong("no-json", expected=(201, ready), seen=(status, body))


class _Pages(Machine):
    """A server's pages; the status of each waits until ``heads`` is set.

    Attributes:
        strangers: how many requests did not come from the judge's session.
    """

    def __init__(self) -> None:
        super().__init__()
        self.strangers = 0
        self.heads = asyncio.Event()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        self.strangers += request.headers.get("X-Session") != "aula"
        held = asyncio.create_task(self.hold(name))
        response = web.StreamResponse()
        try:
            await self.heads.wait()
            await response.prepare(request)
            await response.write(b"page ")
            await held
        finally:
            held.cancel()
        with suppress(ConnectionResetError):
            await response.write(name.encode())
        return response

    def let_all_out(self) -> None:
        super().let_all_out()
        self.heads.set()


@exercise("10.2", parameters=3, limit=LIMIT)
async def fetch_all(answer: Answer) -> Right:
    pages, limit = _Pages(), 2
    names = ["latte", "mocha", "chai", "mate", "horchata"]
    async with (
        _serving(web.get("/{name}", pages)) as url,
        aiohttp.ClientSession(headers={"X-Session": "aula"}) as session,
    ):
        urls = [f"{url}/{name}" for name in names]
        task = asyncio.create_task(answer(session, urls, limit))
        try:
            await until(lambda: pages.most == limit or task.done())
            await asyncio.sleep(MOMENT)
            if task.done():
                _result(task)
            _judge_limit(pages, limit)
            pages.heads.set()
            if await until(lambda: pages.most > limit, MOMENT):
                raise Wrong("body-outside", expected=limit, seen=pages.most)
            second = next(
                (n for n in pages.started if n != names[0]), names[0]
            )
            pages.let_out(second)
            if not await until(lambda: len(pages.started) > limit):
                pages.let_all_out()
                await until(lambda: len(pages.started) > limit or task.done())
                if len(pages.started) > limit:
                    raise Wrong("batches")
                if not task.done():
                    raise Wrong("never-released")
            pages.let_all_out()
            if not await ends(task):
                raise Wrong("never-ends")
            seen = _result(task)
            _judge_limit(pages, limit)
        finally:
            pages.let_all_out()
            task.cancel()
    _judge_texts(seen, [f"page {name}" for name in names], second)
    return Right()


def _result(task: asyncio.Task[Any]) -> Any:
    error = task.exception()
    if error is not None:
        refuse_no_star(error)
        raise error
    seen = task.result()
    refuse_future(seen, "not-awaited")
    refuse_unawaited(seen, "forgotten-await")
    return seen


def _judge_limit(pages: _Pages, limit: int) -> None:
    if pages.strangers:
        raise Wrong("other-session")
    if pages.most == 0:
        raise Wrong("never-asks", expected=limit, seen=0)
    if pages.most < limit:
        raise Wrong("one-by-one", expected=limit, seen=pages.most)
    if pages.most > limit:
        raise Wrong("too-many", expected=limit, seen=pages.most)


def _judge_texts(seen: Any, expected: list[str], second: str) -> None:
    refuse_none(seen, expected)
    items = list(seen) if isinstance(seen, list | tuple) else [seen]
    if any(isinstance(item, aiohttp.ClientResponse) for item in items):
        kinds = [type(item).__name__ for item in items]
        raise Wrong("no-texts", expected=expected, seen=kinds)
    if items != expected and sorted(map(str, items)) == sorted(expected):
        raise Wrong(
            "as-they-came", expected=expected, seen=seen, second=second
        )
    equal(items, expected, "other-texts")


@exercise("10.3", parameters=3, picture=None)
async def save(answer: Answer) -> Right:
    halves = [b"\xff" * 2**18, b"\xfe" * 2**18]
    size = sum(map(len, halves))
    written: list[Any] = []
    late = False

    async def film(request: web.Request) -> web.StreamResponse:
        nonlocal late
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(halves[0])
        if not await until(lambda: written):
            late = True
        await response.write(halves[1])
        return response

    async def short(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"latte")

    async with (
        _serving(web.get("/film", film), web.get("/short", short)) as url,
        aiohttp.ClientSession() as session,
    ):
        seen = await answer(session, f"{url}/film", written.append)
        announced = None
        if written and seen is None:
            announced = await answer(session, f"{url}/short", len)
    if not written:
        raise Wrong("nothing-written")
    if late:
        raise Wrong("whole-body")
    kinds = {type(piece).__name__ for piece in written}
    if not kinds <= {"bytes", "bytearray", "memoryview"}:
        raise Wrong("no-bytes", expected="bytes", seen=sorted(kinds))
    total = sum(map(len, written))
    if total < size:
        raise Wrong("one-piece", expected=size, seen=total)
    if b"".join(written) != b"".join(halves):
        raise Wrong("other-bytes", expected=size, seen=total)
    if announced == len(b"latte"):
        raise Wrong("content-length", expected=size, seen=seen)
    if seen is None:
        raise Wrong("nothing-returned", expected=size, seen=seen)
    counted = seen == len(written)
    equal(seen, size, "counts-pieces" if counted else "other-size")
    return Right()


class _Troubles:
    """A server of the replies that ``try_read`` has to tell apart."""

    text = "latte\nmocha"

    def routes(self) -> list[web.AbstractRouteDef]:
        names = "menu wrong busy slow stalls drips cut half".split()
        return [web.get(f"/{name}", getattr(self, name)) for name in names]

    async def menu(self, request: web.Request) -> web.StreamResponse:
        # Not 200, and no failure either.
        return web.Response(text=self.text, status=300)

    async def wrong(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="no drink", status=400)

    async def busy(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="sold out", status=503)

    async def slow(self, request: web.Request) -> NoReturn:
        await asyncio.Event().wait()
        raise AssertionError

    async def stalls(self, request: web.Request) -> NoReturn:
        await self._begin(request)
        await self.slow(request)

    async def drips(self, request: web.Request) -> NoReturn:
        response = await self._begin(request)
        while True:
            await response.write(b"latte")
            await asyncio.sleep(0.02)

    async def cut(self, request: web.Request) -> web.StreamResponse:
        self._transport(request).abort()
        return web.Response()

    async def half(self, request: web.Request) -> web.StreamResponse:
        response = await self._begin(request, {"Content-Length": "1000"})
        self._transport(request).close()
        return response

    async def _begin(
        self, request: web.Request, headers: dict[str, str] | None = None
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await response.write(b"latte")
        return response

    def _transport(self, request: web.Request) -> asyncio.Transport:
        assert request.transport is not None
        return request.transport


class _Try:
    """A call of the answer: what came of it in one case.

    Attributes:
        seen: what it returned or raised; None where it did not end.
        early: whether it ended before its time was up.
    """

    def __init__(self, case: str) -> None:
        self.case = case
        self.seen: Any = None
        self.ended = False
        self.early = False

    async def run(self, answer: Answer, url: str, seconds: float) -> _Try:
        loop = asyncio.get_running_loop()
        # A session for each: what one leaves behind disturbs no other.
        async with aiohttp.ClientSession() as session:
            began = loop.time()
            task = asyncio.create_task(answer(session, url, seconds))
            self.ended = await ends(task, seconds + 0.8)
            self.early = loop.time() < began + seconds - 0.05
        if self.ended:
            self.seen = task.exception() or task.result()
        return self

    def expect(self, expected: str) -> None:
        """The last word: the result that the exercise asks for."""
        if isinstance(self.seen, Exception):
            raise self.seen
        equal(self.seen, expected, "other-result", case=self.case)

    @property
    def seen_type(self) -> str:
        return type(self.seen).__name__


@exercise("10.4", parameters=3, limit=LIMIT, picture=None)
async def try_read(answer: Answer) -> Right:
    troubles = _Troubles()

    async def tried(path: str, seconds: float = 3, case: str = "") -> _Try:
        url = f"{address}/{path}"
        return await _Try(case or path).run(answer, url, seconds)

    async with _serving(*troubles.routes()) as address:
        (await tried("menu")).expect(troubles.text)
        _judge_status(await tried("wrong", case="400"), 400, "no drink")
        _judge_status(await tried("busy", case="503"), 503, "sold out")
        _judge_slow(await tried("slow", 0.2), "no-limit")
        _judge_slow(await tried("stalls", 0.5), "limit-ends-early")
        # Long enough that no pause of the machine is a limit of one wait.
        _judge_slow(await tried("drips", 1.2), "each-wait")
        _judge_broken(await tried("cut"))
        _judge_broken(await tried("half"))
    _judge_broken(await tried("menu", case="no server"))
    return Right()


def _judge_status(one: _Try, status: int, text: str) -> None:
    expected = f"status {status}"
    if one.seen == text:
        raise Wrong("status-unseen", expected=expected, seen=one.seen)
    if isinstance(one.seen, aiohttp.ClientResponseError):
        raise Wrong("status-escapes", expected=expected, seen=one.seen_type)
    if one.seen == "broken":
        raise Wrong("status-broken", expected=expected, seen=one.seen)
    one.expect(expected)


def _judge_slow(one: _Try, mistake: str) -> None:
    if not one.ended:
        raise Wrong(mistake)
    expected = "too slow"
    if isinstance(one.seen, TimeoutError):
        raise Wrong(
            "timeout-escapes" if one.case == "slow" else "read-outside",
            expected=expected,
            seen=one.seen_type,
        )
    if one.seen == "broken":
        raise Wrong("all-broken", expected=expected, seen=one.seen)
    one.expect(expected)
    if one.early:
        raise Wrong("too-early")


def _judge_broken(one: _Try) -> None:
    if isinstance(one.seen, aiohttp.ClientError | OSError):
        # Whoever names the ancestor has read where it is not caught.
        names = {n for f in frames(one.seen) for n in f.f_code.co_names}
        outside = one.case == "half" and "ClientError" in names
        raise Wrong(
            "read-outside" if outside else "error-escapes",
            expected="broken",
            seen=one.seen_type,
            case=one.case,
        )
    one.expect("broken")


@exercise("10.5", "function", limit=LIMIT, picture="wiretap")
async def make_board(answer: Answer) -> Right:
    with patch.object(web, "run_app", _refuse_run_app):
        app = answer()
        try:
            other = answer()
        except RuntimeError:  # the routes are in the one application already
            other = app
    if not isinstance(app, web.Application):
        raise Wrong("no-app", seen=app)
    async with _Board().run(app) as board:
        ada = await _judge_board(board)
        await _judge_silence(board, ada)
        await _judge_leaving(board, ada)
        await _judge_other(app, other)
        await _judge_change(board)
        await _judge_losses(board)
    board.raise_errors()
    return Right()


def _refuse_run_app(*_: Any, **__: Any) -> NoReturn:
    raise Wrong("runs-app")


async def _judge_board(board: _Board) -> ClientConnection:
    ada, lima = await board.listen(), await board.listen()
    if await until(lambda: ada.close_code is not None, MOMENT):
        board.raise_errors()
        raise Wrong("closes-at-once")
    count = await board.say("hola")
    board.raise_errors()
    _judge_heard([await board.heard(each) for each in (ada, lima)], "hola")
    equal(count, "2", "other-count")
    return ada


def _judge_heard(heard: list[Any], text: str) -> None:
    expected = [text] * len(heard)
    if text in heard and None in heard:
        raise Wrong("last-only", expected=expected, seen=heard)
    if any(heard):
        equal(heard, expected, "other-text")
    else:
        raise Wrong("nobody-hears", expected=expected, seen=heard)


async def _judge_silence(board: _Board, ada: ClientConnection) -> None:
    """What comes over /ws goes nowhere; but it is received."""
    speaker = await board.listen()
    try:
        for _ in range(3):
            await speaker.send("latte")
        await patiently(await speaker.ping())
    except ConnectionClosed:
        board.raise_errors()
        raise Wrong("received-once") from None
    except Silence:
        board.deaf = True
    await board.say("chai")
    board.raise_errors()
    heard = await board.heard(ada)
    if heard is not None and "latte" in f"{heard!s}":
        raise Wrong("speaks-on-ws", seen=heard)
    _judge_heard([heard], "chai")
    await speaker.close()


async def _judge_leaving(board: _Board, ada: ClientConnection) -> None:
    """One leaves with a goodbye, one without, one when a text is coming."""
    await board.listeners[1].close()
    await board.expect_one()
    chai = await board.listen()
    await board.settles("2")
    chai.transport.abort()
    await board.expect_one()
    await until(lambda: board.complaints.messages, MOMENT)
    board.raise_errors()
    await board.listen()
    await board.settles("2")
    chai = await board.listen()
    await board.settles("3")
    board.lost = board.transports[-2:-1]
    await board.say("mate")
    await until(lambda: board.complaints.errors, MOMENT)
    for error in board.complaints.errors:
        if isinstance(error, OSError):
            raise Wrong("speaker-fails", seen=error)
    board.raise_errors()
    await _judge_all_hear([ada, chai], "mate")


async def _judge_other(app: web.Application, other: Any) -> None:
    """A second board counts its own listeners."""
    seen = None
    if other is not app:
        async with _Board().run(other) as second:
            await second.listen()
            seen = await second.settles("1")
    equal(seen, "1", "shared")


async def _judge_change(board: _Board) -> None:
    """One leaves while another is being sent to."""
    slow, hasty = await board.listen(), await board.listen()
    transport = board.transports[-2]
    transport.set_write_buffer_limits(high=2 * len(LONG))
    protocol = transport.get_protocol()
    assert isinstance(protocol, asyncio.Protocol)
    protocol.pause_writing()
    saying = asyncio.create_task(board.say(LONG))
    await board.heard(slow)
    await hasty.close()
    await until(board.transports[-1].is_closing)
    protocol.resume_writing()
    await saying
    board.raise_errors()
    await slow.close()
    await board.settles("2")


async def _judge_losses(board: _Board) -> None:
    """Several are lost, before and after others, whatever the order."""
    there = [await board.listen() for _ in range(2 * LOST)]
    await board.settles(f"{2 + len(there)}")
    board.lost = board.transports[-len(there) :: 2]
    await board.say("horchata")
    await _judge_all_hear(there[1::2], "horchata")


async def _judge_all_hear(
    listeners: list[ClientConnection], text: str
) -> None:
    async def hears(websocket: ClientConnection) -> Any:
        while (said := await _Board.heard(websocket)) == "mocha":
            pass
        return said

    heard = await asyncio.gather(*map(hears, listeners))
    if set(heard) != {text}:
        raise Wrong(
            "others-miss-it", expected=len(heard), seen=heard.count(text)
        )


class _Board:
    """The learner's server, and how the judge talks to it.

    Attributes:
        deaf: whether what is sent to it over /ws is not received.
        lost: connections to cut off when there is a text for them.
        transports: the server's end of each WebSocket.
    """

    def __init__(self) -> None:
        self.complaints = _Complaints()
        self.listeners: list[ClientConnection] = []
        self.deaf = False
        self.lost: list[asyncio.Transport] = []
        self.transports: list[asyncio.Transport] = []
        self._silent = ""  # the path whose handler returned nothing

    @asynccontextmanager
    async def run(self, app: web.Application) -> AsyncIterator[_Board]:
        """Serve an application, and close all WebSockets in the end."""

        @web.middleware
        async def watched(request: web.Request, handler: Any) -> Any:
            if request.path == "/ws" and request.transport:
                self.transports.append(request.transport)
            elif self.lost:
                # Now the handler reads the body without giving way.
                await request.read()
                while self.lost:
                    self.lost.pop().abort()
            response = await handler(request)
            if response is None:
                self._silent = request.path
            return response

        app.middlewares.append(watched)
        async with (
            _running(app, logger=self.complaints.logger) as self._url,
            aiohttp.ClientSession() as self._session,
        ):
            try:
                yield self
            finally:
                closing = [each.close() for each in self.listeners]
                await asyncio.gather(*closing)

    async def listen(self) -> ClientConnection:
        url = self._url.replace("http", "ws") + "/ws"
        try:
            websocket = await connect(
                url, close_timeout=HANDLER_LIMIT, compression=None
            )
        except InvalidStatus as error:
            self.raise_errors()
            raise Wrong("no-websocket", seen=error) from None
        self.listeners.append(websocket)
        return websocket

    async def say(self, text: str) -> str:
        url = f"{self._url}/say"
        async with self._session.post(url, data=text) as response:
            if response.status in (404, 405):
                raise Wrong("wrong-method", seen=response.status)
            return (await response.text()).strip()

    @staticmethod
    async def heard(websocket: ClientConnection) -> str | bytes | None:
        with suppress(Silence, Hung):
            return await hear(websocket)
        return None

    async def settles(self, count: str) -> str:
        """What the count of listeners comes to, or what it stays at."""
        for _ in range(50):
            if (seen := await self.say("mocha")) == count:
                break
            await asyncio.sleep(0.02)
        return seen

    async def expect_one(self) -> None:
        """The count falls to one soon after a client has left."""
        seen = await self.settles("1")
        equal(seen, "1", "deaf" if self.deaf else "never-forgets")

    def raise_errors(self) -> None:
        """Raise what went wrong in the handlers, if something did."""
        for error in self.complaints.errors:
            _refuse_other_library(error)
            if isinstance(error, RuntimeError) and CHANGED_SIZE in f"{error}":
                raise Wrong("no-copy", seen=error)
            raise error
        for message in self.complaints.messages:
            if NO_RESPONSE in message:
                raise Wrong("no-response", seen=message)
            if NO_RETURN in message:
                raise Wrong("no-return", seen=message, silent=self._silent)


def _refuse_other_library(error: BaseException) -> None:
    """Name what belongs to the WebSockets of websockets."""
    if isinstance(error, AttributeError) and isinstance(
        error.obj, web.WebSocketResponse
    ):
        names = {"send": "send", "protocol": "broadcast"}
        if error.name in names:
            raise Wrong("other-library", seen=error, name=names[error.name])
