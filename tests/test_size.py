"""What the build counts of a lesson."""

from authoring import size
from authoring.source import LESSONS, Cell, Exercise, Lesson

PROSE = """\
# A title

## Before you start

## What is *that*?

Two words — `three` <details>[four](five.md), and 2 × 2.

````text
## No heading
```
not counted
```
````

## Recap
"""


def code(source, *tags):
    return Cell("code", source, 7, options={"tags": [*tags]})


def lesson(*cells, program=None):
    stub, solution, check = code("", "exercise"), code(""), code("", "check")
    return Lesson(
        LESSONS / "03_x.md",
        35,
        [Cell("markdown", PROSE, 1, "en"), *cells, stub, check],
        [Exercise("03.1", 1, stub, solution, check, program)],
        {},
    )


def test_what_there_is():
    cells = code("a = 1\nb = 2"), code("print(a)", "scenery")
    assert size.describe(lesson(*cells, program="f"), []) == (
        "lessons/03_x.md: 35 minutes, words: 0 es, 14 en\n"
        "  1 sections, 2 code cells, longest 2 lines (line 7), "
        "1 exercises (1 predictions)\n"
        "  0 new names: "
    )


def test_new_names():
    earlier = lesson(code("import asyncio\nawait asyncio.sleep(1)"))
    one = lesson(
        code("import websockets.sync as sync, asyncio"),
        code("%%writefile scripts/a.py\nfrom os import path\npath.join('')"),
        code("%timeit is no Python"),
        code(
            "async def f(x, *, y=1):\n"
            "    try:\n        x.field = [z for z in range(y)]\n"
            "    except TimeoutError as error:\n        print(error.errno)\n"
            "await asyncio.gather(f(x.field, y=2), return_exceptions=True)"
        ),
    )
    assert [*size.new_names(one, [earlier])] == [
        "websockets",
        "os",
        "path",
        "join",
        "gather",
        "return_exceptions",
        "errno",
    ]
