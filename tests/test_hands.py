"""Every notebook in the hands of learners, who do not press Run All.

They run a cell twice, come back to the server's cell, press Stop, and restart.
Whatever they do, each cell answers, and at the end nothing is left running.
"""

import ast
import inspect

import pytest
from kernels import kernel
from test_notebooks import NOTEBOOKS, check_round, code_cells, may_fail, name

from aula.kernel import TEXT

pytestmark = pytest.mark.slow

GRACE = 1  # seconds for what was told to end
# A connection whose owner was stopped lives until its keepalive gives it up:
# 20 s to a ping, 20 s to no pong, 10 s to close.
KEEPALIVE = 52
INTERRUPT = 0.15  # seconds until Stop, while a cell awaits
PATIENCE = 5  # seconds until Stop, if a cell waits for what has been already

ORPHAN = [words["orphan"].partition("{")[0] for words in TEXT.values()]

# Tasks and listening sockets; the kernel has some of its own.
COUNT = """
def _left():
    import asyncio, gc, psutil
    gc.collect()
    tasks = [t.get_coro().__qualname__ for t in asyncio.all_tasks()]
    sockets = psutil.Process().net_connections("inet")
    listening = [s.laddr.port for s in sockets if s.status == "LISTEN"]
    return sorted(tasks), sorted(listening)

await asyncio.sleep(0)
_before = _left()
"""
LEFT = """
import time
_end = time.monotonic() + {seconds}
while _left() != _before and time.monotonic() < _end:
    await asyncio.sleep(0.1)
print([a for a in zip(_before, _left()) if a[0] != a[1]])
"""


@pytest.fixture(params=NOTEBOOKS, ids=name)
def cells(request):
    return code_cells(request.param)


@pytest.fixture
def running(tmp_path, cells):
    """A kernel that has run the first cell; at the end nothing is left."""
    with kernel(tmp_path) as running:
        yield running


def begin(running, cells):
    running.run("import asyncio")
    running.run(cells[0].source, may_fail(cells[0]))
    assert running.run(COUNT).status == "ok"


def end(running, seconds=GRACE):
    last = running.run(LEFT.format(seconds=seconds))
    assert last.stdout().strip() == "[]", last.error()
    assert not orphans(last), last.stderr()
    assert not running.stray
    for ran in running.all():
        assert ran.status is not None, "lost"
        assert "already in use" not in ran.error()


def orphans(ran):
    return any(title in ran.stderr() for title in ORPHAN)


def run(running, cell):
    ran = running.run(cell.source, may_fail(cell), cell.id)
    check_round([cell], [ran])


def run_and_stop(running, cell, limit):
    """Run a cell, and if it takes too long, press Stop."""
    ran = running.queue(cell.source, True, cell.id)
    running.finish([ran], limit)
    if ran.status is None:
        running.manager.interrupt_kernel()
        running.finish([ran])
    return ran


def run_all(running, cells):
    sent = [running.queue(c.source, may_fail(c), c.id) for c in cells]
    running.finish(sent)
    check_round(cells, sent)


def awaits(source):
    """Whether a cell awaits at its top level."""
    try:
        code = compile(source, "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except SyntaxError:
        return False
    return bool(code.co_flags & inspect.CO_COROUTINE)


def serves(source):
    """Whether a cell leaves a server behind for the next."""
    return awaits(source) and any(
        isinstance(node, ast.Assign) and "serve" in ast.unparse(node.value)
        for node in ast.parse(source).body
    )


def test_each_cell_twice(cells, running):
    """The second time there may be nothing left to stop or to wait for."""
    begin(running, cells)
    for cell in cells:
        run(running, cell)
        again = run_and_stop(running, cell, PATIENCE)
        stored = any(o.get("name") == "stderr" for o in cell.outputs)
        assert stored or not orphans(again), cell.source
    run_all(running, cells)
    end(running)


def test_back_to_the_server(cells, running):
    """Run the server's cell again, and carry on from there."""
    begin(running, cells)
    for number, cell in enumerate(cells):
        run(running, cell)
        if number and serves(cells[number - 1].source):
            run(running, cells[number - 1])
            run(running, cell)
    end(running)


def test_stop_and_carry_on(cells, running):
    """After Stop the cell is run again; it may miss what it waits for.

    Exceptions of tasks whose cell was stopped may come to light in the first
    round after it; the second is like any other.
    """
    begin(running, cells)
    for cell in cells:
        if awaits(cell.source):
            run_and_stop(running, cell, INTERRUPT)
        run_and_stop(running, cell, PATIENCE)
    for cell in cells:
        run_and_stop(running, cell, PATIENCE)
    running.run("import gc\ngc.collect()")
    run_all(running, cells)
    end(running, KEEPALIVE)


def test_restart_and_run_all(cells, running):
    begin(running, cells)
    for cell in cells[: len(cells) // 2]:
        run(running, cell)
    running.restart()
    begin(running, cells)
    run_all(running, cells)
    end(running)
