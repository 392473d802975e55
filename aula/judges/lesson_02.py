"""Judges the exercises of lesson 02."""

import asyncio
import inspect
import traceback
import warnings

from aula.exercises.exercise import Right, Wrong, exercise
from aula.judges.peers import refuse_no_star

LONG = 0.2  # seconds a drink gets in 02.4


async def until(condition):
    """Let the event loop turn until a condition holds; tell whether it did.

    Counted in turns, so that a slow machine gets more time.
    """
    for _ in range(30):
        if condition():
            return True
        await asyncio.sleep(0.005)
    return condition()


@exercise("02.1", parameters=2, limit=3)
async def breakfast_together(answer):
    await _breakfast(answer, boil_turns=0, toast_turns=30)
    await _breakfast(answer, boil_turns=30, toast_turns=0)
    return Right()


async def _breakfast(answer, boil_turns, toast_turns):
    started, ended, both = [], [], asyncio.Event()
    boiled_in = None

    async def boil():
        nonlocal boiled_in
        boiled_in = asyncio.current_task()
        started.append("boil")
        await both.wait()
        for _ in range(boil_turns):
            await asyncio.sleep(0)
        ended.append("boil")
        return "chai"

    async def toast():
        started.append("toast")
        await both.wait()
        for _ in range(toast_turns):
            await asyncio.sleep(0)
        ended.append("toast")
        return "croissant"

    task = asyncio.create_task(answer(boil, toast))
    together = await until(lambda: task.done() or len(started) == 2)
    both.set()
    try:
        seen = await task
    except TypeError as error:
        if "object function can't be used in 'await'" in str(error):
            name = "boil" if "toast" in started else "toast"
            raise Wrong("function-awaited", seen=error, name=name) from None
        if not any(why in str(error) for why in NO_COROUTINE):
            refuse_no_star(error)
            raise
        raise Wrong("not-called", seen=error) from None
    except asyncio.InvalidStateError:
        if toast_turns == 0:
            raise Wrong("too-early-then") from None
        raise Wrong("too-early") from None
    if not together and "toast" in started:
        raise Wrong("one-after-another")
    for name in ("boil", "toast"):
        if started.count(name) > 1:
            raise Wrong("called-twice", name=name)
    if isinstance(seen, asyncio.Future):
        raise Wrong("returned-task", expected="chai")
    if "toast" not in ended:
        raise Wrong("toast-left-behind")
    if seen is None:
        raise _no_return("breakfast")
    if seen != "chai":
        raise Wrong("other-result", expected="chai", seen=seen)
    if boiled_in is task:
        raise Wrong("in-the-foreground")


@exercise("02.2", parameters=2, limit=3)
async def brew_all(answer):
    drinks = ["latte", "mocha", "chai", "latte"]
    expected = [drink.upper() for drink in drinks]
    started, made, gates, asked = [], [], [], []
    all_open = False

    async def brew(drink, gate):
        started.append(drink)
        if not all_open:
            await gate.wait()
        return f"{drink}".upper()

    def make(drink):
        asked.append(drink)
        gates.append(asyncio.Event())
        made.append(brew(drink, gates[-1]))
        return made[-1]

    task = asyncio.create_task(answer(make, list(drinks)))
    together = await until(lambda: task.done() or len(started) == len(drinks))
    # The last one asked for is the first one ready.
    for gate in reversed(gates):
        gate.set()
        for _ in range(5):
            await asyncio.sleep(0)
    all_open = True
    await until(task.done)
    try:
        _refuse_whole_list(asked)
        if task.done() and not task.cancelled() and task.exception():
            raise task.exception()
        _refuse_alone(together)
        seen = await task
    except (TypeError, RuntimeError) as error:
        if isinstance(error, TypeError):
            _refuse_none(asked, expected)
        if not started:
            refuse_no_star(error)
        raise
    finally:
        unstarted = _close(made)
    _refuse_none(asked, expected)
    if unstarted:
        raise Wrong("never-awaited")
    if seen is None:
        raise _no_return("brew_all")
    if isinstance(seen, asyncio.Future):
        raise Wrong("returned-future", expected=expected)
    if _holds_tasks(seen):
        raise Wrong("returned-tasks", expected=expected)
    if not isinstance(seen, list | tuple) or (
        sorted(map(repr, seen)) != sorted(map(repr, expected))
    ):
        raise Wrong("other-result", expected=expected, seen=seen)
    if list(seen) != expected:
        raise Wrong("completion-order", expected=expected, seen=seen)
    return Right()


def _no_return(name):
    return Wrong("no-return", name=name)


def _refuse_alone(together):
    if not together:
        raise Wrong("one-after-another")


@exercise("02.3", parameters=3, limit=3)
async def announce(answer):
    drinks = ["latte", "mocha", "chai"]
    gates = {drink: asyncio.Event() for drink in drinks}
    started, shouted = [], []

    async def make(drink):
        started.append(drink)
        await gates[drink].wait()
        return drink.upper()

    task = asyncio.create_task(answer(make, list(drinks), shouted.append))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        together = await until(lambda: task.done() or len(started) == 3)
    _refuse_starred(task)
    for warning in caught:
        warnings.warn(warning.message, warning.category, stacklevel=1)
    _refuse_whole_list(started)
    if task.done():
        _refuse_ends(task, shouted)
    _refuse_tasks(shouted)
    _refuse_alone(together)
    if task.done():
        for gate in gates.values():
            gate.set()
        await until(lambda: len(shouted) == len(drinks))
        raise Wrong("left-early")
    ready = []
    for drink in ("mocha", "chai", "latte"):
        gates[drink].set()
        ready.append(drink.upper())
        heard = await until(lambda: task.done() or len(shouted) >= len(ready))
        _refuse_tasks(shouted)
        if task.done():
            _refuse_ends(task, shouted)
        if not heard:
            await _refuse_delay(task, gates, ready, shouted)
        _refuse_other(shouted, ready)
    await asyncio.wait([task])
    _refuse_ends(task, shouted)
    _refuse_other(shouted, ready)
    return Right()


def _refuse_other(shouted, ready):
    if shouted != ready:
        raise Wrong("other-result", expected=ready, seen=shouted)


def _refuse_starred(task):
    failed = task.done() and not task.cancelled() and task.exception()
    if "as_completed() takes 1 positional" in f"{failed}":
        _forget(failed)
        raise Wrong("starred")


def _refuse_ends(task, shouted):
    """Refuse an answer that raised, naming the slip that is known."""
    try:
        task.result()
    except TypeError as error:
        if shouted and "await" in str(error):
            raise Wrong("awaited-shout", seen=error) from None
        if "'async for'" in str(error):
            raise Wrong("async-for", seen=error) from None
        raise


async def _refuse_delay(task, gates, ready, shouted):
    """Find out what an answer waits for that did not announce a drink."""
    gates["latte"].set()
    heard = await until(lambda: len(shouted) >= len(ready))
    expected, seen = list(ready), list(shouted)
    gates["chai"].set()
    await until(lambda: task.done() or shouted)
    if not shouted:
        raise Wrong("never-shouted", expected=expected, seen=seen)
    if heard:
        raise Wrong("asked-order", expected=expected, seen=seen)
    raise Wrong("all-at-the-end", expected=expected, seen=seen)


@exercise("02.4", parameters=3, limit=3)
async def brew_in_time(answer):
    drinks = ["latte", "mocha", "chai", "espresso", "cortado"]
    expected = ["LATTE", None, None, None, "CORTADO"]
    started, late, all_started = [], [], asyncio.Event()
    given_up = asyncio.Event()
    alone, due, overdue = False, [], []

    async def make(drink):
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

    async def sleep(seconds):
        await asyncio.sleep(seconds)
        # A slow machine may come to both ends at the same time.
        for _ in range(50):
            await asyncio.sleep(0)

    async def look_for_overdue():
        await given_up.wait()
        await sleep(0.5 * LONG)
        overdue.extend(late)

    # Timers of one loop end in their order, however slow the machine is.
    asyncio.get_running_loop().call_later(0.75 * LONG, due.append, True)
    task = asyncio.create_task(answer(make, list(drinks), LONG))
    longer = asyncio.create_task(sleep(1.5 * LONG))
    looking = asyncio.create_task(look_for_overdue())
    await asyncio.wait([task], timeout=8 * LONG)
    in_time = due and not longer.done()
    longer.cancel()
    looking.cancel()
    _refuse_whole_list(started)
    if alone or (not task.done() and len(started) < len(drinks)):
        raise Wrong("one-after-another")
    if not task.done():
        raise Wrong("no-deadline")
    try:
        seen = task.result()
    except TimeoutError:
        raise _late_ruins_all() from None
    except TypeError as error:
        refuse_no_star(error)
        raise
    except (ValueError, BaseExceptionGroup) as error:
        raise Wrong("failure-ruins-all", seen=error) from None
    if not isinstance(seen, list | tuple):
        raise Wrong("no-list", expected=expected, seen=seen)
    if len(seen) < len(expected):
        raise Wrong("left-out", expected=expected, seen=seen)
    if any(isinstance(value, BaseException) for value in seen):
        raise Wrong("errors-left-in", expected=expected, seen=seen)
    _refuse_none(started, expected)
    if list(seen) == [None] * len(drinks) and due:
        raise _late_ruins_all()
    if list(seen) == [None] * len(drinks):
        raise Wrong("all-given-up", expected=expected, seen=seen)
    if list(seen) != expected:
        raise Wrong("other-result", expected=expected, seen=seen)
    if overdue:
        raise Wrong("late-deadlines", overdue=overdue[0])
    if not in_time:
        raise Wrong("other-deadline")
    if not await until(lambda: not late):
        raise Wrong("still-running", late=late[0])
    return Right()


def _late_ruins_all():
    return Wrong("late-ruins-all")


@exercise("02.5", parameters=1, limit=3, picture=None)
async def retry(answer):
    errors = [ValueError("latte"), OSError("latte")]
    calls = 0

    async def fail_twice():
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        if calls <= len(errors):
            raise errors[calls - 1]
        return "LATTE"

    try:
        seen = await answer(fail_twice)
    except (ValueError, OSError) as error:
        if calls == 1:
            raise Wrong("no-retry", seen=error) from None
        raise Wrong("only-some-errors", seen=error) from None
    if inspect.iscoroutine(seen):
        seen.close()
        raise Wrong("returned-coroutine")
    if calls == 0:
        raise Wrong("never-called", seen=seen)
    if seen != "LATTE":
        raise Wrong("gives-up", expected="LATTE", seen=seen)
    await _refuse_deafness(answer)
    return Right()


async def _refuse_deafness(answer):
    """Cancel the answer while it waits and see how it ends."""
    calls = 0

    async def wait_once():
        nonlocal calls
        calls += 1
        if calls == 1:
            await asyncio.Future()
        return "LATTE"

    task = asyncio.create_task(answer(wait_once))
    await until(lambda: calls)
    task.cancel()
    await asyncio.wait([task])
    if calls > 1:
        raise Wrong("swallowed")
    if not task.cancelled():
        end = task.exception() or task.result()
        raise Wrong(
            "cancel-covered-up", expected=asyncio.CancelledError(), seen=end
        )


# What asyncio says of a function where a coroutine is wanted.
NO_COROUTINE = ("was expected, got <function", "awaitable is required")


def _refuse_none(asked, expected):
    """Refuse an answer that has not called make at all."""
    if not asked:
        raise Wrong("never-made", expected=expected)


def _refuse_whole_list(asked):
    """Refuse a call of make that got all drinks at once."""
    if any(not isinstance(drink, str) for drink in asked):
        raise Wrong("whole-list", seen=asked[0])


def _forget(error):
    """Drop the coroutines of an error's frames: not awaited for a reason."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traceback.clear_frames(error.__traceback__)


def _close(coroutines):
    """Close the coroutines that never started, and count them."""
    unstarted = [
        coroutine
        for coroutine in coroutines
        if inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED
        and not _has_task(coroutine)
    ]
    for coroutine in unstarted:
        coroutine.close()
    return len(unstarted)


def _has_task(coroutine):
    return any(t.get_coro() is coroutine for t in asyncio.all_tasks())


def _holds_tasks(value):
    return isinstance(value, list | tuple | set) and any(
        isinstance(item, asyncio.Future) for item in value
    )


def _refuse_tasks(shouted):
    """Refuse an announcement of what is still to be awaited."""
    pending = [item for item in shouted if inspect.isawaitable(item)]
    for item in pending:
        if inspect.iscoroutine(item):
            item.close()
    if pending:
        raise Wrong("not-a-result")
