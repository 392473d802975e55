"""Judges the exercises of lesson 05.

Clients and servers are real, on port 0; the bytes that answers are given are
the library's, as in the lesson.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.client import ClientProtocol
from websockets.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidHandshake,
)
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri
from websockets.utils import accept_key

from aula.exercises.exercise import Answer, Right, Wrong, exercise
from aula.exercises.prediction import Program, refuse_other
from aula.instruments.record import Recorder
from aula.judges.mistakes import (
    NEEDS_BYTES,
    NOT_TWO_PARTS,
    equal,
    named,
    naming_unawaited,
    refuse_bare_connect,
    refuse_none,
    refuse_unawaited,
    uses,
)
from aula.judges.servers import path_of, send_all, serving
from aula.judges.waiting import ends, timer, until

LIMIT = 8  # seconds for answers that talk to several servers
MOST_ORDERS = 12  # those who order without end get no more answers
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
LESSON_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
CLOSE = b"\x88\x02\x03\xe8"  # a server's, with code 1000
# Its answer has both of the characters that base64 writes in two ways.
SMALL_KEY = "Y2FmZSBjb24gbGVjaGUgTQ=="
SMALL_REQUEST = f"""GET /menu HTTP/1.1
host: cafe
api-key: cafe
sec-websocket-version: 13
connection: Upgrade
access-control-request-headers: sec-websocket-key
upgrade: websocket
sec-websocket-key: {SMALL_KEY}

""".replace("\n", "\r\n")

_Travelled = list[tuple[str, bytes]]


@exercise("05.1", answer="function", parameters=1, picture=None)
async def cost(answer: Answer) -> Right:
    cases = [
        _polled(3),
        _listened(),
        _polled(1),
        _polled(2, path=b"/tea"),
        _answered_in_parts(),
        _talked(),
        [],
    ]
    for travelled in cases:
        _judge_cost(answer, travelled)
    return Right(count=len(cases))


def _polled(times: int, path: bytes = b"/menu") -> _Travelled:
    """So many questions by HTTP, and their answers."""
    question = b"GET %b HTTP/1.1\r\nHost: cafe\r\n\r\n" % path
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nlatte 2.50"
    return [("client", question), ("server", answer)] * times


def _answered_in_parts() -> _Travelled:
    """One question by HTTP, and an answer whose content begins with GET."""
    question, (side, answer) = _polled(1)
    headers, end, _ = answer.partition(b"\r\n\r\n")
    return [question, (side, headers + end), (side, b"GET ONE NOW")]


def _listened() -> _Travelled:
    """A WebSocket over which only the server speaks, once of a GET."""
    opening = b"GET /menu HTTP/1.1\r\nHost: cafe\r\nUpgrade: websocket\r\n\r\n"
    server = ServerProtocol(state=State.OPEN)
    for message in (b"latte 2.50", b"GET /menu", b"mocha 3.10", b"mate"):
        server.send_text(message)
    return [
        ("client", opening),
        ("server", b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
        *[("server", bytes(data)) for data in server.data_to_send()],
    ]


def _talked() -> _Travelled:
    """A WebSocket over which the client speaks, too."""
    client = ClientProtocol(parse_uri("ws://cafe"), state=State.OPEN)
    client.send_text(b"latte")
    client.send_text(b"mocha")
    # A key of zeros is as likely as any other, and hides nothing.
    unhidden = b"\x81\x87" + bytes(4) + b"GET tea"
    return [
        *_listened(),
        *[("client", bytes(data)) for data in client.data_to_send()],
        ("client", unhidden),
    ]


def _judge_cost(answer: Answer, travelled: _Travelled) -> None:
    """Judge what is said of one conversation."""
    sent = [data for side, data in travelled if side == "client"]
    sizes = [len(data) for _, data in travelled]
    asked = sum(data.startswith(b"GET") for data in sent)
    expected = asked, sum(sizes)
    try:
        seen = answer(list(travelled))
    except TypeError as error:
        if any(said in f"{error}" for said in NEEDS_BYTES):
            raise Wrong("text-for-bytes", seen=error) from None
        raise
    except UnicodeDecodeError as error:
        raise Wrong("decoded", seen=error) from None
    refuse_none(seen)
    both = {"expected": expected, "seen": seen}
    if not isinstance(seen, tuple | list) or len(seen) != 2:
        raise Wrong("two-numbers", **both)
    requests, size = seen
    if (requests, size) == expected:
        return
    if (size, requests) == expected:
        raise Wrong("numbers-swapped", **both)
    if uses(answer, "polled", "heard"):
        raise Wrong("lesson-list", **both)
    if len(sizes) > 1 and size == sizes[0]:
        raise Wrong("return-in-loop", **both)
    one_way = sum(map(len, sent))
    if size in (one_way, expected[1] - one_way) and size != expected[1]:
        raise Wrong("one-way", **both)
    if size != expected[1] and size == sum(
        len(data) for _, data in {*travelled}
    ):
        raise Wrong("equal-once", **both)
    if size != expected[1]:
        raise Wrong("other-size", **both)
    if requests == sum(data.startswith(b"GET /menu") for data in sent):
        raise Wrong("one-path", **both)
    if requests == len(travelled):
        raise Wrong("all-counted", **both)
    if requests == len(sent):
        raise Wrong("frames-counted", **both)
    if requests == sum(data.startswith(b"GET") for _, data in travelled):
        raise Wrong("side-ignored", **both)
    if requests in (
        sum(b"GET" in data for _, data in travelled),
        sum(b"GET" in data for data in sent),
    ):
        raise Wrong("get-inside", **both)
    raise Wrong("other-count", **both)


class _Handshakes:
    """A server that accepts handshakes with the learner's answer.

    Attributes:
        asked: what the answer was given, what it returned and what it
            raised, for each client.
    """

    def __init__(self, answer: Answer) -> None:
        self.asked: list[tuple[str, Any, BaseException | None]] = []
        self._answer = answer

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        try:
            value = self._answer(request)
        except BaseException as error:  # the judge raises it again
            self.asked.append((request, None, error))
            writer.close()
            return
        self.asked.append((request, value, None))
        sent = "" if value is None else f"{value}"
        response = (
            "HTTP/1.1 101 Switching Protocols\r\n"
            "Upgrade: websocket\r\n"
            "Connection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {' '.join(sent.split())}\r\n\r\n"
        )
        writer.write(response.encode(errors="replace"))
        # The check may be over first, and asyncio 3.11 would report as an
        # error that it cancels this.
        with suppress(asyncio.CancelledError):
            # The client's CLOSE, or that it left; a CLOSE has its answer.
            if await reader.read(100):
                writer.write(CLOSE)
        writer.close()


@exercise("05.2", answer="function", parameters=1, picture="wiretap")
async def accept(answer: Answer) -> Right:
    import aiohttp

    handshakes = _Handshakes(answer)
    server = await asyncio.start_server(handshakes.serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        opened = False
        with suppress(InvalidHandshake, OSError):
            async with connect(f"ws://{host}:{port}/cafe", close_timeout=1):
                opened = True
        _judge_accept(answer, *handshakes.asked[0], opened)
        # Another library, which sends the headers in another order.
        opened = False
        async with aiohttp.ClientSession() as session:
            url = f"http://{host}:{port}/menu"
            timeout = aiohttp.ClientWSTimeout(ws_close=1)
            with suppress(aiohttp.ClientError):
                async with session.ws_connect(url, timeout=timeout):
                    opened = True
    request, value, error = handshakes.asked[1]
    expected = accept_key(_key(request))
    if value == handshakes.asked[0][1]:
        raise Wrong("kept-between-calls", expected=expected, seen=value)
    # The first client's value need not have one of the two characters.
    if value != expected and value == _url_safe(expected):
        raise Wrong("url-safe", expected=expected, seen=value)
    if error is not None or value != expected or not opened:
        raise Wrong("other-client", expected=expected, seen=error or value)
    _judge_small_letters(answer)
    return Right()


def _judge_small_letters(answer: Answer) -> None:
    """Judge what a client is answered that writes its headers small."""
    key, other = accept_key(SMALL_KEY), accept_key("cafe")
    try:
        value = answer(SMALL_REQUEST)
    except Exception as error:
        raise Wrong("capitals", expected=key, seen=error) from None
    both = {"expected": key, "seen": value}
    if value == other:
        raise Wrong("other-header", name="api-key", **both)
    if value == accept_key("sec-websocket-key"):
        raise Wrong("name-as-value", **both)
    if value == _url_safe(key):
        raise Wrong("url-safe", **both)
    equal(value, key, "capitals")


def _judge_accept(
    answer: Answer,
    request: str,
    value: Any,
    error: BaseException | None,
    opened: bool,
) -> None:
    """Judge what the first client was answered."""
    if NOT_TWO_PARTS in f"{error}":
        raise Wrong("line-without-colon", seen=error)
    if error is not None:
        raise error
    key = _key(request)
    expected = accept_key(key)
    if value == expected and opened:
        return
    if value is None and not uses(answer, "print"):
        raise Wrong("no-header-found", expected=expected, seen=value)
    refuse_none(value)
    both = {"expected": expected, "seen": value}
    if value == _digest(key.lower() + GUID):
        raise Wrong("key-in-small-letters", **both)
    if isinstance(value, bytes | bytearray):
        raise Wrong("bytes", **both)
    if value == f"b'{expected}'":
        raise Wrong("bytes-in-quotes", **both)
    if value == _url_safe(expected):
        raise Wrong("url-safe", **both)
    if isinstance(value, str) and value.strip() == expected:
        raise Wrong("stray-newline", **both)
    if isinstance(value, str) and value.partition(":")[2].strip() == expected:
        raise Wrong("whole-line", **both)
    if value == accept_key(LESSON_KEY):
        raise Wrong("always-the-same", **both)
    if value == _digest(key):
        raise Wrong("no-guid", **both)
    if value == _digest(GUID + key):
        raise Wrong("guid-first", **both)
    in_hex = hashlib.sha1((key + GUID).encode()).hexdigest()
    if value in (in_hex, _in_base64(in_hex.encode())):
        raise Wrong("hex", **both)
    raw = base64.b64decode(key) + GUID.encode()
    if value == _in_base64(hashlib.sha1(raw).digest()):
        raise Wrong("decoded-key", **both)
    line = f"Sec-WebSocket-Key: {key}"
    pieces = [
        before + key + after
        for before in ("", " ", ": ", ":")
        for after in ("", "\r", "\n", "\r\n")
    ]
    pieces += [line, f"{line}\r", f"{line}\r\n", request, request.strip()]
    if value in [_digest(piece + GUID) for piece in pieces if piece != key]:
        raise Wrong("more-than-the-key", **both)
    raise Wrong("other-value", **both)


def _key(request: str) -> str:
    for line in request.splitlines():
        name, _, value = line.partition(":")
        if name.lower() == "sec-websocket-key":
            return value.strip()
    raise ValueError("a client sent no key")


def _digest(text: str) -> str:
    return _in_base64(hashlib.sha1(text.encode()).digest())


def _url_safe(value: str) -> str:
    return value.replace("+", "-").replace("/", "_")


def _in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@exercise("05.3", parameters=2, limit=LIMIT, picture="wiretap")
async def order_all(answer: Answer, run: Recorder) -> Right:
    cases = [
        ["latte", "mocha"],
        ["mate", "latte", "latte", "mate"],
        [],
    ]
    for drinks in cases:
        await _judge_orders(answer, drinks, run)
    return Right(count=sum(map(len, cases)))


class _Barista:
    """Greets, and answers each drink with its price.

    Attributes:
        visits: how many connections there were.
        gone: and how many of them were closed.
        orders: what was sent.
        paths: what was asked for.
    """

    def __init__(self) -> None:
        self.visits = self.gone = 0
        self.orders: list[str | bytes] = []
        self.paths: set[str] = set()

    async def serve(self, websocket: ServerConnection) -> None:
        self.visits += 1
        self.paths.add(path_of(websocket))
        with suppress(ConnectionClosed):
            await send_all(websocket, "hola")
            # Those who have gone get no answer, but their orders count.
            async for drink in websocket:
                self.orders.append(drink)
                if len(self.orders) < MOST_ORDERS:
                    await send_all(websocket, self.answer(drink))
        self.gone += 1

    @staticmethod
    def answer(drink: str | bytes) -> str:
        """The drink and a price of its own."""
        return f"{drink!s} {len(drink)}.75"


async def _judge_orders(
    answer: Answer, drinks: list[str], run: Recorder
) -> None:
    """Judge the orders of one visit."""
    barista = _Barista()
    expected = [barista.answer(drink) for drink in drinks]

    async def attend(websocket: ServerConnection) -> None:
        await barista.serve(websocket)

    attend.__name__ = "barista"
    async with serving(attend) as url:
        ordering = asyncio.create_task(
            answer(url, list(drinks)), name="order_all"
        )
        try:
            with naming_unawaited():
                if not await ends(ordering):
                    if len(barista.orders) > len(drinks):
                        equal(barista.orders, drinks, "other-orders")
                    _refuse_one_message(barista, drinks)
                    equal(barista.orders, drinks, "waits-on")
                    raise Wrong("waits-on")
                seen = await ordering
                left = await until(lambda: barista.gone == barista.visits)
                _judge_answers(barista, drinks, seen, expected, run)
                if not left:
                    raise Wrong("left-open")
        except (AttributeError, ConcurrencyError, TypeError) as error:
            refuse_bare_connect(error)
            raise named(error) from None
        except ConnectionClosed as error:
            raise Wrong("already-closed", seen=error) from None
        finally:
            ordering.cancel()


def _refuse_one_message(barista: _Barista, drinks: list[str]) -> None:
    """Refuse a ``send`` of the whole list."""
    if len(drinks) > 1 and barista.orders == ["".join(drinks)]:
        raise Wrong("sent-as-one", expected=drinks, seen=barista.orders)


def _judge_answers(
    barista: _Barista,
    drinks: list[str],
    seen: Any,
    expected: list[str],
    run: Recorder,
) -> None:
    """Judge what was ordered and what was returned."""
    if not isinstance(seen, str | bytes):
        refuse_unawaited(seen, "recv-unawaited")
    if not barista.visits:
        # The library keeps a connection alive, and there is none here.
        elsewhere = any(lane.call == "keepalive()" for lane in run.lanes)
        raise Wrong("other-address" if elsewhere else "never-connected")
    if barista.paths != {"/"}:
        raise Wrong("path-added", path=max(barista.paths, key=len))
    refuse_none(seen, expected)
    if seen == expected and barista.orders == drinks:
        if barista.visits > 1:
            raise Wrong("many-connections", count=barista.visits)
        return
    both = {"expected": expected, "seen": seen}
    _refuse_one_message(barista, drinks)
    if isinstance(seen, str | bytes):
        raise Wrong("one-answer", **both)
    if isinstance(seen, list | tuple) and "hola" in seen:
        raise Wrong("greeting-counted", **both)
    equal(barista.orders, drinks, "other-orders")
    if seen == [*dict.fromkeys(expected)]:
        raise Wrong("equal-drinks", **both)
    if isinstance(seen, list) and seen[-len(expected) :] == expected:
        raise Wrong("kept-between-calls", **both)
    if seen == [f"{drink} 2.50" for drink in drinks]:
        raise Wrong("known-prices", **both)
    raise Wrong("other-answers", **both)


@exercise("05.4", answer="prediction", picture="wiretap")
async def close_codes(answer: Any, program: Program) -> Right:
    await program.run()
    if isinstance(program.result, list):
        # The verdict shall not say <CloseCode.NO_STATUS_RCVD: 1005>.
        program.result = [
            int(code) if isinstance(code, int) else code
            for code in program.result
        ]
    if isinstance(answer, list) and len(answer) == 4:
        if any(isinstance(code, str) for code in answer):
            equal(answer, program.result, "codes-in-quotes")
        if answer[1] in (1000, 1006, None):
            equal(answer, program.result, "no-code-is-1005")
        if answer[2] in (1001, 1005, 1006):
            equal(answer, program.result, "leaving-is-normal")
        if answer[3] in (1000, 1001, 4000):
            equal(answer, program.result, "own-code")
    refuse_other(answer, program.result)
    return Right()


_Heard = list[str | bytes]


@exercise("05.5", parameters=1, limit=LIMIT, picture="wiretap")
async def hear_out(answer: Answer) -> Right:
    cases: list[tuple[_Heard, int | None]] = [
        (["latte 2.50", "mocha 3.10", "mate 1.20", "latte 2.50", "tea"], 1000),
        (["latte 2.75", "mocha 3.35"], 1006),
        (["hola", "", b"\x00\xff"], 4002),
        ([], 1001),
        (["latte 2.80"], 1005),
        ([], 1006),
    ]
    for messages, code in cases:
        await _judge_hearing(answer, messages, code)
    return Right(count=len(cases))


async def _judge_hearing(
    answer: Answer, messages: _Heard, code: int | None
) -> None:
    """Judge what is heard of one server, and how it is said to close."""
    visits: list[ServerConnection] = []

    async def cafe(websocket: ServerConnection) -> None:
        visits.append(websocket)
        with suppress(ConnectionClosed):
            for number, message in enumerate(messages):
                if number == 3:
                    # Those who listen to the end wait for what comes late.
                    await timer(0.5).wait()
                await websocket.send(message)
            if code == 1006:
                # What was sent has arrived when the PONG comes.
                await (await websocket.ping())
                websocket.transport.abort()
            elif code == 1005:
                await websocket.close(None)  # type: ignore[arg-type]
            elif code is not None:
                await websocket.close(code)

    expected = messages, code
    try:
        with naming_unawaited():
            async with serving(cafe) as url:
                seen = await answer(url)
            if not visits:
                raise Wrong("never-connected")
    except (AttributeError, TypeError) as error:
        refuse_bare_connect(error)
        if isinstance(error, AttributeError) and error.obj is None:
            raise Wrong("nothing-received", seen=error) from None
        raise named(error) from None
    except ConnectionClosedError as error:
        raise Wrong("cut-raises", seen=error) from None
    except ConnectionClosedOK as error:
        raise Wrong("normal-raises", seen=error) from None
    _judge_heard(seen, expected)


def _judge_heard(seen: Any, expected: tuple[_Heard, int | None]) -> None:
    """Judge what was returned."""
    refuse_none(seen, expected)
    both = {"expected": expected, "seen": seen}
    if not isinstance(seen, tuple | list) or len(seen) != 2:
        raise Wrong("two-values", **both)
    messages, code = seen
    if (messages, code) == expected:
        return
    if (code, messages) == expected:
        raise Wrong("swapped", **both)
    refuse_unawaited(messages, "recv-unawaited")
    if code is None:
        raise Wrong("code-too-soon", **both)
    if isinstance(messages, str | bytes):
        raise Wrong("not-a-list", **both)
    if isinstance(messages, list) and messages != expected[0]:
        _refuse_list(messages, expected[0], both)
    if code == 1006 and code != expected[1]:
        raise Wrong("error-is-no-cut", code=expected[1], **both)
    if code != expected[1]:
        raise Wrong("other-code", **both)
    if expected[1] == 1006 and messages != expected[0]:
        raise Wrong("messages-lost", **both)
    raise Wrong("other-messages", **both)


def _refuse_list(seen: _Heard, sent: _Heard, both: dict[str, Any]) -> None:
    """Refuse a list in which some messages lack, or are too many."""
    if "" in sent and seen in (
        sent[: sent.index("")],
        [message for message in sent if message],
    ):
        raise Wrong("empty-message", **both)
    if len(seen) > len(sent) and seen[len(seen) - len(sent) :] == sent:
        raise Wrong("kept-between-calls", **both)
    if len(seen) < len(sent) and seen == [*dict.fromkeys(sent)]:
        raise Wrong("repeated", **both)
    if len(sent) > 3 and seen and seen == sent[: len(seen)]:
        raise Wrong("leaves-early", **both)
