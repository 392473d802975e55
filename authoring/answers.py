"""Reads lessons/*.answers.md: right and wrong answers, and the words beside.

A lesson's answers file has a heading for each exercise, ``# shout``, and
below it one for each mistake, ``## printed``: what is said to it, in Spanish
and then in English, and answers that make it. ``## right`` stands first: what
is said of a right answer, and right answers of other shapes than the
solution's. A mistake without words of its own has those of ``# shared``, for
the lesson, or those of ``general.answers.md``, for the course.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter

from aula.exercises.words import RIGHT, SHARED
from authoring import source
from authoring.source import LANGUAGES, Cell, Reader, SourceError

GENERAL = "general"
MINIMUM_WRONG = 3

_HEADING = re.compile(r"(##?) ([a-z][a-z0-9_-]*)")
# A line break in prose is none in a verdict, unless these come after it.
_KEPT = re.compile(r"\n(?=\n|[-*|>] |\d+\. |```)|(?<=\n)\n")


@dataclass
class Section:
    """A mistake, or ``right``: its words and the answers below them.

    Attributes:
        texts: what is said, by language; empty where it is said elsewhere.
        answers: the code cells.
    """

    name: str
    line: int
    texts: dict[str, str] = field(default_factory=dict)
    answers: list[Cell] = field(default_factory=list)

    def placeholders(self) -> set[str]:
        """The names between braces in its words."""
        fields = [
            name
            for text in self.texts.values()
            for _, name, _, _ in Formatter().parse(text)
        ]
        return {re.split(r"[.\[]", name)[0] for name in fields if name}


@dataclass
class Answers:
    """The answers to one exercise, or the mistakes that several share."""

    name: str
    line: int
    sections: dict[str, Section] = field(default_factory=dict)

    @property
    def right(self) -> list[Cell]:
        """The right answers, but for the solution."""
        return self.sections[RIGHT].answers

    @property
    def wrong(self) -> list[tuple[str, Cell]]:
        """Each wrong answer, with the name of its mistake."""
        return [
            (section.name, cell)
            for section in self.sections.values()
            for cell in section.answers
            if section.name != RIGHT
        ]


def answers_path(lesson: str) -> Path:
    """The answers file of a lesson's number, or of ``"general"``.

    Raises:
        SourceError: if there is none.
    """
    found = [
        path
        for path in source.LESSONS.glob("*.answers.md")
        if re.match(rf"{lesson}[_.]", path.name)
    ]
    if not found:
        raise SourceError([f"lessons/{lesson}_….answers.md is missing"])
    return found[0]


def read_answers(lesson: str) -> dict[str, Answers]:
    """Read and validate an answers file.

    Arguments:
        lesson: a lesson's number, or ``"general"``.

    Returns:
        the answers to each exercise by its name, in the file's order, and
        the mistakes that exercises share as ``SHARED``.

    Raises:
        SourceError: with a line ``file:line: what is wrong`` for each
            problem found.
    """
    path = answers_path(lesson)
    _, cells = source.read_cells(path)
    reader = _AnswersReader(path)
    reader.read(cells)
    if lesson != GENERAL:
        reader.check_numbers()
    if reader.problems:
        raise SourceError(reader.problems)
    return reader.found


def _parts(cell: Cell) -> Iterator[Cell]:
    """A cell; or the words in it, and the headings that come after them."""
    lines = cell.source.splitlines()
    headings = [n for n, line in enumerate(lines) if _HEADING.fullmatch(line)]
    if cell.kind == "code" or cell.lang is None or not headings:
        yield cell
        return
    first = headings[0]
    words, rest = "\n".join(lines[:first]).strip(), "\n".join(lines[first:])
    yield Cell(cell.kind, words, cell.line, cell.lang, cell.options)
    yield Cell(cell.kind, rest, cell.line + first)


class _AnswersReader(Reader):
    """The rules of an answers file; gathers what breaks them."""

    def __init__(self, path: Path):
        super().__init__(path)
        self.found: dict[str, Answers] = {}
        self._answers: Answers | None = None
        self._section: Section | None = None

    def read(self, cells: list[Cell]) -> None:
        parts = [part for cell in cells for part in _parts(cell)]
        self.check_pairs(parts)
        for cell in parts:
            if cell.kind == "code":
                self._read_code(cell)
            elif cell.lang in LANGUAGES:
                self._read_words(cell, cell.lang)
            else:
                self._read_headings(cell)

    def _read_headings(self, cell: Cell) -> None:
        for offset, line in enumerate(cell.source.splitlines()):
            found = _HEADING.fullmatch(line)
            where = cell.line + offset
            if not line.strip():
                continue
            if found is None:
                self.refuse(
                    where,
                    "outside the words in two languages there are headings "
                    "alone: # exercise, ## right, ## mistake",
                )
            elif found[1] == "#":
                name = SHARED if found[2] == "shared" else found[2]
                if name in self.found:
                    self.refuse(where, f"a second # {found[2]}")
                self._answers = self.found[name] = Answers(name, where)
                self._section = None
            elif self._answers is None:
                self.refuse(where, f"{line!r} belongs to no # exercise")
            else:
                sections = self._answers.sections
                if found[2] in sections:
                    self.refuse(where, f"a second {line} of this exercise")
                self._section = sections[found[2]] = Section(found[2], where)

    def _read_words(self, cell: Cell, lang: str) -> None:
        if self._section is None:
            self.refuse(cell.line, "these words belong to no ## mistake")
        elif lang in self._section.texts:
            self.refuse(cell.line, f"a mistake has words in {lang} once")
        else:
            text = _KEPT.sub("\0", cell.source).replace("\n", " ")
            self._section.texts[lang] = text.replace("\0", "\n")

    def _read_code(self, cell: Cell) -> None:
        section = self._section
        if section is None:
            self.refuse(cell.line, "this answer belongs to no ## mistake")
            return
        tag = RIGHT if section.name == RIGHT else "wrong"
        if cell.tags != [tag] or len(cell.options) > 1:
            self.refuse(
                cell.line,
                f"an answer below ## {section.name} is tagged [{tag}]",
            )
        self.check_code(cell)
        section.answers.append(cell)

    def check_numbers(self) -> None:
        """Each exercise has its words, and answers enough."""
        for answers in self.found.values():
            if answers.name == SHARED:
                continue
            right = answers.sections.get(RIGHT)
            if right is None or not right.texts:
                self.refuse(
                    answers.line,
                    f"# {answers.name} does not say what is ## right",
                )
                continue
            if len(answers.wrong) < MINIMUM_WRONG:
                self.refuse(
                    answers.line,
                    f"# {answers.name} has {len(answers.wrong)} wrong "
                    f"answers; it needs at least {MINIMUM_WRONG}",
                )
