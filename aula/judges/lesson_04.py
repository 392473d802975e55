"""Judges the exercises of lesson 04: real servers, real clients, port 0."""

import asyncio
import functools
import inspect
import re
import traceback
import warnings
from contextlib import asynccontextmanager, contextmanager, suppress

from websockets.asyncio.client import connect
from websockets.asyncio.server import Server, serve
from websockets.exceptions import ConnectionClosed

from aula.exercises.check import Right, Wrong, exercise
from aula.judges.peers import quiet, refuse_printed

LIMIT = 6  # seconds for a whole answer
# What comes soon if it comes at all is waited for in short turns: while the
# whole machine stands still, only one of them goes by.
TURNS = 12
TURN = 0.05  # seconds


class Silence(Exception):
    """What was waited for did not come."""


class Hung(Exception):
    """The server closed the connection instead of sending a message."""


class Service:
    """A learner's handler behind a real server.

    Attributes:
        url: where it is served.
        errors: the exceptions that left the handler.
    """

    def __init__(self, url):
        self.url = url
        self.errors = []
        self.running = 0
        self.idle = asyncio.Event()

    async def finish(self):
        """Wait until no handler runs.

        Raises:
            Silence: if one is still running.
        """
        await patiently(self.idle.wait())

    def reraise(self):
        """Raise what the handler raised, as it did."""
        if not self.errors:
            return
        error = self.errors[0]
        if isinstance(error, TypeError) and (
            "ServerConnection' object is not iterable" in f"{error}"
        ):
            raise Wrong(
                "plain-for",
                es="Los mensajes llegan con el tiempo, y ni `for` ni "
                "`enumerate` saben esperarlos: recórrelos con `async for "
                "message in websocket`.",
                en="Messages come as time goes by, and neither `for` nor "
                "`enumerate` can wait for them: go through them with `async "
                "for message in websocket`.",
                seen=error,
            ) from None
        if isinstance(error, TypeError):
            _refuse_message(error)
        raise error


def _refuse_message(error):
    """``send`` was given ``message.upper``, or a coroutine."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        message = frame.f_locals.get("message")
        if inspect.iscoroutine(message):
            message.close()
            raise _forgotten(message.__name__) from None
        if inspect.isbuiltin(message) and isinstance(message.__self__, str):
            raise Wrong(
                "no-parentheses",
                es=f"Faltan los paréntesis: `{message.__name__}()`.",
                en=f"The parentheses are missing: `{message.__name__}()`.",
                seen=error,
            ) from None


@contextmanager
def naming_forgotten():
    """When an answer goes wrong, name the call whose ``await`` is missing."""
    caught = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    except (AttributeError, Wrong) as error:
        _name_forgotten(error, caught)
        raise
    finally:
        for warning in caught:  # for whoever watches the whole check
            warnings.warn_explicit(
                warning.message,
                warning.category,
                warning.filename,
                warning.lineno,
            )


def _name_forgotten(error, caught):
    names = [f"{warning.message}" for warning in caught]
    coroutine = getattr(error, "obj", None)
    if inspect.iscoroutine(coroutine):
        coroutine.close()
        names.append(f"'{coroutine.__qualname__}'")
    name = re.search(r"'Connection\.(\w+)'", " ".join(names))
    if name is not None:
        raise _forgotten(name[1]) from None


def _forgotten(call):
    return Wrong(
        "forgotten-await",
        es=f"Falta un `await` delante de `{call}()`: sin él solo se crea una "
        "corrutina.",
        en=f"An `await` is missing before `{call}()`: without it you only "
        "make a coroutine.",
    )


@asynccontextmanager
async def serving(handler):
    """Serve the handler of an answer while the block runs."""
    tasks = set()

    @functools.wraps(handler)  # for the picture, which shows its name
    async def watched(websocket):
        tasks.add(asyncio.current_task())
        service.running += 1
        service.idle.clear()
        try:
            await handler(websocket)
        except Exception as error:
            service.errors.append(error)
            raise
        finally:
            service.running -= 1
            if not service.running:
                service.idle.set()

    server = await serve(watched, "127.0.0.1", 0, logger=quiet)
    service = Service(address(server))
    try:
        with naming_forgotten():
            yield service
    finally:
        # A handler that waits for ever would keep the server open.
        for task in tasks:
            task.cancel()
        await stop(server)


@asynccontextmanager
async def calling(url):
    """A client that says goodbye properly, also after a wrong answer."""
    websocket = await connect(url)
    try:
        yield websocket
    finally:
        await websocket.close()


def address(server):
    port = server.sockets[0].getsockname()[1]
    return f"ws://127.0.0.1:{port}"


async def stop(server):
    server.close()
    await server.wait_closed()


async def patiently(awaitable):
    """Await something that comes soon if it comes at all.

    Raises:
        Silence: if it does not.
    """
    task = asyncio.ensure_future(awaitable)
    try:
        for _ in range(TURNS):
            await asyncio.wait({task}, timeout=TURN)
            if task.done():
                return task.result()
    finally:
        task.cancel()
    raise Silence


async def hear(websocket):
    """The next message.

    Raises:
        Silence: if none comes.
        Hung: if the connection is closed instead.
    """
    try:
        return await patiently(websocket.recv())
    except ConnectionClosed:
        raise Hung from None


async def tell(websocket, message):
    """Send a message and hear the answer to it.

    Raises:
        Silence, Hung: as ``hear`` does.
    """
    try:
        await websocket.send(message)
    except ConnectionClosed:
        raise Hung from None
    return await hear(websocket)


@exercise("04.1", parameters=1, limit=LIMIT, picture="wiretap")
async def ask(answer, run):
    with naming_forgotten():
        return await _judge_ask(answer, run)


async def _judge_ask(answer, run):
    connections = []
    names = []
    spoken = asyncio.Event()
    left = asyncio.Event()

    async def greet(websocket):
        connections.append(websocket)
        try:
            names.append(await websocket.recv())
            spoken.set()
            await websocket.send(f"Hello {names[0]}! 🙂")
            async for more in websocket:
                names.append(more)
        except ConnectionClosed:
            pass
        finally:
            left.set()

    server = await serve(greet, "127.0.0.1", 0, logger=quiet)
    asking = asyncio.create_task(answer(address(server)), name="ask")
    talking = asyncio.create_task(spoken.wait(), name="spoken")
    try:
        try:
            await patiently(
                asyncio.wait(
                    {asking, talking}, return_when=asyncio.FIRST_COMPLETED
                )
            )
        except Silence:
            raise Wrong(
                "both-wait",
                es="Tu cliente no envía nada: espera al servidor, y el "
                "servidor espera un nombre. Habla tú primero.",
                en="Your client sends nothing: it waits for the server, and "
                "the server waits for a name. Speak first.",
            ) from None
        try:
            await patiently(asyncio.wait({asking}))
        except Silence:
            raise Wrong(
                "waits-on",
                es="El servidor ya contestó y tu cliente sigue esperando. "
                "Con un mensaje basta: devuélvelo.",
                en="The server has answered and your client goes on waiting. "
                "One message is enough: return it.",
            ) from None
        seen = await asking
        if inspect.iscoroutine(seen):
            seen.close()
            raise Wrong(
                "forgotten-await",
                es="Devuelves una corrutina, no un mensaje: falta un `await` "
                "delante de `recv()`.",
                en="You return a coroutine, not a message: an `await` is "
                "missing before `recv()`.",
            )
        if not connections:
            # That of another server, as the judge's was not called.
            if any(lane.call == "greet" for lane in run.lanes):
                _refuse_own_server()
            raise Wrong(
                "never-connected",
                es="El servidor no recibió ninguna conexión. Conéctate a "
                "`url` con `connect`.",
                en="The server had no connection. Connect to `url` with "
                "`connect`.",
            )
        _judge_names(names)
        refuse_printed(seen, "Hello Ada! 🙂")
        if seen != "Hello Ada! 🙂":
            raise Wrong(
                "other-answer",
                es="Eso no es lo que contestó el servidor. Devuelve lo que "
                "entregue `recv`, tal cual.",
                en="That is not what the server answered. Return what "
                "`recv` hands over, as it is.",
                expected="Hello Ada! 🙂",
                seen=seen,
            )
        try:
            await patiently(left.wait())
        except Silence:
            raise Wrong(
                "left-open",
                es="La respuesta es correcta, pero tu cliente se fue sin "
                "cerrar la conexión y el servidor sigue atendiéndola. "
                "`async with` la cierra; sin él, falta `close()`.",
                en="The answer is right, but your client went away without "
                "closing the connection and the server still attends to it. "
                "`async with` closes it; without that, `close()` is missing.",
            ) from None
        _judge_names(names)
    except (AttributeError, TypeError) as error:
        _judge_connect(error)
        raise
    except IndexError:
        if connections:
            raise
        _refuse_own_server()  # address() of one that is closed
    except ConnectionClosed as error:
        raise Wrong(
            "too-late",
            es="Fuera del `async with`, o tras `close()`, la conexión ya está "
            "cerrada: recibe antes.",
            en="Outside the `async with`, or after `close()`, the connection "
            "is closed already: receive before that.",
            seen=error,
        ) from None
    finally:
        asking.cancel()
        talking.cancel()
        await stop(server)
    return Right(
        es="El servidor recibió `Ada`, tu cliente devolvió `Hello Ada! 🙂` y "
        f"cerró la conexión con el código "
        f"{connections[0].close_code}.",
        en="The server received `Ada`, your client returned `Hello Ada! 🙂` "
        f"and closed the connection with code {connections[0].close_code}.",
    )


def _refuse_own_server():
    raise Wrong(
        "own-server",
        es="Conéctate a la `url` que recibe tu función, no al servidor de la "
        "lección.",
        en="Connect to the `url` that your function is given, not to the "
        "server of the lesson.",
    ) from None


def _judge_names(names):
    if names != ["Ada"]:
        raise Wrong(
            "other-name",
            es="El servidor esperaba un solo mensaje, `Ada`.",
            en="The server expected a single message, `Ada`.",
            expected=["Ada"],
            seen=names,
        )


def _judge_connect(error):
    """Without ``await`` or ``async``, ``connect()`` is no connection."""
    if isinstance(getattr(error, "obj", None), connect) or (
        "'connect' object" in f"{error}"
    ):
        raise Wrong(
            "not-connected",
            es="`connect(url)` a secas todavía no conecta. Escribe `async "
            "with connect(url) as websocket:` o `await connect(url)`.",
            en="A bare `connect(url)` does not connect yet. Write `async "
            "with connect(url) as websocket:` or `await connect(url)`.",
            seen=error,
        ) from None


@exercise("04.2", parameters=1, limit=LIMIT, picture="wiretap")
async def shout(answer, run):
    messages = ["hola", "latte", "¿qué tal?"]
    heard = []
    async with serving(answer) as service:
        async with calling(service.url) as websocket:
            try:
                for message in messages:
                    heard.append(await tell(websocket, message))
            except Hung:
                service.reraise()
                _refuse_early_end(heard, messages)
            except Silence:
                await _refuse_extra_recv(websocket, messages[len(heard)])
                raise Wrong(
                    "silent",
                    es=f"Tu manejador no contestó al mensaje "
                    f"{len(heard) + 1}. ¿Lo envía con `websocket.send`?",
                    en=f"Your handler did not answer message "
                    f"{len(heard) + 1}. Does it use `websocket.send`?",
                ) from None
            if heard == messages:
                raise Wrong(
                    "same",
                    es="Eso es un eco: cada mensaje vuelve como llegó. Faltan "
                    "las mayúsculas: `message.upper()`.",
                    en="That is an echo: each message comes back as it was. "
                    "The capitals are missing: `message.upper()`.",
                    expected=[message.upper() for message in messages],
                    seen=heard,
                )
            if heard != [message.upper() for message in messages]:
                raise Wrong(
                    "other-text",
                    es="Las respuestas no son los mensajes en mayúsculas.",
                    en="The answers are not the messages in capitals.",
                    expected=[message.upper() for message in messages],
                    seen=heard,
                )
        await _take_leave(service)
    return Right(
        es="Contestó a los tres mensajes en mayúsculas y terminó en paz "
        "cuando el cliente se fue.",
        en="It answered all three messages in capitals and ended in peace "
        "when the client left.",
    )


async def _refuse_extra_recv(websocket, message):
    """Only one message in two is answered, the other is lost."""
    with suppress(Silence, Hung):
        await tell(websocket, message)
        raise Wrong(
            "extra-recv",
            es="Tu manejador no contestó hasta recibir otro mensaje: un "
            "`recv` de más se lleva uno. `async for` ya te entrega cada "
            "mensaje.",
            en="Your handler gave no answer until it had one more message: a "
            "`recv` too many takes one away. `async for` hands you each "
            "message already.",
        ) from None


def _refuse_early_end(heard, messages):
    """The handler has returned while its client was still talking."""
    if not heard:
        raise Wrong(
            "no-answer",
            es="Tu manejador terminó sin enviar nada. Lo que devuelve "
            "`return` no llega al cliente: hay que enviarlo con "
            "`await websocket.send(...)`.",
            en="Your handler ended without sending anything. What `return` "
            "returns never reaches the client: send it with "
            "`await websocket.send(...)`.",
        ) from None
    raise Wrong(
        "only-first",
        es=f"Tu manejador contestó a {len(heard)} de {len(messages)} mensajes "
        "y terminó; con él terminó la conexión. Hace falta un bucle que siga "
        "hasta el final: si ya lo tienes, algo lo corta, como un `return`.",
        en=f"Your handler answered {len(heard)} of {len(messages)} messages "
        "and ended; the connection ended with it. It takes a loop that goes "
        "on to the end: if you have one, something cuts it short, such as a "
        "`return`.",
        seen=heard,
    ) from None


async def _take_leave(service):
    """The client has left: the handler has to end, without an exception."""
    try:
        await service.finish()
    except Silence:
        raise Wrong(
            "never-ends",
            es="El cliente se fue y tu manejador sigue en marcha. Su bucle "
            "tiene que terminar con la conexión.",
            en="The client left and your handler is still running. Its loop "
            "has to end with the connection.",
        ) from None
    if any(isinstance(error, ConnectionClosed) for error in service.errors):
        raise Wrong(
            "client-left",
            es="Contestó bien, pero cuando el cliente se fue, `recv` lanzó "
            f"`{type(service.errors[0]).__name__}` y tu manejador falló. "
            "Recorre los mensajes con `async for`, que termina solo.",
            en="It answered well, but when the client left, `recv` raised "
            f"`{type(service.errors[0]).__name__}` and your handler failed. "
            "Go through the messages with `async for`, which ends by itself.",
        )
    service.reraise()


@exercise("04.3", parameters=1, limit=LIMIT, picture="wiretap")
async def count(answer, run):
    said = []
    async with serving(answer) as service:
        async with (
            calling(service.url) as ada,
            calling(service.url) as lima,
        ):
            clients = {"Ada": ada, "Lima": lima}
            turns = ["Ada", "Lima", "Ada", "Lima", "Ada"]
            for turn, name in enumerate(turns):
                try:
                    number = await tell(clients[name], "hola")
                except Hung:
                    _refuse_numbers(service.errors)
                    service.reraise()
                    _refuse_early_end([n for _, n in said], turns)
                except Silence:
                    raise Wrong(
                        "silent",
                        es=f"{name} no recibió respuesta. Envía un número "
                        "por cada mensaje.",
                        en=f"{name} had no answer. Send one number for each "
                        "message.",
                    ) from None
                said.append((name, number))
                _judge_number(said, turns[: turn + 1])
        await _take_leave(service)
    return Right(
        es="Ada y Lima hablaron por turnos y cada una tuvo su propia cuenta: "
        + ", ".join(f"{name} {number}" for name, number in said)
        + ".",
        en="Ada and Lima took turns and each had a count of her own: "
        + ", ".join(f"{name} {number}" for name, number in said)
        + ".",
    )


def _refuse_numbers(errors):
    if any(
        isinstance(error, TypeError) and "data must be" in f"{error}"
        for error in errors
    ):
        raise Wrong(
            "number-sent",
            es="`send` no acepta números: un mensaje es texto (`str`) o "
            "bytes. Convierte la cuenta con `str(...)` o una f-string.",
            en="`send` takes no numbers: a message is text (`str`) or bytes. "
            "Turn the count into text with `str(...)` or an f-string.",
        ) from None


def _judge_number(said, turns):
    name, number = said[-1]
    expected = turns.count(name)
    if number == f"{expected}":
        return
    both = {
        "expected": [
            f"{one} {turns[: turn + 1].count(one)}"
            for turn, one in enumerate(turns)
        ],
        "seen": [f"{one} {given}" for one, given in said],
    }
    if number == f"{len(said)}":
        raise Wrong(
            "shared",
            es="Lima escribió su primer mensaje y recibió la cuenta de las "
            "dos. La variable es de todas las conexiones: créala **dentro** "
            "del manejador, que se ejecuta una vez por conexión.",
            en="Lima wrote her first message and was given the count of "
            "both. The variable belongs to all connections: make it "
            "**inside** the handler, which runs once for each.",
            **both,
        )
    if number == f"{expected - 1}" and len(said) == 1:
        raise Wrong(
            "from-zero",
            es="La cuenta empieza en 1: suma antes de enviar.",
            en="The count begins at 1: add before you send.",
            **both,
        )
    if number == "1":
        raise Wrong(
            "always-one",
            es=f"{name} ya había escrito, y la cuenta ha vuelto a empezar. "
            "Crea la variable con valor 0 antes del bucle, no en cada vuelta.",
            en=f"{name} had written before, and the count began again. Set "
            "the variable to zero before the loop, not in each round.",
            **both,
        )
    raise Wrong(
        "other-text",
        es=f"La respuesta al mensaje {expected} de {name} es otra: se pide "
        "el número y nada más, como texto.",
        en=f"Message {expected} of {name} has another answer: the number and "
        "nothing else, as text.",
        **both,
    )


@exercise("04.4", parameters=1, limit=LIMIT, picture="wiretap")
async def welcome(answer, run):
    greetings = {"/Ada": "Hello Ada!", "/Lima": "Hello Lima!"}
    greetings["/"] = "Hello World!"
    for path, expected in greetings.items():
        async with serving(answer) as service:
            async with calling(service.url + path) as websocket:
                await _judge_welcome(service, websocket, path, expected)
    return Right(
        es="`/Ada`, `/Lima` y `/` recibieron cada una su saludo, y la "
        "conexión terminó con él.",
        en="`/Ada`, `/Lima` and `/` each had their greeting, and the "
        "connection ended with it.",
    )


async def _judge_welcome(service, websocket, path, expected):
    try:
        seen = await hear(websocket)
    except Silence:
        raise Wrong(
            "asks-first",
            es="El cliente no envía nada: escucha. Tu manejador espera un "
            "mensaje que no llega; la ruta ya la tiene, en "
            "`websocket.request`.",
            en="The client sends nothing: it listens. Your handler waits for "
            "a message that does not come; it has the path already, in "
            "`websocket.request`.",
        ) from None
    except Hung:
        if any(
            isinstance(error, AttributeError) and error.name == "path"
            for error in service.errors
        ):
            raise Wrong(
                "old-path",
                es="`websocket.path` es de versiones antiguas. Hoy la ruta "
                "está en la petición: `websocket.request.path`.",
                en="`websocket.path` belongs to old versions. Today the path "
                "is in the request: `websocket.request.path`.",
            ) from None
        service.reraise()
        _refuse_early_end([], [])
    if seen == expected.replace("Hello ", "Hello /") or seen == "Hello /!":
        raise Wrong(
            "slash",
            es="La ruta empieza por una barra, y tu saludo también. Quítasela "
            "antes de saludar.",
            en="The path begins with a slash, and so does your greeting. "
            "Take it off before you greet.",
            expected=expected,
            seen=seen,
        )
    if path == "/" and seen == "Hello !":
        raise Wrong(
            "no-name",
            es="Sin nombre en la ruta, el saludo se queda a medias. Para `/` "
            "es `Hello World!`.",
            en="With no name in the path the greeting stops halfway. For `/` "
            "it is `Hello World!`.",
            expected=expected,
            seen=seen,
        )
    if seen != expected:
        raise Wrong(
            "other-text",
            es=f"A quien se conecta a `{path}` le corresponde otro saludo.",
            en=f"Whoever connects to `{path}` gets another greeting.",
            expected=expected,
            seen=seen,
        )
    try:
        extra = await hear(websocket)
    except Hung:
        service.reraise()
        return
    except Silence:
        raise Wrong(
            "stays-open",
            es="El saludo llegó, pero tu manejador no termina, y la conexión "
            "tampoco.",
            en="The greeting came, but your handler does not end, and "
            "neither does the connection.",
        ) from None
    raise Wrong(
        "too-much",
        es="Se pide un saludo, y llegó otro mensaje más.",
        en="One greeting is asked for, and another message came.",
        seen=[seen, extra],
    )


@exercise("04.5", parameters=2, limit=LIMIT, picture="wiretap")
async def visit(answer, run):
    servers = []
    hasty = []
    met = asyncio.Event()
    inside = []

    async def call(url):
        _judge_url(url)
        try:
            async with connect(url) as websocket:
                await websocket.send("Ada")
                greeting = await websocket.recv()
        except OSError as error:
            raise Wrong(
                "nobody-there",
                es="En la dirección que recibió el cliente no escucha nadie. "
                "Usa la de tu servidor, `address(server)`, mientras esté "
                "abierto.",
                en="Nobody listens at the address that the client was given. "
                "Use that of your server, `address(server)`, while it is "
                "open.",
                seen=type(error).__name__,
            ) from None
        if greeting != "Hello Ada! 🙂":
            raise Wrong(
                "other-handler",
                es="Contestó otro manejador: sirve el `handler` que recibe tu "
                "función.",
                en="Another handler answered: serve the `handler` that your "
                "function is given.",
                expected="Hello Ada! 🙂",
                seen=greeting,
            )
        return greeting

    def client(name):
        async def meet(url):
            """Stay until both servers are up."""
            inside.append(name)
            if len(inside) == 2:
                met.set()
            greeting = await call(url)
            await patiently(met.wait())
            return f"{name}: {greeting}"

        return meet

    async def leave(url):
        await call(url)
        raise LookupError("the client left early")

    async def visiting(client):
        opened = []

        async def greet(websocket):
            opened.append(websocket.server)
            servers.append(websocket.server)
            with suppress(ConnectionClosed):
                name = await websocket.recv()
                await websocket.send(f"Hello {name}! 🙂")

        try:
            return await answer(greet, client)
        finally:
            hasty.extend(one for one in opened if one.is_serving())

    visits = [
        asyncio.create_task(visiting(client(name)), name=f"visit {name}")
        for name in ("1", "2")
    ]
    try:
        try:
            seen = await _both(visits, met)
        except IndexError as error:
            _refuse_old_server(error)
            raise
        if inspect.iscoroutine(seen[0]):
            for coroutine in seen:
                coroutine.close()
            raise Wrong(
                "forgotten-await",
                es="Devuelves una corrutina: falta un `await` delante de "
                "`client(...)`, y nadie llegó a visitar el servidor.",
                en="You return a coroutine: an `await` is missing before "
                "`client(...)`, and nobody came to visit the server.",
            )
        if seen != ["1: Hello Ada! 🙂", "2: Hello Ada! 🙂"]:
            raise Wrong(
                "not-returned",
                es="Falta el resultado del cliente: devuelve lo que devuelva "
                "`await client(url)`.",
                en="The client's result is missing: return what "
                "`await client(url)` returns.",
                expected="1: Hello Ada! 🙂",
                seen=seen[0],
            )
        await _judge_closed(
            servers,
            "left-open",
            es="El resultado es correcto, pero al terminar tu función el "
            "servidor seguía abierto. Ciérralo.",
            en="The result is right, but when your function ended its server "
            "was still open. Close it.",
        )
        swallowed = False
        try:
            await visiting(leave)
            swallowed = True
        except LookupError:
            pass
        await _judge_closed(
            servers,
            "open-after-error",
            es="Si el cliente falla, tu servidor se queda abierto: la línea "
            "que lo cierra no llega a ejecutarse. `async with` lo cierra "
            "pase lo que pase.",
            en="When the client fails your server stays open: the line that "
            "closes it is never reached. `async with` closes it whatever "
            "happens.",
        )
        # What closes later was not waited for.
        if hasty:
            raise Wrong(
                "hasty",
                es="Tu función empezó a cerrar el servidor y se fue sin "
                "esperar: tras `close()` falta `await server.wait_closed()`.",
                en="Your function began to close the server and went away "
                "without waiting: after `close()`, "
                "`await server.wait_closed()` is missing.",
            )
        if swallowed:
            raise Wrong(
                "error-swallowed",
                es="El cliente falló y quien llamó a `visit` no se enteró: tu "
                "función se quedó con la excepción. Déjala salir; el servidor "
                "se cierra igual con `async with` o `finally`.",
                en="The client failed, and whoever called `visit` heard "
                "nothing of it: your function kept the exception. Let it "
                "out; `async with` or `finally` closes the server all the "
                "same.",
            )
    finally:
        for task in visits:
            task.cancel()
        await asyncio.gather(*visits, return_exceptions=True)
        for server in servers:
            await stop(server)
    return Right(
        es="Dos servidores a la vez, cada uno en su puerto; los dos "
        "resultados llegaron, y no quedó ninguno abierto, tampoco cuando el "
        "cliente falló.",
        en="Two servers at once, each on a port of its own; both results "
        "came, and none was left open, not even when the client failed.",
    )


def _refuse_old_server(error):
    """address() of a closed server, which the answer did not open."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name != "address" and any(
            isinstance(value, Server) for value in frame.f_locals.values()
        ):
            return
    raise Wrong(
        "old-server",
        es="Usaste el `server` de una celda anterior, ya cerrado: falta `as "
        "server`.",
        en="You used the `server` of an earlier cell, closed by now: `as "
        "server` is missing.",
        seen=error,
    ) from None


async def _both(visits, met):
    """The results of both visits, which run at the same time."""
    try:
        return list(await asyncio.gather(*visits))
    except Silence:
        raise Wrong(
            "one-at-a-time",
            es="Dos servidores no consiguen estar abiertos a la vez.",
            en="Two servers cannot be open at the same time.",
        ) from None
    except AttributeError as error:
        if isinstance(error.obj, Server):
            raise Wrong(
                "not-served",
                es="`serve(...)` a secas todavía no abre nada. Escribe `async "
                "with serve(...) as server:` o `await serve(...)`.",
                en="A bare `serve(...)` opens nothing yet. Write `async with "
                "serve(...) as server:` or `await serve(...)`.",
                seen=error,
            ) from None
        raise
    except OSError as error:
        # The other visit comes to its end, and so the picture shows it whole.
        met.set()
        await asyncio.wait(visits, timeout=TURNS * TURN)
        raise Wrong(
            "fixed-port",
            es="Con dos servidores a la vez, el segundo encontró el puerto "
            "ocupado. Pide el puerto 0 y pregunta al servidor cuál le ha "
            "tocado.",
            en="With two servers at once, the second found the port taken. "
            "Ask for port 0, and ask the server which one it was given.",
            seen=type(error).__name__,
        ) from None


def _judge_url(url):
    if not isinstance(url, str) or not url.startswith("ws://"):
        raise Wrong(
            "no-url",
            es="El cliente espera una dirección, un texto que empieza por "
            "`ws://`.",
            en="The client expects an address, a text that begins with "
            "`ws://`.",
            seen=url,
        )
    if url.rstrip("/").endswith(":0"):
        raise Wrong(
            "port-zero",
            es="El puerto 0 solo sirve para pedir uno libre; nadie escucha "
            "en él. La dirección lleva el que le tocó al servidor.",
            en="Port 0 only serves to ask for a free one; nobody listens on "
            "it. The address bears the one that the server was given.",
            seen=url,
        )


async def _judge_closed(servers, mistake, *, es, en):
    """Every server is closed, or closes soon."""
    for _ in range(TURNS):
        if not any(server.is_serving() for server in servers):
            return
        await asyncio.sleep(TURN)
    raise Wrong(mistake, es=es, en=en)
