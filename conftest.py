"""Lets tests run side by side.

Each notebook goes to one worker whole, as do the tests of a module; but each
case of a parametrized test may go to any, save those that share a JupyterLab.
Notebooks and such tests take turns, so that what mostly waits runs beside what
mostly computes.

jupyter_client looks for free ports and leaves them to the new kernel, which
takes them half a second later; in between, the system may give one of them to
any connection, and the kernel dies ("Address already in use"). About one
start in eighty did. So each worker has ports of its own, below those that
systems give to connections.
"""

import itertools
import os
import signal
import socket
import sys
import tempfile

from jupyter_client.connect import LocalPortCache
from xdist.scheduler import LoadScopeScheduling

from authoring.source import DIFFERS

RANGE = 1000


class WorkerPorts(LocalPortCache):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
        # Two test runs on one machine begin at different places.
        begin = os.getpid() % RANGE
        self._ports = itertools.cycle(
            20_000 + worker * RANGE + (begin + step) % RANGE
            for step in range(RANGE)
        )

    def find_available_port(self, ip):
        while True:
            port = next(self._ports)
            with socket.socket() as trial:
                try:
                    trial.bind((ip, port))
                except OSError:
                    continue
            return port


class Scheduling(LoadScopeScheduling):
    def _split_scope(self, nodeid):
        return scope(nodeid)


def scope(nodeid):
    module = nodeid.split("::")[0]
    is_case = nodeid.endswith("]") and "test_browser" not in module
    return nodeid if is_case else module


def pytest_xdist_make_scheduler(config, log):
    return Scheduling(config, log)


def pytest_collection_modifyitems(config, items):
    if sys.platform == "win32":
        for item in items:
            cell = getattr(item, "cell", None)
            if cell is not None and DIFFERS in cell.metadata.get("tags", ()):
                item.options["check"] = False
    if not hasattr(config, "workerinput"):
        return
    kinds = {}
    for item in items:
        whole = scope(item.nodeid)
        is_notebook = item.path.suffix == ".ipynb"
        kind = item.path.parent if is_notebook else whole.partition("[")[0]
        kinds.setdefault(kind, {}).setdefault(whole, []).append(item)
    turns = itertools.zip_longest(*map(dict.values, kinds.values()))
    items[:] = [
        item for turn in turns for cases in turn for item in cases or ()
    ]


nobodys = tempfile.TemporaryDirectory(prefix="aula-")


def pytest_configure():
    # What tests solve is not what whoever runs them has solved.
    os.environ["JUPYTER_DATA_DIR"] = nobodys.name
    # Nor do its kernels serve a notebook from which the tests were started.
    os.environ.pop("JPY_SESSION_NAME", None)
    # A shell that runs this in the background may have it ignore Ctrl+C, and
    # so would every process that a lesson starts and stops.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # The first instance of a subclass serves for its parents as well.
    WorkerPorts.instance()
