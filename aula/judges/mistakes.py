"""Mistakes that exercises share, and how judges recognize them.

Their words stand in ``lessons/general.answers.md``. An error that tells
little ("object is not iterable") is recognized by the text that Python or a
library gives it; these texts stand here and nowhere else, and a test raises
each error on every Python.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConcurrencyError, ConnectionClosed

from aula.exercises.answer import close_unawaited, pieces
from aula.exercises.exercise import UNSET, Unawaited, Wrong
from aula.exercises.scope import hear_warnings
from aula.instruments.frames import refused_by_send
from aula.instruments.record import Recorder
from aula.instruments.tasks import failure, is_orphaned
from aula.judges.waiting import ends

# What Python says of ``for message in websocket``, of ``with`` in the place
# of ``async with`` and the reverse, and of a task made of a function.
NOT_ITERABLE = "Connection' object is not iterable"
NOT_PLAIN_WITH = "does not support the context manager protocol"
NOT_ASYNC_SUPPRESS = "'suppress' object does not support the async"
NEEDS_COROUTINE = "a coroutine was expected"
NOT_A_COROUTINE = f"{NEEDS_COROUTINE}, got <"
# What gather says of a collection given as one argument. Python 3.11 takes a
# generator for a coroutine, and fails later.
NEEDS_AWAITABLE = "awaitable is required"
NO_STAR = ("unhashable type", NEEDS_AWAITABLE)
NO_STAR_LATER = "Task got bad yield"
# What Python says of an operation on what is None.
NONE = "'NoneType'"
# What unpacking says, and what it says of one part where two were wanted and
# of what has no parts.
UNPACKED = "to unpack"
NOT_TWO_PARTS = "not enough values to unpack (expected 2, got 1)"
NO_PARTS = "cannot unpack non-iterable"
# What is said where a function is wanted and its call's coroutine was given.
NOT_CALLABLE = "'coroutine' object is not callable"
# What send says of what is neither text nor bytes.
NOT_DATA = "data must be"
# What bytes say of text: startswith, and ``in``.
NEEDS_BYTES = ("first arg must be bytes", "a bytes-like object is required")
# What ``^`` says of bytes, which it does not combine.
NO_XOR = "unsupported operand type(s) for ^"
# What a list of names such as Opcode says of a number that is not in it.
NO_MEMBER = "is not a valid"
# What asyncio.wait says of coroutines, and of no task at all.
NO_COROUTINES = "coroutines is forbidden"
NO_TASKS = "Set of Tasks/Futures is empty"
# What a call says of an argument that it does not have.
UNKNOWN = "unexpected keyword argument"
# What a loop over a collection says that has changed meanwhile.
CHANGED_SIZE = "changed size during iteration"
# What aiohttp's server says of a handler that returns no response.
NO_RESPONSE = "should return a response instance"
NO_RETURN = "Missing return statement"
# What its WebSocket says to those who go on receiving after the end.
SOCKET_CLOSED = "WebSocket connection is closed"
# What it says where two receive at once.
CONCURRENT_RECEIVE = "Concurrent call to receive()"
# What it says to those who receive or send before the handshake, and what a
# response says of a number for its text.
NOT_PREPARED = "Call .prepare() first"
NOT_RESPONSE_TEXT = "text argument must be str"
# What a call of ``make`` says that gets more or less than one drink.
WRONG_CALL_OF_MAKE = ".make() "
# What ``async for`` says of a list, and as_completed of ``*tasks``.
NOT_ASYNC_ITERABLE = "'async for' requires an object with __aiter__"
AS_COMPLETED_STAR = "as_completed() takes 1 positional argument"
# What asyncio says to those who would run a loop inside the one that runs.
SECOND_LOOP = (
    "from a running event loop",
    "event loop is already running",
    "while another loop is running",
)
# What it says to those who call gather where no loop runs, on Python 3.11
# and 3.12, 3.13 and 3.14.
NO_LOOP = ("no current event loop", "no running event loop")
# What a coroutine says that has ended and is sent more.
SENT_AFTER_ITS_END = "cannot reuse already awaited coroutine"
# What a program says that awaits outside its functions, and of a coroutine
# that nobody has awaited.
AWAIT_OUTSIDE = "'await' outside"
AWAIT_IN_PLAIN = "'await' outside async function"
NEVER_AWAITED = "was never awaited"
# What await says of what it cannot await, until Python 3.13 and from 3.14 on.
NOT_AWAITABLE = re.compile(
    r"object (\S+) can't be used in 'await' expression"
    r"|'(\S+)' object can't be awaited"
)


def uses(answer: Any, *names: str) -> bool:
    """Whether an answer's own code uses one of these as a global name.

    What stands in it, such as a comprehension, is code of its own.
    """
    code = getattr(answer, "__code__", None)
    return code is not None and not {*names}.isdisjoint(_names_in(code))


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names_in(inner)


def equal(seen: Any, expected: Any, mistake: str, **values: Any) -> None:
    """Refuse what is not equal to what was expected.

    Arguments:
        values: what the mistake's words quote.

    Raises:
        Wrong: the mistake, with both shown.
    """
    if seen != expected:
        raise Wrong(mistake, expected=expected, seen=seen, **values)


def refuse_changed(given: list[Any], expected: list[Any]) -> None:
    """Refuse an answer that has changed the list it was given.

    Raises:
        Wrong: list-changed.
    """
    equal(given, expected, "list-changed")


def refuse_none(seen: Any, expected: Any = UNSET) -> None:
    """Refuse an answer that returned nothing.

    Raises:
        Wrong: printed.
    """
    if seen is None:
        if expected is not UNSET:
            raise Wrong("printed", expected=expected, seen=seen)
        raise Wrong("printed")


def refuse_unawaited(seen: Any, mistake: str, **values: Any) -> None:
    """Refuse coroutines that were returned instead of awaited; close them.

    Arguments:
        seen: one of them, or a collection with some in it.
        values: what the mistake's words quote.

    Raises:
        Unawaited: the mistake.
    """
    if close_unawaited(seen):
        raise Unawaited(mistake, **values)


def refuse_future(seen: Any, mistake: str, **values: Any) -> None:
    """Refuse a task or ``gather`` that was returned instead of awaited.

    Arguments:
        values: what the mistake's words quote.

    Raises:
        Unawaited: the mistake.
    """
    if asyncio.isfuture(seen):
        # What gather is cancelled with is an orphan, unless it is retrieved.
        seen.add_done_callback(
            lambda done: done.cancelled() or done.exception()
        )
        seen.cancel()
        raise Unawaited(mistake, **values)


def refuse_bare_connect(error: Exception) -> None:
    """Without ``await`` or ``async``, ``connect()`` is no connection.

    Raises:
        Wrong: not-connected, or plain-with.
    """
    if NOT_PLAIN_WITH in f"{error}":
        raise named(error) from None
    if isinstance(getattr(error, "obj", None), connect) or (
        "'connect' object" in f"{error}"
    ):
        raise Wrong("not-connected", seen=error) from None


def holds_futures(seen: Any) -> bool:
    """Whether there are tasks or futures in the place of their results."""
    return any(isinstance(piece, asyncio.Future) for piece in pieces(seen))


def refuse_no_star(error: BaseException) -> None:
    """Refuse a collection where ``gather`` wants each coroutine.

    Raises:
        Unawaited: no-star; a generator's coroutines cannot be closed.
    """
    if has_no_star(error):
        discard(error)
        raise Unawaited("no-star", seen=error) from None


def has_no_star(error: BaseException) -> bool:
    """Whether ``gather`` complains of a collection given as one argument."""
    if NO_STAR_LATER in f"{error}":
        return True
    if not any(said in f"{error}" for said in NO_STAR):
        return False
    # It says the same of a function that was not called.
    return any(
        frame.f_code is asyncio.gather.__code__
        and not any(map(callable, frame.f_locals.get("coros_or_futures", ())))
        for frame in frames(error)
    )


def gathers_results(error: BaseException) -> bool:
    """Whether ``gather`` was given results: each had its own ``await``."""
    return NEEDS_AWAITABLE in f"{error}" and any(
        frame.f_code is asyncio.gather.__code__
        and not any(
            callable(each) or isinstance(each, Iterator | tuple | frozenset)
            for each in frame.f_locals.get("coros_or_futures", ())
        )
        for frame in frames(error)
    )


def refuse_never_made(
    asked: list[Any], expected: Any, error: TypeError | None = None
) -> None:
    """Refuse an answer that has not called ``make`` at all.

    Arguments:
        asked: what ``make`` was called with.
        error: what the answer raised.

    Raises:
        Wrong: never-made; or make-arguments, if it did not call it rightly.
    """
    if error is not None and WRONG_CALL_OF_MAKE in f"{error}":
        raise Wrong("make-arguments", seen=error) from None
    if not asked:
        raise Wrong("never-made", expected=expected)


def refuse_whole_list(asked: list[Any]) -> None:
    """Refuse a call of ``make`` that got all drinks at once.

    Raises:
        Wrong: whole-list.
    """
    for drink in asked:
        if not isinstance(drink, str):
            raise Wrong("whole-list", seen=drink)


def awaited(error: BaseException | None) -> str | None:
    """The type of what was awaited and cannot be, such as ``"function"``.

    Returns:
        its name; None if the error says something else.
    """
    said = NOT_AWAITABLE.search(f"{error}")
    if said is None or not isinstance(error, TypeError):
        return None
    return said[1] or said[2]


def awaits_none(error: BaseException) -> bool:
    """Whether None was awaited, such as the call of a plain function."""
    return awaited(error) == "NoneType"


def runs_second_loop(error: BaseException) -> bool:
    """Whether a loop was to run inside the one that runs already."""
    return any(said in f"{error}" for said in SECOND_LOOP)


def named(error: BaseException) -> BaseException:
    """The mistake behind an error that tells little, or else the error.

    Returns:
        ``Wrong`` plain-for, plain-with, async-suppress, task-of-function,
        call-unawaited, no-parentheses, two-recvs or wait-for-none; or the
        error itself.
    """
    if isinstance(error, ConcurrencyError):
        return Wrong("two-recvs", seen=error)
    if isinstance(error, ValueError) and NO_TASKS in f"{error}":
        return Wrong("wait-for-none", seen=error)
    text = f"{error}" if isinstance(error, TypeError) else ""
    if NOT_ITERABLE in text:
        return Wrong("plain-for", seen=error)
    if NOT_PLAIN_WITH in text:
        return Wrong("plain-with", seen=error)
    if NOT_ASYNC_SUPPRESS in text:
        return Wrong("async-suppress", seen=error)
    if NOT_A_COROUTINE in text:
        return Wrong("task-of-function", seen=error)
    for message in refused_by_send(error):
        if inspect.iscoroutine(message):
            close_unawaited(message)
            return Unawaited(
                "call-unawaited", call=message.__name__, seen=error
            )
        if inspect.isbuiltin(message) and isinstance(message.__self__, str):
            return Wrong(
                "no-parentheses", message=message.__name__, seen=error
            )
    return error


def lost(run: Recorder) -> list[BaseException]:
    """What the answer's tasks have raised and nobody has picked up.

    An exception that the answer itself has seen (by ``await``, by ``gather``
    or ``Task.exception()``, by a group that ends in ``except*``) is none of
    the check's business; nor is it that a client has gone.

    Returns:
        the exceptions, groups taken apart; where one tells little, the
        ``Wrong`` that is behind it.
    """
    orphans = [
        failure(lane.task)
        for lane in run.lanes
        if lane.shown and is_orphaned(lane.task)
    ]
    return [
        named(leaf)
        for error in orphans
        if error is not None
        for leaf in leaves(error)
        if not isinstance(leaf, ConnectionClosed)
    ]


def all_over(run: Recorder) -> bool:
    """Whether all tasks of the answer have ended."""
    # The first lane is the check's own.
    return all(not lane.shown or lane.task.done() for lane in run.lanes[1:])


async def refuse_unheard_cancel(task: asyncio.Future[Any]) -> None:
    """Cancel an answer that waits; refuse one that hides it or goes on.

    Raises:
        Wrong: cancel-unheard.
    """
    task.cancel()
    if not await ends(task) or not task.cancelled():
        if task.done() and not task.cancelled():
            task.exception()  # so that it is no orphan
        raise Wrong("cancel-unheard")


def leaves(error: BaseException) -> Iterator[BaseException]:
    """An exception, or those in a group."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def frames(error: BaseException) -> Iterable[FrameType]:
    """The frames that an exception has come through, outermost first."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        yield frame


def discard(error: BaseException) -> None:
    """Close the coroutines that a failed call has left behind.

    Otherwise the check would speak of them, and not of the call.
    """
    for frame in frames(error):
        close_unawaited([*frame.f_locals.values()])


@contextmanager
def naming_unawaited() -> Iterator[None]:
    """When an answer goes wrong, name the call whose ``await`` is missing.

    Raises:
        Unawaited: call-unawaited, in place of what the block raised.
    """
    with hear_warnings() as heard:
        try:
            yield
        except (AttributeError, Wrong) as error:
            _refuse_forgotten(error, heard)
            raise


def _refuse_forgotten(
    error: Exception, heard: list[warnings.WarningMessage]
) -> None:
    names = [f"{warning.message}" for warning in heard]
    coroutine = getattr(error, "obj", None)
    if inspect.iscoroutine(coroutine):
        close_unawaited(coroutine)
        names.append(f"'{coroutine.__qualname__}'")
    name = re.search(r"'Connection\.(\w+)'", " ".join(names))
    if name is not None:
        raise Unawaited("call-unawaited", call=name[1]) from None
