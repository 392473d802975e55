"""Judges the exercises of lesson 01."""

import asyncio
import inspect
import sys
import traceback
import warnings

from aula.exercises.check import Right, Wrong, exercise

RESULT = "mocha #7"  # what the future of 01.4 brings


@exercise("01.1", parameters=1)
async def breakfast(answer, run):
    events = []

    async def brew(drink):
        events.append(f'brew("{drink}")')
        await asyncio.sleep(0.05)
        events.append(f"{drink} #7")
        return f"{drink} #7"

    results = ["latte #7", "mocha #7"]
    seen = await answer(brew)
    drinks = seen if isinstance(seen, list | tuple) else [seen]
    unawaited = [drink for drink in drinks if inspect.isawaitable(drink)]
    for coroutine in filter(inspect.iscoroutine, unawaited):
        coroutine.close()
    if unawaited:
        raise Wrong(
            "not-awaited",
            es="Devolviste trabajo que nadie esperó, no sus resultados. "
            "Pon `await` delante de cada `brew(...)`.",
            en="You returned work that nobody awaited, not its results. Put "
            "`await` before each `brew(...)`.",
        )
    expected = ['brew("latte")', "latte #7", 'brew("mocha")', "mocha #7"]
    if sorted(events) == sorted(expected) and events != expected:
        at_once = events[1].startswith("brew")
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
    if events != expected:
        raise Wrong(
            "other-drinks",
            es="Se pedían un `latte` y un `mocha`, cada uno una sola vez y "
            "hasta el final.",
            en="One `latte` and one `mocha` were asked for, each once and to "
            "its end.",
            expected=expected,
            seen=events,
        )
    if seen is None:
        raise Wrong(
            "printed",
            es="Preparaste las dos bebidas, pero tu función no devuelve nada. "
            "Escribir con `print` no es devolver: usa `return`.",
            en="You brewed both drinks, but your function returns nothing. To "
            "print is not to return: use `return`.",
            expected=results,
            seen=seen,
        )
    if not isinstance(seen, list) or len(seen) != 2:
        raise Wrong(
            "no-list",
            es="Hay que devolver una lista con los dos resultados.",
            en="Return a list with both results.",
            expected=results,
            seen=seen,
        )
    if seen != results:
        raise Wrong(
            "other-results",
            es="Esos no son los resultados que dio `brew`. Guarda lo que "
            "entrega cada `await` y devuélvelo.",
            en="These are not the results that `brew` gave. Keep what each "
            "`await` hands over, and return that.",
            expected=results,
            seen=seen,
        )
    return Right(
        es="`mocha` empezó cuando `latte` ya estaba listo, y llegaron los "
        "dos resultados.",
        en="`mocha` began when `latte` was ready, and both results arrived.",
    )


@exercise("01.2", parameters=2)
async def countdown(answer, run):
    said, paused, due = [], [], []
    loop = asyncio.get_running_loop()

    # Timers of one loop end in their order, however slow the machine is.
    def say(number):
        said.append(number)
        loop.call_later(0.025, paused.append, number)
        return ""  # in a TypeError, not to be taken for another call's None

    async def wait_longer():
        await asyncio.sleep(1)

    loop.call_later(0.1, due.append, True)
    tasks = [
        asyncio.create_task(answer(numbers, say), name=f"{numbers}")
        for numbers in ([3, 2, 1], [30, 20, 10])
    ]
    late = asyncio.create_task(wait_longer())
    try:
        await asyncio.gather(*tasks)
    except TypeError as error:
        if said and "a coroutine" in str(error):
            raise Wrong(
                "no-coroutine",
                es="`say(number)` no da una corrutina: `say` es una función "
                "normal, y no sirve para `gather` ni para una tarea. Llámala "
                "en un `for`, y después haz la pausa.",
                en="`say(number)` gives no coroutine: `say` is a plain "
                "function, of no use to `gather` or to a task. Call it in a "
                "`for`, and pause after it.",
                seen=error,
            ) from None
        if not said or "await" not in str(error):
            raise
        if "NoneType" in str(error):
            raise Wrong(
                "awaited-none",
                es="Después de `say`, `await` recibió un `None`. Eso devuelve "
                "`time.sleep`, que bloquea y no se puede esperar. La pausa "
                "que cede el turno es `await asyncio.sleep(0.05)`.",
                en="After `say`, `await` was given a `None`. That is what "
                "`time.sleep` returns: it blocks and cannot be awaited. The "
                "pause that gives way is `await asyncio.sleep(0.05)`.",
                seen=error,
            ) from None
        raise Wrong(
            "awaited-say",
            es="`say` es una función normal: llámala sin `await`.",
            en="`say` is a plain function: call it without `await`.",
            seen=error,
        ) from None
    too_long = late.done()
    late.cancel()
    steps = [lane.steps for lane in run.lanes if lane.task in tasks]
    if not said:
        raise Wrong(
            "never-said",
            es="Nadie llamó a `say`: llama a `say(number)` por cada número, "
            "sin `print`.",
            en="`say` was never called: call `say(number)` for each number, "
            "without `print`.",
        )
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
        if all(len(each) > 1 for each in steps):
            raise Wrong(
                "pause-outside",
                es="Cada cuenta hizo una pausa, pero dijo todo de un tirón. "
                "La pausa va dentro del `for`.",
                en="Each countdown paused, but said everything in one go. "
                "The pause belongs inside the `for`.",
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
    if sum(end - began > 0.04 for each in steps for began, end in each) > 3:
        raise Wrong(
            "holds-the-loop",
            es="Las cuentas se alternaron, pero cada pausa retuvo el bucle: "
            "`time.sleep` no lo suelta. Pausa con `asyncio.sleep`.",
            en="The countdowns took turns, but each pause held the loop: "
            "`time.sleep` does not let go of it. Pause with "
            "`asyncio.sleep`.",
        )
    if not due:
        raise Wrong(
            "too-short",
            es="Las cuentas se alternaron casi sin pausa. Se pedían 0,05 "
            "segundos después de cada número.",
            en="The countdowns took turns with hardly a pause. 0.05 seconds "
            "were asked for after each number.",
        )
    if too_long:
        raise Wrong(
            "too-long",
            es="Las cuentas se alternaron, pero las pausas fueron demasiado "
            "largas. Se pedían 0,05 segundos después de cada número.",
            en="The countdowns took turns, but the pauses were too long. "
            "0.05 seconds were asked for after each number.",
        )
    if not {1, 10} <= set(paused):
        raise Wrong(
            "pause-first",
            es="Tras el último número no hubo pausa. Por cada número, "
            "primero `say(number)` y después la pausa.",
            en="No pause came after the last number. For each number, first "
            "`say(number)` and then the pause.",
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
        _call(answer, list(coroutines), log)
    except _NeverEnds:
        raise Wrong(
            "never-ends",
            es="Tu bucle no acaba nunca, aunque ya no avanza ninguna "
            "corrutina. Saca de la ronda las que terminan, y acaba cuando no "
            "quede ninguna.",
            en="Your loop never ends, although no coroutine moves any more. "
            "Take those that end out of the round, and stop when none is "
            "left.",
        ) from None
    except StopIteration as error:
        raise Wrong(
            "escapes",
            es="Se te escapó un `StopIteration`. Así anuncia su final cada "
            "corrutina: atrapa esa excepción y saca de la ronda la "
            "corrutina.",
            en="A `StopIteration` escaped. That is how each coroutine "
            "announces its end: catch the exception, and take that "
            "coroutine out of the round.",
            seen=error,
        ) from None
    except RuntimeError as error:
        if "running event loop" in str(error):
            with warnings.catch_warnings():
                # What asyncio.run refused was not forgotten.
                warnings.simplefilter("ignore")
                traceback.clear_frames(error.__traceback__)
            raise _other_loop() from None
        if "already awaited" not in str(error):
            raise
        raise Wrong(
            "sent-after-its-end",
            es="Enviaste `None` a una corrutina que ya había terminado. "
            "Cuando lance `StopIteration`, sácala de la ronda.",
            en="You sent `None` to a coroutine that had ended already. Once "
            "it raises `StopIteration`, take it out of the round.",
            seen=error,
        ) from None
    finally:
        for coroutine in coroutines:
            if not _has_task(coroutine):
                coroutine.close()
    if not log:
        raise _other_loop()
    seen = ", ".join(log)
    if seen == expected:
        return Right(
            es=f"Tres corrutinas por turnos, sin asyncio: {seen}.",
            en=f"Three coroutines taking turns, without asyncio: {seen}.",
        )
    if seen == "a0, a1, a fin, b0, b fin, c0, c1, c2, c fin":
        raise Wrong(
            "one-by-one",
            es="Cada corrutina llegó al final antes de empezar la siguiente. "
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
    if seen == "a0, b0, c0, a1, b fin, a fin, c1, c2, c fin":
        raise Wrong(
            "skips-one",
            es="Todas llegaron a su final, pero `c` perdió su turno cada vez "
            "que terminaba otra. Quitar de una lista mientras un `for` la "
            "recorre hace que se salte la siguiente.",
            en="All of them reached their end, but `c` missed its turn each "
            "time another one ended. To remove from a list while a `for` "
            "goes through it makes the loop skip the next.",
            expected=expected,
            seen=seen,
        )
    if all(f"{name} fin" in log for name in "abc"):
        raise Wrong(
            "other-order",
            es="Todas llegaron a su final, pero no por turnos, empezando "
            "por la primera de la lista.",
            en="All of them reached their end, but not in turns that begin "
            "with the first of the list.",
            expected=expected,
            seen=seen,
        )
    raise Wrong(
        "stops-early",
        es="No todas llegaron a su final. Cuando una lanza `StopIteration`, "
        "las demás siguen.",
        en="Not all of them reached their end. When one raises "
        "`StopIteration`, the others go on.",
        expected=expected,
        seen=seen,
    )


class _NeverEnds(BaseException):
    """Raised in an answer that goes on and moves no coroutine."""


def _call(answer, coroutines, log):
    """Call a plain answer; stop it when it goes on and nothing happens."""
    entered, moved, idle = False, 0, 0

    def enter(frame, *_):
        nonlocal entered
        if entered:  # what it calls is not watched
            return None
        entered = frame.f_trace_opcodes = True
        return step

    def step(*_):
        nonlocal moved, idle
        idle = idle + 1 if len(log) == moved else 0
        moved = len(log)
        if log and idle > 10_000:
            raise _NeverEnds
        return step

    before = sys.gettrace()
    try:
        sys.settrace(enter)
        answer(coroutines)
    finally:
        sys.settrace(before)


def _other_loop():
    return Wrong(
        "other-loop",
        es="Ninguna corrutina dio un paso. Aquí el bucle eres tú: haz "
        "avanzar cada una con `.send(None)`, sin `asyncio.run`, `gather` ni "
        "tareas.",
        en="No coroutine took a step. Here you are the loop: move each one "
        "on with `.send(None)`, without `asyncio.run`, `gather` or tasks.",
    )


@exercise("01.4", parameters=2, limit=8)
async def patience(answer, run):
    loop = asyncio.get_running_loop()
    reports = []
    loop.set_exception_handler(lambda _, report: reports.append(report))

    never = loop.create_future()
    waiting = asyncio.create_task(answer(never, 0.1), name="patience")
    await _wait(waiting, 0.3)
    in_time = waiting.done()
    if not in_time:
        await _wait(waiting, 2)
    if not waiting.done():
        raise Wrong(
            "no-limit",
            es="El *future* no llegó nunca y tu función siguió esperando. "
            "Pon un límite con `asyncio.timeout(seconds)`.",
            en="The future never came and your function went on waiting. "
            "Set a limit with `asyncio.timeout(seconds)`.",
        )
    try:
        late = waiting.result()
    except TimeoutError:
        raise Wrong(
            "escapes",
            es="Tu función dejó escapar el `TimeoutError`. Atrápalo y "
            'devuelve `"tarde"`. Si ya tienes un `try`, ha de rodear el '
            "`async with`: dentro, lo que llega es un `CancelledError`.",
            en="Your function let the `TimeoutError` escape. Catch it and "
            'return `"tarde"`. If you have a `try` already, it goes around '
            "the `async with`: what arrives inside is a `CancelledError`.",
        ) from None
    except TypeError as error:
        if "context manager" not in str(error):
            raise
        raise Wrong(
            "plain-with",
            es="`asyncio.timeout` se usa con `async with`, no con `with`.",
            en="`asyncio.timeout` goes with `async with`, not with `with`.",
            seen=error,
        ) from None
    if isinstance(late, asyncio.Future):
        raise Wrong(
            "not-awaited",
            es="Devolviste el propio *future* sin esperarlo. Su resultado lo "
            "entrega `await future`.",
            en="You returned the future itself without awaiting it. It is "
            "`await future` that hands over its result.",
            seen=late,
        )

    early = loop.create_future()
    loop.call_later(0.02, _complete, early)
    await _wait(asyncio.create_task(answer(early, 0.1), name="patience"), 0.3)
    # A timer that the answer has set is due before this sleep ends.
    await asyncio.sleep(0.15)
    for report in reports:
        if isinstance(report.get("exception"), asyncio.InvalidStateError):
            raise Wrong(
                "timer-left",
                es="El *future* llegó a tiempo, pero tu temporizador siguió "
                "en marcha y quiso completarlo otra vez. "
                "`asyncio.timeout(seconds)` retira el suyo al salir.",
                en="The future came in time, but your timer went on and "
                "tried to complete it again. `asyncio.timeout(seconds)` "
                "takes its own back on leaving.",
                seen=report["exception"],
            )

    soon = loop.create_future()
    loop.call_later(0.4, _complete, soon)
    waiting = asyncio.create_task(answer(soon, 3), name="patience")
    await _wait(waiting, 1.5)
    steps = [s for x in run.lanes if x.task is waiting for s in x.steps]
    if steps and max(ended - began for began, ended in steps) > 1:
        raise Wrong(
            "blocking",
            es="Mientras esperabas, el bucle estuvo parado y el *future* no "
            "pudo completarse. `time.sleep` no vale aquí.",
            en="While you waited the loop stood still, and the future could "
            "not be completed. `time.sleep` will not do here.",
        )
    if not waiting.done():
        raise Wrong(
            "sleeps-first",
            es="El *future* llegó pronto y tu función siguió durmiendo. "
            "Espera al propio *future*, con un límite.",
            en="The future came soon and your function slept on. Await the "
            "future itself, under a limit.",
        )
    soon_result = waiting.result()
    both_late = (late, soon_result) == ("tarde", "tarde")
    if not in_time or (both_late and len(steps) > 1):
        raise Wrong(
            "fixed-limit",
            es="El límite no fue el que recibió tu función. Pasa `seconds` "
            "a `asyncio.timeout`.",
            en="The limit was not the one that your function got. Pass "
            "`seconds` to `asyncio.timeout`.",
        )
    if soon_result is None:
        raise Wrong(
            "no-return",
            es="El *future* llegó a tiempo y tu función no devolvió nada. "
            "Pon `return` delante de `await future`.",
            en="The future came in time and your function returned nothing. "
            "Put `return` before `await future`.",
            expected=RESULT,
            seen=soon_result,
        )
    if late is None:
        raise Wrong(
            "printed",
            es="El *future* no llegó y tu función no devolvió nada. Escribir "
            'con `print` no es devolver: usa `return "tarde"`.',
            en="The future never came and your function returned nothing. To "
            'print is not to return: use `return "tarde"`.',
            expected="tarde",
            seen=late,
        )
    if (late, soon_result) != ("tarde", RESULT):
        raise Wrong(
            "other-results",
            es='Con un *future* que no llega hay que devolver `"tarde"`; '
            "con uno que llega, su resultado.",
            en='For a future that never comes return `"tarde"`; for one '
            "that does, its result.",
            expected=("tarde", RESULT),
            seen=(late, soon_result),
        )

    waiting = asyncio.create_task(
        answer(loop.create_future(), 3), name="patience"
    )
    await asyncio.sleep(0.03)
    waiting.cancel()
    await _wait(waiting, 0.5)
    if not waiting.cancelled():
        raise Wrong(
            "swallows-cancel",
            es="Alguien canceló tu función mientras esperaba, y no terminó "
            "cancelada: un `except` se tragó el `CancelledError`. Atrapa "
            "solo `TimeoutError`, alrededor del `async with`.",
            en="Somebody cancelled your function while it waited, and it did "
            "not end cancelled: an `except` swallowed the `CancelledError`. "
            "Catch only `TimeoutError`, around the `async with`.",
        )
    return Right(
        es="Con un *future* que no llega devolvió `tarde`; con otro que "
        "llegó a tiempo, su resultado.",
        en="For a future that never came it returned `tarde`; for one that "
        "came in time, its result.",
    )


async def _wait(task, seconds):
    """Wait for a task, and on a slow machine some turns of the loop more."""
    await asyncio.wait({task}, timeout=seconds)
    for _ in range(20):
        if not task.done():
            await asyncio.sleep(0)


def _complete(future):
    if not future.done():
        future.set_result(RESULT)


def _has_task(coroutine):
    return any(t.get_coro() is coroutine for t in asyncio.all_tasks())
