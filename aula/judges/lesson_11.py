"""Judges the exercises of lesson 11."""

from __future__ import annotations

from typing import Any

from aula.exercises.exercise import Answer, Right, Wrong, exercise
from aula.judges.mistakes import equal
from aula.judges.servers import Person, Service
from aula.judges.waiting import until


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
        _refuse_presence(connected, "stays")
        eva = await service.visit()
        await until(lambda: len(connected) == 2)
        eva.vanish()
        await until(lambda: len(connected) == 1)
        _refuse_presence(connected, "ghost")
        await until(lambda: service.running == 1)
        if service.closed:
            raise Wrong("error-escapes")
        await ada.send("how many?")
        await _judge_replies(service, ada, ["2", "2", "1"])
    return Right()


async def _judge_replies(
    service: Service, ada: Person, expected: list[str]
) -> None:
    await until(lambda: len(ada.heard) == len(expected) or ada.gone)
    service.raise_errors()
    if ada.gone:
        raise Wrong("hangs-up", expected=expected, seen=ada.heard)
    equal(ada.heard, expected, "other-replies")


def _refuse_presence(connected: set[Any], mistake: str) -> None:
    """Only Ada is still there."""
    if not connected:
        raise Wrong("evicts", expected=1, seen=0)
    equal(len(connected), 1, mistake)
