"""Looks over the machine a lesson runs on, and says how to mend it."""

from __future__ import annotations

import asyncio
import platform
from pathlib import Path

from aula.display import show

# What only a diagnosis needs is imported by it: every lesson imports this
# module, and one uses it.

ECHO_LIMIT = 5.0  # seconds

TEXT = {
    "es": {
        "head": "| qué | lo que hay | |\n|---|---|---|",
        "fine": "**Todo en orden.** Puedes empezar.",
        "mend": "**Por arreglar:**",
        "kernel": "kernel",
        "course": "el del curso",
        "other": "otro",
        "echo": "eco por 127.0.0.1",
        "answered": "responde",
        "python-cure": "Hace falta {need}. Instala uno y vuelve a crear el "
        "entorno: borra la carpeta `.venv` y ejecuta `make lab "
        "PYTHON=python3.13`.",
        "package-cure": "Hace falta `{need}`. Ejecuta `%pip install "
        "'{need}'` en una celda y reinicia el kernel.",
        "lab-cure": "Hace falta `{need}`. Cierra JupyterLab y vuelve a "
        "abrir el curso con `make lab`, que instala lo que falte.",
        "kernel-cure": "Este kernel usa el curso de `{found}`, pero este "
        "cuaderno está en `{here}`. Cierra JupyterLab y ábrelo con `make "
        "lab` desde la carpeta del cuaderno.",
        "echo-cure": "Un servidor y un cliente de este mismo kernel no "
        "consiguen hablarse. Suele ser un cortafuegos: permite las "
        "conexiones locales (127.0.0.1) a Python.",
    },
    "en": {
        "head": "| what | what there is | |\n|---|---|---|",
        "fine": "**All in order.** You can begin.",
        "mend": "**To be mended:**",
        "kernel": "kernel",
        "course": "the course's",
        "other": "another",
        "echo": "echo over 127.0.0.1",
        "answered": "answers",
        "python-cure": "{need} is needed. Install one and make the "
        "environment anew: delete the folder `.venv` and run `make lab "
        "PYTHON=python3.13`.",
        "package-cure": "`{need}` is needed. Run `%pip install '{need}'` in "
        "a cell and restart the kernel.",
        "lab-cure": "`{need}` is needed. Close JupyterLab and open the "
        "course with `make lab` again: it installs what is missing.",
        "kernel-cure": "This kernel uses the course in `{found}`, but this "
        "notebook stands in `{here}`. Close JupyterLab and open it with "
        "`make lab` from the notebook's folder.",
        "echo-cure": "A server and a client of this very kernel cannot talk "
        "to each other. A firewall is the usual cause: let Python make "
        "local connections (127.0.0.1).",
    },
}


class Diagnose:
    """Check this machine: ``await diagnose()``.

    It shows a table of Python, the course's packages, the kernel and a
    WebSocket echo within this kernel; below it, a cure for each failure.
    """

    def __init__(self, language: str) -> None:
        self.language = language

    async def __call__(self) -> None:
        words = TEXT[self.language]
        rows = [_python(words), *_packages(words), _kernel(words)]
        rows.append(await _echo(words))
        lines = [words["head"]]
        for what, found, cure in rows:
            lines.append(f"| {what} | {found} | {'✘' if cure else '✔'} |")
        cures = [f"- {what}: {cure}" for what, _, cure in rows if cure]
        if cures:
            lines += ["", words["mend"], "", *cures]
        else:
            lines += ["", words["fine"]]
        text = "\n".join(lines)
        show({"text/markdown": text, "text/plain": text})


def _python(words: dict[str, str]) -> tuple[str, str, str]:
    from importlib import metadata

    from packaging.requirements import Requirement

    need = f"Python {metadata.metadata('aula')['Requires-Python']}"
    version = platform.python_version()
    good = Requirement(need.replace(" ", "")).specifier.contains(version)
    return (
        "Python",
        version,
        "" if good else words["python-cure"].format(need=need),
    )


def _packages(words: dict[str, str]) -> list[tuple[str, str, str]]:
    """A row for each package that the course declares for learners.

    Those of JupyterLab count where JupyterLab is, and the kernel of another
    front end is left alone.
    """
    from importlib import metadata, util

    from packaging.requirements import Requirement

    extra = "" if util.find_spec("jupyterlab") is None else "lab"
    cure = words["lab-cure" if extra else "package-cure"]
    rows = []
    for line in sorted(metadata.requires("aula") or []):
        need = Requirement(line)
        if need.marker and not need.marker.evaluate({"extra": extra}):
            continue
        try:
            version = metadata.version(need.name)
            good = need.specifier.contains(version)
        except metadata.PackageNotFoundError:
            version, good = "–", False
        text = f"{need.name}{need.specifier}"
        rows.append(
            (need.name, version, "" if good else cure.format(need=text))
        )
    return rows


def _kernel(words: dict[str, str]) -> tuple[str, str, str]:
    """Whether the notebook stands in the clone that its kernel imports."""
    here = Path.cwd()
    found = Path(__file__).resolve().parent.parent
    clones = [
        folder
        for folder in (here, *here.parents)
        if (folder / "aula" / "diagnose.py").exists()
    ]
    if clones and clones[0].resolve() != found:
        cure = words["kernel-cure"].format(found=found, here=clones[0])
        return words["kernel"], words["other"], cure
    return words["kernel"], words["course"], ""


async def _echo(words: dict[str, str]) -> tuple[str, str, str]:
    from websockets.asyncio.client import connect
    from websockets.asyncio.server import ServerConnection, serve

    async def echo(websocket: ServerConnection) -> None:
        async for message in websocket:
            await websocket.send(message)

    try:
        async with asyncio.timeout(ECHO_LIMIT):
            async with serve(echo, "127.0.0.1", 0) as server:
                port = server.sockets[0].getsockname()[1]
                async with connect(f"ws://127.0.0.1:{port}") as websocket:
                    await websocket.send("hola")
                    good = await websocket.recv() == "hola"
    except Exception as error:
        return words["echo"], type(error).__name__, words["echo-cure"]
    return (
        words["echo"],
        words["answered"],
        ("" if good else words["echo-cure"]),
    )
