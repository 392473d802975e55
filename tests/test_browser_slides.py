"""Slides as a projector shows them, in a JupyterLab with jupyterlab-slideshow.

They are laid out anew here: it is the slides of today's lessons that have to
fit. ``make check-slides`` looks at those of all lessons.
"""

import pytest
from lab import cell_of, jupyterlab, opened, start
from playwright.sync_api import expect

from authoring import editions, slides, source

WIDTH, HEIGHT = SIZE = 1280, 720
NUMBERS = [path.stem.split("_")[0] for path in source.lesson_paths()]
SHOWN = ["03", "07"]  # in every run of the tests

BOUNDS = """async () => {
    const notebook = jupyterapp.shell.currentWidget.content;
    const soon = () => new Promise(requestAnimationFrame);
    const found = [];
    for (const [index, cell] of [...notebook.model.cells].entries()) {
        const kind = cell.getMetadata("slideshow").slide_type;
        if (kind !== "slide" && kind !== "subslide") continue;
        notebook.activeCellIndex = index;
        await soon();
        const nodes = notebook.widgets
            .map(widget => widget.node)
            .filter(node => node.classList.contains("jp-deck-mod-onscreen"));
        const drawings = cell.sharedModel.source.split("```mermaid").length;
        const images = () => nodes.flatMap(
            node => [...node.querySelectorAll("img")]);
        while (images().length < drawings - 1) await soon();
        for (const image of images()) await image.decode();
        await soon();
        const boxes = nodes.map(node => node.getBoundingClientRect());
        found.push([
            Math.min(...boxes.map(box => box.top)),
            Math.max(...boxes.map(box => box.bottom)),
            cell.sharedModel.source,
        ]);
    }
    return found;
}"""


@pytest.fixture(scope="module")
def projector(tmp_path_factory):
    """The address of a JupyterLab that has the slides of all lessons."""
    folder = tmp_path_factory.mktemp("slides")
    for lesson in source.read_course():
        for lang in source.LANGUAGES:
            path = folder / lang / f"{lesson.number}.ipynb"
            path.parent.mkdir(exist_ok=True)
            text = editions.dumps(slides.slides(lesson, lang))
            path.write_text(text, encoding="utf-8")
    with jupyterlab(folder) as address:
        yield address


@pytest.fixture(scope="module")
def screen(browser, projector):
    """A page on which one deck after the other is shown."""
    with opened(browser, projector, "en/00.ipynb", size=SIZE) as page:
        yield page


def begin(page):
    page.evaluate("jupyterapp.commands.execute('deck:start')")
    page.wait_for_selector(".jp-Deck .jp-deck-mod-onscreen")


@pytest.mark.parametrize("lang", source.LANGUAGES)
@pytest.mark.parametrize(
    "number",
    [
        pytest.param(n, marks=[] if n in SHOWN else pytest.mark.slow)
        for n in NUMBERS
    ],
)
def test_each_slide_fits_before_it_runs(screen, number, lang):
    screen.evaluate(
        """async path => {
            const {commands, shell, serviceManager} = jupyterapp;
            const widget = await commands.execute("docmanager:open", {path});
            await widget.context.ready;
            shell.activateById(widget.id);
        }""",
        f"{lang}/{number}.ipynb",
    )
    begin(screen)
    found = screen.evaluate(BOUNDS)
    screen.evaluate(
        """async () => {
            await jupyterapp.commands.execute("deck:stop");
            const widget = jupyterapp.shell.currentWidget;
            await widget.sessionContext.ready;
            await widget.sessionContext.shutdown();
            widget.dispose();
        }"""
    )
    assert len(found) > 10
    for top, bottom, text in found:
        assert top >= 0 and bottom <= HEIGHT, text


def test_cells_run_in_place_and_instruments_draw(browser, projector):
    for number, picture in (("03", "table"), ("07", "img")):
        path = f"en/{number}.ipynb"
        with opened(browser, projector, path, size=SIZE) as page:
            begin(page)
            call = {"table": "with timeline():", "img": "with wiretap():"}
            cell = show(page, call[picture])
            shown = on_screen(page)
            start(page, "notebook:run-all-above")
            start(page, "notebook:run-cell")
            output = cell.locator(".jp-OutputArea-output").locator(picture)
            expect(output.first).to_be_visible()
            assert on_screen(page) == shown
            # As it does by itself: below it is a note, which is not shown.
            page.keyboard.press("Shift+Enter")
            expect(output.first).to_be_visible()
            assert on_screen(page) == shown
            page.keyboard.press("ArrowDown")
            expect(cell).not_to_be_visible()
            assert not shown & on_screen(page)


def show(page, text):
    """Go to the slide with this code; its cell."""
    cell = cell_of(page, text).first
    expect(cell).to_be_visible()
    return cell


def on_screen(page):
    """The cells of the slide that is shown."""
    return set(
        page.evaluate(
            """() => jupyterapp.shell.currentWidget.content.widgets
                .filter(w => w.node.classList.contains("jp-deck-mod-onscreen"))
                .map(w => w.model.id)"""
        )
    )
