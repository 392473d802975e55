"""Judges the exercises of lesson 03.

The bytes that answers are given come from the library, as in the lesson: from
its clients, or from its protocols without I/O.
"""

import asyncio
import base64
import hashlib
from contextlib import suppress

from websockets.asyncio.client import connect
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri
from websockets.utils import accept_key

from aula.exercises.check import Right, Wrong, exercise

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
LESSON_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
NOTHING = {
    "es": "Tu función no devuelve nada. Escribir con `print` no es devolver: "
    "usa `return`.",
    "en": "Your function returns nothing. To print is not to return: use "
    "`return`.",
}


# 03.1


class _Handshakes:
    """A server that accepts handshakes with the learner's answer.

    Attributes:
        asked: what the answer was given, what it returned and what it
            raised, for each client.
    """

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    async def serve(self, reader, writer):
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        try:
            value = self.answer(request)
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


@exercise("03.1", answer="function", parameters=1, picture="wiretap")
async def accept(answer, run):
    import aiohttp

    handshakes = _Handshakes(answer)
    server = await asyncio.start_server(handshakes.serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        try:
            async with connect(f"ws://{host}:{port}/cafe", close_timeout=1):
                opened = True
        except (InvalidHandshake, OSError):
            opened = False
        _judge_accept(*handshakes.asked[0], opened)
        # Another library, which sends the headers in another order.
        timeout = aiohttp.ClientWSTimeout(ws_close=1)
        async with aiohttp.ClientSession() as session:
            try:
                url = f"http://{host}:{port}/menu"
                async with session.ws_connect(url, timeout=timeout):
                    opened = True
            except aiohttp.ClientError:
                opened = False
        request, value, error = handshakes.asked[1]
    expected = accept_key(_key(request))
    if error is not None or not opened or value != expected:
        raise Wrong(
            "other-client",
            es="El cliente de `websockets`, el del dibujo, aceptó tu valor; "
            "el de `aiohttp`, que envía las cabeceras en otro orden, no. "
            "Busca la cabecera por su nombre, no por su sitio.",
            en="The client of `websockets`, the one in the picture, accepted "
            "your value; that of `aiohttp`, which sends the headers in "
            "another order, did not. Look for the header by its name, not by "
            "its place.",
            expected=expected,
            seen=value if error is None else error,
        )
    return Right(
        es="Dos clientes, el de `websockets` y el de `aiohttp`, enviaron "
        "cada uno su clave y dieron por buena tu respuesta: la conexión "
        "quedó abierta.",
        en="Two clients, that of `websockets` and that of `aiohttp`, each "
        "sent a key of its own and took your answer: the connection was "
        "open.",
    )


def _judge_accept(request, value, error, opened):
    """Judge what the first client was answered.

    Raises:
        Wrong: the mistake found; or the exception of the answer itself.
    """
    if "not enough values to unpack (expected 2, got 1)" in f"{error}":
        raise Wrong(
            "line-without-colon",
            es="La primera línea y la vacía no llevan `: `, y no dan dos "
            'partes. `line.partition(": ")` nunca falla.',
            en="The first line and the empty one have no `: `, and so no two "
            'parts to unpack. `line.partition(": ")` never fails.',
            seen=error,
        ) from None
    if error is not None:
        raise error
    key = _key(request)
    expected = accept_key(key)
    if value == expected and opened:
        return
    if value is None:
        raise Wrong("no-return", **NOTHING)
    both = {"expected": expected, "seen": value}
    if isinstance(value, bytes | bytearray):
        raise Wrong(
            "bytes",
            es="Devuelves bytes, y el valor de una cabecera es un texto: "
            "`sha1` y `b64encode` trabajan con bytes, y `.decode()` los "
            "convierte en texto.",
            en="You return bytes, and a header's value is a string: `sha1` "
            "and `b64encode` work on bytes, and `.decode()` turns them into "
            "a string.",
            **both,
        )
    if value == f"b'{expected}'":
        raise Wrong(
            "bytes-in-quotes",
            es="`str()` escribe los bytes como los escribe Python, con `b` y "
            "comillas. El texto lo da `.decode()`.",
            en="`str()` writes bytes the way Python does, with a `b` and "
            "quotes. `.decode()` gives the text.",
            **both,
        )
    if isinstance(value, str) and value.strip() == expected:
        raise Wrong(
            "stray-newline",
            es="El valor es bueno, pero lleva un espacio o un fin de línea de "
            "más, y en HTTP un fin de línea acaba la cabecera.",
            en="The value is good, but a space or an end of line is stuck to "
            "it, and in HTTP an end of line ends the header.",
            **both,
        )
    if isinstance(value, str) and value.partition(":")[2].strip() == expected:
        raise Wrong(
            "whole-line",
            es="El valor es bueno. Devuelve solo el valor, sin "
            "`Sec-WebSocket-Accept: `.",
            en="The value is good. Return the value alone, without "
            "`Sec-WebSocket-Accept: `.",
            **both,
        )
    if value == accept_key(LESSON_KEY):
        raise Wrong(
            "always-the-same",
            es="Es la respuesta a la clave de la lección. Este cliente "
            "inventó otra: léela en `request`.",
            en="That answers the key in the lesson. This client made up "
            "another: read it in `request`.",
            **both,
        )
    if value == _digest(key):
        raise Wrong(
            "no-guid",
            es="Resumiste la clave sola. Falta añadirle detrás el texto "
            "fijo, `GUID`.",
            en="You hashed the key alone. The fixed text, `GUID`, has to "
            "follow it.",
            **both,
        )
    if value == _digest(GUID + key):
        raise Wrong(
            "guid-first",
            es="El orden es al revés: primero la clave, después `GUID`.",
            en="It is the other way round: first the key, then `GUID`.",
            **both,
        )
    sha1 = hashlib.sha1((key + GUID).encode())
    in_hex = sha1.hexdigest()
    if value in (in_hex, base64.b64encode(in_hex.encode()).decode()):
        raise Wrong(
            "hex",
            es="`hexdigest()` da el resumen como texto hexadecimal. Lo que "
            "va en base64 son sus 20 bytes: `digest()`.",
            en="`hexdigest()` gives the digest as hexadecimal text. What "
            "goes into base64 are its 20 bytes: `digest()`.",
            **both,
        )
    raw = base64.b64decode(key) + GUID.encode()
    if value == base64.b64encode(hashlib.sha1(raw).digest()).decode():
        raise Wrong(
            "decoded-key",
            es="Deshiciste el base64 de la clave. Se usa tal como llega, "
            "como texto.",
            en="You decoded the base64 of the key. It is used as it comes, "
            "as text.",
            **both,
        )
    line = f"Sec-WebSocket-Key: {key}"
    pieces = [
        before + key + after
        for before in ("", " ", ": ", ":")
        for after in ("", "\r", "\n", "\r\n")
    ]
    pieces += [line, f"{line}\r", f"{line}\r\n", request, request.strip()]
    if value in [_digest(piece + GUID) for piece in pieces if piece != key]:
        raise Wrong(
            "more-than-the-key",
            es="A SHA-1 le llegó algo más que la clave y `GUID`: un espacio, "
            "un fin de línea o el nombre de la cabecera. Míralo con "
            "`repr()`.",
            en="SHA-1 got something more than the key and `GUID`: a space, "
            "an end of line or the header's name. Look at it with `repr()`.",
            **both,
        )
    raise Wrong(
        "other-value",
        es="El cliente rechazó ese valor. Los pasos son: clave + `GUID`, "
        "SHA-1, base64, texto.",
        en="The client refused that value. The steps are: key + `GUID`, "
        "SHA-1, base64, string.",
        **both,
    )


def _key(request):
    for line in request.splitlines():
        name, _, value = line.partition(":")
        if name.lower() == "sec-websocket-key":
            return value.strip()
    raise ValueError("a client sent no key")


def _digest(text):
    return base64.b64encode(hashlib.sha1(text.encode()).digest()).decode()


# Frames


def _open_ends():
    server = ServerProtocol(state=State.OPEN)
    client = ClientProtocol(parse_uri("ws://cafe"), state=State.OPEN)
    return server, client


def _frame(end, send, *args, **options):
    """The bytes of the frame that ``send`` makes an end send."""
    getattr(end, f"send_{send}")(*args, **options)
    return bytes(end.data_to_send()[0])


def _spell(frame):
    """A frame's first bytes in hexadecimal."""
    return frame[:12].hex(" ") + (" …" if len(frame) > 12 else "")


# 03.2


@exercise("03.2", answer="function", parameters=1, picture=None)
async def read_header(answer, run):
    server, client = _open_ends()
    cases = [
        (_frame(server, "text", b"hola"), (1, False, 4)),
        (_frame(client, "text", b"hola"), (1, True, 4)),
        (_frame(client, "ping", b""), (9, True, 0)),
        (_frame(server, "text", b"ho", fin=False), (1, False, 2)),
        (_frame(server, "continuation", b"la", fin=True), (0, False, 2)),
        (_frame(server, "binary", bytes(300)), (2, False, 300)),
        (_frame(client, "text", b"a" * 126), (1, True, 126)),
        (_frame(client, "binary", bytes(70_000)), (2, True, 70_000)),
    ]
    for frame, expected in cases:
        _judge_header(answer, frame, expected)
    return Right(
        es=f"{len(cases)} tramas bien leídas, de los dos lados: enteras y en "
        "trozos, con las tres formas de longitud.",
        en=f"{len(cases)} frames read well, from both sides: whole and in "
        "pieces, with all three forms of length.",
    )


def _judge_header(answer, frame, expected):
    """Judge what is read in one frame.

    Raises:
        Wrong: the mistake found; or the exception of the answer itself.
    """
    seen = answer(frame)
    if seen is None:
        raise Wrong("no-return", **NOTHING)
    both = {"expected": expected, "seen": seen}
    shown = f"`{_spell(frame)}`"
    if not isinstance(seen, tuple | list) or len(seen) != 3:
        raise Wrong(
            "three-values",
            es="Hacen falta tres valores, en este orden: "
            "`return opcode, masked, length`.",
            en="Three values are needed, in this order: "
            "`return opcode, masked, length`.",
            **both,
        )
    opcode, masked, length = seen
    if opcode != expected[0]:
        _judge_opcode(frame, opcode, shown, both)
    if masked is False and expected[1] and not _ever_masked(answer):
        raise Wrong(
            "never-masked",
            es=f"En la trama {shown} `masked` vale `False` sea cual sea el "
            "bit. `& 0x80` da 0 o 128, nunca 1: usa `bool(...)` o "
            "`!= 0`.",
            en=f"In the frame {shown} your `masked` is `False`, and no bit "
            "changes it. `& 0x80` gives 0 or 128, never 1: use `bool(...)` "
            "or `!= 0`.",
            **both,
        )
    if isinstance(masked, str) or bool(masked) != expected[1]:
        raise Wrong(
            "mask-bit",
            es=f"En la trama {shown} te equivocas de máscara. MASK es el bit "
            "más alto del **segundo** byte.",
            en=f"In the frame {shown} you get the mask wrong. MASK is the "
            "highest bit of the **second** byte.",
            **both,
        )
    if masked != expected[1]:
        raise Wrong(
            "mask-number",
            es=f"El bit es el correcto, pero `masked` vale `{masked!r}`. Se "
            "pide `True` o `False`: `bool(...)`, o una comparación.",
            en=f"The bit is the right one, but your `masked` is `{masked!r}`. "
            "`True` or `False` is asked for: `bool(...)`, or a comparison.",
            **both,
        )
    if length != expected[2]:
        _judge_length(frame, expected, length, shown, both)


def _ever_masked(answer):
    """Whether any single bit of a header makes an answer say masked."""
    bits = [1 << n for n in range(8)]
    for start in [(bit, 0) for bit in bits] + [(0, bit) for bit in bits]:
        # It may take a frame that no end sends for an error.
        with suppress(Exception):
            if answer(bytes(start) + bytes(20))[1]:
                return True
    return False


def _judge_opcode(frame, opcode, shown, both):
    if opcode == frame[0] and frame[0] & 0x80:
        raise Wrong(
            "opcode-with-fin",
            es=f"En la trama {shown} das como opcode el primer byte entero, "
            "que lleva también FIN. El opcode son sus cuatro bits bajos.",
            en=f"In the frame {shown} you give the whole first byte as the "
            "opcode, and FIN is in it too. The opcode is its low four bits.",
            **both,
        )
    if opcode in (frame[0] - 0x80, frame[0] ^ 0x80):
        raise Wrong(
            "fin-assumed",
            es=f"La trama {shown} es un trozo: su FIN vale 0, y tú lo restas "
            "como si valiera 1. Quédate con los cuatro bits bajos.",
            en=f"The frame {shown} is a piece: its FIN is 0, and you take it "
            "away as if it were 1. Keep the low four bits.",
            **both,
        )
    raise Wrong(
        "other-opcode",
        es=f"El opcode de la trama {shown} es otro: los cuatro bits bajos "
        "del primer byte.",
        en=f"The opcode of the frame {shown} is another: the low four bits "
        "of the first byte.",
        **both,
    )


def _judge_length(frame, expected, length, shown, both):
    short = frame[1] & 0x7F
    if length == frame[1] and expected[1]:
        raise Wrong(
            "length-with-mask",
            es=f"En la trama {shown} das como longitud el segundo byte "
            "entero, que lleva también MASK. Son sus siete bits bajos.",
            en=f"In the frame {shown} you give the whole second byte as the "
            "length, and MASK is in it too. It is its low seven bits.",
            **both,
        )
    if length == len(frame):
        raise Wrong(
            "whole-frame",
            es=f"Contaste la trama {shown} entera. La longitud de la "
            "cabecera es solo la del contenido; léela en ella.",
            en=f"You counted the whole frame {shown}. The length in the "
            "header is that of the payload alone; read it there.",
            **both,
        )
    size = {126: 2, 127: 8}.get(short, 0)
    if size == 8 and length == int.from_bytes(frame[2:4], "big"):
        raise Wrong(
            "longest-length",
            es=f"En la trama {shown} los siete bits valen 127: la longitud "
            "ocupa los **8** bytes siguientes, no 2.",
            en=f"In the frame {shown} the seven bits are 127: the length "
            "takes the next **8** bytes, not 2.",
            **both,
        )
    if size and length == short:
        raise Wrong(
            "long-length",
            es=f"En la trama {shown} los siete bits valen {short}, que no es "
            "la longitud: anuncia que viene en los bytes siguientes. "
            "¿En cuántos?",
            en=f"In the frame {shown} the seven bits are {short}, which is "
            "not the length: it announces that the length is in the bytes "
            "that follow. In how many?",
            **both,
        )
    for count in range(1, size):
        if length == int.from_bytes(frame[2 : 2 + count], "big"):
            raise Wrong(
                "bytes-missing",
                es=f"En la trama {shown} la longitud ocupa {size} bytes, y "
                f"leíste {count}: `frame[2:{2 + count}]` acaba **antes** del "
                f"byte {2 + count}.",
                en=f"In the frame {shown} the length takes {size} bytes, and "
                f"you read {count}: `frame[2:{2 + count}]` ends **before** "
                f"byte {2 + count}.",
                **both,
            )
    if size and length == int.from_bytes(frame[2 : 2 + size], "little"):
        raise Wrong(
            "byte-order",
            es=f"En la trama {shown} leíste los bytes de la longitud al "
            'revés: el de más peso va primero, `"big"`.',
            en=f"In the frame {shown} you read the bytes of the length the "
            'wrong way round: the most significant comes first, `"big"`.',
            **both,
        )
    raise Wrong(
        "other-length",
        es=f"La longitud del **contenido** de la trama {shown} es otra. Léela "
        "desde el segundo byte: `len(frame)` cuenta también la cabecera y la "
        "clave.",
        en=f"The length of the **payload** of the frame {shown} is another. "
        "Read it from the second byte on: `len(frame)` counts the header and "
        "the key too.",
        **both,
    )


# 03.3


@exercise("03.3", answer="function", parameters=1, picture=None)
async def unmask(answer, run):
    _, client = _open_ends()
    texts = ["hola", "latte 2.50", "café y mañana ☕", "", "a" * 125]
    for text in texts:
        payload = text.encode()
        frame = _distinct_frame(client, payload)
        try:
            seen = answer(frame)
        except IndexError as error:
            if len(payload) <= 4:
                raise
            raise Wrong(
                "key-index",
                es="La clave tiene cuatro bytes, y este contenido más. "
                "Detrás del cuarto vuelve a empezar: `i % 4`.",
                en="The key has four bytes, and this payload has more. After "
                "the fourth it begins again: `i % 4`.",
                seen=error,
            ) from None
        _judge_unmasked(frame, payload, seen)
    return Right(
        es=f"{len(texts)} tramas de un cliente, cada una con su clave, y los "
        f"{len(texts)} contenidos recuperados; también el vacío y el de 125 "
        "bytes.",
        en=f"{len(texts)} frames from a client, each with its key, and all "
        f"{len(texts)} payloads are back; the empty one and the one of 125 "
        "bytes too.",
    )


def _distinct_frame(client, payload):
    """A text frame whose key shows a mistake: four bytes, no two alike."""
    while True:
        frame = _frame(client, "text", payload)
        key = frame[2:6]
        if len(set(key)) == 4 and 0 not in key:
            return frame


def _judge_unmasked(frame, payload, seen):
    """Judge what was read in one frame.

    Raises:
        Wrong: the mistake found.
    """
    if isinstance(seen, bytes | bytearray | memoryview) and seen == payload:
        return
    if seen is None:
        raise Wrong("no-return", **NOTHING)
    both = {"expected": payload, "seen": seen}
    if isinstance(seen, str):
        raise Wrong(
            "text",
            es="Devuelves un texto. Aquí hacen falta los `bytes`: una trama "
            "también puede llevar una imagen.",
            en="You return a string. The `bytes` are needed here: a frame "
            "may carry an image too.",
            **both,
        )
    if not isinstance(seen, bytes | bytearray | memoryview):
        raise Wrong(
            "list",
            es="Devuelves algo que no es `bytes`. De una lista de números los "
            "hace `bytes([...])`.",
            en="You return something other than `bytes`. `bytes([...])` "
            "makes them from a list of numbers.",
            **both,
        )
    key, hidden = frame[2:6], frame[6:]
    if seen == hidden:
        raise Wrong(
            "still-masked",
            es="El contenido sigue enmascarado. Combina cada byte con el suyo "
            "de la clave: `byte ^ key[...]`.",
            en="The payload is still masked. Combine each byte with its "
            "partner in the key: `byte ^ key[...]`.",
            **both,
        )
    if len(payload) > 4 and seen == payload[:4]:
        raise Wrong(
            "key-once",
            es="Solo salen los cuatro primeros bytes: la clave se acabó. "
            "Detrás del cuarto byte vuelve a empezar.",
            en="Only the first four bytes come out: the key ran out. After "
            "the fourth byte it begins again.",
            **both,
        )
    if seen == _xor(frame, key):
        raise Wrong(
            "whole-frame",
            es="Salen 6 bytes de más: recorriste también la cabecera y la "
            "clave. El contenido es `frame[6:]`.",
            en="There are 6 bytes too many: you went through the header and "
            "the key too. The payload is `frame[6:]`.",
            **both,
        )
    if seen == _xor(frame[2:], key):
        raise Wrong(
            "key-as-payload",
            es="Tomaste la clave por parte del contenido: delante de él "
            "van 2 bytes de cabecera **y** 4 de clave.",
            en="You took the key for part of the payload: before it come 2 "
            "bytes of header **and** 4 of key.",
            **both,
        )
    if payload and bytes(seen).endswith(payload):
        raise Wrong(
            "header-kept",
            es="El contenido está bien, pero lleva delante parte de la "
            "cabecera. Devuelve solo el contenido.",
            en="The payload is right, but part of the header is still before "
            "it. Return the payload alone.",
            **both,
        )
    if seen in [_xor(hidden, key[n : n + 1]) for n in range(4)]:
        raise Wrong(
            "one-byte-key",
            es="Usaste un solo byte de la clave para todo. El byte `i` "
            "del contenido va con el byte `i % 4` de la clave.",
            en="You used one byte of the key for everything. Byte `i` of the "
            "payload goes with byte `i % 4` of the key.",
            **both,
        )
    if seen in (_xor(frame[4:], frame[:4]), _xor(hidden, frame[:4])):
        raise Wrong(
            "header-as-key",
            es="Tomaste por clave el comienzo de la trama. La clave va "
            "detrás de los 2 bytes de cabecera.",
            en="You took the beginning of the frame for the key. The key "
            "stands after the 2 bytes of header.",
            **both,
        )
    raise Wrong(
        "other-bytes",
        es="Ese no es el contenido. La clave es `frame[2:6]`, y el byte `i` "
        "va con `key[i % 4]`.",
        en="That is not the payload. The key is `frame[2:6]`, and byte `i` "
        "goes with `key[i % 4]`.",
        **both,
    )


def _xor(data, key):
    return bytes(byte ^ key[n % len(key)] for n, byte in enumerate(data))


# 03.4


def _talk(closer=None, *close, code_inside=False):
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


def _random_talk(closer, *close, code_inside):
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


@exercise("03.4", answer="function", parameters=1, picture=None)
async def name_close(answer, run):
    cases = [
        ("server", ("server", 1000), _talk("server", 1000)),
        ("reason", ("server", 4001), _talk("server", 4001, "adios")),
        ("client", ("client", 1001), _talk("client", 1001)),
        ("inside", ("server", 1000), _talk("server", 1000, code_inside=True)),
        ("no code", ("client", 1005), _talk("client")),
        ("no code", ("server", 1005), _talk("server")),
        ("cut", (None, 1006), _talk()),
    ]
    for kind, expected, talk in cases:
        try:
            seen = answer(talk)
        except Exception as error:
            if kind not in ("no code", "cut"):
                _judge_tool(answer, kind, talk)
                raise
            seen = error
        _judge_close(answer, kind, expected, talk, seen)
    return Right(
        es=f"{len(cases)} conversaciones y {len(cases)} finales: cerró el "
        "servidor, cerró el cliente, con código, sin él, y la que se cortó.",
        en=f"{len(cases)} conversations and {len(cases)} endings: closed by "
        "the server, by the client, with a code, without one, and the one "
        "that was cut.",
    )


def _judge_tool(answer, kind, talk):
    """Refuse an ``unmask`` that is not solved: a right answer may use it."""
    unmask = getattr(answer, "__globals__", {}).get("unmask")
    if kind != "client" or not callable(unmask):
        return
    frame = next(f for _, f in talk if f[0] & 0x0F == 8)
    try:
        solved = unmask(frame) == _xor(frame[6:], frame[2:6])
    except Exception:
        solved = False
    if not solved and "unmask" in answer.__code__.co_names:
        raise Wrong(
            "unmask-first",
            es="Este `CLOSE` es del cliente, y tu `unmask` no le quita la "
            "máscara: resuelve antes el 03.3.",
            en="This `CLOSE` is the client's, and your `unmask` does not "
            "unmask it: solve 03.3 first.",
        ) from None


def _says(answer, talk, expected):
    """Whether the answer is right about a conversation."""
    try:
        return tuple(answer(talk)) == expected
    except Exception:
        return False


def _judge_close(answer, kind, expected, talk, seen):
    """Judge what was said of one conversation.

    Raises:
        Wrong: the mistake found.
    """
    both = {"expected": expected, "seen": seen}
    is_pair = isinstance(seen, tuple | list) and len(seen) == 2
    if is_pair and tuple(seen) == expected:
        return
    _judge_tool(answer, kind, talk)
    if kind == "cut":
        raise Wrong(
            "no-close",
            es="En esta conversación no hay ningún `CLOSE`: TCP se cortó. "
            "Cuando el bucle acaba sin encontrarlo queda algo por devolver.",
            en="There is no `CLOSE` in this conversation: TCP was cut. When "
            "the loop ends without finding one, something is left to return.",
            **both,
        )
    if kind == "no code":
        raise Wrong(
            "no-code",
            es="Este `CLOSE` no lleva código: su contenido está vacío. Para "
            "eso está el 1005.",
            en="This `CLOSE` bears no code: its payload is empty. That is "
            "what 1005 is for.",
            **both,
        )
    if seen is None:
        raise Wrong("no-return", **NOTHING)
    if not is_pair:
        raise Wrong(
            "two-values",
            es="Hacen falta dos valores: `return side, code`.",
            en="Two values are needed: `return side, code`.",
            **both,
        )
    side, code = seen
    if tuple(seen) == (None, 1006):
        if _says(answer, talk[-2:], expected):
            raise Wrong(
                "returned-early",
                es="En esta conversación sí hay un `CLOSE`, más adelante: "
                "devolviste `(None, 1006)` sin mirar todas las tramas. Ese "
                "`return` va detrás del bucle.",
                en="There is a `CLOSE` in this conversation, further on: you "
                "returned `(None, 1006)` without looking at all frames. That "
                "`return` goes after the loop.",
                **both,
            )
        raise Wrong(
            "not-found",
            es="En esta conversación sí hay un `CLOSE`. Su primer byte es "
            "`88`, FIN y opcode juntos: el opcode son los cuatro bits bajos.",
            en="There is a `CLOSE` in this conversation. Its first byte is "
            "`88`, FIN and opcode together: the opcode is the low four bits.",
            **both,
        )
    if kind == "inside":
        raise Wrong(
            "looked-inside",
            es="Un mensaje del servidor contiene el byte `88`, y lo "
            "tomaste por un `CLOSE`. El opcode está solo en `frame[0]`.",
            en="A message from the server contains the byte `88`, and you "
            "took it for a `CLOSE`. The opcode stands in `frame[0]` alone.",
            **both,
        )
    if side in ("client", "server") and side != expected[0]:
        raise Wrong(
            "last-close",
            es="Diste el segundo `CLOSE`, que es la respuesta. Empezó a "
            "cerrar quien envió el primero.",
            en="You gave the second `CLOSE`, which is the answer. Whoever "
            "sent the first one began to close.",
            **both,
        )
    if side != expected[0]:
        raise Wrong(
            "other-side",
            es='El primer valor es quien empezó a cerrar: `"client"` o '
            '`"server"`, como en la pareja.',
            en='The first value is who began to close: `"client"` or '
            '`"server"`, as in the pair.',
            **both,
        )
    frame = next(frame for _, frame in talk if frame[0] & 0x0F == 8)
    if side == "server" and code in (0, 1005):
        raise Wrong(
            "server-unmasked",
            es="Esta trama es del servidor: no lleva máscara, y con `unmask` "
            "se pierde el código. Su contenido empieza en `frame[2]`.",
            en="This frame is the server's: it bears no mask, and `unmask` "
            "eats the code. Its payload begins at `frame[2]`.",
            **both,
        )
    code_bytes = frame[2:4]
    if kind == "client" and code in [
        int.from_bytes(piece, order)
        for piece in (code_bytes, frame[6:8], frame[6:])
        for order in ("big", "little")
    ]:
        raise Wrong(
            "still-masked",
            es="Ese código está enmascarado: la trama es del cliente. Usa "
            "`unmask` antes de leerlo.",
            en="That code is masked: the frame is the client's. Use `unmask` "
            "before you read it.",
            **both,
        )
    if code == int.from_bytes(expected[1].to_bytes(2, "big"), "little"):
        raise Wrong(
            "byte-order",
            es="Leíste los dos bytes al revés: el de más peso va primero, "
            '`"big"`.',
            en="You read the two bytes the wrong way round: the most "
            'significant comes first, `"big"`.',
            **both,
        )
    if code == int.from_bytes(frame[2:], "big"):
        raise Wrong(
            "code-with-reason",
            es="Este `CLOSE` trae un motivo detrás del código. El código "
            "ocupa solo los dos primeros bytes del contenido.",
            en="This `CLOSE` bears a reason after its code. The code takes "
            "only the first two bytes of the payload.",
            **both,
        )
    raise Wrong(
        "other-code",
        es="El código es otro: los dos primeros bytes del contenido de ese "
        "`CLOSE`, ya sin máscara.",
        en="The code is another: the first two bytes of the payload of that "
        "`CLOSE`, without its mask.",
        **both,
    )
