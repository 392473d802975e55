"""What whoever teaches reads: plans that add up, notes, and a stick's list."""

import re
from datetime import datetime

import pytest
from pythons import supported

from authoring import classroom, source, stick


@pytest.fixture(scope="module")
def lessons():
    return source.read_course()


def test_pages_are_what_the_lessons_build(lessons):
    for path, text in classroom.pages(lessons):
        assert path.read_text(encoding="utf-8") == text, "run: make build"


@pytest.mark.parametrize("lang", source.LANGUAGES)
def test_times_of_a_plan_add_up(lessons, lang):
    tables = re.findall(
        r"(?:^\| \d\d:\d\d .*\n?)+", plans(lessons, lang), re.M
    )
    assert len(tables) == sum(len(p.sessions) for p in classroom.PLANS)
    for table in tables:
        rows = [row.split("|")[1:5] for row in table.splitlines()]
        times = [datetime.strptime(row[0].strip(), "%H:%M") for row in rows]
        minutes = [int(row[2]) for row in rows]
        for number, (begin, end) in enumerate(
            zip(times, times[1:], strict=False)
        ):
            assert (end - begin).seconds == 60 * minutes[number]
        exercises = [int(row[3] or 0) for row in rows if row[3].strip()]
        *each, together = exercises
        assert together == sum(each)


def plans(lessons, lang):
    return classroom.plans(lessons, lang)


def test_nobody_sits_too_long(lessons):
    for plan in classroom.PLANS:
        day = [number for one in plan.sessions for number in one.numbers]
        assert day == sorted(set(day))
    for week in classroom.weeks(lessons):
        assert len(week) == 1 or sum(x.minutes for x in week) <= classroom.WEEK
    taught = [x.number for week in classroom.weeks(lessons) for x in week]
    assert taught == [lesson.number for lesson in lessons[1:]]


@pytest.mark.parametrize("lang", source.LANGUAGES)
def test_notes_are_in_the_guide(lessons, lang):
    text = classroom.notes(lessons, lang)
    for lesson in lessons:
        for note in lesson.notes:
            assert note.text[lang] in text


def test_a_course_that_has_just_begun_has_no_plans(lessons):
    assert classroom.plans(lessons[:1], "en") == ""
    some = classroom.plans(lessons[:5], "en")
    assert re.findall("^### (.+)", some, re.M) == [
        "Half a day: asyncio",
        "A term",
    ]


def test_the_stick_is_for_every_python_of_the_course():
    assert set(stick.PYTHONS) == set(supported())
    assert stick.README.isascii()


def test_guides_give_the_same_commands():
    english, spanish = (
        [
            line.replace("aula.es", "aula.en")
            for block in re.findall(
                r"```(?:sh|powershell|python)\n(.+?)```", guide(lang), re.S
            )
            for line in block.splitlines()
        ]
        for lang in ("en", "es")
    )
    assert english == spanish


@pytest.mark.parametrize("lang", source.LANGUAGES)
def test_guides_say_what_a_stick_and_the_readme_say(lang):
    said = [line.strip() for line in guide(lang).splitlines()]
    for line in stick.README.splitlines():
        if line.startswith("    "):
            assert said.count(line.strip()) >= 1
    readme = (source.ROOT / classroom.READMES[lang]).read_text("utf-8")
    mail = re.search(r"```text\n(.+?)```", guide(lang), re.S)[1]
    commands = [
        re.sub(r"^(py -3|python3)\.13 ", "", line.strip())
        for line in mail.splitlines()
        if line.startswith("     ")
    ]
    assert len(commands) == 8
    unix, windows = commands[2:5], commands[5:]
    assert [
        line.replace(".venv/bin/", ".venv\\Scripts\\") for line in unix
    ] == (windows)
    for command in windows:
        assert command in readme


def guide(lang):
    path = source.ROOT / "classroom" / classroom.READMES[lang]
    return path.read_text(encoding="utf-8")
