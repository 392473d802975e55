"""Brings the words of verdicts to aula/words/, if each mistake has its own.

Judges raise mistakes by name: ``raise Wrong("printed", seen=seen)``. Read as
text they tell which, so that a mistake without words, and words without a
mistake, are refused before any answer runs. A function with a parameter
``mistake`` may raise what it is given; then the literal stands in the call.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aula.exercises.answer import is_written
from aula.exercises.words import GIVEN, LANGUAGES, RIGHT, SHARED, Words
from authoring import source
from authoring.answers import (
    GENERAL,
    Answers,
    Section,
    answers_path,
    read_answers,
)
from authoring.source import SourceError, name_of

# What may stand between the braces of any words, though no judge gives it.
ALWAYS = {"number", "limit"}
RUNNER = ("answer", "prediction", "run", "script")
MINIMUM_RIGHT = 2
RAISES = ("Wrong", "Unawaited")


@dataclass
class Raised:
    """A mistake that a function may raise, as its source says.

    Attributes:
        values: what it gives to the words; None if that cannot be read.
    """

    mistake: str
    path: Path
    line: int
    values: set[str] | None


@dataclass
class Function:
    """A function, or a class with its methods, at the top of a module."""

    raised: list[Raised] = field(default_factory=list)
    uses: set[tuple[str, str]] = field(default_factory=set)


class Judges:
    """The judges' modules as text: what each exercise's judge may raise.

    Arguments:
        paths: the modules.

    Attributes:
        names: by lesson, the names of its exercises in the order of their
            numbers.
        predictions: the names of those whose answer is a prediction.
        problems: a line ``file:line: what is wrong`` for each.
    """

    def __init__(self, paths: list[Path]) -> None:
        self.names: dict[str, list[str]] = {}
        self.predictions: set[str] = set()
        self.problems: list[str] = []
        self._functions: dict[tuple[str, str], Function] = {}
        trees = {
            path: ast.parse(path.read_text(encoding="utf-8")) for path in paths
        }
        self._passed = dict(
            found for tree in trees.values() for found in _passing(tree)
        )
        for path, tree in trees.items():
            self._read(path, tree)

    def raised(self, exercise: str, lesson: str) -> list[Raised]:
        """What the judge of an exercise, and all that it uses, may raise."""
        todo = [(f"lesson_{lesson}", exercise)]
        known = set(todo)
        raised = []
        while todo:
            function = self._functions.get(todo.pop(), Function())
            raised += function.raised
            todo += function.uses - known
            known |= function.uses
        return raised

    def everything(self) -> list[Raised]:
        """What any function of these modules may raise."""
        return [r for f in self._functions.values() for r in f.raised]

    def _read(self, path: Path, tree: ast.Module) -> None:
        module = path.stem
        names = {
            alias.asname or alias.name: (
                (node.module or "").rpartition(".")[2],
                alias.name,
            )
            for node in tree.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        tops = [
            node
            for node in tree.body
            if isinstance(
                node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
            )
        ]
        names |= {node.name: (module, node.name) for node in tops}
        numbered = []
        # A judge uses no other judge, whatever a variable is called.
        judges = {node.name for node in tops if _exercise(node)}
        for node in tops:
            function = Function()
            function.uses = {
                names[part.id]
                for part in ast.walk(node)
                if isinstance(part, ast.Name)
                and part.id in names
                and part.id not in judges
            }
            function.raised = [*self._calls(path, node)]
            self._functions[module, node.name] = function
            asked = _exercise(node)
            if asked is not None:
                numbered.append((ast.literal_eval(asked.args[0]), node.name))
                if _kind(asked) == "prediction":
                    self.predictions.add(node.name)
        if module.startswith("lesson_"):
            lesson = module.removeprefix("lesson_")
            self.names[lesson] = [name for _, name in sorted(numbered)]

    def _calls(self, path: Path, top: ast.AST) -> Iterator[Raised]:
        """The mistakes that stand in calls, as literals."""
        own = {
            part.arg
            for part in ast.walk(top)
            if isinstance(part, ast.arg) and part.arg == "mistake"
        }
        for call in ast.walk(top):
            if not isinstance(call, ast.Call):
                continue
            name = _name(call)
            if name == "Right":
                yield Raised(RIGHT, path, call.lineno, _values(call))
                continue
            if name not in self._passed:
                continue
            given = _argument(call, self._passed[name])
            values = _values(call) if name in RAISES else None
            literals = [*_literals(given)]
            if not literals and not (
                given is None
                or (isinstance(given, ast.Name) and given.id in own)
            ):
                self.problems.append(
                    f"{name_of(path)}:{call.lineno}: a mistake is named by a "
                    "literal, or by a parameter called mistake"
                )
            for mistake in literals:
                yield Raised(mistake, path, call.lineno, values)


def _passing(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """The functions that take a mistake, and at which position."""
    yield from ((name, 0) for name in RAISES)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = [a.arg for a in node.args.posonlyargs + node.args.args]
            is_method = arguments[:1] in (["self"], ["cls"])
            if "mistake" in arguments:
                yield node.name, arguments.index("mistake") - is_method
            elif any(a.arg == "mistake" for a in node.args.kwonlyargs):
                yield node.name, -1


def _name(call: ast.Call) -> str:
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _exercise(node: ast.AST) -> ast.Call | None:
    """The ``exercise(...)`` above a judge; None where there is none."""
    for part in getattr(node, "decorator_list", []):
        if isinstance(part, ast.Call) and _name(part) == "exercise":
            return part
    return None


def _kind(call: ast.Call) -> object:
    """The kind of answer that an ``@exercise(...)`` asks for."""
    for keyword in call.keywords:
        if keyword.arg == "answer":
            return ast.literal_eval(keyword.value)
    return ast.literal_eval(call.args[1]) if len(call.args) > 1 else "async"


def _argument(call: ast.Call, position: int) -> ast.expr | None:
    for keyword in call.keywords:
        if keyword.arg == "mistake":
            return keyword.value
    if 0 <= position < len(call.args):
        return call.args[position]
    return None


def _literals(node: ast.expr | None) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _literals(node.body)
        yield from _literals(node.orelse)


def _values(call: ast.Call) -> set[str] | None:
    """The names that a call gives to the words."""
    names = {keyword.arg for keyword in call.keywords}
    if None in names:  # **values
        return None
    return {name for name in names if name} - {"expected", "seen"}


def read_words(lessons: list[str]) -> dict[str, Words]:
    """Read the words of lessons, and those for all of them.

    Arguments:
        lessons: the numbers of all lessons of the course.

    Returns:
        for each lesson's number, and for ``"general"``, what
        ``aula.exercises.words.load`` returns.

    Raises:
        SourceError: with a line for each mistake without words, each text
            without a mistake, and whatever else breaks the rules of
            ``authoring.answers``.
    """
    folder = source.ROOT / "aula"
    judges = Judges(sorted((folder / "judges").glob("*.py")))
    # What can be said of an answer to any exercise.
    runner = Judges([folder / "exercises" / f"{n}.py" for n in RUNNER])
    problems = judges.problems + runner.problems
    read: dict[str, dict[str, Answers]] = {}
    for lesson in [*lessons, GENERAL]:
        try:
            read[lesson] = read_answers(lesson)
        except SourceError as error:
            problems += error.problems
    if problems:
        raise SourceError(problems)
    comparison = _Comparison(read, judges, runner)
    for lesson in lessons:
        comparison.compare(lesson)
    comparison.compare_general()
    if comparison.problems:
        raise SourceError(comparison.problems)
    texts = {lesson: _texts(found) for lesson, found in read.items()}
    for path in source.lesson_paths():
        read_now = source.read_lesson(path)
        number = read_now.number
        names = [name for name in read[number] if name != SHARED]
        for name, one in zip(names, read_now.exercises, strict=True):
            if name in judges.predictions:
                if one.program is None:
                    problems.append(
                        f"{name_of(path)}:{one.check.line}: {name} is a "
                        "prediction; its check names the program, too"
                    )
                continue
            code = one.stub.source
            if code.startswith("%%"):  # the file, without what writes it
                code = code.partition("\n")[2]
            if is_written(code):  # more than dots
                texts[number][name][GIVEN] = dict.fromkeys(LANGUAGES, code)
    if problems:
        raise SourceError(problems)
    return texts


def _texts(found: dict[str, Answers]) -> Words:
    return {
        name: {
            section.name: section.texts
            for section in answers.sections.values()
            if section.texts
        }
        for name, answers in found.items()
    }


class _Comparison:
    """Compares what judges raise with what the answers files say."""

    def __init__(
        self,
        read: dict[str, dict[str, Answers]],
        judges: Judges,
        runner: Judges,
    ) -> None:
        self.problems: list[str] = []
        self._read = read
        self._judges = judges
        self._always = runner.everything()
        self._used: set[int] = set()  # the sections whose words are used

    def compare(self, lesson: str) -> None:
        """Compare the words of one lesson with its judges."""
        found = self._read[lesson]
        path = answers_path(lesson)
        names = [name for name in found if name != SHARED]
        expected = self._judges.names.get(lesson, [])
        if names != expected:
            self._refuse(
                path,
                1,
                f"the exercises are {', '.join(names)}; their judges are "
                f"{', '.join(expected)}",
            )
            return
        for name in names:
            if name not in self._judges.predictions:
                self._count_right(path, found[name].sections[RIGHT])
            for raised in [*self._judges.raised(name, lesson), *self._always]:
                section = self._find(lesson, name, raised.mistake)
                if section is None:
                    self._refuse(
                        raised.path,
                        raised.line,
                        f"the mistake {raised.mistake!r} of {name} has no "
                        f"words in {path.name}",
                    )
                    continue
                self._used.add(id(section))
                missing = section.placeholders() - ALWAYS
                if raised.values is not None and missing - raised.values:
                    self._refuse(
                        raised.path,
                        raised.line,
                        f"the words of {raised.mistake!r} want "
                        f"{', '.join(sorted(missing - raised.values))}",
                    )
        self._refuse_unused(lesson)

    def _count_right(self, path: Path, right: Section) -> None:
        count = len(right.answers)
        if count < MINIMUM_RIGHT:
            self._refuse(
                path,
                right.line,
                f"{count} right answers beside the solution; an exercise "
                f"needs at least {MINIMUM_RIGHT}, unless it is a prediction",
            )

    def compare_general(self) -> None:
        """Compare the words of the course with all judges."""
        self._refuse_unused(GENERAL)

    def _find(self, lesson: str, name: str, mistake: str) -> Section | None:
        for found, key in (
            (self._read[lesson], name),
            (self._read[lesson], SHARED),
            (self._read[GENERAL], SHARED),
        ):
            section = (
                found[key].sections.get(mistake) if key in found else None
            )
            if section is not None and section.texts:
                return section
        return None

    def _refuse_unused(self, lesson: str) -> None:
        path = answers_path(lesson)
        general = self._read[GENERAL][SHARED].sections
        for name, answers in self._read[lesson].items():
            for section in answers.sections.values():
                if section.texts and id(section) not in self._used:
                    self._refuse(
                        path,
                        section.line,
                        f"no judge raises {section.name!r} of {name}",
                    )
                if lesson != GENERAL and section.name in general:
                    if section.texts:
                        self._refuse(
                            path,
                            section.line,
                            f"{section.name!r} has words here, and "
                            f"{GENERAL}.answers.md says it already",
                        )
                elif self._find(lesson, name, section.name) is None:
                    self._refuse(
                        path,
                        section.line,
                        f"{section.name!r} has no words here, in # shared or "
                        f"in {GENERAL}.answers.md",
                    )

    def _refuse(self, path: Path, line: int, message: str) -> None:
        problem = f"{name_of(path)}:{line}: {message}"
        if problem not in self.problems:
            self.problems.append(problem)


def words_path(name: str) -> Path:
    """Where the words of a lesson, or of ``"general"``, are kept."""
    return source.ROOT / "aula" / "words" / f"{name}.json"


def dumps(words: Words) -> str:
    """Words as the text of their file."""
    return json.dumps(words, ensure_ascii=False, indent=1) + "\n"
