"""Processes that are killed, never asked; console events, no signals."""

from __future__ import annotations

import errno
import multiprocessing
import multiprocessing.context
import os
import signal
import subprocess
import sys
from asyncio.base_subprocess import BaseSubprocessTransport
from collections.abc import Iterator
from contextlib import suppress
from types import FrameType
from typing import Any
from weakref import WeakSet

from as_on_windows.files import ENCODING, utf8
from as_on_windows.names import on_windows

NEW_GROUP = 0x200
FLAGS = {
    "CREATE_NEW_CONSOLE": 0x10,
    "CREATE_NEW_PROCESS_GROUP": NEW_GROUP,
    "CREATE_NO_WINDOW": 0x8000000,
    "DETACHED_PROCESS": 0x8,
}
# https://learn.microsoft.com/en-us/openspecs/windows_protocols/ms-erref/596a1078-e883-4972-9bbc-49e60bebca55
CONTROL_C_EXIT = 0xC000013A
ACCESS_VIOLATION = 0xC0000005
# By the signal that ended a process here.
EXIT_CODES = {
    signal.SIGINT: CONTROL_C_EXIT,
    signal.SIGQUIT: CONTROL_C_EXIT,
    signal.SIGABRT: 3,  # https://learn.microsoft.com/en-us/cpp/c-runtime-library/reference/abort
    signal.SIGSEGV: ACCESS_VIOLATION,
}

_started: WeakSet[subprocess.Popen[Any]] = WeakSet()
_given: dict[int, int] = {}  # exit codes, by the ids of processes
_kill, _killpg = os.kill, os.killpg
_init = subprocess.Popen.__init__
_handle = subprocess.Popen._handle_exitstatus  # type: ignore[attr-defined]
_send_signal = subprocess.Popen.send_signal
_exited = BaseSubprocessTransport._process_exited  # type: ignore[attr-defined]


def change() -> None:
    of = subprocess.Popen
    of.__init__ = start  # type: ignore[method-assign]
    of.send_signal = send_signal  # type: ignore[method-assign]
    of.terminate = of.kill = terminate  # type: ignore[method-assign]
    of._handle_exitstatus = handle_exit  # type: ignore[attr-defined]
    BaseSubprocessTransport._process_exited = process_exited  # type: ignore[attr-defined]
    for name, value in FLAGS.items():
        setattr(subprocess, name, value)
    os.kill = kill
    os.environ.setdefault("SYSTEMROOT", r"C:\Windows")
    _spawn_only()


def running() -> Iterator[int]:
    """The processes that this one has started, by their ids."""
    for process in list(_started):
        if process.returncode is None:
            yield process.pid


def start(self: Any, *arguments: Any, **options: Any) -> None:
    """``Popen``: no sessions and no ``preexec_fn``, and groups of a console.

    https://docs.python.org/3/library/subprocess.html#popen-constructor
    (``start_new_session`` and ``preexec_fn`` are POSIX only; "the specified
    env must include a valid %SystemRoot%")
    https://docs.python.org/3/library/subprocess.html#subprocess.CREATE_NEW_PROCESS_GROUP
    """
    if options.pop("creationflags", 0) & NEW_GROUP:
        options["process_group"] = 0
    if on_windows(_caller()):
        options.pop("start_new_session", None)
        if options.get("preexec_fn"):
            raise ValueError(
                "preexec_fn is not supported on Windows platforms"
            )
        if "SYSTEMROOT" not in (options.get("env") or os.environ):
            raise OSError(errno.EINVAL, "no SYSTEMROOT for the program")
    if options.get("text") or options.get("universal_newlines"):
        if not utf8() and not options.get("encoding"):
            options["encoding"] = ENCODING
    _init(self, *arguments, **options)
    _started.add(self)
    with suppress(AttributeError):  # bytes, or no pipe
        self.stdin.reconfigure(newline="\r\n")


def _caller() -> FrameType:
    """Who starts a process, or sends something to it."""
    frame = sys._getframe(2)
    while frame.f_code.co_filename == subprocess.__file__:
        assert frame.f_back
        frame = frame.f_back
    return frame


def terminate(self: Any) -> None:
    """Kill, with exit code 1, whatever a process has to say to that.

    "On Windows the Win32 API function TerminateProcess() is called", and
    "kill() is an alias for terminate()":
    https://docs.python.org/3/library/subprocess.html#subprocess.Popen.terminate
    Known, from Lib/subprocess.py: TerminateProcess(handle, 1).
    """
    if self.poll() is None:
        _end(self.pid, 1)


def send_signal(self: Any, number: int) -> None:
    """SIGTERM kills, events of a console arrive, and there is nothing else.

    https://docs.python.org/3/library/subprocess.html#subprocess.Popen.send_signal
    """
    if not on_windows(_caller()):
        _send_signal(self, number)
    elif self.poll() is not None:
        return
    elif number == signal.SIGTERM:
        self.terminate()
    elif number in (0, 1):
        _send_event(self.pid, number)
    else:
        raise ValueError(f"Unsupported signal: {number}")


def kill(process: int, number: int) -> None:
    """An event of a console, or the end of a process with that exit code.

    "Any other value for sig will cause the process to be unconditionally
    killed by the TerminateProcess API, and the exit code will be set to sig":
    https://docs.python.org/3/library/os.html#os.kill
    """
    if not on_windows(sys._getframe(1)):
        _kill(process, number)
    elif number in (0, 1):
        _send_event(process, number)
    elif process == os.getpid():
        os._exit(number)
    else:
        _end(process, number)


def _send_event(group: int, number: int) -> None:
    """Ctrl+C for all on this console; Ctrl+Break for one group, too.

    CTRL_C_EVENT "cannot be limited to a specific process group. If
    dwProcessGroupId is nonzero, this function will succeed, but the CTRL+C
    signal will not be received":
    https://learn.microsoft.com/en-us/windows/console/generateconsolectrlevent
    """
    if number == 0:
        if group == 0:
            _kill(0, signal.SIGINT)
        return
    try:
        _killpg(group, signal.SIGQUIT)
    except ProcessLookupError:  # it is of another's group
        raise OSError(errno.EINVAL, "The parameter is incorrect") from None


def _end(process: int, code: int) -> None:
    """TerminateProcess.

    https://learn.microsoft.com/en-us/windows/win32/api/processthreadsapi/nf-processthreadsapi-terminateprocess
    """
    try:
        _kill(process, signal.SIGKILL)
    except ProcessLookupError:
        raise OSError(errno.EINVAL, "The parameter is incorrect") from None
    _given[process] = code


def _exit_code(process: int, code: int) -> int:
    """What an exit code of here would be there: never negative.

    https://docs.python.org/3/library/subprocess.html#subprocess.Popen.returncode
    ("POSIX only")
    """
    given = _given.pop(process, 1)
    return EXIT_CODES.get(-code, given) if code < 0 else code


def handle_exit(self: Any, status: int, *rest: Any) -> None:
    _handle(self, status, *rest)
    self.returncode = _exit_code(self.pid, self.returncode)


def process_exited(self: Any, code: int) -> None:
    _exited(self, _exit_code(self._pid, code))


def _spawn_only() -> None:
    """Processes of multiprocessing begin anew.

    https://docs.python.org/3/library/multiprocessing.html#contexts-and-start-methods
    """
    default = multiprocessing.context._default_context  # type: ignore[attr-defined]
    default._default_context = default.get_context("spawn")
    for module in (default, multiprocessing):
        module.get_all_start_methods = lambda: ["spawn"]  # type: ignore
