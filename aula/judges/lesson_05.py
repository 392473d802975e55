"""Judges the exercises of lesson 05.

The bytes that answers are given come from the library, as in the lesson: from
its clients, or from its protocols without I/O.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake
from websockets.utils import accept_key

from aula.exercises.exercise import Answer, Right, Wrong, exercise
from aula.judges.mistakes import NOT_TWO_PARTS, refuse_none

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
LESSON_KEY = "dGhlIHNhbXBsZSBub25jZQ=="


# 03.1


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
            await reader.read(1)  # the client's CLOSE, or that it left
        writer.close()


@exercise("05.1", answer="function", parameters=1, picture="wiretap")
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
        _judge_accept(*handshakes.asked[0], opened)
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
    if error is not None or value != expected or not opened:
        raise Wrong("other-client", expected=expected, seen=error or value)
    return Right()


def _judge_accept(
    request: str, value: Any, error: BaseException | None, opened: bool
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
    refuse_none(value)
    both = {"expected": expected, "seen": value}
    if isinstance(value, bytes | bytearray):
        raise Wrong("bytes", **both)
    if value == f"b'{expected}'":
        raise Wrong("bytes-in-quotes", **both)
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


def _in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


# Frames


# 03.2


# 03.3


# 03.4
