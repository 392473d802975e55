"""Judges the exercises of lesson 02."""

import asyncio
import inspect
import traceback
import warnings

from aula.exercises.check import Right, Wrong, exercise
from aula.judges.peers import refuse_no_star

LONG = 0.2  # seconds a drink gets in 02.4


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
    boiled_in = None

    async def boil():
        nonlocal boiled_in
        boiled_in = asyncio.current_task()
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
    except TypeError as error:
        if "object function can't be used in 'await'" in str(error):
            name = "boil" if "toast" in started else "toast"
            raise Wrong(
                "function-awaited",
                es="Esperaste la función. Espera lo que da la llamada: "
                f"`{name}()`.",
                en="You awaited the function. Await what the call gives: "
                f"`{name}()`.",
                seen=error,
            ) from None
        if not any(why in str(error) for why in NO_COROUTINE):
            refuse_no_star(error)
            raise
        raise Wrong(
            "not-called",
            es="Pasaste la función. Una tarea se crea con una corrutina, que "
            "es lo que da la llamada: `create_task(boil())`.",
            en="You passed the function. A task is made of a coroutine, "
            "which is what the call gives: `create_task(boil())`.",
            seen=error,
        ) from None
    except asyncio.InvalidStateError:
        es, en = "Pediste", "You"
        if toast_turns == 0:
            es = "En la segunda prueba, donde `toast` acaba antes, pediste"
            en = "In the second run, where `toast` ends first, you"
        raise Wrong(
            "too-early",
            es=f"{es} `.result()` a una tarea que aún no había terminado. "
            "Con `await` la esperas y recibes su resultado.",
            en=f"{en} asked a task for its `.result()` before it had "
            "finished. With `await` you wait for it and get its result.",
        ) from None
    if not together and "toast" in started:
        raise Wrong(
            "one-after-another",
            es="Una terminó antes de que la otra empezara. Pon `boil()` en "
            "una tarea, espera a `toast()` y espera la tarea al final.",
            en="One finished before the other started. Put `boil()` in a "
            "task, await `toast()`, and await the task last.",
        )
    for name in ("boil", "toast"):
        if started.count(name) > 1:
            raise Wrong(
                "called-twice",
                es=f"Llamaste a `{name}` dos veces, y cada llamada es otro "
                "trabajo. Espera la tarea que creaste, no una llamada nueva.",
                en=f"You called `{name}` twice, and each call is work of its "
                "own. Await the task that you created, not a new call.",
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
            es="`breakfast` terminó y `toast` no: hay que llamarla y "
            "esperarla.",
            en="`breakfast` finished and `toast` had not: call it and await "
            "it.",
        )
    if seen is None:
        raise _no_return("breakfast")
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
    if boiled_in is task:
        raise Wrong(
            "in-the-foreground",
            es="Las dos avanzaron a la vez y el resultado es correcto, pero "
            "al revés de lo pedido: `boil` es la que va a segundo plano, en "
            "una tarea.",
            en="Both went on at the same time and the result is right, but "
            "the other way round: `boil` is the one that goes to the "
            "background, in a task.",
        )


@exercise("02.2", parameters=2, limit=3)
async def brew_all(answer, run):
    drinks = ["latte", "mocha", "chai", "latte"]
    expected = [drink.upper() for drink in drinks]
    started, made, gates, asked = [], [], [], []
    all_open = False

    async def brew(drink, gate):
        started.append(drink)
        if not all_open:
            await gate.wait()
        return f"{drink}".upper()

    def make(drink):
        asked.append(drink)
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
    all_open = True
    await until(task.done)
    try:
        _refuse_whole_list(asked)
        if task.done() and not task.cancelled() and task.exception():
            raise task.exception()
        _refuse_alone(together)
        seen = await task
    except (TypeError, RuntimeError) as error:
        if isinstance(error, TypeError):
            _refuse_none(asked, expected)
        if not started:
            refuse_no_star(error)
        raise
    finally:
        unstarted = _close(made)
    _refuse_none(asked, expected)
    if unstarted:
        raise Wrong(
            "never-awaited",
            es="Creaste corrutinas y nadie las esperó: no llegaron a empezar.",
            en="You created coroutines and nobody awaited them: they never "
            "started.",
        )
    if seen is None:
        raise _no_return("brew_all")
    if isinstance(seen, asyncio.Future):
        raise Wrong(
            "returned-future",
            es="Devolviste lo que da `gather` al instante, un *future*. "
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


def _no_return(name):
    return Wrong(
        "no-return",
        es=f"`{name}` no devolvió nada: falta un `return`.",
        en=f"`{name}` returned nothing: a `return` is missing.",
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
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        together = await until(lambda: task.done() or len(started) == 3)
    _refuse_starred(task)
    for warning in caught:
        warnings.warn(warning.message, warning.category, stacklevel=1)
    _refuse_whole_list(started)
    if task.done():
        _refuse_ends(task, shouted)
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
            _refuse_ends(task, shouted)
        if not heard:
            await _refuse_delay(task, gates, ready, shouted)
        _refuse_other(shouted, ready)
    await asyncio.wait([task])
    _refuse_ends(task, shouted)
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


def _refuse_starred(task):
    failed = task.done() and not task.cancelled() and task.exception()
    if "as_completed() takes 1 positional" in f"{failed}":
        _forget(failed)
        raise Wrong(
            "starred",
            es="`as_completed` quiere una sola colección de tareas, sin `*` "
            "(al contrario que `gather`).",
            en="`as_completed` wants one collection of tasks, without the "
            "`*` (unlike `gather`).",
        )


def _refuse_ends(task, shouted):
    """Refuse an answer that raised, naming the slip that is known."""
    try:
        task.result()
    except TypeError as error:
        if shouted and "await" in str(error):
            raise Wrong(
                "awaited-shout",
                es="`shout` es una función normal: llámala sin `await`.",
                en="`shout` is an ordinary function: call it without `await`.",
                seen=error,
            ) from None
        if "'async for'" in str(error):
            raise Wrong(
                "async-for",
                es="Aquí va un `for` normal, con el `await` dentro.",
                en="Here it is an ordinary `for`, with the `await` inside.",
                seen=error,
            ) from None
        raise


async def _refuse_delay(task, gates, ready, shouted):
    """Find out what an answer waits for that did not announce a drink."""
    gates["latte"].set()
    heard = await until(lambda: len(shouted) >= len(ready))
    expected, seen = list(ready), list(shouted)
    gates["chai"].set()
    await until(lambda: task.done() or shouted)
    if not shouted:
        raise Wrong(
            "never-shouted",
            es="Había bebidas listas y no se anunció ninguna. Llama a "
            "`shout` con cada resultado, en cuanto llega.",
            en="Drinks were ready and none was announced. Call `shout` with "
            "each result, as soon as it comes.",
            expected=expected,
            seen=seen,
        )
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
    drinks = ["latte", "mocha", "chai", "espresso", "cortado"]
    expected = ["LATTE", None, None, None, "CORTADO"]
    started, late, all_started = [], [], asyncio.Event()
    given_up = asyncio.Event()
    alone, due, overdue = False, [], []

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
        if drink in ("chai", "espresso"):
            late.append(drink)
            try:
                await asyncio.Future()
            finally:
                late.remove(drink)
                given_up.set()
        return drink.upper()

    async def sleep(seconds):
        await asyncio.sleep(seconds)
        # A slow machine may come to both ends at the same time.
        for _ in range(50):
            await asyncio.sleep(0)

    async def look_for_overdue():
        await given_up.wait()
        await sleep(0.5 * LONG)
        overdue.extend(late)

    # Timers of one loop end in their order, however slow the machine is.
    asyncio.get_running_loop().call_later(0.75 * LONG, due.append, True)
    task = asyncio.create_task(answer(make, list(drinks), LONG))
    longer = asyncio.create_task(sleep(1.5 * LONG))
    looking = asyncio.create_task(look_for_overdue())
    await asyncio.wait([task], timeout=8 * LONG)
    in_time = due and not longer.done()
    longer.cancel()
    looking.cancel()
    _refuse_whole_list(started)
    if alone or (not task.done() and len(started) < len(drinks)):
        raise Wrong(
            "one-after-another",
            es="Se acabó la espera de una bebida antes de que empezaran las "
            "demás. Todas a la vez, cada una con su plazo.",
            en="The wait for one drink was over before the others started. "
            "All at the same time, each with its own deadline.",
        )
    if not task.done():
        raise Wrong(
            "no-deadline",
            es="`chai` no llega nunca, y tu función siguió esperándola mucho "
            "después de `seconds`.",
            en="`chai` never comes, and your function waited for it long "
            "after `seconds`.",
        )
    try:
        seen = task.result()
    except TimeoutError:
        raise _late_ruins_all() from None
    except TypeError as error:
        refuse_no_star(error)
        raise
    except (ValueError, BaseExceptionGroup) as error:
        raise Wrong(
            "failure-ruins-all",
            es="`mocha` falló, y su excepción hizo perder los demás "
            "resultados.",
            en="`mocha` failed, and its exception took the other results "
            "with it.",
            seen=error,
        ) from None
    if not isinstance(seen, list | tuple):
        raise Wrong(
            "other-result",
            es="Hay que devolver una lista, con un sitio para cada bebida.",
            en="Return a list, with a place for each drink.",
            expected=expected,
            seen=seen,
        )
    if len(seen) < len(expected):
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
    _refuse_none(started, expected)
    if list(seen) == [None] * len(drinks) and due:
        raise _late_ruins_all()
    if list(seen) == [None] * len(drinks):
        raise Wrong(
            "all-given-up",
            es="`mocha` falló y, antes de que nada se retrasara, quedaron "
            "todas en `None`. Un fallo vacía solo su propio sitio.",
            en="`mocha` failed and, before anything was late, all of them "
            "became `None`. A failure empties its own place only.",
            expected=expected,
            seen=seen,
        )
    if list(seen) != expected:
        raise Wrong(
            "other-result",
            es="La lista no es la que se pedía.",
            en="That is not the list asked for.",
            expected=expected,
            seen=seen,
        )
    if overdue:
        raise Wrong(
            "late-deadlines",
            es=f"`{overdue[0]}` tuvo más tiempo del debido: su plazo no "
            "empezó a contar hasta que acabó la bebida anterior. Pon en "
            "marcha todos los plazos a la vez.",
            en=f"`{overdue[0]}` got more than its deadline: its time began "
            "only after the drink before it was done. Start all the "
            "deadlines at once.",
        )
    if not in_time:
        raise Wrong(
            "other-deadline",
            es="La lista es correcta, pero el plazo no fue el que recibió "
            "tu función en `seconds`.",
            en="The list is right, but the deadline was not the one that "
            "your function got in `seconds`.",
        )
    if not await until(lambda: not late):
        raise Wrong(
            "still-running",
            es=f"La lista es correcta, pero `{late[0]}` sigue en marcha "
            "después de su plazo. Cancela lo que ya no esperas.",
            en=f"The list is right, but `{late[0]}` goes on after its "
            "deadline. Cancel what you no longer wait for.",
        )
    return Right(
        es="`mocha` falló; `chai` y `espresso` no llegaron a tiempo y "
        "quedaron canceladas: `None` para las tres. `latte` y `cortado` no "
        "se enteraron.",
        en="`mocha` failed; `chai` and `espresso` were late and were "
        "cancelled: `None` for all three. `latte` and `cortado` never "
        "noticed.",
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


@exercise("02.5", parameters=1, limit=3, picture=None)
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
    if calls == 0:
        raise Wrong(
            "never-called",
            es="`retry` terminó sin llamar a `call`. Una llamada lleva "
            "paréntesis.",
            en="`retry` ended without calling `call`. A call has parentheses.",
            seen=seen,
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


# What asyncio says of a function where a coroutine is wanted.
NO_COROUTINE = ("was expected, got <function", "awaitable is required")


def _refuse_none(asked, expected):
    """Refuse an answer that has not called make at all."""
    if not asked:
        raise Wrong(
            "never-made",
            es="No empezó ninguna bebida. Llama a `make(drink)` por cada una.",
            en="No drink was even begun. Call `make(drink)` for each one.",
            expected=expected,
        )


def _refuse_whole_list(asked):
    """Refuse a call of make that got all drinks at once."""
    if any(not isinstance(drink, str) for drink in asked):
        raise Wrong(
            "whole-list",
            es="Llama a `make` una vez por bebida, no con la lista entera.",
            en="Call `make` once for each drink, not with the whole list.",
            seen=asked[0],
        )


def _forget(error):
    """Drop the coroutines of an error's frames: not awaited for a reason."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traceback.clear_frames(error.__traceback__)


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
            es="Anunciaste algo que aún había que esperar: pon `await` "
            "delante. También lo que da `as_completed` hay que esperarlo.",
            en="You announced something that was still to be awaited: put "
            "`await` before it. What `as_completed` gives has to be awaited, "
            "too.",
        )
