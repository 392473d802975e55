"""Breaks a program in one small way after another.

``cosmic`` does so in the ways that cosmic-ray knows, which any program has.
``broken`` does so in those that asyncio invites: each ``Breakage`` knows one,
and breaks a program in one of the places where that can be done. ``is_new``
tells which of what they make are programs, and not known already.
"""

from __future__ import annotations

import ast
import builtins
import copy
import itertools
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec

# Of each comparison the opposite and the neighbour, of each calculation one
# other. The rest of what cosmic-ray knows (an ``is`` for an ``==``, a shift
# for a sum) changes nothing or fails at once, and would flatter the tests.
CHANGES = {
    "ReplaceComparisonOperator": "Eq_NotEq NotEq_Eq Is_IsNot IsNot_Is "
    "Lt_LtE Lt_GtE LtE_Lt LtE_Gt Gt_GtE Gt_LtE GtE_Gt GtE_Lt",
    "ReplaceBinaryOperator": "Add_Sub Sub_Add Mul_Div Div_Mul FloorDiv_Mul "
    "Mod_Mul BitAnd_BitOr BitOr_BitAnd",
    "ReplaceUnaryOperator": "Delete_Not Delete_USub",
}


def is_wanted(operator: str) -> bool:
    kind, _, change = operator.removeprefix("core/").partition("_")
    return kind not in CHANGES or change in CHANGES[kind].split()


# The bodies that a statement may have.
BODIES = ("body", "orelse", "finalbody")


class Essence(ast.NodeTransformer):
    """Leaves out what does nothing: annotations, docstrings, ``pass``."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for name in BODIES:
            body = getattr(node, name, None)
            if isinstance(body, list):
                rest = [one for one in body if not _is_idle(one)]
                setattr(node, name, rest or [ast.Pass()] * len(body[:1]))
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    visit_AsyncFunctionDef = visit_FunctionDef


def _is_idle(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
    )


def essence(code: str) -> str:
    return ast.dump(Essence().visit(ast.parse(code)))


def cosmic(
    path: Path, unwanted: str = ""
) -> Iterator[tuple[MutationSpec, str]]:
    """What cosmic-ray makes of a program, of the kinds that are wanted.

    Arguments:
        unwanted: the name of an operator to leave out, beside those that are
            never wanted.
    """
    source = path.read_text("utf-8")
    with use_db(":memory:", WorkDB.Mode.create) as db:
        init([path], db, {})
        specs = [spec for item in db.work_items for spec in item.mutations]
    for spec in specs:
        name = spec.operator_name
        if is_wanted(name) and name != unwanted:
            yield (
                spec,
                mutate_code(source, get_operator(name)(), spec.occurrence),
            )


def is_new(code: str, seen: set[str]) -> bool:
    """Whether a mutant is one: it can be read, and is not known already."""
    try:
        with warnings.catch_warnings(action="ignore"):
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # as cells may
            compile(code, "mutant", "exec", flags)
    except SyntaxError:
        return False
    kernel = essence(code)
    known = kernel in seen
    seen.add(kernel)
    return not known


# From here on, what asyncio invites.

LOOPS = (ast.For, ast.AsyncFor, ast.While)
WITHS = (ast.With, ast.AsyncWith)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (*FUNCTIONS, ast.ClassDef, ast.Import, ast.ImportFrom)

# A class of errors, and others to take in its place.
WIDER = {
    "BaseException": [],
    "Exception": ["BaseException"],
    "ConnectionClosedOK": ["ConnectionClosed"],
    "ConnectionClosedError": ["ConnectionClosed"],
}
NARROWER = {
    "BaseException": ["Exception"],
    "Exception": ["ValueError"],
    "ConnectionClosed": ["ConnectionClosedOK", "ConnectionClosedError"],
    "WebSocketException": ["ConnectionClosed"],
    "OSError": ["ConnectionRefusedError"],
}

COPIES = {"list", "set", "tuple", "dict", "frozenset", "sorted"}
WRAPPERS = {"create_task", "ensure_future", "shield", "wait_for"}

Made = Iterable[ast.AST | list[ast.stmt]]


class Breakage(ast.NodeTransformer):
    """Breaks a program in one place.

    Arguments:
        place: which of the places that it knows, counted from 0.

    Attributes:
        done: whether there was such a place.
    """

    def __init__(self, place: int) -> None:
        self._before = place
        self.done = False

    def made_of(self, node: ast.AST) -> Made:
        """What can be put in a node's place; a list is of statements."""
        raise NotImplementedError

    def visit(self, node: ast.AST) -> ast.AST | list[ast.stmt]:
        for broken in self.made_of(node):
            if self._before == 0 and not self.done:
                self.done = True
                return broken
            self._before -= 1
        return node if self.done else self.generic_visit(node)


class BodyBreakage(Breakage):
    """Breaks a program in one of its bodies, each a list of statements."""

    def bodies_of(self, body: list[ast.stmt]) -> Iterator[list[ast.stmt]]:
        """The bodies to put in the place of one."""
        raise NotImplementedError

    def made_of(self, node: ast.AST) -> Made:
        for name in BODIES:
            body = getattr(node, name, None)
            if isinstance(body, list):
                for broken in self.bodies_of(body):
                    yield _with(node, **{name: broken})


class AwaitDropped(Breakage):
    """Does not await: ``await f()`` becomes ``f()``."""

    def made_of(self, node: ast.AST) -> Made:
        if isinstance(node, ast.Await):
            yield node.value


class StatementDropped(BodyBreakage):
    """Leaves a statement out; not a definition, which only gives names."""

    def bodies_of(self, body: list[ast.stmt]) -> Iterator[list[ast.stmt]]:
        for place, statement in enumerate(body):
            if not isinstance(statement, (*DEFINITIONS, ast.Pass)):
                yield [*body[:place], *body[place + 1 :]] or [ast.Pass()]


class MovedOut(BodyBreakage):
    """Takes the first or last statement out of a loop, ``with`` or ``try``.

    All that is in a ``with`` or ``try`` is left there: see ``NotClosed``.
    """

    def bodies_of(self, body: list[ast.stmt]) -> Iterator[list[ast.stmt]]:
        for place, block in enumerate(body):
            if not isinstance(block, (*LOOPS, *WITHS, ast.Try)):
                continue
            if len(block.body) == 1 and not isinstance(block, LOOPS):
                continue
            first, last = block.body[:1], block.body[-1:]
            without_first = _with(block, body=block.body[1:] or [ast.Pass()])
            without_last = _with(block, body=block.body[:-1] or [ast.Pass()])
            before, after = body[:place], body[place + 1 :]
            yield [*before, *first, without_first, *after]
            yield [*before, without_last, *last, *after]


class MovedIn(BodyBreakage):
    """Takes the neighbour of a loop or ``with`` into it."""

    def bodies_of(self, body: list[ast.stmt]) -> Iterator[list[ast.stmt]]:
        for place, block in enumerate(body):
            if not isinstance(block, (*LOOPS, *WITHS)):
                continue
            if place > 0 and not isinstance(body[place - 1], DEFINITIONS):
                longer = [body[place - 1], *block.body]
                grown = _with(block, body=longer)
                yield [*body[: place - 1], grown, *body[place + 1 :]]
            if place + 1 < len(body):
                longer = [*block.body, body[place + 1]]
                grown = _with(block, body=longer)
                yield [*body[:place], grown, *body[place + 2 :]]


class OneAfterAnother(Breakage):
    """Waits for one after another: no ``gather``, no task in the background.

    ``await gather(*[f(x) for x in xs])`` becomes ``[await f(x) for x in xs]``,
    and a task that is only made, ``create_task(f())``, is awaited there.
    """

    def made_of(self, node: ast.AST) -> Made:
        if isinstance(node, ast.Await) and _called(node.value) == "gather":
            each = [_awaited(argument) for argument in node.value.args]
            yield ast.List(each, ast.Load())
        elif (
            isinstance(node, ast.Expr) and _called(node.value) == "create_task"
        ):
            yield ast.Expr(ast.Await(node.value))


def _awaited(argument: ast.expr) -> ast.expr:
    """What ``gather`` is given, awaited where it stands."""
    if not isinstance(argument, ast.Starred):
        return ast.Await(argument)
    many = argument.value
    if isinstance(many, ast.ListComp | ast.GeneratorExp):
        made = ast.ListComp(ast.Await(many.elt), many.generators)
    else:
        each = ast.Name("each", ast.Store())
        made = ast.ListComp(
            ast.Await(ast.Name("each", ast.Load())),
            [ast.comprehension(each, many, [], 0)],
        )
    return ast.Starred(made, ast.Load())


class AllAtOnce(Breakage):
    """Waits for all together: ``for x in xs: await f(x)`` is gathered."""

    def made_of(self, node: ast.AST) -> Made:
        if isinstance(node, ast.ListComp) and isinstance(node.elt, ast.Await):
            yield _gathered(node.elt.value, node.generators)
        elif isinstance(node, ast.For) and len(node.body) == 1:
            (only,) = node.body
            if isinstance(only, ast.Expr) and isinstance(
                only.value, ast.Await
            ):
                loop = ast.comprehension(node.target, node.iter, [], 0)
                yield ast.Expr(_gathered(only.value.value, [loop]))


def _gathered(
    each: ast.expr, generators: list[ast.comprehension]
) -> ast.Await:
    gather = ast.Attribute(ast.Name("asyncio", ast.Load()), "gather")
    many = ast.Starred(ast.ListComp(each, generators), ast.Load())
    return ast.Await(ast.Call(gather, [many], []))


class OneElement(Breakage):
    """Goes through the first element alone, or the last, of what it loops."""

    def made_of(self, node: ast.AST) -> Made:
        if isinstance(node, ast.For) or (
            isinstance(node, ast.comprehension) and not node.is_async
        ):
            for part in ("list(_)[:1]", "list(_)[-1:]"):
                yield _with(node, iter=_filled(part, node.iter))
        elif isinstance(node, ast.AsyncFor):
            yield _with(node, body=[*node.body, ast.Break()])


class ExceptChanged(Breakage):
    """Catches more errors, fewer, or none."""

    def made_of(self, node: ast.AST) -> Made:
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            for other in _other_errors(node.type):
                yield _with(node, type=other)
        elif isinstance(node, ast.Try | ast.TryStar):
            for place in range(len(node.handlers)):
                rest = node.handlers[:place] + node.handlers[place + 1 :]
                if rest or node.finalbody:
                    orelse = node.orelse if rest else []
                    body = node.body + ([] if rest else node.orelse)
                    yield _with(node, body=body, handlers=rest, orelse=orelse)
                else:
                    yield node.body + node.orelse
        elif _called(node) == "suppress":
            errors = node.args
            for place, error in enumerate(errors):
                before, after = errors[:place], errors[place + 1 :]
                for other in _other_errors(error):
                    yield _with(node, args=[*before, other, *after])
                if before or after:  # or there need be no with
                    yield _with(node, args=before + after)


def _other_errors(caught: ast.expr) -> Iterator[ast.expr]:
    if isinstance(caught, ast.Tuple):
        for place in range(len(caught.elts)):
            fewer = caught.elts[:place] + caught.elts[place + 1 :]
            yield _with(caught, elts=fewer)
    name = _last_name(caught)
    for other in WIDER.get(name, ["Exception"]) + NARROWER.get(name, []):
        if isinstance(caught, ast.Attribute) and not hasattr(builtins, other):
            yield _with(caught, attr=other)
        else:
            yield ast.Name(other, ast.Load())


class CopyNotTaken(Breakage):
    """Uses a collection itself where a copy was taken."""

    def made_of(self, node: ast.AST) -> Made:
        if isinstance(node, ast.Call) and not node.keywords:
            if _called(node) in COPIES and len(node.args) == 1:
                yield node.args[0]
            elif _called(node) == "copy" and isinstance(
                node.func, ast.Attribute
            ):
                yield node.args[0] if node.args else node.func.value
        elif isinstance(node, ast.List | ast.Set | ast.Tuple):
            if len(node.elts) == 1 and isinstance(node.elts[0], ast.Starred):
                yield node.elts[0].value
        elif (
            isinstance(node, ast.Subscript) and ast.unparse(node.slice) == ":"
        ):
            yield node.value


class NotWrapped(Breakage):
    """Gives what a call was to limit, shield or start: ``wait_for(x, 1)``."""

    def made_of(self, node: ast.AST) -> Made:
        if _called(node) in WRAPPERS and node.args:
            yield node.args[0]


class NotClosed(Breakage):
    """Opens without closing: no ``with``, or no ``finally``.

    ``async with connect() as x: body`` becomes ``x = await connect()`` and
    the body.
    """

    def made_of(self, node: ast.AST) -> Made:
        if isinstance(node, WITHS):
            for place, item in enumerate(node.items):
                rest = node.items[:place] + node.items[place + 1 :]
                inner = [_with(node, items=rest)] if rest else node.body
                yield [*_opened(item, isinstance(node, ast.AsyncWith)), *inner]
        elif isinstance(node, ast.Try) and node.finalbody:
            yield _with(node, finalbody=[]) if node.handlers else node.body


def _opened(item: ast.withitem, is_async: bool) -> list[ast.stmt]:
    if item.optional_vars is None:
        return []
    opened = item.context_expr
    value = ast.Await(opened) if is_async else opened
    return [ast.Assign([item.optional_vars], value)]


class ArgumentDropped(Breakage):
    """Leaves out an argument that is given by name, or the last of others."""

    def made_of(self, node: ast.AST) -> Made:
        if isinstance(node, ast.Call):
            for place in range(len(node.keywords)):
                rest = node.keywords[:place] + node.keywords[place + 1 :]
                yield _with(node, keywords=rest)
            if node.args:
                yield _with(node, args=node.args[:-1])


class OtherParameter(Breakage):
    """Uses another parameter of the function than the one that was meant."""

    def __init__(self, place: int) -> None:
        super().__init__(place)
        self._parameters: list[str] = []

    def visit(self, node: ast.AST) -> ast.AST | list[ast.stmt]:
        if not isinstance(node, (*FUNCTIONS, ast.Lambda)):
            return super().visit(node)
        outer = self._parameters
        self._parameters = [argument.arg for argument in node.args.args]
        try:
            return super().visit(node)
        finally:
            self._parameters = outer

    def made_of(self, node: ast.AST) -> Made:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            if node.id in self._parameters:
                for other in self._parameters:
                    if other not in (node.id, "self"):
                        yield ast.Name(other, ast.Load())


BREAKAGES = [
    AwaitDropped,
    StatementDropped,
    MovedOut,
    MovedIn,
    OneAfterAnother,
    AllAtOnce,
    OneElement,
    ExceptChanged,
    CopyNotTaken,
    NotWrapped,
    NotClosed,
    ArgumentDropped,
    OtherParameter,
]


def broken(source: str, breakage: type[Breakage]) -> Iterator[str]:
    """The programs that a breakage makes of one."""
    for place in itertools.count():
        breaking = breakage(place)
        tree = breaking.visit(ast.parse(source))
        if not breaking.done:
            return
        yield ast.unparse(ast.fix_missing_locations(tree))


def _with(node: ast.AST, **fields: object) -> ast.AST:
    """A copy of a node in which some fields are others."""
    changed = copy.copy(node)
    vars(changed).update(fields)
    return changed


def _filled(code: str, value: ast.expr) -> ast.expr:
    """An expression, with a value in the place of its ``_``."""
    filled = ast.parse(code, mode="eval").body
    for node in ast.walk(filled):
        if isinstance(node, ast.Call):
            node.args = [value]
    return filled


def _last_name(node: ast.AST) -> str:
    """``sleep`` of ``asyncio.sleep``, and of ``sleep``."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _called(node: ast.AST) -> str:
    """The last name of what a call calls."""
    return _last_name(node.func) if isinstance(node, ast.Call) else ""
