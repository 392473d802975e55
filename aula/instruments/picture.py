"""Draws a recording as an HTML table: a row a task, its bars in percent.

Each style stands in its element, and is one of those that JupyterLab keeps in
notebooks that are not trusted. Without them all it is a table that says of
each task how long it ran and waited, and how it ended. Bars are borders where
they can be: those are printed, and kept where a system has its own colours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from math import floor, log10

from aula.display import columns
from aula.instruments import bars, chart, look
from aula.instruments.bars import Bar, Fill
from aula.instruments.lanes import Lane
from aula.instruments.record import Recorder
from aula.instruments.stores import Store
from aula.instruments.telling import Teller

WIDTH = 92  # percent of a row that time takes; end marks stand behind it
MOST_TICKS = 5  # of the axis
FURTHEST = 93  # percent of a narrow row where a number is not cut off
MOST_REQUESTS = 8  # to cancel, of a lane
LONGEST = 26  # characters of a label in a line
LETTER = 1.1  # percent of a row that a figure takes, at the least
INDENT = 0.9  # em that a task stands right of the one that created it
DEEPEST = 4  # times that much, at the most


def draw_picture(recorder: Recorder, language: str) -> str:
    """The lanes against time, as a table in HTML.

    Arguments:
        recorder: a recording that has been stopped.
        language: ``"es"`` or ``"en"``.
    """
    return "\n".join(_Picture(recorder, language).lines())


class _Picture:
    """What the parts of a picture share."""

    def __init__(self, recorder: Recorder, language: str) -> None:
        self.recorder = recorder
        self.ends = chart.TEXT[language]
        chosen, self.more = chart.choose(recorder, self.ends)
        family = bars.family(chosen)
        self.lanes = [lane for lane, _ in family]
        self.indents = [INDENT * min(depth, DEEPEST) for _, depth in family]
        self.stores, further = chart.choose_stores(recorder, self.ends)
        self.more = [*further, *self.more]
        self.names = bars.names(self.lanes, self.stores, self.ends)
        self.indents += [0.0] * len(self.stores)
        names = dict(zip(self.lanes, self.names, strict=False))
        self.tell = Teller(recorder, language, names)
        self.words = self.tell.words
        self.total = max(recorder.finished - recorder.began, 1e-9)
        least = self.total / MOST_TICKS
        unit: float = 10.0 ** floor(log10(least))
        self.step = next(n * unit for n in (1, 2, 5, 10) if n * unit >= least)
        self.seen: set[str] = set()  # what the legend has to explain

    def lines(self) -> list[str]:
        """The lines of the table."""
        rows = bars.bars(
            self.lanes, self.recorder.began, self.recorder.finished
        )
        lanes = [*map(self._lane, self.lanes, self.names, self.indents, rows)]
        names = self.names[len(lanes) :]
        lanes += map(self._store, self.stores, names)
        widths = [
            0.61 * min(columns(name), LONGEST) + indent
            for name, indent in zip(self.names, self.indents, strict=True)
        ]
        width = max([*widths, 0.61 * columns(self.words["seconds"])]) + 1.8
        return [
            f"<table class='aula-timeline' lang='{self.tell.language}' "
            f"style='{look.TABLE}'>",
            f"<caption style='{look.WIDE}'>"
            f"<b>{self.tell.title()}</b></caption>",
            f"<colgroup><col style='width:{width:.1f}em'>"
            f"<col style='{self._paper()}'></colgroup>",
            self._wide(" ".join(self._legend())),
            *lanes,
            f"<tr style='{look.ROW}'>"
            f"<td style='{look.HEAD}'>{self.words['seconds']}</td>"
            f"<td style='{look.CELL};overflow:hidden'>"
            f"{' '.join(self._axis())}</td></tr>",
            *(self._wide(escape(more)) for more in self.more),
            "</table>",
        ]

    # Where, how long, and in which words.

    def _share(self, seconds: float) -> float:
        """A time in percent of a row."""
        return WIDTH * min(max(seconds / self.total, 0.0), 1.0)

    def _at(self, moment: float) -> str:
        return look.number(self._share(moment - self.recorder.began), 1)

    # The parts of the table.

    def _wide(self, text: str) -> str:
        return (
            f"<tr style='{look.ROW}'>"
            f"<td colspan='2' style='{look.WIDE}'>{text}</td></tr>"
        )

    def _lane(
        self, lane: Lane, name: str, indent: float, row: list[Bar]
    ) -> str:
        summary = escape(self.tell.summary(lane))
        parts = [f"<span style='{look.UNSEEN}'>{summary}</span>"]
        parts += map(self._bar, row)
        for asked in lane.requests[:MOST_REQUESTS]:
            kind = asked[1] if asked[1] in look.TICKS else "call"
            self.seen.add(kind)
            style = f"top:0;{look.tick(kind)}"
            says = self.tell.asked(*asked)
            parts.append(
                self._placed(
                    "span", asked[0], style, says, look.TICKS[kind][0]
                )
            )
        if end := self.tell.end_at(lane):
            how = lane.outcome()[0]
            self.seen.add(how)
            style = f"top:.35em;margin-left:4px;{look.mark(how)}"
            last = lane.moments(self.recorder.finished)[-1]
            parts.append(self._placed("b", last, style, end, chart.MARKS[how]))
        says = self.tell.row(lane)
        return self._row(name, parts, self._indented(indent), says)

    def _row(
        self, name: str, parts: list[str], style: str = "", says: str = ""
    ) -> str:
        return (
            f"<tr style='{look.ROW}'>"
            f"<th scope='row' style='{look.HEAD}{style}'{_title(says)}>"
            f"{_breakable(name)}</th>"
            f"<td style='{look.LANE}'>{' '.join(parts)}</td></tr>"
        )

    def _store(self, store: Store, name: str) -> str:
        """A row of a queue, a lock or the like."""
        kind = "set" if store.is_event else "taken"
        self.seen.add(kind if store.size is None else "items")
        said = escape(chart.tell_store(store, self.ends))
        fills = bars.fills(store, self.recorder.finished, self.total)
        return self._row(
            name,
            [
                f"<span style='{look.UNSEEN}'>{said}</span>",
                *(self._fill(store, fill) for fill in fills),
            ],
        )

    def _fill(self, store: Store, fill: Fill) -> str:
        if fill.waited:
            self.seen.add("waiting")
        width = self._share(fill.ended - fill.began)
        text = self.tell.fill_in_short(store, fill)
        if width < LETTER * (len(text) + 1):
            text = ""
        share = fill.held / (store.size or max(store.most_held, 1))
        style = (
            f"width:{look.number(width, 1)}%;top:.22em;"
            f"{look.fill(share, fill.waited > 0, 1.55)}"
        )
        tag, style = ("span", style + look.AMOUNT) if text else ("i", style)
        says = self.tell.fill(store, fill)
        return self._placed(tag, fill.began, style, says, text)

    def _indented(self, indent: float) -> str:
        return f";padding-left:{look.em(0.4 + indent)}" if indent else ""

    def _bar(self, bar: Bar) -> str:
        self.seen |= {
            "hair": {"runs"},
            "brief": {"runs"},
        }.get(bar.kind, {bar.kind})
        if bar.waited:
            self.seen.add("waits")
        top = {"created": 1, "runs": 0.55, "blocks": 0.1}.get(bar.kind, 0.4)
        share = self._share(bar.ended - bar.began)
        if bar.kind == "blocks":
            share = max(share, 0.3)
        width, kind = look.number(share, 1), bar.kind
        if kind == "hair" and width == "0":
            width, kind = "", "line"
        style = f"top:{look.em(top)};{look.bar(kind, look.HIGH)}"
        if width:
            style = f"width:{width}%;{style}"
        says = self.tell.bar(bar)
        if bar.named:
            return self._placed(
                "span", bar.began, style + look.NAME, says, bar.call
            )
        return self._placed("i", bar.began, style, says)

    def _placed(
        self, tag: str, moment: float, style: str, title: str, text: str = ""
    ) -> str:
        return (
            f"<{tag} style='position:absolute;left:{self._at(moment)}%;"
            f"{style}'{_title(title)}>{escape(text)}</{tag}>"
        )

    def _legend(self) -> Iterator[str]:
        for kind in look.BARS:
            if kind in self.seen:
                style = f"{look.SWATCH};width:1.3em;{look.bar(kind, 0.7)}"
                yield self._item(style, "", self.words[kind])
        for kind, (mark, _) in look.TICKS.items():
            if kind in self.seen:
                style = f"{look.SWATCH};margin:0 .5em;{look.tick(kind)}"
                yield self._item(style, mark, self.words[kind])
        for kind in look.FILLS:
            if kind in self.seen:
                full = 0.0 if kind == "waiting" else 0.6
                style = f"{look.SWATCH};width:1.3em;"
                style += look.fill(full, kind == "waiting", 0.9)
                yield self._item(style, "", self.words[kind])
        for kind, mark in chart.MARKS.items():
            if kind in self.seen:
                style = f"{look.SWATCH};line-height:1.4;{look.mark(kind)}"
                word = self.ends[kind].format(value="").strip()
                yield self._item(style, mark, word)

    def _item(self, style: str, mark: str, word: str) -> str:
        return (
            f"<span style='{look.ITEM}'><span style='{style}'>{mark}</span> "
            f"{word}</span>"
        )

    def _axis(self) -> Iterator[str]:
        digits = max(0, -floor(log10(self.step) + 1e-9))
        count = int(FURTHEST / WIDTH * self.total / self.step)
        for n in range(count + 1):
            at = look.number(WIDTH * n * self.step / self.total, 1)
            place = "margin-left:-2.5em;text-align:center"
            label = self.tell.comma(f"{n * self.step:.{digits}f}")
            if n == 0:
                place, label = "text-align:left", "0"
            yield (
                f"<span style='position:absolute;left:{at}%;top:.3em;"
                f"width:5em;{place}'>{label}</span>"
            )

    def _paper(self) -> str:
        """Behind all lanes: a grid, and a shade where the loop is blocked."""
        size = f"{look.number(WIDTH * self.step / self.total, 2)}%"
        image = f"linear-gradient(90deg,{look.GRID} 1px,#0000 1px)"
        lanes = [lane for lane in self.recorder.lanes if lane.shown]
        if shades := bars.shades(lanes, self.total):
            stops = [
                f"#0000 0 {self._at(began)}%,{look.SHADE} 0 {self._at(ended)}%"
                for began, ended in shades
            ]
            image = f"linear-gradient(90deg,{','.join(stops)},#0000 0),{image}"
            size = f"auto,{size}"
        return f"background-image:{image};background-size:{size}"


def _title(text: str) -> str:
    """A tooltip: the attribute of an element that has something to say."""
    said = escape(text, quote=False).replace("'", "&#39;")
    return f" title='{said}'" if text else ""


def _breakable(name: str) -> str:
    """A name that goes on in a further line, if it is long."""
    lines = [""]
    for part in re.split(r"(?<=, )|(?<=\()", name):
        pieces = [part]
        if columns(part) > LONGEST:
            pieces = re.split(rf"(?<=_)|(?<=\S{{{LONGEST}}})", part)
        for piece in pieces:
            if lines[-1] and columns(lines[-1] + piece.rstrip()) > LONGEST:
                lines.append("")
            lines[-1] += piece
    return "<br>".join(map(escape, lines))
