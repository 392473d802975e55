"""Counts what a lesson asks of its reader, for whoever writes it.

``python -m authoring.build 03`` prints it: only an author can tell whether it
is too much.
"""

from __future__ import annotations

import re

from authoring.names import Name
from authoring.source import (
    LANGUAGES,
    Cell,
    Lesson,
    name_of,
    without_fences,
)

# Of what is left of Markdown: words, and neither numbers nor tags.
_TAG = re.compile(r"<[^>]*>|\]\([^)]*\)")
_WORD = re.compile(r"[^\W\d_](?:[\w'’.-]*\w)?")


def describe(lesson: Lesson, names: list[Name]) -> str:
    """What there is in a lesson, in lines for an author.

    Arguments:
        names: those that it uses first.
    """
    words = ", ".join(f"{count_words(lesson, x)} {x}" for x in LANGUAGES)
    longest = max(lesson.code, key=_length)
    predictions = sum(e.program is not None for e in lesson.exercises)
    return (
        f"{name_of(lesson.path)}: {lesson.minutes} minutes, words: {words}\n"
        f"  {len(lesson.sections)} sections, {len(lesson.code)} code cells, "
        f"longest {_length(longest)} lines (line {longest.line}), "
        f"{len(lesson.exercises)} exercises ({predictions} predictions)\n"
        f"  {len(names)} new names: " + ", ".join(name.text for name in names)
    )


def count_words(lesson: Lesson, lang: str) -> int:
    """The words of a lesson's prose in one language, without its fences."""
    prose = [c.source for c in lesson.cells if c.lang == lang]
    text = _TAG.sub(" ", without_fences("\n".join(prose)))
    return len(_WORD.findall(text))


def _length(cell: Cell) -> int:
    return len(cell.source.splitlines())
