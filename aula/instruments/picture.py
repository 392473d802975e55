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
from aula.instruments.bars import Bar
from aula.instruments.record import Lane, Recorder

WIDTH = 92  # percent of a row that time takes; end marks stand behind it
MOST_TICKS = 5  # of the axis
MOST_REQUESTS = 8  # to cancel, of a lane
LONGEST = 26  # characters of a label in a line
INDENT = 0.9  # em that a task stands right of the one that created it
DEEPEST = 4  # times that much, at the most

TEXT = {
    "es": {
        "title": "Línea de tiempo de {what}: {time}",
        "0 tasks": "la celda",
        "1 tasks": "1 tarea",
        "tasks": "{count} tareas",
        "seconds": "segundos",
        "created": "creada",
        "runs": "corre",
        "many": "corre a ratos",
        "waits": "espera",
        "blocks": "bloquea el bucle: nadie más corre",
        "deadline": "vence un plazo",
        "call": "se pide cancelar",
        "created-by": "creada por {label}",
        "created-for": "creada; empieza {time} después",
        "never": "creada; en {time} no llega a empezar",
        "runs-for": "corre {time}",
        "many-for": "corre {count} veces, {time} en total",
        "waits-for": "espera {time}",
        "waits-in": "espera {time} en {call}",
        "blocks-for": "bloquea el bucle {time}",
        "then": "{first}; luego {then}",
        "by-deadline": "vence un plazo, y la cancela",
        "by-group": "su grupo pide cancelarla",
        "by-call": "se pide cancelarla",
        "by-lane": "{label} pide cancelarla",
        "at": "a los {time}: {what}",
        "from": "de {start} a {end}",
    },
    "en": {
        "title": "Timeline of {what}: {time}",
        "0 tasks": "the cell",
        "1 tasks": "1 task",
        "tasks": "{count} tasks",
        "seconds": "seconds",
        "created": "created",
        "runs": "runs",
        "many": "runs now and then",
        "waits": "waits",
        "blocks": "blocks the loop: nobody else runs",
        "deadline": "a deadline strikes",
        "call": "asked to cancel",
        "created-by": "created by {label}",
        "created-for": "created; starts {time} later",
        "never": "created; does not start in {time}",
        "runs-for": "runs {time}",
        "many-for": "runs {count} times, {time} in all",
        "waits-for": "waits {time}",
        "waits-in": "waits {time} in {call}",
        "blocks-for": "blocks the loop {time}",
        "then": "{first}; then {then}",
        "by-deadline": "a deadline strikes, and cancels it",
        "by-group": "its group asks it to cancel itself",
        "by-call": "it is asked to cancel itself",
        "by-lane": "{label} asks it to cancel itself",
        "at": "at {time}: {what}",
        "from": "from {start} to {end}",
    },
}


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
        self.language = language
        self.words = TEXT[language]
        self.ends = chart.TEXT[language]
        chosen, self.more = chart.choose(recorder, self.ends)
        family = bars.family(chosen)
        self.lanes = [lane for lane, _ in family]
        self.indents = [INDENT * min(depth, DEEPEST) for _, depth in family]
        self.names = bars.names(self.lanes, self.ends)
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
        widths = [
            0.61 * min(columns(name), LONGEST) + indent
            for name, indent in zip(self.names, self.indents, strict=True)
        ]
        width = max([*widths, 0.61 * columns(self.words["seconds"])]) + 1.8
        return [
            f"<table class='aula-timeline' lang='{self.language}' "
            f"style='{look.TABLE}'>",
            f"<caption style='{look.WIDE}'><b>{self._title()}</b></caption>",
            f"<colgroup><col style='width:{width:.1f}em'>"
            f"<col style='{self._paper()}'></colgroup>",
            self._wide(" ".join(self._legend())),
            *lanes,
            f"<tr style='{look.ROW}'>"
            f"<td style='{look.HEAD}'>{self.words['seconds']}</td>"
            f"<td style='{look.CELL};overflow:hidden'>"
            f"{' '.join(self._axis())}</td></tr>",
            *([self._wide(escape(self.more))] if self.more else []),
            "</table>",
        ]

    # Where, how long, and in which words.

    def _share(self, seconds: float) -> float:
        """A time in percent of a row."""
        return WIDTH * min(max(seconds / self.total, 0.0), 1.0)

    def _at(self, moment: float) -> str:
        return look.number(self._share(moment - self.recorder.began), 1)

    def _time(self, seconds: float) -> str:
        if seconds >= 0.9995:
            return self._comma(f"{look.number(seconds, 2)} s")
        ms = 1000 * seconds
        digits = 0 if ms >= 10 else 1 if ms >= 1 else 2
        return self._comma(f"{look.number(ms, digits)} ms")

    def _comma(self, text: str) -> str:
        return text.replace(".", ",") if self.language == "es" else text

    def _say(self, key: str, time: float = 0.0, **values: object) -> str:
        return self.words[key].format(time=self._time(time), **values)

    def _title(self) -> str:
        tasks = [lane for lane in self.recorder.lanes if lane.shown]
        count = len(tasks) - (self.recorder.own in tasks)
        key = f"{count} tasks" if count < 2 else "tasks"
        what = self._say(key, count=count)
        return self._say("title", self.total, what=what)

    def _says(self, bar: Bar) -> str:
        """A bar in words."""
        if bar.kind == "created":
            key = "created-for" if bar.steps else "never"
            return self._say(key, bar.ended - bar.began)
        parts = []
        if bar.steps:
            kind = bar.kind if bar.kind in ("blocks", "many") else "runs"
            parts.append(self._say(f"{kind}-for", bar.ran, count=bar.steps))
        if bar.waited:
            kind = "waits-in" if bar.call else "waits-for"
            parts.append(self._say(kind, bar.waited, call=bar.call))
        if len(parts) == 1:
            return parts[0]
        return self._say("then", first=parts[0], then=parts[1])

    def _asked(self, moment: float, by: str, asker: Lane | None) -> str:
        """A request to cancel, in words."""
        what = self._say(f"by-{by}")
        if by == "call" and asker in self.lanes:
            label = self.names[self.lanes.index(asker)]
            what = self._say("by-lane", label=label)
        return self._say("at", moment - self.recorder.began, what=what)

    def _ended(self, lane: Lane) -> tuple[str, str]:
        """How a lane ended, and that in words; nothing of the block's own."""
        if lane is self.recorder.own:
            return "", ""
        how, value = lane.outcome()
        return how, self.ends[how].format(value=value)

    def _summary(self, lane: Lane, end: str) -> str:
        """A whole lane in words."""
        created, begun, last = lane.moments(self.recorder.finished)
        ran = sum(ended - began for began, ended in lane.steps)
        blocked = sum(ended - began for began, ended in lane.blocks)
        times = {
            "runs": ran - blocked,
            "blocks": blocked,
            "waits": last - begun - ran,
        }
        parts = [
            self._say(f"{kind}-for", time)
            for kind, time in times.items()
            if time > 0
        ]
        began = self.recorder.began
        span = self.words["from"].format(
            start=self._time(created - began), end=self._time(last - began)
        )
        said = [f"{span}: {', '.join(parts)}" if parts else span]
        parent = bars.creator(lane, self.lanes)
        if parent not in (None, self.recorder.own):
            label = self.names[self.lanes.index(parent)]
            said.insert(0, self._say("created-by", label=label))
        said += [self._asked(*asked) for asked in lane.requests[:2]]
        return "; ".join([*said, end] if end else said)

    # The parts of the table.

    def _wide(self, text: str) -> str:
        return (
            f"<tr style='{look.ROW}'>"
            f"<td colspan='2' style='{look.WIDE}'>{text}</td></tr>"
        )

    def _lane(
        self, lane: Lane, name: str, indent: float, row: list[Bar]
    ) -> str:
        how, end = self._ended(lane)
        summary = escape(self._summary(lane, end))
        parts = [f"<span style='{look.UNSEEN}'>{summary}</span>"]
        parts += map(self._bar, row)
        for asked in lane.requests[:MOST_REQUESTS]:
            kind = asked[1] if asked[1] in look.TICKS else "call"
            self.seen.add(kind)
            style = f"top:0;{look.tick(kind)}"
            says = self._asked(*asked)
            parts.append(
                self._placed(
                    "span", asked[0], style, says, look.TICKS[kind][0]
                )
            )
        if how:
            self.seen.add(how)
            style = f"top:.35em;margin-left:4px;{look.mark(how)}"
            last = lane.moments(self.recorder.finished)[-1]
            parts.append(self._placed("b", last, style, end, chart.MARKS[how]))
        return (
            f"<tr style='{look.ROW}'>"
            f"<th scope='row' style='{look.HEAD}{self._indented(indent)}'>"
            f"{_breakable(name)}</th>"
            f"<td style='{look.CELL}'>{' '.join(parts)}</td></tr>"
        )

    def _indented(self, indent: float) -> str:
        return f";padding-left:{look.em(0.4 + indent)}" if indent else ""

    def _bar(self, bar: Bar) -> str:
        self.seen |= {
            "hair": {"runs"},
            "brief": {"runs"},
        }.get(bar.kind, {bar.kind})
        if bar.waited:
            self.seen.add("waits")
        # A name is written in smaller letters, of which it takes more.
        size = 1 / 0.9 if bar.named else 1.0
        top = {"created": 0.9, "runs": 0.5, "blocks": 0.1}.get(bar.kind, 0.35)
        share = self._share(bar.ended - bar.began)
        if bar.kind == "blocks":
            share = max(share, 0.3)
        style = (
            f"width:{look.number(share, 1)}%;"
            f"top:{look.em(top * size)};{look.bar(bar.kind, 1.2 * size)}"
        )
        says = self._says(bar)
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
            f"{style}' title='{escape(title)}'>{escape(text)}</{tag}>"
        )

    def _legend(self) -> Iterator[str]:
        for kind in ("created", "runs", "many", "waits", "blocks"):
            if kind in self.seen:
                style = f"{look.SWATCH};width:1.3em;{look.bar(kind, 0.7)}"
                yield self._item(style, "", self.words[kind])
        for kind, (mark, _) in look.TICKS.items():
            if kind in self.seen:
                style = f"{look.SWATCH};margin:0 .5em;{look.tick(kind)}"
                yield self._item(style, mark, self.words[kind])
        for kind, mark in chart.MARKS.items():
            if kind in self.seen:
                style = f"{look.SWATCH};{look.mark(kind)}"
                word = self.ends[kind].format(value="").strip()
                yield self._item(style, mark, word)

    def _item(self, style: str, mark: str, word: str) -> str:
        return (
            f"<span style='{look.ITEM}'><span style='{style}'>{mark}</span> "
            f"{word}</span>"
        )

    def _axis(self) -> Iterator[str]:
        digits = max(0, -floor(log10(self.step) + 1e-9))
        count = int(99.5 / WIDTH * self.total / self.step)
        for n in range(count + 1):
            at = look.number(WIDTH * n * self.step / self.total, 1)
            place = "margin-left:-2.5em;text-align:center"
            label = self._comma(f"{n * self.step:.{digits}f}")
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


def _breakable(name: str) -> str:
    """A name that may go on in a further line, if it is long."""
    if columns(name) <= LONGEST:
        return escape(name)
    return "<wbr>".join(map(_unbroken, re.split(r"(?<=, )|(?<=\()", name)))


def _unbroken(part: str) -> str:
    """A part of a name that stays in one line, if it can."""
    if columns(part) <= LONGEST:
        return f"<span style='white-space:nowrap'>{escape(part)}</span>"
    pieces = re.split(rf"(?<=_)|(?<=\S{{{LONGEST}}})", part)
    return "<wbr>".join(map(escape, pieces))
