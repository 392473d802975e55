"""The machine is looked over, and each failure has its cure."""

import asyncio
import importlib.util
from importlib import metadata

import pytest
from packaging.requirements import Requirement

from aula.diagnose import TEXT, Diagnose

LAB, CORE = "jupyterlab", "websockets"


def diagnose(capsys, language="en"):
    """The table of packages, and what is below it."""
    asyncio.run(Diagnose(language)())
    table, _, rest = capsys.readouterr().out.partition("\n\n")
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    return {what: (found, mark) for what, found, mark in rows}, rest


def declared(extra):
    lines = map(Requirement, metadata.requires("aula"))
    return {
        line.name
        for line in lines
        if line.marker is None or line.marker.evaluate({"extra": extra})
    }


@pytest.fixture
def elsewhere(monkeypatch):
    """A kernel of a front end that is no JupyterLab."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == LAB else find(name, *rest),
    )


def version_of(monkeypatch, package, version):
    """Another version of a package; None for none."""
    real = metadata.version

    def look(name):
        if name != package:
            return real(name)
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(metadata, "version", look)


@pytest.mark.parametrize("language", TEXT)
def test_all_in_order(capsys, language):
    table, rest = diagnose(capsys, language)
    assert all(mark == "✔" for _, mark in table.values())
    assert declared("lab") < table.keys()
    assert rest.strip() == TEXT[language]["fine"]


def test_another_front_ends_kernel_is_left_alone(capsys, elsewhere):
    table, rest = diagnose(capsys)
    assert {CORE, "aiohttp"} <= declared("") < table.keys()
    assert not table.keys() & (declared("lab") - declared(""))
    assert rest.strip() == TEXT["en"]["fine"]


@pytest.mark.parametrize(
    ("package", "version"), [(CORE, "15.0.1"), (CORE, None), (LAB, "5.0.0")]
)
def test_a_package_that_does_not_do(monkeypatch, capsys, package, version):
    version_of(monkeypatch, package, version)
    table, rest = diagnose(capsys)
    assert table[package] == (version or "–", "✘")
    assert f"- {package}: `{package}" in rest and "`make lab`" in rest


def test_a_package_that_does_not_do_elsewhere(monkeypatch, capsys, elsewhere):
    version_of(monkeypatch, CORE, "15.0.1")
    _, rest = diagnose(capsys)
    assert f"Run `%pip install '{CORE}>=" in rest and "make lab" not in rest


def test_both_languages_say_the_same_things():
    assert TEXT["es"].keys() == TEXT["en"].keys()
