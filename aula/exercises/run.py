"""Runs a learner's answer so that nothing it does gets out.

What can go wrong with any answer at all (raising, waiting for ever, blocking)
is answered here once; the rest is its judge's.
"""

from __future__ import annotations

import asyncio
import contextvars
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Coroutine
from contextlib import suppress
from types import FrameType
from typing import Any

from aula.exercises.answer import close_unawaited
from aula.exercises.exercise import Exercise, Right, Unawaited, Wrong
from aula.instruments import tasks
from aula.instruments.timeline import Timeline
from aula.instruments.wiretap import Wiretap

GRACE = 1.0  # seconds its tasks have to end after they are cancelled
STOP = 0.5  # seconds until Stop breaks off an answer that blocks


async def run_answer(
    asked: Exercise, answer: Any, line: Timeline, tap: Wiretap
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
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with _Watchdog(asked.limit + GRACE, scope) as watchdog:
            tasks.observe(loop, scope)
            line.start()
            tap.start()
            run = line.recorder
            # The verdict says what failed.
            loop.set_exception_handler(lambda *_: None)
            try:
                about = {"run": run} if asked.wants_run else {}
                judging = asked.judge(answer, **about)
                task = scope.enter(judging, asked.number)
                await asyncio.wait({task}, timeout=asked.limit)
            finally:
                late = not task.done()
                tap.stop()
                line.stop()
                watchdog.wait_until(time.monotonic() + 2 * GRACE)
                try:
                    await scope.clear()
                finally:
                    tasks.ignore(loop, scope)
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
        forgotten = isinstance(error, Wrong) and close_unawaited(error.seen)
        forgotten |= any("was never awaited" in str(w.message) for w in caught)
    if watchdog.fired:
        return Wrong("blocks", limit=asked.limit)
    if isinstance(error, Unawaited):
        return error
    # An exception of the answer's own tells more; but "object of type
    # 'coroutine' has no len()" is what a forgotten await looks like.
    said = "".join(traceback.format_exception_only(error)) if error else ""
    if forgotten and (late or isinstance(error, Wrong) or "coroutine" in said):
        return Wrong("forgotten-await")
    if late:
        return Wrong("too-slow", limit=asked.limit)
    if cancelled:
        return Wrong("cancelled")
    if error is None:
        right: Right = task.result()
        return right
    if isinstance(error, Wrong):
        return error
    return Wrong("raises", seen=error)


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


_scope: contextvars.ContextVar[_Scope | None] = contextvars.ContextVar(
    "scope", default=None
)


class _Scope(tasks.Observer):
    """Knows the tasks that an answer starts, and ends them.

    What an answer starts, directly or not, runs in a context that bears its
    scope. The tasks of other cells do not, and go on meanwhile.
    """

    def __init__(self) -> None:
        self.tasks: set[tasks.Task] = set()
        self.stopped = False

    def enter(self, coro: Coroutine[Any, Any, Any], name: str) -> tasks.Task:
        """Start the first task in it."""
        token = _scope.set(self)
        try:
            return asyncio.create_task(coro, name=name)
        finally:
            _scope.reset(token)

    def task_spawned(self, task: tasks.Task, note: Any) -> None:
        self.before_task_step(task)

    def before_task_step(self, task: tasks.Task) -> None:
        # Some tasks are made without the task factory.
        if _scope.get() is self:
            self.tasks.add(task)

    def contains(self, task: tasks.Task) -> bool:
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
                let_go(task.exception())

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

    def __exit__(self, *_: object) -> None:
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
                    assert main is not None
                    signal.pthread_kill(main, signal.SIGINT)
                else:
                    signal.raise_signal(signal.SIGINT)

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
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
