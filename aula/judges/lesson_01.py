"""Judges the exercises of lesson 01."""

from __future__ import annotations

import asyncio
import functools
import sys
import time
from collections.abc import Callable, Coroutine, Iterable
from itertools import pairwise
from types import FrameType
from typing import Any

from aula.exercises.answer import close_unawaited
from aula.exercises.exercise import Answer, Right, Unawaited, Wrong, exercise
from aula.exercises.prediction import Program, refuse_other
from aula.instruments.record import Recorder
from aula.judges.mistakes import (
    NEEDS_AWAITABLE,
    NEEDS_COROUTINE,
    SENT_AFTER_ITS_END,
    awaited,
    awaits_none,
    discard,
    equal,
    gathers_results,
    holds_futures,
    refuse_unawaited,
    runs_second_loop,
)
from aula.judges.waiting import MOMENT, timer, until

SHORTEST = 0.025  # seconds; a pause of 0.05 is never as short


@exercise("01.1", parameters=1)
async def breakfast(answer: Answer) -> Right:
    await _judge_breakfast(answer, "#7", seconds=0.05)
    # No fixed pause is right for this wait and the one before.
    await _judge_breakfast(answer, "#8", seconds=0.25)
    return Right()


async def _judge_breakfast(answer: Answer, mark: str, seconds: float) -> None:
    events: list[str] = []
    rests: list[asyncio.Event] = []  # one for each drink that is ready
    rested = False

    async def brew(drink: str) -> str:
        nonlocal rested
        rested = rested or any(rest.is_set() for rest in rests)
        events.append(f'brew("{drink}")')
        await asyncio.sleep(seconds)
        events.append(f"{drink} {mark}")
        rests.append(timer(MOMENT, slack=True))
        return f"{drink} {mark}"

    brew.__qualname__ = "brew"  # a TypeError names it
    results = [f"latte {mark}", f"mocha {mark}"]
    expected = ['brew("latte")', results[0], 'brew("mocha")', results[1]]
    try:
        seen = await answer(brew)
    except TypeError as error:
        _refuse_call_of_brew(error)
        raise
    rested = rested or (bool(rests) and rests[-1].is_set())
    refuse_unawaited(seen, "not-awaited")
    if holds_futures(seen):
        raise Wrong("not-awaited")
    if mark != "#7" and "#7" in f"{seen}":
        raise Wrong("kept-between-calls", expected=results, seen=seen)
    if not events:
        raise Wrong("never-brewed", expected=results, seen=seen)
    if sorted(events) == sorted(expected):
        at_once = events[1].startswith("brew")
        equal(events, expected, "at-once" if at_once else "other-order")
    equal(events, expected, "other-drinks")
    if seen is None:
        raise Wrong("brewed-not-returned", expected=results, seen=seen)
    if not isinstance(seen, list) or len(seen) != 2:
        raise Wrong("no-list", expected=results, seen=seen)
    equal(seen, results, "other-results")
    if rested:
        raise Wrong("fixed-wait")


def _refuse_call_of_brew(error: TypeError) -> None:
    """What ``brew``, ``await`` and ``gather`` say of another use."""
    if "brew() takes" in f"{error}":
        raise Wrong("more-than-a-drink", seen=error) from None
    if awaited(error) in ("list", "tuple"):
        raise Unawaited("awaited-list", seen=error) from None
    if gathers_results(error):
        raise Wrong("gather-of-results", seen=error) from None


@exercise("01.2", answer="prediction")
async def kitchen_lines(answer: Any, program: Program) -> Right:
    await program.run()
    if answer == ["latte", "espresso", "grinder", "mocha"]:
        equal(answer, program.lines, "as-if-it-waited")
    if answer == ["grinder", "latte", "espresso", "mocha"]:
        equal(answer, program.lines, "as-if-blocked-at-once")
    if answer == ["mocha", "espresso", "grinder", "latte"]:
        equal(answer, program.lines, "as-handed-over")
    if answer == ["latte", "grinder", "mocha", "espresso"]:
        equal(answer, program.lines, "as-if-both-were-late")
    if answer == ["latte", "espresso", "mocha", "grinder"]:
        equal(answer, program.lines, "as-if-the-grinder-were-last")
    if isinstance(answer, list) and "latte listo" in answer:
        equal(answer, program.lines, "as-brew-returns")
    refuse_other(answer, program.lines)
    return Right()


@exercise("01.3", parameters=2)
async def countdown(answer: Answer, run: Recorder) -> Right:
    short, tall = [2, 1, 0], [10, 30, 30]
    expected = [2, 10, 1, 30, 0, 30]
    said: list[int] = []
    times: dict[int, list[float]] = {2: [], 10: []}  # by a first number

    def note(first: int, *_: Any) -> None:
        times[first].append(time.monotonic())

    def say(number: int) -> str:
        said.append(number)
        if isinstance(number, int):
            note(2 if number < 10 else 10)
        return ""  # in a TypeError, not to be taken for another call's None

    long = timer(1, slack=True)
    tasks = []
    for numbers in (short, tall):
        task = asyncio.create_task(answer([*numbers], say), name=f"{numbers}")
        task.add_done_callback(functools.partial(note, numbers[0]))
        tasks.append(task)
    try:
        await asyncio.gather(*tasks)
    except TypeError as error:
        if said:
            for task in tasks:  # both have come to the same line
                if task.done() and (failed := task.exception()):
                    discard(failed)
            _refuse_awaiting_say(error)
        raise
    too_long, in_time = long.is_set(), [*said]
    if len(said) < len(expected) and await until(
        lambda: len(said) > len(in_time), MOMENT
    ):
        raise Wrong("leaves-early", expected=expected, seen=in_time)
    if not said:
        raise Wrong("never-said")
    if sorted([*said, 0], key=str) == sorted(expected, key=str):
        raise Wrong("stops-at-zero", expected=expected, seen=said)
    if sorted(said, key=str) != sorted(expected, key=str):
        raise Wrong("other-numbers", expected=expected, seen=said)
    if [n for n in said if n < 10] != short or (
        [n for n in said if n >= 10] != tall
    ):
        raise Wrong("other-order", expected=expected, seen=said)
    steps = [lane.steps for lane in run.lanes if lane.task in tasks]
    if said == [*short, *tall]:
        others = [x for x in run.lanes if x.shown and x.task not in tasks]
        if len(others) > len(expected):  # the judge's own lane among them
            equal(said, expected, "numbers-at-once")
        has_paused = all(len(each) > 1 for each in steps)
        equal(said, expected, "pause-outside" if has_paused else "blocking")
    if sum(end - began > 0.04 for each in steps for began, end in each) > 3:
        raise Wrong("holds-the-loop")
    _judge_pauses(times.values())
    if too_long:
        raise Wrong("too-long")
    return Right(said=said)


def _judge_pauses(times: Iterable[list[float]]) -> None:
    """Each of them long enough: a slow machine makes none shorter."""
    pauses = [[b - a for a, b in pairwise(each)] for each in times]
    last_long = min(each[-1] for each in pauses) >= SHORTEST
    if min(min(each[:-1]) for each in pauses) < SHORTEST:
        if any(max(each[:-1]) >= SHORTEST for each in pauses):
            raise Wrong("some-without-pause")
        raise Wrong("pause-at-the-end" if last_long else "too-short")
    if not last_long:
        raise Wrong("pause-first")


def _refuse_awaiting_say(error: TypeError) -> None:
    """After a call of say, something was awaited that cannot be."""
    if any(said in f"{error}" for said in (NEEDS_COROUTINE, NEEDS_AWAITABLE)):
        raise Wrong("no-coroutine", seen=error)
    if awaits_none(error):
        raise Wrong("awaited-none", seen=error)
    if awaited(error):
        raise Wrong("awaited-say", seen=error)


@exercise("01.4", answer="function", parameters=1, picture=None, limit=3)
async def run_all(answer: Answer) -> Right:
    log: list[str] = []

    async def talk(name: str, turns: int) -> None:
        for turn in range(turns):
            log.append(f"{name}{turn}")
            await asyncio.sleep(0)
        log.append(f"{name} fin")

    coroutines = [talk("a", 2), talk("b", 1), talk("c", 3)]
    expected = "a0, b0, c0, a1, b fin, c1, a fin, c2, c fin"
    try:
        _call(answer, list(coroutines), log)
    except _NeverEnds:
        raise Wrong("never-ends") from None
    except StopIteration as error:
        raise Wrong("escapes", seen=error) from None
    except RuntimeError as error:
        if runs_second_loop(error):
            # What asyncio.run refused was not forgotten.
            raise Unawaited("other-loop") from None
        if SENT_AFTER_ITS_END not in f"{error}":
            raise
        raise Wrong("sent-after-its-end", seen=error) from None
    finally:
        close_unawaited(coroutines)
    if not log:
        raise Wrong("other-loop")
    seen = ", ".join(log)
    if seen == expected:
        for kind in (IndexError, KeyError, RuntimeError, ValueError):
            _judge_error(answer, log, kind("latte"))
        _judge_number(answer, log)
        return Right(value=seen)
    if seen == "a0, a1, a fin, b0, b fin, c0, c1, c2, c fin":
        raise Wrong("one-by-one", expected=expected, seen=seen)
    rounds = {"a0, b0, c0": 1, "a0, b0, c0, a1, b fin, c1": 2}
    rounds[expected.removesuffix(", c fin")] = 3
    if seen in rounds:
        raise Wrong(
            "fixed-rounds",
            rounds=rounds[seen],
            expected=expected,
            seen=seen,
        )
    if seen == "a0, b0, c0, a1, b fin, a fin, c1, c2, c fin":
        raise Wrong("skips-one", expected=expected, seen=seen)
    if all(f"{name} fin" in log for name in "abc"):
        raise Wrong("other-order", expected=expected, seen=seen)
    raise Wrong("stops-early", expected=expected, seen=seen)


def _judge_error(answer: Answer, log: list[str], error: Exception) -> None:
    """What a coroutine raises, other than its end, leaves the answer.

    Arguments:
        error: of a class that the answer's own code may raise, too.
    """

    async def spill() -> None:
        await asyncio.sleep(0)
        log.append("spilt")
        raise error

    coroutines = [spill(), spill()]
    try:
        _call(answer, list(coroutines), log)
    except (Exception, _NeverEnds) as raised:
        if raised is error:
            return
    finally:
        close_unawaited(coroutines)
    raise Wrong("hides-error", error=type(error).__name__)


def _judge_number(answer: Answer, log: list[str]) -> None:
    """One coroutine that takes many rounds; and no coroutine at all."""
    rounds, turns = 0, 50

    async def talk() -> None:
        nonlocal rounds
        for _ in range(turns):
            rounds += 1
            log.append(f"{rounds}")
            await asyncio.sleep(0)
        rounds += 1

    coroutines = [talk()]
    try:
        _call(answer, list(coroutines), log)
    finally:
        close_unawaited(coroutines)
    if rounds <= turns:
        raise Wrong("fixed-rounds", rounds=rounds)
    try:
        _call(answer, [], log)
    except _NeverEnds:
        raise Wrong("never-ends") from None
    except Exception as error:
        raise Wrong("no-coroutines", seen=error) from None


class _NeverEnds(BaseException):
    """Raised in an answer that goes on and moves no coroutine."""


def _call(
    answer: Answer,
    coroutines: list[Coroutine[Any, Any, None]],
    log: list[str],
) -> None:
    """Call a plain answer; stop it when it goes on and nothing happens."""
    entered, moved, idle = False, 0, 0

    def enter(frame: FrameType, *_: Any) -> Callable[..., Any] | None:
        nonlocal entered
        if entered:  # what it calls is not watched
            return None
        entered = frame.f_trace_opcodes = True
        return step

    def step(*_: Any) -> Callable[..., Any]:
        nonlocal moved, idle
        idle = idle + 1 if len(log) == moved else 0
        moved = len(log)
        if log and idle > 10_000:
            raise _NeverEnds
        return step

    before = sys.gettrace()
    try:
        sys.settrace(enter)
        answer(coroutines)
    finally:
        sys.settrace(before)
