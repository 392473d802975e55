"""What tasks wait in for each other: queues, semaphores, locks, events.

How full each was, and how many waited, is looked up whenever a task has taken
a step: what happens within one is nobody else's to see.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from aula.instruments import tasks
from aula.instruments.labels import LONGEST_LABEL, cut

# What a task waits in for others, by the coroutine that waits. (To find code
# by itself in a set would be slow: it is compared as a whole.)
_WAITS = {
    id(method.__code__)
    for method in (
        asyncio.Queue.get,
        asyncio.Queue.put,
        asyncio.Queue.join,
        asyncio.Semaphore.acquire,
        asyncio.Lock.acquire,
        asyncio.Condition.wait,
        asyncio.Event.wait,
    )
}
# What waits for as_completed, in a queue of its own.
_AS_COMPLETED = "_wait_for_one"


def waited_in(chain: list[Any]) -> Any:
    """The queue, lock or the like that coroutines of asyncio's wait in.

    Arguments:
        chain: the end of an await chain.

    Returns:
        None if there is none, or it is a library's own or asyncio's.
    """
    for coro in chain:
        if id(coro.cr_code) in _WAITS:
            return coro.cr_frame.f_locals["self"]
        if coro.cr_code.co_name == _AS_COMPLETED:
            return None
        if not coro.cr_frame.f_globals["__name__"].startswith("asyncio."):
            return None
    return None


def _is_woken(task: Any) -> bool:
    """Whether what a task waited for has come, and its turn has not."""
    future = tasks.awaited_by(task)
    return future is None or future.done()


@dataclass(eq=False)
class Store:
    """One of them, from when the first task was seen to wait in it.

    Attributes:
        thing: an ``asyncio.Queue``, ``Semaphore``, ``Lock`` or the like.
        label: its variable, if it is known, and its type.
        fills: from when on it held how much, while how many waited.
    """

    thing: Any
    label: str
    fills: list[tuple[float, int, int]] = field(default_factory=list)

    @property
    def size(self) -> int | None:
        """How many items a queue takes, 0 without a limit; else None."""
        is_queue = isinstance(self.thing, asyncio.Queue)
        return max(self.thing.maxsize, 0) if is_queue else None

    @property
    def is_event(self) -> bool:
        """Whether it is set, and not taken."""
        return isinstance(self.thing, asyncio.Event)

    @property
    def most_held(self) -> int:
        """The most that it was seen to hold."""
        return max((held for _, held, _ in self.fills), default=0)

    @property
    def most_waited(self) -> int:
        """The most tasks that were seen to wait."""
        return max((waited for _, _, waited in self.fills), default=0)

    def note(self, moment: float, waited: int) -> None:
        """Look at it now."""
        fill = _held(self.thing), waited
        if not self.fills or self.fills[-1][1:] != fill:
            self.fills.append((moment, *fill))


class Stores:
    """All that tasks were seen to wait in.

    Attributes:
        found: in the order in which they were found.
    """

    def __init__(self) -> None:
        self.found: list[Store] = []
        self._waiting: dict[tasks.Task, Store] = {}

    def enter(self, task: tasks.Task, thing: Any, coro: Any) -> None:
        """A task begins to wait.

        Arguments:
            coro: the coroutine of the learner's own that it stands in.
        """
        for store in self.found:
            if store.thing is thing:
                break
        else:
            store = Store(thing, _label(thing, coro))
            self.found.append(store)
        self._waiting[task] = store

    def leave(self, task: tasks.Task) -> None:
        """It goes on; or it did not wait at all."""
        self._waiting.pop(task, None)

    def note(self, moment: float) -> None:
        """Look at all of them now."""
        for store in self.found:
            waiting = [
                task
                for task, other in self._waiting.items()
                if other is store and not _is_woken(task)
            ]
            store.note(moment, len(waiting))


def _held(thing: Any) -> int:
    """How many items a queue has; of others whether it is taken, or set."""
    if isinstance(thing, asyncio.Queue):
        return thing.qsize()
    if isinstance(thing, asyncio.Event):
        return int(thing.is_set())
    return int(thing.locked())


def _label(thing: Any, coro: Any) -> str:
    """A thing's variable, as the learner's code calls it, and its type."""
    kind = type(thing).__name__
    if isinstance(thing, asyncio.Queue) and thing.maxsize > 0:
        kind = f"{kind}({thing.maxsize})"
    frame = tasks.frame_of(coro)
    places = [frame.f_locals, frame.f_globals] if frame else []
    owner = places[0].get("self") if places else None
    places.insert(1, getattr(owner, "__dict__", {}))
    for names in places:
        for name, value in [*names.items()]:
            if value is thing and not name.startswith("_"):
                return cut(f"{name}: {kind}", LONGEST_LABEL)
    return kind
