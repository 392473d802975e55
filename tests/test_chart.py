"""A chart says in words and in a picture what a recording tells."""

import asyncio
import base64
import io
import itertools
import os
import re
import subprocess
import sys
import textwrap
from unittest.mock import Mock

import pytest
from recordings import (
    brew,
    burn,
    record,
    recording,
    run,
    said,
    text_of,
    turns,
)

from aula.instruments import chart
from aula.instruments.chart import TEXT, draw
from aula.instruments.record import Lane, Recorder

pytest_plugins = ["clocks"]
pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def figures(monkeypatch):
    """The pictures while matplotlib still knows what is what in them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: save(self))

    def save(figure):
        FigureCanvasAgg(figure).draw()  # which puts each thing in its place
        drawn.append(figure)

    return drawn


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


def test_thousands_of_steps_make_few_bars():
    steps = [(n / 1000, n / 1000 + 0.0001) for n in range(5000)]
    steps[2500] = (2.5, 2.75)
    bars = chart._merge(steps, 0.005)
    assert bars == [
        [0.0, pytest.approx(2.4991), False],
        [2.5, 2.75, True],
        [pytest.approx(2.501), pytest.approx(4.9991), False],
    ]


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


def pixels(picture):
    from matplotlib.image import imread

    return imread(io.BytesIO(base64.b64decode(picture)), format="png")


def test_picture(clock):
    async def freeze(seconds):
        clock.block(seconds)

    async def block():
        await asyncio.gather(brew("latte"), freeze(0.3))

    bundle = draw(record(block), "en")
    image = pixels(bundle["image/png"])
    assert image.shape[1] == 1480
    colors = (image[:, :, :3] * 255).round()
    for part in ("paper", "waits", "runs", "blocks"):
        color = list(bytes.fromhex(chart._COLORS[part][1:]))
        assert (colors == color).all(axis=2).any(), part


@pytest.mark.parametrize(
    ("next_wait", "place"),
    [((9, lambda: None, "turns()"), 4.1), ((4, lambda: None, ""), 1.1)],
    ids=["between steps", "before its own code waits again"],
)
def test_what_a_lane_waits_in_is_written_where_no_step_hides_it(
    next_wait, place
):
    """Of the gaps from 1 to 3 and from 4 to 8, the widest in its wait."""

    async def main():
        task = asyncio.create_task(brew("latte"), name="x")
        await task
        return task

    steps = [(0, 1), (3, 4), (8, 9)]
    lane = Lane(run(main), "x()", True, 0, steps, started=True)
    lane.waits = [(1, lambda: None, "brew()"), next_wait]
    recorder = Recorder()
    recorder.finished = lane.ended = 10
    axes = Mock()
    chart._draw_lane(axes, recorder, lane, 0, 10, width=5)
    texts = [call.args for call in axes.text.call_args_list]
    assert texts == [(pytest.approx(place), 0, "brew()")]


def test_picture_of_what_is_hard_to_draw(capfd, recwarn):
    """A label is no formula, and no character is too much."""
    kept = []

    async def hold():
        await asyncio.Future()

    async def block():
        kept.append(asyncio.create_task(hold()))
        names = ["$\\frac$", "日本 😀", "a\nb", "x" * 999, "$", "\\", "_^{"]
        tasks = [
            *(asyncio.create_task(brew("x"), name=name) for name in names),
            asyncio.create_task(brew("$\\frac$", 3)),
            asyncio.create_task(burn("$\\frac$")),
            asyncio.create_task(hold()),
            *(asyncio.create_task(brew("x")) for _ in range(200)),
        ]
        await turns(2)
        tasks[9].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await brew("$\\frac$")
        kept.append(asyncio.create_task(hold()))

    image = pixels(draw(record(block), "es")["image/png"])
    assert image.shape[1] == 1480
    assert image.shape[0] > 1600
    assert capfd.readouterr().err == ""
    assert not recwarn.list


def kinds(axes):
    """Each bar and what it stands for; not the shade over all lanes."""
    from matplotlib.colors import to_hex

    names = {color: name for name, color in chart._COLORS.items()}
    return [
        (names[to_hex(patch.get_facecolor())], patch)
        for patch in axes.patches
        if patch.get_alpha() is None
    ]


def bars(axes, row):
    """The bars of a lane: from when, for how long, and what they stand for."""
    return [
        (round(bar.get_x(), 2), round(bar.get_width(), 2), kind)
        for kind, bar in kinds(axes)
        if bar.get_y() + bar.get_height() / 2 == pytest.approx(row)
    ]


def shades(axes):
    """What a step that blocks lays over all lanes: from when, for how long."""
    return sorted(
        (round(patch.get_x(), 2), round(patch.get_width(), 2))
        for patch in axes.patches
        if patch.get_alpha() is not None
    )


def test_a_picture_shows_each_moment_in_its_place(figures, clock):
    async def work():
        clock.block(0.05)
        await asyncio.sleep(0)
        clock.block(0.2)
        await asyncio.sleep(0)

    async def rest():
        await asyncio.sleep(0)

    async def block():
        tasks = [asyncio.create_task(work()), asyncio.create_task(rest())]
        clock.block(0.5)
        await asyncio.wait(tasks)
        clock.block(1.25)

    recorder = record(block)
    draw(recorder, "en")
    (axes,) = figures[0].axes
    # A bar for all the time that a lane is there; over it, what it ran.
    assert bars(axes, 0) == [
        (0, 2, "waits"),
        (0, 0.5, "blocks"),
        (0.75, 1.25, "blocks"),
    ]
    assert bars(axes, 1) == [
        (0.5, 0.25, "waits"),
        (0.5, 0.05, "runs"),
        (0.55, 0.2, "blocks"),
        (0.75, 0, "runs"),
    ]
    assert bars(axes, 2) == [
        (0.55, 0.2, "waits"),
        (0.55, 0, "runs"),
        (0.75, 0, "runs"),
    ]
    heights = {kind: bar.get_height() for kind, bar in kinds(axes)}
    # What blocks stands out, and stays in its lane.
    assert 0 < heights["waits"] <= heights["runs"] < heights["blocks"] < 1
    assert shades(axes) == [(0, 0.5), (0.55, 0.2), (0.75, 1.25)]
    # Dots from its creation to its first step; a mark where it ended.
    dots = [line.get_segments()[0].round(2) for line in axes.collections]
    assert [line.tolist() for line in dots] == [
        [[0, 0], [0, 0]],
        [[0, 1], [0.5, 1]],
        [[0, 2], [0.55, 2]],
    ]
    ends = [(line.get_marker(), *line.get_xydata()[0]) for line in axes.lines]
    assert ends == [
        ("o", pytest.approx(0.75, abs=0.01), 1),
        ("o", pytest.approx(0.75, abs=0.01), 2),
    ]
    # All of it is in the picture, and hardly anything else.
    left, right = axes.get_xlim()
    assert -0.05 < left < -0.01 and 2.01 < right < 2.1
    bottom, top = axes.get_ylim()
    assert -1 < top < -0.5 and 2.5 < bottom < 3


@pytest.mark.parametrize(
    ("length", "label", "naps"), [(1, 1, 20), (1, 60, 12), (20, 30, 6)]
)
def test_a_wait_is_named_where_its_name_fits(
    figures, clock, length, label, naps
):
    """Names stay within their waits; too little room shows none."""
    name = "n" * length

    def nap(seconds):
        async def nap():
            # The time is somebody else's, so that no step hides the name.
            asyncio.get_running_loop().call_soon(clock.block, seconds)
            await asyncio.sleep(0)

        nap.__name__ = name
        return nap()

    async def block():
        task = asyncio.create_task(brew("x"), name="L" * label)
        clock.block(0.1)
        for number in range(naps):
            await nap(number / naps)
        await task

    recorder = record(block)
    draw(recorder, "en")
    (axes,) = figures[0].axes

    def pixel(moment):
        return axes.transData.transform((moment, 0))[0]

    moments = itertools.accumulate(
        (number / naps for number in range(naps)), initial=0.1
    )
    rooms = list(itertools.pairwise(map(pixel, moments)))
    texts = [text.get_window_extent() for text in axes.texts]
    assert {text.get_text() for text in axes.texts} == {f"{name}()"}
    letter = texts[0].width / (length + 2)
    named = 0
    for begin, end in rooms:
        inside = [text for text in texts if begin < text.x0 and text.x1 < end]
        # It takes about two letters more, so as not to look crowded.
        spare = (end - begin) / letter - (length + 2)
        assert spare > 1.5 if inside else spare < 2.5
        named += len(inside)
    assert named == len(texts)


def test_a_wait_full_of_steps_is_not_named(figures, clock):
    async def drip():
        for _ in range(30):
            asyncio.get_running_loop().call_soon(clock.block, 0.1)
            await asyncio.sleep(0)

    async def block():
        await drip()

    recorder = record(block)
    assert said(recorder, "cell()") == "waits in drip()"
    draw(recorder, "en")
    assert not figures[-1].axes[0].texts


def test_a_wait_is_no_formula(figures, clock):
    async def pay(price):
        asyncio.get_running_loop().call_soon(clock.block, 1)
        await asyncio.sleep(0)

    async def block():
        await pay("$\\frac$")

    draw(record(block), "en")
    (text,) = figures[0].axes[0].texts
    assert text.get_text() == r'pay("$\\frac$")'


def test_a_lane_is_as_high_in_every_picture(figures, clock, monkeypatch):
    """Whatever else there is to be read above and below."""
    kept = []

    async def few():
        await asyncio.gather(*(brew("x", n) for n in range(4)))

    async def many():
        await asyncio.gather(*(brew("x", n) for n in range(5)))

    async def all_ends(seconds=0.0):
        kept.append(asyncio.create_task(brew("x", 99)))
        tasks = [
            asyncio.create_task(coro)
            for coro in (brew("x"), brew("x", 99), burn("x"))
        ]
        clock.block(0.05)
        await turns(2)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        clock.block(seconds)

    async def all_kinds():
        await all_ends(0.2)

    monkeypatch.setattr(chart, "MOST_LANES", 5)
    for block in (few, many, all_ends, all_kinds):
        draw(record(block), "en")
    legends = [
        [text.get_window_extent() for text in figure.legends[0].get_texts()]
        for figure in figures
    ]
    assert [len(legend) for legend in legends] == [4, 4, 7, 8]
    rows = [len({round(text.y0) for text in legend}) for legend in legends]
    assert rows == [1, 1, 1, 2]
    heights = []
    for figure in figures:
        (axes,) = figure.axes
        assert len(axes.get_yticks()) == 5
        heights.append(axes.get_window_extent().height / figure.dpi / 5)
    assert 0.3 < heights[0] < 0.5  # inches
    assert heights == pytest.approx(heights[:1] * 4, abs=0.02)


def test_the_legend_tells_of_every_end_but_the_cells():
    async def main():
        with recording() as recorder:
            await asyncio.gather(burn("latte"), return_exceptions=True)
        return recorder

    def ends(recorder):
        lanes = [lane for lane in recorder.lanes if lane.shown]
        words = TEXT["en"]
        handles = chart._legend(recorder, lanes, 1.0, words)
        return [handle.get_label() for handle in handles[2:]]

    recorder = run(main)
    assert ends(recorder) == ["raises"]
    recorder.lanes[0].shown = False  # as in a check
    assert ends(recorder) == ["raises"]


@pytest.mark.parametrize(("delay", "seen"), [(0.1, True), (0.001, False)])
def test_the_legend_tells_of_the_dots_that_can_be_seen(clock, delay, seen):
    """Those before a task starts, if it ever does."""

    async def work():
        await asyncio.sleep(0)
        clock.block(1)
        await asyncio.sleep(0)

    async def started():
        task = asyncio.create_task(work())
        clock.block(delay)
        await task

    kept = []

    async def unstarted():
        clock.block(1)
        kept.append(asyncio.create_task(work()))
        clock.block(delay)

    for block, ends in (started, ["returns"]), (unstarted, []):
        recorder = record(block)
        handles = chart._legend(recorder, recorder.lanes, 1.0, TEXT["en"])
        labels = [handle.get_label() for handle in handles]
        others = ["waits", "runs", "blocks the loop", *ends]
        assert labels == ["created"] * seen + others


def test_a_quiet_matplotlib_no_sooner_than_needed(tmp_path):
    """In a home that cannot be written to, where matplotlib complains."""
    file = tmp_path / "file"
    file.touch()
    script = textwrap.dedent("""
        import asyncio, sys
        from aula.en import check, timeline
        assert "matplotlib" not in sys.modules

        async def main():
            with timeline():
                await asyncio.create_task(asyncio.sleep(0), name="日本 😀")

        asyncio.run(main())
        assert "matplotlib" in sys.modules
        import logging
        assert logging.getLogger("matplotlib").level == logging.NOTSET
        """)
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", script],
        capture_output=True,
        encoding="utf-8",
        env={
            **os.environ,
            "MPLCONFIGDIR": str(file / "nowhere"),
            "PYTHONUTF8": "1",
        },
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("main()")
