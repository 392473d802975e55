"""Breaks the right answers to exercises: does the check notice?

Each mutant of an answer is judged in a process of its own, which goes on from
where the lesson's cells have come to.
"""

from __future__ import annotations

import ast
import asyncio
import difflib
import hashlib
import json
import operator
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from itertools import takewhile
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path

import websockets
from breakages import BREAKAGES, broken, cosmic, essence, is_new
from test_answers import Player

from aula.exercises.check import Check
from aula.exercises.exercise import find
from aula.exercises.words import SHARED
from aula.kernel import SCRIPTS
from authoring.answers import Answers, read_answers
from authoring.source import OF_EXERCISES, ROOT, Cell, Exercise, Lesson

WORKERS = int(os.environ.get("WORKERS", "2"))
PATIENCE = 10.0  # seconds that a process has beyond its exercise's limit
LISTED = ROOT / "tests" / "mutants.md"
KEPT = Path(sys.prefix, "mutants")  # what is known, if a run is broken off
# What takes a handler away is a breakage of asyncio's, too.
NOT_OF_ANSWERS = "core/ExceptionReplacer"
# What judges have in common.
VOCABULARY = ("mistakes", "servers", "waiting")
# A mutant may catch these where the answer caught another.
ERRORS = ("ConnectionClosed", "ConnectionClosedOK", "ConnectionClosedError")


@dataclass
class Mutant:
    """A right answer to an exercise, broken in one place.

    Attributes:
        change: which answer, counted from the solution, in which line of it
            as Python writes it, and what became what.
    """

    code: str
    change: str = ""
    diff: str = ""


def mutants_of(answers: list[Cell]) -> Iterator[Mutant]:
    """The mutants of the right answers to an exercise."""
    sources = [_split(cell.source) for cell in answers]
    seen = {essence(source) for _, source in sources}
    for number, (magic, source) in enumerate(sources):
        before = ast.unparse(ast.parse(source))
        for code in _break(source):
            if is_new(code, seen):
                after = ast.unparse(ast.parse(code))
                change, diff = _compare(before, after)
                yield Mutant(magic + after, f"{number}.{change}", diff)


def _split(source: str) -> tuple[str, str]:
    """The ``%%writefile`` of a script, and what it writes."""
    if not source.startswith("%%"):
        return "", source
    magic, _, rest = source.partition("\n")
    return f"{magic}\n", rest


def _break(source: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "answer.py")
        path.write_text(source, "utf-8")
        for _, code in cosmic(path, NOT_OF_ANSWERS):
            yield code
    for breakage in BREAKAGES:
        yield from broken(source, breakage)


def _compare(before: str, after: str) -> tuple[str, str]:
    """The change from a program to another in one line, and as a diff."""
    old, new = before.splitlines(), after.splitlines()
    diff = [*difflib.unified_diff(old, new, n=1, lineterm="")][2:]
    stripped = [[line.strip() for line in lines] for lines in (old, new)]
    # How far in a line stands matters where lines have only moved.
    unmoved = [sorted({*lines} - {"pass"}) for lines in stripped]
    pair = (old, new) if unmoved[0] == unmoved[1] else stripped
    same = takewhile(bool, map(operator.eq, *pair))
    changed = [*difflib.unified_diff(*pair, n=0, lineterm="")][2:]
    sides = []
    for sign in "-+":
        side = [line[1:] for line in changed if line.startswith(sign)]
        shown = side if len(side) < 4 else [side[0], "…", side[-1]]
        sides.append("`{}`".format("; ".join(shown)))
    return f"{len([*same]) + 1} {' → '.join(sides)}", "\n".join(diff)


def listed(exercise: str) -> str:
    """What tests/mutants.md says of the mutants of an exercise."""
    text = LISTED.read_text("utf-8")
    section = rf"^### {exercise}$(.*?)(?=^#|\Z)"
    return "".join(re.findall(section, text, re.MULTILINE | re.DOTALL))


class Known:
    """The outcomes of a lesson's mutants in a run that was broken off.

    They are kept in a file, until the lesson's code, its judges or what these
    have in common changes.
    """

    def __init__(self, lesson: Lesson) -> None:
        judges = ROOT / "aula" / "judges"
        sources = [cell.source for cell in lesson.cells if cell.kind == "code"]
        for name in (f"lesson_{lesson.number}", *VOCABULARY):
            sources.append((judges / f"{name}.py").read_text("utf-8"))
        key = _digest("\0".join(sources))
        KEPT.mkdir(exist_ok=True)
        self._path = KEPT / f"{lesson.number}-{key}.jsonl"
        for path in KEPT.glob(f"{lesson.number}-*"):
            if path != self._path:
                path.unlink()
        self._path.touch()
        self._outcomes: dict[str, str] = {}
        for line in self._path.read_text("utf-8").splitlines():
            self._outcomes |= json.loads(line)

    def get(self, mutant: Mutant) -> str | None:
        return self._outcomes.get(_digest(mutant.code))

    def add(self, mutant: Mutant, outcome: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            known = {_digest(mutant.code): outcome}
            file.write(json.dumps(known) + "\n")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def judge(
    mutants: Iterable[Mutant], player: Player, exercise: Exercise
) -> Iterator[tuple[Mutant, str]]:
    """What the check says of mutants, each in a process of its own.

    Arguments:
        player: it has run the lesson's cells before the exercise.

    Yields:
        as they come, each mutant and ``"right"``, the name of its mistake,
        ``"undefined"`` where its cell fails, ``"timeout"``, or what kept the
        check from a verdict.
    """
    asked = find(exercise.number)
    assert asked is not None
    todo = iter(mutants)
    running: dict[Connection, _Trial] = {}
    try:
        while True:
            while len(running) < WORKERS and (mutant := next(todo, None)):
                limit = asked.limit + PATIENCE
                trial = _Trial(mutant, player, exercise, limit)
                running[trial.verdict] = trial
            if not running:
                return
            ready = wait([*running], timeout=1)
            for verdict, trial in [*running.items()]:
                if verdict in ready or time.monotonic() > trial.deadline:
                    del running[verdict]
                    yield trial.mutant, trial.end()
    finally:  # where the run is broken off
        for trial in running.values():
            trial.end()


class _Trial:
    """A process that judges one mutant."""

    def __init__(
        self, mutant: Mutant, player: Player, exercise: Exercise, limit: float
    ) -> None:
        context = get_context("fork")  # it goes on where the lesson stands
        self.mutant = mutant
        self.deadline = time.monotonic() + limit
        self.verdict, sender = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_judge,
            args=(player, mutant.code, exercise.check.source, sender),
        )
        self._process.start()
        sender.close()

    def end(self) -> str:
        """The outcome; the process and those that it has started end."""
        outcome = "timeout"
        if self.verdict.poll():
            try:
                outcome = self.verdict.recv()
            except EOFError:
                outcome = "no verdict: the process ended"
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.join()
        self.verdict.close()
        return outcome


def _judge(player: Player, code: str, check: str, sender: Connection) -> None:
    os.setsid()  # whatever it starts ends with it
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    # Two mutants of a script have the same name.
    folder = tempfile.mkdtemp(dir=".")
    shutil.copytree(SCRIPTS, Path(folder, SCRIPTS))
    os.chdir(folder)
    sender.send(asyncio.run(_outcome(player, code, check)))


async def _outcome(player: Player, code: str, check: str) -> str:
    Check.show = lambda self, verdict: player.verdicts.append(verdict)
    for name in ERRORS:
        player.shell.user_ns.setdefault(name, getattr(websockets, name))
    if not (await player.run(code)).success:
        return "undefined"
    done = await player.run(check)
    if isinstance(done.error_in_exec, NameError):
        return "undefined"
    if not done.success:
        return f"no verdict: {done.error_in_exec!r}"
    (verdict,) = player.verdicts
    return verdict.mistake or verdict.state


@dataclass
class Count:
    """How many mutants had which outcome."""

    mutants: int = 0
    timeouts: int = 0
    equal: int = 0
    unlisted: int = 0

    def __str__(self) -> str:
        refused = self.mutants - self.equal - self.unlisted
        return (
            f"{self.mutants} mutants, {refused} refused ({self.timeouts} of "
            f"them by the time limit), {self.equal} listed as equal, "
            f"{self.unlisted} not"
        )


def play_lesson(lesson: Lesson, chosen: str) -> bool:
    """Try the mutants of a lesson: whether all are refused or listed.

    Arguments:
        chosen: the lesson's number, or an exercise's.
    """
    given = read_answers(lesson.number)
    answers = [one for name, one in given.items() if name != SHARED]
    exercises = {
        id(exercise.check): (exercise, its_answers)
        for exercise, its_answers in zip(
            lesson.exercises, answers, strict=True
        )
    }
    known, count = Known(lesson), Count()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        chdir(folder),
        asyncio.Runner() as runner,
    ):
        os.environ["JUPYTER_DATA_DIR"] = folder
        Path(SCRIPTS).mkdir()
        player = Player([])
        for cell in lesson.cells:
            if id(cell) in exercises:
                exercise, its_answers = exercises[id(cell)]
                if exercise.number.startswith(chosen):
                    _play_exercise(exercise, its_answers, player, known, count)
                cell = exercise.solution
            elif cell.kind != "code" or OF_EXERCISES & {*cell.tags}:
                continue
            with redirect_stdout(None), redirect_stderr(None):
                runner.run(player.run(cell.source))
    print(f"{chosen}: {count}", flush=True)
    return not count.unlisted


def _play_exercise(
    exercise: Exercise,
    answers: Answers,
    player: Player,
    known: Known,
    count: Count,
) -> None:
    if exercise.program is not None:
        return  # a prediction is data
    right = [exercise.solution, *answers.right]
    intact = [Mutant(cell.source) for cell in right]
    for answer, outcome in judge(intact, player, exercise):
        if outcome != "right":
            raise RuntimeError(f"{outcome} is said of\n{answer.code}")
    equal = listed(answers.name)
    mutants = [*mutants_of(right)]
    for mutant, outcome in _outcomes(mutants, exercise, player, known):
        count.mutants += 1
        count.timeouts += outcome == "timeout"
        if outcome != "right" and not outcome.startswith("no verdict"):
            continue
        if f"- {mutant.change}\n" in equal:
            count.equal += 1
            continue
        count.unlisted += 1
        print(
            f"{exercise.number} {answers.name}: {outcome}",
            mutant.change,
            mutant.diff,
            sep="\n",
            flush=True,
        )


def _outcomes(
    mutants: list[Mutant], exercise: Exercise, player: Player, known: Known
) -> Iterator[tuple[Mutant, str]]:
    """The outcome of each: those that are known, then the others."""
    new = []
    for mutant in mutants:
        outcome = known.get(mutant)
        if outcome is None:
            new.append(mutant)
        else:
            yield mutant, outcome
    for mutant, outcome in judge(new, player, exercise):
        known.add(mutant, outcome)
        yield mutant, outcome
