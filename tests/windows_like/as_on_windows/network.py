"""Addresses that nobody listens at, and ports that nobody shares."""

from __future__ import annotations

import errno
import socket
import struct
import time
from typing import Any
from weakref import WeakSet

REFUSED = 2.0  # seconds until an attempt has been refused three times
RESET = "An existing connection was forcibly closed by the remote host"
_connect = socket.socket.connect
_shutdown = socket.socket.shutdown
_setsockopt = socket.socket.setsockopt
reset: WeakSet[socket.socket] = WeakSet()


def change() -> None:
    """Sharing a port is not to be had; to be refused takes its time.

    https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.create_server
    ("reuse_port ... is not supported on Windows")
    """
    del socket.SO_REUSEPORT
    socket.socket.connect = connect  # type: ignore[method-assign]
    socket.socket.shutdown = shutdown  # type: ignore[method-assign]
    socket.socket.setsockopt = setsockopt  # type: ignore[method-assign]


def connect(self: socket.socket, address: Any) -> None:
    """Whoever is refused asks again, half a second later, three times.

    https://support.microsoft.com/en-us/help/175523 "Winsock TCP Connection
    Performance to Unused Ports"; known: some two seconds in all.
    """
    try:
        _connect(self, address)
    except ConnectionRefusedError:
        limit = self.gettimeout()
        time.sleep(REFUSED if limit is None else min(limit, REFUSED))
        if limit is not None and limit < REFUSED:
            raise TimeoutError("timed out") from None
        raise


def shutdown(self: socket.socket, how: int) -> None:
    """Whoever has been reset cannot say goodbye; whoever has been left can.

    Where the other side has left, this is no error there, and one here. Where
    it has reset the connection, it is one, and the proactor's loop lets it
    through: https://github.com/python/cpython/issues/83413
    """
    if self in reset:
        raise ConnectionResetError(errno.ECONNRESET, RESET)
    try:
        _shutdown(self, how)
    except OSError as error:
        if error.errno != errno.ENOTCONN:
            raise


def setsockopt(
    self: socket.socket, level: int, name: int, *value: Any
) -> None:
    """What SO_LINGER takes is shorter there.

    https://learn.microsoft.com/en-us/windows/win32/api/winsock/ns-winsock-linger
    """
    if name == socket.SO_LINGER and level == socket.SOL_SOCKET:
        value = (struct.pack("ii", *struct.unpack("hh", *value)),)
    _setsockopt(self, level, name, *value)
