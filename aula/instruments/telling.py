"""Says in words what the parts of a picture show, and how long they took."""

from __future__ import annotations

from aula.instruments import chart, lines
from aula.instruments.bars import Bar, Fill
from aula.instruments.labels import cut
from aula.instruments.lanes import Lane
from aula.instruments.look import number
from aula.instruments.record import Recorder
from aula.instruments.stores import Store

LONG = 0.02  # seconds from which a step might be taken for one that blocks
WORTH = 0.0009  # seconds of a step that are told beside the wait behind it
LONGEST_LINE = 50  # characters of a line of code

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
        "blocks": "bloquea el bucle 0,1 s o más: nadie más corre",
        "thread": "en un hilo",
        "process": "en otro proceso",
        "deadline": "vence un plazo",
        "call": "se pide cancelar",
        "items": "cuántos hay dentro",
        "waiting": "alguien espera",
        "in-it": "{held} dentro",
        "of-size": "{held} de {size} dentro",
        "taken": "ocupado",
        "free": "libre",
        "set": "activado",
        "unset": "sin activar",
        "fill": "{what}, {waited} esperando, durante {time}",
        "fill-most": "como mucho {what}, {waited} esperando, durante {time}",
        "created-by": "creada por {label}",
        "created-for": "creada; empieza {time} después",
        "never": "creada; en {time} no llega a empezar",
        "runs-for": "corre {time}",
        "nearly": "{what} (desde 0,1 s se diría que bloquea el bucle)",
        "many-for": "corre {count} veces, {time} en total",
        "waits-for": "espera {time}",
        "waits-task": "espera {time} a {label}",
        "waits-in": "espera {time} en {call}",
        "blocks-for": "bloquea el bucle {time}",
        "then": "{first}; luego {then}",
        "by-deadline": "vence un plazo, y la cancela",
        "by-group": "su grupo pide cancelarla",
        "by-call": "se pide cancelarla",
        "by-lane": "{label} pide cancelarla",
        "line": "{what}, en la línea {number}: {code}",
        "thread-for": "en un hilo {time}",
        "process-for": "en otro proceso {time}",
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
        "blocks": "blocks the loop for 0.1 s or more: nobody else runs",
        "thread": "in a thread",
        "process": "in another process",
        "deadline": "a deadline strikes",
        "call": "asked to cancel",
        "items": "how many are in it",
        "waiting": "somebody waits",
        "in-it": "{held} in it",
        "of-size": "{held} of {size} in it",
        "taken": "taken",
        "free": "free",
        "set": "set",
        "unset": "not set",
        "fill": "{what}, {waited} waiting, for {time}",
        "fill-most": "at most {what}, {waited} waiting, for {time}",
        "created-by": "created by {label}",
        "created-for": "created; starts {time} later",
        "never": "created; does not start in {time}",
        "runs-for": "runs {time}",
        "nearly": "{what} (from 0.1 s on it would be said to block the loop)",
        "many-for": "runs {count} times, {time} in all",
        "waits-for": "waits {time}",
        "waits-task": "waits {time} for {label}",
        "waits-in": "waits {time} in {call}",
        "blocks-for": "blocks the loop {time}",
        "then": "{first}; then {then}",
        "by-deadline": "a deadline strikes, and cancels it",
        "by-group": "its group asks it to end",
        "by-call": "it is asked to end",
        "by-lane": "{label} asks it to end",
        "line": "{what}, at line {number}: {code}",
        "thread-for": "in a thread {time}",
        "process-for": "in another process {time}",
        "at": "at {time}: {what}",
        "from": "from {start} to {end}",
    },
}


class Teller:
    """Knows the words of a picture, and the names of its rows.

    Attributes:
        words: those of its own.
        ends: how tasks end.
        names: of each lane drawn.
    """

    def __init__(
        self, recorder: Recorder, language: str, names: dict[Lane, str]
    ) -> None:
        self.language = language
        self.words = TEXT[language]
        self.ends = chart.TEXT[language]
        self.names = names
        self._recorder = recorder

    def time(self, seconds: float) -> str:
        """A time, as exact as matters."""
        if seconds >= 0.9995:
            return self.comma(f"{number(seconds, 2)} s")
        ms = 1000 * seconds
        digits = 0 if ms >= 10 else 1 if ms >= 1 else 2
        return self.comma(f"{number(ms, digits)} ms")

    def comma(self, text: str) -> str:
        """A number as the language writes it."""
        return text.replace(".", ",") if self.language == "es" else text

    def say(self, key: str, time: float = 0.0, **values: object) -> str:
        """A phrase with a time in it."""
        return self.words[key].format(time=self.time(time), **values)

    def title(self) -> str:
        """What the picture is of."""
        tasks = [lane for lane in self._recorder.lanes if lane.shown]
        count = len(tasks) - (self._recorder.own in tasks)
        key = f"{count} tasks" if count < 2 else "tasks"
        total = self._recorder.finished - self._recorder.began
        return self.say("title", total, what=self.say(key, count=count))

    def bar(self, bar: Bar) -> str:
        """A bar in words."""
        if bar.kind == "created":
            key = "created-for" if bar.steps else "never"
            return self.say(key, bar.ended - bar.began)
        parts = []
        if bar.steps and (bar.ran >= WORTH or not bar.waited):
            kind = bar.kind
            if kind in ("brief", "hair"):
                kind = "runs"
            said = self.say(f"{kind}-for", bar.ran, count=bar.steps)
            if kind == "runs" and bar.steps == 1 and bar.ran >= LONG:
                said = self.say("nearly", what=said)
            parts.append(said)
        if bar.waited:
            label = self.names.get(bar.awaited) if bar.awaited else None
            kind = "waits-in" if bar.call else "waits-for"
            if label is not None:
                kind = "waits-task"
            parts.append(
                self.say(kind, bar.waited, call=bar.call, label=label)
            )
        if len(parts) == 1:
            said = parts[0]
        else:
            said = self.say("then", first=parts[0], then=parts[1])
        return self._at_line(said, bar.place)

    def row(self, lane: Lane) -> str:
        """Who created a task, at which line, and what it did in all."""
        creator = lane.creator_among([*self.names])
        said = ""
        if creator is not None:
            said = self.say("created-by", label=self.names[creator])
        elif lane.place is not None:
            said = self.words["created"]
        if said:
            said = self._at_line(said, lane.place)
        return "; ".join(filter(None, [said, self._times(lane)]))

    def asked(self, moment: float, by: str, asker: Lane | None) -> str:
        """A request to cancel, in words."""
        what = self.say(f"by-{by}")
        if by == "call" and asker in self.names:
            what = self.say("by-lane", label=self.names[asker])
        return self.say("at", moment - self._recorder.began, what=what)

    def end(self, lane: Lane) -> str:
        """How a lane ended; nothing of the block's own."""
        own = lane is self._recorder.own
        return "" if own else chart.end_of(lane, self.ends)

    def end_at(self, lane: Lane) -> str:
        """The same, and at which line it raised."""
        error = lane.error
        place = None if error is None else lines.raised_in(error)
        return self._at_line(self.end(lane), place)

    def summary(self, lane: Lane) -> str:
        """A whole lane in words."""
        created, _, last = lane.moments(self._recorder.finished)
        began = self._recorder.began
        span = self.words["from"].format(
            start=self.time(created - began), end=self.time(last - began)
        )
        times = self._times(lane)
        said = [f"{span}: {times}" if times else span]
        creator = lane.creator_among([*self.names])
        if creator is not None and creator is not self._recorder.own:
            said.insert(0, self.say("created-by", label=self.names[creator]))
        said += [self.asked(*asked) for asked in lane.requests[:2]]
        return "; ".join([*said, *filter(None, [self.end(lane)])])

    def _times(self, lane: Lane) -> str:
        """How long it ran, blocked and waited in all."""
        _, begun, last = lane.moments(self._recorder.finished)
        ran = sum(ended - began for began, ended in lane.steps)
        blocked = sum(ended - began for began, ended in lane.blocks)
        times = {
            "runs": ran - blocked,
            "blocks": blocked,
            "waits": last - begun - ran,
        }
        if lane.job is not None:
            kind = "thread" if lane.job.in_thread else "process"
            times = {kind: last - begun}
        return ", ".join(
            self.say(f"{kind}-for", time)
            for kind, time in times.items()
            if time > 0
        )

    def fill(self, store: Store, fill: Fill) -> str:
        """How full something was, in words."""
        if store.size is not None:
            key = "of-size" if store.size else "in-it"
        elif store.is_event:
            key = "set" if fill.held else "unset"
        else:
            key = "taken" if fill.held else "free"
        what = self.say(key, held=fill.held, size=store.size)
        return self.say(
            "fill-most" if fill.joined else "fill",
            fill.ended - fill.began,
            what=what,
            waited=fill.waited,
        )

    def fill_in_short(self, store: Store, fill: Fill) -> str:
        """The same in a few characters."""
        parts = []
        if store.size is not None:
            size = f"/{store.size}" if store.size else ""
            parts.append(f"{fill.held}{size}")
        if fill.waited:
            parts.append(f"+{fill.waited}")
        return " ".join(parts)

    def _at_line(self, what: str, place: lines.Place | None) -> str:
        if place is None:
            return what
        line, code = lines.line_of(place)
        if not code:
            return what
        code = cut(code, LONGEST_LINE)
        return self.say("line", what=what, number=line, code=code)
