"""Judges the exercise of lesson 00."""

import asyncio
import time
import warnings

from aula.exercises.check import Right, Wrong, exercise
from aula.judges.peers import refuse_printed


@exercise("00.1", parameters=1)
async def greet(answer, run):
    turns, turned, due = 0, [], []

    async def count_turns():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    async def wait_longer():
        await asyncio.sleep(0.4)

    loop = asyncio.get_running_loop()
    counting = asyncio.create_task(count_turns())
    await asyncio.sleep(0)
    # Timers of one loop end in their order, however slow the machine is.
    loop.call_later(0.05, due.append, True)
    loop.call_soon(turned.append, True)
    late = asyncio.create_task(wait_longer())
    began = time.monotonic()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        seen = await answer("Ada")
    took, too_long = time.monotonic() - began, late.done()
    counting.cancel()
    late.cancel()
    if any("was never awaited" in str(w.message) for w in caught):
        raise Wrong(
            "forgotten-await",
            es="Falta un `await` delante de `asyncio.sleep(...)`: sin él, la "
            "espera se crea pero no ocurre.",
            en="An `await` is missing in front of `asyncio.sleep(...)`: "
            "without it the wait is created and does not take place.",
        )
    refuse_printed(seen, "Hola, Ada")
    if seen != "Hola, Ada":
        raise Wrong(
            "other-text",
            es="El saludo no es el que se pedía. Compara los dos textos: el "
            "nombre es el que llega en `name`, y cuentan la coma y el "
            "espacio.",
            en="That is not the greeting asked for. Compare the two texts: "
            "the name is the one that arrives in `name`, and the comma and "
            "the space count.",
            expected="Hola, Ada",
            seen=seen,
        )
    if turns < 2 and took >= 0.05:
        raise Wrong(
            "blocking",
            es="El saludo es correcto, pero mientras tu función esperaba "
            "nadie más pudo trabajar. Espera con `await asyncio.sleep(0.1)`.",
            en="The greeting is right, but while your function waited nobody "
            "else could work. Wait with `await asyncio.sleep(0.1)`.",
        )
    if not turned:
        raise Wrong(
            "never-waits",
            es="El saludo es correcto, pero tu función no esperó nada. Antes "
            "del `return`, espera con `await asyncio.sleep(0.1)`.",
            en="The greeting is right, but your function returned at once. "
            "Before the `return`, wait with `await asyncio.sleep(0.1)`.",
        )
    if not due:
        raise Wrong(
            "too-short",
            es="El saludo es correcto, pero la espera fue demasiado corta. "
            "Una décima de segundo es `0.1`.",
            en="The greeting is right, but the wait was too short. A tenth "
            "of a second is `0.1`.",
        )
    if too_long:
        raise Wrong(
            "too-long",
            es="El saludo es correcto, pero la espera fue demasiado larga. "
            "Una décima de segundo es `0.1`.",
            en="The greeting is right, but the wait was too long. A tenth "
            "of a second is `0.1`.",
        )
    again = await answer("Lima")
    if again != "Hola, Lima":
        raise Wrong(
            "always-the-same",
            es="Tu función saluda siempre a la misma persona. Usa el "
            "parámetro `name`.",
            en="Your function always greets the same person. Use the "
            "parameter `name`.",
            expected="Hola, Lima",
            seen=again,
        )
    return Right(
        es="`greet` esperó sin estorbar (otra tarea siguió trabajando) "
        "y devolvió `Hola, Ada` y `Hola, Lima`.",
        en="`greet` waited without getting in the way (another task went on "
        "working) and returned `Hola, Ada` and `Hola, Lima`.",
    )
