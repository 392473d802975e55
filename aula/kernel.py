"""Makes the kernel honest: nothing fails unseen, and Stop stops.

A kernel as it comes loses four things that a learner of asyncio needs: the
exception of a task nobody awaits, the Stop button while a cell awaits, the end
of a cell that Stop meets as it begins or ends, and local connections on a
machine with a proxy. And it keeps what they do not need: the server of a cell
that they run again, on the port that the new one asks for.

It also makes the folder to which lessons write their scripts.
"""

from __future__ import annotations

import _thread
import asyncio
import contextvars
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from aula.learner import describe
from aula.leftovers import close_before_reruns

if TYPE_CHECKING:  # a script that imports an instrument has no IPython
    from IPython.core.interactiveshell import (
        ExecutionResult,
        InteractiveShell,
    )

MOMENT = 0.05  # seconds that a cell has to begin, once it is told to
HEARTBEAT = 0.25  # seconds until a Stop is noticed, where nothing tells of it
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SCRIPTS = "scripts"  # a folder beside the notebook
# The logs in which servers tell that a handler has failed, and how aiohttp
# begins to tell of one that returned no response.
SERVERS = ("websockets.server", "aiohttp.server")
NO_RESPONSE = ("Missing return statement", "Web-handler should return")

TEXT = {
    "es": {
        "orphan": "Una excepción que nadie recogió, en {where}:",
        "task": "la tarea {name}",
        "loop": "el bucle de eventos",
        "handler": "un manejador (handler)",
    },
    "en": {
        "orphan": "An exception that nobody caught, in {where}:",
        "task": "the task {name}",
        "loop": "the event loop",
        "handler": "a handler",
    },
}

_honest_loops: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
_latest_cell: contextvars.Context | None = None


def be_honest(language: str) -> None:
    """Show orphaned exceptions, let Stop through, keep loopback direct.

    What a cell has started and left running under a name (a server, a
    process) is closed when that cell is run again. Beside a notebook, the
    folder ``scripts/`` is made.

    Arguments:
        language: ``"es"`` or ``"en"``, for what is shown.

    Without a running event loop (a script that imports an instrument), only
    the proxy settings are changed. A second call changes nothing.
    """
    _bypass_proxy()
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    if loop in _honest_loops:
        return
    _honest_loops.add(loop)
    reporter = Reporter(language)
    loop.set_exception_handler(reporter.report)
    for name in SERVERS:
        logging.getLogger(name).addHandler(reporter)
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None:
        _follow_cells(shell)
        close_before_reruns(shell)
        _keep_replies(shell)
        _make_scripts(shell)
    _notice_stop(loop)


class Reporter(logging.Handler):
    """Shows exceptions that belong to no cell under the latest cell."""

    def __init__(self, language: str) -> None:
        super().__init__(logging.ERROR)
        self.language = language
        self.words = TEXT[language]

    def report(
        self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]
    ) -> None:
        """An event loop's exception handler (``set_exception_handler``)."""
        error = context.get("exception")
        task = context.get("task") or context.get("future")
        if is_goodbye_of_windows(context):
            return
        if error is None:
            # Such as "Task was destroyed but it is pending".
            self._show(context["message"])
            return
        where = self.words["loop"]
        if isinstance(task, asyncio.Task):
            coro = task.get_coro()
            name = getattr(coro, "__name__", task.get_name())
            where = self.words["task"].format(name=name)
        self._show_error(where, error)

    def emit(self, record: logging.LogRecord) -> None:
        """A library's record of a handler that has raised."""
        error = record.exc_info[1] if record.exc_info else None
        # aiohttp says best itself what is wrong with what a handler returned.
        if error is None or record.getMessage().startswith(NO_RESPONSE):
            self._show(record.getMessage())
        else:
            self._show_error(self.words["handler"], error)

    def _show_error(self, where: str, error: BaseException) -> None:
        title = self.words["orphan"].format(where=where)
        self._show(f"{title}\n{describe(error, self.language)}")

    def _show(self, text: str) -> None:
        context = _latest_cell or contextvars.copy_context()
        # A copy, because a context cannot be entered while it is entered.
        context.copy().run(print, text, file=sys.stderr, flush=True)


def is_goodbye_of_windows(context: dict[str, Any]) -> bool:
    """Whether asyncio tells of a connection that was cut, which is no news.

    On Windows its loop says goodbye on it all the same, and lets the error
    through (python/cpython #83191).
    """
    return isinstance(context.get("exception"), ConnectionResetError) and (
        "_ProactorBasePipeTransport._call_connection_lost"
        in context["message"]
    )


def _bypass_proxy() -> None:
    """Add loopback to the hosts that no proxy is asked for.

    Both spellings, because urllib reads the lower-case one first and other
    programs the upper-case one.
    """
    for name in ("no_proxy", "NO_PROXY"):
        hosts = [h for h in os.environ.get(name, "").split(",") if h]
        hosts += [host for host in LOOPBACK if host not in hosts]
        os.environ[name] = ",".join(hosts)


def _follow_cells(shell: InteractiveShell) -> None:
    """Remember the context of the latest cell: output belongs to it."""

    def remember(*_: object) -> None:
        global _latest_cell
        _latest_cell = contextvars.copy_context()

    shell.events.register("pre_run_cell", remember)
    remember()


def _keep_replies(shell: InteractiveShell) -> None:
    """Let Stop reach the cell, and not what the kernel does around it.

    Until it has replied, the kernel raises KeyboardInterrupt on SIGINT. One
    that comes before the cell has begun, or when it has just ended, takes the
    reply with it, and the page would show the cell as running for ever. So
    the first waits until the cell has begun; the second comes too late.
    """
    kernel = getattr(shell, "kernel", None)  # IPython in a terminal has none
    if kernel is None:
        return
    begun = ended = early = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal early
        if not begun:
            early = True
        elif not ended:
            signal.default_int_handler(number, frame)

    def begin() -> None:
        nonlocal begun
        begun = True
        if early:
            # From a thread: what is raised in here ends no cell.
            threading.Timer(MOMENT, _thread.interrupt_main).start()

    def end(result: ExecutionResult) -> None:
        nonlocal ended
        ended = True

    def handle(
        before: Callable[[], None] = kernel.pre_handler_hook,
    ) -> None:
        nonlocal begun, ended, early
        begun = ended = early = False
        before()
        signal.signal(signal.SIGINT, interrupt)

    kernel.pre_handler_hook = handle
    shell.events.register("pre_execute", begin)
    shell.events.register("post_run_cell", end)


def _make_scripts(shell: InteractiveShell) -> None:
    """Make the folder of scripts; not beside the index, which writes none."""
    is_notebook = getattr(shell, "kernel", None) is not None
    if is_notebook and not Path("index.ipynb").exists():
        with suppress(OSError):  # then the cell that needs it says why
            Path(SCRIPTS).mkdir(exist_ok=True)


def _notice_stop(loop: asyncio.AbstractEventLoop) -> None:
    """Have the loop notice Stop while it waits for the network.

    The kernel answers SIGINT by scheduling a callback from within the signal
    handler, and a selector that is waiting does not wake for that. But once
    a loop handles any signal, Python writes each that comes, whichever it
    is, to a socket that the loop reads. So it handles one that nobody sends
    and that would do nothing: SIGURG.
    """
    try:
        loop.add_signal_handler(signal.SIGURG, lambda: None)
        # A socket that is full wakes the loop as well: no warning of it.
        socket = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(socket, warn_on_full_buffer=False)
    except (AttributeError, NotImplementedError, RuntimeError, ValueError):
        # Windows has no SIGURG, and only the main thread hears of signals.
        _beat(loop)


def _beat(loop: asyncio.AbstractEventLoop) -> None:
    """Wake the loop often: no longer does a Stop wait to be noticed."""
    loop.call_later(HEARTBEAT, _beat, loop)
