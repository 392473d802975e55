"""Measures what validating the notebooks and importing aula cost.

``make bench`` prints it. The validation is compared with a floor: as many
notebooks of one cell, under the same workers. What is compared is run by
turns, and the median counts, so that a slow moment of the machine spoils
nothing.
"""

import datetime
import os
import platform
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from statistics import median

import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook, new_output

ROOT = Path(__file__).resolve().parent.parent
VALIDATIONS = 3
IMPORTS = 15

# Adds up the time in which cells ran and the kernel, with its children, did
# not compute: the waiting that a lesson asks for.
METER = """
def _meter(events):
    import os

    def idle():
        *busy, elapsed = os.times()
        return elapsed - sum(busy)

    def start(info):
        nonlocal begun
        begun = idle()

    def stop(result):
        nonlocal waited
        waited += idle() - begun

    waited, begun = 0, idle()
    events.register("pre_run_cell", start)
    events.register("post_run_cell", stop)
    return lambda: waited


_waited = _meter(get_ipython().events)
"""


def main():
    print(
        datetime.date.today(),
        f"Python {platform.python_version()}",
        f"{platform.system()} {platform.machine()}",
        f"{os.cpu_count()} cores",
        sep=", ",
    )
    print_imports()
    print_validation()


def print_imports():
    statements = ("import websockets", "import websockets, aula.es")
    plain, ours = alternate(IMPORTS, import_seconds, statements)
    print(f"import websockets             {plain * 1000:6.1f} ms")
    print(f"import aula.es adds           {(ours - plain) * 1000:6.1f} ms")


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
    waiting = sum(map(waiting_seconds, course)) / workers
    print(f"validating {len(course):3} notebooks      {cost:6.1f} s")
    print(f"the same number of one cell   {floor:6.1f} s")
    print(f"waiting asked for, a worker   {waiting:6.1f} s")
    print(f"cost without it / floor       {(cost - waiting) / floor:6.2f}")


def alternate(times, measure, subjects):
    """The median of each subject's measures, taken by turns."""
    rounds = [[measure(each) for each in subjects] for _ in range(times)]
    return [median(column) for column in zip(*rounds, strict=True)]


def import_seconds(statement):
    clock = "time.perf_counter()"
    code = f"import time; start = {clock}; {statement}; print({clock} - start)"
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE
    )
    return float(run.stdout)


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


def waiting_seconds(path):
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, new_code_cell(METER))
    notebook.cells.append(new_code_cell("print(_waited())"))
    NotebookClient(
        notebook, resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    return float(notebook.cells[-1].outputs[0].text)


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


if __name__ == "__main__":
    main()
