"""Judges the exercise of lesson 00."""

import asyncio

from aula.check import Right, Wrong, exercise


@exercise("00.1", parameters=1)
async def greet(answer, run):
    turns = 0

    async def count_turns():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    counting = asyncio.create_task(count_turns())
    seen = await answer("Ada")
    counting.cancel()
    if seen is None:
        raise Wrong(
            "printed",
            es="Tu función no devuelve nada. Escribir con `print` no es "
            "devolver: usa `return`.",
            en="Your function returns nothing. To print is not to return: "
            "use `return`.",
            expected="Hola, Ada",
            seen=seen,
        )
    if seen != "Hola, Ada":
        raise Wrong(
            "other-text",
            es="El saludo no es el que se pedía; mira la coma y los espacios.",
            en="That is not the greeting asked for; mind the comma and the "
            "spaces.",
            expected="Hola, Ada",
            seen=seen,
        )
    if turns == 0:
        raise Wrong(
            "never-waits",
            es="El saludo es correcto, pero mientras tu función esperaba "
            "nadie más pudo trabajar. Espera con `await asyncio.sleep(0.1)`.",
            en="The greeting is right, but while your function waited nobody "
            "else could work. Wait with `await asyncio.sleep(0.1)`.",
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
