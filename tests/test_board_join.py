"""A learner's side of the board, in a real kernel and with real servers."""

import asyncio
import contextlib
import json
import random
import socket
import threading
import time

import pytest
import trustme
from boards import running
from kernels import kernel
from websockets.sync.server import serve

from aula.board import join
from aula.exercises import progress

PATIENCE = 20  # seconds for what comes at once, on a machine that is busy
SETUP = """
import asyncio
from aula.{language} import board, check, timeline, wiretap

async def greet(name):
    await asyncio.sleep(0.1)
    return f"Hola, {{name}}"
"""
CHECK = "await check('00.1', greet)"
# What a picture is drawn of.
WATCHED = """
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)

async def ask():
    async with connect(f"ws://127.0.0.1:{port}") as websocket:
        await websocket.send("hola")
        await websocket.recv()

async with serve(echo, "127.0.0.1", 0) as server:
    port = server.sockets[0].getsockname()[1]
    with timeline(), wiretap():
        await asyncio.create_task(ask())
        before = len(asyncio.all_tasks())
        solved("brew_all")
        await asyncio.sleep(0.5)
        assert len(asyncio.all_tasks()) == before
"""
SOLVED = "from aula.exercises.progress import remember as solved"


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    with running(tmp_path_factory.mktemp("board") / "b.sqlite") as started:
        yield started


@pytest.fixture
def notebook(tmp_path):
    with kernel(tmp_path) as started:
        yield started


def joining(board, nick, token=None):
    token = token or board.tokens["class"]
    return f'board("{board.address}", token="{token}", nick="{nick}")'


def until(condition):
    """Wait until something holds, which happens in another process."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def told(capsys, text):
    """Wait until a learner is told this; all that was said until then."""
    said = []

    def heard():
        said.append(capsys.readouterr().out)
        return text in "".join(said)

    until(heard)
    return "".join(said)


def later(notebook, ran, text):
    """Wait until a cell that has ended says something more."""

    def said():
        notebook.finish([notebook.queue("pass")])
        return text in ran.text()

    until(said)


def solved_by(board, nick):
    return [name for who, name, _ in board.rows() if who == nick]


def test_a_solved_exercise_is_told_from_then_on(board, notebook):
    notebook.run(SETUP.format(language="en"))
    before = notebook.run(CHECK)
    joined = notebook.run(joining(board, "Ada"))
    for words in ("is sent your nickname (`Ada`)", "Nothing else is sent"):
        assert words in joined.text()
    assert board.tokens["class"] not in joined.text()
    later(notebook, joined, "You are on the board as `Ada`")
    assert not solved_by(board, "Ada")  # what was solved earlier
    wrong = notebook.run("await check('00.1', print)")
    after = notebook.run(CHECK)
    until(lambda: solved_by(board, "Ada") == ["greet"])
    assert before.text() == after.text() and "✔" in after.text()
    assert "✘" in wrong.text()
    left = notebook.run("board.leave()")
    assert "You have left" in left.text()
    notebook.run(SOLVED)
    notebook.run("solved('shout')\nawait asyncio.sleep(0.5)")
    assert solved_by(board, "Ada") == ["greet"]
    assert "on no board" in notebook.run("board.leave()").text()
    # Anew, in the same cell: the one before has left.
    for nick in ("Eva", "Lima"):
        joined = notebook.run(joining(board, nick))
        later(notebook, joined, f"You are on the board as `{nick}`")
    notebook.run("solved('shout')")
    until(lambda: solved_by(board, "Lima") == ["shout"])
    assert not solved_by(board, "Eva")
    assert not notebook.stray


def rows_in(ran):
    """What a picture has rows for; how long each took differs."""
    return [line.split("  ")[0] for line in ran.text().splitlines()]


def test_no_picture_shows_it(board, notebook):
    notebook.run(SETUP.format(language="es"))
    notebook.run(SOLVED)
    # All that libraries log, too.
    loud = "import logging\nlogging.basicConfig(level=logging.DEBUG)\n"
    plain = notebook.run(WATCHED)
    joined = notebook.run(loud + joining(board, "Grace"))
    later(notebook, joined, "Estás en el tablero como `Grace`")
    assert "No se envía nada más" in joined.text()
    told = "".join(ran.stderr() for ran in notebook.all())
    watched = notebook.run(WATCHED)
    until(lambda: solved_by(board, "Grace") == ["brew_all"])
    assert plain.status == "ok" and "ask(" in plain.text()
    assert rows_in(watched) == rows_in(plain)
    assert board.tokens["class"] not in told + watched.stderr()


def test_who_is_refused_is_told_so_and_stays_away(board, notebook):
    notebook.run(SETUP.format(language="es"))
    notebook.run(SOLVED)
    for cell, words in (
        (joining(board, "Ada", "wrong"), "no acepta este token"),
        (joining(board, "Ada", board.tokens["screen"]), "no acepta este to"),
        (joining(board, "x" * 21), "no acepta el apodo"),
        (joining(board, "Ada").replace('", token', '/no", token'), "404"),
    ):
        ran = notebook.run(cell)
        assert ran.status == "ok"
        later(notebook, ran, words)
        notebook.run("solved('untold')")
        assert (
            "no estás en ningún"
            in notebook.run("board.leave()").text().lower()
        )
    wrong = notebook.run(joining(board, "Ada").replace("ws", "no"), True)
    assert "no es la dirección de un tablero" in wrong.error()
    assert "untold" not in [name for _, name, _ in board.rows()]


def test_nothing_is_sent_by_who_has_not_joined(notebook):
    """Not a packet: whatever asks for a connection is noted."""
    notebook.run(
        "import socket\nasked = []\n"
        "for name in ('connect', 'connect_ex', 'sendto'):\n"
        "    def note(self, *args, was=getattr(socket.socket, name)):\n"
        "        asked.append(args)\n"
        "        return was(self, *args)\n"
        "    setattr(socket.socket, name, note)\n"
    )
    notebook.run(SETUP.format(language="en"))
    assert "✔" in notebook.run(CHECK).text()
    left = (
        "import sys, threading\n"
        "asked, [t for t in threading.enumerate() if 'aula' in t.name], "
        "[name for name in sys.modules if name.startswith('aula.board')]"
    )
    assert notebook.run(left).text() == "([], [], [])"


class Fake:
    """A board that does what a test says."""

    def __init__(self, handler, **options):
        self.server = serve(handler, "127.0.0.1", 0, **options)
        host, port = self.server.socket.getsockname()
        self.port = port
        self.address = f"{host}:{port}"
        threading.Thread(target=self.server.serve_forever).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()


@pytest.fixture
def impatient(monkeypatch):
    """Pauses are short."""
    monkeypatch.setattr(join, "FIRST", 0.05)
    monkeypatch.setattr(join, "LONGEST", 0.1)
    monkeypatch.setattr(join, "MOMENT", 0.1)
    monkeypatch.setattr(join, "AGAIN", 0.1)


@pytest.fixture
def learner(impatient):
    made = join.Join("en")
    yield made
    made.leave()


def test_what_was_not_acknowledged_is_sent_again(learner, capsys):
    """In order, and no more once it is kept."""
    visits = []

    def handler(websocket):
        hello = json.loads(websocket.recv())
        assert hello == {"token": "t", "nick": "Ada"}
        # Nothing tells of the machine.
        assert "User-Agent" not in websocket.request.headers
        visits.append(seen := [])
        for message in websocket:
            seen.append(json.loads(message)["solved"])
            if len(visits) == 1 and len(seen) == 3:
                return  # gone, with one kept and two not
            if len(visits) > 1 or len(seen) == 1:
                websocket.send(json.dumps({"kept": seen[-1]}))

    with Fake(handler) as fake:
        learner(f"http://{fake.address}", token="t", nick="Ada")
        until(lambda: visits)
        for name in ("one", "two", "three"):
            progress.remember(name)
        until(lambda: len(visits) > 1 and len(visits[1]) == 2)
        assert visits[:2] == [["one", "two", "three"], ["two", "three"]]
        progress.remember("four")
        until(lambda: visits[1][2:] == ["four"])
    # It is gone now, and comes back at the same place.
    progress.remember("five")
    with socket.create_server(("127.0.0.1", fake.port)):
        pass
    with Fake.__new__(Fake) as again:
        again.server = serve(handler, "127.0.0.1", fake.port)
        threading.Thread(target=again.server.serve_forever).start()
        until(lambda: visits[-1] == ["five"])
    assert "cannot be reached" not in capsys.readouterr().out


def test_what_could_not_be_kept_is_sent_again(learner, capsys):
    seen = []

    def handler(websocket):
        websocket.recv()
        websocket.send("null")
        websocket.send("hola")
        for message in websocket:
            seen.append(json.loads(message)["solved"])
            full = {"refused": seen[-1], "why": "`disk` full"}
            kept = {"kept": seen[-1]}
            websocket.send(json.dumps(full if len(seen) < 3 else kept))

    with Fake(handler) as fake:
        learner(f"ws://{fake.address}", token="t", nick="Ada")
        progress.remember("shout")
        until(lambda: len(seen) == 3)
        time.sleep(0.3)
        assert seen == ["shout"] * 3
        said = capsys.readouterr().out
        assert said.count("could not keep `shout` (`'disk' full`)") == 1


def test_joining_anew_brings_what_was_not_kept(learner):
    visits = []

    def handler(websocket):
        nick = json.loads(websocket.recv())["nick"]
        visits.append((nick, seen := []))
        for message in websocket:
            seen.append(json.loads(message)["solved"])

    with Fake(handler) as fake:
        for count, nick in enumerate(("Ada", "Ada", "Eva")):
            learner(f"ws://{fake.address}", token="t", nick=nick)
            until(lambda count=count: len(visits) > count)
            if count == 0:
                progress.remember("shout")
            if nick == "Ada":
                # Whoever leaves sooner sends no more.
                until(lambda count=count: visits[count][1])
        time.sleep(0.3)
        assert visits == [("Ada", ["shout"]), ("Ada", ["shout"]), ("Eva", [])]


def test_a_verdict_never_waits_for_a_board(learner):
    """Nor does joining or leaving: for one that says nothing at all."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        address = f"ws://127.0.0.1:{deaf.getsockname()[1]}"
        began = time.monotonic()
        for nick in ("Ada", "Eva"):
            learner(address, token="t", nick=nick)
            assert progress.remember("shout") is None
        learner.leave()
        assert time.monotonic() - began < 5  # a handshake has ten


def test_an_observer_that_fails_spoils_no_verdict():
    seen = []

    def fails(name):
        raise OSError(name)

    for observer in (fails, seen.append):
        progress.observe(observer)
    try:
        assert progress.remember("shout") is None
        assert progress.remember("shout") is None  # solved already
    finally:
        for observer in (fails, seen.append, print):
            progress.ignore(observer)
    progress.remember("count")
    assert seen == ["shout", "shout"]


def test_solutions_solve_nothing_for_anybody(tmp_path, monkeypatch):
    folder = tmp_path / "solutions" / "en"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    seen = []
    progress.observe(seen.append)
    progress.remember("shout")
    progress.ignore(seen.append)
    assert not seen


def test_a_board_that_is_not_there_is_named_once(learner, capsys):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    learner(f"ws://127.0.0.1:{port}", token="t", nick="Ada")
    said = told(capsys, "cannot be reached yet (`ConnectionRefusedError")
    time.sleep(1)  # for some ten attempts more
    said += capsys.readouterr().out
    assert said.count("cannot be reached") == 1


def test_nobody_knows_who_answers_with_a_foreign_certificate(
    learner, capsys, monkeypatch
):
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    asked = []
    with Fake(asked.append, ssl=context) as fake:
        learner(f"wss://{fake.address}", token="t", nick="Ada")
        told(capsys, "is not valid here")
    assert not asked


def test_a_proxy_is_no_way_to_a_board_in_the_room(learner, monkeypatch):
    """But the only way, where it is."""
    tunnels, visits, gone = [], [], []

    def handler(websocket):
        visits.append(websocket.recv())
        for _ in websocket:
            pass
        gone.append(websocket)

    async def tunnel(reader, writer):
        asked = await reader.readuntil(b"\r\n\r\n")
        tunnels.append(asked.split()[1])
        there = await asyncio.open_connection("127.0.0.1", fake.port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

        async def pump(source, sink):
            with contextlib.suppress(OSError):
                while data := await source.read(1000):
                    sink.write(data)
                sink.close()

        await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))

    async def proxy():
        async with await asyncio.start_server(tunnel, "127.0.0.1", 0) as made:
            port = made.sockets[0].getsockname()[1]
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
            monkeypatch.delenv("no_proxy", raising=False)
            monkeypatch.delenv("NO_PROXY", raising=False)
            learner(f"ws://{fake.address}", token="t", nick="Ada")
            await asyncio.to_thread(until, lambda: len(visits) == 1)
            assert not tunnels
            # A place that only the proxy reaches.
            learner(f"ws://127.0.0.1:{closed}", token="t", nick="Ada")
            await asyncio.to_thread(until, lambda: len(visits) == 2)
            assert tunnels == [f"127.0.0.1:{closed}".encode()]
            learner.leave()
            await asyncio.to_thread(until, lambda: len(gone) == 2)

    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = free.getsockname()[1]
    with Fake(handler) as fake:
        asyncio.run(proxy())


def test_what_a_learner_seeds_stays_as_it_is(learner):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    random.seed(1)
    expected = random.random()
    random.seed(1)
    learner(f"ws://127.0.0.1:{port}", token="t", nick="Ada")
    time.sleep(0.5)
    assert random.random() == expected


def test_both_languages_say_the_same():
    for words in join.TEXT.values():
        assert words.keys() == join.TEXT["en"].keys()
