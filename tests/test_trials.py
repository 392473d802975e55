"""What breaks answers, and has the check judge them."""

import asyncio

from test_answers import Player
from trials import Mutant, judge, mutants_of

from aula.kernel import SCRIPTS
from authoring.source import Cell, lesson_paths, read_lesson


def test_mutants_of_an_answer():
    answer = "async def f(a, b):\n    return await g(a)\n"
    found = [*mutants_of([Cell("code", answer, 1)])]
    line = "0.2 `return await g(a)`"
    assert [mutant.change for mutant in found] == [
        f"{line} → `return g(a)`",
        f"{line} → `pass`",
        f"{line} → `return await g()`",
        f"{line} → `return await g(b)`",
    ]


def test_what_is_only_moved():
    answer = "async def f(a):\n    for b in a:\n        g(b)\n        h()\n"
    changes = {m.change for m in mutants_of([Cell("code", answer, 1)])}
    assert "0.4 `        h()` → `    h()`" in changes


def test_scripts():
    answer = "%%writefile scripts/a.py\nprint(b)\n"
    codes = [m.code for m in mutants_of([Cell("code", answer, 1)])]
    assert codes == [
        f"%%writefile scripts/a.py\n{code}" for code in ("pass", "print()")
    ]


def test_verdicts_on_mutants(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / SCRIPTS).mkdir()
    (exercise,) = read_lesson(lesson_paths()[0]).exercises
    player = Player([])
    asyncio.run(player.run("import asyncio\nfrom aula.en import check"))
    right = exercise.solution.source
    given = {
        right: "right",
        right.replace("return", "1 and"): "printed",
        right.replace("return", "return ("): "undefined",
        "import os\nos._exit(1)": "no verdict: the process ended",
    }
    outcomes = judge(map(Mutant, given), player, exercise)
    assert {mutant.code: outcome for mutant, outcome in outcomes} == given
