"""At which line of the learner's code something stands."""

from __future__ import annotations

import linecache
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from types import CodeType, FrameType

from aula.learner import is_aula, is_library

LOOK = 0.04  # seconds from one look at what holds the loop to the next

Place = tuple[CodeType, int]  # some code, and an instruction of it


def is_learners(filename: str) -> bool:
    """Whether a file, or a cell, is neither a library's nor the course's."""
    return not (
        is_library(filename)
        or is_aula(filename)
        or filename.startswith(("<frozen ", "<string>"))
    )


def place_in(frame: FrameType | None) -> Place | None:
    """Where the learner's own code stands that this frame is called by."""
    while frame is not None:
        if is_learners(frame.f_code.co_filename):
            return frame.f_code, frame.f_lasti
        frame = frame.f_back
    return None


def raised_in(error: BaseException) -> Place | None:
    """Where the learner's own code raised something, or called what did."""
    found = None
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if is_learners(code.co_filename):
            found = code, trace.tb_lasti
        trace = trace.tb_next
    return found


def line_of(place: Place) -> tuple[int, str]:
    """The number of a line, from 1, and how it reads; ``""`` if unknown."""
    code, instruction = place
    positions = [*code.co_positions()]
    number = positions[instruction // 2][0] if instruction >= 0 else None
    number = number or code.co_firstlineno
    return number, linecache.getline(code.co_filename, number).strip()


class Lookout:
    """Looks now and then at where a thread stands: a thread of its own.

    It tells of the second look and of later ones at one turn of the loop: by
    then that turn takes long.
    """

    def __init__(
        self,
        turn: Callable[[], int | None],
        tell: Callable[[int, float, Place], None],
    ) -> None:
        """Begin to look at the thread that this is called by.

        Arguments:
            turn: the number of the turn that the loop is at, None between.
            tell: told of the turn, of the moment and of the place.
        """
        self._turn = turn
        self._tell = tell
        self._ended = threading.Event()
        self._watched = threading.get_ident()
        threading.Thread(target=self._look, daemon=True).start()

    def stop(self) -> None:
        """Look no more, and forget who was told."""
        self._turn = lambda: None
        self._tell = lambda turn, moment, place: None
        self._ended.set()

    def _look(self) -> None:
        last = None
        while not self._ended.wait(LOOK):
            turn = self._turn()
            if turn is not None and turn == last:
                frame = sys._current_frames().get(self._watched)
                place = place_in(frame)
                del frame
                # It may have been another turn's by then.
                if place is not None and self._turn() == turn:
                    self._tell(turn, time.perf_counter(), place)
            last = turn


def usual(places: list[Place]) -> Place | None:
    """Where something stood at most of the looks at it."""
    counts = Counter(places).most_common(1)
    return counts[0][0] if counts else None
