"""Lessons in a real JupyterLab, seen through a real browser."""

import contextlib
import shutil

import nbformat
import pytest
from lab import CHROMIUM, FLAGS, jupyterlab
from playwright.sync_api import expect, sync_playwright

from aula import course

RUN_ALL = 60_000  # milliseconds a whole lesson may take


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab that serves a copy of the course."""
    folder = tmp_path_factory.mktemp("course")
    for kind in course.KINDS:
        shutil.copytree(
            course.ROOT / kind,
            folder / kind,
            ignore=shutil.ignore_patterns(".ipynb_checkpoints"),
        )
    with jupyterlab(folder) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS
        )
        yield chromium
        chromium.close()


@contextlib.contextmanager
def opened(browser, lab, path):
    """A page of JupyterLab with this notebook, and no other, open."""
    page = browser.new_page(viewport={"width": 1200, "height": 1000})
    page.set_default_timeout(RUN_ALL)
    # A workspace of its own, or the tabs of the test before come back.
    workspace = path.replace("/", "-").removesuffix(".ipynb")
    page.goto(f"{lab}lab/workspaces/{workspace}/tree/{path}")
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    try:
        yield page
    finally:
        page.close()


def run_all(page):
    """Run all cells, once the kernel answers, and wait for the last.

    A Run All that comes before JupyterLab has its kernel runs nothing.
    """
    page.evaluate(
        """async () => {
            const session = jupyterapp.shell.currentWidget.sessionContext;
            await session.ready;
            await session.session.kernel.info;
            await jupyterapp.commands.execute("notebook:run-all-cells");
        }"""
    )


def clear_outputs(page):
    page.evaluate(
        "jupyterapp.commands.execute('notebook:clear-all-cell-outputs')"
    )


def cell_of(page, text):
    """Scroll to the cell with this code; JupyterLab draws what is in view."""
    page.evaluate(
        """text => {
            const {content, model} = jupyterapp.shell.currentWidget;
            const index = [...model.cells].findIndex(
                cell => cell.sharedModel.source.includes(text));
            content.activeCellIndex = index;
            return content.scrollToItem(index, "start");
        }""",
        text,
    )
    return page.locator(".jp-Cell").filter(
        has=page.locator(".jp-InputArea", has_text=text)
    )


@pytest.mark.parametrize("lang", course.LANGUAGES)
def test_lesson_02_runs_draws_and_checks(lab, browser, lang):
    path = next(p for p in course.lesson_paths() if p.stem.startswith("02"))
    lesson = course.read_lesson(path)
    file = course.edition_path(lesson, lang, "solutions")
    with opened(browser, lab, f"solutions/{lang}/{file.name}") as page:
        clear_outputs(page)
        run_all(page)
        right = {"es": "correcto.", "en": "right."}[lang]
        last = lesson.exercises[-1]
        verdict = cell_of(page, f'check("{last.number}"')
        expect(verdict).to_contain_text(
            f"✔ {last.number}: {right}", timeout=RUN_ALL
        )
        picture = cell_of(page, "with timeline():").first.locator("img")
        expect(picture.first).to_be_visible(timeout=RUN_ALL)
        sizes = picture.first.evaluate("i => [i.naturalWidth, i.width]")
        assert sizes[0] > 1000 > sizes[1]


@pytest.mark.parametrize("lang", course.LANGUAGES)
def test_lesson_04_draws_the_conversation(lab, browser, lang):
    path = next(p for p in course.lesson_paths() if p.stem.startswith("04"))
    file = f"solutions/{lang}/{path.stem}.ipynb"
    with opened(browser, lab, file) as page:
        clear_outputs(page)
        run_all(page)
        cell = cell_of(page, "with wiretap():").first
        diagram = cell.locator(".jp-RenderedMermaid img")
        expect(diagram.first).to_be_visible(timeout=RUN_ALL)
        assert diagram.first.evaluate("image => image.naturalWidth") > 100
    # Beside the diagram stands the text, for where there are no diagrams.
    stored = nbformat.read(course.ROOT / file, as_version=4)
    data = [
        output.data
        for cell in stored.cells
        for output in cell.get("outputs", [])
        if "text/vnd.mermaid" in output.get("data", {})
    ]
    assert data
    assert all("101 Switching Protocols" in one["text/plain"] for one in data)
