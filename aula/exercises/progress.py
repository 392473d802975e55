"""Remembers which exercises a learner has solved, and shows how far they are.

What is kept is a list of exercises' names, in one file on the learner's own
machine. It is called ``aula/progress.json`` and stands where Jupyter keeps
a user's data (``jupyter --data-dir``). Names stay when lessons get other
numbers; a file from before there were names is read by what its numbers meant.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from aula.display import show
from aula.exercises.exercise import exercises

TEXT = {
    "es": {
        "head": "| Lección | Minutos | Ejercicios | |\n|---|---:|---|---:|",
        "next": "**Sigue con el [ejercicio {number}]({link})**, en {lesson}.",
        "title": "### Ejercicio {number}",
        "done": "**Todo resuelto.** No queda ningún ejercicio por hacer.",
        "elsewhere": "Aquí no están las lecciones. Abre el índice del curso, "
        "`notebooks/index.ipynb`, y ejecuta allí esta celda.",
        "forgotten": "Ejercicios olvidados: {count}.",
    },
    "en": {
        "head": "| Lesson | Minutes | Exercises | |\n|---|---:|---|---:|",
        "next": "**Next: [exercise {number}]({link})**, in {lesson}.",
        "title": "### Exercise {number}",
        "done": "**All solved.** There is no exercise left to do.",
        "elsewhere": "The lessons are not here. Open the course's index, "
        "`notebooks/index.ipynb`, and run this cell there.",
        "forgotten": "Exercises forgotten: {count}.",
    },
}

# The parts of the course, by the lesson that each begins with.
PARTS = {
    "00": {"es": "Parte 1: asyncio", "en": "Part 1: asyncio"},
    "05": {"es": "Parte 2: WebSockets", "en": "Part 2: WebSockets"},
    "10": {"es": "Parte 3: patrones", "en": "Part 3: patterns"},
    "18": {"es": "Parte 4: en producción", "en": "Part 4: in production"},
}

VERSION = 2
PATIENCE = 2.0  # seconds for another process that writes or reads

# What the numbers of version 1 meant. Nothing is added here any more.
_NUMBERED = {
    f"{lesson}.{number}": name
    for lesson, names in {
        "00": "greet",
        "01": "breakfast countdown run_all patience",
        "02": "breakfast_together brew_all announce brew_in_time retry",
        "03": "accept read_header unmask name_close",
        "04": "ask shout count welcome visit",
        "05": "kitchen in_order two_machines careful smooth",
        "06": "ask_all chat until_quiet how_it_ended",
        "07": "ticker both publish broker",
        "08": "register post_latest in_room parse chat_server",
        "09": "socket_address history guard remembering",
        "10": "order fetch_all save try_read make_board",
        "11": "ask_all_today main countdown_today collect clock",
    }.items()
    for number, name in enumerate(names.split(), 1)
}


Observer = Callable[[str], None]

_observers: list[Observer] = []


def observe(observer: Observer) -> None:
    """Call an observer with the name of each exercise solved from now on.

    That is each time that a check finds an answer right, also if it has been
    solved before; not in the solutions editions.
    """
    _observers.append(observer)


def ignore(observer: Observer) -> None:
    """Call it no more. Does nothing if it is not called already."""
    with suppress(ValueError):
        _observers.remove(observer)


def path() -> Path:
    """Where progress is kept.

    Raises:
        ImportError: if there is no Jupyter here, and so no such place.
    """
    from jupyter_core.paths import jupyter_data_dir

    return Path(jupyter_data_dir()) / "aula" / "progress.json"


def solved() -> set[str]:
    """The names of the exercises solved so far, such as ``"shout"``.

    A file that cannot be read, or holds something else, counts as none. What
    is no exercise of this course stays: it may be one of another version's.
    """
    with suppress(ImportError, OSError, RuntimeError):
        return _read(path())
    return set()


def _read(file: Path) -> set[str]:
    """The names in a file; none if there is no such file, or it is damaged.

    Raises:
        OSError: if it is there and cannot be read.
    """
    with suppress(FileNotFoundError, ValueError, RecursionError):
        kept = json.loads(file.read_bytes().decode())
        if isinstance(kept, dict) and isinstance(kept.get("solved"), list):
            names = {n for n in kept["solved"] if isinstance(n, str)}
            if kept.get("version", 1) == 1:
                names = {_NUMBERED.get(name, name) for name in names}
            return names
    return set()


def remember(name: str) -> Exception | None:
    """Keep that an exercise has been solved, and tell those who observe it.

    Arguments:
        name: the exercise's name, such as ``"shout"``.

    Returns:
        what prevented it, if it could not be kept.

    The file is replaced whole, so that a crash leaves the old one, and by
    one process at a time, so that none loses what another keeps. One that is
    damaged is put aside as ``progress.damaged.json``. Where a script runs
    without Jupyter nothing is kept, and nobody is bothered. The solutions
    editions solve no exercise for the learner.
    """
    if _in_solutions():
        return None
    for observer in [*_observers]:
        with suppress(Exception):  # a verdict never fails because of one
            observer(name)
    if name in solved():
        return None
    try:
        file = path()
        with _alone(file):
            known = _read(file)
            if not known and file.exists():
                os.replace(file, file.with_name("progress.damaged.json"))
            _write(file, known | {name})
    except ImportError:
        return None
    # Without a home there is no path: that is a RuntimeError.
    except (OSError, RuntimeError) as error:
        return error
    return None


def _in_solutions() -> bool:
    """Whether the notebook is of a solutions edition."""
    try:
        return Path.cwd().parent.name == "solutions"
    except OSError:  # its folder has been deleted
        return False


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Keep other processes from changing a file meanwhile.

    Raises:
        OSError: if another takes too long, or nothing can be written.
    """
    from filelock import FileLock

    file.parent.mkdir(parents=True, exist_ok=True)
    # Beside the folder, which holds nothing but what is kept.
    with FileLock(f"{file.parent}.lock", timeout=PATIENCE):
        yield


def _write(file: Path, names: set[str]) -> None:
    """Replace a file by one with these names."""
    handle, draft = tempfile.mkstemp(dir=file.parent, text=True)
    try:
        with open(handle, "w", encoding="utf-8") as text:
            json.dump({"version": VERSION, "solved": sorted(names)}, text)
        _replace(draft, file)
    finally:
        Path(draft).unlink(missing_ok=True)


def _replace(draft: str, file: Path) -> None:
    """Put a draft in a file's place, once nobody reads it.

    Windows replaces no file that somebody has open.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return os.replace(draft, file)
        except PermissionError:
            if time.monotonic() > end:
                raise
        time.sleep(0.02)


def forget() -> int:
    """Delete what is kept, and tell how many exercises it was."""
    with suppress(ImportError):
        file = path()
        if file.exists():
            with _alone(file):
                count = len(_read(file))
                file.unlink(missing_ok=True)
            return count
    return 0


class Progress:
    """Show how far you are: ``progress()`` in the course's index.

    Which exercise comes next, and the lessons, each with its minutes and a
    square for each exercise, filled once its check has found it right.
    """

    def __init__(self, language: str) -> None:
        self.language = language

    def __call__(self) -> None:
        words = TEXT[self.language]
        lessons = lessons_in(Path(self.language))
        if not lessons:
            show({"text/plain": words["elsewhere"]})
            return
        done, first = solved(), words["done"]
        asked = {
            number: [*group]
            for number, group in groupby(exercises(), lambda one: one.lesson)
        }
        rows = [words["head"]]
        for lesson in lessons:
            if begun := part(lesson.number, [one.number for one in lessons]):
                rows.append(f"| **{begun[self.language]}** | | | |")
            solving = [o.name in done for o in asked.get(lesson.number, [])]
            bar = "".join("■" if one else "□" for one in solving)
            link = f"[{lesson.title}]({lesson.file.as_posix()})"
            rows.append(
                f"| {link} | {lesson.minutes} | {bar} "
                f"| {sum(solving)}/{len(solving)} |"
            )
            if first == words["done"] and not all(solving):
                number = asked[lesson.number][solving.index(False)].number
                title = words["title"].format(number=number)
                first = words["next"].format(
                    number=number, link=lesson.link_to(title), lesson=link
                )
        text = "\n".join([first, "", *rows])
        show({"text/markdown": text, "text/plain": text})


def part(number: str, lessons: list[str]) -> dict[str, str] | None:
    """The title of the part that begins with a lesson, in each language.

    Arguments:
        number: the lesson's, such as ``"05"``.
        lessons: the numbers of all lessons that there are, in order.

    Returns:
        ``None`` for a lesson within a part.
    """
    begins = max(begin for begin in PARTS if begin <= number)
    first = next(one for one in lessons if one >= begins)
    return PARTS[begins] if number == first else None


@dataclass
class Lesson:
    """What a lesson's notebook says of itself."""

    file: Path
    number: str
    title: str
    minutes: str = ""
    cells: list[dict[str, Any]] = field(default_factory=list)

    def link_to(self, text: str) -> str:
        """What leads to the first cell with a text, in JupyterLab."""
        link = self.file.as_posix()
        for cell in self.cells:
            if text in "".join(cell["source"]):
                return f"{link}#cell-id={cell.get('id')}"
        return link


def lessons_in(folder: Path) -> list[Lesson]:
    """The lessons of a folder, in order; of each, one notebook.

    A learner may have copies beside them, and lessons of an older version.
    """
    lessons: dict[str, Lesson] = {}
    for file in sorted(folder.glob("[0-9][0-9]_*.ipynb")):
        if "." in file.stem:  # a copy, as `make update` keeps it
            continue
        number = file.name[:2]
        lesson = Lesson(file, number, file.stem)
        named = None
        with suppress(OSError, ValueError, LookupError, TypeError):
            notebook = json.loads(file.read_text(encoding="utf-8"))
            lesson.cells = notebook["cells"]
            opening = "".join(lesson.cells[0]["source"])
            if found := re.match(r"# (.+)", opening):
                lesson.title = found[1]
            if found := re.search(r"^\*\*(\d+) min", opening, re.M):
                lesson.minutes = found[1]
            named = notebook["metadata"]["aula"]["lesson"]
        if number not in lessons or named == file.stem:
            lessons[number] = lesson
    return [*lessons.values()]


def main() -> None:
    """``python -m aula.exercises.progress``: forget what was solved."""
    count = forget()
    for words in TEXT.values():
        print(words["forgotten"].format(count=count))


if __name__ == "__main__":
    main()
