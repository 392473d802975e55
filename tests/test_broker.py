"""The judges of lesson 26 where there is no broker, and what they leave."""

import asyncio
import shutil
import tempfile

import pytest

from aula.exercises.check import Check
from aula.judges.lesson_26 import Broker


async def hall(websocket, broker, connected):
    pass


async def in_subject(websocket, broker):
    pass


async def replay(websocket, stream, room, after):
    pass


async def patterns():
    raise AssertionError("it would wait for a broker")


@pytest.mark.parametrize(
    "asked",
    [
        ("26.1", hall),
        ("26.2", {"chat.garden": 1}, patterns),
        ("26.3", in_subject),
        ("26.4", replay),
    ],
)
def test_without_a_broker_there_is_no_verdict(asked, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    verdict = asyncio.run(Check("en").verdict(*asked))
    assert verdict.state == "unstarted"
    assert verdict.said["en"].startswith(f"**○ {asked[0]}:")
    assert verdict.said["es"].startswith(f"**○ {asked[0]}:")


def test_a_judges_broker_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", f"{tmp_path}")

    async def cancelled():
        async with Broker() as broker:
            await broker.client()
            seen.append(broker._process)
            asyncio.current_task().cancel()
            await asyncio.sleep(0)

    seen = []
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    (process,) = seen
    assert process.poll() is not None
    assert not [*tmp_path.iterdir()]
