"""Stamps each lesson with what judges it, and since when it has done so.

A stamp is the hash of a lesson's judge and words, and the minute of the build
that first found it. The editions of the lesson bear it, and the package has
those of all lessons in aula/words/stamps.json; ``aula.agreement`` compares
them. What lessons share, the vocabulary of the judges and the general words,
does not count: it changes often, and what an exercise asks for with it never.
"""

from __future__ import annotations

import hashlib
import json
import tokenize
from datetime import UTC, datetime
from pathlib import Path

from aula.agreement import Stamp
from aula.exercises.words import Words
from authoring import source, words


def now() -> str:
    """The minute it is; of two, the text that sorts first is the earlier."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def path() -> Path:
    """Where the stamps are kept."""
    return words.words_path("stamps")


def read() -> dict[str, Stamp]:
    """The stamps that are kept, by lesson; none before the first build."""
    if not path().exists():
        return {}
    found: dict[str, Stamp] = json.loads(path().read_text(encoding="utf-8"))
    return found


def renewed(
    lessons: list[str], built: list[str], found: dict[str, Words]
) -> str:
    """The text of the stamps' file, brought up to date.

    Arguments:
        lessons: the numbers of all lessons.
        built: those that are being built; the others keep their stamps, as
            their editions do.
        found: the words of the lessons.

    A stamp stays, with its minute, as long as its hash does.
    """
    since = now()
    kept = {n: stamp for n, stamp in read().items() if n in lessons}
    for number in built:
        digest = digest_of(number, found.get(number, {}))
        if number not in kept or kept[number]["hash"] != digest:
            kept[number] = Stamp(hash=digest, since=since)
    return json.dumps(kept, indent=1, sort_keys=True) + "\n"


def digest_of(number: str, found: Words) -> str:
    """The hash of a lesson's judge, without its comments, and its words.

    Arguments:
        number: the lesson's.
        found: its words.
    """
    judge = source.ROOT / "aula" / "judges" / f"lesson_{number}.py"
    code = _without_comments(judge) if judge.exists() else ""
    text = f"{code}\n{words.dumps(found)}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _without_comments(file: Path) -> str:
    """The words of a program; how they are spaced is left out as well."""
    lines = file.read_text(encoding="utf-8").split("\n")
    with file.open("rb") as readable:
        for token in tokenize.tokenize(readable.readline):
            if token.type == tokenize.COMMENT:
                row, column = token.start
                lines[row - 1] = lines[row - 1][:column]
    return " ".join("\n".join(lines).split())
