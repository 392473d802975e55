"""The Spanish door: ``from aula.es import check, timeline``."""

from aula.door import open_door

__all__ = [
    "board",
    "check",
    "diagnose",
    "fresh",
    "progress",
    "timeline",
    "wiretap",
]

board, check, diagnose, fresh, progress, timeline, wiretap = open_door("es")
