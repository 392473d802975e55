"""A conversation as text, and as a sequence diagram for Mermaid."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace

from aula.display import columns
from aula.instruments.conversation import Step

MOST_LINES = 60  # lines of a talk; of a longer one the middle is left out
LAST_LINES = 20  # of these, lines for its end
ARROW_WIDTH = 75  # characters of a line over an arrow
NOTE_WIDTH = 30  # and in a note: Mermaid lets longer ones stick out

TEXT = {
    "es": {
        "title": "Conversación por WebSocket",
        "sent": "de {sender} a {receiver}",
        "open": "OPEN",
        "client": "cliente",
        "server": "servidor",
        "closed": "conexión TCP cerrada",
        "dropped": "conexión TCP cerrada sin CLOSE: código 1006",
        "left out": "tramas omitidas: {frames}",
        "other steps": "otros pasos omitidos: {steps}",
        "silence": "En este bloque no habló ninguna conexión WebSocket.",
        "connection handler failed": "falló el manejador",
        "process_request failed": "falló process_request",
        "process_response failed": "falló process_response",
        "rejected": "rechazó la respuesta",
        "opening handshake failed": "falló el apretón de manos",
        "! no valid HTTP request": "no es una petición HTTP válida",
    },
    "en": {
        "title": "Conversation over WebSocket",
        "sent": "{sender} to {receiver}",
        "open": "OPEN",
        "client": "client",
        "server": "server",
        "closed": "TCP connection closed",
        "dropped": "TCP connection closed without a CLOSE: code 1006",
        "left out": "frames left out: {frames}",
        "other steps": "other steps left out: {steps}",
        "silence": "No WebSocket connection spoke in this block.",
        "connection handler failed": "connection handler failed",
        "process_request failed": "process_request failed",
        "process_response failed": "process_response failed",
        "rejected": "rejected the response",
        "opening handshake failed": "opening handshake failed",
        "! no valid HTTP request": "not a valid HTTP request",
    },
}


def draw(
    lanes: dict[str, str], steps: list[Step], language: str
) -> dict[str, str]:
    """Draw what ``Conversation.read`` returns.

    Arguments:
        language: ``"es"`` or ``"en"``.

    Returns:
        data by MIME type: a diagram, ``text/vnd.mermaid``; the same for
        front ends that draw it in Markdown alone, ``text/markdown``; the same
        in words, ``text/plain``. The words alone if nobody spoke.
    """
    words = TEXT[language]
    if not steps:
        return {"text/plain": words["silence"]}
    names = _name(lanes, words)
    steps = [replace(step, text=_say(step, names, words)) for step in steps]
    diagram = _draw_diagram(names, steps, words)
    return {
        "text/plain": _draw_text(names, steps, words),
        "text/markdown": f"```mermaid\n{diagram}\n```",
        "text/vnd.mermaid": diagram,
    }


def _name(lanes: dict[str, str], words: dict[str, str]) -> dict[str, str]:
    """What each lane is called; those of one name are numbered."""
    names = {
        lane: name or words["client" if lane[0] == "c" else "server"]
        for lane, name in lanes.items()
    }
    for kind in "cs":
        _number_namesakes(names, kind)
    return names


def _number_namesakes(names: dict[str, str], kind: str) -> None:
    same = [name for lane, name in names.items() if lane[0] == kind]
    numbers: dict[str, int] = {}
    for lane, name in names.items():
        if lane[0] == kind and same.count(name) > 1:
            numbers[name] = numbers.get(name, 0) + 1
            names[lane] = f"{name} {numbers[name]}"


def _say(step: Step, names: dict[str, str], words: dict[str, str]) -> str:
    said = words.get(step.what, "")
    if step.client and "c2" in names:
        said += f" ({names[step.client]})"
    return ": ".join(filter(None, (said, step.text)))


def _cut_out(
    steps: list[Step], words: dict[str, str]
) -> tuple[list[Step], str, list[Step]]:
    """The beginning, the end, and how much is left out between them."""
    heights = [1 + len(step.headers) for step in steps]
    total = sum(heights)
    if total <= MOST_LINES:
        return steps, "", []
    first, last, frames, others = [], [], 0, 0
    for step, height, down_to in zip(
        steps, heights, itertools.accumulate(heights), strict=True
    ):
        if down_to <= MOST_LINES - LAST_LINES:
            first.append(step)
        elif down_to - height >= total - LAST_LINES:
            last.append(step)
        elif step.what == "frame":
            frames += 1
        else:
            others += 1
    gap = words["left out"].format(frames=frames)
    if others:
        gap += "; " + words["other steps"].format(steps=others)
    return first, gap, last


def _draw_text(
    names: dict[str, str], steps: list[Step], words: dict[str, str]
) -> str:
    first, gap, last = _cut_out(steps, words)
    rows = [(_who(step, names), step.text, step.headers) for step in first]
    if gap:
        rows.append(("…", gap, []))
    rows += [(_who(step, names), step.text, step.headers) for step in last]
    width = max(columns(who) for who, _, _ in rows)
    lines = []
    for who, text, headers in rows:
        lines.append(f"{who}{' ' * (width - columns(who))}  {text}")
        lines += [" " * (width + 4) + header for header in headers]
    return "\n".join(lines)


def _who(step: Step, names: dict[str, str]) -> str:
    between = " → " if step.is_sent else ", "
    return between.join(names[lane] for lane in step.lanes)


def _draw_diagram(
    names: dict[str, str], steps: list[Step], words: dict[str, str]
) -> str:
    first, gap, last = _cut_out(steps, words)
    drawn = {lane for step in first + last for lane in step.lanes}
    names = {lane: name for lane, name in names.items() if lane in drawn}
    lines = ["sequenceDiagram", f"accTitle: {words['title']}"]
    for lane, name in names.items():
        lines.append(f"participant {lane} as {_escape(name)}")
    for step in first:
        lines += _draw_step(step, len(names))
    if gap:
        ends = list(names)
        text = _wrap(gap, NOTE_WIDTH)
        lines.append(f"Note over {ends[0]},{ends[-1]}: {text}")
    for step in last:
        lines += _draw_step(step, len(names))
    # At the end, for those who have to read it as it is.
    lines.append(f"accDescr: {_escape(_tell(names, first, gap, last, words))}")
    return "\n".join(lines)


def _tell(
    names: dict[str, str],
    first: list[Step],
    gap: str,
    last: list[Step],
    words: dict[str, str],
) -> str:
    """The diagram for those who hear it: a sentence for each step."""
    told = [_tell_step(step, names, words) for step in first]
    if gap:
        told.append(gap)
    told += [_tell_step(step, names, words) for step in last]
    return " ".join(f"{sentence}." for sentence in told).translate(_HEARD)


def _tell_step(
    step: Step, names: dict[str, str], words: dict[str, str]
) -> str:
    ends = [names[lane] for lane in step.lanes]
    if step.is_sent:
        who = words["sent"].format(sender=ends[0], receiver=ends[1])
    else:
        who = ", ".join(ends)
    return "; ".join([f"{who}: {step.text}", *step.headers])


def _draw_step(step: Step, lanes: int) -> Iterator[str]:
    # A note over both ends would lie across the lanes between them.
    over = ",".join(step.lanes if lanes == 2 else step.lanes[:1])
    if step.is_sent:
        text = _wrap(step.text, ARROW_WIDTH)
        yield f"{'->>'.join(step.lanes)}: {text}"
        notes = step.headers
    else:
        notes = [step.text]
    if notes:
        text = "<br/>".join(_wrap(note, NOTE_WIDTH) for note in notes)
        yield f"Note over {over}: {text}"


# What Mermaid obeys: entities and the ends of statements, tags, directives,
# formulas, half of what it puts for an entity itself, and the words that make
# it drop the last ";" of a line. And what JupyterLab takes for a formula of
# Markdown, although it stands in a fence: \begin{x}, \\(x\\), @@0@@.
_OBEYED = re.compile(r"[#;&<%$ﬂ¶\\@]|style|classDef")

# JupyterLab looks for formulas in what it says to screen readers, too: $x$,
# \(x\), @@0@@. A wide dollar, and a joiner that nobody hears, begin none.
_HEARD = str.maketrans({"$": "＄", "\\": "\\\u2060", "@": "@\u2060"})


def _escape(text: str) -> str:
    """A text for Mermaid to show and not to obey."""
    return _OBEYED.sub(
        lambda found: f"#{ord(found[0][0])};{found[0][1:]}", text
    )


def _wrap(text: str, width: int) -> str:
    """A text for Mermaid, in lines that end at spaces where they can."""
    lines = [""]
    for word in re.split("(?<= )", text):
        if lines[-1] and len(_escape(lines[-1] + word.rstrip())) > width:
            lines.append("")
        for character in word:
            if len(_escape(lines[-1] + character.rstrip())) > width:
                lines.append("")
            lines[-1] += character
    return "<br/>".join(map(_escape, lines))
