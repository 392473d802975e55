"""``with timeline():`` shows what the tasks of its block did."""

import asyncio
import gc
import re

import pytest
from recordings import brew, burn, run, turns

from aula.instruments import chart, timeline
from aula.instruments.timeline import TEXT, Timeline

pytest_plugins = ["clocks"]
pytestmark = pytest.mark.usefixtures("clock")


class Linea(Timeline):
    language = "es"


@pytest.fixture
def shown(monkeypatch):
    """What was displayed."""
    bundles = []
    monkeypatch.setattr(timeline, "show", bundles.append)
    return bundles


def test_one_timeline_used_again_starts_afresh(shown):
    async def main():
        line = Timeline()
        for drink in ("latte", "mocha"):
            with line:
                await asyncio.gather(brew(drink))
        with line:
            await asyncio.gather(brew("outer"))
            with line:
                await asyncio.gather(brew("inner"))

    run(main)
    drinks = [
        re.findall(r'^brew\("(\w+)"', bundle["text/plain"], re.MULTILINE)
        for bundle in shown
    ]
    assert drinks == [["latte"], ["mocha"], ["inner"], ["outer", "inner"]]


def test_a_block_that_raises_shows_its_picture(shown):
    async def main():
        with Timeline():
            await asyncio.gather(brew("latte"), burn("mocha"))

    with pytest.raises(ValueError, match="mocha"):
        run(main)
    (bundle,) = shown
    assert bundle.keys() == {"text/plain", "text/html"}
    assert "raises ValueError: mocha" in bundle["text/plain"]


def test_a_block_that_is_cancelled_shows_its_picture(shown):
    async def main():
        async with asyncio.timeout(0.01):
            with Timeline():
                await asyncio.Future()

    with pytest.raises(TimeoutError):
        run(main)
    assert len(shown) == 1


@pytest.mark.parametrize("kind", [Timeline, Linea])
def test_outside_a_running_loop(kind):
    line = kind()
    words = re.escape(TEXT[line.language]["no-loop"])
    with pytest.raises(RuntimeError, match=words) as caught:
        with line:
            pytest.fail("the block ran")
    assert caught.value.__suppress_context__


def test_in_spanish(shown):
    async def main():
        with Linea():
            await asyncio.wait(
                [asyncio.create_task(c) for c in (brew("té"), burn("té"))]
            )

    run(main)
    lines = shown[0]["text/plain"].split("\n")
    assert lines[1].endswith('devuelve "TÉ"')
    assert lines[2].endswith("lanza ValueError: té")
    assert lines[3] == chart.TEXT["es"]["legend"]


def test_an_orphaned_exception_is_still_reported(shown):
    """Drawing a failed task must not count as retrieving its exception.

    Nor may the timeline hold on to the task: the report comes at once.
    """
    reports = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reports.append(context))
        with Timeline():
            asyncio.create_task(burn("latte"))
            await turns(3)
        (report,) = reports
        assert str(report["exception"]) == "latte"
        assert "never retrieved" in report["message"]

    gc.disable()
    try:
        run(main)
    finally:
        gc.enable()
    assert "raises ValueError: latte" in shown[0]["text/plain"]
