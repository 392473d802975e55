"""An exported page describes each of its pictures, for who cannot see it."""

import asyncio
import json

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbconvert import HTMLExporter
from nbformat.v4 import (
    new_code_cell,
    new_markdown_cell,
    new_notebook,
    new_output,
)
from websockets.asyncio.client import connect
from wiretaps import listen

from aula.instruments.timeline import Timeline
from authoring import source

# What nbconvert writes where there are no words.
NO_WORDS = "No description has been provided for this image"
PAGES = [source.LESSONS / "index.md", source.LESSONS / "names.md"]


def prose(lang):
    """All that the course says in a language, with its drawings."""
    for path in (*source.lesson_paths(), *PAGES):
        for cell in source.read_cells(path)[1]:
            if cell.kind == "markdown" and cell.lang in (lang, None):
                yield new_markdown_cell(cell.source)


def pictures(lang):
    """What the instruments draw."""
    timeline = Timeline()

    async def cell():
        timeline.start()
        await asyncio.gather(asyncio.sleep(0.01), asyncio.sleep(0.02))
        timeline.stop()

    async def talk(uri):
        async with connect(uri) as websocket:
            await websocket.send("hola")
            await websocket.recv()

    asyncio.run(cell())
    conversation = listen(talk).bundle(lang)
    assert "text/vnd.mermaid" in conversation
    fenced = {"text/markdown": conversation["text/markdown"]}
    for bundle in (timeline.bundle(lang), conversation, fenced):
        yield new_code_cell(
            outputs=[new_output("display_data", data=bundle)],
        )


def export(cells):
    page, _ = HTMLExporter().from_notebook_node(new_notebook(cells=[*cells]))
    return BeautifulSoup(page, "html.parser")


def undescribed(page):
    """The pictures of a page that have no words of their own."""
    for image in page.find_all("img"):
        if image.get("alt", "").strip() in ("", NO_WORDS):
            yield str(image)[:80]
    for drawing in page.find_all("svg"):
        if not drawing.find("title") and drawing.get("aria-hidden") != "true":
            yield str(drawing)[:80]
    for drawing in page.select(".mermaid"):
        lines = [line.strip() for line in drawing.text.splitlines()]
        for name in ("accTitle:", "accDescr:"):
            if not [n for n in lines if n.removeprefix(name).strip() != n]:
                yield f"{name} is missing: {lines[:3]}"


@pytest.mark.parametrize("lang", source.LANGUAGES)
def test_drawings_in_the_prose(lang):
    page = export(prose(lang))
    assert len(page.select(".mermaid")) >= len(source.lesson_paths()) // 2
    assert not [*undescribed(page)]


@pytest.mark.parametrize("lang", source.LANGUAGES)
def test_pictures_of_the_instruments(lang):
    page = export(pictures(lang))
    assert not [*undescribed(page)]
    (table,) = page.find_all("table")
    assert table.find("th").text
    assert len(page.select(".mermaid")) == 2


def test_a_picture_without_words_is_noticed():
    drawing = "```mermaid\nflowchart LR\n    a --> b\n```"
    plot = new_output("display_data", data={"image/png": "AAAA"})
    page = export(
        [
            new_markdown_cell(drawing),
            new_markdown_cell("![](images/a.png)"),
            new_code_cell(outputs=[plot]),
        ]
    )
    found = [*undescribed(page)]
    assert len(found) == 4, found


def test_stored_outputs_hold_no_image():
    """Other than with words: nbconvert takes them from the metadata."""
    bare = []
    for path in source.ROOT.glob("*/e[ns]/*.ipynb"):
        notebook = nbformat.from_dict(json.loads(path.read_text("utf-8")))
        for cell in notebook.cells:
            for output in cell.get("outputs", []):
                for kind in output.get("data", {}):
                    words = output.metadata.get(kind, {}).get("alt")
                    if kind.startswith("image/") and not words:
                        bare.append(f"{path.name} {cell.id}")
    assert not bare
