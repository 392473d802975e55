"""Where the tools cannot be imported, a lesson's first cell says the cure."""

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from kernels import kernel
from packaging.requirements import Requirement
from test_setup import CORE

from aula import diagnose
from authoring import source

FIRST = {
    path.name[:2]: next(
        cell.source
        for cell in source.read_cells(path)[1]
        if cell.kind == "code"
    )
    for path in source.lesson_paths()
}
MINE = "print('a program of mine')\nraise SystemExit\n"


def write(folder, files):
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def release(folder, version, modules):
    """Another release of websockets before the one that is installed."""
    about = f"Metadata-Version: 2.1\nName: websockets\nVersion: {version}\n"
    write(
        folder,
        {
            f"websockets-{version}.dist-info/METADATA": about,
            "websockets/version.py": f"version = {version!r}\n",
            **dict.fromkeys(modules, ""),
        },
    )


def release_12(elsewhere, beside):
    release(elsewhere, "12.0", ["websockets/__init__.py"])


def release_15(elsewhere, beside):
    new = [f"websockets/asyncio/{n}.py" for n in ("client", "server")]
    release(elsewhere, "15.0.1", ["websockets/__init__.py", *new])


def none(elsewhere, beside):
    """All that is installed, but for websockets."""
    links = elsewhere / "packages"
    links.mkdir()
    installed = sysconfig.get_path("purelib")
    for path in Path(installed).iterdir():
        if not path.name.startswith("websockets"):
            (links / path.name).symlink_to(path)
    text = f"sys.path = [{str(links)!r} if p == {installed!r} else p "
    text = f"import sys\n{text}for p in sys.path]\n"
    write(elsewhere, {"sitecustomize.py": text})


def a_file(elsewhere, beside):
    write(beside, {"websockets.py": MINE})


def a_folder(elsewhere, beside):
    write(beside, {"websockets/__init__.py": "", "websockets/mine.py": MINE})


NEED = "Hace falta `websockets>="
NAME = "Python toma tu archivo `{}`"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (release_15, NEED),
        (none, NEED),
        (a_file, NAME.format("websockets.py")),
    ],
)
def test_the_first_cell_of_each_lesson(fault, words, tmp_path, monkeypatch):
    elsewhere, beside = tmp_path / "elsewhere", tmp_path / "lesson"
    elsewhere.mkdir()
    beside.mkdir()
    fault(elsewhere, beside)
    monkeypatch.setenv("PYTHONPATH", str(elsewhere))
    with kernel(beside) as running:
        for number in ("00", "05", "15"):
            cell = FIRST[number]
            # As in a kernel of its own.
            running.run("import sys\nsys.modules.pop('aula.es', None)")
            ran = running.run(
                cell.replace("aula.en", "aula.es"), may_fail=True
            )
            assert words in ran.text(), (number, ran)
            assert "a program of mine" not in ran.stdout()
            assert not ran.stderr()
            told = ran.traceback()
            assert "Traceback" not in told
            assert "websockets" in cell or ran.status == "ok", (number, ran)
            assert not told or words in told
        for use in ("await check('05.1', 1)", "with timeline():\n    pass"):
            shut = running.run(
                f"from aula.es import check, timeline\n{use}", may_fail=True
            )
            assert words in shut.error() and "(line" not in shut.error()
        looked = running.run("from aula.es import *\nawait diagnose()")
        assert words in looked.text() and "✘" in looked.text()
        # Another mistake is named beside.
        missing = running.run("import no_such_library", may_fail=True)
        assert "no_such_library" in missing.error()


def test_files_that_hide_no_library_do_no_harm(tmp_path):
    """In a kernel, Python's own libraries come before the notebook's."""
    names = ["asyncio.py", "secrets.py", "time.py", "notes/websockets.py"]
    write(tmp_path, dict.fromkeys(names, MINE))
    (tmp_path / "websockets").mkdir()
    with kernel(tmp_path) as running:
        assert running.run(FIRST["05"]).status == "ok"
        ran = running.run("from aula.en import diagnose\nawait diagnose()")
        assert "✘" not in ran.text()


def test_a_file_that_hides_one_of_pythons(tmp_path):
    """As it does in a script beside it."""
    write(tmp_path, {"secrets.py": MINE, "mine.py": "import aula.en\n"})
    done = subprocess.run(
        [sys.executable, "mine.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "Python takes your file `secrets.py`" in done.stdout
    assert not done.stderr


@pytest.mark.parametrize(
    ("fault", "words"),
    [(release_12, NEED), (a_folder, NAME.format("websockets"))],
)
def test_a_script_says_it_too(fault, words, tmp_path):
    """And the machine can be looked over in spite of it."""
    fault(tmp_path, tmp_path)
    code = "import asyncio, aula.es as a; asyncio.run(a.diagnose()); a.check()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.count(words) == 2 and words in done.stderr
    assert "a program of mine" not in done.stdout


def test_the_door_comes_before_libraries():
    """Or their import fails before the door can say why."""
    for number, cell in FIRST.items():
        before, _, _ = cell.partition("from aula.en import")
        imported = re.findall(r"^(?:from|import) (\w+)", before, re.M)
        assert {*imported} <= sys.stdlib_module_names, number


def test_what_a_file_must_not_be_called_is_what_lessons_need():
    core = {Requirement(line).name.replace("-", "_") for line in CORE}
    assert {*diagnose.LIBRARIES} == core
    oldest = ".".join(map(str, diagnose.OLDEST_WEBSOCKETS))
    assert f"websockets>={oldest}" in CORE


def test_whatever_else_is_broken_has_a_cure():
    told = diagnose.Diagnose("en").explain(OSError("bad `library`"))
    assert "`OSError: bad 'library'`" in told and "delete the folder" in told
