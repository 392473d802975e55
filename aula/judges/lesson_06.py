"""Judges the exercises of lesson 06."""

import asyncio
import inspect
import threading
import traceback
from contextlib import asynccontextmanager, suppress

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
)
from websockets.sync.client import connect as sync_connect

from aula.exercises.check import Right, Wrong, exercise
from aula.judges.peers import finished, refuse_no_star, within

PATIENCE = 0.6  # seconds in which others turn up, if they do at all
SILENCE = 0.8  # seconds a chat keeps quiet: twice the lesson's own limit
QUIET_END = {
    "es": " `async for` no lanza `ConnectionClosedOK`: acaba sin más. "
    "Devuelve la pareja también ahí, o recibe con `while True` y `recv`.",
    "en": " `async for` does not raise `ConnectionClosedOK`: it stops "
    "quietly. Return the pair there too, or receive with `while True` and "
    "`recv`.",
}


@asynccontextmanager
async def serving(handler):
    """A server on a free port; yields its address, without a path."""
    async with serve(handler, "127.0.0.1", 0, close_timeout=1) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}"


async def tried(answer, websocket, *arguments):
    """The answer's task, and whether it ended by itself."""
    task = asyncio.create_task(answer(websocket, *arguments))
    return task, await finished(task, 1.6)


async def put_away(awaitables):
    """Let go of what an answer returned instead of awaiting it."""
    running = set()
    for awaitable in awaitables:
        if inspect.iscoroutine(awaitable):
            awaitable.close()
        elif asyncio.isfuture(awaitable):
            running.add(awaitable)
    if running:
        await asyncio.wait(running, timeout=2)
    for future in running:
        if future.done() and not future.cancelled():
            future.exception()  # retrieved, so that it is no orphan


@exercise("06.1", parameters=2, picture="wiretap")
async def ask_all(answer, run):
    names = ["Ada", "Lima", "Eva"]
    loop_thread = threading.get_ident()
    threads, unanswered = [], []
    present = most = 0
    alone = False

    async def greet(websocket):
        nonlocal present, most, alone
        present += 1
        most = max(most, present)
        with suppress(ConnectionClosed):
            name = await websocket.recv()
            if not alone:
                alone = not await within(PATIENCE, lambda: most == len(names))
            if name in names:  # the last one is the first to be answered
                await asyncio.sleep(0.1 * (2 - names.index(name)))
            await websocket.send(f"Hola, {name}")
            await websocket.wait_closed()
        present -= 1

    async with serving(greet) as url:

        def fetch(name):
            thread = threading.get_ident()
            threads.append(thread)
            patience = 0.3 if thread == loop_thread else 1.5
            try:
                with sync_connect(url, open_timeout=patience) as websocket:
                    websocket.send(name)
                    return websocket.recv(timeout=5)
            except TimeoutError as timed_out:
                unanswered.append(timed_out)
                raise

        error = seen = None
        try:
            seen = await answer(fetch, list(names))
        except Exception as raised:
            error = raised
        items = list(seen) if isinstance(seen, list | tuple) else [seen]
        unawaited = [item for item in items if inspect.isawaitable(item)]
        await put_away(unawaited)
    if loop_thread in threads:
        raise Wrong(
            "in-the-loop",
            es="Tu función llamó a `fetch` en el hilo del bucle: el servidor "
            "no pudo contestar. A `to_thread` se le da la función sin "
            "llamarla, y después sus argumentos.",
            en="Your function called `fetch` in the loop's own thread: the "
            "server could not answer. Give `to_thread` the function without "
            "calling it, and then its arguments.",
            seen=unanswered[0] if unanswered else error,
        )
    if unanswered:
        raise Wrong(
            "waits-without-await",
            es="`fetch` trabajó en otro hilo, pero tu función lo esperó sin "
            "`await`: retuvo el bucle, y el servidor no pudo contestar.",
            en="`fetch` ran in another thread, but your function waited for "
            "it without `await`: it held the loop, and the server could not "
            "answer.",
            seen=unanswered[0],
        )
    if error is not None:
        refuse_no_star(error)
        raise error
    if unawaited:
        raise Wrong(
            "not-awaited",
            es="Devolviste esperas, no respuestas. Espéralas con `await`; "
            "`gather` las espera todas a la vez.",
            en="You returned things to await, not replies. Await them; "
            "`gather` awaits them all at once.",
        )
    expected = [f"Hola, {name}" for name in names]
    if seen is None:
        raise Wrong(
            "nothing-returned",
            es="Tu función no devuelve nada: falta el `return` con las "
            "respuestas.",
            en="Your function returns nothing: the `return` with the replies "
            "is missing.",
            expected=expected,
            seen=seen,
        )
    if sorted(map(str, items)) == sorted(expected) and items != expected:
        raise Wrong(
            "other-order",
            es="Están todas las respuestas, pero en el orden en que "
            "llegaron. Se pide el orden de `names`.",
            en="All the replies are there, but in the order in which they "
            "came. The order asked for is that of `names`.",
            expected=expected,
            seen=seen,
        )
    if items != expected:
        raise Wrong(
            "other-replies",
            es="Esas no son las respuestas del servidor, una por nombre.",
            en="Those are not the server's replies, one for each name.",
            expected=expected,
            seen=seen,
        )
    if most < len(names):
        raise Wrong(
            "one-by-one",
            es="Las respuestas son correctas, pero cada llamada esperó a que "
            "acabara la anterior. Pon las tres en marcha a la vez. Llamadas "
            "en marcha al mismo tiempo:",
            en="The replies are right, but each call waited for the one "
            "before it to end. Set all three going at once. Calls under way "
            "at the same time:",
            expected=len(names),
            seen=most,
        )
    return Right(
        es="Tres clientes bloqueantes, tres hilos, y el bucle libre para "
        "contestarles a la vez.",
        en="Three blocking clients, three threads, and the loop free to "
        "answer them all at once.",
    )


def raised_in(task, run):
    """What the answer's tasks have raised, groups taken apart."""
    tasks = {task} | {lane.task for lane in run.lanes if lane.shown}
    errors = [
        one.exception() for one in tasks if one.done() and not one.cancelled()
    ]
    for error in errors:
        if isinstance(error, BaseExceptionGroup):
            errors += error.exceptions
        elif error is not None:
            yield error


def judge_type(error):
    """Name the everyday mistakes behind a TypeError.

    Raises:
        Wrong: awaits-show, forgotten-await or sends-none.
    """
    if "NoneType" in f"{error}" and "await" in f"{error}":
        raise Wrong(
            "awaits-show",
            es="`show` es una función normal: llámala sin `await`.",
            en="`show` is a normal function: call it without `await`.",
            seen=error,
        )
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name != "send":
            continue
        message = frame.f_locals.get("message")
        if inspect.iscoroutine(message):
            message.close()
            raise Wrong(
                "forgotten-await",
                es="Falta un `await`: `send` recibió una corrutina, no una "
                "línea.",
                en="An `await` is missing: `send` got a coroutine, not a "
                "line.",
                seen=error,
            )
        if message is None:
            raise Wrong(
                "sends-none",
                es="Enviaste el `None`. Compruébalo antes de enviar.",
                en="You sent the `None`. Test for it before you send.",
                seen=error,
            )


@exercise("06.2", parameters=3, picture="wiretap")
async def chat(answer, run):
    lines = ["latte", "", "mocha"]
    expected = ["hola", "eco: latte", "mocha 2.50", "chai 3.00"]
    expected += ["eco: ", "eco: mocha"]
    shown, received, codes, sockets = [], [], [], []
    asked, late = 0, None

    async def reply(websocket):
        sockets.append(websocket)
        with suppress(ConnectionClosed):
            await websocket.send("hola")
            async for message in websocket:
                received.append(message)
                await websocket.send(f"eco: {message}")
        await websocket.wait_closed()
        codes.append(websocket.close_code)

    async def turn_up(count):
        """Wait for messages to be shown; note when they were not."""
        nonlocal late
        if late is None:
            if not await within(PATIENCE, lambda: len(shown) >= count):
                late = expected[:count], list(shown)

    async def next_line():
        nonlocal asked
        # A person types the next line when the reply is there to be read.
        await turn_up([1, 2, 5, 6][min(asked, 3)])
        if asked == 1 and late is None and sockets:
            # And is told something in the meantime, also after a silence.
            with suppress(ConnectionClosed):
                await sockets[0].send("mocha 2.50")
                await turn_up(3)
                if late is None:
                    await asyncio.sleep(SILENCE)
                    await sockets[0].send("chai 3.00")
                    await turn_up(4)
        asked += 1
        return lines[asked - 1] if asked <= len(lines) else None

    async with serving(reply) as url:
        task = asyncio.create_task(answer(url, next_line, shown.append))
        await within(2 * PATIENCE, lambda: asked or task.done())
        if asked:
            await within(
                2 * PATIENCE + SILENCE,
                lambda: asked > len(lines) or task.done(),
            )
        ended = await finished(task, PATIENCE if asked else 0)
        if ended:
            closed = await within(PATIENCE, lambda: codes)
            await asyncio.sleep(0.05)  # the receiving task ends
        failed = [
            lane.task
            for lane in run.lanes
            if lane.task.done() and lane.task._log_traceback
        ]
    if ended and not task.cancelled() and late is None:
        if isinstance(task.exception(), ConnectionClosedOK):
            raise Wrong(
                "close-escapes",
                es="Hablaste bien hasta el final, pero el cierre normal salió "
                "como excepción. Para quien recibe es solo el final: "
                "`async for` acaba sin ruido, `recv` lanza "
                "`ConnectionClosedOK`.",
                en="You talked well to the end, but the normal close came "
                "out as an exception. For whoever receives it is the end, no "
                "more: `async for` stops quietly, `recv` raises "
                "`ConnectionClosedOK`.",
                seen=task.exception(),
            )
    for error in raised_in(task, run):
        if isinstance(error, TypeError):
            judge_type(error)
    # One that shows nothing in time may close before the server has read.
    if asked > 1 and (ended if late is None else len(late[0]) > 4):
        if received == ["latte", "mocha"][: len(received)]:
            raise Wrong(
                "empty-line",
                es="Tu función no envió la línea vacía. También es una "
                "línea: solo `None` termina el chat.",
                en="Your function did not send the empty line. It is a line "
                "too: only `None` ends the chat.",
                expected=lines,
                seen=received,
            )
    if late is not None and len(late[0]) > 3:
        raise Wrong(
            "stops-receiving",
            es="Tu función dejó de mostrar mensajes con el chat abierto. No "
            "sabes cuántos llegarán ni cuánto durará un silencio: recibe "
            "hasta el cierre, sin contar y sin límite. Lo mostrado:",
            en="Your function stopped showing messages while the chat was "
            "open. You cannot know how many will come, or how long a silence "
            "lasts: receive until the close, without a count or a limit. "
            "What was shown:",
            expected=late[0],
            seen=late[1],
        )
    if ended:
        task.result()  # raises what the answer raised
    if not ended and asked == 0:
        raise Wrong(
            "receives-first",
            es="Tu función no llegó a pedir una línea: se quedó recibiendo. "
            "Recibir es trabajo para una tarea; `await` la esperaría hasta "
            "el final.",
            en="Your function never got to ask for a line: it went on "
            "receiving. Receiving is work for a task; `await` would stay "
            "with it to the end.",
        )
    if ended and not shown:
        raise Wrong(
            "not-shown",
            es="Nadie llamó a `show(message)` con los mensajes que llegaron.",
            en="Nobody called `show(message)` with the messages that came.",
            expected=expected,
            seen=shown,
        )
    if late is not None and len(late[0]) == 3:
        raise Wrong(
            "lock-step",
            es="Mientras tu función esperaba la segunda línea, el servidor "
            "habló sin que le preguntaran, y eso no se mostró entonces: "
            "recibes solo después de enviar. Recibe en una tarea aparte. Lo "
            "mostrado en ese momento:",
            en="While your function waited for the second line, the server "
            "spoke although nobody had asked, and that was not shown then: "
            "you receive only after you send. Receive in a task of its own. "
            "What was shown by then:",
            expected=late[0],
            seen=late[1],
        )
    if late is not None:
        raise Wrong(
            "shown-late",
            es="Mientras tu función esperaba una línea de `next_line`, los "
            "mensajes recibidos no se mostraban. Hay que recibir desde el "
            "principio, en una tarea. Lo mostrado en ese momento:",
            en="While your function waited for a line from `next_line`, "
            "incoming messages were not shown. Receive from the start, in a "
            "task. What was shown by then:",
            expected=late[0],
            seen=late[1],
        )
    if not ended and asked > len(lines):
        raise Wrong(
            "never-ends",
            es="`next_line` devolvió `None` y tu función siguió esperando. "
            "La tarea que recibe no acaba sola: ciérrale la conexión, o "
            "cancélala.",
            en="`next_line` returned `None` and your function went on "
            "waiting. The task that receives does not end by itself: close "
            "its connection, or cancel it.",
        )
    if received != lines or shown != expected:
        raise Wrong(
            "other-lines",
            es="No llegaron al servidor las líneas de `next_line`, o no se "
            "mostró cada mensaje una vez y en orden.",
            en="The server did not get the lines of `next_line`, or not "
            "every message was shown, once and in order.",
            expected=[lines, expected],
            seen=[received, shown],
        )
    if not closed:
        raise Wrong(
            "left-open",
            es="Tu función terminó y dejó la conexión abierta. Ciérrala: "
            "`async with connect(...)` lo hace por ti.",
            en="Your function ended and left the connection open. Close it: "
            "`async with connect(...)` does it for you.",
        )
    if failed:
        raise Wrong(
            "nobody-awaited",
            es="Una tarea acabó con una excepción que nadie recogió. Espera "
            "la tarea al final con `await`, y deja que el cierre normal sea "
            "un final sin excepción (`async for`).",
            en="A task ended with an exception that nobody picked up. Await "
            "the task at the end, and let the normal close be an end without "
            "exception (`async for`).",
            seen=failed[0]._exception,
        )
    if codes != [1000]:
        raise Wrong(
            "other-code",
            es="La conexión no se cerró con el código 1000.",
            en="The connection was not closed with code 1000.",
            expected=[1000],
            seen=codes,
        )
    return Right(
        es="Cada mensaje se mostró antes de la línea siguiente, también los "
        "que nadie había pedido, y la conexión se cerró con 1000.",
        en="Each message was shown before the next line, those nobody had "
        "asked for too, and the connection closed with 1000.",
    )


@exercise("06.3", parameters=2, picture="wiretap", limit=6)
async def until_quiet(answer, run):
    quiet, gap = 0.3, 0.1
    long_quiet, pause = 5.0, 0.8
    ticks = [f"tick {number}" for number in range(5)]
    slowest = 0.0
    sent = 0

    async def tick(websocket):
        nonlocal slowest, sent
        with suppress(ConnectionClosed):
            if websocket.request.path == "/closing":
                await websocket.send("latte")
                await asyncio.sleep(pause)
                await websocket.send("mocha")
                return
            if websocket.request.path == "/failing":
                await websocket.send("latte")
                await websocket.send("mocha")
                await websocket.close(1011)
                return
            clock = asyncio.get_running_loop().time
            before = clock()
            for message in ticks:
                await asyncio.sleep(gap)
                await websocket.send(message)
                sent += 1
                now = clock()
                slowest, before = max(slowest, now - before), now
            await websocket.wait_closed()

    async with serving(tick) as url:
        for _ in range(2):
            slowest, sent = 0.0, 0
            async with connect(f"{url}/paced") as websocket:
                task, ended = await tried(answer, websocket, quiet)
                all_sent = sent == len(ticks)
            # A machine that stood still for a while says nothing about the
            # answer.
            if slowest < quiet / 1.5:
                break
        paced = judge_paced(task, ended, ticks, all_sent)
        async with connect(f"{url}/closing") as websocket:
            task, ended = await tried(answer, websocket, long_quiet)
        judge_closing(task, ended)
        async with connect(f"{url}/failing") as websocket:
            task, ended = await tried(answer, websocket, long_quiet)
        judge_closing(task, ended)
    return Right(
        es=f"Recibió los {len(paced)} mensajes, que juntos tardaron más que "
        "`seconds`, y paró con el silencio y también con los dos cierres.",
        en=f"It received all {len(paced)} messages, which together took "
        "longer than `seconds`, and stopped at the silence, and at both "
        "closes too.",
    )


def judge_paced(task, ended, ticks, all_sent):
    if not ended:
        raise Wrong(
            "never-ends",
            es="Tu función seguía esperando mucho después del último "
            "mensaje. Un silencio de `seconds` segundos debe terminarla.",
            en="Your function was still waiting long after the last message. "
            "A silence of `seconds` seconds has to end it.",
        )
    if not task.cancelled() and isinstance(task.exception(), TimeoutError):
        raise Wrong(
            "timeout-escapes",
            es="Llegó el silencio y `TimeoutError` salió de tu función, con "
            "todo lo recibido perdido. Atrápalo y devuelve la lista.",
            en="The silence came and `TimeoutError` left your function, and "
            "all that was received is lost. Catch it and return the list.",
            expected=ticks,
            seen=task.exception(),
        )
    seen = task.result()
    if seen is None:
        raise Wrong(
            "nothing-returned",
            es="Tu función no devuelve nada: falta el `return` con la lista.",
            en="Your function returns nothing: the `return` with the list is "
            "missing.",
            expected=ticks,
            seen=seen,
        )
    if isinstance(seen, list) and seen != ticks and all_sent:
        if all(message in ticks for message in seen):
            raise Wrong(
                "list-anew",
                es="Antes de que tu función terminara habían llegado los "
                "cinco mensajes, y en la lista faltan. Si la creas dentro "
                "del bucle, vuelve a empezar en cada vuelta: créala antes.",
                en="All five messages had come before your function ended, "
                "and some are not in the list. If you make it inside the "
                "loop it begins anew in each round: make it before.",
                expected=ticks,
                seen=seen,
            )
    if seen == ticks[0] or seen == ticks[:1]:
        raise Wrong(
            "first-only",
            es="Solo devolviste el primer mensaje. Sigue recibiendo hasta "
            "que llegue el silencio.",
            en="You returned only the first message. Go on receiving until "
            "the silence comes.",
            expected=ticks,
            seen=seen,
        )
    if isinstance(seen, list) and seen == ticks[: len(seen)] != ticks:
        raise Wrong(
            "whole-time",
            es="Paraste mientras seguían llegando mensajes. `seconds` es el "
            "límite de cada espera, no el de todas juntas.",
            en="You stopped while messages were still coming. `seconds` "
            "limits each wait, not all of them together.",
            expected=ticks,
            seen=seen,
        )
    if seen != ticks:
        raise Wrong(
            "other-messages",
            es="Se pide la lista de los mensajes, en el orden de llegada.",
            en="Return the list of the messages, in the order they came.",
            expected=ticks,
            seen=seen,
        )
    return seen


def judge_closing(task, ended):
    expected = ["latte", "mocha"]
    if not ended:
        raise Wrong(
            "goes-on-after-close",
            es="El servidor cerró y tu función siguió en marcha. Después del "
            "cierre no hay más mensajes: devuelve lo recibido.",
            en="The server closed and your function went on. After the close "
            "there are no more messages: return what you received.",
        )
    error = None if task.cancelled() else task.exception()
    if isinstance(error, ConnectionClosedError):
        raise Wrong(
            "error-escapes",
            es="El silencio y el cierre normal están bien resueltos. Pero un "
            "servidor también cierra con un error, y `recv` lanza entonces "
            "`ConnectionClosedError`: `ConnectionClosed` abarca los dos "
            "cierres.",
            en="You got the silence and the normal close right. But a server "
            "may close with an error too, and then `recv` raises "
            "`ConnectionClosedError`: `ConnectionClosed` covers both.",
            expected=expected,
            seen=error,
        )
    if isinstance(error, ConnectionClosed):
        raise Wrong(
            "close-escapes",
            es="El silencio está bien resuelto. Pero cuando el servidor "
            "cierra, `recv` lanza `ConnectionClosedOK`: atrápala también.",
            en="You got the silence right. But when the server closes, "
            "`recv` raises `ConnectionClosedOK`: catch that as well.",
            expected=expected,
            seen=error,
        )
    if isinstance(error, TimeoutError) or (
        not error and task.result() == expected[:1]
    ):
        raise Wrong(
            "other-limit",
            es="Esta vez `seconds` valía 5, y un silencio de menos de un "
            "segundo terminó tu función. Usa `seconds` como límite.",
            en="This time `seconds` was 5, and a silence of less than a "
            "second ended your function. Use `seconds` as the limit.",
            expected=expected,
            seen=error or task.result(),
        )
    seen = task.result()
    if seen != expected:
        raise Wrong(
            "lost-at-close",
            es="El servidor envió dos mensajes y cerró. Hay que devolver los "
            "dos.",
            en="The server sent two messages and closed. Both have to be "
            "returned.",
            expected=expected,
            seen=seen,
        )


@exercise("06.4", parameters=1, picture="wiretap", limit=6)
async def how_it_ended(answer, run):
    deaf, gone = asyncio.Event(), asyncio.Event()

    async def leave(websocket):
        with suppress(ConnectionClosed):
            await websocket.send("latte")
            await websocket.send("mocha")
            path = websocket.request.path[1:]
            if path == "deaf":
                websocket.transport.pause_reading()
                deaf.set()
                await gone.wait()
                websocket.transport.abort()
            elif path == "1006":
                websocket.transport.abort()
            else:
                await websocket.close(int(path))
            await websocket.wait_closed()

    endings = {1000: "ok", 1001: "ok", 1008: "error", 1006: "error"}
    async with serving(leave) as url:
        for code, kind in endings.items():
            async with connect(f"{url}/{code}") as websocket:
                task, ended = await tried(answer, websocket)
                read_all = await emptied(websocket) if ended else True
            judge_ending(task, ended, (kind, code), read_all)
        # The client says goodbye and the server never answers.
        async with connect(f"{url}/deaf", close_timeout=0.1) as websocket:
            task = asyncio.create_task(answer(websocket))
            await deaf.wait()
            await websocket.close(1001)
            gone.set()
            ended = await finished(task, 1.6)
        judge_ending(task, ended, ("error", 1006), True, sent=1001)
    return Right(
        es="Distinguió los finales: 1000 y 1001 son normales; 1008 es un "
        "error, y sin trama de cierre recibida es 1006.",
        en="It told the endings apart: 1000 and 1001 are normal; 1008 is an "
        "error, and with no close frame received it is 1006.",
    )


async def emptied(websocket):
    """Whether an answer has left no message unread; reads the first."""
    try:
        async with asyncio.timeout(1):
            await websocket.recv()
    except (ConnectionClosed, TimeoutError):
        return True
    return False


def judge_ending(task, ended, expected, read_all, sent=None):
    kind, code = expected
    if not ended:
        raise Wrong(
            "never-ends",
            es="La conexión se cerró y tu función siguió en marcha: después "
            "del cierre, sal del bucle.",
            en="The connection was closed and your function went on: after "
            "the close, leave the loop.",
            expected=expected,
        )
    error = None if task.cancelled() else task.exception()
    if isinstance(error, ConnectionClosedOK):
        raise Wrong(
            "ok-escapes",
            es="`ConnectionClosedOK` salió de tu función. También el cierre "
            "normal es una excepción cuando se recibe con `recv`.",
            en="`ConnectionClosedOK` left your function. A normal close is "
            "an exception too when you receive with `recv`.",
            expected=expected,
            seen=error,
        )
    if isinstance(error, ConnectionClosedError):
        raise Wrong(
            "error-escapes",
            es="`ConnectionClosedError` salió de tu función. Atrápala: "
            "`async for` solo calla el cierre normal.",
            en="`ConnectionClosedError` left your function. Catch it: "
            "`async for` silences the normal close only.",
            expected=expected,
            seen=error,
        )
    if isinstance(error, AttributeError) and code == 1006:
        raise Wrong(
            "no-close-frame",
            es="Esta conexión se cortó sin trama de cierre: `rcvd` es "
            "`None`. Ese caso se llama 1006.",
            en="This connection broke without a close frame: `rcvd` is "
            "`None`. That case goes by the number 1006.",
            expected=expected,
            seen=error,
        )
    seen = task.result()
    if isinstance(seen, list):
        seen = tuple(seen)
    if seen == expected:
        return
    if seen is None and read_all:
        raise Wrong(
            "nothing-returned",
            es="La conexión terminó y tu función no devolvió nada."
            + ("" if kind == "error" else QUIET_END["es"]),
            en="The connection ended and your function returned nothing."
            + ("" if kind == "error" else QUIET_END["en"]),
            expected=expected,
            seen=seen,
        )
    if seen is None or seen in ("latte", "mocha"):
        raise Wrong(
            "reads-too-little",
            es="Antes del cierre llegan mensajes. Sigue recibiendo hasta el "
            "final, y devuelve entonces la pareja.",
            en="Messages come before the close. Go on receiving to the end, "
            "and return the pair then.",
            expected=expected,
            seen=seen,
        )
    pair = seen if isinstance(seen, tuple) and len(seen) == 2 else (None, seen)
    if sent is not None and pair[1] == sent:
        raise Wrong(
            "sent-code",
            es="Este cliente envió 1001 y no recibió ninguna trama de cierre. "
            "El código que se pide es el de la recibida: `rcvd`, no `sent`.",
            en="This client sent 1001 and received no close frame. The code "
            "asked for is that of the frame received: `rcvd`, not `sent`.",
            expected=expected,
            seen=seen,
        )
    if pair[0] == kind and isinstance(pair[1], int):
        raise Wrong(
            "other-code",
            es="Distinguiste bien el final, pero el código es otro: léelo en "
            "la trama de cierre recibida, `error.rcvd`.",
            en="You told the ending right, but the code is another: read it "
            "in the close frame received, `error.rcvd`.",
            expected=expected,
            seen=seen,
        )
    if code == 1001 and pair == ("error", 1001):
        raise Wrong(
            "going-away",
            es="1001 también es un cierre normal. Más seguro que comparar "
            "códigos es mirar cuál de las dos excepciones llegó.",
            en="1001 is a normal close too. It is safer to look at which of "
            "the two exceptions came than to compare codes.",
            expected=expected,
            seen=seen,
        )
    if pair == ("error", 1000):
        raise Wrong(
            "catches-first",
            es="Un cierre normal salió como error. Gana el primer `except` "
            "que encaja, y `ConnectionClosed` encaja con las dos clases.",
            en="A normal close came out as an error. The first `except` that "
            "fits wins, and `ConnectionClosed` fits both kinds.",
            expected=expected,
            seen=seen,
        )
    if kind == "error" and pair[0] == "ok":
        raise Wrong(
            "all-ok",
            es="Este cierre fue un error y dijiste `ok`. "
            "`ConnectionClosed` abarca los dos finales.",
            en="This close was an error and you said `ok`. "
            "`ConnectionClosed` covers both endings.",
            expected=expected,
            seen=seen,
        )
    raise Wrong(
        "other-pair",
        es="La pareja no es la de este final: primero `ok` o `error`, luego "
        "el código como número.",
        en="The pair is not that of this ending: first `ok` or `error`, then "
        "the code as a number.",
        expected=expected,
        seen=seen,
    )
