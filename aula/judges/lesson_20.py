"""Judges the exercises of lesson 20: those who wait, and who closes."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import Server, ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from aula.exercises.exercise import (
    UNSET,
    Answer,
    Right,
    Wrong,
    exercise,
)
from aula.exercises.prediction import Program, refuse_other
from aula.instruments.record import Recorder
from aula.judges.mistakes import (
    NO_TASKS,
    UNPACKED,
    all_over,
    equal,
    leaves,
    refuse_unheard_cancel,
    uses,
)
from aula.judges.servers import (
    Machine,
    Person,
    Service,
    calling,
    receive,
    send_all,
    serving,
)
from aula.judges.waiting import (
    MOMENT,
    PATIENCE,
    Silence,
    ends,
    patiently,
    timer,
    until,
)

Pending = dict[str, "asyncio.Future[str]"]

NEWS = ["news rain today", "news sun"]


@exercise("20.1", answer="function", parameters=2, picture=None)
async def deliver(answer: Answer) -> Right:
    replies = [
        "12 ok horchata",
        "11 error tereré",
        "19 ok mate",
        "18 error mate",
        "15 ok guarapo",
        "16 error smoky",
        "17 ok terror",
    ]
    awaited = {
        number: asyncio.Future[str]()
        for number in ("11", "12", "13", "14", "15", "16", "17")
    }
    awaited["13"].cancel()
    pending = awaited.copy()
    for message in await _heard(replies):
        _deliver(answer, pending, message, "unknown-number")
        if awaited["14"].done():
            raise Wrong("wrong-one", seen=_outcome(awaited["14"]))
    errors = [_outcome(awaited[number]) for number in ("11", "16")]
    if isinstance(errors[0], LookupError) and errors[0] is errors[1]:
        raise Wrong("kept-between-calls", seen=errors[0])
    await _refuse_later(awaited["12"], replies[0])
    for number, drink in ("12", "horchata"), ("15", "guarapo"):
        _judge_result(answer, awaited[number], f"{number} ok {drink}", drink)
    _judge_failure(awaited["11"], "11 error tereré", LookupError("tereré"))
    _judge_status(awaited["16"], "16 error smoky", fails=True)
    _judge_status(awaited["17"], "17 ok terror", fails=False)
    for message in "13 ok mate", "13 error mate":
        _deliver(answer, pending, message, "late-reply")
    _deliver(answer, pending, "12 ok mate", "answered-twice")
    again = {number: asyncio.Future[str]() for number in ("11", "12")}
    for message in replies[:2]:
        _deliver(answer, again.copy(), message, "unknown-number")
    if not all(future.done() for future in again.values()):
        raise Wrong("kept-between-calls")
    again["11"].exception()  # so that it is no orphan
    return Right()


async def _refuse_later(future: asyncio.Future[str], message: str) -> None:
    """Refuse an answer that leaves the completing for a later turn."""
    if not future.done() and await until(future.done, MOMENT):
        raise Wrong("only-later", message=message)


def _judge_status(
    future: asyncio.Future[str], message: str, fails: bool
) -> None:
    """The drink of a message holds the letters of the other status."""
    if not future.done():
        raise Wrong("still-waiting", message=message)
    outcome = _outcome(future)
    if isinstance(outcome, Exception) != fails:
        raise Wrong("status-inside", message=message, seen=outcome)


async def _heard(messages: list[str]) -> list[str | bytes]:
    """Messages, after they have come over a real connection."""

    async def handler(websocket: ServerConnection) -> None:
        await send_all(websocket, *messages)

    async with serving(handler) as url, calling(url) as websocket:
        return await receive(websocket, len(messages))


def _deliver(answer: Answer, pending: Any, message: Any, mistake: str) -> None:
    """Hand over one message; the mistake is what its error is called."""
    try:
        answer(pending, message)
    except (KeyError, asyncio.InvalidStateError) as error:
        _refuse_helpers(answer)
        raise Wrong(mistake, message=message, seen=error) from None
    except LookupError:
        raise Wrong("raises-here", message=message) from None
    except (TypeError, ValueError):
        _refuse_helpers(answer)
        raise


def _judge_result(
    answer: Answer, future: asyncio.Future[str], message: str, drink: str
) -> None:
    if not future.done():
        _refuse_helpers(answer)
        raise Wrong("still-waiting", message=message)
    equal(_outcome(future), drink, "whole-message")


def _refuse_helpers(answer: Answer) -> None:
    """Refuse the lesson's helpers: they know the notebook's ``pending``."""
    if uses(answer, "hand_over", "fail_all"):
        raise Wrong("other-pending")


def _judge_failure(
    future: asyncio.Future[str], message: str, expected: LookupError
) -> None:
    if not future.done():
        raise Wrong("still-waiting", message=message)
    if future.cancelled():
        raise Wrong("cancelled-instead", message=message)
    error = _outcome(future)
    if future.exception() is None:
        raise Wrong("error-as-result", seen=error)
    if type(error) is not LookupError or error.args != expected.args:
        raise Wrong(
            "other-exception", wanted=repr(expected), received=repr(error)
        )


def _outcome(future: asyncio.Future[str]) -> Any:
    """What came of a future: its result, its exception, or None so far."""
    if not future.done():
        return None
    if future.cancelled():
        return asyncio.CancelledError()
    return future.exception() or future.result()


@exercise("20.2", answer="prediction")
async def bad_day_answers(answer: Any, program: Program) -> Right:
    await program.run()
    happened = program.result
    if answer == {"Ada": "latte", "Lima": "too late", "Eva": "too late"}:
        equal(answer, happened, "until-the-deadline")
    if answer == {**happened, "Lima": "mocha"}:
        equal(answer, happened, "made-after-the-cut")
    if answer == {**happened, "Eva": "line is dead"}:
        equal(answer, happened, "late-as-dead")
    if answer == dict.fromkeys(happened, "line is dead"):
        equal(answer, happened, "all-dead")
    if isinstance(answer, dict) and answer.get("Ada") == "line is dead":
        equal(answer, happened, "answered-before")
    refuse_other(answer, happened)
    return Right()


@exercise("20.3", parameters=3, limit=9, picture="timeline")
async def route(answer: Answer, run: Recorder) -> Right:
    await _judge_reader(answer, goodbye=False)
    await _judge_reader(answer, goodbye=True)
    await _judge_later(answer)
    if not await until(lambda: all_over(run)):
        raise Wrong("task-left")
    return Right()


SILENCE = 0.3  # seconds in which nothing comes


async def _judge_later(answer: Answer) -> None:
    """Somebody asks only when all others have heard; then it is cancelled."""
    pending: Pending = {}
    news: asyncio.Queue[Any] = asyncio.Queue()
    asked = asyncio.Event()

    async def handler(websocket: ServerConnection) -> None:
        await send_all(websocket, "30 nobody", NEWS[0])
        await asked.wait()
        await send_all(websocket, "31 mate", NEWS[1])
        await websocket.wait_closed()

    async with serving(handler) as url, calling(url) as websocket:
        routing = asyncio.ensure_future(answer(websocket, pending, news))
        try:
            await until(lambda: routing.done() or news.qsize() == 1)
            if not routing.done() and await until(routing.done, SILENCE):
                routing.result()
                raise Wrong("ends-at-silence")
            waiting = pending["31"] = asyncio.Future()
            asked.set()
            await until(lambda: routing.done() or news.qsize() == 2)
            if routing.done():
                routing.result()
                raise Wrong("ends-when-idle")
            if not waiting.done():
                raise Wrong("old-pending", message="31 mate")
            await refuse_unheard_cancel(routing)
        finally:
            asked.set()
            routing.cancel()


async def _tells_one(answer: Answer, goodbye: bool) -> bool:
    """Whether one is told who waits alone, beside nobody who has heard."""
    leave = asyncio.Event()

    async def handler(websocket: ServerConnection) -> None:
        await leave.wait()
        if goodbye:
            await websocket.close()
        else:
            websocket.transport.abort()

    waiting = asyncio.Future[str]()
    async with serving(handler) as url, calling(url) as websocket:
        routing = asyncio.ensure_future(
            answer(websocket, {"24": waiting}, asyncio.Queue())
        )
        leave.set()
        await ends(routing)
    return isinstance(_outcome(waiting), ConnectionError)


async def _judge_reader(answer: Answer, goodbye: bool) -> None:
    messages = [
        "22 horchata",
        "news rain today",
        "25 newspaper",
        "27 nobody",
        "23 late",
        "22 twice",
        "21 tereré",
        "news sun",
    ]
    leave = asyncio.Event()

    async def handler(websocket: ServerConnection) -> None:
        await send_all(websocket, *messages)
        await leave.wait()
        if goodbye:
            await websocket.close()
        else:
            websocket.transport.abort()

    awaited = {
        number: asyncio.Future[str]()
        for number in ("21", "22", "23", "24", "25")
    }
    awaited["23"].cancel()
    news: asyncio.Queue[Any] = asyncio.Queue()
    async with serving(handler) as url, calling(url) as websocket:
        routing = asyncio.ensure_future(
            answer(websocket, awaited.copy(), news)
        )
        try:
            await until(
                lambda: (
                    routing.done()
                    or (awaited["21"].done() and news.qsize() == 2)
                )
            )
            _judge_replies(answer, routing, awaited, news)
            leave.set()
            await _judge_end(answer, routing, awaited, goodbye)
        finally:
            leave.set()
            routing.cancel()
            await ends(routing)  # it may tell those who wait only now
            for future in awaited.values():
                _outcome(future)  # so that its exception is no orphan


def _judge_replies(
    answer: Answer,
    routing: asyncio.Future[Any],
    awaited: Pending,
    news: asyncio.Queue[Any],
) -> None:
    told = [news.get_nowait() for _ in range(news.qsize())]
    if routing.done():
        if routing.exception():
            _refuse_helpers(answer)
        try:
            routing.result()
        except KeyError as error:
            raise Wrong("unknown-number", message=error.args[0]) from None
        except asyncio.InvalidStateError:
            raise Wrong("late-reply") from None
        except ValueError as error:
            if UNPACKED in f"{error}":
                raise Wrong("three-words", seen=error) from None
            raise
        raise Wrong("ends-early")
    _judge_result(answer, awaited["22"], "22 horchata", "horchata")
    if not awaited["21"].done() and awaited["25"].done():
        raise Wrong("stops-at-unasked")
    if not awaited["21"].done() and told == NEWS[:1]:
        raise Wrong("stops-at-news")
    if "25 newspaper" in told and not awaited["25"].done():
        raise Wrong("news-inside", expected=NEWS, seen=told)
    _judge_result(answer, awaited["21"], "21 tereré", "tereré")
    if awaited["24"].done():
        raise Wrong("wrong-one", seen=_outcome(awaited["24"]))
    if not told:
        raise Wrong("news-lost", expected=NEWS, seen=[])
    equal(told, NEWS, "news-changed")


async def _judge_end(
    answer: Answer,
    routing: asyncio.Future[Any],
    awaited: Pending,
    goodbye: bool,
) -> None:
    if not await ends(routing):
        raise Wrong("reads-on")
    try:
        routing.result()
    except asyncio.InvalidStateError:
        raise Wrong("fails-answered") from None
    except Exception as error:
        for leaf in leaves(error):
            if isinstance(leaf, ConnectionClosed):
                raise Wrong("closed-escapes", seen=error) from None
            if isinstance(leaf, ConnectionError):
                raise Wrong("raises-dead-line", seen=error) from None
        raise
    waiting = awaited["24"]
    if not waiting.done():
        _refuse_helpers(answer)
        if await _tells_one(answer, goodbye):
            raise Wrong("stops-at-answered")
        raise Wrong(
            "forgotten-after-goodbye" if goodbye else "forgotten-after-cut"
        )
    told = _outcome(waiting)
    if not isinstance(told, ConnectionError):
        raise Wrong(
            "other-error", expected=ConnectionError.__name__, seen=told
        )


class _Bar(Service):
    """A café that makes each order in a task of its own.

    Attributes:
        making: the tasks that are not done.
        machine: what they wait in.
        tidy: set unless the handlers have something to do after the goodbye.
        seated: how many connections there have been.
    """

    def __init__(self) -> None:
        self.making: set[asyncio.Task[None]] = set()
        self.machine = Machine()
        self.tidy = asyncio.Event()
        self.tidy.set()
        self.seated = 0
        super().__init__(self._work)

    @property
    def server(self) -> Server:
        """What the answer is to drain."""
        return self._server

    async def _make(self, websocket: ServerConnection, order: Any) -> None:
        reply = await self.machine.hold(order)
        with suppress(ConnectionClosed):
            await websocket.send(reply)

    async def _work(self, websocket: ServerConnection) -> None:
        self.seated += 1
        with suppress(ConnectionClosed):
            async for order in websocket:
                task = asyncio.create_task(self._make(websocket, order))
                self.making.add(task)
                task.add_done_callback(self.making.discard)
        await self.tidy.wait()

    def failing(self) -> asyncio.Task[None]:
        """An order in work, which fails when it is cancelled."""

        async def spill() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise LookupError("no milk") from None

        task = asyncio.create_task(spill())
        self.making.add(task)
        task.add_done_callback(self.making.discard)
        task.add_done_callback(lambda done: done.exception())
        return task

    async def customer(self, order: str = "") -> Person:
        """One who is there, and whose order, if any, is in work."""
        there = self.seated
        person = await self.visit()
        await until(lambda: self.seated > there)
        if order:
            await person.send(order)
            await until(lambda: order in self.machine.started)
        return person

    async def close(self) -> None:
        """Let all end that a wrong answer has left."""
        self.tidy.set()
        self.machine.let_all_out()
        if self.making:
            await asyncio.wait(self.making, timeout=PATIENCE)


LATE = 6  # orders that are not done by the deadline, besides one


@exercise("20.4", parameters=3, limit=12, picture="wiretap")
async def drain(answer: Answer) -> Right:
    try:
        await _judge_empty(answer)
        # A second time with more of it, as the machine may have stood still.
        if not await _judge_deadline(answer, 0.4):
            await _judge_deadline(answer, 1.5)
        await _judge_no_hurry(answer)
        await _judge_silent(answer)
    except Wrong:
        if uses(answer, "finish_orders", "patient"):
            raise Wrong("other-making") from None
        raise
    return Right()


async def _judge_empty(answer: Answer) -> None:
    """Nobody is at work, and somebody is there."""
    async with _Bar() as bar:
        await bar.customer()
        draining = asyncio.ensure_future(answer(bar.server, set(), 0.1))
        try:
            if not await ends(draining):
                if bar.server.connections:
                    raise Wrong("no-deadline")
                raise Wrong("never-ends")
            _raise_error(draining)
        finally:
            draining.cancel()


async def _judge_deadline(answer: Answer, seconds: float) -> bool:
    """One has ordered nothing, one gets it in time, and one too late.

    Returns:
        whether all went on well before the deadline; else the machine may
        have stood still.
    """
    async with _Bar() as bar:
        people = {
            "Ada": await bar.customer(),
            "Eva": await bar.customer("mocha"),
            "Lima": await bar.customer("latte"),
        }
        lima = people["Lima"]
        for number in range(LATE):
            await people["Eva"].send(f"mocha {number}")
        await until(lambda: len(bar.making) > LATE + 1)

        def left() -> bool:
            return any(person.gone for person in people.values())

        def all_gone() -> bool:
            return all(person.gone for person in people.values())

        bar.tidy.clear()
        deadline, late = timer(seconds), timer(2 * seconds)
        draining = asyncio.ensure_future(
            answer(bar.server, bar.making, seconds)
        )
        try:
            await until(lambda: left() or draining.done(), seconds / 4)
            _raise_error(draining)
            if not deadline.is_set():
                if left():
                    if not await until(lambda: lima.gone, MOMENT):
                        raise Wrong("some-first")
                    raise Wrong("reply-lost", expected="latte ready", seen=[])
                if draining.done():
                    raise Wrong("returns-early")
                await _judge_newcomer(bar, seconds / 4)
            in_time = not deadline.is_set()
            bar.machine.let_out("latte")
            await until(left, seconds / 4)
            in_time = in_time and not deadline.is_set()
            if in_time and left():
                raise Wrong("cut-short")
            if in_time and "latte ready" not in lima.heard:
                raise Wrong("reply-lost", expected="latte ready", seen=[])
            if not await until(all_gone, seconds + PATIENCE):
                _raise_error(draining)
                if await until(all_gone, LATE * seconds):
                    raise Wrong("deadline-for-each", seconds=seconds)
                raise Wrong("no-deadline")
            if not deadline.is_set():
                raise Wrong("cut-short")
            in_time = in_time and not late.is_set()
            _judge_codes({name: each.code for name, each in people.items()})
            if await until(draining.done, MOMENT):
                _raise_error(draining)
                raise Wrong("returns-early")
            bar.tidy.set()
            if not await ends(draining):
                raise Wrong("never-ends")
            _raise_error(draining)
        finally:
            await bar.close()
            draining.cancel()
    return in_time


def _judge_codes(codes: dict[str, int | None]) -> None:
    if set(codes.values()) == {1001}:
        raise Wrong("late-code", expected=1012, seen=1001)
    equal(codes, dict.fromkeys(codes, 1012), "other-codes")


async def _judge_newcomer(bar: _Bar, seconds: float) -> None:
    """Nobody gets in; on Windows, to be told so takes two seconds."""
    opening = connect(bar.url, close_timeout=0.1)
    try:
        websocket = await patiently(opening, seconds)
    except (Silence, OSError, InvalidHandshake):
        return
    websocket.transport.abort()
    raise Wrong("newcomers")


async def _judge_no_hurry(answer: Answer) -> None:
    """One order fails, and all is done long before the deadline."""
    async with _Bar() as bar:
        lima = await bar.customer("latte")
        failing = bar.failing()
        draining = asyncio.ensure_future(answer(bar.server, bar.making, 60))

        def early() -> bool:
            return draining.done() or lima.gone

        try:
            await until(early, MOMENT / 3)
            failing.cancel()
            if await until(early, MOMENT):
                error = draining.exception() if draining.done() else None
                raise Wrong("failed-order", seen=error or UNSET)
            bar.machine.let_all_out()
            await until(lambda: lima.gone)
            if not await ends(draining):
                raise Wrong("waits-out")
            _raise_error(draining)
        finally:
            draining.cancel()


async def _judge_silent(answer: Answer) -> None:
    """Two clients do not answer the goodbye."""
    async with _Bar() as bar:
        for _ in range(2):
            person = await bar.customer()
            person.sleep()
        draining = asyncio.ensure_future(answer(bar.server, bar.making, 0.1))
        try:
            if not await until(lambda: not bar.server.connections):
                raise Wrong("one-by-one")
        finally:
            draining.cancel()


def _raise_error(draining: asyncio.Future[Any]) -> None:
    if not draining.done():
        return
    try:
        draining.result()
    except ValueError as error:
        if NO_TASKS in f"{error}":
            raise Wrong("nobody-there", seen=error) from None
        raise
    except TimeoutError as error:
        raise Wrong("timeout-leaves", seen=error) from None
