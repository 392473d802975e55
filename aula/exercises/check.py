"""Says what there is to say of a learner's answer.

``Check`` is what notebooks call: it looks at the answer's form, has it run and
judged, and shows the verdict in the learner's language.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from aula.display import columns, last_cell_failed, show
from aula.exercises import words
from aula.exercises.answer import misshapen
from aula.exercises.exercise import UNSET, Exercise, Right, Wrong, find, near
from aula.exercises.prediction import Program, first_difference, rows
from aula.exercises.progress import remember
from aula.exercises.report import fenced, report, source_of
from aula.exercises.run import run_answer
from aula.exercises.script import Script
from aula.instruments.timeline import Timeline
from aula.instruments.wiretap import Wiretap
from aula.learner import describe

BRIEF = 0.01  # seconds; a timeline of a run that ends sooner shows nothing
LONGEST = 600  # characters of a value
# Of a prediction beside what happened.
MOST_ROWS = 30
WIDEST = 40

TEXT = {
    "es": {
        "failed-cell": "La última celda que ejecutaste terminó en un error. "
        "Si era la de tu respuesta, corrígelo primero: puede que lo "
        "comprobado sea lo que había antes.",
        "failed-script": "Si tu celda guarda un archivo, su primera línea "
        "tiene que empezar por `%%writefile`: sin ella se ejecuta aquí, y el "
        "archivo no cambia.",
        "right": "**✔ {number}: correcto.** {message}",
        "wrong": "**✘ {number}: todavía no.** {message}",
        "expected": "Se esperaba",
        "seen": "Se vio",
        "predicted": "Tu predicción",
        "happened": "Lo que pasó",
        "nothing": "(nada)",
        "not-kept": "El índice no podrá mostrar este acierto: no se pudo "
        "guardar ({reason}).",
        "bad-number": "No existe el ejercicio {number!r}. Hay: {known}.",
    },
    "en": {
        "failed-cell": "The last cell that you ran ended in an error. If it "
        "was your answer's, correct it first: what was checked may be what "
        "was there before.",
        "failed-script": "If your cell saves a file, its first line has to "
        "begin with `%%writefile`: without it the cell runs here, and the "
        "file does not change.",
        "right": "**✔ {number}: right.** {message}",
        "wrong": "**✘ {number}: not yet.** {message}",
        "expected": "Expected",
        "seen": "Seen",
        "predicted": "Your prediction",
        "happened": "What happened",
        "nothing": "(nothing)",
        "not-kept": "The index will not show this success: it could not be "
        "kept ({reason}).",
        "bad-number": "There is no exercise {number!r}. There are: {known}.",
    },
}

# Mistakes that nobody has made: no verdict on an answer. Lesson 26 cannot give
# one where there is no broker.
UNSTARTED = {"unstarted", "unstarted-script", "no-broker"}


@dataclass
class Verdict:
    """What a check concluded, and what it says of it in each language.

    ``said`` is Markdown; ``mistake`` is ``None`` unless the answer is wrong,
    and then ``answer`` is its source.
    """

    number: str
    name: str
    state: str
    said: dict[str, str]
    mistake: str | None = None
    run: Timeline | Wiretap | None = None
    answer: str = ""


class Check:
    """Check an exercise's answer: ``await check("07.2", shout)``.

    Arguments:
        number: the exercise's number, in quotes.
        answer: your answer: the function itself, without parentheses; or,
            where the exercise asks for a program, its path; or, where it
            asks for a prediction, the value that you foresee.
        program: what a prediction is about: a function of the lesson, without
            parentheses. It runs now, and so what counts is what it does as
            it stands, also where you have changed it.

    It shows one of three things: not started; right, and what it saw; wrong,
    with what was expected, what was seen and the tasks of that run. The run
    that a prediction is about is shown in any case. An answer that raises,
    blocks or never ends is reported, not raised.

    Raises:
        ValueError: for an exercise number that does not exist.
    """

    def __init__(
        self, language: str, before: Callable[[], None] | None = None
    ) -> None:
        self.language = language
        self._before = before  # what is to be said before an answer is judged

    async def __call__(
        self, number: str, answer: Any, program: Any = None
    ) -> None:
        if self._before is not None:
            self._before()
        found = await self.verdict(number, answer, program)
        self.show(found)
        if found.state == "right":
            error = remember(found.name)
            if error is not None:
                text = TEXT[self.language]["not-kept"].format(reason=error)
                show({"text/markdown": text, "text/plain": text})

    def show(self, found: Verdict) -> None:
        """Show a verdict, and the picture of a run that is to be seen."""
        text = found.said[self.language]
        if last_cell_failed():
            labels = TEXT[self.language]
            asked = find(found.number)
            if asked is not None and asked.answer == "script":
                text = f"{labels['failed-script']}\n\n{text}"
            text = f"{labels['failed-cell']}\n\n{text}"
        bundle = {"text/markdown": text, "text/plain": text}
        if found.state == "wrong":
            # Nobody copies it from a terminal, and it tells of the machine.
            title = f"{found.number} {found.name}: {found.mistake}"
            told = report(title, found.answer, text, self.language)
            bundle["text/markdown"] += f"\n\n{told}"
        show(bundle)
        if found.run is not None:
            show(found.run.bundle(self.language))

    async def verdict(
        self, number: str, answer: Any, program: Any = None
    ) -> Verdict:
        """What is shown, as a value."""
        asked = find(number)
        if asked is None:
            known = ", ".join(near(number))
            message = TEXT[self.language]["bad-number"]
            raise ValueError(message.format(number=number, known=known))
        line, tap = Timeline(), Wiretap()
        predicts = asked.answer == "prediction"
        found: Right | Wrong | None = misshapen(asked, answer, program)
        if found is None and asked.answer == "script":
            script = Script(answer)
            try:
                found = await run_answer(asked, script, line, tap)
            finally:
                script.close()
        elif found is None:
            run_of = Program(program) if predicts else None
            found = await run_answer(asked, answer, line, tap, run_of)
        said = {language: _say(asked, found, language) for language in TEXT}
        if isinstance(found, Wrong) and found.mistake in UNSTARTED:
            return Verdict(number, asked.name, "unstarted", said)
        pictures: dict[str | None, Timeline | Wiretap] = {}
        if not tap.silent:
            pictures["wiretap"] = tap
        run = line.recorder
        if predicts or run.finished - run.began > BRIEF:
            pictures["timeline"] = line
        ran = pictures.get(asked.picture) if run.lanes else None
        if isinstance(found, Wrong):
            return Verdict(
                number,
                asked.name,
                "wrong",
                said,
                found.mistake,
                ran,
                source_of(answer, asked.answer == "script"),
            )
        seen = ran if predicts else None
        return Verdict(number, asked.name, "right", said, run=seen)


def _say(asked: Exercise, found: Right | Wrong, language: str) -> str:
    labels = TEXT[language]
    mistake = words.RIGHT if isinstance(found, Right) else found.mistake
    text = words.find(asked.lesson, asked.name, mistake)[language]
    message = words.fill(text, {"number": asked.number} | found.values)
    if mistake in UNSTARTED:
        return message
    head = labels["right" if isinstance(found, Right) else "wrong"]
    parts = [head.format(number=asked.number, message=message)]
    values = {
        key: value
        for key in ("expected", "seen")
        if (value := getattr(found, key, UNSET)) is not UNSET
    }
    if asked.answer == "prediction" and len(values) == 2:
        parts.append(fenced(_beside(**values, language=language)))
    else:
        for key, value in values.items():
            shown = fenced(_shorten(_written(value, language), LONGEST))
            parts.append(f"{labels[key]}:\n\n{shown}")
    return "\n\n".join(parts)


def _beside(expected: Any, seen: Any, language: str) -> str:
    """A prediction beside what happened, with the first difference marked."""
    labels = TEXT[language]
    first = first_difference(seen, expected)
    table = [("", labels["predicted"], labels["happened"], "")]
    for place, *both in islice(rows(seen, expected), MOST_ROWS):
        before, after = (
            labels["nothing"] if v is UNSET else _shorten(_repr(v), WIDEST)
            for v in both
        )
        mark = "←" if place and place == first else ""
        table.append((place, before, after, mark))
    widths = [max(map(columns, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(
            text + " " * (width - columns(text))
            for text, width in zip(row, widths, strict=True)
        )
        for row in table
    ]
    return "\n".join(line.rstrip() for line in lines)


def _written(value: Any, language: str) -> str:
    """A value as text."""
    if isinstance(value, BaseException):
        return describe(value, language)
    if type(value) is str and "\n" in value:
        return value
    return _repr(value)


def _repr(value: Any) -> str:
    """A value as Python writes it, if it lets itself be written."""
    try:
        return repr(value)
    except Exception as error:
        return f"<{type(value).__name__}: {type(error).__name__}>"


def _shorten(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + "…"
