"""A board's file: its tokens, and what its owner may do with what it keeps."""

from __future__ import annotations

import csv
import os
import secrets
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from aula.board.server import Book
from aula.exercises.exercise import exercises

# What nobody confuses on a blackboard: no 0 and o, no 1, i and l.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
LENGTH = 10
ROLES = ("class", "screen")
# What a spreadsheet would take for a formula.
FORMULAS = ("=", "+", "-", "@", "\t", "\r")


class NotABoard(Exception):
    """A file is something else than a board's."""


def tokens_in(file: Path, renew: bool = False) -> dict[str, str]:
    """The tokens that a board's file keeps, made where there are none.

    Arguments:
        renew: whether to make new ones in any case.

    Raises:
        NotABoard: if it is another file; then it stays as it is.
        OSError, sqlite3.Error: if it cannot be read or written.
    """
    with suppress(FileExistsError):
        # Tokens are for nobody else who has an account on this machine.
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with closing(sqlite3.connect(file)) as book:
        try:
            found = book.execute("select name from sqlite_master").fetchall()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            raise NotABoard from None
        tables = {name for (name,) in found}
        if tables and not tables & {"tokens", "solved"}:
            raise NotABoard
        with book:
            book.execute(
                "create table if not exists tokens "
                "(role text primary key, token text not null)"
            )
            way = "replace" if renew else "ignore"
            for role in ROLES:
                token = "".join(
                    secrets.choice(ALPHABET) for _ in range(LENGTH)
                )
                book.execute(
                    f"insert or {way} into tokens values (?, ?)", [role, token]
                )
        return dict(book.execute("select role, token from tokens"))


def forget(book: Book, nick: str) -> int:
    """Delete what somebody solved, and tell how many exercises it was."""
    with book.connection as connection:
        done = connection.execute("delete from solved where nick = ?", [nick])
        return done.rowcount


def export(book: Book, file: Path) -> None:
    """Write all rows as a sheet that spreadsheets open, and run nothing of.

    Raises:
        OSError: if it cannot be written.
    """
    numbers = {one.name: one.number for one in exercises()}
    with file.open("w", encoding="utf-8-sig", newline="") as text:
        sheet = csv.writer(text)
        sheet.writerow(["nick", "exercise", "number", "time"])
        for nick, exercise, when in book.rows():
            mark = "'" if nick.startswith(FORMULAS) else ""
            moment = datetime.fromtimestamp(when, UTC)
            sheet.writerow(
                [
                    f"{mark}{nick}",
                    exercise,
                    numbers.get(exercise, ""),
                    moment.isoformat(timespec="seconds"),
                ]
            )
