"""Builds the editions: lessons/ in, notebooks/ and solutions/ out, executed.

``python -m authoring.build`` builds the course, ``python -m authoring.build
02`` one lesson. nbclient executes each edition beside its place, so that a
cell finds what it would find in JupyterLab; nothing is written until all
editions of a lesson have run. Slides have the code of notebooks/ and are
stored without outputs, so they are not executed again. The words of verdicts
go to aula/words/, and a stamp of what judges a lesson stands there and in its
editions. The program of the last lesson is aula/board/server.py.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import time
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from aula.exercises.words import Words
from authoring import (
    address,
    board,
    classroom,
    editions,
    names,
    size,
    slides,
    source,
    stamps,
    words,
)

CELL_TIMEOUT = 30  # seconds, as in the validation
SANITIZE = source.ROOT / "tests" / "sanitize.cfg"


class BuildError(Exception):
    """A cell that failed, or an edition that must not be stored."""


def main(arguments: list[str]) -> int:
    """Build the whole course, or the lesson named by its number."""
    try:
        lessons = source.read_course()
        texts = words.read_words([lesson.number for lesson in lessons])
        for name, found in texts.items():
            _replace(words.words_path(name), words.dumps(found))
        for path, text in board.files(lessons).items():
            _replace(path, text)
        address.write()
        build(lessons, arguments, texts)
    except (address.AddressError, source.SourceError, BuildError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def build(
    lessons: list[source.Lesson],
    numbers: list[str],
    texts: dict[str, Words],
) -> None:
    """Execute and write editions, pages, and the tables of the READMEs.

    Arguments:
        lessons: the whole course.
        numbers: the lessons to build, such as ``["02"]``; none for all.
        texts: the words of the lessons, which their stamps tell apart.

    Raises:
        BuildError: for a number that no lesson has and for a cell that
            fails; the editions on disk stay as they were.
    """
    known = [lesson.number for lesson in lessons]
    for number in numbers:
        if number not in known:
            raise BuildError(
                f"no lesson {number!r}; there are {', '.join(known)}"
            )
    stamped = stamps.renewed(known, numbers or known, texts)
    _replace(stamps.path(), stamped)
    new_names = names.new_names(lessons)
    for lesson in lessons:
        if not numbers or lesson.number in numbers:
            print(size.describe(lesson, new_names[lesson.number]), flush=True)
            built = {}
            for kind in editions.KINDS:
                for lang in source.LANGUAGES:
                    start = time.perf_counter()
                    path = editions.edition_path(lesson, lang, kind)
                    built[path] = execute(
                        editions.edition(lessons, lesson, lang, kind),
                        lesson.path,
                        path,
                    )
                    took = time.perf_counter() - start
                    print(f"{_name(path)}  {took:.1f} s", flush=True)
            for lang in source.LANGUAGES:
                path = slides.slides_path(lesson, lang)
                built[path] = slides.slides(lesson, lang)
            for path, notebook in built.items():
                write(path, notebook)
    path = source.ROOT / "notebooks" / "index.ipynb"
    index = editions.index_notebook()
    write(path, execute(index, source.LESSONS / "index.md", path))
    for lang in source.LANGUAGES:
        page = editions.names_notebook(lessons, lang)
        write(editions.names_path(lang), page)
    for path, text in classroom.pages(lessons):
        _replace(path, text)
    for lang, name in (("en", "README.md"), ("es", "README.es.md")):
        readme = source.ROOT / name
        old = readme.read_text(encoding="utf-8")
        table = editions.lesson_table(lessons, lang)
        _replace(readme, editions.fill_table(old, table))


def execute(notebook: NotebookNode, source: Path, path: Path) -> NotebookNode:
    """Run a notebook in a new kernel and return it with its outputs.

    Arguments:
        notebook: as ``editions.edition`` lays it out.
        source: the text it comes from.
        path: where it will stand, and in whose folder it runs.

    Raises:
        BuildError: with the source's line and the traceback of the cell that
            failed, ran out of time, or should have failed and did not.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        # The kernel warns the terminal that loopback is not encrypted.
        extra_arguments=["--Application.log_level=ERROR"],
    )
    try:
        with tempfile.TemporaryDirectory() as nobodys:
            # Not what the author has solved, nor a notebook they are in.
            own = {"JUPYTER_DATA_DIR": nobodys, "JPY_SESSION_NAME": ""}
            client.execute(env=os.environ | own)
    except CellExecutionError as error:
        number = sum(
            cell.get("execution_count") is not None for cell in notebook.cells
        )
        raise BuildError(
            f"{_where(source, notebook, number - 1)}: in {_name(path)}:\n"
            f"{error.traceback}"
        ) from None
    except TimeoutError as error:
        raise BuildError(f"{_name(source)}: {error}") from None
    for number, cell in enumerate(_code(notebook)):
        failed = any(o.output_type == "error" for o in cell.outputs)
        if "raises-exception" in cell.metadata.get("tags", []) and not failed:
            raise BuildError(
                f"{_where(source, notebook, number)}: tagged "
                "raises-exception, but nothing was raised"
            )
    for number, cell in enumerate(_code(notebook)):
        cell.outputs = [_tidy(output) for output in cell.outputs]
        if not _tell_images(cell):
            raise BuildError(
                f"{_where(source, notebook, number)}: an image needs words "
                "(:alt: {es: ..., en: ...})"
            )
        del cell.metadata["aula"]
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def write(path: Path, notebook: NotebookNode) -> None:
    """Store a notebook, unless what is there says the same already."""
    nbformat.validate(notebook)
    if path.exists():
        stored = nbformat.read(path, as_version=4)
        if compared(stored) == compared(notebook):
            notebook = stored
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, editions.dumps(notebook))


def compared(notebook: NotebookNode) -> list[Any]:
    """What of a notebook is compared: all but pictures, after sanitizing."""
    patterns = sanitize_patterns()
    cells = []
    for cell in notebook.cells:
        outputs = []
        for output in cell.get("outputs", []):
            output = {
                key: value
                for key, value in output.items()
                if key != "traceback"
            }
            if "data" in output:
                output["data"] = {
                    kind: value
                    for kind, value in output["data"].items()
                    if not kind.startswith("image/")
                }
            text = json.dumps(output, sort_keys=True, ensure_ascii=False)
            for pattern, replacement in patterns:
                text = pattern.sub(replacement, text)
            outputs.append(text)
        # A cell written by hand has no count; a built one always has.
        ran = cell.get("execution_count") is not None
        cells.append((cell.id, cell.source, cell.metadata, ran, outputs))
    return [notebook.metadata, cells]


def sanitize_patterns() -> list[tuple[re.Pattern[str], str]]:
    """The expressions of tests/sanitize.cfg, which nbval reads too."""
    config = ConfigParser(interpolation=None)
    config.read(SANITIZE, encoding="utf-8")
    return [
        (re.compile(config[name]["regex"]), config[name]["replace"])
        for name in config.sections()
    ]


def _tell_images(cell: NotebookNode) -> bool:
    """Put its words beside each image of a cell: whether there are any."""
    for output in cell.outputs:
        for kind in output.get("data", {}):
            if kind.startswith("image/"):
                output.metadata[kind] = {"alt": cell.metadata.aula.alt}
                if not cell.metadata.aula.alt:
                    return False
    return True


def _tidy(output: NotebookNode) -> NotebookNode:
    """Take the paths of the machine that built it out of an output."""
    text: NotebookNode = nbformat.from_dict(output)
    if text.output_type == "stream":
        text.text = _shorten(text.text)
    elif text.output_type == "error":
        text.traceback = [_shorten(line) for line in text.traceback]
    else:
        for kind, value in text.data.items():
            if isinstance(value, str) and not kind.startswith("image/"):
                text.data[kind] = _shorten(value)
    return text


def _shorten(text: str) -> str:
    folders = {
        str(source.ROOT): "aula",
        sys.prefix: "python",
        sys.base_prefix: "python",
        str(Path.home()): "~",
    }
    for folder in sorted(folders, key=len, reverse=True):
        text = text.replace(folder, folders[folder])
        if folder.startswith(str(Path.home()) + os.sep):
            # IPython writes the home folder as ~ in its tracebacks.
            home = "~" + folder[len(str(Path.home())) :]
            text = text.replace(home, folders[folder])
    return text


def _code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _where(source: Path, notebook: NotebookNode, number: int) -> str:
    line = _code(notebook)[number].metadata.aula.line
    return f"{_name(source)}:{line}"


def _name(path: Path) -> str:
    return path.relative_to(source.ROOT).as_posix()


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all; leave it alone if it is the same."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".part")
    draft.write_text(text, encoding="utf-8", newline="\n")
    os.replace(draft, path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
