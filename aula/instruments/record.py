"""Records what the tasks of a block did, and when."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary, ref

from aula.instruments import frames, labels, tasks
from aula.instruments.tasks import Task

BLOCKING = 0.1  # seconds a step may take before it counts as blocking


def is_blocking(began: float, ended: float) -> bool:
    """Whether a step held the event loop too long."""
    return ended - began >= BLOCKING


@dataclass(eq=False)
class Lane:
    """One task: its label, its steps and its end. Times in seconds.

    Attributes:
        waits: when it began to wait in what: the coroutine and its call.
        requests: when it was asked to cancel itself, by what
            (``"deadline"``, ``"group"``, ``"call"``) and by which lane.
        path: of a server's connection, what its client has asked for.
        creator: the lane of the task that created it, if one did.
    """

    task: Task
    call: str | None
    shown: bool
    created: float
    steps: list[tuple[float, float]] = field(default_factory=list)
    waits: list[tuple[float, ref[Any], str]] = field(default_factory=list)
    requests: list[tuple[float, str, Lane | None]] = field(
        default_factory=list
    )
    path: str = ""
    creator: Lane | None = None
    started: bool = False
    ended: float | None = None
    failure: BaseException | None = None  # of a handler: its server caught it
    cancelling: int = 0  # as Task.cancelling() was last seen

    @property
    def label(self) -> str:
        """The name given to the task, or else its coroutine's call."""
        name = self.task.get_name()
        # 3.13.0 names a task None when a factory made it.
        if self.call is not None and re.fullmatch(r"Task-\d+|None", name):
            return self.call
        return labels.cut(name, labels.LONGEST_LABEL)

    def moments(self, finished: float) -> tuple[float, float, float]:
        """When it was created, when its first step began and when it ended.

        Arguments:
            finished: until when it is drawn, for what has not happened yet.
        """
        ended = self.ended or finished
        return self.created, self.steps[0][0] if self.steps else ended, ended

    @property
    def blocks(self) -> list[tuple[float, float]]:
        """The steps that held the event loop too long."""
        return [step for step in self.steps if is_blocking(*step)]

    def outcome(self) -> tuple[str, str]:
        """How it ended, and the value that goes with it.

        The ends are returned, raised, cancelled, pending and unstarted.
        """
        if self.ended is None:
            return ("pending" if self.started else "unstarted"), ""
        if self.task.cancelled():
            return "cancelled", ""
        error = self.failure or tasks.failure(self.task)
        if error is not None:
            text = type(error).__name__
            with suppress(Exception):  # a __str__ may fail, too
                text = f"{text}: {error}".removesuffix(": ")
            return "raised", labels.cut(text.partition("\n")[0])
        value = self.task.result()
        return "returned", labels.value(value) or type(value).__name__


class Recorder(tasks.Observer):
    """Records the tasks of the running event loop between start and stop.

    Attributes:
        lanes: the block's own task first, then each task in the order of
            its creation, those that libraries start for themselves too
            (their ``shown`` is false).
        own: the lane of the block's own task; None where it has none.
        events: ``(kind, lane)`` in the order in which they happened; the
            kinds are created, started, blocked and ended.
        began, finished: when recording began and ended, in seconds of
            ``time.perf_counter``.
    """

    def __init__(self) -> None:
        self.lanes: list[Lane] = []
        self.own: Lane | None = None
        self.events: list[tuple[str, Lane]] = []
        self.began = self.finished = 0.0
        self._by_task: dict[Task, Lane] = {}
        self._own_step: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failures = _Failures(self._by_task)
        self._calls: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._connections: dict[Task, Any] = {}

    def start(self) -> None:
        """Begin to record. A recorder records once.

        Raises:
            RuntimeError: outside a running event loop.
        """
        self._loop = asyncio.get_running_loop()
        self.began = self._own_step = time.perf_counter()
        task = asyncio.current_task()
        if task is not None:
            coro = task.get_coro()
            call = None if labels.is_librarys(coro) else labels.call(coro)
            self.own = self._add(task, call, True, self.began)
            self.own.started = True
            self.events.append(("started", self.own))
            # Nothing tells when the step that is running now will end, but
            # the loop runs this right after it.
            tasks.call_next(self._loop, self._after_first_step, task)
        tasks.observe(self._loop, self)
        logging.getLogger("websockets.server").addHandler(self._failures)

    def stop(self) -> None:
        """Stop recording and leave the loop as it was found."""
        if self._loop is None:
            return
        self.finished = time.perf_counter()
        logging.getLogger("websockets.server").removeHandler(self._failures)
        tasks.ignore(self._loop, self)
        self._loop = None
        if self.own is not None and self._own_step is not None:
            self._step(self.own, self._own_step, self.finished)
        for task, connection in self._connections.items():
            if task in self._by_task:
                self._by_task[task].path = frames.path_of(connection)
        self._connections.clear()

    def adopt(self, task: Task, name: str) -> None:
        """Draw a task as if it were the block's own: how it ended is not told.

        Arguments:
            name: its new name.
        """
        lane = self._by_task[task]
        lane.shown = True
        task.set_name(name)
        if lane.ended is not None:
            self.own = lane
            self.events.remove(("ended", lane))

    def leave_out(self, task: Task) -> None:
        """Forget a task that has been made: nothing of it is told."""
        lane = self._by_task.pop(task, None)
        if lane is not None:
            self.lanes.remove(lane)
            self.events.remove(("created", lane))

    # What the event loop tells: see tasks.Observer.

    def before_task_spawned(
        self, coro: Coroutine[Any, Any, Any], asker: FrameType | None
    ) -> tuple[str, bool, float, Any]:
        # All of it now: an eager task runs before it is told of.
        shown = labels.is_learners(coro, asker)
        call, connection = labels.call(coro), frames.connection_of(coro)
        return call, shown, time.perf_counter(), connection

    def task_spawned(
        self, task: Task, note: tuple[str, bool, float, Any]
    ) -> None:
        call, shown, created, connection = note
        lane = self._add(task, call, shown, created)
        lane.creator = self._current()
        self.events.append(("created", lane))
        if connection is not None:
            self._connections[task] = connection

    def before_task_step(self, task: Task) -> None:
        lane = self._by_task.get(task)
        if lane is None:
            return
        if lane is self.own:
            self._own_step = time.perf_counter()
        if task.cancelling() > lane.cancelling:  # it had its turn already
            self.task_cancelling(task, "call")
        # One that is cancelled before it starts is told so, and not started.
        if not lane.started and not tasks.is_stillborn(task):
            lane.started = True
            self.events.append(("started", lane))

    def after_task_step(self, task: Task, began: float) -> None:
        lane = self._by_task.get(task)
        if lane is None:
            return
        if lane is self.own:
            self._own_step = None
        if lane.started:
            self._step(lane, max(began, self.began), time.perf_counter())
        if task.cancelling() > lane.cancelling:  # by itself
            lane.requests.append((lane.steps[-1][1], "call", lane))
        lane.cancelling = task.cancelling()
        if not task.done():
            self._note_wait(lane)

    def task_cancelling(self, task: Task, by: str) -> None:
        # Those that wait for it were asked first, and told nothing.
        for other in self.lanes:
            count = other.task.cancelling()
            if count > other.cancelling and other.ended is None:
                other.cancelling = count
                if by:
                    asked = time.perf_counter(), by, self._current()
                    other.requests.append(asked)

    def task_exited(self, task: Task) -> None:
        lane = self._by_task.get(task)
        if lane is not None:
            lane.ended = time.perf_counter()
            self.events.append(("ended", lane))

    def _current(self) -> Lane | None:
        """The lane of the task that the loop is running, if it has one."""
        task = asyncio.current_task(self._loop)
        return self._by_task.get(task) if task else None

    def _add(
        self, task: Task, call: str | None, shown: bool, created: float
    ) -> Lane:
        lane = Lane(task, call, shown, created)
        self.lanes.append(lane)
        self._by_task[task] = lane
        return lane

    def _step(self, lane: Lane, began: float, ended: float) -> None:
        lane.steps.append((began, ended))
        if is_blocking(began, ended):
            self.events.append(("blocked", lane))

    def _after_first_step(self, task: Task) -> None:
        if self._loop is not None and self._own_step == self.began:
            self.after_task_step(task, self.began)
            if task.done():
                self.task_exited(task)

    def _note_wait(self, lane: Lane) -> None:
        """Note which coroutine of the learner's own the task waits in.

        The outermost bears no name: the row is called after it.
        """
        chain = tasks.await_chain(lane.task)
        own = [coro for coro in chain if not labels.is_librarys(coro)]
        if not own or (lane.waits and lane.waits[-1][1]() is own[-1]):
            return
        call = ""
        if len(own) > 1:
            call = self._calls.setdefault(own[-1], labels.call(own[-1]))
        if call or lane.waits:
            lane.waits.append((lane.steps[-1][1], ref(own[-1]), call))


class _Failures(logging.Handler):
    """Notes the exceptions of handlers: the library catches and logs them."""

    def __init__(self, lanes: dict[Task, Lane]) -> None:
        super().__init__(logging.ERROR)
        self._lanes = lanes

    def emit(self, record: logging.LogRecord) -> None:
        try:
            task = asyncio.current_task()
        except RuntimeError:
            return  # another thread, such as that of a blocking server
        if task in self._lanes and record.exc_info:
            self._lanes[task].failure = record.exc_info[1]
