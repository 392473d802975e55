"""Answers that no lesson foresees: the check answers each, and lives on."""

import ast
import asyncio
import time
from pathlib import Path

import pytest
from test_answers import Player

from aula.exercises import check
from aula.exercises.exercise import find
from aula.exercises.run import GRACE
from aula.kernel import SCRIPTS
from authoring.source import lesson_paths, read_lesson

pytestmark = pytest.mark.slow

# Bodies of functions; ``{first}`` is the first argument, often a connection.
CALLS = {
    "returns nothing": "pass",
    "raises": "raise RuntimeError('no')",
    "raises what cannot be told": (
        "class Mute(Exception):\n"
        "        def __str__(self): raise self\n"
        "    raise Mute"
    ),
    "exits": "raise SystemExit(3)",
    "quits": "quit()",
    "interrupts itself": "raise KeyboardInterrupt",
    "spins for a second": (
        "import time\n"
        "    end = time.monotonic() + 1\n"
        "    while time.monotonic() < end: pass"
    ),
    "returns itself": "return {name}",
    "replaces asyncio.sleep": (
        "import asyncio\n    asyncio.sleep = asyncio.wait_for = None"
    ),
    "recurses": "return {name}({arguments})",
}
AWAITS = {
    "hangs": "import asyncio\n    await asyncio.Future()",
    "closes at once": "await {first}.close()",
    "sends garbage": "await {first}.send(b'\\x00\\xff')",
    "breaks the protocol": "{first}.transport.write(b'\\xff\\xff\\x00')",
    "sends 2 MiB": "await {first}.send('x' * 2**21)",
    "hangs up": "{first}.transport.abort()",
    "cancels itself": (
        "import asyncio\n"
        "    asyncio.current_task().cancel()\n"
        "    await asyncio.sleep(0)"
    ),
    "cannot be cancelled": (
        "import asyncio\n"
        "    while True:\n"
        "        try: await asyncio.sleep(60)\n"
        "        except asyncio.CancelledError: pass"
    ),
    "leaves tasks behind": (
        "import asyncio\n"
        "    for _ in range(100): asyncio.create_task(asyncio.sleep(60))"
    ),
}
VALUES = {
    "nothing": "None",
    "a number": "-1",
    "garbage": "b'\\x00\\xff'",
    "2 MiB": "'x' * 2**21",
    "a function": "print",
    "a class": "Exception",
    "nested": "[[[{}]], ('`' * 9,)]",
    "mute": "type('Mute', (), {'__repr__': lambda self: 1 / 0})()",
    "hostile to ==": "type('Odd', (), {'__eq__': lambda a, b: 1 / 0})()",
}
PROGRAMS = {
    "does nothing": "pass",
    "raises": "raise RuntimeError('no')",
    "exits": "raise SystemExit(0)",
    "dies": "import os\nos._exit(3)",
    "is no Python": "def (",
    "sleeps": "import time\ntime.sleep(60)",
    "says 2 MiB": "print('x' * 2**21)",
}


def hostile(name, asked):
    """Source of answers by what they do."""
    if asked.answer == "script":
        return {
            what: f"%%writefile {ast.literal_eval(name)}\n{program}"
            for what, program in PROGRAMS.items()
        }
    if asked.answer in ("value", "prediction"):
        return {what: f"{name} = {value}" for what, value in VALUES.items()}
    arguments = [f"a{n}" for n in range(asked.parameters)]
    is_async = asked.answer == "async"
    bodies = {**CALLS, **AWAITS} if is_async else CALLS
    answers = {
        what: f"{'async ' * is_async}def {name}({', '.join(arguments)}):\n    "
        + body.replace("{name}", name)
        .replace("{arguments}", ", ".join(arguments))
        .replace("{first}", arguments[0] if arguments else "None")
        for what, body in bodies.items()
    }
    return {**answers, "is no function": f"{name} = 'latte'"}


def answer_name(source):
    """What a check cell checks: ``await check("07.2", shout)``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "check":
            return ast.unparse(node.args[1])
    raise AssertionError(source)


class Crowd(Player):
    """Gives hostile answers to every exercise of a lesson."""

    async def try_answers(self, exercise, answers):
        number = exercise.number
        asked = find(number)
        if asked.answer == "script":
            return []  # it runs in a process of its own
        # Judges that wait for what never comes; a second says as much.
        limit = asked.limit + 3 * GRACE
        name = answer_name(exercise.check.source)
        failures = []
        opening = {
            language: words["wrong"].partition("{message}")[0]
            for language, words in check.TEXT.items()
        }
        for what, source in hostile(name, asked).items():
            (await self.run(source)).raise_error()
            self.verdicts.clear()
            began = time.monotonic()
            result = await self.run(exercise.check.source)
            took = time.monotonic() - began
            if not result.success or len(self.verdicts) != 1:
                failures.append(f"{number} {what}: {result}")
                continue
            for language, said in self.verdicts[0].said.items():
                if not said.startswith(
                    opening[language].format(number=number)
                ):
                    failures.append(f"{number} {what}: {said}")
            if took > limit:
                failures.append(f"{number} {what}: {took:.1f} s")
            tasks = [t for t in asyncio.all_tasks() if not t.done()]
            if len(tasks) > self.tasks:
                failures.append(f"{number} {what}: left {tasks}")
        verdict = await self.answer(exercise.solution, exercise.check)
        if verdict.state != "right":
            failures.append(f"{number} afterwards: {verdict.said}")
        return failures

    async def play(self, lesson):
        self.tasks = 10
        return await super().play(lesson)


@pytest.mark.parametrize("path", lesson_paths(), ids=lambda p: p.stem)
def test_every_answer_is_answered(path, monkeypatch, tmp_path):
    verdicts = []
    monkeypatch.setattr(
        check.Check, "show", lambda self, verdict: verdicts.append(verdict)
    )
    monkeypatch.chdir(tmp_path)
    Path(SCRIPTS).mkdir()
    failures = asyncio.run(Crowd(verdicts).play(read_lesson(path)))
    assert not failures, "\n".join(failures)
