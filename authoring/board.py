"""The classroom's board: its server is the program of the last lesson.

Cells tagged ``board`` are the parts of it: those that the lesson gives, and
solutions of its exercises. One after the other they are the server.
"""

from __future__ import annotations

from pathlib import Path

from authoring import source

HEAD = '''"""The server of the classroom's board: lesson 27's program.

`make build` writes it from the cells of the lesson that are tagged `board`.
Change it there.
"""
'''


def files(lessons: list[source.Lesson]) -> dict[Path, str]:
    """The board's server, as path and text.

    Arguments:
        lessons: the whole course; one without the last has no board.
    """
    cells = [
        cell.source.strip("\n")
        for lesson in lessons
        if lesson.number == source.CAPSTONE
        for cell in lesson.cells
        if source.BOARD in cell.tags
    ]
    if not cells:
        return {}
    imports, *parts = cells
    text = "\n\n\n".join([f"{HEAD}\n{imports}", *parts]) + "\n"
    return {source.ROOT / "aula" / "board" / "server.py": text}
