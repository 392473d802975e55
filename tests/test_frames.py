"""Frames hears each connection, whoever else listens to its log."""

import asyncio
import contextlib
import functools
import logging
import re
import threading

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.client import ClientProtocol
from websockets.exceptions import (
    ConnectionClosed,
)
from websockets.protocol import Protocol
from websockets.sync.client import connect as sync_connect
from websockets.sync.server import serve as sync_serve
from websockets.uri import parse_uri
from wiretaps import (
    LOGGERS,
    NAMES,
    echo,
    lines_of,
    listen,
    no_trace,  # noqa: F401
    say_hello,
    state,
    text_of,
    uri_of,
    what,
)

from aula.instruments.diagram import TEXT
from aula.instruments.frames import refused_by_send
from aula.instruments.wiretap import Wiretap


class Chat:
    async def __call__(self, websocket):
        await echo(websocket)

    async def room(self, websocket):
        await echo(websocket)


@pytest.mark.parametrize(
    ("handler", "name"),
    [
        (echo, "echo"),
        (functools.partial(functools.partial(echo)), "echo"),
        (lambda websocket: echo(websocket), "server"),
        (Chat(), "Chat"),
        (Chat().room, "room"),
    ],
)
def test_a_server_bears_its_handlers_name(handler, name):
    assert lines_of(listen(say_hello, handler))[0] == f"client → {name}  GET /"


@pytest.mark.parametrize("message", [None, 1, say_hello, {"a": 1}])
def test_what_send_refuses(message):
    async def talk(uri):
        async with connect(uri) as websocket:
            with pytest.raises(TypeError) as caught:
                await websocket.send(message)
        errors.append(caught.value)

    errors = []
    listen(talk)
    assert refused_by_send(errors[0]) == [message]
    assert refused_by_send(TypeError()) == []


def test_protocols_without_a_connection_are_left_alone():
    with Wiretap() as tape:
        client = ClientProtocol(parse_uri("ws://example.com/"))
        client.send_request(client.connect())
    assert b"GET / HTTP/1.1" in client.data_to_send()[0]
    assert text_of(tape) == TEXT["en"]["silence"]


def test_a_blocking_client_whose_socket_is_closed():
    """It has no address any more when the wiretap hears of it."""

    def leave(uri):
        with sync_connect(uri) as websocket:
            return websocket

    async def talk(uri):
        websocket = await asyncio.to_thread(leave, uri)
        with pytest.raises(OSError):
            websocket.remote_address  # noqa: B018
        with Wiretap() as tape:
            # Its last words, as the library has them.
            if websocket.protocol.debug:
                websocket.protocol.logger.debug("< EOF")
        heard.append(tape)

    heard = []
    listen(talk)
    assert lines_of(heard[0]) == ["client, server  TCP connection closed"]


# When it listens.


def test_a_connection_made_before_the_block():
    async def main():
        async with serve(echo, "127.0.0.1", 0) as server:
            async with connect(uri_of(server)) as websocket:
                with Wiretap() as first:
                    await websocket.send("hola")
                    await websocket.recv()
                await websocket.send("between")
                await websocket.recv()
                with Wiretap() as second:
                    websocket.transport.abort()
                    await websocket.wait_closed()
        return lines_of(first), lines_of(second)

    assert asyncio.run(main()) == (
        ['client → echo  TEXT "hola"', 'echo → client  TEXT "hola"'],
        ["client, echo  TCP connection closed without a CLOSE: code 1006"],
    )


# Who else listens.


class Shelf(logging.Handler):
    """Keeps what it is given, but for what is new in each run."""

    NEW = re.compile(r"(:\d{4,5}|\S+=|\S{3}, \d\d .* GMT|[0-9a-f-]{36})$")

    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        said = self.NEW.sub("", record.getMessage())
        spoke = getattr(record, "websocket", None) is not None
        place = record.funcName, record.lineno
        self.records.append((record.name, record.levelno, said, spoke, *place))


class Deaf(Wiretap):
    def start(self):
        pass


async def fallible(websocket):
    async for message in websocket:
        if message == "fail":
            raise ValueError
        await websocket.send(message)


async def say_hello_and_fail(uri):
    async with connect(uri) as websocket:
        await websocket.send("hola")
        await websocket.recv()
        await websocket.send("fail")
        with pytest.raises(ConnectionClosed):
            await websocket.recv()


@contextlib.contextmanager
def configured(names, level=None, disabled=False, mute=logging.NOTSET):
    """Logging as a learner may have configured it, with a handler."""
    loggers = [logging.getLogger(name) for name in names]
    before = [(one, one.level, one.disabled) for one in loggers]
    shelf = Shelf()
    for logger in loggers:
        logger.addHandler(shelf)
        if level is not None:
            logger.setLevel(level)
        logger.disabled = disabled
    logging.disable(mute)
    try:
        yield shelf
    finally:
        logging.disable(logging.NOTSET)
        for logger, level, disabled in before:
            logger.removeHandler(shelf)
            logger.setLevel(level)
            logger.disabled = disabled


@pytest.mark.parametrize(
    ("options", "some"),
    [
        ({"names": [""]}, True),
        ({"names": [""], "level": logging.INFO}, True),
        ({"names": [""], "level": logging.DEBUG}, True),
        ({"names": NAMES, "level": logging.DEBUG}, True),
        ({"names": NAMES, "level": logging.WARNING}, True),
        ({"names": NAMES, "level": logging.CRITICAL}, False),
        ({"names": NAMES, "level": 10, "disabled": True}, False),
        ({"names": NAMES, "level": 10, "mute": logging.INFO}, True),
        ({"names": NAMES, "level": 10, "mute": logging.CRITICAL}, False),
    ],
)
def test_handlers_get_what_they_get_without_a_wiretap(options, some):
    shelves = []
    for tape in (Deaf(), Wiretap()):
        with configured(**options) as shelf:
            listen(say_hello_and_fail, fallible, tape=tape, wait=True)
        shelves.append(shelf.records)
    assert shelves[1] == shelves[0]
    assert bool(shelves[0]) is some
    # And the wiretap hears all of it, whatever they get.
    assert tape.bundle("en") == listen(say_hello_and_fail, fallible).bundle(
        "en"
    )


def test_loggers_are_as_they_are_even_in_the_block():
    async def talk(uri):
        await say_hello(uri)
        during.extend(state(logger) for logger in LOGGERS)

    before, during = [state(logger) for logger in LOGGERS], []
    listen(talk)
    assert during == before
    assert all("log" not in logger for logger in during)


def test_a_connection_is_as_it_would_be():
    """After the block, too, and although it was made in the block."""

    async def main():
        async with serve(echo, "127.0.0.1", 0) as server:
            async with connect(uri_of(server)) as before:
                with Wiretap():
                    await before.send("hola")
                    async with connect(uri_of(server)) as within:
                        await within.send("hola")
                return [
                    (vars(one.protocol)["debug"], "log" in vars(one.logger))
                    for one in (before, within)
                ]

    assert asyncio.run(main()) == [(False, False)] * 2


def test_a_thread_that_looks_when_the_block_ends():
    async def main():
        async with serve(echo, "127.0.0.1", 0) as server:
            async with connect(uri_of(server)) as websocket:
                with Wiretap():
                    debug = vars(Protocol)["debug"]
                assert debug.__get__(websocket.protocol, Protocol)
                return "log" in vars(websocket.logger)

    assert not asyncio.run(main())


def test_a_connection_that_was_not_to_log_frames_does_not_begin_to():
    async def main():
        async with serve(echo, "127.0.0.1", 0) as server:
            async with connect(uri_of(server)) as websocket:
                with configured([""], logging.DEBUG) as shelf, Wiretap():
                    await websocket.send("hola")
                    await websocket.recv()
        return shelf.records

    assert not [r for r in asyncio.run(main()) if r[0] in NAMES]


def test_logging_may_be_configured_in_the_block():
    async def talk(uri):
        await say_hello(uri)
        with configured([""], logging.INFO) as shelf:
            await say_hello(uri)
            await asyncio.sleep(0)
        shelves.append({record[2] for record in shelf.records})

    shelves = []
    assert text_of(listen(talk)).count("hola") == 4
    assert "connection open" in shelves[0]
    assert not any(said[0] in "<>=" for said in shelves[0])


class Verbose(logging.LoggerAdapter):
    """An adapter that would not survive all that DEBUG brings."""

    def process(self, message, options):
        websocket = options["extra"]["websocket"]
        return f"{websocket.id} {message}", options


def fresh(name, level=logging.NOTSET):
    logger = logging.getLogger(f"tests.{name}")
    logger.setLevel(level)
    return logger


@pytest.mark.parametrize(
    "make",
    [
        lambda: fresh("plain"),
        lambda: fresh("quiet", logging.ERROR),
        lambda: logging.Logger("unregistered", logging.ERROR),
        lambda: logging.getLogger(),
        lambda: logging.getLogger("websockets"),
        lambda: Verbose(fresh("verbose"), None),
        lambda: logging.LoggerAdapter(fresh("adapted"), {"app": "chat"}),
        lambda: logging.LoggerAdapter(LOGGERS[1], {"app": "chat"}),
    ],
)
def test_a_logger_of_the_learners_own(make):
    async def talk(uri):
        async with connect(uri, logger=make()) as websocket:
            await websocket.send("hola")
            await websocket.recv()

    tape = listen(talk, logger=make())
    assert tape.bundle("en") == listen(say_hello).bundle("en")


def test_a_logger_of_the_learners_own_in_threads():
    def echo(websocket):
        for message in websocket:
            websocket.send(message)

    quiet = fresh("quiet", logging.ERROR)
    with sync_serve(echo, "127.0.0.1", 0, logger=quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        uri = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        with Wiretap() as tape:
            with sync_connect(uri, logger=Verbose(quiet, None)) as websocket:
                websocket.send("hola")
                websocket.recv()
        server.shutdown()
        thread.join()
    assert tape.bundle("en") == listen(say_hello).bundle("en")


def test_a_logger_of_the_learners_own_gets_no_more_than_its_level():
    shelves = []
    for tape in (Deaf(), Wiretap()):
        logger = fresh("quiet", logging.INFO)
        with configured([logger.name]) as shelf:
            listen(
                say_hello_and_fail,
                fallible,
                tape=tape,
                wait=True,
                logger=logger,
            )
        shelves.append(shelf.records)
    assert shelves[1] == shelves[0]
    assert "connection handler failed" in [
        record[2] for record in shelf.records
    ]


def test_other_loggers_do_not_begin_to_speak():
    async def talk(uri):
        logging.getLogger("aula.other").debug("nobody asked")

    with configured([""]) as shelf:
        listen(talk, logger=logging.getLogger())
    assert shelf.records == []


def test_what_the_learner_logs_is_not_taken_for_the_librarys():
    async def handler(websocket):
        async for message in websocket:
            mine.debug("> %s", {"message": message})
            websocket.logger.debug("< %s: %s", 1, 2)
            websocket.logger.error("connection handler failed", exc_info=True)
            await websocket.send(message)

    mine = fresh("mine")
    tape = listen(say_hello, handler, logger=mine)
    assert what(tape) == what(listen(say_hello))
