"""Runs the validation again and again, on a quiet machine and a busy one.

``python tests/soak.py 20`` runs it 20 times, and then 10 times while every
core is busy with something else. It prints each cell that failed, and how
often.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager

from rounds import play

BUSY = "while True: pass"


@contextmanager
def busy_cores():
    """Keep every core busy."""
    others = [
        subprocess.Popen([sys.executable, "-c", BUSY])
        for _ in range(os.cpu_count() or 1)
    ]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def soak(rounds: int, name: str) -> Counter[str]:
    """Play so many rounds, and count the failures of each cell."""
    failures: Counter[str] = Counter()
    for number in range(1, rounds + 1):
        began = time.monotonic()
        cells, failed = play()
        failures.update(failed)
        took = time.monotonic() - began
        print(
            f"{name} {number}/{rounds}: {cells} cells, {len(failed)} failed, "
            f"{took:.0f} s",
            flush=True,
        )
    return failures


def main() -> int:
    rounds = int(sys.argv[1])
    failures = soak(rounds, "quiet")
    with busy_cores():
        failures += soak((rounds + 1) // 2, "busy")
    for cell, times in failures.most_common():
        print(f"{times:4} x {cell}")
    print("No cell failed." if not failures else "Cells failed.")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
