"""Finds out what neither tests nor judges would notice.

``python tests/mutants.py`` breaks each instrument in one small way after
another (cosmic-ray makes these mutants), runs the instrument's own tests on
each, and prints those that no test noticed. Then it breaks each right answer
to each exercise, in these ways and in those of breakages.py, has the check
judge what comes of it, and prints what the judge took for right.
``... instruments/frames`` takes only this instrument, ``... 03`` this lesson,
``... 03.2`` this exercise. tests/mutants.md says of each that was left why.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

from breakages import cosmic, essence, is_new
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.testing import run_tests
from cosmic_ray.work_item import MutationSpec, TestOutcome
from trials import WORKERS, play_lesson

from authoring.source import ROOT, lesson_paths, read_lesson

# What is broken, and the tests that should notice.
WIRETAP = "frames conversation diagram wiretap"
INSTRUMENTS = {
    "instruments/tasks": "tasks record labels timeline",
    "instruments/jobs": "record labels",
    "instruments/lines": "record",
    "instruments/labels": "labels",
    "instruments/lanes": "record chart",
    "instruments/stores": "stores",
    "instruments/record": "record tasks labels chart",
    "instruments/chart": "chart",
    "instruments/bars": "bars picture",
    "instruments/look": "picture",
    "instruments/telling": "picture",
    "instruments/picture": "picture",
    "instruments/timeline": "timeline",
    "instruments/frames": WIRETAP,
    "instruments/conversation": WIRETAP,
    "instruments/spelling": WIRETAP,
    "instruments/diagram": WIRETAP,
    "instruments/wiretap": WIRETAP,
    "exercises/answer": "check",
    "exercises/prediction": "prediction",
    "exercises/run": "check",
    "exercises/check": "check",
}
NEEDED = ("aula", "authoring", "lessons", "tests", "pyproject.toml")


def mutants(instrument: str) -> list[MutationSpec]:
    """The mutants of an instrument."""
    path = Path("aula", f"{instrument}.py")
    seen = {essence(path.read_text("utf-8"))}
    return [spec for spec, code in cosmic(path) if is_new(code, seen)]


def command(instrument: str) -> str:
    """Runs the tests without the browsers and what takes long to load."""
    tests = [
        f"tests/test_{name}.py" for name in INSTRUMENTS[instrument].split()
    ]
    return (
        f"{sys.executable} -m pytest -x -q -o addopts= --noconftest "
        "-p no:nbval -p no:xdist -p no:cacheprovider -k 'not jupyterlab' "
        f"{' '.join(tests)}"
    )


def prepare(parent: str) -> None:
    """Give a worker a copy of the course that it may break."""
    folder = Path(tempfile.mkdtemp(dir=parent))
    for name in NEEDED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder)
    os.chdir(folder)
    # The tests' own processes find the copy, too.
    os.environ["PYTHONPATH"] = str(folder)
    os.environ["JUPYTER_DATA_DIR"] = str(folder / "data")


def measure(instrument: str) -> float:
    """How long the tests take; they must pass while nothing is broken."""
    began = time.monotonic()
    outcome, output = run_tests(command(instrument), 600)
    if outcome is not TestOutcome.SURVIVED:
        raise RuntimeError(output)
    return time.monotonic() - began


def attempt(job: tuple[str, MutationSpec, float]) -> tuple[str, str]:
    """Run the tests on a mutant: what came of it, and the mutant."""
    instrument, spec, limit = job
    result = mutate_and_test([spec], command(instrument), limit)
    if result.test_outcome is TestOutcome.INCOMPETENT:
        raise RuntimeError(result.output)
    if result.output == "timeout":
        return "timeout", result.diff
    return result.test_outcome.value, result.diff


def play(instrument: str) -> bool:
    """Try all mutants of an instrument: whether 9 in 10 were noticed."""
    specs = mutants(instrument)
    count = dict.fromkeys(("killed", "timeout", "survived"), 0)
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as parent,
        get_context("spawn").Pool(WORKERS, prepare, [parent]) as pool,
    ):
        took = max(pool.map(measure, [instrument] * WORKERS, chunksize=1))
        jobs = [(instrument, spec, 4 * took + 10) for spec in specs]
        for outcome, diff in pool.imap(attempt, jobs):
            count[outcome] += 1
            if outcome == "survived":
                print(*diff.splitlines()[3:], sep="\n", flush=True)
    noticed = len(specs) - count["survived"]
    print(
        f"{instrument}.py: {len(specs)} mutants, {noticed} noticed "
        f"({count['timeout']} of them by the time limit), "
        f"{count['survived']} not: {noticed / len(specs):.1%}",
        flush=True,
    )
    return noticed >= 0.9 * len(specs)


def main() -> int:
    os.chdir(ROOT)
    lessons = {
        lesson.number: lesson for lesson in map(read_lesson, lesson_paths())
    }
    good = []
    for chosen in sys.argv[1:] or [*INSTRUMENTS, *lessons]:
        if chosen in INSTRUMENTS:
            good.append(play(chosen))
        else:
            lesson = lessons[chosen.partition(".")[0]]
            good.append(play_lesson(lesson, chosen))
    return not all(good)


if __name__ == "__main__":
    sys.exit(main())
