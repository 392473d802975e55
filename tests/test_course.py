"""The sources: what is read, what is refused, and that editions are built."""

import re
import shutil
import statistics
from pathlib import Path

import nbformat
import pytest

from aula.exercises.words import SHARED
from authoring import board, build, classroom, editions, source, words
from authoring.answers import read_answers

MODEL = source.lesson_paths()[0]
EDITIONS = [
    (path, lang, kind)
    for path in source.lesson_paths()
    for lang in source.LANGUAGES
    for kind in editions.KINDS
]


ASKS = re.compile(r"hasattr\(|except ImportError")
# Signals but those that Windows knows, and what else one system alone has.
ONE_SYSTEM = re.compile(
    r"""
    \bSIG(?!ABRT|FPE|ILL|INT|SEGV|TERM|_)[A-Z]+[12]?\b | CTRL_(C|BREAK)_EVENT
    | \bos\.(fork|forkpty|kill|killpg|nice|mkfifo|uname|wait|getuid|geteuid
        |getpgid|setsid|sched_\w+|getloadavg|sysconf|posix_spawn\w*)\b
    | add_signal_handler | add_reader | add_writer | \bfaulthandler\.register
    | AF_UNIX | unix_(server|connection|serve|connect)\b | reuse_port
    | SO_REUSEPORT | preexec_fn | start_new_session | creationflags | tzset
    | \bimport\ (resource|fcntl|pwd|grp|termios|pty|tty|msvcrt|winreg|uvloop)
    | /dev/\w | /proc/\w | /tmp\b
    """,
    re.VERBOSE,
)


@pytest.fixture(scope="session")
def lessons():
    return source.read_course()


def refusal(tmp_path, change) -> str:
    """What is said of the model lesson after a change to its text."""
    text = MODEL.read_text(encoding="utf-8")
    changed = change(text)
    assert changed != text, "the change changed nothing"
    path = tmp_path / MODEL.name
    path.write_text(changed, encoding="utf-8")
    with pytest.raises(source.SourceError) as caught:
        source.read_lesson(path)
    return str(caught.value)


def replaced(old, new, count=1):
    return lambda text: text.replace(old, new, count)


def without_cell(tag):
    """Take out all code cells with this tag."""
    cell = rf"```{{code-cell}}\n:tags: \[{tag}\]\n.*?\n```\n\n?"
    return lambda text: re.sub(cell, "", text, flags=re.S)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: re.sub(
                r'\+\+\+ {"lang": "en"}.*?```', "```", t, count=1, flags=re.S
            ),
            "no English twin",
        ),
        (
            lambda t: re.sub(
                r'\+\+\+ {"lang": "es"}.*?(?=\+\+\+)',
                "",
                t,
                count=1,
                flags=re.S,
            ),
            "no Spanish twin",
        ),
        (replaced(":tags: [exercise]", ":tags: [excercise]"), "unknown tag"),
        (
            replaced(
                "```{code-cell}\n",
                "```{code-cell}\n:tags: [differs-on-windows]\n",
            ),
            "differs on Windows",
        ),
        (
            replaced(
                ":tags: [exercise]", ":tags: [exercise]\n:alt: {es: olas}"
            ),
            "in each language",
        ),
        (replaced('"lang": "es"', '"lang": "fr"'), "prose cell begins"),
        (without_cell("solution"), "has 0 solutions"),
        (without_cell("check"), "has no check"),
        (replaced("## Resumen", "## Final"), "no section '## Resumen'"),
        (replaced("## Recap", "## End"), "no section '## Recap'"),
        (
            lambda t: re.sub(r"^- .*$", "", t, flags=re.M),
            "lists 0 goals",
        ),
        (replaced('print("fin")', f"print('{'x' * 90}')"), "99 columns"),
        (replaced("<details>", "<p>", 2), "a hint in <details>"),
        (replaced('check("00.1"', 'check("00.2"'), 'calls check("00.1"'),
        (replaced("aula: {minutes: 20}", ""), "aula: {minutes"),
        (
            replaced("```{code-cell}\n", "```{code-cell}\n:folded: 1\n"),
            "unknown option",
        ),
        (
            replaced(
                ":tags: [raises-exception]", ":tags: [nbval-ignore-output]"
            ),
            "says why",
        ),
        (
            replaced(
                "```{code-cell}\nimport asyncio\n",
                "```{code-cell}\nimport asyncio\n```\n\n"
                "```{code-cell}\n:tags: [scenery]\n",
            ),
            "a prose cell directly before it",
        ),
    ],
)
def test_refused_with_file_and_line(tmp_path, change, message):
    said = refusal(tmp_path, change)
    assert message in said
    for line in said.splitlines():
        assert re.match(rf".*{MODEL.name}:\d+: ", line)


NOTE = '+++ {"lang": "es", "tags": ["instructor"], "minutes": 5}'
OF_NOTES = (
    r'\+\+\+ {"lang": "es", "tags": \["instructor"\].*?'
    r'(?=\+\+\+ {"lang": "en", "tags")'
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replaced(NOTE, NOTE.replace("5", "7")), "add up to 22"),
        (replaced(', "minutes": 5', ""), "tells the minutes"),
        (replaced('"instructor"', '"teacher"'), "unknown option 'tags'"),
        (
            lambda t: re.sub(OF_NOTES, "", t, count=1, flags=re.S),
            "no Spanish twin",
        ),
        (replaced("## Your turn", "Your turn"), "has a second note"),
        (
            lambda t: re.sub(
                rf"{re.escape(NOTE)}.*?(?=```)", "", t, count=1, flags=re.S
            ),
            "has no note",
        ),
    ],
)
def test_notes_that_are_refused(tmp_path, change, message):
    assert message in refusal(tmp_path, change)


def test_notes_are_no_cells_of_learners():
    lesson = source.read_lesson(MODEL)
    assert lesson.notes
    text = "\n".join(cell.source for cell in lesson.cells)
    for note in lesson.notes:
        assert set(note.text) == set(note.heading) == set(source.LANGUAGES)
        assert not any(told in text for told in note.text.values())
        assert all(heading in text for heading in note.heading.values())


def test_refusal_names_the_right_line(tmp_path):
    said = refusal(tmp_path, replaced('"lang": "es"', '"lang": "fr"'))
    number = int(re.search(r":(\d+): a prose cell", said)[1])
    lines = MODEL.read_text(encoding="utf-8").splitlines()
    assert lines[number - 2].startswith('+++ {"lang": "es"}')


def test_unreadable_source(tmp_path):
    said = refusal(tmp_path, replaced('{"lang": "es"}', '{"lang: "es"}'))
    assert "could not be read" in said


@pytest.mark.parametrize(
    ("path", "lang", "kind"),
    EDITIONS,
    ids=[f"{kind}-{lang}-{path.stem}" for path, lang, kind in EDITIONS],
)
def test_edition_is_what_its_source_builds(lessons, path, lang, kind):
    lesson = next(one for one in lessons if one.path == path)
    fresh = editions.edition(lessons, lesson, lang, kind)
    for cell in fresh.cells:
        cell.metadata.pop("aula", None)
    stored = nbformat.read(
        editions.edition_path(lesson, lang, kind), as_version=4
    )
    assert outline(stored) == outline(fresh), (
        f"run: make build LESSON={lesson.number}"
    )


def test_board_is_what_its_lesson_builds(lessons):
    [(path, text)] = board.files(lessons).items()
    assert path.read_text(encoding="utf-8") == text, "run: make build"


def test_index_is_what_its_source_builds():
    stored = nbformat.read(
        source.ROOT / "notebooks" / "index.ipynb", as_version=4
    )
    fresh = editions.index_notebook()
    for cell in fresh.cells:
        cell.metadata.pop("aula", None)
    assert outline(stored) == outline(fresh), "run: make build"


@pytest.mark.parametrize("lang", source.LANGUAGES)
def test_names_are_what_the_lessons_bring(lessons, lang):
    path = editions.names_path(lang)
    stored = nbformat.read(path, as_version=4)
    fresh = editions.names_notebook(lessons, lang)
    assert outline(stored) == outline(fresh), "run: make build"


@pytest.mark.parametrize("lang", source.LANGUAGES)
def test_links_of_names_lead_to_sections(lessons, lang):
    (cell,) = editions.names_notebook(lessons, lang).cells
    found = re.findall(
        r"\[\d\d · (.+)\]\((\d\d_\w+)\.ipynb#cell-id=(.+)\)", cell.source
    )
    assert len(found) > 100
    for title, stem, anchor in set(found):
        lesson = next(one for one in lessons if one.path.stem == stem)
        cells = editions.edition(lessons, lesson, lang, "notebooks").cells
        (cell,) = (cell for cell in cells if cell.id == anchor)
        assert f"## {title}" in cell.source.splitlines()


def test_links_of_the_index_lead_to_lessons():
    cells = editions.index_notebook().cells
    found = re.findall(r"]\(([^)#]+)\)", "\n".join(c.source for c in cells))
    stems = {path.stem for path in source.lesson_paths()} | {"names"}
    for link in found:
        lang, name = link.removesuffix(".ipynb").split("/")
        assert lang in source.LANGUAGES and name in stems, link
    assert found


def outline(notebook):
    """All of a notebook that does not come from running it."""
    cells = [
        (cell.cell_type, cell.id, cell.source, dict(cell.metadata))
        for cell in notebook.cells
    ]
    return dict(notebook.metadata), cells


def test_no_edition_without_a_source(lessons):
    built = {
        editions.edition_path(lesson, lang, kind)
        for lesson in lessons
        for lang in source.LANGUAGES
        for kind in editions.KINDS
    }
    built.add(source.ROOT / "notebooks" / "index.ipynb")
    built |= {editions.names_path(lang) for lang in source.LANGUAGES}
    found = {
        path
        for kind in editions.KINDS
        for path in (source.ROOT / kind).rglob("*.ipynb")
        if ".ipynb_checkpoints" not in path.parts
    }
    assert found == built


@pytest.mark.parametrize(
    ("name", "lang"), [("README.md", "en"), ("README.es.md", "es")]
)
def test_readme_lists_the_lessons(lessons, name, lang):
    text = (source.ROOT / name).read_text(encoding="utf-8")
    table = editions.lesson_table(lessons, lang)
    assert editions.fill_table(text, table) == text, "run: make build"
    assert table in text


def test_code_is_the_same_in_both_languages(lessons):
    for lesson in lessons:
        for kind in editions.KINDS:
            sources = [
                [
                    cell.source.replace(f"from aula.{lang} ", "from aula ")
                    for cell in editions.edition(
                        lessons, lesson, lang, kind
                    ).cells
                    if cell.cell_type == "code"
                ]
                for lang in source.LANGUAGES
            ]
            assert sources[0] == sources[1]


def test_editions_differ_only_in_the_answers(lessons):
    for lesson in lessons:
        given, solved = (
            [
                cell.source
                for cell in editions.edition(lessons, lesson, "en", kind).cells
                if cell.cell_type == "code"
            ]
            for kind in editions.KINDS
        )
        answers = {e.stub.source: e.solution.source for e in lesson.exercises}
        assert [answers.get(source, source) for source in given] == solved


def test_scenery_is_folded_in_every_edition(tmp_path):
    path = tmp_path / MODEL.name
    text = MODEL.read_text(encoding="utf-8")
    text = text.replace(
        "```{code-cell}\n", "```{code-cell}\n:tags: [scenery]\n", 1
    )
    path.write_text(text, encoding="utf-8")
    lesson = source.read_lesson(path)
    for kind in editions.KINDS:
        for lang in source.LANGUAGES:
            notebook = editions.edition([lesson], lesson, lang, kind)
            code = [c for c in notebook.cells if c.cell_type == "code"]
            folds = [c.metadata.get("jupyter", {}) for c in code]
            hidden = [fold.get("source_hidden", False) for fold in folds]
            assert hidden == [True] + [False] * (len(code) - 1)
            for fold in folds:
                outputs = fold.get("outputs_hidden", False)
                assert outputs == (kind == "notebooks")


def test_cells_stay_small(lessons):
    """But for folded ones and for files, which are programs of their own.

    So is what the capstone's cells are parts of.
    """
    for lesson in lessons:
        if lesson.number == source.CAPSTONE:
            continue
        lengths = [
            len(cell.source.splitlines())
            for cell in lesson.cells
            if cell.kind == "code"
            and "scenery" not in cell.tags
            and not cell.source.startswith("%%writefile")
        ]
        assert statistics.median(lengths) <= 8, lesson.path.name
        short = sum(length < 15 for length in lengths)
        assert short >= 0.9 * len(lengths), lesson.path.name


def test_ignored_outputs_are_few(lessons):
    for lesson in lessons:
        cells = [c for c in lesson.cells if c.kind == "code"]
        ignored = [c for c in cells if "nbval-ignore-output" in c.tags]
        assert 20 * len(ignored) <= len(cells), lesson.path.name


class TestBuild:
    """Building a course of one short lesson in another folder."""

    @pytest.fixture
    def house(self, tmp_path, monkeypatch):
        text = MODEL.read_text(encoding="utf-8")
        for name in ("README.md", "README.es.md"):
            (tmp_path / name).write_text(
                "<!-- lessons -->\n<!-- /lessons -->\n", encoding="utf-8"
            )
        (tmp_path / "classroom").mkdir()
        for name in classroom.READMES.values():
            (tmp_path / "classroom" / name).write_text(
                "<!-- plans -->\n<!-- /plans -->\n", encoding="utf-8"
            )
        lessons = tmp_path / "lessons"
        lessons.mkdir()
        # Only the cells that any exercise needs, for the sake of time.
        quick = re.sub(
            r"```{code-cell}\n(?!:tags: \[(ex|so|ch))(?!import asyncio\n\n)"
            r".*?```",
            "",
            text,
            flags=re.S,
        )
        (lessons / MODEL.name).write_text(quick, encoding="utf-8")
        for name in ("index.md", "names.md"):
            shutil.copy(source.LESSONS / name, lessons)
        monkeypatch.setattr(source, "ROOT", tmp_path)
        monkeypatch.setattr(source, "LESSONS", lessons)
        # Words have tests of their own.
        monkeypatch.setattr(words, "read_words", lambda lessons: {})
        return tmp_path

    def edit(self, house: Path, old: str, new: str) -> None:
        path = house / "lessons" / MODEL.name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def snapshot(self, house: Path) -> dict:
        return {
            path: (path.read_bytes(), path.stat().st_mtime_ns)
            for path in house.rglob("*.ipynb")
        }

    def test_builds_rebuilds_and_refuses(self, house, capsys):
        assert build.main([]) == 0
        said = capsys.readouterr().out
        assert said.count(".ipynb") == 4
        first = self.snapshot(house)
        assert len(first) == 9
        for path in {*first} - {*house.glob("slides/*/*")}:
            for cell in nbformat.read(path, as_version=4).cells:
                assert cell.get("execution_count", 1) is not None
        # A second build stores nothing new, although the pictures differ.
        assert build.main(["00"]) == 0
        assert self.snapshot(house) == first
        # A cell that fails: its line, its traceback, no edition touched.
        self.edit(
            house,
            "import asyncio\n\nfrom aula.en",
            "import asyncio\n\n1 / 0\nfrom aula.en",
        )
        capsys.readouterr()
        assert build.main(["00"]) == 1
        said = capsys.readouterr().err
        assert re.search(rf"lessons/{MODEL.name}:\d+: in notebooks/es/", said)
        assert "ZeroDivisionError" in said
        assert self.snapshot(house) == first
        # A tag that promises a failure that never comes.
        self.edit(house, "1 / 0\n", "")
        self.edit(
            house,
            "```{code-cell}\nimport asyncio\n\nfrom aula.en",
            "```{code-cell}\n:tags: [raises-exception]\n"
            "import asyncio\n\nfrom aula.en",
        )
        assert build.main(["00"]) == 1
        assert "nothing was raised" in capsys.readouterr().err
        assert self.snapshot(house) == first
        # An image that nobody tells.
        self.edit(
            house,
            ":tags: [raises-exception]\nimport asyncio",
            "display({'image/png': '', 'text/plain': 'olas'}, raw=True)\n"
            "import asyncio",
        )
        assert build.main(["00"]) == 1
        assert "an image needs words" in capsys.readouterr().err
        assert self.snapshot(house) == first

    def test_unknown_lesson(self, capsys):
        assert build.main(["77"]) == 1
        assert "no lesson '77'" in capsys.readouterr().err


def test_names_of_one_system_only_where_a_cell_says_so(lessons):
    """It is tagged so, or asks whether they are there."""
    found = []
    for lesson in lessons:
        answers = read_answers(lesson.number)
        answers.pop(SHARED, None)
        cells = [cell for cell in lesson.cells if cell.kind == "code"]
        for one in answers.values():
            cells += [*one.right, *(cell for _, cell in one.wrong)]
        for cell in cells:
            names = ONE_SYSTEM.findall(cell.source)
            says_so = source.DIFFERS in cell.tags or ASKS.search(cell.source)
            if names and not says_so:
                found.append(f"{lesson.path.name}, line {cell.line}: {names}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("signal.signal(signal.SIGHUP, f)", True),
        ("from signal import SIGKILL", True),
        ("os.kill(process.pid, signal.SIGINT)", True),
        ("loop.add_signal_handler(15, f)", True),
        ("await serve(f, port=8765, reuse_port=True)", True),
        ("async with unix_serve(f, path):", True),
        ("signal.raise_signal(signal.SIGINT)", False),
        ("signal.signal(signal.SIGTERM, f)", False),
        ("process.kill()", False),
        ("os.environ.get('HOME')", False),
    ],
)
def test_which_names_one_system_has(code, named):
    assert bool(ONE_SYSTEM.search(code)) == named
