"""Tells the learner's code from that of libraries."""

from __future__ import annotations

import sysconfig
import textwrap
import traceback
from functools import lru_cache
from pathlib import Path

_PACKAGE = str(Path(__file__).parent)
_LIBRARIES = tuple(
    {
        sysconfig.get_paths()[name]
        for name in ("stdlib", "platstdlib", "purelib", "platlib")
    }
)


@lru_cache(maxsize=4096)
def is_library(filename: str) -> bool:
    """Whether a file belongs to Python or to an installed package.

    This package is none: a task that a check starts is the learner's.
    """
    return filename.startswith(_LIBRARIES) and not is_aula(filename)


@lru_cache(maxsize=4096)
def is_aula(filename: str) -> bool:
    """Whether a file belongs to this package."""
    return filename.startswith(_PACKAGE)


def describe(error: BaseException, language: str) -> str:
    """An exception with the learner's own lines, and nobody else's.

    Arguments:
        language: ``"es"`` or ``"en"``.

    Returns:
        a line ``line number (function): code`` for each frame of the
        learner's, outermost first, then the exception as the last line of a
        traceback shows it; the exceptions of a group below it, indented.
    """
    word = {"es": "línea", "en": "line"}[language]
    lines: list[str] = []
    place = None
    for frame in traceback.extract_tb(error.__traceback__):
        before, place = place, (frame.filename, frame.lineno)
        own = not is_library(frame.filename) and not is_aula(frame.filename)
        # Before 3.12 a comprehension is a frame of its own.
        if own and place != before:
            name = "" if frame.name.startswith("<") else f" ({frame.name})"
            lines.append(f"{word} {frame.lineno}{name}: {frame.line}")
    lines += traceback.format_exception_only(error)
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            lines.append(textwrap.indent(describe(inner, language), "    "))
    text = "\n".join(line.rstrip("\n") for line in lines)
    # Half a surrogate pair cannot be sent to any page.
    return text.encode("utf-8", "backslashreplace").decode()
