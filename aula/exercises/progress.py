"""Remembers which exercises a learner has solved, and shows how far they are.

What is kept is a list of exercise numbers, in one file on the learner's own
machine. It is called ``aula/progress.json`` and stands where Jupyter keeps
a user's data (``jupyter --data-dir``).
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from contextlib import suppress
from itertools import groupby
from pathlib import Path

from aula.display import show

TEXT = {
    "es": {
        "head": "| Lección | Ejercicios | |\n|---|---|---:|",
        "next": "**Sigue con el ejercicio {number}**, en {lesson}.",
        "done": "**Todo resuelto.** No queda ningún ejercicio por hacer.",
        "elsewhere": "Aquí no están las lecciones. Abre el índice del curso, "
        "`notebooks/index.ipynb`, y ejecuta allí esta celda.",
        "forgotten": "Ejercicios olvidados: {count}.",
    },
    "en": {
        "head": "| Lesson | Exercises | |\n|---|---|---:|",
        "next": "**Next: exercise {number}**, in {lesson}.",
        "done": "**All solved.** There is no exercise left to do.",
        "elsewhere": "The lessons are not here. Open the course's index, "
        "`notebooks/index.ipynb`, and run this cell there.",
        "forgotten": "Exercises forgotten: {count}.",
    },
}


def path() -> Path:
    """Where progress is kept."""
    from jupyter_core.paths import jupyter_data_dir

    return Path(jupyter_data_dir()) / "aula" / "progress.json"


def solved() -> set[str]:
    """The numbers of the exercises solved so far, such as ``"04.2"``.

    A file that cannot be read, or holds something else, counts as none.
    """
    with suppress(OSError, ValueError):
        kept = json.loads(path().read_text(encoding="utf-8"))
        if isinstance(kept, dict) and isinstance(kept.get("solved"), list):
            return {n for n in kept["solved"] if isinstance(n, str)}
    return set()


def remember(number: str) -> None:
    """Keep that an exercise has been solved.

    The file is replaced whole, so that a crash leaves the old one. One that
    is damaged is put aside as ``progress.damaged.json``. Where nothing can be
    written, nothing is kept, and nobody is bothered. The solutions editions
    solve no exercise for the learner.
    """
    if Path.cwd().parent.name == "solutions":
        return
    known = solved()
    if number in known:
        return
    with suppress(OSError):
        file = path()
        file.parent.mkdir(parents=True, exist_ok=True)
        if not known and file.exists():
            os.replace(file, file.with_name("progress.damaged.json"))
        handle, draft = tempfile.mkstemp(dir=file.parent, text=True)
        try:
            with open(handle, "w", encoding="utf-8") as text:
                json.dump({"solved": sorted(known | {number})}, text)
            os.replace(draft, file)
        finally:
            Path(draft).unlink(missing_ok=True)


def forget() -> int:
    """Delete what is kept, and tell how many exercises it was."""
    count = len(solved())
    path().unlink(missing_ok=True)
    return count


class Progress:
    """Show how far you are: ``progress()`` in the course's index.

    A square for each exercise, filled once its check has found it right, and
    which exercise comes next.
    """

    def __init__(self, language: str) -> None:
        self.language = language

    def __call__(self) -> None:
        from aula.exercises.check import numbers  # which imports this module

        words = TEXT[self.language]
        lessons = {
            file.name[:2]: file
            for file in sorted(Path(self.language).glob("[0-9][0-9]_*.ipynb"))
        }
        if not lessons:
            show({"text/plain": words["elsewhere"]})
            return
        done, first = solved(), None
        rows = [words["head"]]
        for lesson, group in groupby(numbers(), key=lambda n: n[:2]):
            if lesson not in lessons:
                continue
            exercises = [*group]
            right = [number for number in exercises if number in done]
            bar = "".join("■" if n in done else "□" for n in exercises)
            link = f"[{_title(lessons[lesson])}]({lessons[lesson].as_posix()})"
            rows.append(f"| {link} | {bar} | {len(right)}/{len(exercises)} |")
            if first is None and len(right) < len(exercises):
                number = next(n for n in exercises if n not in done)
                first = words["next"].format(number=number, lesson=link)
        text = "\n".join(rows) + f"\n\n{first or words['done']}"
        show({"text/markdown": text, "text/plain": text})


def _title(file: Path) -> str:
    """A built lesson's title, ``00 · Start here``: its first line."""
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    opening = "".join(cells[0]["source"])
    found = re.match(r"# (.+)", opening)
    return found[1] if found else file.stem


def main() -> None:
    """``python -m aula.exercises.progress``: forget what was solved."""
    count = forget()
    for words in TEXT.values():
        print(words["forgotten"].format(count=count))


if __name__ == "__main__":
    main()
