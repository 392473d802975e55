"""Tells observers what the tasks of an event loop do.

The learner's code stays as it is: a task factory tells of each task that is
made, and the event loop's ``call_soon``, through which every step of every
task passes, tells when each step began and ended.

This file, and stores.py for queues and locks, are the only ones that know the
insides of asyncio, and they know nobody above them. No public way does the
same on all Pythons of the course; what they rely on tests/test_canaries.py
watches.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from functools import partial
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

from aula.instruments.jobs import Job, leave_out

Task = asyncio.Task[Any]

_PUBLIC = frozenset(dir(asyncio.Task))
_LOOP = asyncio.Handle._run.__code__  # what runs a loop's callbacks


class Observer:
    """What is told of a loop's tasks, as trio's ``Instrument`` is told.

    Derive from it and override what matters.
    """

    def before_task_spawned(
        self, coro: Coroutine[Any, Any, Any], asker: FrameType | None
    ) -> Any:
        """Called when a task is about to be made, as yet without a step.

        Arguments:
            coro: what it will run.
            asker: the frame that asks for it, the nearest that is not
                asyncio's; None where the loop itself does.

        Returns:
            what ``task_spawned`` shall be given.
        """

    def task_spawned(self, task: Task, note: Any) -> None:
        """Called when a task has been made.

        An eager one has run its first step by then, of which is told next.

        Arguments:
            note: what ``before_task_spawned`` returned.
        """

    def before_task_step(self, task: Task) -> None:
        """Called when the loop is about to run a step of a task."""

    def after_task_step(self, task: Task, began: float) -> None:
        """Called when a step of a task is over.

        Arguments:
            began: when the step did, by ``time.perf_counter``.
        """

    def task_cancelling(self, task: Task, by: str) -> None:
        """Called when a task that waits is woken to be cancelled.

        It is told again at each wait of one that lives on. One that has its
        turn already is not woken: ``Task.cancelling`` tells of it.

        Arguments:
            by: ``"deadline"``, ``"group"`` or, of any other, ``"call"``;
                ``""`` if its own group wakes it, which it waits for.
        """

    def task_exited(self, task: Task) -> None:
        """Called when the step that is over was the task's last."""

    def job_submitted(
        self, job: Job, future: asyncio.Future[Any], asker: FrameType | None
    ) -> None:
        """Called when an executor has been given a job.

        Arguments:
            future: what is awaited of it. What it calls when it is done is
                called before whoever awaits it goes on.
            asker: the frame that asks for it, the nearest that is not
                asyncio's; None where the loop itself does.
        """

    def contains(self, task: Task) -> bool:
        """Whether SystemExit and KeyboardInterrupt must not leave a task.

        A task notes them, and then hands them on to the event loop, which
        ends. Contained, they go no further.
        """
        return False


def observe(loop: asyncio.AbstractEventLoop, observer: Observer) -> None:
    """Tell an observer of a loop's tasks from now on."""
    if loop not in _watches:
        _watches[loop] = _Watch(loop)
    _watches[loop].add(observer)


def ignore(loop: asyncio.AbstractEventLoop, observer: Observer) -> None:
    """Tell it no more; the last to go leaves the loop as it was found."""
    if _watches[loop].remove(observer):
        # The watch works on for whoever still holds one of its hooks, but
        # must not keep the loop alive.
        del _watches[loop]


class _Watch:
    """The one hook on an event loop, shared by all that observe it."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._observers: list[Observer] = []
        self._factory = loop.get_task_factory()
        self._was = vars(loop).get("call_soon")
        self._call_soon = loop.call_soon
        # Bound methods are made anew each time they are asked for.
        self._hooks = self._create, self._schedule
        loop.set_task_factory(self._hooks[0])
        loop.call_soon = self._hooks[1]
        self._run_in_executor = loop.run_in_executor
        self._submitter = loop.run_in_executor = self._submit

    def add(self, observer: Observer) -> None:
        self._observers.append(observer)

    def remove(self, observer: Observer) -> bool:
        """Forget an observer; with the last, leave the loop. Tell whether."""
        self._observers.remove(observer)
        if self._observers:
            return False
        # What the block has put in place of the hooks stays.
        if self._loop.get_task_factory() is self._hooks[0]:
            self._loop.set_task_factory(self._factory)
        if self._loop.call_soon is self._hooks[1]:
            if self._was is None:
                del self._loop.call_soon
            else:
                self._loop.call_soon = self._was
        if vars(self._loop).get("run_in_executor") is self._submitter:
            del self._loop.run_in_executor
        return True

    def _create(
        self,
        loop: asyncio.AbstractEventLoop,
        coro: Coroutine[Any, Any, Any],
        **options: Any,
    ) -> Task:
        """The task factory: makes the task as it would have been made."""
        asker = _asker(sys._getframe())
        notes = [
            (observer, observer.before_task_spawned(coro, asker))
            for observer in self._observers
        ]
        began = time.perf_counter()
        task: Task = (self._factory or _new_task)(loop, coro, **options)
        for observer, note in notes:
            if observer in self._observers:
                observer.task_spawned(task, note)
        if _has_run(task):  # its first step, by an eager task factory
            self._tell_begin(task)
            self._tell_end(task, began)
        return task

    def _schedule(
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """``loop.call_soon``, through which every step of a task passes."""
        task = getattr(callback, "__self__", None)
        # Steps are private; call_soon(task.cancel) is no step.
        if (
            hasattr(task, "get_coro")
            and hasattr(task, "done")
            and getattr(callback, "__name__", "") not in _PUBLIC
        ):
            if callback.__self__.cancelling():
                by = _canceller(sys._getframe(1))
                for observer in self._observers:
                    observer.task_cancelling(callback.__self__, by)
            callback = partial(self._step, callback.__self__, callback)
        handle: asyncio.Handle
        handle = self._call_soon(callback, *args, context=context)
        return handle

    def _submit(
        self, executor: Any, call: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """``loop.run_in_executor``."""
        in_thread = executor is None or isinstance(
            executor, ThreadPoolExecutor
        )
        job = Job(call, args, in_thread)
        if in_thread:  # what goes to another process must be pickled
            args, call = (call, *args), job.run
        future: asyncio.Future[Any]
        future = self._run_in_executor(executor, call, *args)
        future.add_done_callback(leave_out)
        asker = _asker(sys._getframe())
        for observer in self._observers:
            observer.job_submitted(job, future, asker)
        return future

    def _step(self, task: Task, callback: Any, *args: Any) -> None:
        self._tell_begin(task)
        began = time.perf_counter()
        try:
            callback(*args)
        except (SystemExit, KeyboardInterrupt):
            # The task has noted it already, for whoever awaits it.
            if not self._contain(task):
                raise
        finally:
            self._tell_end(task, began)
            # An exception of the task holds this frame: no cycle, please, or
            # nobody learns of it until garbage is collected.
            del task, callback, args

    def _tell_begin(self, task: Task) -> None:
        for observer in self._observers:
            observer.before_task_step(task)

    def _tell_end(self, task: Task, began: float) -> None:
        for observer in self._observers:
            observer.after_task_step(task, began)
        if task.done():
            for observer in self._observers:
                observer.task_exited(task)

    def _contain(self, task: Task) -> bool:
        return any(observer.contains(task) for observer in self._observers)


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch] = (
    WeakKeyDictionary()
)


def _new_task(
    loop: asyncio.AbstractEventLoop,
    coro: Coroutine[Any, Any, Any],
    **options: Any,
) -> Task:
    """What a loop does that has no task factory."""
    return asyncio.Task(coro, loop=loop, **options)


def _asker(frame: FrameType | None) -> FrameType | None:
    """The nearest frame that is not asyncio's, up to a turn of the loop."""
    while frame is not None and frame.f_code is not _LOOP:
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] != "asyncio" and module != __name__:
            return frame
        frame = frame.f_back
    return None


def _canceller(frame: FrameType | None) -> str:
    """Who asks for the cancellation that this frame has a part in."""
    while frame is not None and frame.f_code is not _LOOP:
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] != "asyncio":
            break
        match frame.f_code.co_name:
            case "_on_timeout":
                return "deadline"
            case "_abort":
                return "group"
            case "_on_task_done":  # of the task that the group is in
                return "" if frame.f_locals["self"]._exiting else "group"
            case "wait_for":  # before 3.12: for its deadline or as it is told
                task = asyncio.current_task()
                return "call" if task and task.cancelling() else "deadline"
        frame = frame.f_back
    return "call"


def call_next(
    loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *args: Any
) -> None:
    """Have a loop run a callback next, before all that waits for its turn."""
    handle = loop.call_soon(callback, *args)
    ready = getattr(loop, "_ready", None)
    # Unless somebody's call_soon has put something else behind it.
    if ready and ready[-1] is handle:
        ready.rotate()


def is_stillborn(task: Task) -> bool:
    """Whether a task was cancelled before it could start."""
    return task.cancelling() > 0 and not _has_run(task)


def _has_run(task: Task) -> bool:
    """Whether a task that nobody has seen run has taken its first step."""
    return task.done() or bool(getattr(task.get_coro(), "cr_await", None))


def failure(task: asyncio.Future[Any]) -> BaseException | None:
    """What a task that has ended raised.

    Not ``Task.exception()``: that would count as retrieving it, and an
    orphaned exception has to be reported as such.
    """
    return task._exception


def is_orphaned(task: Task) -> bool:
    """Whether a task has raised what nobody has retrieved as yet."""
    return task._log_traceback


def context_of(handle: Any) -> Context | None:
    """The context that a loop's callback runs in; None where it has none."""
    if hasattr(handle, "get_context"):  # since Python 3.12
        handle = handle.get_context()
        return handle if isinstance(handle, Context) else None
    return getattr(handle, "_context", None)


def await_chain(task: Task) -> list[Any]:
    """The coroutines that a suspended task stands in, outermost first."""
    chain: list[Any] = []
    coro: Any = task.get_coro()
    while True:
        try:
            inner = coro.cr_await
        except AttributeError:  # a future, or a generator
            return chain
        chain.append(coro)
        coro = inner


def awaited_by(task: Task) -> Any:
    """The future that a suspended task waits for, maybe another task."""
    return getattr(task, "_fut_waiter", None)


def frame_of(coro: Any) -> FrameType | None:
    """The frame of a coroutine; None if it has ended or hides it."""
    return getattr(coro, "cr_frame", None) or getattr(coro, "gi_frame", None)


def is_asyncios_own(coro: Any) -> bool:
    """Whether asyncio runs a coroutine for a purpose of its own."""
    frame = frame_of(coro)
    if frame is None or _wraps_awaitable(frame):
        return False
    name = f"{frame.f_globals.get('__name__')}.{frame.f_code.co_name}"
    return re.match(r"asyncio\.\w+\._", name) is not None


def wrapped_awaitable(coro: Any) -> Any:
    """What a coroutine awaits that asyncio made for what is none, or None."""
    frame = frame_of(coro)
    if frame is None or not _wraps_awaitable(frame):
        return None
    return frame.f_locals.get("awaitable")


def _wraps_awaitable(frame: FrameType) -> bool:
    return frame.f_code.co_name == "_wrap_awaitable"
