"""One round of the validation: every cell of every notebook, compared."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
LIMIT = 5400  # seconds: that of a run that hangs, on the slowest machine
NOTEBOOKS = ("notebooks", "solutions")


def play(
    environment: Mapping[str, str] | None = None,
    python: str | Path = sys.executable,
    root: Path = ROOT,
    prefix: tuple[str, ...] = (),
    what: tuple[str, ...] = NOTEBOOKS,
) -> tuple[int, list[str]]:
    """Run all notebooks once, or other tests.

    Arguments:
        environment: the variables of the process; by default this one's.
        python: the interpreter, of an environment with the course in it.
        root: where the course stands.
        prefix: a command that runs the command after it.
        what: the tests to run.

    Returns:
        how many cells ran, and the names of those that failed.

    Raises:
        RuntimeError: if there was no round at all, with what pytest said.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        done = subprocess.run(
            [
                *prefix,
                str(python),
                *("-m", "pytest", "-q", "-p", "no:cacheprovider"),
                f"--junitxml={report}",
                *what,
            ],
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        if not report.exists():
            raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
        cells = list(xml.parse(report).iter("testcase"))
    failed = [
        f"{cell.get('classname')} {cell.get('name')}"
        for cell in cells
        if cell.find("failure") is not None or cell.find("error") is not None
    ]
    if not cells or (done.returncode != 0 and not failed):
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
    return len(cells), failed
