"""Reads lessons/: cells, exercises and editions, and refuses what is wrong.

A lesson is MyST Markdown as jupytext reads it: prose cells in pairs (Spanish,
then English), code cells once. ``read_lesson`` returns a ``Lesson``;
``edition`` turns it into one of its four notebooks, not yet executed.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupytext.myst import MystMetadataParsingError, myst_to_notebook

ROOT = Path(__file__).resolve().parent.parent
LESSONS = ROOT / "lessons"
LANGUAGES = ("es", "en")

WIDTH = 79
GOALS = range(3, 6)

# What fits into 45 minutes; the capstone has 90, and other sizes.
MOST_SECTIONS = 7
MOST_CODE = 30
EXERCISES = range(3, 6)
MOST_PREDICTIONS = 1
START = "00"  # shows the way around
CAPSTONE = "27"

# A cell that shows something else on Windows, as the prose after it says.
DIFFERS = "differs-on-windows"
OF_EXERCISES = {"exercise", "solution", "check"}
BOARD = "board"  # of the capstone's program, which is aula/board/server.py
TAGS = OF_EXERCISES | {
    "raises-exception",
    "nbval-ignore-output",
    "scenery",
    BOARD,
    DIFFERS,
}
OPTIONS = {"tags", "reason", "alt"}
INSTRUCTOR = "instructor"

# The sections every lesson has, in this order.
ANATOMY = {
    "es": [
        "## Qué sabrás hacer",
        "## Antes de empezar",
        "### Ejercicio ",
        "## Errores frecuentes",
        "## Del cuaderno al script",
        "## Resumen",
    ],
    "en": [
        "## What you will be able to do",
        "## Before you start",
        "### Exercise ",
        "## Common mistakes",
        "## From notebook to script",
        "## Recap",
    ],
}
# Of these whoever teaches need not be told anything.
UNTAUGHT = ("## Before you start", "## Common mistakes")
EXERCISE_TITLE = {
    "es": "### Ejercicio {number}",
    "en": "### Exercise {number}",
}


class SourceError(Exception):
    """A lesson source that cannot be built; one line for each problem."""

    def __init__(self, problems: list[str]):
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass
class Cell:
    """A cell of a source: prose in one language, or code for both."""

    kind: str
    source: str
    line: int
    lang: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def tags(self) -> list[str]:
        tags: list[str] = self.options.get("tags", [])
        return tags


@dataclass
class Exercise:
    """The run of cells that belong to one exercise of a lesson.

    Attributes:
        program: the name of the function that a prediction is about, which a
            cell above defines; None for other exercises.
    """

    number: str
    line: int
    stub: Cell
    solution: Cell
    check: Cell
    program: str | None


@dataclass
class Note:
    """What is told to whoever teaches a section, and to no learner.

    Attributes:
        minutes: how long the section takes, exercises included.
        place: how many cells of the lesson stand before it.
        heading: the section's, in each language.
        text: in each language.
    """

    line: int
    minutes: int
    place: int
    heading: dict[str, str]
    text: dict[str, str]


@dataclass
class Lesson:
    """A lesson: its cells in order, its exercises, its title by language.

    Attributes:
        cells: those of learners; notes are not among them.
        notes: one for each section that has any, in order.
    """

    path: Path
    minutes: int
    cells: list[Cell]
    exercises: list[Exercise]
    titles: dict[str, str]
    notes: list[Note] = field(default_factory=list)

    @property
    def number(self) -> str:
        return self.path.stem.split("_")[0]

    @property
    def code(self) -> list[Cell]:
        """The code cells, but for those of exercises."""
        return [
            cell
            for cell in self.cells
            if cell.kind == "code" and not OF_EXERCISES & {*cell.tags}
        ]

    @property
    def sections(self) -> list[str]:
        """The headings, in English, of the sections that teach."""
        return [
            heading
            for cell in self.cells
            if cell.lang == "en" and cell.kind == "markdown"
            for heading in headings(cell)
            if heading not in ANATOMY["en"]
        ]

    def full_title(self, lang: str) -> str:
        return f"{self.number} · {self.titles[lang]}"


def lesson_paths() -> list[Path]:
    """The lesson sources, in order of their numbers."""
    return sorted(
        path
        for path in LESSONS.glob("[0-9][0-9]_*.md")
        if not path.name.endswith(".answers.md")
    )


def read_course() -> list[Lesson]:
    """Read all lessons.

    Raises:
        SourceError: with the problems of all of them.
    """
    lessons, problems = [], []
    for path in lesson_paths():
        try:
            lessons.append(read_lesson(path))
            problems += too_much(lessons[-1])
        except SourceError as error:
            problems += error.problems
    if problems:
        raise SourceError(problems)
    return lessons


def too_much(lesson: Lesson) -> list[str]:
    """Of what a lesson has more, or fewer, than its time allows."""
    if lesson.number == CAPSTONE:
        return []
    found = []
    sections, code = len(lesson.sections), len(lesson.code)
    predictions = sum(e.program is not None for e in lesson.exercises)
    others = len(lesson.exercises) - predictions
    if sections > MOST_SECTIONS:
        found.append(
            f"{sections} sections that teach; {MOST_SECTIONS} at most"
        )
    if code > MOST_CODE:
        found.append(
            f"{code} code cells beside the exercises'; {MOST_CODE} at most"
        )
    if others not in EXERCISES and lesson.number != START:
        found.append(
            f"{others} exercises that are no prediction; a lesson has "
            f"{EXERCISES.start} to {EXERCISES.stop - 1}"
        )
    if predictions > MOST_PREDICTIONS:
        found.append(f"{predictions} predictions; {MOST_PREDICTIONS} at most")
    return [f"{name_of(lesson.path)}:1: {problem}" for problem in found]


def read_cells(path: Path) -> tuple[dict[str, Any], list[Cell]]:
    """Parse a source into its front matter and its cells.

    Raises:
        SourceError: where jupytext cannot read it.
    """
    text = path.read_text(encoding="utf-8")
    name = name_of(path)
    try:
        parsed = myst_to_notebook(text, add_source_map=True)
    except MystMetadataParsingError as error:
        raise SourceError([f"{name}: {error}"]) from None
    lines = parsed.metadata.pop("source_map")
    cells = []
    for cell, start in zip(parsed.cells, lines, strict=True):
        options = dict(cell.metadata)
        lang = None
        if cell.cell_type == "markdown":
            lang = options.pop("lang", None)
        cells.append(
            Cell(cell.cell_type, cell.source, start + 1, lang, options)
        )
    return dict(parsed.metadata), cells


def read_lesson(path: Path) -> Lesson:
    """Read and validate one lesson source.

    Arguments:
        path: a file of lessons/, named ``NN_words.md``.

    Raises:
        SourceError: with a line ``file:line: what is wrong`` for each
            problem found.
    """
    front, cells = read_cells(path)
    reader = Reader(path)
    minutes = front.get("aula", {}).get("minutes")
    if not isinstance(minutes, int):
        reader.refuse(1, "the front matter needs aula: {minutes: NN}")
    reader.check_cells(cells)
    reader.check_pairs(cells)
    reader.check_windows(cells)
    cells, notes = reader.take_notes(cells)
    titles = reader.read_titles(cells)
    reader.check_anatomy(cells)
    exercises = reader.read_exercises(cells)
    if reader.problems:
        raise SourceError(reader.problems)
    lesson = Lesson(path, minutes, cells, exercises, titles, notes)
    reader.check_notes(lesson)
    if reader.problems:
        raise SourceError(reader.problems)
    return lesson


class Reader:
    """The rules of a lesson source; gathers what breaks them."""

    def __init__(self, path: Path):
        self.path = path
        self.number = path.stem.split("_")[0]
        self.problems: list[str] = []

    def refuse(self, line: int, message: str) -> None:
        self.problems.append(f"{name_of(self.path)}:{line}: {message}")

    def check_cells(self, cells: list[Cell]) -> None:
        before = ""
        for cell in cells:
            if "scenery" in cell.tags and before != "markdown":
                self.refuse(
                    cell.line,
                    "scenery is folded: a prose cell directly before it says "
                    "what it sets up",
                )
            if INSTRUCTOR not in cell.tags:
                before = cell.kind
            if cell.kind == "raw":
                self.refuse(cell.line, "raw cells have no place in a lesson")
            elif cell.kind == "markdown":
                if cell.lang not in LANGUAGES:
                    self.refuse(
                        cell.line,
                        'a prose cell begins with +++ {"lang": "es"} or '
                        '+++ {"lang": "en"}',
                    )
                self._check_prose(cell)
            else:
                self._check_code(cell)

    def _check_prose(self, cell: Cell) -> None:
        known = {"tags"} if INSTRUCTOR in cell.tags else set()
        if known and cell.lang == "es":
            known.add("minutes")
            if not isinstance(cell.options.get("minutes"), int):
                self.refuse(
                    cell.line,
                    "the Spanish note tells the minutes of its section: "
                    '+++ {"lang": "es", "tags": ["instructor"], "minutes": 5}',
                )
        for option in set(cell.options) - known:
            self.refuse(cell.line, f"unknown option {option!r}")

    def _check_code(self, cell: Cell) -> None:
        for option in set(cell.options) - OPTIONS:
            self.refuse(cell.line, f"unknown option {option!r}")
        for tag in cell.tags:
            if tag not in TAGS:
                self.refuse(
                    cell.line,
                    f"unknown tag {tag!r}; known: {', '.join(sorted(TAGS))}",
                )
        if ("nbval-ignore-output" in cell.tags) != ("reason" in cell.options):
            self.refuse(
                cell.line,
                "a cell whose output is not compared, and no other, says "
                "why (:reason: ...)",
            )
        alt = cell.options.get("alt", dict.fromkeys(LANGUAGES, ""))
        if not isinstance(alt, dict) or set(alt) != set(LANGUAGES):
            self.refuse(
                cell.line,
                "what an image shows is told in each language "
                "(:alt: {es: ..., en: ...})",
            )
        self.check_code(cell)

    def check_code(self, cell: Cell) -> None:
        """The form of any code: something, and not too wide."""
        if not cell.source.strip():
            self.refuse(cell.line, "empty code cell")
        for line in cell.source.splitlines():
            if len(line) > WIDTH:
                self.refuse(
                    cell.line,
                    f"a line of {len(line)} columns; at most {WIDTH}: {line}",
                )

    def check_pairs(self, cells: list[Cell]) -> None:
        """Each Spanish cell is followed by its English twin."""
        waiting: Cell | None = None
        for cell in [*cells, Cell("code", "", 0)]:
            if waiting is not None and cell.lang != "en":
                self.refuse(
                    waiting.line, "this Spanish cell has no English twin"
                )
            if cell.lang == "en" and waiting is None:
                self.refuse(cell.line, "this English cell has no Spanish twin")
            waiting = cell if cell.lang == "es" else None

    def check_windows(self, cells: list[Cell]) -> None:
        """Where a cell differs on Windows, the prose after it says so."""
        for number, cell in enumerate(cells):
            if cell.kind == "code" and DIFFERS in cell.tags:
                for lang in LANGUAGES:
                    after = [c for c in cells[number:] if c.lang == lang][:1]
                    if not any("Windows" in prose.source for prose in after):
                        self.refuse(
                            cell.line,
                            "the prose after a cell that differs on Windows "
                            f"says how ({lang!r})",
                        )

    def take_notes(self, cells: list[Cell]) -> tuple[list[Cell], list[Note]]:
        """Tell the cells of learners from the notes for whoever teaches."""
        own: list[Cell] = []
        notes: list[Note] = []
        heading = dict.fromkeys(LANGUAGES, "")
        for cell in cells:
            lang = cell.lang or ""
            if INSTRUCTOR not in cell.tags:
                own.append(cell)
                for title in headings(cell):
                    if lang in heading:
                        heading[lang] = title
            elif lang == "es":
                minutes = cell.options.get("minutes", 0)
                text = {lang: cell.source}
                note = Note(cell.line, minutes, len(own), {**heading}, text)
                notes.append(note)
            elif notes:
                notes[-1].text[lang] = cell.source
        return own, notes

    def check_notes(self, lesson: Lesson) -> None:
        """One note for each section that needs time, and the sum is right."""
        notes = lesson.notes
        if not notes:
            return
        found = [note.heading["en"] for note in notes]
        for note in notes:
            if set(note.text) != set(LANGUAGES):
                self.refuse(note.line, "a note stands in both languages")
            if found.count(note.heading["en"]) > 1:
                heading = note.heading["en"]
                self.refuse(note.line, f"{heading!r} has a second note")
        for cell in lesson.cells:
            titles = headings(cell) if cell.lang == "en" else []
            # One that shares its cell with the next is told of there.
            if titles[-1:] and titles[-1] not in [*found, *UNTAUGHT]:
                self.refuse(cell.line, f"{titles[-1]!r} has no note")
        minutes = sum(note.minutes for note in notes)
        if minutes != lesson.minutes:
            self.refuse(
                notes[0].line,
                f"the notes' minutes add up to {minutes}, and the lesson has "
                f"{lesson.minutes}",
            )

    def read_titles(self, cells: list[Cell]) -> dict[str, str]:
        titles = {}
        for lang in LANGUAGES:
            first = next((c for c in cells if c.lang == lang), None)
            if first is None or not first.source.startswith("# "):
                line = first.line if first else 1
                self.refuse(line, f"the first {lang} cell begins with # title")
            else:
                titles[lang] = first.source.splitlines()[0][2:].strip()
        return titles

    def check_anatomy(self, cells: list[Cell]) -> None:
        for lang in LANGUAGES:
            lines = [
                (line, cell)
                for cell in cells
                if cell.lang == lang
                for line in cell.source.splitlines()
            ]
            position = 0
            for section in ANATOMY[lang]:
                for index in range(position, len(lines)):
                    if lines[index][0].startswith(section):
                        position = index
                        break
                else:
                    self.refuse(
                        1,
                        f"no section {section.strip()!r} in its place; a "
                        f"lesson has {', '.join(ANATOMY[lang])}",
                    )
            self._check_goals(lang, lines)

    def _check_goals(self, lang: str, lines: list[tuple[str, Cell]]) -> None:
        inside, goals, where = False, 0, 1
        for line, cell in lines:
            if line.startswith("## "):
                inside = line.startswith(ANATOMY[lang][0])
                where = cell.line if inside else where
            elif inside and line.startswith("- "):
                goals += 1
        if goals not in GOALS:
            self.refuse(
                where,
                f"{ANATOMY[lang][0]!r} lists {goals} goals; a lesson has "
                f"{GOALS.start} to {GOALS.stop - 1}",
            )

    def read_exercises(self, cells: list[Cell]) -> list[Exercise]:
        exercises: list[Exercise] = []
        for index, cell in enumerate(cells):
            if "exercise" in cell.tags:
                number = f"{self.number}.{len(exercises) + 1}"
                self._check_exercise_prose(cells[:index], cell, number)
                exercise = self._read_exercise(cells[index:], number)
                if exercise is not None:
                    exercises.append(exercise)
                    self._check_program(cells[:index], exercise)
        owned = {
            id(cell)
            for e in exercises
            for cell in (e.stub, e.solution, e.check)
        }
        for cell in cells:
            if {"solution", "check"} & set(cell.tags):
                if id(cell) not in owned and not self.problems:
                    self.refuse(
                        cell.line, f"{cell.tags} belongs to no exercise"
                    )
        return exercises

    def _check_exercise_prose(
        self, before: list[Cell], stub: Cell, number: str
    ) -> None:
        for lang in LANGUAGES:
            title = EXERCISE_TITLE[lang].format(number=number)
            prose = next((c for c in reversed(before) if c.lang == lang), None)
            if prose is None or title not in prose.source:
                self.refuse(
                    stub.line,
                    f"the {lang} cell before this stub has no title {title!r}",
                )
            elif "<details>" not in prose.source:
                self.refuse(prose.line, "an exercise has a hint in <details>")

    def _read_exercise(
        self, cells: list[Cell], number: str
    ) -> Exercise | None:
        stub, *rest = cells
        parts: dict[str, list[Cell]] = {
            "solution": [],
            "check": [],
        }
        for cell in rest:
            tag = next((t for t in cell.tags if t in parts), None)
            if tag is None:
                break
            parts[tag].append(cell)
            if tag == "check":
                break
        before = len(self.problems)
        if len(parts["solution"]) != 1:
            self.refuse(
                stub.line,
                f"exercise {number} has {len(parts['solution'])} solutions "
                "after its stub; it needs one",
            )
        if not parts["check"]:
            self.refuse(stub.line, f"exercise {number} has no check")
        elif f'check("{number}"' not in parts["check"][0].source:
            self.refuse(
                parts["check"][0].line,
                f'the check of exercise {number} calls check("{number}", ...)',
            )
        if len(self.problems) > before:
            return None
        return Exercise(
            number,
            stub.line,
            stub,
            parts["solution"][0],
            parts["check"][0],
            _program(parts["check"][0].source),
        )

    def _check_program(self, before: list[Cell], exercise: Exercise) -> None:
        defined = [
            name
            for cell in before
            if cell.kind == "code"
            for name in _functions(cell.source)
        ]
        if exercise.program is not None and exercise.program not in defined:
            self.refuse(
                exercise.check.line,
                f"no cell above exercise {exercise.number} defines "
                f"{exercise.program}()",
            )


def headings(cell: Cell) -> list[str]:
    """The headings of sections in a prose cell."""
    return re.findall("^## .*", without_fences(cell.source), re.M)


def without_fences(text: str) -> str:
    """Markdown without its blocks of code."""
    return re.sub(r"^(`{3,}).*?^\1`*$", "", text, flags=re.S | re.M)


def parse(code: str) -> ast.Module:
    """Parse a cell; one that is no Python, as ``%%writefile``, is empty."""
    try:
        return ast.parse(code)
    except SyntaxError:
        return ast.Module([], [])


def _functions(code: str) -> list[str]:
    return [
        node.name
        for node in parse(code).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def _program(check: str) -> str | None:
    """What a prediction is about: ``check("03.4", order, morning)``."""
    for node in ast.walk(parse(check)):
        if isinstance(node, ast.Call) and len(node.args) == 3:
            return ast.unparse(node.args[2])
    return None


def name_of(path: Path) -> str:
    return (
        path.relative_to(ROOT).as_posix()
        if ROOT in path.parents
        else str(path)
    )
