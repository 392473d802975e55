"""A bundle is displayed in a notebook, and its text printed elsewhere."""

import sys
import types

from kernels import kernel

from aula import display


def in_notebook(monkeypatch):
    calls = []

    def publish(bundle, **options):
        calls.append((bundle, options))

    notebook = types.SimpleNamespace(
        get_ipython=lambda: True,
        display=types.SimpleNamespace(display=publish),
    )
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    return calls


def test_a_bundle_is_shown_as_it_is(monkeypatch):
    calls = in_notebook(monkeypatch)
    bundle = {"text/plain": "hola", "text/html": "<b>hola</b>"}
    display.show(bundle)
    assert calls == [(bundle, {"raw": True})]


def test_outside_a_notebook_the_text_is_printed(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    display.show({"text/plain": "hola", "text/html": "?"})
    assert capsys.readouterr().out == "hola\n"


def test_half_a_surrogate_pair_reaches_the_page(tmp_path):
    """Written so that it can be read, where no message can bear it."""
    with kernel(tmp_path) as started:
        ran = started.run("""
            import asyncio
            from aula.en import check, timeline, wiretap

            half = "\\ud83d 拿铁 🫨"

            async def brew(drink):
                await asyncio.sleep(0)

            with timeline():
                await asyncio.gather(brew(half), brew("拿铁"), brew("🧑‍🚀"))

            async def greet(name):
                await asyncio.sleep(0.1)
                return half + "\\n"

            async def burn(name):
                raise ValueError(half)

            await check("00.1", greet)
            await check("00.1", burn)
            async def shout(websocket):
                raise ValueError(half)

            from websockets import serve, connect, ConnectionClosed
            with wiretap():
                async with serve(shout, "127.0.0.1", 0) as server:
                    host, port = server.sockets[0].getsockname()
                    async with connect(f"ws://{host}:{port}") as websocket:
                        try:
                            await websocket.recv()
                        except ConnectionClosed:
                            pass
            """)
    assert ran.status == "ok", ran.error()
    said = ran.text()
    assert r'brew("\ud83d 拿铁 🫨")' in said
    assert 'brew("拿铁")' in said
    assert 'brew("🧑‍🚀")' in said
    assert said.count(r"\ud83d 拿铁 🫨") == 3
