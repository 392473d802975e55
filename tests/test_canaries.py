"""Fails when a library changes what the course relies on inside it.

None of this is promised by the libraries. Each failure says which of them
changed what, and which file of the course has to learn its new way.
"""

import asyncio
import contextlib
import inspect
import logging
import sys
import threading
from importlib.metadata import version

import pytest
import websockets.asyncio.client
import websockets.asyncio.connection
import websockets.asyncio.server
import websockets.sync.client
import websockets.sync.connection
import websockets.sync.server
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame
from websockets.protocol import Protocol, Side
from websockets.server import ServerProtocol
from websockets.uri import parse_uri


def relies(holds, file, library, on):
    """Fail if what a file relies on does not hold any more."""
    change = f"{library} {version(library)} has changed, where {on}."
    assert holds, f"{change} {file} relies on it."


# websockets.


def frames_relies(holds, on):
    relies(holds, "aula/instruments/frames.py", "websockets", on)


class Log(logging.Handler):
    """What a logger is told, with the exception at hand at that moment."""

    def __init__(self):
        super().__init__()
        self.told = []
        self.logger = logging.Logger("canaries", logging.DEBUG)
        self.logger.addHandler(self)

    def emit(self, record):
        self.told.append((record, sys.exc_info()[1]))

    def formats(self):
        return {
            (record.msg, *map(type, record.args)) for record, _ in self.told
        }

    def errors(self, start):
        """The exceptions at hand where a text began so."""
        return [
            error
            for record, error in self.told
            if record.getMessage().startswith(start)
        ]


def shake_hands(log, **options):
    """Two protocols, without a network, after their opening handshake."""
    client = ClientProtocol(
        parse_uri("ws://a/"), subprotocols=["a"], logger=log.logger
    )
    server = ServerProtocol(logger=log.logger, **options)
    client.send_request(client.connect())
    server.receive_data(client.data_to_send()[0])
    server.send_response(server.accept(server.events_received()[0]))
    client.receive_data(server.data_to_send()[0])
    return client, server


def visit_asyncio(handler, **options):
    """Both ends of a connection that its handler ends, and the server."""

    async def main():
        ends = []

        async def meet(websocket):
            ends.append(websocket)
            handler()

        serve = websockets.asyncio.server.serve
        async with serve(meet, "127.0.0.1", 0, **options) as server:
            port = server.sockets[0].getsockname()[1]
            connect = websockets.asyncio.client.connect
            async with connect(f"ws://127.0.0.1:{port}/") as client:
                await client.wait_closed()
        return client, *ends, server, meet

    return asyncio.run(main())


def visit_sync(handler, **options):
    ends = []

    def meet(websocket):
        ends.append(websocket)
        handler()

    serve = websockets.sync.server.serve
    with serve(meet, "127.0.0.1", 0, **options) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        connect = websockets.sync.client.connect
        with connect(f"ws://127.0.0.1:{port}/", proxy=None) as client:
            with contextlib.suppress(ConnectionClosed):
                client.recv()
        server.shutdown()
        thread.join()
    return client, *ends, server, meet


FLAVOURS = pytest.mark.parametrize("visit", [visit_asyncio, visit_sync])


def leave():
    pass


def fail(*_):
    raise ValueError("hola")


def test_a_protocol_asks_its_debug(monkeypatch):
    on = "each Protocol keeps in its attribute debug whether DEBUG is on"
    protocol = Protocol(Side.CLIENT)
    frames_relies(vars(protocol).get("debug") is False, on)
    frames_relies("debug" not in vars(Protocol), on)
    looks = []
    debug = property(looks.append, lambda protocol, answer: None)
    monkeypatch.setattr(Protocol, "debug", debug, raising=False)
    protocol.send_text(b"hola")
    on = "each Protocol looks at its attribute debug before it logs a frame"
    frames_relies(looks == [protocol], on)


@FLAVOURS
def test_a_connection_has_an_adapter(visit):
    client, server, *_ = visit(leave)
    on = "each connection puts a LoggerAdapter that knows it before its logger"
    for one in (client, server):
        adapter = one.protocol.logger
        frames_relies(isinstance(adapter, logging.LoggerAdapter), on)
        frames_relies(adapter is one.logger, on)
        frames_relies(adapter.extra["websocket"].id == one.protocol.id, on)


@FLAVOURS
def test_a_connection_knows_its_server_and_the_server_its_handler(visit):
    _, connection, server, handler = visit(leave)
    on = "a server's connection has its server in the attribute server"
    frames_relies(getattr(connection, "server", None) is server, on)
    on = "a server's function handler holds yours in its variable handler"
    variables = inspect.getclosurevars(server.handler).nonlocals
    frames_relies(variables.get("handler") is handler, on)


def test_a_handlers_task_knows_its_connection():
    function = visit_asyncio(leave)[2].handler
    on = "a server runs its coroutine function handler with a connection"
    frames_relies(inspect.iscoroutinefunction(function), on)
    parameters = inspect.signature(function).parameters
    frames_relies([*parameters] == ["connection"], on)
    on = "a server's function handler stands in websockets.asyncio.server"
    frames_relies(function.__module__ == "websockets.asyncio.server", on)


def test_a_connection_knows_its_transport():
    transport = getattr(visit_asyncio(leave)[0], "transport", None)
    on = "a connection has its asyncio.Transport in the attribute transport"
    frames_relies(isinstance(transport, asyncio.Transport), on)


@pytest.mark.parametrize(
    "known",
    [
        ("> GET %s HTTP/1.1", str),
        ("< %s %s %s", str, str, str),
        ("> HTTP/1.1 %d %s", int, str),
        ("< HTTP/1.1 %d %s", int, str),
        ("> %s: %s", str, str),
        ("< %s: %s", str, str),
        ("= connection is %s", str),
        ("> %s", Frame),
        ("< %s", Frame),
        ("> EOF",),
        ("< EOF",),
    ],
    ids=lambda known: known[0],
)
def test_how_it_is_logged(known):
    log = Log()
    client, server = shake_hands(log, subprotocols=["a"])
    client.send_text(b"hola")
    server.receive_data(client.data_to_send()[0])
    client.receive_eof()
    kinds = ", ".join(kind.__name__ for kind in known[1:])
    on = f"it logs {known[0]!r} with ({kinds})"
    # An HTTP status may be an enum's.
    frames_relies(
        any(
            told[0] == known[0]
            and len(told) == len(known)
            and all(map(issubclass, told[1:], known[1:]))
            for told in log.formats()
        ),
        on,
    )


def test_the_end_of_tcp_is_answered_while_it_is_handled():
    log = Log()
    shake_hands(log, subprotocols=["a"])[0].receive_eof()
    on = "the end of TCP is answered while EOFError is being handled"
    frames_relies([*map(type, log.errors("> EOF"))] == [EOFError], on)


@FLAVOURS
def test_a_handlers_exception_is_at_hand_when_the_close_is_sent(visit):
    log = Log()
    *_, server, _ = visit(fail, logger=log.logger)
    on = "the exception of a handler closes the connection in serve() itself"
    errors = log.errors("> CLOSE")
    frames_relies([*map(type, errors)] == [ValueError], on)
    caught_in = errors[0].__traceback__.tb_frame.f_globals["__name__"]
    frames_relies(caught_in == type(server).__module__, on)


@FLAVOURS
def test_how_a_failing_handler_is_logged(visit):
    log = Log()
    visit(fail, logger=log.logger)
    on = "it logs 'connection handler failed' while it handles the exception"
    errors = log.errors("connection handler failed")
    frames_relies([*map(type, errors)] == [ValueError], on)


@FLAVOURS
@pytest.mark.parametrize("step", ["process_request", "process_response"])
def test_how_a_failing_step_of_the_handshake_is_logged(visit, step):
    log = Log()
    with pytest.raises(InvalidStatus):
        visit(leave, logger=log.logger, **{step: fail})
    on = f"it logs '{step} failed' while it handles the exception"
    errors = log.errors(f"{step} failed")
    frames_relies([*map(type, errors)] == [ValueError], on)


def test_how_a_failing_handshake_is_logged():
    log = Log()
    shake_hands(log, subprotocols=["a"], select_subprotocol=fail)
    ServerProtocol(logger=log.logger).receive_data(b"hola\r\n\r\n")
    for known in ("opening handshake failed", "! no valid HTTP request"):
        on = f"it logs {known!r} while it handles the exception"
        frames_relies([*map(type, log.errors(known))] == [ValueError], on)


@pytest.mark.parametrize("flavour", [websockets.asyncio, websockets.sync])
def test_what_send_was_given_is_in_its_variable(flavour):
    send = flavour.connection.Connection.send
    on = "send() keeps what it was given in its variable message"
    frames_relies("message" in inspect.signature(send).parameters, on)
