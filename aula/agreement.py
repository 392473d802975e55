"""Tells whether a notebook and the installed course are of one version.

A lesson that has come by git may be newer than the course that its kernel
imports, and one that its learner keeps may be older: then the checks judge by
other rules than those that the lesson gives. Each edition bears a stamp of
its lesson's judge and words, and ``aula/words/stamps.json`` holds those of
the course that is installed. As long as its exercises stay as they are, a
lesson's stamp does, however old the notebook and the course are.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TypedDict

from aula import diagnose
from aula.diagnose import clone_of, course, how_to_install
from aula.display import show

LARGEST = 10_000_000  # bytes of a notebook that is still read

TEXT = {
    "es": {
        "package": "**El curso instalado es más viejo que este cuaderno.** "
        "Los ejercicios de esta lección son del {notebook}, y las "
        "comprobaciones que hay instaladas, del {installed}: pueden rechazar "
        "una respuesta correcta o dar por buena otra. {cure}",
        "notebook": "**Este cuaderno es más viejo que el curso instalado.** "
        "Los ejercicios de esta lección han cambiado desde entonces: los del "
        "cuaderno son del {notebook}, y las comprobaciones, del {installed}. "
        "Puede que pidan algo que aquí no está escrito. {cure}",
        "update": "Cierra JupyterLab, ejecuta `make update` en `{folder}` (o "
        "lo que el README dice en su lugar) y ábrelo otra vez.",
        "again": "Vuelve a instalar el curso desde donde lo tienes y reinicia "
        "el kernel.",
        "fresh": "Para tener la lección como es ahora junto a la tuya, "
        "ejecuta en una celda `from aula.es import fresh` y "
        '`fresh("{lesson}")`.',
        "pull": "Trae la versión nueva del curso a `{folder}`: en un hub, "
        "abre otra vez el enlace por el que llegaste; en tu máquina, ejecuta "
        "allí `make update`. {fresh}",
        "download": "Descarga otra vez la lección de donde la tienes.",
    },
    "en": {
        "package": "**The installed course is older than this notebook.** "
        "This lesson's exercises are those of {notebook}, and the checks that "
        "are installed are from {installed}: they may refuse a right answer, "
        "or take a wrong one for right. {cure}",
        "notebook": "**This notebook is older than the installed course.** "
        "The exercises of this lesson have changed since: those of the "
        "notebook are from {notebook}, and the checks from {installed}. They "
        "may ask for something that is not written here. {cure}",
        "update": "Close JupyterLab, run `make update` in `{folder}` (or what "
        "the README says in its place), and open it again.",
        "again": "Install the course again from where you have it, and "
        "restart the kernel.",
        "fresh": "To have the lesson as it is now beside yours, run `from "
        'aula.en import fresh` and `fresh("{lesson}")` in a cell.',
        "pull": "Bring the new version of the course to `{folder}`: on a hub, "
        "open the link that you came by again; on a machine of your own, run "
        "`make update` there. {fresh}",
        "download": "Download the lesson again from where you have it.",
    },
}


class Stamp(TypedDict):
    """Which judge and words a lesson has, and since when."""

    hash: str
    since: str  # such as "2026-11-30 19:45 UTC": their order is that of time


class Agreement:
    """Says once, of a notebook's kernel, that the two do not agree.

    Call it before an answer is judged. It says nothing where they agree,
    where the kernel cannot tell which notebook it serves (only Jupyter Server
    says so), and where that notebook is no lesson or cannot be read.
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self._asked = False

    def __call__(self) -> None:
        if self._asked:
            return
        self._asked = True
        # Whatever is wrong with that file, the answer is judged.
        with suppress(Exception):
            text = self._compare(_path())
            if text:
                show({"text/markdown": text, "text/plain": text})

    def _compare(self, path: Path) -> str | None:
        """What there is to say of a notebook.

        Raises:
            OSError: for a file that cannot be read.
            LookupError: for a notebook that is no lesson, or is of a time
                before there were stamps.
            ValueError: for a file that is no notebook, or is too large.
        """
        if path.stat().st_size > LARGEST:
            raise ValueError("too large")
        notebook = json.loads(path.read_text(encoding="utf-8"))
        about = notebook["metadata"]["aula"]
        lesson = about["lesson"][:2]
        own: Stamp = about["exercises"]
        known = stamps()
        # A course that is older may lack the lesson.
        newest = max(stamp["since"] for stamp in known.values())
        installed = known.get(lesson, Stamp(hash="", since=newest))
        if own["hash"] == installed["hash"]:
            return None
        if own["since"] > installed["since"]:
            older, cure = "package", self._renew_course(path.parent)
        elif own["since"] < installed["since"] and lesson in known:
            older, cure = "notebook", self._renew_lesson(path.parent, lesson)
        else:
            return None
        return TEXT[self.language][older].format(
            notebook=own["since"], installed=installed["since"], cure=cure
        )

    def _renew_course(self, folder: Path) -> str:
        """How to bring the installed course to a notebook's version."""
        words = TEXT[self.language]
        clone = clone_of(folder)
        if clone is None:
            return words["again"]
        if clone == course():
            return words["update"].format(folder=clone)
        cures = diagnose.TEXT[self.language]
        return how_to_install(cures, clone, f"-e '{clone}'")

    def _renew_lesson(self, folder: Path, lesson: str) -> str:
        """How to bring a notebook to the installed course's version."""
        words = TEXT[self.language]
        clone = clone_of(folder)
        if clone is None:
            return words["download"]
        fresh = words["fresh"].format(lesson=lesson)
        if clone == course():
            return fresh
        return words["pull"].format(folder=clone, fresh=fresh)


@cache
def stamps() -> dict[str, Stamp]:
    """The stamps of the course that is installed, by lesson.

    Raises:
        OSError: if it has none.
    """
    file = resources.files("aula") / "words" / "stamps.json"
    found: dict[str, Stamp] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _path() -> Path:
    """The notebook that this kernel serves.

    Raises:
        LookupError: if it does not know, or this is no kernel: what a cell
            has started knows of its cell's notebook.
    """
    ipython = sys.modules["IPython"]
    if getattr(ipython.get_ipython(), "kernel", None) is None:
        raise LookupError("no kernel")
    return Path(os.environ["JPY_SESSION_NAME"])
