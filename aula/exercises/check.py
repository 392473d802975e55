"""Runs a learner's answer and says what it saw.

``Check`` is what notebooks call. A lesson's checks stand in
``aula/checks/lesson_NN.py``, each a coroutine function under ``@exercise``;
it calls the answer, watches what happens, and returns ``Right`` or raises
``Wrong``. What can go wrong with any answer at all (not started, not a
function, raising, waiting for ever, blocking) is answered here once.
"""

from __future__ import annotations

import ast
import asyncio
import contextvars
import functools
import importlib
import inspect
import pkgutil
import re
import signal
import textwrap
import threading
import time
import traceback
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import MethodType
from typing import Any

import aula.judges
from aula.display import last_cell_failed, show
from aula.exercises.progress import remember
from aula.instruments.timeline import Recorder, draw
from aula.instruments.wiretap import Wiretap
from aula.learner import describe

LIMIT = 5.0  # seconds an answer may take, unless its exercise says otherwise
GRACE = 1.0  # seconds its tasks have to end after they are cancelled
BRIEF = 0.01  # seconds; a timeline of a run that ends sooner shows nothing
STOP = 0.5  # seconds until Stop breaks off an answer that blocks

TEXT = {
    "es": {
        "unstarted": "**○ {number}: sin empezar.** Escribe tu respuesta en "
        "la celda de arriba, en lugar de los puntos `...`, ejecútala y "
        "vuelve aquí. Si ya la has escrito, borra la línea `...` y ejecuta "
        "otra vez las dos celdas.",
        "failed-cell": "La última celda que ejecutaste terminó en un error. "
        "Si era la de tu respuesta, corrígelo primero: puede que lo "
        "comprobado sea lo que había antes.",
        "right": "**✔ {number}: correcto.** {message}",
        "wrong": "**✘ {number}: todavía no.** {message}",
        "expected": "Se esperaba",
        "seen": "Se vio",
        "called": "Has pasado una llamada. Quita los paréntesis y pasa la "
        "función: la comprobación la llamará ella misma.",
        "not-function": "Aquí hace falta una función y ha llegado otra cosa.",
        "not-async": "Tu función se definió con `def`. Defínela con "
        "`async def`: la comprobación la espera con `await`.",
        "not-plain": "Tu función se definió con `async def`. Aquí basta con "
        "`def`: la comprobación la llama sin `await`.",
        "yields": "Tu función tiene un `yield`: llamarla da un generador "
        "asíncrono. Devuelve el resultado con `return`.",
        "arity": "Tu función no acepta los argumentos que recibe. "
        "Conserva los parámetros que traía la celda.",
        "old-handler": "Tu manejador pide `path`; hoy recibe solo "
        "`websocket`, y la ruta está en `websocket.request.path`.",
        "raises": "Tu código lanzó una excepción.",
        "cancelled": "Tu código se canceló a sí mismo, o dejó escapar un "
        "`CancelledError`.",
        "too-slow": "Tu código no terminó en {limit:g} segundos: espera "
        "algo que no llega, espera demasiado o repite sin fin.",
        "blocks": "Tu código retuvo el bucle de eventos más de {limit:g} "
        "segundos. Busca una llamada que bloquee, como `time.sleep`, o un "
        "bucle que no acaba y no espera nada.",
        "forgotten-await": "Falta un `await`: se creó una corrutina y "
        "nadie la esperó.",
        "bad-number": "No existe el ejercicio {number!r}. Hay: {known}.",
    },
    "en": {
        "unstarted": "**○ {number}: not started.** Write your answer in the "
        "cell above, in place of the `...`, run it and come back here. If "
        "you have written it already, delete the line `...` and run both "
        "cells again.",
        "failed-cell": "The last cell that you ran ended in an error. If it "
        "was your answer's, correct it first: what was checked may be what "
        "was there before.",
        "right": "**✔ {number}: right.** {message}",
        "wrong": "**✘ {number}: not yet.** {message}",
        "expected": "Expected",
        "seen": "Seen",
        "called": "You passed a call. Drop the parentheses and pass the "
        "function: the check calls it itself.",
        "not-function": "A function is needed here, and something else "
        "arrived.",
        "not-async": "Your function was defined with `def`. Define it with "
        "`async def`: the check awaits it.",
        "not-plain": "Your function was defined with `async def`. A plain "
        "`def` is enough here: the check calls it without `await`.",
        "yields": "Your function has a `yield`: calling it gives an "
        "asynchronous generator. Use `return`.",
        "arity": "Your function does not accept the arguments it is given. "
        "Keep the parameters that the cell came with.",
        "old-handler": "Your handler asks for `path`; today it gets "
        "`websocket` alone, and the path is in `websocket.request.path`.",
        "raises": "Your code raised an exception.",
        "cancelled": "Your code cancelled itself, or let a "
        "`CancelledError` escape.",
        "too-slow": "Your code did not finish within {limit:g} seconds: it "
        "waits for something that never comes, waits too long or repeats "
        "for ever.",
        "blocks": "Your code held the event loop for more than {limit:g} "
        "seconds. Look for a call that blocks, such as `time.sleep`, or a "
        "loop that never ends and awaits nothing.",
        "forgotten-await": "An `await` is missing: a coroutine was created "
        "and nobody awaited it.",
        "bad-number": "There is no exercise {number!r}. There are: {known}.",
    },
}

_UNSET: Any = object()


@dataclass
class Right:
    """A right answer, and what the check saw of it, in both languages."""

    es: str
    en: str


class Wrong(Exception):
    """A wrong answer: the mistake's name and what to say about it.

    Arguments:
        mistake: the name that ``:mistake:`` bears in the lesson's wrong cell.
        es, en: what went wrong and what to try, in Markdown.
        expected, seen: values to show side by side, where that helps.
    """

    def __init__(
        self,
        mistake: str,
        *,
        es: str,
        en: str,
        expected: Any = _UNSET,
        seen: Any = _UNSET,
    ) -> None:
        super().__init__(mistake)
        self.mistake = mistake
        self.es = es
        self.en = en
        self.expected = expected
        self.seen = seen


@dataclass
class Exercise:
    """What an exercise asks for and the coroutine function that judges it."""

    number: str
    judge: Callable[..., Awaitable[Right]]
    answer: str
    parameters: int
    limit: float
    picture: str | None


@dataclass
class Verdict:
    """What a check concluded, and what it says of it in each language.

    ``said`` is Markdown; ``mistake`` is ``None`` unless the answer is wrong.
    """

    number: str
    state: str
    said: dict[str, str]
    mistake: str | None = None
    run: Recorder | Wiretap | None = None


_exercises: dict[str, Exercise] = {}


def exercise(
    number: str,
    answer: str = "async",
    parameters: int = 0,
    limit: float = LIMIT,
    picture: str | None = "timeline",
) -> Callable:
    """Register the decorated coroutine function as the judge of an exercise.

    The judge gets the learner's answer and the ``Recorder`` of the run.

    Arguments:
        number: such as ``"04.2"``.
        answer: ``"async"`` for a coroutine function, ``"function"`` for a
            plain one, ``"value"`` for anything else.
        parameters: how many positional arguments the function takes.
        limit: seconds until the answer counts as waiting for ever.
        picture: what shows the run of a wrong answer: ``"timeline"``,
            ``"wiretap"``, or ``None`` where there is nothing to see.
    """

    def register(judge):
        _exercises[number] = Exercise(
            number, judge, answer, parameters, limit, picture
        )
        return judge

    return register


class Check:
    """Check an exercise's answer: ``await check("04.2", shout)``.

    Arguments:
        number: the exercise's number, in quotes.
        answer: your answer: the function itself, without parentheses.

    It shows one of three things: not started; right, and what it saw; wrong,
    with what was expected, what was seen and the tasks of that run. An
    answer that raises, blocks or never ends is reported, not raised.

    Raises:
        ValueError: for an exercise number that does not exist.
    """

    def __init__(self, language: str) -> None:
        self.language = language

    async def __call__(self, number: str, answer: Any) -> None:
        found = await self.verdict(number, answer)
        if found.state == "right":
            remember(number)
        text = found.said[self.language]
        if last_cell_failed():
            text += "\n\n" + TEXT[self.language]["failed-cell"]
        show({"text/markdown": text, "text/plain": text})
        if isinstance(found.run, Wiretap):
            show(found.run.bundle(self.language))
        elif found.run is not None:
            show(draw(found.run, self.language))

    async def verdict(self, number: str, answer: Any) -> Verdict:
        """The same, as a value."""
        asked = _find(number)
        if asked is None:
            known = ", ".join(_near(number))
            message = TEXT[self.language]["bad-number"]
            raise ValueError(message.format(number=number, known=known))
        if not _started(answer):
            said = {
                language: words["unstarted"].format(number=number)
                for language, words in TEXT.items()
            }
            return Verdict(number, "unstarted", said)
        run, tap = Recorder(), Wiretap()
        found = _misshapen(asked, answer)
        if found is None:
            found = await _run(asked, answer, run, tap)
        said = {language: _say(asked, found, language) for language in TEXT}
        if isinstance(found, Right):
            return Verdict(number, "right", said)
        pictures = {"wiretap": tap}
        if run.finished - run.began > BRIEF:
            pictures["timeline"] = run
        ran = pictures.get(asked.picture) if run.lanes else None
        return Verdict(number, "wrong", said, found.mistake, ran)


def _say(asked: Exercise, found: Right | Wrong, language: str) -> str:
    words = TEXT[language]
    state = "right" if isinstance(found, Right) else "wrong"
    message = getattr(found, language)
    parts = [words[state].format(number=asked.number, message=message)]
    for key in ("expected", "seen"):
        value = getattr(found, key, _UNSET)
        if value is not _UNSET:
            parts.append(f"{words[key]}:\n\n{_fenced(value, language)}")
    return "\n\n".join(parts)


def _generic(
    mistake: str, limit: float | None = None, seen: Any = _UNSET
) -> Wrong:
    es = TEXT["es"][mistake].format(limit=limit)
    en = TEXT["en"][mistake].format(limit=limit)
    return Wrong(mistake, es=es, en=en, seen=seen)


def _find(number: Any) -> Exercise | None:
    if not isinstance(number, str):
        return None
    match = re.fullmatch(r"(\d\d)\.\d+", number)
    module = f"lesson_{match[1]}" if match else None
    if module in _lesson_modules():
        importlib.import_module(f"aula.judges.{module}")
    return _exercises.get(number)


def numbers() -> list[str]:
    """The numbers of all exercises, in order."""
    for module in _lesson_modules():
        importlib.import_module(f"aula.judges.{module}")
    return sorted(_exercises)


def _near(number: Any) -> list[str]:
    """The exercises of the same lesson, or else of all lessons."""
    lesson = f"{number}".partition(".")[0].zfill(2)
    same = [n for n in numbers() if n.startswith(f"{lesson}.")]
    return same or numbers()


def _lesson_modules() -> list[str]:
    return [m.name for m in pkgutil.iter_modules(aula.judges.__path__)]


def _started(answer: Any) -> bool:
    """Whether nothing in the answer is still ``...``."""
    return not any(piece is ... for piece in _pieces(answer, set()))


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


def _constants(function: Callable) -> list[Any]:
    """The constants in a function's source, where they may be blanks."""
    try:
        source = textwrap.dedent(inspect.getsource(function))
        nodes = list(ast.walk(ast.parse(source)))
    except (OSError, SyntaxError, TypeError, ValueError):
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


def _misshapen(asked: Exercise, answer: Any) -> Wrong | None:
    """What keeps an answer from being called as the exercise says."""
    if asked.answer == "value":
        return None
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        return _generic("called")
    needs_async = asked.answer == "async"
    if not callable(answer) or (needs_async and inspect.isclass(answer)):
        return _generic("not-function", seen=answer)
    is_async = inspect.iscoroutinefunction(answer) or (
        inspect.iscoroutinefunction(type(answer).__call__)
    )
    if needs_async and inspect.isasyncgenfunction(answer):
        return _generic("yields")
    if needs_async and not is_async:
        return _generic("not-async")
    if is_async and not needs_async:
        return _generic("not-plain")
    try:
        inspect.signature(answer).bind(*[None] * asked.parameters)
    except TypeError:
        code = getattr(answer, "__code__", None)
        # Handlers took a path before websockets 10.1.
        asked_for = code.co_varnames[: code.co_argcount] if code else ()
        old = asked_for[:2] == ("websocket", "path")
        return _generic("old-handler" if old else "arity")
    except ValueError:  # some builtins have no signature
        return None
    return None


async def _run(
    asked: Exercise, answer: Any, run: Recorder, tap: Wiretap
) -> Right | Wrong:
    """Judge an answer under its time limit and clear up after it.

    It returns what is wrong instead of raising it: the less holds on to the
    answer's tracebacks, the sooner its forgotten coroutines come to light.
    """
    loop = asyncio.get_running_loop()
    factory = loop.get_task_factory()
    handler = loop.get_exception_handler()
    # An answer may put something else in place of asyncio.sleep.
    library = vars(asyncio).copy()
    scope = _Scope()
    judging = asked.judge(answer, run)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with _Watchdog(asked.limit + GRACE, scope) as watchdog:
            scope.start()
            run.start()
            tap.start()
            # The verdict says what failed.
            loop.set_exception_handler(lambda *_: None)
            try:
                task = scope.enter(judging, asked.number)
                await asyncio.wait({task}, timeout=asked.limit)
            finally:
                late = not task.done()
                tap.stop()
                run.stop()
                watchdog.wait_until(time.monotonic() + 2 * GRACE)
                try:
                    await scope.clear()
                finally:
                    scope.stop()
                    loop.set_task_factory(factory)
                    loop.set_exception_handler(handler)
                    vars(asyncio).update(library)
        # The cell only waits; the judge matters where it runs the answer.
        for lane in run.lanes:
            lane.shown &= lane.task not in (asyncio.current_task(), task)
        if not any(lane.shown for lane in run.lanes):
            run.adopt(task, getattr(answer, "__name__", asked.number))
        cancelled = task.cancelled()
        error = None if late or cancelled else task.exception()
        forgotten = isinstance(error, Wrong) and _close_all(error.seen)
        forgotten |= any("was never awaited" in str(w.message) for w in caught)
    if watchdog.fired:
        return _generic("blocks", asked.limit)
    if isinstance(error, Wrong) and error.mistake == "forgotten-await":
        return error
    # An exception of the answer's own tells more; but "object of type
    # 'coroutine' has no len()" is what a forgotten await looks like.
    said = "".join(traceback.format_exception_only(error)) if error else ""
    if forgotten and (late or isinstance(error, Wrong) or "coroutine" in said):
        return _generic("forgotten-await")
    if late:
        return _generic("too-slow", asked.limit)
    if cancelled:
        return _generic("cancelled")
    if error is None:
        return task.result()
    if isinstance(error, Wrong):
        return error
    return _generic("raises", seen=error)


def _let_go(error: BaseException) -> None:
    """Free the variables of the frames an exception has come through."""
    known: set[int] = set()
    errors = [error]
    while errors:
        error = errors.pop()
        if isinstance(error, BaseException) and id(error) not in known:
            known.add(id(error))
            traceback.clear_frames(error.__traceback__)
            errors += [error.__cause__, error.__context__]
            if isinstance(error, Wrong):
                errors.append(error.seen)
            if isinstance(error, BaseExceptionGroup):
                errors += error.exceptions


def _close_all(value: Any) -> bool:
    """Close what was never awaited in a value; tell whether there was any."""
    forgotten = [
        piece
        for piece in _pieces(value, set())
        if inspect.iscoroutine(piece)
        and inspect.getcoroutinestate(piece) == inspect.CORO_CREATED
    ]
    for coroutine in forgotten:
        coroutine.close()
    return bool(forgotten)


_scope: contextvars.ContextVar = contextvars.ContextVar("scope", default=None)


class _Scope(Recorder):
    """Knows the tasks that an answer starts, and ends them.

    What an answer starts, directly or not, runs in a context that bears its
    scope. The tasks of other cells do not, and go on meanwhile.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tasks: set[asyncio.Task] = set()
        self.stopped = False

    def enter(self, coro: Coroutine, name: str) -> asyncio.Task:
        """Start the first task in it."""
        token = _scope.set(self)
        try:
            return asyncio.create_task(coro, name=name)
        finally:
            _scope.reset(token)

    def created(self, task: asyncio.Task, *_) -> None:
        if _scope.get() is self:
            self.tasks.add(task)

    # Some tasks are made without the task factory.
    before_step = created

    def after_step(self, *_) -> None:
        pass

    def contains(self, task: asyncio.Task) -> bool:
        # After Stop, KeyboardInterrupt is meant for the event loop.
        return task in self.tasks and not self.stopped

    async def clear(self) -> None:
        """End all tasks, because nobody else will await them."""
        brief = GRACE / 10
        for patience in (GRACE, brief, brief):
            if not await self._cancel(patience):
                break
        for task in self.tasks:
            if not task.done():
                # It swallows each cancellation. So its next step fails.
                with suppress(Exception):
                    task.get_coro().close()
        await self._cancel(brief)
        for task in self.tasks:
            if task.done() and not task.cancelled():
                # Retrieved, and so no orphan.
                _let_go(task.exception())

    async def _cancel(self, patience: float) -> bool:
        """Cancel all tasks and tell whether one is still alive."""
        alive = {task for task in self.tasks if not task.done()}
        for task in alive:
            task.cancel()
        if alive:
            await asyncio.wait(alive, timeout=patience)
        return any(not task.done() for task in self.tasks)


class Interrupted(BaseException):
    """Raised inside an answer that holds the event loop too long."""


class _Watchdog:
    """Interrupts an answer that blocks: no timer of the loop can.

    A thread sends the process SIGINT when time is up; the handler raises in
    what holds the loop, if it is the answer's.
    """

    def __init__(self, limit: float, scope: _Scope) -> None:
        self.fired = False
        self._deadline = time.monotonic() + limit
        self._scope = scope
        self._over = threading.Event()
        self._sent = False

    def __enter__(self) -> _Watchdog:
        # Only the main thread gets signals.
        self._active = threading.current_thread() is threading.main_thread()
        if self._active:
            self._before = signal.signal(signal.SIGINT, self._interrupted)
            # A kernel may end while a check waits.
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        if self._active:
            # Or its last signal might reach the handler from before.
            self._thread.join()
            signal.signal(signal.SIGINT, self._before)

    def wait_until(self, deadline: float) -> None:
        """Let the answer hold the loop until a time of time.monotonic."""
        self._deadline = deadline

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            if time.monotonic() > self._deadline:
                self._sent = True
                if hasattr(signal, "pthread_kill"):
                    # This breaks off a system call such as time.sleep.
                    main = threading.main_thread().ident
                    signal.pthread_kill(main, signal.SIGINT)
                else:
                    signal.raise_signal(signal.SIGINT)

    def _interrupted(self, number, frame) -> None:
        if not self._sent:
            if callable(self._before):
                self._scope.stopped = True
                # An answer that blocks would let it wait.
                self.wait_until(min(self._deadline, time.monotonic() + STOP))
                self._before(number, frame)
            return
        self._sent = False
        if _scope.get() is self._scope:
            self.fired = True
            raise Interrupted


def _fenced(value: Any, language: str) -> str:
    """A value as a block of Markdown code, whatever is in it."""
    if isinstance(value, BaseException):
        text = describe(value, language)
    elif type(value) is str and "\n" in value:
        text = value
    else:
        try:
            text = repr(value)
        except Exception as error:
            text = f"<{type(value).__name__}: {type(error).__name__}>"
    if len(text) > 600:
        text = text[:600] + "…"
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", text))])
    return f"{fence}text\n{text}\n{fence}"
