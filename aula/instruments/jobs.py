"""What a task has an executor run: in a thread, or in another process."""

from __future__ import annotations

import time
from asyncio import Future
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import Any


class Job:
    """A call that an executor runs.

    Attributes:
        created: when it was asked for, by ``time.perf_counter``.
        began, ended: when its thread did; None for what has not happened.
            Nothing tells of another process.
    """

    def __init__(
        self, call: Callable[..., Any], args: tuple[Any, ...], in_thread: bool
    ) -> None:
        self.in_thread = in_thread
        self.created = time.perf_counter()
        self.began = None if in_thread else self.created
        self.ended: float | None = None
        options: dict[str, Any] = {}
        while isinstance(call, partial):
            args, options = call.args + args, call.keywords | options
            call = call.func
            # to_thread has it run in the context of whoever asks for it.
            if isinstance(getattr(call, "__self__", None), Context):
                call, *rest = args
                args = (*rest,)
        self.function, self.args, self.options = call, args, options

    def run(self, call: Callable[..., Any], *args: Any) -> Any:
        """What its thread calls."""
        self.began = time.perf_counter()
        try:
            return call(*args)
        finally:
            self.ended = time.perf_counter()


def leave_out(future: Future[Any]) -> None:
    """Take Job.run out of the traceback of what a job raised."""
    error = None if future.cancelled() else future._exception
    last = error and error.__traceback__
    while last and last.tb_next:
        if last.tb_next.tb_frame.f_code is Job.run.__code__:
            last.tb_next = last.tb_next.tb_next
        last = last.tb_next
