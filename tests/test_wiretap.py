"""The wiretap draws its block, and leaves no trace."""

import asyncio
import threading

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.sync.client import connect as sync_connect
from wiretaps import (
    Escucha,
    echo,
    lines_of,
    listen,
    no_trace,  # noqa: F401
    say_hello,
    text_of,
    uri_of,
)

from aula.instruments.diagram import TEXT
from aula.instruments.timeline import Timeline
from aula.instruments.wiretap import Wiretap


def test_nobody_spoke():
    async def talk(uri):
        pass

    assert listen(talk).bundle("en") == {"text/plain": TEXT["en"]["silence"]}
    with pytest.raises(OSError):
        with Wiretap() as tape:
            asyncio.run(say_hello("ws://127.0.0.1:1"))
    assert text_of(tape) == TEXT["en"]["silence"]


def test_it_shows_the_picture_and_lets_the_exception_through(capsys):
    with pytest.raises(ZeroDivisionError):
        with Wiretap():
            1 / 0  # noqa: B018
    assert capsys.readouterr().out == TEXT["en"]["silence"] + "\n"


def test_headers_are_asked_for_by_name():
    with pytest.raises(TypeError):
        Wiretap(True)


def test_wiretaps_within_wiretaps():
    async def talk(uri):
        with Wiretap() as inner, Escucha() as other:
            await say_hello(uri)
        heard.extend([inner, other])
        await say_hello(uri)

    heard = []
    outer = listen(talk)
    assert heard[0].bundle("en") == listen(say_hello).bundle("en")
    assert lines_of(heard[1])[0].startswith("cliente → echo")
    assert text_of(outer).count("hola") == 4


def test_wiretaps_may_end_in_any_order():
    async def talk(uri):
        await say_hello(uri)
        outer.stop()
        await say_hello(uri)

    outer, inner = Wiretap(), Wiretap()
    outer.start()
    listen(talk, tape=inner)
    assert text_of(outer).count("hola") == 2
    assert text_of(inner).count("hola") == 4


def test_a_wiretap_may_be_used_again():
    tape = Wiretap()
    first = listen(say_hello, tape=tape).bundle("en")
    assert listen(say_hello, tape=tape).bundle("en") == first
    with tape:
        assert text_of(tape) == TEXT["en"]["silence"]
        with pytest.raises(RuntimeError):
            tape.start()
    tape.stop()


def test_it_can_be_drawn_before_it_ends():
    async def talk(uri):
        async with connect(uri) as websocket:
            await websocket.send("hola")
            early.append(text_of(tape))

    early, tape = [], Wiretap()
    assert text_of(listen(talk, tape=tape)).startswith(early[0])


def test_start_and_stop_while_threads_talk():
    def chat(uri):
        with sync_connect(uri) as websocket:
            while not over.is_set():
                websocket.send("hola")
                websocket.recv()

    async def talk(uri):
        chats = [
            asyncio.create_task(asyncio.to_thread(chat, uri)) for _ in range(3)
        ]
        for _ in range(50):
            tape = Wiretap()
            tape.start()
            await asyncio.sleep(0.003)
            text_of(tape)
            tape.stop()
        over.set()
        await asyncio.gather(*chats)

    over = threading.Event()
    listen(talk)


@pytest.mark.parametrize("outer", [Timeline, Wiretap])
def test_nested_with_a_timeline(outer, capsys):
    async def main():
        one, other = Timeline(), Wiretap()
        blocks = [one, other] if outer is Timeline else [other, one]
        async with serve(echo, "127.0.0.1", 0) as server:
            with blocks[0], blocks[1]:
                await say_hello(uri_of(server))
        return other

    assert asyncio.run(main()).bundle("en") == listen(say_hello).bundle("en")
    assert "█ blocks the loop" in capsys.readouterr().out
