"""A bundle is displayed in a notebook, and its text printed elsewhere."""

import base64
import sys
import types

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


def test_a_png_is_shown_at_half_its_size(monkeypatch):
    calls = in_notebook(monkeypatch)
    header = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (1481).to_bytes(4, "big")
    picture = base64.b64encode(header + bytes(1000)).decode()
    bundle = {"text/plain": "hola", "image/png": picture}
    display.show(bundle)
    assert calls == [
        (bundle, {"raw": True, "metadata": {"image/png": {"width": 740}}})
    ]


def test_what_has_no_png_is_shown_as_it_is(monkeypatch):
    calls = in_notebook(monkeypatch)
    display.show({"text/plain": "hola", "text/markdown": "hola"})
    ((_, options),) = calls
    assert options == {"raw": True, "metadata": {}}


def test_outside_a_notebook_the_text_is_printed(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    display.show({"text/plain": "hola", "image/png": "?"})
    assert capsys.readouterr().out == "hola\n"
