"""Writes a new version where the course bears one.

``python -m authoring.release 0.3.0`` gives that number to pyproject.toml, to
what the changelog lists as unreleased, to CITATION.cff and to the stamp of
every notebook.
`make release` goes on from there: tests, commit, tag, wheel.
"""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import nbformat
from packaging.version import InvalidVersion, Version

from authoring.editions import KINDS, SLIDES, dumps
from authoring.source import ROOT

UNRELEASED = "## [Unreleased]\n"


class ReleaseError(Exception):
    """Why there can be no such version."""


def main(arguments: list[str]) -> int:
    """Write the version that is the one argument."""
    try:
        (version,) = arguments
        if _uncommitted(ROOT):
            raise ReleaseError("there are changes that are not committed")
        release(version, date.today())
    except ValueError:
        print("name one version: make release VERSION=0.3.0", file=sys.stderr)
        return 1
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def release(version: str, day: date, root: Path = ROOT) -> None:
    """Write a version wherever it stands.

    Arguments:
        version: such as ``"0.3.0"``.
        day: when it is released.
        root: where the course stands.

    Raises:
        ReleaseError: for a number that is none or not a newer one, and where
            the changelog says of nothing that it is unreleased; no file is
            touched then.
    """
    project = root / "pyproject.toml"
    settings = project.read_text(encoding="utf-8")
    changelog = root / "CHANGELOG.md"
    history = changelog.read_text(encoding="utf-8")
    citation = root / "CITATION.cff"
    settings = _renumbered(settings, version)
    history = _dated(history, version, day)
    cited = _cited(citation.read_text(encoding="utf-8"), version, day)
    _write(project, settings)
    _write(changelog, history)
    _write(citation, cited)
    restamp(version, root)


def restamp(version: str, root: Path = ROOT) -> None:
    """Write the version into every notebook, and run none of them."""
    for kind in (*KINDS, SLIDES):
        for path in sorted((root / kind).rglob("*.ipynb")):
            notebook = nbformat.read(path, as_version=4)
            notebook.metadata["aula"]["version"] = version
            _write(path, dumps(notebook))


def _renumbered(settings: str, version: str) -> str:
    """pyproject.toml with another version."""
    found = re.search(r'^version = "(.+)"$', settings, re.M)
    if found is None:
        raise ReleaseError("pyproject.toml has no version")
    try:
        newer = Version(version) > Version(found[1])
    except InvalidVersion:
        raise ReleaseError(f"{version!r} is no version") from None
    if not newer or not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ReleaseError(f"after {found[1]} there can be no {version}")
    return settings[: found.start(1)] + version + settings[found.end(1) :]


def _dated(history: str, version: str, day: date) -> str:
    """The changelog with its unreleased part under a version."""
    before, head, after = history.partition(UNRELEASED)
    if not head or not after.partition("\n## ")[0].strip():
        raise ReleaseError("CHANGELOG.md lists nothing under [Unreleased]")
    return f"{before}{head}\n## [{version}] - {day.isoformat()}\n{after}"


def _cited(citation: str, version: str, day: date) -> str:
    """CITATION.cff with another version."""
    citation = re.sub("(?m)^version: .*$", f"version: {version}", citation)
    return re.sub(
        "(?m)^date-released: .*$",
        f"date-released: {day.isoformat()}",
        citation,
    )


def _uncommitted(root: Path) -> bool:
    said = subprocess.run(
        ["git", "status", "--porcelain"],
        cwd=root,
        check=True,
        capture_output=True,
    )
    return bool(said.stdout)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
