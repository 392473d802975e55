"""Judges the exercises of lesson 10: consumers, producers, both."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection

from aula.exercises.exercise import (
    Answer,
    Right,
    Unawaited,
    Wrong,
    exercise,
)
from aula.exercises.prediction import Program, refuse_other
from aula.instruments.record import Recorder
from aula.judges.mistakes import NOT_CALLABLE, all_over, equal
from aula.judges.servers import Machine, Service, receive, send_all
from aula.judges.waiting import MOMENT, PATIENCE, until


class _Desk(Service):
    """A service that notes which messages its handlers have received.

    Attributes:
        taken: these messages.
    """

    def __init__(self, handler: Answer, *arguments: Any, run: Recorder):
        super().__init__(handler, *arguments, run=run)
        self.taken: list[str | bytes] = []

    async def handle(
        self, handler: Answer, websocket: ServerConnection, *arguments: Any
    ) -> None:
        receive = websocket.recv

        async def recv(*arguments: Any, **options: Any) -> str | bytes:
            message: str | bytes = await receive(*arguments, **options)
            self.taken.append(message)
            return message

        # "async for" calls it, too.
        websocket.recv = recv  # type: ignore[assignment, method-assign]
        await handler(websocket, *arguments)

    def has_raised(self, kind: type[Exception]) -> bool:
        """Whether such an exception has left a handler."""
        return any(isinstance(error, kind) for error in self.errors)

    def refuse_close(self, mistake: str) -> None:
        """Refuse a handler that ConnectionClosed has left.

        Raises:
            Wrong: the mistake.
        """
        if self.closed:
            raise Wrong(mistake, seen=str(self.closed[0]))


DRINKS = ["latte", "mocha", "chai"]
# More than anybody writes in the place of "as long as the client is there".
MANY = [f"latte {price}" for price in range(200, 320)]
MANY[1] = MANY[2]  # one that stays the same for a while


class NoPrice(Exception):
    """What a producer raises."""


class BadOrder(Exception):
    """What a consumer raises."""


class _Feed:
    """A producer whose values, or exceptions, the judge puts in.

    Attributes:
        asked: how often it was called.
        waiting: how many calls wait for a value.
    """

    def __init__(self, *values: str | Exception) -> None:
        self.asked = 0
        self.waiting = 0
        self._values: asyncio.Queue[str | Exception] = asyncio.Queue()
        self.put(*values)

    def put(self, *values: str | Exception) -> None:
        for value in values:
            self._values.put_nowait(value)

    async def producer(self) -> str:
        self.asked += 1
        self.waiting += 1
        try:
            value = await self._values.get()
        finally:
            self.waiting -= 1
        if isinstance(value, Exception):
            raise value
        return value

    async def next_price(self) -> str:
        return await self.producer()

    async def has_stopped(self) -> bool:
        """Whether nobody waits for a value any more, or soon."""
        return await until(lambda: self.waiting == 0, 2 * MOMENT)


@exercise("10.1", parameters=2, limit=8, picture="wiretap")
async def ticker(answer: Answer, run: Recorder) -> Right:
    feed = _Feed()
    async with _Desk(answer, feed.next_price, run=run) as desk:
        async with desk.connect() as websocket:
            await _judge_prices(websocket, desk, feed)
        asked = feed.asked
        for price in range(103, 106):
            feed.put(f"latte {price}")
            if await until(desk.ended.is_set, PATIENCE / 3):
                break
        desk.raise_errors()
        if not desk.ended.is_set() or feed.asked > asked + 2:
            raise Wrong("goes-on")
        desk.refuse_close("close-escapes")
        if not await until(lambda: all_over(run), 2 * MOMENT):
            raise Wrong("leaves-task")
    feed = _Feed("latte 100", NoPrice("no price"))
    async with _Desk(answer, feed.next_price, run=run) as desk:
        async with desk.connect() as websocket:
            await receive(websocket, 1)
            await until(desk.ended.is_set)
        if not desk.has_raised(NoPrice):
            raise Wrong("hides-errors")
    await _judge_vanishing(answer, run)
    await _judge_staying(answer, run)
    return Right()


async def _judge_staying(answer: Answer, run: Recorder) -> None:
    """The client stays for many prices."""
    feed = _Feed(*MANY)
    async with _Desk(answer, feed.next_price, run=run) as desk:
        async with desk.connect() as websocket:
            seen = await receive(websocket, len(MANY))
            desk.raise_errors()
            if desk.ended.is_set():
                raise Wrong("gives-up", count=len(seen))
            _refuse_without_equals(seen, MANY)
        feed.put("latte 320")  # which shows it that the client has left
        await until(desk.ended.is_set)


def _refuse_without_equals(seen: list[Any], messages: list[str]) -> None:
    """Refuse that the second of two equal messages is missing."""
    if seen == list(dict.fromkeys(messages)):
        raise Wrong("equal-messages", expected=messages[:3], seen=seen[:2])


async def _judge_vanishing(answer: Answer, run: Recorder) -> None:
    """The client is cut off and says no goodbye."""
    feed = _Feed("latte 100")
    async with _Desk(answer, feed.next_price, run=run) as desk:
        async with desk.connect() as websocket:
            await receive(websocket, 1)
            websocket.transport.abort()
        for price in range(101, 104):
            feed.put(f"latte {price}")
            if await until(desk.ended.is_set, PATIENCE / 3):
                break
        desk.raise_errors()
        desk.refuse_close("vanish-escapes")
        if not desk.ended.is_set():
            raise Wrong("goes-on")


async def _judge_prices(
    websocket: ClientConnection, desk: _Desk, feed: _Feed
) -> None:
    """Each of three prices comes as soon as there is one."""
    expected = ["latte 100", "latte 101", "latte 102"]
    seen: list[str | bytes] = []
    for count, price in enumerate(expected, 1):
        feed.put(price)
        seen += await receive(websocket, 1)
        if seen != expected[:count]:
            break
    if seen == expected and feed.asked:
        return
    both = {"expected": expected, "seen": seen}
    desk.raise_errors()
    if not seen and desk.ended.is_set():
        raise Wrong("ends-at-once", **both)
    if not feed.asked:
        raise Wrong("not-called" if seen else "waits-for-messages", **both)
    if seen == expected[: len(seen)] and desk.ended.is_set():
        if len(seen) > 1:
            raise Wrong("gives-up", count=len(seen))
        raise Wrong("first-only", **both)
    if len(seen) > 1 and set(seen) == {expected[0]}:
        raise Wrong("same-price", **both)
    if seen and expected[len(seen) - 1] in str(seen[-1]):
        raise Wrong("other-text", **both)
    raise Wrong("other-prices", **both)


class _Orders:
    """A consumer that notes what it gets, and fails where it is asked to.

    Attributes:
        asked: how often it was called.
        seen: the messages it has consumed.
        free: cleared, it keeps a call from ending.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.seen: list[Any] = []
        self.free = asyncio.Event()
        self.free.set()

    async def consumer(self, message: Any) -> None:
        self.asked += 1
        if message == "hola":
            raise BadOrder(message)
        await self.free.wait()
        self.seen.append(message)


@exercise("10.2", parameters=3, limit=10, picture="wiretap")
async def both(answer: Answer, run: Recorder) -> Right:
    orders, feed = _Orders(), _Feed()
    async with _talk(answer, orders, feed, run) as desk:
        async with desk.connect() as websocket:
            await _judge_talk(websocket, desk, orders, feed)
        await _judge_leaving(desk, feed, "close-escapes")
    await _judge_busy_consumer(answer, run)
    await _judge_failure(answer, run, _Feed("latte 100"), BadOrder)
    feed = _Feed("latte 100", NoPrice("no price"))
    await _judge_failure(answer, run, feed, NoPrice)
    await _judge_long_talk(answer, run)
    return Right()


async def _judge_long_talk(answer: Answer, run: Recorder) -> None:
    """More messages and prices than anybody counts to."""
    messages, prices = [f"mate {number}" for number in range(9)], MANY[:11]
    messages += ["", messages[-1]]
    orders, feed = _Orders(), _Feed(*prices)
    async with _talk(answer, orders, feed, run) as desk:
        async with desk.connect() as websocket:
            await send_all(websocket, *messages)
            seen = await receive(websocket, len(prices), 3 * PATIENCE)
            await until(lambda: len(orders.seen) >= len(messages))
            _raise_errors(desk)
            if orders.seen in (messages[:9], messages[:9] + messages[10:]):
                raise Wrong("empty-message")
            if orders.seen == messages[:10]:
                raise Wrong("equal-messages")
            if len(orders.seen) < len(messages):
                raise Wrong("few-messages", count=len(orders.seen))
            if len(seen) < len(prices):
                _refuse_without_equals(seen, prices)
                raise Wrong("few-prices", count=len(seen))


def _talk(
    answer: Answer, orders: _Orders, feed: _Feed, run: Recorder
) -> _Desk:
    return _Desk(answer, orders.consumer, feed.producer, run=run)


async def _judge_talk(
    websocket: ClientConnection, desk: _Desk, orders: _Orders, feed: _Feed
) -> None:
    """Two messages while there is no price, then two prices."""
    messages, prices = ["latte", "mocha"], ["latte 100", "latte 101"]
    await send_all(websocket, *messages)
    if not await until(lambda: len(orders.seen) >= 2):
        _raise_errors(desk)
    if not orders.asked and not feed.asked:
        raise Wrong("not-called")
    if not orders.asked and len(desk.taken) >= len(messages):
        raise Wrong("consumer-not-called")
    if not orders.seen:
        raise Wrong("never-consumes", expected=messages, seen=orders.seen)
    if orders.seen == messages[:1]:
        raise Wrong("in-turns", expected=messages, seen=orders.seen)
    feed.put(*prices)
    seen = await receive(websocket, 2)
    if seen != prices:
        _raise_errors(desk)
    if not seen:
        await _judge_no_prices(websocket, desk, feed, prices)
    if not feed.asked:
        raise Wrong("producer-not-called", expected=prices, seen=seen)
    if (orders.seen, seen) != (messages, prices):
        raise Wrong(
            "other-messages",
            expected=[messages, prices],
            seen=[orders.seen, seen],
        )


async def _judge_no_prices(
    websocket: ClientConnection, desk: _Desk, feed: _Feed, prices: list[str]
) -> NoReturn:
    """There were prices, and none of them went out."""
    both: dict[str, Any] = {"expected": prices, "seen": []}
    if feed.asked:
        raise Wrong("stops-producing", **both)
    await websocket.close()
    if await until(lambda: feed.asked or desk.ended.is_set()) and feed.asked:
        raise Wrong("never-produces", **both)
    raise Wrong("producer-unused", **both)


def _raise_errors(desk: _Desk) -> None:
    """Raise what the answer raised, as it may have called the producer."""
    if any(NOT_CALLABLE in f"{error}" for error in desk.raised()):
        raise Unawaited("called-producer")
    desk.raise_errors()


async def _judge_leaving(desk: _Desk, feed: _Feed, mistake: str) -> None:
    """The client has left: both halves end, and none with an exception."""
    ended = await until(desk.ended.is_set)
    has_stopped = await feed.has_stopped()
    _raise_errors(desk)
    if desk.cancelled:
        raise Wrong("cancel-escapes")
    if not ended:
        raise Wrong("producer-goes-on")
    desk.refuse_close(mistake)
    if not has_stopped:
        raise Wrong("left-behind")


async def _judge_busy_consumer(answer: Answer, run: Recorder) -> None:
    """The client leaves while a message is consumed, and a price comes."""
    orders, feed = _Orders(), _Feed()
    orders.free.clear()
    async with _talk(answer, orders, feed, run) as desk:
        async with desk.connect() as websocket:
            await send_all(websocket, "latte", "mocha")
            if await until(lambda: orders.asked):
                await until(lambda: orders.asked > 1, MOMENT)
        if orders.asked > 1:
            raise Wrong("overlapping")
        asked = feed.asked
        feed.put(*[f"latte {price}" for price in range(100, 104)])
        await until(desk.ended.is_set, 2 * MOMENT)
        if feed.asked > asked + 2:
            raise Wrong("sends-to-nobody")
        orders.free.set()
        await _judge_leaving(desk, feed, "busy-close-escapes")


async def _judge_failure(
    answer: Answer, run: Recorder, feed: _Feed, kind: type[Exception]
) -> None:
    """One half fails: at a message, or because there is no price."""
    half = "consumer" if kind is BadOrder else "producer"
    async with _talk(answer, _Orders(), feed, run) as desk:
        async with desk.connect() as websocket:
            await receive(websocket, 1)
            if kind is BadOrder:
                await send_all(websocket, "hola")
            ended = await until(desk.ended.is_set)
            has_stopped = await feed.has_stopped()
        for error in desk.errors:
            if not isinstance(error, kind):
                raise error
        if not desk.has_raised(kind):
            raise Wrong("hidden-error" if ended else "half-goes-on", half=half)
        if not has_stopped:
            raise Wrong("error-leaves-other", half=half)


# Predictions with a reason of their own: who puts and who gets take turns;
# the customer goes on as soon as there is a place; nobody ever waits; the
# last drink is got before the customer prints that it was put.
TURNS = [f"{verb} {drink}" for drink in DRINKS for verb in ("put", "got")]
AT_ONCE = [TURNS[i] for i in (0, 2, 1, 4, 3, 5)]
NO_LIMIT = [*TURNS[::2], *TURNS[1::2]]
HANDED_OVER = [TURNS[i] for i in (0, 2, 1, 3, 5, 4)]


@exercise("10.3", answer="prediction")
async def counter_lines(answer: Any, program: Program) -> Right:
    await program.run()
    if answer == TURNS:
        equal(answer, program.lines, "in-turns")
    if answer == AT_ONCE:
        equal(answer, program.lines, "as-soon-as-free")
    if answer == NO_LIMIT:
        equal(answer, program.lines, "without-limit")
    if answer == HANDED_OVER:
        equal(answer, program.lines, "handed-over")
    refuse_other(answer, program.lines)
    return Right()


ORDERS = ["latte", "mocha", "chai", "mate", "cocoa", "lungo", "tonic"]
ORDERS[-1] += " 0.3"
# What somebody might put into the queue in the place of None.
WORDS = ["stop", "STOP", "end", "END", "None", "quit", "exit", "done", "fin"]


@exercise("10.4", parameters=2, limit=10, picture="wiretap")
async def broker(answer: Answer, run: Recorder) -> Right:
    await _judge_day(answer, run)
    await _judge_goodbye(answer, run)
    await _judge_two_clients(answer, run)
    await _judge_odd_orders(answer, run)
    return Right()


async def _judge_day(answer: Answer, run: Recorder) -> None:
    """Seven orders from a client that waits for all replies."""
    market = Machine()
    async with _Desk(answer, market.hold, run=run) as desk:
        async with desk.connect() as websocket:
            await send_all(websocket, *ORDERS)
            if await until(lambda: len(market.started) >= 2):
                await until(lambda: len(desk.taken) >= 5)
            await until(lambda: len(desk.taken) > 5, MOMENT)
            if desk.has_raised(asyncio.QueueFull):
                raise Wrong("queue-full")
            if len(market.started) < 2 or len(desk.taken) < 5:
                desk.raise_errors()
            started, taken = len(market.started), len(desk.taken)
            if started == 2 and taken > 5:
                await _refuse_dropping(websocket, market, desk)
            _judge_limits(started, taken)
            early = await receive(websocket, 1, MOMENT)
            if early:
                raise Wrong("replies-first", expected=[], seen=early)
            market.let_all_out()
            seen = await receive(websocket, len(ORDERS), 2 * PATIENCE)
        _judge_replies(seen, market, desk)
        if not await until(desk.ended.is_set):
            raise Wrong("never-ends")
        desk.raise_errors()
        if desk.cancelled:
            raise Wrong("cancel-escapes")
    if not await until(lambda: all_over(run), 2 * MOMENT):
        raise Wrong("left-behind")


async def _refuse_dropping(
    websocket: ClientConnection, market: Machine, desk: _Desk
) -> None:
    """It has read all the orders. Has it kept them?"""
    market.let_all_out()
    seen = await receive(websocket, len(ORDERS))
    desk.raise_errors()
    if 0 < len(market.ended) < len(ORDERS):
        raise Wrong(
            "drops-orders",
            expected=[f"sold {order}" for order in ORDERS],
            seen=seen,
        )


def _judge_limits(started: int, taken: int) -> None:
    """How much it does at once, and how much it accepts, at most."""
    if started == 0:
        raise Wrong("never-starts")
    if started == 1:
        raise Wrong("one-consumer", expected=2, seen=1)
    if started > 2:
        raise Wrong("too-many-consumers", expected=2, seen=started)
    if taken > 5:
        raise Wrong("no-limit", expected=5, seen=taken)
    if taken < 5:
        raise Wrong("no-places", expected=5, seen=taken)


def _judge_replies(seen: list[Any], market: Machine, desk: _Desk) -> None:
    expected = [f"sold {order}" for order in ORDERS]
    both = {"expected": expected, "seen": seen}
    replies = sorted(map(str, seen))
    executed = sorted(map(str, market.started))
    first_words = sorted(" ".join(reply.split()[:2]) for reply in expected)
    if replies == first_words or (
        len(executed) == len(ORDERS) and executed != sorted(ORDERS)
    ):
        raise Wrong("part-of-order", **both)
    if replies == sorted(expected):
        return
    desk.raise_errors()
    raise Wrong("other-replies", **both)


async def _judge_goodbye(answer: Answer, run: Recorder) -> None:
    """Four orders from a client that leaves before they are done."""
    market = Machine()
    orders = ORDERS[:4]
    async with _Desk(answer, market.hold, run=run) as desk:
        async with desk.connect() as websocket:
            await send_all(websocket, *orders)
            await until(lambda: len(desk.taken) == 4)
        early = await until(desk.ended.is_set, 2 * MOMENT)
        market.let_all_out()
        ended = await until(desk.ended.is_set)
        desk.refuse_close("close-escapes")
        desk.raise_errors()
        both = {"expected": orders, "seen": market.ended}
        if not ended and len(market.ended) < len(orders):
            raise Wrong("consumers-leave", **both)
        if early or sorted(market.ended) != sorted(orders):
            raise Wrong("lost-orders", **both)
        if not ended:
            raise Wrong("stays")


async def _judge_odd_orders(answer: Answer, run: Recorder) -> None:
    """Orders that are empty, equal, or what might announce the end."""
    market = Machine()
    market.let_all_out()
    orders = ["", *WORDS, "latte", "latte"]
    async with _Desk(answer, market.hold, run=run) as desk:
        async with desk.connect() as websocket:
            await send_all(websocket, *orders)
            seen = await receive(websocket, len(orders))
            desk.raise_errors()
        if "sold " not in seen or "" not in market.ended:
            raise Wrong("empty-message")
        for word in WORDS:
            if word not in market.ended:
                raise Wrong("word-ends", word=word)
        if market.ended.count("latte") < 2 or seen.count("sold latte") < 2:
            raise Wrong("equal-messages")


async def _judge_two_clients(answer: Answer, run: Recorder) -> None:
    """One client's orders are not in another's way."""
    market = Machine()
    theirs = ORDERS[4:]
    async with _Desk(answer, market.hold, run=run) as desk:
        async with desk.connect() as first, desk.connect() as second:
            await send_all(first, *ORDERS[:4])
            await until(lambda: len(desk.taken) == 4)
            await send_all(second, *theirs)
            if not await until(lambda: {*theirs[:2]} <= {*market.started}):
                desk.raise_errors()
                raise Wrong("shared-queue")
            market.let_all_out()
            seen = await receive(second, len(theirs), 2 * PATIENCE)
        equal(
            sorted(map(str, seen)),
            sorted(f"sold {order}" for order in theirs),
            "other-client",
        )
        await until(desk.ended.is_set)
        desk.raise_errors()
