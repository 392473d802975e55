"""Event loops: a proactor by default, and a selector that knows less."""

from __future__ import annotations

import asyncio
import asyncio.streams
import os
import selectors
import socket
import subprocess
import threading
from asyncio import base_subprocess, events, proactor_events, selector_events
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from as_on_windows import clocks, names, network

SOCKETS = 512
NO_UNIX = {
    "open_unix_connection",
    "start_unix_server",
    "AbstractChildWatcher",
    "SafeChildWatcher",
    "FastChildWatcher",
    "PidfdChildWatcher",
    "MultiLoopChildWatcher",
    "ThreadedChildWatcher",
    "get_child_watcher",
    "set_child_watcher",
}


def change() -> None:
    """The proactor is the default; neither loop knows Unix.

    https://docs.python.org/3/library/asyncio-platforms.html#windows: no
    ``add_signal_handler``, no Unix sockets; the proactor has no
    ``add_reader``; the selector has no subprocesses and no pipes, and at most
    512 sockets.

    ipykernel 7 runs cells on the default loop, the proactor, and its own
    channels on selectors: ipykernel/thread.py, its issue 1468.
    """
    names._hide(asyncio, NO_UNIX)
    names._hide(asyncio.streams, NO_UNIX)
    asyncio.SelectorEventLoop = SelectorEventLoop  # type: ignore[misc]
    asyncio.ProactorEventLoop = ProactorEventLoop  # type: ignore[attr-defined]
    for kind in (ProactorEventLoop, SelectorEventLoop):
        name = f"Windows{kind.__name__}Policy"
        base = events.BaseDefaultEventLoopPolicy
        policy = type(name, (base,), {"_loop_factory": kind})
        setattr(asyncio, name, policy)
    default = asyncio.WindowsProactorEventLoopPolicy  # type: ignore[attr-defined]
    asyncio.DefaultEventLoopPolicy = default  # type: ignore[misc]
    if hasattr(asyncio, "EventLoop"):
        asyncio.EventLoop = ProactorEventLoop


class Selector(selectors.SelectSelector):
    """The selector of the selector's loop: of few sockets."""

    def register(self, *arguments: Any) -> Any:
        if len(self.get_map()) >= SOCKETS:
            raise ValueError("too many file descriptors in select()")
        return super().register(*arguments)

    def select(self, timeout: float | None = None) -> Any:
        return super().select(clocks.wait(timeout))


class SelectorEventLoop(selector_events.BaseSelectorEventLoop):
    """As in Lib/asyncio/windows_events.py: the base and nothing more."""

    def __init__(self, selector: Any = None) -> None:
        super().__init__(selector or Selector())


class ProactorEventLoop(proactor_events.BaseProactorEventLoop):
    """Python's own, on a proactor of this machine's."""

    def __init__(self, proactor: Any = None) -> None:
        super().__init__(proactor or Proactor())

    def run_forever(self) -> None:
        try:
            assert self._self_reading_future is None
            self.call_soon(self._loop_self_reading)
            super().run_forever()
        finally:
            if self._self_reading_future is not None:
                self._self_reading_future.cancel()
                self._self_reading_future = None

    async def _make_subprocess_transport(
        self,
        protocol: Any,
        args: Any,
        shell: Any,
        stdin: Any,
        stdout: Any,
        stderr: Any,
        bufsize: Any,
        extra: Any = None,
        **kwargs: Any,
    ) -> Any:
        waiter = self.create_future()
        transport = SubprocessTransport(
            self,
            protocol,
            args,
            shell,
            stdin,
            stdout,
            stderr,
            bufsize,
            waiter=waiter,
            extra=extra,
            **kwargs,
        )
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        return transport


class SubprocessTransport(base_subprocess.BaseSubprocessTransport):
    """A process whose end a thread waits for."""

    def _start(
        self,
        args: Any,
        shell: Any,
        stdin: Any,
        stdout: Any,
        stderr: Any,
        bufsize: Any,
        **kwargs: Any,
    ) -> None:
        self._proc = subprocess.Popen(
            args,
            shell=shell,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            bufsize=bufsize,
            **kwargs,
        )
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        code = self._proc.wait()
        self._loop.call_soon_threadsafe(self._process_exited, code)


class Operation(asyncio.Future[Any]):
    """What is awaited; its file may be closed right after it is cancelled."""

    tidy: Callable[[], None] | None = None

    def cancel(self, msg: Any = None) -> bool:
        cancelled = super().cancel(msg)
        if cancelled and self.tidy:
            self.tidy()
        return cancelled


class Proactor:
    """What asyncio asks of Windows' completion ports, of a selector.

    Each operation is tried at once and, where it would have to wait, again
    whenever the selector says so.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._waiting: dict[int, dict[int, deque[Any]]] = {}
        self._loop: Any = None

    def set_loop(self, loop: Any) -> None:
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        for key, ready in self._selector.select(clocks.wait(timeout)):
            for event in (selectors.EVENT_READ, selectors.EVENT_WRITE):
                if ready & event:
                    self._go_on(key.fd, event)
        return []

    def close(self) -> None:
        self._selector.close()

    def recv(self, file: Any, count: int, flags: int = 0) -> Any:
        return self._do(file, selectors.EVENT_READ, lambda: _read(file, count))

    def recv_into(self, file: Any, buffer: Any, flags: int = 0) -> Any:
        def attempt() -> int:
            data = _read(file, len(buffer))
            buffer[: len(data)] = data
            return len(data)

        return self._do(file, selectors.EVENT_READ, attempt)

    def recvfrom(self, sock: Any, count: int, flags: int = 0) -> Any:
        return self._do(
            sock, selectors.EVENT_READ, lambda: sock.recvfrom(count, flags)
        )

    def recvfrom_into(self, sock: Any, buffer: Any, flags: int = 0) -> Any:
        return self._do(
            sock, selectors.EVENT_READ, lambda: sock.recvfrom_into(buffer)
        )

    def sendto(
        self, sock: Any, data: Any, flags: int = 0, addr: Any = None
    ) -> Any:
        return self._do(
            sock, selectors.EVENT_WRITE, lambda: sock.sendto(data, flags, addr)
        )

    def send(self, file: Any, data: Any, flags: int = 0) -> Any:
        """All of it, or nothing yet: an overlapped write is not halved."""
        left = memoryview(bytes(data))

        def attempt() -> int:
            nonlocal left
            while left:
                left = left[_write(file, left) :]
            return len(data)

        return self._do(file, selectors.EVENT_WRITE, attempt)

    def accept(self, listener: Any) -> Any:
        def attempt() -> Any:
            sock, address = listener.accept()
            sock.settimeout(listener.gettimeout())
            return sock, address

        return self._do(listener, selectors.EVENT_READ, attempt)

    def connect(self, sock: Any, address: Any) -> Any:
        """One that is refused is so after a while (``network.connect``)."""
        if sock.type == socket.SOCK_DGRAM:
            return self._do(
                sock, selectors.EVENT_WRITE, lambda: sock.connect(address)
            )
        begun = False
        future = self._loop.create_future()

        def attempt() -> None:
            nonlocal begun
            code = (
                sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if begun
                else sock.connect_ex(address)
            )
            if not begun and code in (115, 36):  # EINPROGRESS
                begun = True
                raise BlockingIOError
            if code:
                raise OSError(code, f"Connect call failed {address}")

        def end(tried: Any) -> None:
            if future.done() or tried.cancelled():
                future.cancel()
            elif isinstance(tried.exception(), ConnectionRefusedError):
                error = tried.exception()
                self._loop.call_later(network.REFUSED, _fail, future, error)
            elif tried.exception():
                future.set_exception(tried.exception())
            else:
                future.set_result(None)

        begin = self._do(sock, selectors.EVENT_WRITE, attempt)
        begin.add_done_callback(end)
        future.add_done_callback(lambda _: begin.cancel())
        return future

    def sendfile(self, sock: Any, file: Any, offset: int, count: int) -> Any:
        data = os.pread(file.fileno(), count, offset)
        return self.send(sock, data)

    def _stop_serving(self, sock: Any) -> None:
        self._forget(sock.fileno())
        sock.close()

    def _do(self, file: Any, event: int, attempt: Callable[[], Any]) -> Any:
        descriptor = file.fileno()
        future = Operation(loop=self._loop)
        if descriptor < 0:
            future.set_exception(OSError(9, "Bad file descriptor"))
            return future
        if not isinstance(file, socket.socket):
            os.set_blocking(descriptor, False)
        waiting = self._waiting.setdefault(descriptor, {})
        queue = waiting.setdefault(event, deque())
        if queue or not _try(future, attempt):
            queue.append((future, attempt))
            future.tidy = partial(self._tidy, descriptor)
            self._listen(descriptor)
        return future

    def _go_on(self, descriptor: int, event: int) -> None:
        queue = self._waiting.get(descriptor, {}).get(event, deque())
        while queue:
            future, attempt = queue[0]
            if not future.done() and not _try(future, attempt):
                return
            queue.popleft()
        self._listen(descriptor)

    def _tidy(self, descriptor: int) -> None:
        """Forget what was cancelled."""
        for queue in self._waiting.get(descriptor, {}).values():
            for each in [each for each in queue if each[0].cancelled()]:
                queue.remove(each)
        self._listen(descriptor)

    def _forget(self, descriptor: int) -> None:
        for queue in self._waiting.pop(descriptor, {}).values():
            for future, _ in queue:
                future.cancel()
        self._listen(descriptor)

    def _listen(self, descriptor: int) -> None:
        if self._selector.get_map() is None:
            return  # closed
        waiting = self._waiting.get(descriptor, {})
        wanted = sum(event for event, queue in waiting.items() if queue)
        known = self._selector.get_map().get(descriptor)
        try:
            if not wanted:
                self._waiting.pop(descriptor, None)
                if known:
                    self._selector.unregister(descriptor)
            elif known:
                self._selector.modify(descriptor, wanted)
            else:
                self._selector.register(descriptor, wanted)
        except (OSError, KeyError):  # closed meanwhile
            self._forget_closed(descriptor)

    def _forget_closed(self, descriptor: int) -> None:
        for queue in self._waiting.pop(descriptor, {}).values():
            for future, _ in queue:
                _fail(future, ConnectionResetError(10054, "closed"))


def _try(future: Any, attempt: Callable[[], Any]) -> bool:
    """Whether an operation is over, well or badly."""
    try:
        result = attempt()
    except (BlockingIOError, InterruptedError):
        return False
    except OSError as error:
        _fail(future, error)
    else:
        future.set_result(result)
    return True


def _fail(future: Any, error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def _read(file: Any, count: int) -> bytes:
    if not isinstance(file, socket.socket):
        return os.read(file.fileno(), count)
    with _noting_reset(file):
        return file.recv(count)


def _write(file: Any, data: Any) -> int:
    if not isinstance(file, socket.socket):
        return os.write(file.fileno(), data)
    with _noting_reset(file):
        return file.send(data)


@contextmanager
def _noting_reset(sock: socket.socket) -> Iterator[None]:
    try:
        yield
    except ConnectionError:
        network.reset.add(sock)
        raise
