"""The types of server.py, whose cells have none: it is a lesson's code."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from os import PathLike
from typing import Any

from websockets.asyncio.server import Server, ServerConnection

_Row = list[Any]

def read_object(message: str | bytes) -> dict[str, Any]: ...
async def read_hello(
    websocket: ServerConnection, tokens: dict[str, str], seconds: float
) -> dict[str, Any]: ...
def read_nick(hello: dict[str, Any]) -> str: ...
def read_solved(message: str | bytes) -> str: ...
async def show(
    websocket: ServerConnection,
    rows: list[_Row],
    screens: set[ServerConnection],
) -> None: ...
def event(row: _Row) -> str: ...
def publish(
    row: _Row, rows: list[_Row], screens: set[ServerConnection]
) -> None: ...

class Book:
    connection: sqlite3.Connection
    def __init__(self, path: str | PathLike[str]) -> None: ...
    def keep(self, rows: Sequence[_Row]) -> list[_Row]: ...
    def rows(self) -> list[_Row]: ...
    def close(self) -> None: ...

async def write(
    queue: asyncio.Queue[tuple[_Row, asyncio.Future[str | None]]],
    book: Book,
    tell: Callable[[_Row], None],
) -> None: ...
async def listen(
    websocket: ServerConnection,
    nick: str,
    queue: asyncio.Queue[tuple[_Row, asyncio.Future[str | None]]],
) -> None: ...
def serve_board(
    path: str | PathLike[str],
    tokens: dict[str, str],
    host: str | None = "127.0.0.1",
    port: int = 0,
    seconds: float = 5,
    **options: Any,
) -> AbstractAsyncContextManager[Server]: ...
