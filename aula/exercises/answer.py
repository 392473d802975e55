"""What can be seen of an answer before it runs: its form, and its blanks."""

from __future__ import annotations

import ast
import asyncio
import functools
import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import suppress
from os import PathLike
from pathlib import Path
from types import CoroutineType, MethodType
from typing import Any

from aula.exercises.exercise import Exercise, Wrong


def is_started(answer: Any) -> bool:
    """Whether nothing in the answer is still ``...``."""
    return not any(piece is ... for piece in pieces(answer))


def pieces(value: Any) -> Iterator[Any]:
    """A value and what it is made of, functions down to their constants."""
    return _pieces(value, set())


def _pieces(value: Any, known: set[int]) -> Iterator[Any]:
    """A value and what it is made of, functions down to their constants."""
    if id(value) in known:  # a list may contain itself
        return
    known.add(id(value))
    yield value
    kind, inner = type(value), []
    if kind is dict:
        inner = [*value, *value.values()]
    elif kind in (list, tuple, set, frozenset):
        inner = [*value]
    elif inspect.isclass(value):
        inner = [*vars(value).values()]
    elif kind is functools.partial:
        inner = [value.func, value.args, value.keywords]
    elif kind is property:
        inner = [value.fget]
    elif kind in (MethodType, classmethod, staticmethod):
        inner = [value.__func__]
    elif inspect.isfunction(value):
        inner = _constants(value)
    for piece in inner:
        yield from _pieces(piece, known)


def _constants(function: Callable[..., Any]) -> list[Any]:
    """The constants in a function's source, where they may be blanks."""
    try:
        return _blanks(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, ValueError):
        return []


def _blanks(source: str) -> list[Any]:
    """The constants in a source, but for dots that are no blank."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except SyntaxError:
        return []
    # The dots of tuple[int, ...] are no blank.
    others = {
        id(part)
        for node in nodes
        if isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Tuple)
        for part in node.slice.elts
    }
    # Nor are those that stand for nothing at all after an except.
    others |= {
        id(node.body[0].value)
        for node in nodes
        if isinstance(node, ast.ExceptHandler)
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and id(node) not in others
    ]


def close_unawaited(value: Any) -> bool:
    """Close the coroutines in a value that nobody awaits: no task either.

    Those that they were given are closed, too: Python 3.12 and later keeps
    them until the closed one goes, and says only then that they were never
    awaited.

    Returns:
        whether there was any.
    """
    begun: set[Any] = set()
    with suppress(RuntimeError):  # where no loop runs, there are no tasks
        begun = {task.get_coro() for task in asyncio.all_tasks()}
    forgotten = [
        piece
        for piece in pieces(value)
        if inspect.iscoroutine(piece)
        and inspect.getcoroutinestate(piece) == inspect.CORO_CREATED
        and piece not in begun
    ]
    for coroutine in forgotten:
        close_unawaited(_arguments(coroutine))
        coroutine.close()
    return bool(forgotten)


def _arguments(coroutine: CoroutineType[Any, Any, Any]) -> list[Any]:
    """What a coroutine was given that has not started."""
    frame = coroutine.cr_frame
    if frame is None:  # it is closed
        return []
    names = frame.f_code.co_varnames  # and so no variables of a closure
    return [v for name, v in frame.f_locals.items() if name in names]


def misshapen(asked: Exercise, answer: Any) -> Wrong | None:
    """What keeps an answer from being called as its exercise says."""
    if asked.answer == "script":
        return _no_script(asked, answer)
    if not is_started(answer):
        return Wrong("unstarted", number=asked.number)
    if asked.answer == "value":
        return None
    if inspect.isawaitable(answer):
        close_unawaited(answer)
        return Wrong("called")
    needs_async = asked.answer == "async"
    if not callable(answer) or (needs_async and inspect.isclass(answer)):
        return Wrong("not-function", seen=answer)
    is_async = inspect.iscoroutinefunction(answer) or (
        inspect.iscoroutinefunction(type(answer).__call__)
    )
    if needs_async and inspect.isasyncgenfunction(answer):
        return Wrong("yields")
    if needs_async and not is_async:
        return Wrong("not-async")
    if is_async and not needs_async:
        return Wrong("not-plain")
    try:
        inspect.signature(answer).bind(*[None] * asked.parameters)
    except TypeError:
        code = getattr(answer, "__code__", None)
        # Handlers took a path before websockets 10.1.
        asked_for = code.co_varnames[: code.co_argcount] if code else ()
        old = asked_for[:2] == ("websocket", "path")
        return Wrong("old-handler" if old else "arity")
    except ValueError:  # some builtins have no signature
        return None
    return None


def _no_script(asked: Exercise, answer: Any) -> Wrong | None:
    """What keeps an answer from being run as a program."""
    if not isinstance(answer, str | PathLike):
        return Wrong("not-path", seen=answer)
    path = Path(answer)
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, ValueError):  # or it is no text at all
        return Wrong("no-script", path=path.name, seen=str(path))
    if ... in _blanks(source):
        return Wrong("unstarted", number=asked.number)
    return None
