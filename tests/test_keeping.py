"""Progress is kept where others write too, and a verdict where nothing is."""

import json
import os
import shutil
import subprocess
import sys
import textwrap

import pytest
from kernels import kernel

from aula.exercises import progress
from aula.exercises.check import TEXT

MANY = 8  # processes that write at the same time
EACH = 4  # exercises that each of them remembers

# A learner's processes: notebooks that are run at once, a class on one disk.
WRITER = textwrap.dedent("""
    import sys
    from aula.exercises.progress import remember

    print("ready", flush=True)
    input()
    for name in sys.argv[1:]:
        assert remember(name) is None
    """)
READER = textwrap.dedent("""
    from aula.exercises.progress import solved

    print("ready", flush=True)
    input()
    seen, looks = set(), 0
    while len(seen) < 32 and looks < 100_000:
        now = solved()
        assert now >= seen, seen - now
        seen, looks = now, looks + 1
    """)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Crowd:
    """Processes that all begin at the same moment."""

    def __init__(self):
        self.processes = []

    def add(self, source, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", source, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def run(self):
        for process in self.processes:
            assert process.stdout.readline() == "ready\n"
        for process in self.processes:
            process.stdin.write("\n")
            process.stdin.flush()
        for process in self.processes:
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors


def crowd_of_writers():
    names = {f"exercise{n:02}" for n in range(MANY * EACH)}
    crowd = Crowd()
    for first in range(MANY):
        crowd.add(WRITER, *sorted(names)[first::MANY])
    return crowd, names


def test_many_writers_lose_nothing():
    crowd, names = crowd_of_writers()
    crowd.run()
    assert progress.solved() == names
    kept = json.loads(progress.path().read_text(encoding="utf-8"))
    assert kept == {"version": 2, "solved": sorted(names)}
    assert [file.name for file in progress.path().parent.iterdir()] == [
        "progress.json"
    ]


def test_many_writers_keep_what_an_old_version_kept():
    progress.path().parent.mkdir(parents=True)
    progress.path().write_text('{"solved": ["00.1", "04.2"]}')
    crowd, names = crowd_of_writers()
    crowd.run()
    assert progress.solved() == names | {"greet", "shout"}


def test_many_writers_put_a_damaged_file_aside_once():
    progress.path().parent.mkdir(parents=True)
    progress.path().write_bytes(b'{"solved": ["gr')
    crowd, names = crowd_of_writers()
    crowd.run()
    assert progress.solved() == names
    aside = progress.path().with_name("progress.damaged.json")
    assert aside.read_bytes() == b'{"solved": ["gr'


def test_who_reads_meanwhile_never_sees_less():
    crowd, _ = crowd_of_writers()
    crowd.add(READER)
    crowd.run()


def test_a_writer_that_dies_holds_nobody_up():
    source = """
        import os
        from aula.exercises import progress

        with progress._alone(progress.path()):
            os._exit(0)
        """
    command = [sys.executable, "-c", textwrap.dedent(source)]
    subprocess.run(command, check=True, timeout=60)
    assert progress.remember("greet") is None
    assert progress.solved() == {"greet"}


def test_a_writer_that_never_ends_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0.1)
    crowd = Crowd()
    holder = crowd.add(
        "from aula.exercises import progress\n"
        "with progress._alone(progress.path()):\n"
        "    print('ready', flush=True)\n"
        "    input()"
    )
    assert holder.stdout.readline() == "ready\n"
    assert isinstance(progress.remember("greet"), OSError)
    holder.communicate("\n", timeout=60)
    assert progress.remember("greet") is None


def test_a_file_that_somebody_reads_is_replaced_later(monkeypatch):
    """As on Windows, where a file that is open cannot be replaced."""
    replace, refusals = os.replace, [1, 2, 3]

    def replace_closed(draft, file):
        if refusals:
            refusals.pop()
            raise PermissionError(13, "used by another process")
        replace(draft, file)

    monkeypatch.setattr(os, "replace", replace_closed)
    assert progress.remember("greet") is None
    assert progress.solved() == {"greet"}


def test_a_file_that_cannot_be_read_is_not_put_aside(monkeypatch):
    progress.remember("greet")
    kept = progress.path().read_bytes()

    def refuse(file):
        raise PermissionError(13, "Permission denied", str(file))

    with monkeypatch.context() as patch:
        patch.setattr(type(progress.path()), "read_bytes", refuse)
        assert progress.solved() == set()
        assert isinstance(progress.remember("shout"), PermissionError)
    assert progress.path().read_bytes() == kept
    assert progress.remember("shout") is None
    assert progress.solved() == {"greet", "shout"}


# A verdict comes, whatever has become of the folders.

ANSWER = """
import asyncio
from aula.{language} import check, progress, timeline

async def greet(name):
    await asyncio.sleep(0.1)
    return f"Hola, {{name}}"

async def silent(name):
    await asyncio.sleep(0.1)
    return name
"""
RIGHT = {"es": "✔ 00.1: correcto.", "en": "✔ 00.1: right."}
WRONG = {"es": "✘ 00.1: todavía no.", "en": "✘ 00.1: not yet."}
OPENING = {lang: TEXT[lang]["not-kept"].partition("{")[0] for lang in TEXT}


def delete_the_notebooks_folder(folder, notebooks):
    shutil.rmtree(notebooks)


def put_a_file_where_data_stood(folder, notebooks):
    (folder / "data").write_text("")


def delete_all(folder, notebooks):
    shutil.rmtree(notebooks)
    (folder / "data").write_text("")


def rename_the_notebooks_folder(folder, notebooks):
    notebooks.rename(folder / "renamed")


@pytest.mark.parametrize(
    ("harm", "language", "keeps"),
    [
        (delete_the_notebooks_folder, "es", True),
        (put_a_file_where_data_stood, "en", False),
        (delete_all, "es", False),
        (rename_the_notebooks_folder, "en", True),
    ],
)
def test_the_verdict_comes_first(folder, harm, language, keeps):
    """In a kernel whose notebook's folder goes while it is open."""
    if sys.platform == "win32" and harm.__name__.startswith("delete"):
        pytest.skip("nobody deletes the folder of a running process there")
    notebooks = folder / "notebooks"
    notebooks.mkdir()
    with kernel(notebooks) as started:
        ran = started.run(ANSWER.format(language=language))
        assert ran.status == "ok", ran.error()
        harm(folder, notebooks)
        for answer, opening in ("silent", WRONG), ("greet", RIGHT):
            ran = started.run(f'await check("00.1", {answer})')
            assert ran.status == "ok", ran.error()
            assert ran.text().startswith(f"**{opening[language]}")
            assert ran.stderr() == ""
        said = ran.text().splitlines()[-1]
        assert said.startswith(OPENING[language]) is not keeps, said
        ran = started.run("progress()")
        assert (ran.status, ran.stderr()) == ("ok", "")
    assert (progress.solved() == {"greet"}) is keeps


def test_without_a_home_nothing_is_kept_and_all_is_said(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(progress, "path", homeless)
    assert progress.solved() == set()
    assert "home directory" in f"{progress.remember('greet')}"


def test_a_lesson_that_cannot_be_read_is_named_by_its_file(folder, capsys):
    (folder / "en").mkdir()
    (folder / "en" / "00_start_here.ipynb").write_text("{")
    progress.Progress("en")()
    assert "[00_start_here](en/00_start_here.ipynb)" in capsys.readouterr().out
