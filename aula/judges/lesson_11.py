"""Judges the exercises of lesson 11: old programs brought to the present."""

import asyncio
import functools
import inspect
import sys
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

from websockets.asyncio.client import connect
from websockets.asyncio.server import Server
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from aula.exercises.check import Right, Wrong, exercise
from aula.judges.lesson_04 import (
    LIMIT,
    Hung,
    Silence,
    calling,
    hear,
    patiently,
    serving,
    stop,
    tell,
)
from aula.judges.peers import discard, refuse_no_star

# A clock that calls local time UTC is wrong by a quarter of an hour at least.
NEAR = timedelta(minutes=5)

# Between the first and the third time of a clock that keeps its sleep(0.1)
# pass two tenths of a second.
PAUSE = timedelta(seconds=0.1)


def refuse_old_names(errors):
    """Name what a handler still takes from the library of old."""
    today = {
        "path": "websocket.request.path",
        "request_headers": "websocket.request.headers",
        "open": "websocket.state",
        "closed": "websocket.state",
    }
    for error in errors:
        name = getattr(error, "name", None)
        if isinstance(error, AttributeError) and name in today:
            raise Wrong(
                f"old-{name.split('_')[-1]}",
                es=f"Tu manejador usa `websocket.{name}`, que ya no existe: "
                f"hoy es `{today[name]}`.",
                en=f"Your handler uses `websocket.{name}`, which no longer "
                f"exists: today it is `{today[name]}`.",
                seen=error,
            ) from None
        if isinstance(error, NameError) and name == "path":
            raise Wrong(
                "no-path",
                es="Tu manejador pide `path`, que ya no recibe: la ruta está "
                "en `websocket.request.path`.",
                en="Your handler uses `path`, which it is no longer given: "
                "the path is in `websocket.request.path`.",
                seen=error,
            ) from None


@exercise("11.1", parameters=2, limit=LIMIT, picture="wiretap")
async def ask_all(answer, run):
    names = ["Ada", "Lima", "Eva"]
    expected = [f"Hello {name}! 🙂" for name in names]
    asked, connections = [], []

    async def greet(websocket):
        connections.append(websocket)
        with suppress(ConnectionClosed):
            async for name in websocket:
                asked.append(name)
                await websocket.send(f"Hello {name}! 🙂")

    async with serving(greet) as service:
        asking = asyncio.create_task(answer(service.url, list(names)))
        try:
            await patiently(asyncio.wait({asking}))
        except Silence:
            raise Wrong(
                "waits",
                es="Tu cliente espera y el servidor también. Por cada "
                "nombre, primero `send` y después `recv`.",
                en="Your client waits, and so does the server. For each "
                "name, first `send`, then `recv`.",
                seen=asked,
            ) from None
        try:
            seen = asking.result()
        except (AttributeError, TypeError) as error:
            _refuse_bare_connect(error)
            raise
        _refuse_coroutines(seen)
        if seen is None:
            raise Wrong(
                "not-returned",
                es="Tu función no devuelve nada. La antigua terminaba con "
                "`return answers`.",
                en="Your function returns nothing. The old one ended with "
                "`return answers`.",
                expected=expected,
                seen=seen,
            )
        if asked == names[:1]:
            raise Wrong(
                "only-first",
                es="Preguntó por un solo nombre: el `return` está dentro del "
                "bucle. Sácalo.",
                en="It asked for one name only: the `return` is inside the "
                "loop. Move it out.",
                expected=names,
                seen=asked,
            )
        if asked != names or seen != expected:
            raise Wrong(
                "other-answers",
                es="Pregunta por cada nombre una vez, en orden, y devuelve "
                "la lista de las respuestas.",
                en="Ask for each name once, in order, and return the list of "
                "the answers.",
                expected=expected,
                seen=seen,
            )
        if len(connections) > 1:
            raise Wrong(
                "reconnects",
                es="Las respuestas son correctas, pero tu cliente se conectó "
                f"{len(connections)} veces. El antiguo, una: `connect` va "
                "fuera del bucle.",
                en="The answers are right, but your client connected "
                f"{len(connections)} times. The old one did so once: "
                "`connect` stands outside the loop.",
            )
        try:
            await service.finish()
        except Silence:
            raise Wrong(
                "left-open",
                es="Las respuestas son correctas, pero la conexión sigue "
                "abierta. El `finally` de antes la cerraba; hoy lo hace "
                "`async with`.",
                en="The answers are right, but the connection is still open. "
                "The old `finally` closed it; today `async with` does.",
            ) from None
    await _judge_failure(answer)
    return Right(
        es="Tres preguntas y tres respuestas por una sola conexión, cerrada "
        f"con {connections[0].close_code}.",
        en="Three questions and three answers over one connection, closed "
        f"with {connections[0].close_code}.",
    )


async def _judge_failure(answer):
    """A conversation that breaks off half-way is closed as well."""
    named = asyncio.Event()

    async def stall(websocket):
        with suppress(ConnectionClosed):
            async for _ in websocket:
                named.set()

    async with serving(stall) as service:
        asking = asyncio.create_task(answer(service.url, ["Ada", "Lima"]))
        await patiently(named.wait())
        asking.cancel()
        await asyncio.wait({asking}, timeout=1)
        try:
            await service.finish()
        except Silence:
            raise Wrong(
                "open-on-failure",
                es="Las respuestas son correctas. Pero si algo falla a "
                "medias, tu conexión se queda abierta: eso lo evitaba "
                "`finally`; hoy, `async with`.",
                en="The answers are right. But when something fails half-way, "
                "your connection stays open: `finally` prevented that; today "
                "`async with` does.",
            ) from None


def _refuse_coroutines(seen):
    """Each answer has to be awaited."""
    pieces = seen if isinstance(seen, list | tuple) else [seen]
    forgotten = [piece for piece in pieces if inspect.iscoroutine(piece)]
    for coroutine in forgotten:
        coroutine.close()
    if forgotten:
        raise Wrong(
            "forgotten-await",
            es="Devuelves corrutinas, no mensajes: falta un `await` delante "
            "de `websocket.recv()`.",
            en="You return coroutines, not messages: an `await` is missing "
            "before `websocket.recv()`.",
        )


def _refuse_bare_connect(error):
    """A bare ``connect()`` is what ``yield from`` or ``await`` needs."""
    if isinstance(getattr(error, "obj", None), connect) or (
        "'connect' object" in f"{error}"
    ):
        raise Wrong(
            "not-connected",
            es="`connect(url)` a secas no conecta: también ahí había un "
            "`yield from`. Escribe `await connect(url)` o `async with "
            "connect(url) as websocket:`.",
            en="A bare `connect(url)` does not connect: there was a `yield "
            "from` there too. Write `await connect(url)` or `async with "
            "connect(url) as websocket:`.",
            seen=error,
        ) from None


@exercise("11.2", parameters=2, limit=LIMIT, picture="wiretap")
async def main(answer, run):
    servers, programs = set(), []

    async def hello(websocket):
        servers.add(websocket.server)
        with suppress(ConnectionClosed):
            async for name in websocket:
                await websocket.send(f"Welcome, {name}!")

    try:
        with refusing_run_forever():
            # Two programs at once, so that a port of their own shows.
            for number in (1, 2):
                program = Program(answer, hello, f"main {number}")
                programs.append(program)
                await program.open()
            for program in programs:
                await program.talk()
            for program in programs:
                await program.interrupt()
    finally:
        for program in programs:
            await program.clear()
        for server in servers:
            await stop(server)
    return Right(
        es="Dos programas a la vez, cada uno en su puerto, atendieron hasta "
        "que se cancelaron, y entonces se despidieron con 1001.",
        en="Two programs at once, each on a port of its own, served until "
        "they were cancelled, and then said goodbye with 1001.",
    )


@contextmanager
def refusing_run_forever():
    """Say what a nested ``run_forever`` says, and no more.

    The first releases of Python 3.13 forget the running loop as well, and
    nothing in this kernel would work after it.
    """

    def run_forever():
        raise RuntimeError("This event loop is already running")

    loop = asyncio.get_running_loop()
    loop.run_forever = run_forever
    try:
        yield
    finally:
        del loop.run_forever


class Program:
    """A run of a learner's ``main``, as ``asyncio.run`` would have it."""

    def __init__(self, answer, hello, name):
        self.addresses = []
        self.opened = asyncio.Event()
        self.websocket = None
        self.task = asyncio.create_task(answer(hello, self.ready), name=name)

    def ready(self, url=None):
        self.addresses.append(url)
        self.opened.set()

    async def open(self):
        """Wait for the address and connect to it."""
        opening = asyncio.create_task(self.opened.wait())
        try:
            await patiently(
                asyncio.wait(
                    {self.task, opening}, return_when=asyncio.FIRST_COMPLETED
                )
            )
        except Silence:
            raise Wrong(
                "not-ready",
                es="Tu `main` espera y todavía no ha llamado a `ready`. "
                "Llámala en cuanto el servidor esté abierto, antes de la "
                "espera.",
                en="Your `main` waits, and has not called `ready` yet. Call "
                "it as soon as the server is open, before the waiting.",
            ) from None
        finally:
            opening.cancel()
        await self._refuse_failure()
        if not self.addresses:
            raise Wrong(
                "never-ready",
                es="`main` terminó sin llamar a `ready` con la dirección.",
                en="`main` ended without calling `ready` with the address.",
            )
        url = self.addresses[0]
        if not isinstance(url, str) or not url.startswith("ws://"):
            raise Wrong(
                "no-address",
                es="`ready` espera la dirección, un texto que empieza por "
                "`ws://`: `address(server)` te lo da.",
                en="`ready` expects the address, a text that begins with "
                "`ws://`: `address(server)` gives it.",
                seen=type(url).__name__,
            )
        try:
            self.websocket = await connect(url)
        except (OSError, InvalidHandshake):
            await self._refuse_end()
            raise Wrong(
                "nobody-there",
                es="En la dirección que recibió `ready` no escucha nadie. El "
                "puerto 0 solo sirve para pedir uno: di el que ha tocado.",
                en="Nobody listens at the address that `ready` was given. "
                "Port 0 only serves to ask for one: tell which it was.",
                seen=url,
            ) from None

    async def talk(self):
        for name in ("Ada", "Lima"):
            try:
                heard = await tell(self.websocket, name)
            except (Hung, Silence):
                await self._refuse_end()
                raise Wrong(
                    "other-handler",
                    es="El servidor no contestó. Sirve el manejador `hello` "
                    "que recibe `main`, sin cambiarlo.",
                    en="The server did not answer. Serve the handler `hello` "
                    "that `main` is given, as it is.",
                ) from None
            if heard != f"Welcome, {name}!":
                raise Wrong(
                    "other-handler",
                    es="Tu servidor no usa el `hello` que recibe `main`.",
                    en="Your server does not use the `hello` that `main` is "
                    "given.",
                    expected=f"Welcome, {name}!",
                    seen=heard,
                )
        if self.task.done():
            await self._refuse_end()

    async def interrupt(self):
        """Do what Ctrl+C does, and see whether the server is closed."""
        self.task.cancel()
        try:
            await patiently(asyncio.wait({self.task}))
        except Silence:
            raise Wrong(
                "deaf",
                es="Se canceló `main`, como hace Ctrl+C, y sigue en marcha.",
                en="`main` was cancelled, as Ctrl+C does, and goes on.",
            ) from None
        await self._refuse_failure()
        try:
            await patiently(self.websocket.wait_closed())
        except Silence:
            raise Wrong(
                "left-open",
                es="`main` terminó y su servidor sigue abierto. `await "
                "server.serve_forever()` o `async with serve(...)` lo "
                "cierran al salir.",
                en="`main` ended, and its server is still open. `await "
                "server.serve_forever()` or `async with serve(...)` closes "
                "it on the way out.",
            ) from None

    async def clear(self):
        self.task.cancel()
        await asyncio.wait({self.task}, timeout=0.5)
        if self.websocket is not None:
            await self.websocket.close()

    async def _refuse_end(self):
        """Whoever ended stopped serving too soon."""
        with suppress(Silence):
            await patiently(asyncio.wait({self.task}))
        await self._refuse_failure()
        if self.task.done():
            raise Wrong(
                "ends-at-once",
                es="`main` abrió el servidor y terminó: en un script, "
                "`asyncio.run` acabaría ahí. Falta esperar sin fin en el "
                "lugar de `run_forever`.",
                en="`main` opened the server and ended: in a script "
                "`asyncio.run` would be over. What stood for `run_forever` "
                "is missing.",
            )

    async def _refuse_failure(self):
        if not self.task.done() or self.task.cancelled():
            return
        error = self.task.exception()
        if isinstance(error, AttributeError) and isinstance(error.obj, Server):
            raise Wrong(
                "not-served",
                es="`serve(...)` a secas no abre nada. Escribe `await "
                "serve(...)` o `async with serve(...) as server:`.",
                en="A bare `serve(...)` opens nothing. Write `await "
                "serve(...)` or `async with serve(...) as server:`.",
                seen=error,
            )
        if isinstance(error, RuntimeError) and "running" in f"{error}":
            discard(error)
            raise Wrong(
                "nested-loop",
                es="Dentro de `main` el bucle ya está en marcha: ni "
                "`asyncio.run`, ni `run_until_complete`, ni `run_forever` "
                "caben ahí. Espera con `await`.",
                en="Inside `main` the loop is running already: neither "
                "`asyncio.run` nor `run_until_complete` nor `run_forever` "
                "fits in there. Use `await`.",
                seen=error,
            )
        if isinstance(error, OSError):
            raise Wrong(
                "fixed-port",
                es="El puerto estaba ocupado: aquí se ejecutan dos programas "
                "a la vez. Pide el puerto 0.",
                en="The port was taken: two programs run here at once. Ask "
                "for port 0.",
                seen=type(error).__name__,
            )
        if error is not None:
            raise error


@exercise("11.3", parameters=1, limit=LIMIT, picture="wiretap")
async def countdown(answer, run):
    heard = []
    async with serving(answer) as service:
        async with calling(f"{service.url}/3") as websocket:
            with suppress(Hung):
                while len(heard) < 4:
                    try:
                        heard.append(await hear(websocket))
                    except Silence:
                        _refuse_silence(heard)
        refuse_old_names(service.errors)
        _refuse_other_errors(service)
        if heard != ["3", "2", "1"]:
            raise Wrong(
                "other-count",
                es="Para `/3` la cuenta es 3, 2, 1, y ahí termina.",
                en="For `/3` the count is 3, 2, 1, and there it ends.",
                expected=["3", "2", "1"],
                seen=heard,
            )
        async with calling(f"{service.url}/1000") as websocket:
            await hear(websocket)
            if await _floods(websocket):
                raise Wrong(
                    "no-pause",
                    es="Tu manejador no hace pausa entre números: conserva "
                    "`await asyncio.sleep(0.1)`.",
                    en="Your handler does not pause between numbers: keep "
                    "`await asyncio.sleep(0.1)`.",
                )
        try:
            await service.finish()
        except Silence:
            raise Wrong(
                "never-ends",
                es="El cliente se fue y tu manejador sigue contando. Atrapa "
                "`ConnectionClosed` **fuera** del bucle, o mira "
                "`websocket.state` en cada vuelta.",
                en="The client left and your handler goes on counting. Catch "
                "`ConnectionClosed` **outside** the loop, or look at "
                "`websocket.state` each round.",
            ) from None
        if any(isinstance(e, ConnectionClosed) for e in service.errors):
            raise Wrong(
                "client-left",
                es="Cuenta bien, pero cuando el cliente se fue `send` lanzó "
                f"`{type(service.errors[0]).__name__}` y tu manejador falló. "
                "Eso lo evitaba `.open`; no basta con leer `websocket.state`: "
                "compáralo con `State.OPEN`, o atrapa `ConnectionClosed`.",
                en="It counts well, but when the client left `send` raised "
                f"`{type(service.errors[0]).__name__}` and your handler "
                "failed. `.open` prevented that; `websocket.state` alone is "
                "not enough: compare it with `State.OPEN`, or catch "
                "`ConnectionClosed`.",
            )
        service.reraise()
        async with calling(f"{service.url}/1000") as websocket:
            await hear(websocket)
            websocket.transport.abort()
        with suppress(Silence):
            await service.finish()
        if any(isinstance(e, ConnectionClosed) for e in service.errors):
            raise Wrong(
                "closed-ok",
                es="Un cliente desapareció sin cierre y "
                "`ConnectionClosedError` salió de tu manejador: atrapa "
                "`ConnectionClosed`, que abarca las dos.",
                en="A client vanished without a close, and "
                "`ConnectionClosedError` left your handler: catch "
                "`ConnectionClosed`, which covers both.",
            )
        service.reraise()
    return Right(
        es="`/3` recibió 3, 2, 1; quien se fue de `/1000` tras el primer "
        "número no dejó ni un error ni un manejador en marcha.",
        en="`/3` was given 3, 2, 1; whoever left `/1000` after the first "
        "number left neither an error nor a running handler.",
    )


async def _floods(websocket):
    """Whether messages come much faster than ten in a second."""
    with suppress(TimeoutError, ConnectionClosed):
        async with asyncio.timeout(0.25):
            for _ in range(20):
                await websocket.recv()
            # The goodbye would have to wait for the rest.
            websocket.transport.abort()
            return True
    return False


def _refuse_silence(heard):
    if heard:
        raise Wrong(
            "stays-open",
            es="La cuenta se detuvo y tu manejador no termina.",
            en="The count stopped and your handler does not end.",
            seen=heard,
        ) from None
    raise Wrong(
        "silent",
        es="El cliente no envía nada, y no recibió ningún número. El primero "
        "está en la ruta.",
        en="The client sends nothing, and was given no number. The first one "
        "is in the path.",
    ) from None


def _refuse_other_errors(service):
    for error in service.errors:
        if isinstance(error, TypeError) and "data must be" in f"{error}":
            raise Wrong(
                "number-sent",
                es="`send` no acepta números. El programa antiguo los "
                'convertía con `format`; hoy, `f"{number}"`.',
                en="`send` takes no numbers. The old program turned them "
                'into text with `format`; today, `f"{number}"`.',
                seen=error,
            )
        if isinstance(error, ValueError) and "invalid literal" in f"{error}":
            raise Wrong(
                "slash",
                es="La ruta empieza por una barra, y `int` no la entiende. "
                "Quítasela, como hacía el programa antiguo.",
                en="The path begins with a slash, which `int` does not "
                "understand. Take it off, as the old program did.",
                seen=error,
            )
    service.reraise()


@exercise("11.4", parameters=1, limit=LIMIT, picture=None)
async def collect(answer, run):
    paths = [f"/{number}" for number in range(8)]
    arrived, tokens = set(), set()
    complete = asyncio.Event()

    async def reply(websocket):
        path = websocket.request.path
        arrived.add(path)
        tokens.add(websocket.request.headers.get("Token"))
        if len(arrived) == len(paths):
            complete.set()
        with suppress(ConnectionClosed):
            await complete.wait()
            await websocket.send(f"message of {path}")

    async with serving(reply) as service:
        urls = [service.url + path for path in paths]
        collecting = asyncio.create_task(answer(urls), name="collect(urls)")
        try:
            try:
                await patiently(asyncio.wait({collecting}))
            except Silence:
                _refuse_queue(arrived)
                await asyncio.wait({collecting})
            seen = collecting.result()
        except (AttributeError, TypeError, ValueError) as error:
            _refuse_old_arguments(error)
            _refuse_gathered(error)
            raise
        await _judge_messages(seen, [f"message of {path}" for path in paths])
        if tokens != {"latte"}:
            raise Wrong(
                "no-token",
                es="Los mensajes son correctos, pero la petición no llevaba "
                "la cabecera `Token: latte`. `connect` la recibe con otro "
                "nombre que antes.",
                en="The messages are right, but the request had no header "
                "`Token: latte`. `connect` takes it under another name than "
                "before.",
                expected="latte",
                seen=next(iter(tokens - {"latte"})),
            )
    return Right(
        es=f"{len(paths)} conexiones a la vez, todas con su cabecera, y los "
        "mensajes en el orden de las direcciones.",
        en=f"{len(paths)} connections at once, all with their header, and "
        "the messages in the order of the addresses.",
    )


def _refuse_queue(arrived):
    if len(arrived) == 1:
        raise Wrong(
            "one-at-a-time",
            es="Tu corrutina espera la respuesta de la primera dirección "
            "antes de llamar a la segunda. Antes iban todas a la vez.",
            en="Your coroutine waits for the answer of the first address "
            "before it calls the second. They used to go all at once.",
        ) from None


def _refuse_old_arguments(error):
    if "coroutines is forbidden" in f"{error}":
        discard(error)
        raise Wrong(
            "wait-coroutines",
            es="`asyncio.wait` ya no acepta corrutinas. `gather` sí, y da "
            "los resultados en orden.",
            en="`asyncio.wait` takes no coroutines any more. `gather` does, "
            "and gives the results in order.",
            seen=error,
        ) from None
    if "extra_headers" in f"{error}":
        raise Wrong(
            "old-headers",
            es="`connect` ya no conoce `extra_headers`. El argumento tiene "
            "otro nombre desde websockets 14.",
            en="`connect` does not know `extra_headers` any more. The "
            "argument has had another name since websockets 14.",
            seen=error,
        ) from None


def _refuse_gathered(error):
    """Name what belongs to ``wait``, and is of no use to ``gather``."""
    refuse_no_star(error)
    if isinstance(error, AttributeError) and (
        isinstance(error.obj, str) and error.name == "result"
    ):
        raise Wrong(
            "result-of-text",
            es="`gather` da ya los resultados: sobra `.result()`.",
            en="`gather` gives the results already: drop `.result()`.",
            seen=error,
        ) from None
    if isinstance(error, ValueError) and "to unpack" in f"{error}":
        raise Wrong(
            "no-pending",
            es="`gather` devuelve una sola lista, en orden; no hay `pending`.",
            en="`gather` returns a single list, in order; there is no "
            "`pending`.",
            seen=error,
        ) from None


async def _judge_messages(seen, expected):
    if asyncio.isfuture(seen):
        with suppress(Exception):
            await seen
        raise Wrong(
            "not-awaited",
            es="Devuelves la espera en vez de los mensajes: falta un `await` "
            "delante de `gather`.",
            en="You return the waiting instead of the messages: an `await` "
            "is missing before `gather`.",
        )
    if seen is None:
        raise Wrong(
            "not-returned",
            es="Tu corrutina no devuelve nada.",
            en="Your coroutine returns nothing.",
            expected=expected,
            seen=seen,
        )
    try:
        messages = list(seen)
        same = sorted(messages) == sorted(expected)
    except TypeError:
        messages, same = None, False
    if same and messages != expected:
        raise Wrong(
            "any-order",
            es="Están todos los mensajes, en otro orden: `done` es un "
            "conjunto. `gather` los da en el orden de `urls`.",
            en="All messages are there, in another order: `done` is a set. "
            "`gather` gives them in the order of `urls`.",
            expected=expected,
            seen=messages,
        )
    if messages != expected:
        raise Wrong(
            "other-messages",
            es="Devuelve la lista de los mensajes, uno por dirección.",
            en="Return the list of the messages, one for each address.",
            expected=expected,
            seen=seen,
        )


@exercise("11.5", parameters=1, limit=LIMIT, picture="wiretap")
async def clock(answer, run):
    async with serving(giving_way(answer)) as service:
        with watching("utcnow") as calls:
            for path in ("/Lima", "/Ada"):
                await _judge_clock(service, path, calls)
    return Right(
        es="Dos clientes leyeron seis veces la hora, siempre exacta y con su "
        "zona; `utcnow` no se llamó ni una vez.",
        en="Two clients read the time six times, right each time and with "
        "its zone; `utcnow` was not called once.",
    )


def giving_way(handler):
    """The handler, whose messages are seen while it sends without a pause.

    Otherwise it would hold the loop until the buffers are full.
    """

    @functools.wraps(handler)
    async def watched(websocket):
        send = websocket.send

        async def send_and_yield(*arguments, **options):
            await send(*arguments, **options)
            await asyncio.sleep(0)

        websocket.send = send_and_yield
        await handler(websocket)

    return watched


@contextmanager
def watching(name):
    """Notice the calls of a function written in C: ``utcnow`` is silent.

    It warns since Python 3.12 only, and what it gives looks right.
    """
    calls = []

    def profile(frame, event, called):
        if event == "c_call" and getattr(called, "__name__", "") == name:
            calls.append(called)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield calls
    finally:
        sys.setprofile(before)


async def _judge_clock(service, path, calls):
    times = []
    async with calling(service.url + path) as websocket:
        for _ in range(3):
            try:
                message = await hear(websocket)
            except Hung:
                refuse_old_names(service.errors)
                service.reraise()
                raise Wrong(
                    "only-once",
                    es="El reloj dio la hora y se paró: falta el bucle.",
                    en="The clock told the time and stopped: the loop is "
                    "missing.",
                    seen=[f"{time}" for time in times],
                ) from None
            except Silence:
                raise Wrong(
                    "silent",
                    es="El cliente no envía nada, solo escucha, y no llegó "
                    "la hora.",
                    en="The client sends nothing, it listens, and no time "
                    "came.",
                ) from None
            times.append(_read_time(message, path, calls))
        # Only clocks that seem to run too fast are worth a closer look.
        if abs(times[-1] - times[0]) < PAUSE and await _floods(websocket):
            raise Wrong(
                "no-pause",
                es="Tu reloj no hace pausa entre mensajes: conserva `await "
                "asyncio.sleep(0.1)`.",
                en="Your clock does not pause between messages: keep `await "
                "asyncio.sleep(0.1)`.",
            )
    # A clock that tells whole seconds may tell the same one twice.
    if len(set(times)) < len(times) and times[0].microsecond:
        raise Wrong(
            "stopped",
            es="El reloj da siempre la misma hora: mírala en cada vuelta.",
            en="The clock tells the same time again and again: look at it in "
            "each round.",
            seen=[f"{time}" for time in times],
        )
    try:
        await service.finish()
    except Silence:
        raise Wrong(
            "never-ends",
            es="El cliente se fue y el reloj sigue. Deja que la excepción de "
            "`send` salga del bucle.",
            en="The client left and the clock goes on. Let the exception of "
            "`send` leave the loop.",
        ) from None
    for error in service.errors:
        if not isinstance(error, ConnectionClosed):
            raise error


def _read_time(message, path, calls):
    expected = f"{path} {datetime.now(UTC).isoformat()}"
    if calls:
        raise Wrong(
            "utcnow",
            es="Tu reloj todavía llama a `utcnow`, que avisa desde Python "
            "3.12 y da una hora sin zona. Usa `datetime.now(UTC)`.",
            en="Your clock still calls `utcnow`, which warns since Python "
            "3.12 and gives a time without a zone. Use "
            "`datetime.now(UTC)`.",
            seen=message,
        )
    said, _, text = f"{message}".partition(" ")
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None and text.endswith("00:00Z"):
        raise Wrong(
            "two-zones",
            es="La hora lleva ya su zona, `+00:00`, y detrás una `Z` que "
            "dice lo mismo. Sobra la `Z`.",
            en="The time already has its zone, `+00:00`, and then a `Z` "
            "that says the same. Remove the `Z`.",
            expected=expected,
            seen=message,
        )
    if time is None or said != path:
        raise Wrong(
            "other-text",
            es="Se pide la ruta, un espacio y la hora de `isoformat()`.",
            en="What is asked for is the path, a space, and the time of "
            "`isoformat()`.",
            expected=expected,
            seen=message,
        )
    if time.tzinfo is None:
        raise Wrong(
            "no-zone",
            es="A la hora le falta la zona: quien la lea lejos de aquí "
            "entenderá otra. Pide la zona a `now`.",
            en="The time lacks its zone: whoever reads it far from here will "
            "take it for another. Ask `now` for the zone.",
            expected=expected,
            seen=message,
        )
    if abs(datetime.now(UTC) - time) > NEAR:
        raise Wrong(
            "other-time",
            es="La zona y la hora no concuerdan: parece la hora local con una "
            "`Z`, que significa UTC.",
            en="The zone and the time do not agree: it looks like local time "
            "with a `Z`, which means UTC.",
            expected=expected,
            seen=message,
        )
    return time
