"""What a recording consists of: lanes of tasks, and of jobs in threads."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from weakref import ref

from aula.instruments import labels, tasks
from aula.instruments.jobs import Job
from aula.instruments.lines import Place

BLOCKING = 0.1  # seconds a step may take before it counts as blocking


def is_blocking(began: float, ended: float) -> bool:
    """Whether a step held the event loop too long."""
    return ended - began >= BLOCKING


@dataclass(eq=False)
class Lane:
    """One task: its label, its steps and its end. Times in seconds.

    Or a job, which a thread or another process runs for a task.

    Attributes:
        place: where it was created, in the learner's code.
        job: what a thread or a process runs; a task has none, a job no steps.
        goes_on: whether a thread still ran it when its end was told.
        places: where in the learner's code it stood, from each step's end on.
        awaited: which task it awaited, from each step's end on.
        looks: where it was seen in steps that take long.
        waits: when it began to wait in what: the coroutine and its call.
        requests: when it was asked to end, by what
            (``"deadline"``, ``"group"``, ``"call"``) and by which lane.
        path: of a server's connection, what its client has asked for.
        creator: the lane of the task that created it, if one did.
    """

    task: Any
    call: str | None
    shown: bool
    created: float
    creator: Lane | None = None
    place: Place | None = None
    job: Job | None = None
    goes_on: bool = False
    steps: list[tuple[float, float]] = field(default_factory=list)
    waits: list[tuple[float, ref[Any], str]] = field(default_factory=list)
    requests: list[tuple[float, str, Lane | None]] = field(
        default_factory=list
    )
    places: list[tuple[float, Place]] = field(default_factory=list)
    awaited: list[tuple[float, ref[Lane] | None]] = field(default_factory=list)
    looks: list[tuple[float, Place]] = field(default_factory=list)
    path: str = ""
    started: bool = False
    ended: float | None = None
    failure: BaseException | None = None  # of a handler: its server caught it
    cancelling: int = 0  # as Task.cancelling() was last seen

    @property
    def label(self) -> str:
        """The name given to the task, or else its coroutine's call."""
        if self.job is not None:
            return self.call or ""
        name = self.task.get_name()
        # 3.13.0 names a task None when a factory made it.
        if self.call is not None and re.fullmatch(r"Task-\d+|None", name):
            return self.call
        return labels.cut(name, labels.LONGEST_LABEL)

    def moments(self, finished: float) -> tuple[float, float, float]:
        """When it was created, when its first step began and when it ended.

        Arguments:
            finished: until when it is drawn, for what has not happened yet.
        """
        ended = self.ended or finished
        begun = self.steps[0][0] if self.steps else ended
        if self.job is not None:
            begun = min(self.job.began or ended, ended)
        return self.created, begun, ended

    def creator_among(self, lanes: list[Lane]) -> Lane | None:
        """The nearest of some lanes that had a part in creating it."""
        found = self.creator
        while found is not None and found not in lanes:
            found = found.creator
        return found

    @property
    def blocks(self) -> list[tuple[float, float]]:
        """The steps that held the event loop too long."""
        return [step for step in self.steps if is_blocking(*step)]

    @property
    def error(self) -> BaseException | None:
        """What it raised, if it did."""
        if self.ended is None or self.task.cancelled():
            return None
        return self.failure or tasks.failure(self.task)

    def outcome(self) -> tuple[str, str]:
        """How it ended, and the value that goes with it.

        The ends are returned, raised, cancelled, pending and unstarted.
        """
        if self.ended is None:
            return ("pending" if self.started else "unstarted"), ""
        if self.task.cancelled():
            return "cancelled", ""
        error = self.error
        if error is not None:
            text = type(error).__name__
            with suppress(Exception):  # a __str__ may fail, too
                text = f"{text}: {error}".removesuffix(": ")
            return "raised", labels.cut(text.partition("\n")[0])
        value = self.task.result()
        return "returned", labels.value(value) or type(value).__name__
