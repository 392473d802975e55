"""What a picture shows of a recording: what it must not lose, or make up."""

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import lane

from aula.instruments import bars, chart
from aula.instruments.lanes import BLOCKING
from aula.instruments.stores import Store

WORDS = chart.TEXT["en"]


def shown(*lanes, finished=10.0):
    return [
        [(bar.kind, bar.began, bar.ended) for bar in row]
        for row in bars.bars([*lanes], 0.0, finished)
    ]


def test_what_can_be_seen_of_a_task():
    task = lane("x()", 1, 1.04, 4, 4.5, 6, 6.09, 8, 8.001, 9, 9, created=0.5)
    assert shown(task) == [
        [
            ("created", 0.5, 1),
            ("hair", 1, 4),  # of its time, a step of 0.04 is none to be seen
            ("blocks", 4, 4.5),
            ("waits", 4.5, 6),
            ("runs", 6, 6.09),
            ("waits", 6.09, 8),
            ("hair", 8, 9),
            ("hair", 9, 9),
        ]
    ]


def test_a_task_that_has_not_started_yet():
    (row,) = bars.bars([lane("x()", end="pending", created=4.0)], 0.0, 10.0)
    assert row == [bars.Bar("created", 4.0, 10.0, 0)]


def test_a_task_is_created_when_there_is_something_to_be_seen_of_it():
    assert shown(lane("x()", 1, 1, created=0.95)) == [[("hair", 1, 1)]]
    assert shown(lane("x()", 1, 1, created=0.93))[0][0][0] == "created"


@pytest.mark.parametrize(
    ("seconds", "kind"), [(0.0049, "brief"), (0.0051, "runs")]
)
def test_a_step_of_a_moment_is_none_that_holds_anybody_up(seconds, kind):
    task = lane("x()", 0, 0, 0.01, 0.01 + seconds, 0.02, 0.02)
    (row,) = shown(task, finished=0.02)
    assert [kind for kind, _, _ in row] == ["hair", kind, "waits", "hair"]


@pytest.mark.parametrize(
    ("seconds", "kind"), [(0.099, "runs"), (0.1, "blocks")]
)
def test_a_step_that_holds_everybody_up(seconds, kind):
    (row,) = shown(lane("x()", 0, seconds), finished=0.2)
    assert row == [(kind, 0, seconds)]


def test_thousands_of_steps_are_few_bars():
    steps = [t / 1000 + d for t in range(10_000) for d in (0, 0.0002)]
    (row,) = bars.bars([lane("x()", *steps)], 0.0, 10.0)
    (bar,) = row
    assert (bar.kind, bar.steps) == ("many", 10_000)
    assert bar.ran == pytest.approx(2)


def test_steps_without_a_pause_are_one():
    steps = [t / 100 + d for t in range(1000) for d in (0, 0.0099)]
    steps[-1] = 10
    assert shown(lane("x()", *steps)) == [[("runs", 0, 10)]]


def test_what_blocks_is_not_lost_among_thousands_of_steps():
    many = [t / 1000 + d for t in range(5000) for d in (0, 0.0001)]
    later = [t + 5.5 for t in many[:4000]]
    (row,) = bars.bars([lane("x()", *many, 5.1, 5.4, *later)], 0.0, 10.0)
    assert [bar.kind for bar in row] == [
        "many",
        "waits",
        "blocks",
        "waits",
        "many",
    ]
    assert [bar.steps for bar in row] == [5000, 0, 1, 0, 2000]


moments = st.floats(0, 0.3)


@st.composite
def lanes(draw):
    """A few tasks, of many steps or few, dense or far between."""
    found = []
    for number in range(draw(st.integers(1, 24))):
        now = begin = 0.001 + draw(moments)
        steps = []
        for _ in range(draw(st.sampled_from([0, 1, 2, 20, 150]))):
            pause, took = draw(st.tuples(moments, moments))
            scale = draw(st.sampled_from([1, 0.1, 0.001]))
            now += pause * scale
            steps += [now, now + took * scale]
            now = steps[-1]
        found.append(lane(f"x({number})", *steps, ended=now, created=begin))
    return found


@settings(derandomize=True, database=None, deadline=None, max_examples=60)
@given(lanes())
def test_nothing_is_lost_and_nothing_made_up(tasks):
    finished = max(task.ended for task in tasks) + 0.01
    rows = bars.bars(tasks, 0.0, finished)
    bearable = bars.MOST + 2 * len(tasks)
    assert sum(map(len, rows)) <= bearable + 3 * len(tasks)
    for task, row in zip(tasks, rows, strict=True):
        created, begun, ended = task.moments(finished)
        ran = [end - begin for begin, end in task.steps]
        if row and row[0].kind == "created":
            first, *row = row
            assert (first.began, first.ended) == (created, begun)
            assert first.steps == bool(ran)
        assert sum(bar.steps for bar in row) == len(ran)
        assert sum(bar.ran for bar in row) == pytest.approx(sum(ran))
        if not row:
            continue
        # One after the other, and all of its time.
        assert row[0].began == begun
        assert row[-1].ended == pytest.approx(ended)
        for one, next_one in zip(row, row[1:], strict=False):
            assert one.ended == pytest.approx(next_one.began)
        # Where it blocks, a bar blocks; and none does that has not blocked.
        for begin, end in task.blocks:
            assert any(
                bar.kind == "blocks" and bar.began <= begin <= end <= bar.ended
                for bar in row
            )
        for bar in row:
            if bar.kind == "blocks":
                assert bar.ran >= BLOCKING
            inside = min(bar.ended - bar.began, bar.ran + bar.waited)
            assert inside <= bar.ended - bar.began


def named(task, finished=10.0):
    return [
        (bar.began, bar.call)
        for (row) in bars.bars([task], 0.0, finished)
        for bar in row
        if bar.named
    ]


@pytest.mark.parametrize(
    ("next_wait", "began"),
    [((9, None, ""), 4), ((4, None, ""), 1)],
    ids=["between steps", "before its own code waits again"],
)
def test_what_a_lane_waits_in_is_named_where_no_step_hides_it(
    next_wait, began
):
    """Of the gaps from 1 to 3 and from 4 to 8, the widest in its wait."""
    task = lane("x()", 0, 1, 3, 4, 8, 9, ended=10)
    task.waits = [(1, None, "brew()"), next_wait]
    assert named(task) == [(began, "brew()")]


@pytest.mark.parametrize(
    ("call", "room"), [("a()", 0.44), ("brew()", 0.66), ("b" * 30, 0.66)]
)
def test_a_wait_is_named_where_six_letters_fit(call, room):
    for more, seen in (-0.01, []), (0.01, [(1, call)]):
        task = lane("x()", 1, 1, 1 + room + more, 9, waits=[(1, None, call)])
        assert named(task) == seen


def test_a_wait_full_of_steps_is_not_named():
    steps = [t / 10 for t in range(100) for _ in (0, 1)]
    assert named(lane("x()", *steps, waits=[(0, None, "drip()")])) == []


def test_every_wait_knows_what_it_is_in():
    task = lane("x()", 0, 0, 2, 2, 3, 3, 3.1, 3.1, ended=10)
    task.waits = [(2, None, "brew()"), (3, None, ""), (3.1, None, "b()")]
    (row,) = bars.bars([task], 0.0, 10.0)
    assert [bar.call for bar in row] == ["", "brew()", "", "b()"]


def test_where_the_loop_is_blocked_whichever_task_blocks_it():
    tasks = [lane("x()", 0, 0.2, 5, 5.2), lane("y()", 0.2, 0.5, 9, 9.01)]
    assert bars.shades(tasks, 10.0) == [(0, 0.5), (5, 5.2)]
    often = lane("x()", *(t for n in range(40) for t in (n, n + 0.5)))
    assert len(bars.shades([often], 40.0)) <= bars.MOST_SHADES


def test_rows_that_would_be_called_the_same():
    tasks = [
        lane("handler", 0, 0, path="/ada"),
        lane("handler", 0, 0, path="/lima"),
        lane("named", 0, 0, path="/"),
        lane("named", 0, 0, path="/"),
        lane("brew()", 0, 0),
        lane("one", 0, 0, path="/ada"),
        lane("brew()", 0, 0),
        lane("asked", 0, 0, path="/" + "a" * 99),
        lane("asked", 0, 0, path=""),
    ]
    assert bars.names(tasks, [], WORDS) == [
        "handler /ada",
        "handler /lima",
        "named #1",
        "named #2",
        "brew() #1",
        "one",
        "brew() #2",
        "asked #1",
        "asked #2",
    ]


def test_each_lane_below_that_which_created_it():
    cell, other = lane("cell()", 0, 0), lane("other", 0, 0)
    first, second = (lane(x, 0, 0, creator=cell) for x in ("a", "b"))
    hidden = lane("library's", 0, 0, creator=first)
    third = lane("c", 0, 0, creator=hidden)
    lanes = [cell, first, other, second, third]
    assert [(each.label, deep) for each, deep in bars.family(lanes)] == [
        ("cell()", 0),
        ("a", 1),
        ("c", 2),
        ("b", 1),
        ("other", 0),
    ]


def store(*fills, size=2):
    return Store(asyncio.Queue(size), "x", [*fills])


def test_how_full_a_queue_was():
    row = bars.fills(store((1, 0, 1), (3, 2, 0)), 10.0, 10.0)
    assert row == [bars.Fill(1, 3, 0, 1), bars.Fill(3, 10.0, 2, 0)]


def test_what_was_so_for_a_moment_takes_nothing_else_in():
    moments = (0, 1, 0), (3, 2, 0), (3.01, 1, 1), (3.02, 0, 0)
    assert bars.fills(store(*moments), 10.0, 10.0) == [
        bars.Fill(0, 3, 1, 0),
        bars.Fill(3, 3.02, 2, 1, joined=True),
        bars.Fill(3.02, 10.0, 0, 0),
    ]


def test_what_was_so_for_less_than_can_be_seen():
    moments = (0, 1, 0), (3, 2, 0), (3.001, 0, 0)
    assert bars.fills(store(*moments), 10.0, 10.0) == [
        bars.Fill(0, 3.001, 1, 0),
        bars.Fill(3.001, 10.0, 0, 0),
    ]


def test_a_row_of_a_queue_is_short():
    fills = [(n / 100, n % 3, 0) for n in range(1000)]
    row = bars.fills(store(*fills), 10.0, 10.0)
    assert len(row) <= bars.MOST_FILLS
    assert (row[0].began, row[-1].ended) == (0, 10.0)
    assert all(
        one.ended == other.began for one, other in itertools.pairwise(row)
    )


def test_what_is_too_short_to_be_seen_is_part_of_the_next():
    steps = (0, 0.001, 0.02, 0.021, 0.04, 0.041, 5, 6, 6.01, 6.011)
    (row,) = bars.bars([lane("x()", *steps, ended=10)], 0.0, 10.0)
    assert [(bar.kind, bar.began, bar.steps) for bar in row] == [
        ("hair", 0, 3),
        ("blocks", 5, 1),
        ("hair", 6.01, 1),
    ]
    assert row[0].ran == pytest.approx(0.003)
    assert row[0].waited == pytest.approx(4.997)


def test_what_is_short_stays_before_what_blocks_and_at_the_end():
    steps = (0, 0.001, 0.04, 1, 9.98, 9.981)
    (row,) = bars.bars([lane("x()", *steps, ended=10)], 0.0, 10.0)
    kinds = ["hair", "blocks", "waits", "hair"]
    assert [bar.kind for bar in row] == kinds
