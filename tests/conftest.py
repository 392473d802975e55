"""What tests share: a data folder each, and one JupyterLab and browser."""

import shutil

import pytest
from lab import CHROMIUM, FLAGS, RUN_ALL, jupyterlab
from playwright.sync_api import expect, sync_playwright

from authoring import source as course


@pytest.fixture(autouse=True)
def own_data(tmp_path, monkeypatch):
    """What one test solves is not solved for the next."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))


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
    expect.set_options(timeout=RUN_ALL)  # machines with every core loaded
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS
        )
        yield chromium
        chromium.close()
