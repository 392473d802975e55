"""The other Pythons of this machine, and the verdicts on each of them.

``python tests/pythons.py`` runs the tests of the exercises' answers on every
Python that the course supports and this machine has, but for the one that
runs it: there, `make test` has run them.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERDICTS = "tests/test_answers.py"
CLASSIFIER = "Programming Language :: Python :: "


def supported() -> list[str]:
    """The Pythons that pyproject.toml names, such as ["3.11", "3.12"]."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return [
        line.removeprefix(CLASSIFIER)
        for line in tomllib.loads(text)["project"]["classifiers"]
        if line.startswith(CLASSIFIER)
    ]


def find(version: str) -> str | None:
    """An interpreter of that version that works: uv's finds, or pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = [os.environ["PATH"], *map(str, pyenv.glob("versions/*/bin"))]
    uv = Path(sys.executable).parent / "uv"
    found = subprocess.run(
        [uv, "python", "find", "--no-python-downloads", version],
        env=os.environ | {"PATH": os.pathsep.join(folders)},
        cwd=tempfile.gettempdir(),
        capture_output=True,
        text=True,
    )
    python = found.stdout.strip()
    if found.returncode != 0:
        return None
    # Debian has Pythons that cannot make virtual environments.
    tried = subprocess.run(
        [python, "-c", "import ensurepip"], capture_output=True
    )
    return python if tried.returncode == 0 else None


def install(python: str, folder: str, root: Path = ROOT) -> Path:
    """Make an environment as `make test` does, or renew it.

    Arguments:
        python: the interpreter it is made of.
        folder: where it stands, such as ``".venv/python-3.12"``.
        root: where the course stands.

    Returns:
        the environment's interpreter.
    """
    subprocess.run(
        ["make", "--silent", f"VENV={folder}", f"PYTHON={python}"]
        + [f"{folder}/for-authors"],
        cwd=root,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return root / folder / "bin" / "python"


def another(version: str) -> Path | None:
    """An environment with that Python, kept within .venv, if it is here."""
    python = find(version)
    if python is None:
        return None
    return install(python, f".venv/python-{version}")


def main() -> int:
    bad = []
    own, _, _ = platform.python_version().rpartition(".")
    for version in supported():
        if version == own:
            continue
        python = another(version)
        if python is None:
            print(f"== No Python {version} here.", flush=True)
            continue
        print(f"== The verdicts on Python {version}:", flush=True)
        done = subprocess.run(
            [python, "-m", "pytest", "-q", VERDICTS],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode != 0:
            bad.append(version)
    if bad:
        print(f"== Verdicts fail on Python {', '.join(bad)}.")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
