"""What each WebSocket connection says, told to whoever observes.

This is the only file that knows the insides of ``websockets``; what it relies
on there tests/test_canaries.py watches.

The library documents what it logs: all that a connection sends and receives,
at DEBUG, each record with its connection. A handler and a lower level on its
loggers would be enough for the connections that a block of code opens itself,
with the loggers as they come. It would not hear a connection opened before,
which has asked once whether DEBUG is on and kept the answer; nor one whose
logger is disabled, or the learner's own (``logger=``), which the checks'
servers have, too. And while it heard, learners would see their loggers
changed. So this file listens one step earlier, in the LoggerAdapter that the
library puts between each connection and its logger, and nothing changes for
those who listen behind it.

The protocol is that of RFC 6455, https://www.rfc-editor.org/rfc/rfc6455.
"""

from __future__ import annotations

import inspect
import logging
import re
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any
from weakref import WeakSet

from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, Protocol, State

CLOSE = Opcode.CLOSE  # to look it up takes time

# What the library logs together with an exception.
FAILURES = (
    "connection handler failed",
    "process_request failed",
    "process_response failed",
    "opening handshake failed",
    "! no valid HTTP request",
)
# What it logs just before each change of its state.
STATE = "= connection is %s"
HEARD = ("> ", "< ", STATE, *FAILURES)


class Observer:
    """Is told what each connection of this process says, in order.

    Its methods are called by the thread in which the connection spoke, one
    at a time; ``sent`` says whether this end has sent or received it.
    """

    def request(self, end: End, method: str, path: str, sent: bool) -> None:
        """The first line of a request."""

    def response(self, end: End, status: int, phrase: str, sent: bool) -> None:
        """The first line of a response."""

    def header(self, end: End, name: str, value: str, sent: bool) -> None:
        """A header of the request or the response told last."""

    def frame(self, end: End, frame: Frame, sent: bool, leaves: bool) -> None:
        """A frame.

        Arguments:
            leaves: whether there is a way out for it. None is left after
                ``transport.abort()``, but the library logs on.
        """

    def opened(self, end: End) -> None:
        """The handshake is complete, of which a server's end may be wrong."""

    def failed(self, end: End, what: str, error: BaseException) -> None:
        """An exception ended something; ``what`` is one of FAILURES."""

    def lost(
        self, end: End, drained: bool, rejection: Exception | None
    ) -> None:
        """TCP has ended, in at least one direction.

        Arguments:
            drained: whether the end read all there was until TCP ended, and
                no CLOSE: what it has not received then will not arrive.
            rejection: why it did not take the handshake, if it did not.
        """


# What the connection of a board says is none of a learner's business with
# sockets. Nothing is logged here, whatever the learner sets up: its first
# message holds a token.
UNHEARD = logging.Logger("aula", logging.CRITICAL + 1)

lock = threading.RLock()  # held while observers are told
_observers: list[Observer] = []
_adapters: WeakSet[logging.LoggerAdapter[Any]] = WeakSet()


def observe(observer: Observer) -> None:
    """Tell an observer what connections say from now on."""
    with lock:
        _observers.append(observer)
        Protocol.debug = _Debug()  # type: ignore[assignment]


def ignore(observer: Observer) -> None:
    """Tell it no more. Does nothing if it is told nothing already."""
    with lock:
        if observer in _observers:
            _observers.remove(observer)
            if not _observers:
                _unplug()


def _unplug() -> None:
    del Protocol.debug  # type: ignore[misc]
    for adapter in _adapters:
        del adapter.log
    _adapters.clear()


class _Debug:
    """``Protocol.debug`` while somebody observes: yes.

    A connection asks its logger once, when it is made, whether DEBUG is on,
    and keeps the answer in this attribute, to look at before it logs. While
    somebody observes the answer is yes, for connections made earlier too;
    and each that looks is listened to from then on.
    """

    def __get__(self, protocol: Protocol | None, owner: type) -> Any:
        if protocol is None:
            return self
        log = getattr(protocol.logger, "log", None)
        if type(getattr(log, "__self__", None)) is not End:
            _listen_to(protocol)
        return True

    def __set__(self, protocol: Protocol, answer: bool) -> None:
        vars(protocol)["debug"] = answer


def _listen_to(protocol: Protocol) -> None:
    adapter = protocol.logger
    if getattr(adapter, "logger", None) is UNHEARD:
        return
    # A protocol without a connection has no adapter, or one of the learner's.
    if isinstance(adapter, logging.LoggerAdapter) and "websocket" in (
        adapter.extra or ()
    ):
        with lock:
            if _observers and adapter not in _adapters:
                end = End(protocol, adapter)
                adapter.log = end.log  # type: ignore[assignment, method-assign]
                _adapters.add(adapter)


class End:
    """One end of a connection, in this process.

    Attributes:
        id: the library's own; the other end has another.
        is_client: whether it asked, or was asked, for the connection.
        key: ``Sec-WebSocket-Key``: no two connections share it and both ends
            know it, unlike their addresses if there is a proxy between them
            (RFC 6455, 4.1).
        server: of a server's end, the server.
        address: what it is connected to, if that is known.
    """

    def __init__(
        self, protocol: Protocol, adapter: logging.LoggerAdapter[Any]
    ) -> None:
        self.id = protocol.id.int  # it takes less time to find than the UUID
        self.is_client = protocol.side is CLIENT
        self.key = ""
        self.server: Any = None
        self.address: Any = None
        self._protocol = protocol
        self._adapter = adapter
        self._websocket: Any = (adapter.extra or {})["websocket"]

    @property
    def is_open(self) -> bool:
        """Whether it is open now, in its own eyes."""
        return self._protocol.state is State.OPEN

    def log(
        self, level: int, message: Any, *args: Any, **options: Any
    ) -> None:
        """``log`` of its adapter while somebody observes."""
        if args and type(args[0]) is Frame and message in ("> %s", "< %s"):
            with lock:  # the same in less time, for there may be many
                self._get_to_know()
                for observer in _observers:
                    self._tell_frame(observer, args[0], message == "> %s")
        elif str(message).startswith(HEARD):
            with lock:
                self._get_to_know()
                for observer in _observers:
                    self._tell(observer, str(message), args)
        # And then what there would be if nobody did.
        if level > logging.DEBUG or vars(self._protocol)["debug"]:
            # A log that shows where it was called from shall not show this.
            options["stacklevel"] = options.get("stacklevel", 1) + 1
            adapter = self._adapter
            type(adapter).log(adapter, level, message, *args, **options)

    def _get_to_know(self) -> None:
        """Take up what it is known by, as soon as it is there."""
        if self.address and self.key and (self.is_client or self.server):
            return
        websocket = self._websocket
        if self.server is None:
            # A blocking server's connection is told after it began to read.
            self.server = getattr(websocket, "server", None)
        if self.address is None:
            with suppress(OSError):  # its socket is closed
                self.address = websocket.remote_address
        if not self.key and websocket.request is not None:
            headers = websocket.request.headers
            self.key = "".join(headers.get_all("Sec-WebSocket-Key")[-1:])

    def _tell(
        self, observer: Observer, message: str, args: tuple[Any, ...]
    ) -> None:
        """Tell what the library logs: a message and its arguments."""
        error = sys.exc_info()[1]
        if message in FAILURES:
            if error:
                observer.failed(self, message, error)
            return
        way, _, what = message.partition(" ")
        sent = way == ">"
        match what, args:
            case "%s", (Frame() as frame,):
                self._tell_frame(observer, frame, sent)
            case "%s: %s", (str(name), str(value)):
                if name.lower() == "sec-websocket-key":
                    self.key = value
                observer.header(self, name, value, sent)
            case "HTTP/1.1 %d %s", (int(status), str(phrase)):
                observer.response(self, status, phrase, sent)
            case "GET %s HTTP/1.1", (str(path),):
                observer.request(self, "GET", path, sent)
            case "%s %s %s", (str(method), str(path), _):
                observer.request(self, method, path, sent)
            case "connection is %s", (State.OPEN.name,):
                observer.opened(self)
            case "EOF", ():
                # It answers an end of TCP while it handles this.
                drained = isinstance(error, EOFError)
                observer.lost(self, drained, self._protocol.handshake_exc)

    def _tell_frame(
        self, observer: Observer, frame: Frame, sent: bool
    ) -> None:
        leaves = True
        if sent:
            if frame.opcode is CLOSE:
                self._notice_failure(observer)
            leaves = self._has_way_out()
        observer.frame(self, frame, sent, leaves)

    def _has_way_out(self) -> bool:
        transport = getattr(self._websocket, "transport", None)
        return transport is None or not transport.is_closing()

    def _notice_failure(self, observer: Observer) -> None:
        """Find out whether this CLOSE is sent because a handler failed.

        The library logs the exception when TCP has ended, and by then the
        block may be over. But it is at hand now: the library closes the
        connection on leaving its own ``with``, around the handler.
        """
        _, error, trace = sys.exc_info()
        if isinstance(error, Exception) and trace:
            caught_in = trace.tb_frame.f_globals.get("__name__", "")
            if re.fullmatch(r"websockets\.\w+\.server", caught_in):
                observer.failed(self, "connection handler failed", error)


def handler_of(server: Any) -> Callable[..., Any] | None:
    """The function given to ``serve()``."""
    try:
        # The library keeps the handler within a function of its own.
        variables = inspect.getclosurevars(server.handler).nonlocals
    except (AttributeError, TypeError, ValueError):
        return None
    return variables.get("handler")


def handler_run_by(coro: Any) -> Callable[..., Any] | None:
    """The handler that a task of an asyncio server is about to run."""
    # It runs that function of the library's own.
    return handler_of(getattr(connection_of(coro), "server", None))


def connection_of(coro: Any) -> Any:
    """The connection whose handler a task is about to run, or None."""
    frame = getattr(coro, "cr_frame", None)
    if frame is None or frame.f_globals.get("__name__") != (
        "websockets.asyncio.server"
    ):
        return None
    return frame.f_locals.get("connection")


def path_of(connection: Any) -> str:
    """What a client has asked for, if it has asked already."""
    return str(getattr(getattr(connection, "request", None), "path", ""))


def name_of(handler: Callable[..., Any]) -> str:
    """What a handler is called: as its function is, or else its class."""
    while isinstance(handler, partial):
        handler = handler.func
    return str(getattr(handler, "__name__", type(handler).__name__))


def refused_by_send(error: BaseException) -> list[Any]:
    """What ``send`` was given where this exception comes from it, if it does.

    Returns:
        the one message, or nothing. The exception does not bear it, but the
        variables of ``send`` do.
    """
    return [
        frame.f_locals["message"]
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_name == "send"
        and frame.f_globals.get("__name__", "").startswith("websockets.")
        and "message" in frame.f_locals
    ]
