"""Draws the tasks of a block: when each ran, waited, blocked and how it ended.

``Recorder`` watches, ``Timeline`` shows. The learner's code stays as it is: a
task factory notes each task that is created, and the event loop's
``call_soon``, through which every step of every task passes, tells when each
step began and ended.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import io
import logging
import re
import sys
import time
import warnings
from collections.abc import Callable, Coroutine
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any
from weakref import WeakKeyDictionary, ref

from aula.display import columns, show
from aula.learner import is_aula, is_library

BLOCKING = 0.1  # seconds a step may take before it counts as blocking
MOST_LANES = 24  # lanes drawn; further tasks are counted
MOST_WAITS = 8  # calls named in what a lane waited for
LONGEST_VALUE = 32  # characters of a value in a label
LONGEST_LABEL = 60  # characters of a label

TEXT = {
    "es": {
        "cell": "celda",
        "legend": "○ creada  ● empieza  █ bloquea el bucle  ✓ devuelve  "
        "✗ lanza  ⊘ cancelada  … sigue viva",
        "blocks": "bloquea el bucle",
        "waits": "espera en {names}",
        "others": "… y {count} más",
        "returned": "devuelve {value}",
        "raised": "lanza {value}",
        "cancelled": "cancelada",
        "pending": "sigue viva",
        "unstarted": "no llega a empezar",
        "more": "… y {count} tareas más: {how}",
        "runs": "corre",
        "waiting": "espera",
        "created": "creada",
        "seconds": "segundos",
        "no-loop": "timeline() necesita un bucle de eventos en marcha. "
        "Úsala en una celda del cuaderno o dentro de un `async def`.",
    },
    "en": {
        "cell": "cell",
        "legend": "○ created  ● starts  █ blocks the loop  ✓ returns  "
        "✗ raises  ⊘ cancelled  … still alive",
        "blocks": "blocks the loop",
        "waits": "waits in {names}",
        "others": "… and {count} more",
        "returned": "returns {value}",
        "raised": "raises {value}",
        "cancelled": "cancelled",
        "pending": "still alive",
        "unstarted": "never starts",
        "more": "… and {count} more tasks: {how}",
        "runs": "runs",
        "waiting": "waits",
        "created": "created",
        "seconds": "seconds",
        "no-loop": "timeline() needs a running event loop. Use it in a "
        "notebook's cell or inside an `async def`.",
    },
}

_MARKS = {
    "returned": "✓",
    "raised": "✗",
    "cancelled": "⊘",
    "pending": "…",
    "unstarted": "○",
}
# Colours that stay apart for the colour-blind, on paper of their own so that
# a picture reads the same in a light and in a dark theme.
_COLORS = {
    "paper": "#fbfaf7",
    "ink": "#333333",
    "grid": "#e4e1da",
    "waits": "#bcd7ee",
    "runs": "#0b5394",
    "blocks": "#d55e00",
}
_LEGEND_COLUMNS = 7
_LOOP = asyncio.Handle._run.__code__  # what runs a loop's callbacks
_ENDS = {
    "returned": ("o", "#007a5a"),
    "raised": ("X", "#b3123b"),
    "cancelled": ("s", "#555555"),
    "pending": (">", "#0b5394"),
}


@dataclass(eq=False)
class Lane:
    """One task: its label, its steps and its end. Times in seconds."""

    task: asyncio.Task
    call: str | None
    shown: bool
    created: float
    steps: list[tuple[float, float]] = field(default_factory=list)
    waits: list[tuple[float, ref, str]] = field(default_factory=list)
    started: bool = False
    ended: float | None = None
    failure: BaseException | None = None  # of a handler: its server caught it

    @property
    def label(self) -> str:
        """The name given to the task, or else its coroutine's call."""
        name = self.task.get_name()
        # 3.13.0 names a task None when a factory made it.
        if self.call is not None and re.fullmatch(r"Task-\d+|None", name):
            return self.call
        return _cut(name, LONGEST_LABEL)

    def moments(self, finished: float) -> tuple[float, float, float]:
        """When it was created, when its first step began and when it ended.

        Arguments:
            finished: until when it is drawn, for what has not happened yet.
        """
        ended = self.ended or finished
        return self.created, self.steps[0][0] if self.steps else ended, ended

    @property
    def blocks(self) -> list[tuple[float, float]]:
        """The steps that held the event loop too long."""
        return [step for step in self.steps if _is_blocking(*step)]

    def outcome(self) -> tuple[str, str]:
        """How it ended: a key of TEXT and the value that goes with it."""
        if self.ended is None:
            return ("pending" if self.started else "unstarted"), ""
        if self.task.cancelled():
            return "cancelled", ""
        # Not Task.exception(): that would count as retrieving it, and an
        # orphaned exception has to be reported as such.
        error = self.failure or self.task._exception
        if error is not None:
            text = type(error).__name__
            with suppress(Exception):  # a __str__ may fail, too
                text = f"{text}: {error}".removesuffix(": ")
            return "raised", _cut(text.partition("\n")[0])
        value = self.task.result()
        return "returned", _value(value) or type(value).__name__


class Recorder:
    """Records the tasks of the running event loop between start and stop.

    Attributes:
        lanes: the block's own task first, then each task in the order of
            its creation, those that libraries start for themselves too
            (their ``shown`` is false).
        events: ``(kind, lane)`` in the order in which they happened; the
            kinds are created, started, blocked and ended.
        began, finished: when recording began and ended, in seconds of
            ``time.perf_counter``.
    """

    def __init__(self) -> None:
        self.lanes: list[Lane] = []
        self.events: list[tuple[str, Lane]] = []
        self.began = self.finished = 0.0
        self._by_task: dict[asyncio.Task, Lane] = {}
        self._own: Lane | None = None
        self._own_step: float | None = None
        self._watch: _Watch | None = None
        self._calls: WeakKeyDictionary = WeakKeyDictionary()

    def start(self) -> None:
        """Begin to record. A recorder records once.

        Raises:
            RuntimeError: outside a running event loop.
        """
        loop = asyncio.get_running_loop()
        self.began = self._own_step = time.perf_counter()
        task = asyncio.current_task()
        if task is not None:
            coro = task.get_coro()
            call = None if _is_library(coro) else _call(coro)
            self._own = self._add(task, call, True)
            self._own.started = True
            self.events.append(("started", self._own))
            # Nothing tells when the step that is running now will end, but
            # the loop runs this right after it: it goes to the front.
            handle = loop.call_soon(self._after_first_step, task)
            ready = getattr(loop, "_ready", None)
            if ready and ready[-1] is handle:
                ready.rotate()
        self._watch = _Watch.of(loop)
        self._watch.add(self)

    def stop(self) -> None:
        """Stop recording and leave the loop as it was found."""
        if self._watch is None:
            return
        self.finished = time.perf_counter()
        self._watch.remove(self)
        self._watch = None
        if self._own is not None and self._own_step is not None:
            self._step(self._own, self._own_step, self.finished)

    def created(
        self, task: asyncio.Task, call: str, shown: bool, began: float
    ) -> None:
        """Note a task that the task factory has just made.

        Arguments:
            began: when the factory was called.
        """
        lane = self._add(task, call, shown)
        self.events.append(("created", lane))
        if task.done() or getattr(task.get_coro(), "cr_await", None):
            # An eager task factory has run its first step already.
            lane.created = began
            self.before_step(task)
            self.after_step(task, began)

    def before_step(self, task: asyncio.Task) -> None:
        """Note that the loop is about to run a step of a task."""
        lane = self._by_task.get(task)
        if lane is None:
            return
        if lane is self._own:
            self._own_step = time.perf_counter()
        # A task cancelled before it starts is told so instead of started.
        if not lane.started and not getattr(task, "_must_cancel", False):
            lane.started = True
            self.events.append(("started", lane))

    def after_step(self, task: asyncio.Task, began: float) -> None:
        """Note a step's length, and what the task awaits or how it ended."""
        lane = self._by_task.get(task)
        if lane is None:
            return
        if lane is self._own:
            self._own_step = None
        ended = time.perf_counter()
        if lane.started:
            self._step(lane, max(began, self.began), ended)
        if task.done():
            lane.ended = ended
            self.events.append(("ended", lane))
        else:
            self._note_wait(lane)

    def adopt(self, task: asyncio.Task, name: str) -> None:
        """Draw a task as if it were the block's own: how it ended is not told.

        Arguments:
            name: its new name.
        """
        lane = self._by_task[task]
        lane.shown = True
        task.set_name(name)
        if lane.ended is not None:
            self._own = lane
            self.events.remove(("ended", lane))

    def contains(self, task: asyncio.Task) -> bool:
        """Whether SystemExit and its like must not leave a task.

        A task hands them on to the event loop, which ends.
        """
        return False

    def _add(self, task: asyncio.Task, call: str | None, shown: bool) -> Lane:
        lane = Lane(task, call, shown, time.perf_counter())
        self.lanes.append(lane)
        self._by_task[task] = lane
        return lane

    def _step(self, lane: Lane, began: float, ended: float) -> None:
        lane.steps.append((began, ended))
        if _is_blocking(began, ended):
            self.events.append(("blocked", lane))

    def _after_first_step(self, task: asyncio.Task) -> None:
        if self._watch is not None and self._own_step == self.began:
            self.after_step(task, self.began)

    def _note_wait(self, lane: Lane) -> None:
        """Note which coroutine of the learner's own the task waits in.

        The outermost bears no name: the row is called after it.
        """
        own = [c for c in _await_chain(lane.task) if not _is_library(c)]
        if not own or (lane.waits and lane.waits[-1][1]() is own[-1]):
            return
        call = ""
        if len(own) > 1:
            call = self._calls.setdefault(own[-1], _call(own[-1]))
        if call or lane.waits:
            lane.waits.append((lane.steps[-1][1], ref(own[-1]), call))


class _Failures(logging.Handler):
    """Notes the exceptions of handlers: the library catches and logs them."""

    def __init__(self, recorders: list[Recorder]) -> None:
        super().__init__(logging.ERROR)
        self._recorders = recorders

    def emit(self, record: logging.LogRecord) -> None:
        try:
            task = asyncio.current_task()
        except RuntimeError:
            return  # another thread, such as that of a blocking server
        for recorder in self._recorders:
            lane = recorder._by_task.get(task)
            if lane is not None and record.exc_info:
                lane.failure = record.exc_info[1]


class _Watch:
    """The one hook on an event loop, shared by all recorders that run."""

    _watches: WeakKeyDictionary = WeakKeyDictionary()

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> _Watch:
        if loop not in cls._watches:
            cls._watches[loop] = cls(loop)
        return cls._watches[loop]

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._recorders: list[Recorder] = []
        self._failures = _Failures(self._recorders)
        logging.getLogger("websockets.server").addHandler(self._failures)
        self._factory = loop.get_task_factory()
        self._was = vars(loop).get("call_soon")
        self._call_soon = loop.call_soon
        # Bound methods are made anew each time they are asked for.
        self._hooks = self._create, self._schedule
        loop.set_task_factory(self._hooks[0])
        loop.call_soon = self._hooks[1]

    def add(self, recorder: Recorder) -> None:
        self._recorders.append(recorder)

    def remove(self, recorder: Recorder) -> None:
        self._recorders.remove(recorder)
        if self._recorders:
            return
        logging.getLogger("websockets.server").removeHandler(self._failures)
        # What the block has put in place of the hooks stays.
        if self._loop.get_task_factory() is self._hooks[0]:
            self._loop.set_task_factory(self._factory)
        if self._loop.call_soon is self._hooks[1]:
            if self._was is None:
                del self._loop.call_soon
            else:
                self._loop.call_soon = self._was
        # The watch works on for whoever still holds a hook, but must not
        # keep the loop alive.
        del self._watches[self._loop]

    def _create(self, loop, coro, **options) -> asyncio.Task:
        """The task factory: makes the task as it would have been made."""
        # Before the task is made: an eager one runs at once.
        shown, call = _started_by_learner(coro), _call(coro)
        began = time.perf_counter()
        task = (self._factory or _new_task)(loop, coro, **options)
        self._tell("created", task, call, shown, began)
        return task

    def _schedule(self, callback, *args, context=None) -> asyncio.Handle:
        """``loop.call_soon``, through which every step of a task passes."""
        task = getattr(callback, "__self__", None)
        name = getattr(callback, "__name__", "")
        # Steps are private; call_soon(task.cancel) is no step.
        if hasattr(task, "get_coro") and not hasattr(asyncio.Task, name):
            callback = partial(self._step, task, callback)
        return self._call_soon(callback, *args, context=context)

    def _step(self, task: asyncio.Task, callback: Callable, *args) -> None:
        self._tell("before_step", task)
        began = time.perf_counter()
        try:
            callback(*args)
        except (SystemExit, KeyboardInterrupt):
            # The task has noted it already, for whoever awaits it.
            if not self._contain(task):
                raise
        finally:
            self._tell("after_step", task, began)
            # An exception of the task holds this frame: no cycle, please, or
            # nobody learns of it until garbage is collected.
            del task, callback, args

    def _tell(self, what: str, *about) -> None:
        for recorder in self._recorders:
            getattr(recorder, what)(*about)

    def _contain(self, task: asyncio.Task) -> bool:
        return any(recorder.contains(task) for recorder in self._recorders)


class Timeline:
    """Draw one lane for each task of the block: ``with timeline(): ...``

    A lane bears the coroutine's call, or the task's name; the cell itself is
    the first lane. It shows when the task was created, when it ran, when it
    waited, when it held up the event loop (a step of 0.1 s or more) and how
    it ended. Connections of a server have a lane named after their handler;
    tasks that libraries start for themselves have none.

    The text says in columns what happened first and what next, without times.
    A timeline may be used again and then starts afresh.

    Raises:
        RuntimeError: outside a running event loop.
    """

    language = "en"

    def __init__(self) -> None:
        self._running: list[Recorder] = []

    def __enter__(self) -> Timeline:
        recorder = Recorder()
        try:
            recorder.start()
        except RuntimeError:
            raise RuntimeError(TEXT[self.language]["no-loop"]) from None
        self._running.append(recorder)
        return self

    def __exit__(self, kind, error, traceback) -> None:
        recorder = self._running.pop()
        recorder.stop()
        show(draw(recorder, self.language))


def draw(recorder: Recorder, language: str) -> dict[str, str]:
    """The recording as a MIME bundle: a PNG and the text that says the same.

    Arguments:
        recorder: a recording that has been stopped.
        language: ``"es"`` or ``"en"``.
    """
    words = TEXT[language]
    shown = [lane for lane in recorder.lanes if lane.shown]
    lanes, rest = shown[:MOST_LANES], shown[MOST_LANES:]
    more = ""
    if rest:
        marks = [_MARKS[lane.outcome()[0]] for lane in rest]
        counts = [
            f"{m} {marks.count(m)}" for m in _MARKS.values() if m in marks
        ]
        more = words["more"].format(count=len(rest), how="  ".join(counts))
    return {
        "text/plain": _draw_text(recorder, lanes, more, words),
        "image/png": _draw_picture(recorder, lanes, more, words),
    }


def _is_blocking(began: float, ended: float) -> bool:
    return ended - began >= BLOCKING


def _label(lane: Lane, words: dict[str, str]) -> str:
    return words["cell"] if lane.call is None else lane.label


def _draw_text(
    recorder: Recorder, lanes: list[Lane], more: str, words: dict[str, str]
) -> str:
    events = [event for event in recorder.events if event[1] in lanes]
    gap = 1 if len(events) > 30 else 2
    labels = [_label(lane, words) for lane in lanes]
    width = max(map(columns, labels), default=0)
    rows = []
    for lane, label in zip(lanes, labels, strict=True):
        row, alive = [], " "
        for kind, other in events:
            mark = alive
            if other is lane:
                alive = {"created": "┄", "ended": " "}.get(kind, "─")
                mark = {"created": "○", "started": "●", "blocked": "█"}.get(
                    kind
                ) or _MARKS[lane.outcome()[0]]
            row.append(mark + alive * (gap - 1))
        if lane is not recorder._own and lane.ended is None:
            row.append("…")
        row = "".join(row).ljust(len(events) * gap + 1)
        pad = " " * (width - columns(label))
        said = _say(lane, lane is recorder._own, words)
        rows.append(f"{label}{pad}  {row}  {said}".rstrip())
    return "\n".join([*rows, *([more] if more else []), words["legend"]])


def _say(lane: Lane, own: bool, words: dict[str, str]) -> str:
    """What the marks of a lane cannot say."""
    parts = []
    calls = [call for _, _, call in lane.waits if call]
    if calls:
        if len(calls) > MOST_WAITS:
            count = len(calls) - MOST_WAITS + 1
            calls[MOST_WAITS - 1 :] = [words["others"].format(count=count)]
        parts.append(words["waits"].format(names=", ".join(calls)))
    if not own:
        how, value = lane.outcome()
        parts.append(words[how].format(value=value))
    return "; ".join(parts)


def _draw_picture(
    recorder: Recorder, lanes: list[Lane], more: str, words: dict[str, str]
) -> str:
    """The lanes against time, as a PNG in base64."""
    with _quiet_matplotlib():
        from matplotlib.figure import Figure

        end = recorder.finished - recorder.began
        legend = _legend(recorder, lanes, end, words)
        extra = bool(more) + (len(legend) > _LEGEND_COLUMNS)
        height = 0.36 * len(lanes) + 1.0 + 0.2 * extra
        figure = Figure(figsize=(7.4, height), layout="constrained")
        figure.set_facecolor(_COLORS["paper"])
        axes = figure.add_subplot(facecolor=_COLORS["paper"])
        for lane in lanes:
            for began, ended in lane.blocks:
                axes.axvspan(
                    began - recorder.began,
                    ended - recorder.began,
                    color=_COLORS["blocks"],
                    alpha=0.12,
                    linewidth=0,
                )
        # Inches that the labels leave; a character of 9 points takes 0.0753.
        longest = max(
            (columns(_label(lane, words)) for lane in lanes), default=0
        )
        width = 7.4 - 0.3 - 0.0753 * longest
        for row, lane in enumerate(lanes):
            _draw_lane(axes, recorder, lane, row, end, width)
        axes.set_yticks(
            range(len(lanes)),
            [_label(lane, words) for lane in lanes],
            family="monospace",
            parse_math=False,  # a $ is a $
        )
        axes.set_ylim(len(lanes) - 0.4, -0.6)
        axes.set_xlim(-0.01 * end, 1.03 * end)
        axes.set_xlabel(
            words["seconds"] + (f"\n{more}" if more else ""), fontsize=9
        )
        axes.tick_params(labelsize=9, length=0)
        axes.grid(axis="x", color=_COLORS["grid"], linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[:].set_visible(False)
        figure.legend(
            handles=legend,
            loc="outside upper center",
            ncols=_LEGEND_COLUMNS,
            fontsize=8,
            frameon=False,
            handlelength=1.4,
            columnspacing=1.2,
        )
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=2 * 100)
    return base64.b64encode(file.getvalue()).decode()


def _legend(
    recorder: Recorder, lanes: list[Lane], end: float, words: dict[str, str]
) -> list:
    """Handles for what is to be seen in the picture, and for nothing else."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list = [
        Patch(color=_COLORS["waits"], label=words["waiting"]),
        Patch(color=_COLORS["runs"], label=words["runs"]),
    ]
    moments = [lane.moments(recorder.finished) for lane in lanes]
    if any(begun - created > 0.02 * end for created, begun, _ in moments):
        handles.insert(
            0,
            Line2D(
                [],
                [],
                color=_COLORS["ink"],
                linestyle=":",
                label=words["created"],
            ),
        )
    if any(lane.blocks for lane in lanes):
        handles.append(Patch(color=_COLORS["blocks"], label=words["blocks"]))
    how = {lane.outcome()[0] for lane in lanes if lane is not recorder._own}
    for kind, (marker, color) in _ENDS.items():
        if kind in how:
            handles.append(
                Line2D(
                    [],
                    [],
                    marker=marker,
                    color=color,
                    linestyle="",
                    label=words[kind].format(value="").strip(),
                )
            )
    return handles


def _draw_lane(
    axes, recorder: Recorder, lane: Lane, row: int, end: float, width: float
) -> None:
    def at(moment: float) -> float:
        return moment - recorder.began

    created, begun, last = map(at, lane.moments(recorder.finished))
    axes.hlines(
        row, created, begun, color=_COLORS["ink"], linestyle=":", linewidth=1
    )
    axes.barh(row, last - begun, 0.42, begun, color=_COLORS["waits"])
    steps = _merge(lane.steps, end / 1000)
    for began, ended, blocks in steps:
        axes.barh(
            row,
            ended - began,
            0.62 if blocks else 0.42,
            at(began),
            # A step of microseconds still has to be seen.
            linewidth=0 if blocks else 1.4,
            color=_COLORS["blocks" if blocks else "runs"],
            edgecolor=_COLORS["runs"],
        )
    edges = [edge for began, ended, _ in steps for edge in (began, ended)]
    edges.append(lane.ended or recorder.finished)
    gaps = [*zip(edges[1::2], edges[2::2], strict=True)]
    moments = [moment for moment, _, _ in lane.waits] + edges[-1:]
    for (_, _, call), wait in zip(lane.waits, pairwise(moments), strict=True):
        needed = 0.0627 * (len(call) + 2) / width * end
        if not call or wait[1] - wait[0] < needed:
            continue  # as most of thousands are
        began, ended = _widest(gaps, *wait)
        if ended - began > needed:
            axes.text(
                at(began) + 0.01 * end,
                row,
                call,
                fontsize=7.5,
                family="monospace",
                parse_math=False,
                va="center",
                color=_COLORS["ink"],
            )
    kind, _ = lane.outcome()
    if lane is not recorder._own and kind in _ENDS:
        marker, color = _ENDS[kind]
        axes.plot(
            [last],
            [row],
            marker=marker,
            color=color,
            markersize=7,
            clip_on=False,
            zorder=5,
        )


def _widest(
    gaps: list[tuple[float, float]], began: float, ended: float
) -> tuple[float, float]:
    """The widest gap between steps in a wait: there no step hides a text."""
    inside = [(max(a, began), min(b, ended)) for a, b in gaps]
    return max(inside, key=lambda gap: gap[1] - gap[0], default=(began, began))


def _merge(steps: list[tuple[float, float]], gap: float) -> list[list]:
    """Steps that no eye could tell apart become one: (began, ended, blocks).

    A task may take thousands of steps; a picture has hundreds of columns.
    """
    merged: list[list] = []
    for began, ended in steps:
        blocks = _is_blocking(began, ended)
        last = merged[-1] if merged else None
        if last and not blocks and not last[2] and began - last[1] < gap:
            last[1] = ended
        else:
            merged.append([began, ended, blocks])
    return merged


@contextmanager
def _quiet_matplotlib():
    """Keep its notes on fonts and folders out of the learner's cell."""
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _new_task(loop, coro, **options) -> asyncio.Task:
    """What a loop does that has no task factory."""
    return asyncio.Task(coro, loop=loop, **options)


def _is_library(coro: Any) -> bool:
    code = getattr(coro, "cr_code", None)
    return code is None or is_library(code.co_filename)


def _is_aula(coro: Any) -> bool:
    code = getattr(coro, "cr_code", None)
    return code is not None and is_aula(code.co_filename)


def _handler(coro: Any) -> Callable | None:
    """The handler that a task of a websockets server is about to run."""
    frame = _frame(coro)
    if frame is None or frame.f_globals.get("__name__") != (
        "websockets.asyncio.server"
    ):
        return None
    # serve() runs the handler of each connection in a closure of its own.
    values = frame.f_locals
    return values.get("handler") if "connection" in values else None


def _is_asyncios_own(coro: Any) -> bool:
    """Whether asyncio runs a coroutine for a purpose of its own."""
    frame = _frame(coro)
    if frame is None or frame.f_code.co_name == "_wrap_awaitable":
        return False
    name = f"{frame.f_globals.get('__name__')}.{frame.f_code.co_name}"
    return re.match(r"asyncio\.\w+\._", name) is not None


def _started_by_learner(coro: Any) -> bool:
    """Whether a task deserves a lane: a handler, or made by no library."""
    if _handler(coro) is not None:
        return True
    if _is_asyncios_own(coro):
        return False
    frame = sys._getframe()
    while frame is not None and frame.f_code is not _LOOP:
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] != "asyncio" and module != __name__:
            # What a check runs to watch an answer is none of its tasks.
            return not is_library(frame.f_code.co_filename) and not (
                is_aula(frame.f_code.co_filename) and _is_aula(coro)
            )
        frame = frame.f_back
    # The loop itself made it, on behalf of whoever wrote the coroutine.
    return not _is_library(coro)


def _await_chain(task: asyncio.Task) -> list:
    """The coroutines a suspended task stands in, outermost first."""
    chain, coro = [], task.get_coro()
    while isinstance(coro, Coroutine) and hasattr(coro, "cr_await"):
        chain.append(coro)
        coro = coro.cr_await
    return chain


def _frame(coro: Any) -> Any:
    return getattr(coro, "cr_frame", None) or getattr(coro, "gi_frame", None)


def _call(coro: Any) -> str:
    """A coroutine as the call that made it: ``brew("latte", 0.2)``."""
    handler = _handler(coro)
    if handler is not None:
        while isinstance(handler, partial):
            handler = handler.func
        return getattr(handler, "__name__", type(handler).__name__)
    frame = _frame(coro)
    name = getattr(coro, "__name__", type(coro).__name__)
    if frame is None:
        return name
    code, values = frame.f_code, dict(frame.f_locals)
    if name == "_wrap_awaitable":  # how asyncio awaits what is no coroutine
        return f"{type(values.get('awaitable')).__name__}()"
    variables = list(code.co_varnames)
    plain = variables[: code.co_argcount]
    keywords = variables[code.co_argcount :][: code.co_kwonlyargcount]
    stars = variables[code.co_argcount + code.co_kwonlyargcount :]
    args, options = (), {}
    if code.co_flags & inspect.CO_VARARGS:
        args = values.get(stars.pop(0), ())
    if code.co_flags & inspect.CO_VARKEYWORDS:
        options = values.get(stars.pop(0), {})
    owner = None
    if plain[:1] in (["self"], ["cls"]):
        owner = values.get(plain.pop(0))
    defaults = _defaults(frame, owner)

    def is_default(arg: str) -> bool:
        return arg in defaults and values.get(arg) is defaults[arg]

    while plain and not args and is_default(plain[-1]):
        plain.pop()
    parts = [_value(values[a]) or a if a in values else a for a in plain]
    parts += [_value(value) or "…" for value in args]
    options = {a: values.get(a) for a in keywords if not is_default(a)} | (
        options
    )
    parts += [f"{a}={_value(value) or a}" for a, value in options.items()]
    return _cut(f"{name}({', '.join(parts)})", LONGEST_LABEL)


def _defaults(frame: Any, owner: Any) -> dict[str, Any]:
    """The defaults of the function that a frame runs, if it can be found."""
    code = frame.f_code
    if owner is None:
        function = frame.f_globals.get(code.co_name)
    else:
        kind = owner if isinstance(owner, type) else type(owner)
        function = inspect.getattr_static(kind, code.co_name, None)
        function = getattr(function, "__func__", function)
    function = getattr(function, "__wrapped__", function)
    if getattr(function, "__code__", None) is not code:
        return {}
    last = reversed(code.co_varnames[: code.co_argcount])
    ends = reversed(function.__defaults__ or ())
    return dict(zip(last, ends, strict=False)) | (
        function.__kwdefaults__ or {}
    )


def _value(value: Any) -> str | None:
    """A value in a label; None for one that reads differently each run."""
    if type(value) in (str, bytes, bytearray):
        value = value[:LONGEST_VALUE]  # megabytes take seconds to write
    try:
        text = repr(value)
        if type(value) is set and value:
            text = f"{{{', '.join(sorted(map(repr, value)))}}}"
    except Exception:
        return None
    if type(value) is str:
        return _cut(text if '"' in text else f'"{text[1:-1]}"')
    # An object without a repr of its own, or something that holds one.
    if re.search(r" at 0x|(?<!['\"\w])<", text):
        return None
    return _cut(text)


def _cut(text: str, longest: int = LONGEST_VALUE) -> str:
    """A text in one line, cut off if long."""
    text = re.sub(r"\s*[\r\n]\s*", " ", text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
