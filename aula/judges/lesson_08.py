"""Judges the exercises of lesson 08: handlers with a task for each message."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Any, NoReturn

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from aula.exercises.exercise import (
    UNSET,
    Answer,
    Right,
    Unawaited,
    Wrong,
    exercise,
)
from aula.exercises.prediction import Program, refuse_other
from aula.instruments.record import Recorder
from aula.judges.mistakes import (
    equal,
    frames,
    named,
    refuse_no_star,
    refuse_none,
)
from aula.judges.servers import (
    Machine,
    Service,
    receive,
    refuse_late_answers,
    send_all,
)
from aula.judges.waiting import MOMENT, PATIENCE, ends, timer, until


@exercise("08.1", answer="prediction")
async def rush_lines(answer: Any, program: Program) -> Right:
    await program.run()
    if answer == ["Ada: mocha", "Lima: tea", "Ada: latte", "Lima: chai"]:
        equal(answer, program.lines, "nobody-waits")
    if answer == ["Ada: latte", "Ada: mocha", "Lima: chai", "Lima: tea"]:
        equal(answer, program.lines, "all-in-line")
    refuse_other(answer, program.lines)
    return Right()


class _Kitchen(Service):
    """A service that knows whose handlers run.

    Attributes:
        here: the addresses of these clients.
    """

    def __init__(self, handler: Answer, run: Recorder) -> None:
        super().__init__(handler, run=run)
        self.here: list[Any] = []

    async def handle(
        self, handler: Answer, websocket: ServerConnection, *arguments: Any
    ) -> None:
        address = websocket.remote_address
        self.here.append(address)
        try:
            await super().handle(handler, websocket, *arguments)
        finally:
            self.here.remove(address)


@exercise("08.2", parameters=1, limit=8, picture="wiretap")
async def kitchen(answer: Answer, run: Recorder) -> Right:
    if not await _judge_orders(answer, run):
        await _judge_orders(answer, run, again=True)
    # It is neither the first nor the last of them that takes longest.
    await _judge_leaving(
        answer, run, "walks-off", "mocha 0.2", "latte 0.5", "chai 0.2"
    )
    quick, ended = await _serve_many(answer, run)
    if not quick or not ended:
        # A second time, as the machine may have stood still.
        quick, ended = await _serve_many(answer, run)
    if not quick:
        raise Wrong("limited")
    if not ended:
        raise Wrong("sleeps-on")
    await _judge_two_clients(answer, run)
    await _judge_leaving_at_once(answer, run)
    return Right()


async def _judge_orders(
    answer: Answer, run: Recorder, again: bool = False
) -> bool:
    """Two orders, and what takes less is ready first.

    Returns:
        whether they were; else the machine may have stood still between the
        first order and the second.
    """
    expected = [
        "ordered latte",
        "ordered mocha",
        "ready mocha",
        "ready latte",
    ]
    async with Service(answer, run=run) as service:
        async with service.connect() as websocket:
            await send_all(websocket, "latte 0.3", "mocha 0.1")
            seen = await receive(websocket, 4, 2 * PATIENCE)
            complete = sorted(map(str, seen)) == sorted(expected)
            if seen != expected and (again or not complete):
                service.raise_errors()
                if not seen and not service.ended.is_set():
                    await refuse_late_answers(service, websocket)
                _refuse_replies(seen, expected)
        await until(service.ended.is_set)
    return seen == expected


def _refuse_replies(seen: list[Any], expected: list[str]) -> NoReturn:
    both = {"expected": expected, "seen": seen}
    words = [str(reply) for reply in seen]
    complete = sorted(words) == sorted(expected)
    if words[:2] == ["ordered latte", "ready latte"]:
        raise Wrong("in-line", **both)
    if words == expected[:2]:
        raise Wrong("never-starts", **both)
    if words and not any(reply.startswith("ordered") for reply in words):
        raise Wrong("not-taken", **both)
    if complete and "ready" in words[1] and "ready" in words[3]:
        raise Wrong("taken-late", **both)
    if complete and words[:2] == expected[:2]:
        raise Wrong("one-machine", **both)
    if any(reply.count(" ") > 1 for reply in words):
        raise Wrong("with-seconds", **both)
    if any(reply and " " not in reply for reply in words):
        raise Wrong("bare-drink", **both)
    if words == [*expected[:2], "ready mocha", "ready mocha"]:
        raise Wrong("late-message", **both)
    raise Wrong("other-replies", **both)


async def _judge_leaving(
    answer: Answer, run: Recorder, mistake: str, *orders: str
) -> None:
    """The client leaves while its orders are still being prepared.

    Arguments:
        mistake: what it is if the handler has ended before all are ready.
        orders: such as ``"latte 0.5"``.
    """
    for _ in range(3):
        # If it did not leave long before the first could be ready, the machine
        # may have stood still; that the handler was there then tells little.
        if await _leave(answer, run, mistake, *orders) < 0.15:
            return


async def _leave(
    answer: Answer, run: Recorder, mistake: str, *orders: str
) -> float:
    """Order, leave as soon as the orders are taken, and look on.

    Returns:
        how many seconds that took until it had left.
    """
    loop = asyncio.get_running_loop()
    async with Service(answer, run=run) as service:
        async with service.connect() as websocket:
            began = loop.time()
            # The orders are begun later, and so not all are ready before this.
            ready = timer(max(float(order.split()[1]) for order in orders))
            await send_all(websocket, *orders)
            await receive(websocket, len(orders))
        took = loop.time() - began
        await ready.wait()
        early = service.ended.is_set()
        await until(service.ended.is_set)
        _refuse_errors(service)
        if early:
            _refuse_early(run, mistake)
    return took


async def _judge_two_clients(answer: Answer, run: Recorder) -> None:
    """Lima orders the same twice; her orders are no business of Ada's."""
    for _ in range(3):
        # A slow machine has further tries, as when one leaves alone.
        took, served = await _serve_two(answer, run, "latte 0.3", "latte 0.05")
        if not served:
            _, served = await _serve_two(answer, run, "latte 0.3", "tea 0.05")
            if served:
                raise Wrong("not-all")
            raise Wrong("shared")
        if took < 0.15:
            return


async def _serve_two(
    answer: Answer, run: Recorder, *orders: str
) -> tuple[float, bool]:
    """Ada orders and leaves; Lima orders, and leaves when Ada's drink is made.

    Returns:
        how many seconds it took Lima, and whether each was given her replies
        and Lima's handler was there until all that she ordered was ready.
    """
    loop = asyncio.get_running_loop()
    async with _Kitchen(answer, run) as service:
        async with service.connect() as lima:
            limas = lima.local_address
            await until(lambda: limas in service.here)
            async with service.connect() as ada:
                await until(lambda: len(service.here) > 1)
                await send_all(ada, "mocha 0.05")
                heard = await receive(ada, 1)
            began = loop.time()
            ready = timer(max(float(order.split()[1]) for order in orders))
            # A handler that takes what is another's may be in no hurry.
            late = timer(0.1)
            await send_all(lima, *orders)
            heard += await receive(lima, len(orders))
            async with service.connect():
                pass  # a newcomer must not make her orders forgotten
            await until(lambda: late.is_set() or service.here == [limas])
        took = loop.time() - began
        await ready.wait()
        there = limas in service.here
        await until(service.ended.is_set)
        _refuse_errors(service)
    return took, there and len(heard) > len(orders)


async def _judge_leaving_at_once(answer: Answer, run: Recorder) -> None:
    """One client has no time for an order, another leaves right after two."""
    async with Service(answer, run=run) as service:
        async with service.connect() as websocket:
            pass
        await until(service.ended.is_set)
        _refuse_errors(service)
        async with service.connect() as websocket:
            await send_all(websocket, "latte 0.01", "mocha 0.01")
        await until(service.ended.is_set)
        if service.closed and not _from_recv(service):
            raise Wrong("taken-by-nobody", seen=service.closed[0])
        _refuse_errors(service)


def _from_recv(service: Service) -> ConnectionClosed | None:
    """What a ``recv`` of a handler raised when its client had left."""
    for closed in service.closed:
        if any(frame.f_code.co_name == "recv" for frame in frames(closed)):
            return closed
    return None


def _refuse_errors(service: Service) -> None:
    """The client has left, and the handler has ended, or should have."""
    if (left := _from_recv(service)) is not None:
        raise Wrong("client-left", error=type(left).__name__)
    for closed in service.closed:
        raise Wrong("send-to-nobody", seen=closed)
    for error in service.raised():
        # What a task that nobody awaits fails to send is no other mistake.
        if not isinstance(error, ConnectionClosed):
            refuse_no_star(error)
            raise error


def _refuse_early(run: Recorder, mistake: str) -> NoReturn:
    """The handler has ended without an error, and before its tasks."""
    for lane in run.lanes:
        if lane.shown and any(by == "group" for _, by, _ in lane.requests):
            raise Wrong("group-gave-up")
    raise Wrong(mistake)


async def _serve_many(answer: Answer, run: Recorder) -> tuple[bool, bool]:
    """A client leaves with all it ordered, the quickest of it last.

    Returns:
        whether that came first, and whether the handler ended then.
    """
    orders = ["latte 0.15"] * 10 + ["mocha 0.05"]
    async with Service(answer, run=run) as service:
        async with service.connect() as websocket:
            await send_all(websocket, *orders)
            replies = await receive(websocket, 2 * len(orders), 2 * PATIENCE)
        await timer(0.35, slack=True).wait()
        _refuse_errors(service)
        ready = [one for one in map(str, replies) if one.startswith("ready")]
        return ready[:1] == ["ready mocha"], service.ended.is_set()


# One of them twice.
NAMES = (
    "latte mocha chai mate cocoa cortado latte matcha tonic soda tea milk"
).split()
# The drinks as replies bear them; orders do not.
SERVED = [f"{name}☕" for name in NAMES]


class _Barista:
    """Reads all orders, then replies to them in an order of its own.

    Arguments:
        count: how many they are; 5 and it have no common factor.
        slow: whether its replies are long in coming.

    Attributes:
        orders: the messages it has received.
        alone: whether the client did not send all orders at once.
        replied: the number and the drink of each reply.
    """

    def __init__(self, count: int, slow: bool = False) -> None:
        self.count = count
        self.slow = slow
        self.orders: list[Any] = []
        self.alone = False
        self.replied: list[tuple[str, str]] = []

    async def handler(self, websocket: ServerConnection) -> None:
        self.orders += await receive(websocket, self.count, 0.5)
        count = len(self.orders)
        self.alone = count < self.count
        if self.slow and count:
            await timer(2 * MOMENT).wait()
        with suppress(ConnectionClosed):
            for step in range(count):
                # With no common factor, each has its turn.
                which = step if self.alone else step * 5 % count
                await self._reply(websocket, self.orders[which])
            async for message in websocket:
                self.orders.append(message)
                await self._reply(websocket, message)

    async def _reply(self, websocket: ServerConnection, message: Any) -> None:
        number, _, drink = f"{message}".partition(" ")
        served = f"{drink.partition(' ')[0]}☕"
        self.replied.append((number, served))
        await websocket.send(f"{number} {served}")


@exercise("08.3", parameters=2, limit=8, picture="wiretap")
async def in_order(answer: Answer) -> Right:
    barista = _Barista(len(NAMES))
    async with (
        Service(barista.handler) as service,
        service.connect() as websocket,
    ):
        asking = asyncio.create_task(
            answer(websocket, [f"{name} 0.1" for name in NAMES])
        )
        replied: list[int] = []  # how many when the answer ended
        asking.add_done_callback(
            lambda _: replied.append(len(barista.replied))
        )
        in_time = await ends(asking, 2 * PATIENCE)
    _judge_numbers(barista.orders)
    ended = in_time and not asking.cancelled()
    error = asking.exception() if ended else None
    if isinstance(error, KeyError) and isinstance(error.args[0], int):
        if error.args[0] == 10:
            raise Wrong("first-digit", seen=error)
        raise Wrong("text-keys", seen=error)
    if error is not None:
        raise named(error)
    seen = asking.result() if in_time else None
    if not barista.orders:
        raise Wrong("never-sends")
    if barista.alone:
        raise Wrong("one-by-one", seen=barista.orders[:1])
    if not in_time:
        raise Wrong("never-ends")
    if replied[0] < len(NAMES):
        raise Wrong("never-reads", expected=len(NAMES), seen=replied[0])
    _judge_order(seen, barista.replied)
    seen = await _again(answer, "mocha")
    if isinstance(seen, list) and {*map(str, seen)} <= {*SERVED}:
        equal(seen, ["mocha☕"], "kept-between-calls")
    equal(seen, ["mocha☕"], "fixed-count")
    equal(await _again(answer), [], "no-orders")
    return Right()


async def _again(answer: Answer, *names: str) -> Any:
    """Another call, with a connection of its own, and less to order.

    Returns:
        what it returns or raises; UNSET if it does not end.
    """
    barista = _Barista(len(names), slow=True)
    early = False

    def look(_: asyncio.Task[Any]) -> None:
        nonlocal early
        early = len(barista.replied) < len(names)

    async with (
        Service(barista.handler) as service,
        service.connect() as websocket,
    ):
        asking = asyncio.create_task(
            answer(websocket, [f"{name} 0.1" for name in names])
        )
        asking.add_done_callback(look)
        if not await ends(asking) or asking.cancelled():
            return UNSET
    if early:
        raise Wrong("gives-up", seen=asking.exception() or UNSET)
    return asking.exception() or asking.result()


def _judge_numbers(orders: list[Any]) -> None:
    """Each order bears a number of its own, from 0."""
    for order in orders:
        if len(f"{order}".split()) != 3:
            raise Wrong("no-number", expected="0 latte 0.1", seen=order)
    numbers = [f"{order}".split()[0] for order in orders]
    if len(set(numbers)) < len(numbers):
        if len({*map(str, orders)}) == len(set(numbers)):
            raise Wrong("found-first", seen=orders)
        raise Wrong("same-number", seen=orders)
    if not set(numbers) <= {f"{number}" for number in range(len(NAMES))}:
        expected = [f"{n} {name} 0.1" for n, name in enumerate(NAMES)]
        raise Wrong("other-numbers", expected=expected, seen=orders)


def _judge_order(seen: Any, replied: list[tuple[str, str]]) -> None:
    if seen == SERVED:
        return
    both = {"expected": SERVED, "seen": seen}
    if (
        seen
        and isinstance(seen, list)
        and all(" " in f"{one}" for one in seen)
    ):
        raise Wrong("with-numbers", **both)
    if seen == [name for _, name in replied]:
        raise Wrong("as-they-came", **both)
    if seen == [name for _, name in sorted(replied)]:
        raise Wrong("sorted-as-text", **both)
    refuse_none(seen, SERVED)
    if isinstance(seen, list) and len(seen) < len(SERVED):
        if {*map(str, seen)} == {*SERVED}:
            raise Wrong("equal-drinks", **both)
    if isinstance(seen, list) and seen[2:10] == SERVED[2:10]:
        raise Wrong("first-digit", **both)
    if seen == NAMES:
        raise Wrong("not-from-replies", **both)
    raise Wrong("other-result", **both)


ADA = ["latte", "mocha", "chai", "mate", "cocoa", "lungo"]
LIMA = ["soda", "tea", "milk"]


@exercise("08.4", parameters=2, limit=8, picture="wiretap")
async def two_machines(answer: Answer, run: Recorder) -> Right:
    adas, limas = Machine(), Machine()

    async def brew(order: Any) -> str:
        return await (limas if order in LIMA else adas).hold(order)

    async with Service(answer, brew, run=run) as service:
        async with service.connect() as ada, service.connect() as lima:
            await _judge_alone(ada, adas, service)
            await send_all(lima, *LIMA)
            if not await until(lambda: len(limas.started) == 2):
                service.raise_errors()
                if not limas.started:
                    raise Wrong("shared")
                _judge_limit(len(limas.started))
            adas.let_all_out()
            limas.let_all_out()
            replies = await receive(ada, len(ADA))
            replies += await receive(lima, len(LIMA))
        await until(service.ended.is_set)
        service.raise_errors()
    _judge_limit(adas.most)
    _judge_limit(limas.most)
    expected = sorted(f"{order} ready" for order in ADA + LIMA)
    if sorted(map(str, replies)) != expected:
        raise Wrong("other-replies", expected=expected, seen=replies)
    await _judge_parting(answer, run)
    return Right()


async def _judge_alone(
    ada: ClientConnection, machine: Machine, service: Service
) -> None:
    """Two of Ada's orders are prepared; when one is done, then another."""
    await send_all(ada, *ADA)
    await until(lambda: len(machine.started) == 2)
    await until(lambda: len(machine.started) > 2, MOMENT)
    if machine.most != 2:
        if (error := _from_prepare(service)) is not None:
            raise Wrong("not-brew", seen=error)
        service.raise_errors()
        _judge_limit(machine.most)
    first, second = machine.started
    if first == second:
        raise Wrong("late-message", expected=ADA[:2], seen=machine.started)
    machine.let_out(second)
    if await until(lambda: len(machine.started) > 2):
        await _judge_other_machine(machine, service)
        return
    service.raise_errors()
    machine.let_out(first)
    if await until(lambda: len(machine.started) > 2):
        raise Wrong("batches")
    raise Wrong("never-released")


async def _judge_other_machine(machine: Machine, service: Service) -> None:
    """While the first order stays in one machine, the other has the rest."""
    while (count := len(machine.started)) < len(ADA):
        machine.let_out(machine.started[-1])
        if not await until(lambda: len(machine.started) > count):  # noqa: B023
            service.raise_errors()
            raise Wrong("idle", expected=ADA, seen=machine.started)


async def _judge_parting(answer: Answer, run: Recorder) -> None:
    """A client leaves with two of three orders being prepared, both equal."""
    doors = [asyncio.Event(), asyncio.Event()]
    started: list[Any] = []

    async def brew(order: Any) -> str:
        which = len(started)
        started.append(order)
        if which < len(doors):
            await doors[which].wait()
        return f"{order} ready"

    async with Service(answer, brew, run=run) as service:
        async with service.connect() as websocket:
            await send_all(websocket, ADA[0], ADA[0], ADA[1])
            await until(lambda: len(started) == 2)
        await _goes_on(service, run, "walks-off")
        # It is the second that the first may have lost its place to.
        doors[1].set()
        await _goes_on(service, run, "not-all")
        doors[0].set()
        ended = await until(service.ended.is_set)
        _refuse_errors(service)
        if not ended:
            raise Wrong("never-ends" if len(started) > 2 else "never-released")
        async with service.connect() as websocket:
            pass
        await until(service.ended.is_set)
        _refuse_errors(service)


async def _goes_on(service: Service, run: Recorder, mistake: str) -> None:
    """Refuse a handler that ends soon, with orders still being prepared."""
    early = await until(service.ended.is_set, 2 * MOMENT)
    _refuse_errors(service)
    if early:
        _refuse_early(run, mistake)


def _from_prepare(service: Service) -> BaseException | None:
    """What the lesson's own prepare() raised: these orders bear no seconds."""
    for error in service.raised():
        if isinstance(error, ValueError) and any(
            frame.f_code.co_name == "prepare" for frame in frames(error)
        ):
            return error
    return None


def _judge_limit(most: int) -> None:
    """Two orders were under way at a time."""
    if most == 0:
        raise Wrong("never-brews", expected=2, seen=0)
    if most == 1:
        raise Wrong("one-only", expected=2, seen=1)
    if most >= len(ADA):
        raise Wrong("too-many", expected=2, seen=most)
    if most > 2:
        raise Wrong("other-limit", expected=2, seen=most)


@exercise("08.5", parameters=2, limit=8, picture="wiretap")
async def careful(answer: Answer, run: Recorder) -> Right:
    await _judge_saving(answer, run, politely=True)
    await _judge_saving(answer, run, politely=False)
    await _judge_nothing_left(answer, run)
    return Right()


# One of them twice, and one that is false.
TO_SAVE = ["latte", "mocha", "latte", ""]


class _Store(Machine):
    """Where the learner's handler saves; tells equal orders apart."""

    async def save(self, order: Any) -> str:
        return await self.hold((len(self.started), order))


def _orders(held: list[Any]) -> list[Any]:
    return [order for _, order in held]


async def _judge_saving(answer: Answer, run: Recorder, politely: bool) -> None:
    """The client leaves, or vanishes, with three of four orders not saved."""
    store = _Store()
    async with Service(answer, store.save, run=run) as service:
        async with service.connect() as websocket:
            await send_all(websocket, *TO_SAVE)
            if not await until(lambda: len(store.started) == len(TO_SAVE)):
                service.raise_errors()
                _refuse_start(_orders(store.started))
            _judge_saved(store.started)
            store.let_out(store.started[1])
            for reply in await receive(websocket, 1, MOMENT):
                raise Wrong("replies", seen=reply)
            if not politely:
                websocket.transport.abort()
                await websocket.wait_closed()
        # Time for the handler to find out, and to end if it would.
        if await until(service.ended.is_set, 2 * MOMENT):
            service.raise_errors()
            _refuse_end(service, store, politely)
        if politely:
            for later in store.started[2:]:
                store.let_out(later)
            if await until(service.ended.is_set, 2 * MOMENT):
                service.raise_errors()
                raise Wrong("not-all")
        store.let_all_out()
        ended = await until(service.ended.is_set)
        service.raise_errors()
        _judge_saved(store.ended)
        if not ended:
            raise Wrong("never-ends")
        for closed in service.closed:
            raise Wrong("ends-in-error", seen=closed)


async def _judge_nothing_left(answer: Answer, run: Recorder) -> None:
    """One client says nothing, another leaves when its order is saved."""
    store = _Store()
    store.let_all_out()
    async with Service(answer, store.save, run=run) as service:
        for orders in [], TO_SAVE[:1]:
            async with service.connect() as websocket:
                await send_all(websocket, *orders)
                await until(lambda: len(store.ended) == len(orders))  # noqa: B023
            ended = await until(service.ended.is_set)
            service.raise_errors()
            if not ended:
                raise Wrong("never-ends")


def _refuse_start(seen: list[Any]) -> NoReturn:
    """Not all orders have begun to be saved."""
    if not seen:
        raise Wrong("never-starts")
    if seen == TO_SAVE[:-1]:
        raise Wrong("empty-message", expected=TO_SAVE, seen=seen)
    if seen == [*dict.fromkeys(TO_SAVE)]:
        raise Wrong("repeated", expected=TO_SAVE, seen=seen)
    if len(seen) > 1:
        raise Wrong("some-at-once", expected=TO_SAVE, seen=seen)
    raise Wrong("in-line", expected=TO_SAVE, seen=seen)


def _judge_saved(held: list[Any]) -> None:
    seen = _orders(held)
    if sorted(map(str, seen)) != sorted(TO_SAVE):
        if seen == TO_SAVE[-1:] * len(TO_SAVE):
            raise Wrong("late-message", expected=TO_SAVE, seen=seen)
        raise Wrong("other-orders", expected=TO_SAVE, seen=seen)


def _refuse_end(service: Service, store: _Store, politely: bool) -> NoReturn:
    """The handler has ended before all was saved."""
    if store.cancelled:
        saved = _orders(store.ended)
        if service.closed:
            raise Wrong("group-cancelled", expected=TO_SAVE, seen=saved)
        # It ended without an error, so it has caught that outside the group.
        raise Wrong("caught-outside", expected=TO_SAVE, seen=saved)
    if politely:
        raise Wrong("walks-off")
    raise Wrong("never-reached" if service.closed else "caught-and-left")


class _Ground(str):
    """What grind returns; notes if it is taken for a function."""

    grinder: _Grinder

    def __call__(self, *_: Any) -> _Ground:
        self.grinder.called_again = True
        return self


class _Grinder:
    """A function that blocks; notes where it ran and if the loop went on.

    Attributes:
        ground: what it was called with.
        at_home: whether it ran in the loop's own thread.
        called_again: whether its result was called, as if it were a function.
        went_on: whether the loop went on while it ran in another thread.
    """

    def __init__(self) -> None:
        self.ground: list[Any] = []
        self.at_home = False
        self.called_again = False
        self.went_on = True
        self._home = threading.get_ident()
        self._loop = asyncio.get_running_loop()

    def grind(self, order: Any) -> _Ground:
        self.ground.append(order)
        if threading.get_ident() == self._home:
            self.at_home = True
        else:
            alive = threading.Event()
            self._loop.call_soon_threadsafe(alive.set)
            # In turns, as the loop waits: the whole machine may stand still.
            self.went_on &= any(alive.wait(PATIENCE / 20) for _ in range(20))
        ground = _Ground(f"{order} ground")
        ground.grinder = self
        return ground


@exercise("08.6", parameters=2, limit=8, picture="wiretap")
async def smooth(answer: Answer, run: Recorder) -> Right:
    grinder = _Grinder()
    expected = ["latte ground", "mocha ground"]
    async with Service(answer, grinder.grind, run=run) as service:
        async with service.connect() as websocket:
            await send_all(websocket, "latte", "mocha")
            seen = await receive(websocket, 2, 2 * PATIENCE)
            if grinder.at_home:
                if grinder.called_again:
                    raise Wrong("called-first")
                raise Wrong("freezes")
            if not grinder.went_on:
                raise Wrong("blocked-on-result")
            if sorted(map(str, seen)) != expected:
                if (prepared := _from_prepare(service)) is not None:
                    raise Wrong("not-grind", seen=prepared)
                for error in service.raised():
                    _refuse_async_in_thread(error)
                    raise error
                if seen == expected[:1] and service.ended.is_set():
                    raise Wrong("only-first", expected=expected, seen=seen)
                if seen == expected[1:] * 2:
                    raise Wrong("late-message", expected=expected, seen=seen)
                if not grinder.ground and not service.ended.is_set():
                    await websocket.close()
                    if await until(lambda: grinder.ground):
                        raise Wrong("after-loop")
                raise Wrong("other-replies", expected=expected, seen=seen)
        await until(service.ended.is_set)
        service.raise_errors()
    return Right()


def _refuse_async_in_thread(error: BaseException) -> None:
    """``to_thread`` was given a coroutine function, as if it ran there."""
    if isinstance(error, Unawaited) and error.values["call"] != "to_thread":
        raise Unawaited("async-in-thread", seen=error.seen)
