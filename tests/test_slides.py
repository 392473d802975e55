"""The slides: what is on them, and what is not.

Slides are not executed at build. Their code is that of notebooks/, which is:
it is compared here.
"""

import nbformat
import pytest

from authoring import editions, slides, source

KINDS = {"slide", "subslide", "fragment", "notes"}
CASES = [
    (path.stem, lang)
    for path in source.lesson_paths()
    for lang in source.LANGUAGES
]


@pytest.fixture(scope="module")
def lessons():
    return {lesson.path.stem: lesson for lesson in source.read_course()}


@pytest.mark.parametrize(("stem", "lang"), CASES)
def test_code_is_that_of_the_executed_edition(lessons, stem, lang):
    deck = slides.slides(lessons[stem], lang)
    nbformat.validate(deck)
    executed = editions.edition(
        list(lessons.values()), lessons[stem], lang, "notebooks"
    )
    assert code(deck) == code(executed)
    for cell in deck.cells:
        assert cell.metadata.slideshow.slide_type in KINDS
        assert not cell.get("outputs") and not cell.get("execution_count")


def code(notebook):
    return [c.source for c in notebook.cells if c.cell_type == "code"]


@pytest.mark.parametrize(("stem", "lang"), CASES)
def test_slides_are_what_their_source_builds(lessons, stem, lang):
    path = slides.slides_path(lessons[stem], lang)
    stored = path.read_text(encoding="utf-8")
    fresh = slides.slides(lessons[stem], lang)
    assert stored == editions.dumps(fresh), "run: make build"


def test_no_slides_without_a_lesson():
    found = {path.stem for path in (source.ROOT / "slides").rglob("*.ipynb")}
    assert found <= {path.stem for path in source.lesson_paths()}


@pytest.mark.parametrize(("stem", "lang"), CASES)
def test_headings_begin_slides_and_all_prose_is_in_the_notes(
    lessons, stem, lang
):
    lesson = lessons[stem]
    cells = slides.slides(lesson, lang).cells
    titles = [
        cell.source.splitlines()[0].removeprefix("## ")
        for cell in cells
        if cell.metadata.slideshow.slide_type == "slide"
    ]
    prose = [cell.source for cell in lesson.cells if cell.lang == lang]
    whole = source.without_fences("\n".join(prose)).splitlines()
    sections = [x.removeprefix("## ") for x in whole if x.startswith("## ")]
    assert titles == [f"# {lesson.full_title(lang)}", *sections]
    notes = [
        cell.source
        for cell in cells
        if cell.metadata.slideshow.slide_type == "notes"
    ]
    told = [slides.for_you(note, lang) for note in lesson.notes]
    assert sorted(notes) == sorted(prose + told)


@pytest.mark.parametrize(("stem", "lang"), CASES)
def test_no_hint_and_no_promise_of_one_is_on_a_slide(lessons, stem, lang):
    for cell in slides.slides(lessons[stem], lang).cells:
        if cell.metadata.slideshow.slide_type != "notes":
            assert "<details>" not in cell.source
            # What it announces would have to follow.
            exercise = cell.source.startswith("### ")
            assert not (exercise and cell.source.endswith(":")), cell.source


@pytest.mark.parametrize(("stem", "lang"), CASES)
def test_no_learner_reads_a_note(lessons, stem, lang):
    lesson = lessons[stem]
    for kind in editions.KINDS:
        edition = editions.edition(list(lessons.values()), lesson, lang, kind)
        text = "\n".join(cell.source for cell in edition.cells)
        for note in lesson.notes:
            assert note.text[lang] not in text
        assert source.INSTRUCTOR not in {
            tag for c in edition.cells for tag in c.metadata.get("tags", [])
        }
