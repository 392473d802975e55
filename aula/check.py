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
import importlib
import inspect
import pkgutil
import re
import signal
import textwrap
import threading
import time
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aula.checks
from aula.display import show
from aula.learner import describe
from aula.timeline import Recorder, draw
from aula.wiretap import Wiretap

LIMIT = 5.0  # seconds an answer may take, unless its exercise says otherwise
GRACE = 1.0  # seconds its tasks have to end after they are cancelled

TEXT = {
    "es": {
        "unstarted": "**○ {number}: sin empezar.** Escribe tu respuesta en "
        "la celda de arriba, en lugar de los puntos `...`, ejecútala y "
        "vuelve aquí.",
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
        "arity": "Tu función no acepta los argumentos que recibe. "
        "Conserva los parámetros que traía la celda.",
        "raises": "Tu código lanzó una excepción.",
        "cancelled": "Tu código se canceló a sí mismo, o dejó escapar un "
        "`CancelledError`.",
        "too-slow": "Tu código no terminó en {limit:g} segundos: espera "
        "algo que no llega.",
        "blocks": "Tu código retuvo el bucle de eventos más de {limit:g} "
        "segundos. Busca una llamada que bloquee (`time.sleep`, un bucle "
        "sin `await`).",
        "forgotten-await": "Falta un `await`: se creó una corrutina y "
        "nadie la esperó.",
        "bad-number": "No existe el ejercicio {number!r}. Hay: {known}.",
    },
    "en": {
        "unstarted": "**○ {number}: not started.** Write your answer in the "
        "cell above, in place of the `...`, run it and come back here.",
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
        "arity": "Your function does not accept the arguments it is given. "
        "Keep the parameters that the cell came with.",
        "raises": "Your code raised an exception.",
        "cancelled": "Your code cancelled itself, or let a "
        "`CancelledError` escape.",
        "too-slow": "Your code did not finish within {limit:g} seconds: it "
        "waits for something that never comes.",
        "blocks": "Your code held the event loop for more than {limit:g} "
        "seconds. Look for a call that blocks (`time.sleep`, a loop without "
        "an `await`).",
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


@dataclass(frozen=True)
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
    """What a check concluded; ``mistake`` is ``None`` unless it is wrong."""

    number: str
    state: str
    markdown: str
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
        text = found.markdown
        show({"text/markdown": text, "text/plain": text})
        if isinstance(found.run, Wiretap):
            show(found.run.bundle())
        elif found.run is not None:
            show(draw(found.run, self.language))

    async def verdict(self, number: str, answer: Any) -> Verdict:
        """The same, as a value."""
        words = TEXT[self.language]
        asked = _find(number)
        if asked is None:
            known = ", ".join(_near(number))
            raise ValueError(
                words["bad-number"].format(number=number, known=known)
            )
        if not _started(answer):
            text = words["unstarted"].format(number=number)
            return Verdict(number, "unstarted", text)
        run, tap = Recorder(), Wiretap()
        tap.language = self.language
        try:
            _check_form(asked, answer)
            tap.start()
            try:
                right = await _run(asked, answer, run)
            finally:
                tap.stop()
        except Wrong as wrong:
            pictures = {"timeline": run, "wiretap": tap, None: None}
            ran = pictures[asked.picture] if run.lanes else None
            return self._wrong(asked, wrong, ran)
        message = getattr(right, self.language)
        text = words["right"].format(number=number, message=message)
        return Verdict(number, "right", text)

    def _wrong(
        self, asked: Exercise, wrong: Wrong, ran: Recorder | Wiretap | None
    ) -> Verdict:
        words = TEXT[self.language]
        parts = [
            words["wrong"].format(
                number=asked.number, message=getattr(wrong, self.language)
            )
        ]
        for key in ("expected", "seen"):
            value = getattr(wrong, key)
            if value is not _UNSET:
                parts.append(f"{words[key]}:\n\n{_fenced(value)}")
        text = "\n\n".join(parts)
        return Verdict(asked.number, "wrong", text, wrong.mistake, ran)


def _generic(mistake: str, limit: float = 0, seen: Any = _UNSET) -> Wrong:
    es = TEXT["es"][mistake].format(limit=limit)
    en = TEXT["en"][mistake].format(limit=limit)
    return Wrong(mistake, es=es, en=en, seen=seen)


def _find(number: Any) -> Exercise | None:
    if not isinstance(number, str):
        return None
    match = re.fullmatch(r"(\d\d)\.\d+", number)
    module = f"lesson_{match[1]}" if match else None
    if module in _lesson_modules():
        importlib.import_module(f"aula.checks.{module}")
    return _exercises.get(number)


def _near(number: Any) -> list[str]:
    """The exercises of the same lesson, or else of all lessons."""
    for module in _lesson_modules():
        importlib.import_module(f"aula.checks.{module}")
    lesson = f"{number}".partition(".")[0]
    same = [n for n in sorted(_exercises) if n.startswith(f"{lesson}.")]
    return same or sorted(_exercises)


def _lesson_modules() -> list[str]:
    return [m.name for m in pkgutil.iter_modules(aula.checks.__path__)]


def _started(answer: Any) -> bool:
    """Whether nothing in the answer is still ``...``."""
    if answer is ...:
        return False
    if not inspect.isfunction(answer) and not inspect.isclass(answer):
        return True
    try:
        source = textwrap.dedent(inspect.getsource(answer))
        tree = ast.parse(source)
    except (OSError, SyntaxError, TypeError):
        return True
    return not any(
        isinstance(node, ast.Constant) and node.value is ...
        for node in ast.walk(tree)
    )


def _check_form(asked: Exercise, answer: Any) -> None:
    """Refuse what cannot be called as the exercise says.

    Raises:
        Wrong: called, not-function, not-async, not-plain or arity.
    """
    if asked.answer == "value":
        return
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise _generic("called")
    if not callable(answer):
        raise _generic("not-function", seen=answer)
    is_async = inspect.iscoroutinefunction(answer)
    if asked.answer == "async" and not is_async:
        raise _generic("not-async")
    if asked.answer == "function" and is_async:
        raise _generic("not-plain")
    try:
        inspect.signature(answer).bind(*[None] * asked.parameters)
    except TypeError:
        raise _generic("arity") from None


async def _run(asked: Exercise, answer: Any, run: Recorder) -> Right:
    """Judge an answer under its time limit and clear up after it.

    Raises:
        Wrong: the judge's, or one of the generic mistakes.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with _Watchdog(asked.limit + GRACE, run) as watchdog:
            run.start()
            try:
                task = asyncio.create_task(
                    asked.judge(answer, run), name=asked.number
                )
                await asyncio.wait({task}, timeout=asked.limit)
            finally:
                run.stop()
                late = not task.done()
                await _clear_up(run)
    for lane in run.lanes:
        if lane.task is asyncio.current_task():
            lane.shown = False  # the cell itself, which only waits
    forgotten = any("was never awaited" in str(w.message) for w in caught)
    if watchdog.fired:
        raise _generic("blocks", asked.limit)
    if late:
        raise _generic("too-slow", asked.limit)
    if task.cancelled():
        raise _generic("cancelled")
    error = task.exception()
    if error is None:
        return task.result()
    if forgotten and getattr(error, "mistake", "") != "forgotten-await":
        raise _generic("forgotten-await") from None
    if isinstance(error, Wrong):
        raise error
    raise _generic("raises", seen=error)


async def _clear_up(run: Recorder) -> None:
    """Cancel what the answer left running; nobody else will await it."""
    here = asyncio.current_task()
    tasks = {lane.task for lane in run.lanes if lane.task is not here}
    for task in tasks:
        task.cancel()
    if tasks:
        done, _ = await asyncio.wait(tasks, timeout=GRACE)
        for task in done:
            if not task.cancelled():
                task.exception()  # retrieved, so that it is no orphan


class _Stalled(BaseException):
    """Raised inside an answer that holds the event loop too long."""


class _Watchdog:
    """Interrupts an answer that blocks: no timer of the loop can.

    A thread sends the process SIGINT when time is up; the handler raises in
    the task that holds the loop, if it is one of the answer's.
    """

    def __init__(self, limit: float, run: Recorder) -> None:
        self.fired = False
        self._deadline = time.monotonic() + limit
        self._run = run
        self._over = threading.Event()
        self._sent = False

    def __enter__(self) -> _Watchdog:
        self._here = asyncio.current_task()
        # Only the main thread gets signals.
        self._active = threading.current_thread() is threading.main_thread()
        if self._active:
            self._before = signal.signal(signal.SIGINT, self._interrupted)
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        if self._active:
            signal.signal(signal.SIGINT, self._before)

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
                self._before(number, frame)
            return
        self._sent = False
        task = asyncio.current_task()
        if task is not self._here and any(
            lane.task is task for lane in self._run.lanes
        ):
            self.fired = True
            raise _Stalled


def _fenced(value: Any) -> str:
    """A value as a block of Markdown code, whatever is in it."""
    if isinstance(value, BaseException):
        text = describe(value)
    elif isinstance(value, str) and "\n" in value:
        text = value
    else:
        try:
            text = repr(value)
        except Exception as error:
            text = f"<{type(value).__name__}: {type(error).__name__}>"
    if len(text) > 600:
        text = text[:600] + "…"
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
