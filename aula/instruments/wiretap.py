"""The instrument that draws the WebSocket connections of a block."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from aula.display import show
from aula.instruments.conversation import Conversation
from aula.instruments.diagram import draw
from aula.instruments.frames import ignore, observe


class Wiretap:
    """Draw the WebSocket conversations of the block: ``with wiretap(): ...``

    Each client and each server has a lane; a server's bears the name of its
    handler. The diagram shows the handshake, each frame with the beginning
    of its payload, the close and the exception of a handler that failed. If
    the peer is another process, such as a browser, this end tells it all.

    What happens after the block is not drawn, and a handler may end after
    its client. To see how it does, wait a moment at the end of the block, or
    start the server in the block too.

    Arguments:
        headers: whether to show the headers of the handshake. What is new in
            each run (keys, dates, ports, versions) becomes ``…``.

    A wiretap may be used again and then starts afresh.
    """

    language = "en"

    def __init__(self, *, headers: bool = False) -> None:
        self._headers = headers
        self._conversation = Conversation()
        self._listens = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        show(self.bundle(self.language))

    @property
    def silent(self) -> bool:
        """Whether no connection has spoken."""
        _, steps = self._conversation.read()
        return not steps

    def start(self) -> None:
        """Begin to listen.

        Raises:
            RuntimeError: if it is listening already.
        """
        if self._listens:
            raise RuntimeError("this wiretap is listening already")
        self._listens = True
        self._conversation = Conversation()
        observe(self._conversation)

    def stop(self) -> None:
        """Stop listening. Does nothing if it has stopped already."""
        ignore(self._conversation)
        self._listens = False

    def bundle(self, language: str) -> dict[str, str]:
        """Draw what has been heard so far.

        Arguments:
            language: ``"es"`` or ``"en"``.

        Returns:
            data by MIME type: a diagram, ``text/vnd.mermaid`` and, in a
            fence, ``text/markdown``; the same in words, ``text/plain``. The
            words alone if nobody spoke.
        """
        lanes, steps = self._conversation.read()
        if not self._headers:
            for step in steps:
                step.headers = []
        return draw(lanes, steps, language)
