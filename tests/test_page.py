"""Lesson 14's pages in a real browser, served by the lesson's own cells.

The lesson runs once in JupyterLab, up to the cell that closes its servers;
its pages are looked at in the notebook's frames and in tabs, both directly
and through jupyter-server-proxy.
"""

import ast
import json
import re
from itertools import chain

import pytest
from lab import cell_of, clear_outputs, opened, run_above, start
from playwright.sync_api import expect

from authoring import source

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00")


class Lesson:
    """The running lesson: its notebook, its kernel and its pages."""

    def __init__(self, notebook, browser):
        self.notebook = notebook
        self.browser = browser
        self.tabs = []

    def value(self, name):
        """What a name stands for in the lesson's kernel."""
        text = self.notebook.evaluate(
            """async name => {
                const context = jupyterapp.shell.currentWidget.sessionContext;
                const asked = context.session.kernel.requestExecute({
                    code: "import json",
                    silent: true,
                    user_expressions: {value: `json.dumps(${name})`},
                });
                const {content} = await asked.done;
                return content.user_expressions.value.data["text/plain"];
            }""",
            name,
        )
        return json.loads(ast.literal_eval(text))

    def run_again(self, text):
        """Run the cell with this code once more, by hand."""
        cell_of(self.notebook, text)
        start(self.notebook, "notebook:run-cell")

    def frame(self, page):
        """A page as the notebook shows it."""
        cell = cell_of(self.notebook, f"show_page({page}").first
        return cell.frame_locator("iframe")

    def tab(self, page, link):
        """A page in a tab, opened by one of the links beside its frame."""
        cell = cell_of(self.notebook, f"show_page({page}").first
        with self.notebook.expect_popup() as opening:
            cell.locator(".jp-RenderedMarkdown a").nth(link).click()
        tab = opening.value
        tab.bring_to_front()
        assert ("/proxy/" in tab.url) == (link == PROXIED)
        self.tabs.append(tab)
        return tab

    def close_tabs(self):
        while self.tabs:
            self.tabs.pop().close()


DIRECT, PROXIED = range(2)


@pytest.fixture(scope="module")
def running(browser, lab):
    path = next(p for p in source.lesson_paths() if p.stem.startswith("14"))
    with opened(browser, lab, f"solutions/en/{path.stem}.ipynb") as notebook:
        clear_outputs(notebook)
        run_above(notebook, "await page.cleanup()")
        last = cell_of(notebook, 'check("14.5"')
        expect(last).to_contain_text("✔ 14.5")
        yield Lesson(notebook, browser)


@pytest.fixture
def lesson(running):
    yield running
    running.close_tabs()


def test_the_clock_ticks(lesson):
    expect(lesson.frame("clock_page").locator("li").last).to_be_visible()
    for link in (DIRECT, PROXIED):
        items = lesson.tab("clock_page", link).locator("li")
        expect(items.nth(3)).to_be_visible()
        expect(items.last).to_have_text("open")
        expect(items.first).to_have_text(TIME)


def test_an_address_by_hand_needs_a_server_on_this_machine(lesson):
    # The frame's own connection ended when the lesson restarted the server.
    tab = lesson.tab("fixed_page", DIRECT)
    expect(tab.locator("li").first).to_have_text(TIME)


def test_the_page_survives_a_restart_of_its_server(lesson):
    frame = lesson.frame("stubborn_page")
    expect(frame.locator("li").first).to_have_text(TIME)
    tabs = [lesson.tab("stubborn_page", link) for link in (DIRECT, PROXIED)]
    for tab in tabs:
        expect(tab.locator("li").first).to_have_text(TIME)
    lesson.run_again('serve(clock, "127.0.0.1", port)')
    # The proxy closes well, but does not pass the code on.
    for tab, code in zip(tabs, (1001, 1005), strict=True):
        closed = f"close {code}, again in 250 ms"
        expect(tab.locator("li", has_text=closed)).to_be_visible()
        expect(tab.locator("li").first).to_have_text(TIME)


def test_hostile_text_is_text(lesson):
    message = lesson.value("MESSAGE")
    # The frame first: what lies behind a tab may wait with its page.
    tabs = (lesson.tab("hostile_page", link) for link in (DIRECT, PROXIED))
    for place in chain([lesson.frame("hostile_page")], tabs):
        item = place.locator("li")
        expect(item).to_have_text(message)
        assert item.evaluate("item => item.childElementCount") == 0
        # What the lesson warns of does happen, where it says it does.
        expect(place.locator("p")).to_have_text("Hola 42")


def test_two_tabs_play_together(lesson):
    tabs = [lesson.tab("board_page", link) for link in (DIRECT, PROXIED)]
    frame = lesson.frame("board_page")
    draw(tabs[0], 40)
    draw(tabs[1], 80)
    for place in [frame, *tabs]:
        canvas = place.locator("canvas")
        for y in (40, 80):
            expect_ink(canvas, y)


def draw(tab, y):
    """Draw a line from left to right."""
    tab.bring_to_front()
    box = tab.locator("canvas").bounding_box()
    tab.mouse.move(box["x"] + 20, box["y"] + y)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 120, box["y"] + y, steps=10)
    tab.mouse.up()


def expect_ink(canvas, y):
    """Wait until a line is there, at this height."""
    assert canvas.evaluate(
        """async (canvas, y) => {
            const pen = canvas.getContext("2d");
            for (let turn = 0; turn < 200; turn++) {
                const {data} = pen.getImageData(0, y - 3, 150, 9);
                const ink = data.filter((value, i) => i % 4 == 3 && value);
                if (ink.length > 100) return true;
                await new Promise(done => setTimeout(done, 50));
            }
            return false;
        }""",
        y,
    ), f"no line at {y}"


def test_the_browser_says_where_a_page_is_from(lesson):
    tabs = [lesson.tab("hostile_page", link) for link in (DIRECT, PROXIED)]
    for tab in tabs:
        expect(tab.locator("li")).to_be_visible()
    origins = lesson.value(
        "[c.request.headers['Origin'] for c in hostile_server.connections]"
    )
    assert set(origins) == {tab.evaluate("location.origin") for tab in tabs}


def test_a_page_from_elsewhere_is_refused(lesson):
    """By a server that names who may come; another lets it in."""
    tab = lesson.tab("clock_page", DIRECT)
    for name, result in (("port", "open"), ("guarded_port", "close 1006")):
        seen = tab.evaluate(
            """port => new Promise(done => {
                const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
                socket.onopen = () => done("open");
                socket.onclose = event => done(`close ${event.code}`);
            })""",
            lesson.value(name),
        )
        assert seen == result
