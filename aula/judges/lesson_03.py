"""Judges the exercises of lesson 03."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, NoReturn

from aula.exercises.answer import close_unawaited
from aula.exercises.exercise import Answer, Right, Unawaited, Wrong, exercise
from aula.judges.mistakes import (
    AS_COMPLETED_STAR,
    NEEDS_AWAITABLE,
    NOT_A_COROUTINE,
    NOT_ASYNC_ITERABLE,
    awaited,
    equal,
    holds_futures,
    refuse_future,
    refuse_no_star,
    refuse_none,
    refuse_unawaited,
)
from aula.judges.waiting import MOMENT, until


@exercise("03.1", parameters=2, limit=3)
async def breakfast_together(answer: Answer) -> Right:
    await _judge_breakfast(answer, boil_turns=0, toast_turns=30)
    await _judge_breakfast(answer, boil_turns=30, toast_turns=0)
    return Right()


async def _judge_breakfast(
    answer: Answer, boil_turns: int, toast_turns: int
) -> None:
    started: list[str] = []
    ended: list[str] = []
    both = asyncio.Event()
    boiled_in = None

    async def cook(name: str, turns: int) -> None:
        started.append(name)
        await both.wait()
        for _ in range(turns):
            await asyncio.sleep(0)
        ended.append(name)

    async def boil() -> str:
        nonlocal boiled_in
        boiled_in = asyncio.current_task()
        await cook("boil", boil_turns)
        return "chai"

    async def toast() -> str:
        await cook("toast", toast_turns)
        return "croissant"

    task = asyncio.create_task(answer(boil, toast))
    together = await until(lambda: task.done() or len(started) == 2, MOMENT)
    both.set()
    try:
        seen = await task
    except TypeError as error:
        _refuse_functions(error, started)
        refuse_no_star(error)
        raise
    except asyncio.InvalidStateError:
        toast_first = toast_turns == 0
        raise Wrong("too-early-then" if toast_first else "too-early") from None
    if not together and "toast" in started:
        raise Wrong("one-after-another")
    for name in ("boil", "toast"):
        if started.count(name) > 1:
            raise Wrong("called-twice", name=name)
    refuse_future(seen, "returned-task", expected="chai")
    if "toast" not in ended:
        raise Wrong("toast-left-behind")
    refuse_none(seen, "chai")
    equal(seen, "chai", "other-result")
    if boiled_in is task:
        raise Wrong("in-the-foreground")


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
    drinks = ["latte", "mocha", "chai", "latte"]
    expected = [drink.upper() for drink in drinks]
    asked: list[str] = []
    gates: list[asyncio.Event] = []
    made: list[Coroutine[Any, Any, str]] = []
    started: list[str] = []
    all_open = False

    async def brew(drink: str, gate: asyncio.Event) -> str:
        started.append(drink)
        if not all_open:
            await gate.wait()
        return f"{drink}".upper()

    def make(drink: str) -> Coroutine[Any, Any, str]:
        asked.append(drink)
        gates.append(asyncio.Event())
        made.append(brew(drink, gates[-1]))
        return made[-1]

    task = asyncio.create_task(answer(make, list(drinks)))
    together = await until(
        lambda: task.done() or len(started) == len(drinks), MOMENT
    )
    # The last one asked for is the first one ready.
    for gate in reversed(gates):
        gate.set()
        for _ in range(5):
            await asyncio.sleep(0)
    all_open = True
    await until(task.done, MOMENT)
    try:
        _refuse_whole_list(asked)
        if task.done():
            task.result()
        if not together:
            raise Wrong("one-after-another")
        seen = await task
    except (TypeError, RuntimeError) as error:
        if isinstance(error, TypeError):
            _refuse_never_made(asked, expected)
        if not started:
            refuse_no_star(error)
        raise
    finally:
        unstarted = close_unawaited(made)
    _refuse_never_made(asked, expected)
    if unstarted:
        raise Wrong("never-awaited")
    refuse_none(seen, expected)
    refuse_future(seen, "returned-future", expected=expected)
    if holds_futures(seen):
        raise Wrong("returned-tasks", expected=expected)
    if not isinstance(seen, list | tuple) or (
        sorted(map(repr, seen)) != sorted(map(repr, expected))
    ):
        raise Wrong("other-result", expected=expected, seen=seen)
    equal(list(seen), expected, "completion-order")
    return Right()


def _refuse_never_made(asked: list[str], expected: list[Any]) -> None:
    """The answer has not called make at all."""
    if not asked:
        raise Wrong("never-made", expected=expected)


def _refuse_whole_list(asked: list[str]) -> None:
    """A call of make got all drinks at once."""
    if any(not isinstance(drink, str) for drink in asked):
        raise Wrong("whole-list", seen=asked[0])


@exercise("03.3", parameters=3, limit=3)
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
    _refuse_whole_list(started)
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
        equal(shouted, ready, "other-result")
    await asyncio.wait([task])
    _refuse_failure(task, shouted)
    equal(shouted, ready, "other-result")
    return Right()


def _refuse_unfinished(shouted: list[Any]) -> None:
    """What was announced is still to be awaited."""
    refuse_unawaited(shouted, "not-a-result")
    if holds_futures(shouted):
        raise Wrong("not-a-result")


def _refuse_failure(task: asyncio.Task[Any], shouted: list[Any]) -> None:
    """The answer raised: name the slip that is known, or raise it, too."""
    if not task.done():
        return
    try:
        task.result()
    except TypeError as error:
        text = f"{error}"
        if AS_COMPLETED_STAR in text:
            raise Unawaited("starred") from None
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
