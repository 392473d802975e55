"""The server of the classroom's board: lesson 27's program.

`make build` writes it from the cells of the lesson that are tagged `board`.
Change it there.
"""

import asyncio
import hmac
import json
import re
import sqlite3
import time
from contextlib import asynccontextmanager

from websockets.asyncio.server import broadcast, serve
from websockets.exceptions import ConnectionClosed


def read_object(message):
    """The JSON object that a message is; else ValueError."""
    try:
        value = json.loads(message) if isinstance(message, str) else None
    except RecursionError:
        value = None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


async def read_hello(websocket, tokens, seconds):
    """The first message of somebody with a token; else PermissionError."""
    try:
        async with asyncio.timeout(seconds):
            hello = read_object(await websocket.recv())
        role = "screen" if hello.get("role") == "screen" else "class"
        token = hello.get("token", "").encode()
        if hmac.compare_digest(token, tokens[role].encode()):
            return hello
    except (TimeoutError, ValueError, AttributeError):
        pass
    raise PermissionError("no token")


def read_nick(hello):
    """The nickname in a first message; else ValueError."""
    nick = hello.get("nick")
    if not isinstance(nick, str):
        raise ValueError("no nickname")
    nick = nick.strip()
    if not 1 <= len(nick) <= 20 or not nick.isprintable():
        raise ValueError("a nickname has 1 to 20 printable characters")
    return nick


def read_solved(message):
    """The name of the exercise in a learner's message; else ValueError."""
    exercise = read_object(message).get("solved")
    if not isinstance(exercise, str):
        raise ValueError("no exercise")
    if not re.fullmatch("[a-z][a-z0-9_]{0,39}", exercise):
        raise ValueError("no name of an exercise")
    return exercise


def event(row):
    """What the screens are sent of a new row."""
    nick, exercise, when = row
    return json.dumps({"nick": nick, "exercise": exercise, "time": when})


async def show(websocket, rows, screens):
    """Send a screen all rows, then leave it registered until it goes."""
    snapshot = [*rows]
    await websocket.send(json.dumps({"snapshot": snapshot}))
    for row in rows[len(snapshot) :]:
        broadcast([websocket], event(row))
    screens.add(websocket)
    try:
        await websocket.recv()
        raise ValueError("a screen does not post")
    finally:
        screens.discard(websocket)


def publish(row, rows, screens):
    """Tell the screens of a new row; cut those that do not read."""
    rows.append(row)
    for websocket in [*screens]:
        if websocket.transport.get_write_buffer_size() > 65536:
            screens.discard(websocket)
            websocket.transport.abort()
    broadcast(screens, event(row))


class Book:
    """The rows, in a file: [nick, exercise, time].

    What `keep` has returned from survives `kill -9`. A power failure may take
    the last rows, and does not harm the others (`synchronous=normal`).
    """

    def __init__(self, path):
        self.connection = sqlite3.connect(path, check_same_thread=False)
        self.connection.execute("pragma journal_mode=wal")
        self.connection.execute("pragma synchronous=normal")
        self.connection.execute(
            "create table if not exists solved (nick text, exercise text, "
            "time real, primary key (nick, exercise))"
        )

    def keep(self, rows):
        """Keep rows, all or none; return those that were not known."""
        new = []
        with self.connection:
            for row in rows:
                done = self.connection.execute(
                    "insert or ignore into solved values (?, ?, ?)", row
                )
                if done.rowcount:
                    new.append(row)
        return new

    def rows(self):
        """All rows, the oldest first."""
        found = self.connection.execute(
            "select nick, exercise, time from solved order by time, rowid"
        )
        return [[*row] for row in found]

    def close(self):
        """Close the file."""
        self.connection.close()


async def listen(websocket, nick, queue):
    """Take what a learner has solved, and say what became of it."""
    async for message in websocket:
        exercise = read_solved(message)
        kept = asyncio.Future()
        queue.put_nowait(([nick, exercise, time.time()], kept))
        why = await kept
        if why is None:
            answer = {"kept": exercise}
        else:
            answer = {"refused": exercise, "why": why}
        await websocket.send(json.dumps(answer))


async def write(queue, book, tell):
    """Keep what gathers in a queue of pairs: a row, and its future.

    A future's result is None as soon as its row is kept, and else why not.
    """
    while True:
        batch = [await queue.get()]
        while not queue.empty():
            batch.append(queue.get_nowait())
        why = None
        try:
            rows = [row for row, _ in batch]
            new = await asyncio.to_thread(book.keep, rows)
        except sqlite3.Error as error:
            new, why = [], str(error)
        for row in new:
            tell(row)
        for _, kept in batch:
            if not kept.done():
                kept.set_result(why)


@asynccontextmanager
async def serve_board(
    path, tokens, host="127.0.0.1", port=0, seconds=5, **options
):
    """A board on a file; yields its server.

    `tokens` is {"class": ..., "screen": ...}. Whoever connects has `seconds`
    to say who they are. `options` go to `serve`.
    """
    book = Book(path)
    rows, screens, queue = book.rows(), set(), asyncio.Queue()

    def tell(row):
        publish(row, rows, screens)

    async def handler(websocket):
        try:
            hello = await read_hello(websocket, tokens, seconds)
            if hello.get("role") == "screen":
                await show(websocket, rows, screens)
            else:
                await listen(websocket, read_nick(hello), queue)
        except PermissionError as error:
            await websocket.close(4401, str(error))
        except ValueError as error:
            await websocket.close(4400, str(error))
        except ConnectionClosed:
            pass

    writer = asyncio.create_task(write(queue, book, tell))
    try:
        async with serve(
            handler, host, port, max_size=1000, compression=None, **options
        ) as server:
            yield server
    finally:
        writer.cancel()
        await asyncio.wait([writer])
        book.close()
