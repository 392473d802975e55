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


@exercise("08.2", parameters=1, limit=8, picture="wiretap")
async def kitchen(answer: Answer, run: Recorder) -> Right:
    if not await _judge_orders(answer, run):
        await _judge_orders(answer, run, again=True)
    for _ in range(3):
        if await _judge_leaving(answer, run):
            break
    # A second time, as the machine may have stood still.
    if not await _ends_soon(answer, run) and not await _ends_soon(answer, run):
        raise Wrong("sleeps-on")
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


async def _judge_leaving(answer: Answer, run: Recorder) -> bool:
    """The client leaves while its orders are still being prepared.

    Returns:
        whether it left long before the first could be ready; else the machine
        may have stood still, and that the handler was there tells little.
    """
    loop = asyncio.get_running_loop()
    async with Service(answer, run=run) as service:
        async with service.connect() as websocket:
            began = loop.time()
            # The latte is begun later, and so it is not ready before this.
            ready = timer(0.5)
            # It is neither the first nor the last of them.
            await send_all(websocket, "mocha 0.2", "latte 0.5", "chai 0.2")
            await receive(websocket, 3)
        took = loop.time() - began
        await ready.wait()
        early = service.ended.is_set()
        await until(service.ended.is_set)
        _refuse_errors(service, early)
    return took < 0.15


def _refuse_errors(service: Service, early: bool) -> None:
    """The client has left, and the handler has ended, or should have.

    Arguments:
        service: the handler's.
        early: whether it ended before its orders were ready.
    """
    for closed in service.closed:
        if any(frame.f_code.co_name == "recv" for frame in frames(closed)):
            raise Wrong("client-left", error=type(closed).__name__)
        raise Wrong("send-to-nobody", seen=closed)
    for error in service.raised():
        # What a task that nobody awaits fails to send is no other mistake.
        if not isinstance(error, ConnectionClosed):
            refuse_no_star(error)
            raise error
    if early:
        raise Wrong("walks-off")


async def _ends_soon(answer: Answer, run: Recorder) -> bool:
    """Whether the handler ends when its client leaves with all it ordered."""
    async with Service(answer, run=run) as service:
        async with service.connect() as websocket:
            await send_all(websocket, "latte 0.05")
            await receive(websocket, 2)
        await timer(0.35, slack=True).wait()
        return service.ended.is_set()


NAMES = (
    "latte mocha chai mate cocoa cortado lungo matcha tonic soda tea milk"
).split()
# The drinks as replies bear them; orders do not.
SERVED = [f"{name}☕" for name in NAMES]


class _Barista:
    """Reads all orders, then replies to them in an order of its own.

    Attributes:
        orders: the messages it has received.
        alone: whether the client did not send all orders at once.
        replied: the number and the drink of each reply.
    """

    def __init__(self) -> None:
        self.orders: list[Any] = []
        self.alone = False
        self.replied: list[tuple[str, str]] = []

    async def handler(self, websocket: ServerConnection) -> None:
        self.orders += await receive(websocket, len(NAMES), 0.5)
        count = len(self.orders)
        self.alone = count < len(NAMES)
        with suppress(ConnectionClosed):
            for step in range(count):
                # 5 and 12 have no common factor, so each has its turn.
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
    barista = _Barista()
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
    return Right()


def _judge_numbers(orders: list[Any]) -> None:
    """Each order bears a number of its own, from 0."""
    for order in orders:
        if len(f"{order}".split()) != 3:
            raise Wrong("no-number", expected="0 latte 0.1", seen=order)
    numbers = [f"{order}".split()[0] for order in orders]
    if len(set(numbers)) < len(numbers):
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
    """Two of Ada's orders are prepared; when one is done, then a third."""
    await send_all(ada, *ADA)
    await until(lambda: len(machine.started) == 2)
    await until(lambda: len(machine.started) > 2, MOMENT)
    if machine.most != 2:
        if (error := _from_prepare(service)) is not None:
            raise Wrong("not-brew", seen=error)
        service.raise_errors()
        _judge_limit(machine.most)
    first, second = machine.started
    machine.let_out(second)
    if await until(lambda: len(machine.started) > 2):
        return
    service.raise_errors()
    machine.let_out(first)
    if await until(lambda: len(machine.started) > 2):
        raise Wrong("batches")
    raise Wrong("never-released")


async def _judge_parting(answer: Answer, run: Recorder) -> None:
    """A client leaves while its order is being prepared."""
    machine = Machine()
    async with Service(answer, machine.hold, run=run) as service:
        async with service.connect() as websocket:
            await send_all(websocket, ADA[0])
            await until(lambda: machine.started)
        early = await until(service.ended.is_set, 2 * MOMENT)
        machine.let_all_out()
        await until(service.ended.is_set)
        _refuse_errors(service, early)


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
    return Right()


async def _judge_saving(answer: Answer, run: Recorder, politely: bool) -> None:
    """The client leaves, or vanishes, with two of three orders not saved."""
    orders = ["latte", "mocha", "chai"]
    machine = Machine()

    async def save(order: Any) -> str:
        return await machine.hold(order)

    async with Service(answer, save, run=run) as service:
        async with service.connect() as websocket:
            await send_all(websocket, *orders)
            if not await until(lambda: len(machine.started) == 3):
                service.raise_errors()
                if not machine.started:
                    raise Wrong("never-starts")
                raise Wrong("in-line", expected=orders, seen=machine.started)
            _judge_saved(machine.started, orders)
            machine.let_out(orders[0])
            for reply in await receive(websocket, 1, MOMENT):
                raise Wrong("replies", seen=reply)
            if not politely:
                websocket.transport.abort()
                await websocket.wait_closed()
        # Time for the handler to find out, and to end if it would.
        if await until(service.ended.is_set, 2 * MOMENT):
            service.raise_errors()
            _refuse_end(service, machine, orders, politely)
        machine.let_all_out()
        ended = await until(service.ended.is_set)
        service.raise_errors()
        _judge_saved(machine.ended, orders)
        if not ended:
            raise Wrong("never-ends")


def _judge_saved(seen: list[Any], orders: list[str]) -> None:
    if sorted(map(str, seen)) != sorted(orders):
        raise Wrong("other-orders", expected=orders, seen=seen)


def _refuse_end(
    service: Service, machine: Machine, orders: list[str], politely: bool
) -> NoReturn:
    if machine.cancelled:
        saved = machine.ended
        if service.closed:
            raise Wrong("group-cancelled", expected=orders, seen=saved)
        # It ended without an error, so it has caught that outside the group.
        raise Wrong("caught-outside", expected=orders, seen=saved)
    raise Wrong("walks-off" if politely else "never-reached")


class _Ground(str):
    """What grind returns; notes if it is taken for a function."""

    grinder: _Grinder

    def __call__(self, *_: Any) -> _Ground:
        self.grinder.called_again = True
        return self


class _Grinder:
    """A function that blocks; notes where it ran and if the loop went on.

    Attributes:
        at_home: whether it ran in the loop's own thread.
        called_again: whether its result was called, as if it were a function.
        went_on: whether the loop went on while it ran in another thread.
    """

    def __init__(self) -> None:
        self.at_home = False
        self.called_again = False
        self.went_on = True
        self._home = threading.get_ident()
        self._loop = asyncio.get_running_loop()

    def grind(self, order: Any) -> _Ground:
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
                raise Wrong("other-replies", expected=expected, seen=seen)
        await until(service.ended.is_set)
        service.raise_errors()
    return Right()


def _refuse_async_in_thread(error: BaseException) -> None:
    """``to_thread`` was given a coroutine function, as if it ran there."""
    if isinstance(error, Unawaited) and error.values["call"] != "to_thread":
        raise Unawaited("async-in-thread", seen=error.seen)
