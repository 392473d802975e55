"""What make does about an environment that is no longer what it made."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from authoring import source

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="needs make")

MAKEFILE = (source.ROOT / "Makefile").read_text(encoding="utf-8")
(PHONY,) = re.findall(r"^\.PHONY: (lab (?:.*\\\n)*.*)", MAKEFILE, re.M)
TARGETS = PHONY.replace("\\\n", " ").split()
PACKAGES = ".venv/lib/python3/site-packages"
STAMPS = [".venv/for-learners", ".venv/for-authors", ".venv/for-site"]
MADE = [".venv/bin/pip", ".venv/tools/bin/uv", *STAMPS]
SETTINGS = ["pyproject.toml", "requirements.txt", "aula/jupyterlab.json"]
SITE = ["site/package.json", "site/package-lock.json"]


def make(folder, *arguments):
    environment = {k: v for k, v in os.environ.items() if k != "MAKEFLAGS"}
    return subprocess.run(
        ["make", "--dry-run", *arguments, "LESSON=02", "VERSION=1"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def touch(path, at):
    os.utime(path, (at, at))


@pytest.fixture(params=["course", "Mi carpeta, 50% (ñ) & 'co'"])
def folder(request, tmp_path):
    """The course with an environment as make leaves it, but for its files."""
    folder = tmp_path / request.param
    (folder / PACKAGES / "websockets").mkdir(parents=True)
    for path in ["Makefile", *SETTINGS, *SITE, *MADE]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    shutil.copy(source.ROOT / "Makefile", folder)
    (folder / ".venv/bin/python").symlink_to(sys.executable)
    note(folder)
    for path in [*SETTINGS, PACKAGES, *MADE]:
        touch(folder / path, 1000)
    return folder


def note(folder):
    """Note down where the environment is made, in make's own words."""
    (line,) = re.findall(r"^\t@(pwd .*)$", MAKEFILE, re.M)
    line = line.replace("$(VENV)", ".venv")
    subprocess.run(line, shell=True, cwd=folder, check=True)


def is_made_anew(said):
    return "is made anew" in said and "-m venv --clear .venv" in said


def is_installed(said):
    return "uv pip install" in said


@pytest.mark.parametrize("stamp", STAMPS)
def test_as_it_was_made(folder, stamp):
    assert "up to date" in make(folder, stamp)


def move(folder):
    return folder.rename(folder.with_name("renamed"))


def copy(folder):
    return shutil.copytree(folder, folder.with_name("copy"), symlinks=True)


def copy_below(folder):
    """A folder whose path ends as that of the first."""
    below = folder.parent / "below" / folder.relative_to("/")
    return shutil.copytree(folder, below, symlinks=True)


def lose_python(folder):
    python = folder / ".venv/bin/python"
    python.unlink()
    python.symlink_to("/nowhere/python3.11")
    return folder


@pytest.mark.parametrize("change", [move, copy, copy_below, lose_python])
def test_it_is_made_anew_where_it_does_not_work(folder, change):
    changed = change(folder)
    for stamp in STAMPS:
        said = make(changed, stamp)
        assert is_made_anew(said) and is_installed(said)
    if changed != folder:
        note(changed)
        assert "up to date" in make(changed, STAMPS[0])


@pytest.mark.parametrize("target", TARGETS)
def test_whatever_is_asked_for(folder, target):
    assert not is_made_anew(make(folder, target))
    assert is_made_anew(make(move(folder), target))


def test_the_first_time(folder):
    shutil.rmtree(folder / ".venv")
    said = make(folder, "lab")
    assert "-m venv" in said and is_installed(said)


def install_another(packages):
    (packages / "another").mkdir()


def remove_one(packages):
    (packages / "websockets").rmdir()


def replace_one(packages):
    (packages / "websockets").rename(packages / "websockets-15")


@pytest.mark.parametrize("change", [install_another, remove_one, replace_one])
@pytest.mark.parametrize("stamp", STAMPS)
def test_packages_that_have_changed_since_are_looked_over(
    folder, change, stamp
):
    change(folder / PACKAGES)
    said = make(folder, stamp)
    assert is_installed(said) and "-m venv" not in said


@pytest.mark.parametrize("setting", SETTINGS)
def test_what_a_new_version_asks_for_is_installed(folder, setting):
    touch(folder / setting, 2000)
    assert is_installed(make(folder, STAMPS[0]))
