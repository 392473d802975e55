"""What both doors open to; where it is shut, they say how to open it."""

from __future__ import annotations

import sys
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from aula.diagnose import LIBRARIES, Diagnose, require_websockets, shadows
from aula.display import show

if TYPE_CHECKING:
    from aula.board.join import Join


class Door(NamedTuple):
    """What a lesson may import from its door."""

    board: Any
    check: Any
    diagnose: Diagnose
    fresh: Any
    progress: Any
    timeline: Any
    wiretap: Any


def open_door(spoken: str) -> Door:
    """The course's tools, in a language.

    Arguments:
        spoken: ``"es"`` or ``"en"``.

    Where they cannot be imported (another release of ``websockets``, a file
    of the learner's with its name), why and how to mend it is shown, and
    again wherever a cell needs one of them or what is missing.
    """
    diagnose = Diagnose(spoken)
    try:
        require_websockets()
        from aula.agreement import Agreement
        from aula.exercises.check import Check
        from aula.exercises.progress import Progress
        from aula.instruments.timeline import Timeline
        from aula.instruments.wiretap import Wiretap
        from aula.kernel import be_honest
        from aula.versions import Fresh
    except (Exception, SystemExit) as error:
        text = diagnose.explain(error)
        show({"text/markdown": text, "text/plain": text})
        shut = Shut(text)
        for path in shadows(LIBRARIES):
            # What the cell imports next is not to run the learner's program.
            sys.modules[path.stem] = None  # type: ignore[assignment]
        _tell_of_imports(shut)
        return Door(shut, shut, diagnose, shut, shut, shut, shut)

    class timeline(Timeline):
        __doc__ = Timeline.__doc__
        language = spoken

    class wiretap(Wiretap):
        __doc__ = Wiretap.__doc__
        language = spoken

    be_honest(spoken)
    return Door(
        board=Board(spoken),
        check=Check(spoken, before=Agreement(spoken)),
        diagnose=diagnose,
        fresh=Fresh(spoken),
        progress=Progress(spoken),
        timeline=timeline,
        wiretap=wiretap,
    )


class Board:
    """Join the classroom's board: ``board("wss://…", token="…", nick="…")``.

    Arguments:
        address: the board's, as it stands on the blackboard.
        token: the class's, which stands beside it.
        nick: a nickname of 1 to 20 characters, which the class will see.

    From then on, until the kernel ends or ``board.leave()``, the board is
    sent the nickname and the exercise's name each time that a check finds an
    answer right. Nothing else is, and without this call nothing is at all;
    nor is it from a notebook of the solutions. What is solved while the board
    cannot be reached is sent once it can.

    Called again, it leaves and joins anew.

    Raises:
        ValueError: for something that is no address.
    """

    def __init__(self, language: str) -> None:
        self._language = language

    def __call__(self, address: str, *, token: str, nick: str) -> None:
        self._join(address, token=token, nick=nick)

    def leave(self) -> None:
        """Leave the board. What it has not received yet is not sent."""
        self._join.leave()

    @cached_property
    def _join(self) -> Join:
        from aula.board.join import Join  # most never join any

        return Join(self._language)


class NotInstalled(ImportError):
    """Shown in a notebook without a traceback, which would help nobody."""

    def _render_traceback_(self) -> list[str]:
        return str(self).splitlines()


class Shut:
    """Stands for each tool that cannot be used, and says why."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __call__(self, *_: object, **__: object) -> NoReturn:
        raise NotInstalled(self.text)


def _tell_of_imports(shut: Shut) -> None:
    """Where a cell imports what is missing, say how to mend that."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None:
        return

    def tell(
        shell: Any,
        kind: type[BaseException],
        error: BaseException,
        tb: TracebackType | None,
        tb_offset: int | None = None,
    ) -> list[str]:
        lines = [*shut.text.splitlines(), "", f"{kind.__name__}: {error}"]
        shell._showtraceback(kind, error, lines)
        return lines

    shell.set_custom_exc((ImportError,), tell)
