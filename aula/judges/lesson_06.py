"""Judges the exercises of lesson 06."""

import asyncio
import inspect
import threading
from contextlib import asynccontextmanager, suppress

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
)
from websockets.sync.client import connect as sync_connect

from aula.exercises.exercise import Right, Unawaited, Wrong, exercise
from aula.instruments.frames import refused_by_send
from aula.instruments.tasks import failure, is_orphaned
from aula.judges.peers import finished, refuse_no_star, within

PATIENCE = 0.6  # seconds in which others turn up, if they do at all
SILENCE = 0.8  # seconds a chat keeps quiet: twice the lesson's own limit


@asynccontextmanager
async def serving(handler):
    """A server on a free port; yields its address, without a path."""
    async with serve(handler, "127.0.0.1", 0, close_timeout=1) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}"


async def tried(answer, websocket, *arguments):
    """The answer's task, and whether it ended by itself."""
    task = asyncio.create_task(answer(websocket, *arguments))
    return task, await finished(task, 1.6)


async def put_away(awaitables):
    """Let go of what an answer returned instead of awaiting it."""
    running = set()
    for awaitable in awaitables:
        if inspect.iscoroutine(awaitable):
            awaitable.close()
        elif asyncio.isfuture(awaitable):
            running.add(awaitable)
    if running:
        await asyncio.wait(running, timeout=2)
    for future in running:
        if future.done() and not future.cancelled():
            future.exception()  # retrieved, so that it is no orphan


@exercise("06.1", parameters=2, picture="wiretap")
async def ask_all(answer):
    names = ["Ada", "Lima", "Eva"]
    loop_thread = threading.get_ident()
    threads, unanswered = [], []
    present = most = 0
    alone = False

    async def greet(websocket):
        nonlocal present, most, alone
        present += 1
        most = max(most, present)
        with suppress(ConnectionClosed):
            name = await websocket.recv()
            if not alone:
                alone = not await within(PATIENCE, lambda: most == len(names))
            if name in names:  # the last one is the first to be answered
                await asyncio.sleep(0.1 * (2 - names.index(name)))
            await websocket.send(f"Hola, {name}")
            await websocket.wait_closed()
        present -= 1

    async with serving(greet) as url:

        def fetch(name):
            thread = threading.get_ident()
            threads.append(thread)
            patience = 0.3 if thread == loop_thread else 1.5
            try:
                with sync_connect(url, open_timeout=patience) as websocket:
                    websocket.send(name)
                    return websocket.recv(timeout=5)
            except TimeoutError as timed_out:
                unanswered.append(timed_out)
                raise

        error = seen = None
        try:
            seen = await answer(fetch, list(names))
        except Exception as raised:
            error = raised
        items = list(seen) if isinstance(seen, list | tuple) else [seen]
        unawaited = [item for item in items if inspect.isawaitable(item)]
        await put_away(unawaited)
    # The one that came out of the answer shows the answer's line, too.
    if unanswered and error not in unanswered:
        error = unanswered[0]
    if loop_thread in threads:
        raise Wrong("in-the-loop", seen=error)
    if unanswered:
        raise Wrong("waits-without-await", seen=error)
    if error is not None:
        refuse_no_star(error)
        raise error
    if unawaited:
        raise Wrong("not-awaited")
    expected = [f"Hola, {name}" for name in names]
    if seen is None:
        raise Wrong("nothing-returned", expected=expected, seen=seen)
    if sorted(map(str, items)) == sorted(expected) and items != expected:
        raise Wrong("other-order", expected=expected, seen=seen)
    if items != expected:
        raise Wrong("other-replies", expected=expected, seen=seen)
    if most < len(names):
        raise Wrong("one-by-one", expected=len(names), seen=most)
    return Right()


def raised_in(task, run):
    """What the answer's tasks have raised, groups taken apart."""
    tasks = {task} | {lane.task for lane in run.lanes if lane.shown}
    errors = [
        one.exception() for one in tasks if one.done() and not one.cancelled()
    ]
    for error in errors:
        if isinstance(error, BaseExceptionGroup):
            errors += error.exceptions
        elif error is not None:
            yield error


def judge_type(error):
    """Name the everyday mistakes behind a TypeError.

    Raises:
        Wrong: awaits-show, forgotten-await or sends-none.
    """
    if "NoneType" in f"{error}" and "await" in f"{error}":
        raise Wrong("awaits-show", seen=error)
    for message in refused_by_send(error):
        if inspect.iscoroutine(message):
            message.close()
            raise Unawaited("send-unawaited", seen=error)
        if message is None:
            raise Wrong("sends-none", seen=error)


@exercise("06.2", parameters=3, picture="wiretap")
async def chat(answer, run):
    lines = ["latte", "", "mocha"]
    expected = ["hola", "eco: latte", "mocha 2.50", "chai 3.00"]
    expected += ["eco: ", "eco: mocha"]
    shown, received, codes, sockets = [], [], [], []
    asked, late = 0, None

    async def reply(websocket):
        sockets.append(websocket)
        with suppress(ConnectionClosed):
            await websocket.send("hola")
            async for message in websocket:
                received.append(message)
                await websocket.send(f"eco: {message}")
        await websocket.wait_closed()
        codes.append(websocket.close_code)

    async def turn_up(count):
        """Wait for messages to be shown; note when they were not."""
        nonlocal late
        if late is None:
            if not await within(PATIENCE, lambda: len(shown) >= count):
                late = expected[:count], list(shown)

    async def next_line():
        nonlocal asked
        # A person types the next line when the reply is there to be read.
        await turn_up([1, 2, 5, 6][min(asked, 3)])
        if asked == 1 and late is None and sockets:
            # And is told something in the meantime, also after a silence.
            with suppress(ConnectionClosed):
                await sockets[0].send("mocha 2.50")
                await turn_up(3)
                if late is None:
                    await asyncio.sleep(SILENCE)
                    await sockets[0].send("chai 3.00")
                    await turn_up(4)
        asked += 1
        return lines[asked - 1] if asked <= len(lines) else None

    async with serving(reply) as url:
        task = asyncio.create_task(answer(url, next_line, shown.append))
        await within(2 * PATIENCE, lambda: asked or task.done())
        if asked:
            await within(
                2 * PATIENCE + SILENCE,
                lambda: asked > len(lines) or task.done(),
            )
        ended = await finished(task, PATIENCE if asked else 0)
        if ended:
            closed = await within(PATIENCE, lambda: codes)
            await asyncio.sleep(0.05)  # the receiving task ends
        failed = [
            lane.task
            for lane in run.lanes
            if lane.task.done() and is_orphaned(lane.task)
        ]
    if ended and not task.cancelled() and late is None:
        if isinstance(task.exception(), ConnectionClosedOK):
            raise Wrong("close-escapes", seen=task.exception())
    for error in raised_in(task, run):
        if isinstance(error, TypeError):
            judge_type(error)
    # One that shows nothing in time may close before the server has read.
    if asked > 1 and (ended if late is None else len(late[0]) > 4):
        if received == ["latte", "mocha"][: len(received)]:
            raise Wrong("empty-line", expected=lines, seen=received)
    if late is not None and len(late[0]) > 3:
        raise Wrong("stops-receiving", expected=late[0], seen=late[1])
    if ended:
        task.result()  # raises what the answer raised
    if not ended and asked == 0:
        raise Wrong("receives-first")
    if ended and not shown:
        raise Wrong("not-shown", expected=expected, seen=shown)
    if late is not None and len(late[0]) == 3:
        raise Wrong("lock-step", expected=late[0], seen=late[1])
    if late is not None:
        raise Wrong("shown-late", expected=late[0], seen=late[1])
    if not ended and asked > len(lines):
        raise Wrong("never-ends")
    if received != lines or shown != expected:
        raise Wrong(
            "other-lines", expected=[lines, expected], seen=[received, shown]
        )
    if not closed:
        raise Wrong("left-open")
    if failed:
        raise Wrong("nobody-awaited", seen=failure(failed[0]))
    if codes != [1000]:
        raise Wrong("other-code", expected=[1000], seen=codes)
    return Right()


@exercise("06.3", parameters=2, picture="wiretap", limit=6)
async def until_quiet(answer):
    quiet, gap = 0.3, 0.1
    long_quiet, pause = 5.0, 0.8
    ticks = [f"tick {number}" for number in range(5)]
    slowest = 0.0
    sent = 0

    async def tick(websocket):
        nonlocal slowest, sent
        with suppress(ConnectionClosed):
            if websocket.request.path == "/closing":
                await websocket.send("latte")
                await asyncio.sleep(pause)
                await websocket.send("mocha")
                return
            if websocket.request.path == "/failing":
                await websocket.send("latte")
                await websocket.send("mocha")
                await websocket.close(1011)
                return
            clock = asyncio.get_running_loop().time
            before = clock()
            for message in ticks:
                await asyncio.sleep(gap)
                await websocket.send(message)
                sent += 1
                now = clock()
                slowest, before = max(slowest, now - before), now
            await websocket.wait_closed()

    async with serving(tick) as url:
        for _ in range(2):
            slowest, sent = 0.0, 0
            async with connect(f"{url}/paced") as websocket:
                task, ended = await tried(answer, websocket, quiet)
                all_sent = sent == len(ticks)
            # A machine that stood still for a while says nothing about the
            # answer.
            if slowest < quiet / 1.5:
                break
        paced = judge_paced(task, ended, ticks, all_sent)
        async with connect(f"{url}/closing") as websocket:
            task, ended = await tried(answer, websocket, long_quiet)
        judge_closing(task, ended)
        async with connect(f"{url}/failing") as websocket:
            task, ended = await tried(answer, websocket, long_quiet)
        judge_closing(task, ended)
    return Right(count=len(paced))


def judge_paced(task, ended, ticks, all_sent):
    if not ended:
        raise Wrong("never-ends")
    if not task.cancelled() and isinstance(task.exception(), TimeoutError):
        raise Wrong("timeout-escapes", expected=ticks, seen=task.exception())
    seen = task.result()
    if seen is None:
        raise Wrong("nothing-returned", expected=ticks, seen=seen)
    if isinstance(seen, list) and seen != ticks and all_sent:
        if all(message in ticks for message in seen):
            raise Wrong("list-anew", expected=ticks, seen=seen)
    if seen == ticks[0] or seen == ticks[:1]:
        raise Wrong("first-only", expected=ticks, seen=seen)
    if isinstance(seen, list) and seen == ticks[: len(seen)] != ticks:
        raise Wrong("whole-time", expected=ticks, seen=seen)
    if seen != ticks:
        raise Wrong("other-messages", expected=ticks, seen=seen)
    return seen


def judge_closing(task, ended):
    expected = ["latte", "mocha"]
    if not ended:
        raise Wrong("goes-on-after-close")
    error = None if task.cancelled() else task.exception()
    if isinstance(error, ConnectionClosedError):
        raise Wrong("error-escapes", expected=expected, seen=error)
    if isinstance(error, ConnectionClosed):
        raise Wrong("close-escapes", expected=expected, seen=error)
    if isinstance(error, TimeoutError) or (
        not error and task.result() == expected[:1]
    ):
        raise Wrong(
            "other-limit", expected=expected, seen=error or task.result()
        )
    seen = task.result()
    if seen != expected:
        raise Wrong("lost-at-close", expected=expected, seen=seen)


@exercise("06.4", parameters=1, picture="wiretap", limit=6)
async def how_it_ended(answer):
    deaf, gone = asyncio.Event(), asyncio.Event()

    async def leave(websocket):
        with suppress(ConnectionClosed):
            await websocket.send("latte")
            await websocket.send("mocha")
            path = websocket.request.path[1:]
            if path == "deaf":
                websocket.transport.pause_reading()
                deaf.set()
                await gone.wait()
                websocket.transport.abort()
            elif path == "1006":
                websocket.transport.abort()
            else:
                await websocket.close(int(path))
            await websocket.wait_closed()

    endings = {1000: "ok", 1001: "ok", 1008: "error", 1006: "error"}
    async with serving(leave) as url:
        for code, kind in endings.items():
            async with connect(f"{url}/{code}") as websocket:
                task, ended = await tried(answer, websocket)
                read_all = await emptied(websocket) if ended else True
            judge_ending(task, ended, (kind, code), read_all)
        # The client says goodbye and the server never answers.
        async with connect(f"{url}/deaf", close_timeout=0.1) as websocket:
            task = asyncio.create_task(answer(websocket))
            await deaf.wait()
            await websocket.close(1001)
            gone.set()
            ended = await finished(task, 1.6)
        judge_ending(task, ended, ("error", 1006), True, sent=1001)
    return Right()


async def emptied(websocket):
    """Whether an answer has left no message unread; reads the first."""
    try:
        async with asyncio.timeout(1):
            await websocket.recv()
    except (ConnectionClosed, TimeoutError):
        return True
    return False


def judge_ending(task, ended, expected, read_all, sent=None):
    kind, code = expected
    if not ended:
        raise Wrong("never-ends", expected=expected)
    error = None if task.cancelled() else task.exception()
    if isinstance(error, ConnectionClosedOK):
        raise Wrong("ok-escapes", expected=expected, seen=error)
    if isinstance(error, ConnectionClosedError):
        raise Wrong("error-escapes", expected=expected, seen=error)
    if isinstance(error, AttributeError) and code == 1006:
        raise Wrong("no-close-frame", expected=expected, seen=error)
    seen = task.result()
    if isinstance(seen, list):
        seen = tuple(seen)
    if seen == expected:
        return
    if seen is None and read_all:
        if kind != "error":
            raise Wrong("quiet-end", expected=expected, seen=seen)
        raise Wrong("nothing-returned", expected=expected, seen=seen)
    if seen is None or seen in ("latte", "mocha"):
        raise Wrong("reads-too-little", expected=expected, seen=seen)
    pair = seen if isinstance(seen, tuple) and len(seen) == 2 else (None, seen)
    if sent is not None and pair[1] == sent:
        raise Wrong("sent-code", expected=expected, seen=seen)
    if pair[0] == kind and isinstance(pair[1], int):
        raise Wrong("other-code", expected=expected, seen=seen)
    if code == 1001 and pair == ("error", 1001):
        raise Wrong("going-away", expected=expected, seen=seen)
    if pair == ("error", 1000):
        raise Wrong("catches-first", expected=expected, seen=seen)
    if kind == "error" and pair[0] == "ok":
        raise Wrong("all-ok", expected=expected, seen=seen)
    raise Wrong("other-pair", expected=expected, seen=seen)
