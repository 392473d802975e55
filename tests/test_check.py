"""The check survives any answer, says what is wrong with it, and cleans up."""

import abc
import asyncio
import contextlib
import functools
import gc
import inspect
import itertools
import linecache
import platform
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import types
import typing
import warnings

import pytest
import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

import aula.judges
from aula import kernel
from aula.exercises import check, report, run, words
from aula.exercises import exercise as registry
from aula.exercises.answer import close_unawaited
from aula.exercises.check import TEXT, Check
from aula.exercises.exercise import Right, Unawaited, Wrong, exercise
from aula.instruments import chart
from aula.instruments.timeline import Timeline

LESSON = "99"
NUMBER = "99.1"
WORDS = {
    words.SHARED: {
        words.RIGHT: {"es": "Bien.", "en": "Fine."},
        "other": {"es": "Otro número.", "en": "Another."},
        "returned": {"es": "Otra.", "en": "Another."},
        "mind-it": {"es": "Falta.", "en": "Mind it."},
        "quoting": {"es": "Vi {it} y {it!r}.", "en": "I saw {it}, {more}."},
    }
}
GENERAL = words.load("general")[words.SHARED]
# Before tests are less patient.
GRACE = run.GRACE
BRIEF = check.BRIEF


@pytest.fixture(autouse=True, scope="module")
def light_garbage():
    """What is there before the tests need not be searched for garbage."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def exercises(monkeypatch):
    """Exercises of the tests' own, and patience that suits tests."""
    registry.near("")  # the lessons' exercises are read once, and stay
    monkeypatch.setattr(registry, "_exercises", {})
    monkeypatch.setattr(run, "GRACE", 0.2)
    monkeypatch.setattr(check, "BRIEF", 0)
    monkeypatch.setattr(
        words,
        "load",
        lambda name, load=words.load: WORDS if name == LESSON else load(name),
    )


@pytest.fixture(autouse=True)
def shown(monkeypatch):
    """What was displayed."""
    bundles = []
    monkeypatch.setattr(check, "show", bundles.append)
    return bundles


@contextlib.contextmanager
def promptly():
    """What would hang fails; what a busy machine slows down does not."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 20


async def judge_number(answer, run):
    seen = await answer()
    if seen != 42:
        raise Wrong("other", expected=42, seen=seen)
    return Right()


async def right():
    await asyncio.sleep(0)
    return 42


def ask(given, judge=judge_number, then=right, **options):
    """The verdict on an answer, which must leave no trace."""
    exercise(NUMBER, **{"limit": 5, **options})(judge)
    reports = []

    async def cell():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reports.append(context))
        before = state(loop)
        verdict = await Check("en").verdict(NUMBER, given)
        assert state(loop) == before
        if then is not None:
            again = await Check("en").verdict(NUMBER, then)
            assert (again.state, again.mistake) == ("right", None)
            assert state(loop) == before
        verdict.run = None
        return verdict

    with warnings.catch_warnings(record=True) as left_behind:
        warnings.simplefilter("always")
        verdict = asyncio.run(cell())
        gc.collect()
    assert [str(warning.message) for warning in left_behind] == []
    assert reports == []
    return verdict


def state(loop):
    return (
        asyncio.all_tasks(),
        loop.get_task_factory(),
        vars(loop).get("call_soon"),
        signal.getsignal(signal.SIGINT),
        warnings.filters[:],
        warnings.showwarning,
        [t.name for t in threading.enumerate() if "_watch" in t.name],
    )


def mistake(given, *args, **options):
    verdict = ask(given, *args, **options)
    assert verdict.state == "wrong", verdict
    return verdict.mistake


# An answer that is not there yet.


class Stub:
    async def method(self): ...

    @classmethod
    async def of_class(cls):
        return ...

    @staticmethod
    async def static():
        await ...

    @property
    def value(self):
        return ...


async def blank(): ...


@functools.wraps(blank)
async def wrapper():
    return 42


loop_of_lists = [1]
loop_of_lists.append(loop_of_lists)


@pytest.mark.parametrize(
    "answer",
    [
        ...,
        [1, ...],
        (1, [2, {...}]),
        {"latte": {"price": ...}},
        {...: 1},
        [*loop_of_lists, ...],
        blank,
        lambda: ...,
        functools.partial(blank),
        functools.partial(right, ...),
        wrapper,
        Stub,
        Stub().method,
        Stub.of_class,
        Stub.static,
        type("Blank", (), {"price": ...}),
        [blank],
    ],
)
@pytest.mark.parametrize("kind", ["async", "function", "value"])
def test_not_started(answer, kind):
    verdict = ask(answer, answer=kind, then=None)
    assert (verdict.state, verdict.mistake) == ("unstarted", None)
    assert verdict.said["en"] == GENERAL["unstarted"]["en"].format(
        number=NUMBER
    )


# Dots that somebody has written, each in a right answer.


class Sender(typing.Protocol):
    def send(self, message): ...


class Base(abc.ABC):
    @abc.abstractmethod
    def close(self): ...


async def dots_after_an_except():
    try:
        return 42
    except ValueError:
        ...


async def dots_in_a_loop():
    for _ in range(3):
        ...
    return 42


async def dots_in_a_while():
    numbers = iter([1, 2, 0])
    while next(numbers):
        ...
    else:
        return 42


async def dots_in_an_async_for():
    async def numbers():
        yield 41

    async for _ in numbers():
        ...
    return 42


async def dots_in_an_inner_class():
    class Stop(Exception):
        """Nothing more to do."""

        ...

    try:
        raise Stop
    except Stop:
        return 42


async def dots_in_a_protocol():
    class Sender(typing.Protocol):
        def send(self, message): ...

    return 42


async def dots_in_an_if():
    if dots_in_an_if is None:
        ...
    else:
        return 42


async def dots_in_a_match():
    match 42:
        case 0:
            ...
        case number:
            return number


async def dots_in_a_function_that_does_nothing():
    async def ignore(message): ...

    await ignore("latte")
    return 42


async def dots_in_an_index():
    class Matrix:
        def __getitem__(self, key):
            return 42 if key == (..., 0) else 0

    return Matrix()[..., 0]


async def dots_in_annotations():
    numbers: tuple[int, ...] = (42,)
    call: typing.Callable[..., int] = max
    return call(numbers)


async def dots_as_an_argument():
    return 42 if await asyncio.sleep(0, ...) is ... else 0


async def dots_left_above():
    ...
    return 42


async def dots_left_below():
    number = await right()
    return number
    ...


async def dots_below_the_text():
    """Return the answer."""
    ...
    return await right()


@pytest.mark.parametrize(
    "answer",
    [
        dots_after_an_except,
        dots_in_a_loop,
        dots_in_a_while,
        dots_in_an_async_for,
        dots_in_an_inner_class,
        dots_in_a_protocol,
        dots_in_an_if,
        dots_in_a_match,
        dots_in_a_function_that_does_nothing,
        dots_in_an_index,
        dots_in_annotations,
        dots_as_an_argument,
        dots_left_above,
        dots_left_below,
        dots_below_the_text,
    ],
    ids=lambda answer: answer.__name__,
)
def test_dots_that_are_no_blank(answer):
    assert ask(answer).state == "right"


async def with_a_text():
    """Return the answer."""
    ...


async def twice():
    ...
    ...


@pytest.mark.parametrize("answer", [with_a_text, twice])
def test_dots_alone_are_a_blank(answer):
    assert ask(answer, then=None).state == "unstarted"


GIVEN = """
async def retry(call):
    ...
    for _ in range(3):
        return await call()
"""


@pytest.mark.parametrize(
    ("change", "state"),
    [
        (lambda source: source, "unstarted"),
        (
            lambda source: source.replace("(3):", "( 3 ):  # times"),
            "unstarted",
        ),
        (lambda source: source.replace("call", "brew"), "right"),
        (lambda source: source.replace("    ...\n", ""), "right"),
        (lambda source: source.replace("(3)", "(9)"), "right"),
    ],
    ids=["as it came", "layout", "renamed", "no dots", "changed"],
)
def test_code_that_came_with_the_cell(change, state, monkeypatch):
    """It is not started as long as it stands as it came, with its dots."""
    came = {words.GIVEN: {"es": GIVEN, "en": GIVEN}}
    monkeypatch.setitem(WORDS, "judge_call", came)
    source = change(GIVEN)
    name = "<cell of this test>"
    linecache.cache[name] = len(source), None, source.splitlines(True), name
    names = {}
    exec(compile(source, name, "exec"), names)

    async def judge_call(answer, run):
        await answer(right)
        return Right()

    verdict = ask(names["retry"], judge_call, parameters=1, then=None)
    assert (verdict.state, verdict.mistake) == (state, None)


def test_the_advice_makes_no_syntax_error():
    """Whoever deletes the line ``...`` has an empty function left."""
    for text in GENERAL["unstarted"].values():
        assert not re.search("borra|delete", text)


def test_not_started_in_a_notebook():
    """Where a class has no file, and functions have their cells."""
    source = textwrap.dedent("""
        class Queue:
            async def get(self):
                ...
        """)
    name = "<cell of the test>"
    linecache.cache[name] = len(source), None, source.splitlines(True), name
    names = {"__name__": "no module"}
    exec(compile(source, name, "exec"), names)
    verdict = ask(names["Queue"], answer="value", then=None)
    assert verdict.state == "unstarted"


async def judge_value(answer, run):
    return Right()


async def annotated(drinks: tuple[str, ...] = ()) -> tuple[int, ...]:
    return 42


@pytest.mark.parametrize(
    "answer",
    [
        *[0, None, [], loop_of_lists, "...", annotated, len, Right],
        *[Sender, Base, typing.Callable[..., int], tuple[int, ...]],
    ],
)
def test_started(answer):
    verdict = ask(answer, judge_value, answer="value", then=0)
    assert verdict.state == "right"


# An answer of the wrong form.


def plain():
    return 42


async def generator():
    yield 42


async def two(first, second):
    return 42


async def handler_of_one(websocket):
    path = websocket.request.path  # a variable, no parameter
    return path


async def old_handler(websocket, path, extra=None):
    return 42


async def with_keyword(*, size):
    return 42


class Callable:
    async def __call__(self):
        return 42


class Hostile:
    """As unpleasant as a value can be."""

    def __repr__(self):
        raise RuntimeError("repr")

    __str__ = __repr__

    def __eq__(self, other):
        raise RuntimeError("eq")

    __hash__ = None

    def __bool__(self):
        raise RuntimeError("bool")


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (plain, "not-async"),
        (lambda: 42, "not-async"),
        (generator, "yields"),
        (42, "not-function"),
        (None, "not-function"),
        (Hostile(), "not-function"),
        (Callable, "not-function"),
        (two, "arity"),
        (with_keyword, "arity"),
        (old_handler, "old-handler"),
        (handler_of_one, "arity"),
        (functools.partial(two, 1), "arity"),
    ],
)
def test_form(answer, name):
    verdict = ask(answer)
    assert (verdict.state, verdict.mistake) == ("wrong", name)
    for language, labels in TEXT.items():
        message = GENERAL[name][language]
        assert verdict.said[language].startswith(
            labels["wrong"].format(number=NUMBER, message=message)
        )


def counted(function):
    """A decorator as most write them: its wrapper is a plain function."""

    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)

    return wrapper


def bare(function):
    def wrapper(*args):
        return function(*args)

    return wrapper


def careless(function):
    """A decorator that forgets to return what it was given."""

    def wrapper(*args):
        function(*args).close()

    return wrapper


class Later:
    """What can be awaited, though it is no coroutine."""

    def __await__(self):
        return right().__await__()


class Sync:
    def __call__(self):
        return right()

    def method(self):
        return right()

    @staticmethod
    def static():
        return right()


def in_a_task():
    return asyncio.create_task(right())


def in_a_group():
    return asyncio.gather(right())


def returns_a_coroutine():
    return right()


@types.coroutine
def of_a_generator():
    yield
    return 42


FORMS = {
    "async def": right,
    "partial": functools.partial(right),
    "object": Callable(),
    "method": Callable().__call__,
    "decorated": counted(right),
    "decorated twice": bare(counted(right)),
    "decorated partial": counted(functools.partial(right)),
    "bare decorator": bare(right),
    "lambda": lambda: right(),
    "plain function": returns_a_coroutine,
    "plain object": Sync(),
    "plain method": Sync().method,
    "static method": Sync.static,
    "partial of a lambda": functools.partial(lambda f: f(), right),
    "task": in_a_task,
    "wait_for": lambda: asyncio.wait_for(right(), 60),
    "awaitable": lambda: Later(),
    "class of awaitables": Later,
    "generator": of_a_generator,
}


@pytest.mark.parametrize("answer", FORMS.values(), ids=FORMS)
def test_forms_that_will_do(answer):
    assert ask(answer).state == "right"


def returns_a_generator():
    return generator()


def calls_and_forgets():
    right()


def of_no_use():
    return [].pop()


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (careless(right), "not-async"),
        (functools.partial(plain), "not-async"),
        (calls_and_forgets, "not-async"),
        (of_no_use, "not-async"),
        (counted(plain), "not-async"),
        (lambda: [right()], "not-async"),
        (counted(generator), "yields"),
        (returns_a_generator, "yields"),
        (lambda: latte(), "not-defined"),  # noqa: F821
        (counted(of_no_use), "raises"),
        (in_a_group, "other"),
    ],
)
def test_a_call_tells(answer, name):
    assert mistake(answer) == name


def test_a_plain_function_runs_once():
    calls = []

    def answer():
        calls.append(1)

    async def judge(answer, run):
        with contextlib.suppress(Exception):
            await answer()
        await asyncio.Event().wait()

    with promptly():
        assert mistake(answer, judge, limit=60, then=None) == "not-async"
    assert calls == [1]


def test_the_error_of_a_plain_function_is_shown():
    verdict = ask(of_no_use)
    assert "IndexError: pop from empty list" in verdict.said["en"]


def test_a_plain_handler(shown):
    """Its mistake is told as that of any other, and nothing is drawn."""
    options = {"parameters": 1, "picture": "wiretap"}
    exercise(NUMBER, **options)(judge_handler)

    def handler(websocket):
        return websocket.recv().upper()

    show_verdict(handler)
    (bundle,) = shown
    assert GENERAL["not-async"]["en"] in bundle["text/plain"]
    shown.clear()
    show_verdict(counted(shout))
    assert shown[0]["text/plain"].startswith("**✔")


def test_plain_functions():
    async def judge(answer, run):
        answer(1)
        return Right()

    options = {"answer": "function", "parameters": 1, "then": abs}
    assert mistake(right, judge, **options) == "not-plain"
    assert mistake(plain, judge, **options) == "arity"
    assert mistake("abs", judge, **options) == "not-function"
    # Python does not know the signature of max.
    with pytest.raises(ValueError):
        inspect.signature(max)
    assert mistake(max, judge, **options) == "raises"


def right_in_time():
    return asyncio.wait_for(right(), 1)


@pytest.mark.parametrize("call", [right, right_in_time])
def test_a_call_instead_of_a_function(call):
    """No warning is left behind: see ``ask``."""
    assert mistake(call()) == "called"


@pytest.mark.parametrize("make", ["create_future", "create_task"])
def test_a_future_instead_of_a_function(make):
    async def cell():
        loop = asyncio.get_running_loop()
        args = [right()] if make == "create_task" else []
        future = getattr(loop, make)(*args)
        verdict = await Check("en").verdict(NUMBER, future)
        future.cancel()
        return verdict

    exercise(NUMBER)(judge_number)
    assert asyncio.run(cell()).mistake == "called"


# An answer that goes wrong when it runs.


def test_raising_shows_the_learners_own_lines():
    async def answer():
        await asyncio.gather(inner())

    async def inner():
        raise ValueError("sin leche")

    verdict = ask(answer)
    assert verdict.mistake == "raises"
    lines = verdict.said["en"].split("```")[1].split("\n")
    # The judge is in this file, too; the library's lines are left out.
    assert [re.sub(r"^line \d+ ", "", line) for line in lines] == [
        "text",
        "(judge_number): seen = await answer()",
        "(answer): await asyncio.gather(inner())",
        '(inner): raise ValueError("sin leche")',
        "ValueError: sin leche",
        "",
    ]
    assert all(re.match(r"line \d+ ", line) for line in lines[1:4])


def test_a_comprehension_is_part_of_its_line():
    async def answer():
        return [1 / number for number in range(9)]

    said = ask(answer).said["en"]
    assert said.count("[1 / number for number in range(9)]") == 1
    assert "(answer): return [1 / number" in said


def test_an_exception_tells_more_than_a_forgotten_await():
    async def answer():
        await asyncio.gather([inner()])

    async def inner():
        pass

    verdict = ask(answer)
    assert verdict.mistake == "raises"
    assert "unhashable type: 'list'" in verdict.said["en"]


def test_a_groups_exceptions_are_told():
    async def answer():
        async with asyncio.TaskGroup() as group:
            group.create_task(inner())

    async def inner():
        raise ValueError("sin leche")

    assert "    ValueError: sin leche\n" in ask(answer).said["en"]


class Silent(Exception):
    def __str__(self):
        raise RuntimeError("str")

    @property
    def seen(self):
        raise RuntimeError("seen")

    mistake = exceptions = seen


@pytest.mark.parametrize(
    "error",
    [
        ValueError("sin leche"),
        Silent(),
        ExceptionGroup("two", [ValueError(), Silent()]),
        BaseException("all"),
        StopAsyncIteration(),
        TimeoutError(),
        SystemExit(1),
        KeyboardInterrupt(),
        run.Interrupted(),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize(
    "where",
    [
        "directly",
        "task",
        "bare task",
        "group",
        pytest.param(
            "eager task",
            marks=pytest.mark.skipif(
                sys.version_info < (3, 12), reason="new in 3.12"
            ),
        ),
    ],
)
def test_raising(error, where):
    """Not even SystemExit ends the event loop."""

    async def fail():
        await asyncio.sleep(0)
        raise error

    async def answer():
        loop = asyncio.get_running_loop()
        if where == "directly":
            await fail()
        elif where == "task":
            await asyncio.create_task(fail())
        elif where == "bare task":
            await asyncio.Task(fail())
        elif where == "group":
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
        elif where == "eager task":
            loop.set_task_factory(asyncio.eager_task_factory)
            await loop.create_task(fail())

    verdict = ask(answer)
    assert verdict.mistake == "raises"
    assert "raise error" in verdict.said["en"] or where == "group"


def test_raising_while_it_is_cancelled():
    async def leave():
        try:
            await asyncio.Future()
        finally:
            raise SystemExit

    async def answer():
        kept.append(asyncio.create_task(leave()))
        await asyncio.sleep(0)
        return 42

    kept = []
    assert ask(answer).state == "right"


def test_the_wrong_type():
    async def answer():
        return "42"

    verdict = ask(answer)
    assert verdict.mistake == "other"
    assert verdict.said["en"] == textwrap.dedent("""\
        **✘ 99.1: not yet.** Another.

        Expected:

        ```text
        42
        ```

        Seen:

        ```text
        '42'
        ```""")
    said = ask(answer).said["es"]
    assert said.startswith("**✘ 99.1: todavía no.** Otro número.")
    assert "Se esperaba:" in said
    assert "Se vio:" in said


class OddRepr:
    def __repr__(self):
        return 42


class OddText(str):
    def __contains__(self, part):
        raise RuntimeError("contains")


@pytest.mark.parametrize(
    ("value", "block"),
    [
        ("a\nb", "```text\na\nb\n```"),
        ("`", "```text\n'`'\n```"),
        ("```\n# title", "````text\n```\n# title\n````"),
        (["`````"], "``````text\n['`````']\n``````"),
        (OddRepr(), "```text\n<OddRepr: TypeError>\n```"),
        (Hostile(), "```text\n<Hostile: RuntimeError>\n```"),
        (OddText("a\nb"), "```text\n'a\\nb'\n```"),
        ("x" * 598, f"```text\n'{'x' * 598}'\n```"),
        ("x" * 599, f"```text\n'{'x' * 599}…\n```"),
        ("x" * 999, f"```text\n'{'x' * 599}…\n```"),
        (ValueError("a`b"), "```text\nValueError: a`b\n```"),
        (None, "```text\nNone\n```"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_was_seen(value, block):
    async def judge(answer, run):
        if await answer() == 42:
            return Right()
        raise Wrong("other", seen=value)

    async def answer():
        return 0

    assert ask(answer, judge).said["en"] == (
        f"**✘ 99.1: not yet.** Another.\n\nSeen:\n\n{block}"
    )


def test_a_hostile_result():
    async def answer():
        return Hostile()

    verdict = ask(answer)
    assert verdict.mistake == "raises"
    assert "RuntimeError: eq" in verdict.said["en"]


def test_waiting_for_ever():
    async def answer():
        await asyncio.Future()

    with promptly():
        verdict = ask(answer, limit=0.2)
        assert verdict.mistake == "too-slow"
        assert "0.2 seconds" in verdict.said["en"]


def test_cancelling_itself():
    async def answer():
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    async def in_a_task():
        await asyncio.create_task(answer())

    async def raising():
        raise asyncio.CancelledError

    assert mistake(answer) == "cancelled"
    assert mistake(in_a_task) == "cancelled"
    assert mistake(raising) == "cancelled"


async def sleep():
    time.sleep(1000)


async def spin():
    while True:
        pass


async def spin_and_swallow():
    while True:
        try:
            len(())
        except:  # noqa: E722
            pass


async def sleep_in_a_task():
    await asyncio.gather(right(), sleep())


async def sleep_in_the_background():
    task = asyncio.create_task(sleep())
    await asyncio.Future()
    return task


async def sleep_in_a_callback():
    asyncio.get_running_loop().call_later(0, time.sleep, 1000)
    await asyncio.Future()


async def sleep_when_cancelled():
    try:
        await asyncio.Future()
    finally:
        time.sleep(1000)


@pytest.mark.parametrize(
    "answer",
    [
        sleep,
        spin,
        spin_and_swallow,
        sleep_in_a_task,
        sleep_in_the_background,
        sleep_when_cancelled,
    ],
    ids=lambda answer: answer.__name__,
)
def test_blocking_for_ever(answer):
    with promptly():
        verdict = ask(answer, limit=0.2)
        assert verdict.mistake == "blocks"
        assert "0.2 seconds" in verdict.said["en"]


def test_blocking_for_less_than_the_limit(monkeypatch):
    """Neither while it runs nor while its tasks end."""
    monkeypatch.setattr(run, "GRACE", 60)

    async def background():
        try:
            await asyncio.Future()
        finally:
            time.sleep(0.5)

    async def answer():
        kept.append(asyncio.create_task(background()))
        await asyncio.sleep(0)
        time.sleep(0.5)
        return 42

    kept = []
    assert ask(answer, limit=60).state == "right"


def test_blocking_a_callback():
    """The loop's own report of it may stay: it says where it blocked."""
    exercise(NUMBER, limit=0.2)(judge_number)

    async def cell():
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        return await Check("en").verdict(NUMBER, sleep_in_a_callback)

    assert asyncio.run(cell()).mistake == "blocks"


def test_a_plain_function_that_blocks():
    async def judge(answer, run):
        answer()
        return Right()

    def answer():
        time.sleep(1000)

    options = {"answer": "function", "limit": 0.2, "then": plain}
    assert mistake(answer, judge, **options) == "blocks"


def test_in_another_thread():
    """There is no watchdog there, and no need to fail for that."""
    found = []

    def work():
        exercise(NUMBER, limit=0.2)(judge_number)
        verdict = Check("en").verdict
        for answer in (right, asyncio.Future, asyncio.Event().wait):
            found.append(asyncio.run(verdict(NUMBER, answer)).mistake)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [None, "not-function", "too-slow"]


# What an answer leaves behind: see also ``ask``.


def test_tasks_that_outlive_it():
    ended = []

    async def background(number):
        try:
            await asyncio.Future()
        finally:
            ended.append(number)

    async def answer():
        for number in range(3):
            asyncio.create_task(background(number))
        await asyncio.sleep(0)
        return 42

    assert ask(answer).state == "right"
    assert sorted(ended) == [0, 1, 2]


@pytest.mark.parametrize(
    ("times", "end"), [(1, asyncio.CancelledError), (1000, GeneratorExit)]
)
def test_a_task_that_swallows_its_cancellation(times, end, monkeypatch):
    """It is cancelled again and then closed."""
    monkeypatch.setattr(run, "GRACE", 1)
    swallowed, ends = [], []

    async def stubborn():
        while len(swallowed) < times:
            try:
                await asyncio.Future()
            except asyncio.CancelledError:
                swallowed.append(True)
        await asyncio.Future()

    async def work():
        try:
            await stubborn()
        finally:
            ends.append(sys.exc_info()[0])

    async def answer():
        await asyncio.gather(work())

    with promptly():
        assert mistake(answer, limit=0.1) == "too-slow"
    assert ends == [end]


def test_a_task_has_time_to_clear_up(monkeypatch):
    monkeypatch.setattr(run, "GRACE", GRACE)
    ends = []

    async def work():
        try:
            await asyncio.Future()
        finally:
            await asyncio.sleep(0.2)
            ends.append("clean")

    async def answer():
        await asyncio.gather(work())

    assert mistake(answer, limit=0.1) == "too-slow"
    assert ends == ["clean"]


def test_a_task_that_nothing_ends(monkeypatch):
    """The check gives it up, and gives its verdict."""
    monkeypatch.setattr(run, "GRACE", 1)
    exercise(NUMBER, limit=0.1)(judge_number)
    given_up = []

    async def deaf():
        while not given_up:
            with contextlib.suppress(BaseException):
                await asyncio.sleep(0.05)

    async def answer():
        await asyncio.gather(deaf())

    async def cell():
        verdict = await Check("en").verdict(NUMBER, answer)
        given_up.append(True)
        return verdict

    with promptly():
        assert asyncio.run(cell()).mistake == "too-slow"


def test_a_task_that_is_started_while_all_are_cancelled():
    ended = []

    async def last():
        try:
            await asyncio.Future()
        finally:
            ended.append(True)

    async def answer():
        try:
            await asyncio.Future()
        finally:
            kept.append(asyncio.create_task(last()))
            await asyncio.sleep(0)

    kept = []
    assert mistake(answer, limit=0.1) == "too-slow"
    assert ended


def test_a_task_that_fails_unseen():
    async def fail():
        raise ValueError("sin leche")

    async def answer():
        asyncio.create_task(fail())
        await asyncio.sleep(0.01)
        return 42

    assert ask(answer).state == "right"


def test_the_tasks_of_other_cells_go_on():
    """A server of an earlier cell, say, that gets a request meanwhile."""
    exercise(NUMBER, limit=0.3)(judge_number)
    served, cancelled = [], []

    async def serve_one():
        try:
            await asyncio.sleep(0.6)
            served.append(True)
        except asyncio.CancelledError:
            cancelled.append(True)

    async def server():
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                await asyncio.sleep(0.05)
                group.create_task(serve_one())

    async def answer():
        await asyncio.Future()

    async def cell():
        task = asyncio.create_task(server())
        verdict = await Check("en").verdict(NUMBER, answer)
        await task
        return verdict

    assert asyncio.run(cell()).mistake == "too-slow"
    assert (len(served), cancelled) == (5, [])


async def forgotten():
    right()
    return 0


async def forgotten_and_waiting():
    right()
    await asyncio.Future()


async def forgotten_in_a_variable():
    number = right()
    return number + 1


async def forgotten_in_the_result():
    return right()


async def forgotten_in_a_list():
    return [right(), {"b": right()}]


async def forgotten_in_a_task():
    async def inner():
        number = right()
        return number + 1

    await asyncio.gather(inner())


async def forgotten_in_the_call_of_a_task_that_fails():
    async def inner(number):
        return number + 1

    await asyncio.gather(inner(right()), return_exceptions=True)


async def forgotten_and_caught():
    number = right()
    try:
        return number + 1
    except TypeError:
        return 0


@pytest.mark.parametrize(
    "answer",
    [
        forgotten,
        forgotten_and_waiting,
        forgotten_in_a_variable,
        forgotten_in_the_result,
        forgotten_in_a_list,
        forgotten_in_a_task,
        forgotten_in_the_call_of_a_task_that_fails,
        forgotten_and_caught,
    ],
    ids=lambda answer: answer.__name__,
)
def test_a_forgotten_await(answer):
    with promptly():
        assert mistake(answer, limit=0.3) == "forgotten-await"


def test_a_judges_own_words_for_a_forgotten_await():
    async def judge(answer, run):
        seen = await answer()
        if seen == 42:
            return Right()
        raise Unawaited("mind-it", seen=seen)

    verdict = ask(forgotten_in_the_result, judge)
    assert verdict.mistake == "mind-it"
    assert "Mind it." in verdict.said["en"]


def test_a_forgotten_await_that_did_no_harm():
    async def answer():
        right()
        return 42

    assert ask(answer).state == "right"


async def forgotten_with_its_argument():
    return [right_in_time()]


@pytest.mark.parametrize(
    "answer", [forgotten_in_a_list, forgotten_with_its_argument]
)
def test_a_coroutine_that_a_judge_has_closed_is_not_forgotten(answer):
    async def judge(answer, run):
        seen = await answer()
        if close_unawaited(seen):
            raise Wrong("returned", seen=seen)
        return Right()

    assert mistake(answer, judge) == "returned"


# Stop.


@contextlib.contextmanager
def handling(handler):
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_stop_reaches_the_handler_that_was_there(monkeypatch):
    """And leaves the answer some time to end by itself."""
    monkeypatch.setattr(run, "GRACE", 60)
    monkeypatch.setattr(run, "STOP", 60)
    calls = []

    def handler(number, frame):
        calls.append((number, type(frame)))

    async def answer():
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.5)
        return 42

    with handling(handler):
        assert ask(answer, then=None).state == "right"
    assert calls == [(signal.SIGINT, types.FrameType)]


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL])
def test_no_handler_was_there(handler):
    with handling(handler):
        assert ask(right).state == "right"


def stop_soon(seconds=0.3):
    """Press Stop from elsewhere, as JupyterLab does."""
    main = threading.main_thread().ident
    args = main, signal.SIGINT
    timer = threading.Timer(seconds, signal.pthread_kill, args)
    timer.start()
    return timer


needs_kill = pytest.mark.skipif(
    not hasattr(signal, "pthread_kill"), reason="no pthread_kill"
)


@needs_kill
@pytest.mark.parametrize(
    "answer",
    [asyncio.Event().wait, spin, sleep],
    ids=["wait", "spin", "sleep"],
)
def test_stop(answer):
    """asyncio.run cancels the cell for the first Stop, as ipykernel does."""
    exercise(NUMBER, limit=60)(judge_number)
    ends = []

    async def cell():
        # As in a notebook: a signal may come just before the loop sleeps.
        kernel._notice_stop(asyncio.get_running_loop())
        tasks = asyncio.all_tasks()
        try:
            await Check("en").verdict(NUMBER, answer)
        finally:
            ends.append((sys.exc_info()[0], asyncio.all_tasks() == tasks))

    # A shell's background processes ignore it.
    with handling(signal.default_int_handler), promptly():
        timer = stop_soon()
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(cell())
        timer.join()
    assert ends == [(asyncio.CancelledError, True)]


@needs_kill
def test_stop_where_it_raises_at_once():
    """Then KeyboardInterrupt is no exception of the answer's."""
    exercise(NUMBER, limit=60)(judge_number)

    async def answer():
        time.sleep(1000)

    loop = asyncio.new_event_loop()
    task = loop.create_task(Check("en").verdict(NUMBER, answer))
    with handling(signal.default_int_handler):
        timer = stop_soon()
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(task)
        timer.join()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
    assert not asyncio.all_tasks(loop)
    loop.close()


def test_the_watchdog_lets_a_process_end():
    """Such as a kernel that is shut down while a check waits."""
    program = f"""
        import asyncio
        from aula.exercises.check import Check
        from aula.exercises.exercise import exercise

        @exercise({NUMBER!r}, limit=1000)
        async def judge(answer, run):
            await answer()

        loop = asyncio.new_event_loop()
        waiting = Check("en").verdict({NUMBER!r}, asyncio.Event().wait)
        task = loop.create_task(waiting)
        loop.run_until_complete(asyncio.sleep(0.1))
        assert not task.done()
        """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    subprocess.run(command, check=True, timeout=20, stderr=subprocess.DEVNULL)


def test_the_watchdog_sends_no_stop_of_its_own():
    """Not even when it is late: the handler from before hears nothing."""
    calls = []

    async def answer():
        with contextlib.suppress(run.Interrupted):
            time.sleep(1000)
        return 42

    with handling(lambda *args: calls.append(args)):
        assert mistake(answer, limit=0.01) == "blocks"
    assert not calls


def test_a_stop_after_the_watchdogs_own():
    """Each is told from the other, however often."""
    calls = []

    async def answer():
        with contextlib.suppress(run.Interrupted):
            time.sleep(1000)
        for _ in range(100):
            with contextlib.suppress(run.Interrupted):
                signal.raise_signal(signal.SIGINT)
            if calls:
                break
        return 42

    with handling(lambda *args: calls.append(args)):
        assert mistake(answer, limit=0.01) == "blocks"
    assert len(calls) == 1


# What is shown.


def show_verdict(answer, language="en"):
    asyncio.run(Check(language)(NUMBER, answer))


async def wrong():
    await asyncio.sleep(0)
    return 0


def test_right_shows_no_picture(shown):
    exercise(NUMBER)(judge_number)
    show_verdict(right)
    assert shown == [
        {
            "text/markdown": "**✔ 99.1: right.** Fine.",
            "text/plain": "**✔ 99.1: right.** Fine.",
        }
    ]
    show_verdict(right, "es")
    assert shown[1]["text/plain"] == "**✔ 99.1: correcto.** Bien."


def test_the_right_answer_is_remembered(monkeypatch):
    remembered = []
    monkeypatch.setattr(check, "remember", remembered.append)
    exercise(NUMBER)(judge_number)
    for answer in blank, plain, wrong:
        show_verdict(answer)
    assert remembered == []
    show_verdict(right)
    assert remembered == ["judge_number"]


def test_a_cell_that_failed_before_is_told(shown, monkeypatch):
    monkeypatch.setattr(check, "last_cell_failed", lambda: True)
    exercise(NUMBER)(judge_number)
    show_verdict(right)
    words = f"{TEXT['en']['failed-cell']}\n\n**✔ 99.1: right.** Fine."
    assert shown == [{"text/markdown": words, "text/plain": words}]


def test_not_started_shows_no_picture(shown):
    exercise(NUMBER)(judge_number)
    show_verdict(blank)
    (bundle,) = shown
    assert bundle["text/markdown"].startswith("**○ 99.1: not started.**")


def test_wrong_form_shows_no_picture(shown):
    exercise(NUMBER)(judge_number)
    show_verdict(plain)
    assert len(shown) == 1


def test_wrong_shows_the_tasks_of_the_run(shown):
    exercise(NUMBER)(judge_number)
    show_verdict(wrong)
    words, picture = shown
    assert words["text/markdown"].startswith("**✘ 99.1: not yet.** Another.")
    assert picture.keys() == {"text/plain", "text/html"}
    # The cell only waits, and is left out.
    assert re.sub("  +", "  ", picture["text/plain"]).split("\n") == [
        "wrong  ○┄●─  waits in wrong()",
        chart.TEXT["en"]["legend"],
    ]


def test_wrong_has_a_report_to_copy(shown):
    exercise(NUMBER)(judge_number)
    show_verdict(wrong)
    text, told = shown[0]["text/plain"], shown[0]["text/markdown"]
    # What a terminal shows, and a stored notebook is compared by.
    assert "details" not in text and "Python" not in text
    assert told.startswith(f"{text}\n\n<details><summary>Do you hold")
    copied = re.search(r"^(````+)text\n(.*)\n\1$", told, re.S | re.M)[2]
    assert copied.startswith("## 99.1 judge_number: other\n")
    assert text in copied
    assert inspect.getsource(wrong).strip() in copied
    for version in platform.python_version(), websockets.__version__:
        assert version in copied
    assert told.endswith("\n\n</details>")
    show_verdict(wrong, "es")
    assert "¿Crees que tu respuesta es correcta?" in str(shown[-2])


@pytest.mark.parametrize("answer", [blank, right])
def test_no_report_of_what_is_not_wrong(shown, answer):
    exercise(NUMBER)(judge_number)
    show_verdict(answer)
    assert "details" not in shown[0]["text/markdown"]


def test_a_report_has_the_whole_cell_of_an_answer():
    cell = "helper = 1\n\n\nasync def answer():\n    return helper"
    name = "/tmp/ipykernel_1/2.py"
    linecache.cache[name] = (len(cell), None, cell.splitlines(True), name)
    names = {}
    exec(compile(cell, name, "exec"), names)
    assert report.source_of(names["answer"]) == cell
    partial = functools.partial(names["answer"])
    assert report.source_of(partial) == cell
    del linecache.cache[name]


def test_a_report_of_what_has_no_source(tmp_path):
    script = tmp_path / "hello.py"
    script.write_text("print('hola')", encoding="utf-8")
    assert report.source_of(str(script), True) == "print('hola')"
    assert report.source_of(tmp_path / "no.py", True) == "'no.py'"
    assert report.source_of([1, 2]) == "[1, 2]"
    assert report.source_of(str(script)) == repr(str(script))

    class Silent:
        def __repr__(self):
            raise RuntimeError

    assert report.source_of(Silent()) == "<Silent>"
    assert len(report.source_of(["x" * 99] * 999)) == report.LONGEST + 1


def test_a_run_too_brief_for_a_picture(shown, monkeypatch):
    async def wrong_later():
        await asyncio.sleep(0.05)

    exercise(NUMBER)(judge_number)
    monkeypatch.setattr(check, "BRIEF", BRIEF)
    show_verdict(wrong_later)
    assert len(shown) == 2
    shown.clear()
    monkeypatch.setattr(check, "BRIEF", 60)
    show_verdict(wrong)
    assert len(shown) == 1


def test_where_nobody_spoke_there_is_no_conversation_to_show(shown):
    exercise(NUMBER, picture="wiretap")(judge_number)
    show_verdict(wrong)
    assert len(shown) == 1


def test_what_a_check_runs_beside_an_answer_is_not_drawn(shown):
    source = textwrap.dedent("""
        import asyncio

        async def judge(answer, run):
            async def brew():
                pass

            async def watch():
                pass

            await asyncio.gather(watch(), answer(brew))
            raise wrong
        """)
    path = f"{aula.judges.__path__[0]}/lesson_99.py"
    names = {
        "wrong": Wrong(
            "other",
        )
    }
    exec(compile(source, path, "exec"), names)
    exercise(NUMBER, parameters=1)(names["judge"])

    async def answer(make):
        await asyncio.create_task(make())

    show_verdict(answer)
    *lanes, _ = shown[-1]["text/plain"].split("\n")
    assert [re.split("  +", lane)[0] for lane in lanes] == [
        "answer(brew)",
        "brew()",
    ]


def test_the_picture_is_of_the_run_and_not_of_the_clearing_up(shown):
    exercise(NUMBER, limit=0.1)(judge_number)

    async def answer():
        await asyncio.Future()

    show_verdict(answer, "es")
    _, picture = shown
    lane, legend = picture["text/plain"].split("\n")
    assert lane.endswith("espera en answer(); sigue viva")
    assert legend == chart.TEXT["es"]["legend"]


def test_an_exercise_without_picture(shown):
    exercise(NUMBER, picture=None)(judge_number)
    show_verdict(wrong)
    assert len(shown) == 1


async def judge_handler(answer, run):
    async with serve(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}") as websocket:
            await websocket.send("hola")
            seen = await websocket.recv()
    if seen != "HOLA":
        raise Wrong("other", seen=seen)
    return Right()


async def shout(websocket):
    async for message in websocket:
        await websocket.send(message.upper())


async def whisper(websocket):
    async for message in websocket:
        await websocket.send(message)


async def mute(websocket):
    async for _ in websocket:
        pass


def test_a_wiretap_for_exercises_that_ask_for_it(shown):
    options = {"parameters": 1, "picture": "wiretap"}
    exercise(NUMBER, **options)(judge_handler)
    show_verdict(shout)
    assert len(shown) == 1
    show_verdict(whisper, "es")
    _, _, picture = shown
    assert picture.keys() == {
        "text/plain",
        "text/markdown",
        "text/vnd.mermaid",
    }
    lines = re.sub("  +", "  ", picture["text/plain"]).split("\n")
    assert 'cliente → whisper  TEXT "hola"' in lines
    assert 'whisper → cliente  TEXT "hola"' in lines
    assert (
        ask(whisper, judge_handler, then=shout, **options).mistake == "other"
    )


def test_a_wiretap_hears_nothing_of_the_clearing_up(shown):
    options = {"parameters": 1, "picture": "wiretap", "limit": 0.3}
    exercise(NUMBER, **options)(judge_handler)
    show_verdict(mute)
    text = shown[1]["text/plain"]
    assert 'TEXT "hola"' in text
    assert "CLOSE" not in text
    verdict = ask(mute, judge_handler, then=shout, **options)
    assert verdict.mistake == "too-slow"


def test_both_languages_say_the_same_things():
    assert TEXT["es"].keys() == TEXT["en"].keys()
    for key, text in TEXT["es"].items():
        fields = re.findall(r"{[\w!:]+}", text)
        assert fields == re.findall(r"{[\w!:]+}", TEXT["en"][key]), key


# Bad use.


class Unwritable:
    def __repr__(self):
        raise RuntimeError("no")

    __str__ = __format__ = __repr__


@pytest.mark.parametrize(
    ("value", "es", "en"),
    [
        ("latte", "Vi latte y 'latte'.", "I saw latte, {more}."),
        (3, "Vi 3 y 3.", "I saw 3, {more}."),
        ("{it}", "Vi {it} y '{it}'.", "I saw {it}, {more}."),
        (Unwritable(), "Vi … y ….", "I saw …, {more}."),
    ],
)
def test_words_quote_values(value, es, en):
    async def judge(answer):
        raise Wrong("quoting", it=value)

    verdict = ask(right, judge, then=None)
    assert verdict.said["es"].endswith(es)
    assert verdict.said["en"].endswith(en)


def test_a_mistake_without_words():
    with pytest.raises(LookupError, match="'none' of 'shout'"):
        words.find("04", "shout", "none")


def test_the_nearest_words_are_taken(monkeypatch):
    known = {
        "04": {"shout": {"a": 1}, words.SHARED: {"a": 2, "b": 2}},
        "general": {words.SHARED: {"a": 3, "b": 3, "c": 3}},
    }
    monkeypatch.setattr(words, "load", lambda name: known.get(name, {}))
    found = [words.find("04", "shout", mistake) for mistake in "abc"]
    assert found == [1, 2, 3]
    assert words.find("05", "shout", "c") == 3


@pytest.mark.parametrize(
    ("number", "known"),
    [
        ("99.7", "99.1, 99.2"),
        ("99", "99.1, 99.2"),
        (99.7, "99.1, 99.2"),
        ("7.1", "07.1"),
        (7.1, "07.1"),
        ("latte", "07.1, 98.1, 99.1, 99.2"),
        ("", "07.1, 98.1, 99.1, 99.2"),
        (None, "07.1, 98.1, 99.1, 99.2"),
        (["99.1"], "07.1, 98.1, 99.1, 99.2"),
    ],
)
def test_unknown_exercise(number, known):
    for name in ("99.2", "99.1", "98.1", "07.1"):
        exercise(name)(judge_number)
    for language, said in (
        ("es", f"No existe el ejercicio {number!r}. Hay: {known}."),
        ("en", f"There is no exercise {number!r}. There are: {known}."),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
            asyncio.run(Check(language)(number, right))


def test_the_lessons_exercises_are_found(monkeypatch):
    monkeypatch.undo()
    assert registry.find("00.1").number == "00.1"
    assert registry.find("00.99") is None
    assert registry.find("00.1 ") is None


def test_only_the_lesson_of_an_exercise_is_read(monkeypatch):
    monkeypatch.delitem(sys.modules, "aula.judges.lesson_00")
    assert registry.find("00.1").number == "00.1"
    assert {number[:3] for number in registry._exercises} == {"00."}


def test_all_lessons_are_read_for_all_numbers(monkeypatch):
    lessons = [
        n for n in registry._lesson_modules() if n.startswith("lesson_")
    ]
    for name in lessons:
        monkeypatch.delitem(sys.modules, f"aula.judges.{name}", raising=False)
    assert {f"lesson_{one.lesson}" for one in registry.exercises()} == {
        *lessons
    }


# Several checks at once, and other cells' tasks meanwhile.


async def wait_and_return():
    await asyncio.sleep(0.05)
    return 42


async def replaces_everything():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    loop.set_task_factory(None)
    call_soon = loop.call_soon
    loop.call_soon = lambda *args, **options: call_soon(*args, **options)
    asyncio.sleep = asyncio.gather = None
    warnings.simplefilter("ignore")
    return 42


async def checks_another():
    await Check("en").verdict(NUMBER, right)
    return 42


async def checks_others():
    verdict = Check("en").verdict
    answers = right, wrong, wait_and_return
    found = await asyncio.gather(*(verdict(NUMBER, a) for a in answers))
    assert [one.state for one in found] == ["right", "wrong", "right"]
    return 42


TOGETHER = {
    "right": [(right, None), (right, None)],
    "right and wrong": [(wait_and_return, None), (wrong, "other")] * 2,
    "one blocks": [(sleep, "blocks"), (right, None)],
    "one hangs": [(asyncio.Event().wait, "too-slow"), (right, None)],
    "one forgets": [
        (wait_and_return, None),
        (forgotten, "forgotten-await"),
        (right, None),
    ],
    "one raises": [
        (generator, "yields"),
        (of_no_use, "not-async"),
        (counted(of_no_use), "raises"),
        (right, None),
    ],
    "one replaces all": [(replaces_everything, None), (right, None)] * 2,
    "one checks": [
        (checks_another, None),
        (right, None),
        (checks_others, None),
    ],
}


async def gathered(asked):
    return await asyncio.gather(*asked)


async def grouped(asked):
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in asked]
    return [task.result() for task in tasks]


async def begun_by_several_cells(asked):
    tasks = [asyncio.create_task(one) for one in asked]
    return [await task for task in reversed(tasks)][::-1]


WAYS = [gathered, grouped, begun_by_several_cells]


@pytest.mark.parametrize(
    ("which", "way"),
    zip(TOGETHER, itertools.cycle(WAYS), strict=False),
    ids=lambda value: getattr(value, "__name__", value),
)
def test_checks_at_once(which, way):
    """Each has the verdict that it has alone, and the loop is as it was."""
    exercise(NUMBER, limit=0.6)(judge_number)

    async def cell():
        loop = asyncio.get_running_loop()
        reports = []
        loop.set_exception_handler(lambda _, report: reports.append(report))
        before = state(loop), vars(asyncio).copy()
        verdict = Check("en").verdict
        found = await way([verdict(NUMBER, a) for a, _ in TOGETHER[which]])
        assert [one.mistake for one in found] == [
            mistake for _, mistake in TOGETHER[which]
        ]
        assert (state(loop), vars(asyncio)) == before
        # What fails from now on is shown.
        task = asyncio.create_task(fail_unseen())
        await asyncio.wait([task])
        del task
        gc.collect()
        assert [str(one["exception"]) for one in reports] == ["unseen"]

    with promptly(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(cell())
        assert [str(warning.message) for warning in caught] == []
        right()
        assert "never awaited" in str(caught[0].message)


async def fail_unseen():
    raise ValueError("unseen")


def test_checks_at_once_in_threads():
    exercise(NUMBER, limit=5)(judge_number)
    verdict = Check("en").verdict
    answers = [right, wrong, forgotten] * 3

    async def cell():
        return await asyncio.gather(
            *(
                asyncio.to_thread(asyncio.run, verdict(NUMBER, answer))
                for answer in answers
            ),
            verdict(NUMBER, right),
        )

    before = warnings.filters[:], warnings.showwarning
    found = asyncio.run(cell())
    assert [one.mistake for one in found] == [
        *[None, "other", "forgotten-await"] * 3,
        None,
    ]
    assert (warnings.filters, warnings.showwarning) == before


def test_a_check_that_is_cancelled_while_it_waits_for_its_turn():
    exercise(NUMBER, limit=5)(judge_number)

    async def cell():
        verdict = Check("en").verdict
        first = asyncio.create_task(verdict(NUMBER, wait_and_return))
        second = asyncio.create_task(verdict(NUMBER, right))
        await asyncio.sleep(0.03)
        second.cancel()
        assert (await first).state == "right"
        assert (await verdict(NUMBER, right)).state == "right"
        assert second.cancelled()

    asyncio.run(cell())


async def wrong_but_patient():
    await asyncio.sleep(0.1)
    return 0


async def task_of_another_cell():
    async def fail():
        raise ValueError("task")

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    del task
    gc.collect()


async def callback_of_another_cell():
    def fail():
        raise ValueError("callback")

    asyncio.get_running_loop().call_soon(fail)
    await asyncio.sleep(0)


async def gathered_by_another_cell():
    async def fail():
        raise ValueError("gather")

    future = asyncio.gather(fail())
    await asyncio.wait([future])
    del future
    gc.collect()


async def future_of_another_cell():
    future = asyncio.get_running_loop().create_future()
    future.set_exception(ValueError("future"))
    del future
    gc.collect()


OTHERS = {
    "task": task_of_another_cell,
    "callback": callback_of_another_cell,
    "gather": gathered_by_another_cell,
    "future": future_of_another_cell,
}


@pytest.mark.parametrize("said", OTHERS)
@pytest.mark.parametrize("own", [None, "task", "callback"])
def test_what_fails_elsewhere_while_a_check_runs(said, own):
    """It is reported, and what the answer does is not."""
    exercise(NUMBER, limit=5)(judge_number)
    ready = []

    async def answer():
        ready.append(True)
        if own is not None:
            await OTHERS[own]()
        await asyncio.sleep(0.1)
        return 42

    async def background():
        while not ready:
            await asyncio.sleep(0)
        await OTHERS[said]()

    async def cell():
        reports = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, report: reports.append(report))
        task = asyncio.create_task(background())
        verdict = await Check("en").verdict(NUMBER, answer)
        during = [str(report["exception"]) for report in reports]
        await task
        assert verdict.state == "right", verdict
        return during

    assert asyncio.run(cell()) == [said]


def test_a_task_that_fails_elsewhere_is_reported_by_default(caplog):
    exercise(NUMBER, limit=5)(judge_number)

    async def cell():
        task = asyncio.create_task(task_of_another_cell())
        await Check("en").verdict(NUMBER, wait_and_return)
        await task

    asyncio.run(cell())
    assert "Task exception was never retrieved" in caplog.text


@pytest.mark.parametrize("answer", [wait_and_return, wrong_but_patient])
def test_an_await_that_another_cell_forgets(answer):
    """It is no mistake of the answer's, and it is told."""
    exercise(NUMBER, limit=5)(judge_number)

    async def latte():
        pass

    async def background():
        await asyncio.sleep(0.01)
        latte()

    async def cell():
        task = asyncio.create_task(background())
        verdict = await Check("en").verdict(NUMBER, answer)
        await task
        return verdict

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        verdict = asyncio.run(cell())
    assert verdict.mistake in (None, "other")
    (warning,) = caught
    assert "latte' was never awaited" in str(warning.message)


def test_a_timeline_of_another_cell_that_begins_meanwhile():
    """It goes on to record when the check is over."""
    exercise(NUMBER, limit=5)(judge_number)

    async def brew():
        await asyncio.sleep(0)

    async def background():
        await asyncio.sleep(0.01)
        line = Timeline()
        line.start()
        await asyncio.sleep(0.1)
        await asyncio.create_task(brew())
        line.stop()
        return line.bundle("en")["text/plain"]

    async def cell():
        loop = asyncio.get_running_loop()
        before = loop.get_task_factory(), vars(loop).get("call_soon")
        task = asyncio.create_task(background())
        verdict = await Check("en").verdict(NUMBER, wait_and_return)
        assert verdict.state == "right"
        assert not task.done()
        text = await task
        assert (loop.get_task_factory(), vars(loop).get("call_soon")) == before
        return text

    assert "brew()" in asyncio.run(cell())


def test_the_tasks_of_other_cells_are_not_drawn(shown):
    exercise(NUMBER)(judge_number)

    async def brew():
        await asyncio.sleep(0.02)

    async def background():
        await asyncio.sleep(0.01)
        await asyncio.create_task(brew())

    async def cell():
        task = asyncio.create_task(background())
        await Check("en")(NUMBER, wrong_but_patient)
        await task

    asyncio.run(cell())
    assert "brew" not in shown[-1]["text/plain"]
    assert "wrong_but_patient" in shown[-1]["text/plain"]
