"""What a picture can show of a recording: bars, and the names of its rows.

A task may take thousands of steps, and a picture has hundreds of columns: a
notebook must not swell with what nobody can see.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from aula.instruments import chart, labels
from aula.instruments.lanes import Lane, is_blocking
from aula.instruments.lines import Place, usual
from aula.instruments.stores import Store

THIN = 0.006  # of the picture's time: no bar, but a hairline
FAINT = 0.001  # of the picture's time: nothing
BRIEF = 0.005  # seconds up to which a step is a hairline with a core
NARROW = 0.01  # of the picture's time: no line is told of a shorter wait
MOST = 40  # bars in a picture, beside two a lane
MOST_FILLS = 24  # in a row of a queue or a lock
MOST_SHADES = 12  # of where the loop was blocked
LETTER = 0.011  # of the picture's time that a letter takes, at the least
LETTERS = 6  # to be seen of what is waited in, at the least


T = TypeVar("T")


@dataclass
class Bar:
    """What a task did from one moment to another, in seconds.

    Attributes:
        kind: ``created``; ``runs``, ``brief`` (it runs, for a moment),
            ``many`` (it runs and waits, again and again), ``blocks``;
            ``waits``; ``thread`` or ``process`` of a job; or ``hair``: it
            runs for less than an eye sees, and then waits.
        steps: how many there are in it; of ``created``, whether one follows.
        ran: how long they took.
        waited: how long it waits then.
        call: what it waits in, if that has a name.
        named: whether there is room for that name.
        place: where in the learner's code it stood, if that is known.
        awaited: the task that it waits for, if it is one.
    """

    kind: str
    began: float
    ended: float
    steps: int = 0
    ran: float = 0.0
    waited: float = 0.0
    call: str = ""
    named: bool = False
    place: Place | None = None
    awaited: Lane | None = None


def bars(lanes: list[Lane], began: float, ended: float) -> list[list[Bar]]:
    """What each lane shows in a picture from one moment to another."""
    total = ended - began
    gap = total / 1000
    runs = [[*_runs(lane.steps, gap)] for lane in lanes]
    while True:
        found = [
            [*_absorb(_lane(lane, row, ended, total), THIN * total)]
            for lane, row in zip(lanes, runs, strict=True)
        ]
        if sum(map(len, found)) <= MOST + 2 * len(lanes):
            return found
        gap *= 1.5
        runs = [[*_join(row, gap)] for row in runs]
        if all(len(row) < 2 for row in runs):
            return found


def _runs(steps: Iterable[tuple[float, float]], gap: float) -> Iterator[Bar]:
    """Steps as bars; those that no eye could tell apart are one."""
    last = None
    for began, ended in steps:
        took = ended - began
        kind = "blocks" if is_blocking(began, ended) else "runs"
        if last and last.kind == kind == "runs" and began - last.ended < gap:
            last.ended = ended
            last.steps += 1
            last.ran += took
            continue
        if last:
            yield last
        last = Bar(kind, began, ended, 1, took)
    if last:
        yield last


def _join(row: Iterable[Bar], gap: float) -> Iterator[Bar]:
    """Fewer bars: those with a smaller gap between them are one."""
    last = None
    for bar in row:
        if (
            last
            and bar.began - last.ended < gap
            and (
                # What blocks takes in none that can be told from it.
                last.kind == bar.kind
                or min(last.ended - last.began, bar.ended - bar.began) < gap
            )
        ):
            last.ended = bar.ended
            last.steps += bar.steps
            last.ran += bar.ran
            last.kind = min(last.kind, bar.kind)  # blocks before runs
            continue
        if last:
            yield last
        last = bar
    if last:
        yield last


def _lane(
    lane: Lane, runs: list[Bar], finished: float, total: float
) -> Iterator[Bar]:
    """A lane's bars in order: each run, and the wait that follows it."""
    created, begun, last = lane.moments(finished)
    job = lane.job
    if begun - created > THIN * total:
        yield Bar("created", created, begun, bool(runs or job and job.began))
    if job and job.began:
        kind = "thread" if job.in_thread else "process"
        ended = job.ended or finished if job.in_thread else last
        yield Bar(kind, begun, ended, 1, ended - begun)
    if not runs:
        return
    ends = [*(run.began for run in runs[1:]), last]
    moments = [moment for moment, _, _ in lane.waits]
    waits = [bisect(moments, run.ended) - 1 for run in runs]
    named = _named(lane, waits, runs, ends, total)
    for run, end, wait in zip(runs, ends, waits, strict=True):
        kind, until = run.kind, run.ended
        if kind == "runs" and run.ran < 0.8 * (until - run.began):
            kind = "many"
        elif kind == "runs" and run.ran < BRIEF:
            kind = "brief"
        thin = until - run.began < THIN * total
        if end - until < FAINT * total:
            until = end
        waited = end - until
        call = lane.waits[wait][2] if wait >= 0 and waited else ""
        place = awaited = None
        if waited > NARROW * total:
            place = _latest(lane.places, run.ended)
            found = _latest(lane.awaited, run.ended)
            awaited = found() if found else None
        what = waited, call, named.get(wait) is run, place, awaited
        if thin and kind != "blocks":
            yield Bar("hair", run.began, end, run.steps, run.ran, *what)
            continue
        bar = Bar(kind, run.began, until, run.steps, run.ran)
        if kind == "blocks":
            bar.place = _place_of(lane, bar)
        yield bar
        if waited:
            yield Bar("waits", until, end, 0, 0.0, *what)


def _absorb(row: Iterable[Bar], least: float) -> Iterator[Bar]:
    """A step and a wait too short to be seen apart, as part of the next."""
    last = None
    for bar in row:
        if last and bar.kind in ("hair", "waits"):
            bar.kind, bar.began = "hair", last.began
            bar.steps += last.steps
            bar.ran += last.ran
            bar.waited += last.waited
            last = None
        if last:
            yield last
            last = None
        if bar.kind == "hair" and bar.waited and bar.ended - bar.began < least:
            last = bar
        else:
            yield bar
    if last:
        yield last


def _latest(noted: list[tuple[float, T]], moment: float) -> T | None:
    """What was so at a moment, of what was noted whenever it changed."""
    n = bisect([at for at, _ in noted], moment) - 1
    return noted[n][1] if n >= 0 else None


def _place_of(lane: Lane, bar: Bar) -> Place | None:
    """Where a lane was seen while it held the loop."""
    return usual(
        [place for at, place in lane.looks if bar.began <= at <= bar.ended]
    )


def _named(
    lane: Lane,
    waits: list[int],
    runs: list[Bar],
    ends: list[float],
    total: float,
) -> dict[int, Bar]:
    """Behind which run each wait bears its name: where it is the widest."""
    widest: dict[int, tuple[float, Bar]] = {}
    for run, end, wait in zip(runs, ends, waits, strict=True):
        call = lane.waits[wait][2] if wait >= 0 else ""
        room = end - run.ended
        least = LETTER * min(len(call) + 1, LETTERS) * total
        if call and room > max(least, widest.get(wait, (0.0,))[0]):
            widest[wait] = room, run
    return {wait: run for wait, (_, run) in widest.items()}


@dataclass
class Fill:
    """How full a queue was, and how many waited, from one moment to another.

    Attributes:
        joined: whether it was so at most, and not all the time.
    """

    began: float
    ended: float
    held: int
    waited: int
    joined: bool = False


def fills(store: Store, finished: float, total: float) -> list[Fill]:
    """What a row of a queue, a lock or the like shows."""
    ends = [*(moment for moment, _, _ in store.fills[1:]), finished]
    found = [
        Fill(began, ended, held, waited)
        for (began, held, waited), ended in zip(store.fills, ends, strict=True)
    ]
    gap = THIN * total
    while len(row := [*_pour(found, gap)]) > MOST_FILLS:
        found, gap = row, gap * 1.5
    seen: list[Fill] = []
    for fill in row:
        brief = fill.ended - fill.began < FAINT * total
        if seen and (brief or _alike(seen[-1], fill)):
            seen[-1].ended = fill.ended
        else:
            seen.append(fill)
    return seen


def _alike(one: Fill, other: Fill) -> bool:
    held, waited, joined = other.held, other.waited, other.joined
    return (one.held, one.waited, one.joined) == (held, waited, joined)


def _pour(row: Iterable[Fill], gap: float) -> Iterator[Fill]:
    """Fewer fills: brief ones next to each other are one, of their most."""
    last = None
    for fill in row:
        if (
            last
            and last.ended - last.began < gap
            and fill.ended - fill.began < gap
        ):
            last.ended, last.joined = fill.ended, True
            last.held = max(last.held, fill.held)
            last.waited = max(last.waited, fill.waited)
            continue
        if last:
            yield last
        last = fill
    if last:
        yield last


def shades(lanes: Iterable[Lane], total: float) -> list[tuple[float, float]]:
    """From when to when the loop was blocked, by whichever lane."""
    blocks = sorted(block for lane in lanes for block in lane.blocks)
    found = [Bar("blocks", began, ended) for began, ended in blocks]
    gap = FAINT * total
    while len(found := [*_join(found, gap)]) > MOST_SHADES:
        gap *= 1.5
    return [(shade.began, shade.ended) for shade in found]


def family(lanes: list[Lane]) -> list[tuple[Lane, int]]:
    """Lanes with each below that which created it, and how deep it stands."""
    found: list[tuple[Lane, int]] = []
    for lane in lanes:
        parent = lane.creator_among(lanes)
        place, depth = len(found), 0
        for n, (other, deep) in enumerate(found):
            if other is parent:
                place, depth = n + 1, deep + 1
            elif n == place and deep >= depth:
                place = n + 1  # behind what its creator made before
        found.insert(place, (lane, depth))
    return found


def names(
    lanes: list[Lane], stores: list[Store], words: dict[str, str]
) -> list[str]:
    """What the rows are called: those that would be called the same, apart.

    A server's connections bear what their clients asked for, if that differs;
    others bear a number.
    """
    found = [chart.label_of(lane, words) for lane in lanes]
    found += [store.label for store in stores]
    paths = [labels.cut(lane.path) for lane in lanes] + [""] * len(stores)
    for name in {name for name in found if found.count(name) > 1}:
        same = [n for n, other in enumerate(found) if other == name]
        asked = {paths[n] for n in same} - {""}
        for number, n in enumerate(same, 1):
            apart = paths[n] if len(asked) == len(same) else f"#{number}"
            found[n] = f"{name} {apart}"
    return found
