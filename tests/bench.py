"""Measures what the course costs: imports, pictures, load, validation.

``make bench`` prints it, each line with what it may be at most where there
is a target. What is compared is run by turns, and the median counts, so that
a slow moment of the machine spoils nothing. The validation is compared with a
floor: as many notebooks of one cell, under the same workers.

``python tests/bench.py pictures recording`` measures these parts alone.
"""

import asyncio
import contextlib
import datetime
import os
import platform
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

import load
import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook, new_output
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from aula.instruments.timeline import Timeline
from aula.instruments.wiretap import Wiretap

ROOT = Path(__file__).resolve().parent.parent
VALIDATIONS = 3
IMPORTS = 15
PICTURES = 5
RECORDINGS = 9
LOADS = 5
ECHOES = 1000
TASKS, TURNS = 10, 1000

# In a kernel: adds up the time in which cells ran and nobody computed, which
# is the waiting that a lesson asks for, and tells the CPU time of the
# processes that it has started, and the kernel's memory.
METER = """
def _meter(events):
    import os

    import psutil

    def idle():
        *busy, elapsed = os.times()
        return elapsed - sum(busy)

    def start(info):
        nonlocal begun
        begun = idle()

    def stop(result):
        nonlocal waited
        waited += idle() - begun

    def measures():
        kernel = psutil.Process()
        # Those that have ended, and those that have not.
        cpu = sum(os.times()[2:4])
        for process in kernel.children(recursive=True):
            times = process.cpu_times()
            cpu += times.user + times.system
        return waited, cpu, kernel.memory_info().rss / 2**20

    waited, begun = 0, idle()
    events.register("pre_run_cell", start)
    events.register("post_run_cell", stop)
    return measures


_measures = _meter(get_ipython().events)
"""

# A new process: seconds of CPU until a first picture, and for another.
PICTURE = """
import asyncio, time
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from aula.en import {instrument}

async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)

async def talk():
    async with serve(echo, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        record = {instrument}()
        record.start()
        async with connect(f"ws://{{host}}:{{port}}") as websocket:
            for _ in range(5):
                await websocket.send("hola")
                await websocket.recv()
        record.stop()
    return record

record = asyncio.run(talk())
for _ in range(2):
    start = time.process_time()
    record.bundle("en")
    print(time.process_time() - start)
"""

# What a crowd on the board is asked: unit, scale, and what it may be at most.
LOAD = {
    "joined": (f"{load.PEOPLE} people join the board", "s", 1, ""),
    "flood": (f"they solve {load.PEOPLE * load.EACH} at once", "s", 1, ""),
    "answer": ("an answer meanwhile, median", "ms", 1000, ""),
    "single": ("an event on the last screen, median", "ms", 1000, "50"),
    "slowest": ("an event, 99th percentile", "ms", 1000, ""),
    "memory": ("the board with all of them", "MiB", 1, "150"),
}


@dataclass
class Ran:
    """What a notebook's run took.

    Attributes:
        waited: seconds.
        processes: seconds of CPU, of the processes that it started.
        memory: of its kernel at the end, in MiB.
    """

    waited: float
    processes: float
    memory: float


def main(wanted):
    parts = {
        "imports": print_imports,
        "pictures": print_pictures,
        "recording": print_recording,
        "size": print_size,
        "load": print_load,
        "validation": print_validation,
    }
    print(
        datetime.date.today(),
        f"Python {platform.python_version()}",
        f"{platform.system()} {platform.machine()}",
        f"{os.cpu_count()} cores",
        sep=", ",
    )
    for name, measure in parts.items():
        if not wanted or name in wanted:
            measure()


def line(what, value, unit="", most=""):
    """Print a measure, and what it may be at most."""
    digits = 2 if unit in ("×", "") else 1
    limit = f"  (at most {most})" if most else ""
    print(f"{what:38}{value:8.{digits}f} {unit}{limit}".rstrip(), flush=True)


def print_imports():
    statements = ("import websockets", "import websockets, aula.es")
    plain, ours = alternate(IMPORTS, import_seconds, statements)
    line("import websockets", plain * 1000, "ms")
    line("import aula.es adds", (ours - plain) * 1000, "ms", "60")


def print_pictures():
    for instrument in ("timeline", "wiretap"):
        taken = [picture_seconds(instrument) for _ in range(PICTURES)]
        first, later = (median(column) for column in zip(*taken, strict=True))
        line(f"first picture of a {instrument}, CPU", first * 1000, "ms")
        line(f"later picture of a {instrument}, CPU", later * 1000, "ms")


def print_recording():
    plain, lanes, heard = ratios(echo_seconds, (None, Timeline, Wiretap))
    line(f"{ECHOES} echoes, CPU", plain * 1000, "ms")
    line("the same in a timeline", lanes, "×", "1.3")
    line("the same in a wiretap", heard, "×", "1.2")
    plain, lanes = ratios(turn_seconds, (None, Timeline))
    line(f"{TASKS} tasks of {TURNS} turns, CPU", plain * 1000, "ms")
    line("the same in a timeline", lanes, "×")


def print_size():
    sizes = {
        path: path.stat().st_size / 1000
        for kind in ("notebooks", "solutions")
        for path in (ROOT / kind).rglob("*.ipynb")
    }
    line("a stored notebook, on average", mean(sizes.values()), "kB", "80")
    largest = max(sizes, key=lambda path: sizes[path])
    line("the largest", sizes[largest], f"kB, {name_of(largest)}")


def print_load():
    """The classroom's board beside a server that keeps nothing."""
    rounds = [(load.run_board(), load.run_bare()) for _ in range(LOADS)]
    for name in ("joined", "flood", "answer", "single", "slowest", "memory"):
        ours, bare = (
            median(getattr(seen, name) for seen in side)
            for side in zip(*rounds, strict=True)
        )
        what, unit, scale, most = LOAD[name]
        line(what, ours * scale, unit, most)
        line("  a server that only broadcasts", bare * scale, unit)
    ratio = median(ours.slowest / bare.slowest for ours, bare in rounds)
    line("99th percentile / that server's", ratio, "", "2")


def print_validation():
    course = notebooks()
    workers = next(
        int(option.removeprefix("-n"))
        for option in pytest_options()
        if option.startswith("-n")
    )
    # Inside the project, where the same conftest.py holds.
    with tempfile.TemporaryDirectory(prefix=".", dir=ROOT) as folder:
        write_floor(Path(folder), len(course))
        cost, floor = alternate(
            VALIDATIONS, validation_seconds, (course, [Path(folder)])
        )
    runs = {path: run_all(path) for path in course}
    waiting = sum(ran.waited for ran in runs.values()) / workers
    processes = sum(ran.processes for ran in runs.values())
    processes /= min(workers, os.cpu_count() or 1)
    line(f"validating {len(course)} notebooks", cost, "s")
    line("the same number of one cell", floor, "s")
    line("waiting asked for, a worker", waiting, "s")
    line("CPU of lessons' processes, a core", processes, "s")
    own = cost - waiting - processes
    line("cost without these two / floor", own / floor, "", "1.4")
    memory = {path: ran.memory for path, ran in runs.items()}
    largest = max(memory, key=lambda path: memory[path])
    line(
        "a kernel after Run All, median", median(memory.values()), "MiB", "95"
    )
    line(f"the most: {name_of(largest)}", memory[largest], "MiB", "115")


def alternate(times, measure, subjects):
    """The median of each subject's measures, taken by turns."""
    rounds = [[measure(each) for each in subjects] for _ in range(times)]
    return [median(column) for column in zip(*rounds, strict=True)]


def ratios(measure, watchers):
    """The median of the first's measures, and the others' ratios to it.

    A ratio is taken within a round: from one to the next, the machine may
    change its speed.
    """
    rounds = [[measure(each) for each in watchers] for _ in range(RECORDINGS)]
    others = [[taken / first for taken in rest] for first, *rest in rounds]
    plain = median(first for first, *_ in rounds)
    return [plain, *(median(column) for column in zip(*others, strict=True))]


def import_seconds(statement):
    clock = "time.perf_counter()"
    code = f"import time; start = {clock}; {statement}; print({clock} - start)"
    return float(output_of(code))


def picture_seconds(instrument):
    """CPU of the first and of a later picture, in a process of its own."""
    output = output_of(PICTURE.format(instrument=instrument))
    return [float(line) for line in output.splitlines()]


def output_of(code):
    return subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def echo_seconds(watcher):
    """CPU of ECHOES echoes within an instrument, without its picture."""

    async def echo(websocket):
        async for message in websocket:
            await websocket.send(message)

    async def talk():
        async with serve(echo, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            async with connect(f"ws://{host}:{port}") as websocket:
                with recording(watcher):
                    start = time.process_time()
                    for _ in range(ECHOES):
                        await websocket.send("hola")
                        await websocket.recv()
                    return time.process_time() - start

    return asyncio.run(talk())


def turn_seconds(watcher):
    """CPU of TASKS tasks that give way TURNS times each."""

    async def turn():
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def take_turns():
        with recording(watcher):
            start = time.process_time()
            await asyncio.gather(*(turn() for _ in range(TASKS)))
            return time.process_time() - start

    return asyncio.run(take_turns())


@contextlib.contextmanager
def recording(watcher):
    """An instrument that shows nothing; none, if the watcher is None."""
    instrument = watcher and watcher()
    if instrument:
        instrument.start()
    yield
    if instrument:
        instrument.stop()


def validation_seconds(paths):
    start = time.perf_counter()
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", "pyproject.toml", *paths],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    if run.returncode:
        sys.exit(run.stdout)
    return time.perf_counter() - start


def run_all(path):
    """What a notebook's run took, measured in its kernel."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, new_code_cell(METER))
    notebook.cells.append(new_code_cell("print(*_measures())"))
    NotebookClient(
        notebook,
        resources={"metadata": {"path": str(path.parent)}},
        # The kernel warns the terminal that loopback is not encrypted.
        extra_arguments=["--Application.log_level=ERROR"],
    ).execute()
    return Ran(*map(float, notebook.cells[-1].outputs[0].text.split()))


def notebooks():
    """The notebooks with code: without it, nothing is validated."""
    return [
        path
        for kind in ("notebooks", "solutions")
        for path in sorted((ROOT / kind).glob("*/*.ipynb"))
        if any(
            cell.cell_type == "code"
            for cell in nbformat.read(path, as_version=4).cells
        )
    ]


def write_floor(folder, count):
    output = new_output("execute_result", {"text/plain": "2"})
    output.execution_count = 1
    cell = new_code_cell("1 + 1", execution_count=1, outputs=[output])
    for number in range(count):
        nbformat.write(new_notebook(cells=[cell]), folder / f"{number}.ipynb")


def pytest_options():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return settings["tool"]["pytest"]["ini_options"]["addopts"]


def name_of(path):
    return path.relative_to(ROOT).as_posix()


if __name__ == "__main__":
    main(sys.argv[1:])
