"""Records what the tasks of a block did, and when."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from functools import partial
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary, ref

from aula.instruments import frames, labels, lines, tasks
from aula.instruments.jobs import Job
from aula.instruments.lanes import Lane, is_blocking
from aula.instruments.stores import Stores, waited_in
from aula.instruments.tasks import Task


class Recorder(tasks.Observer):
    """Records the tasks of the running event loop between start and stop.

    Attributes:
        lanes: the block's own task first, then each task in the order of
            its creation, those that libraries start for themselves too
            (their ``shown`` is false).
        own: the lane of the block's own task; None where it has none.
        jobs: what threads and other processes did for them, in order.
        stores: what they waited in for each other.
        events: ``(kind, lane)`` in the order in which they happened; the
            kinds are created, started, blocked and ended.
        began, finished: when recording began and ended, in seconds of
            ``time.perf_counter``.
    """

    def __init__(self) -> None:
        self.lanes: list[Lane] = []
        self.own: Lane | None = None
        self.jobs: list[Lane] = []
        self.stores = Stores()
        self.events: list[tuple[str, Lane]] = []
        self.began = self.finished = 0.0
        self._by_task: dict[Task, Lane] = {}
        self._own_step: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failures = _Failures(self._by_task)
        self._calls: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._connections: dict[Task, Any] = {}
        self._running: Lane | None = None
        self._turns = 0
        self._lookout: lines.Lookout | None = None

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
            self._running = self.own
            self.events.append(("started", self.own))
            # Nothing tells when the step that is running now will end, but
            # the loop runs this right after it.
            tasks.call_next(self._loop, self._after_first_step, task)
        tasks.observe(self._loop, self)
        self._lookout = lines.Lookout(self._turn, self._look)
        logging.getLogger("websockets.server").addHandler(self._failures)

    def stop(self) -> None:
        """Stop recording and leave the loop as it was found."""
        if self._loop is None:
            return
        self.finished = time.perf_counter()
        logging.getLogger("websockets.server").removeHandler(self._failures)
        tasks.ignore(self._loop, self)
        if self._lookout is not None:
            self._lookout.stop()
        self._running = None
        self._loop = None
        if self.own is not None and self._own_step is not None:
            self._step(self.own, self._own_step, self.finished)
        self.stores.note(self.finished)
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
    ) -> tuple[str, bool, float, Any, lines.Place | None]:
        # All of it now: an eager task runs before it is told of.
        shown = labels.is_learners(coro, asker)
        call, connection = labels.call(coro), frames.connection_of(coro)
        place = lines.place_in(asker)
        return call, shown, time.perf_counter(), connection, place

    def task_spawned(
        self,
        task: Task,
        note: tuple[str, bool, float, Any, lines.Place | None],
    ) -> None:
        call, shown, created, connection, place = note
        lane = self._add(task, call, shown, created)
        lane.creator, lane.place = self._current(), place
        self.events.append(("created", lane))
        if connection is not None:
            self._connections[task] = connection

    def before_task_step(self, task: Task) -> None:
        lane = self._by_task.get(task)
        if lane is None:
            return
        self._running = lane
        self._turns += 1
        if self.stores.found:
            self.stores.leave(task)
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
        self._running = None
        if lane is self.own:
            self._own_step = None
        if lane.started:
            self._step(lane, max(began, self.began), time.perf_counter())
        count = task.cancelling()
        if count > lane.cancelling:  # by itself
            lane.requests.append((lane.steps[-1][1], "call", lane))
        lane.cancelling = count
        if not task.done():
            self._note_wait(lane)
        if self.stores.found:
            self.stores.note(time.perf_counter())

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

    def job_submitted(
        self,
        job: Job,
        future: asyncio.Future[Any],
        asker: FrameType | None,
    ) -> None:
        creator = self._current()
        if asker is None:
            shown = creator is not None and creator.shown
        else:
            shown = lines.is_learners(asker.f_code.co_filename)
        if not shown:
            return
        lane = Lane(
            future,
            labels.job(job),
            True,
            job.created,
            creator,
            lines.place_in(asker),
            job,
            started=True,
        )
        self.jobs.append(lane)
        self.events.append(("created", lane))
        future.add_done_callback(partial(self._job_ended, lane))

    def _job_ended(self, lane: Lane, _: asyncio.Future[Any]) -> None:
        if self._loop is None or lane.job is None:
            return
        lane.ended = time.perf_counter()
        if lane.job.in_thread and lane.job.began:
            lane.goes_on = lane.job.ended is None
        self.events.append(("ended", lane))

    # What holds the loop: see lines.Lookout.

    def _turn(self) -> int | None:
        return None if self._running is None else self._turns

    def _look(self, turn: int, moment: float, place: lines.Place) -> None:
        lane = self._running
        if lane is not None and self._turns == turn:
            lane.looks.append((moment, place))

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
        behind = len(chain)
        while behind and labels.is_librarys(chain[behind - 1]):
            behind -= 1
        own = chain[behind - 1] if behind else None
        # What a check's own code waits in says nothing of the answer.
        if lane.shown and behind < len(chain) and not labels.is_aulas(own):
            thing = waited_in(chain[behind:])
            if thing is not None:
                self.stores.enter(lane.task, thing, own)
        moment = lane.steps[-1][1]
        other = self._by_task.get(tasks.awaited_by(lane.task))
        if other is not None:
            lane.awaited.append((moment, ref(other)))
        elif lane.awaited and lane.awaited[-1][1]:
            lane.awaited.append((moment, None))
        if own is None:
            return
        place = own.cr_code, own.cr_frame.f_lasti
        if not lane.places or lane.places[-1][1] != place:
            lane.places.append((moment, place))
        if lane.waits and lane.waits[-1][1]() is own:
            return
        call = ""
        if not all(map(labels.is_librarys, chain[: behind - 1])):
            call = self._calls.get(own) or labels.call(own)
            self._calls[own] = call
        if call or lane.waits:
            lane.waits.append((moment, ref(own), call))


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
