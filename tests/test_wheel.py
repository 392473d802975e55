"""The wheel holds aula alone, and works where the repository is not."""

import json
import os
import shutil
import subprocess
import sys
import venv
from importlib.metadata import distributions
from pathlib import Path
from zipfile import ZipFile

import pytest
from kernels import kernel

from aula.exercises import words

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sys.executable).parent / "uv"


def run(*commands):
    """Run the first command that works: uv's, or else pip's."""
    for command in commands:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return
    pytest.fail(done.stderr)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps"]
    run(
        [UV, "build", "--wheel", f"--out-dir={folder}"],
        [*pip, f"--wheel-dir={folder}", "."],
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def bare(wheel, tmp_path_factory):
    """The interpreter of an environment with the wheel and what it needs.

    There is no kernel in it, nor anything else of Jupyter's.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=os.name != "nt")
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    python = Path(shutil.which("python", path=scripts))
    # In the versions of this environment: they are at hand.
    versions = folder / "constraints.txt"
    versions.write_text(
        "".join(
            f"{found.name}=={found.version}\n"
            for found in distributions()
            if found.name != "aula"
        )
    )
    install(python, "-c", versions, wheel)
    yield python
    shutil.rmtree(folder)  # hundreds of megabytes


@pytest.fixture(scope="module")
def python(bare):
    """That interpreter, with a kernel, as other front ends have it."""
    versions = bare.parent.parent / "constraints.txt"
    install(bare, "-c", versions, "ipykernel")
    return bare


def install(python, *what):
    pip = [sys.executable, "-m", "pip", f"--python={python}", "install"]
    run([UV, "pip", "install", f"--python={python}", *what], [*pip, *what])


def test_the_wheel_holds_all_of_aula_and_nothing_else(wheel):
    ours = {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for path in (ROOT / "aula").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with ZipFile(wheel) as file:
        packed = {name: file.read(name) for name in file.namelist()}
    assert {
        name: data for name, data in packed.items() if name.startswith("aula/")
    } == ours
    about = wheel.name.partition("-py3")[0]
    rest = packed.keys() - ours.keys()
    settings = f"{about}.data/data/etc/jupyter/labconfig/"
    settings += "default_setting_overrides.json"
    assert packed[settings] == ours["aula/jupyterlab.json"]
    assert all(
        name.startswith(f"{about}.dist-info/") for name in rest - {settings}
    )


IMPORTS = """
import asyncio, sys
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from aula.en import check, diagnose, progress, timeline, wiretap
"""

BREW = """
async def brew(drink):
    await asyncio.sleep(0.02)

with timeline():
    await asyncio.gather(brew("latte"), brew("mocha"))
"""

ECHO = """
async def echo(websocket):
    await websocket.send(await websocket.recv())

with wiretap():
    async with serve(echo, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with connect(f"ws://{host}:{port}/") as websocket:
            await websocket.send("hola")
            await websocket.recv()
"""

WRONG = """
async def greet(name):
    await asyncio.sleep(0.1)
    return "Hola, Ada"

await check("00.1", greet)
"""

RIGHT = """
async def greet(name):
    await asyncio.sleep(0.1)
    return f"Hola, {name}"

await check("00.1", greet)
"""


SCRIPT = """
import asyncio, importlib.util
from aula.en import check, timeline

async def greet(name):
    await asyncio.sleep(0.1)
    return f"Hola, {name}"

async def main():
    with timeline():
        await asyncio.gather(greet("Ada"), greet("Lima"))
    await check("00.1", greet)

asyncio.run(main())
print("IPython", importlib.util.find_spec("IPython"))
"""


def test_a_script_without_jupyter(bare, tmp_path):
    done = subprocess.run(
        [bare, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert 'greet("Ada")' in done.stdout
    assert words.find("00", "greet", "right")["en"] in done.stdout
    assert "IPython None" in done.stdout


def test_a_notebook_elsewhere(python, tmp_path):
    folder = tmp_path / "elsewhere"
    (folder / "en").mkdir(parents=True)
    lesson = {"cells": [{"source": ["# 00 · Start here"]}]}
    (folder / "en" / "00_start.ipynb").write_text(json.dumps(lesson))
    with kernel(folder, python) as running:
        cells = [
            running.run(cell)
            for cell in (
                IMPORTS,
                BREW,
                ECHO,
                WRONG,
                RIGHT,
                "progress()",
                "await diagnose()",
            )
        ]
        where = running.run("import aula; print(aula.__file__, *sys.path)")
    assert [cell.error() for cell in cells] == [""] * len(cells)
    assert [cell.stderr() for cell in cells] == [""] * len(cells)
    _, brew, echo, wrong, right, progress, diagnosis = [
        cell.text() for cell in cells
    ]
    assert 'brew("mocha")' in brew
    assert 'client → echo  TEXT "hola"' in echo
    assert words.find("00", "greet", "always-the-same")["en"] in wrong
    assert words.find("00", "greet", "right")["en"] in right
    assert "| ■ | 1/1 |" in progress
    assert "**All in order.**" in diagnosis
    assert "| websockets |" in diagnosis and "jupyterlab" not in diagnosis
    assert str(python.parent.parent) in where.stdout()
    assert str(ROOT) not in where.stdout()
