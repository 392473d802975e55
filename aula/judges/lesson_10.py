"""Judges the exercises of lesson 10."""

import asyncio
import logging
from contextlib import asynccontextmanager, suppress

import aiohttp
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from aula.exercises.check import Right, Wrong, exercise
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
async def order(answer, run):
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
                raise Wrong(
                    "no-response",
                    es="El manejador no devolvió una respuesta, y el cliente "
                    "recibe un 500. Envuelve el resultado con "
                    "`web.json_response`.",
                    en="The handler returned no response, and the client gets "
                    "a 500. Wrap the result in `web.json_response`.",
                    seen=strange[0],
                )
            if errors:
                raise errors[0]
            judge_order(seen, "latte")
            judge_order(await ask("mocha"), "mocha")
            seen = await ask(data="latte, please")
            if errors or strange or seen[0] != 400:
                raise Wrong(
                    "bad-json",
                    es="Con un pedido bueno va bien. Pero llegó un cuerpo que "
                    "no es JSON, y no contestaste 400.",
                    en="A good order works. But then a body came that is "
                    "not JSON, and you did not reply with 400.",
                    expected=400,
                    seen=errors[0] if errors else seen[0],
                )
            seen = await ask(json={"size": "grande"})
            if errors or strange:
                raise Wrong(
                    "no-drink",
                    es="Llegó JSON sin `drink` y tu manejador falló: el "
                    "cliente ve un 500, como si la culpa fuera del servidor.",
                    en="JSON without `drink` came and your handler failed: "
                    "the client sees a 500, as if the server were to blame.",
                    expected=400,
                    seen=errors[0] if errors else strange[0],
                )
            if seen[0] != 400:
                raise Wrong(
                    "accepted",
                    es="Llegó JSON sin `drink` y lo diste por bueno.",
                    en="JSON without `drink` came, and you accepted it.",
                    expected=400,
                    seen=seen[0],
                )
    return Right(
        es="Dos pedidos, dos 201; sin JSON o sin `drink`, 400.",
        en="Two orders, two 201; without JSON or without `drink`, 400.",
    )


def judge_order(seen, drink):
    expected = 201, {"ready": drink}
    if seen == expected:
        return
    if seen[1] == expected[1]:
        raise Wrong(
            "other-status",
            es="El JSON es el correcto; el estado, no. 201 significa "
            "«creado»: pásalo con `status=`.",
            en="The JSON is right; the status is not. 201 means created: "
            "pass it as `status=`.",
            expected=expected[0],
            seen=seen[0],
        )
    if not isinstance(seen[1], dict):
        raise Wrong(
            "no-json",
            es="El cliente esperaba JSON y recibió otra cosa.",
            en="The client expected JSON and got something else.",
            expected=expected,
            seen=seen,
        )
    raise Wrong(
        "other-reply",
        es="La respuesta a un pedido bueno no es la que se pide.",
        en="The reply to a good order is not the one asked for.",
        expected=expected,
        seen=seen,
    )


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
async def fetch_all(answer, run):
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
                raise Wrong(
                    "body-outside",
                    es="Había llegado el estado, pero no el cuerpo, y dejaste "
                    "pasar a la petición siguiente. Lee el texto dentro del "
                    "`async with` del semáforo.",
                    en="The status had come, but not the body, and you let "
                    "the next one in. Read the text inside the semaphore's "
                    "`async with`.",
                    expected=limit,
                    seen=pages.most,
                )
            second = next(name for name in pages.started if name != names[0])
            pages.let_out(second)
            if not await within(PATIENCE, lambda: len(pages.started) > limit):
                pages.let_all_out()
                if await within(PATIENCE, lambda: len(pages.started) > limit):
                    raise Wrong(
                        "batches",
                        es="Una petición acabó y la tercera siguió "
                        "esperando a que acabara la otra: vas por tandas. Que "
                        "cada una pase en cuanto haya sitio.",
                        en="One request was done, and the third still waited "
                        "for the other: you work in batches. Let each go as "
                        "soon as there is room.",
                    )
                raise Wrong(
                    "never-released",
                    es="Las dos primeras acabaron y la tercera no empezó: "
                    "nadie devolvió el sitio. `async with` lo devuelve "
                    "siempre.",
                    en="The first two were done and the third did not begin: "
                    "nobody gave the place back. `async with` always does.",
                )
            pages.let_all_out()
            if not await finished(task, PATIENCE):
                raise Wrong(
                    "never-ends",
                    es="El servidor contestó a todo y tu función sigue "
                    "esperando.",
                    en="The server has replied to everything, and your "
                    "function still waits.",
                )
            await refuse_awaitable(task.result())
            judge_limit(pages, limit)
        finally:
            pages.let_all_out()
            await finished(task, 0)
    judge_texts(task.result(), [f"page {name}" for name in names], second)
    return Right(
        es="Cinco páginas en su orden, nunca más de dos a la vez, y la "
        "siguiente en cuanto acabó una.",
        en="Five pages in their order, never more than two at once, and the "
        "next one as soon as one was done.",
    )


async def refuse_awaitable(seen):
    """Refuse what somebody would still have to await."""
    if asyncio.isfuture(seen):
        seen.cancel()
        await asyncio.gather(seen, return_exceptions=True)
    elif asyncio.iscoroutine(seen):
        seen.close()
    else:
        return
    raise Wrong(
        "not-awaited",
        es="Falta un `await` delante de `gather`.",
        en="An `await` is missing before `gather`.",
    )


def judge_limit(pages, limit):
    if pages.strangers:
        raise Wrong(
            "other-session",
            es="Las peticiones no vinieron de la sesión que recibes: no "
            "traían sus cabeceras, ni usaron sus conexiones.",
            en="The requests did not come from the session you are given: "
            "they lacked its headers, and did not use its connections.",
        )
    if pages.most == 0:
        raise Wrong(
            "never-asks",
            es="Al servidor no le llegó ninguna petición.",
            en="Not one request reached the server.",
            expected=limit,
            seen=0,
        )
    if pages.most < limit:
        raise Wrong(
            "one-by-one",
            es="Cada petición esperó a que acabara la anterior. Caben dos a "
            "la vez.",
            en="Each request waited for the one before it to end. There is "
            "room for two.",
            expected=limit,
            seen=pages.most,
        )
    if pages.most > limit:
        raise Wrong(
            "too-many",
            es="El servidor tuvo más peticiones a la vez que `limit`. Hace "
            "falta un solo semáforo, creado con `limit`, y que lo tome cada "
            "petición, no todo el `gather` de una vez.",
            en="The server had more requests at once than `limit`. There has "
            "to be one semaphore, made with `limit`, and each request has to "
            "take it: not once around `gather`.",
            expected=limit,
            seen=pages.most,
        )


def judge_texts(seen, expected, second):
    items = list(seen) if isinstance(seen, list | tuple) else [seen]
    if items == expected:
        return
    if seen is None:
        raise Wrong(
            "nothing-returned",
            es="Tu función no devuelve nada: falta el `return` con los "
            "textos.",
            en="Your function returns nothing: the `return` with the texts "
            "is missing.",
            expected=expected,
            seen=seen,
        )
    if any(isinstance(item, aiohttp.ClientResponse) for item in items):
        raise Wrong(
            "no-texts",
            es="Devolviste respuestas. El texto hay que leerlo, con "
            "`await response.text()`, antes de salir de su `async with`.",
            en="You returned responses. The text has to be read, with "
            "`await response.text()`, before you leave their `async with`.",
            expected=expected,
            seen=[type(item).__name__ for item in items],
        )
    if sorted(map(str, items)) == sorted(expected):
        raise Wrong(
            "as-they-came",
            es=f"Están todos, en el orden en que acabaron: `{second}` fue el "
            "primero. El ejercicio pide el de `urls`, que `gather` conserva.",
            en=f"They are all there, in the order in which they were done: "
            f"`{second}` was the first. The exercise asks for the order of "
            "`urls`, which `gather` keeps.",
            expected=expected,
            seen=seen,
        )
    raise Wrong(
        "other-texts",
        es="Esos no son los textos de las páginas.",
        en="Those are not the texts of the pages.",
        expected=expected,
        seen=seen,
    )


@exercise("10.3", parameters=3, picture=None)
async def save(answer, run):
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
        raise Wrong(
            "nothing-written",
            es="Nadie llamó a `write`.",
            en="Nobody called `write`.",
        )
    if not early:
        raise Wrong(
            "whole-body",
            es="El servidor envió medio cuerpo y esperó a que lo guardaras, "
            "pero tú esperabas al resto para tenerlo entero en memoria. Pide "
            "trozos con `iter_chunked` y llama a `write` con cada uno.",
            en="The server sent half of the body and waited for you to save "
            "it, but you were waiting for the rest: you wanted all of it in "
            "memory first. Ask for pieces with `iter_chunked`, and call "
            "`write` with each.",
        )
    kinds = {type(piece).__name__ for piece in written}
    if not kinds <= {"bytes", "bytearray", "memoryview"}:
        raise Wrong(
            "no-bytes",
            es="A `write` se le dan los trozos tal como llegan: bytes.",
            en="Give `write` the pieces as they come: bytes.",
            expected="bytes",
            seen=sorted(kinds),
        )
    total = sum(map(len, written))
    if total < size:
        raise Wrong(
            "one-piece",
            es="Falta cuerpo. Un `read(n)` da lo que haya, hasta `n` bytes; "
            "para llegar al final hace falta un bucle.",
            en="Some of the body is missing. One `read(n)` gives what there "
            "is, up to `n` bytes; to get to the end takes a loop.",
            expected=size,
            seen=total,
        )
    if b"".join(written) != b"".join(halves):
        raise Wrong(
            "other-bytes",
            es="Los trozos, juntos, no son el cuerpo.",
            en="The pieces, joined, are not the body.",
            expected=size,
            seen=total,
        )
    if announced == 5:
        raise Wrong(
            "content-length",
            es="`content_length` es `None` si el servidor no anuncia la "
            "longitud, como aquí. Suma las longitudes de los trozos.",
            en="`content_length` is `None` when the server does not announce "
            "it, as here. Add up the lengths of the pieces.",
            expected=size,
            seen=seen,
        )
    if seen is None:
        raise Wrong(
            "nothing-returned",
            es="Los trozos se guardaron, pero tu función devolvió `None`.",
            en="The pieces were saved, but your function returned `None`.",
            expected=size,
            seen=seen,
        )
    if seen == len(written):
        raise Wrong(
            "counts-pieces",
            es="Eso es el número de trozos. Se piden bytes: suma sus "
            "longitudes.",
            en="That is the number of pieces. The exercise asks for bytes: "
            "add up their lengths.",
            expected=size,
            seen=seen,
        )
    if seen != size:
        raise Wrong(
            "other-size",
            es="El cuerpo se guardó bien; el número de bytes no es ese.",
            en="The body was saved well; that is not its number of bytes.",
            expected=size,
            seen=seen,
        )
    return Right(
        es="La primera mitad estaba guardada antes de que saliera la segunda.",
        en="The first half was saved before the second was sent.",
    )


@exercise("10.4", parameters=3, picture=None, limit=9)
async def try_read(answer, run):
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
    return Right(
        es="Nueve peticiones: una buena, dos estados de error, tres lentas y "
        "tres rotas. Ninguna se te escapó.",
        en="Nine requests: one good, two with an error status, three slow and "
        "three broken. None got away.",
    )


def expect(seen, expected, case):
    """The last word on a case: the result that the exercise asks for."""
    if isinstance(seen, Exception):
        raise seen
    if seen != expected:
        raise Wrong(
            "other-result",
            es=f"El caso `{case}` debía dar otra cosa.",
            en=f"The case `{case}` should have given something else.",
            expected=expected,
            seen=seen,
        )


def judge_status(seen, ended, text, status):
    expected = f"status {status}"
    if seen == text:
        raise Wrong(
            "status-unseen",
            es="Devolviste el texto de una página de error. Un estado de 400 "
            "o más no lanza nada por sí solo: mira `response.status`.",
            en="You returned the text of an error page. A status of 400 or "
            "more raises nothing by itself: look at `response.status`.",
            expected=expected,
            seen=seen,
        )
    if isinstance(seen, aiohttp.ClientResponseError):
        raise Wrong(
            "status-escapes",
            es="`raise_for_status` lanzó su excepción y nadie la atrapó.",
            en="`raise_for_status` raised its exception, and nobody caught "
            "it.",
            expected=expected,
            seen=type(seen).__name__,
        )
    if seen == "broken":
        raise Wrong(
            "status-broken",
            es="El servidor contestó, y con un estado: no está roto. "
            "`ClientResponseError` es también un `ClientError`; atrápalo "
            "antes, y usa su `status`.",
            en="The server replied, and with a status: nothing is broken. "
            "`ClientResponseError` is a `ClientError` too; catch it first, "
            "and use its `status`.",
            expected=expected,
            seen=seen,
        )
    expect(seen, expected, status)


def judge_slow(seen, ended):
    if not ended:
        raise Wrong(
            "no-limit",
            es="El servidor calló y tu función siguió esperando mucho "
            "después de `seconds`. Sin plazo, `total` son 5 minutos.",
            en="The server was silent and your function went on waiting long "
            "after `seconds`. Without a limit, `total` is 5 minutes.",
        )
    if isinstance(seen, TimeoutError):
        raise Wrong(
            "timeout-escapes",
            es="El plazo se cumplió y `TimeoutError` salió de tu función. No "
            "es un `ClientError`: necesita su `except`.",
            en="Time was up and `TimeoutError` left your function. It is no "
            "`ClientError`: it needs its own `except`.",
            expected="too slow",
            seen=type(seen).__name__,
        )
    if seen == "broken":
        raise Wrong(
            "all-broken",
            es="Eso no está roto, sino lento: atrapa `TimeoutError` aparte, "
            "y antes que lo demás.",
            en="That is not broken but slow: catch `TimeoutError` by itself, "
            "before the rest.",
            expected="too slow",
            seen=seen,
        )
    expect(seen, "too slow", "slow")


def judge_stalls(seen, ended):
    if not ended:
        raise Wrong(
            "limit-ends-early",
            es="El estado llegó a tiempo, el cuerpo no, y ahí ya no había "
            "plazo. Tiene que abarcar también la lectura.",
            en="The status came in time, the body did not, and by then there "
            "was no limit. It has to cover the reading too.",
        )
    if isinstance(seen, TimeoutError):
        raise read_outside("too slow", seen)
    expect(seen, "too slow", "stalls")


def judge_drips(seen, ended):
    if not ended:
        raise Wrong(
            "each-wait",
            es="El cuerpo llegaba a gotas y no acababa nunca. Tu plazo vale "
            "para cada espera; `total` las abarca todas juntas.",
            en="The body came in drops and never ended. Your limit is for "
            "each wait; `total` covers them all together.",
        )
    expect(seen, "too slow", "drips")


def read_outside(expected, seen):
    return Wrong(
        "read-outside",
        es="El estado llegó y el fallo vino después, al leer el cuerpo: "
        "fuera de tu `try`. Lee dentro de él.",
        en="The status came and the failure followed, while the body was "
        "read: outside your `try`. Read inside it.",
        expected=expected,
        seen=type(seen).__name__,
    )


def judge_half(seen, ended):
    if isinstance(seen, aiohttp.ClientPayloadError):
        raise read_outside("broken", seen)
    judge_broken(seen, ended, "half")


def judge_broken(seen, ended, case):
    if isinstance(seen, aiohttp.ClientError | OSError):
        raise Wrong(
            "error-escapes",
            es=f"En el caso `{case}`, la excepción salió de tu función. "
            "Todas tienen un antepasado común: `aiohttp.ClientError`.",
            en=f"In the case `{case}`, the exception left your function. "
            "They have an ancestor in common: `aiohttp.ClientError`.",
            expected="broken",
            seen=type(seen).__name__,
        )
    expect(seen, "broken", case)


@exercise("10.5", "function", picture="wiretap", limit=9)
async def make_board(answer, run):
    app = answer()
    try:
        other = answer()
    except RuntimeError:  # the routes are in the one application already
        other = app
    if not isinstance(app, web.Application):
        raise Wrong(
            "no-app",
            es="`make_board()` tiene que devolver la aplicación: falta "
            "`return app`.",
            en="`make_board()` has to return the application: `return app` "
            "is missing.",
            seen=app,
        )
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
    return Right(
        es="Dos oyeron lo dicho por HTTP; uno se despidió, otro desapareció, "
        "y la cuenta siguió siendo exacta.",
        en="Two heard what was said over HTTP; one said goodbye, another "
        "vanished, and the count stayed exact.",
    )


async def judge_board(board):
    ada, lima = await board.listen(), await board.listen()
    if await within(MOMENT, lambda: ada.close_code is not None):
        board.raise_errors()
        raise Wrong(
            "closes-at-once",
            es="El WebSocket se abrió y se cerró: la conexión acaba cuando el "
            "manejador termina. Quédate recibiendo con `async for`.",
            en="The WebSocket opened and closed: the connection is over when "
            "the handler ends. Stay there and receive, with `async for`.",
        )
    seen = await board.say("hola")
    board.raise_errors()
    judge_heard([await board.heard(each) for each in (ada, lima)])
    if seen != "2":
        raise Wrong(
            "other-count",
            es="Los dos lo oyeron. La respuesta a `POST /say` debía ser el "
            "número de oyentes, como texto.",
            en="Both heard it. The reply to `POST /say` should have been "
            "their number, as text.",
            expected="2",
            seen=seen,
        )
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
        raise Wrong(
            "received-once",
            es="Un oyente habló y tu manejador terminó. Sigue recibiendo con "
            "`async for`, hasta que el cliente se vaya.",
            en="A listener spoke, and your handler ended. Go on receiving "
            "with `async for`, until the client leaves.",
        ) from None
    except TimeoutError:
        board.deaf = True
    await board.say("chai")
    board.raise_errors()
    if (heard := await board.heard(ada)) != "chai":
        raise Wrong(
            "speaks-on-ws",
            es="Lo que llegó por `/ws` se difundió: por ahí solo se escucha. "
            "Habla solo `/say`.",
            en="What came over `/ws` was broadcast: there one only listens. "
            "Leave the speaking to `/say`.",
            seen=heard,
        )
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
        raise Wrong(
            "speaker-fails",
            es="Uno se fue justo antes de recibir el texto: `send_str` lanzó "
            "`ConnectionResetError`, y quien hablaba recibió un 500. Que no "
            "pague quien habla: `suppress`, o `try` y `except`.",
            en="One listener left right before the text got there: "
            "`send_str` raised `ConnectionResetError`, and the one who spoke "
            "was given a 500. That must not stop `say`: `suppress`, or `try` "
            "and `except`.",
            seen=board.complaints.errors[0],
        )
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
            "others-miss-it",
            es="Un oyente se había ido, y los que iban detrás no oyeron nada: "
            "tu `suppress` o tu `try` rodea el bucle entero. Ponlo dentro, "
            "alrededor de cada `send_str`.",
            en="One listener had left, and those after it heard nothing: "
            "your `suppress` or `try` surrounds the whole loop. Put it "
            "inside, around each `send_str`.",
            expected=len(heard),
            seen=heard.count(text),
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
        raise Wrong(
            "shared",
            es="Dos tableros comparten oyentes: lo que se dice en uno se oye "
            "en el otro. Crea la aplicación y el conjunto **dentro** de "
            "`make_board`.",
            en="Two boards share their listeners: what is said on one is "
            "heard on the other. Make the application and the set **inside** "
            "`make_board`.",
            expected="1",
            seen=seen,
        )


def judge_heard(heard):
    if heard == ["hola", "hola"]:
        return
    if "hola" in heard:
        raise Wrong(
            "last-only",
            es="Había dos WebSocket abiertos y solo uno recibió el texto. "
            "Guárdalos todos, en un conjunto.",
            en="Two WebSockets were open, and only one received the text. "
            "Keep them all, in a set.",
            expected=["hola", "hola"],
            seen=heard,
        )
    raise Wrong(
        "nobody-hears",
        es="`POST /say` contestó, y ningún WebSocket recibió el texto.",
        en="`POST /say` replied, and no WebSocket received the text.",
        expected=["hola", "hola"],
        seen=heard,
    )


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
            raise Wrong(
                "no-websocket",
                es="`GET /ws` no abrió un WebSocket. Hacen falta la ruta y "
                "`await websocket.prepare(request)`.",
                en="`GET /ws` opened no WebSocket. It takes the route, and "
                "`await websocket.prepare(request)`.",
                seen=error,
            ) from None
        self.listeners.append(websocket)
        return websocket

    async def say(self, text):
        async with self.session.post(f"{self.url}/say", data=text) as response:
            if response.status in (404, 405):
                raise Wrong(
                    "wrong-method",
                    es="`POST /say` no llega a tu manejador. La ruta se "
                    "registra con `web.post`.",
                    en="`POST /say` does not get to your handler. Register "
                    "the path with `web.post`.",
                    seen=response.status,
                )
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
                raise Wrong(
                    "deaf",
                    es="Tu manejador de `/ws` no recibe, así que no se entera "
                    "de que el cliente se fue: `async for`.",
                    en="Your `/ws` handler does not receive, so it never "
                    "learns that the client left: `async for`.",
                    expected="1",
                    seen=seen,
                )
            raise Wrong(
                "never-forgets",
                es="Un WebSocket se cerró y tu tablero aún cuenta con él. "
                "Cuando el bucle acabe, quítalo (`finally`).",
                en="A WebSocket was closed and your board still counts on "
                "it. When the loop is over, take it out (`finally`).",
                expected="1",
                seen=seen,
            )

    def raise_errors(self):
        for error in self.complaints.errors:
            refuse_other_library(error)
            raise error
        for message in self.complaints.messages:
            if "response instance" in message:
                raise Wrong(
                    "no-response",
                    es="Un manejador devolvió algo que no es una respuesta. "
                    "Un texto viaja en `web.Response(text=...)`.",
                    en="A handler returned something that is no response. A "
                    "text travels in `web.Response(text=...)`.",
                    seen=message,
                )
            if "Missing return" in message:
                raise Wrong(
                    "no-return",
                    es=f"El manejador de `{self.silent}` terminó sin devolver "
                    "nada, y aiohttp protesta en su registro. `/say` devuelve "
                    "una `web.Response`; `/ws`, su `websocket`.",
                    en=f"The handler of `{self.silent}` ended without "
                    "returning anything, and aiohttp complains in its log. "
                    "`/say` returns a `web.Response`; `/ws`, its `websocket`.",
                    seen=message,
                )


def refuse_other_library(error):
    """Name what belongs to the WebSockets of websockets."""
    names = {"send": "send", "protocol": "broadcast"}
    name = names.get(getattr(error, "name", None))
    theirs = isinstance(getattr(error, "obj", None), web.WebSocketResponse)
    if isinstance(error, AttributeError) and theirs and name:
        raise Wrong(
            "other-library",
            es=f"`{name}` es de `websockets`, y los WebSocket de aiohttp no "
            "lo conocen: usa un bucle con `send_str`.",
            en=f"`{name}` is from `websockets`, and aiohttp's WebSockets do "
            "not know it: use a loop with `send_str`.",
            seen=error,
        ) from None
