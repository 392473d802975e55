"""Judges the exercises of lesson 07."""

import asyncio
import inspect
import traceback
from functools import wraps

from websockets.exceptions import ConnectionClosed

from aula.exercises.check import Right, Wrong, exercise
from aula.judges.lesson_05 import MOMENT, PATIENCE, Machine, Server
from aula.judges.peers import Queue, receive, send_all, within


class Visit(Server):
    """A server of the learner's handler, which also notes how it ended.

    Attributes:
        taken: the messages that the handler has received.
        closed: the ConnectionClosed that left the handler, if one did.
        cancelled: whether a CancelledError left it.
    """

    def __init__(self, answer, *arguments):
        self.taken = []
        self.closed = None
        self.cancelled = False

        @wraps(answer)
        async def handler(websocket, *arguments):
            self._count(websocket)
            try:
                await answer(websocket, *arguments)
            except BaseException as error:
                self._note(error)
                raise

        super().__init__(handler, *arguments)

    def _count(self, websocket):
        receive = websocket.recv

        async def recv(*arguments, **options):
            message = await receive(*arguments, **options)
            self.taken.append(message)
            return message

        websocket.recv = recv  # which "async for" calls, too

    def _note(self, error):
        if isinstance(error, asyncio.CancelledError):
            self.cancelled = True
        elif isinstance(error, ConnectionClosed):
            self.closed = str(error)
        elif isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                self._note(inner)

    async def ends(self, seconds=PATIENCE):
        """Whether the handler has ended, or does so in time."""
        return await within(seconds, self.ended.is_set)

    def has_raised(self, kind):
        return any(isinstance(error, kind) for error in self.errors)

    def raise_other(self, run, kind):
        """Raise what has been raised, but for errors of this kind."""
        self.errors = [e for e in self.errors if not isinstance(e, kind)]
        if self.errors:
            self.raise_errors(run)


class Feed:
    """A producer whose values, or exceptions, the judge puts in.

    Attributes:
        asked: how often it was called.
        waiting: how many calls wait for a value.
    """

    def __init__(self, *values):
        self.asked = 0
        self.waiting = 0
        self._values = asyncio.Queue()
        self.put(*values)

    def put(self, *values):
        for value in values:
            self._values.put_nowait(value)

    async def __call__(self):
        self.asked += 1
        self.waiting += 1
        try:
            value = await self._values.get()
        finally:
            self.waiting -= 1
        if isinstance(value, Exception):
            raise value
        return value

    async def stopped(self):
        """Whether nobody waits for a value any more, or soon."""
        return await within(3 * MOMENT, lambda: self.waiting == 0)


class NoPrice(Exception):
    """What a producer raises."""


class BadReading(Exception):
    """What a consumer raises."""


@exercise("07.1", parameters=2, limit=8, picture="wiretap")
async def ticker(answer, run):
    feed = Feed()
    expected = ["latte 100", "latte 101", "latte 102"]
    seen = []
    async with Visit(answer, feed) as visit:
        async with visit.connect() as websocket:
            for price in expected:
                feed.put(price)
                seen += await receive(websocket, 1)
                if seen != expected[: len(seen)] or not seen:
                    break
            ended_early = await visit.ends(0)
        if seen != expected or not feed.asked:
            visit.raise_errors(run)
            _judge_prices(seen, expected, feed, ended_early)
        asked = feed.asked
        for _ in range(3):
            feed.put("latte 103")
            if await visit.ends(PATIENCE / 3):
                break
    visit.raise_errors(run)
    if not visit.ended.is_set() or feed.asked > asked + 2:
        raise Wrong(
            "goes-on",
            es="El cliente se fue y tu función siguió pidiendo precios: "
            "`send()` lanzó `ConnectionClosed` y el bucle dio otra vuelta. "
            "Esa excepción tiene que sacarte del bucle.",
            en="The client left and your function went on asking for prices: "
            "`send()` raised `ConnectionClosed`, and the loop went round "
            "again. That exception has to take you out of the loop.",
        )
    if visit.closed is not None:
        raise Wrong(
            "close-escapes",
            es="Los precios llegaron. Pero al irse el cliente, "
            "`ConnectionClosed` salió de tu función: rompió el bucle y el "
            "manejador. Atrápala fuera del bucle.",
            en="The prices came. But when the client left, "
            "`ConnectionClosed` left your function: it broke the loop, and "
            "the handler too. Catch it outside the loop.",
            seen=visit.closed,
        )
    await _judge_failing_price(answer, run)
    return Right(
        es="Envió los tres precios, terminó sin ruido cuando el cliente se "
        "fue y no escondió el fallo de `next_price`.",
        en="It sent the three prices, ended quietly when the client left, "
        "and did not hide the failure of `next_price`.",
    )


def _judge_prices(seen, expected, feed, ended_early):
    if seen and not feed.asked:
        raise Wrong(
            "not-called",
            es="Llegaron precios, pero no del `next_price` que recibes.",
            en="Prices came, but not from the `next_price` you were given.",
            expected=expected,
            seen=seen,
        )
    if not feed.asked:
        raise Wrong(
            "waits-for-messages",
            es="El cliente no manda nada, y tu función no llegó a pedir un "
            "precio. Un productor no espera mensajes: envía.",
            en="The client sends nothing, and your function never asked for "
            "a price. A producer does not wait for messages: it sends.",
            expected=expected,
            seen=seen,
        )
    if seen == expected[: len(seen)] and seen and ended_early:
        raise Wrong(
            "first-only",
            es="Llegó un precio y tu función terminó, con el cliente "
            "todavía ahí. Falta el bucle.",
            en="One price came and your function ended, with the client "
            "still there. The loop is missing.",
            expected=expected,
            seen=seen,
        )
    raise Wrong(
        "other-prices",
        es="El cliente no recibió cada precio en cuanto existía, una vez y "
        "en orden.",
        en="The client did not receive each price as soon as there was one, "
        "once and in order.",
        expected=expected,
        seen=seen,
    )


async def _judge_failing_price(answer, run):
    feed = Feed("latte 100", NoPrice("no price"))
    async with Visit(answer, feed) as visit, visit.connect() as websocket:
        await receive(websocket, 1)
        await visit.ends()
    if not visit.has_raised(NoPrice):
        raise Wrong(
            "hides-errors",
            es="`next_price` falló y nadie lo supo: tu función atrapa "
            "cualquier excepción. Atrapa solo `ConnectionClosed`.",
            en="`next_price` failed and nobody knew: your function catches "
            "any exception. Catch `ConnectionClosed` alone.",
        )


class Readings:
    """A consumer that notes what it gets, and fails where it is asked to.

    Attributes:
        asked: how often it was called.
        seen: the messages it has consumed.
        free: cleared, it keeps a call from ending.
    """

    def __init__(self):
        self.asked = 0
        self.seen = []
        self.free = asyncio.Event()
        self.free.set()

    async def __call__(self, message):
        self.asked += 1
        if message == "hola":
            raise BadReading(message)
        await self.free.wait()
        self.seen.append(message)


class Exchange(Visit):
    """A visit of a handler that may call what it should hand on."""

    called = False

    def _note(self, error):
        self._note_call(error)
        super()._note(error)

    def _note_call(self, error):
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                self._note_call(inner)
        elif "'coroutine' object is not callable" in f"{error}":
            self.called = True
            _close_coroutines(error)

    def raise_errors(self, run):
        for lane in run.lanes:
            if lane.shown and lane.outcome()[0] == "raised":
                self._note_call(lane.task.exception())
        if self.called:
            raise Wrong(
                "called-producer",
                es="Llamaste a `producer()` y pasaste lo que devuelve. Pasa "
                "la función, sin paréntesis: `producer`.",
                en="You called `producer()` and passed on its result. Pass "
                "the function, without parentheses: `producer`.",
            )
        super().raise_errors(run)


def _close_coroutines(error):
    """Close those that an error's frames hold and nobody has awaited."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        for value in frame.f_locals.values():
            if (
                inspect.iscoroutine(value)
                and inspect.getcoroutinestate(value) == inspect.CORO_CREATED
            ):
                value.close()


@exercise("07.2", parameters=3, limit=10, picture="wiretap")
async def both(answer, run):
    readings, feed = Readings(), Feed()
    async with Exchange(answer, readings, feed) as visit:
        async with visit.connect() as websocket:
            await _judge_talk(websocket, visit, readings, feed, run)
        ended = await visit.ends()
        stopped = await feed.stopped()
        feed.put("latte 102", "latte 103")  # a send would find out
    _judge_leaving(visit, ended, stopped, run)
    await _judge_busy_consumer(answer, run)
    await _judge_failure(answer, run, "hola", None)
    await _judge_failure(answer, run, None, NoPrice("no price"))
    return Right(
        es="Recibió y envió a la vez; cuando el cliente se fue, y cuando una "
        "mitad falló, paró la otra.",
        en="It received and sent at the same time; when the client left, and "
        "when one half failed, it stopped the other.",
    )


async def _judge_talk(websocket, visit, readings, feed, run):
    """Two messages while there is no price, then two prices.

    Raises:
        Wrong: not-called, never-consumes, in-turns, never-produces or
            other-messages.
    """
    messages, prices = ["93.5", "94.0"], ["latte 100", "latte 101"]
    await send_all(websocket, *messages)
    await within(PATIENCE, lambda: len(readings.seen) >= 2)
    if len(readings.seen) < 2:
        visit.raise_errors(run)
    if not readings.asked and not feed.asked:
        raise Wrong(
            "not-called",
            es="Tu función no llamó a los `consumer` y `producer` que "
            "recibe. `consumer_handler` y `producer_handler` usan los del "
            "cuaderno.",
            en="Your function never called the `consumer` and `producer` it "
            "was given. `consumer_handler` and `producer_handler` use the "
            "notebook's.",
        )
    if not readings.asked and len(visit.taken) >= len(messages):
        raise Wrong(
            "consumer-not-called",
            es="Tu función leyó los mensajes y no llamó al `consumer` que "
            "recibe. `consumer_handler` usa el del cuaderno.",
            en="Your function read the messages and never called the "
            "`consumer` it was given. `consumer_handler` uses the "
            "notebook's.",
        )
    if not readings.seen:
        raise Wrong(
            "never-consumes",
            es="Mientras no había precio, los mensajes del cliente se "
            "quedaron sin leer. Las dos mitades tienen que avanzar a la vez.",
            en="While there was no price, the client's messages stayed "
            "unread. Both halves have to move at the same time.",
            expected=messages,
            seen=readings.seen,
        )
    if readings.seen == messages[:1]:
        raise Wrong(
            "in-turns",
            es="Recibes y envías por turnos: el segundo mensaje espera a un "
            "precio. Cada mitad necesita su propio bucle.",
            en="You receive and send in turns: the second message waits for "
            "a price. Each half needs a loop of its own.",
            expected=messages,
            seen=readings.seen,
        )
    feed.put(*prices)
    seen = await receive(websocket, 2)
    if seen != prices:
        visit.raise_errors(run)
    if not seen:
        raise Wrong(
            "never-produces",
            es="Había precios, y con el cliente conectado no salió ninguno. "
            "Las dos mitades tienen que estar en marcha a la vez.",
            en="There were prices, and with the client connected none went "
            "out. Both halves have to run at the same time.",
            expected=prices,
            seen=seen,
        )
    if not feed.asked:
        raise Wrong(
            "producer-not-called",
            es="Llegaron precios, pero no del `producer` que recibes. "
            "`producer_handler` usa el del cuaderno.",
            en="Prices came, but not from the `producer` you were given. "
            "`producer_handler` uses the notebook's.",
            expected=prices,
            seen=seen,
        )
    if (readings.seen, seen) != (messages, prices):
        raise Wrong(
            "other-messages",
            es="No se consumió cada mensaje, o no se envió cada precio, una "
            "vez y en orden.",
            en="Not every message was consumed, or not every price was sent, "
            "once and in order.",
            expected=[messages, prices],
            seen=[readings.seen, seen],
        )


def _judge_leaving(visit, ended, stopped, run):
    visit.raise_errors(run)
    if visit.cancelled:
        raise Wrong(
            "cancel-escapes",
            es="Cancelaste al productor y luego lo esperaste: `await` lanza "
            "su `CancelledError`, que salió de `both`. Un grupo lo espera "
            "sin lanzarlo; fuera de un grupo, usa `asyncio.wait`.",
            en="You cancelled the producer and then awaited it: `await` "
            "raises its `CancelledError`, which left `both`. A group awaits "
            "it without raising; outside a group, use `asyncio.wait`.",
        )
    if not ended:
        raise Wrong(
            "producer-goes-on",
            es="El cliente se fue y `both` siguió: espera a un productor que "
            "no se entera. Cuando acabe la mitad que recibe, cancela la otra.",
            en="The client left and `both` went on: it waits for a producer "
            "that does not notice. When the half that receives ends, cancel "
            "the other.",
        )
    if visit.closed is not None:
        raise Wrong(
            "close-escapes",
            es="Que el cliente se vaya no es un error, y `ConnectionClosed` "
            "salió de `both`.",
            en="That the client leaves is no error, and `ConnectionClosed` "
            "left `both`.",
            seen=visit.closed,
        )
    if not stopped:
        raise Wrong(
            "left-behind",
            es="`both` terminó y dejó al productor esperando un precio para "
            "un cliente que ya no está. Cancélalo antes de salir.",
            en="`both` ended and left the producer waiting for a price for a "
            "client that is gone. Cancel it on the way out.",
        )


async def _judge_busy_consumer(answer, run):
    """The client leaves while a message is consumed, and a price comes.

    Raises:
        Wrong: close-escapes, or what is wrong with any leaving.
    """
    readings, feed = Readings(), Feed()
    readings.free.clear()
    async with Exchange(answer, readings, feed) as visit:
        async with visit.connect() as websocket:
            await send_all(websocket, "93.5")
            await within(PATIENCE, lambda: readings.asked)
        feed.put("latte 100", "latte 101")
        await visit.ends(2 * MOMENT)
        readings.free.set()
        ended = await visit.ends()
        stopped = await feed.stopped()
    if visit.closed is not None:
        visit.raise_errors(run)
        raise Wrong(
            "close-escapes",
            es="El cliente se fue mientras `consumer` estaba ocupado, y el "
            "productor se enteró antes: su `ConnectionClosed` salió de "
            "`both`. Que el cliente se vaya no es un error.",
            en="The client left while `consumer` was busy, and the producer "
            "noticed first: its `ConnectionClosed` left `both`. That the "
            "client leaves is no error.",
            seen=visit.closed,
        )
    _judge_leaving(visit, ended, stopped, run)


async def _judge_failure(answer, run, message, price):
    """One half fails, with a message or a price.

    Raises:
        Wrong: hidden-error or error-leaves-other.
    """
    feed = Feed("latte 100") if price is None else Feed("latte 100", price)
    kind = BadReading if price is None else NoPrice
    async with Exchange(answer, Readings(), feed) as visit:
        async with visit.connect() as websocket:
            await receive(websocket, 1)
            if message is not None:
                await send_all(websocket, message)
            await visit.ends()
            raised = visit.has_raised(kind)
            stopped = await feed.stopped()
            visit.raise_other(run, kind)
        feed.put("latte 101", "latte 102")
    half = "consumer" if price is None else "producer"
    if not raised:
        raise Wrong(
            "hidden-error",
            es=f"`{half}` falló y `both` no: o terminó como si nada o siguió "
            "a medias. El error de una tarea solo sale si alguien la espera y "
            "nadie lo atrapa.",
            en=f"`{half}` failed and `both` did not: it ended as if nothing "
            "had happened, or went on with one half. A task's error comes "
            "out only if somebody awaits it and nobody catches it.",
        )
    if not stopped:
        raise Wrong(
            "error-leaves-other",
            es=f"`{half}` falló, y `both` también, pero la otra mitad sigue "
            "en marcha sin nadie que la pare. Un grupo la cancelaría; sin "
            "grupo, hazlo en un `finally`.",
            en=f"`{half}` failed, and so did `both`, but the other half is "
            "still running with nobody to stop it. A group would cancel it; "
            "without a group, do it in a `finally`.",
        )


@exercise("07.3", answer="function", parameters=2, picture=None)
async def publish(answer, run):
    prices = Queue(3)
    names = ["latte 100", "latte 101", "latte 102"]
    _publish(answer, prices, names[:1])
    _publish(answer, prices, names[1:])
    seen = _content(prices)
    if seen != names:
        raise _dropped(seen, names, "latte 102")
    for name in names:
        prices.put_nowait(name)
    _publish(answer, prices, ["latte 103"])
    seen, expected = _content(prices), [*names[1:], "latte 103"]
    if seen == names:
        raise Wrong(
            "drops-newest",
            es="Con la lista de espera llena, tu función tiró el precio "
            "**nuevo**. El que sobra es el más antiguo.",
            en="With the queue full, your function threw the **new** price "
            "away. The one to go is the oldest.",
            expected=expected,
            seen=seen,
        )
    if seen != expected:
        raise _dropped(seen, expected, "latte 103")
    return Right(
        es="Con tres sitios y cuatro precios, quedaron los tres últimos, en "
        "orden, y nadie tuvo que esperar.",
        en="With three places and four prices, the last three remained, in "
        "order, and nobody had to wait.",
    )


def _publish(answer, prices, names):
    for name in names:
        try:
            answer(prices, name)
        except Exception as error:
            if not prices.waits:
                _judge_queue_error(error)
                raise
        if prices.waits:
            raise Wrong(
                "forgotten-await",
                es="`put` y `get` son corrutinas: esperan. En una función "
                "`def` usa `put_nowait` y `get_nowait`.",
                en="`put` and `get` are coroutines: they wait. In a `def` "
                "function use `put_nowait` and `get_nowait`.",
            )


def _judge_queue_error(error):
    """Name what the queue complains about.

    Raises:
        Wrong: full or empty.
    """
    if isinstance(error, asyncio.QueueFull):
        raise Wrong(
            "full",
            es="Con la lista de espera llena, `put_nowait` lanzó "
            "`QueueFull`. Haz sitio antes.",
            en="With the queue full, `put_nowait` raised `QueueFull`. "
            "Make room first.",
            seen=repr(error),
        ) from None
    if isinstance(error, asyncio.QueueEmpty):
        raise Wrong(
            "empty",
            es="Con la lista de espera vacía, `get_nowait` lanzó "
            "`QueueEmpty`. Saca un precio solo si está llena. ¿Escribiste "
            "`full()` con paréntesis?",
            en="With the queue empty, `get_nowait` raised `QueueEmpty`. "
            "Take a price out only if the queue is full. Did you write "
            "`full()` with its parentheses?",
            seen=repr(error),
        ) from None


def _content(prices):
    return [prices.get_nowait() for _ in range(prices.qsize())]


def _dropped(seen, expected, last):
    """What is wrong with the prices that a queue holds."""
    if seen == [last]:
        return Wrong(
            "drops-all",
            es="Tu función vació la lista de espera: los precios que aún "
            "cabían también se perdieron.",
            en="Your function emptied the whole queue: prices that still had "
            "a place were lost too.",
            expected=expected,
            seen=seen,
        )
    if seen and seen == expected[-len(seen) :]:
        return Wrong(
            "drops-too-early",
            es="Tu función tiró un precio cuando todavía quedaba sitio.",
            en="Your function threw a price away while there was still room.",
            expected=expected,
            seen=seen,
        )
    return Wrong(
        "other-prices",
        es="En la lista de espera no están los precios esperados, en su "
        "orden.",
        en="The queue does not hold the prices expected, in their order.",
        expected=expected,
        seen=seen,
    )


ORDERS = ["latte", "mocha", "chai", "mate", "cocoa", "lungo", "tonic"]
ORDERS += ["latte 0.3"]
FAILING = "chai"


class SoldOut(Exception):
    """What executing an order raises."""


@exercise("07.4", parameters=2, limit=10, picture="wiretap")
async def broker(answer, run):
    await _judge_desk(answer, run)
    await _judge_goodbye(answer, run)
    return Right(
        es="Dos consumidores, dos sitios: con ocho órdenes de golpe, el "
        "servidor aceptó solo las que podía tener. La que falló no estorbó a "
        "nadie, y ninguna aceptada se perdió al irse el cliente.",
        en="Two consumers, two places: with eight orders at once, the server "
        "accepted no more than it could hold. The one that failed was in "
        "nobody's way, and none it had accepted was lost when the client "
        "left.",
    )


class Desk(Machine):
    """A machine that fails at one order."""

    async def __call__(self, order):
        await super().__call__(order)
        if order == FAILING:
            raise SoldOut(order)


async def _judge_desk(answer, run):
    """Eight orders from a client that waits for all replies."""
    desk = Desk()
    async with Visit(answer, desk) as visit:
        try:
            async with visit.connect() as websocket:
                await send_all(websocket, *ORDERS)
                if await within(PATIENCE, lambda: len(desk.started) >= 2):
                    await within(PATIENCE, lambda: len(visit.taken) >= 5)
                await asyncio.sleep(MOMENT)  # more would come now
                if visit.has_raised(asyncio.QueueFull):
                    raise _full()
                if len(desk.started) < 2 or len(visit.taken) < 5:
                    visit.raise_errors(run)
                _judge_limits(desk, visit)
                desk.let_all_out()
                seen = await receive(websocket, len(ORDERS), 2 * PATIENCE)
            _judge_replies(seen, desk, visit, run)
            if not await visit.ends():
                raise Wrong(
                    "never-ends",
                    es="El cliente se fue, todo está hecho y tu función "
                    "sigue. O `join()` espera un `task_done()` que una "
                    "excepción se saltó, o nadie cancela a los consumidores.",
                    en="The client left, all is done, and your function goes "
                    "on. Either `join()` waits for a `task_done()` that an "
                    "exception skipped, or nobody cancels the consumers.",
                )
        finally:
            desk.let_all_out()
    visit.raise_errors(run)
    _judge_escapes(visit)
    if not await within(3 * MOMENT, lambda: not _alive(run)):
        raise Wrong(
            "left-behind",
            es="Tu función terminó y dejó consumidores esperando órdenes "
            "para siempre. Cancélalos antes de salir.",
            en="Your function ended and left consumers waiting for orders "
            "for ever. Cancel them on the way out.",
        )


def _full():
    return Wrong(
        "queue-full",
        es="La lista de espera se llenó, y `put_nowait` lanzó `QueueFull`: "
        "ocho órdenes de golpe echaron abajo el manejador. `await put(...)` "
        "espera a que haya sitio.",
        en="The queue was full, and `put_nowait` raised `QueueFull`: eight "
        "orders at once brought the handler down. `await put(...)` waits "
        "for a place.",
    )


def _alive(run):
    """The answer's tasks that have not ended."""
    judge = asyncio.current_task()
    return [
        lane.task
        for lane in run.lanes[1:]  # the first is the cell's
        if lane.shown and lane.task is not judge and not lane.task.done()
    ]


def _judge_limits(desk, visit):
    """How much it does at once, and how much it accepts, at most."""
    if not desk.started:
        raise Wrong(
            "never-starts",
            es="Con el cliente conectado, nadie llamó al `execute` que "
            "recibes.",
            en="With the client connected, nobody called the `execute` you "
            "were given.",
        )
    if len(desk.started) == 1:
        raise Wrong(
            "one-consumer",
            es="Se atiende una orden cada vez: hay un solo consumidor, o "
            "esperas a `execute` dentro del bucle que recibe.",
            en="One order is served at a time: there is a single consumer, "
            "or you await `execute` inside the loop that receives.",
            expected=2,
            seen=1,
        )
    if len(desk.started) > 2:
        raise Wrong(
            "too-many-consumers",
            es="Se atienden más de dos órdenes a la vez.",
            en="More than two orders are served at a time.",
            expected=2,
            seen=len(desk.started),
        )
    if len(visit.taken) > 5:
        raise Wrong(
            "no-limit",
            es="Tu función aceptó más órdenes de las que caben: dos en "
            "marcha, dos en la lista de espera y una esperando sitio. Dale un "
            "máximo, y espera con `put`.",
            en="Your function accepted more orders than there is room for: "
            "two under way, two in the queue and one waiting for a place. "
            "Give the queue a maximum, and wait with `put`.",
            expected=5,
            seen=len(visit.taken),
        )
    if len(visit.taken) < 5:
        raise Wrong(
            "no-places",
            es="Con dos órdenes en marcha, otras dos deberían estar en la "
            "lista de espera y una quinta, esperando sitio. Órdenes "
            "aceptadas:",
            en="With two orders under way, two more should be in the queue, "
            "and a fifth waiting for a place. Orders accepted:",
            expected=5,
            seen=len(visit.taken),
        )


def _judge_replies(seen, desk, visit, run):
    expected = [
        f"failed {order}" if order == FAILING else f"sold {order}"
        for order in ORDERS
    ]
    first_words = sorted(" ".join(reply.split()[:2]) for reply in expected)
    executed = sorted(map(str, desk.started))
    if sorted(map(str, seen)) == first_words or (
        len(executed) == len(ORDERS) and executed != sorted(ORDERS)
    ):
        raise Wrong(
            "part-of-order",
            es="La orden es el mensaje **entero**, también cuando lleva un "
            "espacio: así va a `execute` y así vuelve en la respuesta.",
            en="The order is the **whole** message, also with a space in it: "
            "so it goes to `execute`, and so it comes back in the reply.",
            expected=expected,
            seen=seen,
        )
    if sorted(map(str, seen)) == sorted(expected):
        return
    missing = set(expected) - set(map(str, seen))
    fell = visit.has_raised(SoldOut) or missing == {f"failed {FAILING}"}
    if fell:
        raise Wrong(
            "consumer-falls",
            es="`execute` falló con una orden y se llevó por delante al "
            "consumidor. Atrapa su excepción alrededor de esa llamada y "
            "responde `failed`.",
            en="`execute` failed at one order and took its consumer down. "
            "Catch its exception around that call, and reply `failed`.",
            expected=expected,
            seen=seen,
        )
    visit.raise_errors(run)
    raise Wrong(
        "other-replies",
        es="Las respuestas no son las esperadas (en cualquier orden), una "
        "por cada orden.",
        en="The replies are not those expected (in any order), one for each "
        "order.",
        expected=expected,
        seen=seen,
    )


def _judge_escapes(visit):
    if visit.cancelled:
        raise Wrong(
            "cancel-escapes",
            es="Cancelaste a los consumidores y los esperaste con `await`: "
            "su `CancelledError` salió de tu función. Un grupo los espera "
            "sin lanzarlo.",
            en="You cancelled the consumers and awaited them: their "
            "`CancelledError` left your function. A group awaits them "
            "without raising it.",
        )


async def _judge_goodbye(answer, run):
    """Four orders from a client that leaves before they are done."""
    desk = Desk()
    orders = [order for order in ORDERS if order != FAILING][:4]
    async with Visit(answer, desk) as visit:
        try:
            async with visit.connect() as websocket:
                await send_all(websocket, *orders)
                await within(PATIENCE, lambda: len(visit.taken) == 4)
            await visit.ends(2 * MOMENT)
            early = visit.ended.is_set()
        finally:
            desk.let_all_out()
        ended = await visit.ends()
    if visit.closed is not None:
        raise Wrong(
            "close-escapes",
            es="El cliente se fue antes de su respuesta: `send()` lanzó "
            "`ConnectionClosed`, y lo que quedaba por hacer se canceló. Que "
            "el cliente no esté no impide despachar.",
            en="The client left before its reply: `send()` raised "
            "`ConnectionClosed`, and what was left to do was cancelled. "
            "Orders can be executed without the client.",
            seen=visit.closed,
        )
    visit.raise_errors(run)
    if not early and not ended and len(desk.ended) < len(orders):
        raise Wrong(
            "consumers-leave",
            es="El cliente se fue, `ConnectionClosed` sacó a los consumidores "
            "de su bucle y nadie atiende las órdenes que tu función espera. "
            "Aquí atrápala **dentro** del bucle, alrededor de `send`.",
            en="The client left, `ConnectionClosed` took the consumers out of "
            "their loop, and nobody serves the orders that your function "
            "waits for. Here, catch it **inside** the loop, around `send`.",
            expected=orders,
            seen=desk.ended,
        )
    if early or sorted(desk.ended) != sorted(orders):
        raise Wrong(
            "lost-orders",
            es="El cliente se fue y con él se perdieron órdenes ya "
            "aceptadas. Antes de cancelar a los consumidores, espera a que "
            "no quede ninguna.",
            en="The client left, and orders already accepted were lost with "
            "it. Before you cancel the consumers, wait until none is left.",
            expected=orders,
            seen=desk.ended,
        )
    if not ended:
        raise Wrong(
            "stays",
            es="El cliente se fue antes de su respuesta, todo se despachó y "
            "tu función sigue: falta un `task_done()` cuando `send()` falla.",
            en="The client left before its reply, all was executed, and your "
            "function goes on: a `task_done()` is missing when `send()` "
            "fails.",
        )
