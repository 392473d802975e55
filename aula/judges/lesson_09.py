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

from aula.exercises.check import Right, Wrong, exercise
from aula.judges.peers import quiet, within

PATIENCE = 1.0  # seconds to wait for what comes at once or never


@exercise("09.1", answer="function", parameters=2, picture=None)
async def socket_address(answer, run):
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
        return Right(
            es="Directa, a través de Jupyter y cifrada: cada socket toma el "
            "camino de su página.",
            en="Direct, through Jupyter and encrypted: each socket goes the "
            "way of its page.",
        )
    page = next(page for page in expected if seen[page] != expected[page])
    wrong = _address_mistake(expected, seen)
    wrong.expected = {page: expected[page]}
    wrong.seen = {page: seen[page]}
    raise wrong


def _address_mistake(expected, seen):
    texts = [value for value in seen.values() if isinstance(value, str)]
    if len(texts) < len(seen):
        return Wrong(
            "not-text",
            es="Tu función tiene que devolver un texto: la dirección.",
            en="Your function has to return a text: the address.",
        )
    if len(set(texts)) == 1:
        return Wrong(
            "this-machine",
            es="Devuelves siempre la misma dirección. Solo vale cuando el "
            "navegador está en la máquina del kernel: parte de `page`.",
            en="You always return the same address. It only works when the "
            "browser is on the kernel's machine: begin with `page`.",
        )
    if any(text.startswith("http") for text in texts):
        return Wrong(
            "still-http",
            es="La dirección de un WebSocket empieza por `ws` o `wss`.",
            en="The address of a WebSocket begins with `ws` or `wss`.",
        )
    if not any(text.startswith("wss:") for text in texts):
        return Wrong(
            "mixed-content",
            es="La página llegó por `https` y tu socket va por `ws`, sin "
            "cifrar: contenido mixto, y el navegador lo bloquea.",
            en="The page came over `https`, and your socket goes over `ws`, "
            "unencrypted: mixed content, and the browser blocks it.",
        )
    if not any("8002" in text for text in texts):
        return Wrong(
            "page-port",
            es="Dejaste el puerto de la página. Ahí responde HTTP: el "
            "WebSocket está en `port`.",
            en="You left the page's port. HTTP answers there: the WebSocket "
            "is at `port`.",
        )
    if all(
        text in (right, right.removesuffix("/"))
        for text, right in zip(texts, expected.values(), strict=True)
    ):
        return Wrong(
            "no-slash",
            es="Falta la barra final. Devuelve la dirección como en la tabla: "
            "solo cambian el esquema y el puerto.",
            en="The slash at the end is missing. Return the address as in the "
            "table: only the scheme and the port change.",
        )
    return Wrong(
        "other-number",
        es="Cambiaste otra cosa, o no cambiaste el número que hacía falta. El "
        "puerto de la página es el último número, antes de la barra final; "
        "lo demás se queda.",
        en="You changed something else, or not the number that it takes. The "
        "page's port is the last number, before the final slash; the rest "
        "stays.",
    )


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
async def history(answer, run):
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
        raise Wrong(
            "not-response",
            es="aiohttp espera una respuesta, y tu función devolvió otra "
            "cosa. Devuelve `web.Response(...)`.",
            en="aiohttp expects a response, and your function returned "
            "something else. Return `web.Response(...)`.",
            seen=returned[0],
        )
    if response.status != 200:
        raise Wrong(
            "other-status",
            es="La respuesta no lleva el código 200.",
            en="The response does not bear status 200.",
            seen=response.status,
        )
    if response.content_type != "text/html":
        raise Wrong(
            "plain-text",
            es="El navegador mostraría tus etiquetas en vez de una lista: "
            "la respuesta no dice que sea HTML.",
            en="The browser would show your tags instead of a list: the "
            "response does not say that it is HTML.",
            expected="text/html",
            seen=response.content_type,
        )
    found = _List(text)
    items = [item.strip() for item in found.items]
    if items == messages and not _foreign(found):
        return Right(
            es="Un navegador lee cinco mensajes, cada uno igual al que se "
            "envió, y ninguna etiqueta que no sea tuya.",
            en="A browser reads five messages, each the same as was sent, "
            "and no tag that is not yours.",
        )
    wrong = _list_mistake(found, items, messages, text)
    wrong.expected = messages
    raise wrong


def _list_mistake(found, items, messages, text):
    if not found.exists and "<li" in text:
        return Wrong(
            "no-list",
            es="Tu página no tiene `<ul>`, la lista en la que van los `<li>`.",
            en="Your page has no `<ul>`, the list that the `<li>` stand in.",
            seen=text,
        )
    if "script" in found.elements:
        return Wrong(
            "code-runs",
            es="Los mensajes se convirtieron en etiquetas: un navegador "
            "ejecutaría su código. Escápalos.",
            en="The messages turned into tags: a browser would run their "
            "code. Escape them.",
            seen=found.elements,
        )
    if _foreign(found):
        return Wrong(
            "code-runs-still",
            es="Quitaste `<script>`, pero otra etiqueta de un mensaje también "
            "ejecuta código. No busques lo malo: escápalo todo.",
            en="You took out `<script>`, but another tag in a message runs "
            "code as well. Do not look for what is bad: escape everything.",
            seen=found.elements,
        )
    if not items:
        return Wrong(
            "tags-escaped",
            es="En tu página no hay ningún `<li>` que el navegador lea como "
            "etiqueta. Escapa los mensajes, uno a uno, antes de rodearlos "
            "con tus etiquetas.",
            en="Your page has no `<li>` that the browser reads as a tag. "
            "Escape the messages, one by one, before you put your tags "
            "around them.",
            seen=text,
        )
    if len(items) == 1:
        return Wrong(
            "one-item",
            es="Hay un solo `<li>`, no uno por mensaje.",
            en="There is one `<li>`, not one for each message.",
            seen=items,
        )
    if items == [html.unescape(message) for message in messages]:
        return Wrong(
            "ampersand",
            es="También hay que escapar `&`: `5 &lt; 7` se convirtió en "
            "`5 < 7`.",
            en="`&` has to be escaped, too: `5 &lt; 7` became `5 < 7`.",
            seen=items,
        )
    if sorted(items) == sorted(messages):
        return Wrong(
            "other-order",
            es="Los mensajes están bien, pero no en su orden.",
            en="The messages are right, but not in their order.",
            seen=items,
        )
    return Wrong(
        "text-lost",
        es="La página no muestra los mensajes tal como se enviaron. Hay que "
        "escaparlos una vez, sin quitar nada.",
        en="The page does not show the messages as they were sent. Escape "
        "them once, and take nothing out.",
        seen=items,
    )


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
async def guard(answer, run):
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
            raise Wrong(
                "not-server",
                es="Tu función tiene que devolver el servidor: lo que da "
                "`await serve(...)`.",
                en="Your function has to return the server: what "
                "`await serve(...)` gives.",
                seen=server,
            )
        # One that nobody has awaited has no sockets to look at yet.
        if not hasattr(server, "server"):
            raise Wrong(
                "not-started",
                es="Tu servidor no se ha iniciado: falta `await` delante de "
                "`serve(...)`.",
                en="Your server has not started: `await` is missing before "
                "`serve(...)`.",
            )
        try:
            if not server.is_serving():
                raise Wrong(
                    "already-closed",
                    es="Devolviste un servidor cerrado: `async with` lo "
                    "cierra al salir. Devuelve `await serve(...)`.",
                    en="You returned a closed server: `async with` closes it "
                    "on the way out. Return `await serve(...)`.",
                )
            await _judge_guard(server, page, origin)
        finally:
            server.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await server.wait_closed()
    return Right(
        es="La página entra. Otro sitio, uno parecido y un programa sin "
        "`Origin` reciben 403.",
        en="The page comes in. Another site, one that looks alike and a "
        "program without `Origin` get 403.",
    )


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
            raise Wrong(
                "not-list",
                es="`origins` es un texto y tiene que ser una lista: "
                "`origins=[origin]`.",
                en="`origins` is a text, and it has to be a list: "
                "`origins=[origin]`.",
            )
        url = urlsplit(origin)
        portless = f"{url.scheme}://{url.hostname}"
        if await admits(portless):
            raise Wrong(
                "no-port",
                es="Falta el puerto, que es parte del origen. Usa `netloc`, "
                "no `hostname`.",
                en="The port is missing: it is part of the origin. Use "
                "`netloc`, not `hostname`.",
                expected=origin,
                seen=portless,
            )
        if await admits(page) or await admits(page.rstrip("/")):
            raise Wrong(
                "whole-address",
                es="Pusiste la dirección con su ruta. El navegador envía solo "
                "esquema, host y puerto, sin barra final: no coincide.",
                en="You put the address with its path. The browser sends only "
                "scheme, host and port, with no slash at the end, and is "
                "refused.",
                expected=origin,
                seen=page,
            )
        socket_origin = origin.replace("http", "ws", 1)
        if await admits(socket_origin):
            raise Wrong(
                "socket-origin",
                es="El origen es el de la página: su esquema es `http` o "
                "`https`.",
                en="The origin is the page's: its scheme is `http` or "
                "`https`.",
                expected=origin,
                seen=socket_origin,
            )
        host = origin.partition("//")[2]
        if await admits(host) or await admits(host.partition(":")[0]):
            raise Wrong(
                "host-only",
                es="Falta el esquema: `http://` o `https://` es parte del "
                "origen.",
                en="The scheme is missing: `http://` or `https://` is part "
                "of the origin.",
                expected=origin,
                seen=host,
            )
        raise Wrong(
            "page-refused",
            es="Tu servidor rechaza también a la página.",
            en="Your server refuses the page, too.",
            expected=origin,
        )
    if await admits("https://evil.example"):
        raise Wrong(
            "open-to-all",
            es="Entró una página de `https://evil.example`. Indica a `serve` "
            "qué orígenes debe admitir.",
            en="A page from `https://evil.example` came in. Tell `serve` "
            "which origins to admit.",
        )
    if await admits(None):
        raise Wrong(
            "programs-too",
            es="Entró un programa que no envía `Origin`. `None` en la lista "
            "lo admite.",
            en="A program that sends no `Origin` came in. `None` in the list "
            "admits it.",
        )
    for other in (f"{origin}.evil.example", f"{origin}1", f"{origin}0"):
        if await admits(other):
            raise Wrong(
                "look-alike",
                es="Entró un origen que solo empieza como el bueno. Compara "
                "el texto entero.",
                en="An origin came in that only begins like the right one. "
                "Compare the whole text.",
                expected=origin,
                seen=other,
            )


@exercise("09.4", parameters=3, picture="wiretap")
async def remembering(answer, run):
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
        raise Wrong(
            "stays-when-cut",
            es="Se cortó una conexión y se quedó en `tabs`. Quítala en "
            "`finally`.",
            en="A connection was cut off and stayed in `tabs`. Take it out in "
            "`finally`.",
            expected=0,
            seen=len(tabs),
        )
    return Right(
        es="Lima recibió lo dibujado antes de llegar ella, y lo que no era "
        "un punto no llegó a nadie.",
        en="Lima received what was drawn before she came, and what was no "
        "point reached nobody.",
    )


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
        raise Wrong(
            "all-in-one",
            es=f"Al llegar {name}, tu servidor envió algo que no está en "
            "`points`. Envía los mensajes uno a uno.",
            en="On arrival your server sent something that is not in "
            "`points`. Send the messages one by one.",
            seen=seen[0],
        )


def _judge_first(seen, errors, ada, points):
    if [*map(_point, seen[1:])] == [_point(DRAWN[0])]:
        _judge_arrival("Ada", seen)
    if not seen and not errors and not points:
        raise Wrong(
            "none-accepted",
            es="Ada dibujó dos puntos: ni le llegaron ni se guardaron. "
            "Desempaqueta `json.loads(message)`, no el mensaje.",
            en="Ada drew two points: they neither reached her nor were kept. "
            "Unpack `json.loads(message)`, not the message.",
            expected=DRAWN[:2],
            seen=seen,
        )
    if not seen and not errors:
        raise Wrong(
            "not-to-itself",
            es="Ada dibujó y no le llegó su punto. Cada punto llega a todas "
            "las conexiones de `tabs`, y la suya también está ahí.",
            en="Ada drew, and her point did not reach her. Each point goes "
            "to everyone in `tabs`, and she is there herself.",
            expected=DRAWN[:2],
            seen=seen,
        )
    if not seen:
        raise errors[0]
    if len(seen) == 1 and errors:
        if isinstance(errors[0], TypeError):
            raise Wrong(
                "junk-kills-still",
                es="`7` y `null` son JSON, pero no se pueden desempaquetar en "
                "dos: `TypeError`, y la conexión se perdió. Atrapa también "
                "esa excepción.",
                en="`7` and `null` are JSON, but do not unpack into two: "
                "`TypeError`, and the connection was lost. Catch that, too.",
                seen=errors[0],
            )
        raise Wrong(
            "junk-kills",
            es="Un mensaje que no era un punto acabó con la conexión, y con "
            "él lo que Ada dibujó después. Ignóralo y sigue.",
            en="A message that was no point ended the connection, and with "
            "it what Ada drew afterwards. Ignore it and go on.",
            seen=errors[0],
        )
    if len(seen) == 1 and ada.ended:
        raise Wrong(
            "stops-listening",
            es="Tras el primer mensaje que no es un punto, el manejador dejó "
            "de escuchar. Pon el `try` dentro del bucle.",
            en="After the first message that is no point, the handler stopped "
            "listening. Put the `try` inside the loop.",
            expected=DRAWN[:2],
            seen=seen,
        )
    _judge(
        seen,
        2,
        Wrong(
            "junk-passes",
            es="Ada envió, entre dos puntos, mensajes que no lo son, y "
            "llegaron a las pestañas o se perdió un punto.",
            en="Between two points Ada sent messages that are none, and they "
            "reached the tabs, or a point was lost.",
        ),
    )


def _judge_late(seen, points):
    _judge_arrival("Lima", seen)
    if len(seen) < 3 and not all(isinstance(p, str) for p in points):
        raise Wrong(
            "not-text",
            es="`points` contiene algo que no es texto: guarda cada mensaje "
            "tal como llegó.",
            en="`points` holds something that is not text: keep each message "
            "as it came.",
            expected=DRAWN[:2],
            seen=points,
        )
    if [*map(_point, seen[:1])] == [_point(DRAWN[2])]:
        if points.added:
            raise Wrong(
                "new-list",
                es="Creaste otra lista, que las demás conexiones no ven. Usa "
                "`points.append(message)`.",
                en="You made a new list; the other connections do not see it. "
                "Use `points.append(message)`.",
                expected=DRAWN[:3],
                seen=points,
            )
        if not points:
            raise Wrong(
                "not-kept",
                es="Ada y Lima dibujaron, y `points` sigue vacía. Guarda cada "
                "punto en esa misma lista.",
                en="Ada and Lima drew, and `points` is still empty. Keep each "
                "point in that very list.",
                expected=DRAWN[:3],
                seen=points,
            )
        raise Wrong(
            "forgets",
            es="Lima llegó tarde y no recibió lo ya dibujado. Envíale los "
            "mensajes de `points` antes de escuchar.",
            en="Lima came late and did not receive what was drawn already. "
            "Send her the messages in `points` before you listen.",
            expected=DRAWN[:3],
            seen=seen,
        )
    _judge(
        seen,
        3,
        Wrong(
            "other-history",
            es="Lima tenía que recibir los dos puntos de antes, en orden y "
            "una vez, y después el suyo.",
            en="Lima had to receive the two points from before, in order and "
            "once, and then her own.",
        ),
    )


def _judge_shared(seen):
    _judge(
        seen,
        3,
        Wrong(
            "only-back",
            es="Lima dibujó y a Ada no le llegó, o le llegó otra cosa. Cada "
            "punto llega a todas las conexiones de `tabs`.",
            en="Lima drew, and it did not reach Ada, or something else did. "
            "Each point goes to everyone in `tabs`.",
        ),
    )


def _judge_silent(seen):
    _judge(
        seen,
        3,
        Wrong(
            "added-late",
            es="Eva llegó, no dibujó nada y no le llegó lo que dibujó Lima. "
            "Añade cada conexión a `tabs` al llegar, no con su primer "
            "mensaje.",
            en="Eva came, drew nothing, and what Lima drew did not reach her. "
            "Add each connection to `tabs` as it arrives, not with its first "
            "message.",
        ),
    )


def _judge_after(seen, errors):
    if len(seen) < 4 and errors:
        raise errors[0]
    _judge(
        seen,
        4,
        Wrong(
            "broken-by-leaving",
            es="Lima se fue, y lo que Ada dibujó después ya no le llegó.",
            en="Lima left, and what Ada drew afterwards did not come back to "
            "her.",
        ),
    )


def _judge_end(tabs, points):
    if tabs:
        raise Wrong(
            "stays",
            es="Las dos pestañas se fueron y siguen en `tabs`. Sácalas en un "
            "`finally`.",
            en="Both tabs have gone and are still in `tabs`. Take them out in "
            "a `finally`.",
            expected=0,
            seen=len(tabs),
        )
    if [*map(_point, points)] != [*map(_point, DRAWN)]:
        raise Wrong(
            "other-points",
            es="En `points` no quedaron los cuatro puntos dibujados.",
            en="`points` does not hold the four points that were drawn.",
            expected=DRAWN,
            seen=points,
        )
