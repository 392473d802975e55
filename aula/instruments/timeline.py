"""Draws the tasks of a block: when each ran, waited, blocked and how it ended.

``record`` watches, ``chart`` and ``picture`` show it; this is what a learner
writes.
"""

from __future__ import annotations

from types import TracebackType

from aula.display import show
from aula.instruments.record import Recorder

TEXT = {
    "es": {
        "no-loop": "timeline() necesita un bucle de eventos en marcha. "
        "Úsala en una celda del cuaderno o dentro de un `async def`.",
    },
    "en": {
        "no-loop": "timeline() needs a running event loop. Use it in a "
        "notebook's cell or inside an `async def`.",
    },
}


class Timeline:
    """Draw one lane for each task of the block: ``with timeline(): ...``

    A lane bears the coroutine's call, or the task's name; the cell itself is
    the first lane. It shows when the task was created, when it ran, when it
    waited, when it held up the event loop (a step of 0.1 s or more) and how
    it ended. Connections of a server have a lane named after their handler;
    tasks that libraries start for themselves have none. A job that a task has
    a thread do (``asyncio.to_thread``) has a lane below that of the task; a
    queue, a lock or the like that a task waited in has a row at the end.

    The text says in columns what happened first and what next, without times.
    A timeline may be used again and then starts afresh.

    Attributes:
        recorder: what was begun or stopped last.

    Raises:
        RuntimeError: outside a running event loop.
    """

    language = "en"

    def __init__(self) -> None:
        self.recorder = Recorder()
        self._running: list[Recorder] = []

    def __enter__(self) -> Timeline:
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

    def start(self) -> None:
        """Begin to record.

        Raises:
            RuntimeError: outside a running event loop.
        """
        recorder = Recorder()
        try:
            recorder.start()
        except RuntimeError:
            raise RuntimeError(TEXT[self.language]["no-loop"]) from None
        self.recorder = recorder
        self._running.append(recorder)

    def stop(self) -> None:
        """Stop recording what was begun last. Does nothing if nothing was."""
        if self._running:
            self.recorder = self._running.pop()
            self.recorder.stop()

    def bundle(self, language: str) -> dict[str, str]:
        """Draw the recording that was stopped last.

        Arguments:
            language: ``"es"`` or ``"en"``.

        Returns:
            data by MIME type: a picture, and ``text/plain``, which says the
            same.
        """
        # Not before there is something to draw: a lesson begins sooner.
        from aula.instruments.chart import draw_text
        from aula.instruments.picture import draw_picture

        return {
            "text/plain": draw_text(self.recorder, language),
            "text/html": draw_picture(self.recorder, language),
        }
