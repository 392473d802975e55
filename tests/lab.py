"""A JupyterLab for tests, and what a browser does in it.

Its server also serves Notebook 7, whose pages take the same commands.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request

import pytest

from authoring import source

START = 180  # seconds JupyterLab may take to answer
END = 30  # seconds it may take to end, with all that it has started
RUN_ALL = 60_000  # milliseconds a whole lesson may take


@contextlib.contextmanager
def jupyterlab(folder):
    """The address of a JupyterLab of our own that shows a folder."""
    config = folder / "config" / "jupyter_server_config.py"
    config.parent.mkdir()
    # Its kernels take their ports as those of tests do.
    config.write_text(
        f"import sys\nsys.path.insert(0, {str(source.ROOT)!r})\n"
        "import conftest\nconftest.pytest_configure()\n",
        encoding="utf-8",
    )
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "jupyterlab",
                "--no-browser",
                "--allow-root",
                "--ServerApp.port=0",
                "--IdentityProvider.token=",
                "--ServerApp.root_dir=.",
                "--LabApp.expose_app_in_browser=True",
                "--JupyterNotebookApp.expose_app_in_browser=True",
            ],
            cwd=folder,
            env=environment(folder),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield address(server.pid, folder)
        finally:
            end(server)


def end(server):
    """End a Jupyter server's process, and all that it has started."""
    server.terminate()
    try:
        server.wait(END)
    except subprocess.TimeoutExpired:
        # It may wait for ever for a kernel that was just starting.
        server.kill()
        server.wait()


def environment(folder):
    """Jupyter's files go to the folder: no trace of other runs, none left."""
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


@contextlib.contextmanager
def opened(browser, lab, path, app="lab", size=(1200, 1000)):
    """A page with this notebook, and no other, open.

    Arguments:
        app: "lab" for JupyterLab, or "notebook" for Notebook 7.
        size: the page's, in pixels.
    """
    width, height = size
    page = browser.new_page(viewport={"width": width, "height": height})
    try:
        show(page, lab, path, app)
        yield page
    finally:
        page.close()


def show(page, lab, path, app="lab"):
    """Open this notebook, and no other, in a page."""
    page.set_default_timeout(RUN_ALL)
    # A workspace of its own, or the tabs of the test before come back.
    workspace = path.replace("/", "-").removesuffix(".ipynb")
    place = {
        "lab": f"lab/workspaces/{workspace}/tree",
        "notebook": "notebooks",
    }
    page.goto(f"{lab}{place[app]}/{path}")
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    # Commands that come before the page has its kernel do nothing.
    page.evaluate(
        """async () => {
            const widget = jupyterapp.shell.currentWidget;
            await widget.context.ready;
            await widget.sessionContext.ready;
            await widget.sessionContext.session.kernel.info;
        }"""
    )


def start(page, command):
    """Start a command of JupyterLab's, and do not wait for its end."""
    page.evaluate(
        "command => { jupyterapp.commands.execute(command) }", command
    )


def run_all(page):
    start(page, "notebook:run-all-cells")


def clear_outputs(page):
    page.evaluate(
        "jupyterapp.commands.execute('notebook:clear-all-cell-outputs')"
    )


def cell_of(page, text):
    """Scroll to the cell with this code; JupyterLab draws what is in view."""
    page.evaluate(
        """text => {
            const {content, model} = jupyterapp.shell.currentWidget;
            const index = [...model.cells].findIndex(
                cell => cell.sharedModel.source.includes(text));
            content.activeCellIndex = index;
            content.scrollToItem(index, "start");
        }""",
        text,
    )
    return page.locator(".jp-Cell").filter(
        has=page.locator(".jp-InputArea", has_text=text)
    )


def run_above(page, text):
    """Run all cells above the one with this code."""
    cell_of(page, text)
    start(page, "notebook:run-all-above")
