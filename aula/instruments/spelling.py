"""How what was heard on the wire reads: in one line, cut off if long.

Texts from the wire are data: what is invisible in them is spelled out.
"""

from __future__ import annotations

import re
from contextlib import suppress

from websockets.exceptions import InvalidHeader, ProtocolError
from websockets.frames import Close, Opcode

LONGEST = 50  # characters of a payload, a path or a close reason
LONGEST_LINE = 100  # characters of a header or an exception
MOST_BYTES = 16  # bytes of a binary payload


def frame(
    opcode: Opcode, fin: bool, size: int, data: bytes, kind: Opcode
) -> str:
    """A frame in one line; ``kind`` is TEXT or BINARY for a CONT too."""
    name = opcode.name
    if opcode is Opcode.CLOSE:
        return _close(data)
    if opcode in (Opcode.PING, Opcode.PONG):
        # The library's own pings carry four random bytes.
        return name if size in (0, 4) else f"{name} {_quote(data)}"
    if not fin or opcode is Opcode.CONT:
        name += f" FIN={fin:d}"  # RFC 6455, 5.4: 1 in the last one
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


def header(name: str, value: str) -> str:
    """A header in one line, without what is new in each run."""
    return spell(f"{name}: {_steady(name, value)}", LONGEST_LINE)


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


def describe(error: BaseException) -> str:
    """An exception in one line, without what is new in each run."""
    text = type(error).__name__
    with suppress(Exception):  # a __str__ may fail, too
        text = f"{text}: {error}".removesuffix(": ")
    if isinstance(error, InvalidHeader) and error.value:
        steady = _steady(error.name, error.value)
        text = text.removesuffix(error.value) + steady
    return spell(text, LONGEST_LINE)


def _quote(data: bytes) -> str:
    """A text as Python writes it; a byte that is no UTF-8 is ``\\xff``."""
    text = data.decode(errors="surrogateescape")
    quote = "'" if '"' in text and "'" not in text else '"'
    return quote + spell(text, special=quote + "\\") + quote


def spell(text: str, longest: int = LONGEST, special: str = "") -> str:
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
