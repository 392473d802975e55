"""Every stub, solution and wrong answer of every exercise.

Each lesson is run cell by cell in an IPython shell; at each exercise all its
answers are given in turn and the check's verdict is compared with what the
source says of them. A verdict speaks both languages.
"""

import asyncio
import sys
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from aula.exercises import words
from aula.exercises.check import Check
from aula.exercises.words import SHARED
from aula.kernel import SCRIPTS
from authoring.answers import read_answers
from authoring.source import (
    CAPSTONE,
    OF_EXERCISES,
    lesson_paths,
    read_lesson,
)

LESSONS = lesson_paths()
# What no check can tell on Windows: local time stays what it is, which may be
# UTC; and its event loop says goodbye on a connection that is to be reset.
UNTOLD = (
    {("clock", "other-time"), ("make_board", "narrow-except")}
    if sys.platform == "win32"
    else set()
)


class Player:
    """Runs the cells of one lesson."""

    def __init__(self, verdicts):
        self.verdicts = verdicts
        self.shell = InteractiveShell.instance()
        self.shell.reset()

    async def run(self, source):
        return await self.shell.run_cell_async(
            source, transformed_cell=self.shell.transform_cell(source)
        )

    async def answer(self, cell, check):
        """The verdict on an answer, given by the lesson's own check cell."""
        (await self.run(cell.source)).raise_error()
        self.verdicts.clear()
        reports = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, report: reports.append(report))
        (await self.run(check.source)).raise_error()
        await asyncio.sleep(0)
        loop.set_exception_handler(None)
        assert not reports, "nothing but the verdict is shown"
        assert len(self.verdicts) == 1, "a check cell checks once"
        return self.verdicts[0]

    async def play(self, lesson):
        failures = []
        found = read_answers(lesson.number)
        given = [one for name, one in found.items() if name != SHARED]
        exercises = {
            id(exercise.stub): (exercise, answers)
            for exercise, answers in zip(lesson.exercises, given, strict=True)
        }
        for cell in lesson.cells:
            if id(cell) in exercises:
                exercise, answers = exercises[id(cell)]
                failures += await self.try_answers(exercise, answers)
                if lesson.number == CAPSTONE:  # its parts use each other
                    await self.run(exercise.solution.source)
            elif cell.kind == "code" and not OF_EXERCISES & {*cell.tags}:
                result = await self.run(cell.source)
                if result.success == ("raises-exception" in cell.tags):
                    failures.append(f"line {cell.line}: {result}")
        return failures

    async def try_answers(self, exercise, answers):
        given = [(exercise.stub, "unstarted", None)]
        given += [
            (cell, "wrong", mistake)
            for mistake, cell in answers.wrong
            if (answers.name, mistake) not in UNTOLD
        ]
        given += [(cell, "right", None) for cell in answers.right]
        given.append((exercise.solution, "right", None))
        failures, of_mistakes = [], {}
        names = self.shell.user_ns
        before = dict(names)
        for cell, state, mistake in given:
            # What one answer defines is not there for another.
            names.clear()
            names.update(before)
            verdict = await self.answer(cell, exercise.check)
            where = f"{answers.name}, line {cell.line}"
            if (verdict.state, verdict.mistake) != (state, mistake):
                failures.append(
                    f"{where}: expected {state} {mistake}, yielded "
                    f"{verdict.state} {verdict.mistake}\n{verdict.said}"
                )
            if "UNFILLED" in "".join(verdict.said.values()):
                failures.append(f"{where}: a placeholder is left unfilled")
            if state != "right":
                for said in verdict.said.values():
                    if of_mistakes.setdefault(said, mistake) != mistake:
                        failures.append(f"{where}: another mistake's message")
        return failures


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_verdicts(path, monkeypatch, tmp_path):
    verdicts = []
    # A picture for each wrong answer would take most of the time.
    monkeypatch.setattr(
        Check, "show", lambda self, verdict: verdicts.append(verdict)
    )
    monkeypatch.setattr(words, "UNFILLED", "UNFILLED {name}")
    monkeypatch.chdir(tmp_path)
    Path(SCRIPTS).mkdir()
    failures = asyncio.run(Player(verdicts).play(read_lesson(path)))
    assert not failures, "\n".join(failures)
