"""Names that Windows' Python lacks, and those that it has alone."""

from __future__ import annotations

import os
import signal
import site
import socket
import sys
import time
from types import FrameType, ModuleType

# What may know that this is no Windows.
LIBRARIES = (
    "<frozen ",
    os.path.dirname(os.__file__),
    os.path.dirname(os.path.dirname(__file__)),
    *site.getsitepackages(),
)
# Libraries that do the same as on Windows where they are told that it is.
AWARE = ("ipykernel/thread.py", "_pytest/monkeypatch.py")
_known: dict[str, bool] = {}

# https://docs.python.org/3/library/signal.html#signal.signal
SIGNALS = {
    "SIGABRT",
    "SIGFPE",
    "SIGILL",
    "SIGINT",
    "SIGSEGV",
    "SIGTERM",
    "SIGBREAK",
}


def on_windows(frame: FrameType) -> bool:
    """Whether code is on Windows: the course's, a learner's, a test's."""
    file = frame.f_code.co_filename
    if file not in _known:
        _known[file] = not file.startswith(LIBRARIES) or file.endswith(AWARE)
    return _known[file]


def change() -> None:
    _hide(os, UNIX_OF_OS)
    _hide(time, UNIX_OF_TIME)
    _hide(socket, UNIX_OF_SOCKET)
    _hide_signals()
    _hide_reports()
    sys.meta_path.insert(0, _NoModules)  # type: ignore[arg-type]
    _say_windows()


def _hide(module: ModuleType, names: set[str]) -> None:
    """Let a module have some names for libraries only."""

    def hidden(name: str) -> property:
        def get(self: ModuleType) -> object:
            if on_windows(sys._getframe(1)):
                raise AttributeError(name)
            return vars(self)[name]

        return property(get, lambda self, new: vars(self).update({name: new}))

    _give(module, {n: hidden(n) for n in names if n in vars(module)})


def _tell(module: ModuleType, values: dict[str, object]) -> None:
    """Let some names of a module have another value but for libraries."""

    def told(name: str, value: object) -> property:
        def get(self: ModuleType) -> object:
            if on_windows(sys._getframe(1)):
                return values[name]
            return vars(self)[name]

        return property(get, lambda self, new: values.update({name: new}))

    _give(module, {n: told(n, value) for n, value in values.items()})


def _give(module: ModuleType, properties: dict[str, property]) -> None:
    module.__class__ = type("module", (type(module),), properties)


def _hide_signals() -> None:
    """Seven signals and two events; no waiting, no timers, no masks.

    https://docs.python.org/3/library/signal.html#signal.signal and the
    availability of each function there.
    """
    others = {
        name
        for name in vars(signal)
        if name.startswith("SIG") and name.isupper() and name not in SIGNALS
    }
    _hide(signal, others | UNIX_OF_SIGNAL)
    signal.CTRL_C_EVENT = 0  # type: ignore[attr-defined]
    signal.CTRL_BREAK_EVENT = 1  # type: ignore[attr-defined]
    # Its number is 21 there. Here SIGQUIT carries it, which ends a process
    # that does not handle it, too.
    signal.SIGBREAK = signal.SIGQUIT  # type: ignore[attr-defined]
    allowed = {int(getattr(signal, name)) for name in SIGNALS}
    ours = signal.signal

    def handle(number, handler):  # type: ignore[no-untyped-def]
        if on_windows(sys._getframe(1)) and int(number) not in allowed:
            raise ValueError("signal number out of range")
        return ours(number, handler)

    signal.signal = handle


def _hide_reports() -> None:
    """No signal asks for a traceback.

    https://docs.python.org/3/library/faulthandler.html#faulthandler.register
    """
    import faulthandler

    _hide(faulthandler, {"register", "unregister"})


class _NoModules:
    """Modules of Unix, which code on Windows imports in vain.

    https://docs.python.org/3/library/unix.html
    """

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        frame: FrameType | None = sys._getframe(1)
        while frame and frame.f_code.co_filename.startswith("<frozen imp"):
            frame = frame.f_back
        if name in UNIX_MODULES and frame and on_windows(frame):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def _say_windows() -> None:
    """What system this is: for the course and its learners, Windows.

    https://docs.python.org/3/library/sys.html#sys.platform
    https://docs.python.org/3/library/os.html#os.name
    https://docs.python.org/3/library/os.html#os.linesep
    """
    _tell(sys, {"platform": "win32"})
    _tell(os, {"name": "nt", "linesep": "\r\n"})


UNIX_MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"}
# "Availability: Unix", or "not Windows", in
# https://docs.python.org/3/library/os.html
UNIX_OF_OS = set(
    """
    O_NONBLOCK WNOHANG chown chroot confstr ctermid fchmod fchown fork forkpty
    getegid geteuid getgid getgrouplist getgroups getloadavg getpgid getpgrp
    getpriority getresgid getresuid getsid getuid initgroups killpg lchown
    lockf major makedev minor mkfifo mknod nice openpty pathconf pipe2
    posix_spawn posix_spawnp pread preadv pwrite pwritev readv
    register_at_fork sched_getaffinity sched_setaffinity sched_yield sendfile
    setegid seteuid setgid setgroups setpgid setpriority setregid setreuid
    setsid setuid statvfs sync sysconf tcgetpgrp tcsetpgrp ttyname uname wait
    wait3 wait4 waitid writev WIFEXITED WIFSIGNALED WEXITSTATUS WTERMSIG
    """.split()
)
# https://docs.python.org/3/library/signal.html
UNIX_OF_SIGNAL = set(
    """
    alarm getitimer setitimer pause pthread_kill pthread_sigmask sigpending
    siginterrupt sigwait sigwaitinfo sigtimedwait ITIMER_REAL ITIMER_VIRTUAL
    ITIMER_PROF SIG_BLOCK SIG_UNBLOCK SIG_SETMASK
    """.split()
)
# https://docs.python.org/3/library/time.html
UNIX_OF_TIME = set(
    """
    tzset clock_gettime clock_getres clock_settime pthread_getcpuclockid
    CLOCK_MONOTONIC CLOCK_REALTIME CLOCK_PROCESS_CPUTIME_ID
    """.split()
)
# https://docs.python.org/3/library/socket.html#constants: "Availability: Unix"
UNIX_OF_SOCKET = set(
    "AF_UNIX AF_NETLINK AF_PACKET CMSG_LEN SCM_RIGHTS".split()
)
