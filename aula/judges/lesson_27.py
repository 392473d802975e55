"""Judges the exercises of lesson 27: the parts of a board, and the whole."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import sqlite3
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, broadcast
from websockets.exceptions import ConnectionClosed

from aula.exercises.exercise import UNSET, Answer, Right, Wrong, exercise
from aula.judges.mistakes import CHANGED_SIZE, equal, refuse_none
from aula.judges.servers import SMALL, Person, Service, address
from aula.judges.waiting import MOMENT, PATIENCE, ends, until

TOKENS = {"class": "latte-4711", "screen": "mocha-77a1"}
LIMIT = 64 * 1024  # bytes that may wait for a screen
AGES = 60.0  # seconds that nobody here takes to say who they are
SCRIPT = "<script>x()</script>"


class _Door:
    """A server whose handler awaits the learner's read_hello.

    Attributes:
        outcomes: what it returned or raised, in the order in which it ended.
    """

    def __init__(self, answer: Answer) -> None:
        self.outcomes: list[Any] = []
        self._seconds = AGES

        async def handler(websocket: ServerConnection) -> None:
            try:
                hello = await answer(websocket, TOKENS.copy(), self._seconds)
            except Exception as error:
                hello = error
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
                raise Wrong("no-deadline")
        return self.outcomes[-1]


def _text(message: Any) -> str:
    return message if isinstance(message, str) else json.dumps(message)


@exercise("27.1", parameters=3, limit=15, picture="wiretap")
async def read_hello(answer: Answer) -> Right:
    door = _Door(answer)
    hello: Any
    async with door.service:
        for hello in (
            {"token": TOKENS["class"], "nick": "Ada"},
            {"token": TOKENS["screen"], "role": "screen"},
            {"token": TOKENS["class"], "nick": "Lima", "more": [1, None]},
        ):
            seen = await door.outcome(hello)
            if isinstance(seen, PermissionError):
                raise Wrong("owner-refused", hello=hello, seen=seen)
            if isinstance(seen, Exception):
                raise seen
            refuse_none(seen, hello)
            equal(seen, hello, "other-hello")
        await _judge_uninvited(door, None, "lets-in")
        for hello in (
            "hola",
            "null",
            [TOKENS["class"]],
            {},
            {"token": None},
            {"token": "latte"},
            {"token": ""},
            {"token": "LATTE-4711"},
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
    return Right()


async def _judge_uninvited(
    door: _Door, hello: Any, mistake: str, path: str = ""
) -> None:
    """One who must be refused."""
    seen = await door.outcome(hello, path)
    shown = "nothing" if hello is None else _text(hello)[:60]
    if isinstance(seen, PermissionError):
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
    for nick in SCRIPT, "Ada & <b>Lima</b>":
        _judge_nick(answer, nick, nick, "html-changed")
    for nick in " Ada", "Ada  ", f"   {'x' * 20}\n":
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
        raise Wrong(mistake, expected=expected, seen=error) from None
    refuse_none(seen, expected)
    equal(seen, expected, mistake)


def _refuse_nick(answer: Answer, nick: Any, mistake: str) -> None:
    hello = {"token": "x"} if nick is UNSET else {"token": "x", "nick": nick}
    nick = hello.get("nick")
    try:
        seen = answer(hello)
    except ValueError:
        return
    except Exception as error:
        raise Wrong("other-error", nick=nick, seen=error) from None
    if not seen or isinstance(seen, Exception):
        raise Wrong("not-raised", nick=nick, seen=seen)
    raise Wrong(mistake, nick=nick, seen=seen)


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
        _judge_story(stage, lobby)
        await _judge_slow(stage)
        await lobby.leave()
        if await until(lambda: lobby.gone) and screens:
            await until(lambda: not screens)
        if screens:
            raise Wrong("still-registered", seen=len(screens))
        await _judge_post(stage)
    return Right()


class _Stage:
    """A server of the learner's show, which begins when it is told to."""

    def __init__(
        self, answer: Answer, rows: list[Any], screens: set[ServerConnection]
    ) -> None:
        self.rows, self.screens = rows, screens
        self.ends: list[Any] = []
        self._door = asyncio.Event()

        async def handler(websocket: ServerConnection) -> None:
            await self._door.wait()
            self._door.clear()
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
    equal(len(stage.screens), many, "not-registered")


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
    _judge_story(stage, slow)
    await slow.leave()
    await until(lambda: stage.ends)
    stage.ends.clear()


def _judge_story(stage: _Stage, screen: Person) -> None:
    """What a screen has heard, put together, is all rows in their order."""
    stage.service.raise_errors()
    heard: list[Any] = []
    for message in screen.heard:
        said = json.loads(message)
        if "snapshot" in said and heard:
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
            raise Wrong("double", name=row[1])
    raise Wrong("other-order", seen=[row[1] for row in heard[-3:]])


async def _judge_post(stage: _Stage) -> None:
    cheat = await stage.service.visit()
    stage.ends.clear()
    await stage.admit()
    await until(lambda: stage.screens)
    await cheat.send(json.dumps({"solved": "shout"}))
    await until(lambda: stage.ends)
    stage.service.raise_errors()
    seen = stage.ends[0] if stage.ends else None
    if not isinstance(seen, ValueError):
        raise Wrong("post-ignored", seen=seen)
    await until(lambda: not stage.screens)
    if stage.screens:
        raise Wrong("still-registered", seen=len(stage.screens))


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
            _publish(answer, row, rows, screens)
            size = asleep.transport.get_write_buffer_size()
            most[0] = max(most[0], size)
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
    return Right()


def _publish(
    answer: Answer,
    row: list[Any],
    rows: list[Any],
    screens: set[ServerConnection],
) -> None:
    try:
        answer(row, rows, screens)
    except RuntimeError as error:
        if CHANGED_SIZE in f"{error}":
            raise Wrong("set-changed", seen=error) from None
        raise


def _judge_row(row: list[Any], rows: list[Any], awake: list[Person]) -> None:
    if row not in rows:
        raise Wrong("row-not-kept", seen=len(rows))
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
        await _judge_full(answer, kept, path, rows)
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
        if "'" in f"{rows}":
            raise Wrong("glued-text", seen=error) from None
        raise
    if expected == "first":
        expected = rows[:1]
    refuse_none(seen, expected)
    if [[*row] for row in seen] != expected and len(seen) > len(expected):
        raise Wrong("counts-twice", expected=expected, seen=seen)
    equal([[*row] for row in seen], expected, "other-rows")


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
    queue: asyncio.Queue[Any] = asyncio.Queue()

    def put(row: list[Any]) -> asyncio.Future[Any]:
        kept = asyncio.get_running_loop().create_future()
        queue.put_nowait((row, kept))
        return kept

    writer = asyncio.ensure_future(answer(queue, book, told.append))
    try:
        await _judge_writing(writer, book, told, put)
        await _judge_refusal(writer, book, told, put)
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
    kept = [put(rows[0])]
    await until(lambda: book.batches or writer.done())
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
    equal(told, [rows[0], rows[1], rows[3]], "told-other")
    for one in kept[:3]:
        equal(one.result(), None, "other-result")
    if len(book.batches) > 2:
        raise Wrong("one-by-one", seen=len(book.batches))


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
    await _refuse_silence(kept)
    if len(told) > known:
        raise Wrong("too-soon", seen=told[known:])
    for one in kept:
        if one.exception() is not None:
            raise Wrong("other-result", seen=one.exception())
        if one.result() is None:
            raise Wrong("said-kept")
        if "disk is full" not in f"{one.result()}":
            raise Wrong("other-result", seen=one.result())
    book.full = False
    last = put(_row(6, "Iris"))
    await until(lambda: last.done() or writer.done())
    _refuse_writer_end(writer, "writer-dies")
    await _refuse_silence([last])
    equal(told[known:], [_row(6, "Iris")], "told-other")


def _refuse_writer_end(writer: asyncio.Future[Any], mistake: str) -> None:
    if not writer.done():
        return
    error = None if writer.cancelled() else writer.exception()
    if isinstance(error, asyncio.InvalidStateError):
        raise Wrong("future-gone", seen=error)
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
    ["Ada", "Lima"],
    [SCRIPT, "Eva"],
    ["<img src=x onerror=y>", "</li><li>Eva: all"],
    ["Ada & Lima", "&lt;b&gt;", 'O\'Hara "x"', "5 < 7"],
    [],
)


@exercise("27.7", answer="function", parameters=1, picture=None)
async def render(answer: Answer) -> Right:
    pages = []
    for nicks in CLASSES:
        rows = [_row(n, nick, f"ex{n}") for n, nick in enumerate(nicks)]
        safe = [_row(n, "Ada", f"ex{n}") for n, _ in enumerate(nicks)]
        seen, plain = answer(rows), answer(safe)
        refuse_none(seen)
        if not isinstance(seen, str):
            raise Wrong("no-items", seen=seen)
        page = _Items(seen)
        pages.append((page, [f"{nick}: {name}" for nick, name, _ in rows]))
        if nicks and "li" not in page.tags:
            raise Wrong("no-items", seen=seen)
        if page.tags != _Items(plain).tags:
            raise Wrong("html-from-nick", seen=seen)
    for page, expected in pages:
        found = [item.strip() for item in page.items]
        if found != expected and "&" in "".join(found):
            raise Wrong("escaped-twice", expected=expected, seen=found)
        equal(found, expected, "other-text")
    return Right()


@exercise("27.8", answer="function", parameters=2, limit=45, picture=None)
async def serve_board(answer: Answer) -> Right:
    with _descriptors(), _folder() as folder:
        path = folder / "board.db"
        async with _board(answer, path) as (server, url):
            await _attack_door(url)
            expected = await _attack_class(server, url)
            await _judge_found(answer, path, "killed.db", expected, "killed")
        await _judge_found(answer, path, path.name, expected, "restarted")
        async with _board(answer, path, 0.3) as (_, url):
            silent = await _enter(url)
            if not await until(lambda: silent.gone):
                silent.vanish()
                raise Wrong("no-deadline")
            equal(silent.code, 4401, "other-code", hello="")
    return Right(learners=MANY, rows=len(expected))


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


async def _enter(url: str, hello: Any = None, small: bool = False) -> Person:
    websocket = await connect(
        url, compression=None, max_size=None, close_timeout=0.5
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
        if not guest.gone or guest.code != code:
            guest.vanish()
            raise Wrong(
                "other-code", hello=said, expected=code, seen=guest.code
            )


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
    equal(_said(screen)[:1], [{"snapshot": []}], "no-snapshot")
    sleeper.sleep()
    spy = await _enter(url)
    learners: list[Person] = []
    try:
        ada = await _enter(url, _as_learner(SCRIPT))
        learners.append(ada)
        await _judge_first_row(ada, screen, spy)
        learners.append(await _judge_repeat(url, ada, screen))
        await _judge_many(url, screen, learners)
        if spy.heard:
            raise Wrong("heard-outside", seen=spy.heard[:1])
    finally:
        for person in [*learners, spy, sleeper, screen]:
            person.vanish()
    return [[*event.values()] for event in _said(screen)[1:]]


async def _judge_first_row(ada: Person, screen: Person, spy: Person) -> None:
    await ada.send('{"solved": "shout"}')
    await _judge_kept(ada)
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


async def _judge_kept(learner: Person) -> None:
    # The turns of the loop say nothing of how slow the disk is.
    await until(lambda: learner.heard or learner.gone, 5 * PATIENCE)
    if {"kept": "shout"} not in _said(learner):
        raise Wrong("no-ack", seen=learner.heard or learner.code)


async def _judge_repeat(url: str, ada: Person, screen: Person) -> Person:
    """Somebody comes back, and says again what she had said."""
    await ada.leave()
    again = await _enter(url, _as_learner(SCRIPT))
    await again.send('{"solved": "shout"}')
    await _judge_kept(again)
    await until(lambda: len(screen.heard) > 2, MOMENT)
    if len(screen.heard) > 2:
        raise Wrong("counts-twice", seen=len(screen.heard) - 1)
    return again


async def _judge_many(
    url: str, screen: Person, learners: list[Person]
) -> None:
    names = [f"{'exercise_' * 4}{number}" for number in range(6)]
    for first in range(0, MANY, 50):
        learners += await asyncio.gather(
            *(
                _enter(url, _as_learner(f"nickname-number-{number:03}"))
                for number in range(first, first + 50)
            )
        )
    workers = learners[-MANY:]
    for name in names:
        for one in workers:
            await one.send(json.dumps({"solved": name}))
    expected = MANY * len(names)

    def acknowledged() -> int:
        return sum(len(one.heard) for one in workers)

    await _while_it_grows(acknowledged, expected)
    for one in workers:
        if one.gone:
            raise Wrong("no-ack", seen=one.code)
    if acknowledged() < expected:
        raise Wrong("sleeper-stops", wanted=expected, answered=acknowledged())
    await _while_it_grows(lambda: len(screen.heard) - 2, expected)
    if screen.gone:
        raise Wrong("reader-cut", seen=screen.code)
    equal(len(screen.heard) - 2, expected, "events-lost")


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
