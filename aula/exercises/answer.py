"""What can be seen of an answer before it runs: its form, and its blanks."""

from __future__ import annotations

import ast
import asyncio
import functools
import inspect
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from os import PathLike
from pathlib import Path
from types import CoroutineType, FunctionType, MethodType
from typing import Any

from aula.exercises import words
from aula.exercises.exercise import Exercise, Wrong


def is_started(answer: Any, given: str = "") -> bool:
    """Whether an answer is more than what its cell came with.

    What somebody has written may well hold dots: a class, a loop or another
    function that has nothing to do.

    Arguments:
        given: the code in the exercise's cell, where it is more than dots.
    """
    came = _bodies(given)
    return not any(
        piece is ... or (inspect.isfunction(piece) and _is_blank(piece, came))
        for piece in pieces(answer)
    )


def is_written(source: str, given: str = "") -> bool:
    """Whether a program is more than what its cell came with."""
    nodes = _parse(source)
    bodies = [_body(node) for node in nodes if _is_function(node)]
    return not (
        any(map(_is_dots, nodes))
        or (bodies and all(map(_is_all_dots, bodies)))
        or (bodies and _bodies(source) <= _bodies(given))
    )


_DOTS = (lambda: ...).__code__


def _is_blank(function: FunctionType, came: set[str]) -> bool:
    """Whether a function's body is dots alone, or one that came so."""
    code = function.__code__
    if (code.co_code, code.co_consts) == (_DOTS.co_code, _DOTS.co_consts):
        return True  # that of a lambda
    if getattr(function, "__isabstractmethod__", False):
        return False  # nor will it ever have another
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError, ValueError):
        return False
    if source[:1].isspace():  # a method, or within a function
        source = f"if True:\n{source}"
    nodes = _parse(source)
    if nodes and isinstance(nodes[0], ast.If):
        nodes = nodes[0].body
    if not nodes or not _is_function(nodes[0]):
        return False
    body = _body(nodes[0])
    return _is_all_dots(body) or _dump(body) in came


def _parse(source: str) -> list[ast.stmt]:
    try:
        return ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _is_function(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def _bodies(source: str) -> set[str]:
    """The bodies of a source's functions, whatever their layout."""
    return {_dump(_body(n)) for n in _parse(source) if _is_function(n)}


def _body(function: Any) -> list[ast.stmt]:
    """The statements of a function, without its docstring."""
    body: list[ast.stmt] = function.body
    return body[ast.get_docstring(function, clean=False) is not None :]


def _dump(body: list[ast.stmt]) -> str:
    return "\n".join(map(ast.dump, body))


def _is_all_dots(body: list[ast.stmt]) -> bool:
    return bool(body) and all(map(_is_dots, body))


def _is_dots(node: ast.stmt) -> bool:
    """Whether a statement is ``...``, alone or returned or given a name."""
    value = getattr(node, "value", None)
    if isinstance(value, ast.Await):
        value = value.value
    return isinstance(value, ast.Constant) and value.value is ...


def pieces(value: Any) -> Iterator[Any]:
    """A value and what it is made of."""
    return _pieces(value, set())


def _pieces(value: Any, known: set[int]) -> Iterator[Any]:
    """A value and what it is made of."""
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
        # The methods of a protocol have no body but dots.
        if not vars(value).get("_is_protocol"):
            inner = [*vars(value).values()]
    elif kind is functools.partial:
        inner = [value.func, value.args, value.keywords]
    elif kind is property:
        inner = [value.fget]
    elif kind in (MethodType, classmethod, staticmethod):
        inner = [value.__func__]
    for piece in inner:
        yield from _pieces(piece, known)


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


class Calls:
    """Calls an answer, and sees that what a call gives can be awaited.

    An ``async def`` under a decorator, a lambda that gives a coroutine, an
    object: only a call can tell.

    Attributes:
        answer: what a judge shall call.
        refused: the mistake, as soon as a call has shown it.
    """

    def __init__(self, answer: Any) -> None:
        loop = asyncio.get_running_loop()
        self.refused: asyncio.Future[Wrong] = loop.create_future()
        self.answer = answer
        if not _is_async(answer):

            @functools.wraps(answer)  # for the picture, which shows its name
            def call(*args: Any, **options: Any) -> Any:
                return self._call(answer, args, options)

            self.answer = call

    def _call(
        self, answer: Any, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        try:
            result = answer(*args, **options)
        except Exception as error:
            if _is_plain(answer):
                # An AttributeError holds what has no such attribute.
                close_unawaited(getattr(error, "obj", None))
                raise self._refuse(Wrong("not-async", seen=error)) from None
            raise
        if inspect.isasyncgen(result):
            raise self._refuse(Wrong("yields"))
        if not inspect.isawaitable(result):
            raise self._refuse(Wrong("not-async"))
        return result if inspect.iscoroutine(result) else _wait_for(result)

    def _refuse(self, wrong: Wrong) -> Wrong:
        if not self.refused.done():
            self.refused.set_result(wrong)
        return wrong


def _is_async(answer: Any) -> bool:
    """Whether its form tells that an answer gives a coroutine."""
    return inspect.iscoroutinefunction(answer) or (
        inspect.iscoroutinefunction(type(answer).__call__)
    )


def _is_mere_class(answer: Any) -> bool:
    """Whether an answer is a class, and its objects have nothing to await."""
    return inspect.isclass(answer) and (
        not hasattr(answer, "__await__") or issubclass(answer, asyncio.Future)
    )


def _is_plain(answer: Any) -> bool:
    """Whether an answer was written with ``def``, as far as can be seen."""
    return (
        inspect.isfunction(answer)
        and not hasattr(answer, "__wrapped__")
        and answer.__name__ != "<lambda>"
    )


async def _wait_for(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def misshapen(
    asked: Exercise, answer: Any, program: Any = None
) -> Wrong | None:
    """What keeps an answer from being called as its exercise says.

    Arguments:
        program: what a prediction is about, and is called in its place.
    """
    if asked.answer == "script":
        return _no_script(asked, answer)
    given = words.given(asked.lesson, asked.name)
    if not is_started(answer, given):
        return Wrong("unstarted", number=asked.number)
    if asked.answer == "value":
        return None
    if asked.answer == "prediction":
        answer = program
    if inspect.isawaitable(answer):
        close_unawaited(answer)
        return Wrong("called")
    needs_async = asked.answer == "async"
    if not callable(answer) or (needs_async and _is_mere_class(answer)):
        return Wrong("not-function", seen=answer)
    if needs_async and inspect.isasyncgenfunction(answer):
        return Wrong("yields")
    if asked.answer == "function" and _is_async(answer):
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
    if not is_written(source, words.given(asked.lesson, asked.name)):
        return Wrong("unstarted-script", number=asked.number, path=path.name)
    return None
