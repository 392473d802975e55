"""Says what there is to say of a learner's answer.

``Check`` is what notebooks call: it looks at the answer's form, has it run and
judged, and shows the verdict in the learner's language.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from aula.display import last_cell_failed, show
from aula.exercises import words
from aula.exercises.answer import misshapen
from aula.exercises.exercise import UNSET, Exercise, Right, Wrong, find, near
from aula.exercises.progress import remember
from aula.exercises.run import run_answer
from aula.exercises.script import Script
from aula.instruments.timeline import Timeline
from aula.instruments.wiretap import Wiretap
from aula.learner import describe

BRIEF = 0.01  # seconds; a timeline of a run that ends sooner shows nothing

TEXT = {
    "es": {
        "failed-cell": "La última celda que ejecutaste terminó en un error. "
        "Si era la de tu respuesta, corrígelo primero: puede que lo "
        "comprobado sea lo que había antes.",
        "right": "**✔ {number}: correcto.** {message}",
        "wrong": "**✘ {number}: todavía no.** {message}",
        "expected": "Se esperaba",
        "seen": "Se vio",
        "not-kept": "El índice no podrá mostrar este acierto: no se pudo "
        "guardar ({reason}).",
        "bad-number": "No existe el ejercicio {number!r}. Hay: {known}.",
    },
    "en": {
        "failed-cell": "The last cell that you ran ended in an error. If it "
        "was your answer's, correct it first: what was checked may be what "
        "was there before.",
        "right": "**✔ {number}: right.** {message}",
        "wrong": "**✘ {number}: not yet.** {message}",
        "expected": "Expected",
        "seen": "Seen",
        "not-kept": "The index will not show this success: it could not be "
        "kept ({reason}).",
        "bad-number": "There is no exercise {number!r}. There are: {known}.",
    },
}


@dataclass
class Verdict:
    """What a check concluded, and what it says of it in each language.

    ``said`` is Markdown; ``mistake`` is ``None`` unless the answer is wrong.
    """

    number: str
    name: str
    state: str
    said: dict[str, str]
    mistake: str | None = None
    run: Timeline | Wiretap | None = None


class Check:
    """Check an exercise's answer: ``await check("07.2", shout)``.

    Arguments:
        number: the exercise's number, in quotes.
        answer: your answer: the function itself, without parentheses; or,
            where the exercise asks for a program, its path.

    It shows one of three things: not started; right, and what it saw; wrong,
    with what was expected, what was seen and the tasks of that run. An
    answer that raises, blocks or never ends is reported, not raised.

    Raises:
        ValueError: for an exercise number that does not exist.
    """

    def __init__(self, language: str) -> None:
        self.language = language

    async def __call__(self, number: str, answer: Any) -> None:
        found = await self.verdict(number, answer)
        self.show(found)
        if found.state == "right":
            error = remember(found.name)
            if error is not None:
                text = TEXT[self.language]["not-kept"].format(reason=error)
                show({"text/markdown": text, "text/plain": text})

    def show(self, found: Verdict) -> None:
        """Show a verdict, and the picture of a run that went wrong."""
        text = found.said[self.language]
        if last_cell_failed():
            text += "\n\n" + TEXT[self.language]["failed-cell"]
        show({"text/markdown": text, "text/plain": text})
        if found.run is not None:
            show(found.run.bundle(self.language))

    async def verdict(self, number: str, answer: Any) -> Verdict:
        """What is shown, as a value."""
        asked = find(number)
        if asked is None:
            known = ", ".join(near(number))
            message = TEXT[self.language]["bad-number"]
            raise ValueError(message.format(number=number, known=known))
        line, tap = Timeline(), Wiretap()
        found: Right | Wrong | None = misshapen(asked, answer)
        if found is None and asked.answer == "script":
            script = Script(answer)
            try:
                found = await run_answer(asked, script, line, tap)
            finally:
                script.close()
        elif found is None:
            found = await run_answer(asked, answer, line, tap)
        said = {language: _say(asked, found, language) for language in TEXT}
        if isinstance(found, Right):
            return Verdict(number, asked.name, "right", said)
        if found.mistake == "unstarted":
            return Verdict(number, asked.name, "unstarted", said)
        pictures: dict[str | None, Timeline | Wiretap] = {"wiretap": tap}
        run = line.recorder
        if run.finished - run.began > BRIEF:
            pictures["timeline"] = line
        ran = pictures.get(asked.picture) if run.lanes else None
        return Verdict(number, asked.name, "wrong", said, found.mistake, ran)


def _say(asked: Exercise, found: Right | Wrong, language: str) -> str:
    labels = TEXT[language]
    mistake = words.RIGHT if isinstance(found, Right) else found.mistake
    text = words.find(asked.lesson, asked.name, mistake)[language]
    message = words.fill(text, found.values)
    if mistake == "unstarted":
        return message
    head = labels["right" if isinstance(found, Right) else "wrong"]
    parts = [head.format(number=asked.number, message=message)]
    for key in ("expected", "seen"):
        value = getattr(found, key, UNSET)
        if value is not UNSET:
            parts.append(f"{labels[key]}:\n\n{_fenced(value, language)}")
    return "\n\n".join(parts)


def _fenced(value: Any, language: str) -> str:
    """A value as a block of Markdown code, whatever is in it."""
    if isinstance(value, BaseException):
        text = describe(value, language)
    elif type(value) is str and "\n" in value:
        text = value
    else:
        try:
            text = repr(value)
        except Exception as error:
            text = f"<{type(value).__name__}: {type(error).__name__}>"
    if len(text) > 600:
        text = text[:600] + "…"
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", text))])
    return f"{fence}text\n{text}\n{fence}"
