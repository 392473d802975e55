"""The browser of the tests: the system's Chromium, or Playwright's own.

``python tests/chromium.py`` brings Playwright's where neither starts. Where
it may not be downloaded, the tests that need a browser skip and say how to
get one. Where CI is set they never skip: they fail.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import pytest
from playwright.sync_api import Browser, Error, Playwright, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
CURE = (
    "no browser starts here; to get one, on Debian: apt install chromium; "
    "elsewhere: playwright install chromium"
)
# Milliseconds; a network that drops what it refuses must not take minutes.
PATIENCE = "5000"


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A browser for tests, or the end of the test that asks for it."""
    with sync_playwright() as playwright:
        try:
            started = _start(playwright)
        except Error as error:
            if os.environ.get("CI"):
                error.add_note(CURE)
                raise
            pytest.skip(CURE)
        yield started
        started.close()


def bring() -> None:
    """Download Playwright's browser where none starts; try, no more."""
    with sync_playwright() as playwright, contextlib.suppress(Error):
        _start(playwright).close()
        return
    print("Downloading a browser for the tests.", flush=True)
    subprocess.run(
        [sys.executable, "-m", "playwright", "install", "chromium"],
        env={"PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT": PATIENCE, **os.environ},
        capture_output=True,  # the tests say in a line what is missing
    )


def _start(playwright: Playwright) -> Browser:
    launch = partial(playwright.chromium.launch, args=FLAGS)
    system = shutil.which("chromium") or shutil.which("chromium-browser")
    if system is None:
        return launch()
    try:
        return launch(executable_path=system)
    except Error:
        return launch()


if __name__ == "__main__":
    bring()
