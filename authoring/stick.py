"""Packs a folder to carry: the course, and all that it needs to be installed.

``python -m authoring.stick UV`` is ``make stick``; UV is where uv is. What is
packed installs without a network on each of TARGETS, which is tried at the
end as far as one machine can try it for another.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STICK = ROOT / "stick"
PYTHONS = ("3.11", "3.12", "3.13")


@dataclass
class System:
    """A kind of laptop.

    Attributes:
        name: as uv calls it.
        tags: the platforms whose wheels install on it, as pip calls them.
        locked: whether there are wheels of the versions in requirements.txt;
            a system that some projects have left gets the last ones it has.
    """

    name: str
    tags: list[str]
    locked: bool = True


SYSTEMS = [
    System(
        "x86_64-manylinux_2_28",
        ["manylinux2014_x86_64", "linux_x86_64"]
        + [f"manylinux_2_{minor}_x86_64" for minor in range(5, 29)],
    ),
    System("aarch64-apple-darwin", ["macosx_14_0_arm64"]),
    System("x86_64-apple-darwin", ["macosx_14_0_x86_64"], locked=False),
    System("x86_64-pc-windows-msvc", ["win_amd64"]),
]
TARGETS = [(system, python) for system in SYSTEMS for python in PYTHONS]

README = """\
Aula, sin red                                         Aula, without a network

Copia esta carpeta a tu portatil y, en ella, con Python 3.11, 3.12 o 3.13:
Copy this folder to your laptop and, in it, with Python 3.11, 3.12 or 3.13:

  Linux, macOS
    python3.13 -m venv aula/.venv
    {posix} -m pip install --no-index --find-links wheels "aula[lab]"
    cd aula
    .venv/bin/jupyter lab notebooks/index.ipynb

  Windows
    py -3.13 -m venv aula\\.venv
    {windows} -m pip install --no-index --find-links wheels "aula[lab]"
    cd aula
    .venv\\Scripts\\jupyter lab notebooks/index.ipynb

Con Python 3.11 o 3.12, escribe ese numero en lugar de 3.13.
With Python 3.11 or 3.12, write that number in place of 3.13.

Empieza por la leccion 00: dice si falta algo.
Begin with lesson 00: it says whether anything is missing.
""".format(posix="aula/.venv/bin/python", windows=r"aula\.venv\Scripts\python")


def main(arguments: list[str]) -> int:
    """Pack the folder and try it.

    Arguments:
        arguments: where uv is.
    """
    (uv,) = arguments
    if STICK.exists():
        for path in (STICK / "aula" / ".git").rglob("*"):
            path.chmod(0o755)  # Windows deletes nothing that is read-only
        shutil.rmtree(STICK)
    wheels = STICK / "wheels"
    wheels.mkdir(parents=True)
    try:
        pack_course(wheels)
        lists = []
        for system, python in TARGETS:
            names = required(uv, system, python)
            lists.append(names)
            print(f"{system.name}, Python {python}", flush=True)
            _pip("download", "--dest", wheels, *wanted(system, python, names))
        for (system, python), names in zip(TARGETS, lists, strict=True):
            try_target(system, python, names, wheels)
    except subprocess.CalledProcessError as error:
        print(error.stderr or error, file=sys.stderr)
        return 1
    (STICK / "README.txt").write_text(README, encoding="ascii", newline="\r\n")
    size = sum(file.stat().st_size for file in STICK.rglob("*"))
    print(
        f"{STICK} is ready: {size / 1e6:.0f} MB; what to do with it stands in "
        "its README.txt"
    )
    return 0


def pack_course(wheels: Path) -> None:
    """Put a clone of the course into the folder, and its wheel."""
    clone = STICK / "aula"
    _run("git", "clone", "--quiet", "--no-hardlinks", ROOT, clone)
    found = _run("git", "-C", ROOT, "remote", "get-url", "origin", check=False)
    if origin := found.strip():
        # Updates come from where this clone has its own.
        _run("git", "-C", clone, "remote", "set-url", "origin", origin)
    _pip("wheel", "--no-deps", "--wheel-dir", wheels, ROOT)


def required(uv: str, system: System, python: str) -> list[str]:
    """What is installed on a system, each of one version.

    Arguments:
        uv: where uv is; pip tells what is needed on another system by the
            markers of this one.
    """
    lock: list[str | Path] = []
    if system.locked:
        lock = ["--constraint", ROOT / "requirements.txt"]
    text = _run(
        *(uv, "pip", "compile", "--quiet", "--no-header", "--no-annotate"),
        *("--extra", "teach", "--only-binary", ":all:", *lock),
        *("--python-platform", system.name, "--python-version", python),
        ROOT / "pyproject.toml",
    )
    return [line for line in text.splitlines() if line]


def wanted(system: System, python: str, names: list[str]) -> list[str]:
    """What pip is told of what it should look for.

    Arguments:
        names: with their versions.
    """
    options = ["--no-deps", "--only-binary", ":all:"]
    options += ["--implementation", "cp", "--python-version", python]
    for tag in system.tags:
        options += ["--platform", tag]
    return options + names


def try_target(
    system: System, python: str, names: list[str], wheels: Path
) -> None:
    """Have pip say that all would be installed from the folder alone.

    Raises:
        subprocess.CalledProcessError: where something is missing.
    """
    with tempfile.TemporaryDirectory() as target:
        _pip(
            # Which Python a package requires, pip asks of the one it runs on;
            # uv has asked for the right one.
            *("install", "--dry-run", "--ignore-requires-python"),
            *("--no-index", "--find-links", wheels),
            *("--target", target),
            *wanted(system, python, [*names, "aula"]),
        )
    print(f"{system.name}, Python {python}: {len(names)} packages, installs")


def _pip(*arguments: str | Path) -> str:
    return _run(
        *(sys.executable, "-m", "pip", "--quiet"),
        *("--disable-pip-version-check", *arguments),
    )


def _run(*command: str | Path, check: bool = True) -> str:
    done = subprocess.run(
        command, check=check, capture_output=True, text=True, cwd=ROOT
    )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
