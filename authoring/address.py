"""The course's public address, and all that is made from it.

The one setting is ``Repository`` under ``[project.urls]`` in pyproject.toml.
Until it names a repository on GitHub it says ``OWNER/REPO``, and so does
whatever is made from it. ``make address`` writes it wherever it stands, and
so does ``make build``.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from urllib.parse import quote

from authoring.source import ROOT

UNSET = "OWNER/REPO"
HOST = "https://github.com/"
BRANCH = "main"

# The files that name the repository; each says what this one says.
RECORD = "CITATION.cff"
FILES = (
    RECORD,
    "README*.md",
    ".github/ISSUE_TEMPLATE/*",
    "classroom/*.md",
)


# What the READMEs say below their first picture, as long as there is none.
NOTE = {
    "README.md": """\
> This copy of the course has no public address yet, and its links to the site,
> to Binder and to Colab say `OWNER/REPO`. Write the name of your repository on
> GitHub into `pyproject.toml`, under `Repository`, and run `make address`.
""",
    "README.es.md": """\
> Esta copia del curso aún no tiene dirección pública, y sus enlaces al sitio,
> a Binder y a Colab dicen `OWNER/REPO`. Escribe el nombre de tu repositorio de
> GitHub en `pyproject.toml`, en `Repository`, y ejecuta `make address`.
""",
}
_NOTE = re.compile(r"(<!-- address -->\n).*?(<!-- /address -->)", re.S)


class AddressError(Exception):
    """A setting that names no repository on GitHub."""


def repository(root: Path = ROOT) -> str:
    """The owner's and the repository's name, such as ``"ada/aula"``.

    Arguments:
        root: where the course stands.

    Raises:
        AddressError: if pyproject.toml says something else.
    """
    settings = tomllib.loads(
        (root / "pyproject.toml").read_text(encoding="utf-8")
    )
    url = settings["project"]["urls"]["Repository"]
    if not re.fullmatch(re.escape(HOST) + r"[\w-]+/[\w-][\w.-]*", url):
        raise AddressError(
            f"pyproject.toml: Repository is {url!r}; it has to be such as "
            f"{HOST}{UNSET}"
        )
    return str(url).removeprefix(HOST)


def is_set(name: str) -> bool:
    """Whether the course has an address yet."""
    return name != UNSET


def file_url(name: str, path: str) -> str:
    """Where GitHub shows a file of the course."""
    return f"{HOST}{name}/blob/{BRANCH}/{path}"


def site_url(name: str) -> str:
    """Where GitHub Pages shows the site."""
    owner, repo = name.split("/")
    return f"https://{owner}.github.io/{repo}/"


def binder_url(name: str, path: str) -> str:
    """Where Binder opens a notebook."""
    return f"https://mybinder.org/v2/gh/{name}/HEAD?urlpath=lab/tree/{path}"


def colab_url(name: str, path: str) -> str:
    """Where Colab opens a notebook."""
    return (
        f"https://colab.research.google.com/github/{name}/blob/{BRANCH}/{path}"
    )


def texts(root: Path = ROOT) -> dict[Path, str]:
    """The files that name the repository, as pyproject.toml wants them.

    Arguments:
        root: where the course stands.

    Raises:
        AddressError: if pyproject.toml or CITATION.cff names no repository.
    """
    old, new = recorded(root), repository(root)
    found = {}
    for pattern in FILES:
        for path in sorted(root.glob(pattern)):
            text = renamed(path.read_text(encoding="utf-8"), old, new)
            note = "" if is_set(new) else NOTE.get(path.name, "")
            found[path] = _NOTE.sub(rf"\1{note}\2", text)
    return found


def write(root: Path = ROOT) -> None:
    """Write the address wherever it stands.

    Arguments:
        root: where the course stands.

    Raises:
        AddressError: if pyproject.toml or CITATION.cff names no repository.
    """
    for path, text in texts(root).items():
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8", newline="\n")


def recorded(root: Path = ROOT) -> str:
    """The repository that the files of the course name now.

    Raises:
        AddressError: if CITATION.cff names none.
    """
    text = (root / RECORD).read_text(encoding="utf-8")
    found = re.search(
        rf'^repository-code: "{re.escape(HOST)}(.+)"$', text, re.M
    )
    if found is None:
        raise AddressError(f"{RECORD} has no repository-code")
    return found[1]


def renamed(text: str, old: str, new: str) -> str:
    """A text of the course, with another repository in each address."""
    changes = {old: new, quote(old, safe=""): quote(new, safe="")}
    for form in ("{0}.github.io/{1}", "tree%2F{1}%2F", "tree/{1}/"):
        before, after = (form.format(*one.split("/")) for one in (old, new))
        changes[before] = after
    forms = "|".join(re.escape(one) for one in changes)
    # No part of a longer name; of a link within a link, %2F ends one as well.
    begin, end = r"(?:(?<![\w.-])|(?<=%2F))", r"(?:(?<=/)|(?<=%2F)|(?![\w-]))"
    return re.sub(f"{begin}(?:{forms}){end}", lambda m: changes[m[0]], text)


def main() -> int:
    """Write the address, or say what is wrong with it."""
    try:
        write()
    except AddressError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
