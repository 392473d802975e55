"""Finds out what the tests of the instruments would not notice.

``python tests/mutants.py`` breaks each instrument in one small way after
another (cosmic-ray makes these mutants), runs the instrument's own tests on
each, and prints those that no test noticed. ``... instruments/frames`` takes
only this one. tests/mutants.md says of each that was left why.
"""

from __future__ import annotations

import ast
import os
import shutil
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_and_test, mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.testing import run_tests
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome

ROOT = Path(__file__).resolve().parent.parent
# What is broken, and the tests that should notice.
WIRETAP = "frames conversation diagram wiretap"
INSTRUMENTS = {
    "instruments/tasks": "tasks record labels timeline",
    "instruments/jobs": "record labels",
    "instruments/lines": "record",
    "instruments/labels": "labels",
    "instruments/lanes": "record chart",
    "instruments/stores": "stores",
    "instruments/record": "record tasks labels chart",
    "instruments/chart": "chart",
    "instruments/bars": "bars picture",
    "instruments/look": "picture",
    "instruments/telling": "picture",
    "instruments/picture": "picture",
    "instruments/timeline": "timeline",
    "instruments/frames": WIRETAP,
    "instruments/conversation": WIRETAP,
    "instruments/spelling": WIRETAP,
    "instruments/diagram": WIRETAP,
    "instruments/wiretap": WIRETAP,
    "exercises/answer": "check",
    "exercises/prediction": "prediction",
    "exercises/run": "check",
    "exercises/check": "check",
}
NEEDED = ("aula", "authoring", "lessons", "tests", "pyproject.toml")
WORKERS = 2

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


class Essence(ast.NodeTransformer):
    """Leaves out what no test should assert: annotations."""

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


def essence(code: str) -> str:
    return ast.dump(Essence().visit(ast.parse(code)))


def mutants(instrument: str) -> list[MutationSpec]:
    """The mutants of an instrument, but for those that are none.

    Such as Python can't read, or change nothing that a test could see.
    """
    path = Path("aula", f"{instrument}.py")
    source = path.read_text("utf-8")
    seen = {essence(source)}
    chosen = []
    with use_db(":memory:", WorkDB.Mode.create) as db:
        init([path], db, {})
        specs = [spec for item in db.work_items for spec in item.mutations]
    for spec in specs:
        if not is_wanted(spec.operator_name):
            continue
        operator = get_operator(spec.operator_name)()
        code = mutate_code(source, operator, spec.occurrence)
        try:
            compile(code, path, "exec")
        except SyntaxError:
            continue
        kernel = essence(code)
        if kernel not in seen:
            seen.add(kernel)
            chosen.append(spec)
    return chosen


def command(instrument: str) -> str:
    """Runs the tests without the browsers and what takes long to load."""
    tests = [
        f"tests/test_{name}.py" for name in INSTRUMENTS[instrument].split()
    ]
    return (
        f"{sys.executable} -m pytest -x -q -o addopts= --noconftest "
        "-p no:nbval -p no:xdist -p no:cacheprovider -k 'not jupyterlab' "
        f"{' '.join(tests)}"
    )


def prepare(parent: str) -> None:
    """Give a worker a copy of the course that it may break."""
    folder = Path(tempfile.mkdtemp(dir=parent))
    for name in NEEDED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder)
    os.chdir(folder)
    # The tests' own processes find the copy, too.
    os.environ["PYTHONPATH"] = str(folder)
    os.environ["JUPYTER_DATA_DIR"] = str(folder / "data")


def measure(instrument: str) -> float:
    """How long the tests take; they must pass while nothing is broken."""
    began = time.monotonic()
    outcome, output = run_tests(command(instrument), 600)
    if outcome is not TestOutcome.SURVIVED:
        raise RuntimeError(output)
    return time.monotonic() - began


def attempt(job: tuple[str, MutationSpec, float]) -> tuple[str, str]:
    """Run the tests on a mutant: what came of it, and the mutant."""
    instrument, spec, limit = job
    result = mutate_and_test([spec], command(instrument), limit)
    if result.test_outcome is TestOutcome.INCOMPETENT:
        raise RuntimeError(result.output)
    if result.output == "timeout":
        return "timeout", result.diff
    return result.test_outcome.value, result.diff


def play(instrument: str) -> bool:
    """Try all mutants of an instrument: whether 9 in 10 were noticed."""
    specs = mutants(instrument)
    count = dict.fromkeys(("killed", "timeout", "survived"), 0)
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as parent,
        get_context("spawn").Pool(WORKERS, prepare, [parent]) as pool,
    ):
        took = max(pool.map(measure, [instrument] * WORKERS, chunksize=1))
        jobs = [(instrument, spec, 4 * took + 10) for spec in specs]
        for outcome, diff in pool.imap(attempt, jobs):
            count[outcome] += 1
            if outcome == "survived":
                print(*diff.splitlines()[3:], sep="\n", flush=True)
    noticed = len(specs) - count["survived"]
    print(
        f"{instrument}.py: {len(specs)} mutants, {noticed} noticed "
        f"({count['timeout']} of them by the time limit), "
        f"{count['survived']} not: {noticed / len(specs):.1%}",
        flush=True,
    )
    return noticed >= 0.9 * len(specs)


def main() -> int:
    os.chdir(ROOT)
    chosen = sys.argv[1:] or INSTRUMENTS
    return not all([play(instrument) for instrument in chosen])


if __name__ == "__main__":
    sys.exit(main())
