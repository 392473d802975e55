"""A version is written everywhere at once, and is the same everywhere."""

import json
import re
import shutil
import subprocess
import tomllib
from datetime import date
from importlib import metadata

import pytest
import yaml
from packaging.version import Version

from authoring import release
from authoring.editions import KINDS
from authoring.source import ROOT

SECTIONS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
DAY = date(2026, 12, 24)


def read(path):
    return path.read_text(encoding="utf-8")


def version_of(root):
    return tomllib.loads(read(root / "pyproject.toml"))["project"]["version"]


def history_of(root):
    """Versions and days of a changelog, the newest first."""
    heads = re.findall(r"^## (.+)$", read(root / "CHANGELOG.md"), re.M)
    assert heads[0] == "[Unreleased]"
    form = re.compile(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)")
    return [form.fullmatch(head).groups() for head in heads[1:]]


def stamps_of(root):
    """The versions that notebooks bear."""
    return {
        json.loads(read(path))["metadata"].get("aula", {}).get("version")
        for kind in KINDS
        for path in (root / kind).rglob("*.ipynb")
        if ".ipynb_checkpoints" not in path.parts
    }


def cited(root):
    """Version and day of what is to be cited."""
    told = yaml.safe_load(read(root / "CITATION.cff"))
    return str(told["version"]), str(told["date-released"])


def tags():
    """The versions of the commit that stands here, by its tags."""
    said = subprocess.run(
        ["git", "tag", "--points-at", "HEAD", "v*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    return {tag.removeprefix("v") for tag in said.stdout.split()}


def test_version_is_the_same_everywhere():
    version = version_of(ROOT)
    assert history_of(ROOT)[0][0] == version, "CHANGELOG.md"
    assert cited(ROOT) == history_of(ROOT)[0], "CITATION.cff"
    assert stamps_of(ROOT) == {version}, "run: make build"
    assert metadata.version("aula") == version, "run: make test"
    assert tags() <= {version}


def test_changelog_keeps_its_form():
    versions, days = zip(*history_of(ROOT), strict=True)
    assert list(versions) == sorted(versions, key=Version, reverse=True)
    assert list(days) == sorted(map(str, map(date.fromisoformat, days)))[::-1]
    sections = re.findall(r"^### (.+)$", read(ROOT / "CHANGELOG.md"), re.M)
    assert set(sections) <= set(SECTIONS)


@pytest.fixture
def course(tmp_path):
    """A course with what bears a version, and nothing else."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "aula"\nversion = "0.9.0"\n'
        'dependencies = ["other==0.9.0"]\n',
        encoding="utf-8",
    )
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A lesson.\n\n"
        "## [0.9.0] - 2026-11-30\n\n### Fixed\n\n- Another.\n",
        encoding="utf-8",
    )
    shutil.copy(ROOT / "CITATION.cff", tmp_path)
    for kind in KINDS:
        folder = tmp_path / kind / "es"
        folder.mkdir(parents=True)
        source = next((ROOT / kind / "es").glob("00_*.ipynb"))
        (folder / source.name).write_bytes(source.read_bytes())
    return tmp_path


def contents(course):
    return {
        path: path.read_bytes() for path in course.rglob("*") if path.is_file()
    }


def test_release_writes_the_version_everywhere(course):
    release.release("0.10.0", DAY, course)
    assert version_of(course) == "0.10.0"
    assert 'dependencies = ["other==0.9.0"]' in read(course / "pyproject.toml")
    assert history_of(course) == [
        ("0.10.0", "2026-12-24"),
        ("0.9.0", "2026-11-30"),
    ]
    listed = read(course / "CHANGELOG.md").partition("## [0.10.0]")[2]
    assert listed.index("A lesson.") < listed.index("Another.")
    assert stamps_of(course) == {"0.10.0"}
    assert cited(course) == ("0.10.0", "2026-12-24")


def test_release_changes_nothing_of_a_notebook_but_its_stamp(course):
    release.release("1.0.0", DAY, course)
    for kind in KINDS:
        for path in (course / kind).rglob("*.ipynb"):
            stored = ROOT / path.relative_to(course)
            restamped = read(stored).replace(
                f'"version": "{version_of(ROOT)}"', '"version": "1.0.0"'
            )
            assert read(path) == restamped


@pytest.mark.parametrize(
    "version", ["0.9.0", "0.8.9", "1.0", "next", "v1.0.0"]
)
def test_release_refuses_what_is_no_newer_version(course, version):
    before = contents(course)
    with pytest.raises(release.ReleaseError, match=version):
        release.release(version, DAY, course)
    assert contents(course) == before


def test_release_refuses_a_version_that_brings_nothing(course):
    release.release("1.0.0", DAY, course)
    before = contents(course)
    with pytest.raises(release.ReleaseError, match="nothing under"):
        release.release("1.0.1", DAY, course)
    assert contents(course) == before


def test_release_needs_a_version_and_a_clean_tree(monkeypatch, capsys):
    monkeypatch.setattr(release, "release", None)
    assert release.main([]) == 1
    assert "make release VERSION=" in capsys.readouterr().err
    monkeypatch.setattr(release, "_uncommitted", lambda _: True)
    assert release.main(["9.0.0"]) == 1
    assert "not committed" in capsys.readouterr().err
