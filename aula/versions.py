"""Versions of the course: the newest comes, and a lesson as it came.

Whatever is done here, nothing of the learner's is lost or replaced.

``python -m aula.versions update`` is ``make update``. nbgitpuller does the
work: a notebook that the learner has changed stays as it is, every other
becomes new. What it leaves to git is what goes or gets another name, and git
would put a learner's old lesson in the place of a new one; so that is done
here.

``python -m aula.versions fresh 08`` is ``make fresh LESSON=08``, and in a
notebook ``fresh("08")``. It puts the lesson as it came beside the learner's:
that may be open, with changes that are not in any file yet.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from itertools import count
from pathlib import Path

from aula.display import show

TEXT = {
    "es": {
        "kept": "El curso ya no tiene {old}. Tu copia está en {new}.",
        "page": "{old} es nueva. Tu copia está en {new}.",
        "fresh": "La lección {number} está como vino en [{name}]({link}). "
        "La tuya sigue en {old}.",
        "again": "La lección {number} está otra vez, como vino, en "
        "[{name}]({link}).",
        "same": "No has guardado cambios en [{name}]({link}): la lección "
        "{number} está como vino.",
        "no-lesson": "No hay lección {number!r}. Hay: {known}.",
        "no-clone": "Esta carpeta no es un clon del curso: no hay de dónde "
        "sacar la lección como vino. Descarga el curso otra vez.",
        "which": "Di qué lección: make fresh LESSON=08",
    },
    "en": {
        "kept": "The course no longer has {old}. Your copy is {new}.",
        "page": "{old} is new. Your copy is {new}.",
        "fresh": "Lesson {number} as it came is in [{name}]({link}). Yours "
        "is still in {old}.",
        "again": "Lesson {number} is here again, as it came, in "
        "[{name}]({link}).",
        "same": "You have saved no changes to [{name}]({link}): lesson "
        "{number} is as it came.",
        "no-lesson": "There is no lesson {number!r}. There are: {known}.",
        "no-clone": "This folder is no clone of the course: the lesson as it "
        "came is nowhere to be had. Download the course again.",
        "which": "Name a lesson: make fresh LESSON=08",
    },
}

# Pages that hold no answers: they are always those of the newest version.
PAGES = [
    "notebooks/index.ipynb",
    "notebooks/es/names.ipynb",
    "notebooks/en/names.ipynb",
]

# Who is told that a lesson has another name now takes a learner's old lesson
# for a change to the new one.
NO_RENAMES = {
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "diff.renames",
    "GIT_CONFIG_VALUE_0": "false",
    "GIT_CONFIG_KEY_1": "merge.renames",
    "GIT_CONFIG_VALUE_1": "false",
}


def git(root: Path, *arguments: str) -> str:
    """What a command of git's says.

    Raises:
        subprocess.CalledProcessError: if it fails.
    """
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, check=True, capture_output=True
        )
    except subprocess.CalledProcessError as error:
        error.add_note(error.stderr.decode(errors="replace"))
        raise
    return done.stdout.decode()


def clone_of(folder: Path) -> Path:
    """Where the clone stands that a folder is in.

    Raises:
        OSError, subprocess.CalledProcessError: if it is in none, or there is
            no git.
    """
    return Path(git(folder, "rev-parse", "--show-toplevel").strip())


def update(root: Path) -> None:
    """Bring a clone of the course to its newest version.

    Arguments:
        root: where the clone stands.

    A file that the learner has changed and the course no longer has under
    that name is kept beside its place: ``05_lesson.mine.ipynb``.
    """
    from nbgitpuller import GitPuller

    os.environ.update(NO_RENAMES)
    puller = GitPuller(
        git(root, "remote", "get-url", "origin").strip(),
        str(root),
        branch=git(root, "branch", "--show-current").strip() or None,
    )
    for line in puller.update_remotes():
        print(line, end="")
    newest = f"origin/{puller.branch_name}"
    base = git(root, "merge-base", "HEAD", newest).strip()
    gone = _paths(root, "--diff-filter=D", base, newest)
    for path in _changed(root, base, gone):
        _keep(root, path, "kept")
        git(root, "checkout", base, "--", path)
    for path in _changed(root, base, PAGES):
        if _cells((root / path).read_text(encoding="utf-8")) != _cells(
            git(root, "show", f"{base}:{path}")
        ):
            _keep(root, path, "page")
        git(root, "checkout", base, "--", path)
    for line in puller.pull():
        print(line.rstrip("\n"))


class Fresh:
    """Have a lesson as it came: ``fresh("08")``.

    Arguments:
        number: the lesson's number, in quotes.

    It is put beside yours, which stays as it is.

    Raises:
        ValueError: for a number that no lesson has.
    """

    def __init__(self, language: str) -> None:
        self.language = language

    def __call__(self, number: str) -> None:
        try:
            text = put_afresh(clone_of(Path.cwd()), self.language, number)
        except (OSError, subprocess.CalledProcessError):
            text = TEXT[self.language]["no-clone"]
        show({"text/markdown": text, "text/plain": _plain(text)})


def put_afresh(root: Path, language: str, number: str) -> str:
    """Put a lesson as it came beside the learner's.

    Arguments:
        root: where the clone stands.
        language: the edition's, and that of what is said.
        number: the lesson's.

    Returns:
        what there is to say, in Markdown.

    Raises:
        ValueError: for a number that no lesson has.
    """
    words = TEXT[language]
    # nbgitpuller commits what the learner has changed: HEAD is theirs.
    try:
        came = git(root, "merge-base", "HEAD", "@{upstream}").strip()
    except subprocess.CalledProcessError:
        came = "HEAD"
    folder = f"notebooks/{language}/"
    listed = git(root, "ls-tree", "--name-only", "-z", came, folder)
    lessons = {
        Path(path).name[:2]: path
        for path in listed.split("\0")
        if Path(path).name[:2].isdigit()
    }
    if number not in lessons:
        known = ", ".join(lessons)
        raise ValueError(words["no-lesson"].format(number=number, known=known))
    new = old = root / lessons[number]
    text = git(root, "show", f"{came}:{lessons[number]}").encode()
    said = "again"
    if old.exists():
        same = old.read_bytes() == text
        said = "same" if same else "fresh"
        new = old if same else beside(old, "fresh")
    if said != "same":
        with new.open("xb") as file:
            file.write(text)
    return words[said].format(
        number=number,
        name=new.name,
        link=Path(os.path.relpath(new)).as_posix(),
        old=old.name,
    )


def beside(path: Path, mark: str) -> Path:
    """A free name beside a file's own: ``05_lesson.mine.ipynb``."""
    names = (f"{mark}-{n}" if n > 1 else mark for n in count(1))
    paths = (path.with_name(f"{path.stem}.{m}{path.suffix}") for m in names)
    return next(path for path in paths if not path.exists())


def _changed(root: Path, base: str, paths: Iterable[str]) -> list[str]:
    """Those of some paths where the learner has something of their own."""
    paths = [*paths]
    # Without any path, git would compare them all.
    return paths and _paths(root, "--diff-filter=d", base, "--", *paths)


def _paths(root: Path, *arguments: str) -> list[str]:
    """The paths that git finds different."""
    said = git(root, "diff", "--no-renames", "--name-only", "-z", *arguments)
    return [path for path in said.split("\0") if path]


def _keep(root: Path, path: str, said: str) -> None:
    """Copy what the learner has in a place to one beside it, and say so."""
    old = root / path
    new = beside(old, "mine")
    shutil.copy2(old, new)
    for words in TEXT.values():
        text = words[said]
        print(text.format(old=path, new=new.relative_to(root).as_posix()))


def _cells(text: str) -> object:
    """What is written in a notebook's cells; not what came of running it."""
    try:
        return ["".join(c["source"]) for c in json.loads(text)["cells"]]
    except (ValueError, LookupError, TypeError):
        return text


def _plain(text: str) -> str:
    """A text with the addresses of its links, and not their names."""
    return re.sub(r"\[.+?\]\((.+?)\)", r"\1", text)


def main(arguments: list[str]) -> int:
    """``make update``, or ``make fresh``."""
    root = clone_of(Path.cwd())
    match arguments:
        case ["update"]:
            update(root)
        case ["fresh", number]:
            for language in TEXT:
                try:
                    print(_plain(put_afresh(root, language, number)))
                except ValueError as error:
                    print(error, file=sys.stderr)
                    return 1
        case _:
            for words in TEXT.values():
                print(words["which"], file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
