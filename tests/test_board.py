"""The classroom's board: who gets in, what it shows, what it survives."""

import asyncio
import contextlib
import json
import os
import random
import socket
import sqlite3
import sys
import time

import pytest
from boards import TOKENS, forking
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from aula.board import server

ADA = {"token": TOKENS["class"], "nick": "Ada"}
SCREEN = {"token": TOKENS["screen"], "role": "screen"}
MOMENT = 0.2  # seconds that a stranger has in these tests
SCRIPT = "<img src=x onerror=1"


@contextlib.asynccontextmanager
async def board(tmp_path, **options):
    """The address of a board in this process."""
    path = tmp_path / "board.sqlite"
    async with server.serve_board(path, TOKENS, **options) as serving:
        host, port = serving.sockets[0].getsockname()
        yield f"ws://{host}:{port}", serving


@contextlib.asynccontextmanager
async def visit(address, hello, **options):
    """Somebody who begins with this message; text and bytes go as they are."""
    async with connect(address, **options) as websocket:
        if hello is not None:
            raw = isinstance(hello, str | bytes)
            await websocket.send(hello if raw else json.dumps(hello))
        yield websocket


async def hear(websocket):
    async with asyncio.timeout(10):
        return json.loads(await websocket.recv())


async def solve(websocket, *names):
    for name in names:
        await websocket.send(json.dumps({"solved": name}))
        assert await hear(websocket) == {"kept": name}


async def ending(websocket):
    """The code with which the board hangs up; nothing is said before."""
    with pytest.raises(ConnectionClosed) as caught:
        async with asyncio.timeout(10):
            await websocket.recv()
    return caught.value.rcvd.code


HELLOS = [
    (4401, [None, "", "hola", "null", "[]", "{}", b"{}", "[" * 900]),
    (4401, [{"token": value} for value in ("wrong", "", None, 3, [], {})]),
    (4401, [{"token": "\ud800"}, {"nick": "Ada"}, {"role": "screen"}]),
    (4401, [{**ADA, "role": "screen"}, {**SCREEN, "role": "class"}]),
    (
        4401,
        [{**SCREEN, "role": ["screen"]}, {**ADA, "token": "FOR-THE-CLASS"}],
    ),
    (4400, [{**ADA, "nick": nick} for nick in ("", " ", "x" * 21, None, 3)]),
    (4400, [{**ADA, "nick": f"A{c}A"} for c in "\n\0\x7f\u200b\u202e\ud800"]),
    (4400, [{"token": TOKENS["class"]}]),
    (1009, ["x" * 5000, json.dumps({**ADA, "nick": "x" * 5000})]),
]


@pytest.mark.parametrize(("code", "hellos"), HELLOS)
def test_a_stranger_is_sent_away(code, hellos, tmp_path, caplog):
    async def play():
        async with board(tmp_path, seconds=MOMENT) as (address, _):
            for hello in hellos:
                async with visit(address, hello) as websocket:
                    assert await ending(websocket) == code, hello
            async with visit(address, ADA) as websocket:
                await solve(websocket, "shout")

    asyncio.run(play())
    assert not caplog.records


@pytest.mark.parametrize(
    "message",
    [
        {"solved": "'; drop table solved; --"},
        {"solved": "../shout"},
        {"solved": "Shout"},
        {"solved": "shout\n"},
        {"solved": ""},
        {"solved": "x" * 41},
        {"solved": None},
        {"solved": ["shout"]},
        {"nick": "Eva", "exercise": "shout", "time": 1},
        {"snapshot": []},
        "hola",
        b"\xff",
    ],
)
def test_what_is_no_exercise_is_refused(message, tmp_path, caplog):
    async def play():
        async with (
            board(tmp_path) as (address, _),
            visit(address, SCREEN) as screen,
        ):
            assert await hear(screen) == {"snapshot": []}
            async with visit(address, ADA) as websocket:
                raw = isinstance(message, str | bytes)
                await websocket.send(message if raw else json.dumps(message))
                assert await ending(websocket) == 4400
            async with visit(address, ADA) as websocket:
                await solve(websocket, "shout")
            assert (await hear(screen))["exercise"] == "shout"

    asyncio.run(play())
    assert not caplog.records


def test_a_screen_does_not_post(tmp_path):
    async def play():
        async with board(tmp_path) as (address, _):
            async with visit(address, SCREEN) as screen:
                await hear(screen)
                await screen.send(json.dumps({"solved": "shout"}))
                assert await ending(screen) == 4400
            async with visit(address, SCREEN) as screen:
                assert await hear(screen) == {"snapshot": []}

    asyncio.run(play())


def test_repeats_are_kept_once_and_shown_once(tmp_path):
    async def play():
        async with (
            board(tmp_path) as (address, _),
            visit(address, SCREEN) as screen,
        ):
            await hear(screen)
            for _ in range(2):
                async with visit(address, {**ADA, "nick": " Ada "}) as ada:
                    await solve(ada, "shout", "shout")
            async with visit(address, {**ADA, "nick": SCRIPT}) as eva:
                await solve(eva, "shout")
            first, second = await hear(screen), await hear(screen)
            assert [first["nick"], second["nick"]] == ["Ada", SCRIPT]
            assert abs(first["time"] - time.time()) < 60
            async with visit(address, SCREEN) as other:
                rows = (await hear(other))["snapshot"]
            assert rows == [
                [row["nick"], "shout", row["time"]] for row in (first, second)
            ]

    asyncio.run(play())


def test_a_learner_hears_of_nobody_else(tmp_path):
    async def play():
        async with (
            board(tmp_path) as (address, _),
            visit(address, ADA) as ada,
            visit(address, {**ADA, "nick": "Eva"}) as eva,
        ):
            await solve(eva, "shout", "count")
            await solve(ada, "shout")  # hears its own alone
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ada.recv(), MOMENT)

    asyncio.run(play())


def test_screens_that_come_in_a_flood_miss_nothing(tmp_path):
    people, each = 20, 25

    async def play():
        async with board(tmp_path) as (address, _):
            seen = []

            async def watch(pause):
                await asyncio.sleep(pause)
                async with visit(address, SCREEN) as screen:
                    rows = [tuple(r) for r in (await hear(screen))["snapshot"]]
                    while len(rows) < people * each:
                        rows.append(tuple((await hear(screen)).values()))
                    seen.append(rows)

            async def flood(number):
                hello = {**ADA, "nick": f"n{number}"}
                async with visit(address, hello) as websocket:
                    await solve(websocket, *(f"e{i}" for i in range(each)))

            pauses = [random.uniform(0, 0.3) for _ in range(10)]
            await asyncio.gather(
                *map(watch, pauses), *map(flood, range(people))
            )
            assert len(seen) == len(pauses)
            for rows in seen:
                assert len({*rows}) == people * each
                assert {*rows} == {*seen[0]}

    asyncio.run(play())


def test_a_sleeping_screen_stops_nobody(tmp_path):
    async def play():
        async with board(tmp_path) as (address, serving):
            # The system's own buffers would hold a whole class's day.
            listening = serving.sockets[0]
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            host, port = listening.getsockname()
            narrow = socket.socket()
            narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            narrow.connect((host, port))
            async with (
                visit(address, SCREEN, sock=narrow, max_queue=1) as sleeping,
                visit(address, SCREEN) as screen,
                visit(address, ADA) as ada,
            ):
                await hear(sleeping)
                await hear(screen)
                names = [f"{'x' * 30}{i}" for i in range(1500)]

                async def read():
                    return [(await hear(screen))["exercise"] for _ in names]

                heard, _ = await asyncio.gather(read(), solve(ada, *names))
                assert heard == names
                with pytest.raises(ConnectionClosed):
                    while True:
                        await hear(sleeping)
            async with visit(address, SCREEN, max_size=None) as back:
                assert len((await hear(back))["snapshot"]) == len(names)

    asyncio.run(play())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
NEAR = st.fixed_dictionaries(
    {},
    optional={
        "token": JSON | st.sampled_from([*TOKENS.values()]),
        "nick": JSON,
        "role": JSON | st.just("screen"),
    },
)


def test_no_first_message_breaks_it(tmp_path, caplog):
    """Whatever it is: in, or away with a code of the board's."""
    with asyncio.Runner() as runner:
        serving = board(tmp_path, seconds=60)
        address, _ = runner.run(serving.__aenter__())

        @settings(max_examples=200, deadline=None)
        @example({**ADA, "nick": "\ud800"})
        @example("9" * 900)
        @example('{"token": NaN, "token": 1e999}')
        @given(st.text() | st.binary() | JSON.map(json.dumps) | NEAR)
        def begin(hello):
            async def play():
                async with visit(address, hello) as websocket:
                    is_in = False
                    # A learner who is in is told what was kept.
                    with contextlib.suppress(ConnectionClosed):
                        await websocket.send('{"solved": "shout"}')
                        said = await hear(websocket)
                        is_in = "kept" in said or "snapshot" in said
                        assert isinstance(hello, dict) and is_in
                        assert hello["token"] in TOKENS.values()
                    await websocket.close()
                    if not is_in:
                        code = websocket.close_code
                        assert code in (4400, 4401, 1009), code

            runner.run(play())

        begin()
        runner.run(serving.__aexit__(None, None, None))
    assert not caplog.records


KILLS = 50


async def flood_until(address, acknowledged, gone):
    """People solve as fast as they are answered, until the line is dead."""

    async def person(number):
        # OSError: killed before they came.
        with contextlib.suppress(ConnectionClosed, OSError, EOFError):
            hello = {**ADA, "nick": f"{gone}-{number}"}
            async with visit(address, hello) as websocket:
                for count in range(10_000):
                    name = f"e{count}"
                    await solve(websocket, name)
                    acknowledged.add((hello["nick"], name))

    await asyncio.gather(*map(person, range(8)), return_exceptions=True)


@pytest.fixture(scope="module")
def doom():
    if not hasattr(os, "fork"):
        pytest.skip("no forks here")
    with forking() as made:
        yield made


def kill_again_and_again(doom, path, early):
    """Kill a board in a flood, time and again; the rows that it lost."""
    acknowledged = set()
    for number in range(KILLS):
        with doom(path, early) as doomed:

            async def play(doomed=doomed, number=number):
                asyncio.get_running_loop().call_later(
                    random.uniform(0.02, 0.15), doomed.kill
                )
                await flood_until(doomed.address, acknowledged, number)

            asyncio.run(play())
        lost = acknowledged - rows_of(path)
        if lost:
            return lost
    assert len(acknowledged) > KILLS  # it was a flood
    return set()


def rows_of(path):
    with contextlib.closing(sqlite3.connect(path)) as book:
        return {*book.execute("select nick, exercise from solved")}


def test_killed_it_has_lost_nothing_that_it_acknowledged(doom, tmp_path):
    path = tmp_path / "board.sqlite"
    assert not kill_again_and_again(doom, path, early=False)
    # And it goes on with what it has.
    with doom(path) as doomed:

        async def play():
            async with visit(doomed.address, SCREEN, max_size=None) as screen:
                rows = (await hear(screen))["snapshot"]
                assert {(nick, name) for nick, name, _ in rows} == (
                    rows_of(path)
                )

        asyncio.run(play())


def test_that_very_test_finds_a_board_that_acknowledges_early(doom, tmp_path):
    path = tmp_path / "board.sqlite"
    assert kill_again_and_again(doom, path, early=True)


async def fill(address, limit=5000):
    """Solve until the board says that it is full; what it has kept, and why.

    Everything that is not kept is refused: nobody is left without an answer.
    """
    kept = []
    async with visit(address, ADA) as ada:
        for number in range(limit):
            name = f"{'x' * 30}{number}"
            await ada.send(json.dumps({"solved": name}))
            said = await hear(ada)
            if "kept" not in said:
                assert said["refused"] == name
                return kept, said["why"]
            kept.append(name)
    raise AssertionError("it never was full")


async def shown(address):
    async with visit(address, SCREEN, max_size=None) as screen:
        return [name for _, name, _ in (await hear(screen))["snapshot"]]


def test_a_full_database_refuses_and_goes_on(tmp_path, monkeypatch):
    class Small(server.Book):
        def __init__(self, path):
            super().__init__(path)
            self.connection.execute("pragma max_page_count=8")
            books.append(self)

    books = []
    monkeypatch.setattr(server, "Book", Small)

    async def play():
        async with board(tmp_path) as (address, _):
            kept, why = await fill(address)
            assert "full" in why
            assert await shown(address) == kept
            books[0].connection.execute("pragma max_page_count=100")
            async with visit(address, ADA) as ada:
                await solve(ada, "at_last")
            assert await shown(address) == [*kept, "at_last"]
            assert {n for _, n in rows_of(tmp_path / "board.sqlite")} == {
                *kept,
                "at_last",
            }

    asyncio.run(play())


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process")
def test_a_full_disk_refuses_and_goes_on(doom, tmp_path):
    import resource

    path = tmp_path / "board.sqlite"
    with doom(path) as doomed:

        def limit(size):
            resource.prlimit(doomed.pid, resource.RLIMIT_FSIZE, size)

        async def play():
            address = doomed.address
            none = resource.getrlimit(resource.RLIMIT_FSIZE)
            limit((40_000, none[1]))
            kept, why = await fill(address)
            assert why
            assert await shown(address) == kept
            limit(none)
            async with visit(address, ADA) as ada:
                await solve(ada, "at_last")
            return [*kept, "at_last"]

        kept = asyncio.run(play())
    assert {name for _, name in rows_of(path)} == {*kept}
