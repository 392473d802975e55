"""``python -m aula.board``, as a teacher runs it."""

import contextlib
import csv
import json
import os
import signal
import socket
import sqlite3
import ssl
import stat
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
import trustme
from boards import command, running
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from aula.board import file
from aula.board.__main__ import main
from aula.board.server import Book


@pytest.fixture
def run(capfd):
    """A command that ends by itself: its code, and all that it said."""

    def run(*arguments):
        code = 0
        try:
            main([*map(str, arguments)])
        except SystemExit as end:
            code = end.code
        return code, "".join(capfd.readouterr())

    return run


@pytest.fixture
def path(tmp_path):
    return tmp_path / "board.sqlite"


def test_a_restart_is_survived(path, run):
    """The file keeps what was solved, and both tokens."""
    with running(path) as board:
        assert "ejercicios resueltos" in board.said
        assert "exercises solved" in board.said
        board.solve("Ada", "shout")
        tokens, (row,) = board.tokens, board.rows()
        assert len({*tokens.values()}) == 2
        assert all(len(token) == file.LENGTH for token in tokens.values())
        if os.name == "posix":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with board.screen() as screen:
            screen.recv()
            assert board.stop() == 0
            with pytest.raises(ConnectionClosed) as closed:
                screen.recv(10)
        assert closed.value.rcvd.code == 1001
    assert not [*path.parent.glob("*-wal")]
    with running(path) as board:
        assert board.tokens == tokens and board.rows() == [row]
    with running(path, "--new-tokens") as board:
        assert not {*board.tokens.values()} & {*tokens.values()}
        assert board.rows() == [row]
        new = board.tokens
        if os.name == "posix":
            board.process.send_signal(signal.SIGINT)
            assert board.process.wait(20) == 0
            assert "Board closed." in board.process.stdout.read() or (
                "Board closed." in board.said
            )
    code, said = run("--tokens", "--file", path)
    assert code == 0 and all(token in said for token in new.values())


def test_what_it_answers_to_browsers(path):
    with running(path) as board:
        with urllib.request.urlopen(f"{board.page}/healthz") as answer:
            assert answer.read() == b"ok\n"
        with urllib.request.urlopen(f"{board.page}/?hola") as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert answer.headers.get_all("Content-Type") == [
                "text/html; charset=utf-8"
            ]
            page = answer.read().decode()
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert board.address in policy
        assert '"shout": "07.2"' in page
        for part in ("src=", "@import", "url(", "innerHTML", "insertAdj"):
            assert part not in page, part
        for token in board.tokens.values():
            assert token not in page
        for elsewhere in ("/x", "/healthz/", "/../board.sqlite"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"{board.page}{elsewhere}")
            assert refused.value.code == 404
        # A host that says something else does not get into the policy.
        asked = urllib.request.Request(board.page)
        asked.add_header("Host", "x; script-src *")
        with urllib.request.urlopen(asked) as answer:
            assert "*" not in answer.headers["Content-Security-Policy"]


def test_no_log_holds_a_token(path):
    """Not even where all there is to log is logged."""
    loud = (
        "import logging, sys; logging.basicConfig(level=logging.DEBUG); "
        "from aula.board.__main__ import main; main(sys.argv[1:])"
    )
    asked = ["--file", path, "--host", "127.0.0.1", "--port", "0"]
    hub = {
        "JUPYTERHUB_SERVICE_NAME": "board",
        "JUPYTERHUB_SERVICE_PREFIX": "/services/board/",
        "JUPYTERHUB_SERVICE_URL": "http://127.0.0.1:0",
    }
    tokens = file.tokens_in(path)
    log = path.with_name("log")
    with log.open("w") as text:
        process = subprocess.Popen(
            [sys.executable, "-c", loud, *map(str, asked)],
            stdout=text,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUTF8": "1", **hub},
        )
        try:
            port = wait_for_port(process)
            address = f"ws://127.0.0.1:{port}/services/board/"
            for hello in (
                {"token": tokens["class"], "nick": "Ada"},
                {"token": tokens["class"], "nick": ""},
                {"token": tokens["class"], "role": "screen"},
                {"token": tokens["screen"], "role": "screen"},
            ):
                with connect(address) as websocket:
                    websocket.send(json.dumps(hello))
                    # The board may have refused it by now.
                    with contextlib.suppress(ConnectionClosed):
                        websocket.send('{"solved": "shout"}')
                        websocket.recv(10)
            with connect(f"{address}?token={tokens['class']}") as websocket:
                websocket.send("hola")
        finally:
            process.terminate()
            assert process.wait(20) == 0
    said = log.read_text("utf-8")
    assert "below /services/board/" in said
    for token in tokens.values():
        assert token not in said
    assert "Traceback" not in said


def wait_for_port(process):
    """Where a process listens."""
    import psutil

    while process.poll() is None:
        for one in psutil.Process(process.pid).net_connections():
            if one.status == "LISTEN":
                return one.laddr.port
    raise AssertionError("it has ended")


def test_behind_a_hub(path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    tokens = file.tokens_in(path)
    base = f"http://127.0.0.1:{port}/services/board"
    process = subprocess.Popen(
        command("--file", path),
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env={
            **os.environ,
            "PYTHONUTF8": "1",
            "JUPYTERHUB_SERVICE_NAME": "board",
            "JUPYTERHUB_SERVICE_PREFIX": "/services/board/",
            "JUPYTERHUB_SERVICE_URL": base.removesuffix("services/board"),
            "JUPYTERHUB_PUBLIC_URL": "https://hub.example/services/board/",
        },
    )
    try:
        assert wait_for_port(process) == port
        for path in ("", "/"):
            with urllib.request.urlopen(f"{base}{path}") as answer:
                assert b"<!doctype html>" in answer.read()
        with urllib.request.urlopen(f"{base}/healthz") as answer:
            assert answer.read() == b"ok\n"
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/")
        with pytest.raises(InvalidStatus):
            connect(f"ws://127.0.0.1:{port}/")
        with connect(f"{base.replace('http', 'ws')}/") as screen:
            hello = {"token": tokens["screen"], "role": "screen"}
            screen.send(json.dumps(hello))
            assert json.loads(screen.recv(10)) == {"snapshot": []}
    finally:
        process.terminate()
        assert process.wait(20) == 0
    said = process.stdout.read()
    process.stdout.close()
    assert "below https://hub.example/services/board/" in said
    assert not any(token in said for token in tokens.values())


def test_what_it_cannot_do_it_says(path, run, tmp_path):
    other = tmp_path / "other.sqlite"
    with contextlib.closing(sqlite3.connect(other)) as book:
        book.execute("create table mine (x)")
    text = tmp_path / "text"
    text.write_text("Not a database, and quite long enough to be one. " * 9)
    for wrong in (other, text):
        before = wrong.read_bytes()
        code, said = run("--file", wrong)
        assert code == 1 and f"{wrong} is not a board's file." in said
        assert f"{wrong} no es el archivo de un tablero." in said
        assert wrong.read_bytes() == before
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = run(
            "--file", path, "--host", "127.0.0.1", "--port", f"{port}"
        )
    assert code == 1 and f"Port {port} is taken" in said
    for wrong, words in (
        (["--host", "no.such.host.invalid"], "Nobody can listen"),
        (["--cert", "nothing.pem"], "The certificate nothing.pem cannot"),
        (["--cert", text], "cannot be used"),
        (["--key", text], "--key needs --cert"),
        (["--file", tmp_path], "cannot be used"),
        (["--file", tmp_path / "no" / "where"], "cannot be used"),
        (["--file", "nowhere", "--export", "x.csv"], "There is no nowhere"),
        (["--export", tmp_path / "no" / "x.csv"], "x.csv cannot be used"),
    ):
        code, said = run("--file", path, "--port", "0", *wrong)
        assert code == 1 and words in said, said
    assert not os.path.exists("nowhere")


def test_with_a_certificate(path, tmp_path):
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    cert = tmp_path / "board.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(cert)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with running(path, "--cert", cert) as board:
        assert board.address.startswith("wss://")
        board.solve("Ada", "shout", ssl=context)
        assert len(board.rows(ssl=context)) == 1
        with urllib.request.urlopen(board.page, context=context) as answer:
            assert b"<!doctype html>" in answer.read()


def test_forget_and_export(path, run, tmp_path):
    file.tokens_in(path)
    with contextlib.closing(Book(path)) as book:
        book.keep(
            [
                ["Ada", "shout", 1_790_000_000.7],
                ["Eva", "shout", 1_790_000_001],
                ["=1+1", "of_another_course", 1_790_000_002],
                ["Ñandú, el", "count", 1_790_000_003],
            ]
        )
    sheet = tmp_path / "sheet.csv"
    code, said = run("--file", path, "--forget", "Eva", "--export", sheet)
    assert code == 0 and "1 exercises of 'Eva'" in said
    with sheet.open(encoding="utf-8-sig", newline="") as text:
        assert [*csv.reader(text)] == [
            ["nick", "exercise", "number", "time"],
            ["Ada", "shout", "07.2", "2026-09-21T14:13:20+00:00"],
            ["'=1+1", "of_another_course", "", "2026-09-21T14:13:22+00:00"],
            ["Ñandú, el", "count", "07.4", "2026-09-21T14:13:23+00:00"],
        ]
    with running(path) as board:
        nicks = [nick for nick, *_ in board.rows()]
        assert nicks == ["Ada", "=1+1", "Ñandú, el"]
