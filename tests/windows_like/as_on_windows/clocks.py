"""Clocks that tick 64 times a second."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

TICK = 1 / 64
exact = time.monotonic


def change() -> None:
    """The clocks of event loops and of the day move in steps.

    "The resolution of the monotonic clock on Windows is usually around 15.6
    milliseconds": https://docs.python.org/3/library/asyncio-platforms.html
    Python 3.13 asks finer clocks
    (https://docs.python.org/3/whatsnew/3.13.html#time), but its loops wait as
    coarsely (``wait``).
    """
    if sys.version_info >= (3, 13):
        return
    day, told = time.time, time.get_clock_info
    time.monotonic = lambda: exact() // TICK * TICK
    time.time = lambda: day() // TICK * TICK

    def info(name: str) -> SimpleNamespace:
        known = told(name)
        coarse = name in ("monotonic", "time")
        resolution = TICK if coarse else known.resolution
        return SimpleNamespace(**vars(known) | {"resolution": resolution})

    time.get_clock_info = info  # type: ignore[assignment]


def wait(timeout: float | None) -> float | None:
    """How long a wait of so many seconds lasts: to the end of a tick.

    https://learn.microsoft.com/en-us/windows/win32/sync/wait-functions
    "Wait Functions and Time-out Intervals"
    """
    if not timeout or timeout < 0:
        return timeout
    now = exact()
    return -(-(now + timeout) // TICK) * TICK - now
