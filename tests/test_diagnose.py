"""The machine is looked over, and each failure has its cure."""

import asyncio
import importlib.util
import sys
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


@pytest.fixture(autouse=True)
def not_on_windows(monkeypatch):
    """Whose cure is another (``in_windows``)."""
    monkeypatch.setattr(sys, "platform", "linux")


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


def in_colab(monkeypatch, folder):
    monkeypatch.setitem(sys.modules, "google.colab", sys)
    return "anywhere"


def in_a_hub(monkeypatch, folder):
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "x")
    return "anywhere"


def in_conda(monkeypatch, folder):
    (folder / "conda-meta").mkdir()
    return "anywhere"


def in_windows(monkeypatch, folder):
    monkeypatch.setattr(sys, "platform", "win32")
    return ".venv"


def with_uv(monkeypatch, folder):
    return ".venv"


def with_make(monkeypatch, folder):
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/pip").touch()
    return ".venv"


def nowhere_known(monkeypatch, folder):
    return "anywhere"


CURES = {
    in_colab: ["%pip install 'websockets>=", "Restart session"],
    in_a_hub: ["%pip install 'websockets>=", "whoever keeps this server"],
    in_conda: ["`python -m pip install -c", "environment active"],
    in_windows: [r"`.venv\Scripts\python -m pip install -c"],
    with_uv: ["`uv pip install -c"],
    with_make: ["`make lab`"],
    nowhere_known: ["%pip install 'websockets>=", "restart the kernel"],
}


@pytest.mark.parametrize("place", CURES)
def test_the_cure_is_that_of_the_place(monkeypatch, tmp_path, capsys, place):
    version_of(monkeypatch, CORE, "15.0.1")
    (tmp_path / "aula").mkdir()
    (tmp_path / "aula/diagnose.py").touch()
    where = place(monkeypatch, tmp_path)
    prefix = tmp_path / where if where == ".venv" else tmp_path
    monkeypatch.setattr(sys, "prefix", str(prefix))
    _, rest = diagnose(capsys)
    (line,) = [n for n in rest.splitlines() if n.startswith(f"- {CORE}: ")]
    for words in CURES[place]:
        assert words in line
    others = [w for p, ws in CURES.items() for w in ws if p != place]
    assert not [w for w in others if w in line and w not in CURES[place]][1:]


def test_another_clone_is_named_with_the_cure(monkeypatch, tmp_path, capsys):
    (tmp_path / "aula").mkdir()
    (tmp_path / "aula/diagnose.py").touch()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    table, rest = diagnose(capsys)
    assert table["kernel"] == ("another", "✘")
    assert f"`make lab` again, in `{tmp_path}`" in rest


def test_without_what_reads_versions(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    table, rest = diagnose(capsys)
    assert table["packaging"] == ("–", "✘")
    assert "- packaging: `packaging" in rest and "`make lab`" in rest


def test_both_languages_say_the_same_things():
    assert TEXT["es"].keys() == TEXT["en"].keys()
