"""Reads lessons/: cells, exercises and editions, and refuses what is wrong.

A lesson is MyST Markdown as jupytext reads it: prose cells in pairs (Spanish,
then English), code cells once. ``read_lesson`` returns a ``Lesson``;
``edition`` turns it into one of its four notebooks, not yet executed.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from jupytext.myst import MystMetadataParsingError, myst_to_notebook
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
LESSONS = ROOT / "lessons"
LANGUAGES = ("es", "en")
KINDS = ("notebooks", "solutions")

WIDTH = 79
MINIMUM_WRONG = 3
GOALS = range(3, 6)

TAGS = {
    "exercise",
    "solution",
    "wrong",
    "check",
    "raises-exception",
    "nbval-ignore-output",
}
OPTIONS = {"tags", "mistake", "reason"}

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
EXERCISE_TITLE = {
    "es": "### Ejercicio {number}",
    "en": "### Exercise {number}",
}
NAVIGATION = {
    "es": {
        "minutes": "{minutes} minutos",
        "exercises": "{count} ejercicios",
        "exercise": "1 ejercicio",
        "other": "In English",
        "notebook": "Lección sin resolver",
        "solutions": "Soluciones",
        "index": "Índice",
        "previous": "← {title}",
        "next": "{title} →",
    },
    "en": {
        "minutes": "{minutes} minutes",
        "exercises": "{count} exercises",
        "exercise": "1 exercise",
        "other": "En español",
        "notebook": "The lesson, unsolved",
        "solutions": "Solutions",
        "index": "Index",
        "previous": "← {title}",
        "next": "{title} →",
    },
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
    """The run of cells that belong to one exercise."""

    number: str
    line: int
    stub: Cell
    solution: Cell
    wrong: list[Cell]
    check: Cell


@dataclass
class Lesson:
    """A lesson: its cells in order, its exercises, its title by language."""

    path: Path
    minutes: int
    cells: list[Cell]
    exercises: list[Exercise]
    titles: dict[str, str]

    @property
    def number(self) -> str:
        return self.path.stem.split("_")[0]

    def full_title(self, lang: str) -> str:
        return f"{self.number} · {self.titles[lang]}"

    def length(self, lang: str) -> str:
        """Minutes and number of exercises, in words."""
        words = NAVIGATION[lang]
        count = len(self.exercises)
        form = words["exercise" if count == 1 else "exercises"]
        return (
            words["minutes"].format(minutes=self.minutes)
            + " · "
            + form.format(count=count)
        )


def lesson_paths() -> list[Path]:
    """The lesson sources, in order of their numbers."""
    return sorted(LESSONS.glob("[0-9][0-9]_*.md"))


def read_course() -> list[Lesson]:
    """Read all lessons.

    Raises:
        SourceError: with the problems of all of them.
    """
    lessons, problems = [], []
    for path in lesson_paths():
        try:
            lessons.append(read_lesson(path))
        except SourceError as error:
            problems += error.problems
    if problems:
        raise SourceError(problems)
    return lessons


def read_cells(path: Path) -> tuple[dict[str, Any], list[Cell]]:
    """Parse a source into its front matter and its cells.

    Raises:
        SourceError: where jupytext cannot read it.
    """
    text = path.read_text(encoding="utf-8")
    name = _name(path)
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
    reader = _Reader(path)
    minutes = front.get("aula", {}).get("minutes")
    if not isinstance(minutes, int):
        reader.refuse(1, "the front matter needs aula: {minutes: NN}")
    reader.check_cells(cells)
    reader.check_pairs(cells)
    titles = reader.read_titles(cells)
    reader.check_anatomy(cells)
    exercises = reader.read_exercises(cells)
    if reader.problems:
        raise SourceError(reader.problems)
    return Lesson(path, minutes, cells, exercises, titles)


class _Reader:
    """The rules of a lesson source; gathers what breaks them."""

    def __init__(self, path: Path):
        self.path = path
        self.number = path.stem.split("_")[0]
        self.problems: list[str] = []

    def refuse(self, line: int, message: str) -> None:
        self.problems.append(f"{_name(self.path)}:{line}: {message}")

    def check_cells(self, cells: list[Cell]) -> None:
        for cell in cells:
            if cell.kind == "raw":
                self.refuse(cell.line, "raw cells have no place in a lesson")
            elif cell.kind == "markdown":
                if cell.lang not in LANGUAGES:
                    self.refuse(
                        cell.line,
                        'a prose cell begins with +++ {"lang": "es"} or '
                        '+++ {"lang": "en"}',
                    )
                for option in cell.options:
                    self.refuse(cell.line, f"unknown option {option!r}")
            else:
                self._check_code(cell)

    def _check_code(self, cell: Cell) -> None:
        for option in set(cell.options) - OPTIONS:
            self.refuse(cell.line, f"unknown option {option!r}")
        for tag in cell.tags:
            if tag not in TAGS:
                self.refuse(
                    cell.line,
                    f"unknown tag {tag!r}; known: {', '.join(sorted(TAGS))}",
                )
        if ("wrong" in cell.tags) != ("mistake" in cell.options):
            self.refuse(
                cell.line,
                "a wrong answer, and only a wrong answer, names the mistake "
                "that its check must find (:mistake: name)",
            )
        if ("nbval-ignore-output" in cell.tags) != ("reason" in cell.options):
            self.refuse(
                cell.line,
                "a cell whose output is not compared, and no other, says "
                "why (:reason: ...)",
            )
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
        owned = {
            id(cell)
            for e in exercises
            for cell in (e.stub, e.solution, e.check, *e.wrong)
        }
        for cell in cells:
            if {"solution", "wrong", "check"} & set(cell.tags):
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
            "wrong": [],
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
        if len(parts["wrong"]) < MINIMUM_WRONG:
            self.refuse(
                stub.line,
                f"exercise {number} has {len(parts['wrong'])} wrong answers; "
                f"it needs at least {MINIMUM_WRONG}",
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
            parts["wrong"],
            parts["check"][0],
        )


def edition_path(lesson: Lesson, lang: str, kind: str) -> Path:
    """Where an edition of a lesson stands."""
    return ROOT / kind / lang / f"{lesson.path.stem}.ipynb"


def edition(
    lessons: list[Lesson], lesson: Lesson, lang: str, kind: str
) -> NotebookNode:
    """One edition of a lesson, not executed.

    Arguments:
        lessons: the whole course, for the links to its neighbours.
        lesson: the lesson to lay out.
        lang: ``"es"`` or ``"en"``.
        kind: ``"notebooks"`` (stubs, outputs folded) or ``"solutions"``.

    Every code cell carries ``metadata.aula.line``, the line of its source,
    until the build has executed it.
    """
    left_out = {"wrong", "solution" if kind == "notebooks" else "exercise"}
    cells = []
    prose = [c for c in lesson.cells if c.lang == lang]
    for cell in lesson.cells:
        if cell.kind == "markdown" and cell.lang == lang:
            source = cell.source
            if cell is prose[0]:
                source = _opening(lessons, lesson, lang, kind, source)
            if cell is prose[-1]:
                source += "\n\n" + _links(lessons, lesson, lang)
            cells.append(nbformat.v4.new_markdown_cell(source))
        elif cell.kind == "code" and not left_out & set(cell.tags):
            built = _code_cell(cell, lang)
            if kind == "notebooks":
                built.metadata["jupyter"] = {"outputs_hidden": True}
            cells.append(built)
    return new_notebook(cells)


def _code_cell(cell: Cell, lang: str) -> NotebookNode:
    source = cell.source.replace("from aula.en ", f"from aula.{lang} ")
    metadata: dict[str, Any] = {"aula": {"line": cell.line}}
    if cell.tags:
        metadata["tags"] = cell.tags
    built: NotebookNode = nbformat.v4.new_code_cell(source, metadata=metadata)
    return built


def new_notebook(cells: list[NotebookNode]) -> NotebookNode:
    """A notebook of these cells, with stable ids and the course's metadata."""
    seen: dict[str, int] = {}
    for cell in cells:
        # An id made from the text stays when cells around it come and go.
        digest = hashlib.sha256(cell.source.encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        again = "" if seen[digest] == 1 else f"-{seen[digest]}"
        cell.id = digest + again
    notebook: NotebookNode = nbformat.v4.new_notebook(
        cells=cells,
        metadata={
            "kernelspec": {
                "display_name": "Python 3 (ipykernel)",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
        },
    )
    return notebook


def _name(path: Path) -> str:
    return (
        path.relative_to(ROOT).as_posix()
        if ROOT in path.parents
        else str(path)
    )


def _opening(
    lessons: list[Lesson], lesson: Lesson, lang: str, kind: str, text: str
) -> str:
    """The first cell: numbered title, length, links, then the author's."""
    words = NAVIGATION[lang]
    other = "en" if lang == "es" else "es"
    twin = "solutions" if kind == "notebooks" else "notebooks"
    file = f"{lesson.path.stem}.ipynb"
    to_twin = words["notebook" if twin == "notebooks" else "solutions"]
    line = " · ".join(
        [
            f"**{lesson.length(lang)}**",
            f"[{words['other']}](../{other}/{file})",
            f"[{to_twin}](../../{twin}/{lang}/{file})",
        ]
    )
    _, _, body = text.partition("\n")
    parts = [
        f"# {lesson.full_title(lang)}",
        line,
        _links(lessons, lesson, lang),
        body.strip(),
    ]
    return "\n\n".join(part for part in parts if part)


def _links(lessons: list[Lesson], lesson: Lesson, lang: str) -> str:
    """Previous lesson, index, next lesson."""
    words = NAVIGATION[lang]
    index = [other.path for other in lessons].index(lesson.path)
    links = [f"[{words['index']}](../../notebooks/index.ipynb)"]
    if index > 0:
        links.insert(0, _link(lessons[index - 1], words["previous"], lang))
    if index + 1 < len(lessons):
        links.append(_link(lessons[index + 1], words["next"], lang))
    return " · ".join(links)


def _link(lesson: Lesson, form: str, lang: str) -> str:
    title = form.format(title=lesson.full_title(lang))
    return f"[{title}]({lesson.path.stem}.ipynb)"


def index_notebook(lessons: list[Lesson]) -> NotebookNode:
    """The index, not executed: lessons/index.md once for each language.

    Raises:
        SourceError: where lessons/index.md breaks the rules of prose cells.
    """
    path = LESSONS / "index.md"
    _, cells = read_cells(path)
    reader = _Reader(path)
    reader.check_cells(cells)
    reader.check_pairs(cells)
    if reader.problems:
        raise SourceError(reader.problems)
    built = []
    for lang in LANGUAGES:
        table = lesson_table(lessons, lang, "")
        for cell in cells:
            if cell.kind == "code":
                built.append(_code_cell(cell, lang))
            elif cell.lang == lang:
                source = cell.source.replace("{lessons}", table)
                built.append(nbformat.v4.new_markdown_cell(source))
    return new_notebook(built)


def lesson_table(lessons: list[Lesson], lang: str, base: str) -> str:
    """A Markdown table of the lessons, their minutes and exercises.

    Arguments:
        lang: the table's language.
        base: what stands before ``es/`` or ``en/`` in its links.
    """
    heads = {
        "es": ["Lección", "Minutos", "Ejercicios", "Soluciones"],
        "en": ["Lesson", "Minutes", "Exercises", "Solutions"],
    }[lang]
    see = {"es": "ver", "en": "see"}[lang]
    up = f"{base}../solutions".replace("notebooks/../", "")
    rows = ["| " + " | ".join(heads) + " |", "|---|---:|---:|---|"]
    for lesson in lessons:
        file = f"{lang}/{lesson.path.stem}.ipynb"
        rows.append(
            f"| [{lesson.full_title(lang)}]({base}{file}) | {lesson.minutes} "
            f"| {len(lesson.exercises)} | [{see}]({up}/{file}) |"
        )
    return "\n".join(rows)


def fill_table(text: str, table: str) -> str:
    """Put the table between a README's lesson markers."""
    pattern = re.compile(r"(<!-- lessons -->\n).*?(\n<!-- /lessons -->)", re.S)
    return pattern.sub(lambda m: m[1] + table + m[2], text)
