"""The honest kernel, through a real one: failures are seen, Stop stops."""

import asyncio
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from kernels import kernel

from aula import kernel as honest

SETUP = (
    "import asyncio\nfrom aula.es import timeline\n"
    "from websockets.asyncio.client import connect\n"
    "from websockets.asyncio.server import serve"
)


@pytest.fixture
def running(tmp_path):
    with kernel(tmp_path) as started:
        assert started.run(SETUP).status == "ok"
        yield started


def test_orphaned_exception_is_shown(running):
    running.run(
        "async def fail():\n    raise ValueError('sin leche')\n\n"
        "task = asyncio.create_task(fail())\nawait asyncio.sleep(0.05)"
    )
    shown = running.run("task = None").stderr()
    assert "Una excepción que nadie recogió, en la tarea fail:" in shown
    assert "2 (fail): raise ValueError('sin leche')" in shown
    assert shown.rstrip().endswith("ValueError: sin leche")


def test_awaited_exception_is_not_shown_twice(running):
    ran = running.run(
        "async def fail():\n    raise ValueError('sin leche')\n\n"
        "await asyncio.create_task(fail())",
        may_fail=True,
    )
    assert "ValueError" in ran.error()
    assert not running.run("import gc; gc.collect()").stderr()


def test_failing_callback_is_shown(running):
    shown = running.run(
        "asyncio.get_running_loop().call_soon(lambda: 1 / 0)\n"
        "await asyncio.sleep(0.05)"
    ).stderr()
    assert "el bucle de eventos" in shown
    assert "ZeroDivisionError" in shown


def test_handler_exception_is_shown_under_the_latest_cell(running):
    running.run(
        "async def handler(websocket):\n    1 / 0\n\n"
        "server = await serve(handler, '127.0.0.1', 0)\n"
        "port = server.sockets[0].getsockname()[1]"
    )
    shown = running.run(
        "websocket = await connect(f'ws://127.0.0.1:{port}')\n"
        "await websocket.wait_closed()\n"
        "server.close()\nawait server.wait_closed()"
    ).stderr()
    assert "en un manejador (handler)" in shown
    assert "ZeroDivisionError" in shown


AIOHTTP = """
import aiohttp
from aiohttp import web

async def fails(request):
    1 / 0

async def forgets(request):
    web.Response()

app = web.Application()
for handler in (fails, forgets):
    app.router.add_get(f"/{handler.__name__}", handler)
runner = web.AppRunner(app)
await runner.setup()
site = web.TCPSite(runner, "127.0.0.1", 0)
await site.start()

async def ask(name):
    async with aiohttp.request("GET", f"{site.name}/{name}") as response:
        print(response.status)
"""


def test_aiohttps_handlers_tell_why_in_a_few_lines(running):
    assert running.run(AIOHTTP).status == "ok"
    shown = running.run("await ask('fails')").stderr()
    assert "en un manejador (handler)" in shown
    assert shown.rstrip().endswith("ZeroDivisionError: division by zero")
    assert "web_protocol" not in shown
    shown = running.run("await ask('forgets')").stderr()
    assert shown.strip() == "Missing return statement on request handler"
    assert running.run("await runner.cleanup()").status == "ok"


def test_english(tmp_path):
    with kernel(tmp_path) as started:
        started.run(SETUP.replace("aula.es", "aula.en"))
        shown = started.run(
            "asyncio.get_running_loop().call_soon(lambda: 1 / 0)\n"
            "await asyncio.sleep(0.05)"
        ).stderr()
    assert "An exception that nobody caught, in the event loop:" in shown


CUT = """
class {}:
    def _call_connection_lost(self, error):
        raise ConnectionResetError(10054, "forcibly closed")

loop = asyncio.get_running_loop()
loop.call_soon({}()._call_connection_lost, None)
await asyncio.sleep(0.05)
"""


def test_a_cut_connection_is_no_news_on_windows(running):
    name = "_ProactorBasePipeTransport"
    ran = running.run("import asyncio\n" + CUT.format(name, name))
    assert ran.status == "ok"
    assert not ran.stderr()
    ran = running.run(CUT.format("OfALearner", "OfALearner"))
    assert "forcibly closed" in ran.stderr()


SERVER = (
    "async def silent(websocket):\n    await websocket.wait_closed()\n\n"
    "server = await serve(silent, '127.0.0.1', 0)\n"
    "port = server.sockets[0].getsockname()[1]\n"
    "websocket = await connect(f'ws://127.0.0.1:{port}')"
)


@pytest.mark.parametrize(
    "awaiting",
    [
        "await websocket.recv()",
        "async for message in websocket:\n    pass",
        "await server.serve_forever()",
        "await asyncio.Future()",
    ],
)
def test_stop_within_a_second(running, awaiting):
    stop(running, awaiting)


def stop(running, awaiting):
    """Press Stop while a cell awaits; it ends within a second."""
    assert running.run(SERVER).status == "ok"
    # The quickest of three: other processes can only make it slower.
    times = []
    while len(times) < 3 and min(times, default=9) >= 1:
        cell = running.queue(awaiting, may_fail=True)
        time.sleep(1)
        assert cell.status is None
        began = time.monotonic()
        running.manager.interrupt_kernel()
        running.finish([cell], limit=10)
        times.append(time.monotonic() - began)
        assert cell.status == "error"
    assert min(times) < 1
    assert running.run("1 + 1").text() == "2"


def test_stop_beside_signals_of_the_learners_own(running):
    """Theirs are handled, and Stop does not depend on theirs."""
    ran = running.run(
        "import os, signal\n"
        "loop, came = asyncio.get_running_loop(), asyncio.Event()\n"
        "loop.add_signal_handler(signal.SIGUSR1, came.set)\n"
        "os.kill(os.getpid(), signal.SIGUSR1)\n"
        "await asyncio.wait_for(came.wait(), 10)\n"
        "loop.remove_signal_handler(signal.SIGUSR1)"
    )
    assert ran.status == "ok", ran.error()
    stop(running, "await websocket.recv()")


def test_a_loop_that_no_signal_wakes_has_a_beat(monkeypatch):
    """Such as one in another thread, or on Windows."""
    beats = []
    monkeypatch.setattr(honest, "_beat", beats.append)

    async def main():
        loop = asyncio.get_running_loop()
        honest._notice_stop(loop)
        return loop

    with ThreadPoolExecutor() as pool:
        loop = pool.submit(asyncio.run, main()).result()
    assert beats == [loop]
    if hasattr(signal, "SIGURG"):
        asyncio.run(main())
        assert beats == [loop]


def test_stop_as_a_cell_ends(running):
    """Too late for the cell, and no reason to lose the reply to it."""
    # The kernel asks for payloads between the cell's end and its reply.
    running.run(
        "import signal\n"
        "def late():\n    signal.raise_signal(signal.SIGINT)\n    return []\n"
        "get_ipython().payload_manager.read_payload = late"
    )
    cells = [running.queue("'latte'"), running.queue("await asyncio.sleep(0)")]
    running.finish(cells, limit=10)
    assert [cell.status for cell in cells] == ["ok", "ok"]
    blocking = running.queue("import time\ntime.sleep(20)", may_fail=True)
    time.sleep(1)
    running.manager.interrupt_kernel()
    running.finish([blocking], limit=10)
    assert blocking.error().startswith("KeyboardInterrupt")


@pytest.mark.parametrize("code", ["await asyncio.sleep(60)", "while True: 1"])
def test_stop_as_a_cell_begins(running, code):
    """The cell that has not begun ends all the same, and with a reply."""
    # The kernel transforms a cell before it runs it.
    running.run(
        "import signal\n"
        "def early(lines):\n"
        "    if '60' in lines[0] or 'True' in lines[0]:\n"
        "        transformers.remove(early)\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "    return lines\n"
        "transformers = get_ipython().input_transformers_cleanup\n"
        "transformers.append(early)"
    )
    cell = running.queue(code, may_fail=True)
    running.finish([cell], limit=10)
    assert cell.status == "error"
    assert cell.error().startswith(("CancelledError", "KeyboardInterrupt"))
    assert running.run("'mocha'").text() == "'mocha'"


def test_loopback_ignores_a_proxy(tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "example.org")
    with kernel(tmp_path) as started:
        started.run(SETUP)
        assert started.run(SERVER).status == "ok"
        kept = started.run("import os; os.environ['no_proxy']").text()
    assert kept == "'example.org,127.0.0.1,localhost,::1'"


def test_bypass_adds_nothing_twice(monkeypatch):
    monkeypatch.setenv("no_proxy", "localhost")
    monkeypatch.delenv("NO_PROXY", raising=False)
    honest._bypass_proxy()
    honest._bypass_proxy()
    assert os.environ["no_proxy"] == "localhost,127.0.0.1,::1"
    assert os.environ["NO_PROXY"] == "127.0.0.1,localhost,::1"


def test_second_door_changes_nothing(running):
    count = (
        "import logging\nloop = asyncio.get_running_loop()\n"
        "print(id(loop.get_exception_handler()),"
        " len(logging.getLogger('websockets.server').handlers))"
    )
    before = running.run(count).stdout()
    running.run("from aula.en import check")
    assert running.run(count).stdout() == before


def test_check_tells_of_an_answers_cell_that_failed(running):
    """It can only judge what was there before."""
    answer = "async def count_down():\n    {}\n"
    ask = "from aula.en import check\nawait check('00.1', count_down)"
    assert running.run(answer.format("...")).status == "ok"
    assert "ended in an error" not in running.run(ask).text()
    broken = answer.format("return (")
    assert running.run(broken, may_fail=True).status == "error"
    said = running.run(ask).text()
    assert "not started" in said
    assert "The last cell that you ran ended in an error." in said
    # The check itself was well.
    assert "ended in an error" not in running.run(ask).text()


def test_texts_have_both_languages():
    assert honest.TEXT["es"].keys() == honest.TEXT["en"].keys()


def test_a_folder_for_scripts(tmp_path):
    with kernel(tmp_path) as started:
        started.run("from aula.en import timeline")
        ran = started.run("%%writefile scripts/wait.py\nprint(1)")
        assert ran.status == "ok", ran.error()
    assert (tmp_path / "scripts" / "wait.py").exists()


def test_no_folder_for_scripts_beside_the_index(tmp_path):
    (tmp_path / "index.ipynb").touch()
    with kernel(tmp_path) as started:
        started.run("from aula.en import timeline")
    assert not (tmp_path / "scripts").exists()
