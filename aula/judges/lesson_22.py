"""Judges the exercises of lesson 22.

Their attackers stay on this machine, send little, and end by themselves.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
)

from aula.exercises.exercise import Answer, Right, Wrong, exercise
from aula.exercises.prediction import Program, refuse_other
from aula.judges.mistakes import equal, refuse_none
from aula.judges.servers import Hung, Service, address, hear, stop, tell
from aula.judges.waiting import MOMENT, Silence, patiently, until

OUTCOME = re.compile(r"\d+ letters|closed: \d+")


@exercise("22.1", answer="prediction", picture="wiretap")
async def fits(answer: Any, program: Program) -> Right:
    await program.run()
    fit, closed = "1000 letters", "closed: 1009"
    if isinstance(answer, list) and any(
        isinstance(item, int) for item in answer
    ):
        equal(answer, program.result, "no-texts")
    if isinstance(answer, list) and not all(
        isinstance(item, str) and OUTCOME.fullmatch(item) for item in answer
    ):
        equal(answer, program.result, "other-spelling")
    if isinstance(answer, list) and answer[:2] == [fit, fit]:
        equal(answer, program.result, "as-if-cut-off")
    if answer == [fit, "1001 letters", "600 letters", "500 letters"]:
        equal(answer, program.result, "as-if-compressed")
    if isinstance(answer, list) and "1200 letters" in answer:
        equal(answer, program.result, "as-if-len-of-bytes")
    if answer == [fit, closed, "600 letters", "500 letters"]:
        equal(answer, program.result, "as-if-letters")
    if answer == [closed, closed, closed, closed]:
        equal(answer, program.result, "as-if-less-than")
    if answer == [closed, closed, closed, "500 letters"]:
        equal(answer, program.result, "as-if-less-than")
    if answer == [fit, closed, closed, fit]:
        equal(answer, program.result, "as-if-len-of-bytes")
    if answer == [fit, "1001 letters", closed, "500 letters"]:
        equal(answer, program.result, "as-if-about")
    refuse_other(answer, program.result)
    return Right()


def _move(**fields: Any) -> str:
    return json.dumps({"name": "Ada", "x": 1, "y": 2} | fields)


NESTED = "[" * 100_000


@exercise("22.2", answer="function", parameters=1, picture=None)
async def read_move(answer: Answer) -> Right:
    _accept(answer, "refused")
    _accept(answer, "remembers")
    _accept(answer, "remembers", x=3)
    _accept(answer, "zero-refused", x=0)
    _accept(answer, "zero-refused", y=0)
    _accept(answer, "seven-refused", x=7)
    _accept(answer, "seven-refused", y=7)
    for name in "Ada_7", "7", "_":
        _accept(answer, "sign-refused", name=name)
    _accept(answer, "long-refused", name="B" * 20)
    _accept(answer, "accent-refused", name="Núria")
    _accept(answer, "alphabet-refused", name="Ольга")
    _accept_turned(answer)
    _refuse_taking(answer, ["hola", ""], "no-json")
    fields = ['{"name": "Ada", "x": 1}', "[1, 2, 3]", "null"]
    _refuse_taking(answer, fields, "field-missing")
    types = [_move(x="1"), _move(y=None), _move(y=[0]), _move(name=7)]
    _refuse_taking(answer, types, "any-type")
    far = [_move(x=-1), _move(y=-1), _move(x=8), _move(y=8), _move(y=10**30)]
    _refuse_taking(answer, far, "off-board")
    truths = [_move(x=True), _move(y=False)]
    _refuse_taking(answer, truths, "true-passes")
    floats = [_move(x=3.0), _move(y=6.5), _move(x=1e999)]
    _refuse_taking(answer, floats, "float-passes")
    tags = ["<img src=x onerror=steal()>", "<b>Ada</b>", "Ada <3"]
    _refuse_names(answer, tags, "html-passes")
    _refuse_names(answer, ["", "A" * 21, "A" * 5000], "name-length")
    spaces = [" Ada", "Ada ", "Ada Lovelace"]
    _refuse_names(answer, spaces, "space-passes")
    _refuse_names(answer, ["Ada\n", "Ada\nLima"], "line-break")
    try:
        seen = answer(NESTED)
    except RecursionError as error:
        raise Wrong("too-deep", seen=error) from None
    except ValueError:
        return Right()
    raise Wrong("no-json", message="[[[[…", seen=seen)


def _accept(answer: Answer, mistake: str, **fields: Any) -> None:
    """A valid move is taken, and comes back as a tuple."""
    message = _move(**fields)
    seen, expected = _take(answer, message, mistake)
    equal(seen, expected, "other-move", message=message)


def _accept_turned(answer: Answer) -> None:
    """The fields of an object have no order."""
    message = json.dumps({"y": 2, "x": 1, "name": "Ada"})
    seen, expected = _take(answer, message, "order-counts")
    equal(seen, expected, "order-counts", message=message)


def _take(answer: Answer, message: str, mistake: str) -> tuple[Any, Any]:
    """What comes of a valid move, and what should."""
    move = json.loads(message)
    expected = move["name"], move["x"], move["y"]
    try:
        seen = answer(message)
    except ValueError as error:
        raise Wrong(
            mistake, message=message, expected=expected, seen=error
        ) from None
    refuse_none(seen, expected)
    return seen, expected


def _refuse_names(answer: Answer, names: list[str], mistake: str) -> None:
    _refuse_taking(answer, [_move(name=name) for name in names], mistake)


def _refuse_taking(answer: Answer, messages: list[str], mistake: str) -> None:
    for message in messages:
        short = message if len(message) < 80 else f"{message[:60]}…"
        try:
            seen = answer(message)
        except ValueError:
            continue
        except AssertionError as error:
            raise Wrong("asserts", message=short, seen=error) from None
        except (KeyError, TypeError, AttributeError) as error:
            raise Wrong("other-error", message=short, seen=error) from None
        if seen is None:
            raise Wrong("no-error", message=short)
        if isinstance(seen, BaseException):
            raise Wrong("error-returned", message=short, seen=seen)
        raise Wrong(mistake, message=short, seen=seen)


BUSY = "a cake"  # the message that keeps a handler at work
LIMITS = (3, 2)  # a gate that has the lesson's limit of 3 is found out later
LONG = 4  # seconds for a gate to say yes or no


@exercise("22.3", parameters=2, limit=12, picture="wiretap")
async def serve_at_most(answer: Answer) -> Right:
    with _unlogged():
        for limit in LIMITS:
            async with _crowd(answer, limit) as crowd:
                await _judge_crowd(crowd, limit)
        await _judge_neighbours(answer)
    return Right()


async def _judge_neighbours(answer: Answer) -> None:
    """Who is on one server takes no place on another."""
    first, second = LIMITS
    async with _crowd(answer, first) as crowd, _crowd(answer, second) as other:
        await crowd.come(first)
        await other.come(second)
        equal(len(other.inside), second, "counts-neighbours")


@asynccontextmanager
async def _crowd(answer: Answer, limit: int) -> AsyncIterator[_Crowd]:
    """Those who come to a server of the answer's, with room for so many."""
    work = _Work()
    try:
        server = await patiently(answer(work.handler, limit))
    except Silence:
        raise Wrong("not-returned") from None
    if not isinstance(server, Server):
        raise Wrong("not-server", seen=server)
    # One that nobody has awaited has no sockets to look at yet.
    if not hasattr(server, "server"):
        raise Wrong("server-unawaited")
    if not server.is_serving():
        raise Wrong("not-started")
    crowd = _Crowd(address(server))
    try:
        yield crowd
    finally:
        work.over.set()
        crowd.vanish()
        await stop(server)


@contextmanager
def _unlogged() -> Iterator[None]:
    """What handlers fail with when somebody vanishes is no news."""
    log = logging.getLogger("websockets.server")

    def passes(record: logging.LogRecord) -> bool:
        return record.levelno < logging.ERROR

    log.addFilter(passes)
    try:
        yield
    finally:
        log.removeFilter(passes)


class _Work:
    """What the handlers of one server do.

    Attributes:
        over: set when those that are busy may go on.
    """

    def __init__(self) -> None:
        self.over = asyncio.Event()

    async def handler(self, websocket: ServerConnection) -> None:
        """Send back what comes; fail when somebody vanishes, as they do."""
        async for message in websocket:
            if message == BUSY:
                await self.over.wait()
            await websocket.send(message)


class _Crowd:
    """Clients of one server, who stay until they are sent away.

    Attributes:
        inside: those who have come in.
        statuses: what the others were told.
        kept_waiting: whether somebody was told nothing.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.inside: list[ClientConnection] = []
        self.statuses: list[int] = []
        self.kept_waiting = False

    async def come(self, count: int) -> None:
        """Many at once."""
        self.statuses = []
        await asyncio.gather(*[self._enter() for _ in range(count)])

    async def _enter(self) -> None:
        try:
            websocket = await connect(
                self.url,
                compression=None,
                open_timeout=LONG,
                close_timeout=0.5,
            )
            self.inside.append(websocket)
        except InvalidStatus as error:
            self.statuses.append(error.response.status_code)
        except TimeoutError:
            self.kept_waiting = True
            self.statuses.append(0)
        except (InvalidHandshake, OSError, EOFError):
            self.statuses.append(0)

    async def ask(self, count: int) -> None:
        """Plain requests, which open no WebSocket."""
        host, _, port = self.url.removeprefix("ws://").partition(":")
        for _ in range(count):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET / HTTP/1.1\r\nHost: aula\r\n\r\n")
            with suppress(Silence, OSError):
                await patiently(reader.read())
            writer.close()

    def vanish(self) -> None:
        for websocket in self.inside:
            websocket.transport.abort()


async def _judge_crowd(crowd: _Crowd, limit: int) -> None:
    await crowd.come(10)
    # Some servers let people in and send them away again.
    await asyncio.sleep(MOMENT)
    gone = [one for one in crowd.inside if one.close_code is not None]
    if gone:
        raise Wrong("sent-away", expected=503, seen=gone[0].close_code)
    seen = len(crowd.inside)
    if crowd.kept_waiting:
        raise Wrong("kept-waiting", seconds=LONG)
    if seen == 0:
        raise Wrong("nobody", expected=limit, seen=0)
    if seen < limit:
        raise Wrong("places-lost", expected=limit, seen=seen)
    if limit != LIMITS[0] and seen == LIMITS[0]:
        raise Wrong("limit-ignored", expected=limit, seen=seen)
    if seen == limit + 1:
        raise Wrong("one-too-many", expected=limit, seen=seen)
    if seen > limit:
        # A gate that waits before it decides refuses whoever comes later.
        await crowd.come(1)
        if not crowd.statuses:
            raise Wrong("never-refuses", expected=limit, seen=seen)
        raise Wrong("too-many", expected=limit, seen=seen)
    equal({*crowd.statuses}, {503}, "other-status")
    with suppress(Hung, Silence):
        equal(await tell(crowd.inside[0], "latte"), "latte", "not-served")
        await _judge_places(crowd, limit)
        await _judge_plain(crowd, limit)
        await _judge_busy(crowd, limit)
        return
    raise Wrong("not-served", expected="latte")


async def _judge_places(crowd: _Crowd, limit: int) -> None:
    """Two leave, one after the other, and a newcomer takes each place."""
    leaver = crowd.inside.pop(0)
    await leaver.close()
    await _judge_place(crowd, limit, "place-not-freed")
    crowd.inside.pop(0).transport.abort()
    await _judge_place(crowd, limit, "ghost-keeps-place")
    await crowd.come(2)
    equal(len(crowd.inside), limit, "too-many-later")


async def _judge_plain(crowd: _Crowd, limit: int) -> None:
    """All leave, and requests that open no WebSocket take no place."""
    crowd.vanish()
    crowd.inside.clear()
    await crowd.ask(limit + 1)
    await _judge_place(crowd, limit, "plain-counted")


async def _judge_busy(crowd: _Crowd, limit: int) -> None:
    """One vanishes whose handler is at work, and stays so."""
    await crowd.come(limit - len(crowd.inside))
    leaver = crowd.inside.pop(0)
    await leaver.send(BUSY)
    await asyncio.sleep(MOMENT)
    leaver.transport.abort()
    await _judge_place(crowd, limit, "busy-keeps-place")


async def _judge_place(crowd: _Crowd, limit: int, mistake: str) -> None:
    """A place becomes free, sooner or later."""
    for _ in range(20):
        await crowd.come(1)
        if not crowd.statuses:
            return
        await asyncio.sleep(0.05)
    raise Wrong(mistake, expected=limit, seen=len(crowd.inside))


class _Bucket:
    """A bucket that says what it was told to, and notes the times.

    Attributes:
        times: what it was asked with.
        moments: when that was.
    """

    def __init__(self, script: list[bool]) -> None:
        self.times: list[Any] = []
        self.moments: list[float] = []
        self._script = script

    def take(self, now: Any) -> bool:
        self.times.append(now)
        self.moments.append(asyncio.get_running_loop().time())
        number = len(self.times) - 1
        return self._script[number] if number < len(self._script) else True


class _Shelf:
    """Gives out one bucket after another.

    Attributes:
        told: how many messages there were.
        uncalled: whether it was itself asked for a token.
    """

    def __init__(self, *scripts: list[bool]) -> None:
        self.given: list[_Bucket] = []
        self.told = 0
        self.uncalled = False
        self._scripts = scripts

    def __call__(self) -> _Bucket:
        number = min(len(self.given), len(self._scripts) - 1)
        self.given.append(_Bucket(self._scripts[number]))
        return self.given[-1]

    def take(self, now: Any) -> bool:
        """Whoever asks for a token here has not called the function."""
        self.uncalled = True
        return True


SLOW = "slow down"
HOUR = 3600  # seconds
# A third refusal comes long after the second, and a fourth at once.
ADA = [True, False, True, True, False, True, False, False]
# Two refusals of her own, which are no third one of Ada's.
LIMA = [True, True, False, True, False, True]


@exercise("22.4", parameters=2, limit=12, picture="wiretap")
async def throttle(answer: Answer) -> Right:
    shelf = _Shelf(ADA, LIMA)
    async with (
        Service(answer, shelf) as service,
        service.connect() as ada,
    ):
        try:
            await _judge_replies(service, shelf, ada, ADA[:3])
        except Wrong:
            _judge_buckets(shelf, 1)
            raise
        _judge_buckets(shelf, 1)
        async with service.connect() as lima:
            await _judge_newcomer(service, shelf, lima)
        await asyncio.sleep(MOMENT)
        await _judge_replies(service, shelf, ada, ADA[3:6])
        _judge_times(shelf.given[0])
        await _judge_end(service, ada)
        _refuse_many(shelf, 2)
    return Right()


def _judge_buckets(shelf: _Shelf, people: int) -> None:
    """What is behind a reply that is another, if it is the bucket."""
    if shelf.uncalled:
        raise Wrong("bucket-uncalled") from None
    if not shelf.given:
        raise Wrong("no-bucket") from None
    _refuse_many(shelf, people)
    takes = sum(len(bucket.times) for bucket in shelf.given)
    if takes > shelf.told:
        raise Wrong("taken-twice", expected=shelf.told, seen=takes) from None


def _refuse_many(shelf: _Shelf, people: int) -> None:
    if len(shelf.given) > people:
        raise Wrong(
            "bucket-each-time", expected=people, seen=len(shelf.given)
        ) from None


async def _judge_newcomer(
    service: Service, shelf: _Shelf, websocket: ClientConnection
) -> None:
    """One who comes when another has been refused before."""
    try:
        await _judge_replies(service, shelf, websocket, LIMA)
    except Wrong as wrong:
        _judge_buckets(shelf, 2)
        raise Wrong(
            "shared", expected=wrong.expected, seen=wrong.seen
        ) from None


async def _judge_replies(
    service: Service,
    shelf: _Shelf,
    websocket: ClientConnection,
    script: list[bool],
) -> None:
    for number, passes in enumerate(script):
        # The third is data: nobody needs to know what is in a message.
        text = f"cup {number}"
        message = text.encode() if number == 2 else text
        expected = message if passes else SLOW
        shelf.told += 1
        try:
            seen = await tell(websocket, message)
        except Silence:
            service.raise_errors()
            raise Wrong(
                "silent" if passes else "not-told", expected=expected
            ) from None
        except Hung:
            service.raise_errors()
            raise Wrong(
                "closed-early", expected=expected, seen=websocket.close_code
            ) from None
        if seen == message and not passes:
            raise Wrong("lets-all-through", expected=SLOW, seen=seen)
        if isinstance(expected, bytes) and seen in (text, f"{message!r}"):
            raise Wrong("bytes-as-text", expected=expected, seen=seen)
        equal(seen, expected, "other-reply")


def _judge_times(bucket: _Bucket) -> None:
    """The clock by which the bucket was asked goes as the loop's does."""
    for moment in bucket.times:
        if not isinstance(moment, int | float):
            raise Wrong("other-time", seen=moment)
    # Of another day than the loop's, which counts from when it likes.
    if abs(bucket.times[-1] - time.time()) < HOUR:
        raise Wrong("time-of-day", seen=bucket.times[-1])
    passed = bucket.moments[-1] - bucket.moments[0]
    seen = bucket.times[-1] - bucket.times[0]
    if -0.01 < seen < passed / 10:
        raise Wrong("clock-stands", seen=bucket.times[-1])
    if not passed / 2 < seen < passed * 2:
        raise Wrong("other-time", seen=bucket.times[-1])


async def _judge_end(service: Service, ada: ClientConnection) -> None:
    """The third refusal."""
    heard: Any = None
    with suppress(ConnectionClosed):
        await ada.send("one too many")
    with suppress(Hung, Silence):
        heard = await hear(ada)
    if heard is not None:
        await until(lambda: ada.close_code is not None, MOMENT)
        if ada.close_code is not None:
            raise Wrong("told-again", seen=heard)
        with suppress(Hung, Silence):
            await tell(ada, "two too many")
        if ada.close_code is not None:
            raise Wrong("one-late", expected=1008, seen=heard)
        raise Wrong("never-closes", expected=1008, seen=heard)
    if ada.close_code is None:
        service.raise_errors()
        raise Wrong("third-ignored", expected=1008)
    service.raise_errors()
    equal(ada.close_code, 1008, "other-code")
