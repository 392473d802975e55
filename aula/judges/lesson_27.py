"""Judges the exercises of lesson 27: the parts of a board, and the whole."""

from __future__ import annotations

import asyncio
import functools
import html
import inspect
import json
import logging
import shutil
import socket
import sqlite3
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, broadcast
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from aula.exercises.answer import is_started
from aula.exercises.exercise import UNSET, Answer, Right, Wrong, exercise
from aula.judges.mistakes import (
    CHANGED_SIZE,
    awaits_none,
    equal,
    named,
    refuse_none,
)
from aula.judges.servers import SMALL, Person, Service, address
from aula.judges.waiting import MOMENT, PATIENCE, TURN, ends, until

TOKENS = {"class": "latte-4711", "screen": "mocha-77a1"}
LIMIT = 64 * 1024  # bytes that may wait for a screen
AGES = 60.0  # seconds that nobody here takes to say who they are
SCRIPT = "<script>x()</script>"


class _Door:
    """A server whose handler awaits the learner's read_hello.

    Attributes:
        outcomes: what it returned or raised, in the order in which it ended.
        closed: whether it had closed the last connection itself.
        tokens: what it is given as the tokens.
    """

    def __init__(self, answer: Answer) -> None:
        self.outcomes: list[Any] = []
        self.closed = False
        self.tokens = TOKENS
        self._seconds = AGES

        async def handler(websocket: ServerConnection) -> None:
            try:
                hello = await answer(
                    websocket, self.tokens.copy(), self._seconds
                )
            except Exception as error:
                hello = error
            self.closed = websocket.state is not State.OPEN
            self.outcomes.append(hello)

        self.service = Service(handler)

    async def outcome(self, hello: Any, path: str = "") -> Any:
        """What it makes of a first message, or of somebody who has none."""
        known = len(self.outcomes)
        self._seconds = AGES if hello is not None else 0.3
        async with self.service.connect(path) as websocket:
            with suppress(ConnectionClosed):
                if hello is not None:
                    await websocket.send(_text(hello))
            if not await until(lambda: len(self.outcomes) > known):
                if hello is None:
                    raise Wrong("no-deadline")
                raise Wrong("goes-on-waiting", hello=_text(hello)[:60])
        return self.outcomes[-1]


def _text(message: Any) -> str:
    return message if isinstance(message, str) else json.dumps(message)


@exercise("27.1", parameters=3, limit=15, picture=None)
async def read_hello(answer: Answer) -> Right:
    door = _Door(answer)
    hello: Any
    async with door.service:
        for hello in (
            {"token": TOKENS["class"], "nick": "Ada"},
            {"token": TOKENS["screen"], "role": "screen"},
            {"token": TOKENS["class"], "nick": "Lima", "more": [1, None]},
            {"token": TOKENS["class"], "nick": "Eva", "role": "teacher"},
        ):
            seen = await door.outcome(hello)
            if isinstance(seen, PermissionError):
                raise Wrong("owner-refused", hello=hello, seen=seen)
            if isinstance(seen, Exception):
                raise seen
            refuse_none(seen, hello)
            equal(seen, hello, "other-hello")
        for hello in (
            "hola",
            "null",
            [TOKENS["class"]],
            {},
            {"token": None},
            {"token": "latte"},
            {"token": ""},
            {"token": "LATTE-4711"},
            {"token": "latte-4711x"},
            {"token": " latte-4711\n"},
            {"token": "café"},
            {"token": "\ud800"},
            {"token": 4711, "nick": "Ada"},
            "[" * 100_000,
        ):
            await _judge_uninvited(door, hello, "lets-in")
        for token, role in zip(TOKENS.values(), ("screen", None), strict=True):
            hello = {"token": token, "role": role, "nick": "Ada"}
            await _judge_uninvited(door, hello, "other-role")
        path = "/?token=latte-4711"
        await _judge_uninvited(door, {"nick": "Ada"}, "token-in-url", path)
        seen = await door.outcome(None)
        if not isinstance(seen, PermissionError):
            raise Wrong("silence", seen=seen)
        door.tokens = {"class": "chai-1", "screen": "yerba-2"}
        seen = await door.outcome({"token": "chai-1", "nick": "Ada"})
        if isinstance(seen, PermissionError):
            raise Wrong("first-tokens", seen=seen)
    return Right()


async def _judge_uninvited(
    door: _Door, hello: Any, mistake: str, path: str = ""
) -> None:
    """One who must be refused."""
    seen = await door.outcome(hello, path)
    shown = _text(hello)[:60]
    if isinstance(seen, PermissionError):
        if door.closed:
            raise Wrong("closes", hello=shown)
        return
    if isinstance(seen, Exception):
        raise Wrong("hello-escapes", hello=shown, seen=seen)
    if seen is None or isinstance(seen, bool | BaseException):
        raise Wrong("no-error", hello=shown, seen=seen)
    raise Wrong(mistake, hello=shown, seen=seen)


@exercise("27.2", answer="function", parameters=1, picture=None)
async def read_nick(answer: Answer) -> Right:
    for nick in "Ada", "José Núñez", "李雷", "x", "x" * 20, "l33t_ :-)":
        _judge_nick(answer, nick, nick, "nick-refused")
    for nick in "A  da", "Jose\u0301":
        _judge_nick(answer, nick, nick, "nick-refused")
    _judge_nick(answer, "Ada", "Ada", "second-time")
    for nick in "é" * 20, "李" * 20, "🦊" * 20:
        _judge_nick(answer, nick, nick, "counts-bytes")
    for nick in SCRIPT, "Ada & <b>Lima</b>":
        _judge_nick(answer, nick, nick, "html-changed")
    for nick in " Ada", "Ada  ", "\tAda", f"   {'x' * 20}\n":
        _judge_nick(answer, nick, nick.strip(), "spaces-kept")
    for nick in "x" * 21, "é" * 400:
        _refuse_nick(answer, nick, "too-long")
    for nick in "", "   ", "\n":
        _refuse_nick(answer, nick, "nothing-left")
    for letter in "\n", "\x1b", "\u202e", "\u200b", "\ud800", "\u2028":
        _refuse_nick(answer, f"A{letter}da", "unprintable")
    for other in None, 5, True, ["Ada"], {"a": 1}:
        _refuse_nick(answer, other, "no-text")
    _refuse_nick(answer, UNSET, "no-text")
    return Right()


def _judge_nick(
    answer: Answer, nick: str, expected: str, mistake: str
) -> None:
    try:
        seen = answer({"token": "x", "nick": nick})
    except ValueError as error:
        raise Wrong(
            mistake, nick=ascii(nick), expected=expected, seen=error
        ) from None
    refuse_none(seen, expected)
    equal(seen, expected, mistake, nick=ascii(nick))


def _refuse_nick(answer: Answer, nick: Any, mistake: str) -> None:
    hello = {"token": "x"} if nick is UNSET else {"token": "x", "nick": nick}
    shown = ascii(hello.get("nick"))
    try:
        seen = answer(hello)
    except ValueError:
        return
    except Exception as error:
        raise Wrong("other-error", nick=shown, seen=error) from None
    if not seen or isinstance(seen, Exception):
        raise Wrong("not-raised", nick=shown, seen=seen)
    if mistake == "too-long" and seen != nick:
        raise Wrong("cut-short", seen=seen)
    raise Wrong(mistake, nick=shown, seen=seen)


def _row(number: int, nick: str = "Ada", exercise: str = "shout") -> list[Any]:
    return [nick, exercise, 1_790_000_000.0 + number]


def _event(row: list[Any]) -> str:
    nick, exercise, when = row
    return json.dumps({"nick": nick, "exercise": exercise, "time": when})


@exercise("27.3", parameters=3, limit=15, picture="wiretap")
async def show(answer: Answer) -> Right:
    rows = [_row(0), _row(1, "Lima")]
    screens: set[ServerConnection] = set()
    stage = _Stage(answer, rows, screens)
    async with stage.service as service:
        lobby = await service.visit()
        await stage.admit()
        await _judge_first(service, lobby, rows)
        await _judge_registered(stage, lobby, 1)
        for number in 2, 3:
            stage.publish(_row(number, "Eva", f"ex{number}"))
        await lobby.hears(*map(_event, rows[2:]))
        _judge_story(stage, lobby, "double")
        await _judge_busy(stage, lobby)
        await _judge_slow(stage)
        await lobby.leave()
        if await until(lambda: lobby.gone) and screens:
            await until(lambda: not screens)
        if screens:
            raise Wrong("still-registered", seen=len(screens))
        posted = json.dumps({"solved": "shout"})
        await _judge_post(stage, posted, "post-ignored")
        await _judge_post(stage, "", "empty-post")
        await _judge_cancelled(stage)
    await _judge_empty(answer)
    return Right()


class _Stage:
    """A server of the learner's show, which begins when it is told to.

    Attributes:
        ends: what its calls raised, or None.
        task: the one that runs the last call.
        busy: how many times a row still comes while a ``send`` waits.
    """

    def __init__(
        self, answer: Answer, rows: list[Any], screens: set[ServerConnection]
    ) -> None:
        self.rows, self.screens = rows, screens
        self.ends: list[Any] = []
        self.task: asyncio.Task[Any] | None = None
        self.busy = 0
        self._door = asyncio.Event()

        async def handler(websocket: ServerConnection) -> None:
            await self._door.wait()
            self._door.clear()
            self.task = asyncio.current_task()
            if self.busy:
                self._wait_in_send(websocket)
            try:
                await answer(websocket, rows, screens)
            except (ConnectionClosed, ValueError) as error:
                self.ends.append(error)
            else:
                self.ends.append(None)

        self.service = Service(handler, small=True)

    async def admit(self) -> None:
        """Let the one in who waits."""
        await until(lambda: self.service.running)
        self._door.set()

    def publish(self, row: list[Any]) -> None:
        self.rows.append(row)
        broadcast(self.screens, _event(row))

    def _wait_in_send(self, websocket: ServerConnection) -> None:
        """Let rows come while a message waits for the network."""
        send = websocket.send

        @functools.wraps(send)
        async def wait(message: Any) -> None:
            await send(message)
            if self.busy:
                self.busy -= 1
                self.publish(_row(self.busy, "Eva", f"busy{self.busy}"))
                await asyncio.sleep(0)

        websocket.send = wait  # type: ignore[assignment,method-assign]


async def _judge_first(
    service: Service, screen: Person, rows: list[Any]
) -> None:
    await until(lambda: screen.heard or screen.gone)
    service.raise_errors()
    seen = screen.heard[:1]
    try:
        [first] = [json.loads(message) for message in seen]
    except ValueError:
        raise Wrong("no-snapshot", expected=rows, seen=seen) from None
    equal(first, {"snapshot": rows}, "no-snapshot")


async def _judge_registered(stage: _Stage, screen: Person, many: int) -> None:
    if await until(lambda: stage.ends, MOMENT):
        raise Wrong("returns-early", seen=stage.ends[0])
    await until(lambda: len(stage.screens) >= many)
    inside = {one.remote_address for one in stage.screens}
    if len(inside) < many and screen.address in inside:
        raise Wrong("others-removed")
    equal(len(stage.screens), many, "not-registered")


async def _judge_busy(stage: _Stage, lobby: Person) -> None:
    """Rows come in each turn, and while each message to a screen waits."""
    stage.busy = 3
    late = await stage.service.visit()
    await stage.admit()
    for number in range(12):
        stage.publish(_row(number, "Eva", f"turn{number}"))
        await asyncio.sleep(0 if number < 6 else TURN)
    await until(lambda: late.heard)
    stage.service.raise_errors()
    await _judge_registered(stage, late, 2)
    stage.busy = 0
    stage.publish(_row(9, "Eva", "busy9"))
    await late.hears(_event(stage.rows[-1]))
    await lobby.hears(*map(_event, stage.rows[2:]))
    _judge_story(stage, late, "double")
    _judge_story(stage, lobby, "others-twice")
    await late.leave()
    await until(lambda: stage.ends)
    if not await until(lambda: len(stage.screens) < 2):
        raise Wrong("still-registered", seen=len(stage.screens))
    if not stage.screens:
        raise Wrong("others-removed")
    stage.ends.clear()


async def _judge_slow(stage: _Stage) -> None:
    """Rows come while a snapshot waits for a screen that does not read."""
    stage.rows += [_row(n, "x" * 400, f"e{n}") for n in range(4, 2000)]
    before = len(stage.rows)
    slow = await stage.service.visit()
    slow.sleep()
    await stage.admit()
    await asyncio.sleep(MOMENT)
    for number in 1, 2:
        stage.publish(_row(number, "Eva", f"late{number}"))
        await asyncio.sleep(0)
    slow.wake()
    await until(lambda: slow.heard, 3 * PATIENCE)
    await _judge_registered(stage, slow, 2)
    stage.publish(_row(3, "Eva", "late3"))
    await slow.hears(_event(stage.rows[-1]))
    assert len(stage.rows) == before + 3
    _judge_story(stage, slow, "double")
    await slow.leave()
    await until(lambda: stage.ends)
    stage.ends.clear()


def _judge_story(stage: _Stage, screen: Person, mistake: str) -> None:
    """What a screen has heard, put together, is all rows in their order."""
    stage.service.raise_errors()
    heard: list[Any] = []
    for number, message in enumerate(screen.heard):
        try:
            said = json.loads(message)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise Wrong("other-event", seen=f"{message!r}"[:60])
        if "snapshot" in said and number:
            if '"snapshot"' in f"{screen.heard[0]!r}":
                raise Wrong("two-snapshots", seen=f"{message!r}"[:60])
            raise Wrong("event-first", seen=heard[0][:2])
        if "snapshot" in said:
            heard += said["snapshot"]
        else:
            heard.append([*said.values()])
    if heard == stage.rows:
        return
    for row in stage.rows:
        if row not in heard:
            raise Wrong("gap", name=row[1])
        if heard.count(row) > 1:
            raise Wrong(mistake, name=row[1])
    raise Wrong("other-order", seen=[row[1] for row in heard[-3:]])


async def _judge_post(stage: _Stage, post: str, mistake: str) -> None:
    cheat = await stage.service.visit()
    stage.ends.clear()
    await stage.admit()
    await until(lambda: stage.screens)
    await cheat.send(post)
    await until(lambda: stage.ends)
    stage.service.raise_errors()
    seen = stage.ends[0] if stage.ends else None
    if not isinstance(seen, ValueError):
        raise Wrong(mistake, seen=seen)
    await until(lambda: not stage.screens)
    if stage.screens:
        raise Wrong("still-registered", seen=len(stage.screens))


async def _judge_cancelled(stage: _Stage) -> None:
    await stage.service.visit()
    await stage.admit()
    await until(lambda: stage.screens)
    if stage.task is not None:
        stage.task.cancel()
    if not await until(lambda: not stage.screens):
        raise Wrong("cancelled-stays", seen=len(stage.screens))


async def _judge_empty(answer: Answer) -> None:
    """Nobody has solved anything yet."""
    stage = _Stage(answer, [], set())
    async with stage.service as service:
        screen = await service.visit()
        await stage.admit()
        await until(lambda: screen.heard or screen.gone)
        service.raise_errors()
        equal(_said(screen)[:1], [{"snapshot": []}], "empty-board")


@exercise("27.4", answer="function", parameters=3, limit=20, picture=None)
async def publish(answer: Answer) -> Right:
    rows: list[Any] = []
    screens: set[ServerConnection] = set()
    most = [0]

    async def handler(websocket: ServerConnection) -> None:
        screens.add(websocket)
        await websocket.wait_closed()

    async with Service(handler, small=True) as service:
        people = [await service.visit() for _ in range(3)]
        await until(lambda: len(screens) == 3)
        known = [*screens]
        sleeper, *awake = people
        sleeper.sleep()
        asleep = next(
            one for one in known if one.remote_address == sleeper.address
        )
        for number in range(250):
            row = _row(number, "x" * 4000, f"e{number}")
            before = asleep.transport.get_write_buffer_size()
            was_open = not asleep.transport.is_closing()
            _publish(answer, row, rows, screens)
            size = asleep.transport.get_write_buffer_size()
            most[0] = max(most[0], size)
            if was_open and asleep.transport.is_closing():
                _judge_cut(before, size, len(_event(row)))
            if number > 2 and number % 5:
                continue
            # Who reads has read it before many more come.
            await until(
                lambda n=number + 1: all(  # type: ignore[misc]
                    len(one.heard) >= n or one.gone for one in awake
                )
            )
            _judge_row(row, rows, awake)
            service.raise_errors()
        if not await until(asleep.transport.is_closing):
            raise Wrong("sleeper-stays", limit=LIMIT, waiting=most[0])
        if most[0] > 2 * LIMIT:
            raise Wrong("sleeper-stays", limit=LIMIT, waiting=most[0])
        if asleep in screens:
            raise Wrong("kept-in-set", seen=len(screens))
        equal(len(screens), 2, "kept-in-set")
        await _judge_two(service, answer, rows, screens)
        await _judge_limit(service, answer, rows, screens)
    rows.clear()
    _publish(answer, _row(0), rows, set())
    if rows != [_row(0)]:
        raise Wrong("unwatched-lost", seen=len(rows))
    return Right()


def _judge_cut(before: int, size: int, more: int) -> None:
    """A screen was cut for which so many bytes were waiting."""
    if size > LIMIT // 2:
        raise Wrong("waits-to-close", waiting=size)
    if before + more + 20 < LIMIT:
        raise Wrong("cut-too-soon", waiting=before, limit=LIMIT)


async def _sleepers(
    service: Service, screens: set[ServerConnection], count: int
) -> set[ServerConnection]:
    """The server's connections to so many new ones, who read nothing."""
    known = {*screens}
    people = [await service.visit() for _ in range(count)]
    await until(lambda: len(screens) == len(known) + count)
    for person in people:
        person.sleep()
    return screens - known


async def _judge_two(
    service: Service,
    answer: Answer,
    rows: list[Any],
    screens: set[ServerConnection],
) -> None:
    """Two fall asleep at once."""
    asleep = await _sleepers(service, screens, 2)
    broadcast(asleep, "x" * 50 * LIMIT)
    _publish(answer, _row(-1), rows, screens)
    left = sum(not one.transport.is_closing() for one in asleep)
    if left:
        raise Wrong("one-cut", left=left)


async def _judge_limit(
    service: Service,
    answer: Answer,
    rows: list[Any],
    screens: set[ServerConnection],
) -> None:
    """As much waits for one as may, and then a row more."""
    [asleep] = await _sleepers(service, screens, 1)
    waiting = asleep.transport.get_write_buffer_size
    for _ in range(250):
        if waiting() < 1000:  # the buffers of the system are not yet full
            broadcast([asleep], "x" * 4000)
    few = 200  # bytes, more than the next row takes
    broadcast([asleep], "x" * (LIMIT - waiting() - few))
    _publish(answer, _row(-2), rows, screens)
    if asleep.transport.is_closing():
        raise Wrong("cut-too-soon", waiting=LIMIT - few, limit=LIMIT)
    broadcast([asleep], "x" * few)
    if waiting() > LIMIT:
        _publish(answer, _row(-3), rows, screens)
        if not asleep.transport.is_closing():
            raise Wrong("sleeper-stays", limit=LIMIT, waiting=waiting())


def _publish(
    answer: Answer,
    row: list[Any],
    rows: list[Any],
    screens: set[ServerConnection],
) -> None:
    known = [*screens]
    for one in known:
        one.close = _refuse_goodbye  # type: ignore[method-assign]
    try:
        answer(row, rows, screens)
    except RuntimeError as error:
        if CHANGED_SIZE in f"{error}":
            raise Wrong("set-changed", seen=error) from None
        raise
    finally:
        for one in known:
            del one.close


def _refuse_goodbye(*_: Any, **__: Any) -> Any:
    raise Wrong("says-goodbye")


def _judge_row(row: list[Any], rows: list[Any], awake: list[Person]) -> None:
    if row not in rows:
        raise Wrong("row-not-kept", seen=len(rows))
    if rows.count(row) > 1:
        raise Wrong("row-twice", times=rows.count(row))
    if row != rows[-1]:
        raise Wrong("not-at-end", seen=rows.index(row))
    for one in awake:
        if one.gone:
            raise Wrong("reader-cut", seen=one.code)
        if len(one.heard) < len(rows):
            raise Wrong("no-event", expected=len(rows), seen=len(one.heard))
        try:
            seen = json.loads(one.heard[-1])
        except ValueError:
            raise Wrong("other-event", seen=one.heard[-1][:40]) from None
        expected = json.loads(_event(row))
        if seen != expected:
            raise Wrong("other-event", seen=f"{seen}"[:40])


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that is gone afterwards, also on Windows, with open files."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        yield Path(name)


def _killed(path: Path, copy: str) -> Path:
    """What a kill at this moment leaves of a board's files, as a copy.

    Nobody closes, flushes or commits: what is in the files is what the next
    process finds. The index of the log is made anew when there is none.
    """
    target = path.with_name(copy)
    for suffix in "", "-wal", "-journal":
        old = path.with_name(path.name + suffix)
        if old.exists():
            shutil.copy(old, target.with_name(target.name + suffix))
    return target


@contextmanager
def _connections() -> Iterator[list[sqlite3.Connection]]:
    """All connections to SQLite that are opened; closed at the end."""
    opened: list[sqlite3.Connection] = []
    real = sqlite3.connect

    def noted(*args: Any, **options: Any) -> sqlite3.Connection:
        opened.append(real(*args, **options))
        return opened[-1]

    sqlite3.connect = noted  # type: ignore[assignment]
    try:
        yield opened
    finally:
        sqlite3.connect = real
        for one in opened:
            with suppress(sqlite3.ProgrammingError):  # of another thread
                one.close()


def _is_open(connection: sqlite3.Connection) -> bool:
    try:
        connection.total_changes  # noqa: B018
    except sqlite3.ProgrammingError:
        return False
    return True


@exercise("27.5", answer="function", parameters=1, limit=20, picture=None)
async def book(answer: Answer) -> Right:
    with _connections() as opened, _folder() as folder:
        path = folder / "board.db"
        kept = answer(path)
        at_start = sum(map(_is_open, opened))
        rows = [_row(0), _row(1, "Lima"), _row(2, "Ada", "echo")]
        await _judge_new(kept, rows, rows)
        _judge_killed(answer, kept, path, "killed1.db", rows)
        again = [_row(5), _row(6, "Eva"), _row(7, "Ada", "echo")]
        await _judge_new(kept, again, again[1:2])
        await _judge_new(kept, [_row(8, "Iris"), _row(9, "Iris")], "first")
        quoted = [_row(10, "'); drop table x"), _row(11, "O\"Hara's")]
        await _judge_new(kept, quoted, quoted)
        await _judge_new(kept, [], [])
        rows += [again[1], _row(8, "Iris"), *quoted]
        _judge_killed(answer, kept, path, "killed2.db", rows)
        if (left := sum(map(_is_open, opened)) - at_start) > 0:
            raise Wrong("left-open", left=left)
        await _judge_reopened(answer, path, rows)
        await _judge_full(answer, kept, path, rows)
        await _judge_broken(answer, kept, path)
        mixed = [_row(305, "Uma"), _row(303, "Zoe", "c"), _row(304, "Abe")]
        await _judge_new(kept, mixed, mixed)
        if not await asyncio.to_thread(kept.keep, [_row(306, "aDA")]):
            raise Wrong("case-mixed", expected=[_row(306, "aDA")], seen=[])
        kept.close()
        if left := sum(map(_is_open, opened)):
            raise Wrong("left-open", left=left)
    return Right()


async def _judge_new(kept: Any, rows: list[Any], expected: Any) -> None:
    given = [[*row] for row in rows]
    try:
        seen = await asyncio.to_thread(kept.keep, given)
    except sqlite3.IntegrityError as error:
        raise Wrong("repeat-raises", seen=error) from None
    except sqlite3.Error as error:
        if "closed database" in f"{error}":
            raise Wrong("closed-early", seen=error) from None
        if "'" in f"{rows}":
            raise Wrong("glued-text", seen=error) from None
        raise
    if expected == "first":
        expected = rows[:1]
    refuse_none(seen, expected)
    if not isinstance(seen, list | tuple):
        raise Wrong("other-rows", expected=expected, seen=seen)
    found = [[*row] for row in seen]
    if found != expected and len(found) > len(expected):
        raise Wrong("counts-twice", expected=expected, seen=seen)
    if sorted(found) == sorted(expected):
        equal(found, expected, "other-order")
    equal(found, expected, "other-rows")


def _found(answer: Answer, path: Path) -> list[list[Any]]:
    """The rows that another book finds in a file."""
    again = answer(path)
    try:
        return [[*row] for row in again.rows()]
    finally:
        again.close()


def _judge_killed(
    answer: Answer, kept: Any, path: Path, copy: str, rows: list[Any]
) -> None:
    seen = _found(answer, _killed(path, copy))
    if len(seen) < len(rows):
        if len(kept.rows()) < len(rows):
            raise Wrong("other-rows", expected=rows, seen=seen)
        raise Wrong("not-committed", wanted=len(rows), found=len(seen))
    if sorted(row[:2] for row in seen) == sorted(row[:2] for row in rows):
        equal(sorted(seen), sorted(rows), "time-changed")
    equal(seen, rows, "other-rows")


async def _judge_reopened(answer: Answer, path: Path, rows: list[Any]) -> None:
    """Another book on the file is told of a row that is in it."""
    again = answer(_killed(path, "again.db"))
    try:
        seen = await asyncio.to_thread(again.keep, [[*rows[0]]])
    except sqlite3.IntegrityError as error:
        raise Wrong("own-memory", seen=error) from None
    finally:
        again.close()
    equal(seen, [], "own-memory")


async def _judge_broken(answer: Answer, kept: Any, path: Path) -> None:
    """A row in the middle of a list cannot be kept: SQLite or Python fails."""
    for number, broken in enumerate(
        (["Kim", object(), 1.0], ["Kim", "\ud800", 1.0], ["Kim", "short"])
    ):
        with suppress(Exception):
            await asyncio.to_thread(
                kept.keep, [_row(200, "Kim", f"a{number}"), broken]
            )
        good = _row(201 + number, "Kim", f"b{number}")
        await _judge_new(kept, [good], [good])
        found = _found(answer, _killed(path, f"broken{number}.db"))
        of_kim = [row for row in found if row[0] == "Kim"]
        if len(of_kim) > number + 1:
            raise Wrong("half-kept", wanted=number + 1, found=len(of_kim))


async def _judge_full(
    answer: Answer, kept: Any, path: Path, rows: list[Any]
) -> None:
    """There is room for some rows, and not for all."""
    connection = getattr(kept, "connection", None)
    if not isinstance(connection, sqlite3.Connection):
        return
    before = connection.total_changes
    await _judge_new(kept, [_row(20, "Zoe")], [_row(20, "Zoe")])
    rows.append(_row(20, "Zoe"))
    if connection.total_changes == before:
        return  # it keeps them through another
    [pages] = connection.execute("pragma page_count").fetchone()
    connection.execute(f"pragma max_page_count={pages + 2}")
    many = [_row(n, "y" * 400, f"e{n}") for n in range(30, 90)]
    try:
        seen = await asyncio.to_thread(kept.keep, many)
    except sqlite3.Error:
        pass
    else:
        raise Wrong("full-hidden", seen=len(seen or []))
    connection.execute("pragma max_page_count=1000000")
    await _judge_new(kept, [_row(99, "Zoe", "b")], [_row(99, "Zoe", "b")])
    found = _found(answer, _killed(path, "killed3.db"))
    expected = len(rows) + 1
    if len(found) > expected:
        raise Wrong("half-kept", wanted=expected, found=len(found))
    if len(found) < expected:
        raise Wrong("not-committed", wanted=expected, found=len(found))
    seen = await asyncio.to_thread(kept.keep, [[*many[0]]])
    if not seen:
        raise Wrong("own-memory", expected=[many[0]], seen=seen)


class _Book:
    """A book on a slow disk: keeps when it is told to.

    Attributes:
        batches: what it was given to keep.
        on_loop, together: whether it was called on the loop's own thread,
            and while another call was going on.
        full: whether the disk is.
    """

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.on_loop = self.together = self.full = False
        self.disk = threading.Event()
        self._loop = threading.get_ident()
        self._busy = threading.Lock()
        self._known: set[Any] = set()

    def keep(self, rows: Any) -> list[Any]:
        rows = [*rows]
        self.batches.append(rows)
        if threading.get_ident() == self._loop:
            self.on_loop = True
        elif not self._busy.acquire(blocking=False):
            self.together = True
        else:
            self.disk.wait(5)
            self._busy.release()
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")
        new = []
        for row in rows:
            if tuple(row[:2]) not in self._known:
                self._known.add(tuple(row[:2]))
                new.append(row)
        return new


@exercise("27.6", parameters=3, limit=15, picture="timeline")
async def write(answer: Answer) -> Right:
    book = _Book()
    told: list[Any] = []
    answered: dict[str, asyncio.Future[Any]] = {}
    early: list[Any] = []
    threads: list[int] = []
    queue: asyncio.Queue[Any] = asyncio.Queue()

    def put(row: list[Any]) -> asyncio.Future[Any]:
        kept = asyncio.get_running_loop().create_future()
        answered[f"{row}"] = kept
        queue.put_nowait((row, kept))
        return kept

    def tell(row: list[Any]) -> None:
        told.append(row)
        threads.append(threading.get_ident())
        kept = answered.get(f"{[*row]}")
        if kept is not None and kept.done() and not kept.cancelled():
            early.append(row)

    writer = asyncio.ensure_future(answer(queue, book, tell))
    try:
        await _judge_writing(writer, book, told, put)
        if early:
            raise Wrong("answers-first", seen=early[0])
        if {*threads} != {threading.get_ident()}:
            raise Wrong("tells-in-thread")
        await _judge_refusal(writer, book, told, put)
        book.disk.clear()
        put(_row(7, "Lima"))
        known = len(book.batches)
        await until(lambda: len(book.batches) > known)
        writer.cancel()
        book.disk.set()
        if not await ends(writer):
            raise Wrong("cancel-swallowed")
    finally:
        book.disk.set()
        writer.cancel()
        await asyncio.wait({writer}, timeout=PATIENCE)
    return Right()


async def _judge_writing(
    writer: asyncio.Future[Any],
    book: _Book,
    told: list[Any],
    put: Callable[[list[Any]], asyncio.Future[Any]],
) -> None:
    rows = [_row(0), _row(1, "Lima"), _row(2), _row(3, "Eva")]
    rows.append(_row(8, "Lima"))  # again, before the first is kept
    kept = [put(rows[0])]
    await until(lambda: book.batches or writer.done())
    if book.on_loop and writer.done() and writer.exception():
        raise Wrong("keep-called", seen=writer.exception())
    _refuse_writer_end(writer, "writer-ends")
    if not book.batches:
        raise Wrong("nothing-kept")
    await until(lambda: kept[0].done(), MOMENT)
    if book.on_loop:
        raise Wrong("on-the-loop")
    if kept[0].done() or told:
        raise Wrong("too-soon", seen=told)
    kept += [put(row) for row in rows[1:]]
    await until(lambda: len(book.batches) > 1, MOMENT)
    if book.together:
        raise Wrong("together", seen=len(book.batches))
    kept[3].cancel()  # Eva has left
    book.disk.set()
    await until(lambda: all(one.done() for one in kept) or writer.done())
    _refuse_writer_end(writer, "writer-ends")
    await _refuse_silence(kept)
    if len(book.batches) > 2:
        raise Wrong("one-by-one", seen=len(book.batches))
    given = [[*row] for batch in book.batches for row in batch]
    if rows[3] not in given:
        raise Wrong("row-dropped", expected=rows[3])
    if len(given) > len(rows):
        raise Wrong("kept-again", put=len(rows), given=len(given))
    equal(told, [rows[0], rows[1], rows[3]], "told-other")
    for one in kept[:3] + kept[4:]:
        equal(one.result(), None, "other-result")


async def _judge_refusal(
    writer: asyncio.Future[Any],
    book: _Book,
    told: list[Any],
    put: Callable[[list[Any]], asyncio.Future[Any]],
) -> None:
    known = len(told)
    book.full = True
    kept = [put(_row(4, "Iris")), put(_row(5, "Zoe"))]
    await until(lambda: all(one.done() for one in kept) or writer.done())
    _refuse_writer_end(writer, "writer-dies")
    tries = [batch for batch in book.batches if _row(4, "Iris") in batch]
    if len(tries) > 1 and not kept[0].done():
        raise Wrong("tries-again", times=len(tries))
    await _refuse_silence(kept)
    if len(told) > known:
        raise Wrong("too-soon", seen=told[known:])
    for one in kept:
        if one.exception() is not None:
            raise Wrong("other-result", seen=one.exception())
        if one.result() is None:
            raise Wrong("said-kept")
        if not isinstance(one.result(), str):
            raise Wrong("error-itself", seen=one.result())
        if "disk is full" not in one.result():
            raise Wrong("other-result", seen=one.result())
    book.full = False
    last = put(_row(6, "Iris"))
    await until(lambda: last.done() or writer.done())
    _refuse_writer_end(writer, "writer-dies")
    await _refuse_silence([last])
    equal(told[known:], [_row(6, "Iris")], "told-other")
    equal(last.result(), None, "still-refused")


def _refuse_writer_end(writer: asyncio.Future[Any], mistake: str) -> None:
    if not writer.done():
        return
    error = None if writer.cancelled() else writer.exception()
    if isinstance(error, asyncio.InvalidStateError):
        raise Wrong("future-gone", seen=error)
    if error is not None and awaits_none(error):
        raise Wrong("awaits-tell", seen=error)
    if error is None or mistake == "writer-dies":
        raise Wrong(mistake, seen=error)
    raise error


async def _refuse_silence(kept: list[asyncio.Future[Any]]) -> None:
    left = sum(not one.done() for one in kept)
    if left:
        raise Wrong("no-result", wanted=len(kept), done=len(kept) - left)


class _Items(HTMLParser):
    """The tags of a page in order, and the text of each item."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.items: list[str] = []
        self._inside = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        if tag == "li":
            self._inside = True
            self.items.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "li":
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.items[-1] += data


CLASSES: tuple[list[str], ...] = (
    ["Ada", "Lima", "Ada", "José", "李雷"],
    [SCRIPT, "Eva"],
    ["<img src=x onerror=y>", "</li><li>Eva: all"],
    ["Ada & Lima", "&lt;b&gt;", 'O\'Hara "x"', "5 < 7"],
    [],
)


@exercise("27.7", answer="function", parameters=1, picture=None)
async def render(answer: Answer) -> Right:
    pages = []
    for nicks in CLASSES:
        rows = [_row(n, nick, f"ex_{n}") for n, nick in enumerate(nicks)]
        safe = [_row(n, f"Ada{n}", f"ex_{n}") for n, _ in enumerate(nicks)]
        seen, plain = answer(rows), answer(safe)
        refuse_none(seen)
        if not isinstance(seen, str):
            raise Wrong("no-page", seen=seen)
        page = _Items(seen)
        if not nicks and page.items:
            raise Wrong("nobody-shown", seen=seen)
        if _Items(answer(rows)).items != page.items:
            raise Wrong("lines-stay", seen=answer(rows))
        pages.append((page, [f"{nick}: {name}" for nick, name, _ in rows]))
        if nicks and "li" not in page.tags:
            raise Wrong("no-items", seen=seen)
        if (found := page.tags.count("li")) < len(rows):
            raise Wrong("rows-missing", wanted=len(rows), found=found)
        if page.tags != _Items(plain).tags:
            raise Wrong("html-from-nick", seen=seen)
    for page, expected in pages:
        texts = [item.strip() for item in page.items]
        if texts != expected and [*map(html.unescape, expected)] == texts:
            raise Wrong("and-left", expected=expected, seen=texts)
        if texts != expected and "&" in "".join(texts):
            raise Wrong("escaped-twice", expected=expected, seen=texts)
        equal(texts, expected, "other-text")
    _judge_patterns(answer)
    return Right()


def _judge_patterns(answer: Answer) -> None:
    """Nicknames that are patterns, to what fills in or replaces texts."""
    for nick in "100%", "%s", "{}", "{0}", "{exercise}", "$nick", "\\1":
        expected = [f"{nick}: shout"]
        try:
            items = _Items(answer([_row(0, nick)])).items
            seen = [item.strip() for item in items]
        except Exception as error:
            raise Wrong("nick-as-pattern", nick=nick, seen=error) from None
        equal(seen, expected, "nick-as-pattern", nick=nick)


@exercise("27.8", answer="function", parameters=2, limit=45, picture=None)
async def serve_board(answer: Answer) -> Right:
    with _uncaught() as errors:
        try:
            rows = await _attack(answer, errors)
        except Exception as error:
            _refuse_unwritten(answer)
            if isinstance(error, Wrong):
                _refuse_uncaught(errors, also_refusals=False)
            raise
    return Right(learners=MANY, rows=len(rows))


async def _attack(answer: Answer, errors: list[Exception]) -> list[Any]:
    """Attack a board, kill it, and open it again.

    Returns: the rows that it should have kept, and has.
    """
    with _descriptors(), _folder() as folder:
        path = folder / "board.db"
        async with _board(answer, path) as (server, url):
            await _attack_door(url)
            _refuse_uncaught(errors)
            expected = await _attack_class(server, url)
            await _judge_found(answer, path, "killed.db", expected, "killed")
        await _judge_found(answer, path, path.name, expected, "restarted")
        async with _board(answer, path, 0.3) as (_, url):
            silent = await _enter(url)
            if not await until(lambda: silent.gone):
                silent.vanish()
                raise Wrong("no-deadline")
            equal(silent.code, 4401, "other-code", hello="...")
    _refuse_uncaught(errors)
    return expected


@contextmanager
def _uncaught() -> Iterator[list[Exception]]:
    """What leaves the handlers, which the server would only write down."""
    errors: list[Exception] = []

    def keep(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, Exception) and "handler" in record.msg:
            errors.append(error)
        return False

    logger = logging.getLogger("websockets.server")
    logger.addFilter(keep)
    try:
        yield errors
    finally:
        logger.removeFilter(keep)


def _refuse_uncaught(
    errors: list[Exception], also_refusals: bool = True
) -> None:
    """Refuse a handler that exceptions leave.

    Arguments:
        also_refusals: whether to speak of those, too, that stand for the code
            with which a connection is closed.
    """
    for error in errors:
        if isinstance(error, ConnectionClosed):
            raise Wrong("closed-escapes", times=len(errors), seen=error)
        if not isinstance(error, PermissionError | ValueError):
            raise named(error)
        if also_refusals:
            raise Wrong("raises-again", seen=error)


def _refuse_unwritten(answer: Answer) -> None:
    """Speak of the part that a board needs and that is not written yet."""
    scope = getattr(inspect.unwrap(answer), "__globals__", {})
    for name in "read_hello", "read_nick", "show", "publish", "write":
        if name in scope and not is_started(scope[name]):
            raise Wrong("part-missing", part=name)
    keep = getattr(scope.get("Book"), "keep", None)
    if keep is not None and not is_started(keep):
        raise Wrong("part-missing", part="Book")


MANY = 200  # learners at once


@contextmanager
def _descriptors() -> Iterator[None]:
    """Room for the files of so many clients, where the system has little."""
    if sys.platform == "win32":
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8 * MANY
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        yield
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@asynccontextmanager
async def _board(
    answer: Answer, path: Path, seconds: float = AGES
) -> AsyncIterator[tuple[Any, str]]:
    """The learner's board on a file, and where it listens."""
    board = answer(path, TOKENS.copy(), seconds=seconds)
    if not hasattr(board, "__aenter__"):
        raise Wrong("no-board", seen=board)
    server = await board.__aenter__()
    try:
        try:
            url = address(server)
        except (AttributeError, TypeError, StopIteration):
            raise Wrong("no-server", seen=server) from None
        yield server, url
    finally:
        leaving = asyncio.ensure_future(board.__aexit__(None, None, None))
        closed = await ends(leaving, 5 * PATIENCE)
    if not closed:
        raise Wrong("never-closes")
    leaving.result()


async def _enter(
    url: str, hello: Any = None, small: bool = False, **options: Any
) -> Person:
    websocket = await connect(
        url, compression=None, max_size=None, close_timeout=0.5, **options
    )
    if small:
        sock = websocket.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL // 16)
    person = Person(websocket)
    if hello is not None:
        await person.send(_text(hello))
    return person


def _as_learner(nick: str) -> dict[str, str]:
    return {"token": TOKENS["class"], "nick": nick}


AS_SCREEN = {"token": TOKENS["screen"], "role": "screen"}


async def _attack_door(url: str) -> None:
    """Hellos that must not get in, and messages that must not be kept."""
    reasons: dict[str, Any] = {}
    for code, hello, then in (
        (4401, "hola", None),
        (4401, [TOKENS["class"]], None),
        (4401, {"nick": "Ada"}, None),
        (4401, {"token": "latte", "nick": "Ada"}, None),
        (4401, {"token": TOKENS["class"], "role": "screen"}, None),
        (4401, {"token": TOKENS["screen"], "nick": "Ada"}, None),
        (4400, _as_learner("x" * 21), None),
        (4400, _as_learner("Ada"), {"solved": "Shout'"}),
        (4400, _as_learner("Ada"), "hola"),
        (4400, {"token": TOKENS["class"]}, None),
        (4400, _as_learner("Ada") | {"role": "teacher"}, {"solved": 5}),
        (4400, AS_SCREEN, {"solved": "shout"}),
    ):
        guest = await _enter(url, hello)
        if then is not None:
            await guest.send(_text(then))
        await until(lambda guest=guest: guest.gone)  # type: ignore[misc]
        heard = [one for one in guest.heard if "snapshot" not in str(one)]
        said = _text(hello) + (f" + {_text(then)}" if then else "")
        if code == 4401 and (not guest.gone or guest.heard):
            guest.vanish()
            raise Wrong("lets-in", hello=said, seen=guest.heard)
        if then is not None and hello is AS_SCREEN and not guest.gone:
            guest.vanish()
            raise Wrong("screen-posts", seen=heard)
        if hello is not AS_SCREEN and len(heard) < len(guest.heard):
            guest.vanish()
            raise Wrong("snapshot-to-class", hello=said)
        if not guest.gone:
            guest.vanish()
            raise Wrong("not-closed", hello=said)
        equal(guest.code, code, "other-code", hello=said)
        reasons[_text(then) if then else said] = guest.reason
    if not any(reasons.values()):  # somebody's own error may have no text
        raise Wrong("no-reason")
    # Two errors of parts that are ready, and whose texts differ.
    if reasons["hola"] == reasons[_text({"solved": "Shout'"})]:
        raise Wrong("own-reason", reason=reasons["hola"])


async def _attack_class(server: Any, url: str) -> list[Any]:
    """A class at work, with people among them who spy or sleep.

    Returns: the rows, as a screen has heard of them.
    """
    for listening in server.sockets:
        with suppress(OSError, AttributeError):
            listening.setsockopt(
                socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL // 16
            )
    screen = await _enter(url, AS_SCREEN)
    sleeper = await _enter(url, AS_SCREEN, small=True)
    await until(lambda: screen.heard and sleeper.heard)
    if screen.gone and not screen.heard:
        raise Wrong("no-snapshot", seen=f"{screen.code} {screen.reason}")
    equal(_said(screen)[:1], [{"snapshot": []}], "no-snapshot")
    sleeper.sleep()
    spy = await _enter(url)
    learners: list[Person] = []
    try:
        ada = await _enter(url, _as_learner(SCRIPT))
        learners.append(ada)
        await _judge_first_row(ada, screen, spy, sleeper)
        learners.append(await _judge_repeat(url, ada, screen))
        await _judge_many(url, screen, learners)
        if spy.heard:
            raise Wrong("heard-outside", seen=spy.heard[:1])
    finally:
        for person in [*learners, spy, sleeper, screen]:
            person.vanish()
    return [[*event.values()] for event in _said(screen)[1:]]


async def _judge_first_row(
    ada: Person, screen: Person, spy: Person, sleeper: Person
) -> None:
    await ada.send('{"solved": "shout"}')
    await _judge_kept(ada, spy, sleeper, screen)
    await until(lambda: len(screen.heard) > 1)
    if len(screen.heard) < 2:
        raise Wrong("no-event", seen=screen.heard[1:])
    if spy.heard:
        raise Wrong("heard-outside", seen=spy.heard)
    event = _said(screen)[1]
    if "nick" in event and event["nick"] != SCRIPT:
        raise Wrong("html-changed", expected=SCRIPT, seen=event["nick"])
    if [*event] != ["nick", "exercise", "time"]:
        raise Wrong("no-event", seen=event)
    await until(lambda: len(ada.heard) > 1, MOMENT)
    equal(_said(ada), [{"kept": "shout"}], "learner-hears")


def _said(person: Person) -> list[Any]:
    """What somebody has heard, as JSON; what is none, as it is."""
    found: list[Any] = []
    for message in person.heard:
        try:
            found.append(json.loads(message))
        except ValueError:
            found.append(message)
    return found


async def _judge_kept(learner: Person, *before: Person) -> None:
    """She hears "kept", whoever has come in before her."""
    # The turns of the loop say nothing of how slow the disk is.
    await until(lambda: learner.heard or learner.gone, 5 * PATIENCE)
    if {"kept": "shout"} in _said(learner):
        return
    seen = learner.heard or learner.code
    for person in before:
        person.vanish()
    if before and await until(lambda: {"kept": "shout"} in _said(learner)):
        raise Wrong("one-at-a-time")
    raise Wrong("no-ack", seen=seen)


async def _judge_repeat(url: str, ada: Person, screen: Person) -> Person:
    """Somebody comes back, and says again what she had said."""
    await ada.leave()
    again = await _enter(url, _as_learner(SCRIPT))
    await again.send('{"solved": "shout"}')
    await until(lambda: again.heard or again.gone, 5 * PATIENCE)
    if again.gone and not again.heard and again.code in {4400, 4401}:
        raise Wrong("return-refused", reason=again.reason)
    await _judge_kept(again)
    await until(lambda: len(screen.heard) > 2, MOMENT)
    if len(screen.heard) > 2:
        raise Wrong("counts-twice", seen=len(screen.heard) - 1)
    return again


async def _judge_many(
    url: str, screen: Person, learners: list[Person]
) -> None:
    names = [f"{'exercise_' * 4}{number}" for number in range(6)]
    reading = _readers_of_queues()
    for first in range(0, MANY, 50):
        learners += await asyncio.gather(
            *(
                _enter(url, _as_learner(f"nickname-number-{number:03}"))
                for number in range(first, first + 50)
            )
        )
    workers = learners[-MANY:]
    await _judge_work(screen, workers, names[:3])
    await _judge_late(url, screen, learners[1])
    await _judge_work(screen, workers, names[3:])
    if (more := _readers_of_queues() - reading) > MANY // 2:
        raise Wrong("many-writers", many=more)


async def _judge_work(
    screen: Person, workers: list[Person], names: list[str]
) -> None:
    known = len(screen.heard)
    before = sum(len(one.heard) for one in workers)
    for name in names:
        for one in workers:
            await one.send(json.dumps({"solved": name}))
    expected = MANY * len(names)

    def acknowledged() -> int:
        return sum(len(one.heard) for one in workers) - before

    await _while_it_grows(acknowledged, expected)
    for one in workers:
        if one.gone:
            raise Wrong("no-ack", seen=one.code)
    if acknowledged() < expected:
        raise Wrong("sleeper-stops", wanted=expected, answered=acknowledged())
    await _while_it_grows(lambda: len(screen.heard) - known, expected)
    if screen.gone:
        raise Wrong("reader-cut", seen=screen.code)
    equal(len(screen.heard) - known, expected, "events-lost")


def _readers_of_queues() -> int:
    """How many tasks of one kind wait for something in a queue."""
    kinds: Counter[Any] = Counter()
    for task in asyncio.all_tasks():
        coroutine: Any = task.get_coro()
        kind = getattr(coroutine, "__qualname__", None)
        while inspect.iscoroutine(coroutine):
            if coroutine.cr_code is asyncio.Queue.get.__code__:
                kinds[kind] += 1
            coroutine = coroutine.cr_await
    return max(kinds.values(), default=0)


async def _judge_late(url: str, screen: Person, learner: Person) -> None:
    """Rows come while a long snapshot waits for a screen that is slow.

    One that is cut meanwhile would come back, and get another snapshot.
    """
    host, port = url.removeprefix("ws://").split(":")
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL // 16)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, (host, int(port)))
        late = await _enter(url, sock=sock)
        try:
            late.sleep()
            await late.send(_text(AS_SCREEN))
            await asyncio.sleep(2 * MOMENT)
            wanted = len(screen.heard) + 2
            for number in 1, 2:
                await learner.send(json.dumps({"solved": f"late{number}"}))
            await until(lambda: len(screen.heard) >= wanted, 5 * PATIENCE)
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
            late.wake()
            await until(lambda: late.gone or late.heard, 5 * PATIENCE)
            await until(lambda: late.gone or "late2" in f"{late.heard[-1:]}")
            if late.gone:
                return
        finally:
            late.vanish()
    heard = "".join(map(str, late.heard))
    for number in 1, 2:
        times = heard.count(f'"late{number}"')
        if not times:
            raise Wrong("late-gap")
        if times > 1:
            raise Wrong("late-double", times=times)


async def _while_it_grows(count: Callable[[], int], wanted: int) -> None:
    """Wait for a count, as long as it grows."""
    before = -1
    while before < count() < wanted:
        before = count()
        await until(lambda: count() >= wanted, 3 * PATIENCE)


async def _judge_found(
    answer: Answer, path: Path, copy: str, rows: list[Any], mistake: str
) -> None:
    """What another process finds in the file, and says to a screen."""
    file = path if copy == path.name else _killed(path, copy)
    async with _board(answer, file) as (_, url):
        screen = await _enter(url, AS_SCREEN)
        await until(lambda: screen.heard, 3 * PATIENCE)
        try:
            seen = json.loads(screen.heard[0])["snapshot"]
        except (LookupError, ValueError, TypeError):
            raise Wrong("no-snapshot", seen=screen.heard[:1]) from None
        finally:
            screen.vanish()
    if len(seen) < len(rows):
        raise Wrong(mistake, wanted=len(rows), found=len(seen))
    if sorted(seen) != sorted(rows):
        raise Wrong("time-changed", expected=rows[0], seen=seen[0])
