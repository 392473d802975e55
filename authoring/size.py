"""Counts what a lesson asks of its reader, for whoever writes it.

``python -m authoring.build 03`` prints it: only an author can tell whether it
is too much.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator

from authoring.source import (
    LANGUAGES,
    Cell,
    Lesson,
    name_of,
    parse,
    without_fences,
)

# Of what is left of Markdown: words, and neither numbers nor tags.
_TAG = re.compile(r"<[^>]*>|\]\([^)]*\)")
_WORD = re.compile(r"[^\W\d_](?:[\w'’.-]*\w)?")


def describe(lesson: Lesson, earlier: list[Lesson]) -> str:
    """What there is in a lesson, in lines for an author.

    Arguments:
        earlier: the lessons before it, whose names a reader knows.
    """
    words = ", ".join(f"{count_words(lesson, x)} {x}" for x in LANGUAGES)
    longest = max(lesson.code, key=_length)
    predictions = sum(e.program is not None for e in lesson.exercises)
    names = new_names(lesson, earlier)
    return (
        f"{name_of(lesson.path)}: {lesson.minutes} minutes, words: {words}\n"
        f"  {len(lesson.sections)} sections, {len(lesson.code)} code cells, "
        f"longest {_length(longest)} lines (line {longest.line}), "
        f"{len(lesson.exercises)} exercises ({predictions} predictions)\n"
        f"  {len(names)} new names: {' '.join(names)}"
    )


def count_words(lesson: Lesson, lang: str) -> int:
    """The words of a lesson's prose in one language, without its fences."""
    prose = [c.source for c in lesson.cells if c.lang == lang]
    text = _TAG.sub(" ", without_fences("\n".join(prose)))
    return len(_WORD.findall(text))


def new_names(lesson: Lesson, earlier: list[Lesson]) -> list[str]:
    """The names that a lesson uses first, of modules and of libraries.

    What its own code defines is none of them, nor what Python has built in.
    An option of a call is one: ``return_exceptions``.
    """
    known = {name for one in earlier for name in _names(one)}
    used = dict.fromkeys(_names(lesson))
    own = {
        name
        for tree in _trees(lesson)
        for n in ast.walk(tree)
        for name in _defined(n)
    }
    return [
        name
        for name in used
        if name not in known | own and not hasattr(builtins, name)
    ]


def _length(cell: Cell) -> int:
    return len(cell.source.splitlines())


def _trees(lesson: Lesson) -> Iterator[ast.Module]:
    for cell in lesson.cells:
        if cell.kind == "code":
            # A script that a cell writes is code, too.
            yield parse(re.sub(r"\A%%writefile.*\n", "", cell.source))


def _names(lesson: Lesson) -> Iterator[str]:
    for tree in _trees(lesson):
        for node in ast.walk(tree):
            yield from _used(node)


def _used(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.keyword) and node.arg:
        yield node.arg
    elif isinstance(node, ast.alias):
        yield from node.name.split(".")
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield from node.module.split(".")


def _defined(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.ExceptHandler) and node.name:
        yield node.name
    elif isinstance(node, ast.alias) and node.asname:
        yield node.asname
    elif isinstance(node, ast.Name | ast.Attribute) and isinstance(
        node.ctx, ast.Store
    ):
        yield from _used(node)
