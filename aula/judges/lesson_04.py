"""Judges the exercises of lesson 04."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Coroutine
from typing import Any

from aula.exercises.answer import close_unawaited
from aula.exercises.exercise import Answer, Right, Unawaited, Wrong, exercise
from aula.exercises.prediction import Program, refuse_other
from aula.judges.mistakes import (
    equal,
    holds_futures,
    refuse_never_made,
    refuse_no_star,
    refuse_none,
    refuse_unawaited,
    refuse_whole_list,
)
from aula.judges.waiting import MOMENT, PATIENCE, ends, timer, until

LONG = 0.2  # seconds a drink gets in brew_in_time
# What asyncio.wait and asyncio.timeout say of arguments that they do not take.
WAIT_STAR = "wait() takes 1 positional argument"
TIMEOUT_ARGUMENTS = "timeout() takes 1 positional argument"


@exercise("04.1", parameters=2, limit=4)
async def fastest(answer: Answer) -> Right:
    # No fixed pause is right for those who clean long and for those who do
    # not; nor is one of them right to be awaited alone.
    await _judge_fastest(
        answer, ["latte", "mocha", "chai"], "mocha", cleaning=2 * MOMENT
    )
    drinks = ["tea", "latte", "mocha", "latte"]
    await _judge_fastest(answer, drinks, "tea", cleaning=0.1, quick=2)
    await _judge_one_drink(answer)
    return Right()


async def _judge_fastest(
    answer: Answer,
    drinks: list[str],
    first: str,
    cleaning: float,
    quick: int = 0,
) -> None:
    """Let one drink get ready; the others end when they are cancelled.

    Arguments:
        cleaning: the seconds that their cleaning takes.
        quick: which of those cancelled takes only half of them.
    """
    expected = first.upper()
    asked: list[str] = []
    started: list[str] = []
    stopped: list[str] = []
    too_early = hurried = False
    ready, one_clean, clean = (asyncio.Event() for _ in range(3))

    def make(drink: str) -> Coroutine[Any, Any, str]:
        asked.append(drink)
        return brew(drink)

    async def brew(drink: str) -> str:
        nonlocal too_early, hurried
        started.append(drink)
        if drink == first:
            try:
                await ready.wait()
            except asyncio.CancelledError:
                too_early = True
                raise
            return drink.upper()
        try:
            await asyncio.Future()
        finally:
            over = one_clean if len(stopped) == quick else clean
            stopped.append(drink)
            try:
                await over.wait()
            except asyncio.CancelledError:
                hurried = not clean.is_set()
                raise
        raise AssertionError("nobody completes that future")

    task = asyncio.create_task(answer(make, list(drinks)))
    together = await until(
        lambda: task.done() or len(started) == len(drinks), MOMENT
    )
    ready.set()
    # Whoever waits for the others is still there.
    early = await until(task.done, cleaning / 2)
    one_clean.set()
    dirty = stopped[:]
    if not early:
        early = await until(task.done, cleaning / 2)
        dirty = [*stopped[:quick], *stopped[quick + 1 :]]
    clean.set()
    prompt = await until(task.done, MOMENT)
    others_ended = len(stopped) == len(drinks) - 1
    ended = await ends(task)
    refuse_whole_list(asked)
    if too_early and ended:
        raise Wrong("cancelled-too-early", drink=first)
    if ended:
        try:
            seen = task.result()
        except AttributeError as error:
            if error.name == "result" and close_unawaited(error.obj):
                raise Unawaited("not-a-result", expected=expected) from None
            if error.name == "cancel":
                _refuse_cancelled(error)
            raise
        except asyncio.CancelledError:
            raise Wrong("awaited-cancelled") from None
        except TypeError as error:
            refuse_never_made(asked, expected, error)
            refuse_no_star(error)
            if WAIT_STAR in f"{error}":
                raise Wrong("wait-starred", seen=error) from None
            raise
    refuse_never_made(asked, expected)
    if len(asked) < len(drinks) and {*asked} == {*drinks}:
        raise Wrong("equal-drinks")
    if not together:
        raise Wrong("one-after-another")
    if others_ended and not prompt:
        raise Wrong("waits-past-the-end")
    if not ended:
        raise Wrong("waits-for-all", ready=expected)
    refuse_unawaited(seen, "not-a-result", expected=expected)
    if holds_futures(seen):
        raise Wrong("not-a-result", expected=expected)
    refuse_none(seen, expected)
    equal(seen, expected, "other-result")
    going = [one for one in drinks if one not in {first, *stopped}]
    if going:
        raise Wrong("others-go-on", drink=going[0])
    if not others_ended:
        raise Wrong("equal-drinks")
    if hurried:
        raise Wrong("cancelled-again")
    if early:
        raise Wrong("left-early", drink=dirty[0])


async def _judge_one_drink(answer: Answer) -> None:
    """There are no others to be cancelled."""

    async def make(drink: str) -> str:
        await asyncio.sleep(0)
        return drink.upper()

    try:
        seen = await answer(make, ["water"])
    except (ValueError, LookupError) as error:
        raise Wrong("no-others", seen=error) from None
    equal(seen, "WATER", "other-result")


def _refuse_cancelled(error: AttributeError) -> None:
    """What was to be cancelled is none of the tasks."""
    thing = error.obj
    if isinstance(thing, list | tuple | set):
        raise Wrong("cancelled-list", seen=error) from None
    if inspect.iscoroutine(thing):
        close_unawaited(thing)
        is_next = thing.__name__ == "_wait_for_one"
        raise Wrong(
            "cancelled-next-ready" if is_next else "no-tasks", seen=error
        ) from None


@exercise("04.2", answer="prediction")
async def rush_hour_lines(answer: Any, program: Program) -> Right:
    await program.run()
    happened = program.lines
    predicted = answer if isinstance(answer, list) else []
    if "served" in predicted and "served" not in happened:
        equal(answer, happened, "served-all-the-same")
    for late in ("sorry", "closed"):
        if _stand(predicted, late, "clean latte"):
            equal(answer, happened, "sorry-before-clean")
    if _stand(predicted, "start latte", "ordered"):
        equal(answer, happened, "starts-at-once")
    if _stand(predicted, "closed", "sorry"):
        equal(answer, happened, "closed-before-sorry")
    missing = [line for line in happened if line not in predicted]
    if "clean latte" in missing:
        equal(answer, happened, "left-unclean")
    if "ordered" in missing:
        equal(answer, happened, "nothing-ordered")
    if "closed" in missing:
        equal(answer, happened, "never-closed")
    refuse_other(answer, happened)
    return Right()


def _stand(predicted: list[Any], one: str, other: str) -> bool:
    """Whether both lines are predicted, in this order."""
    return [line for line in predicted if line in (one, other)] == [one, other]


@exercise("04.3", parameters=3, limit=3)
async def brew_in_time(answer: Answer) -> Right:
    drinks = ["latte", "mocha", "chai", "espresso", "cortado"]
    expected = ["LATTE", None, None, None, "CORTADO"]
    asked: list[str] = []
    started: list[str] = []
    late: list[str] = []
    overdue: list[str] = []
    all_started, given_up = asyncio.Event(), asyncio.Event()
    made: list[Coroutine[Any, Any, str]] = []
    alone = False

    def make(drink: str) -> Coroutine[Any, Any, str]:
        asked.append(drink)
        made.append(brew(drink))
        return made[-1]

    async def brew(drink: str) -> str:
        nonlocal alone
        started.append(drink)
        if len(started) == len(drinks):
            all_started.set()
        try:
            await all_started.wait()
        finally:
            if len(started) < len(drinks):
                alone = True
                all_started.set()
        if drink == "mocha":
            raise ValueError(drink)
        if drink in ("chai", "espresso"):
            late.append(drink)
            try:
                await asyncio.Future()
            finally:
                late.remove(drink)
                given_up.set()
        return drink.upper()

    async def look_for_overdue() -> None:
        await given_up.wait()
        await timer(0.5 * LONG, slack=True).wait()
        overdue.extend(late)

    short, long = timer(0.75 * LONG), timer(1.5 * LONG, slack=True)
    task = asyncio.create_task(answer(make, list(drinks), LONG))
    looking = asyncio.create_task(look_for_overdue())
    ended = await ends(task, 8 * LONG)
    in_time = short.is_set() and not long.is_set()
    looking.cancel()
    refuse_whole_list(asked)
    if alone or (not ended and len(started) < len(drinks)):
        raise Wrong("one-after-another")
    if not ended:
        raise Wrong("no-deadline")
    try:
        seen = task.result()
    except TimeoutError:
        raise Wrong("late-ruins-all") from None
    except TypeError as error:
        refuse_never_made(asked, expected, error)
        refuse_no_star(error)
        if TIMEOUT_ARGUMENTS in f"{error}":
            close_unawaited(made)
            raise Wrong("timeout-arguments", seen=error) from None
        raise
    except (ValueError, BaseExceptionGroup) as error:
        raise Wrong("failure-ruins-all", seen=error) from None
    refuse_none(seen, expected)
    if not isinstance(seen, list | tuple):
        raise Wrong("no-list", expected=expected, seen=seen)
    if len(seen) < len(expected):
        raise Wrong("left-out", expected=expected, seen=seen)
    if any(isinstance(value, BaseException) for value in seen):
        raise Wrong("errors-left-in", expected=expected, seen=seen)
    refuse_never_made(asked, expected)
    if list(seen) == [None] * len(drinks):
        if short.is_set():
            raise Wrong("late-ruins-all")
        raise Wrong("all-given-up", expected=expected, seen=seen)
    if sorted(map(repr, seen)) == sorted(map(repr, expected)):
        equal(list(seen), expected, "completion-order")
    if "None" in seen:
        raise Wrong("none-as-text", expected=expected, seen=seen)
    equal(list(seen), expected, "other-result")
    if overdue:
        raise Wrong("late-deadlines", overdue=overdue[0])
    if not in_time:
        raise Wrong("other-deadline")
    if not await until(lambda: not late, MOMENT):
        raise Wrong("still-running", late=late[0])
    await _judge_few_drinks(answer)
    return Right()


async def _judge_few_drinks(answer: Answer) -> None:
    """Two equal drinks, an empty result; and no drinks."""
    drinks, expected = ["latte", "latte", "water"], ["LATTE", "LATTE 2", ""]
    asked: list[str] = []

    async def make(drink: str) -> str:
        asked.append(drink)
        return "" if drink == "water" else expected[asked.count(drink) - 1]

    long = timer(0.5 * LONG, slack=True)
    seen = [*await answer(make, list(drinks), LONG)]
    sleeps_on = long.is_set()
    if "CORTADO" in seen or not {*drinks} <= {*asked}:
        raise Wrong("kept-between-calls", expected=expected, seen=seen)
    if len(asked) < len(drinks):
        raise Wrong("equal-drinks", expected=expected, seen=seen)
    # Either of the two may have been asked for first.
    if sorted(map(repr, seen[:2])) != sorted(map(repr, expected[:2])):
        raise Wrong("equal-drinks", expected=expected, seen=seen)
    if seen[2:] != expected[2:]:
        raise Wrong("empty-result", expected=expected, seen=seen)
    if sleeps_on:
        raise Wrong("fixed-wait")
    try:
        seen = await answer(make, [], LONG)
    except Exception as error:
        raise Wrong("no-drinks", seen=error) from None
    if seen not in ([], ()):
        raise Wrong("other-result", expected=[], seen=seen)


class Spilled(Exception):
    """A failure that no list of known ones holds."""

    __module__ = "__main__"  # shown as an exception of the learner's own


@exercise("04.4", parameters=1, limit=3, picture=None)
async def retry(answer: Answer) -> Right:
    errors = [ValueError("latte"), Spilled("latte")]
    calls = 0

    async def fail_twice() -> str:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        if calls <= len(errors):
            raise errors[calls - 1]
        return "LATTE"

    try:
        seen = await answer(fail_twice)
    except (ValueError, Spilled) as error:
        if calls == 1:
            raise Wrong("no-retry", seen=error) from None
        if await _count_tries(answer) < calls + 1:
            raise Wrong("too-few-tries", seen=error) from None
        raise Wrong("only-some-errors", seen=error) from None
    refuse_unawaited(seen, "returned-coroutine")
    if calls == 0:
        raise Wrong("never-called", seen=seen)
    equal(seen, "LATTE", "gives-up" if calls == 1 else "too-few-tries")
    tries = await _count_tries(answer)
    if tries > 3:
        raise Wrong("too-many-tries")
    if tries < 3:
        raise Wrong("too-few-tries" if tries else "kept-between-calls")
    await _judge_empty(answer)
    for number in (1, 2, 3):
        await _judge_cancelling(answer, number)
    return Right()


async def _count_tries(answer: Answer) -> int:
    """Fail each time: how many tries the answer takes, four at most."""
    calls = 0

    async def fail() -> str:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        if calls > 3:
            await asyncio.Future()
        raise ValueError("latte")

    task = asyncio.create_task(answer(fail))
    await until(lambda: task.done() or calls > 3)
    await ends(task, 0 if calls > 3 else PATIENCE)
    if task.done() and not task.cancelled():
        task.exception()  # that of the last try may come out
    return calls


async def _judge_empty(answer: Answer) -> None:
    """What is returned is no failure, whatever it is."""
    calls = 0

    async def give_none() -> None:
        nonlocal calls
        calls += 1

    await answer(give_none)
    if calls > 1:
        raise Wrong("empty-result")


async def _judge_cancelling(answer: Answer, number: int) -> None:
    """Cancel the answer while it waits and see how it ends.

    Arguments:
        number: the try in which it waits; those before it fail.
    """
    calls = 0
    stopped = False

    async def wait_once() -> str:
        nonlocal calls, stopped
        calls += 1
        if calls < number:
            raise ValueError("latte")
        if calls == number:
            try:
                await asyncio.Future()
            finally:
                stopped = True
        return "LATTE"

    task = asyncio.create_task(answer(wait_once))
    # It may pause between two tries.
    await until(lambda: calls == number)
    if await until(lambda: stopped, 2 * MOMENT):
        raise Wrong("own-deadline")
    task.cancel()
    await asyncio.wait([task])
    if calls > number:
        raise Wrong("swallowed")
    if not stopped and not await until(lambda: stopped, MOMENT):
        raise Wrong("try-goes-on")
    if not task.cancelled():
        raise Wrong(
            "cancel-covered-up",
            expected=asyncio.CancelledError(),
            seen=task.exception() or task.result(),
        )
