"""Closes what a cell left running before that cell runs again.

A cell that is run again gives the same name to a new server, on a port that
the old one still has, and nobody could close the old one any more. What is
closed:

- processes of `subprocess`, `asyncio` and `multiprocessing`;
- servers of `asyncio`, `websockets`, `aiohttp`, `socketserver` and
  `http.server`;

if that cell has made them, and if when it ended they were to be found under a
name: by themselves, or in lists, tuples, sets, dicts and objects of classes
that were written in the notebook. Everything else is left alone, above all
what a cell has only given a name to.

Whatever learners name may answer with an error, or with a request to another
machine, when it is asked for an attribute or for its class. So nothing is
asked: an object is known by its type, and what holds it by the garbage
collector.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from itertools import compress
from types import FrameType, SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:  # a script that imports an instrument has no IPython
    from IPython.core.interactiveshell import InteractiveShell

LIMIT = 1.0  # seconds that closing takes at most
GRACE = 0.8  # of these, until what does not end by itself is made to
BEAT = 0.01  # seconds between two looks at whether it has ended
STOP = 0.05  # seconds until a cell that has begun is stopped

CONTAINERS = (list, tuple, set, frozenset, dict, deque, SimpleNamespace)

T = TypeVar("T")

_going_on: set[asyncio.Task[Any]] = set()


@dataclass(frozen=True)
class Kind:
    """What there is to close, and how.

    Attributes:
        classes: where it is defined, by module; subclasses count.
        ended: whether it has; an error means yes.
        ask: tell it to end, without waiting; a coroutine goes on beside.
        force: make it end, likewise.
    """

    classes: dict[str, tuple[str, ...]]
    ended: Callable[[Any], bool]
    ask: Callable[[Any], object]
    force: Callable[[Any], object]


def close_before_reruns(shell: InteractiveShell) -> None:
    """Close what a cell left running before it runs again.

    The kernel waits for that before it runs the cell, and its event loop
    goes on meanwhile: a client of the notebook can say goodbye to a server
    that ends. Stop waits for the cell, and reaches it as it begins.
    """
    kernel = getattr(shell, "kernel", None)
    if kernel is None:  # IPython in a terminal, where no cell runs again
        return
    loop = asyncio.get_running_loop()
    left: dict[str, list[tuple[Any, Kind]]] = {}

    async def execute(
        stream: Any,
        identities: list[bytes],
        message: dict[str, Any],
        handle: Callable[..., Awaitable[None]] = kernel.shell_handlers[
            "execute_request"
        ],
    ) -> None:
        cell = _cell_to_run(message)
        if not cell or asyncio.get_running_loop() is not loop:
            await handle(stream, identities, message)
            return
        with _stop_delayed():
            await close(left.pop(cell, []))
            before = {id(thing): thing for thing, _ in _alive()}
        try:
            await handle(stream, identities, message)
        finally:
            new = {
                id(thing): (thing, kind)
                for thing, kind in _alive()
                if id(thing) not in before
            }
            left[cell] = list(_named(shell.user_ns, new))

    kernel.shell_handlers["execute_request"] = execute


def _cell_to_run(message: dict[str, Any]) -> str:
    """The id of the cell that a request runs; empty where it has none."""
    if message["content"].get("silent"):
        return ""
    return message["metadata"].get("cellId") or ""


def _alive() -> Iterator[tuple[Any, Kind]]:
    """All things there are to close, under a name or not."""
    kinds: dict[int, Kind] = {}  # by the ids of classes: some have no hash
    for kind in KINDS:
        for module, names in kind.classes.items():
            if module in sys.modules:
                for name in names:
                    of = getattr(sys.modules[module], name, None)
                    kinds.update((id(c), kind) for c in _with_subclasses(of))
    things = gc.get_objects()
    known = map(kinds.__contains__, map(id, map(type, things)))
    for thing in compress(things, known):
        yield thing, kinds[id(type(thing))]


def _with_subclasses(of: type[Any] | None) -> Iterator[type[Any]]:
    if of is not None:
        yield of
        for subclass in type.__subclasses__(of):
            yield from _with_subclasses(subclass)


def _named(names: dict[str, Any], wanted: dict[int, T]) -> Iterator[T]:
    """Those, by the ids of objects, that are to be found under a name."""
    todo: list[Any] = [names]
    seen: set[int] = set()
    while todo and wanted:
        for value in gc.get_referents(todo.pop()):
            if id(value) in wanted:
                yield wanted.pop(id(value))
            elif id(value) not in seen and _holds(type(value)):
                seen.add(id(value))
                todo.append(value)


def _holds(of: type) -> bool:
    """Whether what learners put somewhere may be in it."""
    if issubclass(of, CONTAINERS):
        return True
    module = type.__getattribute__(of, "__module__")
    return type(module) is str and module == "__main__"


@contextlib.contextmanager
def _stop_delayed() -> Iterator[None]:
    """Let Stop wait for the cell that runs next.

    An exception here would take the reply to that cell with it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread hears of signals
        return
    stopped = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if stopped:
            threading.Timer(STOP, _stop).start()


def _stop() -> None:
    """Stop the cell that runs."""
    if os.name == "nt":
        signal.raise_signal(signal.SIGINT)
    else:  # a cell that sleeps is only woken from outside
        os.kill(os.getpid(), signal.SIGINT)


async def close(things: list[tuple[Any, Kind]]) -> None:
    """Close servers and end processes, within a second.

    Those that do not end when they are asked to are made to. Nothing happens
    to what has ended, and none keeps others from being closed.
    """
    began = time.monotonic()
    for limit, forced in ((GRACE, False), (LIMIT, True)):
        things = [each for each in things if not _ended(*each)]
        for thing, kind in things:
            _tell(thing, kind.force if forced else kind.ask)
        while not all(_ended(*each) for each in things):
            if time.monotonic() - began > limit:
                break
            await asyncio.sleep(BEAT)


def _ended(thing: Any, kind: Kind) -> bool:
    try:
        return kind.ended(thing)
    except Exception:
        return True


def _tell(thing: Any, end: Callable[[Any], object]) -> None:
    with contextlib.suppress(Exception):
        told = end(thing)
        if inspect.iscoroutine(told):
            task = asyncio.get_running_loop().create_task(_quietly(told))
            _going_on.add(task)
            task.add_done_callback(_going_on.discard)


async def _quietly(coro: Coroutine[Any, Any, Any]) -> None:
    with contextlib.suppress(Exception):
        await coro


# How each kind is closed.


def _in_its_loop(server: Any) -> object:
    """Close a server whose loop may run in another thread."""
    loop = server.get_loop()
    if loop is asyncio.get_running_loop():
        return server.close()
    return loop.call_soon_threadsafe(server.close)


def _in_a_thread(*methods: str) -> Callable[[Any], None]:
    """Call methods that wait until the threads of a server have ended."""

    def start(server: Any) -> None:
        # None that the end of the kernel would wait for.
        threading.Thread(target=work, args=[server], daemon=True).start()

    def work(server: Any) -> None:
        with contextlib.suppress(Exception):
            for method in methods:
                getattr(server, method)()

    return start


def _process(
    ended: Callable[[Any], bool], classes: dict[str, tuple[str, ...]]
) -> Kind:
    return Kind(classes, ended, lambda p: p.terminate(), lambda p: p.kill())


def _threaded(methods: tuple[str, ...], module: str, name: str) -> Kind:
    return Kind(
        {module: (name,)},
        ended=lambda server: server.socket.fileno() == -1,
        ask=_in_a_thread(*methods),
        force=lambda server: server.socket.close(),
    )


KINDS = (
    _process(
        lambda process: process.poll() is not None, {"subprocess": ("Popen",)}
    ),
    _process(
        lambda process: process.returncode is not None,
        {"asyncio.subprocess": ("Process",)},
    ),
    _process(
        lambda transport: transport.get_returncode() is not None,
        {"asyncio": ("SubprocessTransport",)},
    ),
    _process(
        lambda process: not process.is_alive(),
        {
            "multiprocessing.context": (
                "Process",
                "ForkProcess",
                "SpawnProcess",
                "ForkServerProcess",
            )
        },
    ),
    Kind(
        {
            "asyncio": ("Server",),
            "websockets.asyncio.server": ("Server",),
            "websockets.legacy.server": ("WebSocketServer",),
        },
        ended=lambda server: not server.sockets,
        ask=_in_its_loop,
        force=_in_its_loop,
    ),
    _threaded(("shutdown", "server_close"), "socketserver", "TCPServer"),
    _threaded(("shutdown",), "websockets.sync.server", "Server"),
    Kind(
        {"aiohttp.web_runner": ("BaseRunner",)},
        ended=lambda runner: runner.server is None,
        ask=lambda runner: runner.cleanup(),
        # What it still answers, it does not answer any more.
        force=lambda runner: runner.server.shutdown(0),
    ),
    Kind(
        {"aiohttp.web_runner": ("BaseSite",)},
        ended=lambda site: site not in site._runner.sites,
        ask=lambda site: site.stop(),
        force=lambda site: site.stop(),
    ),
)
