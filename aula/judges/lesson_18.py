"""Judges the exercises of lesson 18: dead lines, pings and close codes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConcurrencyError, ConnectionClosed

from aula.exercises.exercise import Answer, Right, Wrong, exercise
from aula.exercises.prediction import Program, refuse_other
from aula.instruments.record import Recorder
from aula.judges.mistakes import (
    all_over,
    equal,
    leaves,
    lost,
    refuse_none,
    refuse_unheard_cancel,
)
from aula.judges.servers import (
    Service,
    address,
    calling,
    path_of,
    quiet,
    send_all,
    serving,
)
from aula.judges.waiting import (
    MOMENT,
    PATIENCE,
    Silence,
    ends,
    ends_before,
    patiently,
    until,
)


@exercise("18.1", answer="prediction")
async def noticed_order(answer: Any, program: Program) -> Right:
    await program.run()
    if answer in (["Ada", "Eva", "Lima"], ["Eva", "Ada", "Lima"]):
        equal(answer, program.lines, "without-the-close")
    if answer == ["Ada", "Lima", "Eva"]:
        equal(answer, program.lines, "as-they-connected")
    refuse_other(answer, program.lines)
    return Right()


WAIT = 0.2  # seconds that an answer gives the PONG
LATE = 0.6  # seconds after which a PONG comes that is awaited for longer
LONG = 1.0  # seconds that it is given then
UNREAD = "latte"  # a message that an answer must leave unread


class _Ends:
    """A server whose connections can be stopped, and are quiet themselves.

    Attributes:
        latest: the connection that was opened last.
        received: the messages that clients have sent.
    """

    def __init__(self) -> None:
        self.latest: ServerConnection | None = None
        self.received: list[str | bytes] = []

    async def handle(self, websocket: ServerConnection) -> None:
        self.latest = websocket
        with suppress(ConnectionClosed):
            await websocket.send(UNREAD)
            async for message in websocket:
                self.received.append(message)

    @asynccontextmanager
    async def client(self, url: str) -> AsyncIterator[ClientConnection]:
        """A client that does not ping by itself, and goes at once."""
        self.latest = None
        websocket = await connect(url, ping_interval=None, close_timeout=WAIT)
        await until(lambda: self.latest)
        try:
            yield websocket
        finally:
            websocket.transport.abort()
            await websocket.wait_closed()
            self.listen()  # or the server would wait long for its end

    def deafen(self) -> None:
        """The server's end reads nothing more."""
        if self.latest:
            self.latest.transport.pause_reading()

    def listen(self) -> None:
        """The server's end reads again."""
        if self.latest:
            self.latest.transport.resume_reading()

    def cut(self) -> None:
        """The server's end goes without a word."""
        if self.latest:
            self.latest.transport.abort()


@exercise("18.2", parameters=2, limit=9, picture="wiretap")
async def responds(answer: Answer) -> Right:
    far = _Ends()
    async with serving(far.handle) as url:
        async with far.client(url) as websocket:
            # Where clocks are coarse, a PONG may come in no time at all.
            websocket.latency = -1
            seen = await _ask(answer, websocket, 20 * WAIT, alive=True)
            refuse_none(seen, expected=True)
            pinged = await until(lambda: websocket.latency >= 0, 0.1)
            await _judge_healthy(far, websocket, seen)
        async with far.client(url) as websocket:
            far.deafen()
            seen = await _ask(answer, websocket, within=2.5 * WAIT)
            if seen:
                if pinged:
                    raise Wrong("no-pong-awaited", expected=False, seen=seen)
                raise Wrong("never-asked", expected=False, seen=seen)
            refuse_none(seen, expected=False)
            equal(seen, False, "not-a-bool")
            if websocket.state.name != "OPEN":
                raise Wrong("closes", seen=websocket.state.name)
        async with far.client(url) as websocket:
            await websocket.close()
            equal(await _ask(answer, websocket), False, "true-when-closed")
        async with far.client(url) as websocket:
            far.deafen()
            asyncio.get_running_loop().call_later(WAIT / 2, far.cut)
            equal(
                await _ask(answer, websocket, 20 * WAIT),
                False,
                "true-when-closed",
            )
        # The machine does not stand still twice.
        if not await _waits(answer, far, url):
            seen = await _waits(answer, far, url)
            equal(seen, True, "other-limit", seconds=LONG, late=LATE)
        async with far.client(url) as websocket:
            await _judge_two_at_once(answer, websocket)
            far.deafen()
            await _judge_full(answer, websocket)
            asking = asyncio.ensure_future(answer(websocket, 60))
            if await ends_before(asking, MOMENT):
                raise Wrong("kept-between-calls", seen=asking.result())
            await refuse_unheard_cancel(asking)
    return Right()


async def _waits(answer: Answer, far: _Ends, url: str) -> Any:
    """What the answer returns if the PONG comes late, but in time."""
    async with far.client(url) as websocket:
        far.deafen()
        later = asyncio.get_running_loop().call_later(LATE, far.listen)
        try:
            return await _ask(answer, websocket, LONG, LATE + PATIENCE)
        finally:
            later.cancel()


async def _judge_full(answer: Answer, websocket: ClientConnection) -> None:
    """Nobody reads, and so much waits to be sent that the PING waits, too."""
    websocket.pause_writing()  # as its transport does then
    try:
        await _ask(answer, websocket)
    except Wrong as wrong:
        if wrong.mistake == "waits-on":
            raise Wrong("ping-unlimited") from None
        raise
    websocket.resume_writing()


async def _judge_two_at_once(
    answer: Answer, websocket: ClientConnection
) -> None:
    """Two ask the same connection at the same time."""
    two = [_ask(answer, websocket, 20 * WAIT, alive=True) for _ in range(2)]
    seen = await asyncio.gather(*two, return_exceptions=True)
    for each in seen:
        if isinstance(each, ConcurrencyError):
            raise Wrong("same-payload", seen=each) from None
        if isinstance(each, BaseException):
            raise each
    equal(seen, [True, True], "false-though-alive")


async def _ask(
    answer: Answer,
    websocket: ClientConnection,
    seconds: float = WAIT,
    within: float = PATIENCE,
    alive: bool = False,
) -> Any:
    """What the answer returns of a connection.

    Arguments:
        within: how long it may take.
        alive: whether the other end answers at once.
    """
    asking = asyncio.ensure_future(answer(websocket, seconds))
    if not await ends(asking, within):
        if alive:
            raise Wrong("always-waits")
        raise Wrong("waits-on", seconds=seconds)
    try:
        return asking.result()
    except TimeoutError as error:
        raise Wrong("timeout-escapes", seen=error) from None
    except ConnectionClosed as error:
        raise Wrong("closed-escapes", seen=error) from None


async def _judge_healthy(
    far: _Ends, websocket: ClientConnection, seen: Any
) -> None:
    """The other end answers; nothing else has happened to the connection."""
    if websocket.state.name != "OPEN":
        raise Wrong("closes", seen=websocket.state.name)
    try:
        unread = await patiently(websocket.recv(), WAIT)
    except Silence:
        raise Wrong("takes-a-message", seen=seen) from None
    equal(unread, UNREAD, "takes-a-message")
    if far.received:
        raise Wrong("sends-a-message", seen=far.received)
    if not isinstance(seen, bool):
        raise Wrong("not-a-bool", expected=True, seen=seen)
    equal(seen, True, "false-though-alive")


ORDERS = [f"order {number}" for number in range(45)]
FIRST = 30  # how many of them come at once
EMPTY = 35  # the one that is an empty text
PAUSE = 40  # before this one, all others are done
ORDERS[EMPTY] = ""
ORDERS[7] = ORDERS[3]  # which somebody orders again
WORK = 0.02  # seconds that each takes: together longer than the PONG may


class _Bench:
    """Where the answer works, one order after the other.

    Attributes:
        done: the orders that were handled.
        begun: those that were taken up.
        most: how many were handled at once.
        late: whether none was taken up while more were to come.
        stopped: whether none was taken up after a pause.
    """

    def __init__(self) -> None:
        self.late = False
        self.stopped = False
        self.done: list[Any] = []
        self.begun: list[Any] = []
        self.most = 0

    async def work(self, order: Any) -> None:
        self.begun.append(order)
        self.most = max(self.most, len(self.begun) - len(self.done))
        await asyncio.sleep(WORK)
        self.done.append(order)


@exercise("18.3", parameters=2, limit=9)
async def work_through(answer: Answer, run: Recorder) -> Right:
    bench = _Bench()
    endings: list[ServerConnection] = []

    async def rush(websocket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            for order in ORDERS[:FIRST]:
                await websocket.send(order)
            bench.late = not await until(lambda: bench.begun)
            if bench.late:
                await websocket.close()
            for order in ORDERS[FIRST:PAUSE]:
                await websocket.send(order)
            # Long enough for pings to go out, and for a PONG to be late.
            await until(lambda: len(bench.done) > FIRST, 2 * PATIENCE)
            await until(
                lambda: len(bench.done) == PAUSE or websocket.close_code
            )
            await asyncio.sleep(2 * WORK)
            for order in ORDERS[PAUSE:]:
                await websocket.send(order)
            bench.stopped = not await until(lambda: len(bench.begun) > PAUSE)
            await websocket.close()
        await websocket.wait_closed()
        endings.append(websocket)

    server = await serve(
        rush,
        "127.0.0.1",
        0,
        logger=quiet,
        ping_interval=0.1,
        ping_timeout=0.2,
        close_timeout=0.1,
    )
    try:
        async with calling(address(server)) as websocket:
            task = asyncio.create_task(answer(websocket, bench.work))
            await until(lambda: endings or task.done(), 6 * PATIENCE)
            early = task.done() and not await until(lambda: endings, MOMENT)
            ended = await ends(task, 3 * PATIENCE)
            await until(lambda: endings, 0.3)
    finally:
        server.close()
        await server.wait_closed()
    if early and not task.exception():
        raise Wrong("ends-early", expected=len(ORDERS), seen=len(bench.done))
    sent = endings[0].protocol.close_sent if endings else None
    reason = sent.reason if sent else ""
    if "keepalive" in reason:
        raise Wrong("too-busy-to-answer", seen=f"{sent}", done=len(bench.done))
    if ended:
        _raise(task, bench)
    for error in lost(run):
        raise error
    _refuse_late_start(bench)
    if bench.begun == ORDERS[:EMPTY]:
        raise Wrong("empty-order", count=EMPTY)
    if bench.stopped and bench.done == ORDERS[:PAUSE]:
        raise Wrong("stops-at-a-pause", count=PAUSE)
    if bench.most > 1:
        raise Wrong("several-at-once", count=bench.most)
    if not ended:
        raise Wrong("never-ends", done=len(bench.done))
    if bench.done == [*dict.fromkeys(ORDERS)]:
        raise Wrong("equal-orders", order=ORDERS[3])
    equal(len(bench.done), len(ORDERS), "orders-left")
    if sorted(bench.done) == sorted(ORDERS) != bench.done:
        _refuse_sequence(bench.done)
    equal(bench.done, ORDERS, "other-orders")
    if not await until(lambda: all_over(run)):
        raise Wrong("task-left-at-end")
    await _judge_two(answer)
    await _judge_cut(answer, run)
    return Right()


def _refuse_sequence(done: list[Any]) -> None:
    """All orders were handled, but not as they came; show where it begins."""
    for place, (order, seen) in enumerate(zip(ORDERS, done, strict=True)):
        if order != seen:
            some = slice(place, place + 5)
            raise Wrong(
                "other-sequence", expected=ORDERS[some], seen=done[some]
            )


async def _judge_two(answer: Answer) -> None:
    """Two connections; the second has its orders when the first is done."""
    benches = {"/ada": _Bench(), "/lima": _Bench()}
    orders = {
        path: [f"{path} {number}" for number in range(3)] for path in benches
    }

    async def send_three(websocket: ServerConnection) -> None:
        path = path_of(websocket)
        if path == "/lima":
            await until(lambda: len(benches["/ada"].done) == 3)
        await send_all(websocket, *orders[path])

    async with (
        serving(send_three) as url,
        calling(f"{url}/ada") as ada,
        calling(f"{url}/lima") as lima,
    ):
        working = [
            asyncio.ensure_future(answer(websocket, bench.work))
            for websocket, bench in zip(
                (ada, lima), benches.values(), strict=True
            )
        ]
        over = [await ends(each, 2 * PATIENCE) for each in working]
    for path, bench in benches.items():
        equal(bench.begun, orders[path], "shared-queue")
    for each, ended in zip(working, over, strict=True):
        if not ended:
            raise Wrong("shared-queue")
        each.result()


async def _judge_cut(answer: Answer, run: Recorder) -> None:
    """The line is cut while an order is in work."""
    bench = _Bench()

    async def cut(websocket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await websocket.send(ORDERS[0])
        await until(lambda: bench.begun)
        websocket.transport.abort()

    async with serving(cut) as url, calling(url) as websocket:
        task = asyncio.create_task(answer(websocket, bench.work))
        if not await ends(task, 2 * PATIENCE):
            task.cancel()
            raise Wrong("waits-after-cut")
    error = task.exception()
    for leaf in leaves(error) if error else []:
        if not isinstance(leaf, ConnectionClosed):
            raise leaf
    if not await until(lambda: all_over(run)):
        raise Wrong("task-left-at-cut")


def _raise(task: asyncio.Task[Any], bench: _Bench) -> None:
    """Raise what the answer raised; name a close that it let out."""
    error = task.exception()
    if error is None:
        return
    for leaf in leaves(error):
        if isinstance(leaf, ConnectionClosed) and bench.begun:
            raise Wrong("close-escapes", seen=leaf) from None
    raise error


def _refuse_late_start(bench: _Bench) -> None:
    """The first orders were handled before the last had come."""
    if not bench.begun:
        raise Wrong("never-works")
    if bench.late:
        raise Wrong("collects-first", seen=len(bench.begun))


TICKETS = {"latte-7", "mocha-3"}
# Each is like one of them.
SIMILAR = "latte", "latte-77", " latte-7", "Latte-7"
SLOW = 0.6  # seconds until one shows a ticket who takes their time


@exercise("18.4", parameters=2, picture="wiretap")
async def check_ticket(answer: Answer) -> Right:
    tickets = TICKETS.copy()
    async with Service(answer, tickets) as service:
        for ticket in sorted(TICKETS):
            heard, code, _ = await _enter(service, ticket)
            service.raise_errors()
            if heard is None:
                raise Wrong("never-closes", ticket=ticket)
            equal(heard, ["welcome"], "not-welcome", ticket=ticket)
            equal(code, 1000, "valid-other-code", ticket=ticket)
        equal(tickets, TICKETS, "tickets-changed")
        for ticket in "chai-1", *SIMILAR, "":
            heard, code, reason = await _enter(service, ticket)
            if ticket in SIMILAR and heard and "welcome" in heard:
                raise Wrong("similar-let-in", ticket=ticket, seen=heard)
            if not ticket and heard == [] and code in (1000, 1003):
                raise Wrong("empty-text", expected=4003, seen=code)
            _judge_refused(service, heard, code, 4003, ticket)
            equal(reason, "unknown ticket", "other-reason")
        for data in b"latte-7", b"":
            heard, code, _ = await _enter(service, data)
            if code == 4003:
                raise Wrong("bytes-as-unknown", expected=1003, seen=code)
            if not data and heard == [] and code == 1000:
                raise Wrong("empty-text", expected=1003, seen=code)
            _judge_refused(service, heard, code, 1003, data)
        heard, _, _ = await _enter(service, min(TICKETS))
        equal(heard, ["welcome"], "kept-between-calls")
        silent = await service.visit()
        heard, _, _ = await _enter(service, min(TICKETS))
        equal(heard, ["welcome"], "one-at-a-time")
        await silent.leave()
        heard, code, _ = await _enter(service, max(TICKETS), after=SLOW)
        equal(heard, ["welcome"], "own-limit", seconds=SLOW)
        for leave in "leave", "vanish":
            person = await service.visit()
            await until(lambda: service.running)
            if leave == "leave":
                await person.leave()
            else:
                person.vanish()
            await until(lambda: not service.running)
            if service.closed:
                raise Wrong("silent-client", seen=service.closed[0])
        service.raise_errors()
    return Right()


async def _enter(
    service: Service, ticket: str | bytes, after: float = 0
) -> tuple[list[Any] | None, int | None, str | None]:
    """Show a ticket: what is said, with which code and reason it ends.

    Arguments:
        after: how long the client takes until it shows it.
    """
    heard: list[Any] = []

    async def listen(websocket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                heard.append(await websocket.recv())

    async with service.connect() as websocket:
        await asyncio.sleep(after)
        await send_all(websocket, ticket)
        if not await ends(asyncio.create_task(listen(websocket))):
            return None, None, None
        return heard, websocket.close_code, websocket.close_reason


def _judge_refused(
    service: Service,
    heard: list[Any] | None,
    code: int | None,
    expected: int,
    ticket: str | bytes,
) -> None:
    """The ticket was refused, and only by a code."""
    error = service.failure()
    if "unknown ticket" in f"{error}":
        raise Wrong("raises-instead", seen=error)
    service.raise_errors()
    if heard is None:
        raise Wrong("never-closes", ticket=ticket)
    if "welcome" in heard and isinstance(ticket, bytes):
        raise Wrong("bytes-let-in", seen=heard)
    if "welcome" in heard:
        raise Wrong("lets-in", ticket=ticket, seen=heard)
    if heard:
        raise Wrong("says-instead", expected=expected, seen=[*heard, code])
    equal(code, expected, "other-code", ticket=ticket)
