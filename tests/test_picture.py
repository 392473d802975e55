"""A picture is held to the recording that it was drawn from."""

import asyncio
import re
from copy import copy
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import lane, record, recorded, recording, run, turns
from tables import read, rows

from aula.instruments import bars, chart, labels, look, picture
from aula.instruments.jobs import Job
from aula.instruments.picture import WIDTH, draw_picture
from aula.instruments.stores import Store
from aula.instruments.telling import LONGEST_LINE, TEXT

pytest_plugins = ["clocks"]
pytestmark = pytest.mark.usefixtures("clock")


NEARLY = " (from 0.1 s on it would be said to block the loop)"


def drawn(*lanes, finished=10.0, language="en"):
    return read(draw_picture(recorded(*lanes, finished=finished), language))


def cell(*steps, **fields):
    return lane("cell()", *(steps or (0, 0, 10, 10)), **fields)


def shown(table, number):
    """What a row shows: from, for how long (percent) and its tooltip."""
    return [
        (
            element.percent("left"),
            "width" in element.style and element.style["width"],
            element.title,
        )
        for element in rows(table)[number][2]
    ]


def legend(table):
    row = next(iter(table.all("tr")))
    return row.text.split("  ") and [
        item.text.strip()
        for item in row.all("span")
        if "margin-right" in item.style
    ]


def share(seconds, total=10):
    return f"{round(WIDTH * seconds / total, 1):g}%"


# Each moment in its place.


def test_each_moment_in_its_place():
    tasks = [
        cell(),
        lane("brew()", 2, 2.001, 5, 5.08, 6, 6, created=1),
        lane("burn()", 2, 4, 8, 8, end="raised"),
        lane("late()", end="pending", created=5.0),
        lane("on()", 3, 3.003, end="pending"),
    ]
    tasks[1].waits = [(2.001, None, "steam()")]
    table = drawn(*tasks)
    assert shown(table, 0) == [
        (0, share(10), "waits 10 s"),
        (WIDTH, False, "runs 0 ms"),
    ]
    assert shown(table, 1) == [
        (9.2, share(1), "created; starts 1 s later"),
        (18.4, share(3), "runs 1 ms; then waits 3 s in steam()"),
        (46, share(0.08), f"runs 80 ms{NEARLY}"),
        (46.7, share(0.92), "waits 920 ms in steam()"),
        (55.2, False, "runs 0 ms"),
        (55.2, "1.4em", "returns 1"),
    ]
    assert shown(table, 2) == [
        (18.4, share(2), "blocks the loop 2 s"),
        (36.8, share(4), "waits 4 s"),
        (73.6, False, "runs 0 ms"),
        (73.6, "1.4em", "raises ValueError: late"),
    ]
    assert shown(table, 3) == [
        (46, share(5), "created; does not start in 5 s"),
        (WIDTH, "1.4em", "never starts"),
    ]
    assert shown(table, 4) == [
        (27.6, share(7), "runs 3 ms; then waits 7 s"),
        (WIDTH, "1.4em", "still alive"),
    ]


def test_in_spanish():
    table = drawn(
        cell(0, 0.0004, 1, 1.25, ended=10),
        lane("brew()", 1.5, 1.501, 2, 2.04, created=0.5),
        language="es",
    )
    assert table.attributes["lang"] == "es"
    (caption,) = table.all("caption")
    assert caption.text == "Línea de tiempo de 1 tarea: 10 s"
    assert [title for _, _, title in shown(table, 0)] == [
        "espera 1 s",
        "bloquea el bucle 250 ms",
        "espera 8,75 s",
    ]
    assert [title for _, _, title in shown(table, 1)] == [
        "creada; empieza 1 s después",
        "corre 1 ms; luego espera 499 ms",
        "corre 40 ms (desde 0,1 s se diría que bloquea el bucle)",
        "devuelve 1",
    ]
    assert legend(table) == [
        "creada",
        "corre",
        "espera",
        "bloquea el bucle 0,1 s o más: nadie más corre",
        "✓ devuelve",
    ]


@pytest.mark.parametrize(
    ("count", "title"),
    [
        (0, "Timeline of the cell: 50 ms"),
        (1, "Timeline of 1 task: 50 ms"),
        (2, "Timeline of 2 tasks: 50 ms"),
        (40, "Timeline of 40 tasks: 50 ms"),
    ],
)
def test_the_caption_counts_the_tasks_and_the_time(count, title):
    tasks = [lane("x()", 0, 0.05)] * (count + 1)
    tasks.append(lane("x()", 0, 0.05))
    tasks[-1].shown = False
    (caption,) = drawn(*tasks, finished=0.05).all("caption")
    assert caption.text == title


def test_a_row_says_in_words_what_its_bars_show():
    tasks = [
        cell(0, 0.001, 1, 1.5, 2, 2.04, ended=10),
        lane("brew()", 2, 2.002, 2.5, 2.5, created=0.0004),
        lane("late()", end="pending", created=9.9),
    ]
    tasks[1].requests = [(2.1, "deadline", None), (2.2, "call", tasks[0])]
    table = drawn(*tasks)
    assert [(name, summary) for name, summary, _ in rows(table)] == [
        (
            "cell()",
            "from 0 ms to 10 s: runs 41 ms, blocks the loop 500 ms, "
            "waits 9.46 s",
        ),
        (
            "brew()",
            "from 0.4 ms to 2.5 s: runs 2 ms, waits 498 ms; "
            "at 2.1 s: a deadline strikes, and cancels it; "
            "at 2.2 s: cell() asks it to end; returns 1",
        ),
        ("late()", "from 9.9 s to 10 s; never starts"),
    ]


def test_without_its_styles_it_is_still_a_table():
    """As some viewers show it: a name, words, and the marks of the text."""
    task = lane("brew()", 2, 2, 5, 5)
    task.requests = [(4, "call", None)]
    table = drawn(cell(), task)
    words = [
        " ".join(each.text for each in row.all("th", "td"))
        for row in table.all("tr")
    ]
    assert [re.sub(" +", " ", line).strip() for line in words] == [
        "runs waits ▽ asked to cancel ✓ returns",
        "cell() from 0 ms to 10 s: waits 10 s",
        "brew() from 2 s to 5 s: waits 3 s; at 4 s: it is asked to end; "
        "returns 1 ▽ ✓",
        "seconds 0 2 4 6 8 10",
    ]


@pytest.mark.parametrize(
    ("by", "asker", "mark", "title"),
    [
        ("deadline", False, "▼", "a deadline strikes, and cancels it"),
        ("group", False, "▽", "its group asks it to end"),
        ("call", False, "▽", "it is asked to end"),
        ("call", True, "▽", "cell() asks it to end"),
    ],
)
def test_a_tick_where_cancelling_was_asked_for(by, asker, mark, title):
    own, task = cell(), lane("x()", 1, 1, 5, 5, end="cancelled")
    task.requests = [(4, by, own if asker else lane("hidden()", 0, 0))]
    table = drawn(own, task)
    *_, tick, end = rows(table)[1][2]
    assert tick.text == mark
    assert tick.title == f"at 4 s: {title}"
    assert tick.percent("left") == pytest.approx(0.4 * WIDTH)
    assert (end.text, end.title) == ("⊘", "cancelled")


def test_ticks_without_end():
    task = lane("x()", *(t for t in range(10) for _ in (0, 1)))
    task.requests = [(t / 10, "call", None) for t in range(99)]
    _, summary, elements = rows(drawn(cell(), task))[1]
    ticks = [each for each in elements if each.text == "▽"]
    assert len(ticks) == picture.MOST_REQUESTS
    assert len(summary) < 200


def test_many_steps_do_not_block_however_long_they_take_together():
    steps = [t / 1000 + d for t in range(0, 300, 30) for d in (0, 0.03)]
    (title,) = [t for _, _, t in shown(drawn(cell(*steps, ended=0.3)), 0)][:1]
    assert title == "runs 300 ms"


# What surrounds the lanes.


def test_the_legend_tells_of_what_is_to_be_seen_and_of_nothing_else():
    assert legend(drawn(cell())) == ["runs", "waits"]
    assert legend(drawn(cell(0, 10))) == [
        "blocks the loop for 0.1 s or more: nobody else runs"
    ]
    many = [t / 500 + d for t in range(5000) for d in (0, 0.0001)]
    assert legend(drawn(cell(), lane("x()", *many))) == [
        "runs",
        "runs now and then",
        "waits",
        "✓ returns",
    ]
    ends = [
        lane("x()", 2, 2, created=1),
        lane("x()", 1, 1, end="raised"),
        lane("x()", 1, 1, end="cancelled"),
        lane("x()", 1, 1, end="pending"),
        lane("x()", end="pending", created=1.0),
    ]
    ends[2].requests = [(1, "deadline", None), (1, "group", None)]
    assert legend(drawn(cell(), *ends)) == [
        "created",
        "runs",
        "waits",
        "▼ a deadline strikes",
        "▽ asked to cancel",
        "✓ returns",
        "✗ raises",
        "⊘ cancelled",
        "… still alive",
        "○ never starts",
    ]


def axis(total, language="en"):
    table = drawn(cell(0, total), finished=total, language=language)
    *_, row = table.all("tr")
    unit, ticks = row.all("td")
    return unit.text, [
        (element.percent("left"), element.text) for element in ticks.all()
    ]


def test_the_axis():
    assert axis(0.4) == (
        "seconds",
        [(0, "0"), (23, "0.1"), (46, "0.2"), (69, "0.3"), (92, "0.4")],
    )
    unit, ticks = axis(0.0042, "es")
    assert unit == "segundos"
    assert ticks[1:] == [
        (21.9, "0,001"),
        (43.8, "0,002"),
        (65.7, "0,003"),
        (87.6, "0,004"),
    ]
    assert [text for _, text in axis(23)[1]] == ["0", "5", "10", "15", "20"]


@settings(derandomize=True, database=None, deadline=None)
@given(st.floats(1e-6, 1e4))
def test_an_axis_of_any_length(total):
    _, ticks = axis(total)
    assert 3 <= len(ticks) <= picture.MOST_TICKS + 2
    for percent, text in ticks:
        assert float(text) / total * WIDTH == pytest.approx(percent, abs=0.1)
        assert len(text) <= 9
        # The half of it that stands right of its place has room.
        assert percent <= 93


def test_a_number_of_the_axis_that_has_no_room_is_left_out():
    assert [text for _, text in axis(0.239)[1]][-1] == "0.20"
    assert [text for _, text in axis(0.25)[1]][-1] == "0.25"


def paper(table):
    _, column = table.all("col")
    return column.style


def test_a_shade_over_all_lanes_where_the_loop_is_blocked():
    assert "background-size" in paper(drawn(cell()))
    assert look.SHADE not in paper(drawn(cell()))["background-image"]
    table = drawn(cell(0, 1), lane("x()", 1, 2, 5, 5.5))
    image = paper(table)["background-image"]
    assert image.startswith(
        f"linear-gradient(90deg,#0000 0 0%,{look.SHADE} 0 18.4%,"
        f"#0000 0 46%,{look.SHADE} 0 50.6%,#0000 0),"
    )


def test_the_grid_stands_where_the_axis_has_its_numbers():
    table = drawn(cell(), finished=0.41)
    every = float(paper(table)["background-size"].removesuffix("%"))
    ticks = axis(0.41)[1]
    assert every == pytest.approx(ticks[1][0], abs=0.1)


def test_further_tasks_are_counted():
    tasks = [lane("x()", 0, 0)] * (chart.MOST_LANES + 9)
    table = drawn(*tasks)
    assert len(rows(table)) == chart.MOST_LANES
    *_, row = table.all("tr")
    assert row.text == "… and 9 more tasks: ✓ 9"


def test_a_task_is_indented_below_the_one_that_created_it():
    block = cell()
    order = lane("order()", 0, 1, creator=block)
    tasks = [block, order, lane("b()", 0, 1, creator=block)]
    for depth in range(6):
        last = tasks[-1] if depth else order
        tasks.append(lane(f"brew({depth})", 0, 0, creator=last))
    table = drawn(*tasks)
    names = [name for name, _, _ in rows(table)]
    assert names[:3] == ["cell()", "order()", "brew(0)"]
    assert names[-1] == "b()"
    indents = [head.style.get("padding-left") for head in table.all("th")]
    assert indents[:3] == [None, "1.3em", "2.2em"]
    assert len(set(indents)) == picture.DEEPEST + 1
    _, summary, _ = rows(table)[2]
    assert summary.startswith("created by order(); from ")
    assert rows(table)[1][1].startswith("from ")  # most are the cell's


def test_a_job_in_a_thread():
    block = cell()
    job = lane("x()", ended=6, creator=block, created=1.0)
    job.call = "grind()"
    job.job = Job(None, (), True)
    job.job.began, job.job.ended = 2.0, 6.0
    others = [copy(job) for _ in range(3)]
    others[0].job = Job(None, (), True)
    others[1].job = copy(job.job)
    others[1].job.ended, others[1].goes_on = None, True
    others[2].job = Job(None, (), False)
    others[2].job.began = 1.0
    recorder = recorded(block)
    recorder.jobs = [job, *others]
    table = read(draw_picture(recorder, "en"))
    assert shown(table, 1) == [
        (9.2, share(1), "created; starts 1 s later"),
        (18.4, share(4), "in a thread 4 s"),
        (55.2, "1.4em", "returns 1"),
    ]
    assert rows(table)[1][1] == "from 1 s to 6 s: in a thread 4 s; returns 1"
    assert shown(table, 2)[0][2] == "created; does not start in 5 s"
    assert shown(table, 3)[1:] == [
        (18.4, share(8), "in a thread 8 s"),
        (55.2, "1.4em", "returns 1, but its thread goes on"),
    ]
    assert shown(table, 4)[0] == (9.2, share(5), "in another process 5 s")
    assert legend(table)[2:] == [
        "waits",
        "in a thread",
        "in another process",
        "✓ returns",
    ]
    assert TEXT["en"]["1 tasks"] not in table.text  # it is none


@pytest.mark.parametrize(
    ("thing", "label", "titles", "texts", "key"),
    [
        (
            asyncio.Queue(2),
            "x: Queue(2)",
            ["0 of 2 in it, 1 waiting, for 3 s", "1 of 2 in it, 0 waiting, "],
            ["0/2 +1", "1/2"],
            "how many are in it",
        ),
        (
            asyncio.Queue(),
            "x: Queue",
            ["0 in it, 1 waiting, for 3 s", "1 in it, 0 waiting, "],
            ["0 +1", "1"],
            "how many are in it",
        ),
        (
            asyncio.Lock(),
            "x: Lock",
            ["free, 1 waiting, for 3 s", "taken, 0 waiting, "],
            ["+1", ""],
            "taken",
        ),
        (
            asyncio.Event(),
            "x: Event",
            ["not set, 1 waiting, for 3 s", "set, 0 waiting, "],
            ["+1", ""],
            "set",
        ),
    ],
)
def test_a_row_of_what_tasks_wait_in(thing, label, titles, texts, key):
    recorder = recorded(cell())
    store = Store(thing, label, [(1, 0, 1), (4, 1, 0), (9.98, 2, 1)])
    recorder.stores.found = [store]
    table = read(draw_picture(recorder, "en"))
    name, summary, elements = rows(table)[1]
    assert name == label
    assert summary.endswith("1 waiting")
    for element, title, text in zip(elements, titles, texts, strict=False):
        assert element.title.startswith(title)
        assert element.text == text
    assert [each.percent("left") for each in elements] == [9.2, 36.8, 91.8]
    assert legend(table)[2:] == [key, "somebody waits"]


def test_rows_of_what_tasks_wait_in_are_told_apart():
    recorder = recorded(cell())
    recorder.stores.found = [
        Store(asyncio.Lock(), "x: Lock", [(1, 1, 0)]) for _ in range(9)
    ]
    table = read(draw_picture(recorder, "en"))
    names = [name for name, _, _ in rows(table)]
    assert names == ["cell()", *(f"x: Lock #{n}" for n in range(1, 9))]
    assert "… and 1 more" in table.text


# Looks.


def test_every_element_has_its_style_and_no_other_attributes():
    """What JupyterLab's sanitizer keeps; tests/test_browser.py asks it."""
    task = lane("x()", 1, 1, 5, 5)
    task.requests = [(4, "call", None)]
    table = drawn(cell(), task)
    assert table.attributes.keys() == {"class", "lang", "style"}
    for element in table.all():
        allowed = {"style", "title", "scope", "colspan"}
        assert element.attributes.keys() <= allowed
        assert "var(" not in element.attributes.get("style", "")


def luminance(color):
    digits = color.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    channels = [int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    linear = [
        c / 12.92 if c <= 0.04 else ((c + 0.055) / 1.055) ** 2.4
        for c in channels
    ]
    return sum(
        part * weight
        for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True)
    )


def contrast(one, other):
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def test_colours_are_apart_from_the_paper_of_every_theme():
    """WCAG 2.2: 3 to 1 for what is drawn, 4.5 to 1 for what is written."""
    for paper in ("#fff", "#111", "#000"):
        for color in (look.RUNS, look.BLOCKS, look.ASKED, look.FILL):
            assert contrast(color, paper) >= 3
        for color in look.ENDS.values():
            assert contrast(color, paper) >= 3
    assert contrast(look.RUNS, look.WAITS) >= 3  # and RUNS is its border
    assert contrast(look.INK, look.WAITS) >= 4.5
    for color in look.ENDS.values():
        assert contrast("#fff", color) >= 4.5


@pytest.mark.parametrize(
    ("lanes", "turns", "most"), [(3, 2, 5), (5, 2, 6.3), (24, 1000, 30)]
)
def test_a_picture_is_small(lanes, turns, most):
    """In kB: a notebook stores a dozen."""
    step = 1 / turns
    tasks = [
        lane(
            f"work({n})",
            *(n / 50 + t * step + d for t in range(turns) for d in (0, 1e-4)),
        )
        for n in range(lanes)
    ]
    html = draw_picture(recorded(*tasks, finished=2.0), "en")
    assert len(html) < most * 1000


# Whatever the learner's code says, it stays text.


def test_a_long_name_goes_on_in_a_further_line():
    name = 'prepare_and_send(websocket, "0 latte 0.1", ' + "x" * 70 + ")"
    (_, *_), (text, *_) = rows(drawn(cell(), lane(name, 0, 0)))
    assert text == name
    assert "<br>" not in draw_picture(recorded(cell()), "en")


HOSTILE = [
    "<script>alert(1)</script>",
    "' onmouseover='alert(1)",
    '"><b>',
    "</table></th>",
    "&lt;b&gt; &amp; &",
    "<!-- -->",
    "{0} {time} %s",
    "日本 😀",
    "\ud83d \x00 \u202e",
    "a\nb",
    "x" * 999,
    "",
]
texts = st.one_of(st.text(), st.sampled_from(HOSTILE))


@settings(derandomize=True, database=None, deadline=None)
@given(texts, texts, texts, texts)
def test_no_text_of_the_learners_breaks_out(label, call, value, error):
    plain = read(draw_picture(recorded(*_tasks("a", "b", "c", "d")), "en"))
    recorder = recorded(*_tasks(label, call, value, error))
    table = read(draw_picture(recorder, "en"))
    tags = [each.tag for each in table.all() if each.tag != "br"]
    for name in {each.tag for each in plain.all()}:
        if name not in ("span", "i"):  # a name or none, broken or not
            count = [each.tag for each in plain.all()].count(name)
            assert tags.count(name) == count
    assert {*tags} <= {each.tag for each in plain.all()}
    for element in table.all():
        allowed = {"style", "title", "scope", "colspan"}
        assert element.attributes.keys() <= allowed
    words = chart.TEXT["en"]
    assert [name for name, _, _ in rows(table)] == bars.names(
        recorder.lanes, [], words
    )
    for (_, summary, shown), task in zip(
        rows(table), recorder.lanes, strict=True
    ):
        if task is not recorder.own:
            how, value = task.outcome()
            said = words[how].format(value=value)
            assert shown[-1].title == said
            assert summary.endswith(f"; {said}")
        calls = [call for _, _, call in task.waits]
        names = [each.text for each in shown if "color" in each.style]
        assert [name for name in names if name not in "✓✗"] == [
            call for call in calls if call
        ]


@settings(derandomize=True, database=None, deadline=None)
@given(texts, texts, texts)
def test_no_job_queue_or_line_of_code_breaks_out(call, label, code):
    def recording_of(call, label, code):
        block = cell(0, 0, ended=10)
        block.places = [(0, (code, 0))]
        job = lane("x()", ended=6, creator=block, created=1.0)
        job.call, job.job, job.place = call, Job(len, (), True), (code, 0)
        recorder = recorded(block)
        recorder.jobs = [job]
        recorder.stores.found = [Store(asyncio.Lock(), label, [(1, 0, 1)])]
        return recorder

    def line_of(place):
        return 3, place[0]

    with patch("aula.instruments.lines.line_of", line_of):
        plain = read(draw_picture(recording_of("a", "b", "c"), "en"))
        table = read(draw_picture(recording_of(call, label, code), "en"))
    tags = [each.tag for each in table.all() if each.tag != "br"]
    assert tags == [each.tag for each in plain.all()]
    names = [name for name, _, _ in rows(table)]
    assert names[1:] == (
        [call, label] if call != label else [f"{call} #1", f"{label} #2"]
    )
    if code:
        said = f"at line 3: {labels.cut(code, LONGEST_LINE)}"
        assert rows(table)[0][2][0].title == f"waits 10 s, {said}"


def _tasks(label, call, value, error):
    done = lane("brew()", 1, 1, 5, 5)
    done.task.get_name = lambda: label
    done.task.result = lambda: value
    done.waits = [(1, None, call)]
    failed = lane("burn()", 1, 1, 5, 5, end="raised")
    failed.task._exception = ValueError(error)
    return cell(), done, failed


def test_the_picture_of_a_real_run(clock):
    kept = []

    async def hold():
        await asyncio.Future()

    async def nap(seconds):
        # The time is somebody else's, so that no step hides the name.
        asyncio.get_running_loop().call_soon(clock.block, seconds)
        await asyncio.sleep(0)

    async def work():
        clock.block(0.05)
        await nap(0.2)
        clock.block(0.2)
        return "done"

    async def block():
        kept.append(asyncio.create_task(hold(), name="Ada"))
        await asyncio.wait([asyncio.create_task(work())])

    line = nap.__code__.co_firstlineno + 3
    table = read(draw_picture(record(block), "en"))
    names = [name for name, _, _ in rows(table)]
    assert names == ["cell()", "Ada", "work()"]
    heads = [head.title for head in table.all("th")]
    assert heads[0].startswith("runs ")
    assert re.fullmatch(
        r"created by cell\(\), at line \d+: "
        r"await asyncio\.wait\(\[asyncio\.create_task\(work\(\)\)\]\); "
        r"runs 50 ms, blocks the loop 200 ms, waits 200 ms",
        heads[2],
    )
    *_, (_, summary, elements) = rows(table)
    assert "runs 50 ms, blocks the loop 200 ms" in summary
    assert [each.title for each in elements] == [
        f"runs 50 ms{NEARLY}",
        f"waits 200 ms in nap(0.2), at line {line}: await asyncio.sleep(0)",
        "blocks the loop 200 ms",
        'returns "done"',
    ]
    assert look.SHADE in paper(table)["background-image"]


def test_which_task_another_waits_for(clock):
    async def work(seconds):
        asyncio.get_running_loop().call_soon(clock.block, seconds)
        await turns(2)

    async def block():
        await asyncio.create_task(work(0.2), name="Ada")
        await work(0.5)

    table = read(draw_picture(record(block), "en"))
    (_, _, elements), _ = rows(table)
    titles = [each.title for each in elements]
    assert titles[0].startswith("waits 200 ms for Ada, at line ")
    assert titles[1].startswith("waits 500 ms in turns(2), at line ")


def test_where_a_task_raised(clock):
    async def fall():
        raise ValueError("late")

    async def block():
        await asyncio.wait([asyncio.create_task(fall())])

    line = fall.__code__.co_firstlineno + 1
    _, (_, _, elements) = rows(read(draw_picture(record(block), "es")))
    assert elements[-1].title == (
        f'lanza ValueError: late, en la línea {line}: raise ValueError("late")'
    )


def test_both_languages_say_the_same_things():
    assert TEXT["es"].keys() == TEXT["en"].keys()
    for key, words in TEXT["es"].items():
        fields = sorted(re.findall(r"{\w+}", words))
        assert fields == sorted(re.findall(r"{\w+}", TEXT["en"][key])), key


def test_a_recording_of_no_time_at_all():
    recorder = recorded(cell(0, 0), finished=0.0)
    assert rows(read(draw_picture(recorder, "en")))[0][0] == "cell()"


def test_nothing_is_imported_to_draw():
    assert run(_draw_in_a_loop).startswith("<table")


async def _draw_in_a_loop():
    with recording() as recorder:
        await turns(1)
    return draw_picture(recorder, "en")
