"""Judges the exercises of lesson 01."""

import asyncio
import inspect

from aula.check import Right, Wrong, exercise


@exercise("01.1", parameters=1)
async def breakfast(answer, run):
    events = []

    async def brew(drink):
        events.append(f"{drink} starts")
        await asyncio.sleep(0.05)
        events.append(f"{drink} ends")
        return f"{drink} listo"

    seen = await answer(brew)
    drinks = seen if isinstance(seen, list | tuple) else [seen]
    unawaited = [drink for drink in drinks if inspect.iscoroutine(drink)]
    for coroutine in unawaited:
        coroutine.close()
    if unawaited:
        raise Wrong(
            "not-awaited",
            es="Has devuelto corrutinas sin esperar: nadie preparó nada. "
            "Pon `await` delante de cada `brew(...)`.",
            en="You returned coroutines that nobody awaited: nothing was "
            "brewed. Put `await` before each `brew(...)`.",
        )
    expected = ["latte starts", "latte ends", "mocha starts", "mocha ends"]
    if sorted(events) == sorted(expected) and events != expected:
        at_once = events[1].endswith("starts")
        if at_once:
            raise Wrong(
                "at-once",
                es="Las dos bebidas se prepararon a la vez. Aquí se pide "
                "una después de otra: espera la primera antes de llamar a "
                "la segunda.",
                en="Both drinks were brewed at once. Here one comes after "
                "the other: await the first before you call the second.",
                expected=expected,
                seen=events,
            )
        raise Wrong(
            "other-order",
            es="El orden está cambiado: primero `latte`, luego `mocha`.",
            en="The order is swapped: first `latte`, then `mocha`.",
            expected=expected,
            seen=events,
        )
    if not isinstance(seen, list) or len(seen) != 2:
        raise Wrong(
            "no-list",
            es="Hay que devolver una lista con los dos resultados.",
            en="Return a list with both results.",
            expected=["latte listo", "mocha listo"],
            seen=seen,
        )
    if seen != ["latte listo", "mocha listo"] or events != expected:
        raise Wrong(
            "other-results",
            es="Los resultados no son los que dio `brew`, o se pidió otra "
            "cosa.",
            en="These are not the results that `brew` gave, or something "
            "else was ordered.",
            expected=["latte listo", "mocha listo"],
            seen=seen,
        )
    return Right(
        es="`mocha` empezó cuando `latte` ya estaba listo, y llegaron los "
        "dos resultados.",
        en="`mocha` began when `latte` was ready, and both results arrived.",
    )


@exercise("01.2", parameters=2)
async def countdown(answer, run):
    said = []
    tasks = [
        asyncio.create_task(answer(numbers, said.append), name=f"{numbers}")
        for numbers in ([3, 2, 1], [30, 20, 10])
    ]
    await asyncio.gather(*tasks)
    if sorted(said) != [1, 2, 3, 10, 20, 30]:
        raise Wrong(
            "other-numbers",
            es="No se dijeron los números que hay en `numbers`. Recórrelos "
            "con `for number in numbers`.",
            en="The numbers said are not those in `numbers`. Go through "
            "them with `for number in numbers`.",
            expected=[3, 30, 2, 20, 1, 10],
            seen=said,
        )
    small = [number for number in said if number < 10]
    large = [number for number in said if number >= 10]
    if small != [3, 2, 1] or large != [30, 20, 10]:
        raise Wrong(
            "other-order",
            es="Cada cuenta tiene que respetar el orden de `numbers`.",
            en="Each countdown has to keep the order of `numbers`.",
            expected=[3, 30, 2, 20, 1, 10],
            seen=said,
        )
    if said == [3, 2, 1, 30, 20, 10]:
        paused = [len(lane.steps) > 1 for lane in run.lanes[-2:]]
        if all(paused):
            raise Wrong(
                "pause-outside",
                es="Cada cuenta dijo todo de un tirón y solo después hizo "
                "una pausa. La pausa va dentro del `for`.",
                en="Each countdown said everything in one go and paused "
                "only afterwards. The pause belongs inside the `for`.",
                expected=[3, 30, 2, 20, 1, 10],
                seen=said,
            )
        raise Wrong(
            "blocking",
            es="Una cuenta terminó antes de que empezara la otra: nadie "
            "cedió el turno. Cambia la pausa por `asyncio.sleep`, con "
            "`await`.",
            en="One countdown was over before the other began: nobody gave "
            "up a turn. Make the pause an `asyncio.sleep`, with `await`.",
            expected=[3, 30, 2, 20, 1, 10],
            seen=said,
        )
    return Right(
        es=f"Las dos cuentas se alternaron: {said}.",
        en=f"The two countdowns took turns: {said}.",
    )


@exercise("01.3", answer="function", parameters=1, picture=None, limit=3)
async def run_all(answer, run):
    log = []

    async def talk(name, turns):
        for turn in range(turns):
            log.append(f"{name}{turn}")
            await asyncio.sleep(0)
        log.append(f"{name} fin")

    coroutines = [talk("a", 2), talk("b", 1), talk("c", 3)]
    expected = "a0, b0, c0, a1, b fin, c1, a fin, c2, c fin"
    try:
        answer(list(coroutines))
    except (StopIteration, RuntimeError) as error:
        raise Wrong(
            "escapes",
            es="Se te escapó una excepción de una corrutina terminada. Cada "
            "una anuncia su final con `StopIteration`: atrápala y sácala de "
            "la ronda.",
            en="An exception of a finished coroutine escaped you. Each one "
            "announces its end with `StopIteration`: catch it, and take "
            "that coroutine out of the round.",
            seen=error,
        ) from None
    finally:
        for coroutine in coroutines:
            coroutine.close()
    seen = ", ".join(log)
    if seen == expected:
        return Right(
            es=f"Tres corrutinas por turnos, sin asyncio: {seen}.",
            en=f"Three coroutines taking turns, without asyncio: {seen}.",
        )
    if seen == "a0, a1, a fin, b0, b fin, c0, c1, c2, c fin":
        raise Wrong(
            "one-by-one",
            es="Cada corrutina corrió hasta el final antes de la siguiente. "
            "Dale un solo `.send(None)` y pasa a la otra.",
            en="Each coroutine ran to its end before the next. Give it one "
            "`.send(None)` and move on.",
            expected=expected,
            seen=seen,
        )
    if seen == "a0, b0, c0":
        raise Wrong(
            "one-round",
            es="Hiciste una sola ronda. Sigue mientras quede alguna sin "
            "terminar.",
            en="You made one round. Go on while any of them is unfinished.",
            expected=expected,
            seen=seen,
        )
    raise Wrong(
        "stops-early",
        es="No todas llegaron a su final, o el orden no es por turnos. "
        "Cuando una lanza `StopIteration`, las demás siguen.",
        en="Not all of them reached their end, or they did not take turns. "
        "When one raises `StopIteration`, the others go on.",
        expected=expected,
        seen=seen,
    )


@exercise("01.4", parameters=2, limit=8)
async def patience(answer, run):
    loop = asyncio.get_running_loop()

    never = loop.create_future()
    waiting = asyncio.create_task(answer(never, 0.1), name="patience")
    done, _ = await asyncio.wait({waiting}, timeout=2)
    if not done:
        raise Wrong(
            "no-limit",
            es="El *future* no llegó nunca y tu función siguió esperando. "
            "Pon un límite con `asyncio.timeout(seconds)`.",
            en="The future never came and your function went on waiting. "
            "Set a limit with `asyncio.timeout(seconds)`.",
        )
    if not waiting.cancelled() and isinstance(
        waiting.exception(), TimeoutError
    ):
        raise Wrong(
            "escapes",
            es="Tu función dejó escapar el `TimeoutError`. Atrápalo y "
            'devuelve `"tarde"`.',
            en="Your function let the `TimeoutError` escape. Catch it and "
            'return `"tarde"`.',
        )
    late = waiting.result()

    soon = loop.create_future()
    loop.call_later(0.05, soon.set_result, 42)
    waiting = asyncio.create_task(answer(soon, 3), name="patience")
    done, _ = await asyncio.wait({waiting}, timeout=1.5)
    steps = [s for x in run.lanes if x.task is waiting for s in x.steps]
    if steps and max(ended - began for began, ended in steps) > 1:
        raise Wrong(
            "blocking",
            es="Mientras esperabas, el bucle estuvo parado y el *future* no "
            "pudo completarse. `time.sleep` no vale aquí.",
            en="While you waited the loop stood still, and the future could "
            "not be completed. `time.sleep` will not do here.",
        )
    if not done:
        raise Wrong(
            "sleeps-first",
            es="El *future* llegó pronto y tu función siguió durmiendo. "
            "Espera al propio *future*, con un límite.",
            en="The future came soon and your function slept on. Await the "
            "future itself, under a limit.",
        )
    soon_result = waiting.result()
    if (late, soon_result) != ("tarde", 42):
        raise Wrong(
            "other-results",
            es='Con un *future* que no llega hay que devolver `"tarde"`; '
            "con uno que llega, su resultado.",
            en='For a future that never comes return `"tarde"`; for one '
            "that does, its result.",
            expected=("tarde", 42),
            seen=(late, soon_result),
        )
    return Right(
        es="Con un *future* que no llega devolvió `tarde`; con otro que "
        "llegó a tiempo, su resultado.",
        en="For a future that never came it returned `tarde`; for one that "
        "came in time, its result.",
    )
