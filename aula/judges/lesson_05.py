"""Judges the exercises of lesson 05."""

import asyncio
import inspect
import threading
import traceback
from contextlib import asynccontextmanager, suppress
from functools import wraps

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from aula.exercises.check import Right, Wrong, exercise
from aula.judges.peers import receive, refuse_printed, send_all, within

PATIENCE = 1.0  # seconds to wait for what comes at once or never
MOMENT = 0.1  # seconds in which what should not happen would have happened


class Server:
    """A server of the learner's handler, and what became of its handler.

    Attributes:
        ended: set when the handler has ended, however it did.
        ended_at: when that was, in the loop's time.
        errors: what it raised, but for the client having gone.
    """

    def __init__(self, answer, *arguments):
        self.ended = asyncio.Event()
        self.ended_at = None
        self.errors = []

        @wraps(answer)
        async def handler(websocket):
            try:
                await answer(websocket, *arguments)
            except Exception as error:
                self.errors += _own(error)
            finally:
                self.ended_at = asyncio.get_running_loop().time()
                self.ended.set()

        self._handler = handler

    async def __aenter__(self):
        self._server = await serve(self._handler, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_):
        self._server.close()
        # A handler that waits for ever must not hide what was found out.
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await self._server.wait_closed()

    @asynccontextmanager
    async def connect(self):
        """A client that says goodbye properly, also after a wrong answer."""
        port = self._server.sockets[0].getsockname()[1]
        url = f"ws://127.0.0.1:{port}"
        websocket = await connect(url, close_timeout=0.5)
        try:
            yield websocket
        finally:
            await websocket.close()

    def raise_errors(self, run):
        """Raise what the handler, or a task of its own, has raised."""
        errors = list(self.errors)
        for lane in run.lanes:
            if lane.shown and lane.outcome()[0] == "raised":
                errors += _own(lane.task.exception())
        if errors:
            _judge_type(errors[0])
            raise errors[0]


def _judge_type(error):
    """Name what is behind some exceptions that say little.

    Raises:
        Wrong: plain-for, plain-with, async-suppress or task-of-function.
    """
    text = f"{error}" if isinstance(error, TypeError) else ""
    if "Connection' object is not iterable" in text:
        raise Wrong(
            "plain-for",
            es="Los mensajes llegan con el tiempo, y ni `for` ni `enumerate` "
            "saben esperarlos: recórrelos con `async for`.",
            en="Messages come as time goes by, and neither `for` nor "
            "`enumerate` can wait for them: go through them with `async "
            "for`.",
            seen=error,
        )
    if "does not support the context manager protocol" in text:
        raise Wrong(
            "plain-with",
            es="Entrar ahí puede obligar a esperar, y `with` no sabe: escribe "
            "`async with`.",
            en="Entering may mean waiting, and `with` cannot wait: write "
            "`async with`.",
            seen=error,
        )
    if text.startswith("'suppress' object does not support the async"):
        raise Wrong(
            "async-suppress",
            es="`suppress` no tiene nada que esperar: usa `with` a secas.",
            en="`suppress` has nothing to wait for: plain `with`.",
            seen=error,
        )
    if text.startswith("a coroutine was expected, got <"):
        raise Wrong(
            "task-of-function",
            es="`create_task` recibió una función en vez de una corrutina. "
            "Llámala: `create_task(f())`, con sus argumentos.",
            en="`create_task` was given a function instead of a coroutine. "
            "Call it: `create_task(f())`, with its arguments.",
            seen=error,
        )


def _own(error):
    """The exceptions in a group, or the one, that are of the answer's own."""
    if isinstance(error, TypeError):
        coroutine = _sent_coroutine(error)
        if coroutine is not None:
            return [ForgottenAwait(coroutine.__name__, error)]
    # A coroutine that nobody awaited warns when it is dropped, and until then
    # the traceback holds it.
    traceback.clear_frames(error.__traceback__)
    if isinstance(error, BaseExceptionGroup):
        return [own for inner in error.exceptions for own in _own(inner)]
    return [] if isinstance(error, ConnectionClosed) else [error]


def _sent_coroutine(error):
    """The coroutine that ``send`` refused, if it did; closed."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        message = frame.f_locals.get("message")
        if inspect.iscoroutine(message):
            message.close()
            return message
    return None


class ForgottenAwait(Wrong):
    """``send`` was given a coroutine; ``call`` is its name."""

    def __init__(self, call, error):
        super().__init__(
            "forgotten-await",
            es="Falta un `await`: `send` recibió una corrutina en vez de lo "
            "que ella devuelve.",
            en="An `await` is missing: `send` was given a coroutine instead "
            "of what it returns.",
            seen=error,
        )
        self.call = call


@exercise("05.1", parameters=1, picture="wiretap")
async def kitchen(answer, run):
    expected = [
        "ordered latte",
        "ordered mocha",
        "ready mocha",
        "ready latte",
    ]
    async with Server(answer) as server, server.connect() as websocket:
        await send_all(websocket, "latte 0.3", "mocha 0.1")
        seen = await receive(websocket, 4, 2)
    if seen == expected:
        await _judge_waiting(answer, run)
        return Right(
            es="Los dos pedidos se anotaron enseguida y el `mocha`, que "
            "tarda menos, salió antes que el `latte`. Cuando un cliente se "
            "fue, el manejador esperó a su tarea.",
            en="Both orders were taken at once, and the `mocha`, which takes "
            "less, was ready before the `latte`. When a client left, the "
            "handler awaited its task.",
        )
    server.raise_errors(run)
    if seen == ["ordered latte", "ready latte", *seen[2:]]:
        raise Wrong(
            "in-line",
            es="El `mocha` no se anotó hasta que el `latte` estuvo listo: el "
            "bucle espera a cada pedido antes de leer el siguiente. Dale el "
            "pedido a una tarea y no la esperes dentro del bucle.",
            en="The `mocha` was not taken until the `latte` was ready: the "
            "loop waits for each order before it reads the next. Hand the "
            "order to a task, and do not await it inside the loop.",
            expected=expected,
            seen=seen,
        )
    if seen == expected[:2]:
        raise Wrong(
            "never-starts",
            es="Los pedidos se anotan, pero nadie los prepara mientras el "
            "cliente sigue conectado. Una corrutina guardada en una lista no "
            "corre: crea la tarea dentro del bucle.",
            en="The orders are taken, but nobody prepares them while the "
            "client stays. A coroutine kept in a list does not run: create "
            "the task inside the loop.",
            expected=expected,
            seen=seen,
        )
    if seen and not any(f"{reply}".startswith("ordered") for reply in seen):
        raise Wrong(
            "not-taken",
            es="Falta anotar el pedido: manda `ordered` y la bebida en "
            "cuanto llega el mensaje.",
            en="The order is not taken: send `ordered` and the drink as soon "
            "as the message arrives.",
            expected=expected,
            seen=seen,
        )
    if sorted(map(str, seen)) == sorted(expected) and (
        "ready" in f"{seen[1]}" and "ready" in f"{seen[3]}"
    ):
        raise Wrong(
            "taken-late",
            es="`ordered` llegó cuando la bebida ya estaba lista. Mándalo en "
            "cuanto llega el mensaje, antes de `prepare`.",
            en="`ordered` came when the drink was ready. Send it as soon as "
            "the message arrives, before `prepare`.",
            expected=expected,
            seen=seen,
        )
    if seen[:2] == expected[:2] and sorted(seen) == sorted(expected):
        raise Wrong(
            "one-machine",
            es="Los pedidos se anotan enseguida, pero se preparan de uno en "
            "uno. Algo retiene a las demás tareas: ¿una llamada que bloquea, "
            "una tarea que hace todo el trabajo?",
            en="The orders are taken at once, but prepared one by one. "
            "Something holds up the other tasks: a call that blocks, a "
            "single task that does all the work?",
            expected=expected,
            seen=seen,
        )
    if any(f"{reply}".count(" ") > 1 for reply in seen):
        raise Wrong(
            "with-seconds",
            es="En la respuesta va solo la bebida, sin sus segundos.",
            en="Only the drink goes into the reply, without its seconds.",
            expected=expected,
            seen=seen,
        )
    if [*expected[:2], *["ready mocha"] * 2] == seen:
        raise Wrong(
            "late-message",
            es="`ready mocha` llegó dos veces: la tarea leyó `message` cuando "
            "el bucle ya iba por otro. Pásaselo como argumento.",
            en="`ready mocha` came twice: the task read `message` after the "
            "loop had moved on. Pass it as an argument.",
            expected=expected,
            seen=seen,
        )
    raise Wrong(
        "other-replies",
        es="Al mandar `latte 0.3` y `mocha 0.1`, las respuestas no son las "
        "esperadas, o no vienen en ese orden.",
        en="For `latte 0.3` and `mocha 0.1`, the replies are not those "
        "expected, or do not come in that order.",
        expected=expected,
        seen=seen,
    )


async def _judge_waiting(answer, run):
    """The client leaves as soon as its order is taken."""
    async with Server(answer) as server:
        sent_at = asyncio.get_running_loop().time()
        async with server.connect() as websocket:
            await send_all(websocket, "latte 0.4")
            await receive(websocket, 1)
        await within(PATIENCE, server.ended.is_set)
    server.raise_errors(run)
    if server.ended_at is not None and server.ended_at - sent_at < 0.2:
        raise Wrong(
            "walks-off",
            es="Las respuestas son las que se piden, pero un cliente se fue y "
            "el manejador terminó con el pedido a medias. Guarda las tareas "
            "y espéralas después del bucle.",
            en="The replies are what was asked for, but a client left, and "
            "the handler ended with the order in the making. Keep each task "
            "and await them after the loop.",
        )


NAMES = (
    "latte mocha chai mate cocoa cortado lungo matcha tonic soda tea milk"
).split()


def _served(name):
    """The drink as the reply bears it; an order does not."""
    return f"{name}☕"


SERVED = [_served(name) for name in NAMES]


class Barista:
    """Reads all orders, then replies to them in an order of its own."""

    def __init__(self):
        self.orders = []
        self.alone = False
        self.replied = []

    @property
    def count(self):
        return len(self.replied)

    async def handler(self, websocket):
        self.orders = await receive(websocket, len(NAMES), 0.5)
        self.alone = len(self.orders) < len(NAMES)
        count = len(self.orders)
        with suppress(ConnectionClosed):
            for step in range(count):
                # 5 and 12 have no common factor, so each has its turn.
                which = step * 5 % count if count == len(NAMES) else step
                await self._reply(websocket, self.orders[which])
            async for message in websocket:
                self.orders.append(message)
                await self._reply(websocket, message)

    async def _reply(self, websocket, message):
        number, _, drink = f"{message}".partition(" ")
        name = _served(drink.partition(" ")[0])
        self.replied.append((number, name))
        await websocket.send(f"{number} {name}")


@exercise("05.2", parameters=2, picture="wiretap")
async def in_order(answer, run):
    barista = Barista()
    async with (
        Server(barista.handler) as server,
        server.connect() as websocket,
    ):
        asking = asyncio.create_task(
            answer(websocket, [f"{name} 0.1" for name in NAMES])
        )
        replied = []  # how many replies there were when the answer ended
        asking.add_done_callback(lambda _: replied.append(barista.count))
        await asyncio.wait({asking}, timeout=2)
        late = not asking.done()
        asking.cancel()
        await asyncio.wait({asking})
    odd = [m for m in barista.orders if len(f"{m}".split()) != 3]
    if odd:
        raise Wrong(
            "no-number",
            es="Un pedido salió sin su número. Cada mensaje lleva tres "
            "partes: número, bebida y segundos.",
            en="An order was sent without its number. Each message has three "
            "parts: number, drink and seconds.",
            expected="0 latte 0.1",
            seen=odd[0],
        )
    numbers = [f"{message}".split()[0] for message in barista.orders]
    if len(set(numbers)) < len(numbers):
        raise Wrong(
            "same-number",
            es="Dos pedidos llevan el mismo número: al volver la respuesta "
            "no se sabe de cuál es.",
            en="Two orders bear the same number: when the reply comes back, "
            "nobody knows whose it is.",
            seen=barista.orders,
        )
    if not set(numbers) <= {f"{number}" for number in range(len(NAMES))}:
        raise Wrong(
            "other-numbers",
            es="Los números empiezan en 0 y siguen el orden de `orders`.",
            en="The numbers begin at 0 and follow the order of `orders`.",
            expected=[f"{n} {name} 0.1" for n, name in enumerate(NAMES)],
            seen=barista.orders,
        )
    error = None if late or asking.cancelled() else asking.exception()
    if isinstance(error, KeyError) and isinstance(error.args[0], int):
        raise Wrong(
            "text-keys",
            es='El número de la respuesta llega como texto, y `"0"` no es '
            "`0`: conviértelo con `int`.",
            en='The number in the reply is text, and `"0"` is not `0`: turn '
            "it into an `int`.",
            seen=error,
        )
    if error is not None:
        _judge_type(error)
    seen = None if late else asking.result()
    if not barista.orders:
        raise Wrong(
            "never-sends",
            es="Tu función no mandó ningún pedido.",
            en="Your function sent no order.",
        )
    if barista.alone:
        raise Wrong(
            "one-by-one",
            es="Tu función espera respuestas antes de haber mandado todos "
            "los pedidos. Mándalos todos primero; recoge después.",
            en="Your function waits for replies before it has sent all the "
            "orders. Send them all first; collect afterwards.",
            seen=barista.orders[:1],
        )
    if late:
        raise Wrong(
            "never-ends",
            es="Llegaron las 12 respuestas y tu función sigue esperando. El "
            "servidor no se va: eres tú quien sabe cuántas faltan.",
            en="All 12 replies came, and your function still waits. The "
            "server does not leave: it is you who knows how many are due.",
        )
    if replied[0] < len(NAMES):
        raise Wrong(
            "never-reads",
            es="Tu función terminó sin recoger las 12 respuestas.",
            en="Your function ended without collecting the 12 replies.",
            expected=len(NAMES),
            seen=replied[0],
        )
    _judge_order(seen, barista)
    return Right(
        es="12 respuestas desordenadas, cada una en el sitio de su pedido.",
        en="12 replies out of order, each in the place of its order.",
    )


def _judge_order(seen, barista):
    if seen == SERVED:
        return
    if isinstance(seen, list) and all(" " in f"{reply}" for reply in seen):
        if seen:
            raise Wrong(
                "with-numbers",
                es="Devuelve solo las bebidas: el número ya ha cumplido.",
                en="Return the drinks alone: the number has done its work.",
                expected=SERVED,
                seen=seen,
            )
    if seen == [name for _, name in barista.replied]:
        raise Wrong(
            "as-they-came",
            es="Es el orden en que llegaron las respuestas. Usa el número "
            "de cada una para devolverla a su sitio.",
            en="That is the order in which the replies came. Use the number "
            "of each to put it back in its place.",
            expected=SERVED,
            seen=seen,
        )
    if seen == [name for _, name in sorted(barista.replied)]:
        raise Wrong(
            "sorted-as-text",
            es='Ordenados como texto, `"10"` va antes que `"2"`. Convierte '
            "el número con `int`.",
            en='Sorted as text, `"10"` comes before `"2"`. Turn the number '
            "into an `int`.",
            expected=SERVED,
            seen=seen,
        )
    refuse_printed(seen, SERVED)
    if seen == NAMES:
        raise Wrong(
            "not-from-replies",
            es="Eso es lo que se pidió, no lo que llegó: devuelve las bebidas "
            "que traen las respuestas.",
            en="That is what was ordered, not what came: return the drinks "
            "that the replies bring.",
            expected=SERVED,
            seen=seen,
        )
    raise Wrong(
        "other-result",
        es="Devuelve la lista de bebidas, en el orden de `orders`.",
        en="Return the list of drinks, in the order of `orders`.",
        expected=SERVED,
        seen=seen,
    )


class Machine:
    """What the learner's handler awaits: says who is in it, holds them."""

    def __init__(self):
        self.started = []
        self.ended = []
        self.cancelled = []
        self.most = 0
        self._doors = {}
        self._open = False

    async def __call__(self, order):
        self.started.append(order)
        inside = len(self.started) - len(self.ended) - len(self.cancelled)
        self.most = max(self.most, inside)
        door = self._doors.setdefault(order, asyncio.Event())
        try:
            if not self._open:
                await door.wait()
        except asyncio.CancelledError:
            self.cancelled.append(order)
            raise
        self.ended.append(order)
        return f"{order} ready"

    def let_out(self, order):
        self._doors[order].set()

    def let_all_out(self):
        self._open = True
        for door in self._doors.values():
            door.set()


ADA = ["latte", "mocha", "chai", "mate", "cocoa", "lungo"]
LIMA = ["soda", "tea", "milk"]


@exercise("05.3", parameters=2, picture="wiretap")
async def two_machines(answer, run):
    ada_machine, lima_machine = Machine(), Machine()

    async def brew(order):
        machine = lima_machine if order in LIMA else ada_machine
        return await machine(order)

    async with (
        Server(answer, brew) as server,
        server.connect() as ada,
        server.connect() as lima,
    ):
        try:
            try:
                await _judge_two(ada, ada_machine, server, run)
            except ValueError as error:
                _refuse_prepare(error)
                raise
            await send_all(lima, *LIMA)
            if not await within(
                PATIENCE, lambda: len(lima_machine.started) == 2
            ):
                server.raise_errors(run)
                _judge_shared(lima_machine)
            ada_machine.let_all_out()
            lima_machine.let_all_out()
            replies = await receive(ada, len(ADA))
            replies += await receive(lima, len(LIMA))
        finally:
            ada_machine.let_all_out()
            lima_machine.let_all_out()
    server.raise_errors(run)
    for machine in (ada_machine, lima_machine):
        if machine.most != 2:
            _judge_limit(machine.most)
    expected = [f"{order} ready" for order in ADA + LIMA]
    if sorted(map(str, replies)) != sorted(expected):
        raise Wrong(
            "other-replies",
            es="Manda al cliente lo que devuelve `brew`, una respuesta por "
            "pedido.",
            en="Send the client what `brew` returns, one reply for each "
            "order.",
            expected=sorted(expected),
            seen=replies,
        )
    return Right(
        es="Dos clientes, y cada uno tuvo dos pedidos a la vez, nunca más; en "
        "cuanto uno terminó empezó el siguiente.",
        en="Two clients, and each had two orders under way at a time, never "
        "more; as soon as one was done the next began.",
    )


async def _judge_two(websocket, machine, server, run):
    """Ada is alone: two of her orders are prepared, then a third."""
    await send_all(websocket, *ADA)
    await within(PATIENCE, lambda: len(machine.started) == 2)
    await asyncio.sleep(MOMENT)
    if machine.most != 2:
        server.raise_errors(run)
        _judge_limit(machine.most)
    await _judge_turns(machine, server, run)


def _refuse_prepare(error):
    """The lesson's own prepare() finds no seconds in these orders."""
    frames = traceback.walk_tb(error.__traceback__)
    if any(frame.f_code.co_name == "prepare" for frame, _ in frames):
        raise Wrong(
            "not-brew",
            es="Llama al `brew` que recibes, no a `prepare`.",
            en="Call the `brew` you were given, not `prepare`.",
            seen=error,
        ) from None


def _judge_shared(machine):
    """Two of Ada's orders are under way, and not two of Lima's."""
    if machine.started:
        _judge_limit(len(machine.started))
    raise Wrong(
        "shared",
        es="Ada tenía dos pedidos en marcha y Lima, en otra conexión, "
        "ninguno: las dos comparten el semáforo. Crea uno **dentro** del "
        "manejador, que se ejecuta una vez por conexión.",
        en="Ada had two orders under way and Lima, on another connection, had "
        "none: they share the semaphore. Create one **inside** the handler, "
        "which runs once for each connection.",
    )


def _judge_limit(most):
    if most == 1:
        raise Wrong(
            "one-only",
            es="Solo se prepara un pedido a la vez, y hay dos máquinas: o el "
            "bucle espera a cada uno, o el semáforo es de 1.",
            en="Only one order is prepared at a time, and there are two "
            "machines: either the loop waits for each one, or the semaphore "
            "is of 1.",
            expected=2,
            seen=1,
        )
    if most == 0:
        raise Wrong(
            "never-brews",
            es="Nadie llamó a `brew` mientras el cliente seguía conectado. "
            "Una corrutina guardada en una lista no corre: crea la tarea "
            "dentro del bucle.",
            en="Nobody called `brew` while the client was connected. A "
            "coroutine kept in a list does not run: create the task inside "
            "the loop.",
            expected=2,
            seen=0,
        )
    if most < len(ADA):
        raise Wrong(
            "other-limit",
            es="Hay más pedidos preparándose que máquinas. El semáforo ha de "
            "ser de 2, y el mismo para todas las tareas de la conexión.",
            en="More orders are being prepared than there are machines. The "
            "semaphore has to be of 2, and the same one for all tasks of the "
            "connection.",
            expected=2,
            seen=most,
        )
    raise Wrong(
        "too-many",
        es="Todos los pedidos se preparan a la vez. Un semáforo solo limita "
        "si todas las tareas comparten el mismo (créalo una vez, fuera de "
        "ellas) y cada una lo tiene mientras prepara: `async with` va dentro "
        "de la tarea, alrededor de `await brew(...)`.",
        en="All the orders are being prepared at once. A semaphore limits if "
        "all tasks share the same one (create it once, outside them) and each "
        "holds it while it prepares: `async with` goes inside the task, "
        "around `await brew(...)`.",
        expected=2,
        seen=most,
    )


async def _judge_turns(machine, server, run):
    """The third order begins when the second is done, not later.

    Raises:
        Wrong: batches or never-released.
    """
    first, second = machine.started
    machine.let_out(second)
    if await within(PATIENCE, lambda: len(machine.started) > 2):
        return
    server.raise_errors(run)
    machine.let_out(first)
    if await within(PATIENCE, lambda: len(machine.started) > 2):
        raise Wrong(
            "batches",
            es="Una máquina quedó libre y el tercer pedido siguió esperando "
            "a que acabara la otra. Trabajas por tandas: deja que cada tarea "
            "tome su máquina en cuanto haya una.",
            en="One machine was free, and the third order still waited for "
            "the other. You work in batches: let each task take its machine "
            "as soon as there is one.",
        )
    raise Wrong(
        "never-released",
        es="Los dos primeros pedidos terminaron y el tercero no empezó: "
        "nadie devolvió la máquina. `async with` la devuelve siempre.",
        en="The first two orders were done and the third did not begin: "
        "nobody gave the machine back. `async with` always does.",
    )


@exercise("05.4", parameters=2, limit=8, picture="wiretap")
async def careful(answer, run):
    await _leave(answer, run, politely=True)
    await _leave(answer, run, politely=False)
    return Right(
        es="Un cliente se despidió y otro desapareció; los tres pedidos de "
        "cada uno se guardaron antes de que el manejador terminara.",
        en="One client said goodbye and another vanished; the three orders "
        "of each were saved before the handler ended.",
    )


async def _leave(answer, run, politely):
    machine = Machine()
    orders = ["latte", "mocha", "chai"]
    async with Server(answer, machine) as server:
        try:
            async with server.connect() as websocket:
                await send_all(websocket, *orders)
                together = await within(
                    PATIENCE, lambda: len(machine.started) == 3
                )
                if not together:
                    server.raise_errors(run)
                    _judge_start(machine)
                _judge_saved(machine.started, orders)
                machine.let_out(orders[0])
                replies = await receive(websocket, 1, MOMENT)
                if replies:
                    raise Wrong(
                        "replies",
                        es="Aquí se guarda sin responder, y al cliente le "
                        "llegó un mensaje.",
                        en="Here orders are saved without a reply, and a "
                        "message reached the client.",
                        seen=replies[0],
                    )
                if not politely:
                    websocket.transport.abort()
                    await websocket.wait_closed()
            # Time for the handler to find out, and to end if it would.
            await within(2 * MOMENT, server.ended.is_set)
            if server.ended.is_set():
                server.raise_errors(run)
                _judge_end(machine, politely)
            machine.let_all_out()
            await within(PATIENCE, server.ended.is_set)
        finally:
            machine.let_all_out()
    server.raise_errors(run)
    _judge_saved(machine.ended, orders)


def _judge_saved(seen, orders):
    if sorted(map(str, seen)) != sorted(orders):
        raise Wrong(
            "other-orders",
            es="No se guardó cada pedido una vez.",
            en="Not every order was saved once.",
            expected=orders,
            seen=list(seen),
        )


def _judge_start(machine):
    if machine.started:
        raise Wrong(
            "in-line",
            es="Mientras se guarda el primer pedido, el segundo espera. Una "
            "tarea por mensaje.",
            en="While the first order is being saved, the second waits. One "
            "task for each message.",
            expected=["latte", "mocha", "chai"],
            seen=list(machine.started),  # it will grow
        )
    raise Wrong(
        "never-starts",
        es="Mientras el cliente seguía conectado no se empezó a guardar nada. "
        "Una corrutina guardada en una lista no corre: crea la tarea dentro "
        "del bucle.",
        en="While the client was connected, nothing began to be saved. A "
        "coroutine kept in a list does not run: create the task inside the "
        "loop.",
    )


def _judge_end(machine, politely):
    if machine.cancelled:
        raise Wrong(
            "cancelled",
            es="El cliente desapareció sin despedirse: `async for` lanzó "
            "`ConnectionClosedError` dentro del grupo, y el grupo canceló "
            "los pedidos a medias. Atrapa la excepción antes de que salga "
            "del grupo.",
            en="The client vanished without a goodbye: `async for` raised "
            "`ConnectionClosedError` inside the group, and the group "
            "cancelled the orders in the making. Catch the exception before "
            "it leaves the group.",
            seen=[f"{order} cancelled" for order in machine.cancelled],
        )
    if politely:
        raise Wrong(
            "walks-off",
            es="El cliente se despidió y el manejador terminó con pedidos a "
            "medias. Espéralos después del bucle.",
            en="The client said goodbye, and the handler ended with orders "
            "in the making. Await them after the loop.",
        )
    raise Wrong(
        "never-reached",
        es="Cuando un cliente desaparece sin despedirse, `async for` lanza "
        "`ConnectionClosedError` y lo que va después del bucle no se ejecuta: "
        "nadie esperó a las tareas.",
        en="When a client vanishes without a goodbye, `async for` raises "
        "`ConnectionClosedError`, and what comes after the loop is not run: "
        "nobody awaited the tasks.",
    )


class _Ground(str):
    """What grind returns; notes if it is taken for a function."""

    def __new__(cls, grinder, text):
        ground = super().__new__(cls, text)
        ground.grinder = grinder
        return ground

    def __call__(self, *_):
        self.grinder.called_again = True
        return self


class Grinder:
    """A function that blocks; notes where it ran and if the loop went on."""

    def __init__(self, loop):
        self.home = threading.get_ident()
        self.loop = loop
        self.orders = []
        self.at_home = False
        self.called_again = False
        self.went_on = True

    def grind(self, order):
        self.orders.append(order)
        if threading.get_ident() == self.home:
            self.at_home = True
        else:
            alive = threading.Event()
            self.loop.call_soon_threadsafe(alive.set)
            self.went_on = alive.wait(PATIENCE) and self.went_on
        return _Ground(self, f"{order} ground")


@exercise("05.5", parameters=2, picture="wiretap")
async def smooth(answer, run):
    grinder = Grinder(asyncio.get_running_loop())
    expected = ["latte ground", "mocha ground"]
    async with Server(answer, grinder.grind) as server:
        async with server.connect() as websocket:
            await send_all(websocket, "latte", "mocha")
            seen = await receive(websocket, 2, 2)
    if grinder.at_home:
        if grinder.called_again:
            raise Wrong(
                "called-first",
                es="`to_thread(grind(message))` llama primero a `grind`, "
                "aquí mismo, y le pasa al hilo lo que devuelve. Pasa la "
                "función y su argumento por separado.",
                en="`to_thread(grind(message))` first calls `grind`, right "
                "here, and hands the thread what it returns. Pass the "
                "function and its argument separately.",
            )
        raise Wrong(
            "freezes",
            es="`grind` trabajó en el hilo del bucle de eventos: mientras "
            "tanto, nadie más pudo trabajar. Una tarea o un `async def` "
            "alrededor no lo cambian; hace falta otro hilo.",
            en="`grind` ran in the event loop's thread: meanwhile nobody "
            "else could work. A task or an `async def` around it makes no "
            "difference; it takes another thread.",
        )
    if not grinder.went_on:
        raise Wrong(
            "blocked-on-result",
            es="`grind` trabajó en otro hilo, pero el bucle se quedó parado "
            "esperando su resultado. Espéralo con `await`.",
            en="`grind` ran in another thread, but the loop stood still for "
            "its result. Wait for it with `await`.",
        )
    try:
        server.raise_errors(run)
    except ForgottenAwait as wrong:
        if wrong.call == "to_thread":
            raise
        raise Wrong(
            "async-in-thread",
            es="`send` recibió la corrutina de un `async def`: o falta un "
            "`await`, o diste ese `async def` a `to_thread`, que acepta una "
            "función corriente, como `grind`.",
            en="`send` was given the coroutine of an `async def`: either an "
            "`await` is missing, or you passed it to `to_thread`, which takes "
            "an ordinary function, such as `grind`.",
            seen=wrong.seen,
        ) from None
    if sorted(map(str, seen)) != sorted(expected):
        raise Wrong(
            "other-replies",
            es="Manda al cliente lo que devuelve `grind`, una respuesta por "
            "mensaje.",
            en="Send the client what `grind` returns, one reply for each "
            "message.",
            expected=expected,
            seen=seen,
        )
    return Right(
        es="`grind` trabajó en otro hilo y el bucle de eventos siguió libre.",
        en="`grind` ran in another thread, and the event loop stayed free.",
    )
