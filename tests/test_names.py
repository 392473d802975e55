"""The names that lessons bring: what is one, and where it belongs."""

from pathlib import Path

import pytest

from authoring import names, source
from authoring.source import Cell, Lesson

HEAD = {
    "es": "# Título\n\n## Qué sabrás hacer\n\n## Antes de empezar\n",
    "en": "# Title\n\n## What you will be able to do\n\n## Before you start\n",
}


def lesson(number, *parts, title="Title"):
    """A lesson: code as it is, prose as a pair of texts or a code's tags."""
    cells = [Cell("markdown", HEAD[lang], 1, lang) for lang in HEAD]
    for part in parts:
        if isinstance(part, dict):
            cells += [Cell("markdown", part[lang], 1, lang) for lang in HEAD]
        else:
            code, *tags = [part] if isinstance(part, str) else part
            cells.append(Cell("code", code, 1, None, {"tags": tags}))
    path = Path(f"{number}_lesson.md")
    titles = {"es": title, "en": title}
    return Lesson(path, 45, cells, [], titles)


def section(spanish, english, text=""):
    return {"es": f"## {spanish}\n", "en": f"## {english}\n\n{text}\n"}


def found(*lessons):
    """By name and origin, the lesson and the English section."""
    return {
        (name.text, name.origin): (use.lesson.number, use.section["en"])
        for name, use in names.places([*lessons]).items()
    }


def known(*parts):
    return set(found(lesson("01", section("Uno", "One"), *parts)))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import asyncio\nasyncio.gather()", {("gather", "asyncio")}),
        (
            "from websockets.asyncio.client import connect\n"
            "connect(uri, ping_interval=1)",
            {("connect", "websockets"), ("ping_interval", "connect()")},
        ),
        (
            "from websockets.exceptions import ConnectionClosed as Closed\n"
            "Closed",
            {("ConnectionClosed", "websockets")},
        ),
        ("import websockets\nwebsocket.recv()", {("recv", "websockets")}),
        ("import asyncio\ntask.cancel()", {("cancel", "asyncio.Task")}),
        (
            "import asyncio\nqueue = asyncio.Queue()\nqueue.get()",
            {("Queue", "asyncio"), ("get", "asyncio.Queue")},
        ),
        ("import time\ntime.sleep(1)", {("sleep", "time")}),
        ("code == 1011", {("1011", names.CLOSE_CODE)}),
        (
            "async def f():\n    async for _ in x: await y",
            {(text, "Python") for text in ("async def", "async for", "await")},
        ),
        (
            "page = '<script>socket.onmessage = 1</script>'",
            {("onmessage", names.BROWSER)},
        ),
        ("part = 'socket.onmessage = 1'", {("onmessage", names.BROWSER)}),
        ("part = 'tell onmessage'", set()),
        ("import asyncio\nasyncio.TimeoutError", {("TimeoutError", "Python")}),
        ("import nest_asyncio", set()),
        (
            "import nest_asyncio\nnest_asyncio.apply()",
            {("nest_asyncio", "nest_asyncio"), ("apply", "nest_asyncio")},
        ),
        # An import alone uses nothing.
        ("from asyncio import gather", set()),
    ],
)
def test_names_in_code(code, expected):
    assert known(code) == expected


@pytest.mark.parametrize(
    "code",
    [
        "latte = brew('mocha')\nlatte.upper()",
        # Of the libraries, but of none that this lesson has.
        "websocket.recv()",
        # Anybody's.
        "import websockets\nmenu.get(1)\nmenu.append(1)",
        "%%writefile a.py\n1000\n2048",
        "def gather():\n    return timeout",
    ],
)
def test_what_is_no_name(code):
    assert known(code) == set()


@pytest.mark.parametrize("tag", ["exercise", "solution", "check", "scenery"])
def test_cells_that_teach_nothing(tag):
    assert known(("import asyncio\nasyncio.gather()", tag)) == set()


def test_names_in_prose():
    said = (
        "It calls `asyncio.shield(task)`, and `queue.put_nowait()`. See "
        "`return_exceptions=True`, and `ConnectionClosed`.\n\n"
        "| 1000 | all done |\n| 1009 | too big |\n\nIt is 1000 times `1008`."
    )
    code = "import asyncio\nasyncio.gather(return_exceptions=True)"
    assert known(section("Dos", "Two", said), code) == {
        ("shield", "asyncio"),
        ("put_nowait", "asyncio.Queue"),
        ("gather", "asyncio"),
        ("return_exceptions", "gather()"),
        ("ConnectionClosed", "websockets"),
        *((code, names.CLOSE_CODE) for code in ("1000", "1008", "1009")),
    }


def test_prose_of_exercises_and_of_a_beginning_counts_for_nothing():
    said = "### Exercise 01.1\n\nUse `asyncio.gather`."
    assert known(section("Dos", "Two", said)) == set()
    cells = lesson("01", section("Uno", "One"))
    cells.cells[1].source += "You know `asyncio.gather`."
    assert found(cells) == {}


def test_a_word_of_the_course_is_its_own_in_prose():
    said = "A `Queue` and a `gather`."
    own = "class Queue:\n    pass"
    assert known(section("Dos", "Two", said), own) == {("gather", "asyncio")}


def test_a_function_of_the_course_with_the_name_of_a_librarys():
    own = lesson(
        "01", section("Uno", "One"), "def serve():\n    pass\n\nserve()"
    )
    real = "from websockets.asyncio.server import serve\nserve()"
    other = lesson("02", section("Dos", "Two"), real)
    assert found(own, other) == {("serve", "websockets"): ("02", "Two")}


def test_where_a_name_belongs():
    gather = "import asyncio\nasyncio.gather()"
    early = lesson("01", section("Uno", "One", "Like `asyncio.gather`."))
    script = lesson(
        "02", section("Del cuaderno al script", "From notebook to script")
    )
    script.cells.append(Cell("code", gather, 1))
    used = lesson("03", section("Tres", "Three"), gather)
    again = lesson("04", section("Cuatro", "Four"), gather)
    titled = lesson("05", section("Qué es `gather`", "What `gather` is"))
    titled.cells.append(Cell("code", gather, 1))
    key = ("gather", "asyncio")
    for lessons, place in (
        ([early], ("01", "One")),
        ([early, script], ("02", "From notebook to script")),
        ([early, script, used, again], ("03", "Three")),
        ([early, script, used, titled], ("05", "What `gather` is")),
    ):
        assert found(*lessons)[key] == place
    # What a lesson's code has that none before had.
    name = names.Name(*key)
    new = names.new_names([early, script, used, again])
    assert new == {"01": [], "02": [name], "03": [], "04": []}


def test_sections_in_both_languages():
    odd = lesson("01", {"es": "## Uno\n", "en": "Text\n"}, "1")
    with pytest.raises(source.SourceError, match="sections"):
        names.places([odd])


def test_names_of_the_course():
    where = found(*source.read_course())
    for key, number in (
        (("gather", "asyncio"), "03"),
        (("create_task", "asyncio"), "03"),
        (("TaskGroup", "asyncio"), "04"),
        (("connect", "websockets"), "05"),
        (("ConnectionClosed", "websockets"), None),
        (("1011", names.CLOSE_CODE), None),
        (("onmessage", names.BROWSER), "14"),
        (("ClientSession", "aiohttp"), "15"),
    ):
        assert key in where
        assert number in (None, where[key][0]), key
    for text in ("latte", "brew", "websocket", "handler", "Ada"):
        assert text not in {key[0] for key in where}
