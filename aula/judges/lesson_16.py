"""Judges the exercises of lesson 16: WebSockets beside HTTP, in aiohttp."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import socket
import struct
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, NoReturn, Self
from unittest.mock import patch

import aiohttp
from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidStatus,
    InvalidURI,
)

from aula.exercises.exercise import Answer, Right, Wrong, exercise
from aula.exercises.prediction import Program, refuse_other
from aula.judges.mistakes import (
    CHANGED_SIZE,
    CONCURRENT_RECEIVE,
    NO_RESPONSE,
    NO_RETURN,
    NOT_PREPARED,
    NOT_RESPONSE_TEXT,
    SOCKET_CLOSED,
    equal,
    leaves,
    refuse_none,
)
from aula.judges.servers import HANDLER_LIMIT, Hung, hear, running
from aula.judges.waiting import (
    MOMENT,
    PATIENCE,
    Silence,
    patiently,
    until,
)

LIMIT = 12  # seconds for an answer with which much may be waited for in vain
# A set's order is anybody's guess. That all of so many listeners come after
# all of as many others happens once in 12,870 times.
LOST = 8
ENOUGH = 8  # calls of receive for which nothing can come any more
LONG = "latte, mocha, " * 2**15  # more than is sent without a drain
LULL = 1.1  # seconds in which a server says nothing, and is still there


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


class _Patient(aiohttp.ClientWebSocketResponse[Any]):
    """A WebSocket of a client that is not asked for ever when it is over.

    Attributes:
        calls: how often one has begun to receive, in all connections.
    """

    asked = 0
    calls = 0

    async def receive(self, *args: Any, **options: Any) -> Any:
        _Patient.calls += 1
        message = await super().receive(*args, **options)
        if message.type is aiohttp.WSMsgType.CLOSED:
            self.asked += 1
            if self.asked > ENOUGH:
                raise Wrong("asks-for-ever", seen=message.type.name)
        return message


@exercise("16.1", parameters=2, picture=None)
async def texts_until_close(answer: Answer) -> Right:
    sent: list[list[str | bytes]] = [
        ["mocha", "latte", "mocha", b"\x01\x02", "chai"],
        [],
        ["chai", "", "mate", b"horchata", "té", " agua\n", "cacao"],
    ]
    cut = len(sent) - 1  # without a goodbye
    strangers = plain = 0
    earlier: list[str] = []

    async def speak(request: web.Request) -> web.StreamResponse:
        nonlocal strangers, plain
        strangers += request.headers.get("X-Session") != "aula"
        number = int(request.match_info["number"])
        websocket = web.WebSocketResponse()
        plain += not websocket.can_prepare(request)
        await websocket.prepare(request)
        for item in sent[number]:
            if isinstance(item, str):
                await websocket.send_str(item)
            else:
                await websocket.send_bytes(item)
        if number == cut and request.transport is not None:
            # What was sent arrives before the cut does.
            request.transport.close()
        else:
            await websocket.close()
        return websocket

    async def pause(request: web.Request) -> web.StreamResponse:
        """Say nothing for a while, from when that is being waited for."""
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        await websocket.send_str("latte")
        await until(lambda: _Patient.calls > 1)
        await asyncio.sleep(LULL)
        with suppress(ConnectionError):
            await websocket.send_str("mocha")
        await websocket.close()
        return websocket

    app = web.Application()
    app.add_routes([web.get("/{number:\\d}", speak), web.get("/lull", pause)])
    async with (
        running(app) as url,
        aiohttp.ClientSession(
            headers={"X-Session": "aula"}, ws_response_class=_Patient
        ) as session,
    ):
        for number, items in enumerate(sent):
            try:
                seen = await answer(session, f"{url}/{number}")
            except Exception as error:
                seen = error
            if isinstance(seen, InvalidURI):
                raise Wrong("other-client", seen=seen)
            if strangers:
                raise Wrong("other-session")
            if plain:
                raise Wrong("plain-get")
            if isinstance(seen, aiohttp.WSMessageTypeError):
                raise Wrong("text-alone", seen=seen)
            if isinstance(seen, Exception):
                raise seen
            if not seen and items and _quotes(answer, "TEXT"):
                texts = [item for item in items if isinstance(item, str)]
                raise Wrong("type-as-text", expected=texts, seen=seen)
            _judge_texts(seen, items, earlier)
            if session.closed:
                raise Wrong("closes-session")
            earlier += [item for item in items if isinstance(item, str)]
        _Patient.calls = 0
        try:
            seen = await answer(session, f"{url}/lull")
        except TimeoutError as error:
            raise Wrong("gives-up", seen=error) from None
        if seen in ([], ["latte"]):
            raise Wrong("gives-up", expected=["latte", "mocha"], seen=seen)
        _judge_texts(seen, ["latte", "mocha"], earlier)
    return Right()


def _quotes(answer: Answer, text: str) -> bool:
    """Whether an answer's own code has this text in it, in quotes."""
    code = getattr(answer, "__code__", None)
    return code is not None and text in code.co_consts


def _judge_texts(
    seen: Any, sent: list[str | bytes], earlier: list[str]
) -> None:
    texts = [item for item in sent if isinstance(item, str)]
    refuse_none(seen, texts)
    items = list(seen) if isinstance(seen, list | tuple) else [seen]
    if any(isinstance(item, aiohttp.WSMessage) for item in items):
        kinds = [type(item).__name__ for item in items]
        raise Wrong("whole-messages", expected=texts, seen=kinds)
    if any(isinstance(item, bytes) for item in items):
        raise Wrong("bytes-too", expected=texts, seen=seen)
    if items == [
        item.decode() if isinstance(item, bytes) else item for item in sent
    ] and (items != texts):
        raise Wrong("bytes-decoded", expected=texts, seen=seen)
    if len(texts) > 1 and items == texts[:1]:
        raise Wrong("first-alone", expected=texts, seen=seen)
    before = list(itertools.takewhile(lambda one: isinstance(one, str), sent))
    if items == before != texts:
        raise Wrong("stops-at-bytes", expected=texts, seen=seen)
    if items == [text.strip() for text in texts] != texts:
        raise Wrong("stripped", expected=texts, seen=seen)
    if items == texts[: len(items)] and len(items) < len(texts):
        raise Wrong("stops-early", expected=texts, seen=seen)
    if earlier and items == earlier + texts:
        raise Wrong("kept-between-calls", expected=texts, seen=seen)
    if items != texts and items == [text for text in texts if text]:
        raise Wrong("empty-lost", expected=texts, seen=seen)
    if len(items) < len(texts) and {*map(str, items)} == {*texts}:
        raise Wrong("each-once", expected=texts, seen=seen)
    equal(items, texts, "other-texts")


@exercise("16.2", answer="prediction", picture=None)
async def who_is_missed(answer: Any, program: Program) -> Right:
    await program.run()
    cases = "cut", "silent", "silent, with heartbeat"
    if answer == dict.fromkeys(cases, "noticed"):
        equal(answer, program.result, "as-if-silence-were-told")
    if answer == dict.fromkeys(cases, "unnoticed") | {"cut": "noticed"}:
        equal(answer, program.result, "as-if-no-pings")
    if isinstance(answer, dict):
        words = "noticed", "unnoticed"
        if any(value not in words for value in answer.values()):
            equal(answer, program.result, "truth-values")
        if answer.get("cut") == "unnoticed":
            equal(answer, program.result, "as-if-cut-were-silent")
    refuse_other(answer, program.result)
    return Right()


@exercise("16.3", "function", parameters=1, limit=LIMIT, picture="wiretap")
async def make_site(answer: Answer) -> Right:
    pages = ["<!doctype html><h1>latte</h1>", "<!doctype html><p>¿mocha?</p>"]
    apps: list[Any] = []
    for page in pages:
        try:
            with _no_run_app():
                app = answer(page)
        except AssertionError as error:
            if f"{error}" == page:  # what add_routes says of no function
                raise Wrong("page-as-handler", seen=error) from None
            raise
        if not isinstance(app, web.Application):
            raise Wrong("no-app", seen=app)
        apps.append(app)
    if apps[0] is apps[1]:
        raise Wrong("shared-page")
    for app, page in zip(apps, pages, strict=True):
        async with _Site().run(app) as server:
            await _judge_page(server, page, pages)
            await _judge_shouting(server)
            server.raise_errors()
            await _judge_bytes(server)
    return Right()


async def _judge_page(server: _Server, page: str, pages: list[str]) -> None:
    status, kind, text = await server.get("/")
    server.raise_errors()
    if status in (404, 405):
        raise Wrong("no-page", expected=200, seen=status)
    if text != page:
        raise Wrong(
            "shared-page" if text in pages else "other-page",
            expected=page,
            seen=text,
        )
    equal(kind, "text/html", "not-html")
    equal(status, 200, "other-page")


async def _judge_shouting(server: _Server) -> None:
    ada, lima = await server.listen(), await server.listen()
    if await until(lambda: ada.close_code is not None, MOMENT):
        server.raise_errors()
        raise Wrong("closes-at-once")
    for websocket, text in (
        (ada, "hola"),
        (lima, "latte"),
        (ada, "¿qué tal?"),
        (lima, "mocha"),
        (lima, ""),
        (lima, "close"),
    ):
        try:
            await websocket.send(text)
        except ConnectionClosed:
            server.raise_errors()
            raise Wrong("received-once") from None
        heard = await server.heard(websocket)
        if heard is None:
            server.raise_errors()
            if not text:
                raise Wrong("empty-message", expected="", seen=None)
            if text == "close":
                raise Wrong("closes-on-word", expected="CLOSE", seen=None)
            if websocket.close_code:
                raise Wrong("received-once", expected=text.upper(), seen=None)
            raise Wrong("silent", expected=text.upper(), seen=None)
        if heard == text != text.upper():
            raise Wrong("same", expected=text.upper(), seen=heard)
        equal(heard, text.upper(), "other-reply")
        if text == "hola" and await server.heard(ada, MOMENT) is not None:
            raise Wrong("not-once", expected=1, seen=2)
    await ada.close()
    await until(lambda: server.complaints.messages, MOMENT)


async def _judge_bytes(server: _Server) -> None:
    """Bytes are not answered, and the text after them is."""
    mia = await server.listen()
    await mia.send(b"\x01\x02")
    with suppress(ConnectionClosed):
        await mia.send("chai")
    heard = await server.heard(mia)
    if heard is None:
        await until(lambda: server.complaints.errors, MOMENT)
        for error in server.complaints.errors:
            raise Wrong("bytes-unseen", seen=error)
        raise Wrong("bytes-end-it", expected="CHAI", seen=None)
    equal(heard, "CHAI", "bytes-answered")


@exercise("16.4", "function", limit=LIMIT, picture="wiretap")
async def make_board(answer: Answer) -> Right:
    with _no_run_app():
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
        await _judge_reset(board)
        await _judge_last(board)
    board.raise_errors()
    return Right()


@contextmanager
def _no_run_app() -> Iterator[None]:
    def refuse_run_app(*_: Any, **__: Any) -> NoReturn:
        raise Wrong("runs-app")

    with patch.object(web, "run_app", refuse_run_app):
        yield


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
    if heard == [text.strip()] * len(heard) != expected:
        raise Wrong("stripped", expected=expected, seen=heard)
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
    text = " chai\n"  # as it is: with the space and the end of its line
    await board.say(text)
    board.raise_errors()
    for listener in (ada, speaker):
        heard = await board.heard(listener)
        if heard is not None and "latte" in f"{heard!s}":
            raise Wrong("speaks-on-ws", seen=heard)
        if listener is ada:
            _judge_heard([heard], text)
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


def _hold_back(transport: asyncio.Transport) -> asyncio.Protocol:
    """Whoever sends waits, as if nobody read at the other end."""
    transport.set_write_buffer_limits(high=2 * len(LONG))
    protocol = transport.get_protocol()
    assert isinstance(protocol, asyncio.Protocol)
    protocol.pause_writing()
    return protocol


async def _judge_change(board: _Board) -> None:
    """One leaves, who was sent it already, while another is being sent to."""
    hasty, slow = await board.listen(), await board.listen()
    last = await board.listen()
    protocol = _hold_back(board.transports[-2])
    saying = asyncio.create_task(board.say(LONG))
    await board.heard(slow)
    first = await board.said(hasty, MOMENT) == LONG
    await hasty.close()
    await until(board.transports[-3].is_closing)
    await asyncio.sleep(MOMENT)  # its handler takes it out
    protocol.resume_writing()
    await saying
    board.raise_errors()
    # Of who was sent it before one left, nothing can have gone wrong.
    if first:
        equal(await board.said(last) == LONG, True, "no-copy")
    await slow.close()
    await last.close()
    await board.settles("2")


async def _judge_losses(board: _Board) -> None:
    """Several are lost, before and after others, whatever the order."""
    there = [await board.listen() for _ in range(2 * LOST)]
    await board.settles(f"{2 + len(there)}")
    board.lost = board.transports[-len(there) :: 2]
    await board.say("horchata")
    await _judge_all_hear(there[1::2], "horchata")


async def _judge_reset(board: _Board) -> None:
    """One is lost who is being sent a text: no ConnectionResetError."""
    slow = await board.listen()
    await board.say("mate")
    _hold_back(board.transports[-1])
    saying = asyncio.create_task(board.say(LONG))
    while await board.said(slow) not in (LONG, None):
        pass
    _reset(slow)
    await saying
    for error in board.complaints.errors:
        if any(isinstance(leaf, OSError) for leaf in leaves(error)):
            raise Wrong("narrow-except", seen=error)
    board.raise_errors()


async def _judge_last(board: _Board) -> None:
    """Who sends bytes goes on listening, and hears every text."""
    speaker = await board.listen()
    try:
        await speaker.send(b"\x01\x02")
        await patiently(await speaker.ping())
    except ConnectionClosed:
        board.raise_errors()
        raise Wrong("bytes-end-it") from None
    texts = ["agua", "", "cacao", "cacao"]
    for text in texts:
        await board.say(text)
    seen = [await board.heard(speaker) for _ in texts]
    equal(seen, texts, "text-left-out")


def _reset(client: ClientConnection) -> None:
    """Close so that the other end is told of an error, and not of an end."""
    sock = client.transport.get_extra_info("socket")
    at_once = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    client.transport.abort()


async def _judge_all_hear(
    listeners: list[ClientConnection], text: str
) -> None:
    heard = await asyncio.gather(*map(_Board.said, listeners))
    if set(heard) != {text}:
        raise Wrong(
            "others-miss-it", expected=len(heard), seen=heard.count(text)
        )


class _Server:
    """The learner's server, and how the judge talks to it.

    Attributes:
        lost: connections to cut off when there is a text for them.
        transports: the server's end of each WebSocket.
    """

    def __init__(self) -> None:
        self.complaints = _Complaints()
        self.listeners: list[ClientConnection] = []
        self.lost: list[asyncio.Transport] = []
        self.transports: list[asyncio.Transport] = []
        self._silent = ""  # the path whose handler returned nothing

    @asynccontextmanager
    async def run(self, app: web.Application) -> AsyncIterator[Self]:
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
            running(app, logger=self.complaints.logger) as self._url,
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

    async def get(self, path: str) -> tuple[int, str, str]:
        """The status, type and text of a page."""
        async with self._session.get(f"{self._url}{path}") as response:
            text = await response.text()
            return response.status, response.content_type, text

    @staticmethod
    async def heard(
        websocket: ClientConnection, seconds: float = PATIENCE
    ) -> str | bytes | None:
        with suppress(Silence, Hung):
            return await hear(websocket, seconds)
        return None

    def refuse(self, error: BaseException) -> None:
        """Name what went wrong in a handler; some servers know more."""

    def raise_errors(self) -> None:
        """Raise what went wrong in the handlers, if something did."""
        for error in self.complaints.errors:
            _refuse_other_library(error)
            self.refuse(error)
            if SOCKET_CLOSED in f"{error}":
                raise Wrong("asks-for-ever", seen=error)
            if CONCURRENT_RECEIVE in f"{error}":
                raise Wrong("one-response", seen=error)
            if NOT_PREPARED in f"{error}":
                raise Wrong("no-prepare", seen=error)
            if isinstance(error, aiohttp.WSMessageTypeError):
                raise Wrong("text-alone", seen=error)
            raise error
        for message in self.complaints.messages:
            if NO_RESPONSE in message:
                raise Wrong("no-response", seen=message)
            if NO_RETURN in message:
                raise Wrong("no-return", seen=message, silent=self._silent)


class _Site(_Server):
    """A server of a page, and of a WebSocket that answers."""

    def refuse(self, error: BaseException) -> None:
        # The data of the message that tells of the close is its code.
        if isinstance(error, AttributeError) and isinstance(error.obj, int):
            raise Wrong("close-as-text", seen=error)
        if isinstance(error, AttributeError) and hasattr(error.obj, "data"):
            raise Wrong("message-as-text", seen=error)


class _Board(_Server):
    """A server on which one listens by WebSocket and speaks by HTTP.

    Attributes:
        deaf: whether what is sent to it over /ws is not received.
    """

    deaf = False

    async def say(self, text: str) -> str:
        url = f"{self._url}/say"
        async with self._session.post(url, data=text) as response:
            if response.status in (404, 405):
                raise Wrong("wrong-method", seen=response.status)
            return (await response.text()).strip()

    @classmethod
    async def said(
        cls, websocket: ClientConnection, seconds: float = PATIENCE
    ) -> str | bytes | None:
        """The next message that is not for counting."""
        while (text := await cls.heard(websocket, seconds)) == "mocha":
            pass
        return text

    async def settles(self, count: str) -> str:
        """What the count of listeners comes to, or what it stays at."""
        # Longer and longer pauses: each text is a line of the picture.
        pause = 0.02
        while (seen := await self.say("mocha")) != count and pause < 1:
            await asyncio.sleep(pause)
            pause *= 2
        return seen

    async def expect_one(self) -> None:
        """The count falls to one soon after a client has left."""
        seen = await self.settles("1")
        equal(seen, "1", "deaf" if self.deaf else "never-forgets")

    def refuse(self, error: BaseException) -> None:
        if isinstance(error, RuntimeError) and CHANGED_SIZE in f"{error}":
            raise Wrong("no-copy", seen=error)
        if isinstance(error, KeyError):
            [key] = error.args
            if isinstance(key, web.AppKey):
                raise Wrong("nothing-kept", seen=error)
        if isinstance(error, TypeError) and NOT_RESPONSE_TEXT in f"{error}":
            raise Wrong("count-as-number", seen=error)
        if isinstance(error, json.JSONDecodeError):
            raise Wrong("text-as-json", seen=error)


def _refuse_other_library(error: BaseException) -> None:
    """Name what belongs to the WebSockets of websockets."""
    if isinstance(error, AttributeError) and isinstance(
        error.obj, web.WebSocketResponse
    ):
        names = {"send": "send", "protocol": "broadcast"}
        if error.name in names:
            raise Wrong("other-library", seen=error, name=names[error.name])
