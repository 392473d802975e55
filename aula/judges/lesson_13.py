"""Judges the exercises of lesson 13."""

from __future__ import annotations

import asyncio
import dis
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from websockets.asyncio.server import ServerConnection

from aula.exercises.exercise import Answer, Right, Wrong, exercise
from aula.exercises.prediction import Program, refuse_other
from aula.instruments.record import Recorder
from aula.judges.mistakes import CHANGED_SIZE, NONE, all_over, equal
from aula.judges.servers import Person, Service
from aula.judges.waiting import MOMENT, PATIENCE, TURN, until

BIG = "x" * 2**20  # more than lies between a server and a client
VANISHED = 1006  # the code of a connection that was closed without a goodbye


@exercise("13.1", answer="prediction", picture="wiretap")
async def lima_hears(answer: Any, program: Program) -> Right:
    await program.run()
    if answer == ["+Ada", "+Lima", "+Eva", "-Eva", "-Ada"]:
        equal(answer, program.result, "as-if-told-before")
    if answer == ["+Eva", "-Eva", "-Ada"]:
        equal(answer, program.result, "as-if-not-herself")
    if answer == ["+Lima", "+Eva", "-Ada"]:
        equal(answer, program.result, "as-if-unnoticed")
    if answer == ["+Lima", "+Eva", "-Eva", "-Ada", "-Lima"]:
        equal(answer, program.result, "as-if-still-there")
    if answer == ["Lima", "Eva", "Eva", "Ada"]:
        equal(answer, program.result, "no-signs")
    refuse_other(answer, program.result)
    return Right()


@exercise("13.2", parameters=2, limit=12, picture="wiretap")
async def in_room(answer: Answer) -> Right:
    rooms: dict[Any, Any] = {}
    try:
        await _judge_rooms(answer, rooms)
    except KeyError as error:
        if error.args and error.args[0] in (*rooms, "/garden", "/kitchen"):
            raise Wrong("room-gone", seen=error) from None
        raise
    return Right()


async def _judge_rooms(answer: Answer, rooms: dict[Any, Any]) -> None:
    async with Service(answer, rooms, small=True) as service:
        ada = await service.visit("/garden")
        lima = await service.visit("/garden")
        eva = await service.visit("/kitchen")
        # The last to arrive must be in her room, too.
        await asyncio.sleep(MOMENT)
        if _connections(rooms.get("/garden")) == 1:
            raise Wrong("overwritten", seen=rooms)
        await ada.send("hola")
        await eva.send("anybody?")
        heard = await lima.hears("hola")
        await asyncio.sleep(MOMENT)
        if heard or eva.heard:
            _refuse_company(ada, lima, eva)
        if not heard:
            service.raise_errors()
            together = _has_two(rooms.get("/garden"))
            await _refuse_first_lost(ada, lima)
            raise Wrong(
                "not-told" if together else "silent",
                expected=["hola"],
                seen=lima.heard,
            )
        lima.vanish()
        await until(lambda: service.running == 2)
        bob = await service.visit("/garden")
        await asyncio.sleep(MOMENT)
        await ada.send("hola, Bob")
        if not await bob.hears("hola, Bob"):
            await bob.send("hola, Ada")
            if await ada.hears("hola, Ada"):
                raise Wrong("one-message-each", expected=["hola, Bob"])
            raise Wrong("room-closed", expected=["hola, Bob"], seen=bob.heard)
        service.raise_errors()
        if service.closed:
            raise Wrong("error-escapes")
        await _judge_others_stay(service, ada, bob)
        await _judge_longer_path(service, ada, eva)
        await _judge_coming_and_going(service, ada, bob)
        for person in ada, bob, eva:
            await person.leave()
        await until(lambda: not rooms)
        _refuse_deleting(service)
        service.raise_errors()
        for path, room in rooms.items():
            if count := _connections(room):
                if all(one.close_code == VANISHED for one in room):
                    raise Wrong("vanished-stay", path=path, count=count)
                raise Wrong("ghosts", path=path, count=count)
        equal(sorted(map(str, rooms)), [], "empty-rooms")


async def _refuse_first_lost(ada: Person, lima: Person) -> None:
    """Whether they hear each other once each of them has said something."""
    await lima.send("hola, Ada")
    await asyncio.sleep(MOMENT)
    await ada.send("hola, Lima")
    if await lima.hears("hola, Lima"):
        raise Wrong("first-message-lost", expected=["hola"], seen=lima.heard)


async def _visit_room(service: Service, path: str) -> Person:
    """Somebody whom the handler has let into a room."""
    before = service.running
    person = await service.visit(path)
    await until(lambda: service.running > before)
    return person


async def _judge_others_stay(
    service: Service, ada: Person, bob: Person
) -> None:
    """Some more come, and leave in that order; then Bob talks to Ada."""
    people = [await _visit_room(service, "/garden") for _ in range(4)]
    while people:
        await people.pop(0).leave()
        # Ada, Bob and Eva are still there.
        await until(lambda: service.running == 3 + len(people))
        text = f"hola, all {len(people) + 2}"
        await bob.send(text)
        for person in (ada, *people):
            if not await person.hears(text):
                service.raise_errors()
                raise Wrong("evicts-another", expected=[text])
    for text in ("", "again", "again", "that is all"):
        await bob.send(text)
    heard = await ada.hears("that is all")
    service.raise_errors()
    if bob.gone or (heard and "" not in ada.heard):
        raise Wrong("empty-message")
    if ada.heard.count("again") < 2:
        raise Wrong("equal-messages")


async def _judge_longer_path(
    service: Service, ada: Person, eva: Person
) -> None:
    """Two come to a room whose path has those of other rooms in it."""
    kate = await _visit_room(service, "/kitchen/garden")
    noa = await _visit_room(service, "/kitchen/garden")
    capital = await _visit_room(service, "/Garden")
    await ada.send("from the garden")
    await eva.send("from the kitchen")
    await noa.send("from here")
    await kate.hears("from here")
    await asyncio.sleep(5 * TURN)
    if kate.heard != ["from here"] or "from here" in ada.heard + eva.heard:
        raise Wrong("part-of-path", expected=["from here"], seen=kate.heard)
    equal(capital.heard, [], "no-capitals")
    before = service.running
    for person in kate, noa, capital:
        await person.leave()
    await until(lambda: service.running == before - 3)
    _refuse_deleting(service)


def _refuse_deleting(service: Service) -> None:
    """Refuse a loop over the rooms that deletes some of them."""
    for error in service.errors:
        if f"dictionary {CHANGED_SIZE}" in f"{error}":
            raise Wrong("deleted-half-way", seen=error)


async def _judge_coming_and_going(
    service: Service, ada: Person, bob: Person
) -> None:
    """Two people come while one does not read; then that one vanishes."""
    sleeper = await _visit_asleep(service)
    await ada.send(BIG)
    await asyncio.sleep(MOMENT)
    late = [await service.visit("/garden") for _ in range(2)]
    await asyncio.sleep(MOMENT)
    sleeper.wake()
    await sleeper.hears(BIG)
    for error in service.errors:
        if CHANGED_SIZE in f"{error}":
            raise Wrong("changed-half-way", seen=error)
    await sleeper.leave()
    # Another one: who has read much is given bigger buffers by the system.
    sleeper = await _visit_asleep(service)
    await ada.send(BIG[1:])
    await asyncio.sleep(MOMENT)
    sleeper.vanish()
    await asyncio.sleep(MOMENT)
    await ada.send("still there?")
    heard = await bob.hears(BIG, BIG[1:], "still there?")
    service.raise_errors()
    if not heard:
        raise Wrong("gone-ends-all")
    for person in late:
        await person.leave()


async def _visit_asleep(service: Service) -> Person:
    sleeper = await service.visit("/garden")
    await asyncio.sleep(MOMENT)
    sleeper.sleep()
    return sleeper


def _refuse_company(ada: Person, lima: Person, eva: Person) -> None:
    """Nobody hears another room, or herself."""
    if "hola" in eva.heard or "anybody?" in ada.heard + lima.heard:
        raise Wrong("one-room")
    if "hola" in ada.heard or "anybody?" in eva.heard:
        raise Wrong("hears-herself", seen=ada.heard + eva.heard)


def _has_two(room: Any) -> bool:
    """Whether two connections are in a room, whatever it is."""
    with suppress(TypeError):
        return len(room) == 2
    return False


def _connections(room: Any) -> int:
    """How many connections can be seen in a room."""
    with suppress(TypeError):
        return sum(isinstance(one, ServerConnection) for one in room)
    return 0


GOOD = [
    {"type": "join", "name": "Ada"},
    {"type": "join", "name": ""},
    {"type": "say", "text": "hola"},
    {"type": "say", "text": ""},
    {"type": "join", "name": " Ada "},
    {"type": "say", "text": " hola\n"},
]
NO_JSON = ["hola", '{"type": ']
NO_OBJECTS = ["[1, 2]", '"hola"', "3", "null"]
UNKNOWN = ['{"type": "dance"}', '{"name": "Ada"}']
LIKE_KNOWN = [
    '{"type": "JOIN", "name": "Ada"}',
    '{"type": "joined", "name": "Ada"}',
    '{"type": " say", "text": "hola"}',
]
ODD_TYPES = [
    '{"type": ["join"], "name": "Ada"}',
    '{"type": null, "name": "Ada"}',
]
INCOMPLETE = ['{"type": "join"}', '{"type": "say", "name": "Ada"}']
NO_TEXTS = ['{"type": "join", "name": ["Ada"]}', '{"type": "say", "text": 3}']
NO_TEXTS_EITHER = [
    f'{{"type": "{kind}", "{field}": {value}}}'
    for kind, field in (("join", "name"), ("say", "text"))
    for value in ("3", "null", "true", "{}")
]
NESTED = "[" * 100_000


@exercise("13.3", answer="function", parameters=1, limit=3, picture=None)
async def parse(answer: Answer) -> Right:
    for request in GOOD:
        message = json.dumps(request)
        try:
            seen = answer(message)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            seen = error
        equal(seen, request, "refused", message=message)
    _refuse_taken(answer, NO_JSON, "no-error")
    for message, seen in _taken(answer, NO_OBJECTS):
        if isinstance(seen, Exception):
            raise Wrong("not-an-object", message=message, seen=seen)
        _refuse_none(message, seen)
        raise Wrong("anything", message=message, seen=seen)
    _refuse_taken(answer, UNKNOWN + LIKE_KNOWN, "any-type")
    for message, seen in _taken(answer, ODD_TYPES):
        if isinstance(seen, Exception):
            raise Wrong("no-key", message=message, seen=seen)
        _refuse_none(message, seen)
        raise Wrong("any-type", message=message, seen=seen)
    _refuse_taken(answer, INCOMPLETE, "no-field")
    captured = getattr(answer, "__code__", None)
    if captured is not None and "str" in captured.co_varnames:
        _refuse_taken(answer, NO_TEXTS, "str-captures")
    _refuse_taken(answer, NO_TEXTS + NO_TEXTS_EITHER, "any-value")
    try:
        _refuse_taken(answer, [NESTED], "no-error")
    except RecursionError as error:
        raise Wrong("too-deep", seen=error) from None
    return Right()


def _refuse_taken(answer: Answer, messages: list[str], mistake: str) -> None:
    """Each message must be refused with a ValueError."""
    for message, seen in _taken(answer, messages):
        if isinstance(seen, Exception):
            raise Wrong("other-error", message=message, seen=seen)
        _refuse_none(message, seen)
        raise Wrong(mistake, message=message, seen=seen)


def _refuse_none(message: str, seen: Any) -> None:
    if seen is None:
        raise Wrong("falls-through", message=message, seen=seen)


def _taken(answer: Answer, messages: list[str]) -> Iterator[tuple[str, Any]]:
    """The messages that are not refused with a ValueError, and what came."""
    for message in messages:
        try:
            yield message, answer(message)
        except ValueError as error:
            if not f"{error}":
                raise Wrong("no-reason", message=message) from None
        except AssertionError:
            raise Wrong("assertion", message=message) from None
        except RecursionError:
            raise
        except Exception as error:
            if _is_own(error):
                raise Wrong(
                    "other-class",
                    message=message,
                    name=type(error).__name__,
                    seen=error,
                ) from None
            if not isinstance(error, KeyError | TypeError | AttributeError):
                raise
            yield message, error


def _is_own(error: Exception) -> bool:
    """Whether the answer says ``raise`` itself, not what it has called."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None or last.tb_frame.f_globals.get("__name__") == "json":
        return False
    code = last.tb_frame.f_code.co_code
    return code[last.tb_lasti] == dis.opmap["RAISE_VARARGS"]


EARLY = "too early"
NONSENSE = ["hola", "[1, 2]", *UNKNOWN, ODD_TYPES[0], *INCOMPLETE, *NO_TEXTS]
NONSENSE.append(NESTED)
ERROR = '{"type": "error", "reason": …}'
ROOM = 20
# None of them is what some would make of it: with one capital only, without
# the spaces around it, the first word, so many letters.
SHAPES = ["NOÉ", "Ana María de la Cruz López", "  eva  "]
ALOUD = "  ¡HOLA,  Ada!\n"
# The first text fills what lies between, and of the others 20 may wait.
TALK = [BIG, *(f"{number}{BIG[: 2**17]}" for number in range(25))]


@exercise("13.4", parameters=2, limit=20, picture="wiretap")
async def chat_server(answer: Answer, run: Recorder) -> Right:
    try:
        await _judge_chat(answer, run)
    except KeyError as error:
        if error.args == (None,):
            raise Wrong("deletes-nobody", seen=error) from None
        raise
    except UnboundLocalError as error:
        if name := re.search(r"'(\w+)'", f"{error}"):
            raise Wrong("no-value-yet", name=name[1], seen=error) from None
        raise
    return Right()


async def _judge_chat(answer: Answer, run: Recorder) -> None:
    async with Service(answer, {}) as service:
        ada, lima = await _judge_welcome(service)
        eva = await service.visit()
        await _judge_nonsense(service, eva, ada)
        await _judge_taken_name(service, eva, ada)
        await _judge_talk(service, lima, "adios", [ada, lima, eva])
        await _judge_vanishing(service, eva, ada, lima)
        await lima.leave()
        await _refuse_silence(
            service, [ada], "ghost", type="left", name="Lima"
        )
        await ada.leave()
        await until(lambda: not service.running)
        service.raise_errors()
        if not await until(lambda: all_over(run)):
            raise Wrong("delivery-stays")
    await _judge_second_join(answer)
    await _judge_empty_name(answer)
    await _judge_shapes(answer)
    await _judge_sleeper(answer)


def _request(**fields: str) -> str:
    return json.dumps(fields)


async def _join(service: Service, name: str) -> Person:
    person = await service.visit()
    await person.send(_request(type="join", name=name))
    return person


async def _refuse_silence(
    service: Service, people: list[Person], mistake: str, **fields: str
) -> None:
    """Each of these people has to hear an event with these fields."""
    for person in people:
        if not await _hears(person, **fields):
            service.raise_errors()
            raise Wrong(
                mistake,
                expected=json.dumps(fields),
                seen=_heard(person)[-3:],
                name=fields["name"],
            )


async def _hears(
    person: Person, seconds: float = PATIENCE, /, **fields: str
) -> bool:
    return await until(lambda: _events(person, **fields), seconds)


def _events(person: Person, **fields: str) -> list[dict[str, Any]]:
    """The events that a person has heard and that have these fields."""
    events = map(_event, person.heard)
    return [event for event in events if fields.items() <= event.items()]


def _event(message: str | bytes) -> dict[str, Any]:
    """A message as a dictionary; one that is none is its own text."""
    with suppress(ValueError):
        event = json.loads(message)
        if isinstance(event, dict):
            return {name: _plain(value) for name, value in event.items()}
    return {"text": f"{message!s}"}


def _plain(value: Any) -> str | None:
    return value if isinstance(value, str | None) else repr(value)


def _heard(person: Person) -> list[str]:
    """What a person has heard, for showing."""
    return [f"{message!s}"[:80] for message in person.heard]


async def _judge_welcome(service: Service) -> tuple[Person, Person]:
    """Ada and Lima join and talk."""
    ada = await _join(service, "Ada")
    try:
        await _refuse_silence(
            service, [ada], "nobody-joins", type="joined", name="Ada"
        )
    except Wrong:
        names = [event.get("name") for event in _events(ada, type="joined")]
        if "ada" in [f"{name}".casefold() for name in names]:
            raise Wrong(
                "name-changed", expected="Ada", seen=names[0]
            ) from None
        raise
    except (AttributeError, TypeError) as error:
        if NONE in f"{error}":
            raise Wrong("parse-unfinished", seen=error) from None
        raise
    lima = await _join(service, "Lima")
    await _refuse_silence(
        service, [ada, lima], "not-joined", type="joined", name="Lima"
    )
    await _judge_talk(service, lima, "hola", [ada, lima])
    return ada, lima


async def _judge_talk(
    service: Service, lima: Person, text: str, everyone: list[Person]
) -> None:
    await lima.send(_request(type="say", text=text))
    await _refuse_silence(
        service, everyone, "not-said", type="said", name="Lima", text=text
    )


async def _judge_nonsense(service: Service, eva: Person, ada: Person) -> None:
    """To each message that deserves an error, Eva alone hears one."""
    for message in [*NONSENSE, _request(type="say", text=EARLY)]:
        await _judge_error(service, eva, ada, message)


async def _judge_error(
    service: Service, eva: Person, ada: Person, message: str
) -> None:
    shown = f"{message:.60}"
    before = len(_events(eva, type="error"))
    await eva.send(message)
    await until(
        lambda: (
            len(_events(eva, type="error")) > before
            or eva.gone
            or _events(ada, text=EARLY)
            or _events(ada, type="error")
        )
    )
    if await until(lambda: eva.gone, 3 * TURN):
        if len(_events(eva, type="error")) > before:
            raise Wrong("one-error-only", message=shown)
        raise Wrong("thrown-out", message=shown, seen=service.failure())
    if _events(ada, type="said", text=EARLY):
        raise Wrong("too-early", seen=_heard(ada)[-1:])
    if _events(ada, type="error"):
        raise Wrong("told-all", seen=_heard(ada)[-1:])
    errors = _events(eva, type="error")
    if len(errors) == before:
        raise Wrong(
            "no-answer",
            expected=ERROR,
            seen=_heard(eva)[before:],
            message=shown,
        )
    _refuse_no_reason(eva)


def _refuse_no_reason(person: Person) -> None:
    errors = _events(person, type="error")
    if not all(error.get("reason") for error in errors):
        raise Wrong("no-reason", seen=_heard(person)[-1:])


async def _judge_taken_name(
    service: Service, eva: Person, ada: Person
) -> None:
    """Eva tries to join as Ada, then joins as Eva."""
    before = len(_events(eva, type="error"))
    await eva.send(_request(type="join", name="Ada"))
    await until(
        lambda: (
            len(_events(eva, type="error")) > before
            or eva.gone
            or len(_events(ada, type="joined", name="Ada")) > 1
            or _events(eva, type="joined", name="Ada")
        )
    )
    if len(_events(eva, type="error")) == before:
        if eva.gone:
            raise Wrong("refused-for-good")
        raise Wrong("name-stolen", expected=ERROR, seen=_heard(eva)[-1:])
    _refuse_no_reason(eva)
    await eva.send(_request(type="join", name="Eva"))
    await _refuse_silence(
        service, [eva], "no-second-chance", type="joined", name="Eva"
    )


async def _judge_vanishing(
    service: Service, eva: Person, ada: Person, lima: Person
) -> None:
    """Eva vanishes and returns; visitors who never joined come and go."""
    eva.vanish()
    await _refuse_silence(
        service, [ada, lima], "ghost", type="left", name="Eva"
    )
    again = await _join(service, "Eva")
    await _refuse_silence(
        service, [again], "name-kept", type="joined", name="Eva"
    )
    before = len(ada.heard)
    await (await service.visit()).leave()
    (await service.visit()).vanish()
    await asyncio.sleep(MOMENT)
    service.raise_errors()
    equal(_heard(ada)[before:], [], "noise")
    if service.closed:
        raise Wrong("error-escapes")
    await again.leave()


async def _judge_second_join(answer: Answer) -> None:
    """Eva joins, errs, joins once more under another name, and leaves."""
    members: dict[Any, Any] = {}
    async with Service(answer, members) as service:
        ada = await _join(service, "Ada")
        await _hears(ada, type="joined", name="Ada")
        eva = await _join(service, "Eva")
        await _hears(eva, type="joined", name="Eva")
        await _judge_error(service, eva, ada, "hola")
        await _judge_false_name(eva)
        await _judge_same_name(eva)
        before = len(_events(eva, type="error"))
        await eva.send(_request(type="join", name="Eve"))
        await until(
            lambda: (
                len(_events(eva, type="error")) > before
                or _events(eva, type="joined", name="Eve")
                or eva.gone
            )
        )
        if _events(eva, type="joined", name="Eve"):
            raise Wrong("joined-twice", expected=ERROR, seen=_heard(eva)[-1:])
        for person in eva, ada:
            await person.leave()
        await until(lambda: not members)
        service.raise_errors()
        equal(sorted(map(str, members)), [], "two-names")
        if len(_events(eva, type="error")) == before:
            raise Wrong("second-join", expected=ERROR, seen=_heard(eva)[-1:])
        if _events(ada, type="error"):
            raise Wrong("told-all", seen=_heard(ada)[-1:])
        _refuse_no_reason(eva)


async def _judge_same_name(eva: Person) -> None:
    """Eva joins once more, under the name that she has."""
    before = len(_events(eva, type="error"))
    await eva.send(_request(type="join", name="Eva"))
    await until(
        lambda: (
            len(_events(eva, type="error")) > before
            or len(_events(eva, type="joined", name="Eva")) > 1
            or eva.gone
        )
    )
    if len(_events(eva, type="joined", name="Eva")) > 1:
        raise Wrong("joined-again", expected=ERROR, seen=_heard(eva)[-1:])


async def _judge_false_name(eva: Person) -> None:
    """Eva says something, in a request that has Ada's name in it."""
    before = len(_events(eva, type="error"))
    await eva.send(_request(type="say", name="Ada", text="not me"))
    await until(
        lambda: (
            _events(eva, text="not me")
            or len(_events(eva, type="error")) > before
        )
    )
    if _events(eva, type="said", name="Ada", text="not me"):
        raise Wrong("false-name", seen=_heard(eva)[-1:])


async def _judge_empty_name(answer: Answer) -> None:
    """Somebody joins under the empty name, says something and leaves."""
    async with Service(answer, {}) as service:
        ada = await _join(service, "Ada")
        await _hears(ada, type="joined", name="Ada")
        nobody = await _join(service, "")
        await _refuse_silence(
            service, [ada], "empty-name", type="joined", name=""
        )
        await nobody.send(_request(type="say", text="hola"))
        await _refuse_silence(
            service, [ada], "empty-name", type="said", name="", text="hola"
        )
        await nobody.send(_request(type="say", text=""))
        await _refuse_silence(
            service, [ada], "empty-text", type="said", name="", text=""
        )
        await nobody.leave()
        await _refuse_silence(
            service, [ada], "empty-name", type="left", name=""
        )


async def _judge_shapes(answer: Answer) -> None:
    """Names and texts of many shapes are told as they are."""
    async with Service(answer, {}) as service:
        ada = await _join(service, "Ada")
        await _hears(ada, type="joined", name="Ada")
        namesake = await _join(service, "ada")
        await _refuse_silence(
            service, [ada, namesake], "no-capitals", type="joined", name="ada"
        )
        for name in SHAPES:
            person = await _join(service, name)
            await _refuse_silence(
                service, [ada], "name-changed", type="joined", name=name
            )
            text = f"{name}{ALOUD}"
            await person.send(_request(type="say", text=text))
            if not await _hears(ada, type="said", text=text):
                service.raise_errors()
                raise Wrong(
                    "text-changed", expected=text, seen=_heard(ada)[-1:]
                )
            await _refuse_silence(
                service, [ada], "name-changed", type="said", name=name
            )
            await person.leave()
            await _refuse_silence(
                service, [ada], "name-changed", type="left", name=name
            )


async def _judge_sleeper(answer: Answer) -> None:
    """Somebody joins and never reads, while Lima talks on and on."""
    async with Service(answer, {}, small=True) as service:
        ada = await _join(service, "Ada")
        await _hears(ada, type="joined", name="Ada")
        lima = await _join(service, "Lima")
        sleeper = await _join(service, "Sleeper")
        await _hears(ada, type="joined", name="Sleeper")
        service.raise_errors()
        sleeper.sleep()
        for count, text in enumerate(TALK, 1):
            talking = asyncio.create_task(
                lima.send(_request(type="say", text=text))
            )
            if not await _hears(ada, 2 * PATIENCE, text=text):
                service.raise_errors()
                raise Wrong("held-up")
            await talking
            if _hears_left(ada):
                if count < ROOM:
                    raise Wrong("cut-early", count=count)
                break
            ada.heard.clear()
        if not await until(lambda: _hears_left(ada)):
            service.raise_errors()
            raise Wrong("never-cut", count=len(TALK))
        service.raise_errors()


def _hears_left(ada: Person) -> bool:
    return bool(_events(ada, type="left", name="Sleeper"))
