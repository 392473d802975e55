"""Predictions: what a program of the lesson will do, written as data."""

import asyncio
import sys
import textwrap
import time

import pytest
from test_answers import Player
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from aula.exercises import check, run, words
from aula.exercises import exercise as registry
from aula.exercises.check import Check
from aula.exercises.exercise import Right, exercise
from aula.exercises.prediction import refuse_other
from aula.instruments.timeline import Timeline
from aula.instruments.wiretap import Wiretap
from aula.judges.mistakes import equal
from authoring import answers, source
from authoring.words import _texts

NUMBER = "99.1"
LESSON = """\
+++ {"lang": "es"}

# Predecir

## Qué sabrás hacer

- Uno.
- Dos.
- Tres.

## Antes de empezar

+++ {"lang": "en"}

# Predicting

## What you will be able to do

- One.
- Two.
- Three.

## Before you start

```{code-cell}
import asyncio

from aula.en import check


async def morning():
    toast = asyncio.create_task(toasting())
    print("coffee")
    await toast
    print("eat")


async def toasting():
    print("toast")
```

+++ {"lang": "es"}

### Ejercicio 99.1

<details><summary>Pista</summary>Una tarea espera.</details>

+++ {"lang": "en"}

### Exercise 99.1

<details><summary>Hint</summary>A task waits.</details>

```{code-cell}
:tags: [exercise]
order = [
    ...,
]
```

```{code-cell}
:tags: [solution]
order = ["coffee", "toast", "eat"]
```

```{code-cell}
:tags: [check]
await check("99.1", order, morning)
```

+++ {"lang": "es"}

## Errores frecuentes

## Del cuaderno al script

## Resumen

+++ {"lang": "en"}

## Common mistakes

## From notebook to script

## Recap
"""
ANSWERS = """\
# order

## right

+++ {"lang": "es"}

`create_task` no espera.

+++ {"lang": "en"}

`create_task` does not wait.

## as-if-in-sequence

+++ {"lang": "es"}

`create_task` no ejecuta nada todavía.

+++ {"lang": "en"}

`create_task` runs nothing yet.

```{code-cell}
:tags: [wrong]
order = ["toast", "coffee", "eat"]
```

## prediction-row

```{code-cell}
:tags: [wrong]
order = ["coffee", "eat", "toast"]
```

## prediction-length

```{code-cell}
:tags: [wrong]
order = ["coffee", "eat"]
```

## prediction-kind

```{code-cell}
:tags: [wrong]
order = "coffee, toast, eat"
```
"""


@pytest.fixture(autouse=True)
def course(monkeypatch, tmp_path):
    """A lesson of the tests' own, and all words as the sources have them."""
    for name, text in (
        ("99_predicting.md", f"---\naula: {{minutes: 9}}\n---\n\n{LESSON}"),
        ("99_predicting.answers.md", ANSWERS),
        (
            "general.answers.md",
            (source.LESSONS / "general.answers.md").read_text("utf-8"),
        ),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(source, "LESSONS", tmp_path)
    texts = {
        name: _texts(answers.read_answers(name)) for name in ("99", "general")
    }
    monkeypatch.setattr(words, "load", lambda name: texts.get(name, {}))
    registry.near("")
    monkeypatch.setattr(registry, "_exercises", {})
    monkeypatch.setattr(run, "GRACE", 0.2)
    return tmp_path / "99_predicting.md"


async def order(answer, program):
    await program.run()
    if answer == ["toast", "coffee", "eat"]:
        equal(answer, program.lines, "as-if-in-sequence")
    refuse_other(answer, program.lines)
    return Right()


async def result(answer, program):
    await program.run()
    refuse_other(answer, program.result)
    return Right()


def verdict(answer, program, judge=order, name="order", **options):
    judge.__name__ = name
    exercise(NUMBER, **{"answer": "prediction", "limit": 5, **options})(judge)
    return asyncio.run(Check("en").verdict(NUMBER, answer, program))


async def morning():
    toast = asyncio.create_task(toasting())
    print("coffee")
    await toast
    print("eat")


async def toasting():
    print("toast")


HAPPENED = ["coffee", "toast", "eat"]


def test_a_whole_lesson(course, monkeypatch):
    """The answers are run with the program that the lesson shows."""
    verdicts = []
    monkeypatch.setattr(
        Check, "show", lambda self, said: verdicts.append(said)
    )
    exercise(NUMBER, answer="prediction")(order)
    lesson = source.read_lesson(course)
    assert lesson.exercises[0].program == "morning"
    assert asyncio.run(Player(verdicts).play(lesson)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [("async def morning", "async def evening"), ("morning)", "evening)")],
)
def test_no_program_in_the_lesson(course, old, new):
    text = course.read_text(encoding="utf-8")
    course.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(source.SourceError, match="99.md:.* defines "):
        source.read_lesson(course.rename(course.with_name("99.md")))


@pytest.mark.parametrize(
    ("answer", "mistake"),
    [
        (HAPPENED, None),
        (["toast", "coffee", "eat"], "as-if-in-sequence"),
        (["coffee", "eat", "toast"], "prediction-row"),
        (["coffee", "toast"], "prediction-length"),
    ],
)
def test_a_run_is_shown_in_any_case(capsys, answer, mistake):
    found = verdict(answer, morning)
    assert found.mistake == mistake
    assert isinstance(found.run, Timeline)
    text = found.run.bundle("en")["text/plain"]
    assert "morning()" in text and "toasting()" in text
    assert capsys.readouterr().out == "", "what it prints is gathered"


def test_the_conversation_is_shown_in_any_case():
    async def hello():
        async def handler(websocket):
            await websocket.send("hola")

        async with serve(handler, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with connect(f"ws://127.0.0.1:{port}") as websocket:
                print(await websocket.recv())

    found = verdict(["hola"], hello, picture="wiretap")
    assert found.state == "right"
    assert isinstance(found.run, Wiretap)
    assert "hola" in found.run.bundle("en")["text/plain"]
    assert verdict(["hola"], hello, picture=None).run is None


def test_beside_each_other():
    found = verdict(["coffee", "eat"], morning)
    assert found.said == {
        "es": textwrap.dedent("""\
            **✘ 99.1: todavía no.** Tu predicción y lo que pasó no tienen la \
misma longitud: 2 y 3. La primera diferencia está en la fila 2.

            ```text
               Tu predicción  Lo que pasó
            1  'coffee'       'coffee'
            2  'eat'          'toast'      ←
            3  (nada)         'eat'
            ```"""),
        "en": textwrap.dedent("""\
            **✘ 99.1: not yet.** Your prediction and what happened are not \
of the same length: 2 and 3. The first difference is in row 2.

            ```text
               Your prediction  What happened
            1  'coffee'         'coffee'
            2  'eat'            'toast'        ←
            3  (nothing)        'eat'
            ```"""),
    }


@pytest.mark.parametrize(
    ("answer", "happened", "mistake", "said"),
    [
        (3, 3, None, ""),
        (2.0, 2, None, ""),
        (True, 1, "prediction-kind", "`bool`. One of type `int`"),
        ((1, 2), [1, 2], "prediction-kind", "`tuple`. One of type `list`"),
        ({"Ada", "Lima"}, {"Lima", "Ada"}, None, ""),
        ({"Ada"}, {"Lima"}, "prediction-value", "{'Ada'}          {'Lima'}"),
        (3, 4, "prediction-value", "Your prediction  What happened\n  3     "),
        ("ends", "raises", "prediction-value", "'ends'           'raises'"),
        ({"Ada": 1, "Lima": 2}, {"Lima": 2, "Ada": 1}, None, ""),
        (
            {"Lima": 2, "Ada": 1},
            {"Ada": 1, "Lima": 3},
            "prediction-row",
            "row 'Lima'.\n\n```text\n        Your prediction  What happened\n"
            "'Ada'   1                1\n"
            "'Lima'  2                3              ←",
        ),
        ({"Ada": 1}, {"Lima": 1}, "prediction-row", "row 'Lima'"),
        ([], ["x"], "prediction-length", "length: 0 and 1"),
        (["y"] * 40, ["x"] * 40, "prediction-row", "30  'y'"),
        (["y" * 99], ["x"], "prediction-row", f"'{'y' * 39}…"),
    ],
)
def test_kinds(answer, happened, mistake, said):
    found = verdict(answer, lambda: happened, result)
    assert found.mistake == mistake
    assert said in found.said["en"]
    assert "31  'y'" not in found.said["en"]


def test_what_the_changed_program_does_is_right():
    def other():
        print("eat")

    assert verdict(["eat"], other).state == "right"
    assert verdict(HAPPENED, other).mistake == "prediction-length"

    async def in_sequence():
        print("toast\ncoffee\neat")

    assert verdict(["toast", "coffee", "eat"], in_sequence).state == "right"


@pytest.mark.parametrize(
    "answer", [[...], ["coffee", ...], ..., {"Ada": ...}, [("a", ...)]]
)
def test_not_started(answer):
    ran = []
    found = verdict(answer, lambda: ran.append(1))
    assert (found.state, found.mistake) == ("unstarted", None)
    assert found.run is None
    assert not ran


def raises():
    raise LookupError("latte")


async def hangs():
    await asyncio.Event().wait()


def blocks():
    time.sleep(60)


async def needs(drink):
    pass


@pytest.mark.parametrize(
    ("program", "mistake"),
    [
        (raises, "raises"),
        (hangs, "too-slow"),
        (blocks, "blocks"),
        (needs, "arity"),
        (None, "not-function"),
        ("morning", "not-function"),
    ],
)
def test_programs_that_fail(program, mistake):
    assert verdict(HAPPENED, program, limit=0.3).mistake == mistake


def test_a_call_in_the_place_of_the_program():
    assert verdict(HAPPENED, morning()).mistake == "called"


@pytest.mark.filterwarnings("error")
def test_a_program_may_forget_an_await():
    async def forgets():
        asyncio.sleep(0)
        print("coffee")

    assert verdict(["coffee"], forgets).state == "right"
    assert verdict(["sleep"], forgets).mistake == "prediction-row"


def test_only_what_the_program_prints_is_gathered(capsys):
    """Whenever and wherever: in tasks, in threads, as it is cancelled."""

    async def leaves():
        async def late():
            try:
                await asyncio.sleep(60)
            finally:
                print("late")

        kept.append(asyncio.create_task(late()))
        print("tea", end="", flush=True)
        await asyncio.to_thread(print, "pot")
        await asyncio.sleep(0.05)

    async def other_cell():
        while True:
            print("tick")
            await asyncio.sleep(0.01)

    async def cell():
        ticking = asyncio.create_task(other_cell())
        found = await Check("en").verdict(NUMBER, ["teapot"], leaves)
        ticking.cancel()
        return found

    kept = []
    before = sys.stdout
    exercise(NUMBER, answer="prediction")(order)
    assert asyncio.run(cell()).state == "right"
    assert sys.stdout is before
    printed = capsys.readouterr().out
    assert set(printed.split()) == {"tick"}


def test_shown_beneath_the_cell(monkeypatch):
    shown = []
    monkeypatch.setattr(check, "show", shown.append)
    monkeypatch.setattr(check, "remember", lambda name: None)
    exercise(NUMBER, answer="prediction")(order)
    asyncio.run(Check("es")(NUMBER, HAPPENED, morning))
    assert [*shown[0].values()] == [
        "**✔ 99.1: correcto.** `create_task` no espera."
    ] * 2
    assert "morning()" in shown[1]["text/plain"]
