"""Takes a new version of the course, and loses nothing of the learner's.

``python -m aula.versions`` is ``make update``. nbgitpuller does the work: a
notebook that the learner has changed stays as it is, every other becomes new.
What it leaves to git is what goes or gets another name, and git would put a
learner's old lesson in the place of a new one; so that is done here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from itertools import count
from pathlib import Path

TEXT = {
    "es": {
        "kept": "El curso ya no tiene {old}. La tuya está en {new}.",
        "page": "{old} es nueva. La tuya está en {new}.",
    },
    "en": {
        "kept": "The course no longer has {old}. Yours is {new}.",
        "page": "{old} is new. Yours is {new}.",
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
    done = subprocess.run(
        ["git", *arguments], cwd=root, check=True, stdout=subprocess.PIPE
    )
    return done.stdout.decode()


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


if __name__ == "__main__":
    update(Path(git(Path.cwd(), "rev-parse", "--show-toplevel").strip()))
