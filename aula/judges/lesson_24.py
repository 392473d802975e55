"""Judges the exercises of lesson 24: logs, who waits, leaks and a hunt."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError

from aula.exercises.exercise import Answer, Right, Wrong, exercise
from aula.exercises.prediction import Program, refuse_other
from aula.exercises.script import Process, Script
from aula.judges.mistakes import equal, refuse_none
from aula.judges.servers import (
    Person,
    address,
    calling,
    path_of,
    send_all,
    stop,
)
from aula.judges.waiting import MOMENT, until

# What Python says of a record without a connection, and of a connection that
# has not said its path.
NO_WEBSOCKET = "no attribute 'websocket'"
NO_REQUEST = "no attribute 'path'"
NO_EXC_INFO = "'NoneType' object is not subscriptable"
FAILED = {
    "/Lima": KeyError("horchata"),
    "/Eva": ZeroDivisionError("price"),
    "/Teo": ConnectionClosedError(None, None),
}
CUSTOMERS = [*FAILED, "/Lima"]  # one fails the handler twice
WITH_EXCEPTIONS = len(CUSTOMERS) + 2  # and Noa, and one without a path


@exercise("24.1", answer="function", parameters=1, picture=None)
async def failure_of(answer: Answer) -> Right:
    expected, seen = [], []
    for record in await _records():
        told = _failure(answer, record)
        right = _text(record)
        if right is None and told is not None:
            raise Wrong(
                "no-path-yet" if record.exc_info else "false-alarm",
                record=record.getMessage(),
                seen=told,
            )
        if right is None:
            continue
        expected.append(right)
        seen.append((told, record))
    told = [text for text, _ in seen]
    if not any(told):
        raise Wrong("missed", expected=expected, seen=told)
    for right, (text, record) in zip(expected, seen, strict=True):
        if text is None:
            raise Wrong(
                "left-out",
                record=record.getMessage(),
                level=record.levelname,
                expected=expected,
                seen=told,
            )
        if text != right and text == _text(record, inner=True):
            raise Wrong("inner-error", expected=right, seen=text)
    equal(told, expected, "other-text")
    return Right()


def _text(record: logging.LogRecord, inner: bool = False) -> str | None:
    """What is to be told of a record.

    Arguments:
        inner: of the exception during whose handling the other was raised.
    """
    websocket = getattr(record, "websocket", None)
    if not record.exc_info or websocket is None or not websocket.request:
        return None
    error = record.exc_info[1]
    if inner and error is not None:
        error = error.__context__
    return f"{path_of(websocket)} {type(error).__name__}"


def _failure(answer: Answer, record: logging.LogRecord) -> Any:
    try:
        return answer(record)
    except AttributeError as error:
        if NO_WEBSOCKET in f"{error}":
            raise Wrong(
                "no-connection", record=record.getMessage(), seen=error
            ) from None
        if NO_REQUEST in f"{error}":
            raise Wrong("no-path-yet", seen=error) from None
        raise
    except TypeError as error:
        if NO_EXC_INFO in f"{error}":
            raise Wrong(
                "no-exc-info", record=record.getMessage(), seen=error
            ) from None
        raise


async def _records() -> list[logging.LogRecord]:
    """What a server has logged: some clients are served, others fail it."""

    async def handler(websocket: ServerConnection) -> None:
        async for message in websocket:
            if path_of(websocket) in FAILED:
                raise FAILED[path_of(websocket)]
            known = {"websocket": websocket}
            if path_of(websocket) == "/Noa":
                _log_cut(log, known)
            # An error that is no exception.
            log.error("no milk today", extra=known)
            await websocket.send(message)

    with _keeping() as (log, records):
        server = await serve(handler, "127.0.0.1", 0, logger=log)
        try:
            url = address(server)
            async with calling(f"{url}/Ada") as ada:
                async with calling(f"{url}/Noa") as noa:
                    await send_all(noa, "latte")
                    await noa.recv()
                for path in CUSTOMERS:
                    async with calling(url + path) as websocket:
                        await send_all(websocket, "latte")
                        await websocket.wait_closed()
                await send_all(ada, "mocha")
                await ada.recv()
            # One who never says what is wanted.
            port = next(iter(server.sockets)).getsockname()[1]
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            await until(
                lambda: (
                    sum(one.exc_info is not None for one in records)
                    == WITH_EXCEPTIONS
                )
            )
        finally:
            await stop(server)
    return records


def _log_cut(log: logging.Logger, known: dict[str, Any]) -> None:
    """Note a failure to send as the library does: at level DEBUG."""
    try:
        try:
            raise LookupError("milk")
        except LookupError:
            raise ConnectionResetError from None
    except ConnectionResetError:
        log.debug("! error while sending data", exc_info=True, extra=known)


@contextmanager
def _keeping() -> Iterator[tuple[logging.Logger, list[logging.LogRecord]]]:
    """A logger of the judge's own, and what it has been told."""
    records: list[logging.LogRecord] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    log = logging.getLogger("aula.judges.lesson_24")
    keeping = Keeping()
    log.addHandler(keeping)
    log.setLevel(logging.DEBUG)
    log.propagate = False
    try:
        yield log, records
    finally:
        log.removeHandler(keeping)


@exercise("24.2", answer="prediction")
async def lunch_chain(answer: Any, program: Program) -> Right:
    await program.run()
    if isinstance(answer, list) and any(map(callable, answer)):
        raise Wrong("functions", seen=answer)
    if answer in (
        ["order", "cook", "chop"],
        ["order", "cook", "chopping"],
        ["order", "cook", "chop", "sleep"],
    ):
        equal(answer, program.result, "through-the-task")
    if answer == ["lunch", "order", "cook"]:
        equal(answer, program.result, "from-outside")
    if answer == ["cook", "order"]:
        equal(answer, program.result, "inside-out")
    if answer == ["order"]:
        equal(answer, program.result, "outermost-alone")
    refuse_other(answer, program.result)
    return Right()


@exercise("24.3", parameters=1, limit=9, picture="timeline")
async def leaks(answer: Answer) -> Right:
    made: list[asyncio.Task[None]] = []
    brief: list[asyncio.Task[None]] = []
    finished: list[bool] = []

    async def simmer() -> None:
        await asyncio.Event().wait()

    async def drip() -> None:
        await asyncio.Event().wait()

    async def boil() -> None:
        await asyncio.sleep(0)

    async def fade() -> None:
        # Longer than an answer's own tasks take to end, and no longer.
        for _ in range(20):
            await asyncio.sleep(0)

    async def leave_some() -> None:
        made.extend(asyncio.create_task(simmer()) for _ in range(3))
        # One of before ends, and another of its name is left.
        ending.cancel()
        await asyncio.wait({ending})
        made.append(asyncio.create_task(drip()))
        await asyncio.create_task(boil())
        ended = asyncio.create_task(drip())
        await asyncio.sleep(0.3)
        ended.cancel()
        await asyncio.wait({ended})
        brief.append(asyncio.create_task(fade()))
        finished.append(True)

    async def leave_none() -> None:
        await asyncio.gather(boil(), boil())

    earlier = asyncio.create_task(simmer())
    ending = asyncio.create_task(drip())
    try:
        await asyncio.sleep(0)
        seen = await answer(leave_some)
        if not made:
            raise Wrong("not-run")
        if not finished:
            raise Wrong("leaves-early")
        if len(finished) > 1:
            raise Wrong("run-twice")
        _judge_count(seen, {"simmer": 3, "drip": 1, "fade": 1})
        await asyncio.sleep(0)
        if any(task.done() for task in (earlier, *made)):
            raise Wrong("cancels")
        none = await answer(leave_none)
        if none is None:
            raise Wrong("none-for-none", expected={}, seen=none)
        if none == seen:
            raise Wrong("kept-between-calls", expected={}, seen=none)
        equal(none, {}, "counts-others")
    finally:
        for task in (earlier, ending, *made, *brief):
            task.cancel()
        await asyncio.wait({earlier, ending, *made, *brief})
    return Right()


def _judge_count(seen: Any, expected: dict[str, int]) -> None:
    refuse_none(seen, expected)
    if isinstance(seen, int):
        raise Wrong("number-alone", expected=expected, seen=seen)
    if not isinstance(seen, dict):
        raise Wrong("no-dictionary", expected=expected, seen=seen)
    if seen == expected:
        return
    names = [str(name) for name in seen]
    if not names:
        raise Wrong("sees-nothing", expected=expected, seen=seen)
    # Python 3.13.0 calls a task "None" where the loop has a task factory.
    if any(name.startswith("Task-") or name == "None" for name in names):
        raise Wrong("names-of-tasks", expected=expected, seen=names)
    if any("<locals>" in name for name in names):
        raise Wrong("whole-names", expected=expected, seen=names)
    if seen == dict.fromkeys(expected, 1):
        raise Wrong("once-each", expected=expected, seen=seen)
    if not all(isinstance(count, int) for count in seen.values()):
        raise Wrong("no-counts", expected=expected, seen=seen)
    if {"drip": 0} | seen == expected | {"drip": 0}:
        raise Wrong("subtracts-names", expected=expected, seen=seen)
    if {"fade": 1} | seen == expected:
        raise Wrong("waits-first", expected=expected, seen=seen)
    if not {*names} & {*expected}:
        raise Wrong("fixed-name", expected=expected, seen=seen)
    if all(expected.get(name, 0) >= seen[name] for name in seen):
        raise Wrong("some-missing", expected=expected, seen=seen)
    raise Wrong("counts-others", expected=expected, seen=seen)


MOCHA = 0.4  # seconds that it takes
LATTES = 5  # so many take longer than a mocha


@exercise("24.4", answer="script", limit=15, picture=None)
async def sick_cafe(script: Script) -> Right:
    process = script.start()
    url = await process.line()
    if not url.startswith("ws://"):
        raise Wrong("no-address", seen=url)
    ada = await _arrive(url)
    try:
        await _ask(process, ada, "people", "1")
        alone = await _count_tasks(process, ada)
        if alone < 2:  # that of main, and Ada's
            raise Wrong("tasks-uncounted", count=alone)
        await _judge_company(process, url, ada)
        if not await _falls_to(process, ada, "people", 1):
            raise Wrong("counts-who-left", expected=1)
        lima = await _arrive(url)
        await _judge_drink(process, lima)
        await _ask(process, ada, "people", "2")
        await lima.leave()
        await _judge_reminder(ada)
        if not await _falls_to(process, ada, "tasks", alone):
            raise Wrong("leaks-tasks", seen=await _count_tasks(process, ada))
        eva = await _arrive(url)
        await _ask(process, ada, "people", "2")
        eva.vanish()
        if not await _falls_to(process, ada, "people", 1):
            raise Wrong("ghost")
        if not await _falls_to(process, ada, "tasks", alone):
            raise Wrong("leaks-when-cut")
    finally:
        ada.vanish()
    return Right()


async def _arrive(url: str) -> Person:
    return Person(await connect(url))


def _replies(person: Person) -> list[str | bytes]:
    """What somebody has heard, but for the reminders."""
    return [message for message in person.heard if message != "open"]


async def _until_more(person: Person, before: int) -> None:
    await until(lambda: len(_replies(person)) > before or person.gone, 2)


async def _reply(process: Process, person: Person, message: str) -> str:
    """What is replied to a message.

    Raises:
        Wrong: thrown-out or no-reply, if nothing is.
    """
    before = len(_replies(person))
    await person.send(message)
    await _until_more(person, before)
    if len(_replies(person)) > before:
        return str(_replies(person)[before])
    process.raise_errors()
    if person.gone:
        raise Wrong(
            "thrown-out", message=message, code=person.code, seen=person.heard
        )
    raise Wrong("no-reply", message=message)


async def _ask(
    process: Process, person: Person, message: str, expected: str
) -> None:
    reply = await _reply(process, person, message)
    equal(reply, expected, "other-reply", message=message)


async def _count_tasks(process: Process, person: Person) -> int:
    reply = await _reply(process, person, "tasks")
    if not reply.isdecimal():
        raise Wrong("other-reply", expected="5", seen=reply, message="tasks")
    return int(reply)


async def _falls_to(
    process: Process, person: Person, question: str, expected: int
) -> bool:
    """Whether a count comes down in time; a task may end at its next turn.

    Raises Wrong if it comes down further: Ada, who asks, is still there.
    """
    for _ in range(8):
        reply = await _reply(process, person, question)
        if reply == f"{expected}":
            return True
        if question == "people" and reply == "0":
            raise Wrong("others-removed", seen=reply)
        await asyncio.sleep(MOMENT)
    return False


async def _judge_company(process: Process, url: str, ada: Person) -> None:
    """What is not Ada's alone: others come, and leave again."""
    lima = await _arrive(url)
    await _judge_waiting(process, ada, lima)
    others = [await _arrive(url) for _ in range(2)]
    people = [ada, lima, *others]
    reminded = [person.heard.count("open") for person in people]
    await _judge_turns(lima, [ada, *others])

    def news() -> list[bool]:
        return [
            person.heard.count("open") > before
            for person, before in zip(people, reminded, strict=True)
        ]

    await until(lambda: all(news()), 2)
    if not any(news()):
        raise Wrong("no-reminder")
    if not all(news()):
        raise Wrong("one-reminder", count=len(people), reached=sum(news()))
    for person in people[1:]:
        await person.leave()


async def _judge_waiting(process: Process, ada: Person, lima: Person) -> None:
    """While Ada's mocha is made, another gets an answer at once."""
    loop = asyncio.get_running_loop()
    for attempt in range(2):  # the machine may have stood still
        before = len(_replies(ada))
        start = loop.time()
        await ada.send("mocha")
        await asyncio.sleep(0.1)
        await _reply(process, lima, "people")
        held = len(_replies(ada)) > before
        await _until_more(ada, before)
        took = loop.time() - start
        replies = _replies(ada)[before:]
        equal(replies, ["mocha ready"], "other-reply", message="mocha")
        if took < 0.75 * MOCHA:
            raise Wrong("ready-at-once")
        if not held:
            return
        if attempt:
            raise Wrong("holds-the-loop")


async def _judge_turns(lima: Person, others: list[Person]) -> None:
    """While some have mochas made, another has latte after latte.

    However slow the machine is, her first is ready before the mochas, and
    they before her last: each waits no less than its time.
    """
    for attempt in range(2):  # as above
        known = len(_replies(lima))
        before = [len(_replies(person)) for person in others]
        for person in others:
            await person.send("mocha")
        # The first asks more before there is a reply.
        await others[0].send("people")
        await asyncio.sleep(MOCHA / 8)
        for _ in range(LATTES):
            await lima.send("latte")
        await _until_more(lima, known)
        late = any(_served(others, before))
        await _until_more(lima, known + LATTES - 1)
        late |= not all(_served(others, before))
        for person, count in zip(others, before, strict=True):
            await _until_more(person, count)
        await _until_more(others[0], before[0] + 1)
        replies = _replies(others[0])[before[0] :]
        if "mocha ready" in replies[1:]:
            raise Wrong("overtakes", seen=replies)
        if not late:
            return
        if attempt:
            raise Wrong("takes-turns")


def _served(people: list[Person], before: list[int]) -> list[bool]:
    """Which of some people have had more replies since."""
    return [
        len(_replies(person)) > count
        for person, count in zip(people, before, strict=True)
    ]


async def _judge_drink(process: Process, lima: Person) -> None:
    await _ask(process, lima, "tea", "no tea")
    await _ask(process, lima, "horchata", "no horchata")
    await _ask(process, lima, "Latte", "no Latte")
    await _ask(process, lima, "latte", "latte ready")


async def _judge_reminder(person: Person) -> None:
    """The reminder comes again and again."""
    before = person.heard.count("open")
    if not await until(lambda: person.heard.count("open") > before, 2):
        raise Wrong("no-reminder")
