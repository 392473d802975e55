"""Where instruments meet the notebook: what they show, what it knows."""

from __future__ import annotations

import sys
import unicodedata


def show(bundle: dict[str, str]) -> None:
    """Display a MIME bundle under the running cell.

    Arguments:
        bundle: data by MIME type; ``text/plain`` must be among them and says
            in words what the other types say in pictures.

    Outside IPython (a script, a test) the text alone is printed. Half a
    surrogate pair, which no message to a page can bear, is written as Python
    does: ``\\ud83d``.
    """
    bundle = {
        kind: data.encode("utf-8", "backslashreplace").decode()
        for kind, data in bundle.items()
    }
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        print(bundle["text/plain"])
        return
    ipython.display.display(bundle, raw=True)


def last_cell_failed() -> bool:
    """Whether the cell that ran before this one ended in an error.

    Outside IPython there is none.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return shell is not None and not shell.last_execution_succeeded


def columns(text: str) -> int:
    """How many columns a terminal takes to write a text."""
    return sum(
        0
        if unicodedata.category(c) in ("Mn", "Me", "Cf")
        else 2
        if unicodedata.east_asian_width(c) in "WF"
        else 1
        for c in text
    )
