"""The ways to install and start the course agree with each other."""

import json
import re
import sys
import tomllib
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import chromium
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from playwright.sync_api import Error
from pythons import supported

from authoring import address, site

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))[
    "project"
]
CORE = PROJECT["dependencies"]
LAB = PROJECT["optional-dependencies"]["lab"]
TEACHERS = PROJECT["optional-dependencies"]["teach"]
AUTHORS = PROJECT["optional-dependencies"]["test"]
SITE = PROJECT["optional-dependencies"]["site"]
# What a kernel brings, and so does whoever runs one.
KERNEL = {"IPython", "jupyter_client", "jupyter_core", "psutil"}
README = ("README.md", "README.es.md")
GUIDES = (*README, "CONTRIBUTING.md", "CONTRIBUTING.es.md")


def read(name):
    return (ROOT / name).read_text("utf-8")


def locked():
    """The versions in the lock by name, and the names pyproject.toml asks."""
    versions, direct, name = {}, set(), None
    for line in read("requirements.txt").splitlines():
        if line.lstrip().startswith("#"):
            if "aula (pyproject.toml)" in line:
                direct.add(name)
        else:
            requirement = Requirement(line)
            name = canonicalize_name(requirement.name)
            (pin,) = requirement.specifier
            assert pin.operator == "==", f"{line} is no exact version"
            versions.setdefault(name, []).append(pin.version)
    return versions, direct


def commands(name):
    """The lines of a guide's blocks of commands, without their comments."""
    blocks = re.findall(r"```(?:sh|powershell)\n(.*?)```", read(name), re.S)
    lines = "".join(blocks).splitlines()
    lines = [line.partition("  #")[0].rstrip() for line in lines]
    return [line for line in lines if line]


def test_lock_is_in_step_with_pyproject():
    versions, direct = locked()
    assert SITE[0] == "aula[test]"
    assert AUTHORS[0] == "aula[teach]" and TEACHERS[0] == "aula[lab]"
    asked = CORE + LAB + TEACHERS[1:] + AUTHORS[1:] + SITE[1:]
    wanted = list(map(Requirement, asked))
    problems = [
        f"{requirement} asked, {version} locked"
        for requirement in wanted
        for version in versions.get(
            canonicalize_name(requirement.name), ["nothing"]
        )
        if version == "nothing" or version not in requirement.specifier
    ]
    names = {canonicalize_name(requirement.name) for requirement in wanted}
    problems += [f"{name} locked, not asked" for name in direct - names]
    problems += [f"{name} asked, not locked" for name in names - direct]
    assert not problems, f"run make lock: {problems}"


def test_learner_gets_no_more_than_needed():
    core, lab, authors = (
        {Requirement(line).name for line in lines}
        for lines in (CORE, LAB, AUTHORS)
    )
    assert not core & lab and not (core | lab) & authors
    assert "jupyterlab-language-pack-es-ES" in lab


def test_core_is_what_instruments_and_lessons_import():
    """And neither a kernel nor a JupyterLab: Colab has its own."""
    code = [file.read_text("utf-8") for file in ROOT.glob("aula/**/*.py")]
    for file in ROOT.glob("solutions/en/*.ipynb"):
        cells = json.loads(file.read_text("utf-8"))["cells"]
        code += [
            "".join(c["source"]) for c in cells if c["cell_type"] == "code"
        ]
    imported = set(
        re.findall(r"^ *(?:from|import) (\w+)", "\n".join(code), re.M)
    )
    # Old notebooks, such as those that lesson 02 speaks of, import this one.
    imported.add("nest_asyncio")
    # Files that a lesson writes and another of its files imports.
    imported -= set(re.findall(r"%%writefile scripts/(\w+)", "\n".join(code)))
    imported -= sys.stdlib_module_names | KERNEL | {"aula"}
    # What updates a clone, and what single lessons need, is in the extra lab.
    imported -= {Requirement(line).name for line in LAB}
    imported.discard("nats")  # of nats-py
    core = {Requirement(line).name.replace("-", "_") for line in CORE}
    assert core == imported


def test_oldest_python_is_the_same_everywhere():
    oldest = supported()[0]
    assert PROJECT["requires-python"] == f">={oldest}"
    assert f"MINIMUM := {oldest}\n" in read("Makefile")
    assert f"({oldest.replace('.', ', ')})" in read(".ci/run")


def test_environment_has_a_supported_python_the_lock_and_the_package():
    python, pip, section = yaml.safe_load(read("environment.yml"))[
        "dependencies"
    ]
    assert python.removeprefix("python=") in supported()
    assert pip == "pip"
    lock, course, *named = section["pip"]
    assert (lock, course) == ("-c requirements.txt", "-e .[lab]")
    # Those that the course is about and stands on, so that they are seen.
    assert named == sorted(
        ["websockets", "jupyterlab", "nest-asyncio", "nbval", "aiohttp"]
    )


def test_workflow_runs_the_supported_pythons_on_every_system():
    workflow = yaml.safe_load(read(".github/workflows/test.yml"))
    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == supported()
    systems = {name.split("-")[0] for name in matrix["os"]}
    assert systems == {"ubuntu", "macos", "windows"}


def test_hooks_before_a_commit_are_the_gates_of_make_lint():
    (recipe,) = re.findall(r"^lint:.*\n((?:\t.*\n)+)", read("Makefile"), re.M)
    gates = recipe.replace("$(BIN)", ".venv/bin").splitlines()
    (local,) = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    hooks = [hook["entry"] for hook in local["hooks"]]
    assert hooks == [gate.strip() for gate in gates]


def test_ci_runs_what_make_runs():
    named = re.findall(r"\bmake ([a-z-]+)", read(".ci/run").split("fi <")[1])
    checks = ["check-pythons", "check-hub", "check-slides", "check-site"]
    assert named == ["test", *checks]


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "CONTRIBUTING.es.md"])
def test_guides_list_the_steps_of_a_release(name):
    assert "make release VERSION=0.3.0" in commands(name)
    for word in ("pyproject.toml", "CHANGELOG.md", "v0.3.0", "dist/"):
        assert word in read(name)
    (recipe,) = re.findall(
        r"^release:.*\n((?:\t.*\n)+)", read("Makefile"), re.M
    )
    steps = ("authoring.release", " test", "git commit", "git tag", "wheel")
    places = [recipe.index(step) for step in steps]
    assert places == sorted(places)


def test_without_a_browser_tests_skip_and_say_so_but_fail_in_ci(
    monkeypatch, tmp_path
):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt install chromium"):
        with chromium.browser():
            pass
    monkeypatch.setenv("CI", "true")
    with pytest.raises(Error):
        with chromium.browser():
            pass


def test_workflow_tries_the_newest_and_the_oldest_releases_weekly():
    workflow = yaml.safe_load(read(".github/workflows/test.yml"))
    # YAML takes the key "on" for a truth value.
    assert workflow[True]["schedule"]
    job = workflow["jobs"]["releases"]
    assert "'schedule'" in job["if"]
    tried = {
        one["releases"]: (one["resolution"], one["python"])
        for one in job["strategy"]["matrix"]["include"]
    }
    oldest, *_, newest = supported()
    assert tried == {
        "newest": ("highest", newest),
        "oldest": ("lowest-direct", oldest),
    }
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert runs[0].startswith("make lock ")
    assert "RESOLUTION=${{ matrix.resolution }}" in runs[0]
    assert runs[-1] == "make test"
    assert "--resolution $(RESOLUTION)" in read("Makefile")


def test_readmes_name_the_same_commands():
    english, spanish = map(commands, README)
    assert "make lab" in english and "make test" in english
    assert english == spanish


@pytest.mark.parametrize("name", GUIDES)
def test_guides_name_only_make_targets_that_exist(name):
    named = set(re.findall(r"\bmake ([a-z]+)`", read(name)))
    named |= {
        line.split()[1] for line in commands(name) if line.startswith("make ")
    }
    targets = re.findall(r"^([a-z]+):", read("Makefile"), re.M)
    assert named and named <= set(targets)


@pytest.mark.parametrize("name", README)
def test_readme_starts_jupyterlab_as_make_lab_does(name):
    recipe = read("Makefile").partition("\nlab:")[2].partition("\n\n")[0]
    (start,) = re.findall(r"\$\(BIN\)/(jupyter lab .+)", recipe)
    starts = [line for line in commands(name) if "jupyter lab" in line]
    assert starts
    assert all(line.endswith(start) for line in starts)
    assert f"urlpath=lab/tree/{start.split()[-1]}" in read(name)


def test_jupyterlab_opens_without_the_news_question():
    plugin = "@jupyterlab/apputils-extension:notification"
    ours = json.loads(read("aula/jupyterlab.json"))
    assert ours == {plugin: {"fetchNews": "false"}}

    prefix = Path(sys.prefix)
    placed = "etc/jupyter/labconfig/default_setting_overrides.json"
    assert json.loads((prefix / placed).read_text("utf-8")) == ours

    schema = "share/jupyter/lab/schemas/@jupyterlab/apputils-extension"
    schema = json.loads(
        (prefix / schema / "notification.json").read_text("utf-8")
    )
    choices = schema["properties"]["fetchNews"]["oneOf"]
    assert "false" in [choice["const"] for choice in choices]


@pytest.mark.parametrize("name", README)
def test_readme_opens_lessons_that_exist_in_colab(name):
    repository = address.repository()
    opened = re.findall(rf"/{repository}/blob/main/(\S+\.ipynb)", read(name))
    assert opened and all((ROOT / path).exists() for path in opened)
    assert f"%pip install --quiet git+{address.HOST}{repository}\n" in read(
        name
    )


@pytest.mark.parametrize("name", README)
def test_readme_has_a_door_of_three_lines_for_each_reader(name):
    doors = read(name).partition("<!-- /address -->\n\n")[2].split("\n\n")[0]
    sizes = [door.count("\n") for door in f"\n{doors}".split("\n- ")[1:]]
    assert len(sizes) == 4 and max(sizes) <= 2
    assert "[site]" in doors.splitlines()[0]


def test_workflow_publishes_what_make_site_builds():
    workflow = yaml.safe_load(read(".github/workflows/site.yml"))
    steps = workflow["jobs"]["build"]["steps"]
    assert any("make site" in step.get("run", "") for step in steps)
    (path,) = [s["with"]["path"] for s in steps if "pages" in str(s)]
    assert path == site.OUT.relative_to(ROOT).as_posix()
    (version,) = [
        s["with"]["python-version"] for s in steps if "python-" in str(s)
    ]
    assert version in supported()


@pytest.mark.parametrize("name", ["hub.en.md", "hub.es.md"])
def test_the_links_for_a_hub_lead_to_the_index(name):
    text = read(f"classroom/{name}")
    links = re.findall(r"https?://\S+/hub/user-redirect/git-pull\?\S+", text)
    assert len(links) == 3
    for link in links:
        asked = dict(parse_qsl(urlsplit(link).query))
        folder = asked["repo"].rpartition("/")[2]
        assert not folder.endswith(".git")
        assert asked["branch"] == "main"
        path = asked["urlpath"].removeprefix(f"lab/tree/{folder}/")
        assert (ROOT / path).exists()


def test_both_pages_on_hubs_say_the_same_to_a_machine():
    spoken = [read(f"classroom/hub.{lang}.md") for lang in ("es", "en")]
    blocks = [re.findall(r"```\w+\n.*?```", t, re.S) for t in spoken]
    assert blocks[0] == blocks[1]
    settings = read("classroom/jupyterhub_config.py")
    for argument in re.findall(r'"(--Mapping.*?)"', settings):
        assert all(argument in text for text in spoken)
