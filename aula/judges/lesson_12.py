"""Judges the exercises of lesson 12."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from websockets.asyncio.server import ServerConnection, broadcast
from websockets.protocol import State

from aula.exercises.exercise import Answer, Right, Unawaited, Wrong, exercise
from aula.exercises.prediction import Program, refuse_other
from aula.judges.mistakes import CHANGED_SIZE, NO_PARTS, equal
from aula.judges.servers import Person, Service
from aula.judges.waiting import MOMENT, PATIENCE, TURN, Queue, until

HUGE = "latte " * 2**18  # more than the buffers between the ends take
CAP = 3
TURNS = 10  # of the event loop, in which what is done at once is done

Queues = dict[ServerConnection, asyncio.Queue[Any]]


class _Mailboxes(Service):
    """A service that knows the tasks in which its handlers run.

    Attributes:
        handlers: these tasks.
    """

    def __init__(self, handler: Answer, queues: Queues) -> None:
        super().__init__(handler, queues, small=True)
        self.handlers: set[asyncio.Task[Any] | None] = set()

    async def handle(
        self, handler: Answer, websocket: ServerConnection, *arguments: Any
    ) -> None:
        self.handlers.add(asyncio.current_task())
        await super().handle(handler, websocket, *arguments)


@exercise("12.1", parameters=2, limit=9, picture="timeline")
async def mailbox(answer: Answer) -> Right:
    queues: Queues = {}
    async with _Mailboxes(answer, queues) as service:
        before = asyncio.all_tasks()
        ada = await service.visit()
        adas_tasks = asyncio.all_tasks() - before
        eva = await service.visit()
        evas_tasks = asyncio.all_tasks() - before - adas_tasks
        # What she says is nobody's business, and no reason to stop.
        await ada.send("hola")
        if await until(lambda: ada.gone or eva.gone, MOMENT):
            service.raise_errors()
            raise Wrong("sent-off")
        await until(lambda: len(queues) == 2)
        service.raise_errors()
        if any(not isinstance(key, ServerConnection) for key in queues):
            raise Wrong("other-key", seen=list(queues))
        equal(len(queues), 2, "no-queue")
        adas, evas = _queue_of(ada, queues), _queue_of(eva, queues)
        if adas is None or evas is None:
            raise Wrong("other-key")
        if adas is evas:
            raise Wrong("one-for-all")
        for message in ("uno", "dos", "tres"):
            adas.put_nowait(message)
            if not await ada.hears(message):
                break
        service.raise_errors()
        equal(ada.heard, ["uno", "dos", "tres"], "undelivered")
        equal(eva.heard, [], "to-others")
        await _judge_cap(ada, adas, eva, evas)
        for _ in range(4):
            await _judge_three_at_once(ada, adas)
        eva.vanish()
        await _judge_gone(service, queues, 1, evas_tasks)
        # Nothing was on its way to Lima.
        before = asyncio.all_tasks()
        lima = await service.visit()
        await until(lambda: len(queues) == 2)
        limas_tasks = asyncio.all_tasks() - before
        noa = await service.visit()
        await until(lambda: len(queues) == 3)
        noas_tasks = asyncio.all_tasks() - before - limas_tasks
        lima.vanish()
        await _judge_gone(service, queues, 2, limas_tasks)
        if _queue_of(noa, queues) is None:
            raise Wrong("deletes-another")
        noa.vanish()
        await _judge_gone(service, queues, 1, noas_tasks)
        await ada.leave()
        await _judge_gone(service, queues, 0, adas_tasks)
        adas.put_nowait("siete")
        if await until(adas.empty, MOMENT):
            raise Wrong("task-stays")
        if service.closed:
            raise Wrong("closed-escapes")
        await _judge_leaving_amid_messages(service, queues)
    return Right()


async def _judge_three_at_once(ada: Person, adas: asyncio.Queue[Any]) -> None:
    """Three messages, two of them equal and one of them empty."""
    before, together = len(ada.heard), ["again", "again", ""]
    for message in together:
        adas.put_nowait(message)
    await until(lambda: len(ada.heard) >= before + len(together))
    equal(ada.heard[before:], together, "not-each")


async def _judge_leaving_amid_messages(
    service: _Mailboxes, queues: Queues
) -> None:
    """There is always another message, up to the moment when she is gone."""
    lima = await service.visit()
    await until(lambda: queues)
    (queue,) = queues.values()
    leaving = asyncio.create_task(lima.leave())
    while not leaving.done():
        if not queue.full():
            queue.put_nowait("more")
        await asyncio.sleep(0)
    await until(lambda: service.running == 0)
    if service.closed:
        raise Wrong("closed-escapes")


async def _judge_gone(
    service: _Mailboxes,
    queues: Queues,
    left: int,
    tasks: set[asyncio.Task[Any]],
) -> None:
    """Somebody, whose tasks these are, has gone, and so many are left."""
    await until(lambda: len(queues) == left)
    ended = await until(lambda: service.running == left)
    service.raise_errors()
    if ended:
        equal(len(queues), left, "queue-stays")
        return
    seen = len(queues)
    for task in tasks - service.handlers:
        task.cancel()
    # Who waits for one of them ends with it.
    if await until(lambda: service.running == left):
        raise Wrong("waits-for-task", expected=left, seen=seen)
    for queue in [*queues.values()]:
        with suppress(ValueError):
            while True:
                queue.task_done()
    # Nor does ``join`` end when nobody empties the queue.
    if await until(lambda: service.running == left, MOMENT):
        raise Wrong("waits-for-join", expected=left, seen=seen)
    if seen > left:
        raise Wrong("unaware", expected=left, seen=seen)
    raise Wrong("handler-stays")


async def _judge_cap(
    ada: Person,
    adas: asyncio.Queue[Any],
    eva: Person,
    evas: asyncio.Queue[Any],
) -> None:
    """One message is on its way to Eva, who sleeps; three more may wait."""
    eva.sleep()
    evas.put_nowait(HUGE)
    await until(evas.empty)
    taken = 0
    try:
        while taken <= 2 * CAP:
            evas.put_nowait(HUGE)
            taken += 1
            await asyncio.sleep(TURN)
    except asyncio.QueueFull:
        pass
    if taken > 2 * CAP:
        raise Wrong("takes-ahead" if evas.maxsize > 0 else "no-cap")
    equal(taken, CAP, "other-cap")
    adas.put_nowait("awake")
    if not await ada.hears("awake"):
        raise Wrong("ada-waits")


def _queue_of(person: Person, queues: Queues) -> asyncio.Queue[Any] | None:
    for websocket, queue in queues.items():
        address = getattr(websocket, "remote_address", None)
        if address == person.address:
            return queue
    return None


@exercise("12.2", answer="prediction", picture=None)
async def kept_readings(answer: Any, program: Program) -> Right:
    await program.run()
    if answer == ["dropped 10", "dropped 11", "kept 12", "kept 13"]:
        equal(answer, program.lines, "as-if-oldest-lost")
    if answer == ["dropped 12", "dropped 13", "kept 11", "kept 10"]:
        equal(answer, program.lines, "as-if-a-stack")
    if answer == ["kept 10", "kept 11", "dropped 12", "dropped 13"]:
        equal(answer, program.lines, "as-if-taken-out-first")
    refuse_other(answer, program.lines)
    return Right()


@exercise("12.3", answer="function", parameters=2, limit=3, picture=None)
async def post_latest(answer: Answer) -> Right:
    queues = [
        _queue(3, 1, 2, 3),
        _queue(3),
        _queue(3, 1),
        _queue(1, 1),
        _queue(0, 1, 2, 3),
        _queue(0),
        _queue(3, 4),
    ]
    expected = [[2, 3, 4], [4], [1, 4], [4], [1, 2, 3, 4], [4], [4, 4]]
    given: list[Any] = [*queues]
    full = (0, 3)
    before = asyncio.all_tasks()
    try:
        answer(given, 4)
    except asyncio.QueueFull as error:
        if any(_makes_room(answer, size) for size in range(1, 6)):
            raise Wrong("one-size", seen=error) from None
        raise Wrong("full", seen=error) from None
    except asyncio.QueueEmpty as error:
        raise Wrong("empty", seen=error) from None
    seen = [
        [queue.get_nowait() for _ in range(queue.qsize())] for queue in queues
    ]
    if later := asyncio.all_tasks() - before:
        for task in later:
            task.cancel()
        raise Wrong("posts-later", expected=expected, seen=seen)
    if seen == expected:
        _judge_empty_messages(answer)
        return Right()
    if given != queues:
        raise Wrong("other-queues")
    if seen == [*expected[:-1], [4]]:
        raise Wrong("equal-messages", expected=[4, 4], seen=[4])
    if any(queue.waits for queue in queues):
        raise Unawaited("queue-unawaited")
    if all(messages == [4] for messages in seen):
        raise Wrong("emptied", expected=expected, seen=seen)
    if not any(4 in seen[which] for which in (1, 2, 4)):
        raise Wrong("stops", expected=expected, seen=seen)
    if any(seen[i] != expected[i] for i in range(7) if i not in full):
        raise Wrong("not-full", expected=expected, seen=seen)
    if seen[0] == [2, 3]:
        raise Wrong("newest-out", expected=expected, seen=seen)
    if any(4 not in seen[which] for which in full):
        raise Wrong("newest-lost", expected=expected, seen=seen)
    raise Wrong("emptied", expected=expected, seen=seen)


def _makes_room(answer: Answer, size: int) -> bool:
    """Whether a full queue of this size gets the message."""
    queue = _queue(size, *range(size))
    try:
        answer([queue], "new")
    except (asyncio.QueueFull, asyncio.QueueEmpty):
        return False
    return "new" in _content(queue)


def _judge_empty_messages(answer: Answer) -> None:
    """The message is empty, and so are some of those that wait."""
    waiting = [["", "uno", "dos"], [""], [], ["uno", "", "dos"]]
    queues = [
        _queue(size, *messages)
        for size, messages in zip((3, 1, 3, 0), waiting, strict=True)
    ]
    expected = [["uno", "dos", ""], [""], [""], ["uno", "", "dos", ""]]
    try:
        answer([*queues], "")
    except (asyncio.QueueEmpty, asyncio.QueueFull) as error:
        raise Wrong("empty-text", seen=error) from None
    equal([_content(queue) for queue in queues], expected, "empty-text")


def _queue(size: int, *messages: Any) -> Queue:
    queue = Queue(size)
    for message in messages:
        queue.put_nowait(message)
    return queue


@exercise("12.4", answer="function", parameters=2, limit=9, picture="wiretap")
async def post_or_cut(answer: Answer) -> Right:
    queues: Queues = {}
    # One place is left; none; and there is room, though more is in it.
    waiting = iter([_queue(1), _queue(2, 1, 2), _queue(5, 1, 2, 3), _queue(1)])

    async def keep(websocket: ServerConnection) -> None:
        queues[websocket] = next(waiting, _queue(0))
        try:
            await websocket.wait_closed()
        finally:
            queues.pop(websocket, None)

    async with Service(keep, small=True) as service:
        people = []
        for _ in range(3):
            people.append(await service.visit())
            await until(lambda: len(queues) == len(people))
        kept = dict(zip(("Ada", "Eva", "Lima"), queues.values(), strict=True))
        adas, evas, limas = queues
        # What she does not read stands before any goodbye.
        people[1].sleep()
        broadcast([evas], HUGE)
        _post(answer, queues)
        if len(queues) < len(people):
            raise Wrong("deletes")
        for _ in range(TURNS):
            await asyncio.sleep(0)
        at_once = evas.transport.is_closing() or evas.state is not State.OPEN
        cut = await until(
            lambda: evas not in queues, PATIENCE if at_once else 3 * PATIENCE
        )
        if adas.transport.is_closing() or limas.transport.is_closing():
            raise Wrong("cuts-others")
        equal(_content(kept["Ada"]), ["hola"], "others-without")
        equal(_content(kept["Lima"]), [1, 2, 3, "hola"], "others-without")
        if not cut and (
            evas.state is not State.OPEN or evas.transport.is_closing()
        ):
            raise Wrong("cuts-late")
        if not cut:
            raise Wrong("lets-stay")
        if not at_once:
            raise Wrong("cuts-later")
        equal(_content(kept["Eva"]), [1, 2], "takes-from-full")
        await service.visit()
        await until(lambda: len(queues) == len(people))
        await _judge_no_limit(answer, service, queues)
        full = {adas: kept["Ada"], [*queues][-1]: [*queues.values()][-1]}
        for queue in full.values():
            queue.put_nowait(1)
        _post(answer, full)
        if not await until(lambda: not full.keys() & queues):
            one = full.keys() - queues
            raise Wrong("cuts-one" if one else "cuts-beside-others")
    return Right()


async def _judge_no_limit(
    answer: Answer, service: Service, queues: Queues
) -> None:
    """The queue of a newcomer has no limit, and is empty."""
    before = len(queues)
    await service.visit()
    await until(lambda: len(queues) > before)
    newcomer = [*queues][-1]
    queue = queues.pop(newcomer)
    _post(answer, {newcomer: queue})
    if newcomer.transport.is_closing() or _content(queue) != ["hola"]:
        raise Wrong("no-limit")


def _post(answer: Answer, queues: Queues) -> None:
    try:
        answer(queues, "hola")
    except asyncio.QueueFull as error:
        raise Wrong("full-escapes", seen=error) from None
    except asyncio.QueueEmpty as error:
        raise Wrong("empty-escapes", seen=error) from None
    except RuntimeError as error:
        if CHANGED_SIZE not in f"{error}":
            raise
        raise Wrong("deletes", seen=error) from None
    except AttributeError as error:
        if not isinstance(error.obj, ServerConnection) or not hasattr(
            asyncio.Queue, f"{error.name}"
        ):
            raise
        raise Wrong("keys-alone", seen=error) from None
    except TypeError as error:
        if NO_PARTS not in f"{error}":
            raise
        raise Wrong("keys-alone", seen=error) from None


def _content(queue: asyncio.Queue[Any]) -> list[Any]:
    return [queue.get_nowait() for _ in range(queue.qsize())]
