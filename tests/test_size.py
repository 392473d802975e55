"""What the build counts of a lesson."""

import dataclasses

import pytest

from authoring import size, source
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


@pytest.mark.parametrize(
    ("number", "sections", "cells", "exercises", "predictions", "refused"),
    [
        ("03", 7, 30, 3, 0, ""),
        ("03", 7, 30, 5, 1, ""),
        ("03", 8, 30, 3, 1, "8 sections that teach; 7 at most"),
        ("03", 7, 31, 3, 1, "31 code cells beside the exercises'; 30 at most"),
        ("03", 7, 30, 2, 1, "2 exercises that are no prediction"),
        ("03", 7, 30, 6, 0, "6 exercises that are no prediction"),
        ("03", 7, 30, 3, 2, "2 predictions; 1 at most"),
        ("00", 7, 30, 1, 0, ""),
        ("00", 8, 30, 1, 0, "8 sections"),
        ("27", 9, 40, 8, 2, ""),
    ],
)
def test_too_much(number, sections, cells, exercises, predictions, refused):
    one = lesson(*[code("a = 1")] * cells)
    (given,) = one.exercises
    one = dataclasses.replace(
        one,
        path=LESSONS / f"{number}_x.md",
        cells=[
            *one.cells,
            *[Cell("markdown", "## More", 1, "en")] * (sections - 1),
        ],
        exercises=[given] * exercises
        + [dataclasses.replace(given, program="f")] * predictions,
    )
    found = source.too_much(one)
    assert len(found) == bool(refused)
    assert all(f"_x.md:1: {refused}" in line for line in found)
