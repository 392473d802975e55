"""Judges the exercises of lesson 14."""

from __future__ import annotations

import asyncio
import html
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from websockets.asyncio.server import Server, ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from aula.exercises.exercise import Answer, Right, Wrong, exercise
from aula.exercises.prediction import Program, refuse_other
from aula.judges.mistakes import equal, refuse_changed
from aula.judges.servers import (
    Person,
    Service,
    address,
    calling,
    refuse_all_hosts,
    stop,
)
from aula.judges.waiting import MOMENT, until


@exercise("14.1", answer="function", parameters=2, picture=None)
async def socket_address(answer: Answer) -> Right:
    expected = {
        "http://127.0.0.1:8001/": "ws://127.0.0.1:8002/",
        "http://localhost:8888/proxy/8001/": (
            "ws://localhost:8888/proxy/8002/"
        ),
        "https://hub.example/user/ada/proxy/8001/": (
            "wss://hub.example/user/ada/proxy/8002/"
        ),
        "https://lab.example/proxy/41/": "wss://lab.example/proxy/8002/",
        "http://localhost:8888/user/http-lab/proxy/8001/": (
            "ws://localhost:8888/user/http-lab/proxy/8002/"
        ),
        "https://hub.example/user/ada41/proxy/41/": (
            "wss://hub.example/user/ada41/proxy/8002/"
        ),
    }
    try:
        seen = {page: answer(page, 8002) for page in expected}
    except TypeError as error:
        if re.search(r"\bint\b", f"{error}"):
            raise Wrong("port-is-number", seen=error) from None
        raise
    if seen == expected:
        return Right()
    page = next(page for page in expected if seen[page] != expected[page])
    wrong = _address_mistake(expected, seen)
    wrong.expected = {page: expected[page]}
    wrong.seen = {page: seen[page]}
    raise wrong


def _address_mistake(
    addresses: dict[str, str], answers: dict[str, Any]
) -> Wrong:
    expected, seen = [*addresses.values()], [*answers.values()]
    if not all(isinstance(text, str) for text in seen):
        return Wrong("not-text")
    if any("PORT" in text for text in seen):
        return Wrong("literal-port")
    if len(set(seen)) == 1:
        return Wrong("this-machine")
    if seen == [*addresses]:
        return Wrong("unchanged")
    if any(text.startswith("http") for text in seen):
        return Wrong("still-http")
    if not any(text.startswith("wss:") for text in seen):
        return Wrong("mixed-content")
    if all(text.startswith("wss:") for text in seen):
        return Wrong("always-wss")
    if not any("8002" in text for text in seen):
        return Wrong("page-port")
    if seen == [text.replace("http", "ws") for text in expected]:
        return Wrong("every-http")
    if [text.removesuffix("/") for text in seen] == [
        text.removesuffix("/") for text in expected
    ]:
        return Wrong("no-slash")
    if seen == [
        text.replace(page.split("/")[-2].split(":")[-1], "8002")
        for page, text in addresses.items()
    ]:
        return Wrong("every-number")
    if all(
        (text == answers[page]) == page.endswith("8001/")
        for page, text in addresses.items()
    ):
        return Wrong("one-port")
    return Wrong("other-number")


@exercise("14.3", answer="prediction", picture="wiretap")
async def page_events(answer: Any, program: Program) -> Right:
    await program.run()
    if answer == ["open", "tick", "close 1000"] * 2:
        equal(answer, program.lines, "as-if-said-goodbye")
    if answer == ["open", "tick", "close 1000", "open", "tick", "close 1005"]:
        equal(answer, program.lines, "as-if-no-code")
    if answer == ["open", "tick", "close 1001", "open", "tick", "close 1006"]:
        equal(answer, program.lines, "as-if-going-away")
    if answer == program.lines[::-1]:
        equal(answer, program.lines, "as-if-newest-first")
    if isinstance(answer, list) and answer[:2] == ["open", "open"]:
        equal(answer, program.lines, "as-if-at-once")
    if answer == ["open", "tick", "close 1000", "open", "tick"]:
        equal(answer, program.lines, "as-if-unclosed")
    if answer == ["open", "tick", "close 1000", "open", "close 1006"]:
        equal(answer, program.lines, "as-if-lost")
    refuse_other(answer, program.lines)
    return Right()


class _List(HTMLParser):
    """What a browser makes of a page's list.

    Attributes:
        exists: whether the page has a list.
        elements: the tags in it.
        items: the text of each item.
    """

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.items: list[str] = []
        self.exists = False
        self._depth = 0
        self._inside = False
        self.feed(source)
        self.close()

    @property
    def stripped(self) -> list[str]:
        """The items without the space around them."""
        return [item.strip() for item in self.items]

    @property
    def foreign(self) -> set[str]:
        """The tags that only a message can have brought there."""
        return {"script", "img"} & set(self.elements)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "ul":
            self.exists = True
            self._depth += 1
        if self._depth:
            self.elements.append(tag)
            if tag == "li":
                self.items.append("")
                self._inside = True
            elif tag == "br" and self._inside:
                self.handle_data("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("li", "ul"):
            self._inside = False
        if tag == "ul" and self._depth:
            self._depth -= 1

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.items[-1] += data


MESSAGES = [
    "Hola",
    '<img src="x" onerror="this.replaceWith(6 * 7)">',
    "latte & mocha",
    "<script>steal()</script>",
    "5 &lt; 7",
    "",
    "mate\nchai",
    "Hola",
]
# What format, % and regular expressions would take for orders.
SIGNS = ["{latte} {}", "100 %d", r"\1 \g $x"]


@exercise("14.4", parameters=2, picture=None)
async def history(answer: Answer) -> Right:
    given = MESSAGES.copy()
    returned: list[Any] = []
    errors: list[Exception] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            returned.append(await answer(request, given))
        except Exception as error:
            errors.append(error)
        else:
            if isinstance(returned[-1], web.StreamResponse):
                return returned[-1]
        return web.Response(status=500)

    async with _site(handler) as url:
        async with aiohttp.request("GET", url) as response:
            text = await response.text()
        if errors:
            raise errors[0]
        if not isinstance(returned[0], web.StreamResponse):
            raise Wrong("not-response", seen=returned[0])
        if response.status != 200:
            raise Wrong("other-status", seen=response.status)
        equal(response.content_type, "text/html", "plain-text")
        _judge_list(text)
        refuse_changed(given, MESSAGES)
        given = SIGNS.copy()
        async with aiohttp.request("GET", url) as response:
            items = _List(await response.text()).stripped
    if errors:
        raise Wrong("as-template", seen=errors[0])
    if items[: len(MESSAGES)] == MESSAGES:
        raise Wrong("kept-between-calls", expected=SIGNS, seen=items)
    equal(items, SIGNS, "as-template")
    return Right()


def _judge_list(text: str) -> None:
    found = _List(text)
    items = found.stripped
    if items == MESSAGES and not found.foreign:
        if found.elements.count("ul") > 1:
            raise Wrong("many-lists", seen=found.elements)
        return
    wrong = _list_mistake(found, items, text)
    # Tags are shown beside tags, and texts beside texts.
    tags = wrong.seen is found.elements
    wrong.expected = ["ul", *["li"] * len(MESSAGES)] if tags else MESSAGES
    raise wrong


def _list_mistake(found: _List, items: list[str], text: str) -> Wrong:
    if not found.exists and "<li" in text:
        return Wrong("no-list", seen=text)
    if "script" in found.elements:
        return Wrong("code-runs", seen=found.elements)
    if found.foreign:
        return Wrong("code-runs-still", seen=found.elements)
    if not items:
        return Wrong("tags-escaped", seen=text)
    if len(items) == 1:
        return Wrong("one-item", seen=items)
    if items == [html.unescape(message) for message in MESSAGES]:
        return Wrong("ampersand", seen=items)
    if items == "\n".join(MESSAGES).split("\n"):
        return Wrong("lines-split", seen=items)
    if items == [message for message in MESSAGES if message]:
        return Wrong("empty-lost", seen=items)
    if sorted(items) == sorted(set(MESSAGES)):
        return Wrong("repeated", seen=items)
    if sorted(items) == sorted(MESSAGES):
        return Wrong("other-order", seen=items)
    return Wrong("text-lost", seen=items)


@asynccontextmanager
async def _site(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[str]:
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


@exercise("14.5", parameters=2, picture="wiretap")
async def guard(answer: Answer) -> Right:
    async def greet(websocket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await websocket.send("Hola")

    pages = {
        "http://127.0.0.1:8001/": "http://127.0.0.1:8001",
        "https://hub.example/user/ada/proxy/8001/": "https://hub.example",
    }
    urls = []
    for page, origin in [*pages.items(), *pages.items()]:
        server = await answer(greet, page)
        if not isinstance(server, Server):
            raise Wrong("not-server", seen=server)
        # One that nobody has awaited has no sockets to look at yet.
        if not hasattr(server, "server"):
            raise Wrong("not-started")
        try:
            if not server.is_serving():
                raise Wrong("already-closed")
            urls.append(address(server))
            refuse_all_hosts(server)
            if urlsplit(page).port == urlsplit(urls[-1]).port:
                raise Wrong("page-port", seen=urls[-1])
            if len(urls) <= len(pages):
                others = {*pages.values()} - {origin}
                await _judge_guard(urls[-1], page, origin, others)
        finally:
            await stop(server)
    # What is free is chosen anew for each of them.
    if len(set(urls)) == 1:
        raise Wrong("fixed-port", seen=urls[0])
    return Right()


async def _judge_guard(
    url: str, page: str, origin: str, others: set[str]
) -> None:
    async def admits(*origins: str | None) -> bool:
        """Whether one of these comes in."""
        for one in origins:
            try:
                async with calling(url, origin=one):
                    return True
            except InvalidStatus:
                continue
            except OSError as error:
                raise Wrong("stops-serving", seen=error) from None
        return False

    if not await admits(origin):
        # The letters of a text are what a list made of it holds.
        if await admits(origin[-1]):
            raise Wrong("not-list")
        parts = urlsplit(origin)
        portless = f"{parts.scheme}://{parts.hostname}"
        if await admits(portless):
            raise Wrong("no-port", expected=origin, seen=portless)
        if await admits(page, page.rstrip("/")):
            raise Wrong("whole-address", expected=origin, seen=page)
        socket_origin = origin.replace("http", "ws", 1)
        if await admits(socket_origin):
            raise Wrong("socket-origin", expected=origin, seen=socket_origin)
        if await admits(parts.netloc, parts.hostname):
            raise Wrong("host-only", expected=origin, seen=parts.netloc)
        if await admits("https://hub.example"):
            raise Wrong("example-only", expected=origin)
        raise Wrong("page-refused", expected=origin)
    if await admits("https://evil.example"):
        raise Wrong("open-to-all")
    for other in {*others, origin.replace("127.0.0.1", "localhost")}:
        if other != origin and await admits(other):
            raise Wrong("another-page", expected=origin, seen=other)
    if await admits(None):
        raise Wrong("programs-too")
    schemes = {"http": "https", "https": "http"}
    scheme, host = origin.split("://")
    other = f"{schemes[scheme]}://{host}"
    if await admits(other):
        raise Wrong("other-scheme", expected=origin, seen=other)
    for other in (f"{origin}.evil.example", f"{origin}1", f"{origin}0"):
        if await admits(other):
            raise Wrong("look-alike", expected=origin, seen=other)
    other = origin.replace(".", "x", 1)
    if await admits(other):
        raise Wrong("any-sign", expected=origin, seen=other)


# As a page writes them, which is not as Python would.
DRAWN = ["[1,2]", "[3,4.5]", '["a","b"]', "[7,8]", "[1,2]"]
# More than lies between a server and a client.
BIG = "[9,9]" + " " * 2**21
NESTED = "[" * 100_000
JUNK = ["hola", "7", "[1]", "[1, 2, 3]", "null", NESTED]
# These look like points, and are no JSON.
JUNK += ["[latte, mocha]", "(1, 2)"]


class _Points(list[Any]):
    """The list that all connections share, and whether one made a copy."""

    added = False

    def __add__(self, other: Any) -> Any:
        self.added = True
        return [*self, *other]


@exercise("14.2", parameters=3, limit=12, picture="wiretap")
async def remembering(answer: Answer) -> Right:
    tabs: set[Any] = set()
    points = _Points()
    async with Service(answer, tabs, points) as service:
        ada = await service.visit()
        await ada.send(DRAWN[0])
        await _hear(ada, 1)
        await asyncio.sleep(MOMENT)
        if _is_drawn(ada.heard, DRAWN[0], DRAWN[0]):
            raise Wrong("drawn-twice", expected=DRAWN[:1], seen=ada.heard)
        for message in [*JUNK, DRAWN[1]]:
            await ada.send(message)
        _judge_first(await _hear(ada, 2), service, ada, points)
        lima, eva = await service.visit(), await service.visit()
        await _hear(lima, 2)
        await until(lambda: len(tabs) == 3, MOMENT)
        late = len(lima.heard) + 1
        await lima.send(DRAWN[2])
        _judge_late(await _hear(lima, late), points)
        _refuse_other(await _hear(ada, 3), 3, "only-back")
        _refuse_other(await _hear(eva, 3), 3, "added-late")
        await lima.leave()
        await eva.leave()
        await ada.send(DRAWN[3])
        seen = await _hear(ada, 4)
        if len(seen) < 4:
            service.raise_errors()
        _refuse_other(seen, 4, "broken-by-leaving")
        await ada.send(DRAWN[4])
        seen = await _hear(ada, 5)
        if len(seen) < 5 or _is_drawn(points, *DRAWN[:4]):
            raise Wrong("repeated-point", expected=DRAWN, seen=points)
        await ada.leave()
        if not await until(lambda: not tabs):
            raise Wrong("stays", expected=0, seen=len(tabs))
        _refuse_other(points, 5, "other-points")
        cut = await service.visit()
        seen = await _hear(cut, 5)
        if not _is_drawn(seen, *DRAWN):
            raise Wrong("not-all-points", expected=DRAWN, seen=seen)
        cut.vanish()
        if not await until(lambda: not tabs):
            raise Wrong("stays-when-cut", expected=0, seen=len(tabs))
    await _judge_slow(answer)
    return Right()


async def _judge_slow(answer: Answer) -> None:
    """A tab that does not read; then one to whom the past comes slowly."""
    tabs: set[Any] = set()
    async with Service(answer, tabs, _Points(), small=True) as service:
        ada, lima = await service.visit(), await service.visit()
        await asyncio.sleep(MOMENT)
        lima.sleep()
        for point in BIG, DRAWN[0]:
            await ada.send(point)
        if len(await _hear(ada, 2)) < 2:
            service.raise_errors()
            raise Wrong("held-up")
        lima.vanish()
        eva = await service.visit()
        eva.sleep()
        await asyncio.sleep(MOMENT)
        await ada.send(DRAWN[1])
        await _hear(ada, 3)
        eva.wake()
        await _hear(eva, 3)
        await asyncio.sleep(MOMENT)
        drawn = [*map(_point, eva.heard)].count(_point(DRAWN[1]))
        if drawn != 1:
            raise Wrong("twice-between" if drawn else "lost-between")
        bob = await service.visit()
        bob.sleep()
        await asyncio.sleep(MOMENT)
        bob.vanish()
        if not await until(lambda: len(tabs) == 2):
            raise Wrong("cut-in-history", expected=2, seen=len(tabs))


async def _hear(person: Person, count: int) -> list[str | bytes]:
    """So many messages, or fewer if no more come in time."""
    await until(lambda: len(person.heard) >= count or person.gone)
    return person.heard[:count]


def _point(message: Any) -> Any:
    with suppress(ValueError, TypeError, RecursionError):
        return json.loads(message)
    return message


def _is_drawn(seen: list[Any], *drawn: str) -> bool:
    """Whether these points came, in this order, however they are written."""
    return [*map(_point, seen)] == [*map(_point, drawn)]


def _refuse_other(seen: list[Any], count: int, mistake: str) -> None:
    """What was drawn so far must have come as it was, and nothing else."""
    if not _is_drawn(seen, *DRAWN[:count]):
        raise Wrong(mistake, expected=DRAWN[:count], seen=seen)
    if all(isinstance(point, str) for point in seen):
        equal([*seen], DRAWN[:count], "rewritten")


def _refuse_arrival(name: str, seen: list[Any]) -> None:
    """Before anybody draws, only what is in ``points`` may come."""
    if seen and _point(seen[0]) not in map(_point, DRAWN):
        raise Wrong("all-in-one", seen=seen[0], name=name)


def _judge_first(
    seen: list[Any], service: Service, ada: Person, points: _Points
) -> None:
    """Ada has drawn two points, with junk between them."""
    if _is_drawn(seen[1:], DRAWN[0]):
        _refuse_arrival("Ada", seen)
    if not seen:
        service.raise_errors()
        raise Wrong(
            "not-to-itself" if points else "none-accepted",
            expected=DRAWN[:2],
            seen=seen,
        )
    if len(seen) == 1 and service.errors:
        error = service.failure()
        if isinstance(error, TypeError):
            raise Wrong("junk-kills-still", seen=error)
        if isinstance(error, RecursionError):
            raise Wrong("junk-kills-deep", seen=error)
        raise Wrong("junk-kills", seen=error)
    if len(seen) == 1 and ada.gone:
        raise Wrong("stops-listening", expected=DRAWN[:2], seen=seen)
    if _is_drawn(seen, DRAWN[0], DRAWN[0]):
        raise Wrong("history-again", expected=DRAWN[:2], seen=ada.heard)
    for message in seen:
        if message in JUNK:
            raise Wrong("junk-passes", message=f"{message!s:.20}", seen=seen)
    if _is_drawn(seen, DRAWN[0]):
        raise Wrong("some-values", expected=DRAWN[:2], message=DRAWN[1])
    _refuse_other(seen, 2, "other-drawn")


def _judge_late(seen: list[Any], points: _Points) -> None:
    """Lima came after two points and has drawn the third."""
    _refuse_arrival("Lima", seen)
    if len(seen) < 3 and not all(isinstance(p, str) for p in points):
        raise Wrong("not-text", expected=DRAWN[:2], seen=points)
    if _is_drawn(seen[:1], DRAWN[2]):
        if points.added:
            raise Wrong("new-list", expected=DRAWN[:3], seen=points)
        if not points:
            raise Wrong("not-kept", expected=DRAWN[:3], seen=points)
        raise Wrong("forgets", expected=DRAWN[:3], seen=seen)
    if _is_drawn(seen, *DRAWN[:2]) and _is_drawn(points, *DRAWN[:2]):
        raise Wrong("some-values", expected=DRAWN[:3], message=DRAWN[2])
    _refuse_other(seen, 3, "other-history")
