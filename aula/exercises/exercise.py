"""What an exercise asks for, and what can be said of an answer.

A lesson's judges stand in ``aula/judges/lesson_NN.py``, each a coroutine
function under ``@exercise``; it calls the answer, watches what happens, and
returns ``Right`` or raises ``Wrong``. Neither holds a sentence: their words
stand in the lesson's answers file, beside an answer that provokes them.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import aula.judges

LIMIT = 5.0  # seconds an answer may take, unless its exercise says otherwise

UNSET: Any = object()

# A learner's answer: whatever it is, a judge calls it and looks.
Answer = Callable[..., Any]
Judge = TypeVar("Judge", bound="Callable[..., Coroutine[Any, Any, Right]]")


class Right:
    """A right answer, and what the check saw of it.

    Arguments:
        values: what the words of this exercise's ``## right`` quote.
    """

    def __init__(self, **values: Any) -> None:
        self.values = values


class Wrong(Exception):
    """A wrong answer: the name of its mistake, which has words of its own.

    Arguments:
        mistake: a heading of the lesson's answers file, ``## mistake``, or of
            ``general.answers.md``.
        expected, seen: values to show side by side, where that helps.
        values: what the mistake's words quote.
    """

    def __init__(
        self,
        mistake: str,
        *,
        expected: Any = UNSET,
        seen: Any = UNSET,
        **values: Any,
    ) -> None:
        super().__init__(mistake)
        self.mistake = mistake
        self.expected = expected
        self.seen = seen
        self.values = values


class Unawaited(Wrong):
    """A mistake that is a forgotten ``await``, of which the judge knows more.

    Else the check names that one before anything a judge has found.
    """


@dataclass
class Exercise:
    """What an exercise asks for and the coroutine function that judges it.

    Attributes:
        number: such as ``"07.2"``; it is for people and may change.
        name: such as ``"shout"``, unique in the course; progress is kept
            under it.
    """

    number: str
    name: str
    judge: Callable[..., Coroutine[Any, Any, Right]]
    answer: str
    parameters: int
    limit: float
    picture: str | None

    @property
    def lesson(self) -> str:
        """The lesson's number, such as ``"04"``."""
        return self.number.partition(".")[0]

    @property
    def wants_run(self) -> bool:
        """Whether the judge looks at the record of the run, too."""
        return "run" in inspect.signature(self.judge).parameters


_exercises: dict[str, Exercise] = {}


def exercise(
    number: str,
    answer: str = "async",
    parameters: int = 0,
    limit: float = LIMIT,
    picture: str | None = "timeline",
) -> Callable[[Judge], Judge]:
    """Register the decorated coroutine function as the judge of an exercise.

    The judge's own name is the exercise's. It gets the learner's answer, and
    as ``run``, if it has such a parameter, the ``Recorder`` of the run.

    Arguments:
        number: such as ``"07.2"``.
        answer: ``"async"`` for a coroutine function, ``"function"`` for a
            plain one, ``"script"`` for the path of a program, which the
            judge gets as a ``Script``, ``"prediction"`` for what a program
            of the lesson will do, which the judge gets as a ``Program``
            beside it, ``"value"`` for anything else.
        parameters: how many positional arguments the function takes.
        limit: seconds until the answer counts as waiting for ever.
        picture: what shows the run of a wrong answer, and that of any
            prediction: ``"timeline"``, ``"wiretap"``, or ``None`` where there
            is nothing to see.
    """

    def register(judge: Judge) -> Judge:
        _exercises[number] = Exercise(
            number, judge.__name__, judge, answer, parameters, limit, picture
        )
        return judge

    return register


def find(number: Any) -> Exercise | None:
    """The exercise of a number, if there is one; reads its lesson alone."""
    if not isinstance(number, str):
        return None
    match = re.fullmatch(r"(\d\d)\.\d+", number)
    module = f"lesson_{match[1]}" if match else ""
    if module in _lesson_modules():
        importlib.import_module(f"aula.judges.{module}")
    return _exercises.get(number)


def exercises() -> list[Exercise]:
    """All exercises of all lessons, in the order of their numbers."""
    for module in _lesson_modules():
        importlib.import_module(f"aula.judges.{module}")
    return [_exercises[number] for number in sorted(_exercises)]


def near(number: Any) -> list[str]:
    """The numbers of the same lesson's exercises, or else of all."""
    lesson = f"{number}".partition(".")[0].zfill(2)
    known = [one.number for one in exercises()]
    return [n for n in known if n.startswith(f"{lesson}.")] or known


def _lesson_modules() -> list[str]:
    modules = pkgutil.iter_modules(aula.judges.__path__)
    return [m.name for m in modules if m.name.startswith("lesson_")]
