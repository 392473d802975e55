"""Judges the exercises of lesson 10."""

import asyncio
import logging
from contextlib import asynccontextmanager, suppress

import aiohttp
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from aula.exercises.exercise import Right, Wrong, exercise
from aula.judges.peers import finished, refuse_no_star, within

PATIENCE = 1.0  # seconds in which others turn up, if they do at all
MOMENT = 0.15  # seconds in which what must not happen would have happened
# A set's order is anybody's guess. That all of so many listeners come after
# all of as many others happens once in 12,870 times.
LOST = 8


class Complaints(logging.Handler):
    """Keeps what the server logs: exceptions of handlers, and the rest."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.errors = []
        self.messages = []

    def emit(self, record):
        message = record.getMessage()
        if message.startswith("Error handling request"):
            self.errors.append(record.exc_info[1])
        else:
            self.messages.append(message)

    def logger(self):
        logger = logging.Logger("board")
        logger.addHandler(self)
        return logger


@asynccontextmanager
async def running(app, **options):
    """An application on a free port; yields its address, without a path."""
    options.setdefault("shutdown_timeout", 0.1)
    runner = web.AppRunner(app, access_log=None, **options)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield site.name
    finally:
        await runner.cleanup()


def serving(*routes):
    """An application with these routes; a client that left is let go."""
    app = web.Application()
    app.add_routes(routes)
    return running(app, handler_cancellation=True)


@exercise("10.1", parameters=1, picture=None)
async def order(answer):
    errors, strange = [], []

    async def watched(request):
        try:
            response = await answer(request)
        except web.HTTPException:
            raise
        except Exception as error:
            errors.append(error)
            return web.Response(status=500)
        if isinstance(response, web.StreamResponse):
            return response
        strange.append(response)
        return web.Response(status=500)

    async def ask(drink="", **body):
        body = {"json": {"drink": drink}} if drink else body
        async with session.post(url, **body) as response:
            try:
                return response.status, await response.json()
            except (ValueError, aiohttp.ContentTypeError):
                return response.status, await response.text()

    async with serving(web.post("/order", watched)) as address:
        url = f"{address}/order"
        async with aiohttp.ClientSession() as session:
            seen = await ask("latte")
            if strange:
                raise Wrong("no-response", seen=strange[0])
            if errors:
                raise errors[0]
            judge_order(seen, "latte")
            judge_order(await ask("mocha"), "mocha")
            seen = await ask(data="latte, please")
            if errors or strange or seen[0] != 400:
                raise Wrong(
                    "bad-json",
                    expected=400,
                    seen=errors[0] if errors else seen[0],
                )
            seen = await ask(json={"size": "grande"})
            if errors or strange:
                raise Wrong(
                    "no-drink",
                    expected=400,
                    seen=errors[0] if errors else strange[0],
                )
            if seen[0] != 400:
                raise Wrong("accepted", expected=400, seen=seen[0])
    return Right()


def judge_order(seen, drink):
    expected = 201, {"ready": drink}
    if seen == expected:
        return
    if seen[1] == expected[1]:
        raise Wrong("other-status", expected=expected[0], seen=seen[0])
    if not isinstance(seen[1], dict):
        raise Wrong("no-json", expected=expected, seen=seen)
    raise Wrong("other-reply", expected=expected, seen=seen)


class Pages:
    """A server's pages: says who is in, and holds them until let out.

    The status of each waits as well, until ``heads`` is set.
    """

    def __init__(self):
        self.started = []
        self.inside = 0
        self.most = 0
        self.strangers = 0
        self.heads = asyncio.Event()
        self._doors = {}
        self._open = False

    async def __call__(self, request):
        name = request.match_info["name"]
        self.started.append(name)
        self.strangers += request.headers.get("X-Session") != "aula"
        self.inside += 1
        self.most = max(self.most, self.inside)
        response = web.StreamResponse()
        try:
            await self.heads.wait()
            await response.prepare(request)
            await response.write(b"page ")
            if not self._open:
                await self._doors.setdefault(name, asyncio.Event()).wait()
        finally:
            self.inside -= 1
        with suppress(ConnectionResetError):
            await response.write(name.encode())
        return response

    def let_out(self, name):
        self._doors.setdefault(name, asyncio.Event()).set()

    def let_all_out(self):
        self._open = True
        self.heads.set()
        for door in self._doors.values():
            door.set()


@exercise("10.2", parameters=3)
async def fetch_all(answer):
    pages, limit = Pages(), 2
    names = ["latte", "mocha", "chai", "mate", "horchata"]
    async with (
        serving(web.get("/{name}", pages)) as url,
        aiohttp.ClientSession(headers={"X-Session": "aula"}) as session,
    ):
        urls = [f"{url}/{name}" for name in names]
        task = asyncio.create_task(answer(session, urls, limit))
        try:
            await within(PATIENCE, lambda: pages.most == limit or task.done())
            await asyncio.sleep(MOMENT)
            if task.done() and task.exception() is not None:
                refuse_no_star(task.exception())
                raise task.exception()
            if task.done():
                await refuse_awaitable(task.result())
            judge_limit(pages, limit)
            pages.heads.set()
            if await within(MOMENT, lambda: pages.most > limit):
                raise Wrong("body-outside", expected=limit, seen=pages.most)
            second = next(name for name in pages.started if name != names[0])
            pages.let_out(second)
            if not await within(PATIENCE, lambda: len(pages.started) > limit):
                pages.let_all_out()
                if await within(PATIENCE, lambda: len(pages.started) > limit):
                    raise Wrong("batches")
                raise Wrong("never-released")
            pages.let_all_out()
            if not await finished(task, PATIENCE):
                raise Wrong("never-ends")
            await refuse_awaitable(task.result())
            judge_limit(pages, limit)
        finally:
            pages.let_all_out()
            await finished(task, 0)
    judge_texts(task.result(), [f"page {name}" for name in names], second)
    return Right()


async def refuse_awaitable(seen):
    """Refuse what somebody would still have to await."""
    if asyncio.isfuture(seen):
        seen.cancel()
        await asyncio.gather(seen, return_exceptions=True)
    elif asyncio.iscoroutine(seen):
        seen.close()
    else:
        return
    raise Wrong("not-awaited")


def judge_limit(pages, limit):
    if pages.strangers:
        raise Wrong("other-session")
    if pages.most == 0:
        raise Wrong("never-asks", expected=limit, seen=0)
    if pages.most < limit:
        raise Wrong("one-by-one", expected=limit, seen=pages.most)
    if pages.most > limit:
        raise Wrong("too-many", expected=limit, seen=pages.most)


def judge_texts(seen, expected, second):
    items = list(seen) if isinstance(seen, list | tuple) else [seen]
    if items == expected:
        return
    if seen is None:
        raise Wrong("nothing-returned", expected=expected, seen=seen)
    if any(isinstance(item, aiohttp.ClientResponse) for item in items):
        raise Wrong(
            "no-texts",
            expected=expected,
            seen=[type(item).__name__ for item in items],
        )
    if sorted(map(str, items)) == sorted(expected):
        raise Wrong(
            "as-they-came", expected=expected, seen=seen, second=second
        )
    raise Wrong("other-texts", expected=expected, seen=seen)


@exercise("10.3", parameters=3, picture=None)
async def save(answer):
    halves = [b"\xff" * 2**18, b"\xfe" * 2**18]
    size = sum(map(len, halves))
    written, early, on_its_way, task = [], False, False, None

    async def film(request):
        nonlocal on_its_way
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(halves[0])
        await within(PATIENCE, lambda: written or task.done())
        on_its_way = True
        await response.write(halves[1])
        return response

    def write(piece):
        nonlocal early
        early = early or not on_its_way
        written.append(piece)

    async def short(request):
        return web.Response(body=b"latte")

    async with (
        serving(web.get("/film", film), web.get("/short", short)) as url,
        aiohttp.ClientSession() as session,
    ):
        task = asyncio.create_task(answer(session, f"{url}/film", write))
        await finished(task, 3)
        seen, announced = task.result(), None
        if written and seen is None:
            announced = await answer(session, f"{url}/short", len)
    if not written:
        raise Wrong("nothing-written")
    if not early:
        raise Wrong("whole-body")
    kinds = {type(piece).__name__ for piece in written}
    if not kinds <= {"bytes", "bytearray", "memoryview"}:
        raise Wrong("no-bytes", expected="bytes", seen=sorted(kinds))
    total = sum(map(len, written))
    if total < size:
        raise Wrong("one-piece", expected=size, seen=total)
    if b"".join(written) != b"".join(halves):
        raise Wrong("other-bytes", expected=size, seen=total)
    if announced == 5:
        raise Wrong("content-length", expected=size, seen=seen)
    if seen is None:
        raise Wrong("nothing-returned", expected=size, seen=seen)
    if seen == len(written):
        raise Wrong("counts-pieces", expected=size, seen=seen)
    if seen != size:
        raise Wrong("other-size", expected=size, seen=seen)
    return Right()


@exercise("10.4", parameters=3, picture=None, limit=9)
async def try_read(answer):
    enough = asyncio.Event()

    async def menu(request):
        return web.Response(text="latte, mocha")

    async def busy(request):
        return web.Response(text="sold out", status=503)

    async def slow(request):
        await enough.wait()
        return web.Response(text="late")

    async def stalls(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"latte")
        await enough.wait()
        return response

    async def drips(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while not enough.is_set():
            await response.write(b"latte")
            await asyncio.sleep(0.02)
        return response

    async def cut(request):
        request.transport.abort()
        return web.Response()

    async def half(request):
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"hola")
        request.transport.close()
        return response

    async def tried(path, seconds=3.0):
        # A session for each: what one leaves behind disturbs no other.
        async with aiohttp.ClientSession() as session:
            task = asyncio.create_task(
                answer(session, f"{url}/{path}", seconds)
            )
            ended = await finished(task, seconds + 1.2)
        if not ended or task.cancelled():
            return None, ended
        return task.exception() or task.result(), ended

    handlers = menu, busy, slow, stalls, drips, cut, half
    routes = [web.get(f"/{each.__name__}", each) for each in handlers]
    async with serving(*routes) as url:
        seen, _ = await tried("menu")
        if isinstance(seen, Exception):
            raise seen
        expect(seen, "latte, mocha", "menu")
        judge_status(*await tried("nothing"), "404: Not Found", 404)
        judge_status(*await tried("busy"), "sold out", 503)
        judge_slow(*await tried("slow", 0.3))
        judge_stalls(*await tried("stalls", 0.3))
        # Long enough that no pause of the machine is a limit of one wait.
        judge_drips(*await tried("drips", 1.0))
        judge_broken(*await tried("cut"), "cut")
        judge_half(*await tried("half"))
    judge_broken(*await tried("menu"), "no server")
    return Right()


def expect(seen, expected, case):
    """The last word on a case: the result that the exercise asks for."""
    if isinstance(seen, Exception):
        raise seen
    if seen != expected:
        raise Wrong("other-result", expected=expected, seen=seen, case=case)


def judge_status(seen, ended, text, status):
    expected = f"status {status}"
    if seen == text:
        raise Wrong("status-unseen", expected=expected, seen=seen)
    if isinstance(seen, aiohttp.ClientResponseError):
        raise Wrong(
            "status-escapes", expected=expected, seen=type(seen).__name__
        )
    if seen == "broken":
        raise Wrong("status-broken", expected=expected, seen=seen)
    expect(seen, expected, status)


def judge_slow(seen, ended):
    if not ended:
        raise Wrong("no-limit")
    if isinstance(seen, TimeoutError):
        raise Wrong(
            "timeout-escapes", expected="too slow", seen=type(seen).__name__
        )
    if seen == "broken":
        raise Wrong("all-broken", expected="too slow", seen=seen)
    expect(seen, "too slow", "slow")


def judge_stalls(seen, ended):
    if not ended:
        raise Wrong("limit-ends-early")
    if isinstance(seen, TimeoutError):
        raise read_outside("too slow", seen)
    expect(seen, "too slow", "stalls")


def judge_drips(seen, ended):
    if not ended:
        raise Wrong("each-wait")
    expect(seen, "too slow", "drips")


def read_outside(expected, seen):
    return Wrong("read-outside", expected=expected, seen=type(seen).__name__)


def judge_half(seen, ended):
    if isinstance(seen, aiohttp.ClientPayloadError):
        raise read_outside("broken", seen)
    judge_broken(seen, ended, "half")


def judge_broken(seen, ended, case):
    if isinstance(seen, aiohttp.ClientError | OSError):
        raise Wrong(
            "error-escapes",
            expected="broken",
            seen=type(seen).__name__,
            case=case,
        )
    expect(seen, "broken", case)


@exercise("10.5", "function", picture="wiretap", limit=9)
async def make_board(answer):
    app = answer()
    try:
        other = answer()
    except RuntimeError:  # the routes are in the one application already
        other = app
    if not isinstance(app, web.Application):
        raise Wrong("no-app", seen=app)
    board = Board()
    app.middlewares.append(board.middleware)
    async with (
        running(app, logger=board.complaints.logger()) as board.url,
        aiohttp.ClientSession() as board.session,
    ):
        try:
            await judge_board(board)
            await judge_other(board, app, other)
            await judge_losses(board)
        finally:
            await asyncio.gather(*[each.close() for each in board.listeners])
    board.raise_errors()
    return Right()


async def judge_board(board):
    ada, lima = await board.listen(), await board.listen()
    if await within(MOMENT, lambda: ada.close_code is not None):
        board.raise_errors()
        raise Wrong("closes-at-once")
    seen = await board.say("hola")
    board.raise_errors()
    judge_heard([await board.heard(each) for each in (ada, lima)])
    if seen != "2":
        raise Wrong("other-count", expected="2", seen=seen)
    await judge_silence(board, ada)
    await lima.close()
    await board.expect_one()
    chai = await board.listen()
    await board.settles("2")
    chai.transport.abort()
    await board.expect_one()
    await within(MOMENT, lambda: board.complaints.messages)
    board.raise_errors()
    await judge_loss(board, ada)


async def judge_silence(board, ada):
    """What comes over /ws goes nowhere; but it is received."""
    speaker = await board.listen()
    try:
        for _ in range(3):
            await speaker.send("latte")
        async with asyncio.timeout(PATIENCE):
            await (await speaker.ping())
    except ConnectionClosed:
        board.raise_errors()
        raise Wrong("received-once") from None
    except TimeoutError:
        board.deaf = True
    await board.say("chai")
    board.raise_errors()
    if (heard := await board.heard(ada)) != "chai":
        raise Wrong("speaks-on-ws", seen=heard)
    await speaker.close()


async def judge_loss(board, ada):
    """A connection is lost when the text is on its way to it."""
    await board.listen()
    await board.settles("2")
    chai = await board.listen()
    await board.settles("3")
    board.lost = board.transports[-2:-1]
    await board.say("mate")
    await within(MOMENT, lambda: board.complaints.errors)
    if any(isinstance(e, OSError) for e in board.complaints.errors):
        raise Wrong("speaker-fails", seen=board.complaints.errors[0])
    board.raise_errors()
    await judge_all_hear([ada, chai], "mate")


async def judge_losses(board):
    """Several are lost, before and after others, whatever the order."""
    there = [await board.listen() for _ in range(2 * LOST)]
    await board.settles(f"{2 + len(there)}")
    board.lost = board.transports[-len(there) :: 2]
    await board.say("horchata")
    await judge_all_hear(there[1::2], "horchata")


async def judge_all_hear(listeners, text):
    async def hears(websocket):
        while (said := await Board.heard(websocket)) == "mocha":
            pass
        return said

    heard = await asyncio.gather(*map(hears, listeners))
    if set(heard) != {text}:
        raise Wrong(
            "others-miss-it", expected=len(heard), seen=heard.count(text)
        )


async def judge_other(board, app, other):
    """A second board counts its own listeners."""
    seen = None
    if other is not app:
        second = Board()
        async with (
            running(other, logger=second.complaints.logger()) as second.url,
            aiohttp.ClientSession() as second.session,
        ):
            try:
                await second.listen()
                seen = await second.settles("1")
            finally:
                for each in second.listeners:
                    await each.close()
    if seen != "1":
        raise Wrong("shared", expected="1", seen=seen)


def judge_heard(heard):
    if heard == ["hola", "hola"]:
        return
    if "hola" in heard:
        raise Wrong("last-only", expected=["hola", "hola"], seen=heard)
    raise Wrong("nobody-hears", expected=["hola", "hola"], seen=heard)


class Board:
    """The learner's server, and how the judge talks to it."""

    def __init__(self):
        self.complaints = Complaints()
        self.listeners = []
        self.url = ""
        self.session = None
        self.deaf = False
        self.lost = []
        self.silent = None
        self.transports = []

    @property
    def middleware(self):
        """Cuts WebSockets off when there is a text for them."""

        @web.middleware
        async def watched(request, handler):
            if request.path == "/ws":
                self.transports.append(request.transport)
            elif self.lost:
                # Now the handler reads the body without giving way.
                await request.read()
                while self.lost:
                    self.lost.pop().abort()
            response = await handler(request)
            if response is None:
                self.silent = request.path
            return response

        return watched

    async def listen(self):
        url = self.url.replace("http", "ws") + "/ws"
        try:
            websocket = await connect(url, close_timeout=1)
        except InvalidStatus as error:
            self.raise_errors()
            raise Wrong("no-websocket", seen=error) from None
        self.listeners.append(websocket)
        return websocket

    async def say(self, text):
        async with self.session.post(f"{self.url}/say", data=text) as response:
            if response.status in (404, 405):
                raise Wrong("wrong-method", seen=response.status)
            return (await response.text()).strip()

    @staticmethod
    async def heard(websocket):
        with suppress(TimeoutError, ConnectionClosed):
            async with asyncio.timeout(PATIENCE):
                return await websocket.recv()
        return None

    async def settles(self, count):
        """What the count of listeners comes to, or what it stays at."""
        seen = None
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while (seen := await self.say("mocha")) != count:
                    await asyncio.sleep(0.02)
        return seen

    async def expect_one(self):
        """The count falls to one soon after a client has left."""
        if (seen := await self.settles("1")) != "1":
            if self.deaf:
                raise Wrong("deaf", expected="1", seen=seen)
            raise Wrong("never-forgets", expected="1", seen=seen)

    def raise_errors(self):
        for error in self.complaints.errors:
            refuse_other_library(error)
            raise error
        for message in self.complaints.messages:
            if "response instance" in message:
                raise Wrong("no-response", seen=message)
            if "Missing return" in message:
                raise Wrong("no-return", seen=message, silent=self.silent)


def refuse_other_library(error):
    """Name what belongs to the WebSockets of websockets."""
    names = {"send": "send", "protocol": "broadcast"}
    name = names.get(getattr(error, "name", None))
    theirs = isinstance(getattr(error, "obj", None), web.WebSocketResponse)
    if isinstance(error, AttributeError) and theirs and name:
        raise Wrong("other-library", seen=error, name=name) from None
