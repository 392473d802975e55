"""Judges the exercises of lesson 07."""

import asyncio
import inspect
import traceback
from functools import wraps

from websockets.exceptions import ConnectionClosed

from aula.exercises.exercise import Right, Unawaited, Wrong, exercise
from aula.judges.lesson_05 import MOMENT, PATIENCE, Machine, Server
from aula.judges.peers import Queue, receive, send_all, within


class Visit(Server):
    """A server of the learner's handler, which also notes how it ended.

    Attributes:
        taken: the messages that the handler has received.
        closed: the ConnectionClosed that left the handler, if one did.
        cancelled: whether a CancelledError left it.
    """

    def __init__(self, answer, *arguments):
        self.taken = []
        self.closed = None
        self.cancelled = False

        @wraps(answer)
        async def handler(websocket, *arguments):
            self._count(websocket)
            try:
                await answer(websocket, *arguments)
            except BaseException as error:
                self._note(error)
                raise

        super().__init__(handler, *arguments)

    def _count(self, websocket):
        receive = websocket.recv

        async def recv(*arguments, **options):
            message = await receive(*arguments, **options)
            self.taken.append(message)
            return message

        websocket.recv = recv  # which "async for" calls, too

    def _note(self, error):
        if isinstance(error, asyncio.CancelledError):
            self.cancelled = True
        elif isinstance(error, ConnectionClosed):
            self.closed = str(error)
        elif isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                self._note(inner)

    async def ends(self, seconds=PATIENCE):
        """Whether the handler has ended, or does so in time."""
        return await within(seconds, self.ended.is_set)

    def has_raised(self, kind):
        return any(isinstance(error, kind) for error in self.errors)

    def raise_other(self, run, kind):
        """Raise what has been raised, but for errors of this kind."""
        self.errors = [e for e in self.errors if not isinstance(e, kind)]
        if self.errors:
            self.raise_errors(run)


class Feed:
    """A producer whose values, or exceptions, the judge puts in.

    Attributes:
        asked: how often it was called.
        waiting: how many calls wait for a value.
    """

    def __init__(self, *values):
        self.asked = 0
        self.waiting = 0
        self._values = asyncio.Queue()
        self.put(*values)

    def put(self, *values):
        for value in values:
            self._values.put_nowait(value)

    async def __call__(self):
        self.asked += 1
        self.waiting += 1
        try:
            value = await self._values.get()
        finally:
            self.waiting -= 1
        if isinstance(value, Exception):
            raise value
        return value

    async def stopped(self):
        """Whether nobody waits for a value any more, or soon."""
        return await within(3 * MOMENT, lambda: self.waiting == 0)


class NoPrice(Exception):
    """What a producer raises."""


class BadReading(Exception):
    """What a consumer raises."""


@exercise("07.1", parameters=2, limit=8, picture="wiretap")
async def ticker(answer, run):
    feed = Feed()
    expected = ["latte 100", "latte 101", "latte 102"]
    seen = []
    async with Visit(answer, feed) as visit:
        async with visit.connect() as websocket:
            for price in expected:
                feed.put(price)
                seen += await receive(websocket, 1)
                if seen != expected[: len(seen)] or not seen:
                    break
            ended_early = await visit.ends(0)
        if seen != expected or not feed.asked:
            visit.raise_errors(run)
            _judge_prices(seen, expected, feed, ended_early)
        asked = feed.asked
        for _ in range(3):
            feed.put("latte 103")
            if await visit.ends(PATIENCE / 3):
                break
    visit.raise_errors(run)
    if not visit.ended.is_set() or feed.asked > asked + 2:
        raise Wrong("goes-on")
    if visit.closed is not None:
        raise Wrong("close-escapes", seen=visit.closed)
    await _judge_failing_price(answer, run)
    return Right()


def _judge_prices(seen, expected, feed, ended_early):
    if seen and not feed.asked:
        raise Wrong("not-called", expected=expected, seen=seen)
    if not feed.asked:
        raise Wrong("waits-for-messages", expected=expected, seen=seen)
    if seen == expected[: len(seen)] and seen and ended_early:
        raise Wrong("first-only", expected=expected, seen=seen)
    raise Wrong("other-prices", expected=expected, seen=seen)


async def _judge_failing_price(answer, run):
    feed = Feed("latte 100", NoPrice("no price"))
    async with Visit(answer, feed) as visit, visit.connect() as websocket:
        await receive(websocket, 1)
        await visit.ends()
    if not visit.has_raised(NoPrice):
        raise Wrong("hides-errors")


class Readings:
    """A consumer that notes what it gets, and fails where it is asked to.

    Attributes:
        asked: how often it was called.
        seen: the messages it has consumed.
        free: cleared, it keeps a call from ending.
    """

    def __init__(self):
        self.asked = 0
        self.seen = []
        self.free = asyncio.Event()
        self.free.set()

    async def __call__(self, message):
        self.asked += 1
        if message == "hola":
            raise BadReading(message)
        await self.free.wait()
        self.seen.append(message)


class Exchange(Visit):
    """A visit of a handler that may call what it should hand on."""

    called = False

    def _note(self, error):
        self._note_call(error)
        super()._note(error)

    def _note_call(self, error):
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                self._note_call(inner)
        elif "'coroutine' object is not callable" in f"{error}":
            self.called = True
            _close_coroutines(error)

    def raise_errors(self, run):
        for lane in run.lanes:
            if lane.shown and lane.outcome()[0] == "raised":
                self._note_call(lane.task.exception())
        if self.called:
            raise Wrong("called-producer")
        super().raise_errors(run)


def _close_coroutines(error):
    """Close those that an error's frames hold and nobody has awaited."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        for value in frame.f_locals.values():
            if (
                inspect.iscoroutine(value)
                and inspect.getcoroutinestate(value) == inspect.CORO_CREATED
            ):
                value.close()


@exercise("07.2", parameters=3, limit=10, picture="wiretap")
async def both(answer, run):
    readings, feed = Readings(), Feed()
    async with Exchange(answer, readings, feed) as visit:
        async with visit.connect() as websocket:
            await _judge_talk(websocket, visit, readings, feed, run)
        ended = await visit.ends()
        stopped = await feed.stopped()
        feed.put("latte 102", "latte 103")  # a send would find out
    _judge_leaving(visit, ended, stopped, run)
    await _judge_busy_consumer(answer, run)
    await _judge_failure(answer, run, "hola", None)
    await _judge_failure(answer, run, None, NoPrice("no price"))
    return Right()


async def _judge_talk(websocket, visit, readings, feed, run):
    """Two messages while there is no price, then two prices.

    Raises:
        Wrong: not-called, never-consumes, in-turns, never-produces or
            other-messages.
    """
    messages, prices = ["93.5", "94.0"], ["latte 100", "latte 101"]
    await send_all(websocket, *messages)
    await within(PATIENCE, lambda: len(readings.seen) >= 2)
    if len(readings.seen) < 2:
        visit.raise_errors(run)
    if not readings.asked and not feed.asked:
        raise Wrong("not-called")
    if not readings.asked and len(visit.taken) >= len(messages):
        raise Wrong("consumer-not-called")
    if not readings.seen:
        raise Wrong("never-consumes", expected=messages, seen=readings.seen)
    if readings.seen == messages[:1]:
        raise Wrong("in-turns", expected=messages, seen=readings.seen)
    feed.put(*prices)
    seen = await receive(websocket, 2)
    if seen != prices:
        visit.raise_errors(run)
    if not seen:
        raise Wrong("never-produces", expected=prices, seen=seen)
    if not feed.asked:
        raise Wrong("producer-not-called", expected=prices, seen=seen)
    if (readings.seen, seen) != (messages, prices):
        raise Wrong(
            "other-messages",
            expected=[messages, prices],
            seen=[readings.seen, seen],
        )


def _judge_leaving(visit, ended, stopped, run):
    visit.raise_errors(run)
    if visit.cancelled:
        raise Wrong("cancel-escapes")
    if not ended:
        raise Wrong("producer-goes-on")
    if visit.closed is not None:
        raise Wrong("close-escapes", seen=visit.closed)
    if not stopped:
        raise Wrong("left-behind")


async def _judge_busy_consumer(answer, run):
    """The client leaves while a message is consumed, and a price comes.

    Raises:
        Wrong: close-escapes, or what is wrong with any leaving.
    """
    readings, feed = Readings(), Feed()
    readings.free.clear()
    async with Exchange(answer, readings, feed) as visit:
        async with visit.connect() as websocket:
            await send_all(websocket, "93.5")
            await within(PATIENCE, lambda: readings.asked)
        feed.put("latte 100", "latte 101")
        await visit.ends(2 * MOMENT)
        readings.free.set()
        ended = await visit.ends()
        stopped = await feed.stopped()
    if visit.closed is not None:
        visit.raise_errors(run)
        raise Wrong("busy-close-escapes", seen=visit.closed)
    _judge_leaving(visit, ended, stopped, run)


async def _judge_failure(answer, run, message, price):
    """One half fails, with a message or a price.

    Raises:
        Wrong: hidden-error or error-leaves-other.
    """
    feed = Feed("latte 100") if price is None else Feed("latte 100", price)
    kind = BadReading if price is None else NoPrice
    async with Exchange(answer, Readings(), feed) as visit:
        async with visit.connect() as websocket:
            await receive(websocket, 1)
            if message is not None:
                await send_all(websocket, message)
            await visit.ends()
            raised = visit.has_raised(kind)
            stopped = await feed.stopped()
            visit.raise_other(run, kind)
        feed.put("latte 101", "latte 102")
    half = "consumer" if price is None else "producer"
    if not raised:
        raise Wrong("hidden-error", half=half)
    if not stopped:
        raise Wrong("error-leaves-other", half=half)


@exercise("07.3", answer="function", parameters=2, picture=None)
async def publish(answer):
    prices = Queue(3)
    names = ["latte 100", "latte 101", "latte 102"]
    _publish(answer, prices, names[:1])
    _publish(answer, prices, names[1:])
    seen = _content(prices)
    if seen != names:
        raise _dropped(seen, names, "latte 102")
    for name in names:
        prices.put_nowait(name)
    _publish(answer, prices, ["latte 103"])
    seen, expected = _content(prices), [*names[1:], "latte 103"]
    if seen == names:
        raise Wrong("drops-newest", expected=expected, seen=seen)
    if seen != expected:
        raise _dropped(seen, expected, "latte 103")
    return Right()


def _publish(answer, prices, names):
    for name in names:
        try:
            answer(prices, name)
        except Exception as error:
            if not prices.waits:
                _judge_queue_error(error)
                raise
        if prices.waits:
            raise Unawaited("queue-unawaited")


def _judge_queue_error(error):
    """Name what the queue complains about.

    Raises:
        Wrong: full or empty.
    """
    if isinstance(error, asyncio.QueueFull):
        raise Wrong("full", seen=repr(error)) from None
    if isinstance(error, asyncio.QueueEmpty):
        raise Wrong("empty", seen=repr(error)) from None


def _content(prices):
    return [prices.get_nowait() for _ in range(prices.qsize())]


def _dropped(seen, expected, last):
    """What is wrong with the prices that a queue holds."""
    if seen == [last]:
        return Wrong("drops-all", expected=expected, seen=seen)
    if seen and seen == expected[-len(seen) :]:
        return Wrong("drops-too-early", expected=expected, seen=seen)
    return Wrong("other-prices", expected=expected, seen=seen)


ORDERS = ["latte", "mocha", "chai", "mate", "cocoa", "lungo", "tonic"]
ORDERS += ["latte 0.3"]
FAILING = "chai"


class SoldOut(Exception):
    """What executing an order raises."""


@exercise("07.4", parameters=2, limit=10, picture="wiretap")
async def broker(answer, run):
    await _judge_desk(answer, run)
    await _judge_goodbye(answer, run)
    return Right()


class Desk(Machine):
    """A machine that fails at one order."""

    async def __call__(self, order):
        await super().__call__(order)
        if order == FAILING:
            raise SoldOut(order)


async def _judge_desk(answer, run):
    """Eight orders from a client that waits for all replies."""
    desk = Desk()
    async with Visit(answer, desk) as visit:
        try:
            async with visit.connect() as websocket:
                await send_all(websocket, *ORDERS)
                if await within(PATIENCE, lambda: len(desk.started) >= 2):
                    await within(PATIENCE, lambda: len(visit.taken) >= 5)
                await asyncio.sleep(MOMENT)  # more would come now
                if visit.has_raised(asyncio.QueueFull):
                    raise _full()
                if len(desk.started) < 2 or len(visit.taken) < 5:
                    visit.raise_errors(run)
                _judge_limits(desk, visit)
                desk.let_all_out()
                seen = await receive(websocket, len(ORDERS), 2 * PATIENCE)
            _judge_replies(seen, desk, visit, run)
            if not await visit.ends():
                raise Wrong("never-ends")
        finally:
            desk.let_all_out()
    visit.raise_errors(run)
    _judge_escapes(visit)
    if not await within(3 * MOMENT, lambda: not _alive(run)):
        raise Wrong("left-behind")


def _full():
    return Wrong("queue-full")


def _alive(run):
    """The answer's tasks that have not ended."""
    judge = asyncio.current_task()
    return [
        lane.task
        for lane in run.lanes[1:]  # the first is the cell's
        if lane.shown and lane.task is not judge and not lane.task.done()
    ]


def _judge_limits(desk, visit):
    """How much it does at once, and how much it accepts, at most."""
    if not desk.started:
        raise Wrong("never-starts")
    if len(desk.started) == 1:
        raise Wrong("one-consumer", expected=2, seen=1)
    if len(desk.started) > 2:
        raise Wrong("too-many-consumers", expected=2, seen=len(desk.started))
    if len(visit.taken) > 5:
        raise Wrong("no-limit", expected=5, seen=len(visit.taken))
    if len(visit.taken) < 5:
        raise Wrong("no-places", expected=5, seen=len(visit.taken))


def _judge_replies(seen, desk, visit, run):
    expected = [
        f"failed {order}" if order == FAILING else f"sold {order}"
        for order in ORDERS
    ]
    first_words = sorted(" ".join(reply.split()[:2]) for reply in expected)
    executed = sorted(map(str, desk.started))
    if sorted(map(str, seen)) == first_words or (
        len(executed) == len(ORDERS) and executed != sorted(ORDERS)
    ):
        raise Wrong("part-of-order", expected=expected, seen=seen)
    if sorted(map(str, seen)) == sorted(expected):
        return
    missing = set(expected) - set(map(str, seen))
    fell = visit.has_raised(SoldOut) or missing == {f"failed {FAILING}"}
    if fell:
        raise Wrong("consumer-falls", expected=expected, seen=seen)
    visit.raise_errors(run)
    raise Wrong("other-replies", expected=expected, seen=seen)


def _judge_escapes(visit):
    if visit.cancelled:
        raise Wrong("cancel-escapes")


async def _judge_goodbye(answer, run):
    """Four orders from a client that leaves before they are done."""
    desk = Desk()
    orders = [order for order in ORDERS if order != FAILING][:4]
    async with Visit(answer, desk) as visit:
        try:
            async with visit.connect() as websocket:
                await send_all(websocket, *orders)
                await within(PATIENCE, lambda: len(visit.taken) == 4)
            await visit.ends(2 * MOMENT)
            early = visit.ended.is_set()
        finally:
            desk.let_all_out()
        ended = await visit.ends()
    if visit.closed is not None:
        raise Wrong("close-escapes", seen=visit.closed)
    visit.raise_errors(run)
    if not early and not ended and len(desk.ended) < len(orders):
        raise Wrong("consumers-leave", expected=orders, seen=desk.ended)
    if early or sorted(desk.ended) != sorted(orders):
        raise Wrong("lost-orders", expected=orders, seen=desk.ended)
    if not ended:
        raise Wrong("stays")
