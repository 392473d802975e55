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
from typing import TYPE_CHECKING

from aula.display import show

if TYPE_CHECKING:
    from nbgitpuller import GitPuller

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
        "refused": "Nada ha cambiado: {why}",
        "not-course": "esta carpeta no es un clon del curso ({found}), y solo "
        "un clon se actualiza. Clona el curso en otra carpeta (git clone y la "
        "dirección de donde lo tienes), ejecuta allí make lab y copia en ella "
        "los cuadernos en los que has trabajado.",
        "no-git": "no se encuentra git. Instálalo (git-scm.com) y repite.",
        "zip": "git no la conoce",
        "inside": "es parte de {top}",
        "no-origin": "no tiene «origin», de donde vendría lo nuevo",
        "foreign": "{url} es otra cosa",
        "unfinished": "git tiene algo a medias aquí ({found}). git status "
        "dice qué es y cómo terminarlo; git merge --abort deshace una mezcla.",
        "no-branch": "el curso no tiene ninguna rama {branch}. Guarda lo que "
        "tengas en ella (git commit), vuelve a la del curso (git switch main) "
        "y repite.",
        "unreached": "no se llega a {url}. ¿Hay red? Git dice: {said}",
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
        "refused": "Nothing has changed: {why}",
        "not-course": "this folder is no clone of the course ({found}), and "
        "only a clone can be updated. Clone the course into another folder "
        "(git clone and the address that you have it from), run make lab "
        "there, and copy the notebooks that you have worked in to it.",
        "no-git": "there is no git here. Install it (git-scm.com) and try "
        "again.",
        "zip": "git does not know it",
        "inside": "it is part of {top}",
        "no-origin": 'it has no "origin" for anything new to come from',
        "foreign": "{url} is something else",
        "unfinished": "git is in the middle of something here ({found}). git "
        "status says what it is and how to finish it; git merge --abort "
        "undoes a merge.",
        "no-branch": "the course has no branch {branch}. Save what you have "
        "on it (git commit), go back to the course's (git switch main) and "
        "try again.",
        "unreached": "{url} cannot be reached. Is there a network? Git says: "
        "{said}",
    },
}

# Pages that hold no answers: they are always those of the newest version.
PAGES = [
    "notebooks/index.ipynb",
    "notebooks/es/names.ipynb",
    "notebooks/en/names.ipynb",
]

# Who has this in git has the course in it.
MARK = "notebooks/index.ipynb"
# Where git notes that it is at work, or waits for its user.
AT_WORK = ["MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD"]
AT_WORK += ["rebase-merge", "rebase-apply", "index.lock"]

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


class Refused(Exception):
    """What keeps a clone from being updated, or shows that it is none.

    Arguments:
        reason: what stands in the way, as a key of TEXT.
        words: what that text names.
    """

    def __init__(self, reason: str, **words: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.words = words

    def told(self, language: str) -> str:
        """What it is and what to do, in a language."""
        texts = TEXT[language]
        why = texts[self.reason].format(**self.words)
        if self.reason in ("zip", "inside", "no-origin", "foreign"):
            why = texts["not-course"].format(found=why)
        return texts["refused"].format(why=why)


def clone_of(folder: Path) -> Path:
    """Where the clone of the course stands that a folder is in.

    Raises:
        Refused: if it is in none, or there is no git.
    """
    try:
        top = Path(git(folder, "rev-parse", "--show-toplevel").strip())
        git(top, "ls-files", "--error-unmatch", MARK)
    except FileNotFoundError as error:
        raise Refused("no-git") from error
    except subprocess.CalledProcessError as error:
        if "ls-files" in error.cmd:
            raise Refused("inside", top=str(top)) from error
        raise Refused("zip") from error
    return top


def update(folder: Path) -> None:
    """Bring a clone of the course to its newest version.

    Arguments:
        folder: where the clone stands.

    A file that the learner has changed and the course no longer has under
    that name is kept beside its place: ``05_lesson.mine.ipynb``.

    Raises:
        Refused: where nothing was done: the folder is not the top of a clone
            of the course, or git is in the middle of something there.
    """
    root = clone_of(folder)
    if not root.samefile(folder):
        raise Refused("inside", top=str(root))
    notes = [git(root, "rev-parse", "--git-path", n).strip() for n in AT_WORK]
    conflicts = _paths(root, "--diff-filter=U")
    for path in [n for n in notes if (root / n).exists()] + conflicts:
        raise Refused("unfinished", found=path)
    os.environ.update(NO_RENAMES)
    puller = _reach(root)
    newest = f"origin/{puller.branch_name}"
    try:
        git(root, "cat-file", "-e", f"{newest}:{MARK}")
        base = git(root, "merge-base", "HEAD", newest).strip()
    except subprocess.CalledProcessError as error:
        raise Refused("foreign", url=puller.git_url) from error
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


def _reach(root: Path) -> GitPuller:
    """Fetch what is new.

    Raises:
        Refused: if it cannot be had.
    """
    from nbgitpuller.errors import BranchExistError
    from nbgitpuller.pull import GitPuller

    try:
        url = git(root, "remote", "get-url", "origin").strip()
    except subprocess.CalledProcessError as error:
        raise Refused("no-origin") from error
    branch = git(root, "branch", "--show-current").strip()
    try:
        git(root, "fetch", "origin")
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        raise Refused("unreached", url=url, said=said) from error
    try:
        return GitPuller(url, str(root), branch=branch or None)
    except BranchExistError as error:
        raise Refused("no-branch", branch=branch) from error


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
        except Refused:
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
    here = Path.cwd()
    match arguments:
        case ["update"]:
            try:
                update(here)
            except Refused as refused:
                return _fail(refused.told(language) for language in TEXT)
        case ["fresh", number]:
            try:
                root = clone_of(here)
            except Refused:
                return _fail(words["no-clone"] for words in TEXT.values())
            for language in TEXT:
                try:
                    print(_plain(put_afresh(root, language, number)))
                except ValueError as error:
                    return _fail([str(error)])
        case _:
            return _fail(words["which"] for words in TEXT.values())
    return 0


def _fail(lines: Iterable[str]) -> int:
    """Say why nothing was done, and have ``make`` end with an error."""
    for line in lines:
        print(line, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
