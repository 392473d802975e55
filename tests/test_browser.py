"""Lessons in a real JupyterLab, seen through a real browser."""

import contextlib
import json
import shutil
import subprocess
import sys
import time
import urllib.request

import pytest
from playwright.sync_api import expect, sync_playwright

from aula import course

START = 60  # seconds JupyterLab may take to answer
RUN_ALL = 60_000  # milliseconds for a whole lesson

# The browser of the system where there is one, else Playwright's own.
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


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
    log = (folder / "lab.log").open("w")
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "jupyterlab",
            "--no-browser",
            "--allow-root",
            "--ServerApp.port=0",
            "--IdentityProvider.token=",
            f"--ServerApp.root_dir={folder}",
        ],
        stdout=log,
        stderr=subprocess.STDOUT,
        env=environment(folder),
    )
    try:
        yield address(server.pid, folder)
    finally:
        server.terminate()
        server.wait(10)
        log.close()


def environment(folder):
    """Jupyter's files go to the folder: no trace of other runs, none left."""
    import os

    return {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "IPYTHONDIR": str(folder / "ipython"),
    }


def address(pid, folder):
    """Jupyter writes down where it listens; wait until it answers there."""
    end = time.monotonic() + START
    while time.monotonic() < end:
        with contextlib.suppress(OSError, ValueError):
            noted = folder / "runtime" / f"jpserver-{pid}.json"
            url = json.loads(noted.read_text(encoding="utf-8"))["url"]
            with urllib.request.urlopen(f"{url}api/status", timeout=5):
                return url
        time.sleep(0.2)
    pytest.fail((folder / "lab.log").read_text())


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS
        )
        yield chromium
        chromium.close()


@contextlib.contextmanager
def opened(browser, url):
    """A page of JupyterLab, at a height that shows a lesson whole."""
    page = browser.new_page(viewport={"width": 1200, "height": 1000})
    page.goto(url)
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=START * 1000)
    try:
        yield page
    finally:
        page.close()


def run_all(page):
    """Run all cells with the command JupyterLab's own menu runs."""
    expect(page.locator(".jp-Toolbar-kernelName")).to_contain_text("Python")
    page.wait_for_selector(
        ".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=RUN_ALL
    )
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


@pytest.mark.parametrize("lang", course.LANGUAGES)
def test_lesson_02_runs_draws_and_checks(lab, browser, lang):
    path = next(p for p in course.lesson_paths() if p.stem.startswith("02"))
    lesson = course.read_lesson(path)
    file = course.edition_path(lesson, lang, "solutions")
    url = f"{lab}lab/tree/solutions/{lang}/{file.name}"
    with opened(browser, url) as page:
        clear_outputs(page)
        run_all(page)
        right = {"es": "correcto.", "en": "right."}[lang]
        last = lesson.exercises[-1].number
        verdict = page.get_by_text(f"✔ {last}: {right}")
        scroll_to(page, verdict)
        expect(verdict).to_be_visible(timeout=RUN_ALL)
        picture = page.locator(".jp-RenderedImage img").first
        scroll_to(page, picture)
        assert picture.evaluate("image => image.naturalWidth") > 1000
        assert picture.evaluate("image => image.width") < 1000
