"""A label reads the same in every run, and only who deserves one has one."""

import asyncio
import contextlib
import contextvars
import functools
import os
import re
import sysconfig
import textwrap
import time
import types
from collections.abc import Coroutine

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import brew, burn, labels, record, said, text_of, turns
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

import aula
from aula.instruments import labels as labels_of
from aula.instruments.jobs import Job

pytest_plugins = ["clocks"]
pytestmark = pytest.mark.usefixtures("clock")


class Bar:
    async def pour(self, drink, turns=1):
        await asyncio.sleep(0)

    @classmethod
    async def open(cls, name, *, late=False):
        await asyncio.sleep(0)


RUN = contextvars.Context().run


@pytest.mark.parametrize(
    ("call", "args", "label"),
    [
        (time.sleep, (0.2,), "sleep(0.2)"),
        (functools.partial(print, 1, end=""), (2,), 'print(1, 2, end="")'),
        (Bar.open, ("Ada",), 'open("Ada")'),
        (str, (object(),), "str(…)"),
        (
            functools.partial(contextvars.Context().run, len, "x"),
            (),
            'len("x")',
        ),
    ],
)
def test_a_job_reads_as_a_call(call, args, label):
    assert labels_of.job(Job(call, args, True)) == label


def test_a_job_that_runs_a_coroutine():
    coro = brew("latte")
    label = labels_of.job(Job(asyncio.run, (coro,), True))
    coro.close()
    assert label == 'run(brew("latte"))'


class Hostile:
    def __repr__(self):
        raise RuntimeError


class Matrix:
    def __repr__(self):
        return "Matrix([1, 2],\n       [3, 4])"


class Half:
    def __init__(self, text="\ude00 and \x1b[31m"):
        self.text = text

    def __repr__(self):
        return self.text


class Astronauts:
    def __repr__(self):
        return "🧑\u200d🚀" * 99


async def order(drink, /, size="m", *extras, hot=True, **wishes):
    served = await asyncio.sleep(0)
    return served


async def make(drink, turns=1):
    await asyncio.sleep(0)


async def fetch(place, *, limit):
    await asyncio.sleep(0)


async def enclosed(drink):
    async def again():
        return drink

    return await again()


def decorated(function):
    @functools.wraps(function)
    async def wrapper(*args, **options):
        return await function(*args, **options)

    return wrapper


@decorated
async def deco(drink, turns=1):
    await asyncio.sleep(0)


LABELS = {
    "strings in double quotes": (lambda: make("latte", 0), 'make("latte", 0)'),
    "unless they hold one": (lambda: make('"x"'), "make('\"x\"')"),
    "numbers": (lambda: make(0.2, -1), "make(0.2, -1)"),
    "a default": (lambda: make("x", 1), 'make("x")'),
    "containers": (
        lambda: make([1, "a"], {"b": (2,)}),
        "make([1, 'a'], {'b': (2,)})",
    ),
    "a set has no order": (
        lambda: make({"mocha", "latte", "chai"}, 0),
        "make({'chai', 'latte', 'mocha'}, 0)",
    ),
    "an address": (lambda: make(object(), Hostile()), "make(drink, turns)"),
    "an address within": (lambda: make([object()], 0), "make(drink, 0)"),
    "a function": (lambda: make(make, {"a": make}), "make(make, turns)"),
    "a function without a name": (
        lambda: make(lambda: None, print),
        "make(drink, print)",
    ),
    "less than": (lambda: make("a <b", ["<b>"]), "make(\"a <b\", ['<b>'])"),
    "a line end": (
        lambda: make(Matrix(), "a\nb"),
        'make(Matrix([1, 2], [3, 4]), "a\\nb")',
    ),
    "a long value": (
        lambda: make("x" * 99, 0),
        f'make("{"x" * 30}…, 0)',
    ),
    "a value that just fits": (
        lambda: make("x" * 30, 0),
        f'make("{"x" * 30}", 0)',
    ),
    "half a surrogate pair": (
        lambda: make("\ud83d", Half()),
        r'make("\ud83d", \ude00 and \x1b[31m)',
    ),
    "Chinese": (lambda: make("拿铁", ["咖啡"]), "make(\"拿铁\", ['咖啡'])"),
    "a long one": (lambda: make("拿" * 99, 0), f'make("{"拿" * 30}…, 0)'),
    "emoji of many parts": (
        lambda: make(Astronauts()),
        "make(" + 10 * "🧑\u200d🚀" + "🧑…)",
    ),
    "an emoji newer than this Python": (
        lambda: make("🫨", ["🧑\u200d🚀", r"\u200d"]),
        "make(\"🫨\", ['🧑\u200d🚀', '\\\\u200d'])",
    ),
    "what turns a line around": (
        lambda: make(Half("\u202elatte\u2028")),
        r"make(\u202elatte\u2028)",
    ),
    "many values": (
        lambda: order(*range(99)),
        "order(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,…",
    ),
    "a method": (lambda: Bar().pour("latte"), 'pour("latte")'),
    "a class method": (lambda: Bar.open("Ada"), 'open("Ada")'),
    "a class method's keyword": (
        lambda: Bar.open("Ada", late=True),
        'open("Ada", late=True)',
    ),
    "keyword-only": (lambda: fetch("Lima", limit=3), 'fetch("Lima", limit=3)'),
    "keyword with an address": (
        lambda: fetch("Lima", limit=object()),
        'fetch("Lima", limit=limit)',
    ),
    "stars": (
        lambda: order("latte", "l", "soy", hot=False, sugar=2),
        'order("latte", "l", "soy", hot=False, sugar=2)',
    ),
    "a default before a keyword": (
        lambda: order("latte", hot=False),
        'order("latte", hot=False)',
    ),
    "a default before stars": (
        lambda: order("latte", "m", "soy"),
        'order("latte", "m", "soy")',
    ),
    "a closure": (lambda: enclosed("latte"), 'enclosed("latte")'),
    "a decorator": (lambda: deco("latte"), 'deco("latte")'),
    "a library's": (lambda: asyncio.sleep(0), "sleep(0)"),
}


@pytest.mark.parametrize(("make", "label"), LABELS.values(), ids=LABELS)
def test_label(make, label):
    async def block():
        await asyncio.create_task(make())

    assert labels(record(block)) == [label]


def test_a_coroutine_that_is_handed_over_is_a_call_too():
    async def block():
        waiting = asyncio.wait_for(make("latte", 0), timeout=9)
        await asyncio.create_task(waiting)

    # Until Python 3.12, wait_for makes a task of what it waits for.
    assert labels(record(block))[0] == 'wait_for(make("latte", 0), 9)'


def test_the_name_of_a_task_comes_first():
    async def block():
        async with asyncio.TaskGroup() as group:
            group.create_task(brew("latte"), name="Ada")
            group.create_task(brew("mocha")).set_name("Lima")
            group.create_task(brew("chai"), name="x" * 99)
            group.create_task(brew("té"), name="a\nb")
            group.create_task(brew("té"), name="\ud83d\t拿铁 🫨")

    assert labels(record(block)) == [
        "Ada",
        "Lima",
        f"{'x' * 59}…",
        "a b",
        r"\ud83d\t拿铁 🫨",
    ]


def test_an_exception_with_half_a_surrogate_pair():
    async def block():
        with contextlib.suppress(ValueError):
            await asyncio.create_task(burn("\ud83d 拿铁 🫨"))

    assert r"ValueError: \ud83d 拿铁 🫨" in text_of(record(block))


def test_what_is_awaited_without_being_a_coroutine():
    class Waiter:
        def __await__(self):
            return asyncio.sleep(0).__await__()

    async def block():
        await asyncio.gather(Waiter())

    assert labels(record(block)) == ["Waiter()"]


class Handmade(Coroutine):
    """A coroutine as other compilers make them: with nothing to look into."""

    def __init__(self):
        self.steps = asyncio.sleep(0).__await__()

    def send(self, value):
        return self.steps.send(value)

    def throw(self, *error):
        return self.steps.throw(*error)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.steps)

    __await__ = __iter__


def test_coroutines_that_cannot_be_looked_into():
    async def outer():
        await Handmade()

    async def block():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: errors.append(context))
        await asyncio.create_task(Handmade())
        await asyncio.create_task(outer())

    errors = []
    assert labels(record(block)) == ["Handmade", "outer()"]
    assert not errors


class Silent(Exception):
    def __str__(self):
        raise RuntimeError


class Color(str):
    def __repr__(self):
        return "Color.RED"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("latte", 'returns "latte"'),
        (None, "returns None"),
        (object(), "returns object"),
        (Hostile(), "returns Hostile"),
        (Color("red"), "returns Color.RED"),
        ("x" * 99, f'returns "{"x" * 30}…'),
        (ValueError("sin leche\nni té"), "raises ValueError: sin leche"),
        (KeyError(), "raises KeyError"),
        (Silent(), "raises Silent"),
        (ValueError("x" * 99), f"raises ValueError: {'x' * 19}…"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_how_a_task_ends(value, words):
    async def end():
        if isinstance(value, Exception):
            raise value
        return value

    async def block():
        await asyncio.wait([asyncio.create_task(end())])

    assert said(record(block), "end()") == words


# Whose tasks there are.


def module_in(folder):
    """A module that seems to be there."""
    module = types.ModuleType("espresso")
    source = textwrap.dedent("""
        import asyncio

        def machine(coro):
            return asyncio.create_task(coro)

        async def clean():
            await asyncio.sleep(0)
        """)
    path = os.path.join(folder, "espresso.py")
    exec(compile(source, path, "exec"), vars(module))
    return module


@pytest.fixture
def library():
    return module_in(sysconfig.get_path("purelib"))


def test_tasks_of_libraries_have_no_lane(library):
    async def block():
        await library.machine(brew("latte"))
        await asyncio.create_task(library.clean())

    recorder = record(block)
    assert labels(recorder) == ["clean()"]
    assert len(recorder.lanes) == 3


def test_tasks_that_a_check_starts_are_the_learners():
    """But not those that it starts for itself."""
    judge = module_in(os.path.dirname(aula.__file__))

    async def block():
        await judge.machine(brew("latte"))
        await judge.machine(judge.clean())
        await asyncio.create_task(judge.clean(), name="Ada")

    assert labels(record(block)) == ['brew("latte")', "Ada"]


def test_tasks_of_the_loop_belong_to_who_wrote_the_coroutine(library):
    async def block():
        loop = asyncio.get_running_loop()
        loop.call_soon(asyncio.ensure_future, brew("latte"))
        loop.call_soon(asyncio.ensure_future, library.clean())
        loop.call_soon(lambda: asyncio.ensure_future(brew("mocha")))
        await turns(5)

    assert labels(record(block)) == ['brew("latte")', 'brew("mocha")']


def test_a_coroutine_sent_from_a_thread():
    async def block():
        loop = asyncio.get_running_loop()

        def elsewhere():
            coro = brew("latte")
            return asyncio.run_coroutine_threadsafe(coro, loop).result(5)

        assert await asyncio.to_thread(elsewhere) == "LATTE"

    assert labels(record(block)) == ['brew("latte")']


async def echo(websocket):
    async for message in websocket:
        await answer(websocket, message)


async def answer(websocket, message):
    await websocket.send(message)
    await asyncio.sleep(0)


class Chat:
    async def __call__(self, websocket):
        await echo(websocket)

    async def room(self, websocket):
        await echo(websocket)


@pytest.mark.parametrize(
    ("handler", "name"),
    [
        (echo, "echo"),
        (functools.partial(functools.partial(echo)), "echo"),
        (Chat(), "Chat"),
        (Chat().room, "room"),
    ],
)
def test_each_connection_has_a_lane_named_after_its_handler(handler, name):
    async def block():
        async with serve(handler, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            uri = f"ws://127.0.0.1:{port}"
            async with connect(uri) as first, connect(uri) as second:
                for websocket in (first, second):
                    await websocket.send("hola")
                    assert await websocket.recv() == "hola"

    recorder = record(block)
    assert labels(recorder) == [name, name]
    # There were others: keepalive, for example.
    assert len(recorder.lanes) > 5
    assert all(
        lane.outcome() == ("returned", "None")
        for lane in recorder.lanes[1:]
        if lane.shown
    )


def test_a_streams_server():
    async def serve_one(reader, writer):
        writer.write(await reader.readline())
        writer.close()

    async def block():
        server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hola\n")
            assert await reader.readline() == b"hola\n"
            writer.close()
            await turns(3)

    assert labels(record(block)) == ["serve_one(reader, writer)"]


@given(st.text(alphabet="a \t\r\n"))
def test_lines_are_joined(text):
    joined = re.sub(r"\s*[\r\n]\s*", " ", text)
    assert labels_of.cut(text, 1000) == labels_of.cut(joined, 1000)


def test_a_long_run_of_spaces_is_cut_at_once():
    """Looking for the line's end from each of them would take minutes."""
    assert labels_of.cut("a" + " " * 500_000 + "b\nc", 4) == "a  …"
