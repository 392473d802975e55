"""Judges the exercises of lesson 01."""

import asyncio
import inspect
import sys
import traceback
import warnings

from aula.exercises.exercise import Right, Wrong, exercise

RESULT = "mocha #7"  # what the future of 01.4 brings


@exercise("01.1", parameters=1)
async def breakfast(answer):
    events = []

    async def brew(drink):
        events.append(f'brew("{drink}")')
        await asyncio.sleep(0.05)
        events.append(f"{drink} #7")
        return f"{drink} #7"

    results = ["latte #7", "mocha #7"]
    seen = await answer(brew)
    drinks = seen if isinstance(seen, list | tuple) else [seen]
    unawaited = [drink for drink in drinks if inspect.isawaitable(drink)]
    for coroutine in filter(inspect.iscoroutine, unawaited):
        coroutine.close()
    if unawaited:
        raise Wrong("not-awaited")
    expected = ['brew("latte")', "latte #7", 'brew("mocha")', "mocha #7"]
    if sorted(events) == sorted(expected) and events != expected:
        at_once = events[1].startswith("brew")
        if at_once:
            raise Wrong("at-once", expected=expected, seen=events)
        raise Wrong("other-order", expected=expected, seen=events)
    if events != expected:
        raise Wrong("other-drinks", expected=expected, seen=events)
    if seen is None:
        raise Wrong("brewed-not-returned", expected=results, seen=seen)
    if not isinstance(seen, list) or len(seen) != 2:
        raise Wrong("no-list", expected=results, seen=seen)
    if seen != results:
        raise Wrong("other-results", expected=results, seen=seen)
    return Right()


@exercise("01.2", parameters=2)
async def countdown(answer, run):
    said, paused, due = [], [], []
    loop = asyncio.get_running_loop()

    # Timers of one loop end in their order, however slow the machine is.
    def say(number):
        said.append(number)
        loop.call_later(0.025, paused.append, number)
        return ""  # in a TypeError, not to be taken for another call's None

    async def wait_longer():
        await asyncio.sleep(1)

    loop.call_later(0.1, due.append, True)
    tasks = [
        asyncio.create_task(answer(numbers, say), name=f"{numbers}")
        for numbers in ([3, 2, 1], [30, 20, 10])
    ]
    late = asyncio.create_task(wait_longer())
    try:
        await asyncio.gather(*tasks)
    except TypeError as error:
        if said and "a coroutine" in str(error):
            raise Wrong("no-coroutine", seen=error) from None
        if not said or "await" not in str(error):
            raise
        if "NoneType" in str(error):
            raise Wrong("awaited-none", seen=error) from None
        raise Wrong("awaited-say", seen=error) from None
    too_long = late.done()
    late.cancel()
    steps = [lane.steps for lane in run.lanes if lane.task in tasks]
    if not said:
        raise Wrong("never-said")
    if sorted(said) != [1, 2, 3, 10, 20, 30]:
        raise Wrong("other-numbers", expected=[3, 30, 2, 20, 1, 10], seen=said)
    small = [number for number in said if number < 10]
    large = [number for number in said if number >= 10]
    if small != [3, 2, 1] or large != [30, 20, 10]:
        raise Wrong("other-order", expected=[3, 30, 2, 20, 1, 10], seen=said)
    if said == [3, 2, 1, 30, 20, 10]:
        if all(len(each) > 1 for each in steps):
            raise Wrong(
                "pause-outside", expected=[3, 30, 2, 20, 1, 10], seen=said
            )
        raise Wrong("blocking", expected=[3, 30, 2, 20, 1, 10], seen=said)
    if sum(end - began > 0.04 for each in steps for began, end in each) > 3:
        raise Wrong("holds-the-loop")
    if not due:
        raise Wrong("too-short")
    if too_long:
        raise Wrong("too-long")
    if not {1, 10} <= set(paused):
        raise Wrong("pause-first")
    return Right(said=said)


@exercise("01.3", answer="function", parameters=1, picture=None, limit=3)
async def run_all(answer):
    log = []

    async def talk(name, turns):
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
        if "running event loop" in str(error):
            with warnings.catch_warnings():
                # What asyncio.run refused was not forgotten.
                warnings.simplefilter("ignore")
                traceback.clear_frames(error.__traceback__)
            raise _other_loop() from None
        if "already awaited" not in str(error):
            raise
        raise Wrong("sent-after-its-end", seen=error) from None
    finally:
        for coroutine in coroutines:
            if not _has_task(coroutine):
                coroutine.close()
    if not log:
        raise _other_loop()
    seen = ", ".join(log)
    if seen == expected:
        return Right(value=seen)
    if seen == "a0, a1, a fin, b0, b fin, c0, c1, c2, c fin":
        raise Wrong("one-by-one", expected=expected, seen=seen)
    if seen == "a0, b0, c0":
        raise Wrong("one-round", expected=expected, seen=seen)
    if seen == "a0, b0, c0, a1, b fin, a fin, c1, c2, c fin":
        raise Wrong("skips-one", expected=expected, seen=seen)
    if all(f"{name} fin" in log for name in "abc"):
        raise Wrong("other-order", expected=expected, seen=seen)
    raise Wrong("stops-early", expected=expected, seen=seen)


class _NeverEnds(BaseException):
    """Raised in an answer that goes on and moves no coroutine."""


def _call(answer, coroutines, log):
    """Call a plain answer; stop it when it goes on and nothing happens."""
    entered, moved, idle = False, 0, 0

    def enter(frame, *_):
        nonlocal entered
        if entered:  # what it calls is not watched
            return None
        entered = frame.f_trace_opcodes = True
        return step

    def step(*_):
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


def _other_loop():
    return Wrong("other-loop")


@exercise("01.4", parameters=2, limit=8)
async def patience(answer, run):
    loop = asyncio.get_running_loop()
    reports = []
    loop.set_exception_handler(lambda _, report: reports.append(report))

    never = loop.create_future()
    waiting = asyncio.create_task(answer(never, 0.1), name="patience")
    await _wait(waiting, 0.3)
    in_time = waiting.done()
    if not in_time:
        await _wait(waiting, 2)
    if not waiting.done():
        raise Wrong("no-limit")
    try:
        late = waiting.result()
    except TimeoutError:
        raise Wrong("escapes") from None
    except TypeError as error:
        if "context manager" not in str(error):
            raise
        raise Wrong("timeout-plain-with", seen=error) from None
    if isinstance(late, asyncio.Future):
        raise Wrong("not-awaited", seen=late)

    early = loop.create_future()
    loop.call_later(0.02, _complete, early)
    await _wait(asyncio.create_task(answer(early, 0.1), name="patience"), 0.3)
    # A timer that the answer has set is due before this sleep ends.
    await asyncio.sleep(0.15)
    for report in reports:
        if isinstance(report.get("exception"), asyncio.InvalidStateError):
            raise Wrong("timer-left", seen=report["exception"])

    soon = loop.create_future()
    loop.call_later(0.4, _complete, soon)
    waiting = asyncio.create_task(answer(soon, 3), name="patience")
    await _wait(waiting, 1.5)
    steps = [s for x in run.lanes if x.task is waiting for s in x.steps]
    if steps and max(ended - began for began, ended in steps) > 1:
        raise Wrong("blocking")
    if not waiting.done():
        raise Wrong("sleeps-first")
    soon_result = waiting.result()
    both_late = (late, soon_result) == ("tarde", "tarde")
    if not in_time or (both_late and len(steps) > 1):
        raise Wrong("fixed-limit")
    if soon_result is None:
        raise Wrong("no-return", expected=RESULT, seen=soon_result)
    if late is None:
        raise Wrong("late-not-returned", expected="tarde", seen=late)
    if (late, soon_result) != ("tarde", RESULT):
        raise Wrong(
            "other-results",
            expected=("tarde", RESULT),
            seen=(late, soon_result),
        )

    waiting = asyncio.create_task(
        answer(loop.create_future(), 3), name="patience"
    )
    await asyncio.sleep(0.03)
    waiting.cancel()
    await _wait(waiting, 0.5)
    if not waiting.cancelled():
        raise Wrong("swallows-cancel")
    return Right()


async def _wait(task, seconds):
    """Wait for a task, and on a slow machine some turns of the loop more."""
    await asyncio.wait({task}, timeout=seconds)
    for _ in range(20):
        if not task.done():
            await asyncio.sleep(0)


def _complete(future):
    if not future.done():
        future.set_result(RESULT)


def _has_task(coroutine):
    return any(t.get_coro() is coroutine for t in asyncio.all_tasks())
