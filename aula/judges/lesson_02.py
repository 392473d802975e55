"""Judges the exercises of lesson 02."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

from aula.exercises.exercise import Answer, Right, Unawaited, Wrong, exercise
from aula.exercises.prediction import Program, refuse_other
from aula.exercises.scope import hear_reports
from aula.exercises.script import Process, Script
from aula.instruments.record import Recorder
from aula.judges.mistakes import (
    AWAIT_IN_PLAIN,
    AWAIT_OUTSIDE,
    NEEDS_AWAITABLE,
    NEEDS_COROUTINE,
    NEVER_AWAITED,
    NO_LOOP,
    SECOND_LOOP,
    equal,
    gathers_results,
    holds_futures,
    named,
    refuse_no_star,
    refuse_none,
    refuse_unawaited,
)
from aula.judges.waiting import MOMENT, PATIENCE, ends_before, timer

RESULT = "mocha #7"  # what the future of 02.4 brings
# Seconds between the two calls of 02.1, if they are under way at once; one
# after the other they are twice as far apart. A run of a slow machine may
# bring any gap, so that an answer is refused only after some.
GAP = 0.2
RUNS = 3
# Seconds that an answer of 02.2 may take after the searches, and those of the
# searches: no fixed pause is right for both.
REST = 0.5
SEARCHES = [
    ("latte", "té", 0.1),
    ("té", "mocha", 0.1 + 1.1 * REST),
    ("té", "té", 0.1),
]


@exercise("02.1", answer="script", picture=None, limit=15)
async def two_calls(script: Script) -> Right:
    expected = ["Lima", "Ada", "fin"]
    for _ in range(RUNS):
        process = script.start()
        seen, gap = await _lines(process)
        if not seen:
            if NEVER_AWAITED in process.errors:
                raise Wrong("main-unawaited", seen=process.last_words())
            raise Wrong("never-run")
        if seen == ["Ada", "Lima", "fin"]:
            equal(seen, expected, "one-after-other")
        if seen == ["fin"]:
            equal(seen, expected, "ends-first")
        if seen == ["fin", "Lima", "Ada"]:
            equal(seen, expected, "fin-first")
        if seen in (["Lima"], ["Lima", "fin"]):
            equal(seen, expected, "leaves-ada")
        equal(seen, expected, "other-lines")
        if GAP / 2 < gap < 1.5 * GAP:
            return Right()
    if gap < GAP:
        raise Wrong("without-waiting")
    raise Wrong("lima-first")


async def _lines(process: Process) -> tuple[list[str], float]:
    """All the lines that a program prints until it ends by itself.

    Returns:
        the lines, and the seconds between the first and the second.
    """
    lines, times = [], []
    try:
        while True:
            lines.append(await process.line())
            times.append(time.monotonic())
    except Wrong as wrong:
        if wrong.mistake != "script-ended":
            _refuse_start(process)
            raise
    return lines, times[1] - times[0] if len(times) > 1 else 0


def _refuse_start(process: Process) -> None:
    """What keeps ``main`` from being run at all."""
    errors, seen = process.errors, process.last_words()
    if AWAIT_IN_PLAIN in errors:
        raise Wrong("plain-main", seen=seen) from None
    if AWAIT_OUTSIDE in errors:
        raise Wrong("top-level-await", seen=seen) from None
    if any(said in errors for said in SECOND_LOOP):
        raise Wrong("second-loop", seen=seen) from None
    # Of a gather without a loop, each Python says something else.
    if any(said in errors for said in (*NO_LOOP, "_GatheringFuture")):
        raise Wrong("gather-without-main", seen=seen) from None
    if NEEDS_AWAITABLE in errors and ", in gather" in errors:
        raise Wrong("gather-of-none", seen=seen) from None
    if NEEDS_COROUTINE in errors or NEEDS_AWAITABLE in errors:
        raise Wrong("main-uncalled", seen=seen) from None


class _Library:
    """Searches that block, and find out what they have kept from going on.

    Attributes:
        blocks: whether the event loop stood still during a search.
        together: set when two searches have been under way at once.
        rests: one for each search that is over, set some time later.
    """

    def __init__(self, edition: int, seconds: float) -> None:
        self.titles: list[str] = []
        self.blocks = False
        self.together = threading.Event()
        self.rests: list[asyncio.Event] = []
        self._edition = edition
        self._seconds = seconds
        self._searching = 0
        self._loop = asyncio.get_running_loop()
        self._thread = threading.current_thread()
        self._lock = threading.Lock()

    def search(self, title: str) -> str:
        with self._lock:
            self.titles.append(title)
            self._searching += 1
            if self._searching == 2:
                self.together.set()
        if threading.current_thread() is self._thread:
            self.blocks = True
            time.sleep(0.2)
        else:
            self._look_around()
        with self._lock:
            self._searching -= 1
        self._loop.call_soon_threadsafe(self._rest)
        return self.result(title)

    def _rest(self) -> None:
        self.rests.append(timer(REST, slack=True))

    def _look_around(self) -> None:
        turned = threading.Event()
        self._loop.call_soon_threadsafe(turned.set)
        if not turned.wait(PATIENCE):
            self.blocks = True
        elif self.together.wait(PATIENCE):
            time.sleep(self._seconds)

    def result(self, title: str) -> str:
        return f"{title}, p. {len(title) * self._edition}"


@exercise("02.2", parameters=3, limit=10)
async def look_up(answer: Answer) -> Right:
    for edition, (*titles, seconds) in enumerate(SEARCHES, 7):
        library = _Library(edition, seconds)

        def search(title: str, *, library: _Library = library) -> str:
            return library.search(title)

        expected = [library.result(title) for title in titles]
        try:
            seen = await answer(search, *titles)
        except TypeError as error:
            if library.blocks:
                raise Wrong("blocking", seen=error) from None
            if "search() takes" in f"{error}":
                raise Wrong("both-titles", seen=error) from None
            if gathers_results(error):
                raise Wrong("gather-of-results", seen=error) from None
            refuse_no_star(error)
            raise
        except asyncio.InvalidStateError as error:
            raise Wrong("too-early", seen=error) from None
        rested = bool(library.rests) and library.rests[-1].is_set()
        refuse_unawaited(seen, "not-awaited")
        if holds_futures(seen):
            raise Unawaited("gather-unawaited")
        if library.blocks:
            raise Wrong("blocking")
        refuse_none(seen, expected)
        if not library.titles:
            raise Wrong("never-searched", expected=expected, seen=seen)
        if sorted(library.titles) != sorted(titles):
            equal(library.titles, [*titles], "other-titles")
        if not library.together.is_set():
            raise Wrong("one-after-other")
        if seen == [expected]:
            equal(seen, expected, "list-in-list")
        equal(seen, expected, "other-results")
        if rested:
            raise Wrong("fixed-wait")
    return Right()


@exercise("02.3", answer="prediction")
async def bar_lines(answer: Any, program: Program) -> Right:
    await program.run()
    if answer == ["Ada", "Lima", "barista"]:
        equal(answer, program.lines, "as-if-it-switched")
    if answer in (["barista", "Ada"], ["Ada", "barista"]):
        equal(answer, program.lines, "as-if-for-one")
    if answer == ["Ada", "barista", "Lima"]:
        equal(answer, program.lines, "as-if-one-before")
    if answer == ["Ada", "Lima"]:
        equal(answer, program.lines, "as-if-it-ended")
    if answer == ["barista", "Lima", "Ada"]:
        equal(answer, program.lines, "as-if-last-first")
    if isinstance(answer, list) and "latte" in answer:
        equal(answer, program.lines, "as-if-it-printed-the-result")
    refuse_other(answer, program.lines)
    return Right()


class _Future(asyncio.Future[str]):
    """It notes whether somebody awaits it, and does not only ask."""

    awaited = False

    def add_done_callback(self, *arguments: Any, **options: Any) -> None:
        self.awaited = True
        super().add_done_callback(*arguments, **options)


@exercise("02.4", parameters=2, limit=8)
async def patience(answer: Answer, run: Recorder) -> Right:
    loop = asyncio.get_running_loop()
    reports = hear_reports()

    future = _Future()

    def start(
        seconds: float,
        comes_after: float | None = None,
        outcome: str | Exception = RESULT,
    ) -> asyncio.Task[Any]:
        """The answer, waiting for a future that comes, or never does."""
        nonlocal future
        future = _Future()
        if comes_after is not None:
            loop.call_later(comes_after, _complete, future, outcome)
        return asyncio.create_task(answer(future, seconds), name="patience")

    short = timer(0.05)
    waiting = start(0.1)
    in_time = await ends_before(waiting, 0.3)
    if not await ends_before(waiting, 2):
        raise Wrong("no-limit")
    try:
        late = waiting.result()
    except TimeoutError:
        raise Wrong("escapes") from None
    except asyncio.InvalidStateError as error:
        raise Wrong("result-too-soon", seen=error) from None
    except TypeError as error:
        raise named(error) from None
    if isinstance(late, asyncio.Future):
        raise Wrong("not-awaited", seen=late)
    at_once = not short.is_set() and not future.awaited
    completed = future.done() and not future.cancelled()

    await ends_before(start(0.1, comes_after=0.02), 0.3)
    # A timer that the answer has set is due before this sleep ends.
    await asyncio.sleep(MOMENT)
    for report in reports:
        if isinstance(report.get("exception"), asyncio.InvalidStateError):
            raise Wrong("timer-left", seen=report["exception"])
    if completed:
        raise Wrong("completes-it")

    waiting = start(3, comes_after=0.4)
    await ends_before(waiting, 1.5)
    came = future.done() and not future.cancelled()
    steps = [s for x in run.lanes if x.task is waiting for s in x.steps]
    if any(ended - began > 1 for began, ended in steps):
        raise Wrong("blocking")
    if not waiting.done():
        raise Wrong("sleeps-first")
    soon = waiting.result()
    if at_once and late == "tarde":
        raise Wrong("never-waits", expected=RESULT, seen=soon)
    if not future.awaited:
        raise Wrong("keeps-asking")
    both_late = (late, soon) == ("tarde", "tarde")
    if both_late and came and in_time:
        raise Wrong("always-late", expected=RESULT, seen=soon)
    if not in_time or (both_late and len(steps) > 1):
        raise Wrong("fixed-limit")
    if soon is None:
        raise Wrong("result-not-returned", expected=RESULT, seen=soon)
    if late is None:
        raise Wrong("late-not-returned", expected="tarde", seen=late)
    equal((late, soon), ("tarde", RESULT), "other-results")

    waiting = start(3, comes_after=0.02, outcome="")
    if not await ends_before(waiting, 1):
        raise Wrong("empty-result")
    equal(waiting.result(), "", "empty-result")

    for spilt in (LookupError("mocha"), ConnectionError("chai")):
        waiting = start(3, comes_after=0.02, outcome=spilt)
        await ends_before(waiting, 1)
        if waiting.exception() is not spilt:
            seen = waiting.exception() or waiting.result()
            if seen is spilt:
                raise Wrong("error-returned")
            raise Wrong("failure-is-not-late", expected=spilt, seen=seen)

    waiting = start(3)
    await asyncio.sleep(0.03)
    waiting.cancel()
    await ends_before(waiting, 0.5)
    if not waiting.cancelled():
        raise Wrong("swallows-cancel")
    return Right()


def _complete(future: asyncio.Future[str], outcome: str | Exception) -> None:
    if future.done():
        return
    if isinstance(outcome, str):
        future.set_result(outcome)
    else:
        future.set_exception(outcome)
