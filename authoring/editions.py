"""Lays out the editions of a lesson, its index and the READMEs' tables.

Each lesson has four notebooks, two languages by two kinds; none is executed
here. All of them come from one list of cells.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from aula.exercises.progress import part
from authoring import names, source, stamps
from authoring.source import (
    LANGUAGES,
    Cell,
    Lesson,
    Reader,
    SourceError,
    read_cells,
)

KINDS = ("notebooks", "solutions")
SLIDES = "slides"
VERSION: str = tomllib.loads(
    (source.ROOT / "pyproject.toml").read_text(encoding="utf-8")
)["project"]["version"]
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


def edition_path(lesson: Lesson, lang: str, kind: str) -> Path:
    """Where an edition of a lesson stands."""
    return source.ROOT / kind / lang / f"{lesson.path.stem}.ipynb"


def edition(
    lessons: list[Lesson], lesson: Lesson, lang: str, kind: str
) -> NotebookNode:
    """One edition of a lesson, not executed.

    Arguments:
        lessons: the whole course, for the links to its neighbours.
        lesson: the lesson to lay out.
        lang: ``"es"`` or ``"en"``.
        kind: ``"notebooks"`` (stubs, outputs folded) or ``"solutions"``.

    Every code cell carries ``metadata.aula.line``, the line of its source, and
    ``metadata.aula.alt``, the words for its image, until the build has
    executed it. Its metadata bear the lesson's stamp, once it has one.
    """
    left_out = {"solution" if kind == "notebooks" else "exercise"}
    cells = []
    prose = [c for c in lesson.cells if c.lang == lang]
    for cell in lesson.cells:
        if cell.kind == "markdown" and cell.lang == lang:
            text = cell.source
            if cell is prose[0]:
                text = _opening(lessons, lesson, lang, kind, text)
            if cell is prose[-1]:
                text += "\n\n" + _links(lessons, lesson, lang)
            cells.append(nbformat.v4.new_markdown_cell(text))
        elif cell.kind == "code" and not left_out & set(cell.tags):
            cells.append(code_cell(cell, lang, kind == "notebooks"))
    return new_notebook(cells, **about(lesson))


def about(lesson: Lesson) -> dict[str, Any]:
    """What a notebook of a lesson tells about itself."""
    told: dict[str, Any] = {"lesson": lesson.path.stem}
    if stamp := stamps.read().get(lesson.number):
        told["exercises"] = dict(stamp)
    return told


def code_cell(
    cell: Cell, lang: str, outputs_hidden: bool = False
) -> NotebookNode:
    """A code cell of an edition, not executed."""
    code = cell.source.replace("from aula.en ", f"from aula.{lang} ")
    alt = cell.options.get("alt", {}).get(lang)
    metadata: dict[str, Any] = {"aula": {"line": cell.line, "alt": alt}}
    if cell.tags:
        metadata["tags"] = cell.tags
    folds = {}
    if "scenery" in cell.tags:
        folds["source_hidden"] = True
    if outputs_hidden:
        folds["outputs_hidden"] = True
    if folds:
        metadata["jupyter"] = folds
    built: NotebookNode = nbformat.v4.new_code_cell(code, metadata=metadata)
    return built


def new_notebook(cells: list[NotebookNode], **about: Any) -> NotebookNode:
    """A notebook of these cells, with stable ids and the course's metadata.

    Arguments:
        about: what its metadata tell beside the course's version.
    """
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
            "aula": {"version": VERSION, **about},
            "kernelspec": {
                "display_name": "Python 3 (ipykernel)",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
        },
    )
    return notebook


def dumps(notebook: NotebookNode) -> str:
    """The text of a notebook's file.

    Each line begins with twice the spaces that Jupyter gives it. To git, none
    is then a notebook of the course of twelve lessons under another name:
    whoever updates that course finds the lesson they had changed in its old
    place, and all new ones beside it.
    """
    text: Any = json.loads(nbformat.writes(notebook))
    return json.dumps(text, indent=2, ensure_ascii=False) + "\n"


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
            f"**{length(lesson, lang)}**",
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


def index_notebook() -> NotebookNode:
    """The index, not executed: lessons/index.md once for each language.

    Raises:
        SourceError: where lessons/index.md breaks the rules of prose cells.
    """
    built = []
    cells = _page_cells("index.md")
    for lang in LANGUAGES:
        for cell in cells:
            if cell.kind == "code":
                built.append(code_cell(cell, lang))
            elif cell.lang == lang:
                built.append(nbformat.v4.new_markdown_cell(cell.source))
    return new_notebook(built)


def names_path(lang: str) -> Path:
    """Where the page of names stands."""
    return source.ROOT / "notebooks" / lang / "names.ipynb"


def names_notebook(lessons: list[Lesson], lang: str) -> NotebookNode:
    """The page that leads from a name to where it is explained.

    Arguments:
        lessons: the whole course.
        lang: the page's language.

    Raises:
        SourceError: where lessons/names.md breaks the rules of prose cells.
    """
    heads = {
        "es": "| Nombre | Es de | Se explica en |",
        "en": "| Name | From | Explained in |",
    }[lang]
    rows = [heads, "|---|---|---|"]
    built = {
        lesson.number: edition(lessons, lesson, lang, "notebooks").cells
        for lesson in lessons
    }
    found = names.places(lessons).items()
    for name, use in sorted(found, key=lambda one: one[0].text.casefold()):
        section, lesson = use.section[lang], use.lesson
        # JupyterLab finds a cell by its id, and a title only if it has been
        # on the screen.
        cell = next(
            cell.id
            for cell in built[lesson.number]
            if f"## {section}" in cell.source.splitlines()
        )
        link = f"{lesson.path.stem}.ipynb#cell-id={cell}"
        rows.append(
            f"| `{name.text}` | {_origin(name, lang)} "
            f"| [{lesson.number} · {section}]({link}) |"
        )
    table = "\n".join(rows)
    return new_notebook(
        [
            nbformat.v4.new_markdown_cell(c.source.replace("{names}", table))
            for c in _page_cells("names.md")
            if c.lang == lang
        ]
    )


def _origin(name: names.Name, lang: str) -> str:
    """Where a name comes from, in words."""
    words = {
        names.BROWSER: {"es": "el navegador", "en": "the browser"},
        names.CLOSE_CODE: {"es": "códigos de cierre", "en": "close codes"},
    }
    if name.origin in words:
        return words[name.origin][lang]
    if name.origin.endswith("()"):
        option = {"es": "opción de", "en": "option of"}[lang]
        return f"{option} `{name.origin}`"
    return name.origin


def _page_cells(name: str) -> list[Cell]:
    """The cells of a page beside the lessons, once their form is right."""
    path = source.LESSONS / name
    _, cells = read_cells(path)
    reader = Reader(path)
    reader.check_cells(cells)
    reader.check_pairs(cells)
    if reader.problems:
        raise SourceError(reader.problems)
    return cells


def lesson_table(lessons: list[Lesson], lang: str) -> str:
    """A README's table of the lessons, their minutes and exercises."""
    heads = {
        "es": ["Lección", "Minutos", "Ejercicios", "Soluciones"],
        "en": ["Lesson", "Minutes", "Exercises", "Solutions"],
    }[lang]
    see = {"es": "ver", "en": "see"}[lang]
    rows = ["| " + " | ".join(heads) + " |", "|---|---:|---:|---|"]
    for lesson in lessons:
        if title := part(lesson.number, [one.number for one in lessons]):
            rows.append(f"| **{title[lang]}** | | | |")
        file = f"{lang}/{lesson.path.stem}.ipynb"
        rows.append(
            f"| [{lesson.full_title(lang)}](notebooks/{file}) "
            f"| {lesson.minutes} | {len(lesson.exercises)} "
            f"| [{see}](solutions/{file}) |"
        )
    return "\n".join(rows)


def fill_table(text: str, table: str) -> str:
    """Put the table between a README's lesson markers."""
    pattern = re.compile(r"(<!-- lessons -->\n).*?(\n<!-- /lessons -->)", re.S)
    return pattern.sub(lambda m: m[1] + table + m[2], text)


def length(lesson: Lesson, lang: str) -> str:
    """Minutes and number of exercises, in words."""
    words = NAVIGATION[lang]
    count = len(lesson.exercises)
    form = words["exercise" if count == 1 else "exercises"]
    return (
        words["minutes"].format(minutes=lesson.minutes)
        + " · "
        + form.format(count=count)
    )
