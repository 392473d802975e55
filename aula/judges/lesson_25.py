"""Judges the exercises of lesson 25: percentiles, costs, bytes."""

from __future__ import annotations

import asyncio
import json
import math
import statistics
import time
from typing import Any

from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from aula.exercises.exercise import Answer, Right, Wrong, exercise
from aula.exercises.prediction import Program, refuse_other
from aula.judges.mistakes import equal, refuse_none

# Seconds of 100 waits, in no order: multiplied by 37, they are all different.
WAITS = [(37 * number % 101) / 1000 for number in range(1, 101)]
FEW = [0.5, 0.02, 0.9, 0.31, 0.07, 0.6, 0.11]
# Most waits of a real measurement are alike.
ALIKE = [0.02, 0.4, 0.02, 0.02, 0.9, 0.02, 0.02, 0.02, 0.02, 0.02]
# As texts, they have another order.
LENGTHS = [0.5, 12.0, 9.5, 10.25]
CASES = [
    (WAITS, 90),
    (WAITS, 99),
    (WAITS, 50),
    (WAITS, 100),
    (FEW, 50),
    (FEW, 90),
    (FEW, 1),
    (ALIKE, 50),
    (ALIKE, 90),
    ([0.25], 99),
    (LENGTHS, 75),
    # Of others of which there are as many.
    ([wait + 1 for wait in WAITS], 90),
    # 7 / 100 * 100 is a little more than 7.
    (WAITS, 7),
    (FEW, 100),
]
# Seconds of CPU that an action takes, round by round; and seconds it waits,
# which are more than all rounds together.
# The second time, the work is done in a thread.
ROUNDS = [[0.05, 0.06, 0.02], [0.05, 0.12]]
CHEAPEST = [0.02, 0.05]
WAIT = 0.15
NEAR = 1.6  # times the cheapest; the next is 2.5 times as much
# Text of which nothing repeats, and more of it than a server's compressor
# remembers.
LONG = " ".join(str(number**2 % 99991) for number in range(1000))
GRACE = '{"seat": 31, "drink": "mocha", "name": "Grace Hopper"}'
ADA = '{"seat": 7, "drink": "latte", "name": "Ada Lovelace"}'
TEXTS = [
    [GRACE, ADA, ADA, GRACE],
    [GRACE] * 6,
    ["café con piñón " * 40, "ñandú", "café con piñón " * 40],
    ["latte"],
    [LONG, LONG],
    [],
]
# What Python says of an action that is given arguments, and of text where
# bytes are needed.
TAKES_NOTHING = "once() takes 1 positional argument"
NOT_BYTES = ("bytes-like object", "concat str to", "has no attribute 'decode'")
SLACK = 0.03  # of the bytes, for a compressor that is set otherwise


@exercise("25.1", answer="function", parameters=2, picture=None)
async def percentile(answer: Answer) -> Right:
    for waits, share in CASES:
        given = [*waits]
        try:
            seen = answer(given, share)
        except IndexError as error:
            if any(place > len(waits) for place in _divided(waits, share)):
                raise Wrong("divides-first", seen=error) from None
            if len(waits) < share:
                raise Wrong(
                    "as-if-a-hundred", count=len(waits), seen=error
                ) from None
            raise
        ordered = sorted(waits)
        place = math.ceil(len(waits) * share / 100)
        expected = ordered[place - 1]
        asked: dict[str, Any] = {"share": share, "count": len(waits)}
        refuse_none(seen, expected)
        if given != waits:
            raise Wrong("mutates", expected=waits[:5], seen=given[:5])
        if seen == expected:
            continue
        if seen in [ordered[at - 1] for at in _divided(waits, share)]:
            raise Wrong("divides-first", expected=expected, seen=seen)
        if isinstance(seen, list | tuple):
            raise Wrong("many-waits", expected=expected, seen=seen[:5])
        if seen == _without_equals(waits, share):
            raise Wrong("equals-dropped", expected=expected, seen=seen)
        if seen == waits[place - 1]:
            raise Wrong("unsorted", expected=expected, seen=seen, **asked)
        if seen == place:
            raise Wrong("position", expected=expected, seen=seen, **asked)
        if seen == sorted(waits, reverse=True)[place - 1]:
            raise Wrong("from-the-top", expected=expected, seen=seen, **asked)
        if seen == sorted(waits, key=str)[place - 1]:
            raise Wrong("as-texts", expected=expected, seen=seen)
        if seen not in waits and math.isclose(seen + 1, expected):
            raise Wrong("kept-between-calls", expected=expected, seen=seen)
        if seen == _of_the_sum(waits, share):
            raise Wrong("of-the-sum", expected=expected, seen=seen, **asked)
        if seen == statistics.mean(waits):
            raise Wrong("mean", expected=expected, seen=seen)
        if seen == ordered[min(place, len(waits) - 1)]:
            raise Wrong("one-too-far", expected=expected, seen=seen, **asked)
        if seen not in waits:
            raise Wrong("in-between", expected=expected, seen=seen, **asked)
        raise Wrong("other-wait", expected=expected, seen=seen, **asked)
    return Right()


def _divided(waits: list[float], share: int) -> set[int]:
    """The places that others find who divide by 100 first."""
    count = len(waits)
    places = math.ceil(share / 100 * count), math.ceil(count / 100 * share)
    return {*places} - {math.ceil(count * share / 100)}


def _of_the_sum(waits: list[float], share: int) -> float:
    """With which wait that share of all seconds is reached."""
    reached = 0.0
    for wait in sorted(waits):
        reached += wait
        if reached >= sum(waits) * share / 100:
            return wait
    return max(waits)


def _without_equals(waits: list[float], share: int) -> float | None:
    """The percentile of waits that are all kept once; None without equals."""
    kept = sorted({*waits})
    if len(kept) == len(waits):
        return None
    return kept[math.ceil(len(kept) * share / 100) - 1]


@exercise("25.2", answer="prediction", picture=None)
async def queue_waits(answer: Any, program: Program) -> Right:
    await program.run()
    if answer == [0, 40, 0, 0, 0, 0]:
        equal(answer, program.result, "only-the-slow-one")
    if answer == [0, 40, 40, 40, 40, 40]:
        equal(answer, program.result, "never-recovers")
    if answer == [0, 50, 50, 50, 50, 50]:
        equal(answer, program.result, "times-not-waits")
    if answer in ([0, 0, 30, 20, 10, 0], [0, 0, 40, 30, 20, 10]):
        equal(answer, program.result, "slow-one-free")
    if answer == [0, 40, 40, 30, 20, 10]:
        equal(answer, program.result, "next-one-late")
    if answer == [0, 50, 40, 30, 20, 10]:
        equal(answer, program.result, "ten-too-many")
    if answer == [0, 0.04, 0.03, 0.02, 0.01, 0]:
        equal(answer, program.result, "in-seconds")
    refuse_other(answer, program.result)
    return Right()


class _Brewing:
    """An action that costs what it is told, and then waits."""

    def __init__(self, rounds: list[float], in_thread: bool) -> None:
        self.count = 0
        self._in_thread = in_thread
        self.overlapped = False
        self._running = False
        self._rounds = rounds

    async def once(self) -> None:
        if self.count == len(self._rounds):
            raise Wrong("too-many-rounds", expected=self.count)
        seconds = self._rounds[self.count]
        self.count += 1
        self.overlapped |= self._running
        self._running = True
        if self._in_thread:
            await asyncio.to_thread(_compute, seconds)
        else:
            _compute(seconds)
        await asyncio.sleep(WAIT)
        self._running = False


def _compute(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@exercise("25.3", parameters=2, limit=12)
async def cpu_time(answer: Answer) -> Right:
    for number, rounds in enumerate(ROUNDS):
        brew = _Brewing(rounds, in_thread=bool(number))
        try:
            seen = await answer(brew.once, len(rounds))
        except TypeError as error:
            if TAKES_NOTHING in f"{error}":
                raise Wrong("gives-arguments", seen=error) from None
            raise
        equal(brew.count, len(rounds), "too-few-rounds")
        if brew.overlapped:
            raise Wrong("all-at-once")
        refuse_none(seen)
        if not isinstance(seen, float | int):
            raise Wrong("no-number", seen=seen)
        _refuse_cost(seen, number)
    return Right()


def _refuse_cost(seen: float, number: int) -> None:
    cheapest = CHEAPEST[number]
    expected = f"{cheapest} s"
    said = f"{seen:.3f} s"
    for unit, times in ("ns", 10**9), ("µs", 10**6), ("ms", 10**3):
        if seen > times / 2 * cheapest:
            raise Wrong("other-unit", unit=unit, expected=expected, seen=said)
    if seen > WAIT:
        raise Wrong("counts-waiting", expected=expected, seen=said)
    if number and CHEAPEST[0] / NEAR < seen < CHEAPEST[0] * NEAR:
        raise Wrong("kept-between-calls", expected=expected, seen=said)
    if number and seen < CHEAPEST[0] / NEAR:
        raise Wrong("one-thread", expected=expected, seen=said)
    if seen < cheapest / NEAR:
        raise Wrong("too-little", expected=expected, seen=said)
    if seen > cheapest * NEAR:
        raise Wrong("not-the-cheapest", expected=expected, seen=said)


@exercise("25.4", answer="function", parameters=2, picture=None)
async def wire_size(answer: Answer) -> Right:
    for texts in TEXTS:
        for compressed in False, True:
            seen = _call(answer, texts, compressed)
            again = _call(answer, texts, compressed)
            expected = _size(texts, compressed)
            slack = expected * SLACK if compressed else 0
            if abs(again - expected) > slack and again != seen:
                raise Wrong("kept", expected=expected, seen=again)
            if abs(seen - expected) > slack:
                _refuse_size(seen, expected, texts, compressed)
    return Right()


def _call(answer: Answer, texts: list[str], compressed: bool) -> Any:
    """What the answer says of some texts, a number.

    Raises:
        Wrong: printed, no-sum or not-encoded.
    """
    try:
        seen = answer([*texts], compressed)
    except (TypeError, AttributeError) as error:
        if any(said in f"{error}" for said in NOT_BYTES):
            raise Wrong("not-encoded", seen=error) from None
        if texts:
            raise
        raise Wrong("fails-without", seen=error) from None
    except (IndexError, ValueError, UnboundLocalError) as error:
        if texts:
            raise
        raise Wrong("fails-without", seen=error) from None
    expected = _size(texts, compressed)
    refuse_none(seen, expected)
    if not isinstance(seen, int | float):
        raise Wrong("no-sum", expected=expected, seen=seen)
    return seen


def _size(
    texts: list[str],
    compressed: bool,
    *,
    mask: bool = False,
    forget: bool = False,
    bits: int = 12,
    encoding: str = "utf-8",
    errors: str = "strict",
) -> int:
    """The bytes on the wire.

    Arguments:
        forget: whether nothing is remembered from one message to the next.
        bits: how much is remembered.
    """
    deflate, total = PerMessageDeflate(forget, forget, bits, bits), 0
    for text in texts:
        frame = Frame(Opcode.TEXT, text.encode(encoding, errors))
        extensions = [deflate] if compressed else []
        total += len(frame.serialize(mask=mask, extensions=extensions))
    return total


def _refuse_size(
    seen: Any, expected: int, texts: list[str], compressed: bool
) -> None:
    characters = sum(map(len, texts))
    data = sum(len(text.encode()) for text in texts)

    def refuse_size(mistake: str, *sizes: int) -> None:
        if seen in sizes:
            raise Wrong(mistake, expected=expected, seen=seen)

    if not compressed:
        refuse_size("always-compressed", _size(texts, True))
    refuse_size("masked", _size(texts, compressed, mask=True))
    refuse_size("never-compressed", _size(texts, False))
    refuse_size("forgets", _size(texts, compressed, forget=True))
    refuse_size("remembers-more", _size(texts, compressed, bits=15))
    refuse_size("no-header", characters, data)
    headers = 2 * len(texts)
    refuse_size("short-header", characters + headers, data + headers)
    refuse_size("other-encoding", _size(texts, compressed, encoding="latin-1"))
    for errors in "ignore", "replace":
        size = _size(texts, compressed, encoding="ascii", errors=errors)
        refuse_size("other-encoding", size)
    if len({*texts}) > 1:
        once = [*dict.fromkeys(texts)]
        refuse_size("equals-once", _size(once, compressed))
    for turned in sorted(texts), texts[::-1]:
        refuse_size("other-order", _size(turned, compressed))
    refuse_size("as-json", _size([*map(json.dumps, texts)], compressed))
    for text in texts[-1], texts[0]:
        refuse_size("one-only", _size([text], compressed))
    raise Wrong("other-size", expected=expected, seen=seen)
