"""How the parts of a picture look: styles of elements in HTML.

JupyterLab's sanitizer keeps them all; it would drop a variable, ``calc()``
and most that is newer. Sizes are in em, so that they grow with the text.
"""

from __future__ import annotations

# They stay apart for the colour-blind, and from the paper of light and dark
# themes by 3 to 1; what is written in a bar, from the bar by 4.5 to 1.
RUNS = "#16c"
WAITS = "#bde"
BLOCKS = "#c50"
SHADE = "#d603"  # upon any paper, as the grid is
GRID = "#8886"
INK = "#222"
ASKED = "#d0214f"
ENDS = {
    "returned": "#00855a",
    "raised": "#d0214f",
    "cancelled": "#767676",
    "pending": RUNS,
    "unstarted": "#767676",
}
FILL = "#85b"
FILLS = ("items", "taken", "set", "waiting")
# In the order of the legend.
BARS = ("created", "runs", "many", "waits", "thread", "process", "blocks")
TICKS = {"deadline": ("▼", "solid"), "call": ("▽", "dotted")}

TABLE = (
    "width:100%;max-width:70em;margin:0;table-layout:fixed;"
    "border-collapse:collapse"
)
ROW = "background:#0000"  # themes stripe the rows of a table
HEAD = (
    "text-align:left;vertical-align:top;padding:.25em .7em .25em .4em;"
    "font:1em/1.4 monospace,monospace"
)
CELL = "position:relative;padding:0"
# What bars, and what is written in them, inherit.
LANE = (
    f"{CELL};font:.9em/1.4 monospace,monospace;text-align:left;"
    "white-space:nowrap"
)
WIDE = "text-align:left;padding:.2em .4em"
# Read aloud, and not seen.
UNSEEN = "position:absolute;width:100%;height:1px;overflow:hidden;opacity:0"
AMOUNT = ";text-indent:.3em;overflow:hidden"
NAME = f"{AMOUNT};text-overflow:ellipsis;color:{INK}"
HIGH = 1.33  # em of a bar
ITEM = "display:inline-block;margin-right:1em"
SWATCH = "display:inline-block;vertical-align:middle"


def bar(kind: str, high: float) -> str:
    """The style of a bar, wherever it stands.

    Arguments:
        high: how high it is, in em.
    """
    edges = f"height:{em(high)};border:solid {RUNS};border-width"
    core = f"{WAITS} 35%,{RUNS} 0 65%,{WAITS} 0"
    hatch = f"135deg,{RUNS} 25%,{WAITS} 0 50%,{RUNS} 0 75%,{WAITS} 0"
    stripes = f"90deg,{RUNS} 2px,{WAITS} 2px"
    return {
        "created": "border-top:2px dotted",
        "waits": f"{edges}:1px 0;background:{WAITS}",
        "hair": f"{edges}:1px 0 1px 2px;background:{WAITS}",
        "line": f"height:{em(high)};border-left:2px solid {RUNS}",
        "brief": f"{edges}:1px 0 1px 2px;background:linear-gradient({core})",
        "many": f"{edges}:1px 0;background:linear-gradient({stripes}) 0/5px",
        "thread": f"{edges}:1px;background:linear-gradient({hatch}) 0/7px 7px",
        "runs": f"border-top:{em(high - 0.3)} solid {RUNS}",
        "blocks": f"border-top:{em(high + 0.5)} solid {BLOCKS}",
    }["thread" if kind == "process" else kind]


def fill(share: float, waiting: bool, high: float) -> str:
    """The style of how full something is, and whether somebody waits.

    Arguments:
        share: from 0 to 1.
        high: how high it is, in em.
    """
    full = f"linear-gradient(0deg,{FILL}8 {number(100 * share, 0)}%,#0000 0)"
    if share in (0, 1):
        full = f"{FILL}8" if share else "#0000"
    return (
        f"height:{em(high)};border:solid {FILL};"
        f"border-width:{'2px' if waiting else '0'} 0 1px;background:{full}"
    )


def tick(kind: str) -> str:
    """The style of a tick: a mark, and a line below it."""
    return (
        f"border-left:2px {TICKS[kind][1]};color:{ASKED};width:0;"
        "font:1.3em/.6 sans-serif;height:1.3em;text-indent:-.45em"
    )


def mark(end: str) -> str:
    """The style of the mark where a task ended."""
    return (
        "width:1.4em;border-radius:1em;text-align:center;color:#fff;"
        f"background:{ENDS[end]}"
    )


def number(value: float, digits: int) -> str:
    """A number without the zeros that say nothing."""
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if digits else text


def em(value: float) -> str:
    """A length in as few letters as can be."""
    return number(value, 2).removeprefix("0") + "em"
