"""Judges the exercises of lesson 03."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, NoReturn

from aula.exercises.answer import close_unawaited
from aula.exercises.exercise import Answer, Right, Unawaited, Wrong, exercise
from aula.exercises.prediction import Program, refuse_other
from aula.judges.mistakes import (
    AS_COMPLETED_STAR,
    NEEDS_AWAITABLE,
    NOT_A_COROUTINE,
    NOT_ASYNC_ITERABLE,
    UNPACKED,
    awaited,
    equal,
    holds_futures,
    refuse_future,
    refuse_never_made,
    refuse_no_star,
    refuse_none,
    refuse_unawaited,
    refuse_whole_list,
)
from aula.judges.waiting import MOMENT, until


@exercise("03.1", parameters=2, limit=3)
async def breakfast_together(answer: Answer) -> Right:
    await _judge_breakfast(answer, slow="toast")
    # No fixed pause is right for this and for the one before.
    await _judge_breakfast(answer, slow="boil", pause=MOMENT)
    return Right()


async def _judge_breakfast(
    answer: Answer, slow: str, pause: float = 0
) -> None:
    """Let one of the two end some time after the other."""
    toast_first = slow == "boil"
    called: list[str] = []
    started: list[str] = []
    ended: list[str] = []
    both, late = asyncio.Event(), asyncio.Event()
    boiled_in = None
    in_thread = False
    here = threading.get_ident()

    async def cook(name: str) -> None:
        started.append(name)
        await both.wait()
        if name == slow:
            await late.wait()
        ended.append(name)

    async def make_tea() -> str:
        nonlocal boiled_in
        boiled_in = asyncio.current_task()
        await cook("boil")
        return "chai"

    async def make_toast() -> str:
        await cook("toast")
        return "croissant"

    def boil() -> Coroutine[Any, Any, str]:
        nonlocal in_thread
        in_thread = threading.get_ident() != here
        called.append("boil")
        return make_tea()

    def toast() -> Coroutine[Any, Any, str]:
        called.append("toast")
        return make_toast()

    task = asyncio.create_task(answer(boil, toast))
    together = await until(lambda: task.done() or len(started) == 2, MOMENT)
    waiting = {*called} - {*started}
    both.set()
    await until(lambda: task.done() or ended, MOMENT)
    await until(task.done, pause)
    late.set()
    prompt = await until(task.done, MOMENT)
    try:
        seen = await task
    except TypeError as error:
        _refuse_functions(error, started)
        refuse_no_star(error)
        raise
    except asyncio.InvalidStateError:
        raise Wrong("too-early-then" if toast_first else "too-early") from None
    if toast_first and "boil" not in called:
        raise Wrong("kept-between-calls")
    if in_thread:
        refuse_unawaited(seen, "in-a-thread")
    for name in waiting:
        refuse_unawaited(seen, "call-is-no-task", name=name)
        if name in started:
            raise Wrong("call-is-no-task", name=name)
    if not together and "toast" in started:
        raise Wrong("one-after-another")
    for name in ("boil", "toast"):
        if started.count(name) > 1:
            raise Wrong("called-twice", name=name)
    refuse_future(seen, "returned-task", expected="chai")
    if "toast" not in ended:
        raise Wrong("toast-left-behind")
    if "boil" not in ended:
        raise Wrong("boil-left-behind", expected="chai", seen=seen)
    refuse_none(seen, "chai")
    equal(seen, "chai", "other-result")
    if boiled_in is task:
        raise Wrong("in-the-foreground")
    if not prompt:
        raise Wrong("fixed-wait")


def _refuse_functions(error: TypeError, started: list[str]) -> None:
    """A function stands where what its call gives is wanted."""
    if awaited(error) == "function":
        name = "boil" if "toast" in started else "toast"
        raise Wrong("function-awaited", seen=error, name=name)
    if any(
        said in f"{error}"
        for said in (f"{NOT_A_COROUTINE}function", NEEDS_AWAITABLE)
    ):
        raise Wrong("not-called", seen=error)


@exercise("03.2", parameters=2, limit=3)
async def brew_all(answer: Answer) -> Right:
    drinks = ["latte", "mocha", "chai", "latte", "cortado", "tea", "mocha"]
    expected = ["LATTE", "MOCHA", "CHAI", "LATTE 2", "CORTADO", "TEA"]
    expected.append("MOCHA 2")
    asked: list[str] = []
    gates: list[asyncio.Event] = []
    made: list[Coroutine[Any, Any, str]] = []
    started: list[str] = []
    all_open = False

    async def brew(drink: str, gate: asyncio.Event, result: str) -> str:
        started.append(drink)
        if not all_open:
            await gate.wait()
        return result

    def make(drink: str) -> Coroutine[Any, Any, str]:
        result = f"{drink}".upper()
        if drink in asked:
            result += f" {asked.count(drink) + 1}"
        asked.append(drink)
        gates.append(asyncio.Event())
        made.append(brew(drink, gates[-1], result))
        return made[-1]

    async def brew_and_copy() -> Any:
        seen = await answer(make, list(drinks))
        # What a task would write into it later is too late.
        return seen.copy() if type(seen) is list else seen

    task = asyncio.create_task(brew_and_copy())
    together = await until(
        lambda: task.done() or len(started) == len(drinks), MOMENT
    )
    # The last one asked for is the first one ready.
    for gate in reversed(gates):
        gate.set()
        for _ in range(5):
            await asyncio.sleep(0)
    all_open = True
    prompt = await until(task.done, MOMENT)
    try:
        refuse_whole_list(asked)
        if task.done():
            task.result()
            _refuse_equal_drinks(asked, drinks)
            _refuse_fixed_number(len(asked), started, len(drinks))
        if len(asked) > len(drinks):
            raise Wrong("made-twice", made=len(asked), wanted=len(drinks))
        if not together:
            raise Wrong("one-after-another")
        seen = await task
    except asyncio.InvalidStateError as error:
        raise Wrong("too-early", seen=error) from None
    except (TypeError, RuntimeError, ValueError) as error:
        if isinstance(error, TypeError):
            refuse_never_made(asked, expected, error)
        if isinstance(error, ValueError) and UNPACKED in f"{error}":
            raise Wrong("unpacks-the-list", seen=error) from None
        if not started:
            refuse_no_star(error)
        raise
    finally:
        unstarted = close_unawaited(made)
    refuse_never_made(asked, expected)
    if unstarted:
        raise Wrong("never-awaited")
    refuse_none(seen, expected)
    refuse_future(seen, "returned-future", expected=expected)
    if holds_futures(seen):
        raise Wrong("returned-tasks", expected=expected)
    if not isinstance(seen, list | tuple):
        raise Wrong("other-result", expected=expected, seen=seen)
    results = [f"{result}" for result in seen]
    known = {*results} - {"None"}
    if known < {*expected} and {*map(_name, known)} == {*map(_name, expected)}:
        raise Wrong("equal-drinks", expected=expected, seen=seen)
    if sorted(results) != sorted(expected):
        raise Wrong("other-result", expected=expected, seen=seen)
    # Of two equal drinks, either may have been asked for first.
    if [*map(_name, results)] != [*map(_name, expected)]:
        equal(list(seen), expected, "completion-order")
    if not prompt:
        raise Wrong("fixed-wait")
    await _judge_few_drinks(answer)
    return Right()


def _name(result: str) -> str:
    """Of ``"LATTE 2"``, the drink."""
    return result.split(" ")[0]


async def _judge_few_drinks(answer: Answer) -> None:
    """Two drinks that take longer, one with an empty result; and none."""
    drinks, expected = ["latte", "water"], ["LATTE 3", ""]
    asked: list[str] = []
    gate = asyncio.Event()

    async def make(drink: str) -> str:
        asked.append(drink)
        await gate.wait()
        return dict(zip(drinks, expected, strict=True))[drink]

    task = asyncio.create_task(answer(make, list(drinks)))
    await until(lambda: task.done() or len(asked) == len(drinks), MOMENT)
    await until(task.done, MOMENT)
    gate.set()
    try:
        seen = await task
    except asyncio.InvalidStateError as error:
        raise Wrong("too-early", seen=error) from None
    if len(asked) < len(drinks) or "CHAI" in f"{seen}":
        raise Wrong("kept-between-calls", expected=expected, seen=seen)
    if seen != tuple(expected):
        equal(seen, expected, "empty-result")
    try:
        seen = await answer(make, [])
    except Exception as error:
        raise Wrong("no-drinks", seen=error) from None
    if seen not in ([], ()):
        raise Wrong("other-result", expected=[], seen=seen)


def _refuse_equal_drinks(asked: list[Any], drinks: list[str]) -> None:
    """Each drink was asked for, but equal ones only once."""
    if len(asked) < len(drinks) and {*asked} == {*drinks}:
        raise Wrong("equal-drinks")


def _refuse_fixed_number(made: int, started: list[str], wanted: int) -> None:
    """As many drinks as somebody has counted, however long the list is."""
    if 0 < made == len(started) < wanted:
        raise Wrong("fixed-number", made=made, wanted=wanted)


@exercise("03.3", answer="prediction")
async def morning_lines(answer: Any, program: Program) -> Right:
    await program.run()
    happened = program.lines
    if _turned(answer, happened, "start latte", "croissant"):
        equal(answer, happened, "starts-at-once")
    if _turned(answer, happened, "start mocha", "start latte"):
        equal(answer, happened, "started-as-gathered")
    if _turned(answer, happened, "LATTE", "MOCHA"):
        equal(answer, happened, "printed-as-ready")
    if _turned(answer, happened, "brownie", "LATTE"):
        equal(answer, happened, "brownie-before-the-drinks")
    refuse_other(answer, happened)
    return Right()


def _turned(
    predicted: Any, happened: list[str], first: str, second: str
) -> bool:
    """Whether two lines are predicted in this order and came in the other."""
    if not isinstance(predicted, list):
        return False
    places = [
        [lines.index(line) for line in (first, second) if line in lines]
        for lines in (predicted, happened)
    ]
    match places:
        case [[one, other], [early, late]]:
            return one < other and early > late
    return False


@exercise("03.4", parameters=3, limit=3)
async def announce(answer: Answer) -> Right:
    drinks = ["latte", "mocha", "chai"]
    gates = {drink: asyncio.Event() for drink in drinks}
    started: list[str] = []
    shouted: list[Any] = []

    async def make(drink: str) -> str:
        started.append(drink)
        await gates[drink].wait()
        return drink.upper()

    task = asyncio.create_task(answer(make, list(drinks), shouted.append))
    together = await until(lambda: task.done() or len(started) == 3, MOMENT)
    refuse_whole_list(started)
    _refuse_failure(task, shouted)
    _refuse_unfinished(shouted)
    if not together:
        raise Wrong("one-after-another")
    if task.done():
        for gate in gates.values():
            gate.set()
        await until(lambda: len(shouted) == len(drinks), MOMENT)
        raise Wrong("left-early")
    ready: list[str] = []
    for drink in ("mocha", "chai", "latte"):
        gates[drink].set()
        ready.append(drink.upper())
        heard = await until(
            lambda: task.done() or len(shouted) >= len(ready), MOMENT
        )
        _refuse_unfinished(shouted)
        _refuse_failure(task, shouted)
        if not heard:
            await _refuse_delay(task, gates, ready, shouted)
        if task.done() and shouted == ready[:-1]:
            raise Wrong("stopped-early", seen=shouted)
        equal(shouted, ready, "other-result")
    await asyncio.wait([task])
    _refuse_failure(task, shouted)
    equal(shouted, ready, "other-result")
    await _judge_ready_together(answer)
    return Right()


async def _judge_ready_together(answer: Answer) -> None:
    """All drinks are ready in one turn of the loop; and none is asked for."""
    drinks, expected = ["latte", "mocha", "latte"], ["LATTE", "LATTE", "MOCHA"]
    seen = await _announced(answer, drinks)
    if "CHAI" in seen:
        raise Wrong("kept-between-calls", expected=expected, seen=seen)
    if len(seen) > 1 and {*seen} == {*expected}:
        equal(seen, expected, "equal-drinks")
    equal(seen, expected, "ready-together")
    seen = await _announced(answer, ["water", "tea"])
    equal(seen, ["", "TEA"], "empty-result")
    try:
        await answer(_no_drink, [], seen.append)
    except Exception as error:
        raise Wrong("no-drinks", seen=error) from None


async def _announced(answer: Answer, drinks: list[str]) -> list[str]:
    """What is announced, in no order, when all of them are ready at once."""
    gate = asyncio.Event()
    started: list[str] = []
    shouted: list[Any] = []

    async def make(drink: str) -> str:
        started.append(drink)
        await gate.wait()
        return "" if drink == "water" else drink.upper()

    task = asyncio.create_task(answer(make, list(drinks), shouted.append))
    await until(lambda: len(started) == len(drinks), MOMENT)
    _refuse_equal_drinks(started, drinks)
    gate.set()
    await until(task.done)
    _refuse_failure(task, shouted)
    return sorted(map(str, shouted))


async def _no_drink(drink: str) -> str:
    raise AssertionError(f"nobody asked for {drink}")


def _refuse_unfinished(shouted: list[Any]) -> None:
    """What was announced is still to be awaited."""
    refuse_unawaited(shouted, "not-a-result")
    if any(asyncio.isfuture(one) and one.done() for one in shouted):
        raise Wrong("task-announced")
    if holds_futures(shouted):
        raise Wrong("not-a-result")
    if any(isinstance(one, str) and one.islower() for one in shouted):
        raise Wrong("drink-announced", seen=shouted)


def _refuse_failure(task: asyncio.Task[Any], shouted: list[Any]) -> None:
    """The answer raised: name the slip that is known, or raise it, too."""
    if not task.done():
        return
    try:
        task.result()
    except AttributeError as error:
        if error.name == "result" and close_unawaited(error.obj):
            raise Unawaited("no-result-yet", seen=error) from None
        raise
    except TypeError as error:
        text = f"{error}"
        if AS_COMPLETED_STAR in text:
            raise Unawaited("starred") from None
        if awaited(error) in ("generator", "_AsCompletedIterator"):
            raise Unawaited("awaited-as-completed", seen=error) from None
        if shouted and (awaited(error) or NEEDS_AWAITABLE in text):
            raise Wrong("awaited-shout", seen=error) from None
        if NOT_ASYNC_ITERABLE in text:
            raise Wrong("async-for", seen=error) from None
        raise


async def _refuse_delay(
    task: asyncio.Task[Any],
    gates: dict[str, asyncio.Event],
    ready: list[str],
    shouted: list[Any],
) -> NoReturn:
    """Find out what an answer waits for that did not announce a drink."""
    gates["latte"].set()
    heard = await until(lambda: len(shouted) >= len(ready), MOMENT)
    seen = list(shouted)
    gates["chai"].set()
    await until(lambda: task.done() or shouted, MOMENT)
    if not shouted:
        raise Wrong("never-shouted", expected=ready, seen=seen)
    raise Wrong(
        "asked-order" if heard else "all-at-the-end", expected=ready, seen=seen
    )
