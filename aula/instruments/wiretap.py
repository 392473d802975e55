"""Draws what the WebSocket connections of a block said to each other.

Each connection of the ``websockets`` library logs all that it sends and
receives, at DEBUG. A wiretap listens to that, finds the two ends of each
connection and draws one sequence diagram. An arrow stands where its sender
logged it, so that the picture does not depend on when the other end got round
to reading. What never left its sender has none, nor has a CLOSE that found
TCP ended.

The protocol is that of RFC 6455, https://www.rfc-editor.org/rfc/rfc6455.
"""

from __future__ import annotations

import inspect
import itertools
import logging
import re
import sys
import threading
from collections.abc import Hashable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import WeakSet

from websockets.exceptions import InvalidHeader, ProtocolError
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import CLIENT, SERVER, Protocol, State

from aula.display import columns, show

LONGEST = 50  # characters of a payload, a path or a close reason
LONGEST_LINE = 100  # characters of a header or an exception
MOST_BYTES = 16  # bytes of a binary payload
MOST_LINES = 60  # lines of a talk; of a longer one the middle is left out
LAST_LINES = 20  # of these, lines for its end
MOST_HEADERS = 18  # of a request or a response; less than LAST_LINES
ARROW_WIDTH = 75  # characters of a line over an arrow
NOTE_WIDTH = 30  # and in a note: Mermaid lets longer ones stick out

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
        "rejected": "rechazó la respuesta",
        "opening handshake failed": "falló el apretón de manos",
        "! no valid HTTP request": "no es una petición HTTP válida",
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
        "rejected": "rejected the response",
        "opening handshake failed": "opening handshake failed",
        "! no valid HTTP request": "not a valid HTTP request",
    },
}

# What the library logs together with an exception; keys of TEXT.
FAILURES = (
    "connection handler failed",
    "process_request failed",
    "process_response failed",
    "opening handshake failed",
    "! no valid HTTP request",
)
# What it logs just before each change of its state.
STATE = "= connection is %s"


class Wiretap:
    """Draw the WebSocket conversations of the block: ``with wiretap(): ...``

    Each client and each server has a lane; a server's bears the name of its
    handler. The diagram shows the handshake, each frame with the beginning
    of its payload, the close and the exception of a handler that failed. If
    the peer is another process, such as a browser, this end tells it all.

    What happens after the block is not drawn, and a handler may end after
    its client. To see how it does, wait a moment at the end of the block, or
    start the server in the block too.

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
            Protocol.debug = _Debug()

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

    def _hear(self, protocol: Protocol, message: str, args: tuple) -> None:
        order = next(self._order)
        if protocol.id not in self._ends:
            if message == STATE:
                return  # its next word tells whether it was open before
            self._ends[protocol.id] = _End(protocol, order)
        self._ends[protocol.id].hear(order, message, args)


# Listening. Loggers belong to the learner, who may have set their levels, put
# handlers on them, or passed one of their own (``logger=``). But the library
# puts a LoggerAdapter between each connection and its logger. There a wiretap
# listens, and nothing changes for those who listen behind it.

_lock = threading.RLock()
_wiretaps: list[Wiretap] = []
_adapters: WeakSet[logging.LoggerAdapter] = WeakSet()


def _unplug() -> None:
    del Protocol.debug
    for adapter in _adapters:
        del adapter.log
    _adapters.clear()


def _listen_to(protocol: Protocol) -> None:
    adapter = protocol.logger
    # A protocol without a connection has no adapter, or one of the learner's.
    if "websocket" in (getattr(adapter, "extra", None) or ()):
        with _lock:
            if _wiretaps and adapter not in _adapters:
                adapter.log = partial(_overhear, protocol, adapter)
                _adapters.add(adapter)


def _overhear(
    protocol: Protocol,
    adapter: logging.LoggerAdapter,
    level: int,
    message: Any,
    *args: Any,
    **options: Any,
) -> None:
    """``log`` of a connection's adapter while a wiretap runs."""
    if str(message).startswith(("> ", "< ", STATE, *FAILURES)):
        with _lock:
            for wiretap in _wiretaps:
                wiretap._hear(protocol, str(message), args)
    # And then what there would be without a wiretap.
    if level > logging.DEBUG or vars(protocol)["debug"]:
        # A log that shows where it was called from shall not show this.
        options["stacklevel"] = options.get("stacklevel", 1) + 1
        type(adapter).log(adapter, level, message, *args, **options)


class _Debug:
    """``Protocol.debug`` while a wiretap runs: yes.

    A connection asks its logger once, when it is made, whether DEBUG is on,
    and keeps the answer in this attribute, to look at before it logs. While
    a wiretap runs the answer is yes, for connections made earlier too; and
    each that looks is listened to from then on.
    """

    def __get__(self, protocol: Protocol | None, owner: type) -> Any:
        if protocol is None:
            return self
        _listen_to(protocol)
        return True

    def __set__(self, protocol: Protocol, answer: bool) -> None:
        vars(protocol)["debug"] = answer


# What was heard, connection by connection.


@dataclass
class _Message:
    """What one end sends at once: a request, a response or a frame.

    Attributes:
        has_left: of a frame that was sent, whether there was a way out; none
            is left after ``transport.abort()``, but the library logs on.
    """

    text: str
    order: int = field(compare=False)
    is_frame: bool = False
    headers: list[str] = field(default_factory=list, compare=False)
    has_left: bool = field(default=True, compare=False)

    @property
    def is_close(self) -> bool:
        return self.is_frame and self.text.startswith("CLOSE")


@dataclass
class _Failure:
    """An exception that the library logged: a key of TEXT, and the text."""

    what: str
    error: str
    order: float


class _End:
    """One end of a connection, as its log tells it.

    Attributes:
        began, ended: the order of its first word, and of the first about the
            end of TCP.
        sent, received: the messages, in order.
        failures: the exceptions.
        key: ``Sec-WebSocket-Key``: no two connections share it and both ends
            know it, unlike their addresses if there is a proxy between them
            (RFC 6455, 4.1).
        joined: whether the connection was open already at the first word.
        opened: whether it opened then, of which a server's end may be wrong.
        rejection: why a client did not take a 101 for an answer.
        is_drained: whether it read all there was until TCP ended, and no
            CLOSE: what it has not received then will not arrive.
        server: of a server's end, the server.
        address: of a client's end, what it is connected to.
    """

    def __init__(self, protocol: Protocol, order: int) -> None:
        self.side = protocol.side
        self.began = order
        self.ended: int | None = None
        self.sent: list[_Message] = []
        self.received: list[_Message] = []
        self.failures: list[_Failure] = []
        self.key = ""
        self.joined = protocol.state is State.OPEN
        self.opened = False
        self.rejection = ""
        self.is_drained = False
        self._protocol = protocol
        self._fragments = {">": Opcode.TEXT, "<": Opcode.TEXT}
        self._websocket = websocket = protocol.logger.extra["websocket"]
        self.server = None
        try:
            self.address = websocket.remote_address
        except OSError:  # its socket is closed
            self.address = None
        if websocket.request is not None:
            for key in websocket.request.headers.get_all("Sec-WebSocket-Key"):
                self.key = key

    def hear(self, order: int, message: str, args: tuple) -> None:
        """Take in what the library logs: a message and its arguments."""
        if self.server is None:
            # A blocking server's connection is told after it began to read.
            self.server = getattr(self._websocket, "server", None)
        if message in FAILURES:
            self._fail(message, sys.exc_info()[1], order)
            return
        way, _, what = message.partition(" ")
        messages = self.sent if way == ">" else self.received
        match what, args:
            case "%s", (Frame() as frame,):
                heard = _Message(self._read(frame, way), order, is_frame=True)
                heard.has_left = way == "<" or self._has_way_out()
                messages.append(heard)
                if way == ">" and heard.is_close:
                    self._notice_failure(order)
            case "%s: %s", (str(name), str(value)) if messages:
                headers = messages[-1].headers
                if len(headers) <= MOST_HEADERS:
                    cut = len(headers) == MOST_HEADERS
                    headers.append("…" if cut else _header(name, value))
                if name.lower() == "sec-websocket-key":
                    self.key = value
            case "HTTP/1.1 %d %s", (int(status), str(phrase)):
                text = f"{status:d} {_spell(phrase)}"
                messages.append(_Message(text, order))
            case "GET %s HTTP/1.1", (str(path),):
                messages.append(_Message(f"GET {_spell(path)}", order))
            case "%s %s %s", (str(method), str(path), _):
                text = f"{_spell(method)} {_spell(path)}"
                messages.append(_Message(text, order))
            case "connection is %s", (State.OPEN.name,):
                self.opened = True
            case "EOF", ():
                if self.ended is None:
                    self.ended = order
                # It answers an end of TCP while it handles this.
                self.is_drained |= isinstance(sys.exc_info()[1], EOFError)
                self._notice_rejection()

    def _read(self, frame: Frame, way: str) -> str:
        kind = frame.opcode
        if kind in (Opcode.TEXT, Opcode.BINARY):
            self._fragments[way] = kind
        elif kind is Opcode.CONT:
            kind = self._fragments[way]
        return _frame(frame, kind)

    def _has_way_out(self) -> bool:
        transport = getattr(self._websocket, "transport", None)
        return transport is None or not transport.is_closing()

    def _notice_rejection(self) -> None:
        """Find out whether TCP ends because the client rejects a 101."""
        error = self._protocol.handshake_exc
        answer = self.received[-1].text if self.received else ""
        if self.side is CLIENT and error and answer.startswith("101 "):
            self.rejection = _describe(error)

    def _notice_failure(self, order: int) -> None:
        """Find out whether this CLOSE is sent because a handler failed.

        The library logs the exception when TCP has ended, and by then the
        block may be over. But it is at hand now: the library closes the
        connection on leaving its own ``with``, around the handler.
        """
        _, error, trace = sys.exc_info()
        if isinstance(error, Exception) and trace:
            caught_in = trace.tb_frame.f_globals.get("__name__", "")
            if re.fullmatch(r"websockets\.\w+\.server", caught_in):
                before = order - 0.5  # it comes first
                self._fail("connection handler failed", error, before)

    def _fail(
        self, what: str, error: BaseException | None, order: float
    ) -> None:
        if error and all(what != failure.what for failure in self.failures):
            self.failures.append(_Failure(what, _describe(error), order))


@dataclass
class _Talk:
    """A connection: both its ends, or the one that is in this process."""

    client: _End | None
    server: _End | None

    @property
    def ends(self) -> list[_End]:
        return [end for end in (self.client, self.server) if end is not None]

    def messages(self) -> Iterator[tuple[bool, _Message]]:
        """Each message once, and whether it is the client's.

        It is not told whether a message arrives: at the end of the block it
        may be on its way. But that it will not may be known by then.
        """
        for is_clients, sender, receiver in (
            (True, self.client, self.server),
            (False, self.server, self.client),
        ):
            sent = sender.sent if sender else []
            received = receiver.received if receiver else []
            # TCP keeps the order, so the first to be received may have been
            # sent before the block, or all of them in another process.
            earlier = next(
                n
                for n in range(len(received) + 1)
                if received[n:] == sent[: len(received) - n]
            )
            arrived = len(received) - earlier
            for message in received[:earlier] + sent[:arrived]:
                yield is_clients, message
            is_deaf = receiver and (receiver.is_drained or receiver.rejection)
            for message in sent[arrived:]:
                if message.has_left and not (message.is_close and is_deaf):
                    yield is_clients, message


def _pair(ends: list[_End]) -> list[_Talk]:
    """The connections, in the order of their first words."""
    clients = {end.key or id(end): end for end in ends if end.side is CLIENT}
    talks = [
        _Talk(clients.pop(end.key, None), end)
        for end in ends
        if end.side is SERVER
    ]
    talks += [_Talk(client, None) for client in clients.values()]
    return sorted(talks, key=lambda talk: min(e.began for e in talk.ends))


# What is drawn of it.


@dataclass
class _Step:
    """A line of the text; in the diagram an arrow or a note.

    Attributes:
        lanes: of an arrow, from where and to where; of a note, over what.
    """

    order: float
    lanes: tuple[str, ...]
    text: str
    is_arrow: bool = False
    is_frame: bool = False
    headers: list[str] = field(default_factory=list)


def _converse(
    ends: list[_End], words: dict[str, str]
) -> tuple[dict[str, str], list[_Step]]:
    """The name of each lane, and what happened, in order."""
    talks = _pair(ends)
    servers: dict[Any, str] = {}
    lanes: dict[str, str] = {}
    pairs = []
    for number, talk in enumerate(talks, 1):
        server = talk.server.server if talk.server else talk.client.address
        client_lane = f"c{number}"
        server_lane = servers.setdefault(server, f"s{len(servers) + 1}")
        lanes[client_lane] = words["client"]
        lanes[server_lane] = _handler_name(server) or words["server"]
        pairs.append((client_lane, server_lane))
    for kind in "cs":
        _number_namesakes(lanes, kind)
    steps = [
        step
        for talk, pair in zip(talks, pairs, strict=True)
        for step in _steps(talk, pair, lanes, words)
    ]
    return lanes, sorted(steps, key=lambda step: step.order)


def _number_namesakes(lanes: dict[str, str], kind: str) -> None:
    names = [name for lane, name in lanes.items() if lane[0] == kind]
    numbers: dict[str, int] = {}
    for lane, name in lanes.items():
        if lane[0] == kind and names.count(name) > 1:
            numbers[name] = numbers.get(name, 0) + 1
            lanes[lane] = f"{name} {numbers[name]}"


def _handler_name(server: Any) -> str:
    """The name of the function given to ``serve()``, if it has one."""
    try:
        # The library keeps the handler within a function of its own.
        handler = inspect.getclosurevars(server.handler).nonlocals["handler"]
    except (AttributeError, KeyError, TypeError, ValueError):
        return ""
    while isinstance(handler, partial):
        handler = handler.func
    name = getattr(handler, "__name__", type(handler).__name__)
    return "" if name == "<lambda>" else name


def _steps(
    talk: _Talk,
    pair: tuple[str, str],
    lanes: dict[str, str],
    words: dict[str, str],
) -> Iterator[_Step]:
    """The steps of one connection; only those at once are in order."""
    client, server = pair
    rejection = talk.client.rejection if talk.client else ""
    is_open = any(end.joined for end in talk.ends) and not rejection
    is_closed = False
    messages = list(talk.messages())
    for is_clients, message in messages:
        yield _Step(
            message.order,
            pair if is_clients else (server, client),
            message.text,
            is_arrow=True,
            is_frame=message.is_frame,
            headers=message.headers,
        )
        is_closed |= message.is_close
        if not is_clients and message.text.startswith("101 "):
            # It is the client's turn: RFC 6455, 4.1.
            if rejection:
                text = f"{words['rejected']}: {rejection}"
                yield _Step(message.order, (client,), text)
            elif talk.client is None or talk.client.opened:
                is_open = True
                yield _Step(message.order, pair, "OPEN")
    whose = f" ({lanes[client]})" if "c2" in lanes else ""
    for failure in talk.server.failures if talk.server else []:
        text = f"{words[failure.what]}{whose}: {failure.error}"
        yield _Step(failure.order, (server,), text)
    ended = [end.ended for end in talk.ends if end.ended is not None]
    if ended:
        # RFC 6455, 7.1.5: 1006 is the code when no CLOSE was received.
        how = "dropped" if is_open and not is_closed else "closed"
        # Each end has its records of it; one note tells, after all else.
        last = max([min(ended), *(message.order for _, message in messages)])
        yield _Step(last, pair, words[how])


def _cut_out(
    steps: list[_Step], words: dict[str, str]
) -> tuple[list[_Step], str, list[_Step]]:
    """The beginning, the end, and how much is left out between them."""
    heights = [1 + len(step.headers) for step in steps]
    total = sum(heights)
    if total <= MOST_LINES:
        return steps, "", []
    first, last, frames, others = [], [], 0, 0
    for step, height, down_to in zip(
        steps, heights, itertools.accumulate(heights), strict=True
    ):
        if down_to <= MOST_LINES - LAST_LINES:
            first.append(step)
        elif down_to - height >= total - LAST_LINES:
            last.append(step)
        elif step.is_frame:
            frames += 1
        else:
            others += 1
    gap = words["left out"].format(frames=frames)
    if others:
        gap += "; " + words["other steps"].format(steps=others)
    return first, gap, last


def _draw_text(
    lanes: dict[str, str], steps: list[_Step], words: dict[str, str]
) -> str:
    first, gap, last = _cut_out(steps, words)
    rows = [(_who(step, lanes), step.text, step.headers) for step in first]
    if gap:
        rows.append(("…", gap, []))
    rows += [(_who(step, lanes), step.text, step.headers) for step in last]
    width = max(columns(who) for who, _, _ in rows)
    lines = []
    for who, text, headers in rows:
        lines.append(f"{who}{' ' * (width - columns(who))}  {text}")
        lines += [" " * (width + 4) + header for header in headers]
    return "\n".join(lines)


def _who(step: _Step, lanes: dict[str, str]) -> str:
    between = " → " if step.is_arrow else ", "
    return between.join(lanes[lane] for lane in step.lanes)


def _draw_diagram(
    lanes: dict[str, str], steps: list[_Step], words: dict[str, str]
) -> str:
    first, gap, last = _cut_out(steps, words)
    drawn = {lane for step in first + last for lane in step.lanes}
    names = {lane: name for lane, name in lanes.items() if lane in drawn}
    lines = ["sequenceDiagram", f"accTitle: {words['title']}"]
    for lane, name in names.items():
        lines.append(f"participant {lane} as {_escape(name)}")
    for step in first:
        lines += _draw_step(step, len(names))
    if gap:
        ends = list(names)
        text = _wrap(gap, NOTE_WIDTH)
        lines.append(f"Note over {ends[0]},{ends[-1]}: {text}")
    for step in last:
        lines += _draw_step(step, len(names))
    return "\n".join(lines)


def _draw_step(step: _Step, lanes: int) -> Iterator[str]:
    # A note over both ends would lie across the lanes between them.
    over = ",".join(step.lanes if lanes == 2 else step.lanes[:1])
    if step.is_arrow:
        text = _wrap(step.text, ARROW_WIDTH)
        yield f"{'->>'.join(step.lanes)}: {text}"
        notes = step.headers
    else:
        notes = [step.text]
    if notes:
        text = "<br/>".join(_wrap(note, NOTE_WIDTH) for note in notes)
        yield f"Note over {over}: {text}"


# Texts from the wire are data.


def _frame(frame: Frame, kind: Opcode) -> str:
    """A frame in one line; ``kind`` is TEXT or BINARY for a CONT too."""
    name, size = frame.opcode.name, len(frame.data)
    # No more than is shown, of which no character takes more than 4 bytes,
    # and a copy, because what was sent may change.
    data = bytes(frame.data[: 4 * (LONGEST + 1)])
    if frame.opcode is Opcode.CLOSE:
        return _close(data)
    if frame.opcode in (Opcode.PING, Opcode.PONG):
        # The library's own pings carry four random bytes.
        return name if size in (0, 4) else f"{name} {_quote(data)}"
    if not frame.fin or frame.opcode is Opcode.CONT:
        name += f" FIN={frame.fin:d}"  # RFC 6455, 5.4: 1 in the last one
    if kind is Opcode.BINARY:
        more = " …" if size > MOST_BYTES else ""
        payload = f" {data[:MOST_BYTES].hex(' ')}{more}" if size else ""
        return f"{name} ({size} bytes){payload}"
    if size > LONGEST:
        name += f" ({size} bytes)"
    return f"{name} {_quote(data)}"


def _close(data: bytes) -> str:
    try:
        close = Close.parse(data)
    except (ProtocolError, UnicodeDecodeError):
        return f"CLOSE {data.hex(' ')}"
    if not data:
        return "CLOSE"  # RFC 6455, 7.1.5: this reads as 1005, never sent
    code = str(Close(close.code, ""))  # with its meaning
    reason = f" {_quote(data[2:])}" if close.reason else ""
    return f"CLOSE {code}{reason}"


def _header(name: str, value: str) -> str:
    """A header in one line, without what is new in each run."""
    return _spell(f"{name}: {_steady(name, value)}", LONGEST_LINE)


def _steady(name: str, value: str) -> str:
    """A header's value without what is new in each run."""
    match name.lower():
        case "sec-websocket-key" | "sec-websocket-accept" | "date":
            value = "…"
        case "host" | "origin" | "location":
            value = re.sub(r":\d+", ":…", value)
        case "user-agent" | "server":
            value = re.sub(r"/[\w.]+", "/…", value)
    return value


def _describe(error: BaseException) -> str:
    """An exception in one line, without what is new in each run."""
    text = type(error).__name__
    with suppress(Exception):  # a __str__ may fail, too
        text = f"{text}: {error}".removesuffix(": ")
    if isinstance(error, InvalidHeader) and error.value:
        steady = _steady(error.name, error.value)
        text = text.removesuffix(error.value) + steady
    return _spell(text, LONGEST_LINE)


def _quote(data: bytes) -> str:
    """A text as Python writes it; a byte that is no UTF-8 is ``\\xff``."""
    text = data.decode(errors="surrogateescape")
    quote = "'" if '"' in text and "'" not in text else '"'
    return quote + _spell(text, special=quote + "\\") + quote


def _spell(text: str, longest: int = LONGEST, special: str = "") -> str:
    """A text in one line, cut off if long, with the invisible spelled out."""
    shown = ""
    for character in text:
        if character in special:
            piece = f"\\{character}"
        elif character.isprintable():
            piece = character
        elif "\udc80" <= character <= "\udcff":
            piece = f"\\x{ord(character) - 0xDC00:02x}"
        else:
            piece = character.encode("unicode_escape").decode()
        if len(shown) + len(piece) > longest:
            return shown + "…"
        shown += piece
    return shown


# What Mermaid obeys: entities and the ends of statements, tags, directives,
# formulas, half of what it puts for an entity itself, and the words that make
# it drop the last ";" of a line.
_OBEYED = re.compile("[#;&<%$ﬂ¶]|style|classDef")


def _escape(text: str) -> str:
    """A text for Mermaid to show and not to obey."""
    return _OBEYED.sub(
        lambda found: f"#{ord(found[0][0])};{found[0][1:]}", text
    )


def _wrap(text: str, width: int) -> str:
    """A text for Mermaid, in lines that end at spaces where they can."""
    lines = [""]
    for word in re.split("(?<= )", text):
        if lines[-1] and len(_escape(lines[-1] + word.rstrip())) > width:
            lines.append("")
        for character in word:
            if len(_escape(lines[-1] + character.rstrip())) > width:
                lines.append("")
            lines[-1] += character
    return "<br/>".join(map(_escape, lines))
