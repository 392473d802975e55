"""A class of two in a real JupyterHub, from a link to a new version.

Ada learns in English and Lima in Spanish, each in a browser of their own. They
come by an nbgitpuller link, run lessons 07 and 14, solve an exercise and tell
the board; the hub is restarted; and the link brings a new version, of which
the installed course knows nothing.
"""

import json
import subprocess
import time
import urllib.request
from urllib.parse import urlencode

import pytest
from hub import PASSWORD, Hub, install
from lab import (
    cell_of,
    clear_outputs,
    run_above,
    run_all,
    show,
    start,
)
from playwright.sync_api import Error, expect
from websockets.sync.client import connect

from aula.agreement import TEXT
from aula.exercises.exercise import find
from authoring import source

pytestmark = pytest.mark.hub

LEARNERS = {"ada": "en", "lima": "es"}
SPAWN = 120_000  # milliseconds until a new server shows its first page


def lesson(number):
    path = next(p for p in source.lesson_paths() if p.stem[:2] == number)
    return source.read_lesson(path)


FIRST = lesson("07")
PAGES = lesson("14")
LATER = lesson("08")
EXERCISE = FIRST.exercises[0]
NAME = find(EXERCISE.number).name
NEWER = {"hash": "another", "since": "2999-01-01 00:00 UTC"}


class Course:
    """A repository with what learners need of the course."""

    def __init__(self, folder):
        self.bare = folder / "course"  # a name that ends in .git is a trap
        self._work = folder / "work"
        self._git(folder, "init", "--quiet", "--bare", "-b", "main", self.bare)
        self._git(folder, "clone", "--quiet", self.bare, self._work)
        self._git(self._work, "switch", "--quiet", "--create", "main")
        listed = self._git(
            source.ROOT, "ls-files", "-z", "--cached", "--others",
            "--exclude-standard", "aula", "notebooks", ".gitattributes"
        )  # fmt: skip
        for name in filter(None, listed.split("\0")):
            copy = self._work / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((source.ROOT / name).read_bytes())
        self.publish()

    def publish(self):
        who = ["-c", "user.name=A teacher", "-c", "user.email=t@localhost"]
        self._git(self._work, "add", "--all")
        self._git(self._work, *who, "commit", "--quiet", "-m", "Version")
        self._git(self._work, "push", "--quiet", "origin", "main")

    def stamp(self, lesson, stamp):
        """Have a lesson's exercises be those of another version."""
        for file in self._work.glob(f"notebooks/*/{lesson.path.stem}.ipynb"):
            notebook = json.loads(file.read_text(encoding="utf-8"))
            notebook["metadata"]["aula"]["exercises"] = stamp
            file.write_text(json.dumps(notebook), encoding="utf-8")

    def _git(self, folder, *arguments):
        return subprocess.run(
            ["git", *arguments],
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
        ).stdout


class Learner:
    """A learner in a browser of their own.

    Arguments:
        name: which they log in with.
        browser: in which they have a context.
        hub: which they come to.
    """

    def __init__(self, name, browser, hub):
        self.name = name
        self.lang = LEARNERS[name]
        self.server = f"{hub.address}user/{name}/"
        self.clone = hub.homes / name / "course"
        size = {"width": 1200, "height": 1000}
        self._browser = browser.new_context(viewport=size)
        self.page = None

    def follow(self, link):
        """Click on a link, and log in where that is asked for."""
        if self.page is not None:
            self.page.close()
        self.page = self._browser.new_page()
        self.page.goto(link, timeout=SPAWN)
        if self.page.locator("#username_input").is_visible():
            self.page.fill("#username_input", self.name)
            self.page.fill("#password_input", PASSWORD)
            self.page.click("#login_submit", timeout=SPAWN, no_wait_after=True)

    def arrive(self):
        """Wait for the index, to which the link leads."""
        # Its address is another as soon as JupyterLab remembers other tabs.
        index = "course/notebooks/index.ipynb"
        try:
            self.page.wait_for_function(
                """path => window.jupyterapp?.shell.currentWidget?.context
                    ?.path == path""",
                arg=index,
                timeout=SPAWN,
            )
        except Error as error:
            error.add_note(f"{self.page.url}\n{self.page.inner_text('body')}")
            raise

    def open(self, lesson):
        path = f"course/notebooks/{self.lang}/{lesson.path.stem}.ipynb"
        show(self.page, self.server, path)

    def cells(self):
        """The code cells of the open notebook, as they are now."""
        found = self.page.evaluate(
            "jupyterapp.shell.currentWidget.model.toJSON().cells"
        )
        return [cell for cell in found if cell["cell_type"] == "code"]

    def finish(self):
        """Wait until each cell has run; none has failed that should not."""
        self.page.wait_for_function(
            """() => [...jupyterapp.shell.currentWidget.model.cells].every(
                cell => cell.type != "code" || cell.executionCount)"""
        )
        for cell in self.cells():
            if "raises-exception" not in cell["metadata"].get("tags", []):
                assert "error" not in kinds(cell), cell

    def solve(self, exercise):
        """Write the solution over the stub."""
        self.page.evaluate(
            """([stub, solution]) => {
                const {model} = jupyterapp.shell.currentWidget;
                [...model.cells].find(
                    cell => cell.sharedModel.source.trim() == stub.trim()
                ).sharedModel.setSource(solution);
            }""",
            [exercise.stub.source, exercise.solution.source],
        )

    def save(self):
        self.page.evaluate("jupyterapp.commands.execute('docmanager:save')")

    def says(self, code):
        """What the open notebook's kernel shows for code."""
        return self.page.evaluate(
            """async code => {
                const {sessionContext} = jupyterapp.shell.currentWidget;
                const {kernel} = sessionContext.session;
                const asked = kernel.requestExecute({code});
                const said = [];
                asked.onIOPub = ({content}) => {
                    said.push(content.data?.["text/plain"] ?? "",
                              content.text ?? "", content.evalue ?? "");
                };
                await asked.done;
                return said.join("\\n");
            }""",
            code,
        )


def kinds(cell):
    return {output["output_type"] for output in cell["outputs"]}


def link_to(hub, repository, **options):
    """A link that brings a course and opens its index."""
    folder = repository.name
    asked = {
        "repo": repository.as_uri(),
        "urlpath": f"lab/tree/{folder}/notebooks/index.ipynb",
        **options,
    }
    return f"{hub.address}hub/user-redirect/git-pull?{urlencode(asked)}"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    install()
    return Hub(tmp_path_factory.mktemp("hub"))


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return Course(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def learners(browser, hub):
    return [Learner(name, browser, hub) for name in LEARNERS]


def test_two_learners_work(hub, course, learners):
    with hub.running():
        come(hub, course, learners)
        for learner in learners:
            learner.open(FIRST)
            join(learner, hub)
            learner.solve(EXERCISE)
            clear_outputs(learner.page)
            run_all(learner.page)
        for learner in learners:
            learner.finish()
            shown = json.dumps(learner.cells(), ensure_ascii=False)
            assert f"✔ {EXERCISE.number}" in shown
            learner.save()
        expect_on_board(hub)
        for learner in learners:
            learner.open(PAGES)
            clear_outputs(learner.page)
            run_above(learner.page, "await page.cleanup()")
        for learner in learners:
            cell = cell_of(learner.page, "show_page(clock_page").first
            address = cell.locator("iframe").get_attribute("src")
            assert f"/user/{learner.name}/proxy/" in address
            ticks = cell.frame_locator("iframe").locator("li")
            expect(ticks.nth(1)).to_be_visible()
        for learner in learners:
            cell_of(learner.page, "await page.cleanup()")
            start(learner.page, "notebook:run-all-below")
        for learner in learners:
            learner.finish()


@pytest.fixture(scope="module")
def back(hub, course, learners):
    """The learners again, in a hub that was restarted, with a new version.

    It has other exercises in two lessons: one that they have solved in, and
    one that they have not opened.
    """
    for lesson in (FIRST, LATER):
        course.stamp(lesson, NEWER)
    course.publish()
    with hub.running():
        come(hub, course, learners)
        yield learners


def test_what_they_solved_is_still_there(hub, back):
    expect_on_board(hub)
    for learner in back:
        file = f"notebooks/{learner.lang}/{FIRST.path.stem}.ipynb"
        kept = json.loads((learner.clone / file).read_text(encoding="utf-8"))
        sources = ["".join(cell["source"]) for cell in kept["cells"]]
        assert EXERCISE.solution.source in sources
        assert kept["metadata"]["aula"].get("exercises") != NEWER
        show(learner.page, learner.server, "course/notebooks/index.ipynb")
        said = learner.says(
            f"from aula.{learner.lang} import progress\nprogress()"
        )
        (row,) = [n for n in said.splitlines() if f"[{FIRST.number}" in n]
        assert "| ■□" in row


def test_a_lesson_that_is_newer_than_the_course_says_so(back):
    for learner in back:
        learner.open(LATER)
        number = LATER.exercises[0].number
        said = learner.says(
            f"from aula.{learner.lang} import check\n"
            f"await check({number!r}, ...)"
        )
        head, _, _ = TEXT[learner.lang]["package"].partition("** ")
        first, _, verdict = said.strip().partition("\n")
        assert first.startswith(f"{head}** ")
        assert f"%pip install -e '{learner.clone.resolve()}'" in first
        assert number in verdict


def test_an_address_that_ends_in_git_leads_nowhere(hub, course, back):
    """The folder ends so, too; the index is not where the link says."""
    twin = course.bare.with_name("twin.git")
    twin.symlink_to(course.bare)
    wrong = link_to(hub, twin, urlpath="lab/tree/twin/notebooks/index.ipynb")
    back[0].follow(wrong)
    told = back[0].page.get_by_text("Could not find path").first
    expect(told).to_be_visible(timeout=SPAWN)


def come(hub, course, learners):
    """Both follow the link to the course, at the same time."""
    link = link_to(hub, course.bare, branch="main")
    for learner in learners:
        learner.follow(link)
    for learner in learners:
        learner.arrive()


def join(learner, hub):
    board = f"ws{hub.address.removeprefix('http')}services/board/"
    token = hub.tokens()["class"]
    said = learner.says(
        f"from aula.{learner.lang} import board\n"
        f"board({board!r}, token={token!r}, nick={learner.name!r})"
    )
    assert board in said


def expect_on_board(hub):
    """The board's page is there, and it knows what both have solved."""
    address = f"{hub.address}services/board/"
    with urllib.request.urlopen(f"{address}healthz") as answer:
        assert answer.read() == b"ok\n"
    wanted = {(name, NAME) for name in LEARNERS}
    token = hub.tokens()["screen"]
    with connect(f"ws{address.removeprefix('http')}") as screen:
        screen.send(json.dumps({"token": token, "role": "screen"}))
        snapshot = json.loads(screen.recv(10))["snapshot"]
        known = {(nick, exercise) for nick, exercise, _ in snapshot}
        end = time.monotonic() + 10
        while not wanted <= known and time.monotonic() < end:
            event = json.loads(screen.recv(10))
            known.add((event["nick"], event["exercise"]))
    assert known == wanted
    for token in hub.tokens().values():
        assert token not in hub.log()
