"""What was heard of each connection: its two ends paired, its steps in order.

A step stands where its sender logged it, so that the order does not depend on
when the other end got round to reading. What never left its sender is none,
nor is a CLOSE that found TCP ended.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from websockets.frames import Frame, Opcode

from aula.instruments import spelling
from aula.instruments.frames import (
    End,
    Observer,
    handler_of,
    lock,
    name_of,
)

MOST_BYTES = 4 * (spelling.LONGEST + 1)  # of a frame: 4 a character, at most
MESSAGES = (Opcode.TEXT, Opcode.BINARY)
MOST_HEADERS = 18  # of a request or a response


@dataclass
class Step:
    """Something that happened in a connection.

    Attributes:
        lanes: of what was sent, from where and to where; else who knows.
        what: ``"frame"``, or ``"line"`` for the first line of a request or
            a response; ``"open"``, ``"rejected"``, ``"closed"``,
            ``"dropped"`` (closed without a CLOSE); a failure of FAILURES.
        text: what was sent, or the exception.
        client: of a failure, the lane of its client.
    """

    order: int
    lanes: tuple[str, ...]
    what: str
    text: str = ""
    headers: list[str] = field(default_factory=list)
    client: str = ""

    @property
    def is_sent(self) -> bool:
        return self.what in ("frame", "line")


class Conversation(Observer):
    """Hears what connections say, and puts it in order."""

    def __init__(self) -> None:
        self._heard: dict[int, _Heard] = {}
        self._order = itertools.count()

    def read(self) -> tuple[dict[str, str], list[Step]]:
        """What has been heard so far.

        Returns:
            for each lane the name of its handler or ``""``; ``"c1"`` is the
            first client, ``"s1"`` the first server. And the steps.
        """
        with lock:
            return _converse(list(self._heard.values()))

    def request(self, end: End, method: str, path: str, sent: bool) -> None:
        self._add(
            end, sent, f"{spelling.spell(method)} {spelling.spell(path)}"
        )

    def response(self, end: End, status: int, phrase: str, sent: bool) -> None:
        self._add(end, sent, f"{status:d} {spelling.spell(phrase)}")

    def header(self, end: End, name: str, value: str, sent: bool) -> None:
        messages = self._of(end).messages(sent)
        if messages and len(messages[-1].headers) <= MOST_HEADERS:
            cut = len(messages[-1].headers) == MOST_HEADERS
            line = "…" if cut else spelling.header(name, value)
            messages[-1].headers = [*messages[-1].headers, line]

    def frame(self, end: End, frame: Frame, sent: bool, leaves: bool) -> None:
        heard = self._heard.get(end.id) or self._of(end)
        opcode, data = frame.opcode, frame.data
        if opcode in MESSAGES:
            heard.kinds[sent] = opcode
        size = len(data)
        # No more than is shown, and a copy, because what was sent may change.
        start = bytes(data if size <= MOST_BYTES else data[:MOST_BYTES])
        what = opcode, frame.fin, size, start, heard.kinds[sent]
        messages = heard.sent if sent else heard.received
        messages.append(_Message(what, next(self._order), leaves))

    def opened(self, end: End) -> None:
        # Its next word tells whether it was open before.
        if end.id in self._heard:
            self._heard[end.id].opened = True

    def failed(self, end: End, what: str, error: BaseException) -> None:
        failures = self._of(end).failures
        if all(what != failure.what for failure in failures):
            failures.append(
                _Failure(what, spelling.describe(error), next(self._order))
            )

    def lost(
        self, end: End, drained: bool, rejection: Exception | None
    ) -> None:
        heard = self._of(end)
        if heard.ended is None:
            heard.ended = next(self._order)
        heard.is_drained |= drained
        answer = heard.received[-1].text if heard.received else ""
        if end.is_client and rejection and answer.startswith("101 "):
            heard.rejection = spelling.describe(rejection)

    def _of(self, end: End) -> _Heard:
        heard = self._heard.get(end.id)
        if heard is None:
            heard = _Heard(end, end.is_open, next(self._order))
            self._heard[end.id] = heard
        return heard

    def _add(self, end: End, sent: bool, text: str) -> None:
        messages = self._of(end).messages(sent)
        messages.append(_Message(text, next(self._order)))


# A frame's opcode, FIN, size and first bytes; and what it is the frame of.
_Frame = tuple[Opcode, bool, int, bytes, Opcode]


@dataclass(slots=True)
class _Message:
    """What one end sends at once: a request, a response or a frame.

    A frame is put in words when it is read, and not while others wait.
    """

    what: str | _Frame
    order: int = field(compare=False)
    has_left: bool = field(default=True, compare=False)
    headers: Sequence[str] = field(default=(), compare=False)

    @property
    def is_frame(self) -> bool:
        return not isinstance(self.what, str)

    @property
    def is_close(self) -> bool:
        return self.what[0] is Opcode.CLOSE

    @property
    def text(self) -> str:
        what = self.what
        return what if isinstance(what, str) else spelling.frame(*what)


@dataclass
class _Failure:
    """An exception that the library logged."""

    what: str
    error: str
    order: int


@dataclass
class _Heard:
    """What was heard of one end of a connection.

    Attributes:
        joined: whether the connection was open already at the first word.
        began, ended: the order of the first word, and of the first about the
            end of TCP.
        opened: whether the connection opened then, in this end's eyes.
        rejection: why a client did not take a 101 for an answer.
        is_drained: whether it read all there was until TCP ended.
        kinds: what the latest message was of that it sent and received.
    """

    end: End
    joined: bool
    began: int
    ended: int | None = None
    sent: list[_Message] = field(default_factory=list)
    received: list[_Message] = field(default_factory=list)
    failures: list[_Failure] = field(default_factory=list)
    opened: bool = False
    rejection: str = ""
    is_drained: bool = False
    kinds: dict[bool, Opcode] = field(
        default_factory=lambda: {True: Opcode.TEXT, False: Opcode.TEXT}
    )

    def messages(self, sent: bool) -> list[_Message]:
        return self.sent if sent else self.received


@dataclass
class _Talk:
    """A connection: both its ends, or the one that is in this process."""

    client: _Heard | None
    server: _Heard | None

    @property
    def ends(self) -> list[_Heard]:
        return [end for end in (self.client, self.server) if end is not None]

    @property
    def peer(self) -> Any:
        """The server, or the address of one in another process."""
        if self.server:
            return self.server.end.server
        return self.client.end.address if self.client else None

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


def _pair(ends: list[_Heard]) -> list[_Talk]:
    """The connections, in the order of their first words."""
    clients: dict[str | int, _Heard] = {
        one.end.key or id(one): one for one in ends if one.end.is_client
    }
    talks = [
        _Talk(clients.pop(one.end.key, None), one)
        for one in ends
        if not one.end.is_client
    ]
    talks += [_Talk(client, None) for client in clients.values()]
    return sorted(talks, key=lambda talk: min(e.began for e in talk.ends))


def _converse(ends: list[_Heard]) -> tuple[dict[str, str], list[Step]]:
    """The lanes, and what happened, in order."""
    servers: dict[Any, str] = {}
    lanes: dict[str, str] = {}
    steps: list[Step] = []
    for number, talk in enumerate(_pair(ends), 1):
        client = f"c{number}"
        server = servers.setdefault(talk.peer, f"s{len(servers) + 1}")
        lanes[client] = ""
        lanes[server] = _handler_name(talk.peer)
        steps += _steps(talk, client, server)
    return lanes, sorted(steps, key=lambda step: step.order)


def _handler_name(server: Any) -> str:
    """The name of the function given to ``serve()``, if it has one."""
    handler = handler_of(server)
    name = "" if handler is None else name_of(handler)
    return "" if name == "<lambda>" else spelling.spell(name)


def _steps(talk: _Talk, client: str, server: str) -> Iterator[Step]:
    """The steps of one connection; only those at once are in order."""
    pair = client, server
    rejection = talk.client.rejection if talk.client else ""
    is_open = any(end.joined for end in talk.ends) and not rejection
    is_closed = False
    messages = list(talk.messages())
    for is_clients, message in messages:
        yield Step(
            message.order,
            pair if is_clients else (server, client),
            "frame" if message.is_frame else "line",
            message.text,
            [*message.headers],
        )
        is_closed |= message.is_close
        if not is_clients and message.text.startswith("101 "):
            # It is the client's turn: RFC 6455, 4.1.
            if rejection:
                yield Step(message.order, (client,), "rejected", rejection)
            elif talk.client is None or talk.client.opened:
                is_open = True
                yield Step(message.order, pair, "open")
    for failure in talk.server.failures if talk.server else []:
        yield Step(
            failure.order,
            (server,),
            failure.what,
            failure.error,
            client=client,
        )
    ended = [end.ended for end in talk.ends if end.ended is not None]
    if ended:
        # RFC 6455, 7.1.5: 1006 is the code when no CLOSE was received.
        how = "dropped" if is_open and not is_closed else "closed"
        # Each end has its records of it; one note tells, after all else.
        last = max([min(ended), *(message.order for _, message in messages)])
        yield Step(last, pair, how)
