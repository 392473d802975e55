"""The board's page in a real browser, as a projector or a phone shows it."""

import json
import re
import socket
from contextlib import ExitStack, contextmanager

import pytest
from boards import running
from playwright.sync_api import expect
from websockets.sync.client import connect

SCRIPT = "<img src=x onerror=1"
MARKUP = "<b>&amp;"
# For each piece of text that is seen: its colour and what is behind it.
COLOURS = """() => {
    const seen = [];
    const walk = document.createTreeWalker(document.body, 4);
    while (walk.nextNode()) {
        const part = walk.currentNode.parentElement;
        if (!walk.currentNode.data.trim()) continue;
        if (part.closest("script, style, noscript, .unseen")) continue;
        if (!part.checkVisibility()) continue;
        let behind = part, below;
        do {
            below = getComputedStyle(behind).backgroundColor;
            behind = behind.parentElement;
        } while (behind && /, 0\\)|transparent/.test(below));
        const {color} = getComputedStyle(part);
        seen.push([walk.currentNode.data, color, below]);
    }
    return seen;
}"""


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    with running(tmp_path_factory.mktemp("page") / "b.sqlite") as started:
        yield started


@pytest.fixture
def visit(browser, board):
    """Pages, each in a browser of its own; nothing may go wrong in any."""
    with ExitStack() as stack:

        @contextmanager
        def closing(context):
            try:
                yield
            finally:
                context.close()

        wrong = []

        def hear(message):
            # A line that is lost is no fault of the page's.
            if message.type == "error" and "WebSocket" not in message.text:
                wrong.append(message.text)

        def visit(address=board.page, token=None, lang="en-GB", **options):
            context = browser.new_context(locale=lang, **options)
            stack.enter_context(closing(context))
            page = context.new_page()
            page.set_default_timeout(20_000)
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on("console", hear)
            page.on("dialog", lambda dialog: wrong.append("dialog"))
            page.on(
                "request",
                lambda asked: (
                    asked.url.startswith((address, "data:"))
                    or wrong.append(asked.url)
                ),
            )
            page.goto(address)
            if token is not None:
                page.get_by_label("token").fill(token)
                page.keyboard.press("Enter")
            return page

        yield visit
        assert not wrong


@pytest.fixture
def screen(visit, board):
    def screen(**options):
        page = visit(token=board.tokens["screen"], **options)
        expect(page.locator("#state")).to_have_class("live")
        return page

    return screen


def feed(page):
    return page.locator("#feed li")


def exercise(page, name):
    what = page.locator(".what", has_text=re.compile(rf"(^|\s){name}$"))
    return page.locator("details li").filter(has=what)


def switch(page, name):
    return page.get_by_role("checkbox", name=name)


def test_the_token_is_asked_for(visit, board):
    page = visit(token="wrong")
    expect(page.get_by_role("alert")).to_have_text(
        "That is not the screen's token."
    )
    expect(page.locator("main")).to_be_hidden()
    expect(page.get_by_label("token")).to_be_focused()
    page.get_by_label("token").fill(board.tokens["class"])
    page.get_by_role("button", name="Show the board").click()
    expect(page.get_by_role("alert")).to_have_text(
        "That is not the screen's token."
    )
    assert page.evaluate("sessionStorage.length") == 0
    page.get_by_label("token").fill(f" {board.tokens['screen']} ")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_visible()
    expect(page.get_by_label("token")).to_be_hidden()
    assert page.url.rstrip("/") == board.page
    kept = page.evaluate("JSON.stringify([sessionStorage, localStorage])")
    assert json.loads(kept) == [{"aula-token": board.tokens["screen"]}, {}]
    # Loaded again, it asks no more; another window does.
    page.reload()
    expect(page.locator("#state")).to_have_class("live")
    page.get_by_role("button", name="Leave").click()
    expect(page.get_by_label("token")).to_be_focused()
    page.reload()
    expect(page.get_by_label("token")).to_be_focused()


def test_it_fills_as_it_happens(visit, tmp_path):
    with running(tmp_path / "board.sqlite") as board:
        fill(visit, board)


def fill(visit, board):
    page = visit(board.page, board.tokens["screen"])
    expect(page.locator("#none")).to_be_visible()
    board.solve("Ada", "shout", "count")
    expect(feed(page).first).to_contain_text("Ada07.4 count")
    expect(exercise(page, "shout").locator(".count")).to_have_text("1 of 1")
    board.solve("Eva", "shout")
    expect(feed(page)).to_have_count(3)
    expect(exercise(page, "shout").locator(".count")).to_have_text("2 of 2")
    expect(exercise(page, "count").locator(".count")).to_have_text("1 of 2")
    wide = exercise(page, "shout").locator(".bar").bounding_box()["width"]
    bar = exercise(page, "count").locator(".bar i")
    page.wait_for_timeout(500)  # until it has grown
    assert bar.bounding_box()["width"] == pytest.approx(wide / 2, abs=1)
    # A lesson's exercises are together, also those that nobody has solved.
    lesson = page.locator("details").filter(has_text="07 · First server")
    expect(lesson.locator("li")).to_have_count(6)
    expect(lesson.locator("li").first).to_have_text("07.1 ask0 of 2")
    # Told to those who do not see it, too.
    expect(page.locator("#told")).to_contain_text("Eva: 07.2 shout")
    expect(page.locator("#told")).to_have_attribute("aria-live", "polite")
    expect(page.locator("#total")).to_have_text("2 people · 3 solved")
    # A repeat changes nothing, and what no lesson has is shown as well.
    board.solve("Eva", "shout", "of_another_course")
    expect(feed(page)).to_have_count(4)
    others = page.locator("details").filter(has_text="Other exercises")
    expect(others.locator("li")).to_have_text(["of_another_course1 of 2"])
    # Whoever comes later sees the same.
    later = visit(board.page, board.tokens["screen"])
    for place in ("#feed .nick", "#feed .what", "details .count", "h3"):
        there = page.locator(place).all_inner_texts()
        expect(later.locator(place)).to_have_text(there)


def test_a_nickname_is_text(screen, board):
    page = screen()
    for nick in (SCRIPT, MARKUP, "‮abc"[1:], "李 ❤"):
        board.solve(nick, "ask")
        name = feed(page).first.locator(".nick")
        expect(name).to_have_text(nick)
        assert name.evaluate("name => name.childElementCount") == 0
    switch(page, "Ranking").check()
    names = page.locator("#ranking .nick")
    expect(names.filter(has_text=SCRIPT)).to_have_count(1)
    assert page.locator("img, b").count() == 0
    page = screen()
    expect(feed(page).filter(has_text=SCRIPT)).to_have_count(1)
    assert page.locator("img, b").count() == 0


def test_no_ranking_unless_asked_for_and_no_names_if_not_wanted(screen, board):
    page = screen()
    board.solve("Grace", "ask", "shout", "count", "visit", "welcome")
    expect(feed(page).first).to_contain_text("Grace")
    expect(page.locator("#ranking-part")).to_be_hidden()
    assert page.locator("#ranking li").count() == 0
    switch(page, "Ranking").check()
    expect(page.locator("#ranking li").first).to_have_text("Grace5 solved")
    board.solve("Grace", "lunch_lines")
    expect(page.locator("#ranking li").first).to_have_text("Grace6 solved")
    switch(page, "No names").check()
    expect(page.locator("#ranking-part")).to_be_hidden()
    expect(feed(page).locator(".nick").first).to_have_text("someone")
    assert "Grace" not in page.locator("main").inner_text()
    page.reload()
    expect(feed(page).locator(".nick").first).to_have_text("someone")
    switch(page, "No names").uncheck()
    expect(page.locator("#ranking li").first).to_have_text("Grace6 solved")
    switch(page, "Ranking").uncheck()
    expect(page.locator("#ranking-part")).to_be_hidden()


def test_both_languages(visit, screen, board):
    board.solve("Ada", "shout")
    assert visit(lang="fr-FR").evaluate("document.documentElement.lang") == (
        "en"
    )
    page = screen(lang="es-MX")
    assert page.title() == "El tablero de la clase"
    expect(page.locator("html")).to_have_attribute("lang", "es")
    expect(page.locator("#total")).to_contain_text("resueltos")
    expect(page.locator("h3").filter(has_text="07 ·")).to_have_text(
        "07 · Primer servidor y cliente"
    )
    expect(page.locator("#state")).to_have_text("en vivo")
    page.get_by_role("button", name="English").press("Enter")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("#state")).to_have_text("live")
    expect(page.locator("h3").filter(has_text="07 ·")).to_have_text(
        "07 · First server and client"
    )
    for text in ("resuelto", "clase", "Sin ", "Salir", "Lección"):
        assert text not in page.locator("body").inner_text()
    expect(page.get_by_role("button", name="English")).to_have_attribute(
        "aria-pressed", "true"
    )
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    words = page.evaluate("Object.values(WORDS).map(Object.keys)")
    assert words[0] == words[1]
    used = page.locator("[data-say]").evaluate_all(
        "parts => parts.map(part => part.dataset.say)"
    )
    assert {*used} <= {*words[0]}


def test_a_restart_is_survived(visit, tmp_path):
    path = tmp_path / "board.sqlite"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = f"{free.getsockname()[1]}"
    with running(path, "--port", port) as board:
        page = visit(board.page, board.tokens["screen"])
        board.solve("Ada", "shout")
        expect(feed(page)).to_have_count(1)
        board.process.kill()  # not even goodbye
        expect(page.locator("#state")).to_have_text(
            "no connection; trying again"
        )
        expect(feed(page)).to_have_count(1)
    with running(path, "--port", port) as board:
        board.solve("Eva", "shout")
        expect(page.locator("#state")).to_have_text("live", timeout=40_000)
        expect(feed(page).locator(".nick")).to_have_text(["Eva", "Ada"])
        board.solve("Lima", "shout")
        expect(feed(page)).to_have_count(3)
        expect(exercise(page, "shout").locator(".count")).to_have_text(
            "3 of 3"
        )
        board.stop()
    with running(path, "--port", port, "--new-tokens"):
        # What it knows is no longer enough.
        expect(page.get_by_label("token")).to_be_focused(timeout=40_000)
        expect(page.locator("main")).to_be_hidden()
        assert page.locator("#feed li").count() == 0


def test_by_keyboard_alone(visit, board):
    board.solve("Ada", "shout")
    page = visit()
    expect(page.get_by_label("token")).to_be_focused()
    page.keyboard.type(board.tokens["screen"])
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Show the board")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("details").first).to_be_visible()
    summaries = page.locator("summary")
    parts = [
        switch(page, "No names"),
        switch(page, "Ranking"),
        page.get_by_role("button", name="Leave"),
        page.get_by_role("button", name="Español"),
        page.get_by_role("button", name="English"),
        *(summaries.nth(n) for n in range(summaries.count())),
    ]
    page.locator("body").evaluate("body => document.activeElement.blur()")
    page.locator("h1").click()
    for part in parts:
        page.keyboard.press("Tab")
        expect(part).to_be_focused()
        line = part.evaluate(
            "part => [getComputedStyle(part).outlineStyle, "
            "parseFloat(getComputedStyle(part).outlineWidth)]"
        )
        assert line[0] == "solid" and line[1] >= 2
        box = part.bounding_box()
        least = 16 if "checkbox" in f"{part.get_attribute('type')}" else 24
        assert box["height"] >= least
    first = page.locator("details").first
    was = first.evaluate("box => box.open")
    summaries.first.press("Enter")
    assert first.evaluate("box => box.open") != was
    # What somebody has folded stays so while things happen.
    board.solve("Eva", "count")
    expect(feed(page).first).to_contain_text("Eva")
    assert first.evaluate("box => box.open") != was
    switch(page, "Ranking").press("Space")
    expect(page.locator("#ranking-part")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out(scheme, visit, board):
    board.solve("Ada", "shout", "of_another_course")
    page = visit(token="wrong", color_scheme=scheme)
    expect(page.get_by_role("alert")).not_to_be_empty()
    seen = page.evaluate(COLOURS)
    page.get_by_label("token").fill(board.tokens["screen"])
    page.keyboard.press("Enter")
    switch(page, "Ranking").check()
    expect(page.locator("#ranking li").first).to_be_visible()
    board.solve(f"new, {scheme}", "shout")
    expect(page.locator("#feed li.new")).to_have_count(1)
    new = page.locator("#feed li.new").evaluate(
        "item => item.getAnimations().map(one => { one.currentTime = 0; "
        "one.pause(); return one.animationName })"
    )
    assert new == ["new"]
    seen += page.evaluate(COLOURS)
    texts = {text for text, *_ in seen}
    assert {
        "That is not the screen's token.",
        f"new, {scheme}",
        "Ada",
    } <= texts
    for text, ink, paper in seen:
        assert contrast(ink, paper) >= 4.5, (text, ink, paper)
    # What is no text: the bars, and where the keyboard is.
    mark, track, card = (
        page.locator(place).first.evaluate(
            "part => getComputedStyle(part).backgroundColor"
        )
        for place in (".bar i", ".bar", "details")
    )
    assert contrast(mark, track) >= 3 and contrast(mark, card) >= 3


def contrast(one, other):
    """Of two colours, as WCAG 2 has it."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour):
    parts = [int(n) / 255 for n in colour.removesuffix(")")[4:].split(",")]
    red, green, blue = (
        n / 12.92 if n <= 0.04045 else ((n + 0.055) / 1.055) ** 2.4
        for n in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("width", [1920, 390, 320])
def test_nothing_lies_outside(width, screen, board):
    board.solve("W" * 20, "shout", "x" * 40)
    page = screen(viewport={"width": width, "height": 844})
    switch(page, "Ranking").check()
    expect(feed(page).first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_who_wants_no_motion_sees_none(screen, board):
    page = screen(reduced_motion="reduce")
    board.solve("Still", "shout")
    expect(feed(page).first).to_contain_text("Still")
    moving = page.evaluate("document.getAnimations().length")
    assert moving == 0


def test_a_flood_is_drawn_whole(screen, board):
    page = screen()
    people, each = 30, 10
    names = [f"flood_{number}" for number in range(each)]
    for number in range(people):
        with connect(board.address) as websocket:
            hello = {"token": board.tokens["class"], "nick": f"flood{number}"}
            websocket.send(json.dumps(hello))
            for name in names:
                websocket.send(json.dumps({"solved": name}))
            for _ in names:
                websocket.recv(10)
    for name in names:
        count = exercise(page, name).locator(".count")
        expect(count).to_contain_text(f"{people} of")
    assert feed(page).count() == 12
