"""What the board answers to a browser: its page, or that it is well."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from aula.exercises.exercise import exercises
from aula.exercises.progress import lessons_in

LANGUAGES = ("es", "en")
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"  # in a clone
COURSE = '<script type="application/json" id="course">{}</script>'
HOST = r"[\w.-]+(:\d+)?|\[[\da-fA-F:.]+\](:\d+)?"

Answer = Callable[[ServerConnection, Request], Response | None]


def answering(prefix: str = "/") -> Answer:
    """What ``serve`` shall do with a request before any handshake.

    Arguments:
        prefix: what each path begins with, such as ``"/services/board/"``
            behind JupyterHub.

    Returns:
        a ``process_request``: the page and WebSockets at the prefix itself,
        below it ``healthz``, and nothing anywhere else.
    """
    text = fill(source(), course())
    policy = policy_for(text)

    def answer(
        connection: ServerConnection, request: Request
    ) -> Response | None:
        path = request.path.partition("?")[0]
        if path == f"{prefix}healthz":
            return connection.respond(200, "ok\n")
        if path not in (prefix, prefix.rstrip("/")):
            return connection.respond(404, "There is nothing here.\n")
        if "websocket" in request.headers.get("Upgrade", "").lower():
            return None
        response = connection.respond(200, text)
        host = request.headers.get("Host", "")
        # Not every browser takes WebSockets for its own server's.
        lines = f"ws://{host} wss://{host}" if re.fullmatch(HOST, host) else ""
        for name, value in {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": policy.format(lines=lines),
            "Cache-Control": "no-cache",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }.items():
            response.headers.pop(name, None)
            response.headers[name] = value
        return response

    return answer


def source() -> str:
    """The page as it is written, without any exercise."""
    file = resources.files("aula.board") / "page.html"
    return file.read_text(encoding="utf-8")


def course() -> dict[str, Any]:
    """Where each exercise stands, and the lessons' titles, if they are here.

    A board needs neither: it shows names that it does not know as well.
    """
    titles: dict[str, dict[str, str]] = {}
    for language in LANGUAGES:
        for lesson in lessons_in(NOTEBOOKS / language):
            titles.setdefault(lesson.number, {})[language] = lesson.title
    numbers = {one.name: one.number for one in exercises()}
    return {"exercises": numbers, "lessons": titles}


def fill(page: str, course: dict[str, Any]) -> str:
    """Put the course into the page, as data that no browser runs."""
    data = json.dumps(course, ensure_ascii=False).replace("<", "\\u003c")
    return page.replace(COURSE, COURSE.replace("{}", data))


def policy_for(page: str) -> str:
    """A policy under which a browser runs this page's own code, and no other.

    Its ``{lines}`` are the WebSockets that the page may open.
    """
    allowed = {
        kind: " ".join(
            f"'sha256-{b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"
            for code in re.findall(f"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        )
        for kind in ("script", "style")
    }
    return (
        f"default-src 'none'; script-src {allowed['script']}; "
        f"style-src {allowed['style']}; img-src data:; "
        "connect-src 'self' {lines}; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'self'"
    )
