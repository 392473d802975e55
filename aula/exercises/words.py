"""The words of verdicts: what is said of a mistake, in each language.

The build writes them to ``aula/words/`` from the lessons' answers files: for
each lesson ``NN.json``, and ``general.json`` for what can be said of an
answer to any exercise.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

LANGUAGES = ("es", "en")
SHARED = "*"  # in a lesson's words, those of mistakes that exercises share
RIGHT = "right"  # the name under which the words of a right answer stand
GIVEN = "given"  # and that of the code in an exercise's cell, if any

Words = dict[str, dict[str, dict[str, str]]]


@cache
def load(name: str) -> Words:
    """The words of a lesson, or those for all lessons.

    Arguments:
        name: a lesson's number, such as ``"04"``, or ``"general"``.

    Returns:
        by exercise (its name, or ``SHARED``) and mistake, a text of Markdown
        in each language; none where the lesson has no words.
    """
    file = resources.files("aula") / "words" / f"{name}.json"
    if not file.is_file():
        return {}
    words: Words = json.loads(file.read_text(encoding="utf-8"))
    return words


def find(lesson: str, exercise: str, mistake: str) -> dict[str, str]:
    """What is said of a mistake: the nearest words that there are.

    Arguments:
        lesson: its number, such as ``"04"``.
        exercise: its name, such as ``"shout"``.
        mistake: its name, or ``RIGHT``.

    Returns:
        the text in each language, with ``{placeholders}``.

    Raises:
        LookupError: if nothing is said of it anywhere.
    """
    for words, key in (
        (load(lesson), exercise),
        (load(lesson), SHARED),
        (load("general"), SHARED),
    ):
        if mistake in words.get(key, {}):
            return words[key][mistake]
    raise LookupError(f"no words for {mistake!r} of {exercise!r}")


def given(lesson: str, exercise: str) -> str:
    """The code that an exercise's cell came with; empty for dots alone."""
    return load(lesson).get(exercise, {}).get(GIVEN, {}).get("en", "")


def fill(text: str, values: dict[str, Any]) -> str:
    """Put values in the place of a text's ``{placeholders}``.

    One without a value stays as it is. Whatever a value does when it is
    written, a verdict has to come of it: then ``…`` stands in its place.
    """
    return text.format_map(_Values(values))


class _Values(dict[str, Any]):
    def __getitem__(self, name: str) -> _Written:
        value = super().get(name, UNFILLED.format(name=name))
        return _Written(value)


UNFILLED = "{{{name}}}"


class _Written:
    """A value that can always be written."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __format__(self, form: str) -> str:
        try:
            return format(self._value, form)
        except Exception:
            return "…"

    def __repr__(self) -> str:
        try:
            return repr(self._value)
        except Exception:
            return "…"
