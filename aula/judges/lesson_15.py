"""Judges the exercises of lesson 15: aiohttp's servers and its client."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import (
    AbstractAsyncContextManager,
    suppress,
)
from typing import Any, NoReturn

import aiohttp
from aiohttp import web

from aula.exercises.answer import close_unawaited, pieces
from aula.exercises.exercise import (
    Answer,
    Right,
    Unawaited,
    Wrong,
    exercise,
)
from aula.exercises.prediction import (
    Program,
    first_difference,
    refuse_other,
)
from aula.judges.mistakes import (
    awaits_none,
    equal,
    frames,
    named,
    refuse_changed,
    refuse_future,
    refuse_no_star,
    refuse_none,
    refuse_unawaited,
    uses,
)
from aula.judges.servers import Machine, running
from aula.judges.waiting import MOMENT, ends, until

# What Python says of ``size += write(piece)``, and of ``for`` over pieces.
COUNTED_NONE = "unsupported operand type(s) for +=: 'int' and 'NoneType'"
PLAIN_FOR = "'AsyncStreamIterator' object is not iterable"
NO_JSON = "latte, please"
NO_DRINK = {"size": "grande"}
QUOTED = 'Té "verde"'  # a drink that JSON has to write in its own way
LIMIT = 12  # seconds for an answer with which much may be waited for in vain


def _serving(
    *routes: web.AbstractRouteDef,
) -> AbstractAsyncContextManager[str]:
    """An application with these routes; a client that left is let go."""
    app = web.Application()
    app.add_routes(routes)
    return running(app, handler_cancellation=True)


@exercise("15.1", parameters=1, picture=None)
async def order(answer: Answer) -> Right:
    # What the answer raised, or gave that is no response.
    odd: list[Any] = []

    async def watched(request: web.Request) -> web.StreamResponse:
        try:
            response = await answer(request)
        except web.HTTPException:
            raise
        except Exception as error:
            response = error
        if isinstance(response, web.StreamResponse):
            return response
        odd.append(response)
        return web.Response(status=500)

    async def ask(**body: Any) -> tuple[int, Any]:
        async with session.post(f"{address}/order", **body) as response:
            try:
                return response.status, await response.json()
            except (ValueError, aiohttp.ContentTypeError):
                return response.status, await response.text()

    async with (
        _serving(web.post("/order", watched)) as address,
        aiohttp.ClientSession() as session,
    ):
        for drink in ("latte", "mocha", QUOTED):
            reply = await ask(json={"drink": drink})
            if odd and isinstance(odd[0], Exception):
                raise odd[0]
            if odd:
                _refuse_no_return(odd)
                raise Wrong("no-response", seen=odd[0])
            _judge_order(*reply, drink)
        # The first drink, again.
        status, body = await ask(json={"drink": "latte"})
        if (status, body) != (201, {"ready": "latte"}):
            raise Wrong("kept-between-calls", expected=201, seen=status)
        status, _ = await ask(data=NO_JSON)
        _refuse_no_return(odd)
        if odd:
            raise Wrong("bad-json", expected=400, seen=odd[0])
        _judge_refusal(status, NO_JSON)
        said = {"Content-Type": "application/json"}
        status, _ = await ask(data=NO_JSON, headers=said)
        if odd:
            raise Wrong("type-believed", expected=400, seen=odd[0])
        _judge_refusal(status, NO_JSON)
        status, reply = await ask(json=NO_DRINK)
        _refuse_no_return(odd)
        if odd:
            raise Wrong("no-drink", expected=400, seen=odd[0])
        if isinstance(reply, dict) and reply.get("ready"):
            raise Wrong("kept-between-calls", expected=400, seen=status)
        _judge_refusal(status, NO_DRINK)
    return Right()


def _refuse_no_return(odd: list[Any]) -> None:
    if odd and odd[0] is None:
        raise Wrong("no-return", seen=None)


def _judge_refusal(status: int, sent: Any) -> None:
    if status < 400:
        raise Wrong("accepted", expected=400, seen=status, sent=sent)
    equal(status, 400, "other-refusal", sent=sent)


def _judge_order(status: int, body: Any, drink: str) -> None:
    ready = {"ready": drink}
    if body == ready:
        equal(status, 201, "other-status")
    elif drink == QUOTED and isinstance(body, str) and status == 201:
        raise Wrong("json-by-hand", expected=f"{ready}", seen=body)
    elif drink == QUOTED and status >= 400:
        raise Wrong("some-drinks", expected=201, seen=status, drink=drink)
    elif isinstance(body, dict):
        inside = status == 200 and 201 in body.values()
        raise Wrong(
            "status-in-json" if inside else "other-reply",
            expected=(201, ready),
            seen=(status, body),
        )
    else:
        raise Wrong("no-json", expected=(201, ready), seen=(status, body))


def _is_strange(request: web.Request) -> bool:
    """Whether a request did not come from a session of the judge's."""
    return request.headers.get("X-Session") != "aula"


def _session() -> aiohttp.ClientSession:
    """A session whose requests can be told from those of any other."""
    return aiohttp.ClientSession(headers={"X-Session": "aula"})


class _Pages(Machine):
    """A server's pages; the status of each waits until ``heads`` is set.

    Attributes:
        strangers: how many requests did not come from the judge's session.

    Arguments:
        word: what each page begins with.
    """

    def __init__(self, word: str = "page") -> None:
        super().__init__()
        self.word = word
        self.strangers = 0
        self.heads = asyncio.Event()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        self.strangers += _is_strange(request)
        held = asyncio.create_task(self.hold(name))
        response = web.StreamResponse()
        try:
            await self.heads.wait()
            await response.prepare(request)
            await response.write(f"{self.word} ".encode())
            await held
        finally:
            held.cancel()
        with suppress(ConnectionResetError):
            await response.write(name.encode())
        return response

    def let_all_out(self) -> None:
        super().let_all_out()
        self.heads.set()


@exercise("15.2", parameters=3, limit=LIMIT)
async def fetch_all(answer: Answer) -> Right:
    pages, limit = _Pages(), 2
    names = ["latte", "mocha", "chai", "mate", "horchata"]
    async with (
        _serving(web.get("/{name}", pages)) as url,
        _session() as session,
    ):
        urls = [f"{url}/{name}" for name in names]
        given = urls.copy()
        task = asyncio.create_task(answer(session, given, limit))
        try:
            await until(lambda: pages.most == limit or task.done())
            await asyncio.sleep(MOMENT)
            if task.done():
                _result(task)
            _judge_limit(pages, limit, len(names))
            pages.heads.set()
            if await until(lambda: pages.most > limit, MOMENT):
                raise Wrong("body-outside", expected=limit, seen=pages.most)
            second = next(
                (n for n in pages.started if n != names[0]), names[0]
            )
            pages.let_out(second)
            if not await until(lambda: len(pages.started) > limit):
                pages.let_all_out()
                await until(lambda: len(pages.started) > limit or task.done())
                if len(pages.started) > limit:
                    raise Wrong("batches")
                if not task.done():
                    raise Wrong("never-released")
            await _judge_turns(pages, len(names), second, task)
            pages.let_all_out()
            if not await ends(task):
                raise Wrong("never-ends")
            seen = _result(task)
            _judge_limit(pages, limit, len(names))
        finally:
            pages.let_all_out()
            task.cancel()
        _judge_texts(seen, [f"page {name}" for name in names], second)
        refuse_changed(given, urls)
        if session.closed:
            raise Wrong("closes-session")
        await _judge_again(answer, session)
        nothing = asyncio.create_task(answer(session, [], limit))
        if not await ends(nothing):
            raise Wrong("no-urls", expected=[])
        seen = nothing.exception() or nothing.result()
        if isinstance(seen, Exception):
            seen = named(seen)
        if isinstance(seen, Wrong):
            raise seen
        if seen not in ([], ()):
            raise Wrong("no-urls", expected=[], seen=seen)
    return Right()


async def _judge_turns(
    pages: _Pages, total: int, second: str, task: asyncio.Task[Any]
) -> None:
    """One of the first requests goes on; the rest take turns beside it."""
    count = len(pages.started)
    while count < total and not task.done():
        held = next((n for n in pages.started if n != second), None)
        for name in pages.started:
            if name != held:
                pages.let_out(name)
        if not await _begins(pages, count, task):
            raise Wrong("fixed-shares", seen=pages.started)
        count = len(pages.started)


async def _begins(pages: _Pages, count: int, task: asyncio.Task[Any]) -> bool:
    """Whether another request begins than so many, or the answer ends."""
    return await until(lambda: len(pages.started) > count or task.done())


async def _judge_again(answer: Answer, session: aiohttp.ClientSession) -> None:
    """Another call has another limit, and some addresses twice."""
    pages, limit = _Pages("sheet"), 3
    pages.heads.set()
    names = ["latte", "latte", "mocha", "latte", "chai"]
    async with _serving(web.get("/{name}", pages)) as url:
        urls = [f"{url}/{name}" for name in names]
        task = asyncio.create_task(answer(session, urls, limit))
        try:
            if not await until(lambda: pages.most >= limit or task.done()):
                raise Wrong("kept-limit", expected=limit, seen=pages.most)
            pages.let_all_out()
            if not await ends(task):
                raise Wrong("never-ends")
            seen = _result(task)
        finally:
            pages.let_all_out()
            task.cancel()
    if pages.most > limit:
        raise Wrong("kept-limit", expected=limit, seen=pages.most)
    expected = [f"sheet {name}" for name in names]
    if any(f"page {name}" in seen for name in names):
        raise Wrong("kept-between-calls", expected=expected, seen=seen)
    equal([*seen], expected, "equal-urls")


def _result(task: asyncio.Task[Any]) -> Any:
    error = task.exception()
    if error is not None:
        refuse_no_star(error)
        raise error
    seen = task.result()
    refuse_future(seen, "not-awaited")
    if any(
        inspect.iscoroutine(piece) and piece.__name__ == "text"
        for piece in pieces(seen)
    ):
        close_unawaited(seen)
        raise Unawaited("call-unawaited", call="response.text")
    refuse_unawaited(seen, "forgotten-await")
    return seen


def _judge_limit(pages: _Pages, limit: int, total: int) -> None:
    if pages.strangers:
        raise Wrong("other-session")
    if pages.most == 0:
        raise Wrong("never-asks", expected=limit, seen=0)
    if pages.most < limit:
        raise Wrong("one-by-one", expected=limit, seen=pages.most)
    if pages.most > limit:
        all_at_once = pages.most == total
        raise Wrong(
            "too-many" if all_at_once else "other-limit",
            expected=limit,
            seen=pages.most,
        )


def _judge_texts(seen: Any, expected: list[str], second: str) -> None:
    refuse_none(seen, expected)
    items = list(seen) if isinstance(seen, list | tuple) else [seen]
    if any(isinstance(item, aiohttp.ClientResponse) for item in items):
        kinds = [type(item).__name__ for item in items]
        raise Wrong("no-texts", expected=expected, seen=kinds)
    if items != expected and sorted(map(str, items)) == sorted(expected):
        raise Wrong(
            "as-they-came", expected=expected, seen=seen, second=second
        )
    equal(items, expected, "other-texts")


@exercise("15.3", parameters=3, picture=None)
async def save(answer: Answer) -> Right:
    # Half of the body is no whole number of pieces of any likely size.
    halves = [b"\xff" * (2**18 + 99), b"\xfe" * (2**18 - 99)]
    size = sum(map(len, halves))
    written: list[Any] = []
    sung: list[Any] = []
    lines: list[bool] = []
    late = begun = False
    strangers = 0

    def has_first_half() -> bool:
        """Whether all that came is written, or what is no piece at all."""
        kinds = bytes | bytearray | memoryview
        return any(not isinstance(piece, kinds) for piece in written) or (
            sum(map(len, written)) >= len(halves[0])
        )

    async def film(request: web.Request) -> web.StreamResponse:
        nonlocal begun, late, strangers
        strangers += _is_strange(request)
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(halves[0])
        late = not await until(has_first_half)
        begun = bool(written)
        await response.write(halves[1])
        return response

    async def song(request: web.Request) -> web.StreamResponse:
        """Here whoever asks for lines gets the first one in time."""
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"latte\n")
        lines.append(await until(lambda: sung))
        await response.write(b"mocha\n")
        return response

    async def short(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"latte")

    handlers = film, song, short
    routes = [web.get(f"/{one.__name__}", one) for one in handlers]
    async with (
        _serving(*routes) as url,
        _session() as session,
    ):
        try:
            seen = await answer(session, f"{url}/film", written.append)
        except (AttributeError, TypeError, UnicodeDecodeError) as error:
            _refuse_slip(error)
            raise
        if strangers:
            raise Wrong("other-session")
        announced = None
        if written and seen is None:
            announced = await answer(session, f"{url}/short", len)
        if late:
            await answer(session, f"{url}/song", sung.append)
        soon = written.copy()
        if seen == size and len(b"".join(map(_bytes, soon))) < size:
            await until(lambda: len(written) > len(soon), MOMENT * 3)
            if len(written) > len(soon):
                raise Wrong("writes-later")
        if seen == size:
            if session.closed:
                raise Wrong("closes-session")
            again = await answer(session, f"{url}/short", sung.append)
            equal(again, len(b"latte"), "kept-between-calls")
    if not written:
        raise Wrong("nothing-written")
    kinds = {type(piece).__name__ for piece in written}
    if not kinds <= {"bytes", "bytearray", "memoryview"}:
        raise Wrong("no-bytes", expected="bytes", seen=sorted(kinds))
    if late and begun:
        raise Wrong("holds-back")
    if late:
        raise Wrong("line-by-line" if any(lines) else "whole-body")
    total = sum(map(len, written))
    if total < size:
        loops = uses(answer, "iter_chunked", "iter_chunks", "iter_any")
        raise Wrong(
            "returns-in-loop" if loops else "one-piece",
            expected=size,
            seen=total,
        )
    if b"".join(written) != b"".join(halves):
        raise Wrong("other-bytes", expected=size, seen=total)
    if announced == len(b"latte"):
        raise Wrong("content-length", expected=size, seen=seen)
    if seen is None:
        raise Wrong("nothing-returned", expected=size, seen=seen)
    counted = seen == len(written)
    equal(seen, size, "counts-pieces" if counted else "other-size")
    return Right()


def _bytes(piece: Any) -> bytes:
    """A piece, or nothing if it is none."""
    return piece if isinstance(piece, bytes) else b""


def _refuse_slip(error: Exception) -> None:
    """Name the mistake behind an error that tells little."""
    if isinstance(error, UnicodeDecodeError):
        raise Wrong("read-as-text", seen=error) from None
    if awaits_none(error):
        raise Wrong("write-awaited", seen=error) from None
    if COUNTED_NONE in f"{error}":
        raise Wrong("write-counted", seen=error) from None
    if PLAIN_FOR in f"{error}":
        raise Wrong("plain-for-pieces", seen=error) from None
    if isinstance(error, AttributeError):
        if isinstance(error.obj, aiohttp.ClientResponse):
            raise Wrong("no-content", seen=error, name=error.name) from None
        if isinstance(error.obj, Coroutine):  # what session.get gives
            error.obj.close()
            raise Wrong("not-asked", seen=error) from None


@exercise("15.4", answer="prediction", picture=None)
async def text_or_error(answer: Any, program: Program) -> Right:
    await program.run()
    if isinstance(answer, dict):
        if any(value not in ("text", "error") for value in answer.values()):
            equal(answer, program.result, "other-words")
        # The words speak of the row that the picture points at.
        place = first_difference(answer, program.result)
        if place == "'half'" and answer.get("half") == "text":
            equal(answer, program.result, "as-if-200-were-all")
        if place == "'nothing'" and answer.get("nothing") == "error":
            equal(answer, program.result, "as-if-404-raised")
    refuse_other(answer, program.result)
    return Right()


class _Troubles:
    """A server of the replies that ``try_read`` has to tell apart.

    Attributes:
        strangers: how many requests did not come from the judge's sessions.
    """

    text = "latte\nmocha"

    def __init__(self) -> None:
        self.strangers = 0

    def routes(self) -> list[web.AbstractRouteDef]:
        names = "menu wrong busy long slow stalls drips late cut half".split()
        return [web.get(f"/{name}", self._noting(name)) for name in names]

    def _noting(
        self, name: str
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def reply(request: web.Request) -> web.StreamResponse:
            self.strangers += _is_strange(request)
            response: web.StreamResponse = await getattr(self, name)(request)
            return response

        return reply

    async def menu(self, request: web.Request) -> web.StreamResponse:
        # Not 200, and no failure either.
        return web.Response(text=self.text, status=300)

    async def wrong(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="no drink", status=400)

    async def busy(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="sold out", status=503)

    async def long(self, request: web.Request) -> web.StreamResponse:
        # More than is received before somebody reads.
        return web.Response(text="no drink" * 2**17, status=404)

    async def slow(self, request: web.Request) -> NoReturn:
        await asyncio.Event().wait()
        raise AssertionError

    async def stalls(self, request: web.Request) -> NoReturn:
        await self._begin(request)
        await self.slow(request)

    async def drips(self, request: web.Request) -> NoReturn:
        response = await self._begin(request)
        while True:
            await response.write(b"latte")
            await asyncio.sleep(0.02)

    async def late(self, request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.6)
        response = await self._begin(request)
        await asyncio.sleep(0.6)
        return response

    async def cut(self, request: web.Request) -> web.StreamResponse:
        self._transport(request).abort()
        return web.Response()

    async def half(self, request: web.Request) -> web.StreamResponse:
        response = await self._begin(request, {"Content-Length": "1000"})
        self._transport(request).close()
        return response

    async def _begin(
        self, request: web.Request, headers: dict[str, str] | None = None
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await response.write(b"latte")
        return response

    def _transport(self, request: web.Request) -> asyncio.Transport:
        assert request.transport is not None
        return request.transport


class _Try:
    """A call of the answer: what came of it in one case.

    Attributes:
        seen: what it returned or raised; None where it did not end.
        early: whether it ended before its time was up.
        closed: whether it has closed the session.
    """

    def __init__(self, case: str) -> None:
        self.case = case
        self.seen: Any = None
        self.ended = False
        self.early = False
        self.closed = False

    async def run(self, answer: Answer, url: str, seconds: float) -> _Try:
        loop = asyncio.get_running_loop()
        # A session for each: what one leaves behind disturbs no other.
        async with _session() as session:
            began = loop.time()
            task = asyncio.create_task(answer(session, url, seconds))
            self.ended = await ends(task, seconds + 0.8)
            self.early = loop.time() < began + seconds - 0.05
            self.closed = session.closed
        if self.ended:
            self.seen = task.exception() or task.result()
        return self

    def expect(self, expected: str) -> None:
        """The last word: the result that the exercise asks for."""
        if not self.ended:
            raise Wrong("never-ends", case=self.case)
        if isinstance(self.seen, Exception):
            raise self.seen
        equal(self.seen, expected, "other-result", case=self.case)

    @property
    def seen_type(self) -> str:
        return type(self.seen).__name__


@exercise("15.5", parameters=3, limit=LIMIT, picture=None)
async def try_read(answer: Answer) -> Right:
    troubles = _Troubles()

    async def tried(path: str, seconds: float = 3, case: str = "") -> _Try:
        url = f"{address}/{path}"
        return await _Try(case or path).run(answer, url, seconds)

    async with _serving(*troubles.routes()) as address:
        menu = await tried("menu")
        if troubles.strangers:
            raise Wrong("other-session")
        if menu.seen in ("status 300", 300):
            raise Wrong("all-but-200", expected=troubles.text, seen=menu.seen)
        menu.expect(troubles.text)
        if menu.closed:
            raise Wrong("closes-session")
        _judge_status(await tried("wrong", case="400"), 400, "no drink")
        _judge_status(await tried("busy", case="503"), 503, "sold out")
        _judge_slow(await tried("slow", 0.2), "no-limit")
        _judge_slow(await tried("stalls", 0.5), "limit-ends-early")
        # Long enough that no pause of the machine is a limit of one wait.
        _judge_slow(await tried("drips", 1.2), "each-wait")
        # Its status comes in time, and so does its body after that.
        late = await tried("late", 1)
        if late.seen == "latte":
            raise Wrong("limit-twice", expected="too slow", seen=late.seen)
        _judge_slow(late, "limit-twice")
        _judge_broken(await tried("cut"))
        _judge_broken(await tried("half"))
        await _judge_next(answer, address)
        await _judge_cancelling(answer, f"{address}/slow")
    _judge_broken(await tried("menu", case="no server"))
    return Right()


async def _judge_next(answer: Answer, address: str) -> None:
    """After an error the session's one connection is free again."""
    one = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(connector=one) as session:
        for path in ("long", "menu"):
            seen = await answer(session, f"{address}/{path}", 2)
        if seen == "too slow":
            equal(seen, _Troubles.text, "keeps-connection")


async def _judge_cancelling(answer: Answer, url: str) -> None:
    async with _session() as session:
        task = asyncio.create_task(answer(session, url, 3))
        await asyncio.sleep(MOMENT)
        task.cancel()
        if not await ends(task):
            raise Wrong("swallows-cancel")
        if not task.cancelled():
            seen = task.exception() or task.result()
            raise Wrong("swallows-cancel", seen=seen)


def _judge_status(one: _Try, status: int, text: str) -> None:
    expected = f"status {status}"
    if one.seen == text:
        raise Wrong("status-unseen", expected=expected, seen=one.seen)
    if isinstance(one.seen, aiohttp.ClientResponseError):
        raise Wrong("status-escapes", expected=expected, seen=one.seen_type)
    if one.seen == "broken":
        raise Wrong("status-broken", expected=expected, seen=one.seen)
    if one.seen == status:
        raise Wrong("status-as-number", expected=expected, seen=one.seen)
    one.expect(expected)


def _judge_slow(one: _Try, mistake: str) -> None:
    if not one.ended:
        raise Wrong(mistake)
    expected = "too slow"
    if isinstance(one.seen, TimeoutError):
        raise Wrong(
            "timeout-escapes" if one.case == "slow" else "read-outside",
            expected=expected,
            seen=one.seen_type,
            error=one.seen_type,
        )
    if one.seen == "broken":
        raise Wrong("all-broken", expected=expected, seen=one.seen)
    one.expect(expected)
    if one.early:
        raise Wrong("too-early")


def _judge_broken(one: _Try) -> None:
    if isinstance(one.seen, aiohttp.ClientError | OSError):
        # Whoever names the ancestor has read where nobody catches it.
        names = {n for f in frames(one.seen) for n in f.f_code.co_names}
        outside = one.case == "half" and "ClientError" in names
        raise Wrong(
            "read-outside" if outside else "error-escapes",
            expected="broken",
            seen=one.seen_type,
            case=one.case,
            error=one.seen_type,
        )
    one.expect("broken")
