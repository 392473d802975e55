"""Judges the exercises of lesson 09."""

import asyncio
import html
import json
from contextlib import asynccontextmanager, suppress
from html.parser import HTMLParser
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.asyncio.server import Server, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from aula.exercises.exercise import Right, Wrong, exercise
from aula.judges.peers import quiet, within

PATIENCE = 1.0  # seconds to wait for what comes at once or never


@exercise("09.1", answer="function", parameters=2, picture=None)
async def socket_address(answer):
    expected = {
        "http://127.0.0.1:8001/": "ws://127.0.0.1:8002/",
        "http://localhost:8888/proxy/8001/": (
            "ws://localhost:8888/proxy/8002/"
        ),
        "https://hub.example/user/ada/proxy/8001/": (
            "wss://hub.example/user/ada/proxy/8002/"
        ),
        "https://lab.example/proxy/41/": "wss://lab.example/proxy/8002/",
    }
    seen = {page: answer(page, 8002) for page in expected}
    if seen == expected:
        return Right()
    page = next(page for page in expected if seen[page] != expected[page])
    wrong = _address_mistake(expected, seen)
    wrong.expected = {page: expected[page]}
    wrong.seen = {page: seen[page]}
    raise wrong


def _address_mistake(expected, seen):
    texts = [value for value in seen.values() if isinstance(value, str)]
    if len(texts) < len(seen):
        return Wrong("not-text")
    if len(set(texts)) == 1:
        return Wrong("this-machine")
    if any(text.startswith("http") for text in texts):
        return Wrong("still-http")
    if not any(text.startswith("wss:") for text in texts):
        return Wrong("mixed-content")
    if not any("8002" in text for text in texts):
        return Wrong("page-port")
    if all(
        text in (right, right.removesuffix("/"))
        for text, right in zip(texts, expected.values(), strict=True)
    ):
        return Wrong("no-slash")
    return Wrong("other-number")


class _List(HTMLParser):
    """What a browser makes of a page's list: its elements, and its items."""

    def __init__(self, source):
        super().__init__()
        self.elements, self.items = [], []
        self.exists = False
        self._depth = 0
        self._inside = False
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attributes):
        if tag == "ul":
            self.exists = True
            self._depth += 1
        if self._depth:
            self.elements.append(tag)
            if tag == "li":
                self.items.append("")
                self._inside = True

    def handle_endtag(self, tag):
        if tag in ("li", "ul"):
            self._inside = False
        if tag == "ul" and self._depth:
            self._depth -= 1

    def handle_data(self, data):
        if self._inside:
            self.items[-1] += data


@exercise("09.2", parameters=2, picture=None)
async def history(answer):
    messages = [
        "Hola",
        '<img src="x" onerror="this.replaceWith(6 * 7)">',
        "latte & mocha",
        "<script>steal()</script>",
        "5 &lt; 7",
    ]
    returned, errors = [], []

    async def handler(request):
        try:
            returned.append(await answer(request, list(messages)))
        except Exception as error:
            errors.append(error)
        if returned and isinstance(returned[0], web.StreamResponse):
            return returned[0]
        return web.Response(status=500)

    async with _site(handler) as url, aiohttp.request("GET", url) as response:
        text = await response.text()
    if errors:
        raise errors[0]
    if not isinstance(returned[0], web.StreamResponse):
        raise Wrong("not-response", seen=returned[0])
    if response.status != 200:
        raise Wrong("other-status", seen=response.status)
    if response.content_type != "text/html":
        raise Wrong(
            "plain-text", expected="text/html", seen=response.content_type
        )
    found = _List(text)
    items = [item.strip() for item in found.items]
    if items == messages and not _foreign(found):
        return Right()
    wrong = _list_mistake(found, items, messages, text)
    wrong.expected = messages
    raise wrong


def _list_mistake(found, items, messages, text):
    if not found.exists and "<li" in text:
        return Wrong("no-list", seen=text)
    if "script" in found.elements:
        return Wrong("code-runs", seen=found.elements)
    if _foreign(found):
        return Wrong("code-runs-still", seen=found.elements)
    if not items:
        return Wrong("tags-escaped", seen=text)
    if len(items) == 1:
        return Wrong("one-item", seen=items)
    if items == [html.unescape(message) for message in messages]:
        return Wrong("ampersand", seen=items)
    if sorted(items) == sorted(messages):
        return Wrong("other-order", seen=items)
    return Wrong("text-lost", seen=items)


def _foreign(found):
    """The tags in the list that only a message can have brought there."""
    return {"script", "img"} & set(found.elements)


@asynccontextmanager
async def _site(handler):
    """A page served by a handler; yields its address."""
    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@exercise("09.3", parameters=2, picture="wiretap")
async def guard(answer):
    async def greet(websocket):
        with suppress(ConnectionClosed):
            await websocket.send("Hola")

    pages = {
        "http://127.0.0.1:8001/": "http://127.0.0.1:8001",
        "https://hub.example/user/ada/proxy/8001/": "https://hub.example",
    }
    for page, origin in pages.items():
        server = await answer(greet, page)
        if not isinstance(server, Server):
            raise Wrong("not-server", seen=server)
        # One that nobody has awaited has no sockets to look at yet.
        if not hasattr(server, "server"):
            raise Wrong("not-started")
        try:
            if not server.is_serving():
                raise Wrong("already-closed")
            await _judge_guard(server, page, origin)
        finally:
            server.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await server.wait_closed()
    return Right()


async def _judge_guard(server, page, origin):
    port = server.sockets[0].getsockname()[1]

    async def admits(origin):
        try:
            async with connect(
                f"ws://127.0.0.1:{port}", origin=origin, close_timeout=0.5
            ):
                return True
        except InvalidStatus:
            return False

    if not await admits(origin):
        # The letters of a text are what a list made of it holds.
        if await admits(origin[-1]):
            raise Wrong("not-list")
        url = urlsplit(origin)
        portless = f"{url.scheme}://{url.hostname}"
        if await admits(portless):
            raise Wrong("no-port", expected=origin, seen=portless)
        if await admits(page) or await admits(page.rstrip("/")):
            raise Wrong("whole-address", expected=origin, seen=page)
        socket_origin = origin.replace("http", "ws", 1)
        if await admits(socket_origin):
            raise Wrong("socket-origin", expected=origin, seen=socket_origin)
        host = origin.partition("//")[2]
        if await admits(host) or await admits(host.partition(":")[0]):
            raise Wrong("host-only", expected=origin, seen=host)
        raise Wrong("page-refused", expected=origin)
    if await admits("https://evil.example"):
        raise Wrong("open-to-all")
    if await admits(None):
        raise Wrong("programs-too")
    for other in (f"{origin}.evil.example", f"{origin}1", f"{origin}0"):
        if await admits(other):
            raise Wrong("look-alike", expected=origin, seen=other)


@exercise("09.4", parameters=3, picture="wiretap")
async def remembering(answer):
    tabs, points, errors = set(), _Points(), []
    junk = ["hola", "7", "[1]", "[1, 2, 3]", "null"]

    async def handler(websocket):
        try:
            await answer(websocket, tabs, points)
        except ConnectionClosed:
            pass
        except Exception as error:
            errors.append(error)
            raise

    server = await serve(
        handler, "127.0.0.1", 0, close_timeout=0.5, logger=quiet
    )
    port = server.sockets[0].getsockname()[1]
    try:
        async with _Tab(port) as ada:
            await ada.draw("[1, 2]")
            own = await ada.receive(1)
            for message in junk:
                await ada.draw(message)
            await ada.draw("[3, 4.5]")
            own += await ada.receive(1)
            _judge_first(own, errors, ada, points)
            async with _Tab(port) as lima, _Tab(port) as eva:
                late = await lima.receive(2)
                await within(PATIENCE / 5, lambda: len(tabs) == 3)
                await lima.draw("[5, 6]")
                late += await lima.receive(1)
                _judge_late(late, points)
                own += await ada.receive(1)
                _judge_shared(own)
                _judge_silent(await eva.receive(3))
            await ada.draw("[7, 8]")
            own += await ada.receive(1)
            _judge_after(own, errors)
        await within(PATIENCE, lambda: not tabs)
        _judge_end(tabs, points)
        async with _Tab(port) as cut:
            await cut.receive(len(DRAWN))
            cut.cut()
            await within(PATIENCE, lambda: not tabs)
    finally:
        server.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await server.wait_closed()
    if tabs:
        raise Wrong("stays-when-cut", expected=0, seen=len(tabs))
    return Right()


DRAWN = ["[1, 2]", "[3, 4.5]", "[5, 6]", "[7, 8]"]


class _Points(list):
    """The list that all connections share, and whether one made a copy."""

    added = False

    def __add__(self, other):
        self.added = True
        return [*self, *other]


class _Tab:
    """A client that sends what it likes and says what came back."""

    def __init__(self, port):
        self.ended = False
        self._connecting = connect(f"ws://127.0.0.1:{port}", close_timeout=0.5)

    async def __aenter__(self):
        self._websocket = await self._connecting
        return self

    async def __aexit__(self, *_):
        await self._websocket.close()

    def cut(self):
        """Vanish without a word."""
        self._websocket.transport.abort()

    async def draw(self, message):
        with suppress(ConnectionClosed):
            await self._websocket.send(message)

    async def receive(self, count):
        """So many messages, or fewer if no more come in time."""
        received = []
        try:
            async with asyncio.timeout(PATIENCE):
                while len(received) < count:
                    received.append(await self._websocket.recv())
        except ConnectionClosed:
            self.ended = True
        except TimeoutError:
            pass
        return received


def _point(message):
    with suppress(ValueError, TypeError):
        return json.loads(message)
    return message


def _judge(seen, count, otherwise):
    """What was drawn so far must have come, in this order."""
    if [*map(_point, seen)] != [*map(_point, DRAWN[:count])]:
        otherwise.expected, otherwise.seen = DRAWN[:count], seen
        raise otherwise


def _judge_arrival(name, seen):
    """Before anybody draws, only what is in ``points`` may come."""
    if seen and _point(seen[0]) not in map(_point, DRAWN):
        raise Wrong("all-in-one", seen=seen[0], name=name)


def _judge_first(seen, errors, ada, points):
    if [*map(_point, seen[1:])] == [_point(DRAWN[0])]:
        _judge_arrival("Ada", seen)
    if not seen and not errors and not points:
        raise Wrong("none-accepted", expected=DRAWN[:2], seen=seen)
    if not seen and not errors:
        raise Wrong("not-to-itself", expected=DRAWN[:2], seen=seen)
    if not seen:
        raise errors[0]
    if len(seen) == 1 and errors:
        if isinstance(errors[0], TypeError):
            raise Wrong("junk-kills-still", seen=errors[0])
        raise Wrong("junk-kills", seen=errors[0])
    if len(seen) == 1 and ada.ended:
        raise Wrong("stops-listening", expected=DRAWN[:2], seen=seen)
    _judge(
        seen,
        2,
        Wrong("junk-passes"),
    )


def _judge_late(seen, points):
    _judge_arrival("Lima", seen)
    if len(seen) < 3 and not all(isinstance(p, str) for p in points):
        raise Wrong("not-text", expected=DRAWN[:2], seen=points)
    if [*map(_point, seen[:1])] == [_point(DRAWN[2])]:
        if points.added:
            raise Wrong("new-list", expected=DRAWN[:3], seen=points)
        if not points:
            raise Wrong("not-kept", expected=DRAWN[:3], seen=points)
        raise Wrong("forgets", expected=DRAWN[:3], seen=seen)
    _judge(
        seen,
        3,
        Wrong("other-history"),
    )


def _judge_shared(seen):
    _judge(
        seen,
        3,
        Wrong("only-back"),
    )


def _judge_silent(seen):
    _judge(
        seen,
        3,
        Wrong("added-late"),
    )


def _judge_after(seen, errors):
    if len(seen) < 4 and errors:
        raise errors[0]
    _judge(
        seen,
        4,
        Wrong("broken-by-leaving"),
    )


def _judge_end(tabs, points):
    if tabs:
        raise Wrong("stays", expected=0, seen=len(tabs))
    if [*map(_point, points)] != [*map(_point, DRAWN)]:
        raise Wrong("other-points", expected=DRAWN, seen=points)
