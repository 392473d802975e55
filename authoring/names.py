"""Finds the names that each lesson brings, and where they come from.

A name is one that somebody may look for: ``gather``, ``ConnectionClosed``,
``ping_interval``, ``async for``, ``onmessage``, 1011. It comes from asyncio,
websockets, aiohttp, the standard library, Python itself or the browser; what a
lesson makes up (``latte``, ``brew``) is none. Names in code are those of cells
that teach: what exercises ask for has been shown before, and scenery teaches
nothing. Names in prose are those in code font.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import importlib
import inspect
import queue
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import aiohttp
import websockets.asyncio.client
import websockets.asyncio.server
import websockets.exceptions
import websockets.frames
import websockets.http11
from aiohttp import web

from authoring.source import (
    ANATOMY,
    EXERCISE_TITLE,
    LANGUAGES,
    OF_EXERCISES,
    Cell,
    Lesson,
    SourceError,
    name_of,
    parse,
)

PYTHON, BROWSER, CLOSE_CODE = "Python", "browser", "close code"
# Libraries that are names themselves; of the other two is the whole course.
ASKED_FOR = {"aiohttp", "nest_asyncio", "nest_asyncio2"}
LIBRARIES = {"asyncio", "websockets"} | ASKED_FOR
UNTAUGHT = OF_EXERCISES | {"scenery"}
SYNTAX: dict[type[ast.AST], str] = {
    ast.AsyncFunctionDef: "async def",
    ast.Await: "await",
    ast.AsyncFor: "async for",
    ast.AsyncWith: "async with",
    ast.TryStar: "except*",
}
# Builtin exceptions that tell of tasks, processes and the network.
ERRORS = {
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type)
    and issubclass(value, (OSError, BaseExceptionGroup, KeyboardInterrupt))
    and value.__name__ == name
}
# In JavaScript; only a browser could tell what it has.
JAVASCRIPT = (
    "WebSocket onopen onmessage onclose onerror readyState bufferedAmount "
    "binaryType EventSource fetch setTimeout setInterval addEventListener "
    "createElement createTextNode textContent innerHTML localStorage "
    "sessionStorage JSON.parse JSON.stringify"
).split()
# What things are that lessons hold in variables, the likeliest first.
CLASSES: list[type] = [
    websockets.asyncio.client.ClientConnection,
    websockets.asyncio.server.ServerConnection,
    websockets.asyncio.server.Server,
    websockets.exceptions.ConnectionClosed,
    websockets.frames.Close,
    websockets.http11.Request,
    websockets.http11.Response,
    asyncio.Task,
    asyncio.Future,
    asyncio.Queue,
    asyncio.Event,
    asyncio.Semaphore,
    asyncio.Lock,
    asyncio.TaskGroup,
    asyncio.Timeout,
    asyncio.AbstractEventLoop,
    asyncio.StreamReader,
    asyncio.StreamWriter,
    asyncio.Server,
    aiohttp.ClientSession,
    aiohttp.ClientResponse,
    web.Request,
    web.Response,
    web.WebSocketResponse,
    web.Application,
    web.AppRunner,
    web.TCPSite,
    threading.Thread,
    queue.Queue,
]
# An attribute of these says nothing of where it comes from.
PLAIN = {
    name
    for kind in (dict, list, set, str, bytes, int, BaseException)
    for name in dir(kind)
}
# Nor do these, and nobody looks for them.
VAGUE = set(
    "app code headers host limit message name port reason state text total "
    "transport".split()
)
# 1000 may be any number, unless it is in a table or a code.
CLOSE = re.compile(
    r"(?:(?<=\| )|(?<=[`( ]))(?:1000(?= \|)|10(?:0[1-9]|1[0-5])\b)"
)
STRING = re.compile(r"(['\"]).*?\1")
CODE = re.compile(r"`([^`\n]+)`")
WORD = re.compile(r"[.\w]*\w")


@dataclass(frozen=True)
class Name:
    """A name and where it comes from.

    Attributes:
        text: as it is looked for: ``"gather"``, ``"1011"``.
        origin: ``"asyncio"``, ``"asyncio.Queue"``, ``"websockets"``, …; for
            an option the function that takes it, ``"connect()"``.
    """

    text: str
    origin: str


@dataclass
class Use:
    """A name in a lesson, and where.

    Attributes:
        section: the section's title, in each language.
        weight: how likely it is that the name is explained there: the less,
            the likelier.
    """

    name: Name
    lesson: Lesson
    section: dict[str, str]
    weight: int


# Where a name may stand, the place that explains it best first.
TITLE, TAUGHT, SCRIPT, PROSE, END = range(5)
_BEGINS = [title.lstrip("# ") for title in ANATOMY["en"][:2]]
_ENDS = [title.lstrip("# ") for title in ANATOMY["en"][3:]]


def new_names(lessons: list[Lesson]) -> dict[str, list[Name]]:
    """The names that the code of each lesson uses first, by its number.

    Arguments:
        lessons: the whole course, or its beginning.
    """
    new: dict[str, list[Name]] = {lesson.number: [] for lesson in lessons}
    known: set[Name] = set()
    for use in _uses(lessons):
        if use.weight in (TAUGHT, SCRIPT) and use.name not in known:
            known.add(use.name)
            new[use.lesson.number].append(use.name)
    return new


def places(lessons: list[Lesson]) -> dict[Name, Use]:
    """Where to read about each name of the course.

    That is where a title has it; else where a cell first uses it, if possible
    before the script at a lesson's end; else where the prose first has it.
    """
    found: dict[Name, Use] = {}
    for use in _uses(lessons):
        in_titles = any(
            all(
                re.search(
                    rf"(?<!\w){re.escape(use.name.text)}\b", titles[lang]
                )
                for lang in LANGUAGES
            )
            for titles in (use.section, use.lesson.titles)
        )
        if in_titles and use.weight < PROSE and use.name.origin != PYTHON:
            use.weight = TITLE
        if use.name not in found or use.weight < found[use.name].weight:
            found[use.name] = use
    return found


def _uses(lessons: list[Lesson]) -> Iterator[Use]:
    """Each name, each time that it is used, in order."""
    known = _Known(lessons)
    for lesson in lessons:
        brought = _brought(lesson)
        for section, cell, text in _parts(lesson):
            ending = section["en"] in _ENDS
            if cell.kind == "code":
                aside = ending or section["en"] in _BEGINS
                weight = SCRIPT if aside else TAUGHT
                found = known.in_code(cell, brought)
            else:
                weight = END if ending else PROSE
                found = known.in_prose(text, brought)
            for name in found:
                # Tables in the prose say what a close code means.
                told = name.origin == CLOSE_CODE and weight == PROSE
                yield Use(name, lesson, section, TAUGHT if told else weight)


def _parts(lesson: Lesson) -> Iterator[tuple[dict[str, str], Cell, str]]:
    """What teaches in a lesson: the section, the cell and the English text.

    What a learner will be able to do, and needs before, is not taught there.

    Raises:
        SourceError: if the languages do not have the same sections.
    """
    titles = {
        lang: [
            title
            for cell in lesson.cells
            if cell.lang == lang
            for title, _ in _sections(cell)
            if title
        ]
        for lang in LANGUAGES
    }
    if len({len(found) for found in titles.values()}) > 1:
        raise SourceError(
            [f"{name_of(lesson.path)}: not as many sections in each language"]
        )
    sections = [
        dict(zip(titles, pair, strict=True))
        for pair in zip(*titles.values(), strict=True)
    ]
    number = -1
    for cell in lesson.cells:
        if cell.kind == "code" and number >= 0:
            if not UNTAUGHT & {*cell.tags}:
                yield sections[number], cell, ""
        elif cell.lang == "en":
            for title, text in _sections(cell):
                number += bool(title)
                if number >= len(_BEGINS):
                    yield sections[number], cell, text


def _brought(lesson: Lesson) -> set[str]:
    """What a lesson imports: libraries, and names as its code has them."""
    found = {"asyncio"}
    for cell in lesson.cells:
        if cell.kind == "code":
            for node in ast.walk(_parse(cell.source)):
                for name, alias, _ in _imported(node):
                    found |= {name.origin, alias}
    return found


def _sections(cell: Cell) -> Iterator[tuple[str, str]]:
    """The titles of a cell's sections and their texts, without exercises.

    The first has none, if the cell goes on with the section before.
    """
    task = EXERCISE_TITLE[cell.lang or "en"].partition("{")[0]
    title, skip, fenced = "", False, False
    lines: list[str] = []
    for line in cell.source.splitlines():
        fenced ^= line.startswith("```")
        if line.startswith("## ") and not fenced:
            yield title, "\n".join(lines)
            title, lines, skip = line[3:].strip(), [], False
        skip |= line.startswith(task)
        if not skip:
            lines.append(line)
    yield title, "\n".join(lines)


class _Known:
    """What names there are: in the libraries, and of a course's own."""

    def __init__(self, lessons: list[Lesson]) -> None:
        self.attributes: dict[str, list[Name]] = {}
        self.methods: dict[str, Any] = {}
        for kind in CLASSES:
            for attribute in _attributes(kind):
                name = Name(attribute, _origin(kind))
                self.attributes.setdefault(attribute, []).append(name)
                value = getattr(kind, attribute, None)
                self.methods.setdefault(attribute, value)
        self.bare = {name: Name(name, PYTHON) for name in ERRORS}
        for module in (asyncio, websockets.exceptions):
            for text in module.__all__:
                self.bare.setdefault(text, Name(text, _library(module)))
        self.modules: dict[str, ModuleType] = {
            "asyncio": asyncio,
            "websockets": websockets,
            "aiohttp": aiohttp,
            "web": web,
        }
        self.imported: dict[str, tuple[Name, Any]] = {}
        self.options: dict[str, Name] = {}
        own: set[str] = set()
        for cell in (c for one in lessons for c in one.cells):
            if cell.kind == "code":
                for node in ast.walk(_parse(cell.source)):
                    own |= _defined(node)
                    self._note_imports(node)
        # A course's own word is not that of a library in prose.
        for text in own & self.bare.keys():
            del self.bare[text]

    def _note_imports(self, node: ast.AST) -> None:
        for name, alias, value in _imported(node):
            if isinstance(value, ModuleType):
                self.modules[alias] = value
            else:
                self.imported[alias] = name, value
                self.bare.setdefault(name.text, name)

    def in_code(self, cell: Cell, brought: set[str]) -> Iterator[Name]:
        """The names that a cell of code uses."""
        tree = _parse(cell.source)
        kinds = dict(self._variables(tree))
        for node in ast.walk(tree):
            if type(node) in SYNTAX:
                yield Name(SYNTAX[type(node)], PYTHON)
            elif isinstance(node, ast.Attribute):
                yield from self._attribute(node, kinds, brought)
            elif isinstance(node, ast.Name):
                yield from self._of_itself(node.id, brought)
            elif isinstance(node, ast.Call):
                yield from self._options_of(node, kinds)
            elif isinstance(node, ast.Constant):
                yield from _constant(node.value)

    def in_prose(self, text: str, brought: set[str]) -> Iterator[Name]:
        """The names that a text has in code font, and close codes."""
        for code in CLOSE.findall(text):
            yield Name(code, CLOSE_CODE)
        for snippet in CODE.findall(text):
            for syntax in SYNTAX.values():
                if syntax in snippet:
                    yield Name(syntax, PYTHON)
            for word in WORD.findall(STRING.sub("", snippet)):
                called = f"{word}(" in snippet
                yield from self._word(word, called, brought)
            for text in JAVASCRIPT:
                if re.search(rf"(\.|new ){re.escape(text)}\b", snippet):
                    yield Name(text, BROWSER)

    def _of_itself(self, text: str, brought: set[str]) -> Iterator[Name]:
        """A name that stands alone in code."""
        if text in ERRORS:
            yield Name(text, PYTHON)
        elif text in self.imported and text in brought:
            yield self.imported[text][0]
        elif text in self.modules and text in ASKED_FOR:
            yield Name(text, text)

    def _word(
        self, word: str, called: bool, brought: set[str]
    ) -> Iterator[Name]:
        """The name that a word in code font is, if any."""
        root, *rest = word.split(".")
        if rest and root in self.modules:
            yield from self._of_module(root, rest[0])
        elif word in self.bare:
            yield self.bare[word]
        elif word in ASKED_FOR:
            yield Name(word, word)
        elif word in self.options:
            yield self.options[word]
        elif rest or called or "_" in word:
            yield from self._of_something((rest or [root])[-1], brought)

    def _attribute(
        self, node: ast.Attribute, kinds: dict[str, type], brought: set[str]
    ) -> Iterator[Name]:
        """The name that follows a dot in code, if it is any library's."""
        root = node.value.id if isinstance(node.value, ast.Name) else ""
        if root in kinds and node.attr in _attributes(kinds[root]):
            yield Name(node.attr, _origin(kinds[root]))
        elif root in self.modules:
            yield from self._of_module(root, node.attr)
        else:
            yield from self._of_something(node.attr, brought)

    def _of_module(self, root: str, text: str) -> Iterator[Name]:
        module = self.modules[root]
        value = getattr(module, text, None)
        if text in ERRORS:
            yield Name(text, PYTHON)
        elif value is not None and not isinstance(value, ModuleType):
            yield Name(text, _library(module))

    def _of_something(self, text: str, brought: set[str]) -> Iterator[Name]:
        """An attribute of what one of a lesson's libraries makes."""
        if text not in PLAIN:
            for name in self.attributes.get(text, []):
                if name.origin.split(".")[0] in brought:
                    yield name
                    return

    def _options_of(
        self, call: ast.Call, kinds: dict[str, type]
    ) -> Iterator[Name]:
        """The options that a call gives to a function of the libraries."""
        value = self._value(call.func, kinds)
        module = getattr(value, "__module__", None) or ""
        if module.split(".")[0] not in LIBRARIES:
            return
        taken = _parameters(value)
        for keyword in call.keywords:
            if keyword.arg in taken - VAGUE:
                name = Name(keyword.arg, f"{value.__name__}()")
                yield self.options.setdefault(keyword.arg, name)

    def _value(self, node: ast.expr, kinds: dict[str, type]) -> Any:
        """What an expression stands for in the libraries, or ``None``."""
        if isinstance(node, ast.Name):
            return self.imported.get(node.id, (None, None))[1]
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name):
                root = kinds.get(node.value.id) or self.modules.get(
                    node.value.id
                )
                if root is not None:
                    return getattr(root, node.attr, None)
            return self.methods.get(node.attr)
        return None

    def _variables(self, tree: ast.AST) -> Iterator[tuple[str, type]]:
        """The variables that hold something made by calling a class."""
        for node in ast.walk(tree):
            pairs: list[tuple[ast.expr | None, ast.expr]] = []
            if isinstance(node, ast.Assign):
                pairs = [(target, node.value) for target in node.targets]
            elif isinstance(node, (ast.With, ast.AsyncWith)):
                pairs = [(i.optional_vars, i.context_expr) for i in node.items]
            for target, made in pairs:
                if isinstance(target, ast.Name) and isinstance(made, ast.Call):
                    kind = self._value(made.func, {})
                    if isinstance(kind, type) and kind in CLASSES:
                        yield target.id, kind


def _constant(value: object) -> Iterator[Name]:
    """Close codes, and what a page in a string has of the browser's."""
    if isinstance(value, int) and 1001 <= value <= 1015:
        yield Name(str(value), CLOSE_CODE)
    elif isinstance(value, str):
        # A page; or a part of its script, where it is used as such.
        before = r"(?<!\w)" if "<script" in value else r"(\.|new )"
        for text in JAVASCRIPT:
            if re.search(rf"{before}{re.escape(text)}\b", value):
                yield Name(text, BROWSER)


def _parse(code: str) -> ast.Module:
    """A cell's code, or that of the script it writes."""
    return parse(re.sub(r"^[%!].*", "", code, flags=re.M))


def _imported(node: ast.AST) -> Iterator[tuple[Name, str, Any]]:
    """What a node imports: its name, the name in the code, the object."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.split(".")[0]
            if _is_told_of(top):
                # Which is what the statement defines.
                module = importlib.import_module(alias.name)
                whole = module if alias.asname else sys.modules[top]
                yield Name(top, top), alias.asname or top, whole
    elif isinstance(node, ast.ImportFrom) and _is_told_of(node.module or ""):
        module = importlib.import_module(node.module or "")
        for alias in node.names:
            name = Name(alias.name, _library(module))
            value = getattr(module, alias.name)
            yield name, alias.asname or alias.name, value


def _is_told_of(module: str) -> bool:
    """Whether a module is one of those whose names are listed."""
    top = module.split(".")[0]
    return top in LIBRARIES or top in sys.stdlib_module_names


def _library(module: ModuleType) -> str:
    """Who has a module: the library, or the module of Python's."""
    top = module.__name__.split(".")[0]
    return top if top in LIBRARIES else module.__name__


def _origin(kind: type) -> str:
    """What stands for a class as an origin."""
    top = kind.__module__.split(".")[0].lstrip("_")
    return f"asyncio.{kind.__name__}" if top == "asyncio" else top


def _attributes(kind: type) -> set[str]:
    """What is listed of a class."""
    found = {name for name in dir(kind) if not name.startswith("_")} - VAGUE
    # Nobody may call these of a task.
    unfit = {"set_result", "set_exception"} if kind is asyncio.Task else set()
    return found - unfit


def _parameters(value: Any) -> set[str]:
    try:
        return {*inspect.signature(value).parameters}
    except (TypeError, ValueError):
        return set()


def _defined(node: ast.AST) -> set[str]:
    """The names that a node gives to something of the course's own."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return {node.id}
    return {node.arg} if isinstance(node, ast.arg) else set()
