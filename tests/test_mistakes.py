"""The texts by which judges recognize an error are those of this Python."""

import asyncio
import gc
import subprocess
import sys
from contextlib import closing, suppress

import pytest
from aiohttp import test_utils, web
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosedOK
from websockets.frames import Opcode

from aula.exercises.exercise import Unawaited, Wrong
from aula.instruments.record import Recorder
from aula.judges import mistakes
from aula.judges.mistakes import (
    awaited,
    awaits_none,
    equal,
    has_no_star,
    holds_futures,
    leaves,
    lost,
    named,
    naming_unawaited,
    refuse_bare_connect,
    refuse_future,
    refuse_none,
    refuse_unawaited,
    runs_second_loop,
)


async def brew():
    return "latte"


async def with_connection(use):
    """The error of what is done with a connection."""

    async def stay(websocket):
        await websocket.wait_closed()

    async with serve(stay, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}") as websocket:
            try:
                await use(websocket)
            except Exception as error:
                return error
    raise AssertionError("nothing was raised")


async def plain_for(websocket):
    for _ in websocket:
        pass


async def plain_with(websocket):
    with asyncio.timeout(1):
        await asyncio.sleep(0)


async def async_suppress(websocket):
    async with suppress(ValueError):
        pass


async def task_of_function(websocket):
    asyncio.create_task(brew)


async def sends_coroutine(websocket):
    await websocket.send(brew())


async def sends_method(websocket):
    await websocket.send("hola".upper)


async def sends_number(websocket):
    await websocket.send(42)


@pytest.mark.parametrize(
    ("use", "mistake"),
    [
        (plain_for, "plain-for"),
        (plain_with, "plain-with"),
        (async_suppress, "async-suppress"),
        (task_of_function, "task-of-function"),
        (sends_coroutine, "call-unawaited"),
        (sends_method, "no-parentheses"),
    ],
)
def test_errors_that_tell_little_are_named(use, mistake):
    error = asyncio.run(with_connection(use))
    found = named(error)
    assert isinstance(found, Wrong)
    assert (found.mistake, found.seen) == (mistake, error)
    assert isinstance(found, Unawaited) == (mistake == "call-unawaited")


def test_other_errors_stay():
    error = asyncio.run(with_connection(sends_number))
    assert mistakes.NOT_DATA in f"{error}"
    assert named(error) is error


def test_calling_a_coroutine():
    coroutine = brew()
    with pytest.raises(TypeError, match=mistakes.NOT_CALLABLE):
        coroutine()
    coroutine.close()


def test_await_outside_a_function():
    with pytest.raises(SyntaxError, match=mistakes.AWAIT_OUTSIDE):
        compile("await brew()", "program.py", "exec")
    for said in mistakes.AWAIT_OUTSIDE, mistakes.AWAIT_IN_PLAIN:
        with pytest.raises(SyntaxError, match=said):
            compile("def main():\n    await brew()", "program.py", "exec")


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ("main", (mistakes.NEEDS_COROUTINE, mistakes.NEEDS_AWAITABLE)),
        (
            "asyncio.gather(main(), main())",
            (*mistakes.NO_LOOP, "_GatheringFuture"),
        ),
    ],
)
def test_what_asyncio_run_cannot_run(given, texts):
    program = f"async def main():\n    pass\n\nasyncio.run({given})"
    ran = subprocess.run(
        [sys.executable, "-c", f"import asyncio\n\n{program}"],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 1
    assert any(said in ran.stderr for said in texts)


@pytest.mark.parametrize(
    ("given", "are_results"),
    [
        (["latte", "mocha"], True),
        ([("latte", "mocha")], False),
        ([iter("latte")], False),
        ([print], False),
    ],
)
def test_gather_of_results(given, are_results):
    async def gather():
        await asyncio.gather(*given)

    with pytest.raises(TypeError) as caught:
        asyncio.run(gather())
    assert mistakes.gathers_results(caught.value) == are_results


def test_coroutine_that_nobody_awaits():
    with pytest.warns(RuntimeWarning, match=mistakes.NEVER_AWAITED):
        brew()
        gc.collect()


async def wait_for_none():
    await asyncio.wait([])


async def wait_for_coroutines():
    coroutine = brew()
    try:
        await asyncio.wait([coroutine])
    finally:
        coroutine.close()


async def set_that_changes():
    names = {"Ada"}
    for _ in names:
        names.add("Lima")


async def dictionary_that_changes():
    names = {"Ada": 1}
    for _ in names:
        names["Lima"] = 2


async def unknown_argument():
    await connect("ws://127.0.0.1:9", extra_headers={})


async def text_for_bytes():
    b"GET /".startswith("GET")


async def text_in_bytes():
    _ = "GET" in b"GET /"


async def xor_of_bytes():
    _ = b"la" ^ b"te"


async def number_of_no_name():
    Opcode(0x81)


async def three_parts():
    _, _ = "Ada Lima Eva".split()


async def one_part():
    _, _ = "Ada".split()


async def no_parts():
    _, _ = 7


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (wait_for_coroutines, mistakes.NO_COROUTINES),
        (wait_for_none, mistakes.NO_TASKS),
        (set_that_changes, mistakes.CHANGED_SIZE),
        (dictionary_that_changes, mistakes.CHANGED_SIZE),
        (unknown_argument, f"{mistakes.UNKNOWN} 'extra_headers'"),
        (text_for_bytes, mistakes.NEEDS_BYTES[0]),
        (text_in_bytes, mistakes.NEEDS_BYTES[1]),
        (xor_of_bytes, mistakes.NO_XOR),
        (number_of_no_name, mistakes.NO_MEMBER),
        (three_parts, mistakes.UNPACKED),
        (one_part, mistakes.UNPACKED),
        (no_parts, mistakes.NO_PARTS),
    ],
)
def test_texts_of_errors(wrong, text):
    with pytest.raises(Exception) as caught:
        asyncio.run(wrong())
    assert text in f"{caught.value}"


@pytest.mark.parametrize(
    ("response", "text"),
    [(None, mistakes.NO_RETURN), ("hola", mistakes.NO_RESPONSE)],
)
def test_what_aiohttp_says_of_no_response(response, text, caplog):
    async def handler(request):
        return response

    async def ask():
        app = web.Application()
        app.router.add_get("/", handler)
        async with test_utils.TestClient(test_utils.TestServer(app)) as client:
            return (await client.get("/")).status

    assert asyncio.run(ask()) == 500
    assert text in caplog.text


def visited(handler, visit):
    """Serve WebSockets by aiohttp, and let one client visit the handler.

    Returns:
        the texts of the errors that the handler met.
    """
    said = []

    async def handle(request):
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        with pytest.raises(RuntimeError) as caught:
            await handler(websocket)
        said.append(f"{caught.value}")
        return websocket

    async def run():
        app = web.Application()
        app.router.add_get("/", handle)
        async with test_utils.TestClient(test_utils.TestServer(app)) as client:
            async with client.ws_connect("/") as websocket:
                await visit(websocket)

    asyncio.run(run())
    return said


def test_what_aiohttp_says_of_receiving_after_the_end():
    async def receives_on(websocket):
        await websocket.close()
        while True:
            await websocket.receive()

    said = visited(receives_on, lambda websocket: websocket.receive())
    assert [mistakes.SOCKET_CLOSED in text for text in said] == [True]


def test_what_aiohttp_says_of_two_who_receive_at_once():
    async def receives_twice(websocket):
        first = asyncio.create_task(websocket.receive())
        await asyncio.sleep(0)
        try:
            await websocket.receive()
        finally:
            await first

    said = visited(receives_twice, lambda client: client.send_str("hola"))
    assert [mistakes.CONCURRENT_RECEIVE in text for text in said] == [True]


def test_what_aiohttp_says_before_the_handshake():
    with pytest.raises(RuntimeError) as caught:
        asyncio.run(web.WebSocketResponse().receive())
    assert mistakes.NOT_PREPARED in f"{caught.value}"


def test_what_aiohttp_says_of_a_number_for_a_text():
    with pytest.raises(TypeError) as caught:
        web.Response(text=2)
    assert mistakes.NOT_RESPONSE_TEXT in f"{caught.value}"


async def unconnected(use):
    use(connect("ws://127.0.0.1:9"))


def send(websocket):
    websocket.send("hola")


def enter(websocket):
    with websocket:
        pass


@pytest.mark.parametrize(
    ("use", "mistake"), [(send, "not-connected"), (enter, "plain-with")]
)
def test_a_bare_connect(use, mistake):
    with pytest.raises((AttributeError, TypeError)) as caught:
        asyncio.run(unconnected(use))
    with pytest.raises(Wrong, match=mistake):
        refuse_bare_connect(caught.value)
    refuse_bare_connect(TypeError("another"))


def no_star(*collection):
    async def gather():
        await asyncio.gather(*collection)

    with pytest.raises((TypeError, RuntimeError)) as caught:
        asyncio.run(gather())
    return caught.value


@pytest.mark.parametrize("collect", [list, set, tuple])
def test_gather_without_a_star(collect):
    coroutine = brew()
    error = no_star(collect([coroutine]))
    assert has_no_star(error)
    mistakes.discard(error)
    coroutine.close()


def test_gather_of_a_generator():
    error = no_star(coroutine for coroutine in (brew(),))
    assert has_no_star(error)
    mistakes.discard(error)


def test_a_function_that_is_not_called_is_no_missing_star():
    assert not has_no_star(no_star(brew, brew))


def test_another_type_error_is_no_missing_star():
    with pytest.raises(TypeError) as caught:
        hash([])
    assert not has_no_star(caught.value)


@pytest.mark.parametrize("value", [brew, None, "latte"])
def test_what_was_awaited(value):
    async def wrong():
        await value

    with pytest.raises(TypeError) as caught:
        asyncio.run(wrong())
    assert awaited(caught.value) == type(value).__name__


@pytest.mark.parametrize(
    "text",
    [
        "object function can't be used in 'await' expression",  # 3.13
        "'function' object can't be awaited",  # 3.14
    ],
)
def test_what_was_awaited_on_any_python(text):
    assert awaited(TypeError(text)) == "function"
    assert awaited(ValueError(text)) is None
    assert awaited(TypeError("latte")) is None
    assert not awaits_none(TypeError(text))
    assert awaits_none(TypeError(text.replace("function", "NoneType")))


def raised_by(function):
    with pytest.raises(Exception) as caught:
        asyncio.run(function())
    return f"{caught.value}"


def test_texts_of_asyncio():
    async def async_for():
        async for _ in []:
            pass

    async def star():
        asyncio.as_completed(*"ab")

    async def gathered_number():
        await asyncio.gather(42)

    async def task_of_number():
        asyncio.create_task(42)

    async def ended():
        coroutine = brew()
        await coroutine
        coroutine.send(None)

    assert mistakes.NOT_ASYNC_ITERABLE in raised_by(async_for)
    assert mistakes.AS_COMPLETED_STAR in raised_by(star)
    assert mistakes.NEEDS_AWAITABLE in raised_by(gathered_number)
    assert mistakes.NEEDS_COROUTINE in raised_by(task_of_number)
    assert mistakes.SENT_AFTER_ITS_END in raised_by(ended)


def run_in_this_loop(main):
    asyncio.get_running_loop().run_until_complete(main)


def run_in_a_new_loop(main):
    with closing(asyncio.new_event_loop()) as loop:
        loop.run_until_complete(main)


@pytest.mark.parametrize(
    "run", [asyncio.run, run_in_this_loop, run_in_a_new_loop]
)
def test_a_loop_inside_another(run):
    async def wrong():
        main = asyncio.sleep(0)
        try:
            run(main)
        finally:
            main.close()

    with pytest.raises(RuntimeError) as caught:
        asyncio.run(wrong())
    assert runs_second_loop(caught.value)


def test_no_loop_at_all():
    with pytest.raises(RuntimeError) as caught:
        asyncio.get_running_loop()
    assert not runs_second_loop(caught.value)


def test_unpacking_one_part():
    with pytest.raises(ValueError) as caught:
        _, _ = "latte".split(": ")
    assert mistakes.NOT_TWO_PARTS in f"{caught.value}"


@pytest.mark.parametrize(
    "use",
    [lambda x: x["name"], lambda x: x.get("name"), lambda x: "name" in x],
)
def test_none_is_named_where_it_is_used(use):
    with pytest.raises((AttributeError, TypeError), match=mistakes.NONE):
        use(None)


def test_equal():
    equal("latte", "latte", "other")
    with pytest.raises(Wrong) as caught:
        equal("mocha", "latte", "other", name="Ada")
    wrong = caught.value
    assert (wrong.mistake, wrong.seen, wrong.expected) == (
        "other",
        "mocha",
        "latte",
    )
    assert wrong.values == {"name": "Ada"}


def test_refuse_none():
    refuse_none(0)
    with pytest.raises(Wrong, match="printed"):
        refuse_none(None)


@pytest.mark.parametrize("collect", [lambda x: x, lambda x: [1, x]])
def test_refuse_unawaited(collect):
    refuse_unawaited(collect("latte"), "recv-unawaited")
    coroutine = brew()
    with pytest.raises(Unawaited, match="recv-unawaited"):
        refuse_unawaited(collect(coroutine), "recv-unawaited")
    assert coroutine.cr_frame is None, "it is closed"


def test_refuse_future():
    reports = []

    async def give():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, report: reports.append(report))
        refuse_future("latte", "not-awaited")
        for future in (asyncio.gather(brew()), asyncio.create_task(brew())):
            with pytest.raises(Unawaited, match="not-awaited"):
                refuse_future(future, "not-awaited")
            await asyncio.wait([future])
        del future
        gc.collect()

    asyncio.run(give())
    assert not reports, "what was cancelled is no orphan"


def test_holds_futures():
    async def look():
        task = asyncio.create_task(brew())
        found = [holds_futures(seen) for seen in (task, [1, task], [1])]
        await task
        return found

    assert asyncio.run(look()) == [True, True, False]


def test_leaves():
    inner = [ValueError(1), ExceptionGroup("", [KeyError(2)])]
    found = leaves(ExceptionGroup("", inner))
    assert [type(error) for error in found] == [ValueError, KeyError]


async def fail(error=None):
    raise error or ValueError("sin leche")


async def gathered():
    await asyncio.gather(fail(), fail(), return_exceptions=True)


async def grouped():
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            group.create_task(asyncio.sleep(1))
    except* ValueError:
        pass


async def awaited_later():
    with suppress(ValueError):
        await asyncio.create_task(fail())


async def looked_at():
    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    assert task.exception()


async def looked_at_when_done():
    task = asyncio.create_task(fail())
    task.add_done_callback(lambda task: task.exception())
    await asyncio.sleep(0.01)


async def cancelled():
    task = asyncio.create_task(asyncio.sleep(1))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


async def client_gone():
    await asyncio.wait(
        [asyncio.create_task(fail(ConnectionClosedOK(None, None)))]
    )


async def forgotten():
    asyncio.create_task(fail())
    await asyncio.sleep(0.01)


async def only_waited_for():
    await asyncio.wait([asyncio.create_task(fail())])


async def in_a_forgotten_group():
    asyncio.create_task(fail(ExceptionGroup("", [ValueError()])))
    await asyncio.sleep(0.01)


def what_is_lost(answer):
    async def judge():
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        run = Recorder()
        run.start()
        await answer()
        run.stop()
        return [type(error) for error in lost(run)]

    return asyncio.run(judge())


@pytest.mark.parametrize(
    "answer",
    [
        gathered,
        grouped,
        awaited_later,
        looked_at,
        looked_at_when_done,
        cancelled,
        client_gone,
    ],
)
def test_what_somebody_picked_up_is_not_lost(answer):
    assert what_is_lost(answer) == []


@pytest.mark.parametrize(
    "answer", [forgotten, only_waited_for, in_a_forgotten_group]
)
def test_what_nobody_picked_up_is_lost(answer):
    assert what_is_lost(answer) == [ValueError]


def test_the_call_whose_await_is_missing_is_named():
    async def judge(websocket):
        with naming_unawaited():
            websocket.recv().upper()

    error = asyncio.run(with_connection(judge))
    assert isinstance(error, Unawaited)
    assert (error.mistake, error.values) == (
        "call-unawaited",
        {"call": "recv"},
    )


def test_what_was_forgotten_beside_a_mistake_is_named():
    async def judge(websocket):
        with naming_unawaited():
            websocket.send("hola")
            raise Wrong("silent")

    with pytest.warns(RuntimeWarning, match="Connection.send"):
        error = asyncio.run(with_connection(judge))
    assert error.values == {"call": "send"}


def test_no_call_is_named_where_none_is_missing():
    with pytest.raises(Wrong, match="silent"), naming_unawaited():
        raise Wrong("silent")
