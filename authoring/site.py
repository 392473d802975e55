"""Builds the site that the course is read on, from the stored notebooks.

``python -m authoring.site`` lays the editions of notebooks/ out as Sphinx and
MyST-NB read them, once for each language, and builds dist/site/. Nothing is
executed. ``python -m authoring.site 07 14`` builds these lessons alone, to
look at them, and ``python -m authoring.site links`` asks whether what the
pages link to elsewhere is there.
"""

from __future__ import annotations

import html
import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from aula.exercises.progress import part
from authoring import address, editions, source
from authoring.source import LANGUAGES, ROOT, Lesson

SITE = ROOT / "site"
SOURCES = SITE / ".build"
OUT = ROOT / "dist" / "site"
MERMAID = SITE / "node_modules" / "mermaid" / "dist" / "mermaid.min.js"

WORDS = {
    "es": {
        "output": "Qué muestra",
        "scenery": "El código del escenario",
        "binder": "Ejecutar en Binder",
        "colab": "Abrir en Colab",
        "steps": "<ol><li>{colab}</li><li>Elige <em>Editar → Borrar todas las "
        "salidas</em>.</li><li>Añade una celda encima de todas y ejecútala "
        "antes que ninguna: <code>%pip install --quiet git+{url}</code></li>"
        "</ol>",
        "solutions": "Soluciones",
        "show": "Mostrar todas las salidas",
        "page": "Aquí aparece, en tu cuaderno, la página web que sirve la "
        "celda.",
    },
    "en": {
        "output": "What it shows",
        "scenery": "The code of the scenery",
        "binder": "Run in Binder",
        "colab": "Open in Colab",
        "steps": "<ol><li>{colab}</li><li>Choose <em>Edit → Clear all "
        "outputs</em>.</li><li>Put a cell above all others and run it first: "
        "<code>%pip install --quiet git+{url}</code></li></ol>",
        "solutions": "Solutions",
        "show": "Show all outputs",
        "page": "Here your notebook shows the web page that the cell serves.",
    },
}

# A line of nothing but links to notebooks: the site has its own.
_NAVIGATION = re.compile(
    r"^\[[^\]]*\]\([^)]*\.ipynb\)(?: · \[[^\]]*\]\([^)]*\.ipynb\))*$", re.M
)
_LENGTH = re.compile(r"^(\*\*[^*\n]+\*\*) · \[.*$", re.M)
_LINK = re.compile(
    r"\[([^\[\]]*)\]\(([^)\s#]*?)([\w.-]+)\.ipynb(?:#cell-id=([\w-]+))?\)"
)
_DRAWING = re.compile(r"^```mermaid\n(.*?)^```$", re.M | re.S)


class SiteError(Exception):
    """Why the site cannot be built."""


def main(arguments: list[str]) -> int:
    """Build the site, or lessons of it, or check what it links to."""
    try:
        if arguments == ["links"]:
            check_links()
        else:
            build(arguments)
    except (SiteError, address.AddressError, source.SourceError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def build(numbers: list[str], out: Path = OUT) -> None:
    """Build the site, in both languages.

    Arguments:
        numbers: the lessons to build; none for all, and then no warning of
            Sphinx's is let pass.
        out: the folder for its pages; what is in it is deleted.

    Raises:
        SiteError: if something that it is built with is missing, or Sphinx
            has found a mistake.
    """
    if not MERMAID.exists():
        raise SiteError(f"{MERMAID} is missing: use make site")
    lessons = source.read_course()
    wanted = [one for one in lessons if not numbers or one.number in numbers]
    for lesson in wanted:
        for lang in LANGUAGES:
            path = editions.edition_path(lesson, lang, "notebooks")
            if not path.exists():
                raise SiteError(f"{path} is missing: run make build")
    shutil.rmtree(out, ignore_errors=True)
    for lang in LANGUAGES:
        folder = SOURCES / lang
        lay_out(lang, wanted, folder)
        strict = () if numbers else ("--fail-on-warning",)
        _sphinx("html", lang, folder, out / lang, *strict)
    shutil.rmtree(out / "jupyter_execute")  # MyST-NB's own copies
    shutil.copy(SITE / "index.html", out)
    shutil.copy(MERMAID, out)
    # GitHub Pages leaves out folders such as _static otherwise.
    (out / ".nojekyll").touch()


def check_links() -> None:
    """Ask for each address that the pages link to.

    Raises:
        SiteError: if one of them is not there; Sphinx has said which.
    """
    for lang in LANGUAGES:
        lay_out(lang, source.read_course(), SOURCES / lang)
        out = SOURCES / f"{lang}-links"
        _sphinx("linkcheck", lang, SOURCES / lang, out)


def lay_out(lang: str, lessons: list[Lesson], folder: Path) -> None:
    """Write the pages of one language as Sphinx reads them.

    Arguments:
        lang: ``"es"`` or ``"en"``.
        lessons: those to show.
        folder: where to write; what is in it is deleted.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pages = _Pages(lang, lessons)
    for lesson in lessons:
        text = nbformat.writes(pages.lesson(lesson))
        _write(folder / f"{lesson.path.stem}.ipynb", text)
    _write(folder / "names.md", pages.names())
    _write(folder / "index.md", pages.index())
    picture = source.LESSONS / "images" / f"lesson-{lang}.png"
    shutil.copy(picture, folder / "lesson.png")


class _Pages:
    """The pages of one language."""

    def __init__(self, lang: str, lessons: list[Lesson]):
        self._lang = lang
        self._lessons = lessons
        self._words = WORDS[lang]
        self._repository = address.repository()
        # The headings of each cell and their places, by lesson and id.
        self._headings: dict[tuple[str, str], list[tuple[str, int]]] = {}
        self._stored: dict[str, NotebookNode] = {}
        for lesson in lessons:
            path = editions.edition_path(lesson, lang, "notebooks")
            notebook = nbformat.read(path, as_version=4)
            self._stored[lesson.number] = notebook
            place = itertools.count(1)
            for cell in notebook.cells:
                prose = source.without_fences(cell.source)
                self._headings[lesson.path.stem, cell.id] = [
                    (title, next(place))
                    for title in re.findall(r"^#+ (.+)$", prose, re.M)
                    if cell.cell_type == "markdown"
                ]

    def lesson(self, lesson: Lesson) -> NotebookNode:
        """A lesson's notebook."""
        notebook = self._stored[lesson.number]
        prose = [c for c in notebook.cells if c.cell_type == "markdown"]
        prose[0].source = _LENGTH.sub(
            lambda m: m[1] + "\n\n" + self._doors(lesson), prose[0].source
        )
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                if cell in (prose[0], prose[-1]):
                    cell.source = _NAVIGATION.sub("", cell.source)
                cell.source = self._prose(cell.source)
            else:
                self._show(cell)
        # What the notebook tells about itself would stand on the page.
        notebook.metadata.pop("aula", None)
        return notebook

    def names(self) -> str:
        """The page of names."""
        path = editions.names_path(self._lang)
        notebook = nbformat.read(path, as_version=4)
        text = "\n\n".join(cell.source for cell in notebook.cells)
        return self._prose(_NAVIGATION.sub("", text))

    def index(self) -> str:
        """The front page."""
        text = (SITE / self._lang / "index.md").read_text(encoding="utf-8")
        return self._prose(
            text.replace("{where-to-begin}", self._where_to_begin())
            .replace("{lessons}", self._table())
            .replace("{contents}", self._contents())
            .replace("{repository}", self._repository)
        )

    def _where_to_begin(self) -> str:
        """That section of the index notebook."""
        notebook = editions.index_notebook()
        at = LANGUAGES.index(self._lang) * len(notebook.cells) // 2
        section: str = notebook.cells[at].source.split("\n## ")[1]
        return "## " + section.replace(f"]({self._lang}/", "](")

    def _table(self) -> str:
        return editions.lesson_table(self._lessons, self._lang).replace(
            f"](notebooks/{self._lang}/", "]("
        )

    def _contents(self) -> str:
        """The lists of lessons, a part each, which the sidebar shows."""
        numbers = [lesson.number for lesson in self._lessons]
        parts: list[list[str]] = []
        for lesson in self._lessons:
            if title := part(lesson.number, numbers):
                head = (
                    f"```{{toctree}}\n:hidden:\n:caption: {title[self._lang]}"
                )
                parts.append([head, ""])
            parts[-1].append(lesson.path.stem)
        parts.append(["```{toctree}\n:hidden:\n", "names"])
        return "\n\n".join("\n".join([*one, "```"]) for one in parts)

    def _doors(self, lesson: Lesson) -> str:
        """Where the lesson can be run, and its solutions read."""
        file = f"{self._lang}/{lesson.path.stem}.ipynb"
        name, words = self._repository, self._words
        links = [
            (address.binder_url(name, f"notebooks/{file}"), words["binder"]),
            (address.colab_url(name, f"notebooks/{file}"), words["colab"]),
            (
                address.file_url(name, f"solutions/{file}"),
                words["solutions"],
            ),
        ]
        binder, colab, solutions = (
            f'<a class="aula-door" href="{html.escape(url)}">{text}</a>'
            for url, text in links
        )
        # Colab has no course, and does not fold what is stored.
        steps = words["steps"].format(colab=colab, url=f"{address.HOST}{name}")
        return (
            f'<div class="aula-doors">{binder}<details class="aula-colab">'
            f'<summary class="aula-door">{words["colab"]}</summary>{steps}'
            f'</details>{solutions}<button type="button" '
            'class="aula-door aula-unfold pst-js-only" aria-pressed="false">'
            f"{words['show']}</button></div>"
        )

    def _prose(self, text: str) -> str:
        text = _LINK.sub(self._link, text)
        return _DRAWING.sub(lambda m: _raw(self._drawing(m[1])), text)

    def _link(self, found: re.Match[str]) -> str:
        """A link to a notebook, as the site has it."""
        text, folder, stem, cell = found.groups("")
        if "solutions/" in folder:
            path = f"solutions/{self._lang}/{stem}.ipynb"
            return f"[{text}]({address.file_url(self._repository, path)})"
        if stem in ("index", "names"):
            return f"[{text}]({stem}.md)"
        section = ""
        for title, place in self._headings.get((stem, cell), ()):
            if text.endswith(f" · {title}"):
                section = f"#s{place}"
        return f"[{text}]({stem}.ipynb{section})"

    def _show(self, cell: NotebookNode) -> None:
        """Fold a code cell's output, and give pictures the form of a page."""
        tags = cell.metadata.get("tags", [])
        # A check says here that nothing has been written yet.
        kept = [] if "check" in tags else cell.outputs
        cell.outputs = [self._output(output, cell) for output in kept]
        hidden = ["hide-output"] if cell.outputs else []
        prompt = "output"
        if "scenery" in tags:
            hidden.append("hide-input")
            prompt = "scenery"
        cell.metadata = nbformat.from_dict(
            {
                "tags": [*tags, *hidden],
                "mystnb": {
                    **cell.metadata.get("mystnb", {}),
                    "code_prompt_show": self._words[prompt],
                },
            }
        )

    def _output(self, output: NotebookNode, cell: NotebookNode) -> Any:
        data = output.get("data", {})
        if "text/vnd.mermaid" in data:
            shown = self._drawing(data["text/vnd.mermaid"], data["text/plain"])
        elif "<iframe" in data.get("text/html", ""):
            shown = f"<p><em>{self._words['page']}</em></p>"
        elif "/proxy/" in data.get("text/markdown", ""):
            # Links to servers that have closed long ago.
            text = re.sub(
                r"<(.*?)>|\[(.*?)\]\(.*?\)",
                lambda m: f"`{m[1] or m[2]}`",
                data["text/markdown"],
            )
            return nbformat.v4.new_output(
                "display_data", {"text/markdown": text}
            )
        else:
            for kind in data:
                if kind.startswith("image/"):
                    alt = output.metadata[kind]["alt"]
                    cell.metadata["mystnb"] = {"image": {"alt": alt}}
            return output
        return nbformat.v4.new_output("display_data", {"text/html": shown})

    def _drawing(self, drawing: str, text: str = "") -> str:
        """A drawing that the page's script draws, and its text till then."""
        if not text:
            told = dict(re.findall(r"^\s*(acc\w+): *(.*)$", drawing, re.M))
            text = told["accDescr"]
        return (
            f'<figure class="aula-drawing" data-drawing="'
            f'{html.escape(drawing)}">\n'
            f"<pre>{html.escape(text)}</pre>\n</figure>"
        ).replace("\n\n", "\n")


def _raw(code: str) -> str:
    return "```{raw} html\n" + code + "\n```"


def _sphinx(
    builder: str, lang: str, folder: Path, out: Path, *options: str
) -> None:
    """Let Sphinx build the pages of one language."""
    name = address.repository()
    command = [
        *(sys.executable, "-m", "sphinx", "--quiet", "--jobs", "auto"),
        *("-b", builder, "-c", str(SITE)),
        *("-d", str(SOURCES / f"{lang}-trees")),
        *options,
    ]
    settings = {
        "AULA_LANGUAGE": lang,
        "AULA_REPOSITORY": name,
        "AULA_SITE": address.site_url(name),
        "AULA_VERSION": editions.VERSION,
    }
    shutil.rmtree(SOURCES / f"{lang}-trees", ignore_errors=True)
    said = subprocess.run(
        [*command, str(folder), str(out)],
        env={**os.environ, **settings},
        check=False,
    )
    if said.returncode:
        raise SiteError(f"Sphinx has found mistakes in the pages in {lang}")


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
