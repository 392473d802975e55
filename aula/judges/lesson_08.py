"""Judges the exercises of lesson 08."""

import asyncio
import json
import socket
import traceback
from contextlib import suppress
from functools import wraps

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from aula.exercises.check import Right, Wrong, exercise
from aula.judges.peers import Queue, quiet, within

PATIENCE = 1.5  # seconds to wait for what comes at once or never
MOMENT = 0.15  # seconds in which what should not happen would have happened


class Server:
    """A server of the learner's handler, and what became of its handlers.

    Attributes:
        lost: how many of them let the client's vanishing escape.
        errors: what else they raised.
    """

    def __init__(self, answer, *arguments):
        self.lost = 0
        self.errors = []
        self._people = []
        self._over = False

        @wraps(answer)
        async def handler(websocket):
            try:
                await answer(websocket, *arguments)
            except Exception as error:
                self._note(error)
                # What fails because the check is over is not shown.
                if not self._over:
                    raise

        self._handler = handler

    def _note(self, error):
        # A coroutine that nobody awaited warns when it is dropped, and until
        # then the traceback holds it.
        traceback.clear_frames(error.__traceback__)
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                self._note(inner)
        elif isinstance(error, ConnectionClosed):
            self.lost += 1
        else:
            self.errors.append(error)

    async def __aenter__(self):
        # Connections inherit its small buffer, which is soon full.
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**16)
        sock.bind(("127.0.0.1", 0))
        self._server = await serve(
            self._handler,
            sock=sock,
            max_size=None,
            compression=None,
            logger=quiet,
        )
        return self

    async def __aexit__(self, *_):
        self._over = True
        for person in self._people:
            person.vanish()
        self._server.close()
        # A handler that waits for ever must not hide what was found out.
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await self._server.wait_closed()

    async def visit(self, path="/"):
        """A person who is connected now."""
        port = self._server.sockets[0].getsockname()[1]
        websocket = await connect(
            f"ws://127.0.0.1:{port}{path}",
            max_size=None,
            compression=None,
            close_timeout=0.5,
        )
        person = Person(websocket)
        self._people.append(person)
        return person

    def raise_errors(self):
        if self.errors:
            raise self.errors[0]


class Person:
    """A client that notes all it hears."""

    def __init__(self, websocket):
        self.heard = []
        self.noted = []
        self.gone = False
        self._websocket = websocket
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self):
        with suppress(ConnectionClosed):
            async for message in self._websocket:
                self.heard.append(message)
                self.noted.append(_event(message))
        self.gone = True

    async def send(self, message):
        with suppress(ConnectionClosed):
            await self._websocket.send(message)

    async def hears(self, *messages, seconds=PATIENCE):
        """Whether it has heard all of these, in time."""
        return await within(
            seconds, lambda: all(message in self.heard for message in messages)
        )

    async def leave(self):
        await self._websocket.close()

    def sleep(self):
        self._websocket.transport.pause_reading()

    def vanish(self):
        self._websocket.transport.abort()


@exercise("08.1", parameters=2, limit=9, picture="wiretap")
async def register(answer, run):
    connected = set()
    async with Server(answer, connected) as server:
        ada = await server.visit()
        lima = await server.visit()
        await within(PATIENCE, lambda: len(connected) == 2)
        server.raise_errors()
        if len(connected) != 2:
            raise Wrong(
                "never-registers",
                es="Hay dos clientes conectados y el conjunto no tiene dos "
                "conexiones. Añade cada una en cuanto llegue, antes de "
                "esperar mensajes, y consérvala mientras dure.",
                en="Two clients are connected, and the set does not hold two "
                "connections. Add each as it arrives, before you wait for "
                "messages, and keep it for as long as it lasts.",
                expected=2,
                seen=len(connected),
            )
        for _ in range(2):
            await ada.send("how many?")
            await within(MOMENT / 3, lambda: ada.gone)
        await within(PATIENCE, lambda: len(ada.heard) == 2 or ada.gone)
        server.raise_errors()
        _judge_count(ada, ["2", "2"])
        await lima.leave()
        await within(PATIENCE, lambda: len(connected) == 1 and lima.gone)
        if lima.heard:
            raise Wrong(
                "told-all",
                es="Ada preguntó y también respondiste a Lima. Responde solo "
                "a quien manda el mensaje.",
                en="Ada asked, and you answered Lima as well. Answer the "
                "sender alone.",
                expected=[],
                seen=lima.heard,
            )
        _judge_absence(connected, politely=True)
        eva = await server.visit()
        await within(PATIENCE, lambda: len(connected) == 2)
        eva.vanish()
        await within(PATIENCE, lambda: len(connected) == 1)
        _judge_absence(connected, politely=False)
        await within(MOMENT, lambda: server.lost)
        if server.lost:
            raise Wrong(
                "error-escapes",
                es="La conexión se borró, pero el manejador terminó con un "
                "`ConnectionClosedError`, y el servidor lo anota como un "
                "fallo. Que un cliente desaparezca es normal: atrapa la "
                "excepción.",
                en="The connection was removed, but the handler ended with a "
                "`ConnectionClosedError`, which the server logs as a failure. "
                "Clients do vanish: catch the exception.",
            )
        await ada.send("how many?")
        await within(PATIENCE, lambda: len(ada.heard) == 3 or ada.gone)
        server.raise_errors()
        _judge_count(ada, ["2", "2", "1"])
    return Right(
        es="Tres clientes llegaron, uno se despidió y otro desapareció: el "
        "conjunto lo supo siempre.",
        en="Three clients came, one said goodbye and one vanished: the set "
        "always knew.",
    )


def _judge_count(ada, expected):
    if ada.gone:
        raise Wrong(
            "hangs-up",
            es="Ada seguía ahí y el manejador terminó: se cerró su conexión. "
            "Responde a todos los mensajes, no solo al primero.",
            en="Ada was still there, and the handler ended: her connection "
            "was closed. Answer all messages, not the first alone.",
            expected=expected,
            seen=ada.heard,
        )
    if ada.heard != expected:
        raise Wrong(
            "other-replies",
            es="Responde a cada mensaje con el número de conexiones, como "
            'texto: `"2"`.',
            en="Answer each message with the number of connections, as text: "
            '`"2"`.',
            expected=expected,
            seen=ada.heard,
        )


def _judge_absence(connected, politely):
    if len(connected) == 1:
        return
    if not connected:
        raise Wrong(
            "evicts",
            es="Se fue un cliente y el conjunto quedó vacío, pero Ada sigue "
            "conectada. Borra solo la conexión de este manejador.",
            en="One client left and the set is empty, but Ada is still "
            "connected. Remove this handler's connection alone.",
            expected=1,
            seen=0,
        )
    if politely:
        raise Wrong(
            "stays",
            es="Lima se despidió y su conexión sigue en el conjunto. Bórrala "
            "cuando acabe el bucle.",
            en="Lima said goodbye, and her connection is still in the set. "
            "Remove it when the loop is over.",
            expected=1,
            seen=len(connected),
        )
    raise Wrong(
        "ghost",
        es="Eva desapareció sin despedirse y su conexión sigue en el "
        "conjunto: el bucle lanzó una excepción y lo que va detrás no se "
        "ejecutó. Hay un sitio para lo que debe ocurrir siempre.",
        en="Eva vanished without a goodbye, and her connection is still in "
        "the set: the loop raised an exception, and what comes after it was "
        "not run. There is a place for what must always happen.",
        expected=1,
        seen=len(connected),
    )


def _queue(size, *messages):
    queue = Queue(size)
    for message in messages:
        queue.put_nowait(message)
    return queue


def _contents(queue):
    return [queue.get_nowait() for _ in range(queue.qsize())]


@exercise("08.2", answer="function", parameters=2, limit=3, picture=None)
async def post_latest(answer, run):
    queues = [
        _queue(3, 1, 2, 3),
        _queue(3),
        _queue(3, 1),
        _queue(1, 1),
        _queue(0, 1, 2, 3),
    ]
    expected = [[2, 3, 4], [4], [1, 4], [4], [1, 2, 3, 4]]
    full = (0, 3)
    try:
        answer(queues, 4)
    except asyncio.QueueFull as error:
        raise Wrong(
            "full",
            es="Había una lista de espera llena y `put_nowait` lanzó "
            "`QueueFull`. Haz sitio antes de meter el mensaje.",
            en="One queue was full, and `put_nowait` raised `QueueFull`. Make "
            "room before you put the message.",
            seen=error,
        ) from None
    except asyncio.QueueEmpty as error:
        raise Wrong(
            "empty",
            es="Sacaste un mensaje de una lista de espera vacía. Solo la que "
            "está llena pierde uno.",
            en="You took a message out of an empty queue. Only a full one "
            "loses one.",
            seen=error,
        ) from None
    seen = [_contents(queue) for queue in queues]
    if seen == expected:
        return Right(
            es="Las cinco listas de espera tienen el mensaje; las dos llenas "
            "perdieron el más antiguo.",
            en="All five queues have the message; the two that were full lost "
            "their oldest.",
        )
    if any(queue.waits for queue in queues):
        raise Wrong(
            "forgotten-await",
            es="`put` y `get` son corrutinas y tu función es normal: usa "
            "`put_nowait` y `get_nowait`.",
            en="`put` and `get` are coroutines and your function is a plain "
            "one: use `put_nowait` and `get_nowait`.",
        )
    if not any(4 in seen[which] for which in (1, 2, 4)):
        raise Wrong(
            "stops",
            es="Las listas de espera que van detrás de la primera, que estaba "
            "llena, no recibieron el mensaje: trata cada una por separado.",
            en="The queues after the first, which was full, did not get the "
            "message: deal with each on its own.",
            expected=expected,
            seen=seen,
        )
    if any(seen[i] != expected[i] for i in range(5) if i not in full):
        raise Wrong(
            "not-full",
            es="Una lista de espera que no estaba llena ha perdido o "
            "desordenado mensajes.",
            en="A queue that was not full has lost messages or their order.",
            expected=expected,
            seen=seen,
        )
    if seen[0] == [2, 3]:
        raise Wrong(
            "newest-out",
            es="De la lista de espera llena sacaste el mensaje más antiguo, "
            "pero el nuevo no entró. Mételo después de hacer sitio.",
            en="You took the oldest message out of the full queue, but the "
            "new one did not get in. Put it there once there is room.",
            expected=expected,
            seen=seen,
        )
    if any(4 not in seen[which] for which in full):
        raise Wrong(
            "newest-lost",
            es="La lista de espera llena perdió el mensaje nuevo y conserva "
            "los antiguos. Es al revés.",
            en="The full queue lost the new message and keeps the old ones. "
            "It is the other way round.",
            expected=expected,
            seen=seen,
        )
    raise Wrong(
        "emptied",
        es="Una lista de espera llena pierde un mensaje, el más antiguo, y "
        "conserva los demás en su orden.",
        en="A full queue loses one message, its oldest, and keeps the others "
        "in their order.",
        expected=expected,
        seen=seen,
    )


@exercise("08.3", parameters=2, limit=9, picture="wiretap")
async def in_room(answer, run):
    rooms = {}
    async with Server(answer, rooms) as server:
        ada = await server.visit("/garden")
        lima = await server.visit("/garden")
        eva = await server.visit("/kitchen")
        # The last to arrive must be in her room, too.
        await asyncio.sleep(MOMENT)
        await ada.send("hola")
        await eva.send("anybody?")
        heard = await lima.hears("hola")
        await asyncio.sleep(MOMENT)
        if heard or eva.heard:
            _judge_company(ada, lima, eva)
        if not heard:
            server.raise_errors()
            if _shared(rooms.get("/garden")):
                raise Wrong(
                    "not-told",
                    es="Ada y Lima comparten su sala de `rooms`; Ada dijo "
                    "`hola` y no llegó a Lima. Calcula quiénes son los "
                    "demás en cada mensaje, no al llegar: toda la sala menos "
                    "quien habla.",
                    en="Ada and Lima share their room in `rooms`; Ada said "
                    "`hola`, and it did not reach Lima. Work out the others "
                    "for each message, not on arrival: all of the room but "
                    "the one who speaks.",
                    expected=["hola"],
                    seen=lima.heard,
                )
            raise Wrong(
                "silent",
                es="Ada y Lima están en `/garden`; Ada dijo `hola` y Lima no "
                "lo oyó. ¿Comparten la misma sala, y es la que está en "
                "`rooms`?",
                en="Ada and Lima are in `/garden`, Ada said `hola` and Lima "
                "did not hear it. Do they share one room, and is it the one "
                "in `rooms`?",
                expected=["hola"],
                seen=lima.heard,
            )
        lima.vanish()
        await within(MOMENT, lambda: server.lost)
        bob = await server.visit("/garden")
        await asyncio.sleep(MOMENT)
        await ada.send("hola, Bob")
        if not await bob.hears("hola, Bob"):
            raise Wrong(
                "room-closed",
                es="Lima se fue, Ada se quedó y llegó Bob, pero Bob no oye a "
                "Ada. La sala se borra cuando ya no queda nadie.",
                en="Lima left, Ada stayed and Bob came, but Bob does not hear "
                "Ada. The room is deleted when nobody is left.",
                expected=["hola, Bob"],
                seen=bob.heard,
            )
        server.raise_errors()
        if server.lost:
            raise Wrong(
                "error-escapes",
                es="Lima desapareció y su manejador terminó con un "
                "`ConnectionClosedError`. Atrápalo: no es un error del "
                "servidor.",
                en="Lima vanished, and her handler ended with a "
                "`ConnectionClosedError`. Catch it: it is no error of the "
                "server's.",
            )
        for person in ada, bob, eva:
            await person.leave()
        await within(PATIENCE, lambda: not rooms)
        server.raise_errors()
        if rooms:
            raise Wrong(
                "empty-rooms",
                es="Todos se fueron y en `rooms` quedan salas. Borra la tuya "
                "al salir, si no queda nadie.",
                en="Everybody left, and rooms remain in `rooms`. Delete yours "
                "on the way out, if nobody is left in it.",
                expected=[],
                seen=sorted(map(str, rooms)),
            )
    return Right(
        es="Cada mensaje llegó a los demás de su sala y a nadie más, y las "
        "salas vacías desaparecieron.",
        en="Each message reached the others in its room and nobody else, and "
        "empty rooms disappeared.",
    )


def _shared(room):
    """Whether two connections are in a room, whatever it is."""
    with suppress(TypeError):
        return len(room) == 2
    return False


def _judge_company(ada, lima, eva):
    if "hola" in eva.heard or "anybody?" in ada.heard + lima.heard:
        raise Wrong(
            "one-room",
            es="Un mensaje de `/garden` se oyó en `/kitchen`, o al revés. "
            "Cada ruta tiene su sala.",
            en="A message from `/garden` was heard in `/kitchen`, or the "
            "other way round. Each path has its room.",
        )
    if "hola" in ada.heard or "anybody?" in eva.heard:
        raise Wrong(
            "hears-herself",
            es="Quien manda un mensaje también lo recibe. Difunde a los "
            "demás de la sala.",
            en="The one who sends a message receives it, too. Broadcast to "
            "the others in the room.",
            seen=ada.heard + eva.heard,
        )


GOOD = [
    {"type": "join", "name": "Ada"},
    {"type": "say", "text": "hola"},
]
NO_OBJECTS = ["[1, 2]", '"hola"', "3", "null"]
UNKNOWN = ['{"type": "dance"}', '{"name": "Ada"}']
INCOMPLETE = ['{"type": "join"}', '{"type": "say", "name": "Ada"}']
NO_TEXTS = ['{"type": "join", "name": ["Ada"]}', '{"type": "say", "text": 3}']


@exercise("08.4", answer="function", parameters=1, limit=3, picture=None)
async def parse(answer, run):
    for request in GOOD:
        _judge_good(answer, request)
    _judge_refusal(
        answer,
        ["hola", '{"type": '],
        Wrong(
            "no-error",
            es="Esto no es JSON y tu función devolvió algo. Quien la llama "
            "solo se entera por un `ValueError`.",
            en="This is no JSON, and your function returned something. Its "
            "caller learns of it by a `ValueError` alone.",
        ),
    )
    _judge_refusal(
        answer,
        NO_OBJECTS,
        Wrong(
            "anything",
            es="Esto es JSON, pero no una petición, y tu función lo aceptó.",
            en="This is JSON, but no request, and your function took it.",
        ),
        Wrong(
            "not-an-object",
            es="Las listas, los textos, los números y `null` también son "
            "JSON. Comprueba que es un diccionario antes de mirar dentro.",
            en="Lists, texts, numbers and `null` are JSON, too. Check that it "
            "is a dictionary before you look inside.",
        ),
    )
    _judge_refusal(
        answer,
        UNKNOWN,
        Wrong(
            "any-type",
            es="Este `type` no existe, o falta, y tu función aceptó la "
            "petición.",
            en="There is no such `type`, or none at all, and your function "
            "took the request.",
        ),
    )
    _judge_refusal(
        answer,
        INCOMPLETE,
        Wrong(
            "no-field",
            es="A esta petición le falta un campo y tu función la aceptó: el "
            "chat fallará más tarde, con un `KeyError`.",
            en="This request lacks a field, and your function took it: the "
            "chat will fail later, with a `KeyError`.",
        ),
    )
    _judge_refusal(
        answer,
        NO_TEXTS,
        Wrong(
            "any-value",
            es="El campo está, pero no es un texto. Un nombre que es una "
            "lista no sirve de clave.",
            en="The field is there, but is no text. A name that is a list "
            "makes no key.",
        ),
    )
    return Right(
        es="Dos peticiones aceptadas, diez rechazadas con `ValueError`.",
        en="Two requests accepted, ten refused with `ValueError`.",
    )


def _judge_good(answer, request):
    message = json.dumps(request)
    try:
        seen = answer(message)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        seen = error
    if seen != request:
        raise Wrong(
            "refused",
            es=f"`{message}` es una petición válida: devuélvela como "
            "diccionario.",
            en=f"`{message}` is a valid request: return it as a dictionary.",
            expected=request,
            seen=seen,
        )


def _judge_refusal(answer, messages, accepted, other=None):
    """Each message must be refused with a ValueError.

    Arguments:
        accepted: what is wrong if it is returned.
        other: what is wrong if another exception is raised.
    """
    for message in messages:
        try:
            accepted.seen = answer(message)
        except ValueError as error:
            if f"{error}":
                continue
            raise Wrong(
                "no-reason",
                es=f"`{message}` se rechazó con un `ValueError` vacío. Di por "
                "qué: ese texto es la respuesta que verá el cliente.",
                en=f"`{message}` was refused with an empty `ValueError`. Say "
                "why: that text is the reply that the client will see.",
            ) from None
        except AssertionError:
            raise Wrong(
                "assertion",
                es=f"Con `{message}` salió un `AssertionError`: lanza "
                "`ValueError`.",
                en=f"`{message}` brought an `AssertionError`: raise "
                "`ValueError`.",
            ) from None
        except (KeyError, TypeError, AttributeError) as error:
            wrong = other or Wrong(
                "other-error",
                es="Tu función lo rechaza con otra excepción, que nadie "
                "espera. Mira si el campo está antes de leerlo.",
                en="Your function refuses it with another exception, which "
                "nobody expects. See if the field is there before you read "
                "it.",
            )
            wrong.seen = error
        else:
            wrong = accepted
        wrong.es = f"`{message}`: {wrong.es}"
        wrong.en = f"`{message}`: {wrong.en}"
        raise wrong from None


BIG = "x" * 2**20  # more than lies between a server and a client


class Member(Person):
    """A client that speaks the chat's protocol."""

    async def ask(self, **fields):
        await self.send(json.dumps(fields))

    def events(self, **fields):
        """The events heard that have these fields."""
        return [
            event for event in self.noted if fields.items() <= event.items()
        ]

    async def notices(self, seconds=PATIENCE, **fields):
        """Whether it hears such an event in time."""
        return await within(seconds, lambda: self.events(**fields))


def _event(message):
    """A message as a dictionary; one that is none is its own text."""
    with suppress(ValueError):
        event = json.loads(message)
        if isinstance(event, dict):
            return {name: _plain(value) for name, value in event.items()}
    return {"text": f"{message}"}


def _plain(value):
    return value if isinstance(value, str | None) else repr(value)


def _heard(person):
    """What a client has heard, for showing."""
    return [f"{message}"[:80] for message in person.heard]


@exercise("08.5", parameters=2, limit=20, picture="wiretap")
async def chat(answer, run):
    async with Server(answer, {}) as server:
        ada, lima = await _welcome(server)
        eva = await _misbehave(server, ada)
        await _impersonate(eva, ada, lima)
        await _vanish(server, eva, ada, lima)
        await _oversleep(server, ada, lima)
        await lima.leave()
        if not await ada.notices(type="left", name="Lima"):
            _raise_ghost(ada, "Lima")
        server.raise_errors()
    await _join_twice(answer)
    return Right(
        es="Entraron peticiones inválidas, un nombre ocupado, alguien que "
        "desapareció y alguien que nunca leyó. Ada y Lima charlaron hasta el "
        "final.",
        en="In came invalid requests, a name taken, somebody who vanished and "
        "somebody who never read. Ada and Lima chatted to the end.",
    )


async def _join(server, name):
    member = await server.visit()
    member.__class__ = Member
    await member.ask(type="join", name=name)
    return member


async def _welcome(server):
    """Ada and Lima, who have joined and talked."""
    ada = await _join(server, "Ada")
    if await ada.notices(type="joined", name="Ada"):
        lima = await _join(server, "Lima")
        everyone = [ada, lima]
        if not all(
            [await p.notices(type="joined", name="Lima") for p in everyone]
        ):
            server.raise_errors()
            raise Wrong(
                "not-joined",
                es="Lima entró, y tenían que oírlo las dos: Ada y ella.",
                en="Lima joined, and not both have heard it, Ada and she.",
                expected='{"type": "joined", "name": "Lima"}',
                seen=[_heard(ada), _heard(lima)],
            )
    else:
        if server.errors and "'NoneType'" in f"{server.errors[0]}":
            raise Wrong(
                "parse-unfinished",
                es="Algo era `None`. Si aún no has terminado `parse` (08.4), "
                "empieza por ahí.",
                en="Something was `None`. If `parse` (08.4) is not finished "
                "yet, begin there.",
                seen=server.errors[0],
            )
        server.raise_errors()
        raise Wrong(
            "nobody-joins",
            es="Ada mandó su `join` y no oyó su propio `joined`. Si aún no "
            "has terminado `parse` (08.4), empieza por ahí. Si ya está, "
            "comprueba que la anotas antes de anunciarla y que difundes a los "
            "`members` que recibes: el `tell` del cuaderno escribe a otros.",
            en="Ada sent her `join` and did not hear her own `joined`. If "
            "`parse` (08.4) is not finished yet, begin there. If it is, "
            "check that you add her before you announce her, and that you "
            "broadcast to the `members` you were given: the notebook's "
            "`tell` writes to another one.",
            expected='{"type": "joined", "name": "Ada"}',
            seen=_heard(ada),
        )
    await _talk(server, lima, [ada, lima], "hola")
    return ada, lima


async def _talk(server, lima, everyone, text, mistake="not-said"):
    await lima.ask(type="say", text=text)
    for person in everyone:
        if not await person.notices(type="said", name="Lima", text=text):
            server.raise_errors()
            raise Wrong(
                mistake,
                es="Lima dijo algo y no lo oyeron todos, ella incluida.",
                en="Lima said something, and not all have heard it, herself "
                "included.",
                expected=json.dumps(
                    {"type": "said", "name": "Lima", "text": text}
                ),
                seen=_heard(person),
            )


async def _misbehave(server, ada):
    """Eva, who has sent nothing sensible yet."""
    eva = await server.visit()
    eva.__class__ = Member
    for message in ["hola", "[1, 2]", *UNKNOWN, *INCOMPLETE, *NO_TEXTS]:
        await _provoke(server, eva, ada, message)
    early = json.dumps({"type": "say", "text": "too early"})
    await _provoke(server, eva, ada, early)
    return eva


async def _provoke(server, eva, ada, message):
    """Send what deserves an error, and see that the sender alone hears it."""
    before = len(eva.events(type="error"))
    await eva.send(message)
    await within(
        PATIENCE,
        lambda: (
            len(eva.events(type="error")) > before
            or eva.gone
            or ada.events(type="said", text="too early")
            or ada.events(type="error")
        ),
    )
    if eva.gone:
        wrong = Wrong(
            "thrown-out",
            es=f"Eva mandó `{message}` y perdió la conexión. Responde con un "
            "`error` y sigue escuchando.",
            en=f"Eva sent `{message}` and lost her connection. Reply with an "
            "`error` and go on listening.",
        )
        if server.errors:
            wrong.seen = server.errors[0]
        raise wrong
    if ada.events(type="said", text="too early"):
        raise Wrong(
            "too-early",
            es="Eva habló sin haber entrado, y el chat la oyó. Primero va "
            "`join`.",
            en="Eva spoke without having joined, and the chat heard her. "
            "First comes `join`.",
            seen=_heard(ada)[-1:],
        )
    if ada.events(type="error"):
        raise Wrong(
            "told-all",
            es="Eva se equivocó y el `error` le llegó a Ada. Responde solo a "
            "quien mandó la petición.",
            en="Eva made a mistake, and Ada received the `error`. Reply to "
            "the sender alone.",
            seen=_heard(ada)[-1:],
        )
    if len(eva.events(type="error")) == before:
        raise Wrong(
            "no-answer",
            es=f"Eva mandó `{message}` y no recibió ningún `error`: no sabrá "
            "qué ha hecho mal.",
            en=f"Eva sent `{message}` and received no `error`: she will not "
            "know what she did wrong.",
            expected='{"type": "error", "reason": …}',
            seen=_heard(eva)[before:],
        )
    if not all("reason" in event for event in eva.events(type="error")):
        raise Wrong(
            "no-reason",
            es="Al `error` le falta su `reason`.",
            en="The `error` lacks its `reason`.",
            seen=_heard(eva)[-1:],
        )


async def _impersonate(eva, ada, lima):
    """Eva tries to join as Ada, then joins as Eva."""
    errors = len(eva.events(type="error"))
    await eva.ask(type="join", name="Ada")
    await within(
        PATIENCE,
        lambda: (
            len(eva.events(type="error")) > errors
            or eva.gone
            or len(ada.events(type="joined", name="Ada")) > 1
            or eva.events(type="joined", name="Ada")
        ),
    )
    if len(eva.events(type="error")) == errors:
        if eva.gone:
            raise Wrong(
                "refused-for-good",
                es="El nombre estaba ocupado y Eva perdió la conexión. "
                "Responde con un `error` y deja que elija otro.",
                en="The name was taken, and Eva lost her connection. Reply "
                "with an `error` and let her choose another.",
            )
        raise Wrong(
            "name-stolen",
            es="Ya había una Ada y Eva entró con su nombre: en `members` solo "
            "queda una de las dos. Mira si está ocupado antes de anotarla.",
            en="There was an Ada already, and Eva came in under her name: "
            "`members` holds only one of the two. See if it is taken before "
            "you add it.",
            expected='{"type": "error", "reason": …}',
            seen=_heard(eva)[-1:],
        )
    await eva.ask(type="join", name="Eva")
    for person in ada, lima, eva:
        if not await person.notices(type="joined", name="Eva"):
            raise Wrong(
                "no-second-chance",
                es="Tras un nombre ocupado, Eva eligió otro y no pudo entrar.",
                en="After a name that was taken, Eva chose another and could "
                "not join.",
                expected='{"type": "joined", "name": "Eva"}',
                seen=_heard(eva)[-1:],
            )


async def _vanish(server, eva, ada, lima):
    """Eva vanishes and returns; visitors who never joined come and go."""
    await _talk(server, lima, [ada, lima, eva], "adios", "ada-lost")
    eva.vanish()
    for person in ada, lima:
        if not await person.notices(type="left", name="Eva"):
            server.raise_errors()
            _raise_ghost(person, "Eva")
    again = await _join(server, "Eva")
    if not await again.notices(type="joined", name="Eva"):
        server.raise_errors()
        raise Wrong(
            "name-kept",
            es="Eva desapareció y, al volver, su nombre seguía ocupado.",
            en="Eva vanished and, when she came back, her name was still "
            "taken.",
            seen=_heard(again),
        )
    before = len(ada.heard)
    await (await server.visit()).leave()
    (await server.visit()).vanish()
    await asyncio.sleep(MOMENT)
    server.raise_errors()
    if len(ada.heard) > before:
        raise Wrong(
            "noise",
            es="Dos visitas que no llegaron a entrar se fueron, y el chat lo "
            "anunció.",
            en="Two visitors who never joined went away, and the chat "
            "announced it.",
            seen=_heard(ada)[before:],
        )
    if server.lost:
        raise Wrong(
            "error-escapes",
            es="Eva desapareció y su manejador terminó con un "
            "`ConnectionClosedError`. Que un cliente desaparezca no es un "
            "error: atrápalo.",
            en="Eva vanished, and her handler ended with a "
            "`ConnectionClosedError`. That a client vanishes is no error: "
            "catch it.",
        )


async def _join_twice(answer):
    """Eva joins, then joins once more under another name, and leaves."""
    members = {}
    async with Server(answer, members) as server:
        eva = await _join(server, "Eva")
        await eva.notices(type="joined", name="Eva")
        await eva.ask(type="join", name="Eve")
        await within(
            PATIENCE,
            lambda: (
                eva.events(type="error")
                or eva.events(type="joined", name="Eve")
                or eva.gone
            ),
        )
        answered = eva.events(type="error")
        await eva.leave()
        await within(PATIENCE, lambda: not members)
        server.raise_errors()
    if members:
        raise Wrong(
            "two-names",
            es="Eva entró dos veces con dos nombres y se fue: un nombre "
            "sigue ocupado.",
            en="Eva joined twice under two names and left: one name is "
            "still taken.",
            expected=[],
            seen=sorted(map(str, members)),
        )
    if not answered:
        raise Wrong(
            "second-join",
            es="Eva ya había entrado, mandó un segundo `join` y no recibió "
            "ningún `error`. Responde con uno también a ese.",
            en="Eva had joined already, sent a second `join` and received no "
            "`error`. Reply to that with one, too.",
            expected='{"type": "error", "reason": …}',
            seen=_heard(eva)[-1:],
        )


def _raise_ghost(person, name):
    raise Wrong(
        "ghost",
        es=f"{name} se fue y los demás no oyeron su `left`. Tanto si un "
        "miembro se despide como si desaparece, hay que anunciarlo.",
        en=f"{name} went, and the others did not hear the `left`. Whether a "
        "member says goodbye or vanishes, it has to be told.",
        expected=json.dumps({"type": "left", "name": name}),
        seen=_heard(person)[-2:],
    )


async def _oversleep(server, ada, lima):
    """Somebody joins and never reads; two big texts fill what lies between."""
    sleeper = await _join(server, "Sleeper")
    if not await ada.notices(type="joined", name="Sleeper"):
        server.raise_errors()
    sleeper.sleep()
    texts = [BIG, BIG[1:], "awake?"]
    sending = [
        asyncio.create_task(lima.ask(type="say", text=text)) for text in texts
    ]
    for text in texts:
        if not await ada.notices(2, type="said", text=text):
            server.raise_errors()
            raise Wrong(
                "held-up",
                es="`Sleeper` entró y no lee. Lima dijo tres cosas y Ada no "
                "las oyó todas: alguien espera a que `Sleeper` reciba. ¿Qué "
                "manera de difundir no espera a nadie?",
                en="`Sleeper` joined and does not read. Lima said three "
                "things, and Ada did not hear them all: somebody waits until "
                "`Sleeper` receives. Which way of broadcasting waits for "
                "nobody?",
            )
    await asyncio.wait(sending)
    sleeper.vanish()
    if not await ada.notices(type="left", name="Sleeper"):
        server.raise_errors()
        _raise_ghost(ada, "Sleeper")
