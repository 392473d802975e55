"""Runs the program that a prediction is about, and compares the two.

A prediction is data: the lines that a program will print, in their order, or
any other outcome. The program is the very one that the lesson shows, or what
the learner has made of it: what that one does is right.
"""

from __future__ import annotations

import asyncio
import inspect
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, redirect_stdout
from itertools import zip_longest
from typing import Any, TextIO

from aula.exercises.exercise import UNSET, Wrong
from aula.exercises.scope import Scope, current

# A place in an outcome, what was predicted there and what happened.
Row = tuple[str, Any, Any]


class Program:
    """The program of a prediction, which its judge runs.

    What it prints is gathered and not shown: the verdict quotes it.

    Arguments:
        function: plain or ``async``, without parameters.

    Attributes:
        result: what it returned.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self.result: Any = None
        self._function = function
        self._printed = io.StringIO()

    @property
    def lines(self) -> list[str]:
        """What it has printed so far, also in its tasks."""
        return self._printed.getvalue().splitlines()

    async def run(self) -> None:
        """Run it to its end, as a task with a lane of its own."""
        result = self._function()
        if inspect.iscoroutine(result):
            result = asyncio.create_task(result)
        self.result = await result if inspect.isawaitable(result) else result

    def gather(self, scope: Scope) -> AbstractContextManager[Any]:
        """Keep what is printed within a scope, and let the rest through."""
        self._printed = _Printed(scope, sys.stdout)
        return redirect_stdout(self._printed)


class _Printed(io.StringIO):
    """Stands for ``sys.stdout`` and keeps what belongs to a scope."""

    def __init__(self, scope: Scope, others: TextIO) -> None:
        super().__init__()
        self._scope = scope
        self._others = others

    def write(self, text: str) -> int:
        if current.get() is self._scope:
            return super().write(text)
        return self._others.write(text)

    def flush(self) -> None:
        self._others.flush()

    def __getattr__(self, name: str) -> Any:
        # The kernel tells its stream which cell a text belongs to.
        return getattr(self._others, name)


def refuse_other(predicted: Any, happened: Any) -> None:
    """Refuse a prediction that has not come true.

    Arguments:
        predicted: the answer.
        happened: the outcome, a value of the kind that is asked for.

    Raises:
        Wrong: prediction-kind, -length, -row or -value.
    """
    kinds = type(predicted), type(happened)
    if kinds[0] is not kinds[1] and not {*kinds} <= {int, float}:
        given, wanted = (kind.__name__ for kind in kinds)
        raise Wrong("prediction-kind", given=given, wanted=wanted)
    if predicted == happened:
        return
    place = first_difference(predicted, happened)
    if not place:
        raise Wrong("prediction-value", expected=happened, seen=predicted)
    if len(predicted) != len(happened):
        raise Wrong(
            "prediction-length",
            expected=happened,
            seen=predicted,
            predicted=len(predicted),
            happened=len(happened),
            place=place,
        )
    raise Wrong(
        "prediction-row", expected=happened, seen=predicted, place=place
    )


def rows(predicted: Any, happened: Any) -> Iterator[Row]:
    """A prediction beside what happened, place by place.

    A place is a position, from 1, or a key of a dict, as it is written; it is
    empty where an outcome has no parts.
    """
    kinds = {type(predicted), type(happened)}
    if kinds == {dict}:
        for key in happened | predicted:
            yield (
                repr(key),
                predicted.get(key, UNSET),
                happened.get(key, UNSET),
            )
    elif kinds <= {list, tuple}:
        pairs = zip_longest(predicted, happened, fillvalue=UNSET)
        for number, (before, after) in enumerate(pairs, 1):
            yield str(number), before, after
    else:
        yield "", predicted, happened


def first_difference(predicted: Any, happened: Any) -> str:
    """The first place where a prediction parts from what happened.

    Empty where an outcome has no parts.
    """
    places = (
        place
        for place, before, after in rows(predicted, happened)
        if before != after
    )
    return next(places, "")
