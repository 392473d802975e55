"""Judges the exercises of lesson 12."""

from __future__ import annotations

import asyncio

from aula.exercises.exercise import Answer, Right, Unawaited, Wrong, exercise
from aula.judges.waiting import Queue


@exercise("12.1", answer="function", parameters=2, limit=3, picture=None)
async def post_latest(answer: Answer) -> Right:
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
    seen = [
        [queue.get_nowait() for _ in range(queue.qsize())] for queue in queues
    ]
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


def _queue(size: int, *messages: int) -> Queue:
    queue = Queue(size)
    for message in messages:
        queue.put_nowait(message)
    return queue
