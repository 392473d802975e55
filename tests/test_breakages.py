"""What each breakage makes of a program."""

import ast
from textwrap import dedent

import breakages
import pytest
from breakages import BREAKAGES, broken

# Of each breakage: a program, and what it makes of it.
MADE = [
    (
        breakages.AwaitDropped,
        "await one(await two())",
        ["one(await two())", "await one(two())"],
    ),
    (
        breakages.StatementDropped,
        """
        def f():
            import json
            g()
            if h():
                return json
        """,
        [
            """
            def f():
                import json
                if h():
                    return json
            """,
            """
            def f():
                import json
                g()
            """,
            """
            def f():
                import json
                g()
                if h():
                    pass
            """,
        ],
    ),
    (
        breakages.MovedOut,
        """
        for x in xs:
            f(x)
            g(x)
        """,
        [
            """
            f(x)
            for x in xs:
                g(x)
            """,
            """
            for x in xs:
                f(x)
            g(x)
            """,
        ],
    ),
    (
        breakages.MovedIn,
        """
        f()
        async with lock:
            g()
        h()
        """,
        [
            """
            async with lock:
                f()
                g()
            h()
            """,
            """
            f()
            async with lock:
                g()
                h()
            """,
        ],
    ),
    (
        breakages.OneAfterAnother,
        "await asyncio.gather(f(), *[g(x) for x in xs], *others)",
        [
            "[await f(), *[await g(x) for x in xs], "
            "*[await each for each in others]]"
        ],
    ),
    (
        breakages.OneAfterAnother,
        "group.create_task(f())",
        ["await group.create_task(f())"],
    ),
    (
        breakages.AllAtOnce,
        "done = [await f(x) for x in xs]",
        ["done = await asyncio.gather(*[f(x) for x in xs])"],
    ),
    (
        breakages.AllAtOnce,
        """
        for x in xs:
            await f(x)
        """,
        ["await asyncio.gather(*[f(x) for x in xs])"],
    ),
    (
        breakages.OneElement,
        "[f(x) for x in xs]",
        ["[f(x) for x in list(xs)[:1]]", "[f(x) for x in list(xs)[-1:]]"],
    ),
    (
        breakages.OneElement,
        """
        async for x in xs:
            f(x)
        """,
        [
            """
            async for x in xs:
                f(x)
                break
            """
        ],
    ),
    (
        breakages.ExceptChanged,
        """
        try:
            f()
        except ConnectionClosed:
            g()
        """,
        [
            "f()",
            """
            try:
                f()
            except Exception:
                g()
            """,
            """
            try:
                f()
            except ConnectionClosedOK:
                g()
            """,
            """
            try:
                f()
            except ConnectionClosedError:
                g()
            """,
        ],
    ),
    (
        breakages.ExceptChanged,
        """
        try:
            f()
        except (KeyError, asyncio.QueueFull):
            g()
        finally:
            h()
        """,
        [
            """
            try:
                f()
            finally:
                h()
            """,
            """
            try:
                f()
            except (asyncio.QueueFull,):
                g()
            finally:
                h()
            """,
            """
            try:
                f()
            except (KeyError,):
                g()
            finally:
                h()
            """,
            """
            try:
                f()
            except Exception:
                g()
            finally:
                h()
            """,
        ],
    ),
    (
        breakages.ExceptChanged,
        "suppress(websockets.ConnectionClosedOK)",
        ["suppress(websockets.ConnectionClosed)"],
    ),
    (
        breakages.ExceptChanged,
        "suppress(KeyError, Exception)",
        [
            "suppress(Exception, Exception)",
            "suppress(Exception)",
            "suppress(KeyError, BaseException)",
            "suppress(KeyError, ValueError)",
            "suppress(KeyError)",
        ],
    ),
    (
        breakages.CopyNotTaken,
        "list(a), b.copy(), [*c], d[:], copy.copy(e)",
        [
            "a, b.copy(), [*c], d[:], copy.copy(e)",
            "list(a), b, [*c], d[:], copy.copy(e)",
            "list(a), b.copy(), c, d[:], copy.copy(e)",
            "list(a), b.copy(), [*c], d, copy.copy(e)",
            "list(a), b.copy(), [*c], d[:], e",
        ],
    ),
    (
        breakages.NotWrapped,
        "await asyncio.wait_for(create_task(f()), 1)",
        [
            "await create_task(f())",
            "await asyncio.wait_for(f(), 1)",
        ],
    ),
    (
        breakages.NotClosed,
        """
        async with lock, connect() as websocket:
            f()
        """,
        [
            """
            async with connect() as websocket:
                f()
            """,
            """
            websocket = await connect()
            async with lock:
                f()
            """,
        ],
    ),
    (
        breakages.NotClosed,
        """
        try:
            f()
        finally:
            g()
        """,
        ["f()"],
    ),
    (
        breakages.ArgumentDropped,
        "f(a, b, c=d)",
        ["f(a, b)", "f(a, c=d)"],
    ),
    (
        breakages.OtherParameter,
        """
        def f(a, b):
            return a
        """,
        [
            """
            def f(a, b):
                return b
            """
        ],
    ),
]


def normal(code):
    return ast.unparse(ast.parse(dedent(code)))


@pytest.mark.parametrize(
    "breakage, before, after", MADE, ids=[m[0].__name__ for m in MADE]
)
def test_breakage(breakage, before, after):
    made = [*broken(dedent(before), breakage)]
    assert made == [normal(code) for code in after]


def test_each_is_shown():
    assert {made[0] for made in MADE} == {*BREAKAGES}
