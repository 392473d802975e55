"""What was solved is remembered, whatever happens to the file."""

import asyncio
import json
import os
import sys
from itertools import groupby

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

    for lang, minutes, titles in (
        ("es", "minutos", ("Empieza aquí", "Básico")),
        ("en", "minutes", ("Start here", "Basics")),
    ):
        for number, title in enumerate(titles):
            opening = f"# 0{number} · {title}\n\n**{number + 15} {minutes} · "
            lay(folder / lang / f"0{number}_lesson.ipynb", opening)


def lay(file, opening, **about):
    """A notebook that begins so, as the build writes it."""
    file.parent.mkdir(exist_ok=True)
    number = file.name[:2]
    word = {"es": "Ejercicio", "en": "Exercise"}[file.parent.name]
    notebook = {
        "cells": [
            {"id": "a", "source": opening.splitlines(keepends=True)},
            {"id": "b", "source": [f"Text\n### {word} {number}.1\n", "Do"]},
        ],
        "metadata": {"aula": {"version": "1.0", **about}},
    }
    file.write_text(json.dumps(notebook), encoding="utf-8")


def shown(lang, capsys):
    progress.Progress(lang)()
    return capsys.readouterr().out


def test_what_is_next_and_the_bars(course, capsys):
    assert shown("en", capsys).splitlines() == [
        "**Next: [exercise 00.1](en/00_lesson.ipynb#cell-id=b)**, "
        "in [00 · Start here](en/00_lesson.ipynb).",
        "",
        "| Lesson | Minutes | Exercises | |",
        "|---|---:|---|---:|",
        "| **Part 1: asyncio** | | | |",
        "| [00 · Start here](en/00_lesson.ipynb) | 15 | □ | 0/1 |",
        "| [01 · Basics](en/01_lesson.ipynb) | 16 | □□ | 0/2 |",
    ]
    progress.remember("greet")
    progress.remember("countdown")
    assert shown("es", capsys).splitlines() == [
        "**Sigue con el [ejercicio 01.1](es/01_lesson.ipynb#cell-id=b)**"
        ", en [01 · Básico](es/01_lesson.ipynb).",
        "",
        "| Lección | Minutos | Ejercicios | |",
        "|---|---:|---|---:|",
        "| **Parte 1: asyncio** | | | |",
        "| [00 · Empieza aquí](es/00_lesson.ipynb) | 15 | ■ | 1/1 |",
        "| [01 · Básico](es/01_lesson.ipynb) | 16 | □■ | 1/2 |",
    ]
    progress.remember("breakfast")
    assert "**Todo resuelto.**" in shown("es", capsys)
    assert "**All solved.**" in shown("en", capsys)


def test_parts_begin_with_their_first_lesson_that_there_is():
    numbers = ["00", "01", "06", "07", "10", "19"]
    begins = [n for n in numbers if progress.part(n, numbers)]
    assert begins == ["00", "06", "10", "19"]
    assert progress.part("19", numbers)["en"] == "Part 4: in production"


def test_one_notebook_a_lesson(course, folder, capsys):
    """Copies, and lessons of an older version, are not the course's."""
    new = "# 01 · Basics, told better\n\n**45 minutes · 2 exercises**"
    for name in ("01_aside", "01_better", "01_zebra", "01_better.fresh"):
        lay(folder / "en" / f"{name}.ipynb", new, lesson="01_better")
    said = shown("en", capsys)
    row = "| [01 · Basics, told better](en/01_better.ipynb) | 45 | □□ | 0/2 |"
    assert row in said
    assert said.count("01 ·") == 1


def test_a_notebook_that_is_damaged_keeps_its_row(course, folder, capsys):
    (folder / "en/01_lesson.ipynb").write_text("{")
    assert "| [01_lesson](en/01_lesson.ipynb) |  | □□ |" in shown("en", capsys)


def test_what_was_solved_counts_under_new_numbers(folder, capsys):
    """Of the twelve-lesson course: first numbers were kept, then names."""
    for number in {one.lesson for one in exercises()}:
        opening = f"# {number} · Lesson\n\n**45 minutes**"
        lay(folder / "en" / f"{number}_lesson.ipynb", opening)
    # Of what are 04.2, 05.1, 05.4 and 11.5 in a file of version 1.
    names = ["shout", "kitchen", "careful", "clock"]
    said = []
    for kept in (
        {"solved": ["04.2", "05.1", "05.4", "11.5"]},
        {"version": 2, "solved": names},
    ):
        progress.path().parent.mkdir(parents=True, exist_ok=True)
        progress.path().write_text(json.dumps(kept), encoding="utf-8")
        said.append(shown("en", capsys))
    assert said[0] == said[1]
    asked = {
        number: [one.name in names for one in group]
        for number, group in groupby(exercises(), lambda one: one.lesson)
    }
    assert {n for n in asked if any(asked[n])} == {"07", "08", "17"}
    for number, solved in asked.items():
        bar = "".join("■" if one else "□" for one in solved)
        row = next(r for r in said[0].splitlines() if f"| [{number} ·" in r)
        assert f"| 45 | {bar} | {sum(solved)}/" in row


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
