"""How a coroutine, a value or a text reads as a label.

A label is one short line, and reads the same in every run.
"""

from __future__ import annotations

import inspect
import re
from types import BuiltinFunctionType, FrameType, FunctionType, MethodType
from typing import Any

from aula.instruments import frames, tasks
from aula.instruments.jobs import Job
from aula.learner import is_aula, is_library

FUNCTIONS = FunctionType, BuiltinFunctionType, MethodType
LONGEST_VALUE = 32  # characters of a value in a label
LONGEST_LABEL = 60  # characters of a label
JOINER = "\N{ZERO WIDTH JOINER}"
# What repr escapes: the parts' joiner, and an emoji newer than this Python.
EMOJI = re.compile(r"\\\\|\\u200d|\\U0001f[0-9a-f]{3}")
# What no font has, half a character, and what turns the line around.
UNWRITABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def is_learners(coro: Any, asker: FrameType | None) -> bool:
    """Whether a task deserves a lane: a handler, or made by no library.

    Arguments:
        coro: what the task runs.
        asker: the frame that asks for it; None where the loop itself does.
    """
    if frames.handler_run_by(coro) is not None:
        return True
    if tasks.is_asyncios_own(coro):
        return False
    if asker is None:
        # The loop makes it on behalf of whoever wrote the coroutine.
        return not is_librarys(coro)
    filename = asker.f_code.co_filename
    # What a check runs to watch an answer is none of its tasks.
    return not is_library(filename) and not (
        is_aula(filename) and is_aulas(coro)
    )


def is_librarys(coro: Any) -> bool:
    """Whether a coroutine is a library's, or cannot be looked into."""
    code = getattr(coro, "cr_code", None)
    return code is None or is_library(code.co_filename)


def is_aulas(coro: Any) -> bool:
    """Whether a coroutine is a check's, or another part of this package's."""
    code = getattr(coro, "cr_code", None)
    return code is not None and is_aula(code.co_filename)


def call(coro: Any) -> str:
    """A coroutine as the call that made it: ``brew("latte", 0.2)``.

    That of a server's connection bears the name of its handler.
    """
    handler = frames.handler_run_by(coro)
    if handler is not None:
        return frames.name_of(handler)
    frame = tasks.frame_of(coro)
    name = str(getattr(coro, "__name__", type(coro).__name__))
    if frame is None:
        return name
    awaitable = tasks.wrapped_awaitable(coro)
    if awaitable is not None:
        return f"{type(awaitable).__name__}()"
    code, values = frame.f_code, dict(frame.f_locals)
    variables = list(code.co_varnames)
    plain = variables[: code.co_argcount]
    keywords = variables[code.co_argcount :][: code.co_kwonlyargcount]
    stars = variables[code.co_argcount + code.co_kwonlyargcount :]
    args: tuple[Any, ...] = ()
    options: dict[str, Any] = {}
    if code.co_flags & inspect.CO_VARARGS:
        args = values.get(stars.pop(0), ())
    if code.co_flags & inspect.CO_VARKEYWORDS:
        options = values.get(stars.pop(0), {})
    owner = None
    if plain[:1] in (["self"], ["cls"]):
        owner = values.get(plain.pop(0))
    defaults = _defaults(frame, owner)

    def is_default(arg: str) -> bool:
        return arg in defaults and values.get(arg) is defaults[arg]

    while plain and not args and is_default(plain[-1]):
        plain.pop()
    parts = [_argument(values[a], a) if a in values else a for a in plain]
    parts += [_argument(arg) for arg in args]
    options = {a: values.get(a) for a in keywords if not is_default(a)} | (
        options
    )
    parts += [f"{a}={_argument(arg, a)}" for a, arg in options.items()]
    return cut(f"{name}({', '.join(parts)})", LONGEST_LABEL)


def job(job: Job) -> str:
    """A job of a thread as a call: ``grind("latte")``."""
    parts = [_argument(arg) for arg in job.args]
    parts += [f"{a}={_argument(arg)}" for a, arg in job.options.items()]
    name = getattr(job.function, "__name__", type(job.function).__name__)
    return cut(f"{name}({', '.join(parts)})", LONGEST_LABEL)


def _argument(arg: Any, name: str = "…") -> str:
    """An argument; its name if nothing else reads the same in each run."""
    if inspect.iscoroutine(arg):
        return call(arg)
    if isinstance(arg, FUNCTIONS):
        called = getattr(arg, "__name__", name)
        return called if called.isidentifier() else name  # not <lambda>
    return value(arg) or name


def _defaults(frame: FrameType, owner: Any) -> dict[str, Any]:
    """The defaults of the function that a frame runs, if it can be found."""
    code = frame.f_code
    if owner is None:
        function = frame.f_globals.get(code.co_name)
    else:
        kind = owner if isinstance(owner, type) else type(owner)
        function = inspect.getattr_static(kind, code.co_name, None)
        function = getattr(function, "__func__", function)
    function = getattr(function, "__wrapped__", function)
    if function is None or getattr(function, "__code__", None) is not code:
        return {}
    last = reversed(code.co_varnames[: code.co_argcount])
    ends = reversed(function.__defaults__ or ())
    return dict(zip(last, ends, strict=False)) | (
        function.__kwdefaults__ or {}
    )


def value(value: Any) -> str | None:
    """A value in a label; None for one that reads differently each run."""
    if type(value) in (str, bytes, bytearray):
        value = value[:LONGEST_VALUE]  # megabytes take seconds to write
    try:
        text = repr(value)
        if type(value) is set and value:
            text = f"{{{', '.join(sorted(map(repr, value)))}}}"
    except Exception:
        return None
    text = EMOJI.sub(_plain, text)
    if type(value) is str:
        return cut(text if '"' in text else f'"{text[1:-1]}"')
    # An object without a repr of its own, or something that holds one.
    if re.search(r" at 0x|(?<!['\"\w])<", text):
        return None
    return cut(text)


def cut(text: str, longest: int = LONGEST_VALUE) -> str:
    """A text in one line, cut off if long, that can be shown anywhere."""
    first, *lines = re.split(r"[\r\n]+", text)
    if lines:
        *between, last = lines
        inner = [line.strip() for line in between if not line.isspace()]
        text = " ".join([first.rstrip(), *inner, last.lstrip()])
    text = UNWRITABLE.sub(_escaped, text)
    if len(text) <= longest:
        return text
    # Half an emoji ends in what joins it to its other half.
    return f"{text[: longest - 1].rstrip(JOINER)}…"


def _plain(found: re.Match[str]) -> str:
    """A character that repr has escaped; or a backslash, as it stands."""
    text = found[0]
    if text == r"\\":
        return text
    return text.encode("ascii").decode("unicode_escape")


def _escaped(found: re.Match[str]) -> str:
    """A character as Python writes it in a string."""
    return found[0].encode("unicode_escape").decode()
