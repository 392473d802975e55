"""Judges the exercises of lesson 25: percentiles, costs, bytes."""

from __future__ import annotations

import asyncio
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
CASES = [
    (WAITS, 99),
    (WAITS, 90),
    (WAITS, 50),
    (WAITS, 100),
    (FEW, 50),
    (FEW, 90),
    (FEW, 1),
    ([0.25], 99),
]
# Seconds of CPU that an action takes, round by round; and seconds it waits,
# which are more than all rounds together.
ROUNDS = [[0.05, 0.02, 0.06], [0.02, 0.05]]
CHEAPEST = 0.02
WAIT = 0.15
NEAR = 1.6  # times the cheapest; the next is 2.5 times as much
TEXTS = [
    ['{"seat": 31, "drink": "mocha", "name": "Grace Hopper"}'] * 6,
    ["café con piñón " * 40, "ñandú", "café con piñón " * 40],
    ["latte"],
]
SLACK = 0.03  # of the bytes, for a compressor that is set otherwise


@exercise("25.1", answer="function", parameters=2, picture=None)
async def percentile(answer: Answer) -> Right:
    for waits, share in CASES:
        given = [*waits]
        seen = answer(given, share)
        ordered = sorted(waits)
        place = math.ceil(len(waits) * share / 100)
        expected = ordered[place - 1]
        asked: dict[str, Any] = {"share": share, "count": len(waits)}
        refuse_none(seen, expected)
        if given != waits:
            raise Wrong("mutates", expected=waits[:5], seen=given[:5])
        if seen == expected:
            continue
        if seen == waits[place - 1]:
            raise Wrong("unsorted", expected=expected, seen=seen, **asked)
        if seen == place:
            raise Wrong("position", expected=expected, seen=seen, **asked)
        if seen == sorted(waits, reverse=True)[place - 1]:
            raise Wrong("from-the-top", expected=expected, seen=seen, **asked)
        if seen == statistics.mean(waits):
            raise Wrong("mean", expected=expected, seen=seen)
        if seen == ordered[min(place, len(waits) - 1)]:
            raise Wrong("one-too-far", expected=expected, seen=seen, **asked)
        if seen not in waits:
            raise Wrong("in-between", expected=expected, seen=seen, **asked)
        raise Wrong("other-wait", expected=expected, seen=seen, **asked)
    return Right()


@exercise("25.2", answer="prediction", picture=None)
async def queue_waits(answer: Any, program: Program) -> Right:
    await program.run()
    if answer == [0, 40, 0, 0, 0, 0]:
        equal(answer, program.result, "only-the-slow-one")
    if answer == [0, 40, 40, 40, 40, 40]:
        equal(answer, program.result, "never-recovers")
    if answer == [0, 50, 50, 50, 50, 50]:
        equal(answer, program.result, "times-not-waits")
    refuse_other(answer, program.result)
    return Right()


class _Brewing:
    """An action that costs what it is told, and then waits."""

    def __init__(self, rounds: list[float]) -> None:
        self.count = 0
        self._rounds = rounds

    async def once(self) -> None:
        if self.count == len(self._rounds):
            raise Wrong("too-many-rounds", expected=self.count)
        end = time.process_time() + self._rounds[self.count]
        self.count += 1
        while time.process_time() < end:
            pass
        await asyncio.sleep(WAIT)


@exercise("25.3", parameters=2, limit=12)
async def cost(answer: Answer) -> Right:
    for rounds in ROUNDS:
        brew = _Brewing(rounds)
        seen = await answer(brew.once, len(rounds))
        equal(brew.count, len(rounds), "too-few-rounds")
        refuse_none(seen)
        if not isinstance(seen, float | int):
            raise Wrong("no-number", seen=seen)
        _refuse_cost(seen, rounds)
    return Right()


def _refuse_cost(seen: float, rounds: list[float]) -> None:
    expected = f"{CHEAPEST} s"
    said = f"{seen:.3f} s"
    if seen > 500 * CHEAPEST:
        raise Wrong("milliseconds", expected=expected, seen=said)
    if seen > WAIT:
        raise Wrong("counts-waiting", expected=expected, seen=said)
    if not CHEAPEST / NEAR < seen < CHEAPEST * NEAR:
        raise Wrong("not-the-cheapest", expected=expected, seen=said)


@exercise("25.4", answer="function", parameters=2, picture=None)
async def wire_size(answer: Answer) -> Right:
    for texts in TEXTS:
        for compressed in False, True:
            seen = answer([*texts], compressed)
            expected = _size(texts, compressed)
            refuse_none(seen, expected)
            if isinstance(seen, list | tuple):
                raise Wrong("no-sum", expected=expected, seen=seen)
            if abs(seen - expected) > (expected * SLACK if compressed else 0):
                _refuse_size(seen, expected, texts, compressed)
    return Right()


def _size(texts: list[str], compressed: bool, **options: bool) -> int:
    """The bytes on the wire.

    Arguments:
        options: ``mask``, ``fresh`` for a new compressor for each message.
    """
    deflate, total = PerMessageDeflate(False, False, 12, 12), 0
    for text in texts:
        if options.get("fresh"):
            deflate = PerMessageDeflate(False, False, 12, 12)
        frame = Frame(Opcode.TEXT, text.encode())
        extensions = [deflate] if compressed else []
        mask = options.get("mask", False)
        total += len(frame.serialize(mask=mask, extensions=extensions))
    return total


def _refuse_size(
    seen: Any, expected: int, texts: list[str], compressed: bool
) -> None:
    characters = sum(map(len, texts))
    data = sum(len(text.encode()) for text in texts)
    if not compressed and seen == _size(texts, True):
        raise Wrong("always-compressed", expected=expected, seen=seen)
    if seen == _size(texts, compressed, mask=True):
        raise Wrong("masked", expected=expected, seen=seen)
    if compressed and seen == _size(texts, False):
        raise Wrong("never-compressed", expected=expected, seen=seen)
    if compressed and seen == _size(texts, True, fresh=True):
        raise Wrong("forgets", expected=expected, seen=seen)
    if seen in (characters, data):
        raise Wrong("no-header", expected=expected, seen=seen)
    if seen == _size(texts[-1:], compressed) or seen == _size(
        texts[:1], compressed
    ):
        raise Wrong("one-only", expected=expected, seen=seen)
    raise Wrong("other-size", expected=expected, seen=seen)
