"""Conversations are what real connections said, in order."""

import asyncio
import contextlib
import socket
import threading
import urllib.parse
from http import HTTPStatus

import pytest
from websockets.asyncio.client import connect, unix_connect
from websockets.asyncio.server import serve, unix_serve
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
)
from websockets.sync.client import connect as sync_connect
from websockets.sync.server import serve as sync_serve
from wiretaps import (
    GREETING,
    answer_with,
    be_rejected,
    echo,
    frame,
    handlers_of,
    lines_of,
    listen,
    listener,
    no_trace,  # noqa: F401
    python,
    raw,
    say_hello,
    server_in_another_process,
    text_of,
    uri_of,
    vanish,
    what,
    what_of,
)

from aula.exercises.check import Check
from aula.instruments.spelling import LONGEST
from aula.instruments.wiretap import Wiretap

# What is said.


def test_frames():
    async def talk(uri):
        async with connect(uri) as websocket:
            await websocket.send("")
            await websocket.send(b"")
            await websocket.send(b"\x00\xff")
            await websocket.send(bytes(range(16)))
            await websocket.send(bytes(range(20)))
            await websocket.send([b"caf" + b"\xc3", b"\xa9"], text=True)
            await websocket.send([b"\x01", b"\x02"])
            await websocket.send("x" * 60)
            await (await websocket.ping())
            await (await websocket.ping(b""))
            await (await websocket.ping("gong"))
            await (await websocket.ping(b"bell\x00\x80\xff"))
            await websocket.close(4000, "hasta luego")

    digits = " ".join(f"{n:02x}" for n in range(16))
    assert lines_of(listen(talk, listener))[3:] == [
        'client → listener  TEXT ""',
        "client → listener  BINARY (0 bytes)",
        "client → listener  BINARY (2 bytes) 00 ff",
        f"client → listener  BINARY (16 bytes) {digits}",
        f"client → listener  BINARY (20 bytes) {digits} …",
        r'client → listener  TEXT FIN=0 "caf\xc3"',
        r'client → listener  CONT FIN=0 "\xa9"',
        'client → listener  CONT FIN=1 ""',
        "client → listener  BINARY FIN=0 (1 bytes) 01",
        "client → listener  CONT FIN=0 (1 bytes) 02",
        "client → listener  CONT FIN=1 (0 bytes)",
        f'client → listener  TEXT (60 bytes) "{"x" * 50}…"',
        *["client → listener  PING", "listener → client  PONG"] * 2,
        # Four bytes may be the library's own, which are random.
        "client → listener  PING",
        "listener → client  PONG",
        r'client → listener  PING "bell\x00\x80\xff"',
        r'listener → client  PONG "bell\x00\x80\xff"',
        'client → listener  CLOSE 4000 (private use) "hasta luego"',
        'listener → client  CLOSE 4000 (private use) "hasta luego"',
        "client, listener  TCP connection closed",
    ]


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        ("hola", '"hola"'),
        ('{"a": 1}', "'{\"a\": 1}'"),
        ("it's", '"it\'s"'),
        ("""'"'""", r'''"'\"'"'''),
        (r"a\b", r'"a\\b"'),
        ("a\nb\r\tc\0\x1b[31m", r'"a\nb\r\tc\x00\x1b[31m"'),
        ("a\u200bb\u202ec\ufeff", r'"a\u200bb\u202ec\ufeff"'),
        ("a\u2028b\ufffe", r'"a\u2028b\ufffe"'),
        ("¿שלום? 日本 😀 é", '"¿שלום? 日本 😀 é"'),
        ("x" * 50, '"' + "x" * 50 + '"'),
        ("é" * 50, '"' + "é" * 50 + '"'),
        ("😀" * 50, '"' + "😀" * 50 + '"'),
        ("😀" * 51, '"' + "😀" * 50 + '…"'),
        ("\n" * 30, '"' + r"\n" * 25 + '…"'),
    ],
)
def test_payloads_stay_in_their_line(payload, shown):
    async def talk(uri):
        async with connect(uri) as websocket:
            await websocket.send(payload)

    size = len(payload.encode())
    many = f"({size} bytes) " if size > LONGEST else ""
    assert what(listen(talk))[3] == f"TEXT {many}{shown}"


def test_what_is_sent_may_change_afterwards():
    async def talk(uri):
        async with connect(uri) as websocket:
            data = bytearray(b"\x01\x02")
            await websocket.send(data)
            data[0] = 255
            await websocket.recv()

    assert what(listen(talk))[3:5] == ["BINARY (2 bytes) 01 02"] * 2


MEBIBYTES = [
    ("é" * 2**19, [f'TEXT (1048576 bytes) "{"é" * 50}…"']),
    ("<script>" * 2**17, [f'TEXT (1048576 bytes) "{"<script>" * 6}<s…"']),
    (bytes(2**20), [f"BINARY (1048576 bytes) {'00 ' * 16}…"]),
    (
        [bytes(2**19), bytes(2**19)],
        [
            f"BINARY FIN=0 (524288 bytes) {'00 ' * 16}…",
            f"CONT FIN=0 (524288 bytes) {'00 ' * 16}…",
            "CONT FIN=1 (0 bytes)",
        ],
    ),
]


@pytest.mark.parametrize("where", ["here", "in a thread"])
@pytest.mark.parametrize(
    ("data", "shown"),
    MEBIBYTES,
    ids=["text", "tags", "binary", "fragments"],
)
def test_a_mebibyte(data, shown, where):
    def block(uri):
        with sync_connect(uri) as websocket:
            websocket.send(data)

    async def talk(uri):
        if where == "in a thread":
            await asyncio.to_thread(block, uri)
        else:
            async with connect(uri) as websocket:
                await websocket.send(data)

    # Compressed, an empty frame takes a byte.
    tape = listen(talk, listener, max_size=2**21)
    assert what(tape)[3:] == [
        *shown,
        "CLOSE 1000 (OK)",
        "CLOSE 1000 (OK)",
        "TCP connection closed",
    ]
    assert len(tape.bundle("en")["text/vnd.mermaid"]) < 1000


def test_a_ping_between_fragments():
    """RFC 6455, 5.4: control frames may come within a message."""

    async def talk(uri):
        pieces = [
            frame(1, b"ho", fin=False),
            frame(9, b"gong!"),
            frame(0, b"la"),
            frame(8),
        ]
        await raw(uri, GREETING, b"".join(pieces))

    assert lines_of(listen(talk, listener, wait=True))[3:] == [
        'client → listener  TEXT FIN=0 "ho"',
        'client → listener  PING "gong!"',
        'listener → client  PONG "gong!"',
        'client → listener  CONT FIN=1 "la"',
        "client → listener  CLOSE",
        "listener → client  CLOSE",
        "client, listener  TCP connection closed",
    ]


def test_pings_that_the_library_sends_for_itself():
    async def talk(uri):
        async with connect(uri, ping_interval=0.02) as websocket:
            async with asyncio.timeout(5):
                while websocket.latency == 0:
                    await asyncio.sleep(0.01)

    lines = lines_of(listen(talk))
    assert lines[3:5] == ["client → echo  PING", "echo → client  PONG"]


def test_too_many_headers():
    async def talk(uri):
        many = b"".join(b"X-%d: x\r\n" % number for number in range(99))
        await raw(uri, b"GET / HTTP/1.1\r\n" + many + b"\r\n")

    tape = listen(talk, tape=Wiretap(headers=True), wait=True)
    lines = [line.strip() for line in lines_of(tape)]
    assert lines[:20] == [
        "client → echo  GET /",
        *(f"X-{number}: x" for number in range(18)),
        "…",
    ]
    assert lines[20] == "echo → client  426 Upgrade Required"


def test_clients_at_the_same_time():
    async def talk(uri):
        await asyncio.gather(*(say_hello(uri) for _ in range(3)))

    text = text_of(listen(talk))
    for number in (1, 2, 3):
        assert text.count(f'client {number} → echo  TEXT "hola"') == 1
        assert text.count(f"client {number}, echo   TCP conn") == 1


# Where the two ends are.


def chat_once(uri):
    with sync_connect(uri) as websocket:
        websocket.send("hola")
        assert websocket.recv() == "hola"


@contextlib.contextmanager
def blocking_server(handler):
    with sync_serve(handler, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        server.shutdown()


def test_a_blocking_client_in_a_thread():
    async def talk(uri):
        await asyncio.to_thread(chat_once, uri)

    assert listen(talk).bundle("en") == listen(say_hello).bundle("en")


def test_blocking_clients_in_threads_at_the_same_time():
    def chat(uri, number):
        with sync_connect(uri) as websocket:
            barrier.wait()
            websocket.send(f"hola {number}")
            assert websocket.recv() == f"hola {number}"

    async def talk(uri):
        chats = (asyncio.to_thread(chat, uri, number) for number in range(4))
        await asyncio.gather(*chats)

    barrier = threading.Barrier(4, timeout=5)
    lines = lines_of(listen(talk))
    said = []
    for number in range(1, 5):
        mine = [line for line in lines if f"client {number}" in line]
        text = mine[3].partition("TEXT")[2]
        said.append(text)
        assert mine == [
            f"client {number} → echo  GET /",
            f"echo → client {number}  101 Switching Protocols",
            f"client {number}, echo  OPEN",
            f"client {number} → echo  TEXT{text}",
            f"echo → client {number}  TEXT{text}",
            f"client {number} → echo  CLOSE 1000 (OK)",
            f"echo → client {number}  CLOSE 1000 (OK)",
            f"client {number}, echo  TCP connection closed",
        ]
    assert sorted(said) == [f' "hola {number}"' for number in range(4)]


def test_a_blocking_server_in_a_thread():
    def echo(websocket):
        for message in websocket:
            websocket.send(message)

    with blocking_server(echo) as uri, Wiretap() as tape:
        chat_once(uri)
    assert tape.bundle("en") == listen(say_hello).bundle("en")


def test_a_client_in_another_process():
    async def talk(uri):
        client = await python(
            """
            import sys
            from websockets.sync.client import connect
            with connect(sys.argv[1], proxy=None) as websocket:
                websocket.send("hola")
                websocket.recv()
            """,
            uri,
        )
        await client.communicate()
        assert client.returncode == 0

    assert listen(talk, wait=True).bundle("en") == listen(say_hello).bundle(
        "en"
    )


def test_a_server_in_another_process():
    async def main():
        async with server_in_another_process() as uri:
            with Wiretap() as tape:
                await say_hello(uri)
        return tape

    diagram = listen(say_hello).bundle("en")["text/vnd.mermaid"]
    assert asyncio.run(main()).bundle("en")[
        "text/vnd.mermaid"
    ] == diagram.replace("echo", "server")


def test_two_ends_find_each_other_behind_a_proxy():
    """One that puts in a header of its own, as they do."""
    host = b"Host: ", b"X-Forwarded-For: 127.0.0.1\r\nHost: "

    async def copy(reader, writer):
        while data := await reader.read(1000):
            writer.write(data.replace(*host))
        writer.write_eof()

    async def talk(uri):
        port = urllib.parse.urlsplit(uri).port

        async def forward(reader, writer):
            inwards, outwards = await asyncio.open_connection(
                "127.0.0.1", port
            )
            await asyncio.gather(copy(reader, outwards), copy(inwards, writer))
            writer.close()
            outwards.close()

        async with await asyncio.start_server(
            forward, "127.0.0.1", 0
        ) as proxy:
            await say_hello(uri_of(proxy))

    assert listen(talk).bundle("en") == listen(say_hello).bundle("en")


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets")
def test_two_ends_of_a_unix_socket(tmp_path):
    async def main():
        path = str(tmp_path / "socket")
        async with unix_serve(echo, path):
            with Wiretap() as tape:
                async with unix_connect(path) as websocket:
                    await websocket.send("hola")
                    await websocket.recv()
        return tape

    assert asyncio.run(main()).bundle("en") == listen(say_hello).bundle("en")


def test_peers_with_the_same_key_are_not_mixed_up():
    async def talk(uri):
        for word in (b"Ada", b"Lima"):
            await raw(uri, GREETING, frame(1, word) + frame(8))

    lines = lines_of(listen(talk, wait=True))
    assert [line for line in lines if "TEXT" in line] == [
        'client 1 → echo  TEXT "Ada"',
        'client 2 → echo  TEXT "Lima"',
    ]


# What goes wrong.


def test_refused_by_the_server():
    def refuse(connection, request):
        return connection.respond(HTTPStatus.NOT_FOUND, "No such room.\n")

    async def talk(uri):
        with pytest.raises(InvalidHandshake):
            await connect(uri)

    assert lines_of(listen(talk, process_request=refuse)) == [
        "client → echo  GET /",
        "echo → client  404 Not Found",
        "client, echo  TCP connection closed",
    ]
    refused = listen(talk, origins=["https://example.com"])
    assert what(refused)[1:] == ["403 Forbidden", "TCP connection closed"]


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (
            GREETING.replace(b"Version: 13", b"Version: 8"),
            ["GET /", "400 Bad Request"],
        ),
        (
            GREETING.replace(b"GET /", b"POST /"),
            ["POST /", "405 Method Not Allowed"],
        ),
        (
            GREETING.replace(b"GET /", b"101 /"),
            ["101 /", "405 Method Not Allowed"],
        ),
        (
            b"GET /<b>?a=%3C;# HTTP/1.1\r\nHost: a\r\n\r\n",
            ["GET /<b>?a=%3C;#", "426 Upgrade Required"],
        ),
        (
            b"hola\r\n\r\n",
            [
                "not a valid HTTP request: ValueError: invalid HTTP request "
                "line: hola"
            ],
        ),
    ],
)
def test_refused_by_the_rules(asked, shown):
    async def talk(uri):
        await raw(uri, asked)

    tape = listen(talk, wait=True)
    assert what(tape) == [*shown, "TCP connection closed"]


def test_a_plain_http_request():
    def healthy(connection, request):
        return connection.respond(HTTPStatus.OK, "OK\n")

    async def talk(uri):
        await raw(uri, b"GET /healthz HTTP/1.1\r\n\r\n")

    tape = listen(talk, process_request=healthy, wait=True)
    assert what(tape) == ["GET /healthz", "200 OK", "TCP connection closed"]


def test_a_failing_process_request():
    def fail(connection, request):
        raise ValueError("¿hola?")

    async def talk(uri):
        with pytest.raises(InvalidHandshake):
            await connect(uri)

    assert what(listen(talk, process_request=fail)) == [
        "GET /",
        "process_request failed: ValueError: ¿hola?",
        "500 Internal Server Error",
        "TCP connection closed",
    ]


class Mute(Exception):
    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ValueError("no"), "ValueError: no"),
        (ValueError(), "ValueError"),
        (ValueError("a\nb"), r"ValueError: a\nb"),
        (ValueError("x" * 200), f"ValueError: {'x' * 88}…"),
        (
            ExceptionGroup("both", [OSError()]),
            "ExceptionGroup: both (1 sub-ex",
        ),
        (Mute(), "Mute"),
    ],
)
@pytest.mark.parametrize("wait", [False, True])
def test_a_failing_handler(error, shown, wait):
    """Also if the block is over before the library logs the exception."""

    async def handler(websocket):
        await websocket.recv()
        raise error

    async def talk(uri):
        async with connect(uri) as websocket:
            await websocket.send("hola")
            with pytest.raises(ConnectionClosed):
                await websocket.recv()

    lines = lines_of(listen(talk, handler, wait=wait))[3:]
    failure = lines.pop(1)
    assert failure.startswith(f"handler  connection handler failed: {shown}")
    assert lines == [
        'client → handler  TEXT "hola"',
        "handler → client  CLOSE 1011 (internal error)",
        "client → handler  CLOSE 1011 (internal error)",
        "client, handler  TCP connection closed",
    ]


def test_a_failing_handler_among_several_clients():
    async def handler(websocket):
        raise ValueError(await websocket.recv())

    async def talk(uri):
        async with connect(uri), connect(uri) as second:
            await second.send("hola")
            with pytest.raises(ConnectionClosed):
                await second.recv()

    failed = "handler  connection handler failed (client 2): ValueError: hola"
    assert failed in lines_of(listen(talk, handler))


def test_a_failing_blocking_handler():
    def handler(websocket):
        raise ValueError(websocket.recv())

    with blocking_server(handler) as uri, Wiretap() as tape:
        with sync_connect(uri) as websocket:
            websocket.send("hola")
            with pytest.raises(ConnectionClosed):
                websocket.recv()
    assert what(tape)[4:6] == [
        "connection handler failed: ValueError: hola",
        "CLOSE 1011 (internal error)",
    ]


def test_an_exception_that_the_handler_catches_is_no_failure():
    async def handler(websocket):
        try:
            raise ValueError
        except ValueError:
            await websocket.close(1011, "sorry")

    async def talk(uri):
        async with connect(uri) as websocket:
            await websocket.wait_closed()

    assert what(listen(talk, handler, wait=True))[3:] == [
        'CLOSE 1011 (internal error) "sorry"',
        'CLOSE 1011 (internal error) "sorry"',
        "TCP connection closed",
    ]


def test_a_handler_that_is_cancelled_has_not_failed():
    """The library reports none, and closes the connection all the same."""

    async def leave(websocket):
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    async def talk(uri):
        async with connect(uri) as websocket:
            with pytest.raises(ConnectionClosed):
                await websocket.recv()

    assert what(listen(talk, leave, wait=True))[3:] == [
        *["CLOSE 1011 (internal error)"] * 2,
        "TCP connection closed",
    ]


def test_a_handler_that_outlives_its_client():
    async def handler(websocket):
        while True:
            await websocket.recv()

    async def talk(uri):
        async with connect(uri):
            pass

    assert what(listen(talk, handler, wait=True))[3:] == [
        "CLOSE 1000 (OK)",
        "CLOSE 1000 (OK)",
        "TCP connection closed",
        "connection handler failed: ConnectionClosedOK: "
        "received 1000 (OK); then sent 1000 (OK)",
    ]


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (
            b"\x81\x04hola",
            ['CLOSE 1002 (protocol error) "incorrect masking"'],
        ),
        (
            frame(1, b"hola, Lima"),
            [
                'CLOSE 1009 (message too big) "frame with 10 bytes exceeds '
                'limit of 8 bytes"'
            ],
        ),
        (
            frame(1, b"\xff"),
            [
                r'TEXT "\xff"',
                "CLOSE 1007 (invalid frame payload data) "
                '"invalid start byte at position 0"',
            ],
        ),
    ],
    ids=["unmasked", "too long", "no text"],
)
def test_a_client_that_breaks_the_rules(sent, shown):
    async def talk(uri):
        await raw(uri, GREETING, sent)

    tape = listen(talk, wait=True, max_size=8)
    assert what(tape)[3 : 4 + len(shown)] == [*shown, "TCP connection closed"]


def test_a_server_that_ends_tcp_before_it_has_an_answer():
    """RFC 6455, 7.1.7; the end of TCP is drawn at the end all the same."""

    async def talk(uri):
        async with connect(uri) as websocket:
            await websocket.send("hola, Lima")
            with pytest.raises(ConnectionClosed):
                await websocket.recv()

    close = (
        'CLOSE 1009 (message too big) "frame with 10 bytes exceeds limit of '
        '8 bytes"'
    )
    assert lines_of(listen(talk, max_size=8, compression=None))[4:] == [
        f"echo → client  {close}",
        f"client → echo  {close}",
        "client, echo  TCP connection closed",
    ]


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (b"", "CLOSE"),
        (b"\x03", "CLOSE 03"),
        (b"\x03\xed", "CLOSE 03 ed"),
        (b"\x03\xe8\xff", "CLOSE 03 e8 ff"),
        (b"\x0b\xb8;<b>", 'CLOSE 3000 (registered) ";<b>"'),
    ],
)
def test_codes_of_a_close(payload, shown):
    async def talk(uri):
        await raw(uri, GREETING, frame(8, payload))

    assert what(listen(talk, wait=True))[3] == shown


async def vanish_unheard(uri):
    await raw(uri, GREETING, b"")


@pytest.mark.parametrize(
    ("talk", "wait"),
    [(vanish, False), (vanish, True), (vanish_unheard, True)],
)
def test_a_client_that_is_gone(talk, wait):
    said = "TCP connection closed without a CLOSE: code 1006"
    assert what(listen(talk, wait=wait))[3] == said


async def abort_and_leave(uri):
    async with connect(uri) as websocket:
        websocket.transport.abort()


async def abort_and_send(uri):
    async with connect(uri) as websocket:
        websocket.transport.abort()
        await websocket.send("nobody will read this")


async def abort_within_a_frame(uri):
    async with connect(uri) as websocket:
        websocket.transport.write(frame(1, b"hola")[:-1])
        websocket.transport.abort()


async def cut_and_leave(uri):
    async with connect(uri) as websocket:
        tcp = websocket.transport.get_extra_info("socket")
        tcp.shutdown(socket.SHUT_RDWR)


async def cut_within_a_frame(uri):
    async with connect(uri) as websocket:
        websocket.transport.write(frame(1, b"hola")[:-1])
        tcp = websocket.transport.get_extra_info("socket")
        tcp.shutdown(socket.SHUT_RDWR)


GONE = [
    "GET /",
    "101 Switching Protocols",
    "OPEN",
    "TCP connection closed without a CLOSE: code 1006",
]


@pytest.mark.parametrize("wait", [False, True])
@pytest.mark.parametrize(
    "talk", [abort_and_leave, abort_and_send, abort_within_a_frame]
)
def test_a_close_that_never_left(talk, wait):
    """The library logs one, but there is no way out any more."""
    assert what(listen(talk, listener, wait=wait))[:4] == GONE


@pytest.mark.parametrize("talk", [cut_and_leave, cut_within_a_frame])
def test_a_close_that_the_socket_did_not_take(talk):
    """Here the end of TCP at the other end tells."""
    assert what(listen(talk, listener, wait=True))[:4] == GONE


def test_a_close_that_leaves_although_the_socket_is_closing():
    """``transport.close()``, unlike ``abort()``, sends what is waiting."""

    async def talk(uri):
        async with connect(uri, compression=None) as websocket:
            sending = asyncio.create_task(websocket.send(bytes(2**24)))
            await asyncio.sleep(0)
            websocket.transport.close()
        await sending

    tape = listen(talk, listener, wait=True, max_size=None)
    assert what(tape)[4] == "CLOSE 1000 (OK)"
    assert what(tape)[-1] == "TCP connection closed"


def test_a_close_that_never_left_a_server():
    async def abort(websocket):
        websocket.transport.abort()

    async def fail(websocket):
        websocket.transport.abort()
        raise ValueError("no")

    async def talk(uri):
        async with connect(uri) as websocket:
            with pytest.raises(ConnectionClosed):
                await websocket.recv()

    assert what(listen(talk, abort)) == GONE
    failed = "connection handler failed: ValueError: no"
    assert what(listen(talk, fail)) == [*GONE[:3], failed, GONE[3]]


def test_a_close_that_never_left_by_what_one_end_tells():
    async def main():
        async with server_in_another_process() as uri:
            with Wiretap() as tape:
                await abort_and_leave(uri)
        return tape

    assert what(asyncio.run(main())) == GONE


@pytest.mark.parametrize("wait", [False, True])
def test_a_close_to_a_client_that_is_gone(wait):
    """It left the server, but TCP had ended at the other end."""

    async def until_told(websocket):
        await gone.wait()

    async def talk(uri):
        websocket = await connect(uri)
        websocket.transport.abort()
        gone.set()
        await websocket.wait_closed()

    gone = asyncio.Event()
    assert what(listen(talk, until_told, wait=wait)) == GONE


def test_an_answer_that_a_client_did_not_wait_for():
    """Of the two CLOSE the first has arrived."""

    async def keep(websocket):
        await websocket.wait_closed()

    async def talk(uri):
        websocket = await connect(uri)
        closing = asyncio.create_task(websocket.close())
        await asyncio.sleep(0)
        websocket.transport.abort()
        await closing

    assert what(listen(talk, keep, wait=True))[3:] == [
        "CLOSE 1000 (OK)",
        "TCP connection closed",
    ]


def come_and_go(uri):
    with sync_connect(uri):
        pass


def test_a_blocking_client_whose_server_is_gone():
    """It may have noticed or not when it sends its CLOSE: all the same."""

    async def abort(websocket):
        websocket.transport.abort()
        await websocket.wait_closed()

    async def talk(uri):
        await asyncio.to_thread(come_and_go, uri)

    texts = {text_of(listen(talk, abort)) for _ in range(20)}
    assert [what_of(text) for text in texts] == [GONE]


def test_a_close_on_its_way_when_the_block_ends():
    """Whether it arrives is not known yet, so there is its arrow."""

    async def talk(uri):
        websocket = await connect(uri)
        closing.append(asyncio.create_task(websocket.close()))
        await asyncio.sleep(0)

    async def main():
        async with serve(echo, "127.0.0.1", 0) as server:
            with Wiretap() as tape:
                await talk(uri_of(server))
            early = what(tape)
            await closing[0]
        return early, what(tape)

    closing = []
    early, late = asyncio.run(main())
    assert early == late == [*GONE[:3], "CLOSE 1000 (OK)"]


def test_a_server_that_closes():
    async def once(websocket):
        await websocket.send(await websocket.recv())

    async def talk(uri):
        async with connect(uri) as websocket:
            await websocket.send("hola")
            assert [m async for m in websocket] == ["hola"]

    assert lines_of(listen(talk, once))[3:] == [
        'client → once  TEXT "hola"',
        'once → client  TEXT "hola"',
        "once → client  CLOSE 1000 (OK)",
        "client → once  CLOSE 1000 (OK)",
        "client, once  TCP connection closed",
    ]


REJECTED = [
    (
        "Sec-WebSocket-Accept",
        "hola",
        "InvalidHeaderValue: invalid Sec-WebSocket-Accept header: …",
    ),
    (
        "Sec-WebSocket-Accept",
        None,
        "InvalidHeader: missing Sec-WebSocket-Accept header",
    ),
    (
        "Upgrade",
        "h2c",
        "InvalidUpgrade: invalid Upgrade header: h2c",
    ),
    (
        "Sec-WebSocket-Protocol",
        "chat",
        "NegotiationError: no subprotocols supported",
    ),
    (
        "Sec-WebSocket-Extensions",
        "x-zip",
        "NegotiationError: Unsupported extension: name = x-zip, params = []",
    ),
]


async def be_rejected_in_a_thread(uri):
    with pytest.raises(InvalidHandshake):
        await asyncio.to_thread(chat_once, uri)


@pytest.mark.parametrize("talk", [be_rejected, be_rejected_in_a_thread])
@pytest.mark.parametrize(("name", "value", "shown"), REJECTED)
def test_a_client_that_rejects_the_101(name, value, shown, talk):
    """It has never been open, whatever its server believes."""
    change = answer_with(name, value)
    # A thread may let the server's handler fail before the block is over.
    assert lines_of(listen(talk, process_response=change))[:4] == [
        "client → echo  GET /",
        "echo → client  101 Switching Protocols",
        f"client  rejected the response: {shown}",
        "client, echo  TCP connection closed",
    ]


def test_a_rejection_is_told_in_the_same_words_each_time():
    """The value may come from the client's key, which is new each time."""

    def copy(connection, request, response):
        del response.headers["Sec-WebSocket-Accept"]
        key = request.headers["Sec-WebSocket-Key"]
        response.headers["Sec-WebSocket-Accept"] = key

    first, second = (
        listen(
            be_rejected, tape=Wiretap(headers=True), process_response=copy
        ).bundle("en")
        for _ in range(2)
    )
    assert first == second
    assert "header: …" in first["text/plain"]


def test_a_rejection_by_what_the_client_alone_tells():
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: hola\r\n\r\n"
        )
        await reader.read()
        writer.close()

    async def main():
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as other:
            with Wiretap() as tape:
                await be_rejected(uri_of(other))
        return tape

    assert lines_of(asyncio.run(main())) == [
        "client → server  GET /",
        "server → client  101 Switching Protocols",
        "client  rejected the response: InvalidHeaderValue: invalid "
        "Sec-WebSocket-Accept header: …",
        "client, server  TCP connection closed",
    ]


def test_a_rejection_in_the_exercise_about_it():
    verdict = asyncio.run(Check("en").verdict("05.2", lambda request: "hola"))
    assert verdict.state == "wrong"
    assert lines_of(verdict.run)[1:] == [
        "server → client  101 Switching Protocols",
        "client  rejected the response: InvalidHeaderValue: invalid "
        "Sec-WebSocket-Accept header: …",
        "client, server  TCP connection closed",
    ]


def test_a_rejection_that_the_server_alone_tells_cannot_be_known():
    async def talk(uri):
        await raw(uri, GREETING, b"")

    assert what(listen(talk, wait=True))[:4] == [
        "GET /",
        "101 Switching Protocols",
        "OPEN",
        "TCP connection closed without a CLOSE: code 1006",
    ]


@pytest.mark.parametrize("talk", [be_rejected, be_rejected_in_a_thread])
def test_a_client_that_rejects_the_101_gets_no_close(talk):
    """Its server has sent one, not knowing, or not: that is a matter of luck.

    What the handler sent is drawn.
    """

    async def greet(websocket):
        with contextlib.suppress(ConnectionClosed):
            await websocket.send("hola")

    change = answer_with("Sec-WebSocket-Protocol", "chat")
    tape = listen(talk, greet, wait=True, process_response=change)
    if talk is be_rejected:
        assert lines_of(tape)[3] == 'greet → client  TEXT "hola"'
    assert [line for line in what(tape) if "TEXT" not in line] == [
        "GET /",
        "101 Switching Protocols",
        "rejected the response: NegotiationError: no subprotocols supported",
        "TCP connection closed",
    ]


def test_one_client_opens_and_another_rejects():
    async def talk(uri):
        await be_rejected(uri)
        async with connect(uri, subprotocols=["chat"]) as websocket:
            await websocket.send("hola")
            await websocket.recv()

    change = answer_with("Sec-WebSocket-Protocol", "chat")
    tape = listen(talk, process_response=change)
    assert lines_of(tape)[2] == (
        "client 1  rejected the response: NegotiationError: no subprotocols "
        "supported"
    )
    assert [line for line in lines_of(tape) if "OPEN" in line] == [
        "client 2, echo  OPEN"
    ]


def test_a_101_that_the_client_has_not_read_yet():
    """A server is open when it has sent it, a connection is not."""

    async def hold(websocket):
        tape.stop()
        await websocket.wait_closed()

    tape = Wiretap()
    listen(say_goodbye, hold, tape=tape)
    assert what(tape) == ["GET /", "101 Switching Protocols"]


def test_a_client_that_gives_up_before_it_reads_the_101():
    """It rejects nothing."""

    async def give_up(websocket):
        clients[0].cancel()
        await websocket.wait_closed()

    async def talk(uri):
        clients.append(asyncio.create_task(say_hello(uri)))
        await asyncio.wait(clients)

    clients = []
    assert what(listen(talk, give_up, wait=True)) == [
        "GET /",
        "101 Switching Protocols",
        "TCP connection closed",
    ]


async def say_goodbye(uri):
    async with connect(uri):
        pass


@pytest.mark.parametrize("talk", [say_goodbye, be_rejected])
def test_a_101_that_the_client_reads_in_the_block(talk):
    """And that was sent before."""

    async def main():
        async def begin(websocket):
            tape.start()
            await websocket.wait_closed()

        options = {}
        if talk is be_rejected:
            change = answer_with("Sec-WebSocket-Protocol", "chat")
            options["process_response"] = change
        async with serve(begin, "127.0.0.1", 0, **options) as server:
            await talk(uri_of(server))
            tape.stop()

    tape = Wiretap()
    asyncio.run(main())
    told = {
        say_goodbye: ["OPEN", "CLOSE 1000 (OK)", "CLOSE 1000 (OK)"],
        be_rejected: [
            "rejected the response: NegotiationError: no subprotocols "
            "supported"
        ],
    }
    assert what(tape) == [
        "101 Switching Protocols",
        *told[talk],
        "TCP connection closed",
    ]


def test_a_server_that_is_none():
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"hola\r\n\r\n")
        writer.close()

    async def main():
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as other:
            with Wiretap() as tape, pytest.raises(InvalidMessage):
                await connect(uri_of(other))
        return tape

    assert lines_of(asyncio.run(main())) == [
        "client → server  GET /",
        "client, server  TCP connection closed",
    ]


# What was said before, and what arrives later.


def test_what_was_on_its_way_when_the_block_began():
    async def main():
        async with serve(echo, "127.0.0.1", 0) as server:
            async with connect(uri_of(server)) as websocket:
                for word in ("one", "two"):
                    await websocket.send(word)
                with Wiretap() as tape:
                    await websocket.send("three")
                    for _ in range(3):
                        await websocket.recv()
        return tape

    lines = lines_of(asyncio.run(main()))
    assert [line for line in lines if line.startswith("client")] == [
        'client → echo  TEXT "three"',
        'client → echo  TEXT "one"',
        'client → echo  TEXT "two"',
    ]
    assert [line for line in lines if line.startswith("echo")] == [
        'echo → client  TEXT "one"',
        'echo → client  TEXT "two"',
        'echo → client  TEXT "three"',
    ]


def test_what_was_on_its_way_before_what_never_left():
    async def main():
        async with serve(listener, "127.0.0.1", 0) as server:
            async with connect(uri_of(server)) as websocket:
                await websocket.send("one")
                with Wiretap() as tape:
                    await websocket.send("two")
                    websocket.transport.abort()
                    await websocket.close()
                    await handlers_of(server)
        return tape

    lines = what(asyncio.run(main()))
    assert lines[:3] == ['TEXT "two"', 'TEXT "one"', GONE[3]]


def test_a_connection_of_which_nothing_is_left_takes_no_number():
    """Only its server has yet to hear that the client ended TCP as well."""

    async def talk(uri):
        address = urllib.parse.urlsplit(uri)
        reader, writer = await asyncio.open_connection(
            address.hostname, address.port
        )
        writer.write(GREETING + frame(8))
        await reader.read()
        with Wiretap() as tape:
            writer.close()
            await say_hello(uri)
        heard.append(tape)

    heard = []
    listen(talk)
    assert heard[0].bundle("en") == listen(say_hello).bundle("en")


def test_what_arrives_after_the_block_has_its_arrow():
    async def talk(uri):
        websocket = await connect(uri)
        await websocket.send("hola")
        still_open.append(websocket)

    still_open = []
    assert what(listen(talk))[3:] == ['TEXT "hola"']
