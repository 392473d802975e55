"""What an answer starts and causes, told from what other cells do.

What an answer starts, directly or not, runs in a context that bears its scope.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import traceback
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from aula.exercises.exercise import Wrong
from aula.instruments import tasks
from aula.instruments.record import Recorder
from aula.kernel import is_goodbye_of_windows

# What an exception handler is given, and what it is.
Report = dict[str, Any]
Handler = Callable[[asyncio.AbstractEventLoop, Report], object]

current: contextvars.ContextVar[Scope | None] = contextvars.ContextVar(
    "scope", default=None
)


@contextmanager
def hear_warnings() -> Iterator[list[warnings.WarningMessage]]:
    """The warnings that the answer under check causes in a block.

    Those that tasks of other cells cause are none of them. The check hears
    of its own after the block, too.
    """
    heard: list[warnings.WarningMessage] = []
    try:
        with hear_warnings_of(current.get()) as heard:
            yield heard
    finally:
        for warning in heard:
            _warn_again(warning)


def hear_reports() -> list[Report]:
    """What the loop reports of the answer under check, from now on.

    What it reports of other cells' tasks goes where it went before.
    """
    heard: list[Report] = []
    scope = current.get()
    if scope is not None:
        scope.heard = heard
    return heard


@contextmanager
def hear_warnings_of(
    scope: Scope | None,
) -> Iterator[list[warnings.WarningMessage]]:
    """The warnings of a scope; others are given once more after the block."""
    heard: list[warnings.WarningMessage] = []
    others: list[warnings.WarningMessage] = []

    def hear(*args: Any, **options: Any) -> None:
        own = current.get() is scope
        warning = warnings.WarningMessage(*args, **options)
        (heard if own else others).append(warning)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = hear
            yield heard
    finally:
        for warning in others:
            contextvars.Context().run(_warn_again, warning)


def _warn_again(warning: warnings.WarningMessage) -> None:
    with suppress(Warning):  # where they are errors
        warnings.warn_explicit(
            warning.message,
            warning.category,
            warning.filename,
            warning.lineno,
        )


def let_go(error: BaseException | None) -> None:
    """Free the variables of the frames an exception has come through.

    A coroutine that nobody awaited warns when it is dropped, and until then
    the traceback holds it.
    """
    known: set[int] = set()
    errors: list[Any] = [error]
    while errors:
        error = errors.pop()
        if isinstance(error, BaseException) and id(error) not in known:
            known.add(id(error))
            for frame, _ in traceback.walk_tb(error.__traceback__):
                with suppress(RuntimeError):  # it still runs
                    frame.clear()
                    # Until Python 3.13 it keeps a copy of its variables for
                    # whoever asked; asked again, it drops what is gone.
                    frame.f_locals  # noqa: B018
            errors += [error.__cause__, error.__context__]
            if isinstance(error, Wrong):
                errors.append(error.seen)
            if isinstance(error, BaseExceptionGroup):
                errors += error.exceptions


class Scope(tasks.Observer):
    """Knows the tasks that an answer starts, and ends them.

    The tasks of other cells go on meanwhile.

    Arguments:
        grace: seconds its tasks have to end after they are cancelled.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self.tasks: set[tasks.Task] = set()
        self.stopped = False
        self.over = False
        self.run: Recorder | None = None
        self.heard: list[Report] | None = None  # where a judge asks
        self.turn = threading.Lock()  # for the checks that it runs itself

    def enter(self, coro: Coroutine[Any, Any, Any], name: str) -> tasks.Task:
        """Start the first task in it."""
        with self._within():
            return asyncio.create_task(coro, name=name)

    def task_spawned(self, task: tasks.Task, note: Any) -> None:
        self.before_task_step(task)
        # What other cells do meanwhile is none of the answer's.
        if task not in self.tasks and self.run is not None:
            self.run.leave_out(task)

    def before_task_step(self, task: tasks.Task) -> None:
        # Some tasks are made without the task factory.
        if current.get() is self:
            self.tasks.add(task)

    def contains(self, task: tasks.Task) -> bool:
        # After Stop, KeyboardInterrupt is meant for the event loop.
        return task in self.tasks and not self.stopped

    def hear_unless_own(self, heard_before: Handler | None) -> Handler:
        """An exception handler that hands on what is none of the answer's.

        Arguments:
            heard_before: the loop's handler so far; None for its default.
        """

        def hear(loop: asyncio.AbstractEventLoop, report: Report) -> None:
            if is_goodbye_of_windows(report):
                return
            if self._owns(report):
                if self.heard is not None:
                    self.heard.append(report)
            elif heard_before is None:
                loop.default_exception_handler(report)
            else:
                heard_before(loop, report)

        return hear

    def _owns(self, report: Report) -> bool:
        """Whether the loop reports what the answer has done."""
        task = report.get("task") or report.get("future")
        if isinstance(task, asyncio.Task):
            return task in self.tasks
        error = report.get("exception")
        if error is not None and any(
            task.done() and tasks.failure(task) is error for task in self.tasks
        ):
            return True  # by a future that gathers, say
        context = tasks.context_of(report.get("handle"))
        scope = context.get(current) if context else current.get()
        return scope is self

    async def clear(self) -> None:
        """End all tasks, because nobody else will await them."""
        try:
            await self._clear()
        finally:
            self.over, self.run, self.heard = True, None, None

    async def _clear(self) -> None:
        brief = self._grace / 10
        for patience in (self._grace, brief, brief):
            if not await self._cancel(patience):
                break
        # A copy each time: what ends may begin others.
        for task in [*self.tasks]:
            if not task.done():
                # It swallows each cancellation. So its next step fails.
                with suppress(Exception), self._within():
                    task.get_coro().close()
        await self._cancel(brief)
        for task in [*self.tasks]:
            if task.done() and not task.cancelled():
                # Retrieved, and so no orphan.
                self.let_go(task.exception())

    def let_go(self, error: BaseException | None) -> None:
        """Free what an exception holds; what comes of it is the answer's."""
        with self._within():
            let_go(error)

    @contextmanager
    def _within(self) -> Iterator[None]:
        token = current.set(self)
        try:
            yield
        finally:
            current.reset(token)

    async def _cancel(self, patience: float) -> bool:
        """Cancel all tasks and tell whether one is still alive."""
        alive = {task for task in self.tasks if not task.done()}
        for task in alive:
            task.cancel()
        if alive:
            await asyncio.wait(alive, timeout=patience)
        return any(not task.done() for task in self.tasks)
