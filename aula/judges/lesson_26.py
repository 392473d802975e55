"""Judges the exercises of lesson 26: with a real broker, where there is one.

What a learner would run as several processes are here several servers, each
with a register and a connection to the broker of its own.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from websockets.asyncio.server import ServerConnection, broadcast

from aula.exercises.exercise import Answer, Right, Wrong, exercise
from aula.exercises.prediction import Program, refuse_other
from aula.judges.mistakes import equal
from aula.judges.servers import Person, Service, path_of
from aula.judges.waiting import MOMENT, PATIENCE, ends, patiently, until

START = 5.0  # seconds that a broker may take to start
SILENCE = 1.3  # seconds, more than its client waits for a message by default

# What bytes say of text that is to be published, and the broker's client of
# a subject that is none.
STR_PUBLISHED = "can't concat str to bytes"
BAD_SUBJECT = "BadSubjectError"
CLOSED_BROKER = "ConnectionClosedError"
# What it says of a number that no message bears.
NO_SUCH_START = "BadRequestError"
# What it says to who unsubscribes what is unsubscribed.
BAD_SUBSCRIPTION = "BadSubscriptionError"


class Broker:
    """A broker of the judge's own: ``async with Broker()``.

    Raises:
        Wrong: no-broker, where there is none on this machine.
    """

    def __init__(self) -> None:
        self._clients: list[Any] = []
        self._addresses: dict[str, list[str]] = {}

    def _start(self) -> None:
        program = refuse_no_broker()
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        name = self._folder.name
        options = ["-a", "127.0.0.1", "-p", "-1", "-m", "-1", "-js"]
        self._process = subprocess.Popen(
            [program, *options, "-sd", name, "--ports_file_dir", name],
            stderr=subprocess.DEVNULL,
        )

    async def __aenter__(self) -> Broker:
        self._start()
        try:
            await until(self._read_addresses, START)
            if not self._addresses:
                raise Wrong("no-broker")
        except BaseException:
            self._end()
            raise
        return self

    def _read_addresses(self) -> bool:
        for file in Path(self._folder.name).glob("*.ports"):
            with suppress(OSError, ValueError):  # it is still being written
                self._addresses = json.loads(file.read_text("utf-8"))
        return bool(self._addresses) or self._process.poll() is not None

    async def __aexit__(self, *_: object) -> None:
        try:
            for client in self._clients:
                with suppress(Exception):
                    async with asyncio.timeout(PATIENCE):
                        await client.close()
        finally:
            self._end()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    async def client(self) -> Any:
        """One more connection, as each process has one."""
        import nats

        client = await nats.connect(
            self._addresses["nats"][0],
            allow_reconnect=False,
            error_cb=_say_nothing,
        )
        self._clients.append(client)
        return client

    async def look(self, page: str) -> Any:
        """What the broker says of itself."""
        url = self._addresses["monitoring"][0] + page
        async with aiohttp.ClientSession() as session:
            async with session.get(url) as answer:
                return await answer.json(content_type=None)

    async def subscriptions(self) -> int:
        """How many there are, of all clients."""
        for client in self._clients:
            await _flush(client)
        report = await self.look("/connz")
        return sum(one["subscriptions"] for one in report["connections"])

    async def queue_groups(self) -> list[str]:
        """The names of those in which somebody shares a subject."""
        report = await self.look("/connz?subs=detail")
        return [
            one["qgroup"]
            for connection in report["connections"]
            for one in connection.get("subscriptions_list_detail") or []
            if one.get("qgroup")
        ]

    async def settles(self, count: int) -> int:
        """Wait until there are so many; returns how many there are."""
        found = -1
        for _ in range(round(PATIENCE / MOMENT)):
            found = await self.subscriptions()
            if found == count:
                break
            await asyncio.sleep(MOMENT / 2)
        return found


async def at_the_broker(client: Any) -> None:
    """Wait until the broker has read what a client has sent.

    The first question overtakes what still waits to be sent.
    """
    await client.flush()
    await client.flush()


async def _flush(client: Any) -> None:
    """As ``at_the_broker``, of a client that an answer may have closed.

    Raises:
        Wrong: closes-broker.
    """
    if not client.is_closed:
        flushing = asyncio.ensure_future(at_the_broker(client))
        await until(lambda: flushing.done() or client.is_closed)
        if not client.is_closed:
            await flushing
            return
        flushing.cancel()
    raise Wrong("closes-broker")


async def _say_nothing(error: Exception) -> None:
    """The verdict says what failed."""


def refuse_no_broker() -> str:
    """Where the broker's program is.

    Raises:
        Wrong: no-broker.
    """
    scripts = sysconfig.get_path("scripts")
    program = shutil.which("nats-server", path=scripts)
    if program is None or importlib.util.find_spec("nats") is None:
        raise Wrong("no-broker")
    return program


def _raise_errors(*services: Service) -> None:
    for service in services:
        for error in service.errors:
            if STR_PUBLISHED in f"{error}":
                raise Wrong("str-published", seen=error)
            if type(error).__module__ == "nats.errors" and (
                type(error).__name__ == CLOSED_BROKER
            ):
                raise Wrong("closes-broker", seen=error)
        service.raise_errors()


def _texts(person: Person) -> list[str]:
    """What somebody has heard, where that is text.

    Raises:
        Wrong: bytes-sent.
    """
    texts = [one for one in person.heard if isinstance(one, str)]
    if len(texts) < len(person.heard):
        raise Wrong("bytes-sent", seen=person.heard)
    return texts


class _Process:
    """A server with a register of its own, as one process would have it."""

    def __init__(self, answer: Answer, client: Any) -> None:
        self.connected: set[Any] = set()
        self.client = client
        self.service = Service(answer, client, self.connected)

    async def relay(self, news: Any) -> None:
        """Hand what comes on ``chat`` to all who are here."""
        async for message in news.messages:
            broadcast(self.connected, message.data.decode())


@asynccontextmanager
async def _two_processes(
    broker: Broker, answer: Answer
) -> AsyncIterator[tuple[_Process, _Process]]:
    first, second = [_Process(answer, await broker.client()) for _ in range(2)]
    relays = []
    try:
        for process in first, second:
            news = await process.client.subscribe("chat")
            await at_the_broker(process.client)
            relays.append(asyncio.create_task(process.relay(news)))
        async with first.service, second.service:
            yield first, second
    finally:
        for relay in relays:
            relay.cancel()


@exercise("26.1", parameters=3, limit=12, picture="wiretap")
async def hall(answer: Answer) -> Right:
    async with Broker() as broker, _two_processes(broker, answer) as both:
        here, there = both
        services = here.service, there.service
        mute = await there.service.visit()
        ada = await here.service.visit()
        await ada.send("Ada")
        await ada.hears("+Ada")
        _raise_errors(*services)
        if not ada.heard:
            raise Wrong("unannounced", expected=["+Ada"], seen=[])
        await _refuse_more(broker, ada, ["+Ada"])
        lima = await there.service.visit()
        await lima.send("Lima")
        await lima.hears("+Lima")
        if not await ada.hears("+Lima"):
            _raise_errors(*services)
            if "+Lima" in lima.heard:
                raise Wrong("stays-here", seen=ada.heard)
            raise Wrong("unannounced", expected=["+Lima"], seen=lima.heard)
        eva = await there.service.visit()
        await eva.send("eva 2")
        await eva.hears("+eva 2")
        await ada.hears("+eva 2")
        for text in " yerba ", "mate", "", "chai":
            await lima.send(text)
        # What is heard last, after all that was to be heard before.
        last = "Lima: chai"
        if not await ada.hears(last):
            _raise_errors(*services)
            if "eva 2: chai" in ada.heard:
                raise Wrong("other-speaker", expected=last, seen="eva 2: chai")
            if lima.gone and "Lima: mate" in ada.heard:
                raise Wrong("empty-ends", seen=ada.heard[-2:])
            if lima.gone:
                raise Wrong("sent-away", seen=lima.heard)
            if last in lima.heard:
                raise Wrong("stays-here", seen=ada.heard)
        await eva.hears(last)
        said = ["+eva 2", "Lima:  yerba ", "Lima: mate", "Lima: ", last]
        _raise_errors(*services)
        await _refuse_more(broker, ada, ["+Ada", "+Lima", *said])
        await _refuse_more(broker, lima, ["+Lima", *said])
        await _refuse_more(broker, eva, said)
        if mute.heard:
            raise Wrong("hears-unnamed", expected=[], seen=mute.heard)
        eva.vanish()
        await _judge_absence(
            there, [ada, lima], "-eva 2", "silent-when-cut", 1
        )
        await lima.leave()
        await _judge_absence(there, [ada], "-Lima", "silent-farewell", 0)
        await until(lambda: there.service.running <= 1)
        if there.service.closed:
            raise Wrong("closed-escapes")
        await _judge_return(there, ada)
        await _judge_nameless(there, ada, mute)
        _raise_errors(*services)
    return Right()


async def _refuse_more(
    broker: Broker, person: Person, expected: list[str]
) -> None:
    """Refuse what was heard more than once, or is another text."""
    await until(lambda: len(person.heard) > len(expected), MOMENT)
    if person.heard == expected:
        return
    seen = person.heard
    if len(seen) > len({*seen}):
        if await broker.subscriptions() > 2:
            raise Wrong("subscribes-too", expected=expected, seen=seen)
        raise Wrong("twice-here", expected=expected, seen=seen)
    raise Wrong("other-texts", expected=expected, seen=seen)


async def _judge_absence(
    process: _Process,
    staying: list[Person],
    farewell: str,
    mistake: str,
    left: int,
) -> None:
    ada = staying[0]
    heard = await ada.hears(farewell)
    _raise_errors(process.service)
    if not heard:
        if any(farewell in one.heard for one in staying):
            raise Wrong("farewell-here", expected=farewell, seen=ada.heard)
        raise Wrong(mistake, expected=farewell, seen=ada.heard)
    equal(ada.heard.count(farewell), 1, "farewell-twice")
    if len(process.connected) < left:
        raise Wrong("others-removed")
    equal(len(process.connected), left, "still-connected")


async def _judge_return(process: _Process, ada: Person) -> None:
    """Lima comes again, and leaves again."""
    lima = await process.service.visit()
    await lima.send("Lima")
    if not await until(lambda: ada.heard.count("+Lima") > 1):
        _raise_errors(process.service)
        raise Wrong("return-unannounced", seen=ada.heard[-2:])
    await lima.leave()
    if not await until(lambda: ada.heard.count("-Lima") > 1):
        raise Wrong("silent-farewell", expected="-Lima", seen=ada.heard[-2:])
    await until(lambda: process.service.running <= 1)


async def _judge_nameless(
    process: _Process, ada: Person, mute: Person
) -> None:
    """One who was there from the first, gave no name, and leaves."""
    known = len(ada.heard)
    await mute.leave()
    await until(lambda: not process.service.running)
    await until(lambda: len(ada.heard) > known, MOMENT)
    equal(ada.heard[known:], [], "nameless-announced")
    if process.service.closed:
        raise Wrong("closed-before-name")


@exercise("26.2", answer="prediction")
async def matches(answer: Any, program: Program) -> Right:
    refuse_no_broker()
    await program.run()
    if isinstance(answer, dict):
        star, rest = answer.get("chat.*"), answer.get("chat.>")
        happened = program.result
        if star == 3 and rest == 3:
            equal(answer, happened, "star-as-rest")
        if rest == 4:
            equal(answer, happened, "rest-as-none")
        if answer.get("chat.garden") == 2:
            equal(answer, happened, "as-prefix")
    refuse_other(answer, program.result)
    return Right()


@exercise("26.3", parameters=2, limit=15, picture="wiretap")
async def in_subject(answer: Answer) -> Right:
    async with Broker() as broker:
        clients = [await broker.client() for _ in range(2)]
        here, there = (Service(answer, client) for client in clients)
        async with here, there:
            ada = await here.visit("/salon7")
            lima = await there.visit("/salon7")
            eva = await there.visit("/patio")
            await broker.settles(3)
            await _judge_room(broker, here, there, ada, lima, eva)
            loop = asyncio.get_running_loop()
            silent_since = loop.time()
            await _judge_names(broker, here, ada)
            await _judge_case(broker, here, ada)
            await asyncio.sleep(silent_since + SILENCE - loop.time())
            await eva.send("pan")
            if not await eva.hears("pan"):
                raise Wrong("deaf-later", expected="pan", seen=eva.heard[1:])
            await _judge_departures(broker, here, there, ada, lima, eva)
    return Right()


async def _judge_room(
    broker: Broker,
    here: Service,
    there: Service,
    ada: Person,
    lima: Person,
    eva: Person,
) -> None:
    for text in "hola", "¿qué tal?":
        await ada.send(text)
    said = ["hola", "¿qué tal?"]
    await until(lambda: len(lima.heard) >= 2)
    await until(lambda: len(ada.heard) >= 2)
    _raise_errors(here, there)
    if ada.gone and not eva.gone:
        raise Wrong("digit-refused", seen=ada.code)
    if ada.gone or eva.gone:
        raise Wrong("turned-away", seen=ada.code or eva.code)
    if (ada.heard, lima.heard) != (said, said):
        for group in await broker.queue_groups():
            raise Wrong("shared-queue", group=group, seen=lima.heard)
    if ada.heard == said and not lima.heard:
        raise Wrong("this-process-only", expected=said, seen=lima.heard)
    if not ada.heard and not lima.heard:
        raise Wrong("heard-nothing", expected=said, seen=[])
    for person in ada, lima:
        if len(person.heard) > len({*person.heard}):
            raise Wrong("heard-twice", expected=said, seen=person.heard)
        equal(_texts(person), said, "other-words")
    await eva.send("sopa")
    await eva.hears("sopa")
    if "hola" in eva.heard:
        raise Wrong("other-rooms", expected=["sopa"], seen=eva.heard)
    equal(eva.heard, ["sopa"], "other-words")


async def _judge_names(broker: Broker, here: Service, ada: Person) -> None:
    """People who ask for rooms that would be other subjects, or none."""
    for path in (
        "/*",
        "/>",
        "/salon7.>",
        "/a.b",
        "/",
        "/salon7/x",
        "/a%20b",
        "/a_b",
    ):
        before = len(ada.heard)
        spy = await here.visit(path)
        await until(lambda spy=spy: spy.gone, MOMENT)  # type: ignore[misc]
        if not spy.gone:
            await broker.subscriptions()  # those of the spy are there now
        await ada.send("secret")
        await until(lambda n=before: len(ada.heard) > n)  # type: ignore[misc]
        if not spy.gone:
            await spy.hears("secret", seconds=MOMENT)
        if "secret" in spy.heard:
            raise Wrong("spied-on", path=path, seen=spy.heard)
        if not await until(lambda spy=spy: spy.gone):  # type: ignore[misc]
            raise Wrong("lets-in", path=path)
        for error in here.errors:
            if type(error).__name__ == BAD_SUBJECT:
                if spy.code == 1008:
                    raise Wrong("goes-on", path=path, seen=error)
                raise Wrong("broker-refuses", path=path, seen=error)
        _raise_errors(here)
        equal(spy.code, 1008, "other-code", path=path)


async def _judge_case(broker: Broker, here: Service, ada: Person) -> None:
    """A room with the same letters, but capital ones, is another room."""
    before = len(ada.heard)
    zoe = await here.visit("/SALON7")
    await broker.settles(4)
    _raise_errors(here)
    await ada.send("secret")
    await until(lambda: len(ada.heard) > before)
    if await zoe.hears("secret", seconds=MOMENT):
        raise Wrong("case-mixed", seen=zoe.heard)
    if zoe.gone:
        raise Wrong("turned-away", seen=zoe.code)
    await zoe.leave()
    await broker.settles(3)


async def _judge_departures(
    broker: Broker,
    here: Service,
    there: Service,
    ada: Person,
    lima: Person,
    eva: Person,
) -> None:
    bea = await here.visit("/salon7")
    await broker.settles(4)
    await ada.leave()
    await broker.settles(3)
    _raise_errors(here, there)
    await lima.send("sal")
    if not await bea.hears("sal"):
        raise Wrong("goes-with-first", expected="sal", seen=bea.heard)
    await bea.leave()
    left = await broker.settles(2)
    _raise_errors(here, there)
    if left > 2:
        raise Wrong("stays-subscribed", expected=2, seen=left)
    lima.vanish()
    left = await broker.settles(1)
    _raise_errors(here, there)
    if left > 1:
        raise Wrong("ghost-subscribed", expected=1, seen=left)
    await eva.leave()
    await until(lambda: not here.running and not there.running)
    if here.closed or there.closed:
        raise Wrong("closed-escapes")


@exercise("26.4", parameters=4, limit=15, picture="wiretap")
async def replay(answer: Answer) -> Right:
    async with Broker() as broker:
        stream = (await broker.client()).jetstream()
        await stream.add_stream(name="log", subjects=["log.*"])
        for room, text in (
            ("patio", "uno"),
            ("salon7", "dos"),
            ("patio", "tres"),
            ("patio", "uno"),
        ):
            await stream.publish(f"log.{room}", text.encode())
        await _judge_replay(
            broker, answer, stream, 1, ["3 tres", "4 uno", "5 cinco"], True
        )
        for text in "siete", "ocho", "nueve", "diez":
            await stream.publish("log.salon7", text.encode())
        await _judge_replay(
            broker,
            answer,
            stream,
            0,
            ["1 uno", "3 tres", "4 uno", "5 cinco", "6 seis", "11 siete"],
            False,
        )
    return Right()


async def _judge_replay(
    broker: Broker,
    answer: Answer,
    stream: Any,
    after: int,
    expected: list[str],
    goodbye: bool,
) -> None:
    """One comes back, hears what she has missed and one thing more."""

    async def handler(websocket: ServerConnection) -> None:
        await answer(websocket, stream, "patio", int(path_of(websocket)[1:]))

    before = await broker.subscriptions()
    readers = {one.name for one in await stream.consumers_info("log")}
    async with Service(handler) as service:
        ada = await service.visit(f"/{after}")
        missed = len(expected) - 1
        await until(
            lambda: len(ada.heard) >= missed or ada.gone or service.errors
        )
        _raise_start(service, after)
        bea = None
        if not goodbye:
            bea = await service.visit("/9")
            await until(lambda: ada.gone or service.errors, SILENCE)
        await stream.publish(
            "log.patio", expected[-1].partition(" ")[2].encode()
        )
        await until(
            lambda: expected[-1] in ada.heard or ada.gone or service.errors
        )
        await until(lambda: len(ada.heard) > len(expected), MOMENT)
        _judge_heard(service, ada, expected, after)
        if bea is not None:
            await bea.hears(expected[-1])
            equal(_texts(bea), expected[-1:], "late-number")
            bea.vanish()
        await _judge_acknowledged(stream, readers)
        await _judge_end(broker, service, ada, stream, goodbye, before)


async def _judge_acknowledged(stream: Any, earlier: set[str]) -> None:
    """What nobody acknowledges, the broker sends again after 30 s."""
    for _ in range(5):  # the last acknowledgement may be under way
        count = sum(
            one.num_ack_pending or 0
            for one in await stream.consumers_info("log")
            if one.name not in earlier and not one.config.durable_name
        )
        if not count:
            return
        await asyncio.sleep(MOMENT / 2)
    raise Wrong("unacknowledged", count=count)


def _raise_start(service: Service, after: int) -> None:
    for error in service.errors:
        if type(error).__name__ == NO_SUCH_START:
            raise Wrong("number-zero", after=after, seen=error)
        if isinstance(error, TimeoutError):
            raise Wrong("impatient", seen=error)
    _raise_errors(service)


def _judge_heard(
    service: Service, ada: Person, expected: list[str], after: int
) -> None:
    _raise_start(service, after)
    seen = _texts(ada)
    if not seen and not ada.gone:
        raise Wrong("nothing-in-room", missed=len(expected) - 1)
    if "2 dos" in seen:
        raise Wrong("other-rooms", expected=expected, seen=seen)
    if seen[1:] == expected and seen[0] == "1 uno":
        raise Wrong("already-seen", expected=expected, seen=seen)
    if seen == expected[-1:]:
        raise Wrong("gap", expected=expected, seen=seen)
    if seen == [one for one in expected if one != "4 uno"]:
        raise Wrong("same-text", expected=expected, seen=seen)
    if seen == expected[:-1]:
        raise Wrong("old-only", expected=expected, seen=seen)
    if ada.gone:
        raise Wrong("sent-away", expected=expected, seen=seen)
    texts = [message.partition(" ")[2] for message in expected]
    if [message.partition(" ")[2] for message in seen] == texts:
        equal(seen, expected, "other-numbers")
    equal(seen, expected, "other-replay")


async def _judge_end(
    broker: Broker,
    service: Service,
    ada: Person,
    stream: Any,
    goodbye: bool,
    before: int,
) -> None:
    if goodbye:
        await ada.leave()
    else:
        ada.vanish()
    await stream.publish("log.patio", b"seis")
    await until(lambda: not service.running)
    if service.running:
        raise Wrong("never-ends")
    for error in service.closed:
        raise Wrong("closed-escapes", seen=error)
    for failure in service.errors:
        if type(failure).__name__ == BAD_SUBSCRIPTION:
            raise Wrong("unsubscribes-twice", seen=failure)
    _raise_errors(service)
    for consumer in await stream.consumers_info("log"):
        if name := consumer.config.durable_name:
            raise Wrong("durable", name=name)
    left = await broker.settles(before)
    if left > before:
        raise Wrong("keeps-subscription", expected=0, seen=left - before)


class _Backends:
    """Three servers that count who comes, and can be stopped."""

    def __init__(self) -> None:
        self.taken: dict[int, int] = {}
        self._servers: dict[int, asyncio.Server] = {}

    async def start(self, port: int = 0) -> int:
        """Start one; returns its port."""

        async def accept(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            own = writer.get_extra_info("sockname")[1]
            self.taken[own] = self.taken.get(own, 0) + 1
            writer.write(b"hola")
            with suppress(OSError):
                await reader.read()
            writer.close()

        server = await asyncio.start_server(accept, "127.0.0.1", port)
        port = server.sockets[0].getsockname()[1]
        self._servers[port] = server
        return port

    def stop(self, port: int) -> None:
        """Stop one: its port refuses from now on."""
        self._servers.pop(port).close()

    def stop_all(self) -> None:
        """Stop those that are left."""
        for port in [*self._servers]:
            self.stop(port)

    async def counts(
        self,
        answer: Answer,
        ports: list[int],
        order: list[int],
        people: int = 6,
    ) -> list[int]:
        """They connect; how many came to each port, in the given order."""
        self.taken.clear()
        for _ in range(people):
            await self._connect(answer, ports)
        if (taken := sum(self.taken.values())) > people:
            raise Wrong("too-many", people=people, taken=taken)
        return [self.taken.get(port, 0) for port in order]

    async def counts_at_once(
        self,
        answer: Answer,
        ports: list[int],
        order: list[int],
        people: int,
        mistake: str,
    ) -> list[int]:
        """They connect at once; the same. None may fail."""
        self.taken.clear()
        for outcome in await asyncio.gather(
            *(self._connect(answer, ports) for _ in range(people)),
            return_exceptions=True,
        ):
            if isinstance(outcome, Wrong):
                raise outcome
            if outcome is not None:
                raise Wrong(mistake, seen=outcome)
        return [self.taken.get(port, 0) for port in order]

    async def _connect(self, answer: Answer, ports: list[int]) -> None:
        opened = await answer(ports)
        try:
            reader, writer = opened
            hello = await patiently(reader.read(4))
        except (TypeError, ValueError, AttributeError):
            raise Wrong("no-streams", seen=opened) from None
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        equal(hello, b"hola", "no-streams")


# On Windows each attempt that is refused takes two seconds.
SLOW = sys.platform == "win32"


@exercise("26.5", parameters=1, limit=90 if SLOW else 30, picture=None)
async def open_backend(answer: Answer) -> Right:
    backends = _Backends()
    try:
        ports = [await backends.start() for _ in range(3)]
        places = sorted(ports)
        await _judge_turns(backends, answer, ports, places)
    finally:
        backends.stop_all()
    return Right()


async def _judge_turns(
    backends: _Backends, answer: Answer, ports: list[int], places: list[int]
) -> None:
    order = [*ports]
    seen = await backends.counts(answer, ports, order)
    if sorted(seen) == [0, 0, 6]:
        raise Wrong("always-one", expected=[2, 2, 2], seen=seen)
    equal(seen, [2, 2, 2], "no-turns")
    for _ in range(3):  # nor is it luck
        seen = await backends.counts(answer, ports, order, 3)
        equal(seen, [1, 1, 1], "no-turns")
    backends.stop(order[1])
    try:
        seen = await backends.counts(answer, ports, order)
    except OSError as error:
        if error.errno is None:  # the answer's own
            raise Wrong("gives-up-at-once", seen=error) from None
        raise Wrong("dead-port-raises", seen=error) from None
    if sorted(ports) != places:
        raise Wrong("deleted", expected=places, seen=sorted(ports))
    if 0 in (seen[0], seen[2]):
        raise Wrong("skips-one", expected=[3, 0, 3], seen=seen)
    of_two = seen
    backends.stop(order[0])
    try:
        seen = await backends.counts(answer, ports, order)
    except OSError as error:
        raise Wrong("gives-up-early", seen=error) from None
    equal(seen, [0, 0, 6], "gives-up-early")
    for turn in range(3):  # the one that lives stands in each place once
        ports[:] = order[2 - turn :] + order[: 2 - turn]
        try:
            await backends.counts(answer, ports, order, 1)
        except OSError as error:
            raise Wrong("gives-up-early", seen=error) from None
    equal(of_two, [3, 0, 3], "uneven")
    backends.stop_all()
    await _judge_none(answer, ports)
    for port in order:
        await backends.start(port)
    try:
        seen = await backends.counts(answer, ports, order)
    except OSError:
        seen = [0, 0, 0]
    if sorted(ports) != places or 0 in seen:
        raise Wrong("deleted", expected=[2, 2, 2], seen=seen)
    seen = await backends.counts_at_once(
        answer, ports, order, 6, "at-once-fails"
    )
    equal(seen, [2, 2, 2], "at-once-uneven")
    await _judge_other_lists(backends, answer, order)
    two = order[1:]  # by now the first of them refuses
    for _ in range(2):  # whatever turn it kept
        await backends.counts_at_once(answer, two, two, 2, "at-once-gives-up")


async def _judge_other_lists(
    backends: _Backends, answer: Answer, order: list[int]
) -> None:
    """Another balancer, with one port or none."""
    try:
        seen = await backends.counts(answer, order[2:], order, 3)
    except OSError as error:
        raise Wrong("own-list", seen=error) from None
    equal(seen, [0, 0, 3], "own-list")
    longer = [*order[:2], *[await backends.start() for _ in range(2)]]
    for port in longer:
        backends.stop(port)
    try:
        await backends.counts(answer, [*longer, order[2]], order, 1)
    except OSError as error:
        raise Wrong("few-tries", seen=error) from None
    try:
        nothing = await answer([])
    except ConnectionError:
        return
    except Exception as error:
        raise Wrong("no-ports", seen=error) from None
    raise Wrong("no-ports", seen=nothing)


async def _judge_none(answer: Answer, ports: list[int]) -> None:
    """All refuse."""
    opening = asyncio.ensure_future(answer(ports))
    if not await ends(opening, 20 if SLOW else 8):
        raise Wrong("never-gives-up")
    try:
        seen = opening.result()
    except ConnectionError:
        return
    except Exception as error:
        raise Wrong("other-exception", seen=error) from None
    raise Wrong("returns-nothing", seen=seen)
