"""The words of verdicts: complete, current, and refused where they are not."""

import gc
import re
import shutil
from string import Formatter

import pytest

from aula.exercises.check import UNSTARTED
from aula.exercises.exercise import exercises
from aula.exercises.words import RIGHT, SHARED, load
from authoring import answers, source, words

LESSONS = [path.stem[:2] for path in source.lesson_paths()]
LESSON = "lessons/07_first_server_and_client.answers.md"
JUDGE = "aula/judges/lesson_07.py"
RUNNER = "aula/exercises/run.py"
GENERAL = "lessons/general.answers.md"


@pytest.fixture(scope="module", autouse=True)
def no_garbage_before():
    gc.collect()


@pytest.fixture(autouse=True)
def no_garbage(no_garbage_before):
    """What other tests left behind is told of when it is collected.

    A traceback that is written while ast.parse works breaks it on the older
    releases of Python 3.11 (CPython gh-106905).
    """
    gc.collect()


@pytest.fixture(scope="module")
def texts(no_garbage_before):
    return words.read_words(LESSONS)


@pytest.mark.parametrize("name", [*LESSONS, answers.GENERAL])
def test_what_is_stored_is_what_the_sources_say(texts, name):
    stored = words.words_path(name).read_text(encoding="utf-8")
    assert stored == words.dumps(texts[name]), "run: make build"


def test_nothing_else_is_stored():
    stored = {path.name for path in words.words_path("").parent.iterdir()}
    words_of = [*LESSONS, answers.GENERAL]
    assert stored - {"stamps.json"} == {f"{name}.json" for name in words_of}


def test_every_exercise_says_what_is_right():
    for one in exercises():
        assert RIGHT in load(one.lesson)[one.name]


def test_every_mistake_has_an_answer_that_makes_it():
    """A mistake of an exercise in its own section, a shared one anywhere.

    tests/test_script.py makes those of any program, tests/test_prediction.py
    those of any prediction, tests/test_broker.py takes the broker away.
    """
    of_scripts = {"not-path", "no-script", "script-raises", "script-ended"}
    of_predictions = {
        "prediction-kind",
        "prediction-length",
        "prediction-row",
        "prediction-value",
    }
    exempt = {RIGHT} | UNSTARTED | of_scripts | of_predictions
    found = {name: answers.read_answers(name) for name in LESSONS}
    general = answers.read_answers(answers.GENERAL)[SHARED].sections
    made = set()
    for lesson, given in found.items():
        shared = given[SHARED].sections if SHARED in given else {}
        for one in given.values():
            for mistake, _ in one.wrong:
                if one.sections[mistake].texts:
                    made.add((lesson, one.name, mistake))
                elif mistake in shared:
                    made.add((lesson, SHARED, mistake))
                else:
                    made.add((answers.GENERAL, SHARED, mistake))
    found[answers.GENERAL] = {SHARED: answers.Answers(SHARED, 1, general)}
    missing = [
        (lesson, one.name, section.name)
        for lesson, given in found.items()
        for one in given.values()
        for section in one.sections.values()
        if section.texts
        and section.name not in exempt
        and (lesson, one.name, section.name) not in made
    ]
    assert not missing


def test_both_languages_quote_the_same_values(texts):
    for lesson, given in texts.items():
        for name, mistakes in given.items():
            for mistake, said in mistakes.items():
                fields = [
                    {field for _, field, _, _ in Formatter().parse(text)}
                    for text in said.values()
                ]
                assert fields[0] == fields[1], (lesson, name, mistake)


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """What is said of the course's words after a change to one file."""
    ignored = shutil.ignore_patterns("*.pyc", "images")
    for folder in ("lessons", "aula/judges", "aula/exercises"):
        shutil.copytree(
            source.ROOT / folder, tmp_path / folder, ignore=ignored
        )
    monkeypatch.setattr(source, "ROOT", tmp_path)
    monkeypatch.setattr(source, "LESSONS", tmp_path / "lessons")

    def refuse(name, old, new):
        path = tmp_path / name
        text = path.read_text(encoding="utf-8")
        assert re.search(old, text, flags=re.S)
        changed = re.sub(old, new, text, count=1, flags=re.S)
        path.write_text(changed, encoding="utf-8")
        with pytest.raises(source.SourceError) as caught:
            words.read_words(LESSONS)
        said = str(caught.value)
        for line in said.splitlines():
            assert re.match(r"(lessons|aula)/[\w./]+:\d+: ", line)
        return said

    return refuse


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (JUDGE, 'Wrong\\("both-wait"', 'Wrong("both-weight"', "has no words"),
        (
            JUDGE,
            'Wrong\\("both-wait"',
            'Wrong("other-name"',
            "no judge raises 'both-wait' of ask",
        ),
        (JUDGE, 'Wrong\\("both-wait"', "Wrong(both_wait", "by a literal"),
        (RUNNER, 'Wrong\\("blocks"', 'Wrong("locks"', "has no words"),
        (GENERAL, "## blocks.*?(?=## )", "", "has no words"),
        (
            GENERAL,
            "## blocks",
            '## odd\n\n+++ {"lang": "es"}\n\nA\n\n+++ {"lang": "en"}\n\nB\n\n'
            "## blocks",
            "no judge raises 'odd'",
        ),
        (
            LESSON,
            "## both-wait",
            "## printed\n\n## both-wait",
            "a second ## printed",
        ),
        (
            LESSON,
            "## printed\n",
            '## printed\n\n+++ {"lang": "es"}\n\nA\n\n+++ {"lang": "en"}\n\nB'
            "\n",
            "general.answers.md says it already",
        ),
        (LESSON, "# shout", "# whisper", "their judges are"),
        (LESSON, "# shout", "# ask", "a second # ask"),
        (LESSON, "# shout", "Shout\n\n# shout", "headings alone"),
        (LESSON, '\\+\\+\\+ {"lang": "es"}.*?\\+\\+\\+', "+++", "no Spanish"),
        (LESSON, ":tags: \\[wrong\\]", ":tags: [right]", "is tagged [wrong]"),
        (LESSON, ":tags: \\[wrong\\]", ":tags: [wrong]\n:x: 1", "is tagged"),
        (LESSON, "{close_code}", "{closecode}", "want closecode"),
        (LESSON, "async def ask", f"# {'x' * 90}\nasync def ask", "columns"),
        (LESSON, "# ask\n\n## right.*?(?=## )", "# ask\n\n", "## right"),
        (
            LESSON,
            "(# ask\n.*?## right.*?)## .*?# shout",
            r"\1# shout",
            "0 wrong answers",
        ),
        (
            LESSON,
            "(# ask\n.*?## right.*?)```{code-cell}.*?## ",
            r"\1## ",
            "0 right answers",
        ),
        (
            JUDGE,
            '@exercise\\("07.1"',
            '@exercise("07.1", answer="prediction"',
            "is a prediction; its check names the program",
        ),
    ],
)
def test_refused_with_file_and_line(refused, name, old, new, message):
    assert message in refused(name, old, new)
