"""A learner takes a new version of the course and loses no answer."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from authoring import source

pytestmark = pytest.mark.skipif(
    not (shutil.which("git") and shutil.which("make")),
    reason="needs git and make",
)
LESSON = Path("notebooks/es/02_lesson.ipynb")
OTHER = Path("notebooks/en/03_lesson.ipynb")


def notebook(answer, *texts):
    cells = [
        {
            "cell_type": "markdown",
            "id": f"t{n}",
            "metadata": {},
            "source": text,
        }
        for n, text in enumerate(texts)
    ]
    cells.insert(
        1,
        {
            "cell_type": "code",
            "id": "answer",
            "metadata": {},
            "source": answer,
            "outputs": [],
            "execution_count": None,
        },
    )
    return json.dumps(
        {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5},
        indent=1,
    )


def git(folder, *arguments):
    subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@x", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
    )


def write(folder, files):
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def publish(upstream, files):
    write(upstream, files)
    git(upstream, "add", "--all")
    git(upstream, "commit", "--message", "a new version")


@pytest.fixture
def upstream(tmp_path, monkeypatch):
    """The course's repository: its rules for git, and some lessons."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    folder = tmp_path / "upstream"
    folder.mkdir()
    git(folder, "init", "--initial-branch=main")
    for name in (".gitattributes", ".gitignore", "Makefile"):
        shutil.copy(source.ROOT / name, folder)
    publish(
        folder,
        {
            LESSON: notebook("...", "one", "two", "three"),
            OTHER: notebook("...", "one", "two"),
            "README.md": "Aula\n",
        },
    )
    return folder


@pytest.fixture
def learner(upstream, tmp_path):
    folder = tmp_path / "learner"
    git(tmp_path, "clone", str(upstream), str(folder))
    return folder


def update(folder):
    """``make update``, with what is installed already."""
    environment = {k: v for k, v in os.environ.items() if k != "MAKEFLAGS"}
    done = subprocess.run(
        [
            "make",
            "update",
            "--assume-old=.venv/for-learners",
            f"BIN={Path(sys.executable).parent}",
        ],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    status = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=no"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert not status.stdout, status.stdout


def read(folder, path):
    return (folder / path).read_text(encoding="utf-8")


def test_answers_stay_and_the_rest_is_new(upstream, learner):
    mine = notebook("mine = 42", "one", "two", "three")
    write(learner, {LESSON: mine})
    new = {
        LESSON: notebook("... # new", "one", "two", "three, told better"),
        OTHER: notebook("...", "one, told better", "two"),
        "notebooks/es/04_lesson.ipynb": notebook("...", "a new lesson"),
        "README.md": "Aula 2\n",
    }
    publish(upstream, new)
    for _ in range(2):
        update(learner)
        assert read(learner, LESSON) == mine
        for path in new.keys() - {LESSON}:
            assert read(learner, path) == new[path]


def test_answers_stay_version_after_version(upstream, learner):
    for version in range(3):
        mine = notebook(f"mine = {version}", "one", "two", "three")
        write(learner, {LESSON: mine})
        publish(upstream, {LESSON: notebook("...", f"version {version}")})
        update(learner)
        assert read(learner, LESSON) == mine


def test_a_lesson_renamed_or_deleted_gives_way_to_the_new_one(
    upstream, learner
):
    mine = notebook("mine = 42", "one", "two", "three")
    write(learner, {LESSON: mine})
    newer = notebook("...", "one, told better")
    publish(upstream, {LESSON: newer})
    (learner / LESSON).rename(learner / "notebooks/es/02_mine.ipynb")
    update(learner)
    assert read(learner, LESSON) == newer
    assert read(learner, "notebooks/es/02_mine.ipynb") == mine


def test_a_file_in_the_way_of_a_new_lesson_is_kept(upstream, learner):
    new = "notebooks/es/04_lesson.ipynb"
    write(learner, {new: "mine"})
    publish(upstream, {new: notebook("...", "a new lesson")})
    update(learner)
    assert "a new lesson" in read(learner, new)
    kept = [p for p in (learner / new).parent.iterdir() if "04" in p.name]
    assert sorted(p.read_text() == "mine" for p in kept) == [False, True]


@pytest.mark.parametrize("theirs", ["deleted", "renamed"])
def test_a_lesson_that_is_no_more(upstream, learner, theirs):
    mine = notebook("mine = 42", "one", "two", "three")
    write(learner, {LESSON: mine})
    if theirs == "deleted":
        git(upstream, "rm", str(LESSON))
    else:
        git(upstream, "mv", str(LESSON), "notebooks/es/02_better.ipynb")
    publish(upstream, {"README.md": "Aula 2\n"})
    update(learner)
    kept = [p.read_text() for p in (learner / LESSON).parent.iterdir()]
    assert mine in kept
    assert read(learner, "README.md") == "Aula 2\n"
