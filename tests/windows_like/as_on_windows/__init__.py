"""Makes this machine's Python behave like Windows', as far as it can.

Each function changes one thing, and names the page that says how Windows is.
What no page says, and those who wrote this know, is marked "known".
``tests/test_windows_like.py`` has a small program for each that fails here and
nowhere else.

Two things are told apart. How Python behaves (processes, files, clocks, event
loops) changes for everybody, since it would on Windows. Which names there are
(``os.fork``, ``sys.platform``) changes only for code that is neither Python's
own nor an installed library's: their code for Windows could not run here.
"""

from as_on_windows import clocks, files, loops, names, network, processes


def begin() -> None:
    """Be like Windows from now on; the processes started here will, too."""
    names.change()
    clocks.change()
    files.change()
    loops.change()
    network.change()
    processes.change()
