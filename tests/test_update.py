"""A learner takes a new version of the course and loses no answer."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aula.versions import TEXT, Fresh
from authoring import source

pytestmark = pytest.mark.skipif(
    not (shutil.which("git") and shutil.which("make")),
    reason="needs git and make",
)
LESSON = Path("notebooks/es/02_lesson.ipynb")
OTHER = Path("notebooks/en/03_lesson.ipynb")
INDEX = Path("notebooks/index.ipynb")


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


def said_by_git(folder, *arguments):
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True
    )
    return done.stdout.splitlines()


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
            INDEX: notebook("progress()"),
        },
    )
    return folder


@pytest.fixture
def learner(upstream, tmp_path):
    folder = tmp_path / "learner"
    git(tmp_path, "clone", str(upstream), str(folder))
    return folder


def make(folder, *arguments):
    """A command of the Makefile's, with what is installed already."""
    environment = {k: v for k, v in os.environ.items() if k != "MAKEFLAGS"}
    return subprocess.run(
        [
            "make",
            "--no-print-directory",
            *arguments,
            "--assume-old=.venv/for-learners",
            f"BIN={Path(sys.executable).parent}",
        ],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


def update(folder):
    """``make update``, and what it says."""
    done = make(folder, "update")
    assert done.returncode == 0, done.stdout + done.stderr
    status = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=no"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert not status.stdout, status.stdout
    return done.stdout


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


@pytest.mark.parametrize("changed", ["never", "now", "before an update"])
@pytest.mark.parametrize("theirs", ["deleted", "renamed"])
def test_a_lesson_that_is_no_more(upstream, learner, theirs, changed):
    mine = notebook("mine = 42", "one", "two", "three")
    if changed != "never":
        write(learner, {LESSON: mine})
    if changed == "before an update":
        publish(upstream, {OTHER: notebook("...", "one, told better")})
        update(learner)
    better = Path("notebooks/es/02_better.ipynb")
    if theirs == "deleted":
        git(upstream, "rm", str(LESSON))
    else:
        git(upstream, "mv", str(LESSON), str(better))
    publish(upstream, {"README.md": "Aula 2\n"})
    said = update(learner)
    kept = LESSON.with_suffix(".mine.ipynb")
    here = {path.name for path in learner.glob("notebooks/es/*")}
    expected = set()
    if changed != "never":
        assert read(learner, kept) == mine
        assert f"Your copy is {kept.as_posix()}." in said
        assert f"Tu copia está en {kept.as_posix()}." in said
        expected.add(kept.name)
    if theirs == "renamed":
        assert read(learner, better) == read(upstream, better)
        expected.add(better.name)
    assert here == expected
    assert read(learner, "README.md") == "Aula 2\n"
    assert update(learner).endswith("Already up to date.\n")


def test_what_was_kept_before_is_not_overwritten(upstream, learner):
    kept = [LESSON.with_suffix(f".{m}.ipynb") for m in ("mine", "mine-2")]
    write(learner, {kept[0]: "older"})
    mine = notebook("mine = 42", "one", "two", "three")
    write(learner, {LESSON: mine})
    git(upstream, "rm", str(LESSON))
    publish(upstream, {"README.md": "Aula 2\n"})
    update(learner)
    assert [read(learner, path) for path in kept] == ["older", mine]


def test_a_lesson_that_both_have_taken_away(upstream, learner):
    (learner / LESSON).rename(learner / "notebooks/es/02_mine.ipynb")
    git(upstream, "mv", str(LESSON), "notebooks/es/02_better.ipynb")
    publish(upstream, {"README.md": "Aula 2\n"})
    update(learner)
    here = {path.name for path in learner.glob("notebooks/es/*")}
    assert here == {"02_mine.ipynb", "02_better.ipynb"}


@pytest.mark.parametrize("changed", ["run", "written in"])
def test_the_index_is_always_new(upstream, learner, changed):
    """Who has run it would have the old lessons' list for ever."""
    publish(upstream, {INDEX: notebook("progress()", "index")})
    update(learner)
    mine = json.loads(read(learner, INDEX))
    if changed == "run":
        mine["cells"][1]["execution_count"] = 1
    else:
        mine["cells"][1]["source"] = "progress()  # mine"
    write(learner, {INDEX: json.dumps(mine)})
    newer = notebook("progress()", "index, told better")
    publish(upstream, {INDEX: newer})
    update(learner)
    assert read(learner, INDEX) == newer
    kept = learner / INDEX.with_suffix(".mine.ipynb")
    assert kept.exists() == (changed == "written in")


MINE = notebook("mine = 42", "one", "two", "three")
FRESH = LESSON.with_suffix(".fresh.ipynb")


@pytest.fixture
def afresh(learner, monkeypatch, capsys):
    """What a learner is told who asks for a lesson, in its notebook."""
    monkeypatch.chdir((learner / LESSON).parent)

    def ask(number, language="es"):
        Fresh(language)(number)
        return capsys.readouterr().out

    return ask


def test_a_lesson_afresh(upstream, learner, afresh):
    write(learner, {LESSON: MINE})
    said = afresh("02")
    assert FRESH.name in said and LESSON.name in said
    assert read(learner, LESSON) == MINE
    assert read(learner, FRESH) == read(upstream, LESSON)
    # Nor is the one lost that has been worked in meanwhile.
    write(learner, {FRESH: MINE})
    assert "02_lesson.fresh-2.ipynb" in afresh("02")
    assert read(learner, FRESH) == MINE
    again = FRESH.with_name("02_lesson.fresh-2.ipynb")
    assert read(learner, again) == read(upstream, LESSON)


def test_a_lesson_afresh_that_nobody_has_changed(learner, afresh):
    assert "No has guardado cambios" in afresh("02")
    assert not (learner / FRESH).exists()


def test_a_lesson_afresh_that_is_no_more(upstream, learner, afresh):
    (learner / LESSON).rename(learner / "notebooks/es/mine.ipynb")
    assert "otra vez" in afresh("02")
    assert read(learner, LESSON) == read(upstream, LESSON)


def test_a_lesson_afresh_is_that_of_the_last_update(upstream, learner, afresh):
    """Where nbgitpuller has committed what the learner had changed."""
    write(learner, {LESSON: MINE})
    newer = notebook("...", "one, told better")
    publish(upstream, {LESSON: newer})
    update(learner)
    assert read(learner, LESSON) == MINE
    afresh("02")
    assert read(learner, FRESH) == newer
    assert read(learner, LESSON) == MINE


def test_a_lesson_afresh_where_there_is_no_upstream(upstream, learner, afresh):
    git(learner, "branch", "--unset-upstream")
    write(learner, {LESSON: MINE})
    afresh("02")
    assert read(learner, FRESH) == read(upstream, LESSON)


def test_no_such_lesson_afresh(afresh):
    with pytest.raises(ValueError, match="'77'. Hay: 02"):
        afresh("77")


@pytest.mark.parametrize("lacking", ["clone", "git"])
def test_no_lesson_afresh_without_a_clone(
    lacking, tmp_path, monkeypatch, afresh
):
    if lacking == "git":
        monkeypatch.setenv("PATH", str(tmp_path))
    else:
        monkeypatch.chdir(tmp_path)
    assert "no es un clon" in afresh("02")
    assert "no clone" in afresh("02", "en")


def test_make_fresh(upstream, learner):
    write(learner, {LESSON: MINE, "notebooks/en/02_lesson.ipynb": "{}"})
    git(learner, "add", "--all")
    git(learner, "commit", "--message", "mine")
    publish(upstream, {"notebooks/en/02_lesson.ipynb": "[]"})
    update(learner)
    done = make(learner, "fresh", "LESSON=02")
    assert done.returncode == 0, done.stderr
    told, other = done.stdout.splitlines()[-2:]
    assert f" {FRESH.as_posix()}. " in told
    assert " notebooks/en/02_lesson.fresh.ipynb. " in other
    assert read(learner, FRESH) == read(upstream, LESSON)
    assert read(learner, LESSON) == MINE


@pytest.mark.parametrize("arguments", [[], ["LESSON=77"]])
def test_make_fresh_needs_a_lesson(learner, arguments):
    done = make(learner, "fresh", *arguments)
    assert done.returncode != 0
    assert ("LESSON=08" if not arguments else "'77'") in done.stderr
    assert "Traceback" not in done.stderr


class TestRefuses:
    """Where no update can come, nothing is touched and a way is told."""

    @pytest.fixture(autouse=True)
    def newer(self, upstream, learner):
        """There would be something new, and the learner is at work."""
        write(learner, {LESSON: MINE})
        publish(upstream, {"README.md": "Aula 2\n", OTHER: "{}"})

    def refuse(self, folder, *words, command="update"):
        before = {
            path: path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and ".git" not in path.parts
        }
        log = said_by_git(folder, "log", "--all", "--oneline")
        done = make(folder, *command.split())
        assert done.returncode != 0
        assert "Traceback" not in done.stderr, done.stderr
        for text in words:
            assert text in done.stderr, done.stderr
        after = {path: path.read_bytes() for path in before}
        assert after == before
        mine = said_by_git(folder, "log", "HEAD", "--oneline")
        assert mine == [line for line in log if line in mine]
        return done.stderr

    def own(self, folder):
        """A repository of the learner's own, with something unfinished."""
        git(folder, "init", "--initial-branch=main")
        write(folder, {"mine.txt": "finished\n"})
        git(folder, "add", "mine.txt")
        git(folder, "commit", "--message", "mine")
        write(folder, {"mine.txt": "unfinished\n"})

    def zipped(self, learner, folder):
        ignored = shutil.ignore_patterns(".git")
        shutil.copytree(learner, folder, ignore=ignored, dirs_exist_ok=True)
        return folder

    def test_in_a_zip(self, learner, tmp_path):
        folder = self.zipped(learner, tmp_path / "zip")
        self.refuse(
            folder,
            "Nothing has changed: this folder is no clone of the course",
            "Nada ha cambiado: esta carpeta no es un clon del curso",
            "git clone",
        )
        told = ("no clone of the course", "no es un clon del curso")
        self.refuse(folder, *told, command="fresh LESSON=02")

    @pytest.mark.parametrize("committed", [False, True])
    def test_in_the_learners_repository(self, learner, tmp_path, committed):
        outer = tmp_path / "mine"
        outer.mkdir()
        self.own(outer)
        folder = self.zipped(learner, outer / "course")
        if committed:
            git(outer, "add", "course")
            git(outer, "commit", "--message", "the course")
        for target in ("update", "fresh LESSON=02"):
            self.refuse(folder, "clon", command=target)
        said = said_by_git(outer, "status", "--porcelain")
        assert " M mine.txt" in said
        assert f"part of {outer}" in self.refuse(folder)

    def test_as_the_learners_repository(self, learner, tmp_path):
        folder = self.zipped(learner, tmp_path / "mine")
        self.own(folder)
        self.refuse(folder, f"part of {folder}")
        git(folder, "add", "--all")
        git(folder, "commit", "--message", "the course")
        self.refuse(folder, 'no "origin"', "«origin»")

    def test_in_a_clone_of_something_else(self, learner, tmp_path):
        other = tmp_path / "other"
        other.mkdir()
        self.own(other)
        git(tmp_path, "clone", str(other), "mine")
        folder = self.zipped(learner, tmp_path / "mine")
        self.refuse(folder, f"part of {folder}")
        git(folder, "add", "--all")
        git(folder, "commit", "--message", "the course")
        self.refuse(folder, f"{other} is something else", "es otra cosa")

    @pytest.mark.parametrize("work", ["merge", "cherry-pick", "stash"])
    def test_in_the_middle_of_something(self, learner, upstream, work):
        write(learner, {"README.md": "mine\n"})
        if work == "stash":
            git(learner, "stash")
        write(learner, {"README.md": "mine, too\n"})
        git(learner, "commit", "--all", "--message", "mine")
        git(learner, "fetch")
        what = ["pop"] if work == "stash" else ["origin/main"]
        with pytest.raises(subprocess.CalledProcessError):
            git(learner, work, *what)
        self.refuse(learner, "in the middle of", "a medias")

    def test_while_another_git_is_at_work(self, learner):
        write(learner, {".git/index.lock": ""})
        self.refuse(learner, "(.git/index.lock)")

    def test_on_a_branch_of_ones_own(self, learner):
        git(learner, "switch", "--create", "mine")
        self.refuse(learner, "no branch mine", "git switch main")

    def test_where_the_course_cannot_be_reached(self, learner, upstream):
        upstream.rename(upstream.with_name("gone"))
        self.refuse(learner, f"{upstream} cannot be reached", "no se llega a")

    def test_without_git(self, learner, tmp_path, monkeypatch):
        tools = tmp_path / "bin"
        tools.mkdir()
        for name in ("make", "sh"):
            (tools / name).symlink_to(shutil.which(name))
        before = os.environ["PATH"]
        monkeypatch.setenv("PATH", str(tools))
        done = make(learner, "update")
        monkeypatch.setenv("PATH", before)
        assert "there is no git here" in done.stderr
        assert "Traceback" not in done.stderr

    def test_but_not_in_a_shallow_clone_nor_a_linked_folder(
        self, learner, upstream, tmp_path
    ):
        git(tmp_path, "clone", "--depth=1", upstream.as_uri(), "shallow")
        (tmp_path / "link").symlink_to(tmp_path / "shallow")
        publish(upstream, {"README.md": "Aula 3\n"})
        update(tmp_path / "link")
        assert read(tmp_path / "shallow", "README.md") == "Aula 3\n"


def test_texts_have_both_languages():
    assert TEXT["es"].keys() == TEXT["en"].keys()


# How the course of twelve lessons is updated.
OLD_MAKEFILE = """update:
\t$(BIN)/gitpuller "$$(git remote get-url origin)" main .
"""
# That course, as learners have it.
TWELVE = "9775d2bbab708f9723f26b7cc032811a2e8a7e41"
CHANGED = ["05_one_message_at_a_time", "08_registration_and_broadcast"]


class TestFromTwelveLessons:
    """The course of twelve lessons becomes that of today."""

    @pytest.fixture
    def upstream(self, tmp_path, monkeypatch):
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
        folder = tmp_path / "upstream"
        git(source.ROOT, "clone", "--shared", ".", str(folder))
        try:
            git(folder, "checkout", "-B", "main", TWELVE)
        except subprocess.CalledProcessError:  # a shallow clone
            git(folder, "checkout", "-B", "main")
            self.pretend(folder)
        return folder

    def pretend(self, folder):
        """Commit two of today's lessons under their names and form of old."""
        for path in folder.glob("*/e[ns]/[0-9]*.ipynb"):
            path.unlink()
        for name in CHANGED:
            here = source.ROOT.glob(f"notebooks/e[ns]/*{name[2:]}.ipynb")
            for path in here:
                old = path.with_name(f"{name}.ipynb")
                text = json.dumps(json.loads(read(path, "")), indent=1)
                write(folder, {old.relative_to(source.ROOT): text})
        write(folder, {"Makefile": OLD_MAKEFILE})
        publish(folder, {})

    def publish_today(self, folder):
        """Commit the work tree as the next version."""
        here = ["--git-dir", str(folder / ".git"), "--work-tree", "."]
        git(source.ROOT, *here, "add", "--all")
        git(source.ROOT, *here, "commit", "--message", "today's version")

    @pytest.mark.parametrize("way", ["as then", "as now"])
    def test_all_lessons_are_new_and_mine_beside(
        self, upstream, tmp_path, way
    ):
        if way == "as now":
            for name in ("Makefile", "aula/versions.py"):
                shutil.copy(source.ROOT / name, upstream / name)
            publish(upstream, {})
        learner = tmp_path / "learner"
        git(tmp_path, "clone", str(upstream), str(learner))
        mine = {}
        for name in CHANGED:
            path = Path(f"notebooks/es/{name}.ipynb")
            changed = json.loads(read(learner, path))
            changed["cells"][-1]["source"] = "mine"
            mine[path] = json.dumps(changed, indent=1)
        write(learner, mine)
        index = json.loads(read(learner, INDEX))
        index["cells"][1]["execution_count"] = 7
        write(learner, {INDEX: json.dumps(index)})
        self.publish_today(upstream)
        update(learner)
        if way == "as then":  # which leaves the index that has been run
            update(learner)
        for path in source.ROOT.glob("notebooks/**/[0-9i]*.ipynb"):
            path = path.relative_to(source.ROOT)
            assert read(learner, path) == read(source.ROOT, path)
        today = {p.name for p in source.ROOT.glob("notebooks/es/*.ipynb")}
        if way == "as now":
            kept = {p.with_suffix(".mine.ipynb"): mine[p] for p in mine}
        else:
            kept = mine
        here = {path.name for path in learner.glob("notebooks/es/*.ipynb")}
        assert here == today | {path.name for path in kept}
        for path, text in kept.items():
            assert read(learner, path) == text
