"""A JupyterLab for tests, and the browser that looks at it."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request

import pytest

from aula import course

START = 60  # seconds JupyterLab may take to answer, or to end

# The browser of the system where there is one, else Playwright's own.
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@contextlib.contextmanager
def jupyterlab(folder):
    """The address of a JupyterLab of our own that shows a folder."""
    config = folder / "config" / "jupyter_server_config.py"
    config.parent.mkdir()
    # Its kernels take their ports as those of tests do.
    config.write_text(
        f"import sys\nsys.path.insert(0, {str(course.ROOT)!r})\n"
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
            ],
            cwd=folder,
            env=environment(folder),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield address(server.pid, folder)
        finally:
            server.terminate()
            server.wait(START)


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
