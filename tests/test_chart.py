"""A chart says in words what a recording tells."""

import asyncio
import re

import pytest
from recordings import brew, record, said, text_of, turns

from aula.instruments import chart
from aula.instruments.chart import TEXT

pytest_plugins = ["clocks"]
pytestmark = pytest.mark.usefixtures("clock")


def test_hundreds_of_tasks():
    kept = []

    async def fall(number):
        if number % 3 == 0:
            raise ValueError(number)
        if number % 3 == 1:
            await asyncio.Future()
        return number

    async def block():
        tasks = [asyncio.create_task(fall(number)) for number in range(300)]
        await turns(3)
        for task in tasks[250:]:
            task.cancel()
        await turns(3)
        tasks += [asyncio.create_task(fall(n)) for n in range(10)]
        await turns(3)
        kept.extend(tasks)
        kept.extend(asyncio.create_task(fall(n)) for n in range(7))

    recorder = record(block)
    *lanes, more, legend = text_of(recorder).split("\n")
    assert len(lanes) == chart.MOST_LANES
    assert [line.split()[0] for line in lanes] == [
        "cell()",
        *(f"fall({n})" for n in range(23)),
    ]
    assert more == "… and 294 more tasks: ✓ 96  ✗ 96  ⊘ 17  … 78  ○ 7"
    assert max(map(len, [*lanes, more])) < 160
    assert "y 294 tareas más" in text_of(recorder, "es")


def test_hundreds_of_waits():
    async def block():
        for number in range(300):
            await brew("latte", number % 2 + 1)

    assert said(record(block), "cell()") == (
        'waits in brew("latte"), brew("latte", 2), brew("latte"), '
        'brew("latte", 2), brew("latte"), brew("latte", 2), brew("latte"), '
        "… and 293 more"
    )


def test_as_many_waits_as_can_be_named():
    async def block():
        for _ in range(chart.MOST_WAITS):
            await brew("latte")

    assert said(record(block), "cell()") == (
        "waits in " + ", ".join(['brew("latte")'] * chart.MOST_WAITS)
    )


@pytest.mark.parametrize(("events", "columns"), [(30, 2), (31, 1)])
def test_many_events_move_together(events, columns):
    kept = []

    async def block():
        # Two events each, as they start and do not end, and the cell's one.
        kept.extend(asyncio.create_task(brew("x", 99)) for _ in range(10))
        await turns(2)
        kept.extend(
            asyncio.create_task(brew("x", 99)) for _ in range(events - 21)
        )

    recorder = record(block)
    assert len(recorder.events) == events
    cell, first, *_ = text_of(recorder).split("\n")
    assert first.index("●") - first.index("○") == 10 * columns
    assert cell.index("waits") == first.index("still")


def test_the_columns_of_wide_characters():
    async def block():
        async with asyncio.TaskGroup() as group:
            group.create_task(brew("é"), name="日本")
            group.create_task(brew("é"), name="e\u0301x")

    first, second = text_of(record(block)).split("\n")[1:3]
    # One character of a pair takes two columns, one accent none.
    assert first.index("○") + 2 == second.index("○") - 2 - 1


def test_both_languages_say_the_same_things():
    assert TEXT["es"].keys() == TEXT["en"].keys()
    for key, words in TEXT["es"].items():
        fields = re.findall(r"{\w+}", words)
        assert fields == re.findall(r"{\w+}", TEXT["en"][key]), key
