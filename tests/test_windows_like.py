"""Each way in which the layer is like Windows, by a program that fails there.

The programs are what people write on other systems. Each runs with and without
the layer, and only there it ends in the error named.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

LAYER = Path(__file__).parent / "windows_like"
CHILD = "import sys; print('up', flush=True); sys.stdin.read()"
START = f"""
import os, signal, subprocess, sys
process = subprocess.Popen(
    [sys.executable, "-c", {CHILD!r}],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
)
process.stdout.readline()
"""
LOOP = """
import asyncio, signal, socket, sys
async def main():
    loop = asyncio.get_running_loop()
    {}
asyncio.run(main())
"""
SELECTOR = """
import asyncio, sys
async def main():
    {}
with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
    runner.run(main())
"""
PROGRAMS = {
    # Names that there are not.
    "SIGKILL": ("import signal\nsignal.SIGKILL", "AttributeError"),
    "SIGSTOP": ("from signal import SIGSTOP", "ImportError"),
    "SIGHUP": (
        "import signal\nsignal.signal(signal.SIGHUP, print)",
        "AttributeError",
    ),
    "another signal": (
        "import signal\nsignal.signal(17, print)",
        "ValueError",
    ),
    "an alarm": ("import signal\nsignal.alarm(0)", "AttributeError"),
    "fork": ("import os\nos.fork() or os._exit(0)", "AttributeError"),
    "killpg": ("import os\nos.killpg", "AttributeError"),
    "uname": ("import os\nos.uname()", "AttributeError"),
    "tzset": ("import time\ntime.tzset()", "AttributeError"),
    "a module of Unix": ("import resource", "ModuleNotFoundError"),
    "AF_UNIX": ("import socket\nsocket.AF_UNIX", "AttributeError"),
    "a traceback on a signal": (
        "import faulthandler, signal\nfaulthandler.register(10)",
        "AttributeError",
    ),
    "the platform": (
        "import os, sys\nassert sys.platform != 'win32' and os.name != 'nt'",
        "AssertionError",
    ),
    "os.linesep": ("import os\nassert len(os.linesep) == 1", "AssertionError"),
    # Event loops.
    "the default loop": (
        LOOP.format("assert hasattr(loop, 'remove_reader')\n")
        + "asyncio.SelectorEventLoop is type(asyncio.new_event_loop()) or 1/0",
        "ZeroDivisionError",
    ),
    "add_signal_handler": (
        LOOP.format("loop.add_signal_handler(signal.SIGTERM, print)"),
        "NotImplementedError",
    ),
    "add_reader": (
        LOOP.format("loop.add_reader(socket.socket(), print)"),
        "NotImplementedError",
    ),
    "start_unix_server": (
        LOOP.format("await asyncio.start_unix_server(print, 'socket')"),
        "AttributeError",
    ),
    "create_unix_server": (
        LOOP.format("await loop.create_unix_server(asyncio.Protocol, 'here')"),
        "NotImplementedError",
    ),
    "reuse_port": (
        LOOP.format(
            "await loop.create_server(asyncio.Protocol, port=0,"
            " reuse_port=True)"
        ),
        "ValueError",
    ),
    "a subprocess of a selector's loop": (
        SELECTOR.format(
            "await asyncio.create_subprocess_exec(sys.executable, '-V')"
        ),
        "NotImplementedError",
    ),
    "signals of a selector's loop": (
        SELECTOR.format(
            "asyncio.get_running_loop().add_signal_handler(15, print)"
        ),
        "NotImplementedError",
    ),
    "a message right before the cut": (
        """
import asyncio
async def serve(reader, writer):
    writer.write(b"ho")
    writer.write(b"la")
    writer.transport.abort()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(
        *server.sockets[0].getsockname()
    )
    heard = b""
    try:
        while data := await reader.read(10):
            heard += data
    except ConnectionResetError:
        pass
    assert heard == b"hola", heard
asyncio.run(main())
""",
        "AssertionError",
    ),
    "being refused at once": (
        """
import socket, time
with socket.create_server(("127.0.0.1", 0)) as server:
    address = server.getsockname()
start = time.perf_counter()
try:
    socket.create_connection(address)
except ConnectionRefusedError:
    assert time.perf_counter() - start < 1
""",
        "AssertionError",
    ),
    "SO_LINGER": (
        "import socket, struct\n"
        "socket.socket().setsockopt(\n"
        "    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)\n)",
        "struct.error",
    ),
    # Processes.
    "terminate": (
        START + "process.terminate()\nassert process.wait() == -15",
        "AssertionError",
    ),
    "terminate, handled": (
        """
import subprocess, sys
code = (
    "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(0));"
    "print('up', flush=True); time.sleep(60)"
)
process = subprocess.Popen([sys.executable, "-c", code], stdout=-1)
process.stdout.readline()
process.terminate()
assert process.wait() == 0, process.returncode
""",
        "AssertionError: 1",
    ),
    "Ctrl+C by os.kill": (
        START
        + "os.kill(process.pid, signal.SIGINT)\n"
        + "assert process.wait() == -2, process.returncode",
        "AssertionError: 2",
    ),
    "Ctrl+C by send_signal": (
        START + "process.send_signal(signal.SIGINT)",
        "ValueError: Unsupported signal",
    ),
    "killing oneself": (
        """
import subprocess, sys
code = (
    "import os, signal; signal.signal(15, lambda *_: None);"
    "os.kill(os.getpid(), 15)"
)
assert subprocess.run([sys.executable, "-c", code]).returncode == 0
""",
        "AssertionError",
    ),
    "preexec_fn": (
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-V'], preexec_fn=print)",
        "ValueError",
    ),
    "an empty environment": (
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-V'], env={'A': 'B'})",
        "OSError",
    ),
    "multiprocessing by fork": (
        "import multiprocessing\n"
        "assert 'fork' in multiprocessing.get_all_start_methods()",
        "AssertionError",
    ),
    # Files.
    "an arrow in a file": (
        "from pathlib import Path\nPath('text').write_text('→')",
        "UnicodeEncodeError",
    ),
    "a file in UTF-8": (
        "from pathlib import Path\nPath('text').write_bytes('é'.encode())\n"
        "assert open('text').read() == 'é'",
        "AssertionError",
    ),
    "an arrow in a pipe": ("print('→')", "UnicodeEncodeError"),
    "ends of lines in a file": (
        "from pathlib import Path\nPath('text').write_text('a\\n')\n"
        "assert Path('text').read_bytes() == b'a\\n'",
        "AssertionError",
    ),
    "ends of lines in a pipe": (
        "import subprocess, sys\n"
        "ran = subprocess.run([sys.executable, '-c', 'print()'], stdout=-1)\n"
        "assert ran.stdout == b'\\n'",
        "AssertionError",
    ),
    "removing what is open": (
        "import os\nfile = open('text', 'w')\nos.remove('text')",
        "PermissionError",
    ),
    "removing what a process has open": (
        START.replace("print(", "file = open('text', 'w'); print(")
        + "os.remove('text')",
        "PermissionError",
    ),
    "a temporary folder with a file open": (
        "import tempfile\nwith tempfile.TemporaryDirectory() as folder:\n"
        "    file = open(f'{folder}/text', 'w')",
        ("PermissionError", "NotADirectoryError"),
    ),
    "removing the folder one is in": (
        "import os, tempfile\nfolder = tempfile.mkdtemp()\nos.chdir(folder)\n"
        "os.rmdir(folder)",
        "PermissionError",
    ),
    "replacing what is open": (
        "import os\nopen('new', 'w').close()\nfile = open('old', 'w')\n"
        "os.replace('new', 'old')",
        "PermissionError",
    ),
    "renaming over what is there": (
        "import os\nopen('new', 'w').close()\nopen('old', 'w').close()\n"
        "os.rename('new', 'old')",
        "FileExistsError",
    ),
    "a colon in a name": ("open('12:30', 'w').close()", "OSError"),
    # Clocks.
    "the clock of a loop": (
        LOOP.format("await asyncio.sleep(0)")
        + "import time\nassert time.monotonic() % (1 / 64)",
        "AssertionError",
    ),
    "its resolution": (
        "import time\n"
        "assert time.get_clock_info('monotonic').resolution < 0.001",
        "AssertionError",
    ),
    "short sleeps": (
        "import asyncio, time\n"
        "async def naps():\n"
        "    for _ in range(100):\n        await asyncio.sleep(0.001)\n"
        "start = time.perf_counter()\nasyncio.run(naps())\n"
        "assert time.perf_counter() - start < 0.8",
        "AssertionError",
    ),
}
FINER_SINCE_3_13 = {"the clock of a loop", "its resolution"}


def run(program, folder, environment):
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=environment,
        capture_output=True,
        timeout=120,
    )


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the layer looks at /proc"
)
@pytest.mark.parametrize("name", PROGRAMS)
def test_fails_there_and_nowhere_else(name, tmp_path):
    if name in FINER_SINCE_3_13 and sys.version_info >= (3, 13):
        pytest.skip("finer since Python 3.13")
    program, error = PROGRAMS[name]
    plain = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    (tmp_path / "here").mkdir()
    ran = run(program, tmp_path / "here", plain)
    assert ran.returncode == 0, ran.stderr.decode()
    del plain["PYTHONIOENCODING"]
    (tmp_path / "there").mkdir()
    ran = run(program, tmp_path / "there", plain | {"PYTHONPATH": str(LAYER)})
    last = ran.stderr.decode("cp1252").strip().splitlines()[-1:]
    assert last and last[0].startswith(error), ran.stderr.decode("cp1252")


BREAK = """
import signal, sys, time
def stop(*_):
    print("stopped", flush=True)
    sys.exit(7)
if sys.argv[1] == "handled":
    signal.signal(signal.SIGBREAK, stop)
print("up", flush=True)
time.sleep(60)
"""
SENDER = f"""
import signal, subprocess, sys
def end(how, **options):
    process = subprocess.Popen(
        [sys.executable, "-c", {BREAK!r}, how], stdout=-1, **options
    )
    process.stdout.readline()
    process.send_signal(signal.CTRL_C_EVENT)  # reaches no group of its own
    process.send_signal(signal.CTRL_BREAK_EVENT)
    return process.wait()
own = {{"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}}
assert end("handled", **own) == 7
assert end("not", **own) == 0xC000013A
"""


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the layer looks at /proc"
)
def test_console_events_arrive_as_there(tmp_path):
    there = os.environ | {"PYTHONPATH": str(LAYER)}
    ran = run(SENDER, tmp_path, there)
    assert ran.returncode == 0, ran.stderr.decode()
