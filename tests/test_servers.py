"""The service of a learner's handler, as judges use it."""

import asyncio

import pytest
from recordings import recording

from aula.judges.servers import Machine, Service
from aula.judges.waiting import until


def test_a_handler_that_ends_by_itself_is_not_cut_short():
    """What it would still await has not been forgotten."""
    ended = []

    async def handler(websocket):
        async for _ in websocket:
            pass
        await asyncio.sleep(0.05)
        ended.append(True)

    async def judge():
        async with Service(handler) as service, service.connect():
            await until(lambda: service.running)
        return service

    service = asyncio.run(judge())
    assert (ended, service.errors, service.cancelled) == ([True], [], False)


def test_a_handler_that_waits_for_ever_tells_nothing_when_the_check_ends():
    cancelled = []

    async def handler(websocket):
        try:
            await asyncio.Future()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise ValueError from None

    async def judge():
        async with Service(handler) as service, service.connect():
            await until(lambda: service.running)
        return service

    service = asyncio.run(judge())
    assert cancelled == [True]
    assert (service.raised(), service.cancelled) == ([], False)


@pytest.mark.parametrize("given", [True, False])
def test_what_tasks_of_a_handler_have_lost(given):
    async def fail():
        raise ValueError("sin leche")

    async def handler(websocket):
        await asyncio.wait([asyncio.create_task(fail())])

    async def judge():
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        with recording() as run:
            watched = Service(handler, run=run if given else None)
            async with watched as service:
                async with service.connect():
                    await until(service.ended.is_set)
                service.raise_errors()

    if given:
        with pytest.raises(ValueError, match="sin leche"):
            asyncio.run(judge())
    else:
        asyncio.run(judge())


def test_a_machine_holds_orders_and_says_who_is_in_it():
    async def judge():
        machine = Machine()
        orders = ["latte", "mocha", "chai"]
        tasks = [asyncio.create_task(machine.hold(o)) for o in orders]
        await asyncio.sleep(0)
        assert (machine.started, machine.ended) == (orders, [])
        machine.let_out("mocha")
        tasks[2].cancel()
        await asyncio.wait(tasks[1:])
        assert (machine.ended, machine.cancelled) == (["mocha"], ["chai"])
        machine.let_all_out()
        assert await machine.hold("mate") == "mate ready"
        assert await tasks[0] == "latte ready"
        assert machine.most == 3

    asyncio.run(judge())
