"""Judges the exercises of lesson 09: clients, and servers that they meet."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
)
from websockets.sync.client import connect as sync_connect

from aula.exercises.answer import close_unawaited
from aula.exercises.exercise import (
    Answer,
    Right,
    Unawaited,
    Wrong,
    exercise,
)
from aula.exercises.prediction import Program, refuse_other
from aula.instruments.frames import refused_by_send
from aula.instruments.record import Recorder
from aula.instruments.tasks import failure, is_orphaned
from aula.judges.mistakes import (
    NOT_ASYNC_ITERABLE,
    UNKNOWN,
    awaits_none,
    equal,
    leaves,
    named,
    refuse_no_star,
    refuse_none,
    refuse_unheard_cancel,
    uses,
)
from aula.judges.servers import calling, path_of, send_all, serving
from aula.judges.waiting import (
    MOMENT,
    PATIENCE,
    TURN,
    Silence,
    ends,
    ends_before,
    patiently,
    until,
)

NAMES = ["Ada", "Lima", "Eva"]
DELAYS: dict[Any, float] = {"Ada": 0.2, "Lima": 0.1}  # the last one is first


class _Greeter:
    """A server, and the blocking client of it that an answer is given.

    Attributes:
        greeting: what it says to each name.
        url: where it is served.
        most: how many clients it had at once.
        got_many: whether it was asked with several names at once.
    """

    def __init__(self, greeting: str = "Hola", count: int = 3) -> None:
        self.url = ""
        self.most = 0
        self.got_many = False
        self.greeting = greeting
        self._count = count
        self._present = 0
        self._alone = False
        self._loop_thread = threading.get_ident()
        self._in_loop = False
        self._unanswered: list[Exception] = []

    async def greet(self, websocket: ServerConnection) -> None:
        """Answer a name when all are there, or do not come."""
        self._present += 1
        self.most = max(self.most, self._present)
        with suppress(ConnectionClosed):
            name = await websocket.recv()
            if not self._alone:
                self._alone = not await until(lambda: self.most == self._count)
            await asyncio.sleep(DELAYS.get(name, 0))
            await websocket.send(f"{self.greeting}, {name!s}")
            await websocket.wait_closed()
        self._present -= 1

    def fetch(self, name: str) -> str | bytes:
        """Send a name, and wait for what is answered."""
        self.got_many |= not isinstance(name, str)
        in_loop = threading.get_ident() == self._loop_thread
        self._in_loop |= in_loop
        patience = 0.3 if in_loop else 1.5
        try:
            with sync_connect(self.url, open_timeout=patience) as websocket:
                websocket.send(name)
                return websocket.recv(timeout=5)
        except TimeoutError as timed_out:
            self._unanswered.append(timed_out)
            raise

    def refuse_held_loop(self, error: Exception | None = None) -> None:
        """Refuse an answer that held the loop while ``fetch`` was waiting.

        Arguments:
            error: what the answer raised.
        """
        if self._unanswered:
            # The one that came out of the answer shows its line, too.
            if error not in self._unanswered:
                error = self._unanswered[0]
            raise Wrong(
                "in-the-loop" if self._in_loop else "waits-without-await",
                seen=error,
            )


@exercise("09.1", parameters=2, picture="wiretap")
async def ask_all(answer: Answer) -> Right:
    greeter = _Greeter()

    def fetch(name: str) -> str | bytes:
        return greeter.fetch(name)

    expected = [f"Hola, {name}" for name in NAMES]
    async with serving(greeter.greet) as greeter.url:
        try:
            seen = await answer(fetch, [*NAMES])
        except Exception as error:
            greeter.refuse_held_loop(error)
            refuse_no_star(error)
            if greeter.got_many or "fetch() takes 1 " in f"{error}":
                raise Wrong("names-in-one-call", seen=error) from None
            raise
        items = list(seen) if isinstance(seen, list | tuple) else [seen]
        unawaited = [item for item in items if inspect.isawaitable(item)]
        await _put_away(unawaited)
    greeter.refuse_held_loop()
    if unawaited:
        raise Wrong("not-awaited")
    if greeter.got_many:
        raise Wrong("names-in-one-call", expected=expected, seen=seen)
    refuse_none(seen, expected)
    if sorted(map(str, items)) == sorted(expected) and items != expected:
        raise Wrong("other-order", expected=expected, seen=seen)
    if items != expected:
        raise Wrong("other-replies", expected=expected, seen=seen)
    equal(greeter.most, len(NAMES), "one-by-one")
    await _judge_equal_names(answer)
    return Right()


async def _judge_equal_names(answer: Answer) -> None:
    """More names, two of them equal, and other things that are answered."""
    # As many as threads that asyncio has at least, on one processor.
    names: list[str] = ["Lima", "Eva", "Lima", "Noa", "Ada"]
    greeter = _Greeter("Buenas", len(names))
    calls: list[str] = []

    def fetch(name: str) -> str | bytes:
        calls.append(name)
        return greeter.fetch(name)

    expected = [f"{greeter.greeting}, {name}" for name in names]
    async with serving(greeter.greet) as greeter.url:
        seen = await answer(fetch, [*names])
    if "Lima" not in calls:
        raise Wrong("kept-between-calls", expected=expected, seen=seen)
    equal(sorted(calls), sorted(names), "asked-once")
    equal(list(seen), expected, "equal-names")
    equal(greeter.most, len(names), "few-at-once")


async def _put_away(unawaited: list[Any]) -> None:
    """Let go of what an answer returned instead of awaiting it."""
    close_unawaited(unawaited)
    running = [one for one in unawaited if asyncio.isfuture(one)]
    ended = asyncio.gather(*running, return_exceptions=True)
    with suppress(Silence):
        await patiently(ended, 2 * PATIENCE)


# Predictions with a reason of their own: the farewell gets a reply all the
# same, after "leaving" or even before.
REPLIED = [
    "received: latte",
    "leaving",
    "received: mocha",
    "no more messages",
    "the end",
]
REPLIED_AT_ONCE = [REPLIED[0], REPLIED[2], REPLIED[1], *REPLIED[3:]]
# Nobody waits for the task's last line.
NOT_AWAITED = [
    ["received: latte", "leaving", "the end", "no more messages"],
    ["received: latte", "leaving", "the end"],
]


@exercise("09.2", answer="prediction", picture="wiretap")
async def last_words(answer: Any, program: Program) -> Right:
    await program.run()
    if answer == REPLIED:
        equal(answer, program.lines, "reply-after-goodbye")
    if answer == REPLIED_AT_ONCE:
        equal(answer, program.lines, "reply-without-pause")
    if answer in NOT_AWAITED:
        equal(answer, program.lines, "task-not-awaited")
    if isinstance(answer, list) and "latte" in answer:
        equal(answer, program.lines, "bare-message")
    if isinstance(answer, list) and answer[:2] == ["leaving", REPLIED[0]]:
        equal(answer, program.lines, "received-late")
    refuse_other(answer, program.lines)
    return Right()


LINES = ["latte", "", "mocha"]
UNASKED = ["mocha 2.50", "chai 3.00"]  # what the server says of itself
SHOWN = ["hola", "eco: latte", *UNASKED, "eco: ", "eco: mocha"]
SILENCE = 0.8  # seconds a chat keeps quiet: twice the lesson's own limit


class _Talk:
    """A chat's server, the person who types, and what is shown to them.

    Attributes:
        asked: how many lines the answer asked for.
        received: the lines that the server got.
        shown: the messages that the answer showed.
        due: how many should have been shown when some were missing; 0 if
            none ever was.
        codes: with which code the connection ended, if it has.
    """

    def __init__(self) -> None:
        self.asked = self.due = 0
        self.received: list[str | bytes] = []
        self.shown: list[Any] = []
        self.codes: list[int | None] = []
        self._shown_then: list[Any] = []
        self._websocket: ServerConnection | None = None

    async def reply(self, websocket: ServerConnection) -> None:
        self._websocket = websocket
        with suppress(ConnectionClosed):
            await websocket.send("hola")
            async for message in websocket:
                self.received.append(message)
                await websocket.send(f"eco: {message!s}")
        await websocket.wait_closed()
        self.codes.append(websocket.close_code)

    async def next_line(self) -> str | None:
        # A person types the next line when the reply is there to be read.
        await self._turn_up([1, 2, 5, 6][min(self.asked, 3)])
        if self.asked == 1 and self._websocket:
            # And is told something in the meantime, also after a silence.
            with suppress(ConnectionClosed):
                await self._say(self._websocket, 3)
                await asyncio.sleep(0 if self.due else SILENCE)
                await self._say(self._websocket, 4)
        self.asked += 1
        return LINES[self.asked - 1] if self.asked <= len(LINES) else None

    def refuse_late(self, mistake: str) -> None:
        """Refuse that a message was not shown in time."""
        raise Wrong(mistake, expected=SHOWN[: self.due], seen=self._shown_then)

    async def _say(self, websocket: ServerConnection, count: int) -> None:
        if not self.due:
            await websocket.send(SHOWN[count - 1])
            await self._turn_up(count)

    async def _turn_up(self, count: int) -> None:
        """Wait for messages to be shown; note when they were not."""
        if not self.due and not await until(lambda: len(self.shown) >= count):
            self.due, self._shown_then = count, [*self.shown]


@exercise("09.3", parameters=3, picture="wiretap")
async def chat(answer: Answer, run: Recorder) -> Right:
    talk = _Talk()
    async with serving(talk.reply) as url:
        task = asyncio.create_task(
            answer(url, talk.next_line, talk.shown.append)
        )
        await until(lambda: talk.asked or task.done(), 2 * PATIENCE)
        if talk.asked:
            await until(
                lambda: talk.asked > len(LINES) or task.done(),
                2 * PATIENCE + SILENCE,
            )
        ended = await ends(task, PATIENCE if talk.asked > len(LINES) else 0)
        if ended:
            await until(lambda: talk.codes)
            await asyncio.sleep(0.05)  # the receiving task ends
        codes = [*talk.codes]
        orphans = [
            lane.task
            for lane in run.lanes
            if lane.task.done() and is_orphaned(lane.task)
        ]
    if ended and not talk.due:
        if isinstance(failure(task), ConnectionClosedOK):
            raise Wrong("close-escapes", seen=failure(task))
    _refuse_type_errors([task, *(one.task for one in run.lanes if one.shown)])
    _judge_showing(talk, ended)
    if ended:
        task.result()  # raises what the answer raised
    elif not talk.asked:
        raise Wrong("receives-first")
    if ended and not talk.shown:
        raise Wrong("not-shown", expected=SHOWN, seen=talk.shown)
    if talk.due:
        talk.refuse_late("lock-step" if talk.due == 3 else "shown-late")
    if not ended and talk.asked > len(LINES):
        raise Wrong("never-ends")
    equal([talk.received, talk.shown], [LINES, SHOWN], "other-lines")
    if not codes:
        raise Wrong("left-open")
    if orphans:
        raise Wrong("nobody-awaited", seen=failure(orphans[0]))
    equal(codes, [1000], "other-code")
    await _judge_failing_show(answer, run)
    await _judge_flood(answer)
    return Right()


def _refuse_type_errors(tasks: list[asyncio.Task[Any]]) -> None:
    """Refuse the everyday mistakes that some task has stumbled over."""
    for task in tasks:
        error = failure(task) if task.done() else None
        for leaf in leaves(error) if error else ():
            if awaits_none(leaf):
                raise Wrong("awaits-show", seen=leaf)
            if NOT_ASYNC_ITERABLE in f"{leaf}":
                raise Unawaited("line-iterated", seen=leaf)
            if None in refused_by_send(leaf):
                raise Wrong("sends-none", seen=leaf)
            if named(leaf) is not leaf:
                raise named(leaf)


def _judge_showing(talk: _Talk, ended: bool) -> None:
    """Everything was shown while lines were asked for, the empty one too."""
    # One that shows nothing in time may close before the server has read.
    if talk.asked > 1 and (talk.due > 4 if talk.due else ended):
        if talk.received == ["latte", "mocha"][: len(talk.received)]:
            raise Wrong("empty-line", expected=LINES, seen=talk.received)
    if talk.due > 3:
        talk.refuse_late("stops-receiving")


class _NoPaper(Exception):
    """What a show raises that cannot show a message."""


async def _judge_failing_show(answer: Answer, run: Recorder) -> None:
    """What ``show`` raises comes out, at the end at the latest."""
    failed = asyncio.Event()

    def show(message: Any) -> None:
        failed.set()
        raise _NoPaper(message)

    async def next_line() -> None:
        await failed.wait()

    async with serving(_Talk().reply) as url:
        task = asyncio.create_task(answer(url, next_line, show))
        error = failure(task) if await ends(task) else None
    if _is_for_lack_of_paper(error):
        return
    tasks = [lane.task for lane in run.lanes if lane.task.done()]
    if any(_is_for_lack_of_paper(failure(one)) for one in tasks):
        raise Wrong("show-error-lost")
    raise Wrong("show-error-caught")


def _is_for_lack_of_paper(error: BaseException | None) -> bool:
    return error is not None and any(
        isinstance(one, _NoPaper) for one in leaves(error)
    )


FLOOD = ["hola", "hola", "", *[f"chai {number}" for number in range(12)]]


async def _judge_flood(answer: Answer) -> None:
    """Many messages come at once, two of them equal and one of them empty."""
    shown: list[Any] = []

    async def talk(websocket: ServerConnection) -> None:
        await send_all(websocket, *FLOOD)
        await websocket.wait_closed()

    async def next_line() -> None:
        await until(lambda: shown[-1:] == FLOOD[-1:])

    async with serving(talk) as url:
        await ends(
            asyncio.create_task(answer(url, next_line, shown.append)),
            3 * PATIENCE,
        )
    if shown == FLOOD[1:]:
        raise Wrong("equal-messages")
    if shown == [message for message in FLOOD if message]:
        raise Wrong("empty-message")
    if shown == FLOOD[: len(shown)] != FLOOD:
        raise Wrong("few-shown", count=len(shown))
    equal(shown, FLOOD, "other-lines")


TICKS = [f"tick {number}" for number in range(5)]
GAP = 0.1  # seconds between two of them
QUIET = 0.3  # seconds without one that end them
LATE = "late"  # what comes after a longer silence, to those who still wait
LAST = ["latte", "mocha"]  # what comes before a close
# What comes before an endless silence.
ODD = ["latte", "", "latte", b"chai", " mocha ", *"abcdefgh"]


class _Ticker:
    """A server that sends messages at a pace, or closes behind them.

    Attributes:
        sent: how many ticks it has sent.
        slowest: the longest that a client had to wait for one, in seconds.
    """

    def __init__(self) -> None:
        self.sent = 0
        self.slowest = 0.0

    async def tick(self, websocket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            match path_of(websocket):
                case "/closing":
                    await websocket.send(LAST[0])
                    await asyncio.sleep(0.7)
                    await websocket.send(LAST[1])
                case "/failing":
                    await websocket.send(LAST[0])
                    await websocket.send(LAST[1])
                    await websocket.close(1011)
                case "/odd":
                    for message in ODD:
                        await websocket.send(message)
                    await websocket.wait_closed()
                case "/silent":
                    await websocket.wait_closed()
                case _:
                    await self._keep_pace(websocket)

    async def _keep_pace(self, websocket: ServerConnection) -> None:
        clock = asyncio.get_running_loop().time
        self.sent, self.slowest, before = 0, 0.0, clock()
        for message in TICKS:
            await asyncio.sleep(GAP)
            await websocket.send(message)
            self.sent += 1
            now = clock()
            self.slowest, before = max(self.slowest, now - before), now
        await asyncio.sleep(QUIET * 1.7)
        await websocket.send(LATE)
        await websocket.wait_closed()


@exercise("09.4", parameters=2, picture="wiretap", limit=6)
async def until_quiet(answer: Answer) -> Right:
    ticker = _Ticker()
    async with serving(ticker.tick) as url:
        try:
            await _judge_paced(answer, ticker, url)
        except Wrong:
            # A machine that stood still for a while says nothing about the
            # answer.
            if ticker.slowest < QUIET / 1.5:
                raise
            await _judge_paced(answer, ticker, url)
        await _judge_closing(answer, f"{url}/closing")
        await _judge_closing(answer, f"{url}/failing")
        await _judge_silence(answer, f"{url}/odd")
        await _judge_cancelled(answer, f"{url}/silent")
    return Right(count=len(TICKS))


async def _judge_paced(answer: Answer, ticker: _Ticker, url: str) -> None:
    """Messages come, and then no more."""
    async with calling(url) as websocket:
        try:
            # Half as long again as who waits a second for each message.
            seen = await patiently(answer(websocket, QUIET), 3 * PATIENCE)
        except Silence:
            raise Wrong("never-ends") from None
        except TimeoutError as error:
            raise Wrong(
                "timeout-escapes", expected=TICKS, seen=error
            ) from None
        except TypeError as error:
            if UNKNOWN in f"{error}" and "'timeout'" in f"{error}":
                raise Wrong("blocking-recv", seen=error) from None
            raise
        all_sent = ticker.sent == len(TICKS)
    refuse_none(seen, TICKS)
    if isinstance(seen, list) and seen != TICKS and all_sent:
        if all(message in TICKS for message in seen):
            raise Wrong("list-anew", expected=TICKS, seen=seen)
    if seen == [*TICKS, LATE]:
        raise Wrong("waits-too-long", expected=TICKS, seen=seen)
    if seen in (TICKS[0], TICKS[:1]):
        raise Wrong("first-only", expected=TICKS, seen=seen)
    if isinstance(seen, list) and seen == TICKS[: len(seen)] != TICKS:
        raise Wrong("whole-time", expected=TICKS, seen=seen)
    equal(seen, TICKS, "other-messages")


async def _judge_closing(answer: Answer, url: str) -> None:
    """The server closes before the silence is long enough."""
    async with calling(url) as websocket:
        try:
            seen = await patiently(answer(websocket, 5.0), 2 * PATIENCE)
        except Silence:
            raise Wrong("goes-on-after-close") from None
        except ConnectionClosedError as error:
            raise Wrong("error-escapes", expected=LAST, seen=error) from None
        except ConnectionClosed as error:
            if uses(answer, "ConnectionClosed"):
                raise Wrong(
                    "named-not-caught", expected=LAST, seen=error
                ) from None
            raise Wrong("close-escapes", expected=LAST, seen=error) from None
    if isinstance(seen, list) and seen[-len(LAST) :] == LAST != seen:
        raise Wrong("kept-between-calls", expected=LAST, seen=seen)
    equal(seen, LAST, "other-limit" if seen == LAST[:1] else "lost-at-close")


async def _judge_silence(answer: Answer, url: str) -> None:
    """Equal messages and an empty one come, and then nothing more ever."""
    async with calling(url) as websocket:
        await asyncio.sleep(2 * TURN)  # they are all there
        try:
            seen = await patiently(answer(websocket, GAP), 2 * PATIENCE)
        except Silence:
            raise Wrong("looks-too-late") from None
        if isinstance(seen, list):
            _refuse_odd(seen)
        equal(seen, ODD, "other-messages")
        await asyncio.sleep(TURN)
        with suppress(Silence, ConnectionClosed):
            try:
                await patiently(websocket.recv(), 5 * TURN)
            except ConcurrencyError:
                raise Wrong("still-reading") from None


def _refuse_odd(seen: list[Any]) -> None:
    """Refuse messages that are missing or changed."""
    both = {"expected": ODD, "seen": seen}
    if seen in (ODD[:1], [message for message in ODD if message]):
        raise Wrong("empty-message", **both)
    if len(seen) < len(ODD) and {*map(repr, seen)} == {*map(repr, ODD)}:
        raise Wrong("equal-messages", **both)
    if seen == ODD[: len(seen)] != ODD:
        raise Wrong("few-messages", **both)
    if len(seen) == len(ODD):
        equal(seen, ODD, "changed-messages")


async def _judge_cancelled(answer: Answer, url: str) -> None:
    """Somebody else gives the wait up."""
    async with calling(url) as websocket:
        waiting = asyncio.create_task(answer(websocket, 5.0))
        await ends_before(waiting, MOMENT)
        await refuse_unheard_cancel(waiting)


class _Leaver:
    """A server that says two things and leaves, as the path says.

    Attributes:
        deaf: set once it reads nothing more, at ``/deaf``.
        released: to be set for it to go then.
    """

    def __init__(self) -> None:
        self.deaf = asyncio.Event()
        self.released = asyncio.Event()

    async def leave(self, websocket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await websocket.send("latte")
            await websocket.send("mocha")
            match path_of(websocket):
                case "/deaf":
                    websocket.transport.pause_reading()
                    self.deaf.set()
                    await self.released.wait()
                    websocket.transport.abort()
                case "/1005":  # a close frame without a code
                    websocket.protocol.send_close()
                    for data in websocket.protocol.data_to_send():
                        websocket.transport.write(data)
                case "/1006":
                    websocket.transport.abort()
                case path:
                    await websocket.close(int(path[1:]))
            await websocket.wait_closed()


@exercise("09.5", parameters=1, picture="wiretap", limit=6)
async def how_it_ended(answer: Answer) -> Right:
    leaver = _Leaver()
    endings = {
        1000: "ok",
        1001: "ok",
        1008: "error",
        1006: "error",
        1005: "ok",
    }
    async with serving(leaver.leave) as url:
        for code, kind in endings.items():
            async with calling(f"{url}/{code}") as websocket:
                await _judge_ending(answer(websocket), websocket, (kind, code))
        # The client says goodbye and the server never answers.
        async with calling(f"{url}/deaf") as websocket:
            ending = asyncio.create_task(answer(websocket))
            await leaver.deaf.wait()
            await websocket.close(1001)
            leaver.released.set()
            await _judge_ending(ending, websocket, ("error", 1006), sent=1001)
    return Right()


async def _judge_ending(
    ending: Awaitable[Any],
    websocket: ClientConnection,
    expected: tuple[str, int],
    sent: int | None = None,
) -> None:
    """Judge what is said of an ending, in which the client sent a code."""
    kind, code = expected
    try:
        seen = await patiently(ending, 2 * PATIENCE)
    except Silence:
        raise Wrong("never-ends", expected=expected) from None
    except ConnectionClosedOK as error:
        raise Wrong("ok-escapes", expected=expected, seen=error) from None
    except ConnectionClosedError as error:
        raise Wrong("error-escapes", expected=expected, seen=error) from None
    except AttributeError as error:
        if code != 1006:
            raise
        raise Wrong("no-close-frame", expected=expected, seen=error) from None
    if isinstance(seen, list):
        seen = tuple(seen)
    if seen == expected:
        return
    both = {"expected": expected, "seen": seen}
    if seen is None and await _is_read(websocket):
        raise Wrong("quiet-end" if kind == "ok" else "printed", **both)
    if seen in (None, "latte", "mocha"):
        raise Wrong("reads-too-little", **both)
    pair = seen if isinstance(seen, tuple) and len(seen) == 2 else (None, seen)
    if sent is not None and pair[1] == sent:
        raise Wrong("sent-code", **both)
    if pair[0] == kind and isinstance(pair[1], int):
        raise Wrong("other-code", **both)
    if pair == ("error", 1001):
        raise Wrong("going-away", **both)
    if pair == ("error", 1005):
        raise Wrong("without-code", **both)
    if pair == ("error", 1000):
        raise Wrong("catches-first", **both)
    if kind == "error" and pair[0] == "ok":
        raise Wrong("all-ok", **both)
    raise Wrong("other-pair", **both)


async def _is_read(websocket: ClientConnection) -> bool:
    """Whether an answer has left no message unread; reads the first."""
    try:
        await patiently(websocket.recv())
    except (ConnectionClosed, Silence):
        return True
    return False
