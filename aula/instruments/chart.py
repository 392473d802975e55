"""Draws a recording: as text, and as a picture that says the same."""

from __future__ import annotations

import base64
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from aula.display import columns
from aula.instruments.record import Lane, Recorder, is_blocking

MOST_LANES = 24  # lanes drawn; further tasks are counted
MOST_WAITS = 8  # calls named in what a lane waited for

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
_ENDS = {
    "returned": ("o", "#007a5a"),
    "raised": ("X", "#b3123b"),
    "cancelled": ("s", "#555555"),
    "pending": (">", "#0b5394"),
}


def draw(recorder: Recorder, language: str) -> dict[str, str]:
    """The recording as a MIME bundle: a PNG and the text that says the same.

    Arguments:
        recorder: a recording that has been stopped.
        language: ``"es"`` or ``"en"``.
    """
    return {
        "text/plain": draw_text(recorder, language),
        "image/png": draw_picture(recorder, language),
    }


def _choose(
    recorder: Recorder, words: dict[str, str]
) -> tuple[list[Lane], str]:
    """The lanes that are drawn, and what is said of further ones."""
    shown = [lane for lane in recorder.lanes if lane.shown]
    lanes, rest = shown[:MOST_LANES], shown[MOST_LANES:]
    if not rest:
        return lanes, ""
    marks = [_MARKS[lane.outcome()[0]] for lane in rest]
    counts = [f"{m} {marks.count(m)}" for m in _MARKS.values() if m in marks]
    how = "  ".join(counts)
    return lanes, words["more"].format(count=len(rest), how=how)


def _label(lane: Lane, words: dict[str, str]) -> str:
    return words["cell"] if lane.call is None else lane.label


def draw_text(recorder: Recorder, language: str) -> str:
    """What happened first and what next, in columns, without times."""
    words = TEXT[language]
    lanes, more = _choose(recorder, words)
    events = [event for event in recorder.events if event[1] in lanes]
    gap = 1 if len(events) > 30 else 2
    labels = [_label(lane, words) for lane in lanes]
    width = max(map(columns, labels), default=0)
    rows = []
    for lane, label in zip(lanes, labels, strict=True):
        marks, alive = [], " "
        for kind, other in events:
            mark = alive
            if other is lane:
                alive = {"created": "┄", "ended": " "}.get(kind, "─")
                mark = {"created": "○", "started": "●", "blocked": "█"}.get(
                    kind
                ) or _MARKS[lane.outcome()[0]]
            marks.append(mark + alive * (gap - 1))
        if lane is not recorder.own and lane.ended is None:
            marks.append("…")
        row = "".join(marks).ljust(len(events) * gap + 1)
        pad = " " * (width - columns(label))
        said = _say(lane, lane is recorder.own, words)
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


def draw_picture(recorder: Recorder, language: str) -> str:
    """The lanes against time, as a PNG in base64."""
    words = TEXT[language]
    lanes, more = _choose(recorder, words)
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
) -> list[Any]:
    """Handles for what is to be seen in the picture, and for nothing else."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
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
    how = {lane.outcome()[0] for lane in lanes if lane is not recorder.own}
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
    axes: Any,
    recorder: Recorder,
    lane: Lane,
    row: int,
    end: float,
    width: float,
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
    if lane is not recorder.own and kind in _ENDS:
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


def _merge(steps: list[tuple[float, float]], gap: float) -> list[list[Any]]:
    """Steps that no eye could tell apart become one: (began, ended, blocks).

    A task may take thousands of steps; a picture has hundreds of columns.
    """
    merged: list[list[Any]] = []
    for began, ended in steps:
        blocks = is_blocking(began, ended)
        last = merged[-1] if merged else None
        if last and not blocks and not last[2] and began - last[1] < gap:
            last[1] = ended
        else:
            merged.append([began, ended, blocks])
    return merged


@contextmanager
def _quiet_matplotlib() -> Iterator[None]:
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
