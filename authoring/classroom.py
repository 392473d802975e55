"""Writes what whoever teaches reads: plans of sessions, and the notes.

classroom/README.md and its Spanish twin are written by hand but for the plans
between their markers, which add up the minutes of the lessons. notes.en.md
and notes.es.md hold the notes that stand in the lessons. `make build` writes
all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from aula.exercises.progress import part
from authoring import editions, source
from authoring.source import Lesson

READMES = {"es": "README.es.md", "en": "README.md"}

AT_ONCE = 100  # minutes of lessons without a break, at most
BREAK = 15
INSTALLING = 30  # minutes, from a stick, for a room where nothing is there
MORNING, AFTERNOON = "09:00", "14:00"
WEEK = 120  # minutes of a term's week; no part begins within one


@dataclass
class Session:
    """Lessons that are taught one after the other.

    Attributes:
        name: in each language.
        starts: the hour, as ``"09:00"``.
        numbers: those of the lessons.
        installs: whether the room installs the course before them.
    """

    name: dict[str, str]
    starts: str
    numbers: list[str]
    installs: bool = False


@dataclass
class Plan:
    """A plan, its title and for whom it is."""

    title: dict[str, str]
    whom: dict[str, str]
    sessions: list[Session]


def _day(number: int, half: str) -> dict[str, str]:
    halves = {
        "morning": {"es": "por la mañana", "en": "in the morning"},
        "afternoon": {"es": "por la tarde", "en": "in the afternoon"},
    }[half]
    day = {"es": f"Día {number}", "en": f"Day {number}"}
    return {lang: f"{day[lang]}, {halves[lang]}" for lang in day}


MORNING_OF = {"es": "Por la mañana", "en": "In the morning"}
AFTERNOON_OF = {"es": "Por la tarde", "en": "In the afternoon"}
ASYNCIO = ["01", "02", "03", "04"]
WEBSOCKETS = ["05", "07", "10", "11"]
PLANS = [
    Plan(
        {"es": "Media jornada: asyncio", "en": "Half a day: asyncio"},
        {
            "es": "Para quien sabe Python y nada de asyncio.",
            "en": "For those who know Python, and nothing of asyncio.",
        },
        [Session(MORNING_OF, MORNING, ASYNCIO)],
    ),
    Plan(
        {"es": "Media jornada: WebSockets", "en": "Half a day: WebSockets"},
        {
            "es": "Para quien ya usa tareas, `gather` y `timeout`.",
            "en": "For those who use tasks, `gather` and `timeout` already.",
        },
        [Session(MORNING_OF, MORNING, WEBSOCKETS)],
    ),
    Plan(
        {"es": "Un día", "en": "A day"},
        {
            "es": "De la primera corrutina a un servidor que avisa a todos.",
            "en": "From the first coroutine to a server that tells everybody.",
        },
        [
            Session(MORNING_OF, MORNING, ASYNCIO),
            Session(AFTERNOON_OF, AFTERNOON, WEBSOCKETS),
        ],
    ),
    Plan(
        {
            "es": "Un día, sin nada instalado",
            "en": "A day, with nothing installed",
        },
        {
            "es": "Hasta un servidor que recibe y envía a la vez. Si solo "
            "tienes media jornada, da solo la mañana.",
            "en": "As far as a server that receives and sends at once. If you "
            "have half a day only, give its morning.",
        },
        [
            Session(
                MORNING_OF, MORNING, ["00", "01", "02", "03"], installs=True
            ),
            Session(AFTERNOON_OF, AFTERNOON, ["04", "05", "07", "10"]),
        ],
    ),
    Plan(
        {"es": "Dos días", "en": "Two days"},
        {
            "es": "Hasta un chat que aguanta clientes lentos, y su página.",
            "en": "As far as a chat that bears slow clients, and its page.",
        },
        [
            Session(_day(1, "morning"), MORNING, ASYNCIO),
            Session(_day(1, "afternoon"), AFTERNOON, ["05", "07", "08"]),
            Session(_day(2, "morning"), MORNING, ["10", "11", "12"]),
            Session(_day(2, "afternoon"), AFTERNOON, ["13", "14"]),
        ],
    ),
]
WORDS = {
    "es": {
        "heads": "| Hora | | Minutos | Ejercicios |",
        "break": "pausa",
        "installing": "instalar",
        "end": "fin",
        "term": "Un trimestre",
        "whom": "El curso entero, en un encuentro semanal de {most} minutos "
        "como mucho (una lección más larga va sola). La lección {start} "
        "se hace en casa antes de empezar.",
        "weeks": "| Semana | Lecciones | Minutos | Ejercicios |",
        "notes": "Notas para quien enseña",
        "about": "Salen de `lessons/`, sección por sección, y no están en "
        "ningún cuaderno de alumno. Los minutos de una sección incluyen sus "
        "ejercicios.",
    },
    "en": {
        "heads": "| Time | | Minutes | Exercises |",
        "break": "break",
        "installing": "installing",
        "end": "end",
        "term": "A term",
        "whom": "The whole course, one meeting a week of {most} minutes at "
        "most (a lesson that is longer stands alone). Lesson {start} is done "
        "at home before it begins.",
        "weeks": "| Week | Lessons | Minutes | Exercises |",
        "notes": "Notes for whoever teaches",
        "about": "They come from `lessons/`, section by section, and stand in "
        "no learner's notebook. The minutes of a section include its "
        "exercises.",
    },
}


def pages(lessons: list[Lesson]) -> Iterator[tuple[Path, str]]:
    """The pages of classroom/ that are built, as they should be.

    Arguments:
        lessons: the whole course.
    """
    folder = source.ROOT / "classroom"
    for lang, name in READMES.items():
        path = folder / name
        text = path.read_text(encoding="utf-8")
        yield path, _fill(text, plans(lessons, lang))
        yield folder / f"notes.{lang}.md", notes(lessons, lang)


def plans(lessons: list[Lesson], lang: str) -> str:
    """The plans, from half a day to a term, whose lessons are all there."""
    known = {lesson.number: lesson for lesson in lessons}
    texts = []
    for plan in PLANS:
        needed = {number for one in plan.sessions for number in one.numbers}
        if not needed <= known.keys():
            continue
        texts += [f"### {plan.title[lang]}", plan.whom[lang]]
        for session in plan.sessions:
            taught = [known[number] for number in session.numbers]
            if len(plan.sessions) > 1:
                texts.append(f"**{session.name[lang]}**")
            texts.append(_timetable(session, taught, lang))
    if weeks(lessons):
        texts += [f"### {WORDS[lang]['term']}", _term(lessons, lang)]
    return "\n\n".join(texts)


def _timetable(session: Session, lessons: list[Lesson], lang: str) -> str:
    words = WORDS[lang]
    now = datetime.strptime(session.starts, "%H:%M")
    rows = [words["heads"], "|---|---|---:|---:|"]
    at_once = 0
    if session.installs:
        rows.append(
            f"| {now:%H:%M} | *{words['installing']}* | {INSTALLING} | |"
        )
        now += timedelta(minutes=INSTALLING)
        at_once = INSTALLING
    for lesson in lessons:
        if at_once and at_once + lesson.minutes > AT_ONCE:
            rows.append(f"| {now:%H:%M} | *{words['break']}* | {BREAK} | |")
            now += timedelta(minutes=BREAK)
            at_once = 0
        rows.append(
            f"| {now:%H:%M} | {_link(lesson, lang)} | {lesson.minutes} "
            f"| {len(lesson.exercises)} |"
        )
        now += timedelta(minutes=lesson.minutes)
        at_once += lesson.minutes
    minutes = sum(lesson.minutes for lesson in lessons)
    exercises = sum(len(lesson.exercises) for lesson in lessons)
    rows.append(
        f"| {now:%H:%M} | *{words['end']}* | {minutes} | {exercises} |"
    )
    return "\n".join(rows)


def _term(lessons: list[Lesson], lang: str) -> str:
    words = WORDS[lang]
    numbers = [lesson.number for lesson in lessons]
    rows = [words["weeks"], "|---:|---|---:|---:|"]
    for week, taught in enumerate(weeks(lessons), 1):
        # The first part begins with a lesson that is done at home.
        if title := part(taught[0].number, numbers[1:]):
            rows.append(f"| | **{title[lang]}** | | |")
        links = " · ".join(_link(lesson, lang) for lesson in taught)
        minutes = sum(lesson.minutes for lesson in taught)
        exercises = sum(len(lesson.exercises) for lesson in taught)
        rows.append(f"| {week} | {links} | {minutes} | {exercises} |")
    about = words["whom"].format(most=WEEK, start=_link(lessons[0], lang))
    return about + "\n\n" + "\n".join(rows)


def weeks(lessons: list[Lesson]) -> list[list[Lesson]]:
    """All lessons but the first, as many a week as there is time for."""
    numbers = [lesson.number for lesson in lessons]
    found: list[list[Lesson]] = []
    for lesson in lessons[1:]:
        week = found[-1] if found else []
        full = sum(one.minutes for one in week) + lesson.minutes > WEEK
        if not week or full or part(lesson.number, numbers):
            found.append([])
        found[-1].append(lesson)
    return found


def notes(lessons: list[Lesson], lang: str) -> str:
    """The notes of all lessons that have any, to print."""
    words = WORDS[lang]
    texts = [f"# {words['notes']}", words["about"]]
    for lesson in lessons:
        if lesson.notes:
            texts += [
                f"## {_link(lesson, lang)}",
                editions.length(lesson, lang),
            ]
        for note in lesson.notes:
            heading = note.heading[lang].removeprefix("## ")
            texts.append(f"### {heading} · {note.minutes} min")
            texts.append(note.text[lang])
    return "\n\n".join(texts) + "\n"


def _link(lesson: Lesson, lang: str) -> str:
    title = lesson.full_title(lang)
    return f"[{title}](../slides/{lang}/{lesson.path.stem}.ipynb)"


def _fill(text: str, made: str) -> str:
    pattern = re.compile(r"(<!-- plans -->\n).*?(<!-- /plans -->)", re.S)
    return pattern.sub(lambda m: f"{m[1]}\n{made}\n\n{m[2]}", text)
