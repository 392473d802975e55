"""A notebook and an installed course of two versions are told apart, once."""

import json

import pytest
from kernels import kernel

from aula import agreement
from aula.agreement import Agreement
from aula.exercises import words
from authoring import source, stamps
from authoring.words import read_words

OLD = {"hash": "0ld", "since": "2026-11-28 08:00 UTC"}
NEW = {"hash": "7ew", "since": "2026-11-30 19:45 UTC"}
HEADS = {
    ("es", "package"): "El curso instalado es más viejo que este cuaderno.",
    ("es", "notebook"): "Este cuaderno es más viejo que el curso instalado.",
    ("en", "package"): "The installed course is older than this notebook.",
    ("en", "notebook"): "This notebook is older than the installed course.",
}
RIGHT = """
async def greet(name):
    await asyncio.sleep(0.1)
    return f"Hola, {name}"

await check("00.1", greet)
"""


def a_lesson(folder, stamp=None, lesson="00_start_here"):
    """A notebook that bears a stamp."""
    about = {"lesson": lesson, "version": "0.2.0"}
    if stamp is not None:
        about["exercises"] = stamp
    file = folder / f"{lesson}.ipynb"
    file.parent.mkdir(parents=True, exist_ok=True)
    notebook = {"cells": [], "metadata": {"aula": about}}
    file.write_text(json.dumps(notebook), encoding="utf-8")
    return file


def a_clone(folder):
    (folder / "aula").mkdir()
    (folder / "aula/diagnose.py").touch()
    return folder


@pytest.fixture
def said(monkeypatch, capsys):
    """What is said of a notebook by a course with these stamps."""

    def say(file, installed, language="en"):
        monkeypatch.setattr(agreement, "stamps", lambda: installed)
        monkeypatch.setattr(agreement, "_path", lambda: file)
        Agreement(language)()
        return capsys.readouterr().out.strip()

    return say


@pytest.mark.parametrize("language", agreement.TEXT)
@pytest.mark.parametrize(
    ("own", "installed", "older"),
    [(NEW, OLD, "package"), (OLD, NEW, "notebook")],
)
def test_which_is_older(said, tmp_path, language, own, installed, older):
    text = said(a_lesson(tmp_path, own), {"00": installed}, language)
    assert HEADS[language, older] in text
    assert own["since"] in text and installed["since"] in text


def test_which_lesson_a_course_does_not_know_yet(said, tmp_path):
    file = a_lesson(tmp_path, NEW, "27_a_live_board")
    assert HEADS["en", "package"] in said(file, {"00": OLD})
    # And what a newer one has no more is nobody's mistake.
    file = a_lesson(tmp_path, OLD, "27_a_live_board")
    assert not said(file, {"00": NEW})


@pytest.mark.parametrize("own", [OLD, {**OLD, "since": NEW["since"]}, None])
def test_nothing_of_the_same_exercises(said, tmp_path, own):
    """However old they are; nor of a notebook that bears no stamp."""
    assert not said(a_lesson(tmp_path, own), {"00": OLD})


def missing(file):
    file.unlink()


def a_folder(file):
    file.unlink()
    file.mkdir()


def cut_off(file):
    file.write_bytes(file.read_bytes()[:-10])


def no_text(file):
    file.write_bytes(b"\xff\xfe{}")


def a_list(file):
    file.write_text("[]")


def odd_stamp(file):
    a_lesson(file.parent, {"hash": 7, "since": 3})


def too_large(file):
    text = file.read_text() + " " * agreement.LARGEST
    file.write_text(text)


@pytest.mark.parametrize(
    "spoil",
    [missing, a_folder, cut_off, no_text, a_list, odd_stamp, too_large],
)
def test_nothing_of_a_file_that_cannot_be_read(said, tmp_path, spoil):
    file = a_lesson(tmp_path, NEW)
    assert said(file, {"00": OLD})
    spoil(file)
    assert not said(file, {"00": OLD})


def test_nothing_by_a_course_without_stamps(said, tmp_path):
    assert not said(a_lesson(tmp_path, NEW), {})


def test_nothing_outside_a_kernel(monkeypatch, tmp_path, capsys):
    """A script that a cell has started knows of its notebook, too."""
    monkeypatch.setattr(agreement, "stamps", lambda: {"00": OLD})
    monkeypatch.setenv("JPY_SESSION_NAME", str(a_lesson(tmp_path, NEW)))
    Agreement("en")()
    assert not capsys.readouterr().out


def in_no_clone(monkeypatch, tmp_path):
    return tmp_path


def in_its_clone(monkeypatch, tmp_path):
    clone = a_clone(tmp_path)
    monkeypatch.setattr(agreement, "course", lambda: clone)
    return clone / "notebooks/en"


def in_another(monkeypatch, tmp_path):
    return a_clone(tmp_path) / "notebooks/en"


def in_a_hub(monkeypatch, tmp_path):
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "x")
    return in_another(monkeypatch, tmp_path)


CURES = {
    (in_no_clone, "package"): ["Install the course again"],
    (in_no_clone, "notebook"): ["Download the lesson again"],
    (in_its_clone, "package"): ["`make update` in `{clone}`"],
    (in_its_clone, "notebook"): ["checks from 2026-11-30", '`fresh("00")`'],
    (in_another, "package"): ["`make lab` again, in `{clone}`"],
    (in_another, "notebook"): ["new version", "`{clone}`", '`fresh("00")`'],
    (in_a_hub, "package"): ["%pip install -e '{clone}'", "whoever keeps"],
    (in_a_hub, "notebook"): ["open the link", '`fresh("00")`'],
}


@pytest.mark.parametrize(("place", "older"), CURES)
def test_the_cure_is_that_of_the_place(
    monkeypatch, said, tmp_path, place, older
):
    folder = place(monkeypatch, tmp_path)
    own, installed = (NEW, OLD) if older == "package" else (OLD, NEW)
    text = said(a_lesson(folder, own), {"00": installed})
    for part in CURES[place, older]:
        assert part.format(clone=tmp_path.resolve()) in text
    assert ("make update" in text) == (
        "update" in "".join(CURES[place, older]) or "new version" in text
    )


def test_both_languages_say_the_same_things():
    assert agreement.TEXT["es"].keys() == agreement.TEXT["en"].keys()


def first_cell(language, installed):
    return (
        f"import asyncio\nfrom aula import agreement\n"
        f"from aula.{language} import check\n"
        f"agreement.stamps = lambda: {{'00': {installed}}}"
    )


@pytest.mark.parametrize(
    ("language", "own", "installed", "older"),
    [("es", NEW, OLD, "package"), ("en", OLD, NEW, "notebook")],
)
def test_the_first_check_says_so_and_no_other(
    monkeypatch, tmp_path, language, own, installed, older
):
    file = a_lesson(tmp_path, own)
    monkeypatch.setenv("JPY_SESSION_NAME", str(file))
    with kernel(tmp_path) as running:
        start = running.run(first_cell(language, installed))
        checks = [running.run(RIGHT) for _ in range(2)]
    assert not start.text() and not start.error()
    verdict = words.find("00", "greet", "right")[language]
    for check in checks:
        assert verdict in check.text() and not check.stderr()
    assert checks[0].text().startswith(f"**{HEADS[language, older]}**")
    assert HEADS[language, older] not in checks[1].text()


def test_a_kernel_that_knows_no_notebook_says_nothing(monkeypatch, tmp_path):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    a_lesson(tmp_path, NEW)
    with kernel(tmp_path) as running:
        running.run(first_cell("en", OLD))
        check = running.run(RIGHT)
    assert check.text().startswith("**✔ 00.1")
    assert not check.stderr()


class TestStamps:
    """The build stamps a lesson anew only when what judges it changes."""

    @pytest.fixture
    def house(self, tmp_path, monkeypatch):
        monkeypatch.setattr(source, "ROOT", tmp_path)
        for folder in ("judges", "words"):
            (tmp_path / "aula" / folder).mkdir(parents=True)
        for number in ("00", "01"):
            self.judge(tmp_path, number, "def judge():\n    pass\n")
        return tmp_path

    def judge(self, house, number, text):
        file = house / "aula" / "judges" / f"lesson_{number}.py"
        file.write_text(text, encoding="utf-8")

    def build(self, built, said="Sí"):
        numbers = ["00", "01"]
        found = {n: {"greet": {"right": {"es": said}}} for n in numbers}
        stamps.path().write_text(stamps.renewed(numbers, built, found))
        kept = json.loads(stamps.path().read_text(encoding="utf-8"))
        return {n: stamp["since"] for n, stamp in kept.items()}

    def test_they_stay_and_change(self, house, monkeypatch):
        both = ["00", "01"]
        minutes = iter("ABCDEFG")
        monkeypatch.setattr(stamps, "now", lambda: next(minutes))
        assert self.build(both) == {"00": "A", "01": "A"}
        assert self.build(both) == {"00": "A", "01": "A"}
        # What is said of it is another; but one lesson alone is built.
        assert self.build(["01"], "Si") == {"00": "A", "01": "C"}
        assert self.build(both, "Si") == {"00": "D", "01": "C"}
        # A comment and a line that is broken elsewhere change nothing.
        self.judge(house, "00", "def judge():  # why\n\n        pass\n")
        assert self.build(both, "Si") == {"00": "D", "01": "C"}
        self.judge(house, "00", "def judge():\n    return '# no'\n")
        assert self.build(both, "Si") == {"00": "F", "01": "C"}
        self.judge(house, "00", "def judge():\n    return '# yes'\n")
        assert self.build(both, "Si") == {"00": "G", "01": "C"}


def test_the_stamps_are_those_of_the_sources():
    numbers = [path.stem[:2] for path in source.lesson_paths()]
    texts = read_words(numbers)
    kept = stamps.read()
    assert {n: stamp["hash"] for n, stamp in kept.items()} == {
        n: stamps.digest_of(n, texts[n]) for n in numbers
    }, "run: make build"
