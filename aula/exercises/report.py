"""A report of a wrong verdict, for whoever holds their answer for right.

It is folded below the verdict and nothing sends it: it is there to be read,
copied and put where the README says.
"""

from __future__ import annotations

import inspect
import linecache
import platform
import re
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

LONGEST = 8000  # characters of an answer that a report holds

TEXT = {
    "es": {
        "summary": "¿Crees que tu respuesta es correcta? Copia este informe",
        "where": "Léelo, cópialo entero y abre con él una incidencia "
        "(*issue*) en el repositorio del curso. El README dice cómo.",
        "answer": "Respuesta",
        "verdict": "Veredicto",
    },
    "en": {
        "summary": "Do you hold your answer for right? Copy this report",
        "where": "Read it, copy all of it, and open an issue with it in the "
        "repository of the course. The README says how.",
        "answer": "Answer",
        "verdict": "Verdict",
    },
}


def report(title: str, answer: str, verdict: str, language: str) -> str:
    """What a learner copies, folded, in Markdown.

    Arguments:
        title: the exercise and the mistake, in a few words.
        answer: the answer's source.
        verdict: what was said of it, in Markdown.
        language: the report's, ``"es"`` or ``"en"``.
    """
    words = TEXT[language]
    text = "\n\n".join(
        [
            f"## {title}",
            versions(),
            f"{words['answer']}:",
            fenced(answer, "python"),
            f"{words['verdict']}:",
            verdict,
        ]
    )
    return (
        f"<details><summary>{words['summary']}</summary>\n\n"
        f"{words['where']}\n\n{fenced(text)}\n\n</details>"
    )


def versions() -> str:
    """What the answer ran with."""
    names = ["aula", "websockets", "aiohttp", "ipykernel"]
    found = [f"Python {platform.python_version()}, {platform.system()}"]
    for name in names:
        with suppress(metadata.PackageNotFoundError):
            found.append(f"{name} {metadata.version(name)}")
    return " · ".join(found)


def source_of(answer: Any, is_script: bool = False) -> str:
    """What a learner has written as their answer.

    The whole cell, if it is code: a function may need what stands around it.
    The value, if there is no code.

    Arguments:
        is_script: whether the answer is the path of a program.
    """
    with suppress(Exception):  # an answer may be anything
        if is_script:
            return _shorten(Path(answer).read_text("utf-8", "replace"))
        code = inspect.unwrap(getattr(answer, "func", answer))
        file = inspect.getfile(code)
        if Path(file).is_file() and "ipykernel" not in file:
            return _shorten(inspect.getsource(code))
        if lines := linecache.getlines(file):
            return _shorten("".join(lines).rstrip())
    with suppress(Exception):  # a path's folders are the learner's own
        return _shorten(repr(Path(answer).name if is_script else answer))
    return f"<{type(answer).__name__}>"


def fenced(text: str, kind: str = "text") -> str:
    """A block of Markdown code, whatever is in it."""
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", text))])
    return f"{fence}{kind}\n{text}\n{fence}"


def _shorten(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
