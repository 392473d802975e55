"""Runs a learner's answer so that nothing it does gets out.

What can go wrong with any answer at all (raising, waiting for ever, blocking)
is answered here once; the rest is its judge's.
"""

from __future__ import annotations

import asyncio
import re
import signal
import threading
import time
import traceback
from asyncio import sleep  # which another answer may be replacing
from contextlib import nullcontext
from types import FrameType
from typing import Any

from aula.exercises.answer import Calls, close_unawaited
from aula.exercises.exercise import (
    UNSET,
    Exercise,
    Right,
    Unawaited,
    Wrong,
)
from aula.exercises.prediction import Program
from aula.exercises.scope import Scope, current, hear_warnings_of
from aula.instruments import tasks
from aula.instruments.timeline import Timeline
from aula.instruments.wiretap import Wiretap

QUOTED = re.compile(r"'(\w+)'")  # the name in what Python says of it

GRACE = 1.0  # seconds its tasks have to end after they are cancelled
STOP = 0.5  # seconds until Stop breaks off an answer that blocks
TURN = 0.02  # seconds between two looks whether another check is over

_turn = threading.Lock()  # held while an answer runs, in whichever thread


async def run_answer(
    asked: Exercise,
    answer: Any,
    line: Timeline,
    tap: Wiretap,
    program: Program | None = None,
) -> Right | Wrong:
    """Judge an answer under its time limit and clear up after it.

    Arguments:
        program: what a prediction is about, and runs in its place.

    One at a time, in all threads: what an answer may do to a loop, to signals
    and to modules is undone in the reverse order, and one that blocks uses up
    no other's time.

    It returns what is wrong instead of raising it: the less holds on to the
    answer's tracebacks, the sooner its forgotten coroutines come to light.
    """
    outer = current.get()
    # An answer may call check itself, while its own check runs.
    nested = outer is not None and not outer.over
    turn = outer.turn if outer is not None and nested else _turn
    while not turn.acquire(blocking=False):  # noqa: ASYNC110, also a thread's
        await sleep(TURN)
    try:
        return await _run_answer(asked, answer, line, tap, program)
    finally:
        turn.release()


async def _run_answer(
    asked: Exercise,
    answer: Any,
    line: Timeline,
    tap: Wiretap,
    program: Program | None,
) -> Right | Wrong:
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()
    # An answer may put something else in place of asyncio.sleep.
    library = vars(asyncio).copy()
    calls = Calls(answer) if asked.answer == "async" else None
    scope = Scope(GRACE)
    with (
        hear_warnings_of(scope) as caught,
        _Watchdog(asked.limit + GRACE, scope) as watchdog,
        program.gather(scope) if program else nullcontext(),
    ):
        line.start()
        run = scope.run = line.recorder
        tasks.observe(loop, scope)
        tap.start()
        hooks = loop.get_task_factory(), loop.call_soon
        # The verdict says what failed.
        loop.set_exception_handler(scope.hear_unless_own(handler))
        try:
            about: dict[str, Any] = {"run": run} if asked.wants_run else {}
            if program:
                about["program"] = program
            judging = asked.judge(calls.answer if calls else answer, **about)
            task = scope.enter(judging, asked.number)
            ends = {task, calls.refused} if calls else {task}
            await asyncio.wait(
                ends,
                timeout=asked.limit,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            late = not task.done()
            vars(asyncio).update(library)
            tap.stop()
            line.stop()
            watchdog.wait_until(time.monotonic() + 2 * GRACE)
            try:
                await scope.clear()
            finally:
                # Whoever else observes the loop by now goes on to do so.
                if loop.get_task_factory() is not hooks[0]:
                    loop.set_task_factory(hooks[0])
                if loop.call_soon != hooks[1]:
                    setattr(loop, "call_soon", hooks[1])  # noqa: B010
                tasks.ignore(loop, scope)
                loop.set_exception_handler(handler)
                vars(asyncio).update(library)
        refused = None
        if calls and calls.refused.done():
            refused = calls.refused.result()
            scope.let_go(refused)
        # The cell only waits; the judge matters where it runs the answer.
        for lane in run.lanes:
            lane.shown &= lane.task not in (asyncio.current_task(), task)
        if not any(lane.shown for lane in run.lanes):
            run.adopt(task, getattr(answer, "__name__", asked.number))
        cancelled = task.cancelled()
        error = None if late or cancelled else task.exception()
        dropped = [
            warning.message
            for warning in caught
            if "was never awaited" in str(warning.message)
        ]
        forgotten = isinstance(error, Wrong) and close_unawaited(error.seen)
        forgotten |= bool(dropped)
        forgotten &= program is None  # a lesson's may forget what it likes
    if watchdog.fired:
        return Wrong("blocks", limit=asked.limit)
    if refused is not None:
        run.lanes.clear()  # it has not run, and there is nothing to be seen
        return refused
    if isinstance(error, Unawaited):
        return error
    # An exception of the answer's own tells more; but "object of type
    # 'coroutine' has no len()" is what a forgotten await looks like.
    said = "".join(traceback.format_exception_only(error)) if error else ""
    if forgotten and (late or isinstance(error, Wrong) or "coroutine" in said):
        # It says which call was forgotten.
        return Wrong("forgotten-await", seen=dropped[0] if dropped else UNSET)
    if late:
        return Wrong("too-slow", limit=asked.limit)
    if cancelled:
        return Wrong("cancelled")
    if error is None:
        right: Right = task.result()
        return right
    if isinstance(error, Wrong):
        return error
    return _raised(error)


def _raised(error: BaseException) -> Wrong:
    """An exception of the answer's own, in words where beginners meet it."""
    if type(error) not in (NameError, UnboundLocalError):
        return Wrong("raises", seen=error)
    name = QUOTED.search(f"{error}")
    if name is None:
        return Wrong("raises", seen=error)
    if isinstance(error, UnboundLocalError):
        return Wrong("assigned-inside", name=name[1], seen=error)
    return Wrong("not-defined", name=name[1], seen=error)


class Interrupted(BaseException):
    """Raised inside an answer that holds the event loop too long."""


class _Watchdog:
    """Interrupts an answer that blocks: no timer of the loop can.

    A thread sends the process SIGINT when time is up; the handler raises in
    what holds the loop, if it is the answer's.
    """

    def __init__(self, limit: float, scope: Scope) -> None:
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
        if current.get() is self._scope:
            self.fired = True
            raise Interrupted
