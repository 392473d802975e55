"""Judges the exercises of lesson 11."""

from __future__ import annotations

import asyncio
from typing import Any

from websockets.asyncio.server import ServerConnection, broadcast
from websockets.exceptions import ConnectionClosed

from aula.exercises.exercise import Answer, Right, Wrong, exercise
from aula.exercises.prediction import Program, refuse_other
from aula.judges.mistakes import (
    CHANGED_SIZE,
    NOT_DATA,
    awaits_none,
    equal,
    frames,
    leaves,
)
from aula.judges.servers import Person, Service
from aula.judges.waiting import MOMENT, TURN, ends, until

HUGE = "latte " * 2**18  # more than the buffers between the ends take
HUGER = "mocha " * 2**18  # and another


@exercise("11.1", parameters=2, limit=9, picture="wiretap")
async def register(answer: Answer) -> Right:
    connected: set[Any] = set()
    async with Service(answer, connected) as service:
        ada = await service.visit()
        lima = await service.visit()
        await until(lambda: len(connected) == 2)
        service.raise_errors()
        equal(len(connected), 2, "never-registers")
        await ada.send("how many?")
        await ada.send("how many?")
        await _judge_replies(service, ada, ["2", "2"])
        await lima.leave()
        await until(lambda: len(connected) == 1 and lima.gone)
        equal(lima.heard, [], "told-all")
        _refuse_presence(connected, ada, "stays")
        eva = await service.visit()
        await until(lambda: len(connected) == 2)
        eva.vanish()
        await until(lambda: len(connected) == 1)
        _refuse_presence(connected, ada, "ghost")
        await _leave_unanswered(service)
        await until(lambda: service.running == 1)
        service.raise_errors()
        if service.closed:
            raise Wrong("error-escapes")
        await ada.send("how many?")
        await _judge_replies(service, ada, ["2", "2", "1"])
        await ada.send("and now?")
        if not await until(lambda: len(ada.heard) > 3):
            raise Wrong("one-text-only")
        await ada.send("")
        if not await until(lambda: len(ada.heard) > 4):
            raise Wrong("empty-message")
        await _judge_departures(service, connected, ada)
    return Right()


async def _leave_unanswered(service: Service) -> None:
    """Somebody asks, and says goodbye before an answer can come."""
    person = await service.visit()
    for _ in range(5):
        await person.send("how many?")
    await person.leave()


async def _judge_replies(
    service: Service, ada: Person, expected: list[str]
) -> None:
    await until(lambda: len(ada.heard) == len(expected) or ada.gone)
    _raise_errors(service)
    if ada.gone:
        raise Wrong("hangs-up", expected=expected, seen=ada.heard)
    if ada.heard in (["0", "0"], ["1", "1"]):
        await _refuse_fixed_number(service, ada, expected)
    if ada.heard == expected[:1]:
        raise Wrong("first-only", expected=expected, seen=ada.heard)
    if len(ada.heard) == 3 and ada.heard[:2] == expected[:2]:
        equal(ada.heard, expected, "not-from-the-set")
    equal(ada.heard, expected, "other-replies")


async def _refuse_fixed_number(
    service: Service, ada: Person, expected: list[str]
) -> None:
    """One more arrives, and the number stays the same."""
    seen = [*ada.heard]
    await service.visit()
    await ada.send("how many?")
    await until(lambda: len(ada.heard) > len(seen))
    if ada.heard[-1] == seen[0]:
        raise Wrong("counted-at-arrival", expected=expected, seen=seen)
    equal(seen, expected, "other-replies")


def _raise_errors(service: Service) -> None:
    for error in service.errors:
        if isinstance(error, TypeError) and NOT_DATA in f"{error}":
            raise Wrong("number-sent", seen=error)
    service.raise_errors()


def _refuse_presence(connected: set[Any], ada: Person, mistake: str) -> None:
    """Only Ada is still there."""
    if not connected:
        raise Wrong("evicts", expected=1, seen=0)
    equal(len(connected), 1, mistake)
    _refuse_eviction(connected, ada)


def _refuse_eviction(connected: set[Any], *people: Person) -> None:
    """As many are in the set as are still there. Is it these?"""
    if not all(isinstance(one, ServerConnection) for one in connected):
        raise Wrong("not-connections", seen=[*connected][:1])
    seen = {getattr(one, "remote_address", None) for one in connected}
    if len(connected) == len(people) and (
        seen != {person.address for person in people}
    ):
        raise Wrong("evicts-another")


async def _judge_departures(
    service: Service, connected: set[Any], ada: Person
) -> None:
    """Some more arrive, and leave in that order, while Ada stays."""
    people = [ada] + [await service.visit() for _ in range(5)]
    await until(lambda: len(connected) == len(people))
    while len(people) > 1:
        await people.pop(1).leave()
        await until(lambda: len(connected) == len(people))
        _refuse_eviction(connected, *people)


@exercise("11.2", answer="prediction")
async def greetings(answer: Any, program: Program) -> Right:
    await program.run()
    if isinstance(answer, dict) and any(
        isinstance(count, str) for count in answer.values()
    ):
        equal(answer, program.result, "texts")
    if answer == {"Ada": 3, "Lima": 2, "Eva": 1}:
        equal(answer, program.result, "as-if-lima-stayed")
    if answer == {"Ada": 1, "Lima": 1, "Eva": 1}:
        equal(answer, program.result, "newcomer-alone")
    if answer == {"Ada": 2, "Lima": 0, "Eva": 0}:
        equal(answer, program.result, "not-the-newcomer")
    refuse_other(answer, program.result)
    return Right()


@exercise("11.3", parameters=2, limit=9, picture="wiretap")
async def tell_everyone(answer: Answer) -> Right:
    connected: set[Any] = set()

    async def stay(websocket: ServerConnection) -> None:
        connected.add(websocket)
        try:
            await websocket.wait_closed()
        finally:
            connected.discard(websocket)

    async with Service(stay, small=True) as service:
        people = [await service.visit() for _ in range(3)]
        await until(lambda: len(connected) == 3)
        before = asyncio.all_tasks()
        try:
            await answer(connected, "hola")
        except TypeError as error:
            if awaits_none(error):
                raise Wrong("awaits-broadcast", seen=error) from None
            raise
        if asyncio.all_tasks() - before:
            raise Wrong("leaves-tasks")
        equal(len(connected), len(people), "empties-set")
        for person in people:
            if not await person.hears("hola"):
                raise Wrong("unheard", expected=["hola"], seen=person.heard)
        for person in people:
            equal(person.heard, ["hola"], "more-than-that")
        await _judge_arrival(answer, service, connected, people)
        await _judge_farewell(answer, connected, people)
        await _judge_absence_of_one(answer, service, connected, people)
    try:
        await answer(set(), "hola")
    except Exception as error:
        raise Wrong("nobody-there", seen=error) from None
    return Right()


async def _judge_arrival(
    answer: Answer,
    service: Service,
    connected: set[Any],
    people: list[Person],
) -> None:
    """One does not read for a while; another arrives meanwhile."""
    sleeper = _first(connected, people)
    sleeper.sleep()
    before = asyncio.all_tasks()
    telling = asyncio.ensure_future(answer(connected, HUGE))
    await asyncio.wait({telling}, timeout=0.1)
    if telling.done():
        left = asyncio.all_tasks() - before - {telling}
        if not await until(lambda: all(task.done() for task in left), MOMENT):
            raise Wrong("leaves-tasks")
    newcomer = await service.visit()
    await until(lambda: len(connected) == 4)
    sleeper.wake()
    await _judge_end(telling)
    await sleeper.hears(HUGE)
    if await until(lambda: sleeper.gone, 5 * TURN):
        raise Wrong("cuts-slow")
    for person in people:
        if not await person.hears(HUGE):
            raise Wrong("arrival-ends-all")
    people.append(newcomer)


async def _judge_farewell(
    answer: Answer, connected: set[Any], people: list[Person]
) -> None:
    """One does not read, and then vanishes."""
    sleeper = _first(connected, people)
    sleeper.sleep()
    telling = asyncio.ensure_future(answer(connected, HUGER))
    await asyncio.wait({telling}, timeout=0.1)
    sleeper.vanish()
    await _judge_end(telling)
    for person in people:
        if person is not sleeper and not await person.hears(HUGER):
            raise Wrong("others-unheard")


async def _judge_absence_of_one(
    answer: Answer,
    service: Service,
    connected: set[Any],
    people: list[Person],
) -> None:
    """One has said goodbye, and is in the set all the same."""
    before = {*connected}
    person = await service.visit()
    await until(lambda: connected - before)
    gone = connected - before
    await person.leave()
    await until(lambda: connected == before)
    await _judge_end(asyncio.ensure_future(answer(before | gone, "adios")))
    for person in people:
        if not person.gone and not await person.hears("adios"):
            raise Wrong("others-unheard")
        if any(person.heard.count(text) > 1 for text in (HUGE, HUGER)):
            raise Wrong("told-twice")


async def _judge_end(telling: asyncio.Future[Any]) -> None:
    if not await ends(telling, 3):
        raise Wrong("waits-on")
    try:
        telling.result()
    except Exception as error:
        for leaf in leaves(error):
            if CHANGED_SIZE in f"{leaf}":
                raise Wrong("changed-half-way", seen=leaf) from None
            if isinstance(leaf, ConnectionClosed):
                raise Wrong("gone-ends-all", seen=error) from None
        raise


def _first(connected: set[Any], people: list[Person]) -> Person:
    """Who is the first that a loop over the set comes to."""
    first = next(iter(connected)).remote_address
    return next(one for one in people if one.address == first)


@exercise("11.4", parameters=2, limit=9, picture="wiretap")
async def headcount(answer: Answer) -> Right:
    connected: set[Any] = set()
    async with Service(answer, connected, small=True) as service:
        ada = await service.visit()
        await _judge_counts(service, "on-arrival", ada, ["1"])
        if await until(lambda: ada.gone, MOMENT):
            raise Wrong("sent-away", expected=["1"], seen=ada.heard)
        equal(len(connected), 1, "not-in-the-set")
        lima = await service.visit()
        await _judge_counts(service, "others-not-told", ada, ["1", "2"])
        await _judge_counts(service, "newcomer-not-told", lima, ["2"])
        eva = await service.visit()
        for person, counts in (ada, ["1", "2", "3"]), (eva, ["3"]):
            await _judge_counts(service, "others-not-told", person, counts)
        eva.vanish()
        await until(lambda: len(ada.heard) > 3)
        equal(len(connected), 2, "still-in-the-set")
        _refuse_eviction(connected, ada, lima)
        if ada.heard[3:4] == ["3"]:
            raise Wrong("counts-who-left", expected="2", seen="3")
        await _judge_counts(
            service, "silent-farewell", ada, ["1", "2", "3", "2"]
        )
        for text in ("hola", "", "bye"):
            await lima.send(text)
        if await until(lambda: lima.gone, MOMENT):
            raise Wrong("message-ends", expected=["3", "2"], seen=lima.heard)
        await lima.leave()
        await until(lambda: len(connected) == 1)
        _refuse_eviction(connected, ada)
        await _judge_counts(
            service, "silent-farewell", ada, ["1", "2", "3", "2", "1"]
        )
        await _judge_departures(service, connected, ada)
        await ada.leave()
        await until(lambda: not service.running)
        equal(len(connected), 0, "still-in-the-set")
        await _judge_leaving_together(service, connected)
        await _judge_arriving_together(service, connected)
        _refuse_close(service)
        service.raise_errors()
    return Right()


def _refuse_close(service: Service) -> None:
    for error in service.closed:
        # Sending to somebody who has gone, or waiting for her own end?
        if any(frame.f_code.co_name == "send" for frame in frames(error)):
            raise Wrong("send-escapes", seen=error)
        raise Wrong("closed-escapes")


async def _judge_leaving_together(
    service: Service, connected: set[Any]
) -> None:
    """Two are gone before either's handler can tell of it."""
    ada = await service.visit()
    for vanish in (True, False):
        pair = [await service.visit(), await service.visit()]
        await until(lambda: ada.heard[-1:] == ["3"])
        if vanish:
            for person in pair:
                person.vanish()
        else:
            await asyncio.gather(*[person.leave() for person in pair])
        await until(lambda: len(connected) == 1)
        _refuse_close(service)
        equal(len(connected), 1, "still-in-the-set")
        if not await until(lambda: ada.heard[-1:] == ["1"]):
            raise Wrong("silent-farewell", expected="1", seen=ada.heard[-1])


async def _judge_arriving_together(
    service: Service, connected: set[Any]
) -> None:
    """One does not read for a while; others arrive meanwhile."""
    before = {*connected}
    sleeper = await service.visit()
    await until(lambda: connected - before)
    sleeper.sleep()
    broadcast(connected - before, HUGE)
    for _ in range(2):
        await service.visit()
        await asyncio.sleep(MOMENT)
    sleeper.wake()
    await asyncio.sleep(MOMENT)
    for error in service.errors:
        if CHANGED_SIZE in f"{error}":
            raise Wrong("changed-half-way", seen=error)


async def _judge_counts(
    service: Service, mistake: str, person: Person, expected: list[str]
) -> None:
    await until(lambda: len(person.heard) >= len(expected) or person.gone)
    for error in service.errors:
        if awaits_none(error):
            raise Wrong("awaits-broadcast", seen=error)
    _raise_errors(service)
    if person.gone:
        raise Wrong("sent-away", expected=expected, seen=person.heard)
    if len(person.heard) < len(expected):
        raise Wrong(mistake, expected=expected, seen=person.heard)
    equal(person.heard, expected, "other-counts")
