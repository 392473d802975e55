"""One setting names the repository; whatever is made from it says the same."""

import re
import shutil
import subprocess

import pytest
import yaml

from authoring import address
from authoring.source import ROOT

# What speaks of the name itself, or of any repository.
OF_NAMES = {"CHANGELOG.md", "pyproject.toml"}
CODE = ("*.py", "tests/*", "authoring/*", "lessons/*")


@pytest.fixture
def course(tmp_path):
    """The setting, and what is made from it."""
    paths = [ROOT / "pyproject.toml", *address.texts()]
    for path in paths:
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return tmp_path


def set_to(course, name):
    project = course / "pyproject.toml"
    before = project.read_text("utf-8")
    after = re.sub('(?m)^Repository = ".*"$', f'Repository = "{name}"', before)
    project.write_text(after, "utf-8")


def contents(course):
    return {
        path: path.read_text("utf-8")
        for path in course.rglob("*")
        if path.is_file()
    }


def test_all_that_is_made_from_it_says_the_same():
    for path, text in address.texts().items():
        assert path.read_text("utf-8") == text, "run: make address"


def test_it_is_written_wherever_it_stands(course):
    before = contents(course)
    set_to(course, "https://github.com/ada/async-course")
    address.write(course)
    after = contents(course)
    assert not [p for p, text in after.items() if "OWNER" in text]
    assert not [p for p, text in after.items() if "REPO" in text]
    for name in ("README.md", "README.es.md"):
        readme = after[course / name]
        assert "https://ada.github.io/async-course/" in readme
        assert "mybinder.org/v2/gh/ada/async-course/HEAD" in readme
        assert "make address" not in readme
    # And back, to the letter.
    set_to(course, "https://github.com/OWNER/REPO")
    address.write(course)
    assert contents(course) == before


def test_as_long_as_there_is_none_the_readmes_say_how_to_set_it():
    unset = not address.is_set(address.repository())
    for name in ("README.md", "README.es.md"):
        readme = (ROOT / name).read_text("utf-8")
        assert ("`make address`" in readme) == unset


@pytest.mark.parametrize(
    "name",
    ["", "ada/aula", "https://github.com/ada", "https://example.org/ada/aula"],
)
def test_what_names_no_repository_is_refused(course, name, monkeypatch):
    set_to(course, name)
    before = contents(course)
    with pytest.raises(address.AddressError, match="OWNER/REPO"):
        address.write(course)
    assert contents(course) == before


def test_a_name_within_a_longer_one_stays():
    text = "OWNER/REPO OWNER/REPORT MY-OWNER/REPO OWNER%2FREPO OWNER/REPO.git"
    assert address.renamed(text, "OWNER/REPO", "ada/aula") == (
        "ada/aula OWNER/REPORT MY-OWNER/REPO ada%2Faula ada/aula.git"
    )


def test_a_link_within_a_link_is_renamed():
    text = "repo=https%3A%2F%2Fgithub.com%2F{}&urlpath=lab%2Ftree%2F{}%2Fnote"
    before = text.format("OWNER%2FREPO", "REPO")
    after = text.format("ada%2Faula", "aula")
    assert address.renamed(before, "OWNER/REPO", "ada/aula") == after
    assert address.renamed(after, "ada/aula", "OWNER/REPO") == before


def test_no_other_file_names_it():
    said = subprocess.run(
        ["git", "grep", "-lI", "-e", "OWNER/REPO", "-e", "OWNER%2FREPO"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    found = {ROOT / line for line in said.stdout.splitlines()}
    code = {path for pattern in CODE for path in ROOT.glob(pattern)}
    known = {ROOT / name for name in OF_NAMES} | {*address.texts()} | code
    # The site says so where it has none.
    assert not found - known - {ROOT / "site" / "conf.py"}


def test_citation_names_what_is_cited():
    told = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    name = address.repository()
    assert told["repository-code"] == address.HOST + name
    assert told["url"] == address.site_url(name)
    assert told["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= {*told}
