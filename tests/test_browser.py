"""Lessons in a real JupyterLab and Notebook 7, seen in a real browser."""

import nbformat
import pytest
from lab import cell_of, clear_outputs, opened, run_all
from playwright.sync_api import expect

from authoring import editions, source

APPS = [("lab", "es"), ("lab", "en"), ("notebook", "es")]


@pytest.mark.parametrize(("app", "lang"), APPS)
def test_a_lesson_runs_draws_and_checks(browser, lab, app, lang):
    path = next(p for p in source.lesson_paths() if p.stem.startswith("03"))
    lesson = source.read_lesson(path)
    file = editions.edition_path(lesson, lang, "solutions")
    path = f"solutions/{lang}/{file.name}"
    with opened(browser, lab, path, app) as page:
        clear_outputs(page)
        run_all(page)
        right = {"es": "correcto.", "en": "right."}[lang]
        last = lesson.exercises[-1]
        verdict = cell_of(page, f'check("{last.number}"')
        expect(verdict).to_contain_text(f"✔ {last.number}: {right}")
        picture = cell_of(page, "with timeline():").first.locator("img")
        expect(picture.first).to_be_visible()
        sizes = picture.first.evaluate("i => [i.naturalWidth, i.width]")
        assert sizes[0] > 1000 > sizes[1]


@pytest.mark.parametrize(("app", "lang"), APPS)
def test_a_lesson_draws_the_conversation(browser, lab, app, lang):
    path = next(p for p in source.lesson_paths() if p.stem.startswith("07"))
    file = f"solutions/{lang}/{path.stem}.ipynb"
    with opened(browser, lab, file, app) as page:
        clear_outputs(page)
        run_all(page)
        cell = cell_of(page, "with wiretap():").first
        diagram = cell.locator(".jp-RenderedMermaid img")
        expect(diagram.first).to_be_visible()
        assert diagram.first.evaluate("image => image.naturalWidth") > 100
    # Beside the diagram stands the text, for where there are no diagrams.
    stored = nbformat.read(source.ROOT / file, as_version=4)
    data = [
        output.data
        for cell in stored.cells
        for output in cell.get("outputs", [])
        if "text/vnd.mermaid" in output.get("data", {})
    ]
    assert data
    assert all("101 Switching Protocols" in one["text/plain"] for one in data)
