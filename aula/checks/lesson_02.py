"""Judges the exercises of lesson 02."""

import asyncio
import inspect

from aula.check import Right, Wrong, exercise

LONG = 0.4  # seconds a drink gets in 02.4


async def until(condition):
    """Let the event loop turn until a condition holds; tell whether it did.

    Counted in turns, so that a slow machine gets more time.
    """
    for _ in range(30):
        if condition():
            return True
        await asyncio.sleep(0.005)
    return condition()


@exercise("02.1", parameters=2, limit=3)
async def breakfast(answer, run):
    await _breakfast(answer, boil_turns=0, toast_turns=30)
    await _breakfast(answer, boil_turns=30, toast_turns=0)
    return Right(
        es="`boil` y `toast` avanzaron a la vez, terminaron las dos y "
        "`breakfast` devolvió `chai`.",
        en="`boil` and `toast` went on at the same time, both finished, and "
        "`breakfast` returned `chai`.",
    )


async def _breakfast(answer, boil_turns, toast_turns):
    started, ended, both = [], [], asyncio.Event()

    async def boil():
        started.append("boil")
        await both.wait()
        for _ in range(boil_turns):
            await asyncio.sleep(0)
        ended.append("boil")
        return "chai"

    async def toast():
        started.append("toast")
        await both.wait()
        for _ in range(toast_turns):
            await asyncio.sleep(0)
        ended.append("toast")
        return "croissant"

    task = asyncio.create_task(answer(boil, toast))
    together = await until(lambda: task.done() or len(started) == 2)
    both.set()
    try:
        seen = await task
    except asyncio.InvalidStateError:
        raise Wrong(
            "too-early",
            es="Pediste `.result()` a una tarea que aún no había terminado. "
            "Con `await` la esperas y recibes su resultado.",
            en="You asked a task for its `.result()` before it had finished. "
            "With `await` you wait for it and get its result.",
        ) from None
    if not together and "toast" in started:
        raise Wrong(
            "one-after-another",
            es="Una terminó antes de que la otra empezara. La que va a "
            "segundo plano necesita su tarea, y quien la crea no la espera "
            "todavía.",
            en="One finished before the other started. The one in the "
            "background needs a task, and whoever creates it does not wait "
            "for it yet.",
        )
    if isinstance(seen, asyncio.Future):
        raise Wrong(
            "returned-task",
            es="Devolviste la tarea, no su resultado. El resultado lo da "
            "`await`.",
            en="You returned the task, not its result. `await` gives you "
            "the result.",
            expected="chai",
        )
    if "toast" not in ended:
        raise Wrong(
            "toast-left-behind",
            es="`breakfast` terminó y `toast` no: nadie la esperó.",
            en="`breakfast` finished and `toast` had not: nobody waited for "
            "it.",
        )
    if seen != "chai":
        raise Wrong(
            "other-result",
            es="Las dos avanzaron a la vez, pero había que devolver lo que "
            "devuelve `boil`, y nada más.",
            en="Both went on at the same time, but you had to return what "
            "`boil` returns, and nothing else.",
            expected="chai",
            seen=seen,
        )


@exercise("02.2", parameters=2, limit=3)
async def brew_all(answer, run):
    drinks = ["latte", "mocha", "chai", "latte"]
    expected = [drink.upper() for drink in drinks]
    started, made, gates = [], [], []

    async def brew(drink, gate):
        started.append(drink)
        await gate.wait()
        return drink.upper()

    def make(drink):
        gates.append(asyncio.Event())
        made.append(brew(drink, gates[-1]))
        return made[-1]

    task = asyncio.create_task(answer(make, list(drinks)))
    together = await until(lambda: task.done() or len(started) == len(drinks))
    # The last one asked for is the first one ready.
    for gate in reversed(gates):
        gate.set()
        for _ in range(5):
            await asyncio.sleep(0)
    try:
        _refuse_alone(together)
        seen = await task
    except (TypeError, RuntimeError) as error:
        if started or not _no_star(error):
            raise
        raise Wrong(
            "no-star",
            es="`gather` quiere cada corrutina como un argumento propio, y "
            "recibió una colección entera. Desempaquétala con `*`.",
            en="`gather` wants each coroutine as an argument of its own, and "
            "it got a whole collection. Unpack it with `*`.",
            seen=error,
        ) from None
    finally:
        unstarted = _close(made)
    if unstarted:
        raise Wrong(
            "never-awaited",
            es="Creaste corrutinas y nadie las esperó: no llegaron a empezar.",
            en="You created coroutines and nobody awaited them: they never "
            "started.",
        )
    if isinstance(seen, asyncio.Future):
        raise Wrong(
            "returned-future",
            es="Devolviste lo que devuelve `gather` al instante, un future. "
            "La lista llega al esperarlo con `await`.",
            en="You returned what `gather` hands out at once, a future. The "
            "list comes when you await it.",
            expected=expected,
        )
    if _holds_tasks(seen):
        raise Wrong(
            "returned-tasks",
            es="Devolviste las tareas, no sus resultados.",
            en="You returned the tasks, not their results.",
            expected=expected,
        )
    if not isinstance(seen, list | tuple) or (
        sorted(map(repr, seen)) != sorted(map(repr, expected))
    ):
        raise Wrong(
            "other-result",
            es="Se hicieron a la vez, pero la lista no es la pedida: un "
            "resultado por bebida, también si una se repite.",
            en="They were made at the same time, but that is not the list "
            "asked for: one result for each drink, also where one comes "
            "twice.",
            expected=expected,
            seen=seen,
        )
    if list(seen) != expected:
        raise Wrong(
            "completion-order",
            es="Están todos, pero en el orden en que terminaron. Se pedían "
            "en el orden de `drinks`.",
            en="They are all there, in the order in which they finished. The "
            "order of `drinks` was asked for.",
            expected=expected,
            seen=seen,
        )
    return Right(
        es="Las cuatro empezaron antes de que ninguna terminara. La última "
        "estuvo lista la primera, y la lista respeta el orden pedido.",
        en="All four started before any finished. The last one was ready "
        "first, and the list keeps the order asked for.",
    )


def _refuse_alone(together):
    if not together:
        raise Wrong(
            "one-after-another",
            es="La primera bebida aún no estaba y las demás no habían "
            "empezado. Ponlas todas en marcha y espera después.",
            en="The first drink was not ready and the others had not started. "
            "Set them all going, then wait.",
        )


@exercise("02.3", parameters=3, limit=3)
async def announce(answer, run):
    drinks = ["latte", "mocha", "chai"]
    gates = {drink: asyncio.Event() for drink in drinks}
    started, shouted = [], []

    async def make(drink):
        started.append(drink)
        await gates[drink].wait()
        return drink.upper()

    task = asyncio.create_task(answer(make, list(drinks), shouted.append))
    together = await until(lambda: task.done() or len(started) == 3)
    if task.done():
        task.result()
    _refuse_tasks(shouted)
    _refuse_alone(together)
    if task.done():
        for gate in gates.values():
            gate.set()
        await until(lambda: len(shouted) == len(drinks))
        raise Wrong(
            "left-early",
            es="`announce` terminó antes de que hubiera ninguna bebida. "
            "Tiene que quedarse hasta anunciar la última.",
            en="`announce` ended before any drink was ready. It has to stay "
            "until it has announced the last one.",
        )
    ready = []
    for drink in ("mocha", "chai", "latte"):
        gates[drink].set()
        ready.append(drink.upper())
        heard = await until(lambda: task.done() or len(shouted) >= len(ready))
        _refuse_tasks(shouted)
        if task.done():
            task.result()
        if not heard:
            await _refuse_delay(gates, ready, shouted)
        _refuse_other(shouted, ready)
    await task
    _refuse_other(shouted, ready)
    return Right(
        es="Se pidieron `latte`, `mocha` y `chai`; estuvieron listos y se "
        "anunciaron en otro orden: `MOCHA`, `CHAI`, `LATTE`.",
        en="`latte`, `mocha` and `chai` were asked for; they were ready, and "
        "announced, in another order: `MOCHA`, `CHAI`, `LATTE`.",
    )


def _refuse_other(shouted, ready):
    if shouted != ready:
        raise Wrong(
            "other-result",
            es="Los anuncios no son los que se pedían: un solo `shout` por "
            "bebida, con su resultado, en cuanto está lista.",
            en="Those are not the announcements asked for: one single "
            "`shout` for each drink, with its result, as soon as it is "
            "ready.",
            expected=ready,
            seen=shouted,
        )


async def _refuse_delay(gates, ready, shouted):
    """Find out what an answer waits for that did not announce a drink."""
    gates["latte"].set()
    heard = await until(lambda: len(shouted) >= len(ready))
    expected, seen = list(ready), list(shouted)
    if heard:
        raise Wrong(
            "asked-order",
            es="`mocha` estaba lista y no se anunció hasta que salió "
            "`latte`: esperas las tareas en el orden en que las creaste.",
            en="`mocha` was ready and was not announced until `latte` came "
            "out: you await the tasks in the order in which you created "
            "them.",
            expected=expected,
            seen=seen,
        )
    raise Wrong(
        "all-at-the-end",
        es="Había bebidas listas y no se anunció ninguna: esperas a "
        "tenerlas todas.",
        en="Drinks were ready and none was announced: you wait until you "
        "have them all.",
        expected=expected,
        seen=seen,
    )


@exercise("02.4", parameters=3, limit=3)
async def brew_in_time(answer, run):
    drinks = ["latte", "mocha", "chai", "cortado"]
    expected = ["LATTE", None, None, "CORTADO"]
    started, late, all_started = [], [], asyncio.Event()
    alone = False

    async def make(drink):
        nonlocal alone
        started.append(drink)
        if len(started) == len(drinks):
            all_started.set()
        try:
            await all_started.wait()
        finally:
            if len(started) < len(drinks):
                alone = True
                all_started.set()
        if drink == "mocha":
            raise ValueError(drink)
        if drink == "chai":
            late.append(drink)
            try:
                await asyncio.Future()
            finally:
                late.clear()
        return drink.upper()

    task = asyncio.create_task(answer(make, list(drinks), LONG))
    await asyncio.wait([task])
    if alone:
        raise Wrong(
            "one-after-another",
            es="Se acabó la espera de una bebida antes de que empezaran las "
            "demás. Todas a la vez, cada una con su plazo.",
            en="The wait for one drink was over before the others started. "
            "All at the same time, each with its own deadline.",
        )
    try:
        seen = task.result()
    except TimeoutError:
        raise _late_ruins_all() from None
    except (ValueError, BaseExceptionGroup) as error:
        raise Wrong(
            "failure-ruins-all",
            es="`mocha` falló, y su excepción se llevó por delante los "
            "demás resultados.",
            en="`mocha` failed, and its exception took the other results "
            "with it.",
            seen=error,
        ) from None
    if not isinstance(seen, list | tuple) or len(seen) < len(expected):
        raise Wrong(
            "left-out",
            es="Faltan sitios en la lista: también las que fallan o se "
            "retrasan tienen el suyo, con `None`.",
            en="The list lacks places: those that fail or are late have "
            "theirs too, with `None`.",
            expected=expected,
            seen=seen,
        )
    if any(isinstance(value, BaseException) for value in seen):
        raise Wrong(
            "errors-left-in",
            es="Hay excepciones entre los resultados. Cambia cada una por "
            "`None`.",
            en="There are exceptions among the results. Turn each into "
            "`None`.",
            expected=expected,
            seen=seen,
        )
    if list(seen) == [None] * len(drinks):
        raise _late_ruins_all()
    if list(seen) != expected:
        raise Wrong(
            "other-result",
            es="La lista no es la que se pedía.",
            en="That is not the list asked for.",
            expected=expected,
            seen=seen,
        )
    if not await until(lambda: not late):
        raise Wrong(
            "still-running",
            es="La lista es correcta, pero `chai` sigue en marcha después "
            "de su plazo. Cancela lo que ya no esperas.",
            en="The list is right, but `chai` goes on after its deadline. "
            "Cancel what you no longer wait for.",
        )
    return Right(
        es="`mocha` falló y `chai` no llegó a tiempo: `None` las dos. "
        "`latte` y `cortado` no se enteraron, y `chai` quedó cancelada.",
        en="`mocha` failed and `chai` was late: `None` for both. `latte` and "
        "`cortado` never noticed, and `chai` was cancelled.",
    )


def _late_ruins_all():
    return Wrong(
        "late-ruins-all",
        es="Un solo retraso anuló la lista entera. Cada bebida necesita su "
        "propio plazo, y la que llega tarde deja `None`, no un "
        "`TimeoutError`.",
        en="A single late drink undid the whole list. Each drink needs a "
        "deadline of its own, and a late one leaves `None`, not a "
        "`TimeoutError`.",
    )


@exercise("02.5", parameters=1, limit=3)
async def retry(answer, run):
    errors = [ValueError("latte"), OSError("latte")]
    calls = 0

    async def fail_twice():
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        if calls <= len(errors):
            raise errors[calls - 1]
        return "LATTE"

    try:
        seen = await answer(fail_twice)
    except (ValueError, OSError) as error:
        if calls == 1:
            raise Wrong(
                "no-retry",
                es="`call` falló una vez y su excepción salió de `retry`. "
                "Un fallo tiene que seguir llevando a otro intento.",
                en="`call` failed once and its exception came out of "
                "`retry`. A failure still has to lead to another try.",
                seen=error,
            ) from None
        raise Wrong(
            "only-some-errors",
            es="`retry` aguantó una clase de fallo y otra no. Cualquier "
            "fallo de `call` merece otro intento.",
            en="`retry` survived one kind of failure and not another. Any "
            "failure of `call` deserves another try.",
            seen=error,
        ) from None
    if inspect.iscoroutine(seen):
        seen.close()
        raise Wrong(
            "returned-coroutine",
            es="Devolviste la corrutina de `call` sin esperarla: sus fallos "
            "ocurren ya fuera de `retry`.",
            en="You returned the coroutine of `call` without awaiting it: "
            "its failures happen outside `retry`.",
        )
    if seen != "LATTE":
        raise Wrong(
            "gives-up",
            es="`call` falló dos veces y a la tercera iba a devolver "
            "`LATTE`. `retry` no llegó a recogerlo.",
            en="`call` failed twice and was about to return `LATTE`. "
            "`retry` did not get that far.",
            expected="LATTE",
            seen=seen,
        )
    await _refuse_deafness(answer)
    return Right(
        es="Tras dos fallos devolvió `LATTE`, y al cancelarla a mitad de "
        "intento terminó cancelada, sin intentarlo otra vez.",
        en="After two failures it returned `LATTE`, and when it was "
        "cancelled in the middle of a try it ended as cancelled, without "
        "another one.",
    )


async def _refuse_deafness(answer):
    """Cancel the answer while it waits and see how it ends."""
    calls = 0

    async def wait_once():
        nonlocal calls
        calls += 1
        if calls == 1:
            await asyncio.Future()
        return "LATTE"

    task = asyncio.create_task(answer(wait_once))
    await until(lambda: calls)
    task.cancel()
    await asyncio.wait([task])
    if calls > 1:
        raise Wrong(
            "swallowed",
            es="Se canceló `retry` mientras esperaba, y volvió a intentarlo "
            "como si la cancelación fuera un fallo más.",
            en="`retry` was cancelled while it waited, and it tried again as "
            "if the cancellation were one more failure.",
        )
    if not task.cancelled():
        end = task.exception() or task.result()
        raise Wrong(
            "cancel-covered-up",
            es="Se canceló `retry`: dejó de intentarlo, pero acabó como si "
            "nadie la hubiera cancelado. `task.cancelled()` es `False`.",
            en="`retry` was cancelled: it stopped trying, but it ended as if "
            "nobody had cancelled it. `task.cancelled()` is `False`.",
            expected=asyncio.CancelledError(),
            seen=end,
        )


def _no_star(error):
    """Whether gather complains of a collection given as one argument."""
    complaints = (
        "unhashable type",
        "awaitable is required",
        # Python 3.11 still takes a generator for a coroutine.
        "Task got bad yield",
    )
    return any(complaint in str(error) for complaint in complaints)


def _close(coroutines):
    """Close the coroutines that never started, and count them."""
    unstarted = [
        coroutine
        for coroutine in coroutines
        if inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED
        and not _has_task(coroutine)
    ]
    for coroutine in unstarted:
        coroutine.close()
    return len(unstarted)


def _has_task(coroutine):
    return any(t.get_coro() is coroutine for t in asyncio.all_tasks())


def _holds_tasks(value):
    return isinstance(value, list | tuple | set) and any(
        isinstance(item, asyncio.Future) for item in value
    )


def _refuse_tasks(shouted):
    """Refuse an announcement of what is still to be awaited."""
    pending = [item for item in shouted if inspect.isawaitable(item)]
    for item in pending:
        if inspect.iscoroutine(item):
            item.close()
    if pending:
        raise Wrong(
            "not-a-result",
            es="Anunciaste algo que aún había que esperar. `as_completed` "
            "da esperas, no resultados: pon `await` delante.",
            en="You announced something that was still to be awaited. "
            "`as_completed` gives you things to await, not results: put "
            "`await` before it.",
        )
