"""Tells the learner's code from that of libraries."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

_PACKAGE = str(Path(__file__).parent)
_LIBRARIES = tuple(
    {
        sysconfig.get_paths()[name]
        for name in ("stdlib", "platstdlib", "purelib", "platlib")
    }
)


def is_library(filename: str) -> bool:
    """Whether a file belongs to Python or to an installed package.

    This package is none: a task that a check starts is the learner's.
    """
    return filename.startswith(_LIBRARIES) and not is_aula(filename)


def is_aula(filename: str) -> bool:
    """Whether a file belongs to this package."""
    return filename.startswith(_PACKAGE)


def describe(error: BaseException) -> str:
    """An exception with the learner's own lines, and nobody else's.

    Returns:
        a line ``number: code`` for each frame of the learner's, outermost
        first, then the exception as the last line of a traceback shows it.
    """
    lines = [
        f"{frame.lineno}: {frame.line}"
        for frame in traceback.extract_tb(error.__traceback__)
        if not is_library(frame.filename) and not is_aula(frame.filename)
    ]
    lines += traceback.format_exception_only(error)
    return "\n".join(line.rstrip("\n") for line in lines)
