"""How judges wait, on a machine that stands still meanwhile."""

import asyncio
import time

from aula.judges.waiting import ends_before, timer


async def stand_still(seconds):
    """Let no timer of the event loop run for so long."""
    await asyncio.sleep(0)
    time.sleep(seconds)


def test_a_timer_is_over_before_a_longer_sleep_ends():
    async def judge():
        short, long = timer(0.02), timer(0.05, slack=True)
        assert not short.is_set()
        await asyncio.gather(asyncio.sleep(0.03), stand_still(0.1))
        assert short.is_set()
        assert not long.is_set()
        await asyncio.wait_for(long.wait(), 1)

    asyncio.run(judge())


def test_a_task_ends_before_a_longer_timer():
    async def judge():
        task = asyncio.create_task(asyncio.sleep(0.05))
        assert not await ends_before(task, 0.01)
        still = asyncio.create_task(stand_still(0.2))
        assert await ends_before(task, 0.1)
        await still

    asyncio.run(judge())
