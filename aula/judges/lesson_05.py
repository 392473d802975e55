"""Judges the exercises of lesson 05."""

import asyncio
import inspect
import threading
import traceback
from contextlib import asynccontextmanager, suppress
from functools import wraps

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from aula.exercises.exercise import Right, Unawaited, Wrong, exercise
from aula.instruments.frames import refused_by_send
from aula.judges.peers import receive, refuse_printed, send_all, within

PATIENCE = 1.0  # seconds to wait for what comes at once or never
MOMENT = 0.1  # seconds in which what should not happen would have happened


class Server:
    """A server of the learner's handler, and what became of its handler.

    Attributes:
        ended: set when the handler has ended, however it did.
        ended_at: when that was, in the loop's time.
        errors: what it raised, but for the client having gone.
    """

    def __init__(self, answer, *arguments):
        self.ended = asyncio.Event()
        self.ended_at = None
        self.errors = []

        @wraps(answer)
        async def handler(websocket):
            try:
                await answer(websocket, *arguments)
            except Exception as error:
                self.errors += _own(error)
            finally:
                self.ended_at = asyncio.get_running_loop().time()
                self.ended.set()

        self._handler = handler

    async def __aenter__(self):
        self._server = await serve(self._handler, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_):
        self._server.close()
        # A handler that waits for ever must not hide what was found out.
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await self._server.wait_closed()

    @asynccontextmanager
    async def connect(self):
        """A client that says goodbye properly, also after a wrong answer."""
        port = self._server.sockets[0].getsockname()[1]
        url = f"ws://127.0.0.1:{port}"
        websocket = await connect(url, close_timeout=0.5)
        try:
            yield websocket
        finally:
            await websocket.close()

    def raise_errors(self, run):
        """Raise what the handler, or a task of its own, has raised."""
        errors = list(self.errors)
        for lane in run.lanes:
            if lane.shown and lane.outcome()[0] == "raised":
                errors += _own(lane.task.exception())
        if errors:
            _judge_type(errors[0])
            raise errors[0]


def _judge_type(error):
    """Name what is behind some exceptions that say little.

    Raises:
        Wrong: plain-for, plain-with, async-suppress or task-of-function.
    """
    text = f"{error}" if isinstance(error, TypeError) else ""
    if "Connection' object is not iterable" in text:
        raise Wrong("plain-for", seen=error)
    if "does not support the context manager protocol" in text:
        raise Wrong("plain-with", seen=error)
    if text.startswith("'suppress' object does not support the async"):
        raise Wrong("async-suppress", seen=error)
    if text.startswith("a coroutine was expected, got <"):
        raise Wrong("task-of-function", seen=error)


def _own(error):
    """The exceptions in a group, or the one, that are of the answer's own."""
    if isinstance(error, TypeError):
        coroutine = _sent_coroutine(error)
        if coroutine is not None:
            name = coroutine.__name__
            return [Unawaited("call-unawaited", call=name, seen=error)]
    # A coroutine that nobody awaited warns when it is dropped, and until then
    # the traceback holds it.
    traceback.clear_frames(error.__traceback__)
    if isinstance(error, BaseExceptionGroup):
        return [own for inner in error.exceptions for own in _own(inner)]
    return [] if isinstance(error, ConnectionClosed) else [error]


def _sent_coroutine(error):
    """The coroutine that ``send`` refused, if it did; closed."""
    for message in refused_by_send(error):
        if inspect.iscoroutine(message):
            message.close()
            return message
    return None


@exercise("05.1", parameters=1, picture="wiretap")
async def kitchen(answer, run):
    expected = [
        "ordered latte",
        "ordered mocha",
        "ready mocha",
        "ready latte",
    ]
    async with Server(answer) as server, server.connect() as websocket:
        await send_all(websocket, "latte 0.3", "mocha 0.1")
        seen = await receive(websocket, 4, 2)
    if seen == expected:
        await _judge_waiting(answer, run)
        return Right()
    server.raise_errors(run)
    if seen == ["ordered latte", "ready latte", *seen[2:]]:
        raise Wrong("in-line", expected=expected, seen=seen)
    if seen == expected[:2]:
        raise Wrong("never-starts", expected=expected, seen=seen)
    if seen and not any(f"{reply}".startswith("ordered") for reply in seen):
        raise Wrong("not-taken", expected=expected, seen=seen)
    if sorted(map(str, seen)) == sorted(expected) and (
        "ready" in f"{seen[1]}" and "ready" in f"{seen[3]}"
    ):
        raise Wrong("taken-late", expected=expected, seen=seen)
    if seen[:2] == expected[:2] and sorted(seen) == sorted(expected):
        raise Wrong("one-machine", expected=expected, seen=seen)
    if any(f"{reply}".count(" ") > 1 for reply in seen):
        raise Wrong("with-seconds", expected=expected, seen=seen)
    if [*expected[:2], *["ready mocha"] * 2] == seen:
        raise Wrong("late-message", expected=expected, seen=seen)
    raise Wrong("other-replies", expected=expected, seen=seen)


async def _judge_waiting(answer, run):
    """The client leaves as soon as its order is taken."""
    async with Server(answer) as server:
        sent_at = asyncio.get_running_loop().time()
        async with server.connect() as websocket:
            await send_all(websocket, "latte 0.4")
            await receive(websocket, 1)
        await within(PATIENCE, server.ended.is_set)
    server.raise_errors(run)
    if server.ended_at is not None and server.ended_at - sent_at < 0.2:
        raise Wrong("walks-off")


NAMES = (
    "latte mocha chai mate cocoa cortado lungo matcha tonic soda tea milk"
).split()


def _served(name):
    """The drink as the reply bears it; an order does not."""
    return f"{name}☕"


SERVED = [_served(name) for name in NAMES]


class Barista:
    """Reads all orders, then replies to them in an order of its own."""

    def __init__(self):
        self.orders = []
        self.alone = False
        self.replied = []

    @property
    def count(self):
        return len(self.replied)

    async def handler(self, websocket):
        self.orders = await receive(websocket, len(NAMES), 0.5)
        self.alone = len(self.orders) < len(NAMES)
        count = len(self.orders)
        with suppress(ConnectionClosed):
            for step in range(count):
                # 5 and 12 have no common factor, so each has its turn.
                which = step * 5 % count if count == len(NAMES) else step
                await self._reply(websocket, self.orders[which])
            async for message in websocket:
                self.orders.append(message)
                await self._reply(websocket, message)

    async def _reply(self, websocket, message):
        number, _, drink = f"{message}".partition(" ")
        name = _served(drink.partition(" ")[0])
        self.replied.append((number, name))
        await websocket.send(f"{number} {name}")


@exercise("05.2", parameters=2, picture="wiretap")
async def in_order(answer):
    barista = Barista()
    async with (
        Server(barista.handler) as server,
        server.connect() as websocket,
    ):
        asking = asyncio.create_task(
            answer(websocket, [f"{name} 0.1" for name in NAMES])
        )
        replied = []  # how many replies there were when the answer ended
        asking.add_done_callback(lambda _: replied.append(barista.count))
        await asyncio.wait({asking}, timeout=2)
        late = not asking.done()
        asking.cancel()
        await asyncio.wait({asking})
    odd = [m for m in barista.orders if len(f"{m}".split()) != 3]
    if odd:
        raise Wrong("no-number", expected="0 latte 0.1", seen=odd[0])
    numbers = [f"{message}".split()[0] for message in barista.orders]
    if len(set(numbers)) < len(numbers):
        raise Wrong("same-number", seen=barista.orders)
    if not set(numbers) <= {f"{number}" for number in range(len(NAMES))}:
        raise Wrong(
            "other-numbers",
            expected=[f"{n} {name} 0.1" for n, name in enumerate(NAMES)],
            seen=barista.orders,
        )
    error = None if late or asking.cancelled() else asking.exception()
    if isinstance(error, KeyError) and isinstance(error.args[0], int):
        raise Wrong("text-keys", seen=error)
    if error is not None:
        _judge_type(error)
    seen = None if late else asking.result()
    if not barista.orders:
        raise Wrong("never-sends")
    if barista.alone:
        raise Wrong("one-by-one", seen=barista.orders[:1])
    if late:
        raise Wrong("never-ends")
    if replied[0] < len(NAMES):
        raise Wrong("never-reads", expected=len(NAMES), seen=replied[0])
    _judge_order(seen, barista)
    return Right()


def _judge_order(seen, barista):
    if seen == SERVED:
        return
    if isinstance(seen, list) and all(" " in f"{reply}" for reply in seen):
        if seen:
            raise Wrong("with-numbers", expected=SERVED, seen=seen)
    if seen == [name for _, name in barista.replied]:
        raise Wrong("as-they-came", expected=SERVED, seen=seen)
    if seen == [name for _, name in sorted(barista.replied)]:
        raise Wrong("sorted-as-text", expected=SERVED, seen=seen)
    refuse_printed(seen, SERVED)
    if seen == NAMES:
        raise Wrong("not-from-replies", expected=SERVED, seen=seen)
    raise Wrong("other-result", expected=SERVED, seen=seen)


class Machine:
    """What the learner's handler awaits: says who is in it, holds them."""

    def __init__(self):
        self.started = []
        self.ended = []
        self.cancelled = []
        self.most = 0
        self._doors = {}
        self._open = False

    async def __call__(self, order):
        self.started.append(order)
        inside = len(self.started) - len(self.ended) - len(self.cancelled)
        self.most = max(self.most, inside)
        door = self._doors.setdefault(order, asyncio.Event())
        try:
            if not self._open:
                await door.wait()
        except asyncio.CancelledError:
            self.cancelled.append(order)
            raise
        self.ended.append(order)
        return f"{order} ready"

    def let_out(self, order):
        self._doors[order].set()

    def let_all_out(self):
        self._open = True
        for door in self._doors.values():
            door.set()


ADA = ["latte", "mocha", "chai", "mate", "cocoa", "lungo"]
LIMA = ["soda", "tea", "milk"]


@exercise("05.3", parameters=2, picture="wiretap")
async def two_machines(answer, run):
    ada_machine, lima_machine = Machine(), Machine()

    async def brew(order):
        machine = lima_machine if order in LIMA else ada_machine
        return await machine(order)

    async with (
        Server(answer, brew) as server,
        server.connect() as ada,
        server.connect() as lima,
    ):
        try:
            try:
                await _judge_two(ada, ada_machine, server, run)
            except ValueError as error:
                _refuse_prepare(error)
                raise
            await send_all(lima, *LIMA)
            if not await within(
                PATIENCE, lambda: len(lima_machine.started) == 2
            ):
                server.raise_errors(run)
                _judge_shared(lima_machine)
            ada_machine.let_all_out()
            lima_machine.let_all_out()
            replies = await receive(ada, len(ADA))
            replies += await receive(lima, len(LIMA))
        finally:
            ada_machine.let_all_out()
            lima_machine.let_all_out()
    server.raise_errors(run)
    for machine in (ada_machine, lima_machine):
        if machine.most != 2:
            _judge_limit(machine.most)
    expected = [f"{order} ready" for order in ADA + LIMA]
    if sorted(map(str, replies)) != sorted(expected):
        raise Wrong("other-replies", expected=sorted(expected), seen=replies)
    return Right()


async def _judge_two(websocket, machine, server, run):
    """Ada is alone: two of her orders are prepared, then a third."""
    await send_all(websocket, *ADA)
    await within(PATIENCE, lambda: len(machine.started) == 2)
    await asyncio.sleep(MOMENT)
    if machine.most != 2:
        server.raise_errors(run)
        _judge_limit(machine.most)
    await _judge_turns(machine, server, run)


def _refuse_prepare(error):
    """The lesson's own prepare() finds no seconds in these orders."""
    frames = traceback.walk_tb(error.__traceback__)
    if any(frame.f_code.co_name == "prepare" for frame, _ in frames):
        raise Wrong("not-brew", seen=error) from None


def _judge_shared(machine):
    """Two of Ada's orders are under way, and not two of Lima's."""
    if machine.started:
        _judge_limit(len(machine.started))
    raise Wrong("shared")


def _judge_limit(most):
    if most == 1:
        raise Wrong("one-only", expected=2, seen=1)
    if most == 0:
        raise Wrong("never-brews", expected=2, seen=0)
    if most < len(ADA):
        raise Wrong("other-limit", expected=2, seen=most)
    raise Wrong("too-many", expected=2, seen=most)


async def _judge_turns(machine, server, run):
    """The third order begins when the second is done, not later.

    Raises:
        Wrong: batches or never-released.
    """
    first, second = machine.started
    machine.let_out(second)
    if await within(PATIENCE, lambda: len(machine.started) > 2):
        return
    server.raise_errors(run)
    machine.let_out(first)
    if await within(PATIENCE, lambda: len(machine.started) > 2):
        raise Wrong("batches")
    raise Wrong("never-released")


@exercise("05.4", parameters=2, limit=8, picture="wiretap")
async def careful(answer, run):
    await _leave(answer, run, politely=True)
    await _leave(answer, run, politely=False)
    return Right()


async def _leave(answer, run, politely):
    machine = Machine()
    orders = ["latte", "mocha", "chai"]
    async with Server(answer, machine) as server:
        try:
            async with server.connect() as websocket:
                await send_all(websocket, *orders)
                together = await within(
                    PATIENCE, lambda: len(machine.started) == 3
                )
                if not together:
                    server.raise_errors(run)
                    _judge_start(machine)
                _judge_saved(machine.started, orders)
                machine.let_out(orders[0])
                replies = await receive(websocket, 1, MOMENT)
                if replies:
                    raise Wrong("replies", seen=replies[0])
                if not politely:
                    websocket.transport.abort()
                    await websocket.wait_closed()
            # Time for the handler to find out, and to end if it would.
            await within(2 * MOMENT, server.ended.is_set)
            if server.ended.is_set():
                server.raise_errors(run)
                _judge_end(machine, politely)
            machine.let_all_out()
            await within(PATIENCE, server.ended.is_set)
        finally:
            machine.let_all_out()
    server.raise_errors(run)
    _judge_saved(machine.ended, orders)


def _judge_saved(seen, orders):
    if sorted(map(str, seen)) != sorted(orders):
        raise Wrong("other-orders", expected=orders, seen=list(seen))


def _judge_start(machine):
    if machine.started:
        raise Wrong(
            "in-line",
            expected=["latte", "mocha", "chai"],
            seen=list(machine.started),
        )
    raise Wrong("never-starts")


def _judge_end(machine, politely):
    if machine.cancelled:
        raise Wrong(
            "group-cancelled",
            seen=[f"{order} cancelled" for order in machine.cancelled],
        )
    if politely:
        raise Wrong("walks-off")
    raise Wrong("never-reached")


class _Ground(str):
    """What grind returns; notes if it is taken for a function."""

    def __new__(cls, grinder, text):
        ground = super().__new__(cls, text)
        ground.grinder = grinder
        return ground

    def __call__(self, *_):
        self.grinder.called_again = True
        return self


class Grinder:
    """A function that blocks; notes where it ran and if the loop went on."""

    def __init__(self, loop):
        self.home = threading.get_ident()
        self.loop = loop
        self.orders = []
        self.at_home = False
        self.called_again = False
        self.went_on = True

    def grind(self, order):
        self.orders.append(order)
        if threading.get_ident() == self.home:
            self.at_home = True
        else:
            alive = threading.Event()
            self.loop.call_soon_threadsafe(alive.set)
            self.went_on = alive.wait(PATIENCE) and self.went_on
        return _Ground(self, f"{order} ground")


@exercise("05.5", parameters=2, picture="wiretap")
async def smooth(answer, run):
    grinder = Grinder(asyncio.get_running_loop())
    expected = ["latte ground", "mocha ground"]
    async with Server(answer, grinder.grind) as server:
        async with server.connect() as websocket:
            await send_all(websocket, "latte", "mocha")
            seen = await receive(websocket, 2, 2)
    if grinder.at_home:
        if grinder.called_again:
            raise Wrong("called-first")
        raise Wrong("freezes")
    if not grinder.went_on:
        raise Wrong("blocked-on-result")
    try:
        server.raise_errors(run)
    except Unawaited as wrong:
        if wrong.values["call"] == "to_thread":
            raise
        raise Wrong("async-in-thread", seen=wrong.seen) from None
    if sorted(map(str, seen)) != sorted(expected):
        raise Wrong("other-replies", expected=expected, seen=seen)
    return Right()
