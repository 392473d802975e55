"""Judges the exercises of lesson 06.

The bytes that answers are given come from the library, as in the lesson: from
its clients, or from its protocols without I/O.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from aula.exercises.exercise import Answer, Right, Wrong, exercise
from aula.exercises.prediction import Program, refuse_other
from aula.judges.mistakes import (
    NO_MEMBER,
    NO_XOR,
    equal,
    refuse_none,
    uses,
)


def _open_ends() -> tuple[ServerProtocol, ClientProtocol]:
    server = ServerProtocol(state=State.OPEN)
    client = ClientProtocol(parse_uri("ws://cafe"), state=State.OPEN)
    return server, client


def _frame(end: Protocol, send: str, *args: Any, **options: Any) -> bytes:
    """The bytes of the frame that ``send`` makes an end send."""
    getattr(end, f"send_{send}")(*args, **options)
    return bytes(end.data_to_send()[0])


@exercise("06.1", answer="function", parameters=1, picture=None)
async def read_header(answer: Answer) -> Right:
    server, client = _open_ends()
    cases = [
        (_frame(server, "text", b"hola"), (1, False, 4)),
        (_frame(client, "text", b"hola"), (1, True, 4)),
        (_frame(client, "ping", b""), (9, True, 0)),
        (_frame(server, "pong", b""), (10, False, 0)),
        (_frame(server, "text", b"ho", fin=False), (1, False, 2)),
        (_frame(server, "continuation", b"la", fin=True), (0, False, 2)),
        (_frame(server, "text", b"a" * 125), (1, False, 125)),
        (_frame(server, "binary", bytes(300)), (2, False, 300)),
        (_frame(client, "text", b"a" * 126), (1, True, 126)),
        (_frame(server, "text", b"a" * 127), (1, False, 127)),
        (_frame(client, "binary", bytes(70_000)), (2, True, 70_000)),
        _compressed(),
    ]
    for frame, expected in cases:
        _judge_header(answer, frame, expected)
    return Right(count=len(cases))


def _compressed() -> tuple[bytes, tuple[int, bool, int]]:
    """A frame in which one of the reserved bits is 1."""
    deflate = PerMessageDeflate(True, True, 15, 15)
    text = Frame(Opcode.TEXT, b"latte " * 10)
    frame = text.serialize(mask=False, extensions=[deflate])
    return frame, (1, False, len(frame) - 2)


def _judge_header(
    answer: Answer, frame: bytes, expected: tuple[int, bool, int]
) -> None:
    """Judge what is read in one frame."""
    first = frame[:12].hex(" ") + (" …" if len(frame) > 12 else "")
    both: dict[str, Any] = {"expected": expected, "shown": f"`{first}`"}
    try:
        seen = answer(frame)
    except ValueError as error:
        # It has been right about opcodes of one decimal digit.
        if expected[0] > 9:
            raise Wrong("hex-digit", seen=error, **both) from None
        raise
    refuse_none(seen)
    both["seen"] = seen
    if not isinstance(seen, tuple | list) or len(seen) != 3:
        raise Wrong("three-values", **both)
    opcode, masked, length = seen
    if opcode != expected[0]:
        if opcode == f"{expected[0]:x}":
            raise Wrong("hex-digit", **both)
        if isinstance(opcode, str):
            raise Wrong("opcode-name", **both)
        if opcode == frame[0] and frame[0] & 0x80:
            raise Wrong("opcode-with-fin", **both)
        if frame[0] & 0x70 and opcode == frame[0] & 0x7F:
            raise Wrong("reserved-bits", **both)
        if opcode in (frame[0] - 0x80, frame[0] ^ 0x80):
            raise Wrong("fin-assumed", **both)
        raise Wrong("other-opcode", **both)
    if masked is False and frame[1] == 0x80 and _is_masked(answer, 0x81):
        raise Wrong("mask-alone", **both)
    if masked is False and expected[1] and not _is_ever_masked(answer):
        raise Wrong("never-masked", **both)
    if isinstance(masked, str) or bool(masked) != expected[1]:
        raise Wrong("mask-bit", **both)
    if masked != expected[1]:
        raise Wrong("mask-number", **both, masked=masked)
    if length != expected[2]:
        _refuse_length(frame, length, expected[2], both)


def _is_masked(answer: Answer, *start: int) -> bool:
    """Whether an answer says so of a short frame with this second byte."""
    with suppress(Exception):
        return bool(answer(bytes([0x81, *start]) + bytes(20))[1])
    return False


def _is_ever_masked(answer: Answer) -> bool:
    """Whether any single bit of a header makes an answer say masked."""
    bits = [1 << n for n in range(8)]
    for start in [(bit, 0) for bit in bits] + [(0, bit) for bit in bits]:
        # It may take a frame that no end sends for an error.
        with suppress(Exception):
            if answer(bytes(start) + bytes(20))[1]:
                return True
    return False


def _refuse_length(
    frame: bytes, length: Any, expected: int, both: dict[str, Any]
) -> None:
    """Refuse a length that is not the payload's."""
    short = frame[1] & 0x7F
    if length == frame[1] and frame[1] & 0x80:
        raise Wrong("length-with-mask", **both)
    if length == len(frame):
        raise Wrong("whole-frame", **both)
    if length in (len(frame) - 2, len(frame) - 6):
        raise Wrong("rest-counted", **both)
    if not isinstance(length, int):
        raise Wrong("length-type", **both, type=type(length).__name__)
    size = {126: 2, 127: 8}.get(short, 0)
    if size and length == short + expected:
        raise Wrong("announcement-added", **both, short=short)
    if size and length in (
        sum(frame[2 : 2 + size]),
        short + sum(frame[2 : 2 + size]),
    ):
        raise Wrong("bytes-added", **both)
    of_eight = int.from_bytes(frame[2:10], "big")
    if size == 2 and frame[2:4] == b"\x00\x7f" and length == of_eight:
        raise Wrong("two-ifs", **both)
    if size == 8 and length == int.from_bytes(frame[2:4], "big"):
        raise Wrong("longest-length", **both)
    if size and length == short:
        raise Wrong("long-length", **both, short=short)
    if (
        size
        and frame[1] & 0x80
        and length == int.from_bytes(frame[6 : 6 + size])
    ):
        raise Wrong("key-skipped", **both)
    for start in range(3, 2 + size):
        if length == int.from_bytes(frame[start : 2 + size], "big"):
            raise Wrong("bytes-skipped", **both, size=size, number=start)
    for end in range(3, 2 + size):
        if length == int.from_bytes(frame[2:end], "big"):
            raise Wrong(
                "bytes-missing", **both, size=size, count=end - 2, number=end
            )
    if size and length == int.from_bytes(frame[2 : 2 + size], "little"):
        raise Wrong("byte-order", **both)
    raise Wrong("other-length", **both)


@exercise("06.2", answer="prediction", picture=None)
async def first_bytes(answer: Any, program: Program) -> Right:
    await program.run()
    if answer == ["82", "81", "89", "80", "80"]:
        equal(answer, program.result, "fin-always")
    if answer in (
        ["82", "01", "89", "01", "81"],
        ["82", "01", "89", "00", "81"],
    ):
        equal(answer, program.result, "type-repeated")
    if answer == ["82", "01", "09", "00", "80"]:
        equal(answer, program.result, "control-whole")
    if answer == ["82", "01", "8a", "00", "80"]:
        equal(answer, program.result, "pong")
    if isinstance(answer, list):
        _refuse_form(answer, program.result)
    refuse_other(answer, program.result)
    return Right()


def _refuse_form(answer: list[Any], happened: Any) -> None:
    """Refuse what is no pair of digits, or has each of them wrong."""
    if not all(
        isinstance(byte, str) and re.fullmatch("[0-9a-fA-F]{2}", byte)
        for byte in answer
    ):
        equal(answer, happened, "two-digits")
    if answer == ["28", "10", "98", "00", "08"]:
        equal(answer, happened, "digits-swapped")
    if answer == ["02", "81", "09", "80", "00"]:
        equal(answer, happened, "fin-reversed")
    if answer == ["12", "01", "19", "00", "10"]:
        equal(answer, happened, "fin-as-one")


@exercise("06.3", answer="function", parameters=1, picture=None)
async def unmask(answer: Answer) -> Right:
    _, client = _open_ends()
    texts = ["hola", "latte 2.50", "café y mañana ☕", "", "a" * 125, " té\n"]
    frames = [_distinct_frame(client, text.encode()) for text in texts]
    frames.append(_alike_frame())
    for frame in frames:
        payload = _xor(frame[6:], frame[2:6])
        try:
            seen = answer(frame)
        except IndexError as error:
            if len(payload) <= 4:
                raise
            raise Wrong("key-index", seen=error) from None
        except Exception as error:
            if NO_XOR in f"{error}":
                raise Wrong("xor-of-bytes", seen=error) from None
            if not payload:
                raise Wrong("empty-payload", seen=error) from None
            raise
        _judge_unmasked(answer, frame, payload, seen)
    return Right(count=len(frames))


def _distinct_frame(client: ClientProtocol, payload: bytes) -> bytes:
    """A text frame whose key shows a mistake: four bytes, no two alike."""
    while True:
        frame = _frame(client, "text", payload)
        key = frame[2:6]
        if len(set(key)) == 4 and 0 not in key:
            return frame


def _alike_frame() -> bytes:
    """A binary frame whose masked bytes are alike, and whose last are 0."""
    key = b"\x37\xfa\x21\x3d"
    hidden = b"\x55" * 6 + key[2:]
    return bytes([0x82, 0x80 | len(hidden)]) + key + hidden


def _judge_unmasked(
    answer: Answer, frame: bytes, payload: bytes, seen: Any
) -> None:
    """Judge what was read in one frame."""
    both = {"expected": payload, "seen": seen}
    if seen is None and not payload:
        raise Wrong("empty-payload", **both)
    refuse_none(seen)
    if isinstance(seen, str):
        raise Wrong("text", **both)
    if not isinstance(seen, bytes | bytearray | memoryview):
        raise Wrong("list", **both)
    if seen == payload:
        return
    if uses(answer, "key", "hidden"):
        raise Wrong("lesson-key", **both)
    key, hidden = frame[2:6], frame[6:]
    if len(seen) and not any(seen):
        raise Wrong("bytes-of-number", **both)
    if payload and seen == _xor(hidden, key[2:] + key[:2]):
        raise Wrong("index-from-frame", **both)
    if payload and seen == _xor(hidden, key[1:] + key[:1]):
        raise Wrong("index-from-one", **both)
    if payload and bytes(seen) in (
        bytes(byte & key[n % 4] for n, byte in enumerate(hidden)),
        bytes(byte | key[n % 4] for n, byte in enumerate(hidden)),
    ):
        raise Wrong("not-xor", **both)
    if seen == hidden:
        raise Wrong("still-masked", **both)
    if seen == payload.decode("latin-1").encode():
        raise Wrong("through-text", **both)
    if seen in (payload.rstrip(b"\x00"), payload.replace(b"\x00", b"")):
        raise Wrong("zeros-lost", **both)
    if seen in (payload.strip(), payload.rstrip()):
        raise Wrong("blanks-lost", **both)
    if seen == payload[: len(payload) // 4 * 4]:
        raise Wrong("last-bytes-lost", **both)
    places = map(hidden.index, hidden)
    if seen == bytes(hidden[n] ^ key[n % 4] for n in places):
        raise Wrong("place-of-first", **both)
    if len(payload) > 1 and seen == payload[:1]:
        raise Wrong("first-byte-only", **both)
    if len(payload) > 4 and seen == payload[:4]:
        raise Wrong("key-once", **both)
    if seen == _xor(frame, key):
        raise Wrong("whole-frame", **both)
    if seen == _xor(frame[2:], key):
        raise Wrong("key-as-payload", **both)
    if payload and bytes(seen).endswith(payload):
        raise Wrong("header-kept", **both)
    if seen in [_xor(hidden, key[n : n + 1]) for n in range(4)]:
        raise Wrong("one-byte-key", **both)
    if seen in (_xor(frame[4:], frame[:4]), _xor(hidden, frame[:4])):
        raise Wrong("header-as-key", **both)
    raise Wrong("other-bytes", **both)


def _xor(data: bytes, key: bytes) -> bytes:
    return bytes(byte ^ key[n % len(key)] for n, byte in enumerate(data))


_Talk = list[tuple[str, bytes]]
_Ending = tuple[str | None, int]


def _talk(
    closer: str | None = None, *close: Any, code_inside: bool = False
) -> _Talk:
    """A conversation and, if anybody closes it, its closing handshake.

    The keys of the client are random. Those that would make a mistake look
    right, or like another mistake, are not used.
    """
    while True:
        talk = _random_talk(closer, *close, code_inside=code_inside)
        masked = [frame for side, frame in talk if side == "client"]
        keys = [f[2:6] for f in masked if f[0] & 0x0F == 8]
        codes = [code.to_bytes(2, "big") for code in (0, *close[:1])]
        if not any(0x88 in frame[1:] for frame in masked):
            if not any(0 in key or key[:2] in codes for key in keys):
                return talk


def _random_talk(closer: str | None, *close: Any, code_inside: bool) -> _Talk:
    server, client = _open_ends()
    ends = {"server": server, "client": client}
    talk = [
        ("server", _frame(server, "text", b"hola")),
        ("client", _frame(client, "text", b"latte")),
        ("client", _frame(client, "ping", b"")),
        ("server", _frame(server, "pong", b"")),
    ]
    if code_inside:
        # A message that holds the bytes of a CLOSE of 1001.
        inside = b"\x88\x02\x03\xe9"
        talk.append(("server", _frame(server, "binary", inside)))
    if closer is not None:
        other = "server" if closer == "client" else "client"
        request = _frame(ends[closer], "close", *close)
        ends[other].receive_data(request)
        reply = bytes(ends[other].data_to_send()[0])
        talk += [(closer, request), (other, reply)]
    return talk


def _crossed(first: int, other: int) -> _Talk:
    """Both close before they hear of each other, the client first."""
    server, _ = _open_ends()
    talk = _talk("client", first)
    return [*talk[:-1], ("server", _frame(server, "close", other))]


@exercise("06.4", answer="function", parameters=1, picture=None)
async def name_close(answer: Answer) -> Right:
    cases: list[tuple[str, _Ending, _Talk]] = [
        ("server", ("server", 1000), _talk("server", 1000)),
        ("reason", ("server", 4001), _talk("server", 4001, "adios")),
        ("client", ("client", 1001), _talk("client", 1001)),
        ("inside", ("server", 1000), _talk("server", 1000, code_inside=True)),
        ("unanswered", ("server", 1011), _talk("server", 1011)[:-1]),
        ("crossed", ("client", 1001), _crossed(1001, 1011)),
        ("no code", ("client", 1005), _talk("client")),
        ("no code", ("server", 1005), _talk("server")),
        ("cut", (None, 1006), _talk()),
        ("cut", (None, 1006), []),
    ]
    for kind, expected, talk in cases:
        try:
            seen = answer(talk)
        except Exception as error:
            _refuse_whole_byte(error, talk)
            if kind not in ("no code", "cut"):
                _refuse_tool(answer, kind, talk)
                raise
            seen = error
        _judge_close(answer, kind, expected, talk, seen)
    return Right(count=len(cases))


def _refuse_whole_byte(error: Exception, talk: _Talk) -> None:
    """Refuse an Opcode of a whole first byte, which no Opcode is."""
    if any(f"{frame[0]} {NO_MEMBER}" in f"{error}" for _, frame in talk):
        raise Wrong("opcode-with-fin", seen=error) from None


def _refuse_tool(answer: Answer, kind: str, talk: _Talk) -> None:
    """Refuse an ``unmask`` that is not solved: a right answer may use it."""
    unmask = getattr(answer, "__globals__", {}).get("unmask")
    if kind != "client" or not callable(unmask):
        return
    frame = _close_of(talk)
    solved = False
    with suppress(Exception):
        solved = unmask(frame) == _xor(frame[6:], frame[2:6])
    if not solved and uses(answer, "unmask"):
        raise Wrong("unmask-first") from None


def _close_of(talk: _Talk) -> bytes:
    """The first CLOSE of a conversation."""
    return next(frame for _, frame in talk if frame[0] & 0x0F == 8)


def _is_right(answer: Answer, talk: _Talk, expected: _Ending) -> bool:
    """Whether the answer is right about a conversation."""
    with suppress(Exception):
        return tuple(answer(talk)) == expected
    return False


def _judge_close(
    answer: Answer, kind: str, expected: _Ending, talk: _Talk, seen: Any
) -> None:
    """Judge what was said of one conversation."""
    both = {"expected": expected, "seen": seen}
    is_pair = isinstance(seen, tuple | list) and len(seen) == 2
    if is_pair and tuple(seen) == expected:
        return
    _refuse_tool(answer, kind, talk)
    if kind == "cut":
        raise Wrong("no-close", **both)
    if kind == "no code":
        raise Wrong("no-code", **both)
    refuse_none(seen)
    if not is_pair:
        raise Wrong("two-values", **both)
    side, code = seen
    if kind == "unanswered":
        raise Wrong("last-but-one", **both)
    if isinstance(code, bytes | bytearray):
        raise Wrong("code-bytes", **both)
    if tuple(seen) == (None, 1006):
        if _is_right(answer, talk[-2:], expected):
            raise Wrong("returned-early", **both)
        raise Wrong("not-found", **both)
    if kind == "inside":
        raise Wrong("looked-inside", **both)
    silent = [pair for pair in talk if pair[1][0] & 0x0F not in (9, 10)]
    if len(silent) < len(talk) and _is_right(answer, silent, expected):
        raise Wrong("ping-as-close", **both)
    if side in ("client", "server") and side != expected[0]:
        raise Wrong("last-close", **both)
    if side != expected[0]:
        raise Wrong("other-side", **both)
    if kind == "crossed":
        raise Wrong("other-end", **both)
    frame = _close_of(talk)
    if side == "server" and code in (0, 1005):
        raise Wrong("server-unmasked", **both)
    if kind == "client" and code in (0, 1005):
        raise Wrong("key-as-code", **both)
    if kind == "client" and code in [
        int.from_bytes(piece, order)
        for piece in (frame[2:4], frame[6:8], frame[6:])
        for order in ("big", "little")
    ]:
        raise Wrong("still-masked", **both)
    if code == int.from_bytes(expected[1].to_bytes(2, "big"), "little"):
        raise Wrong("byte-order", **both)
    if code == int.from_bytes(frame[2:], "big"):
        raise Wrong("code-with-reason", **both)
    raise Wrong("other-code", **both)
