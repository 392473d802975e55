"""Lessons in a real JupyterLab and Notebook 7, seen in a real browser."""

import asyncio

import nbformat
import pytest
from lab import cell_of, clear_outputs, opened, run_all
from nbformat.v4 import new_code_cell, new_notebook, new_output
from playwright.sync_api import expect
from recordings import lane, recorded

from aula.instruments.jobs import Job
from aula.instruments.picture import draw_picture
from aula.instruments.stores import Store
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
        cell = cell_of(page, "with timeline():").first
        picture = cell.get_by_role("table", name="timeline").or_(
            cell.get_by_role("table", name="línea de tiempo")
        )
        expect(picture).to_be_visible()
        assert picture.locator("td > [title]").count() > 3


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


def everything():
    """A picture of all that a picture can show."""
    many = [t / 400 + d for t in range(400) for d in (0, 0.0002)]
    tasks = [
        lane("cell()", 0, 0, 2, 2.3, 2.4, 2.45, ended=4),
        lane("brew()", 0.3, 0.304, 1, 1, ended=3, created=0.1),
        lane("a_very_long_name(that_goes, on_in, a_further, line)", *many),
        lane("burn()", 1, 1, 3, 3, end="raised"),
        lane("chill()", 1, 1, 3, 3, end="cancelled"),
        lane("stay()", 1, 1, end="pending"),
        lane("wait()", end="pending", created=1.0),
    ]
    tasks[1].waits = [(0.304, None, "steam()"), (1, None, "")]
    tasks[4].requests = [(2, "deadline", None), (3, "call", tasks[0])]
    recorder = recorded(*tasks, finished=4.0)
    job = lane("grind()", ended=3, created=0.5, creator=tasks[0])
    job.job = Job(len, (), True)
    job.job.began, job.job.ended = 1.0, 3.0
    recorder.jobs = [job]
    fills = [(0, 1, 0), (1, 2, 1), (2, 0, 3)]
    recorder.stores.found = [
        Store(asyncio.Queue(2), "orders: Queue(2)", fills),
        Store(asyncio.Lock(), "turn: Lock", [(0, 1, 0)]),
    ]
    return draw_picture(recorder, "en")


# Each attribute that the page lacks of those which the picture has.
LOST = """html => {
    const drawn = document.createElement("div");
    drawn.innerHTML = html;
    const plain = style => style && style.replace(/\\s*([:;,])\\s*/g, "$1");
    const [there] = document.querySelectorAll(".jp-OutputArea-output table");
    const elements = [...drawn.querySelectorAll("*")];
    const found = [there, ...there.querySelectorAll("*")];
    return elements.flatMap((element, n) => [...element.attributes]
        .filter(({name, value}) =>
            plain(found[n].getAttribute(name)) !== plain(value))
        .map(({name, value}) => `${element.tagName} ${name}: ${value}`));
}"""


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_what_is_not_trusted_shows_the_whole_picture(browser, lab, app):
    html = everything()
    output = new_output("display_data", {"text/html": html})
    output.data["text/plain"] = ""
    cell = new_code_cell("1", execution_count=1, outputs=[output])
    notebook = new_notebook(cells=[cell])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": ""}
    content = {"type": "notebook", "format": "json", "content": notebook}
    first = source.lesson_paths()[0].stem
    with opened(browser, lab, f"notebooks/en/{first}.ipynb") as page:
        page.evaluate(
            "content => jupyterapp.serviceManager.contents.save("
            '"picture.ipynb", content)',
            content,
        )
    with opened(browser, lab, "picture.ipynb", app) as page:
        expect(page.locator(".jp-OutputArea-output table")).to_be_visible()
        assert page.evaluate(LOST, html) == []
        # Beside the list of files, on 40 % of a screen: no wider than that.
        page.set_viewport_size({"width": 768, "height": 1000})
        output = page.locator(".jp-OutputArea-output")
        wide = "e => e.scrollWidth - e.clientWidth"
        assert output.evaluate(wide) <= 0
