"""Judges the exercises of lesson 19: reconnecting, resuming, delivery."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import (
    ConnectionClosed,
    ConnectionClosedOK,
    InvalidMessage,
    InvalidStatus,
)
from websockets.http11 import Request, Response

from aula.exercises.exercise import Answer, Right, Wrong, exercise
from aula.exercises.prediction import Program, refuse_other
from aula.judges.mistakes import (
    UNPACKED,
    awaits_none,
    equal,
    leaves,
    refuse_unheard_cancel,
)
from aula.judges.servers import address, quiet, serving
from aula.judges.waiting import PATIENCE, Silence, ends, patiently, until

SERIES = [(0.3, 7.0, 8), (0.02, 0.05, 4)]  # first, cap and count of pauses
RUNS = 40  # how often each is asked for, so that chance shows its bounds


@exercise("19.1", answer="function", parameters=3, picture=None)
async def pauses(answer: Answer) -> Right:
    for first, cap, count in SERIES:
        bases = [min(first * 2**n, cap) for n in range(count)]
        runs = [_series(answer, first, cap, count)]
        try:
            while len(runs) < RUNS:
                runs.append(_series(answer, first, cap, count))
        except Wrong as wrong:  # and the first was right
            raise Wrong("kept-between-calls", seen=wrong.seen) from None
        _judge_pauses(runs, bases, cap)
    return Right()


def _series(
    answer: Answer, first: float, cap: float, count: int
) -> list[float]:
    """The pauses of one series of failures, which ends as it should."""
    made = answer(first, cap, count)
    if inspect.isasyncgen(made):
        raise Wrong("async-generator")
    if isinstance(made, list | tuple):
        raise Wrong("a-list", seen=made)
    if not hasattr(made, "__next__"):
        raise Wrong("no-yield", seen=made)
    given: list[float] = []
    try:
        for _ in range(count + 1):
            given.append(next(made))
    except StopIteration:
        raise Wrong("ends-by-itself") from None
    except ConnectionError:
        equal(len(given), count, "other-count")
        return given
    raise Wrong("never-gives-up", expected=count, seen=len(given))


def _judge_pauses(
    runs: list[list[float]], bases: list[float], cap: float
) -> None:
    """The pauses grow as they should, and chance is in each of them."""
    for run in runs:
        for pause in run:
            if not isinstance(pause, int | float):
                raise Wrong("not-a-number", seen=pause)
    shown = [round(pause, 3) for pause in runs[0]]
    if all(run == runs[0] for run in runs):
        raise Wrong("no-jitter", seen=shown)
    if runs[0][0] <= 1.5 * bases[0] < min(run[0] for run in runs[1:]):
        raise Wrong("kept-between-calls", expected=runs[0], seen=runs[1])
    means = [sum(each) / len(runs) for each in zip(*runs, strict=True)]
    if max(means) > 1.3 * cap:
        raise Wrong("above-the-cap", cap=cap, seen=shown)
    if max(means) < 1.3 * bases[0]:
        raise Wrong("does-not-double", seen=shown)
    ratios = [
        [pause / base for pause, base in zip(run, bases, strict=True)]
        for run in runs
    ]
    flat = [ratio for run in ratios for ratio in run]
    if all(max(run) - min(run) < 1e-9 for run in ratios):
        raise Wrong("one-jitter", seen=shown)
    _judge_growth(runs, ratios, bases, shown)
    lasts = [run[-1] for run in ratios]
    if max(lasts) == 1 and lasts.count(1) > 2:
        raise Wrong("capped-after", cap=cap, seen=shown)
    if min(flat) < 0.5 - 1e-9 or max(flat) > 1.5 + 1e-9:
        raise Wrong("out-of-range", expected=bases, seen=shown)
    if len({round(ratio, 6) for ratio in flat}) < 10:
        raise Wrong("few-values", seen=shown)
    if min(flat) > 0.8 or max(flat) < 1.2:
        raise Wrong("too-little", seen=shown)


def _judge_growth(
    runs: list[list[float]],
    ratios: list[list[float]],
    bases: list[float],
    shown: list[float],
) -> None:
    """Refuse bases that grow otherwise, where chance is as it should be.

    Arguments:
        runs: the pauses of each run.
        ratios: for each run, its pauses by the bases that they should have.
    """
    spreads = [max(place) - min(place) for place in zip(*runs, strict=True)]
    if bases[-1] > 10 * bases[0] and 0 < spreads[-1] < 3 * spreads[0]:
        raise Wrong("added", expected=bases, seen=shown)
    places = [*zip(*ratios, strict=True)]
    if any(max(place) > 3.001 * min(place) for place in places):
        return
    means = [sum(place) / len(place) for place in places]
    if max(means) < 1.5 * min(means):
        return
    if means[0] > 1.5:
        raise Wrong("begins-doubled", expected=bases, seen=shown)
    raise Wrong("grows-otherwise", expected=bases, seen=shown)


SLEEP = 0.1  # seconds that a call takes which sleeps


@exercise("19.2", answer="function", parameters=1, picture=None)
async def opening_failed(answer: Answer) -> Right:
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    untrusted = ssl.SSLCertVerificationError(1, "certificate verify failed")
    if _goes_on(answer, unknown):
        raise Wrong("name-retried", seen=unknown)
    if _goes_on(answer, untrusted):
        raise Wrong("certificate-retried", seen=untrusted)
    broken = InvalidMessage("did not receive a valid HTTP response")
    broken.__cause__ = EOFError("connection closed while reading")
    if not _goes_on(answer, broken):
        raise Wrong("library-rewritten", seen=broken)
    for network in (
        ConnectionRefusedError(),
        TimeoutError(),
        OSError(113, "x"),
        ssl.SSLError(1, "wrong version number"),
    ):
        if not _goes_on(answer, network):
            raise Wrong("network-the-end", seen=network)
    if not _goes_on(answer, await _refusal(429)):
        raise Wrong("busy-the-end")
    if not _goes_on(answer, await _refusal(429)):
        raise Wrong("kept-between-calls")
    for status in 500, 502, 503, 504:
        if not _goes_on(answer, await _refusal(status)):
            raise Wrong("server-error-the-end", status=status)
    for status in 401, 404, 451, 501:
        if _goes_on(answer, await _refusal(status)):
            raise Wrong("refusal-retried", status=status)
    for bug in ValueError("a bug"), ValueError("no order 429"):
        if _goes_on(answer, bug):
            raise Wrong("bug-retried", seen=bug)
    return Right()


def _goes_on(answer: Answer, error: Exception) -> bool:
    """Whether the answer would have another attempt after an error."""
    try:
        seen = _call(answer, error)
    except AttributeError as missing:
        if missing.name == "response":
            raise Wrong("no-response", seen=missing) from None
        if missing.name == "status_code":
            raise Wrong("status-elsewhere", seen=missing) from None
        raise
    except Exception as raised:
        # The library takes that for a return, but does not promise to.
        if raised is error:
            raise Wrong("error-raised", seen=raised) from None
        raise
    if seen is not None and not isinstance(seen, BaseException):
        raise Wrong("not-an-exception", seen=seen)
    if seen is not None and seen is not error:
        raise Wrong("another-error", expected=error, seen=seen)
    return seen is None


def _call(answer: Answer, error: Exception) -> Any:
    """What the answer returns; refuse one that sleeps."""
    for _ in range(3):  # the machine does not stand still three times
        began = time.perf_counter()
        seen = answer(error)
        if time.perf_counter() - began < SLEEP:
            return seen
    raise Wrong("sleeps")


async def _refusal(status: int) -> Exception:
    """The error of a connection that a real server has refused."""

    def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(status, "no\n")

    async def handler(websocket: ServerConnection) -> None:
        pass

    async with serve(
        handler, "127.0.0.1", 0, process_request=refuse, logger=quiet
    ) as server:
        try:
            await connect(address(server))
        except InvalidStatus as error:
            return error
    raise AssertionError("the server has refused nothing")


# One comes twice, and one contains the end.
TEXTS = ["latte", "mocha", "chai latte", "latte", "weekend blend", "hola"]
END = "end"
# What becomes of each connection: how many messages it brings, and then what.
CUT, END_OF_ALL = "cut", "end of all"
FATE: dict[int, tuple[int, Any]] = {
    1: (2, CUT),
    4: (1, 1012),
    5: (1, 1000),
    7: (1, 1011),
    8: (2, END_OF_ALL),
}
REFUSED = (2, 6)  # the attempts that end with a 503
DROPPED = (3,)  # those that are opened, and cut before a word is said
FIRSTS = ["0", "2", "3", "4", "5"]  # the last number seen, each time


class _Line:
    """A server of numbered messages whose line has every misfortune.

    Attributes:
        attempts: how many connections were asked for.
        asked: how often the answer has asked for a series of pauses.
        firsts: the first message of each connection that could say one.
        silent: whether one said nothing.
        code: with which code the client left in the end.
    """

    def __init__(self) -> None:
        self.attempts = self.asked = 0
        self.firsts: list[Any] = []
        self.silent = False
        self.code: int | None = None
        self._texts = [*TEXTS, END]

    def delays(self) -> Iterator[float]:
        """The pauses that the answer is given."""
        self.asked += 1
        while True:
            yield 0.01

    def refuse(
        self, connection: ServerConnection, request: Request
    ) -> Response | None:
        """Count an attempt, and refuse some."""
        self.attempts += 1
        if self.attempts in REFUSED:
            return connection.respond(503, "busy\n")
        return None

    async def feed(self, websocket: ServerConnection) -> None:
        """Serve one connection, as its fate will have it."""
        number = self.attempts
        if number in DROPPED:
            websocket.transport.abort()
        if number not in FATE:
            await websocket.wait_closed()
            return
        count, fate = FATE[number]
        with suppress(ConnectionClosed):
            try:
                first = await patiently(websocket.recv(), PATIENCE / 2)
            except Silence:
                self.silent = True
                await websocket.wait_closed()
                return
            self.firsts.append(first)
            with suppress(ValueError):
                last = int(first)
                for seen in range(last, min(last + count, len(self._texts))):
                    await websocket.send(f"{seen + 1} {self._texts[seen]}")
            if fate == CUT:
                await asyncio.sleep(0)  # what was sent is on its way
                websocket.transport.abort()
            elif fate != END_OF_ALL:
                await websocket.close(fate)
        await websocket.wait_closed()
        if fate == END_OF_ALL:
            self.code = websocket.close_code


@exercise("19.3", parameters=3, limit=9, picture="wiretap")
async def keep_up(answer: Answer) -> Right:
    line = _Line()
    shown: list[Any] = []
    server = await serve(
        line.feed,
        "127.0.0.1",
        0,
        process_request=line.refuse,
        logger=quiet,
        close_timeout=0.2,
    )
    try:
        task = asyncio.create_task(
            answer(address(server), shown.append, line.delays)
        )
        await _watch(line, task)
        ended = task.done()
        _judge_start(line, task, shown)
        await ends(task, 0)
        # Whoever leaves by a break is closed a moment later.
        await until(lambda: line.code, PATIENCE / 2)
    finally:
        await _stop(server)
    _judge_line(line, shown)
    if line.attempts > max(FATE):
        raise Wrong("comes-back-after-end", seen=shown)
    if not ended:
        raise Wrong("never-ends", seen=shown)
    _judge_shown(shown)
    if line.code != 1000:
        raise Wrong("leaves-with-another", expected=1000, seen=line.code)
    if not line.asked:
        raise Wrong("other-pauses")
    await _judge_second(answer)
    return Right()


async def _judge_second(answer: Answer) -> None:
    """A second call: more than nine messages, a cut, and it is cancelled."""
    firsts: list[Any] = []
    shown: list[Any] = []
    live = False
    texts = [f"drink {letter}" for letter in "abcdefghijk"]

    async def feed(websocket: ServerConnection) -> None:
        nonlocal live
        with suppress(ConnectionClosed):
            firsts.append(await websocket.recv())
            if len(firsts) == 1:
                for number, text in enumerate(texts, 1):
                    await websocket.send(f"{number} {text}")
                await until(lambda: len(shown) == len(texts), PATIENCE / 2)
                live = bool(shown)
                websocket.transport.abort()
        await websocket.wait_closed()

    async with serving(feed) as url:
        task = asyncio.ensure_future(
            answer(url, shown.append, lambda: itertools.repeat(0.01))
        )
        await until(lambda: task.done() or len(firsts) > 1)
        equal(firsts[:1], ["0"], "kept-between-calls")
        if task.done():
            task.result()
            raise Wrong("gives-up", attempts=len(firsts))
        if not live and shown == texts:
            raise Wrong("shows-late")
        equal(shown, texts, "two-digits")
        equal(firsts, ["0", f"{len(texts)}"], "two-digits")
        await refuse_unheard_cancel(task)


async def _watch(line: _Line, task: asyncio.Task[Any]) -> None:
    """Let the answer go on while it gets on."""
    attempts = 0

    def moved() -> bool:
        return task.done() or line.silent or line.attempts > attempts

    while not task.done() and not line.silent:
        attempts = line.attempts
        going = await until(moved)
        if attempts in REFUSED and not line.asked and not task.done():
            task.cancel()
            raise Wrong("other-pauses")
        if not going or line.attempts > max(FATE):
            return


async def _stop(server: Server) -> None:
    server.close()
    await server.wait_closed()


def _judge_start(
    line: _Line, task: asyncio.Task[Any], shown: list[Any]
) -> None:
    """Refuse an answer that ended before its line had come to the end."""
    if line.silent:
        if line.firsts:
            raise Wrong("not-said-again", expected=line.firsts[-1])
        raise Wrong("says-nothing", expected="0")
    if not task.done():
        return
    error = task.exception()
    for leaf in leaves(error) if error else ():
        if isinstance(leaf, ConnectionClosedOK):
            raise Wrong("close-ends-all", seen=leaf) from None
        if isinstance(leaf, ConnectionClosed):
            raise Wrong("cut-ends-all", seen=leaf) from None
        if isinstance(leaf, InvalidStatus):
            raise Wrong("refusal-ends-all", seen=leaf) from None
        if "is not callable" in f"{leaf}" and not line.asked:
            raise Wrong("pauses-called", seen=leaf) from None
        if awaits_none(leaf):
            raise Wrong("show-awaited", seen=leaf) from None
        if isinstance(leaf, ValueError) and UNPACKED in f"{leaf}":
            raise Wrong("two-words", seen=leaf) from None
        raise leaf
    if line.attempts < max(FATE):
        if "0" in line.firsts[1:]:
            raise Wrong("starts-over", expected=FIRSTS, seen=line.firsts)
        if line.attempts == 1:
            raise Wrong("one-connection")
        if shown == TEXTS[:4] and line.firsts[-1] == "4":
            raise Wrong("end-inside", seen=TEXTS[4])
        raise Wrong("gives-up", attempts=line.attempts)


def _judge_line(line: _Line, shown: list[Any]) -> None:
    """What the answer said at the beginning of each connection."""
    seen = line.firsts
    if "0" in seen[1:]:
        raise Wrong("starts-over", expected=FIRSTS[: len(seen)], seen=seen)
    # Whoever counts what was shown says another number because of that.
    if len(seen) > 3 and shown.count(TEXTS[0]) == 1:
        raise Wrong("same-text", expected=TEXTS, seen=shown)
    equal(seen, FIRSTS[: len(seen)], "other-number")
    if len(seen) < len(FIRSTS):
        raise Wrong("stops-coming-back", seen=shown)


def _judge_shown(shown: list[Any]) -> None:
    """Each text was shown once, as it is."""
    if shown == [*TEXTS, END]:
        raise Wrong("shows-the-end", seen=shown)
    numbered = [f"{n} {text}" for n, text in enumerate(TEXTS, 1)]
    if shown[: len(TEXTS)] == numbered:
        raise Wrong("shows-numbers", expected=TEXTS, seen=shown)
    if all(
        f"{word}" in text.split()
        for word, text in zip(shown, TEXTS, strict=False)
    ):
        equal(shown, TEXTS, "one-word")
    equal(shown, TEXTS, "other-texts")


ONCE = ["latte", "mocha", "chai"]
TWICE = ["latte", "mocha", "mocha", "chai"]
LOST = ["latte", "chai"]
FROM_THE_FIRST = ["latte", "mocha", *ONCE]


@exercise("19.4", answer="prediction", picture="wiretap")
async def served_drinks(answer: Any, program: Program) -> Right:
    await program.run()
    if isinstance(answer, dict):
        if answer != program.result:
            _judge_drinks([*answer.values()])
        if answer.get("early") == LOST:
            equal(answer, program.result, "as-if-cut-before")
        if answer.get("late") == FROM_THE_FIRST:
            equal(answer, program.result, "from-the-first")
        if answer.get("late") == ONCE:
            equal(answer, program.result, "nobody-notices")
        if answer.get("remembered") == TWICE:
            equal(answer, program.result, "remembers-nothing")
        if answer.get("remembered") == LOST:
            equal(answer, program.result, "never-repeated")
    refuse_other(answer, program.result)
    return Right()


def _judge_drinks(cases: list[Any]) -> None:
    """Refuse what is no list of drinks, or has them in another order."""
    for case in cases:
        if isinstance(case, str):
            raise Wrong("not-lists", seen=case)
        if not isinstance(case, list):
            continue
        if any(isinstance(drink, str) and " " in drink for drink in case):
            raise Wrong("drinks-only", seen=case)
        if case[-1:] == ["mocha"] and "chai" in case:
            raise Wrong("mocha-last", seen=case)
