"""Looks over the machine a lesson runs on, and says how to mend it."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from collections.abc import Collection
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path

from aula.display import show

# What only a diagnosis needs is imported by it: every lesson imports this
# module, and one uses it.

ECHO_LIMIT = 5.0  # seconds

# What lessons import: a file of that name beside the notebook hides it. And
# the oldest release that the instruments can watch.
LIBRARIES = (
    "aiohttp",
    "filelock",
    "nest_asyncio",
    "nest_asyncio2",
    "packaging",
    "websockets",
)
OLDEST_WEBSOCKETS = (17, 4)

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
        "shadow": "un archivo con nombre de biblioteca",
        "python-cure": "Hace falta {need}. Instálalo y vuelve a crear el "
        "entorno como dice el README; con make: `make lab "
        "PYTHON=python3.13`, después de borrar la carpeta `.venv`.",
        "package-cure": "Hace falta `{need}`. {install}",
        "shadow-cure": "Python toma tu archivo `{name}`, que está junto al "
        "cuaderno, por la biblioteca `{stem}`. Ponle otro nombre y reinicia "
        "el kernel.",
        "kernel-cure": "Este kernel usa el curso de `{found}`, pero este "
        "cuaderno está en `{here}`. {install}",
        "damaged": "Algo del entorno está roto: {error}. Vuelve a crearlo "
        "como dice el README; con make: borra la carpeta `.venv` y ejecuta "
        "`make lab`.",
        "unfit": "**Las herramientas del curso no funcionan en este "
        "entorno.** Por arreglar:",
        "make": "Cierra JupyterLab y vuelve a abrir el curso con `make lab` "
        "en `{folder}`: instala lo que falte.",
        "windows": "Cierra JupyterLab, ejecuta en `{folder}` "
        "`.venv\\Scripts\\python -m pip install -c requirements.txt -e "
        '".[lab]"` y ábrelo otra vez.',
        "uv": "Cierra JupyterLab, ejecuta en `{folder}` `uv pip install -c "
        'requirements.txt -e ".[lab]"` y ábrelo otra vez.',
        "conda": "Cierra JupyterLab, ejecuta en `{folder}`, con el entorno "
        "activado, `python -m pip install -c requirements.txt -e "
        '".[lab]"` y ábrelo otra vez.',
        "hub": "Ejecuta `{pip}` en una celda y reinicia el kernel. Si no se "
        "puede, díselo a quien lleva este servidor.",
        "colab": "Ejecuta `{pip}` en una celda y elige *Entorno de ejecución "
        "→ Reiniciar sesión*.",
        "anywhere": "Ejecuta `{pip}` en una celda y reinicia el kernel.",
        "see-above": "Arregla antes lo de arriba.",
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
        "shadow": "a file with a library's name",
        "python-cure": "{need} is needed. Install it and make the environment "
        "anew as the README says; with make: `make lab PYTHON=python3.13`, "
        "after deleting the folder `.venv`.",
        "package-cure": "`{need}` is needed. {install}",
        "shadow-cure": "Python takes your file `{name}`, beside the notebook, "
        "for the library `{stem}`. Give it another name and restart the "
        "kernel.",
        "kernel-cure": "This kernel uses the course in `{found}`, but this "
        "notebook stands in `{here}`. {install}",
        "damaged": "Something in the environment is broken: {error}. Make it "
        "anew as the README says; with make: delete the folder `.venv` and "
        "run `make lab`.",
        "unfit": "**The tools of the course do not work in this "
        "environment.** To be mended:",
        "make": "Close JupyterLab and open the course with `make lab` again, "
        "in `{folder}`: it installs what is missing.",
        "windows": "Close JupyterLab, run in `{folder}` "
        "`.venv\\Scripts\\python -m pip install -c requirements.txt -e "
        '".[lab]"` and open it again.',
        "uv": "Close JupyterLab, run in `{folder}` `uv pip install -c "
        'requirements.txt -e ".[lab]"` and open it again.',
        "conda": "Close JupyterLab, run in `{folder}`, with the environment "
        'active, `python -m pip install -c requirements.txt -e ".[lab]"` '
        "and open it again.",
        "hub": "Run `{pip}` in a cell and restart the kernel. If that cannot "
        "be, tell whoever keeps this server.",
        "colab": "Run `{pip}` in a cell and choose *Runtime → Restart "
        "session*.",
        "anywhere": "Run `{pip}` in a cell and restart the kernel.",
        "see-above": "Mend what is above first.",
        "echo-cure": "A server and a client of this very kernel cannot talk "
        "to each other. A firewall is the usual cause: let Python make "
        "local connections (127.0.0.1).",
    },
}


Row = tuple[str, str, str]  # what, what there is, and how to mend it


class Diagnose:
    """Check this machine: ``await diagnose()``.

    It shows a table of Python, the course's packages, the kernel and a
    WebSocket echo within this kernel; below it, a cure for each failure.
    """

    def __init__(self, language: str) -> None:
        self.language = language

    async def __call__(self) -> None:
        words = TEXT[self.language]
        rows = _installed(words)
        rows.append(await _echo(words, any(cure for _, _, cure in rows)))
        lines = [words["head"]]
        for what, found, cure in rows:
            lines.append(f"| {what} | {found} | {'✘' if cure else '✔'} |")
        cures = _cures(rows)
        if cures:
            lines += ["", words["mend"], "", *cures]
        else:
            lines += ["", words["fine"]]
        text = "\n".join(lines)
        show({"text/markdown": text, "text/plain": text})

    def explain(self, error: BaseException) -> str:
        """Why the course's tools could not be imported, and how to mend it.

        Arguments:
            error: what their import raised.
        """
        words = TEXT[self.language]
        said = f"{type(error).__name__}: {error}".replace("`", "'")
        cures = _cures(_installed(words))
        if not cures:
            cures = [words["damaged"].format(error=f"`{said}`")]
        return "\n".join([words["unfit"], "", *cures])


def require_websockets() -> None:
    """Refuse what the instruments cannot watch.

    Without importing it, which might run a program of the learner's.

    Raises:
        ImportError: if ``websockets`` is missing, too old or a file beside
            the notebook.
    """
    for path in shadows(LIBRARIES):
        raise ImportError(path.name)
    from websockets.version import version

    with suppress(ValueError):  # no release, but somebody's own work on it
        numbers = tuple(map(int, version.split(".")[:2]))
        if numbers < OLDEST_WEBSOCKETS:
            raise ImportError(f"websockets {version}")


def _installed(words: dict[str, str]) -> list[Row]:
    """What can be told without any of the course's packages."""
    hidden = [
        (
            words["shadow"],
            path.name,
            words["shadow-cure"].format(name=path.name, stem=path.stem),
        )
        for path in shadows((*LIBRARIES, *sys.stdlib_module_names))
    ]
    try:
        rows = [_python(words), *_packages(words)]
    except ImportError as error:  # what knows versions is missing itself
        name = (error.name or "packaging").partition(".")[0]
        rows = [_package(words, name, name, "–")]
    return [*hidden, *rows, _kernel(words)]


def _cures(rows: list[Row]) -> list[str]:
    return [f"- {what}: {cure}" for what, _, cure in rows if cure]


def shadows(names: Collection[str]) -> list[Path]:
    """What stands beside the notebook and is imported in a library's place.

    Arguments:
        names: those of the libraries.
    """
    here = Path.cwd()
    found = []
    for entry in sorted(os.listdir()):
        name = entry.removesuffix(".py")
        if name in names and name not in sys.builtin_module_names:
            spec = PathFinder.find_spec(name)
            origin = Path(spec.origin) if spec and spec.origin else None
            if origin and here / entry in (origin, origin.parent):
                found.append(Path(entry))
    return found


def _python(words: dict[str, str]) -> Row:
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


def _packages(words: dict[str, str]) -> list[Row]:
    """A row for each package that the course declares for learners.

    Those of JupyterLab count where JupyterLab is, and the kernel of another
    front end is left alone.
    """
    from importlib import metadata, util

    from packaging.requirements import Requirement

    extra = "" if util.find_spec("jupyterlab") is None else "lab"
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
        asked = "" if good else f"{need.name}{need.specifier}"
        rows.append(_package(words, need.name, asked, version))
    return rows


def _package(words: dict[str, str], name: str, asked: str, found: str) -> Row:
    """A package's row.

    Arguments:
        asked: what is to be installed; nothing where all is well.
    """
    if not asked:
        return name, found, ""
    install = how_to_install(words, course(), f"'{asked}'")
    cure = words["package-cure"].format(need=asked, install=install)
    return name, found, cure


def how_to_install(words: dict[str, str], folder: Path, what: str) -> str:
    """How to install something into this environment.

    Arguments:
        words: ``TEXT`` in a language.
        folder: where the course stands that the notebook belongs to.
        what: as ``%pip`` wants it.
    """
    prefix = Path(sys.prefix).resolve()
    clone, place = prefix.parent, "anywhere"
    if "google.colab" in sys.modules:
        place = "colab"
    elif "JUPYTERHUB_API_TOKEN" in os.environ:
        place = "hub"
    elif prefix.name == ".venv" and (clone / "aula/diagnose.py").exists():
        has_pip = (prefix / "bin" / "pip").exists()
        place = "make" if has_pip else "uv"
        place = "windows" if sys.platform == "win32" else place
    elif (prefix / "conda-meta").is_dir():
        place = "conda"
    if place == "conda" and not (folder / "pyproject.toml").exists():
        place = "anywhere"
    return words[place].format(folder=folder, pip=f"%pip install {what}")


def course() -> Path:
    """Where the course stands that this kernel imports."""
    return Path(__file__).resolve().parent.parent


def clone_of(folder: Path) -> Path | None:
    """The clone of the course that a folder is in, if it is in one."""
    for above in (folder, *folder.parents):
        if (above / "aula" / "diagnose.py").exists():
            return above.resolve()
    return None


def _kernel(words: dict[str, str]) -> Row:
    """Whether the notebook stands in the clone that its kernel imports."""
    clone = clone_of(Path.cwd())
    if clone is None or clone == course():
        return words["kernel"], words["course"], ""
    cure = words["kernel-cure"].format(
        found=course(),
        here=clone,
        install=how_to_install(words, clone, f"-e '{clone}'"),
    )
    return words["kernel"], words["other"], cure


async def _echo(words: dict[str, str], is_bad: bool) -> Row:
    """Whether a server and a client of this kernel can talk.

    Arguments:
        is_bad: whether something else has failed: that comes first.
    """
    cure = words["see-above" if is_bad else "echo-cure"]
    try:
        require_websockets()
        async with asyncio.timeout(ECHO_LIMIT):
            good = await _talk()
    except Exception as error:
        return words["echo"], type(error).__name__, cure
    return words["echo"], words["answered"], ("" if good else cure)


async def _talk() -> bool:
    from websockets.asyncio.client import connect
    from websockets.asyncio.server import ServerConnection, serve

    async def echo(websocket: ServerConnection) -> None:
        async for message in websocket:
            await websocket.send(message)

    async with serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}") as websocket:
            await websocket.send("hola")
            return await websocket.recv() == "hola"
