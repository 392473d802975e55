"""Shows a MIME bundle in the notebook, or its text where there is none."""

from __future__ import annotations

import sys


def show(bundle: dict[str, str | bytes]) -> None:
    """Display a MIME bundle under the running cell.

    Arguments:
        bundle: data by MIME type; ``text/plain`` must be among them and says
            in words what the other types say in pictures.

    Outside IPython (a script, a test) the text alone is printed.
    """
    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        ipython.display.display(bundle, raw=True)
    else:
        print(bundle["text/plain"])
