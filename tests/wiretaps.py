"""What the tests of the wiretap and its parts share."""

import asyncio
import contextlib
import logging
import re
import subprocess
import sys
import textwrap
import urllib.parse

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import (
    InvalidHandshake,
)
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol

from aula.instruments import frames
from aula.instruments.wiretap import Wiretap

NAMES = ("websockets.server", "websockets.client")

LOGGERS = [logging.getLogger(name) for name in ("websockets", *NAMES)]


class Escucha(Wiretap):
    language = "es"


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


def uri_of(server):
    return f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def text_of(tape):
    return tape.bundle(tape.language)["text/plain"]


def lines_of(tape):
    """The lines of the text, without the columns."""
    return [re.sub("  +", "  ", line) for line in text_of(tape).split("\n")]


def what_of(text):
    """The right column."""
    return [re.split("  +", line, maxsplit=1)[1] for line in text.split("\n")]


def what(tape):
    return what_of(text_of(tape))


def state(logger):
    kept = {k: v for k, v in vars(logger).items() if k != "_cache"}
    return {**kept, "handlers": [*logger.handlers]}


def listen(talk, handler=echo, *, tape=None, wait=False, **options):
    """What a wiretap hears of ``talk(uri)`` with a server in the background.

    Arguments:
        wait: let the handler end before the block does.
    """

    async def main():
        heard = tape or Wiretap()
        async with serve(handler, "127.0.0.1", 0, **options) as server:
            heard.start()
            await talk(uri_of(server))
            if wait:
                await handlers_of(server)
            heard.stop()
        return heard

    return asyncio.run(main())


async def handlers_of(server):
    """Wait until no connection is left."""
    async with asyncio.timeout(5):
        while server.handler_tasks:
            await asyncio.sleep(0.01)


async def say_hello(uri):
    async with connect(uri) as websocket:
        await websocket.send("hola")
        assert await websocket.recv() == "hola"


async def raw(uri, request, frames=None):
    """Send bytes as they are and read until the server is done.

    Arguments:
        frames: what to send after a handshake; b"" for nothing at all.
    """
    address = urllib.parse.urlsplit(uri)
    reader, writer = await asyncio.open_connection(
        address.hostname, address.port
    )
    writer.write(request)
    if frames is not None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(frames)
    if frames != b"":
        await reader.read()
    writer.close()
    await writer.wait_closed()


GREETING = (
    b"GET / HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)  # RFC 6455, 1.2


def frame(opcode, data=b"", fin=True):
    return Frame(Opcode(opcode), data, fin).serialize(mask=True)


@pytest.fixture(autouse=True)
def no_trace():
    """Whatever happened, loggers and library are as they were."""
    root = logging.getLogger()
    loggers = [*LOGGERS, root]
    before = (
        [state(logger) for logger in loggers],
        logging.root.manager.disable,
    )
    yield
    after = [state(logger) for logger in loggers], logging.root.manager.disable
    assert after == before
    assert "debug" not in vars(Protocol)
    assert not frames._observers
    assert not frames._adapters


async def listener(websocket):
    async for _ in websocket:
        pass


def python(code, *arguments):
    return asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        textwrap.dedent(code),
        *arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


@contextlib.asynccontextmanager
async def server_in_another_process():
    server = await python(
        """
        import threading
        from websockets.sync.server import serve
        def echo(websocket):
            for message in websocket:
                websocket.send(message)
        with serve(echo, "127.0.0.1", 0) as server:
            threading.Thread(target=server.serve_forever).start()
            print(server.socket.getsockname()[1], flush=True)
            input()
            server.shutdown()
        """
    )
    yield f"ws://127.0.0.1:{int(await server.stdout.readline())}/"
    await server.communicate(b"\n")


async def vanish(uri):
    websocket = await connect(uri)
    websocket.transport.abort()
    await websocket.wait_closed()


def answer_with(name, value):
    """A ``process_response`` that puts a header of its own into the 101."""

    def change(connection, request, response):
        response.headers.pop(name, None)
        if value is not None:
            response.headers[name] = value

    return change


async def be_rejected(uri):
    with pytest.raises(InvalidHandshake):
        await connect(uri)
