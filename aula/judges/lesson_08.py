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

from aula.exercises.exercise import Right, Unawaited, Wrong, exercise
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
async def register(answer):
    connected = set()
    async with Server(answer, connected) as server:
        ada = await server.visit()
        lima = await server.visit()
        await within(PATIENCE, lambda: len(connected) == 2)
        server.raise_errors()
        if len(connected) != 2:
            raise Wrong("never-registers", expected=2, seen=len(connected))
        for _ in range(2):
            await ada.send("how many?")
            await within(MOMENT / 3, lambda: ada.gone)
        await within(PATIENCE, lambda: len(ada.heard) == 2 or ada.gone)
        server.raise_errors()
        _judge_count(ada, ["2", "2"])
        await lima.leave()
        await within(PATIENCE, lambda: len(connected) == 1 and lima.gone)
        if lima.heard:
            raise Wrong("told-all", expected=[], seen=lima.heard)
        _judge_absence(connected, politely=True)
        eva = await server.visit()
        await within(PATIENCE, lambda: len(connected) == 2)
        eva.vanish()
        await within(PATIENCE, lambda: len(connected) == 1)
        _judge_absence(connected, politely=False)
        await within(MOMENT, lambda: server.lost)
        if server.lost:
            raise Wrong("error-escapes")
        await ada.send("how many?")
        await within(PATIENCE, lambda: len(ada.heard) == 3 or ada.gone)
        server.raise_errors()
        _judge_count(ada, ["2", "2", "1"])
    return Right()


def _judge_count(ada, expected):
    if ada.gone:
        raise Wrong("hangs-up", expected=expected, seen=ada.heard)
    if ada.heard != expected:
        raise Wrong("other-replies", expected=expected, seen=ada.heard)


def _judge_absence(connected, politely):
    if len(connected) == 1:
        return
    if not connected:
        raise Wrong("evicts", expected=1, seen=0)
    if politely:
        raise Wrong("stays", expected=1, seen=len(connected))
    raise Wrong("ghost", expected=1, seen=len(connected))


def _queue(size, *messages):
    queue = Queue(size)
    for message in messages:
        queue.put_nowait(message)
    return queue


def _contents(queue):
    return [queue.get_nowait() for _ in range(queue.qsize())]


@exercise("08.2", answer="function", parameters=2, limit=3, picture=None)
async def post_latest(answer):
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
        raise Wrong("full", seen=error) from None
    except asyncio.QueueEmpty as error:
        raise Wrong("empty", seen=error) from None
    seen = [_contents(queue) for queue in queues]
    if seen == expected:
        return Right()
    if any(queue.waits for queue in queues):
        raise Unawaited("queue-unawaited")
    if not any(4 in seen[which] for which in (1, 2, 4)):
        raise Wrong("stops", expected=expected, seen=seen)
    if any(seen[i] != expected[i] for i in range(5) if i not in full):
        raise Wrong("not-full", expected=expected, seen=seen)
    if seen[0] == [2, 3]:
        raise Wrong("newest-out", expected=expected, seen=seen)
    if any(4 not in seen[which] for which in full):
        raise Wrong("newest-lost", expected=expected, seen=seen)
    raise Wrong("emptied", expected=expected, seen=seen)


@exercise("08.3", parameters=2, limit=9, picture="wiretap")
async def in_room(answer):
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
                raise Wrong("not-told", expected=["hola"], seen=lima.heard)
            raise Wrong("silent", expected=["hola"], seen=lima.heard)
        lima.vanish()
        await within(MOMENT, lambda: server.lost)
        bob = await server.visit("/garden")
        await asyncio.sleep(MOMENT)
        await ada.send("hola, Bob")
        if not await bob.hears("hola, Bob"):
            raise Wrong("room-closed", expected=["hola, Bob"], seen=bob.heard)
        server.raise_errors()
        if server.lost:
            raise Wrong("error-escapes")
        for person in ada, bob, eva:
            await person.leave()
        await within(PATIENCE, lambda: not rooms)
        server.raise_errors()
        if rooms:
            raise Wrong(
                "empty-rooms", expected=[], seen=sorted(map(str, rooms))
            )
    return Right()


def _shared(room):
    """Whether two connections are in a room, whatever it is."""
    with suppress(TypeError):
        return len(room) == 2
    return False


def _judge_company(ada, lima, eva):
    if "hola" in eva.heard or "anybody?" in ada.heard + lima.heard:
        raise Wrong("one-room")
    if "hola" in ada.heard or "anybody?" in eva.heard:
        raise Wrong("hears-herself", seen=ada.heard + eva.heard)


GOOD = [
    {"type": "join", "name": "Ada"},
    {"type": "say", "text": "hola"},
]
NO_OBJECTS = ["[1, 2]", '"hola"', "3", "null"]
UNKNOWN = ['{"type": "dance"}', '{"name": "Ada"}']
INCOMPLETE = ['{"type": "join"}', '{"type": "say", "name": "Ada"}']
NO_TEXTS = ['{"type": "join", "name": ["Ada"]}', '{"type": "say", "text": 3}']


@exercise("08.4", answer="function", parameters=1, limit=3, picture=None)
async def parse(answer):
    for request in GOOD:
        _judge_good(answer, request)
    _refuse_taken("no-error", answer, ["hola", '{"type": '])
    for message, seen in _taken(answer, NO_OBJECTS):
        failed = isinstance(seen, Exception)
        raise Wrong(
            "not-an-object" if failed else "anything",
            message=message,
            seen=seen,
        )
    _refuse_taken("any-type", answer, UNKNOWN)
    _refuse_taken("no-field", answer, INCOMPLETE)
    _refuse_taken("any-value", answer, NO_TEXTS)
    return Right()


def _judge_good(answer, request):
    message = json.dumps(request)
    try:
        seen = answer(message)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        seen = error
    if seen != request:
        raise Wrong("refused", expected=request, seen=seen, message=message)


def _refuse_taken(mistake, answer, messages):
    """Each message must be refused with a ValueError."""
    for message, seen in _taken(answer, messages):
        if isinstance(seen, Exception):
            raise Wrong("other-error", message=message, seen=seen)
        raise Wrong(mistake, message=message, seen=seen)


def _taken(answer, messages):
    """The messages that are not refused with a ValueError, and what came."""
    for message in messages:
        try:
            yield message, answer(message)
        except ValueError as error:
            if not f"{error}":
                raise Wrong("no-reason", message=message) from None
        except AssertionError:
            raise Wrong("assertion", message=message) from None
        except (KeyError, TypeError, AttributeError) as error:
            yield message, error


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
async def chat_server(answer):
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
    return Right()


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
                expected='{"type": "joined", "name": "Lima"}',
                seen=[_heard(ada), _heard(lima)],
            )
    else:
        if server.errors and "'NoneType'" in f"{server.errors[0]}":
            raise Wrong("parse-unfinished", seen=server.errors[0])
        server.raise_errors()
        raise Wrong(
            "nobody-joins",
            expected='{"type": "joined", "name": "Ada"}',
            seen=_heard(ada),
        )
    await _talk(server, lima, [ada, lima], "hola")
    return ada, lima


async def _talk(server, lima, everyone, text):
    await lima.ask(type="say", text=text)
    for person in everyone:
        if not await person.notices(type="said", name="Lima", text=text):
            server.raise_errors()
            raise Wrong(
                "not-said",
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
        wrong = Wrong("thrown-out", message=message)
        if server.errors:
            wrong.seen = server.errors[0]
        raise wrong
    if ada.events(type="said", text="too early"):
        raise Wrong("too-early", seen=_heard(ada)[-1:])
    if ada.events(type="error"):
        raise Wrong("told-all", seen=_heard(ada)[-1:])
    if len(eva.events(type="error")) == before:
        raise Wrong(
            "no-answer",
            expected='{"type": "error", "reason": …}',
            seen=_heard(eva)[before:],
            message=message,
        )
    if not all("reason" in event for event in eva.events(type="error")):
        raise Wrong("no-reason", seen=_heard(eva)[-1:])


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
            raise Wrong("refused-for-good")
        raise Wrong(
            "name-stolen",
            expected='{"type": "error", "reason": …}',
            seen=_heard(eva)[-1:],
        )
    await eva.ask(type="join", name="Eva")
    if not await eva.notices(type="joined", name="Eva"):
        raise Wrong(
            "no-second-chance",
            expected='{"type": "joined", "name": "Eva"}',
            seen=_heard(eva)[-1:],
        )


async def _vanish(server, eva, ada, lima):
    """Eva vanishes and returns; visitors who never joined come and go."""
    await _talk(server, lima, [ada, lima, eva], "adios")
    eva.vanish()
    for person in ada, lima:
        if not await person.notices(type="left", name="Eva"):
            server.raise_errors()
            _raise_ghost(person, "Eva")
    again = await _join(server, "Eva")
    if not await again.notices(type="joined", name="Eva"):
        server.raise_errors()
        raise Wrong("name-kept", seen=_heard(again))
    before = len(ada.heard)
    await (await server.visit()).leave()
    (await server.visit()).vanish()
    await asyncio.sleep(MOMENT)
    server.raise_errors()
    if len(ada.heard) > before:
        raise Wrong("noise", seen=_heard(ada)[before:])
    if server.lost:
        raise Wrong("error-escapes")


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
        raise Wrong("two-names", expected=[], seen=sorted(map(str, members)))
    if not answered:
        raise Wrong(
            "second-join",
            expected='{"type": "error", "reason": …}',
            seen=_heard(eva)[-1:],
        )


def _raise_ghost(person, name):
    raise Wrong(
        "ghost",
        expected=json.dumps({"type": "left", "name": name}),
        seen=_heard(person)[-2:],
        name=name,
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
            raise Wrong("held-up")
    await asyncio.wait(sending)
    sleeper.vanish()
    if not await ada.notices(type="left", name="Sleeper"):
        server.raise_errors()
        _raise_ghost(ada, "Sleeper")
