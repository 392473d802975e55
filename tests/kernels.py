"""A real kernel for tests, spoken to as JupyterLab does."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from queue import Empty

import zmq
from jupyter_client.manager import KernelManager

LIMIT = 60  # seconds until a kernel that says nothing counts as lost


@dataclass
class Ran:
    """What came back for one cell: its reply and its messages."""

    status: str | None = None
    idle: bool = False
    messages: list[tuple[str, dict]] = field(default_factory=list)

    def stderr(self) -> str:
        return "".join(
            content["text"]
            for kind, content in self.messages
            if kind == "stream" and content["name"] == "stderr"
        )

    def stdout(self) -> str:
        return "".join(
            content["text"]
            for kind, content in self.messages
            if kind == "stream" and content["name"] == "stdout"
        )

    def error(self) -> str:
        return "".join(
            f"{content['ename']}: {content['evalue']}"
            for kind, content in self.messages
            if kind == "error"
        )

    def traceback(self) -> str:
        return "\n".join(
            line
            for kind, content in self.messages
            if kind == "error"
            for line in content["traceback"]
        )

    def text(self) -> str:
        return "\n".join(
            content["data"]["text/plain"]
            for kind, content in self.messages
            if kind in ("display_data", "execute_result")
        )


class Kernel:
    """Queues cells and gathers what comes back, also for none of them."""

    def __init__(self, manager, client) -> None:
        self.manager = manager
        self.client = client
        self.stray: list[tuple[str, dict]] = []
        self._cells: dict[str, Ran] = {}
        self._poller = zmq.Poller()
        for channel in (client.shell_channel, client.iopub_channel):
            self._poller.register(channel.socket, zmq.POLLIN)

    def queue(
        self, source: str, may_fail: bool = False, cell: str | None = None
    ) -> Ran:
        """Send a cell without waiting, as Run All does."""
        request = self.client.session.msg(
            "execute_request",
            {
                "code": source,
                "silent": False,
                "store_history": True,
                "user_expressions": {},
                "allow_stdin": False,
                "stop_on_error": not may_fail,
            },
            metadata={"cellId": cell} if cell else {},
        )
        self.client.shell_channel.send(request)
        sent = request["header"]["msg_id"]
        self._cells[sent] = Ran()
        return self._cells[sent]

    def run(
        self, source: str, may_fail: bool = False, cell: str | None = None
    ) -> Ran:
        """Send a cell and wait for it."""
        ran = self.queue(source, may_fail, cell)
        self.finish([ran])
        return ran

    def all(self) -> list[Ran]:
        """What came back for all cells so far."""
        return list(self._cells.values())

    def restart(self) -> None:
        """Begin anew, as Restart does."""
        self.manager.restart_kernel(now=True)
        self.client.wait_for_ready(LIMIT)

    def finish(self, cells: list[Ran], limit: float = LIMIT) -> None:
        """Wait until these cells have replied, and read what they said."""
        end = time.monotonic() + limit
        while not all(cell.status and cell.idle for cell in cells):
            if time.monotonic() > end:
                return
            self._poller.poll(100)  # milliseconds
            self._replies()
            self._messages()

    def _replies(self) -> None:
        with contextlib.suppress(Empty):
            while True:
                reply = self.client.get_shell_msg(timeout=0)
                cell = self._cells.get(reply["parent_header"].get("msg_id"))
                if cell is not None and reply["msg_type"] == "execute_reply":
                    cell.status = reply["content"]["status"]

    def _messages(self) -> None:
        with contextlib.suppress(Empty):
            while True:
                message = self.client.get_iopub_msg(timeout=0)
                said = (message["msg_type"], message["content"])
                parent = message["parent_header"].get("msg_id")
                if parent in self._cells and said[0] == "status":
                    state = message["content"]["execution_state"]
                    self._cells[parent].idle |= state == "idle"
                elif parent in self._cells:
                    self._cells[parent].messages.append(said)
                elif said[0] in ("stream", "error", "display_data"):
                    self.stray.append(said)


@contextlib.contextmanager
def kernel(folder, python=sys.executable) -> Iterator[Kernel]:
    """A new kernel whose working directory is the folder.

    Arguments:
        python: the interpreter that it runs.
    """
    manager = KernelManager()
    manager.kernel_spec.argv[0] = str(python)
    manager.start_kernel(cwd=str(folder))
    client = manager.client()
    try:
        client.start_channels()
        client.wait_for_ready(LIMIT)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
