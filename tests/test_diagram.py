"""Conversations are drawn in words and for Mermaid, in both languages."""

import asyncio
import json
import re
import textwrap
import urllib.parse
from xml.etree import ElementTree

import chromium
import pytest
from lab import jupyterlab
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from wiretaps import (
    GREETING,
    Escucha,
    answer_with,
    be_rejected,
    echo,
    frame,
    lines_of,
    listen,
    listener,
    no_trace,  # noqa: F401
    raw,
    say_hello,
    server_in_another_process,
    text_of,
    uri_of,
    vanish,
    what,
)

from aula.instruments.diagram import MOST_LINES, TEXT, _wrap
from aula.instruments.wiretap import Wiretap


def without_description(bundle):
    """A diagram without what it says to those who hear it, and that."""
    lines = bundle["text/vnd.mermaid"].split("\n")
    told = lines.pop()
    assert told.startswith("accDescr: ")
    return "\n".join(lines), told.removeprefix("accDescr: ")


def unescape(text):
    return re.sub(r"#(\d+);", lambda found: chr(int(found[1])), text)


def heard(told):
    """What is heard of a description: a joiner is silent, a dollar one."""
    return told.replace("\u2060", "").replace("＄", "$")


def test_a_conversation_in_words_and_as_a_diagram():
    bundle = listen(say_hello).bundle("en")
    fence = bundle.pop("text/markdown")
    assert fence == f"```mermaid\n{bundle['text/vnd.mermaid']}\n```"
    bundle["text/vnd.mermaid"], told = without_description(bundle)
    assert told == (
        "client to echo: GET /. "
        "echo to client: 101 Switching Protocols. "
        "client, echo: OPEN. "
        'client to echo: TEXT "hola". '
        'echo to client: TEXT "hola". '
        "client to echo: CLOSE 1000 (OK). "
        "echo to client: CLOSE 1000 (OK). "
        "client, echo: TCP connection closed."
    )
    assert bundle == {
        "text/plain": textwrap.dedent("""\
            client → echo  GET /
            echo → client  101 Switching Protocols
            client, echo   OPEN
            client → echo  TEXT "hola"
            echo → client  TEXT "hola"
            client → echo  CLOSE 1000 (OK)
            echo → client  CLOSE 1000 (OK)
            client, echo   TCP connection closed"""),
        "text/vnd.mermaid": textwrap.dedent("""\
            sequenceDiagram
            accTitle: Conversation over WebSocket
            participant c1 as client
            participant s1 as echo
            c1->>s1: GET /
            s1->>c1: 101 Switching Protocols
            Note over c1,s1: OPEN
            c1->>s1: TEXT "hola"
            s1->>c1: TEXT "hola"
            c1->>s1: CLOSE 1000 (OK)
            s1->>c1: CLOSE 1000 (OK)
            Note over c1,s1: TCP connection closed"""),
    }


def test_a_conversation_in_spanish():
    tape = listen(say_hello, tape=Escucha())
    assert lines_of(tape)[0] == "cliente → echo  GET /"
    assert lines_of(tape)[-1] == "cliente, echo  conexión TCP cerrada"
    diagram, told = without_description(tape.bundle("es"))
    assert "accTitle: Conversación por WebSocket\n" in diagram
    assert told.startswith("de cliente a echo: GET /. de echo a cliente: 101")
    assert told.endswith(" cliente, echo: conexión TCP cerrada.")


def test_both_languages_say_the_same_things():
    assert TEXT["es"].keys() == TEXT["en"].keys()
    for key, said in TEXT["es"].items():
        fields = re.findall(r"{\w+}", said)
        assert fields == re.findall(r"{\w+}", TEXT["en"][key])


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("latte, té", ["latte, té"]),
        ("latte, mate", ["latte, ", "mate"]),
        ("chai, latte, mate", ["chai, ", "latte, ", "mate"]),
        ("cappuccino", ["cappuccin", "o"]),
        ("té cappuccino", ["té ", "cappuccin", "o"]),
        ("#####", ["#35;#35;", "#35;#35;", "#35;"]),
    ],
)
def test_lines_of_at_most_nine_characters(text, lines):
    """Which end at spaces where they can."""
    assert _wrap(text, 9) == "<br/>".join(lines)


def test_headers_without_what_is_new_in_each_run():
    tape = listen(say_hello, tape=Wiretap(headers=True))
    headers = [
        "  Host: 127.0.0.1:…",
        "  Upgrade: websocket",
        "  Connection: Upgrade",
        "  Sec-WebSocket-Key: …",
        "  Sec-WebSocket-Version: 13",
        "  Sec-WebSocket-Extensions: permessage-deflate; "
        "client_max_window_bits",
        "  User-Agent: Python/… websockets/…",
        "echo → client  101 Switching Protocols",
        "  Date: …",
        "  Upgrade: websocket",
        "  Connection: Upgrade",
        "  Sec-WebSocket-Accept: …",
        "  Sec-WebSocket-Extensions: permessage-deflate; "
        "server_max_window_bits=12; client_max_window_bits=12",
        "  Server: Python/… websockets/…",
        "client, echo  OPEN",
    ]
    assert lines_of(tape)[1:16] == headers
    # They stand a little further to the right than what they belong to.
    first, second, *_ = text_of(tape).split("\n")
    assert second.index("Host") == first.index("GET") + 2
    assert (
        "Note over c1,s1: Host: 127.0.0.1:…<br/>Upgrade: websocket<br/>"
        "Connection: Upgrade<br/>Sec-WebSocket-Key: …<br/>"
        "Sec-WebSocket-Version: 13<br/>Sec-WebSocket-Extensions: <br/>"
        "permessage-deflate#59; <br/>client_max_window_bits<br/>"
    ) in tape.bundle("en")["text/vnd.mermaid"]
    _, told = without_description(tape.bundle("en"))
    assert told.startswith(
        "client to echo: GET /#59; Host: 127.0.0.1:…#59; Upgrade: websocket"
    )
    again = listen(say_hello, tape=Wiretap(headers=True))
    assert again.bundle("en") == tape.bundle("en")


def test_a_long_talk_keeps_its_beginning_and_its_end():
    async def talk(uri):
        async with connect(uri) as websocket:
            for number in range(500):
                await websocket.send(str(number))
                await websocket.recv()

    tape = listen(talk)
    lines = lines_of(tape)
    assert len(lines) == MOST_LINES + 1
    assert lines[39:42] == [
        'client → echo  TEXT "18"',
        "…  frames left out: 946",
        'echo → client  TEXT "491"',
    ]
    assert lines[-1] == "client, echo  TCP connection closed"
    diagram = tape.bundle("en")["text/vnd.mermaid"].split("\n")
    assert "Note over c1,s1: frames left out: 946" in diagram
    assert len(diagram) == len(lines) + 5
    _, told = without_description(tape.bundle("en"))
    assert ' TEXT "18". frames left out: 946. echo to client:' in told
    assert told.count(". ") == MOST_LINES


@pytest.mark.parametrize(("count", "gap"), [(27, []), (28, ["2"])])
def test_a_talk_that_is_just_short_enough(count, gap):
    """Six lines begin and end a talk of MOST_LINES."""

    async def talk(uri):
        async with connect(uri) as websocket:
            for _ in range(count):
                await websocket.send("hola")
                await websocket.recv()

    text = text_of(listen(talk))
    assert re.findall("frames left out: (.*)", text) == gap


def test_many_clients_are_too_many_to_draw():
    async def talk(uri):
        for _ in range(30):
            await say_hello(uri)

    tape = listen(talk)
    (gap,) = [line for line in lines_of(tape) if line.startswith("…")]
    # A client takes 8 lines; 5 are whole at the beginning and 2 at the end.
    assert gap == "…  frames left out: 89; other steps left out: 91"
    diagram = tape.bundle("en")["text/vnd.mermaid"]
    assert re.findall("as client (.*)", diagram) == [
        *["1", "2", "3", "4", "5"],
        *["28", "29", "30"],
    ]
    assert "Note over c1,c30: frames left out" in diagram


def test_headers_count_as_lines():
    async def talk(uri):
        for _ in range(4):
            await say_hello(uri)

    tape = listen(talk, tape=Wiretap(headers=True))
    text = text_of(tape)
    assert "left out" in text
    assert len(text.split("\n")) <= MOST_LINES + 1


def test_the_diagram_stays_below_what_mermaid_takes():
    # 50000 characters are Mermaid's own limit, JupyterLab's is higher.
    async def talk(uri):
        headers = {f"X-{n}": "<#>" * 99 for n in range(50)}
        async with connect(uri, additional_headers=headers) as websocket:
            for _ in range(99):
                await websocket.send("<#>" * 99)

    tape = listen(talk, listener, tape=Wiretap(headers=True))
    assert len(tape.bundle("en")["text/vnd.mermaid"]) < 50_000


# Whose lanes there are.


def test_clients_are_numbered_in_order_of_arrival():
    async def talk(uri):
        async with connect(uri) as first, connect(uri) as second:
            await second.send("Lima")
            await second.recv()
            await first.send("Ada")
            await first.recv()

    tape = listen(talk)
    assert lines_of(tape) == [
        "client 1 → echo  GET /",
        "echo → client 1  101 Switching Protocols",
        "client 1, echo  OPEN",
        "client 2 → echo  GET /",
        "echo → client 2  101 Switching Protocols",
        "client 2, echo  OPEN",
        'client 2 → echo  TEXT "Lima"',
        'echo → client 2  TEXT "Lima"',
        'client 1 → echo  TEXT "Ada"',
        'echo → client 1  TEXT "Ada"',
        "client 2 → echo  CLOSE 1000 (OK)",
        "echo → client 2  CLOSE 1000 (OK)",
        "client 2, echo  TCP connection closed",
        "client 1 → echo  CLOSE 1000 (OK)",
        "echo → client 1  CLOSE 1000 (OK)",
        "client 1, echo  TCP connection closed",
    ]
    diagram = tape.bundle("en")["text/vnd.mermaid"]
    assert re.findall("participant .*", diagram) == [
        "participant c1 as client 1",
        "participant s1 as echo",
        "participant c2 as client 2",
    ]
    # A note over c2 and s1 would lie across no lane, one over c3 and s1 would.
    assert "Note over c2: OPEN" in diagram


def test_names_keep_the_columns():
    async def handler(websocket):
        raise ValueError

    handler.__name__ = "日本"
    lines = text_of(listen(vanish, handler, wait=True)).split("\n")
    # A terminal takes two columns for each of these characters.
    assert lines[0] == "client → 日本  GET /"
    assert lines[2] == "client, 日本   OPEN"
    assert (
        lines[3]
        == "日本" + 9 * " " + "  connection handler failed: ValueError"
    )


@pytest.mark.parametrize(
    ("name", "shown"),
    [("end", "end"), ("style", "#115;tyle"), ("a\n```\nb", "a#92;n```#92;nb")],
)
def test_names_do_not_break_the_diagram(name, shown):
    async def handler(websocket):
        await echo(websocket)

    handler.__name__ = name
    diagram = listen(say_hello, handler).bundle("en")["text/vnd.mermaid"]
    assert f"participant s1 as {shown}\n" in diagram


def test_two_servers():
    async def relay(websocket):
        async for message in websocket:
            async with connect(further) as other:
                await other.send(message)
                await websocket.send(await other.recv())

    async def main():
        nonlocal further
        async with (
            serve(relay, "127.0.0.1", 0) as first,
            serve(echo, "127.0.0.1", 0) as second,
            serve(echo, "127.0.0.1", 0) as third,
        ):
            further = uri_of(second)
            with Wiretap() as tape:
                await say_hello(uri_of(first))
                await say_hello(uri_of(third))
        return tape

    further = ""
    lines = lines_of(asyncio.run(main()))
    assert [line for line in lines if "hola" in line] == [
        'client 1 → relay  TEXT "hola"',
        'client 2 → echo 1  TEXT "hola"',
        'echo 1 → client 2  TEXT "hola"',
        'relay → client 1  TEXT "hola"',
        'client 3 → echo 2  TEXT "hola"',
        'echo 2 → client 3  TEXT "hola"',
    ]


def test_servers_here_and_in_other_processes():
    async def talk(uri):
        async with (
            server_in_another_process() as first,
            server_in_another_process() as second,
        ):
            for each in (first, uri, second, first):
                await say_hello(each)

    lines = lines_of(listen(talk))
    assert [line for line in lines if line.endswith("GET /")] == [
        "client 1 → server 1  GET /",
        "client 2 → echo  GET /",
        "client 3 → server 2  GET /",
        "client 4 → server 1  GET /",
    ]


def test_a_rejection_in_the_diagram():
    change = answer_with("Sec-WebSocket-Protocol", "chat")
    tape = listen(be_rejected, tape=Escucha(), process_response=change)
    assert tape.bundle("es")["text/vnd.mermaid"].split("\n")[4:-1] == [
        "c1->>s1: GET /",
        "s1->>c1: 101 Switching Protocols",
        "Note over c1: rechazó la respuesta: <br/>NegotiationError: no "
        "<br/>subprotocols supported",
        "Note over c1,s1: conexión TCP cerrada",
    ]


# What JupyterLab makes of it.

HOSTILE = [
    "<script>alert(1)</script><br/>",
    "&lt;b&gt; &copy",
    "#quot; #35; # ;",
    "%%{init: {'theme': 'forest'}}%% %% c",
    "$$x^2$$",
    "ﬂ°°35¶ß ﬂ°amp¶ß",
    "style a:#b; #c;",
    "classDef a:#b; #c;",
    "end",
    "loop x",
    "note over c1: x",
    "participant c1 as x",
    "c1->>s1: x --> y -x z",
    "wrap: x",
    "title: x",
    "accDescr { x }",
    "} c1->>s1: x",
    "--- `x` **y** ~~z~~",
    "```",
    "```\n<b>x</b>\n```mermaid",
    "~~~",
    r"\begin{x} \\(y\\) \\[z\\] \end{x}",
    "$x$ @@0@@ @@7@@",
    '{"a": [1, "b"]}',
    "a\nb\u202ec\u200bd\0",
    "¿שלום? مرحبا 日本 😀 é",
    "#" * 50,
]


async def talk_hostilely(uri):
    async with connect(uri) as websocket:
        for text in HOSTILE:
            await websocket.send(text)
        await websocket.close(4000, HOSTILE_LINE)
    path = b"GET /<script>;#35;&lt;$$x$$%%{"
    request = GREETING.replace(b"GET /", path)
    await raw(uri, request, frame(1, b"fail") + frame(8))


OBEYED = re.compile(r"[#;&<%$ﬂ¶\\@]")
HOSTILE_LINE = "<b>;#35; #quot;\nend %% $$x$$ classDef a; 😀"


async def end(websocket):
    """A keyword of Mermaid as a name, and an exception to match."""
    async for message in websocket:
        if message == "fail":
            raise ValueError(HOSTILE_LINE)


def test_no_text_is_obeyed():
    """Whatever is obeyed is spelled out, and reads as it was."""
    tape = listen(talk_hostilely, end, wait=True)
    assert len(what(tape)) < MOST_LINES
    diagram, told = without_description(tape.bundle("en"))
    drawn = []
    for line in diagram.split("\n")[2:]:
        line = line.replace("<br/>", "")
        kind = re.match(
            r"participant \w+ as |\w+->>\w+: |Note over [\w,]+: ", line
        )
        text = line[kind.end() :]
        assert not OBEYED.search(re.sub(r"#\d+;", "", text))
        if not line.startswith("participant"):
            drawn.append(unescape(text))
    assert drawn == what(tape)
    assert not OBEYED.search(re.sub(r"#\d+;", "", told))
    assert all(f": {text}." in heard(unescape(told)) for text in what(tape))


def drawn_texts(figure):
    """The texts of a diagram in JupyterLab: an SVG within an address."""
    address = figure.get_attribute("src")
    svg = urllib.parse.unquote(address.partition(",")[2])
    return [
        "".join(element.itertext())
        for element in ElementTree.fromstring(svg).iter()
        if element.tag.endswith("}text")
    ]


def test_jupyterlab_shows_every_payload(tmp_path):
    tape = listen(talk_hostilely, end, wait=True)
    bundle = tape.bundle("en")
    cell = {
        "cell_type": "code",
        "execution_count": 1,
        "id": "talk",
        "metadata": {},
        "source": "",
        "outputs": [
            {"output_type": "display_data", "data": bundle, "metadata": {}}
        ],
    }
    notebook = {
        "cells": [cell],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path = tmp_path / "talk.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    with chromium.browser() as browser, jupyterlab(tmp_path) as lab:
        page = browser.new_page()
        page.goto(f"{lab}doc/tree/talk.ipynb")
        figure = page.locator(".jp-RenderedMermaid").locator("img, details")
        figure.wait_for(state="attached", timeout=60_000)
        assert figure.evaluate("one => one.tagName") == "IMG", (
            figure.inner_text()
        )
        texts = "".join(drawn_texts(figure))
        told = page.locator("figcaption.jp-sr-only").inner_text()
    for text in what(tape):
        assert text.replace(" ", "") in texts.replace(" ", "")
        assert f": {text}." in heard(told)
