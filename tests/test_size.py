"""What the build counts of a lesson."""

from authoring import size
from authoring.names import Name
from authoring.source import LESSONS, Cell, Exercise, Lesson

GATHER = Name("gather", "asyncio")
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
    assert size.describe(lesson(*cells, program="f"), [GATHER]) == (
        "lessons/03_x.md: 35 minutes, words: 0 es, 14 en\n"
        "  1 sections, 2 code cells, longest 2 lines (line 7), "
        "1 exercises (1 predictions)\n"
        "  1 new names: gather"
    )
