"""Lays out the slides of a lesson: its code, and what to see of its prose.

The slides are for jupyterlab-slideshow. A heading begins a slide, code cells
are its fragments, and what does not fit goes to a slide below. Of the prose
they show titles, the question before a cell, rules in bold, tables and
drawings. All of it is in the notes, with what is told to whoever teaches.

Nothing is executed here. The code is that of ``notebooks/``, which is, and a
presenter runs it live.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from markdown_it import MarkdownIt
from nbformat import NotebookNode

from authoring import editions
from authoring.source import ANATOMY, Cell, Lesson, Note

# What a projector of 1280 by 720 has room for, and how high things are there.
ROOM = 680
HEADING = 62
LINE, COLUMNS = 36, 100  # of text
ROW = 40  # of a table
CODE_LINE, MOST_CODE = 23, 490
FOLDED = 40
PICTURE = 460

LONG = 340  # characters; a longer text is for the notes
SHORT = 50  # and a shorter question needs the sentence before it
RULE = 4  # words in bold make a rule; fewer are a term

STYLES: dict[str, Any] = {
    "--jp-code-font-size": "17px",
    "--jp-content-font-size1": "20px",
    "& .jp-InputArea-editor": {"max-height": "490px", "overflow": "auto"},
    "& .jp-Cell-outputWrapper": {"max-height": "450px", "overflow": "auto"},
    "& .jp-MarkdownOutput img": {"max-height": "430px"},
    "& .jp-MarkdownOutput table": {"font-size": "17px"},
    "& .jp-MarkdownOutput :is(h1, h2, h3)": {"margin": "0.2em 0"},
    "& .jp-MarkdownOutput :is(p, ul)": {"margin": "0.3em 0"},
}
FOR_YOU = {
    "es": "**Para ti, {minutes} minutos.** {text}",
    "en": "**For you, {minutes} minutes.** {text}",
}

_MARKDOWN = MarkdownIt().enable("table")
_MASKED = re.compile(r"`+[^`]+`+|\[[^\]]*\]\([^)]*\)")
_END = re.compile(r"(?<=[.?!:])([)»\"*]*)\s+(?=[^a-z\s])")
_BOLD = re.compile(r"\*\*(.+?)\*\*", re.S)


@dataclass
class Block:
    """A piece of Markdown, of the kind that markdown-it calls it."""

    kind: str
    text: str


@dataclass
class Piece:
    """What a slide may show: some text, or a cell of code.

    Attributes:
        height: about how many of a slide's 720 pixels it takes.
        begins: the ``"slide"`` or ``"subslide"`` that it begins; ``None``
            where it may stand below something else.
        stays: whether what follows belongs on the same slide.
    """

    shown: str | NotebookNode
    height: int
    begins: str | None = None
    stays: bool = False


def slides_path(lesson: Lesson, lang: str) -> Path:
    """Where the slides of a lesson stand."""
    return editions.edition_path(lesson, lang, editions.SLIDES)


def slides(lesson: Lesson, lang: str) -> NotebookNode:
    """The slides of a lesson, as they are stored.

    Arguments:
        lang: ``"es"`` or ``"en"``.
    """
    deck = Deck()
    places: dict[int, Note] = {note.place: note for note in lesson.notes}
    told: Cell | None = None  # prose, until it is known what follows
    for number, cell in enumerate([*lesson.cells, None]):
        if number in places:
            deck.tell(for_you(places[number], lang))
        if told is not None and (cell is None or cell.lang in (None, lang)):
            leads = cell is not None and cell.kind == "code"
            for piece in _prose(lesson, told.source, lang, leads):
                deck.add(piece)
            told = None
        if cell is not None and cell.lang == lang:
            deck.tell(cell.source)
            told = cell
        elif cell is not None and cell.kind == "code":
            if "solution" not in cell.tags:
                deck.add(_code(cell, lang))
    notebook = editions.new_notebook(deck.cells(), **editions.about(lesson))
    notebook.metadata["@deathbeds/jupyterlab-fonts"] = {
        "styles": {"": {"body[data-jp-deck-mode='presenting'] &": STYLES}}
    }
    return notebook


def for_you(note: Note, lang: str) -> str:
    """A note as whoever teaches reads it."""
    return FOR_YOU[lang].format(minutes=note.minutes, text=note.text[lang])


class Deck:
    """Puts pieces on slides, as many as there is room for."""

    def __init__(self) -> None:
        self._cells: list[NotebookNode] = []
        self._notes: list[str] = []
        self._waiting: list[Piece] = []
        self._text: NotebookNode | None = None  # may have more text added
        self._used = 0

    def tell(self, text: str) -> None:
        """Add a note, which comes before the next piece."""
        self._notes.append(text)

    def add(self, piece: Piece) -> None:
        """Add a piece, with those before it that stay with it."""
        if piece.begins:
            self._place()
        self._waiting.append(piece)
        if not piece.stays:
            self._place()

    def cells(self) -> list[NotebookNode]:
        """The cells of all slides."""
        self._place()
        self._place_notes()
        return self._cells

    def _place(self) -> None:
        if not self._waiting:
            return
        if self._cells:
            self._place_notes()
        first, *rest = self._waiting
        height = sum(piece.height for piece in self._waiting)
        begins = first.begins
        if begins is None and (
            self._used + height > ROOM
            # What is read once a cell has run stands apart from it.
            or (isinstance(first.shown, str) and self._text is None)
        ):
            begins = "subslide"
        self._append(first, begins)
        for piece in rest:
            self._append(piece, None)
        self._waiting = []

    def _append(self, piece: Piece, begins: str | None) -> None:
        self._used = piece.height + (0 if begins else self._used)
        if isinstance(piece.shown, NotebookNode):
            cell, self._text = piece.shown, None
        elif begins is None and self._text is not None:
            self._text.source += f"\n\n{piece.shown}"
            return
        else:
            cell = self._text = nbformat.v4.new_markdown_cell(piece.shown)
        cell.metadata.slideshow = {"slide_type": begins or "fragment"}
        self._cells.append(cell)

    def _place_notes(self) -> None:
        for text in self._notes:
            cell = nbformat.v4.new_markdown_cell(text)
            cell.metadata.slideshow = {"slide_type": "notes"}
            # Shift+Enter selects the cell below. A note would be an empty
            # slide; the layer of no slide leaves what is there.
            cell.metadata["jupyterlab-slideshow"] = {"layer": "notes"}
            self._cells.append(cell)
        self._notes = []


def _code(cell: Cell, lang: str) -> Piece:
    lines = len(cell.source.splitlines())
    height = min(lines * CODE_LINE, MOST_CODE) + 24
    if "scenery" in cell.tags:
        height = FOLDED
    built = editions.code_cell(cell, lang)
    del built.metadata["aula"]
    return Piece(built, height)


def _prose(
    lesson: Lesson, text: str, lang: str, leads: bool
) -> Iterator[Piece]:
    """What is to be seen of a prose cell.

    Arguments:
        leads: whether code follows.
    """
    exercise, mistakes = ANATOMY[lang][2:4]
    titles: list[str] = []
    sections = list(_sections(text))
    for number, (heading, blocks) in enumerate(sections):
        if heading.startswith("# "):
            shown = f"# {lesson.full_title(lang)}\n\n"
            shown += editions.length(lesson, lang)
            yield Piece(shown, HEADING + LINE, "slide")
        elif heading.startswith(mistakes):
            titles = [heading]
        elif titles and heading.startswith("### "):
            titles.append("- " + heading.removeprefix("### "))
        else:
            if titles:
                yield _list(titles)
                titles = []
            if heading:
                level = "slide" if heading.startswith("## ") else "subslide"
                yield Piece(heading, HEADING, level, stays=True)
            if heading.startswith(exercise):
                yield from _task(blocks)
            else:
                last = number == len(sections) - 1
                yield from _seen(blocks, leads and last)
    if titles:
        yield _list(titles)


def _list(titles: list[str]) -> Piece:
    heading, *items = titles
    shown = "\n".join([heading, "", *items])
    return Piece(shown, HEADING + LINE * len(items), "slide")


def _task(blocks: list[Block]) -> Iterator[Piece]:
    """What an exercise asks first."""
    for block in blocks:
        if block.kind == "paragraph":
            shown, *more = sentences(block.text)
            for sentence in more:
                if len(shown) + len(sentence) > LONG:
                    break
                if sentence.endswith(":"):  # the list after it is not shown
                    break
                shown += f" {sentence}"
            yield _text(re.sub(":$", ".", shown), stays=True)
            return


def _seen(blocks: list[Block], leads: bool) -> Iterator[Piece]:
    """Of a section's blocks, those for a slide.

    Arguments:
        leads: whether the last one leads to a cell.
    """
    for number, block in enumerate(blocks):
        last = number == len(blocks) - 1
        if block.kind == "paragraph":
            if leads and last:
                yield _text(_question(block.text), stays=True)
            else:
                for sentence in sentences(block.text):
                    if is_rule(sentence):
                        yield _text(sentence)
        elif block.kind == "table":
            rows = block.text.count("\n")
            yield Piece(block.text, ROW * rows)
        elif block.kind == "fence":
            yield Piece(block.text, PICTURE)
        elif block.kind.endswith("list") and len(block.text) < 2 * LONG:
            items = re.split(r"^(?=\S)", block.text, flags=re.M)[1:]
            yield Piece(block.text, sum(_text(i).height for i in items))
        elif block.kind == "code_block":
            yield Piece(block.text, LINE * (block.text.count("\n") + 1))


def _text(text: str, stays: bool = False) -> Piece:
    return Piece(text, LINE * math.ceil(len(text) / COLUMNS), stays=stays)


def _question(paragraph: str) -> str:
    """What is asked before a cell, or at least its last sentence.

    With the sentence before it, where it says too little alone.
    """
    found = sentences(paragraph)
    while len(found) > 1 and found[-1].startswith("("):
        found.pop()
    asking = [n for n, one in enumerate(found) if "?" in _MASKED.sub("", one)]
    first = asking[0] if asking else len(found) - 1
    shown = " ".join(found[first:])
    if len(shown) > LONG:
        shown = found[first]
    if len(shown) < SHORT and first > 0:
        shown = f"{found[first - 1]} {shown}"
    return shown


def is_rule(sentence: str) -> bool:
    """Whether a sentence says in bold what to remember."""
    prose = _MASKED.sub("code", sentence)
    return any(len(bold.split()) >= RULE for bold in _BOLD.findall(prose))


def sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph."""
    text = " ".join(paragraph.split())
    masked = _MASKED.sub(lambda found: "x" * len(found[0]), text)
    ends = [found.end() for found in _END.finditer(masked)]
    starts = [0, *ends]
    return [
        text[start:end].strip()
        for start, end in zip(starts, [*ends, len(text)], strict=True)
    ]


def _sections(text: str) -> Iterator[tuple[str, list[Block]]]:
    """The headings of a text, and the blocks below each."""
    heading, below = "", list[Block]()
    for block in blocks(text):
        if block.kind == "heading":
            if heading or below:
                yield heading, below
            heading, below = block.text, []
        else:
            below.append(block)
    yield heading, below


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a text, without what unfolds."""
    lines = text.splitlines()
    folded = False
    for token in _MARKDOWN.parse(text):
        if token.level == 0 and token.map is not None:
            start, end = token.map
            shown = "\n".join(lines[start:end]).rstrip()
            if token.type == "html_block":
                folded = "<details" in shown or folded
                folded = folded and "</details" not in shown
            elif not folded:
                yield Block(token.type.removesuffix("_open"), shown)
