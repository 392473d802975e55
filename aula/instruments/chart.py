"""Says a recording in text: what happened first and what next."""

from __future__ import annotations

from collections.abc import Iterator

from aula.display import columns
from aula.instruments.lanes import Lane
from aula.instruments.record import Recorder
from aula.instruments.stores import Store

MOST_LANES = 24  # lanes drawn; further tasks are counted
MOST_JOBS = 12  # of threads drawn; further ones are counted
MOST_STORES = 8  # queues, locks and the like drawn; further ones are counted
MOST_WAITS = 8  # calls named in what a lane waited for

TEXT = {
    "es": {
        "cell": "celda",
        "legend": "○ creada  ● empieza  █ bloquea el bucle  ✓ devuelve  "
        "✗ lanza  ⊘ cancelada  … sigue viva",
        "waits": "espera en {names}",
        "others": "… y {count} más",
        "returned": "devuelve {value}",
        "raised": "lanza {value}",
        "cancelled": "cancelada",
        "pending": "sigue viva",
        "unstarted": "no llega a empezar",
        "more": "… y {count} tareas más: {how}",
        "more-jobs": "… y {count} trabajos más en hilos: {how}",
        "room": "caben {size}; como mucho {held} dentro, {waited} esperando",
        "no-limit": "sin límite; como mucho {held} dentro, {waited} esperando",
        "store": "como mucho {waited} esperando",
        "thread": "en un hilo",
        "process": "en otro proceso",
        "goes-on": "{how}, pero su hilo sigue",
    },
    "en": {
        "cell": "cell",
        "legend": "○ created  ● starts  █ blocks the loop  ✓ returns  "
        "✗ raises  ⊘ cancelled  … still alive",
        "waits": "waits in {names}",
        "others": "… and {count} more",
        "returned": "returns {value}",
        "raised": "raises {value}",
        "cancelled": "cancelled",
        "pending": "still alive",
        "unstarted": "never starts",
        "more": "… and {count} more tasks: {how}",
        "more-jobs": "… and {count} more jobs in threads: {how}",
        "room": "room for {size}; at most {held} in it, {waited} waiting",
        "no-limit": "no limit; at most {held} in it, {waited} waiting",
        "store": "at most {waited} waiting",
        "thread": "in a thread",
        "process": "in another process",
        "goes-on": "{how}, but its thread goes on",
    },
}

MARKS = {
    "returned": "✓",
    "raised": "✗",
    "cancelled": "⊘",
    "pending": "…",
    "unstarted": "○",
}


def choose(
    recorder: Recorder, words: dict[str, str]
) -> tuple[list[Lane], list[str]]:
    """The lanes that are drawn, and what is said of further ones.

    A job of a thread stands below the task that has it done.
    """
    shown = [lane for lane in recorder.lanes if lane.shown]
    lanes, rest = shown[:MOST_LANES], shown[MOST_LANES:]
    jobs = recorder.jobs if lanes else []
    more = [*_count(rest, words["more"])]
    more += _count(jobs[MOST_JOBS:], words["more-jobs"])
    jobs = jobs[:MOST_JOBS]
    creators = [job.creator_among(lanes) for job in jobs]
    found = []
    for owner in [*lanes, None]:
        found += [owner] if owner else []
        found += [
            job
            for job, creator in zip(jobs, creators, strict=True)
            if creator is owner
        ]
    return found, more


def choose_stores(
    recorder: Recorder, words: dict[str, str]
) -> tuple[list[Store], list[str]]:
    """The queues, locks and the like that are drawn, and what is said else."""
    found = recorder.stores.found if recorder.lanes else []
    rest = len(found[MOST_STORES:])
    more = [words["others"].format(count=rest)] if rest else []
    return found[:MOST_STORES], more


def _count(rest: list[Lane], words: str) -> Iterator[str]:
    """How many there are beside those that are drawn, and how they ended."""
    marks = [MARKS[lane.outcome()[0]] for lane in rest]
    counts = [f"{m} {marks.count(m)}" for m in MARKS.values() if m in marks]
    if rest:
        yield words.format(count=len(rest), how="  ".join(counts))


def label_of(lane: Lane, words: dict[str, str]) -> str:
    """What a lane is called."""
    return words["cell"] if lane.call is None else lane.label


def draw_text(recorder: Recorder, language: str) -> str:
    """What happened first and what next, in columns, without times."""
    words = TEXT[language]
    lanes, more = choose(recorder, words)
    events = [event for event in recorder.events if event[1] in lanes]
    gap = 1 if len(events) > 30 else 2
    labels = [label_of(lane, words) for lane in lanes]
    stores, further = choose_stores(recorder, words)
    names = [*labels, *(store.label for store in stores)]
    width = max(map(columns, names), default=0)
    rows = []
    for lane, label in zip(lanes, labels, strict=True):
        marks, alive = [], " "
        for kind, other in events:
            mark = alive
            if other is lane:
                if kind == "created":
                    alive = "░" if lane.job else "┄"
                else:
                    alive = " " if kind == "ended" else "─"
                mark = {"created": "○", "started": "●", "blocked": "█"}.get(
                    kind
                ) or MARKS[lane.outcome()[0]]
            marks.append(mark + alive * (gap - 1))
        if lane is not recorder.own and lane.ended is None:
            marks.append("…")
        row = "".join(marks).ljust(len(events) * gap + 1)
        pad = " " * (width - columns(label))
        said = _say(lane, lane is recorder.own, words)
        rows.append(f"{label}{pad}  {row}  {said}".rstrip())
    blank = " " * (len(events) * gap + 1)
    for store in stores:
        pad = " " * (width - columns(store.label))
        said = tell_store(store, words)
        rows.append(f"{store.label}{pad}  {blank}  {said}")
    return "\n".join([*rows, *further, *more, words["legend"]])


def _say(lane: Lane, own: bool, words: dict[str, str]) -> str:
    """What the marks of a lane cannot say."""
    parts = []
    calls = [call for _, _, call in lane.waits if call]
    if calls:
        if len(calls) > MOST_WAITS:
            count = len(calls) - MOST_WAITS + 1
            calls[MOST_WAITS - 1 :] = [words["others"].format(count=count)]
        parts.append(words["waits"].format(names=", ".join(calls)))
    if lane.job is not None:
        parts.append(words["thread" if lane.job.in_thread else "process"])
    if not own:
        parts.append(end_of(lane, words))
    return "; ".join(parts)


def end_of(lane: Lane, words: dict[str, str]) -> str:
    """How a lane ended, in words."""
    how, value = lane.outcome()
    said = words[how].format(value=value)
    return words["goes-on"].format(how=said) if lane.goes_on else said


def tell_store(store: Store, words: dict[str, str]) -> str:
    """How full a queue was at most, and how many waited in it."""
    key = {None: "store", 0: "no-limit"}.get(store.size, "room")
    return words[key].format(
        size=store.size, held=store.most_held, waited=store.most_waited
    )
