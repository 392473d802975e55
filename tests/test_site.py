"""The site to read, built whole and looked at in a browser.

``make check-site`` runs these; they need what the site is built with.
"""

import collections
import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urldefrag, urljoin

import nbformat
import pytest
from bs4 import BeautifulSoup
from lab import clear_outputs, opened, run_all
from playwright.sync_api import expect

from authoring import address, editions, site, source

pytestmark = pytest.mark.site

LANGUAGES = pytest.mark.parametrize("lang", source.LANGUAGES)
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
THEMES = {"es": "dark", "en": "light"}
LESSON = next(
    path.stem for path in source.lesson_paths() if path.stem[:2] == "07"
)
AXE = site.SITE / "node_modules" / "axe-core" / "axe.min.js"
# Of what a machine can see, what keeps somebody from reading.
GRAVE = ("serious", "critical")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the whole site, without a warning from Sphinx."""
    out = tmp_path_factory.mktemp("site")
    site.build([], out)
    return out


@pytest.fixture(scope="module")
def served(built):
    """The address at which it is served, below a folder as on GitHub."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *what):
            pass

    handler = partial(Quiet, directory=built)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def soups(built):
    return {
        path.relative_to(built).as_posix(): BeautifulSoup(
            path.read_text("utf-8"), "html.parser"
        )
        for path in sorted(built.glob("**/*.html"))
        if "_static" not in path.parts
    }


class Reader:
    """A browser's page that notes what goes wrong behind it."""

    def __init__(self, browser, served, **options):
        self.served = served
        self.wrong = []
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.page.on("request", self._look)
        if options.get("java_script_enabled", True):
            self.page.on("requestfailed", self._fail)
        self.page.on("pageerror", lambda e: self.wrong.append(str(e)))
        self.page.on(
            "response",
            lambda r: r.status < 400 or self.wrong.append((r.status, r.url)),
        )

    def _look(self, request):
        if not request.url.startswith((self.served, "data:", "blob:")):
            self.wrong.append(request.url)

    def _fail(self, request):
        # A page that sends its reader elsewhere may do so before it has ended.
        aborted = request.failure == "net::ERR_ABORTED"
        if not (aborted and request.is_navigation_request()):
            self.wrong.append(request.url)

    def go(self, path):
        """Open a page, with all its drawings drawn."""
        self.page.goto(self.served + path)
        if self.page.locator(".aula-drawing").count():
            expect(self.page.locator("html[data-drawn]")).to_be_attached()

    def unfold(self):
        self.page.evaluate(
            "document.querySelectorAll('details').forEach(d => d.open = true)"
        )


@pytest.fixture
def read(browser, served):
    """Open a reader; at the end, nothing has gone wrong behind it."""
    readers = []

    def opens(**options):
        readers.append(Reader(browser, served, **options))
        return readers[-1]

    yield opens
    for reader in readers:
        reader.context.close()
        assert not reader.wrong


def test_every_lesson_is_there_in_both_languages(soups):
    names = {path.stem for path in source.lesson_paths()}
    names |= {"index", "names", "search"}
    pages = {f"{lang}/{n}.html" for lang in source.LANGUAGES for n in names}
    assert {*soups} == pages | {"index.html"}
    for page in pages:
        assert soups[page].html["lang"] == page[:2]


def test_links_within_the_site_lead_somewhere(soups, built):
    places = {
        name: {tag["id"] for tag in page.find_all(id=True)}
        for name, page in soups.items()
    }
    lost = []
    for name, page in soups.items():
        for tag in page.find_all(["a", "img", "link", "script"]):
            link = tag.get("href") or tag.get("src")
            if not link or re.match(r"[a-z]+:", link):
                continue
            path, place = urldefrag(urljoin(name, unquote(link)))
            path = path or name
            if not (built / path.partition("?")[0]).exists():
                lost.append((name, link))
            elif place and place not in places[path]:
                lost.append((name, link))
    assert not lost


def test_both_languages_have_the_same_places(soups):
    for name, page in soups.items():
        if name.startswith("es/"):
            here, there = (
                [tag["id"] for tag in one.find_all(id=re.compile(r"^s\d+$"))]
                for one in (page, soups[name.replace("es/", "en/")])
            )
            assert here == there, name


def test_a_name_leads_to_the_section_that_explains_it(soups):
    rows = soups["en/names.html"].select("article tr")
    (row,) = [r for r in rows if r.td and r.td.text == "gather"]
    path, place = urldefrag(row.find("a")["href"])
    section = soups[f"en/{path}"].find(id=place).find_parent("section")
    title = section.find(re.compile("h[1-6]")).text.rstrip("#")
    assert row.find("a").text.endswith(title)


def test_no_solution_is_in_sight(soups):
    lessons = source.read_course()
    for lesson in lessons:
        for lang in source.LANGUAGES:
            page = soups[f"{lang}/{lesson.path.stem}.html"]
            code = [block.text.strip() for block in page.select(".highlight")]
            for exercise in lesson.exercises:
                assert exercise.solution.source.strip() not in code
                assert exercise.stub.source.strip() in code
            file = f"solutions/{lang}/{lesson.path.stem}.ipynb"
            link = address.file_url(address.repository(), file)
            assert page.find("a", href=link)


def test_all_that_a_lesson_shows_is_folded_and_named(soups):
    for lesson in source.read_course():
        page = soups[f"en/{lesson.path.stem}.html"]
        stored = nbformat.read(
            editions.edition_path(lesson, "en", "notebooks"), as_version=4
        )
        code = [cell for cell in stored.cells if cell.cell_type == "code"]
        tags = [{*cell.metadata.get("tags", [])} for cell in code]
        shown = [
            bool(cell.outputs) and "check" not in tag
            for cell, tag in zip(code, tags, strict=True)
        ]
        scenery = ["scenery" in tag for tag in tags]
        folds = page.select("details.aula-fold")
        assert len(folds) == sum(shown) + sum(scenery)
        assert not [fold for fold in folds if fold.has_attr("open")]
        assert not [
            block
            for block in page.select(".cell_output")
            if not block.find_parent("details")
        ]
        hints = page.select("details:not([class]) > summary")
        assert len(hints) >= len(lesson.exercises)


def test_pictures_are_there(soups):
    """All of them, and each drawing with a text until it is drawn."""
    for lang in source.LANGUAGES:
        found = collections.Counter()
        for name, page in soups.items():
            if name.startswith(lang):
                found["timelines"] += len(page.select("table.aula-timeline"))
                drawings = page.select(".aula-drawing")
                found["drawings"] += len(drawings)
                assert all(one.pre.text.strip() for one in drawings)
                assert all(one["alt"] for one in page.select("article img"))
        stored = collections.Counter()
        for path in source.ROOT.glob(f"notebooks/{lang}/*.ipynb"):
            for cell in nbformat.read(path, as_version=4).cells:
                stored["drawings"] += cell.source.count("```mermaid\n")
                for output in cell.get("outputs", []):
                    data = output.get("data", {})
                    stored["drawings"] += "text/vnd.mermaid" in data
                    html = data.get("text/html", "")
                    stored["timelines"] += "aula-timeline" in html
        assert found == stored


def test_the_root_chooses_the_readers_language(read):
    for locale, lang in {"es-PE": "es", "en-GB": "en", "fr": "en"}.items():
        reader = read(locale=locale)
        reader.go("index.html")
        expect(reader.page.locator(f"html[lang={lang}]")).to_be_attached()


@LANGUAGES
def test_search_finds_gather(read, lang):
    reader = read(viewport=DESK)
    reader.go(f"{lang}/index.html")
    reader.page.locator(".search-button-field:visible").click()
    field = reader.page.locator("#pst-search-dialog input[type=search]")
    field.fill("gather")
    field.press("Enter")
    found = reader.page.locator("#search-results li a")
    expect(found.first).to_be_visible()
    hrefs = found.evaluate_all("links => links.map(link => link.href)")
    assert any("03_create_task_versus_gather" in href for href in hrefs)


@LANGUAGES
def test_the_switch_keeps_the_place(read, lang):
    reader = read(viewport=DESK)
    reader.go(f"{lang}/{LESSON}.html")
    title = reader.page.locator("h3", has_text="07.4")
    title.evaluate("title => title.scrollIntoView()")
    reader.page.locator(".aula-switch:visible").click()
    other = "en" if lang == "es" else "es"
    expect(reader.page.locator(f"html[lang={other}]")).to_be_attached()
    assert re.search(r"#s\d+$", reader.page.url)
    expect(reader.page.locator("html[data-drawn]")).to_be_attached()
    expect(reader.page.locator("h3", has_text="07.4")).to_be_in_viewport()


def test_outputs_unfold_one_by_one_and_all_at_once(read):
    reader = read(viewport=DESK)
    reader.go(f"en/{LESSON}.html")
    shown = reader.page.locator(".cell_output")
    expect(shown.first).not_to_be_visible()
    reader.page.locator("details.aula-fold > summary").first.click()
    expect(shown.first).to_be_visible()
    expect(shown.nth(1)).not_to_be_visible()
    button = reader.page.get_by_role("button", name="Show all outputs")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(shown.last).to_be_visible()
    # On the next page as well, until the button is released.
    reader.go("es/03_create_task_versus_gather.html")
    expect(reader.page.locator(".aula-timeline").first).to_be_visible()
    reader.page.locator(".aula-unfold").click()
    expect(reader.page.locator(".aula-timeline").first).not_to_be_visible()


def test_dark_and_light(read):
    """As the system is, and as the reader chooses; drawings follow."""
    reader = read(viewport=DESK, color_scheme="dark")
    reader.go(f"es/{LESSON}.html")
    page = reader.page

    def lightness():
        color = page.evaluate("getComputedStyle(document.body).background")
        return sum(map(int, re.findall(r"\d+", color)[:3])) / 765

    assert lightness() < 0.3
    expect(page.locator("html[data-drawn=dark]")).to_be_attached()
    grounds = page.locator(".text_html").evaluate_all(
        "all => all.map(one => getComputedStyle(one).backgroundColor)"
    )
    assert {*grounds} == {"rgba(0, 0, 0, 0)"}
    page.locator(".theme-switch-button:visible").click()
    page.locator("[data-mode=light].theme-change-button:visible").click()
    expect(page.locator("html[data-drawn=light]")).to_be_attached()
    assert lightness() > 0.9


def test_without_scripts_all_can_be_read(read):
    reader = read(viewport=DESK, java_script_enabled=False)
    reader.page.goto(f"{reader.served}en/{LESSON}.html")
    drawing = reader.page.locator("article > section .aula-drawing pre").last
    expect(drawing).to_be_attached()
    expect(reader.page.locator(".aula-unfold")).not_to_be_visible()
    reader.page.locator(".aula-switch:visible").click()
    expect(reader.page.locator("html[lang=es]")).to_be_attached()


@LANGUAGES
def test_a_phone_scrolls_down_only(read, soups, lang):
    reader = read(viewport=PHONE, is_mobile=True, has_touch=True)
    wide = {}
    for name in soups:
        if name.startswith(f"{lang}/"):
            reader.go(name)
            reader.unfold()
            width = reader.page.evaluate(
                "document.documentElement.scrollWidth"
            )
            if width > PHONE["width"]:
                wide[name] = width
    assert not wide


@LANGUAGES
def test_nothing_grave_for_who_cannot_see_or_point(read, soups, lang):
    """On any page; those in one language are looked at in the dark."""
    reader = read(viewport=DESK, color_scheme=THEMES[lang])
    found = []
    for name in soups:
        if name.startswith(f"{lang}/"):
            reader.go(name)
            reader.unfold()
            found += [(name, *one) for one in grave(reader.page)]
    assert not found


@pytest.mark.parametrize("number", ["07", "14"])
def test_nothing_grave_of_ours_in_jupyterlab(browser, lab, number):
    """In what the course puts there: prose, outputs, verdicts."""
    path = next(p for p in source.lesson_paths() if p.stem[:2] == number)
    lesson = source.read_lesson(path)
    where = f"solutions/en/{path.stem}.ipynb"
    with opened(browser, lab, where) as page:
        page.evaluate(
            """() => {
                const notebook = jupyterapp.shell.currentWidget.content;
                notebook.notebookConfig = {
                    ...notebook.notebookConfig, windowingMode: "none"};
            }"""
        )
        clear_outputs(page)
        run_all(page)
        verdict = f"✔ {lesson.exercises[-1].number}"
        shown = page.locator(".jp-RenderedMarkdown", has_text=verdict)
        expect(shown).to_be_attached()
        ours = ".jp-RenderedMarkdown, .jp-RenderedHTML, .jp-RenderedMermaid"
        found = grave(page, ours)
    assert not found


def grave(page, where="html"):
    """What axe finds: rule, element, and what is wrong with it."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text("utf-8"))
    said = page.evaluate(
        """where => axe.run(
            {include: [...document.querySelectorAll(where)]},
            {resultTypes: ["violations"]})""",
        where,
    )
    return [
        (rule["id"], node["html"][:200], node["failureSummary"])
        for rule in said["violations"]
        if rule["impact"] in GRAVE
        for node in rule["nodes"]
    ]
