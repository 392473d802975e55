"""What was solved is remembered, whatever happens to the file."""

import asyncio
import json
import os
import sys

import pytest

from aula.exercises import progress, words
from aula.exercises.check import Check
from aula.exercises.exercise import Right, Wrong, exercise, exercises


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files():
    return sorted(file.name for file in progress.path().parent.iterdir())


def test_remembers_and_forgets():
    assert progress.solved() == set()
    progress.remember("shout")
    progress.remember("greet")
    progress.remember("shout")
    assert progress.solved() == {"greet", "shout"}
    # Nothing else is kept.
    kept = json.loads(progress.path().read_text(encoding="utf-8"))
    assert kept == {"version": 2, "solved": ["greet", "shout"]}
    assert files() == ["progress.json"]
    assert progress.forget() == 2
    assert progress.forget() == 0
    assert progress.solved() == set()


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b'{"solved": ["gr',
        b"\xff\xfe\x00",
        b"[1]",
        b'{"solved": 3}',
        b'{"solved": []}',
    ],
)
def test_a_damaged_file_is_put_aside(damage):
    progress.remember("greet")
    progress.path().write_bytes(damage)
    assert progress.solved() == set()
    progress.remember("breakfast")
    assert progress.solved() == {"breakfast"}
    aside = progress.path().with_name("progress.damaged.json")
    assert aside.read_bytes() == damage


def test_without_jupyter_nothing_is_kept(monkeypatch):
    monkeypatch.setitem(sys.modules, "jupyter_core.paths", None)
    progress.remember("greet")
    assert progress.solved() == set()
    assert progress.forget() == 0


def test_what_is_no_name_is_dropped():
    progress.remember("greet")
    progress.path().write_text('{"solved": ["breakfast", 2, null]}')
    progress.remember("greet")
    assert progress.solved() == {"greet", "breakfast"}


def test_where_nothing_can_be_written_nothing_is_kept(folder):
    # A file where a folder should be stops the administrator, too.
    (folder / "data").write_text("")
    progress.remember("greet")
    assert progress.solved() == set()


def test_a_crash_leaves_the_old_file(monkeypatch):
    progress.remember("greet")

    def crash(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", crash)
    progress.remember("breakfast")
    assert progress.solved() == {"greet"}
    assert files() == ["progress.json"]


@pytest.fixture
def judged(monkeypatch):
    """An exercise whose answer is right if it is 42."""
    monkeypatch.setattr("aula.exercises.exercise._exercises", {})
    monkeypatch.setattr("aula.exercises.exercise._lesson_modules", lambda: [])

    said = {"es": "Eso.", "en": "That."}
    known = {words.SHARED: {words.RIGHT: said, "other": said}}
    monkeypatch.setattr(
        words,
        "load",
        lambda name, load=words.load: known if name == "99" else load(name),
    )

    @exercise("99.1", answer="value")
    async def guess(answer):
        if answer != 42:
            raise Wrong("other")
        return Right()


def test_check_remembers_what_is_right(judged):
    for answer, kept in ((..., set()), (41, set()), (42, {"guess"})):
        asyncio.run(Check("en")("99.1", answer))
        assert progress.solved() == kept


def test_solutions_solve_nothing(judged, folder, monkeypatch):
    edition = folder / "solutions" / "es"
    edition.mkdir(parents=True)
    monkeypatch.chdir(edition)
    asyncio.run(Check("es")("99.1", 42))
    assert progress.solved() == set()


@pytest.fixture
def course(folder, monkeypatch):
    """Two lessons with three exercises."""
    monkeypatch.setattr("aula.exercises.exercise._exercises", {})
    monkeypatch.setattr("aula.exercises.exercise._lesson_modules", lambda: [])
    for number, name in (
        ("00.1", "greet"),
        ("01.1", "breakfast"),
        ("01.2", "countdown"),
        ("77.1", "elsewhere"),
    ):

        async def judge(answer): ...

        judge.__name__ = name
        exercise(number)(judge)

    for lang, titles in (
        ("es", ("Empieza aquí", "Básico")),
        ("en", ("Start here", "Basics")),
    ):
        (folder / lang).mkdir()
        for number, title in enumerate(titles):
            cells = [{"source": [f"# 0{number} · {title}\n", "\n", "More"]}]
            file = folder / lang / f"0{number}_lesson.ipynb"
            file.write_text(json.dumps({"cells": cells}), encoding="utf-8")


def shown(lang, capsys):
    progress.Progress(lang)()
    return capsys.readouterr().out


def test_the_bars_and_what_is_next(course, capsys):
    said = shown("en", capsys)
    assert "| [00 · Start here](en/00_lesson.ipynb) | □ | 0/1 |" in said
    assert "| [01 · Basics](en/01_lesson.ipynb) | □□ | 0/2 |" in said
    assert "**Next: exercise 00.1**, in [00 · Start here]" in said
    progress.remember("greet")
    progress.remember("countdown")
    said = shown("es", capsys)
    assert "| [00 · Empieza aquí](es/00_lesson.ipynb) | ■ | 1/1 |" in said
    assert "| [01 · Básico](es/01_lesson.ipynb) | □■ | 1/2 |" in said
    assert "**Sigue con el ejercicio 01.1**, en [01 · Básico]" in said
    progress.remember("breakfast")
    assert "**Todo resuelto.**" in shown("es", capsys)
    assert "**All solved.**" in shown("en", capsys)


def test_elsewhere(capsys):
    assert "notebooks/index.ipynb" in shown("es", capsys)
    assert "notebooks/index.ipynb" in shown("en", capsys)


def test_names_are_unique():
    names = [one.name for one in exercises()]
    assert len(names) == len({*names})


def test_numbers_of_an_old_file_are_mapped_once():
    """The course of version 1 had numbers; what it kept is not lost."""
    progress.remember("greet")
    old = {"solved": ["01.1", "04.2", "11.1", "44.4"]}
    progress.path().write_text(json.dumps(old), encoding="utf-8")
    expected = {"breakfast", "shout", "ask_all_today", "44.4"}
    assert progress.solved() == expected
    progress.remember("kitchen")
    kept = json.loads(progress.path().read_text(encoding="utf-8"))
    assert kept == {"version": 2, "solved": sorted(expected | {"kitchen"})}
    assert progress.solved() == expected | {"kitchen"}
    # A name that looks like a number is none.
    kept["solved"].append("00.1")
    progress.path().write_text(json.dumps(kept), encoding="utf-8")
    assert "00.1" in progress.solved()


def test_every_old_number_has_a_name():
    """None of the 51 exercises of version 1 may be forgotten."""
    assert len(progress._NUMBERED) == len({*progress._NUMBERED.values()}) == 51


def test_reset(capsys):
    progress.remember("greet")
    progress.main()
    assert capsys.readouterr().out.splitlines() == [
        "Ejercicios olvidados: 1.",
        "Exercises forgotten: 1.",
    ]
    assert progress.solved() == set()


def test_texts_have_both_languages():
    assert progress.TEXT["es"].keys() == progress.TEXT["en"].keys()
