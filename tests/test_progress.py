"""What was solved is remembered, whatever happens to the file."""

import asyncio
import json
import os

import pytest

from aula.exercises import progress
from aula.exercises.check import Check, Right, Wrong, exercise, numbers


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files():
    return sorted(file.name for file in progress.path().parent.iterdir())


def test_remembers_and_forgets():
    assert progress.solved() == set()
    progress.remember("04.2")
    progress.remember("00.1")
    progress.remember("04.2")
    assert progress.solved() == {"00.1", "04.2"}
    # Nothing else is kept.
    kept = json.loads(progress.path().read_text(encoding="utf-8"))
    assert kept == {"solved": ["00.1", "04.2"]}
    assert files() == ["progress.json"]
    assert progress.forget() == 2
    assert progress.forget() == 0
    assert progress.solved() == set()


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b'{"solved": ["00',
        b"\xff\xfe\x00",
        b"[1]",
        b'{"solved": 3}',
        b'{"solved": []}',
    ],
)
def test_a_damaged_file_is_put_aside(damage):
    progress.remember("00.1")
    progress.path().write_bytes(damage)
    assert progress.solved() == set()
    progress.remember("01.1")
    assert progress.solved() == {"01.1"}
    aside = progress.path().with_name("progress.damaged.json")
    assert aside.read_bytes() == damage


def test_what_is_no_number_is_dropped():
    progress.remember("00.1")
    progress.path().write_text('{"solved": ["01.1", 2, null]}')
    progress.remember("00.1")
    assert progress.solved() == {"00.1", "01.1"}


def test_where_nothing_can_be_written_nothing_is_kept(folder):
    # A file where a folder should be stops the administrator, too.
    (folder / "data").write_text("")
    progress.remember("00.1")
    assert progress.solved() == set()


def test_a_crash_leaves_the_old_file(monkeypatch):
    progress.remember("00.1")

    def crash(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", crash)
    progress.remember("01.1")
    assert progress.solved() == {"00.1"}
    assert files() == ["progress.json"]


@pytest.fixture
def judged(monkeypatch):
    """An exercise whose answer is right if it is 42."""
    monkeypatch.setattr("aula.exercises.check._exercises", {})
    monkeypatch.setattr("aula.exercises.check._lesson_modules", lambda: [])

    @exercise("99.1", answer="value")
    async def judge(answer, run):
        if answer != 42:
            raise Wrong("other", es="Otro.", en="Another.")
        return Right(es="Bien.", en="Fine.")


def test_check_remembers_what_is_right(judged):
    for answer, kept in ((..., set()), (41, set()), (42, {"99.1"})):
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
    monkeypatch.setattr(
        "aula.exercises.check.numbers",
        lambda: ["00.1", "01.1", "01.2", "77.1"],
    )
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
    progress.remember("00.1")
    progress.remember("01.2")
    said = shown("es", capsys)
    assert "| [00 · Empieza aquí](es/00_lesson.ipynb) | ■ | 1/1 |" in said
    assert "| [01 · Básico](es/01_lesson.ipynb) | □■ | 1/2 |" in said
    assert "**Sigue con el ejercicio 01.1**, en [01 · Básico]" in said
    progress.remember("01.1")
    assert "**Todo resuelto.**" in shown("es", capsys)
    assert "**All solved.**" in shown("en", capsys)


def test_elsewhere(capsys):
    assert "notebooks/index.ipynb" in shown("es", capsys)
    assert "notebooks/index.ipynb" in shown("en", capsys)


def test_the_numbers_are_the_courses():
    known = numbers()
    assert known == sorted(known)
    assert {"00.1", "01.1"} <= {*known}


def test_reset(capsys):
    progress.remember("00.1")
    progress.main()
    assert capsys.readouterr().out.splitlines() == [
        "Ejercicios olvidados: 1.",
        "Exercises forgotten: 1.",
    ]
    assert progress.solved() == set()


def test_texts_have_both_languages():
    assert progress.TEXT["es"].keys() == progress.TEXT["en"].keys()
