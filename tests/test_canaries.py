"""Fails when a library changes what the course relies on inside it.

None of this is promised by the libraries. Each failure says which of them
changed what, and which file of the course has to learn its new way.
"""

import asyncio
import contextlib
import importlib
import inspect
import logging
import platform
import re
import signal
import sys
import threading
from importlib.metadata import version
from types import SimpleNamespace

import pytest
import websockets.asyncio.client
import websockets.asyncio.connection
import websockets.asyncio.server
import websockets.sync.client
import websockets.sync.connection
import websockets.sync.server
from aiohttp import web
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelbase import Kernel
from ipykernel.zmqshell import ZMQInteractiveShell
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame
from websockets.protocol import Protocol, Side
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from aula import leftovers
from aula.instruments.jobs import Job
from aula.instruments.stores import waited_in


def relies(holds, file, library, on):
    """Fail if what a file relies on does not hold any more."""
    number = platform.python_version()
    if library != "Python":
        number = version(library)
    change = f"{library} {number} has changed, where {on}."
    assert holds, f"{change} {file} relies on it."


# websockets.


def frames_relies(holds, on):
    relies(holds, "aula/instruments/frames.py", "websockets", on)


class Log(logging.Handler):
    """What a logger is told, with the exception at hand at that moment."""

    def __init__(self):
        super().__init__()
        self.told = []
        self.logger = logging.Logger("canaries", logging.DEBUG)
        self.logger.addHandler(self)

    def emit(self, record):
        self.told.append((record, sys.exc_info()[1]))

    def formats(self):
        return {
            (record.msg, *map(type, record.args)) for record, _ in self.told
        }

    def errors(self, start):
        """The exceptions at hand where a text began so."""
        return [
            error
            for record, error in self.told
            if record.getMessage().startswith(start)
        ]


def shake_hands(log, **options):
    """Two protocols, without a network, after their opening handshake."""
    client = ClientProtocol(
        parse_uri("ws://a/"), subprotocols=["a"], logger=log.logger
    )
    server = ServerProtocol(logger=log.logger, **options)
    client.send_request(client.connect())
    server.receive_data(client.data_to_send()[0])
    server.send_response(server.accept(server.events_received()[0]))
    client.receive_data(server.data_to_send()[0])
    return client, server


def visit_asyncio(handler, **options):
    """Both ends of a connection that its handler ends, and the server."""

    async def main():
        ends = []

        async def meet(websocket):
            ends.append(websocket)
            handler()

        serve = websockets.asyncio.server.serve
        async with serve(meet, "127.0.0.1", 0, **options) as server:
            port = server.sockets[0].getsockname()[1]
            connect = websockets.asyncio.client.connect
            async with connect(f"ws://127.0.0.1:{port}/") as client:
                await client.wait_closed()
        return client, *ends, server, meet

    return asyncio.run(main())


def visit_sync(handler, **options):
    ends = []

    def meet(websocket):
        ends.append(websocket)
        handler()

    serve = websockets.sync.server.serve
    with serve(meet, "127.0.0.1", 0, **options) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        connect = websockets.sync.client.connect
        with connect(f"ws://127.0.0.1:{port}/", proxy=None) as client:
            with contextlib.suppress(ConnectionClosed):
                client.recv()
        server.shutdown()
        thread.join()
    return client, *ends, server, meet


FLAVOURS = pytest.mark.parametrize("visit", [visit_asyncio, visit_sync])


def leave():
    pass


def fail(*_):
    raise ValueError("hola")


def test_a_protocol_asks_its_debug(monkeypatch):
    on = "each Protocol keeps in its attribute debug whether DEBUG is on"
    protocol = Protocol(Side.CLIENT)
    frames_relies(vars(protocol).get("debug") is False, on)
    frames_relies("debug" not in vars(Protocol), on)
    looks = []
    debug = property(looks.append, lambda protocol, answer: None)
    monkeypatch.setattr(Protocol, "debug", debug, raising=False)
    protocol.send_text(b"hola")
    on = "each Protocol looks at its attribute debug before it logs a frame"
    frames_relies(looks == [protocol], on)


@FLAVOURS
def test_a_connection_has_an_adapter(visit):
    client, server, *_ = visit(leave)
    on = "each connection puts a LoggerAdapter that knows it before its logger"
    for one in (client, server):
        adapter = one.protocol.logger
        frames_relies(isinstance(adapter, logging.LoggerAdapter), on)
        frames_relies(adapter is one.logger, on)
        frames_relies(adapter.extra["websocket"].id == one.protocol.id, on)


@FLAVOURS
def test_a_connection_knows_its_server_and_the_server_its_handler(visit):
    _, connection, server, handler = visit(leave)
    on = "a server's connection has its server in the attribute server"
    frames_relies(getattr(connection, "server", None) is server, on)
    on = "a server's function handler holds yours in its variable handler"
    variables = inspect.getclosurevars(server.handler).nonlocals
    frames_relies(variables.get("handler") is handler, on)


def test_a_handlers_task_knows_its_connection():
    function = visit_asyncio(leave)[2].handler
    on = "a server runs its coroutine function handler with a connection"
    frames_relies(inspect.iscoroutinefunction(function), on)
    parameters = inspect.signature(function).parameters
    frames_relies([*parameters] == ["connection"], on)
    on = "a server's function handler stands in websockets.asyncio.server"
    frames_relies(function.__module__ == "websockets.asyncio.server", on)


def test_a_connection_knows_its_transport():
    transport = getattr(visit_asyncio(leave)[0], "transport", None)
    on = "a connection has its asyncio.Transport in the attribute transport"
    frames_relies(isinstance(transport, asyncio.Transport), on)


@pytest.mark.parametrize(
    "known",
    [
        ("> GET %s HTTP/1.1", str),
        ("< %s %s %s", str, str, str),
        ("> HTTP/1.1 %d %s", int, str),
        ("< HTTP/1.1 %d %s", int, str),
        ("> %s: %s", str, str),
        ("< %s: %s", str, str),
        ("= connection is %s", str),
        ("> %s", Frame),
        ("< %s", Frame),
        ("> EOF",),
        ("< EOF",),
    ],
    ids=lambda known: known[0],
)
def test_how_it_is_logged(known):
    log = Log()
    client, server = shake_hands(log, subprotocols=["a"])
    client.send_text(b"hola")
    server.receive_data(client.data_to_send()[0])
    client.receive_eof()
    kinds = ", ".join(kind.__name__ for kind in known[1:])
    on = f"it logs {known[0]!r} with ({kinds})"
    # An HTTP status may be an enum's.
    frames_relies(
        any(
            told[0] == known[0]
            and len(told) == len(known)
            and all(map(issubclass, told[1:], known[1:]))
            for told in log.formats()
        ),
        on,
    )


def test_the_end_of_tcp_is_answered_while_it_is_handled():
    log = Log()
    shake_hands(log, subprotocols=["a"])[0].receive_eof()
    on = "the end of TCP is answered while EOFError is being handled"
    frames_relies([*map(type, log.errors("> EOF"))] == [EOFError], on)


@FLAVOURS
def test_a_handlers_exception_is_at_hand_when_the_close_is_sent(visit):
    log = Log()
    *_, server, _ = visit(fail, logger=log.logger)
    on = "the exception of a handler closes the connection in serve() itself"
    errors = log.errors("> CLOSE")
    frames_relies([*map(type, errors)] == [ValueError], on)
    caught_in = errors[0].__traceback__.tb_frame.f_globals["__name__"]
    frames_relies(caught_in == type(server).__module__, on)


@FLAVOURS
def test_how_a_failing_handler_is_logged(visit):
    log = Log()
    visit(fail, logger=log.logger)
    on = "it logs 'connection handler failed' while it handles the exception"
    errors = log.errors("connection handler failed")
    frames_relies([*map(type, errors)] == [ValueError], on)


@FLAVOURS
@pytest.mark.parametrize("step", ["process_request", "process_response"])
def test_how_a_failing_step_of_the_handshake_is_logged(visit, step):
    log = Log()
    with pytest.raises(InvalidStatus):
        visit(leave, logger=log.logger, **{step: fail})
    on = f"it logs '{step} failed' while it handles the exception"
    errors = log.errors(f"{step} failed")
    frames_relies([*map(type, errors)] == [ValueError], on)


def test_how_a_failing_handshake_is_logged():
    log = Log()
    shake_hands(log, subprotocols=["a"], select_subprotocol=fail)
    ServerProtocol(logger=log.logger).receive_data(b"hola\r\n\r\n")
    for known in ("opening handshake failed", "! no valid HTTP request"):
        on = f"it logs {known!r} while it handles the exception"
        frames_relies([*map(type, log.errors(known))] == [ValueError], on)


@pytest.mark.parametrize("flavour", [websockets.asyncio, websockets.sync])
def test_what_send_was_given_is_in_its_variable(flavour):
    send = flavour.connection.Connection.send
    on = "send() keeps what it was given in its variable message"
    frames_relies("message" in inspect.signature(send).parameters, on)


# asyncio.


def tasks_relies(holds, on):
    relies(holds, "aula/instruments/tasks.py", "Python", on)


def frame_of(coro):
    return getattr(coro, "cr_frame", None) or getattr(coro, "gi_frame", None)


def test_a_loop_runs_its_callbacks_in_one_function():
    async def main():
        codes = asyncio.get_running_loop().create_future()

        def callback():
            codes.set_result(sys._getframe(1).f_code)

        asyncio.get_running_loop().call_soon(callback)
        return await codes

    run = getattr(asyncio.Handle, "_run", None)
    on = "a loop runs each callback in Handle._run"
    tasks_relies(asyncio.run(main()) is getattr(run, "__code__", None), on)


def test_each_step_of_a_task_is_called_soon():
    async def main():
        loop, scheduled = asyncio.get_running_loop(), []
        original, future = loop.call_soon, loop.create_future()

        def call_soon(callback, *args, context=None):
            scheduled.append(callback)
            return original(callback, *args, context=context)

        async def three_steps():
            await asyncio.sleep(0)
            await future

        loop.call_soon = call_soon
        task = asyncio.create_task(three_steps())
        await asyncio.sleep(0.01)
        future.set_result(None)
        await task
        del loop.call_soon
        return task, scheduled

    task, scheduled = asyncio.run(main())
    steps = [c for c in scheduled if getattr(c, "__self__", None) is task]
    on = "each step of a task passes through loop.call_soon, and is its method"
    tasks_relies(len(steps) == 3, on)
    on = "the methods that are the steps of a task have no public name"
    for step in steps:
        name = getattr(step, "__name__", "")
        tasks_relies(not hasattr(asyncio.Task, name), on)


def test_a_job_of_a_thread_is_given_to_the_loop():
    async def main():
        loop, told = asyncio.get_running_loop(), []
        original = loop.run_in_executor

        def run_in_executor(executor, call, *args):
            told.append((call, args))
            return original(executor, call, *args)

        loop.run_in_executor = run_in_executor
        await asyncio.to_thread(len, "hola")
        return told

    (job,) = asyncio.run(main())
    on = "to_thread gives its job to loop.run_in_executor, in a context"
    job = Job(*job, True)
    relies(
        (job.function, job.args) == (len, ("hola",)),
        "aula/instruments/jobs.py",
        "Python",
        on,
    )


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        (asyncio.Queue, "get"),
        (asyncio.Event, "wait"),
        (asyncio.Lock, "acquire"),
    ],
)
def test_a_coroutine_that_waits_knows_in_what(kind, method):
    thing = kind()
    coro = getattr(thing, method)()
    on = "what tasks wait in is the self of asyncio's coroutine"
    found = waited_in([coro])
    coro.close()
    relies(found is thing, "aula/instruments/stores.py", "Python", on)


def test_a_task_knows_the_future_it_waits_for():
    async def main():
        future = asyncio.get_running_loop().create_future()

        async def wait():
            await future

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        waited = getattr(task, "_fut_waiter", None)
        task.cancel()
        return waited is future

    on = "a task keeps what it waits for in _fut_waiter"
    relies(asyncio.run(main()), "aula/instruments/stores.py", "Python", on)


def test_what_is_called_soon_stands_last_in_a_queue():
    async def main():
        loop = asyncio.get_running_loop()
        handle, ready = loop.call_soon(leave), getattr(loop, "_ready", None)
        return bool(ready) and ready[-1] is handle and hasattr(ready, "rotate")

    on = "what waits for its turn stands in the deque loop._ready"
    tasks_relies(asyncio.run(main()), on)


def test_a_task_keeps_its_exception():
    async def main():
        async def burn():
            fail()

        def state():
            missing = object()
            error = getattr(task, "_exception", missing)
            return type(error), getattr(task, "_log_traceback", missing)

        task = asyncio.create_task(burn())
        await asyncio.wait([task])
        states = [state(), state()]
        task.exception()
        return [*states, state()]

    on = "a task keeps what it raised in _exception, to be seen unretrieved"
    states = asyncio.run(main())
    tasks_relies([kind for kind, _ in states] == [ValueError] * 3, on)
    on = "a task knows in _log_traceback that its exception is unretrieved"
    tasks_relies([mark for _, mark in states] == [True, True, False], on)


def test_a_coroutine_that_waits_shows_what_it_awaits():
    async def inner():
        await asyncio.Future()

    async def outer():
        await inner()

    async def main():
        task = asyncio.create_task(outer())
        await asyncio.sleep(0)
        coro = task.get_coro()
        return [frame_of(coro), frame_of(getattr(coro, "cr_await", None))]

    on = "a coroutine has its frame in cr_frame, what it awaits in cr_await"
    codes = [getattr(frame, "f_code", None) for frame in asyncio.run(main())]
    tasks_relies(codes == [outer.__code__, inner.__code__], on)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")
def test_an_eager_task_awaits_as_soon_as_it_is_made():
    async def main():
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)
        task = asyncio.create_task(asyncio.sleep(0))
        return task.get_coro().cr_await

    on = "an eager task has run its first step when it has been made"
    tasks_relies(asyncio.run(main()) is not None, on)


class Awaitable:
    def __await__(self):
        return asyncio.sleep(0).__await__()


def test_how_asyncio_awaits_what_is_no_coroutine():
    async def main():
        awaitable = Awaitable()
        frame = frame_of(asyncio.ensure_future(awaitable).get_coro())
        name = frame.f_code.co_name
        return name, frame.f_locals.get("awaitable") is awaitable

    on = "_wrap_awaitable awaits what is no coroutine, its variable awaitable"
    tasks_relies(asyncio.run(main()) == ("_wrap_awaitable", True), on)


def test_what_asyncio_runs_for_itself():
    async def main():
        loop, made = asyncio.get_running_loop(), []

        def make(loop, coro, **options):
            frame = frame_of(coro)
            module = frame.f_globals["__name__"]
            made.append(f"{module}.{frame.f_code.co_name}")
            return asyncio.Task(coro, loop=loop, **options)

        loop.set_task_factory(make)
        server = await asyncio.start_server(
            lambda _, writer: writer.close(), "127.0.0.1", 0
        )
        async with server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await reader.read()
            writer.close()
        loop.set_task_factory(None)
        return made

    on = "a coroutine that asyncio runs for itself has a name with _ in front"
    made = asyncio.run(main())
    tasks_relies(made != [], on)
    for name in made:
        module, _, function = name.rpartition(".")
        tasks_relies(re.fullmatch(r"asyncio\.\w+", module), on)
        tasks_relies(function.startswith("_"), on)


# The kernel.


def kernel_relies(holds, library, on):
    relies(holds, "aula/kernel.py", library, on)


@pytest.mark.skipif(not hasattr(signal, "SIGURG"), reason="not on Windows")
def test_a_loop_that_handles_a_signal_hears_of_all():
    async def main():
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGURG, leave)
        descriptor = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(descriptor)
        return descriptor

    on = "a loop with a signal handler has a descriptor to be woken through"
    kernel_relies(asyncio.run(main()) != -1, "Python", on)


def test_the_kernel_has_a_hook_before_each_request():
    before = signal.getsignal(signal.SIGINT)
    hook = getattr(IPythonKernel, "pre_handler_hook", leave)
    # It keeps what was there in the kernel.
    hook(SimpleNamespace())
    during = signal.signal(signal.SIGINT, before)
    on = "pre_handler_hook has SIGINT raise KeyboardInterrupt"
    kernel_relies(during is signal.default_int_handler, "ipykernel", on)
    names = IPythonKernel.dispatch_shell.__code__.co_names
    on = "dispatch_shell calls pre_handler_hook before each request"
    kernel_relies("pre_handler_hook" in names, "ipykernel", on)


def test_a_shell_knows_its_kernel():
    on = "the shell has its kernel in the attribute kernel"
    kernel_relies(hasattr(ZMQInteractiveShell, "kernel"), "ipykernel", on)


def leftovers_relies(holds, library, on):
    relies(holds, "aula/leftovers.py", library, on)


def test_the_kernel_awaits_the_handler_of_a_request():
    names = IPythonKernel.dispatch_shell.__code__.co_names
    on = "dispatch_shell awaits what it finds in shell_handlers"
    awaits = {"shell_handlers", "isawaitable"} <= {*names}
    leftovers_relies(awaits, "ipykernel", on)
    on = "shell_handlers has the method execute_request(stream, ident, parent)"
    method = IPythonKernel.execute_request
    parameters = [*inspect.signature(method).parameters]
    told = parameters == ["self", "stream", "ident", "parent"]
    leftovers_relies("execute_request" in Kernel.msg_types, "ipykernel", on)
    leftovers_relies(told, "ipykernel", on)
    leftovers_relies(inspect.iscoroutinefunction(method), "ipykernel", on)
    on = "a request has the id of its cell in its metadata, as cellId"
    constants = Kernel.execute_request.__code__.co_consts
    leftovers_relies("cellId" in constants, "ipykernel", on)


@pytest.mark.filterwarnings("ignore:websockets.legacy:DeprecationWarning")
def test_what_is_closed_exists():
    for kind in leftovers.KINDS:
        for module, names in kind.classes.items():
            library = module.partition(".")[0]
            if library in sys.stdlib_module_names:
                library = "Python"
            for name in names:
                of = getattr(importlib.import_module(module), name, None)
                on = f"{module} has a class {name}"
                leftovers_relies(isinstance(of, type), library, on)


def test_a_site_knows_its_runner():
    async def main():
        runner = web.AppRunner(web.Application())
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        known = getattr(site, "_runner", None) is runner
        await site.start()
        during = site in runner.sites
        await site.stop()
        after = site in runner.sites
        await runner.cleanup()
        return known, during, after, runner.server

    on = "a site has its runner, which has those that run, in _runner"
    held = asyncio.run(main())
    leftovers_relies(held == (True, True, False, None), "aiohttp", on)
