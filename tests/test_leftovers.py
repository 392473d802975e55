"""What a cell left running is closed before it runs again, and only that."""

import json
import signal
import socket
import time

import pytest
from kernels import kernel

SETUP = """
import asyncio, subprocess, sys, threading, time
from aula.en import timeline
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
"""
# Processes that tell when they are ready, so that they end as they should.
DEAF = """
DEAF = [sys.executable, "-c", '''
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
''']

def start(program):
    process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    process.address = process.stdout.readline().strip()
    return process
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with kernel(tmp_path_factory.mktemp("shared")) as started:
        assert started.run(SETUP + DEAF).status == "ok"
        yield started


@pytest.fixture
def running(shared, request):
    """A kernel in which each test has names and cells of its own."""
    shared.run("%reset_selective -f ^(thing|things|server)$")
    shared.name = request.node.name
    return shared


def run(running, source, cell):
    ran = running.run(source, cell=f"{running.name} {cell}")
    assert ran.status == "ok", ran.error()
    assert not ran.stderr(), ran.stderr()
    assert "Error in callback" not in ran.stdout()
    return ran


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


# What other cells have started.
OTHERS = """
from aiohttp import web
other = await serve(print, HOST, 0)
runner = web.AppRunner(web.Application())
await runner.setup()
await web.TCPSite(runner, HOST, 0).start()
"""
SERVERS = {
    "asyncio": "server = await asyncio.start_server(print, HOST, PORT)",
    "websockets": "server = await serve(print, HOST, PORT)",
    "websockets of old": """
import warnings
with warnings.catch_warnings(action="ignore"):
    from websockets.legacy.server import serve as old
server = await old(print, HOST, PORT)
""",
    "websockets in a thread": """
import websockets.sync.server
server = websockets.sync.server.serve(print, HOST, PORT)
threading.Thread(target=server.serve_forever).start()
""",
    "HTTP in a thread": """
import http.server
server = http.server.ThreadingHTTPServer(
    (HOST, PORT), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, args=(0.1,)).start()
""",
    "UDP in a thread": """
import socketserver
server = socketserver.UDPServer(
    (HOST, PORT), socketserver.DatagramRequestHandler)
threading.Thread(target=server.serve_forever, args=(0.1,)).start()
""",
    "a loop in a thread": """
def in_a_thread():
    async def main():
        global server
        server = await asyncio.start_server(print, HOST, PORT)
        started.set()
        async with server:
            try:
                await server.serve_forever()
            except asyncio.CancelledError:
                pass
    asyncio.run(main())

started = threading.Event()
threading.Thread(target=in_a_thread).start()
assert started.wait(10)
""",
    "aiohttp": """
thing = web.AppRunner(web.Application())
await thing.setup()
await web.TCPSite(thing, HOST, PORT).start()
""",
    "another site of aiohttp": """
server = web.TCPSite(runner, HOST, PORT)
await server.start()
""",
    "a process": """
server = subprocess.Popen([sys.executable, "-c", f'''
import socket
listener = socket.create_server(("{HOST}", {PORT}))
print(1, flush=True)
input()
'''], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
assert server.stdout.readline(), "port in use"
""",
    "a process of asyncio": """
server = await asyncio.create_subprocess_exec(sys.executable, "-c", f'''
import socket
listener = socket.create_server(("{HOST}", {PORT}))
print(1, flush=True)
input()
''', stdin=subprocess.PIPE, stdout=subprocess.PIPE)
assert await server.stdout.readline(), "port in use"
""",
    "a list": "things = [await serve(print, HOST, PORT)]",
    "a dict": "things = {'a': await asyncio.start_server(print, HOST, PORT)}",
    "a list in a dict": "things = {1: [(await serve(print, HOST, PORT), 2)]}",
    "two names": "server = thing = await serve(print, HOST, PORT)",
    "what a cell shows": "await serve(print, HOST, PORT)",
    "an object": """
class Server:
    async def start(self):
        self.inner = await asyncio.start_server(print, HOST, PORT)
    async def serve_forever(self):
        await self.inner.serve_forever()
    async def close(self):
        self.inner.close()
        await self.inner.wait_closed()

server = Server()
await server.start()
""",
    "a subclass": """
import http.server

class Server(http.server.HTTPServer):
    async def close(self):
        self.server_close()

server = Server((HOST, PORT), http.server.BaseHTTPRequestHandler)
threading.Thread(target=server.serve_forever, args=(0.1,)).start()
""",
    "a cell that runs code": """
get_ipython().run_cell("before = 1")
server = await serve(print, HOST, PORT)
get_ipython().run_cell("after = 1")
""",
}


@pytest.mark.parametrize("kind", SERVERS)
def test_cell_that_left_a_server_runs_again(running, kind, port):
    """On the same port, and other cells' servers go on."""
    run(running, f"HOST, PORT = '127.0.0.1', {port}", "where")
    run(running, OTHERS, "others")
    for _ in range(3):
        run(running, SERVERS[kind], "start")
        run(running, "import gc\ngc.collect()", "look")
        taken = running.run(
            "await asyncio.start_server(print, HOST, PORT)",
            may_fail=True,
            cell="taken",
        )
        if not kind.startswith("UDP"):
            assert "in use" in taken.error()
    going = run(running, "other.is_serving() and len(runner.sites)", "going")
    assert going.text() == str(1 + kind.startswith("another"))
    # Emptied, and run for the last time.
    run(running, "server = thing = things = None", "start")


PROCESSES = {
    "subprocess": "thing = subprocess.Popen(SLEEP)\npid = thing.pid",
    "asyncio": """
thing = await asyncio.create_subprocess_exec(*SLEEP)
pid = thing.pid
""",
    "a transport": """
loop = asyncio.get_running_loop()
thing, _ = await loop.subprocess_exec(asyncio.SubprocessProtocol, *SLEEP)
pid = thing.get_pid()
""",
    "multiprocessing": """
import multiprocessing
thing = multiprocessing.get_context("spawn").Process(
    target=time.sleep, args=[60])
thing.start()
pid = thing.pid
""",
    "deaf": "thing = start(DEAF)\npid = thing.pid",
}
if hasattr(signal, "SIGSTOP"):
    PROCESSES["stopped"] = """
import os, signal
thing = subprocess.Popen(SLEEP)
pid = thing.pid
os.kill(pid, signal.SIGSTOP)
"""
GONE = "import psutil\nprint(psutil.pid_exists(pids.pop(0)))"


@pytest.mark.parametrize("kind", PROCESSES)
def test_a_process_ends_as_its_cell_runs_again(running, kind):
    run(running, "pids = []", "pids")
    start = PROCESSES[kind] + "\npids.append(pid)"
    run(running, start, "start")
    began = time.monotonic()
    run(running, start, "start")
    assert time.monotonic() - began < 10
    assert run(running, GONE, "gone").stdout().strip() == "False"
    assert run(running, GONE, "lives").stdout().strip() == "True"
    run(running, "thing = None", "start")


MAKE = (
    ("subprocess.Popen(SLEEP)", "threaded()"),
    (
        "await serve(print, '127.0.0.1', 0)",
        "await asyncio.create_subprocess_exec(*SLEEP)",
    ),
)
THREADED = """
def threaded():
    import socketserver
    server = socketserver.TCPServer(
        ("127.0.0.1", 0), socketserver.BaseRequestHandler)
    threading.Thread(target=server.serve_forever, args=(0.1,)).start()
    return server
"""
# What holds it, and a cell that only looks.
LOOKS = {
    "a loop": ("things = [{}, {}]", "for thing in things:\n    str(thing)"),
    "unpacking": ("things = [{}, {}]", "first, *rest = things"),
    "an alias": ("thing = {}", "server = thing"),
    "into a list": ("thing = {}", "things = [thing]\nif 0:\n    del thing"),
    "and back": ("things = [{}]", "thing = things[-1]\nmore = {1: thing}"),
    "dicts of lists": (
        "things = {{'a': [({}, 1)], 'b': [({}, 2)]}}",
        "for group in things.values():\n"
        "    for thing, number in group:\n        str(thing)",
    ),
    "an object of ours": (
        "class Farm:\n    pass\n\nthings = Farm()\nthings.all = [{}, {}]",
        "for thing in things.all:\n    str(thing)",
    ),
    "a closure": (
        "def closure(thing):\n    return lambda: thing\n\nthings=closure({})",
        "thing = things()",
    ),
    "a library's object": (
        "import queue\nthings = queue.Queue()\nthings.put({})",
        "thing = things.get()\nthings.put(thing)",
    ),
}
# They are kept where no cell has a name for them.
MADE = """
import types
sys.modules["made"] = types.ModuleType("made")
sys.modules["made"].all = []

def keep(thing):
    sys.modules["made"].all.append(thing)
    return thing

def alive(thing):
    if isinstance(thing, subprocess.Popen):
        return thing.poll() is None
    if isinstance(thing, asyncio.subprocess.Process):
        return thing.returncode is None
    return thing.fileno() != -1 if hasattr(thing, "fileno") else bool(
        thing.sockets)
"""
ALIVE = "print(sum(map(alive, sys.modules['made'].all)))"
END = """
for one in sys.modules["made"].all:
    if alive(one):
        for end in ("shutdown", "server_close", "close", "kill"):
            getattr(one, end, bool)()
"""


@pytest.mark.parametrize("kinds", MAKE, ids=["threads", "asyncio"])
@pytest.mark.parametrize("how", LOOKS)
def test_a_cell_that_only_looks_closes_nothing(running, kinds, how):
    make, look = LOOKS[how]
    run(running, THREADED + MADE, "define")
    ones = [f"keep({one})" for one in kinds]
    number = make.count("{}")
    run(running, make.format(*ones), "make")
    for _ in range(3):
        run(running, look, "look")
        assert run(running, ALIVE, "alive").stdout() == f"{number}\n"
    # The cell that made them still closes them, if it had a name for them.
    run(running, "things = thing = server = None", "make")
    named = how not in ("a closure", "a library's object")
    left = 0 if named else number
    assert run(running, ALIVE, "alive").stdout() == f"{left}\n"
    run(running, END, "end")


PROXIES = {
    "a proxy outside of its context": """
class Proxy:
    def __getattribute__(self, name):
        raise RuntimeError(f"working outside of request context: {name}")

thing = Proxy()
""",
    "a dead weak reference": """
import weakref
thing = weakref.proxy(type("Gone", (), {})())
""",
    "a class that cannot be told": """
class Proxy:
    __class__ = property(lambda self: 1 / 0)

thing = Proxy()
""",
    "a class without a hash": """
class Meta(type):
    __hash__ = None
    def __getattribute__(self, name):
        if name not in ("__new__", "__init__"):
            raise RuntimeError(name)
        return type.__getattribute__(self, name)

class Odd(metaclass=Meta):
    def __eq__(self, other):
        raise RuntimeError("no comparing")

thing = Odd()
""",
    "a container that raises": """
class Lazy(dict):
    def __getattribute__(self, name):
        raise RuntimeError(name)
    def __iter__(self):
        raise RuntimeError("iterated")
    __len__ = __contains__ = __getitem__ = __iter__

thing = Lazy(a=1)
""",
}


@pytest.mark.parametrize("proxy", PROXIES)
def test_names_that_raise_when_looked_at(running, proxy):
    source = PROXIES[proxy] + "things = [thing, {'a': (thing,)}]\n"
    for _ in range(2):
        run(running, source, "make")
        run(running, "server = await serve(print, '127.0.0.1', 0)", "server")
        run(running, "1 + 1", "later")


def test_nothing_is_asked_of_what_learners_name(running):
    """A proxy of another machine would send it a request."""
    make = """
asked = []

class Proxy:
    def __getattr__(self, name):
        asked.append(name)
        return lambda *arguments: asked.append((name, arguments))

if "thing" not in globals():
    thing = Proxy()
    things = [thing]
"""
    for _ in range(2):
        run(running, make, "make")
        run(running, "server = await serve(print, '127.0.0.1', 0)", "server")
    assert run(running, "print(asked)", "look").stdout() == "[]\n"


HANGING = {
    "a process that does not listen": "thing = start(DEAF)",
    "a server that says goodbye, and its client": '''
thing = start([sys.executable, "-c", """
import asyncio, signal
from websockets.asyncio.server import serve

async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)

async def main():
    async with serve(echo, "127.0.0.1", 0) as server:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, server.close)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.wait_closed()

asyncio.run(main())
"""])
websocket = await connect(f"ws://127.0.0.1:{thing.address}")
await websocket.send("latte")
assert await websocket.recv() == "latte"
''',
    "a handler that never answers": """
from aiohttp import web

async def never(request):
    await asyncio.sleep(60)

app = web.Application()
app.router.add_get("/", never)
thing = web.AppRunner(app)
await thing.setup()
site = web.TCPSite(thing, "127.0.0.1", 0)
await site.start()
reader, writer = await asyncio.open_connection(*thing.addresses[0])
writer.write(b"GET / HTTP/1.1\\r\\nHost: latte\\r\\n\\r\\n")
await asyncio.sleep(0.1)
""",
    "a server that nobody ran": """
import socketserver
thing = socketserver.TCPServer(
    ("127.0.0.1", 0), socketserver.BaseRequestHandler)
""",
    "threads that never end": """
import socketserver, socket

class Waits(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(1)
        time.sleep(5)

thing = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Waits)
threading.Thread(target=thing.serve_forever).start()
client = socket.create_connection(thing.server_address)
""",
    "all at once": "things = [start(DEAF) for _ in range(5)]",
}
TICKS = """
ticks = [time.monotonic()]

async def tick():
    while True:
        await asyncio.sleep(0.01)
        ticks.append(time.monotonic())

ticking = asyncio.create_task(tick())
"""


@pytest.mark.parametrize("kind", HANGING)
def test_closing_takes_a_second_and_holds_up_nothing(running, kind):
    """The quickest of three: others on the machine only make it slower."""
    run(running, TICKS, "tick")
    came = "came = time.monotonic()\n" + HANGING[kind]
    run(running, came, "start")
    took, stood = [], []
    while len(took) < 3 and not (
        took and min(took) < 1.3 and min(stood) < 0.3
    ):
        run(running, "await asyncio.sleep(0.1)\nticks.clear()", "clear")
        began = time.monotonic()
        run(running, came, "start")
        said = run(
            running,
            "import json\nheard = [t for t in ticks if t < came]\n"
            "print(json.dumps([came, heard]))",
            "came",
        )
        at, heard = json.loads(said.stdout())
        took.append(at - began)
        ends = [began, *(tick for tick in heard if tick > began), at]
        stood.append(max(b - a for a, b in zip(ends, ends[1:], strict=False)))
    assert min(took) < 1.3, took
    assert min(stood) < 0.3, stood
    run(running, "ticking.cancel()\nthing = things = None", "start")


@pytest.mark.parametrize("wait", ["await asyncio.sleep", "time.sleep"])
def test_stop_while_closing_stops_the_cell(running, wait):
    run(running, "seconds = 0", "seconds")
    cell = f"{running.name} start"
    start = f"thing = start(DEAF)\n{wait}(seconds)"
    assert running.run(start, cell=cell).status == "ok"
    run(running, "seconds = 30", "seconds")
    again = running.queue(start, may_fail=True, cell=cell)
    time.sleep(0.4)
    running.manager.interrupt_kernel()
    began = time.monotonic()
    running.finish([again], limit=20)
    assert again.status == "error"
    assert time.monotonic() - began < 10
    assert run(running, "1 + 1", "next").text() == "2"
    run(running, "thing = None", "start")


def test_run_all_closes_before_each_of_its_cells(running, port):
    """All are queued at once, and each waits for its turn."""
    sources = (
        f"server = await serve(print, '127.0.0.1', {port})",
        "assert server.is_serving()\nthing = start(DEAF)",
        "assert server.is_serving()\nassert thing.poll() is None",
    )
    for _ in range(3):
        cells = [running.queue(source, cell=source) for source in sources]
        running.finish(cells)
        assert [ran.status for ran in cells] == ["ok"] * 3
        assert not any(ran.stderr() for ran in cells)
