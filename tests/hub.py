"""A JupyterHub for tests: a real one, with a proxy of its own.

It is installed within .venv when it is first asked for: JupyterHub from PyPI,
its proxy from npm, and the course as learners have it.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import lab
import pytest
from test_wheel import UV

from authoring import source

ENVIRONMENT = source.ROOT / ".venv" / "hub"
PYTHON = ENVIRONMENT / "bin" / "python"
PROXY = ENVIRONMENT / "node_modules" / ".bin" / "configurable-http-proxy"
JUPYTERHUB = "jupyterhub>=6.1,<7"
OLDEST_NODE = 20  # for this release of the proxy
NPM_PACKAGE = "configurable-http-proxy@5"
CONFIG = source.ROOT / "classroom" / "jupyterhub_config.py"
PASSWORD = "correct-horse-battery"
START = 60  # seconds the hub may take to answer

# What is of no hub but this one. All of its learners are one user of the
# system: that is for tests only.
HERE = """
load_subconfig({config!r})
c = get_config()
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = {password!r}
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = {homes!r}
c.Spawner.args.extend(
    ["--allow-root", "--LabApp.expose_app_in_browser=True"]
)
c.Spawner.http_timeout = 120
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_port = {hub_port}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.ConfigurableHTTPProxy.command = [{proxy!r}]
"""


def install():
    """Install what is missing of a hub, or skip the test that asks for it."""
    npm = shutil.which("npm")
    if npm is None or _node() < OLDEST_NODE:
        pytest.skip(
            "JupyterHub's proxy comes by npm and runs in Node.js "
            f"{OLDEST_NODE} or later, which is not here"
        )
    try:
        if not PYTHON.exists():
            _run(
                UV, "venv", "--quiet", "--python", sys.executable, ENVIRONMENT
            )
        what = ["-c", "requirements.txt", "-e", ".[lab]", JUPYTERHUB]
        _run(UV, "pip", "install", "--quiet", "--python", PYTHON, *what)
        if not PROXY.exists():
            where = ["--prefix", ENVIRONMENT, "--no-save"]
            quiet = ["--no-audit", "--no-fund", "--loglevel=error"]
            _run(npm, "install", *where, *quiet, NPM_PACKAGE)
    except subprocess.CalledProcessError as error:
        pytest.fail(f"{error.cmd}: {error.stderr}")


def _node():
    """Which Node.js is here; 0 for none."""
    if shutil.which("node") is None:
        return 0
    said = subprocess.run(
        ["node", "--version"], capture_output=True, text=True
    ).stdout
    return int(said.removeprefix("v").partition(".")[0])


def _run(*command):
    subprocess.run(
        command,
        cwd=source.ROOT,
        check=True,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


class Hub:
    """A hub and its folder: each learner's home, the board, a log.

    Arguments:
        folder: where it keeps everything.
    """

    def __init__(self, folder):
        self.folder = folder
        self.homes = folder / "homes"
        self.board = folder / "board"
        for path in (self.homes, self.board):
            path.mkdir()
        port, hub_port, proxy_port = _free_ports(3)
        self.address = f"http://127.0.0.1:{port}/"
        self._config = folder / "jupyterhub_config.py"
        self._config.write_text(
            HERE.format(
                config=str(CONFIG),
                password=PASSWORD,
                homes=str(self.homes / "{username}"),
                port=port,
                hub_port=hub_port,
                proxy_port=proxy_port,
                proxy=str(PROXY),
            ),
            encoding="utf-8",
        )

    @contextlib.contextmanager
    def running(self):
        """The hub at work; its end is the end of all that it has started."""
        environment = {
            **os.environ,
            "AULA_BOARD": str(self.board),
            "PATH": os.pathsep.join([str(PYTHON.parent), os.environ["PATH"]]),
        }
        with (self.folder / "hub.log").open("a") as log:
            process = subprocess.Popen(
                [PYTHON, "-m", "jupyterhub", "--config", self._config],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                self._wait(process)
                yield self
            finally:
                lab.end(process)

    def _wait(self, process):
        end = time.monotonic() + START
        while time.monotonic() < end and process.poll() is None:
            with contextlib.suppress(OSError):
                health = f"{self.address}hub/health"
                with urllib.request.urlopen(health, timeout=5):
                    return
            time.sleep(0.2)
        pytest.fail(self.log())

    def tokens(self):
        """The board's, for the class and for its screens."""
        file = self.board / "board.sqlite"
        said = subprocess.run(
            [PYTHON, "-m", "aula.board", "--tokens", "--file", file],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        english = said.splitlines()[-1]
        names = ("class", "screen")
        found = re.findall(r": (\S+)", english)
        return dict(zip(names, found, strict=True))

    def log(self):
        """What it has said so far."""
        return (self.folder / "hub.log").read_text(encoding="utf-8")


def _free_ports(count):
    with contextlib.ExitStack() as taken:
        trials = [taken.enter_context(socket.socket()) for _ in range(count)]
        for trial in trials:
            trial.bind(("127.0.0.1", 0))
        return [trial.getsockname()[1] for trial in trials]
