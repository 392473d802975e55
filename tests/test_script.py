"""A check of a program: run as a process, under a limit, with no trace."""

import asyncio
import os
import sys
import textwrap
import time
from pathlib import Path

import pytest

from aula.exercises import exercise as registry
from aula.exercises import words
from aula.exercises.check import Check
from aula.exercises.exercise import Right, Wrong, exercise

NUMBER = "99.1"
SAID = {"es": "Vi {it}.", "en": "I saw {it}."}
WORDS = {words.SHARED: {words.RIGHT: SAID, "other": SAID}}


@pytest.fixture(autouse=True)
def apart(monkeypatch, tmp_path):
    """Exercises of the tests' own, and a folder of their own."""
    registry.near("")
    monkeypatch.setattr(registry, "_exercises", {})
    monkeypatch.setattr(
        words,
        "load",
        lambda name, load=words.load: WORDS if name == "99" else load(name),
    )
    monkeypatch.chdir(tmp_path)


async def two_lines(script):
    process = script.start("latte")
    lines = [await process.line(), await process.line()]
    code = await process.exit()
    if (lines, code) != (["ready latte", "fin"], 0):
        raise Wrong("other", it=(lines, code))
    return Right(it=lines)


def verdict(source, judge=two_lines, answer="order.py", **options):
    if source is not None:
        text = textwrap.dedent(source)
        Path("order.py").write_text(text, encoding="utf-8")
    exercise(NUMBER, answer="script", **{"limit": 20, **options})(judge)
    return asyncio.run(Check("en").verdict(NUMBER, answer))


RIGHT = """
    import sys

    print("ready", sys.argv[1])
    print("fin", end="")
"""


@pytest.mark.parametrize("kind", [str, Path, lambda p: str(Path(p).resolve())])
def test_right(kind):
    found = verdict(RIGHT, answer=kind("order.py"))
    assert (found.state, found.mistake) == ("right", None), found.said
    assert "ready latte" in found.said["en"]


def test_wrong():
    found = verdict('print("latte")\nprint("fin")')
    assert found.mistake == "other"


@pytest.mark.parametrize(
    ("source", "answer", "mistake"),
    [
        (None, "order.py", "no-script"),
        (None, "", "no-script"),
        (None, "a\0b", "no-script"),
        (None, print, "not-path"),
        (None, 3, "not-path"),
        ("raise LookupError('mocha')", "order.py", "script-raises"),
        ("print('ready latte'", "order.py", "script-raises"),
        ("print(latte)", "order.py", "unknown-name"),
        ("print('ready latte')", "order.py", "script-ended"),
        ("import sys\nsys.exit(3)", "order.py", "script-ended"),
        ("input()", "order.py", "script-raises"),
        ("import time\ntime.sleep(60)", "order.py", "too-slow"),
        ("while True: print('x' * 9999)", "order.py", "too-slow"),
    ],
)
def test_mistakes(source, answer, mistake):
    found = verdict(source, answer=answer, limit=3)
    assert (found.state, found.mistake) == ("wrong", mistake), found.said


@pytest.mark.parametrize("source", ["...", "def main():\n    ...\n\nmain()"])
def test_not_started(source):
    found = verdict(source)
    assert (found.state, found.mistake) == ("unstarted", None)
    assert "`order.py`" in found.said["en"]
    assert "%%writefile" in found.said["en"]


def test_no_text():
    Path("order.py").write_bytes(b"\xff\xfe\x00")
    assert verdict(None).mistake == "no-script"


def test_a_traceback_is_shown_without_this_machines_folders():
    found = verdict("def brew():\n    raise LookupError('mocha')\n\nbrew()")
    said = found.said["en"]
    assert 'File "order.py", line 2, in brew' in said
    assert "LookupError: mocha" in said
    assert os.getcwd() not in said


def test_a_traceback_shows_nothing_of_pythons_own_files():
    found = verdict("import json\n\njson.loads('mocha')")
    said = found.said["en"]
    assert 'File "order.py", line 3, in <module>' in said
    assert said.count("File") == 1
    assert "JSONDecodeError: Expecting value: line 1 column 1 (char 0)" in said


def test_the_end_of_a_long_traceback_is_shown():
    found = verdict("def f(n):\n    f(n + 1)\n\nraise ValueError('x' * 5000)")
    assert found.said["en"].count("x") < 1000
    assert "xxx" in found.said["en"]


def test_a_program_runs_beside_its_file(tmp_path, monkeypatch):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "drink.txt").write_text("fin")
    (folder / "order.py").write_text(
        'import sys\nprint("ready", sys.argv[1])\n'
        'print(open("drink.txt").read())'
    )
    found = verdict(None, answer="elsewhere/order.py")
    assert found.state == "right", found.said


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().split()[2] != "Z"


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="looks at /proc"
)
def test_nothing_is_left_running():
    pids = []

    async def judge(script):
        process = script.start()
        pids.extend([int(await process.line()), int(await process.line())])
        raise Wrong("other", it=None)

    found = verdict(
        """
        import os, signal, subprocess, sys, time

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "input()"],
            stdin=subprocess.PIPE)
        print(os.getpid())
        print(child.pid)
        time.sleep(60)
        """,
        judge,
    )
    assert found.mistake == "other"
    deadline = time.monotonic() + 10
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, pids))


@pytest.mark.parametrize("ignores", [False, True])
def test_stop(ignores):
    async def judge(script):
        process = script.start()
        await process.line()
        return Right(it=await process.stop())

    ignoring = "signal.signal(signal.SIGTERM, signal.SIG_IGN)" * ignores
    found = verdict(
        f"import signal, time\n{ignoring}\nprint('up')\ntime.sleep(60)", judge
    )
    assert found.state == "right"


def test_what_it_prints_is_read_while_nobody_looks():
    async def judge(script):
        process = script.start()
        code = await process.exit()
        return Right(it=(code, len(process.output)))

    found = verdict("print('x' * 3_000_000)", judge)
    assert found.said["en"].endswith("I saw (0, 1048576).")


def test_languages_of_the_world():
    async def judge(script):
        return Right(it=await script.start().line())

    assert "¿qué tal? ☕" in verdict("print('¿qué tal? ☕')", judge).said["en"]
