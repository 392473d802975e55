"""Draws what the WebSocket connections of a block said to each other.

The ``websockets`` library logs all that a connection sends and receives, at
DEBUG, on the loggers ``websockets.server`` and ``websockets.client``. A
wiretap listens to these records, finds the two ends of each connection and
draws one sequence diagram. An arrow stands where its sender logged it, so
that the picture does not depend on when the other end got round to reading.

The protocol is that of RFC 6455, https://www.rfc-editor.org/rfc/rfc6455.
"""

from __future__ import annotations

import inspect
import itertools
import logging
import re
import sys
import threading
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import ref

from websockets.exceptions import ProtocolError
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import CLIENT, SERVER, Protocol

from aula.display import show
from aula.timeline import _columns

LONGEST = 50  # characters of a payload, a path or a close reason
LONGEST_LINE = 90  # characters of a header or an exception
MOST_BYTES = 16  # bytes of a binary payload
MOST_LINES = 60  # lines of a talk; of a longer one the middle is left out
LAST_LINES = 20  # of these, lines for its end

TEXT = {
    "es": {
        "title": "Conversación por WebSocket",
        "client": "cliente",
        "server": "servidor",
        "closed": "conexión TCP cerrada",
        "dropped": "conexión TCP cerrada sin CLOSE: código 1006",
        "left out": "tramas omitidas: {frames}",
        "other steps": "otros pasos omitidos: {steps}",
        "silence": "En este bloque no habló ninguna conexión WebSocket.",
        "connection handler failed": "falló el manejador",
        "process_request failed": "falló process_request",
        "process_response failed": "falló process_response",
        "opening handshake failed": "falló el apretón de manos",
        "no valid HTTP request": "no es una petición HTTP válida",
    },
    "en": {
        "title": "Conversation over WebSocket",
        "client": "client",
        "server": "server",
        "closed": "TCP connection closed",
        "dropped": "TCP connection closed without a CLOSE: code 1006",
        "left out": "frames left out: {frames}",
        "other steps": "other steps left out: {steps}",
        "silence": "No WebSocket connection spoke in this block.",
        "connection handler failed": "connection handler failed",
        "process_request failed": "process_request failed",
        "process_response failed": "process_response failed",
        "opening handshake failed": "opening handshake failed",
        "no valid HTTP request": "not a valid HTTP request",
    },
}

# How the library's messages end. How they begin is up to the LoggerAdapter
# that a learner may have put in between.
_ON_THE_WIRE = re.compile(
    r"([<>]) (%s|GET %s HTTP/1\.1|%s %s %s|HTTP/1\.1 %d %s|%s: %s|EOF)$"
)
_WENT_WRONG = re.compile(
    r"(connection handler|process_request|process_response|opening handshake)"
    r" failed$|no valid HTTP request$"
)


class Wiretap:
    """Draw the WebSocket conversations of the block: ``with wiretap(): ...``

    Each client and each server has a lane; a server's bears the name of its
    handler. The diagram shows the handshake, each frame with the beginning
    of its payload, the close and the exception of a handler that failed. Of
    a peer in another process, such as a browser, this end tells.

    What happens after the block is not drawn, and a handler outlives its
    client: to see how it ends, wait a moment before the block does.

    Arguments:
        headers: whether to show the headers of the handshake. What is new in
            each run (keys, dates, ports, versions) becomes ``…``.

    A wiretap may be used again and then starts afresh.
    """

    language = "en"

    def __init__(self, *, headers: bool = False) -> None:
        self._headers = headers
        self._ends: dict[Hashable, _End] = {}
        self._order = itertools.count()

    def __enter__(self) -> Wiretap:
        self.start()
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self.stop()
        show(self.bundle())

    def start(self) -> None:
        """Begin to listen.

        Raises:
            RuntimeError: if it is listening already.
        """
        with _lock:
            if self in _wiretaps:
                raise RuntimeError("this wiretap is listening already")
            self._ends = {}
            _wiretaps.append(self)
            if len(_wiretaps) == 1:
                _plug_in()

    def stop(self) -> None:
        """Stop listening. Does nothing if it has stopped already."""
        with _lock:
            if self in _wiretaps:
                _wiretaps.remove(self)
                if not _wiretaps:
                    _unplug()

    def bundle(self) -> dict[str, str]:
        """Draw what has been heard so far.

        Returns:
            data by MIME type: a diagram, ``text/vnd.mermaid``, and the same
            in words, ``text/plain``; the words alone if nobody spoke.
        """
        words = TEXT[self.language]
        with _lock:
            lanes, steps = _converse(list(self._ends.values()), words)
        if not steps:
            return {"text/plain": words["silence"]}
        if not self._headers:
            for step in steps:
                step.headers = []
        return {
            "text/plain": _draw_text(lanes, steps, words),
            "text/vnd.mermaid": _draw_diagram(lanes, steps, words),
        }

    def _hear(self, protocol: Protocol, record: logging.LogRecord) -> None:
        if protocol.id not in self._ends:
            self._ends[protocol.id] = _End(protocol)
        self._ends[protocol.id].hear(next(self._order), record)


# Listening. A logger speaks of frames only if it is enabled for DEBUG, and
# then it does so to every handler that the learner has configured. Its level
# and its handlers are no place to change that: other loggers inherit them.
# So, while a wiretap runs, a logger has two methods of its own in place of
# its class's, and all that the learner may configure stays as it is.

_lock = threading.RLock()
_wiretaps: list[Wiretap] = []
_loggers: list[logging.Logger] = []
_asking = threading.local()


def _plug_in() -> None:
    for name in ("websockets.server", "websockets.client"):
        _listen_to(logging.getLogger(name))
    Protocol.debug = _Debug()


def _unplug() -> None:
    del Protocol.debug
    while _loggers:
        logger = _loggers.pop()
        del logger.isEnabledFor, logger.handle


def _listen_to(logger: Any) -> None:
    while isinstance(logger, logging.LoggerAdapter):
        logger = logger.logger
    if isinstance(logger, logging.Logger) and logger not in _loggers:
        with _lock:
            if _wiretaps and logger not in _loggers:
                _loggers.append(logger)
                logger.isEnabledFor = lambda level: True
                logger.handle = partial(_handle, logger)


def _handle(logger: logging.Logger, record: logging.LogRecord) -> None:
    """What a logger does with a record while a wiretap runs."""
    protocol = _speaker(record)
    if protocol is not None:
        with _lock:
            for wiretap in _wiretaps:
                wiretap._hear(protocol, record)
    # From here on, as if there were no wiretap.
    kind = type(logger)
    if kind.isEnabledFor(logger, record.levelno):
        kind.handle(logger, record)


def _speaker(record: logging.LogRecord) -> Protocol | None:
    """The end of a connection that a record is about."""
    websocket = getattr(record, "websocket", None)
    if websocket is not None:
        return getattr(websocket, "protocol", None)
    # A LoggerAdapter of the learner's own may drop the library's extras.
    if record.levelno == logging.DEBUG and hasattr(_asking, "protocol"):
        return _asking.protocol()
    return None


class _Debug:
    """``Protocol.debug`` while a wiretap runs: yes.

    A connection asks its logger once, when it is made, whether DEBUG is on,
    and keeps the answer in this attribute, to look at before it logs. While
    a wiretap runs the answer is yes, for connections made earlier too. This
    is also where the loggers become known that a learner passes (``logger=``).
    """

    def __get__(self, protocol: Protocol | None, owner: type) -> Any:
        if protocol is None:
            return self
        _listen_to(protocol.logger)
        _asking.protocol = ref(protocol)
        return True

    def __set__(self, protocol: Protocol, answer: bool) -> None:
        vars(protocol)["debug"] = answer


# What was heard, connection by connection.


@dataclass
class _Message:
    """What one end sends at once: a request, a response or a frame."""

    text: str
    order: int = field(compare=False)
    is_frame: bool = field(default=False, compare=False)
    headers: list[str] = field(default_factory=list, compare=False)


@dataclass
class _Failure:
    """An exception that the library logged: a key of TEXT, and the text."""

    what: str
    error: str
    order: tuple[int, int]


class _End:
    """One end of a connection, as its records tell it.

    Attributes:
        sent, received: the messages, in the order of their records.
        failures: the exceptions.
        ended: the order of the first record of the end of TCP.
        key: ``Sec-WebSocket-Key``: no two connections share it and both ends
            know it, unlike their addresses behind a proxy (RFC 6455, 4.1).
        server: a server's end: the server. None otherwise.
        address: a client's end: what it is connected to.
    """

    def __init__(self, protocol: Protocol) -> None:
        self.side = protocol.side
        self.sent: list[_Message] = []
        self.received: list[_Message] = []
        self.failures: list[_Failure] = []
        self.ended: int | None = None
        self.key = ""
        self._fragments = {">": Opcode.TEXT, "<": Opcode.TEXT}
        extra = getattr(protocol.logger, "extra", None) or {}
        websocket = extra.get("websocket")
        self.server = getattr(websocket, "server", None)
        try:
            self.address = getattr(websocket, "remote_address", None)
        except OSError:  # its socket is closed
            self.address = None
        request = getattr(websocket, "request", None)
        if request is not None:
            for key in request.headers.get_all("Sec-WebSocket-Key"):
                self.key = key

    @property
    def began(self) -> float:
        """The order of the first thing it tells; infinite if none."""
        firsts = [m[0].order for m in (self.sent, self.received) if m]
        firsts += [failure.order[0] for failure in self.failures]
        if self.ended is not None:
            firsts.append(self.ended)
        return min(firsts, default=float("inf"))

    def hear(self, order: int, record: logging.LogRecord) -> None:
        """Take in a record."""
        if found := _ON_THE_WIRE.search(str(record.msg)):
            self._hear_wire(order, *found.groups(), record.args)
        elif found := _WENT_WRONG.search(str(record.msg)):
            if record.exc_info:
                self._fail(found[0], record.exc_info[1], (order, 0))

    def _hear_wire(self, order: int, way: str, what: str, args: Any) -> None:
        messages = self.sent if way == ">" else self.received
        match what:
            case "%s":
                if args and isinstance(args[0], Frame):
                    text = self._read(way, args[0])
                    messages.append(_Message(text, order, is_frame=True))
                    if way == ">" and args[0].opcode is Opcode.CLOSE:
                        self._notice_failure(order)
            case "%s: %s":
                name, value = args
                if messages:
                    messages[-1].headers.append(_header(name, value))
                if name.lower() == "sec-websocket-key":
                    self.key = value
            case "HTTP/1.1 %d %s":
                status, phrase = args
                messages.append(_Message(f"{status} {_spell(phrase)}", order))
            case "GET %s HTTP/1.1":
                messages.append(_Message(f"GET {_spell(args[0])}", order))
            case "%s %s %s":
                method, path, _ = args
                text = f"{_spell(method)} {_spell(path)}"
                messages.append(_Message(text, order))
            case "EOF":
                if self.ended is None:
                    self.ended = order

    def _read(self, way: str, frame: Frame) -> str:
        kind = frame.opcode
        if kind in (Opcode.TEXT, Opcode.BINARY):
            self._fragments[way] = kind
        elif kind is Opcode.CONT:
            kind = self._fragments[way]
        return _frame(frame, kind)

    def _notice_failure(self, order: int) -> None:
        """Find out if this CLOSE is sent because a handler failed.

        The library logs the exception when TCP has ended, which may be when
        the block is over. But it is at hand now: the library closes the
        connection on the way out of its own ``with``.
        """
        error = sys.exc_info()[1]
        if self.side is SERVER and isinstance(error, Exception):
            module = error.__traceback__.tb_frame.f_globals.get("__name__")
            if re.fullmatch(r"websockets\.\w+\.server", str(module)):
                self._fail("connection handler failed", error, (order, -1))

    def _fail(
        self, what: str, error: BaseException, order: tuple[int, int]
    ) -> None:
        if all(what != failure.what for failure in self.failures):
            text = f"{type(error).__name__}: {error}".removesuffix(": ")
            text = _spell(text, LONGEST_LINE)
            self.failures.append(_Failure(what, text, order))


@dataclass
class _Talk:
    """A connection: both its ends, or the one that is in this process."""

    client: _End | None
    server: _End | None

    @property
    def ends(self) -> list[_End]:
        return [end for end in (self.client, self.server) if end is not None]

    @property
    def began(self) -> float:
        return min(end.began for end in self.ends)

    def messages(self) -> Iterator[tuple[bool, _Message]]:
        """Each message once, and whether the client sent it."""
        for sender, receiver in (
            (self.client, self.server),
            (self.server, self.client),
        ):
            sent = sender.sent if sender else []
            received = receiver.received if receiver else []
            # TCP keeps order. Those received first may have been sent before
            # the block, and all of them by a peer in another process.
            early = next(
                n
                for n in range(len(received) + 1)
                if received[n:] == sent[: len(received) - n]
            )
            for message in itertools.chain(received[:early], sent):
                yield sender is self.client, message


@dataclass
class _Step:
    """A line of the text, an arrow or a note of the diagram.

    Attributes:
        lanes: of an arrow, from where and to where; else those it concerns.
    """

    order: tuple[int, int]
    lanes: tuple[str, ...]
    text: str
    is_arrow: bool = False
    is_frame: bool = False
    headers: list[str] = field(default_factory=list)


def _pair(ends: list[_End]) -> Iterator[_Talk]:
    clients = {e.key or id(e): e for e in ends if e.side is CLIENT}
    for end in ends:
        if end.side is SERVER:
            yield _Talk(clients.pop(end.key, None), end)
    for end in clients.values():
        yield _Talk(end, None)


def _converse(
    ends: list[_End], words: dict[str, str]
) -> tuple[dict[str, str], list[_Step]]:
    """The name of each lane, and what happened, in order."""
    talks = [talk for talk in _pair(ends) if talk.began < float("inf")]
    talks.sort(key=lambda talk: talk.began)
    lanes, pairs = _name_lanes(talks, words)
    steps = [
        step
        for talk, (client, server) in zip(talks, pairs, strict=True)
        for step in _steps(talk, client, server, lanes, words)
    ]
    return lanes, sorted(steps, key=lambda step: step.order)


def _name_lanes(
    talks: list[_Talk], words: dict[str, str]
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The name of each lane, and the client's and server's of each talk."""
    # A client whose server said nothing may have the server of another.
    known = {
        talk.client.address: talk.server.server
        for talk in talks
        if talk.client and talk.server
    }
    numbers: dict[Any, int] = {}
    lanes: dict[str, str] = {}
    pairs = []
    for talk in talks:
        if talk.server:
            server = talk.server.server
        else:
            server = known.get(talk.client.address, talk.client.address)
        number = numbers.setdefault(server, len(numbers) + 1)
        pair = f"c{len(pairs) + 1}", f"s{number}"
        pairs.append(pair)
        lanes[pair[0]] = words["client"]
        lanes[pair[1]] = _handler_name(server) or words["server"]
    for lane, name in list(lanes.items()):
        twins = [n for ln, n in lanes.items() if ln[0] == lane[0]]
    return lanes, pairs
