"""What tests share: a data folder each, and one JupyterLab and browser."""

import shutil

import chromium
import pytest
from lab import RUN_ALL, jupyterlab
from playwright.sync_api import expect

from authoring import editions, source


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """All tests that lack a browser skip in one line."""
    report = yield
    if report.skipped and chromium.CURE in str(report.longrepr):
        report.longrepr = (chromium.__file__, 1, f"Skipped: {chromium.CURE}")
    return report


@pytest.fixture(autouse=True)
def own_data(tmp_path, monkeypatch):
    """What one test solves is not solved for the next."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab that serves a copy of the course."""
    folder = tmp_path_factory.mktemp("course")
    for kind in editions.KINDS:
        shutil.copytree(
            source.ROOT / kind,
            folder / kind,
            ignore=shutil.ignore_patterns(".ipynb_checkpoints"),
        )
    with jupyterlab(folder) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    expect.set_options(timeout=RUN_ALL)  # machines with every core loaded
    with chromium.browser() as started:
        yield started
