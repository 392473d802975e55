"""``python -m aula.board``: the classroom's board, from a terminal.

It speaks both languages. Its tokens are printed and never logged: a board that
JupyterHub starts, which keeps what its services print, prints none.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import logging
import os
import signal
import socket
import sqlite3
import ssl
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from aula.board.file import NotABoard, export, forget, tokens_in
from aula.board.page import answering
from aula.board.server import Book, serve_board
from aula.kernel import LOOPBACK

FILE = "board.sqlite"
EVERYWHERE = "0.0.0.0"
PORT = 8765
GOODBYE = 5.0  # seconds in which who is connected may say goodbye
# Each connection is an open file, and some systems allow 256.
FILES = 8192

TEXT = {
    "es": {
        "about": "El tablero de la clase. Sin --forget ni --export, lo "
        "inicia; Ctrl+C lo cierra, y nada se pierde.",
        "host": "dónde escucha (todas las redes de esta máquina)",
        "port": "en qué puerto",
        "file": "el archivo que lo guarda todo, tokens incluidos",
        "cert": "certificado TLS, en PEM",
        "key": "su clave, si no está en el mismo archivo",
        "new": "cambia los dos tokens; los anteriores dejan de valer",
        "tokens": "muestra los tokens y termina",
        "forget": "borra del archivo lo que resolvió un apodo y termina",
        "export": "escribe una hoja CSV y termina",
        "start": """
El tablero está en marcha, con {rows} ejercicios resueltos en {file}.

  En la pizarra, para la clase:
      board("{board}", token="{class_token}", nick="...")
      después de: from aula.es import board
  En el proyector o el teléfono:
      {page}      token de la pantalla: {screen_token}

La clase no debe ver el token de la pantalla. Ctrl+C cierra el tablero.""",
        "hub": "El tablero está en marcha bajo {where}, con {rows} "
        "ejercicios resueltos. Los tokens no se muestran aquí, porque "
        "JupyterHub guardaría esta línea; los muestra: python -m aula.board "
        "--tokens --file {file}",
        "shown": "Token de la clase: {class_token}   Token de la pantalla: "
        "{screen_token}",
        "plain": "Sin certificado, quien escuche en esta red puede leer "
        "apodos y tokens: --cert y --key lo evitan.",
        "named": "Si el certificado está a nombre de otra cosa que {host}, "
        "escribe ese nombre en su lugar.",
        "closed": "Tablero cerrado. Lo resuelto y los tokens siguen en "
        "{file}.",
        "forgotten": "Borrado: {count} ejercicios de {nick!r}. Si el tablero "
        "está en marcha, ciérralo e inícialo otra vez para que las pantallas "
        "también lo olviden: la clase vuelve sola.",
        "exported": "Escritas {count} filas en {file}.",
        "not-board": "{file} no es el archivo de un tablero. No se ha tocado.",
        "no-file": "No existe {file}.",
        "unwritable": "No se puede usar {file}: {why}.",
        "taken": "El puerto {port} ya está ocupado. ¿Hay otro tablero en "
        "marcha? Elige otro con --port.",
        "no-host": "No se puede escuchar en {host}, puerto {port}: {why}.",
        "no-cert": "No se puede usar el certificado {file}: {why}.",
        "key-alone": "--key necesita --cert.",
    },
    "en": {
        "about": "The class's board. Without --forget and --export it is "
        "started; Ctrl+C closes it, and nothing is lost.",
        "host": "where it listens (all networks of this machine)",
        "port": "at which port",
        "file": "the file that keeps everything, tokens too",
        "cert": "TLS certificate, in PEM",
        "key": "its key, unless it is in the same file",
        "new": "change both tokens; the former ones are no longer valid",
        "tokens": "print the tokens and end",
        "forget": "delete from the file what a nickname solved, and end",
        "export": "write a CSV sheet and end",
        "start": """
The board is up, with {rows} exercises solved in {file}.

  On the blackboard, for the class:
      board("{board}", token="{class_token}", nick="...")
      after: from aula.en import board
  On the projector or the phone:
      {page}      the screen's token: {screen_token}

The class must not see the screen's token. Ctrl+C closes the board.""",
        "hub": "The board is up below {where}, with {rows} exercises "
        "solved. The tokens are not printed here, because JupyterHub would "
        "keep this line; this prints them: python -m aula.board --tokens "
        "--file {file}",
        "shown": "The class's token: {class_token}   The screen's token: "
        "{screen_token}",
        "plain": "Without a certificate, whoever listens on this network can "
        "read nicknames and tokens: --cert and --key prevent it.",
        "named": "If the certificate is for something else than {host}, write "
        "that name in its place.",
        "closed": "Board closed. What was solved, and the tokens, are still "
        "in {file}.",
        "forgotten": "Deleted: {count} exercises of {nick!r}. If the board is "
        "up, close it and start it again, so that screens forget it too: the "
        "class comes back by itself.",
        "exported": "Wrote {count} rows to {file}.",
        "not-board": "{file} is not a board's file. It is as it was.",
        "no-file": "There is no {file}.",
        "unwritable": "{file} cannot be used: {why}.",
        "taken": "Port {port} is taken. Is another board up? Choose another "
        "one with --port.",
        "no-host": "Nobody can listen at {host}, port {port}: {why}.",
        "no-cert": "The certificate {file} cannot be used: {why}.",
        "key-alone": "--key needs --cert.",
    },
}


def main(arguments: list[str]) -> None:
    """Do what the arguments ask for.

    Raises:
        SystemExit: with 1 if it cannot be done, once it is said why.
    """
    asked = _parser().parse_args(arguments)
    if asked.key and not asked.cert:
        fail("key-alone")
    only = asked.tokens or asked.forget is not None or asked.export
    if only and not asked.file.exists():
        fail("no-file", file=asked.file)
    try:
        tokens = tokens_in(asked.file, asked.new_tokens)
        with closing(Book(asked.file)) as book:
            if asked.forget is not None:
                done = forget(book, asked.forget)
                tell("forgotten", count=done, nick=asked.forget)
            count = len(book.rows())
            if asked.export:
                _export(book, asked.export)
                tell("exported", count=count, file=asked.export)
    except NotABoard:
        fail("not-board", file=asked.file)
    except (OSError, sqlite3.Error) as error:
        fail("unwritable", file=asked.file, why=reason(error))
    if asked.tokens:
        tell(
            "shown", class_token=tokens["class"], screen_token=tokens["screen"]
        )
    if not only:
        with suppress(KeyboardInterrupt):
            asyncio.run(run(asked, tokens, count))
        tell("closed", file=asked.file)


def _export(book: Book, file: Path) -> None:
    try:
        export(book, file)
    except OSError as error:
        fail("unwritable", file=file, why=reason(error))


def _parser() -> argparse.ArgumentParser:
    said = {
        key: " / ".join(words[key] for words in TEXT.values())
        for key in TEXT["en"]
    }
    service = urlsplit(_of_hub("JUPYTERHUB_SERVICE_URL"))
    parser = argparse.ArgumentParser(
        prog="python -m aula.board",
        description=said["about"],
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--host", default=service.hostname or EVERYWHERE, help=said["host"])
    add("--port", type=int, default=service.port or PORT, help=said["port"])
    add("--file", type=Path, default=Path(FILE), help=said["file"])
    add("--cert", type=Path, help=said["cert"])
    add("--key", type=Path, help=said["key"])
    add("--new-tokens", action="store_true", help=said["new"])
    add("--tokens", action="store_true", help=said["tokens"])
    add("--forget", metavar="NICK", help=said["forget"])
    add("--export", metavar="FILE.csv", type=Path, help=said["export"])
    return parser


def _of_hub(name: str) -> str:
    """What JupyterHub tells its services; not the notebook servers it starts.

    Those have the same variables, but for the service's name.
    """
    in_hub = "JUPYTERHUB_SERVICE_NAME" in os.environ
    return os.environ.get(name, "") if in_hub else ""


def tell(what: str, **values: object) -> None:
    """Print it, in both languages."""
    for words in TEXT.values():
        print(words[what].format(**values), flush=True)


def fail(what: str, **values: object) -> NoReturn:
    """Say why nothing was done, in both languages, and end."""
    for words in TEXT.values():
        print(words[what].format(**values), file=sys.stderr)
    raise SystemExit(1)


def reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


async def run(
    asked: argparse.Namespace, tokens: dict[str, str], rows: int
) -> None:
    """Serve the board until Ctrl+C or SIGTERM."""
    prefix = _of_hub("JUPYTERHUB_SERVICE_PREFIX")
    context = certificate(asked.cert, asked.key) if asked.cert else None
    allow_files()
    # The library logs each message at DEBUG, and the first holds a token.
    logger = logging.getLogger("aula.board")
    logger.setLevel(logging.INFO)
    stopped = on_stop()
    serving = serve_board(
        asked.file,
        tokens,
        asked.host,
        asked.port,
        process_request=answering(prefix or "/"),
        ssl=context,
        logger=logger,
        close_timeout=GOODBYE,
        backlog=1024,
    )
    try:
        server = await serving.__aenter__()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            fail("taken", port=asked.port)
        why = reason(error)
        fail("no-host", host=asked.host, port=asked.port, why=why)
    try:
        port = server.sockets[0].getsockname()[1]
        host = address_of(asked.host)
        where = f"{f'[{host}]' if ':' in host else host}:{port}"
        secure = "s" if context else ""
        if prefix:
            where = _of_hub("JUPYTERHUB_PUBLIC_URL") or prefix
            tell("hub", where=where, rows=rows, file=asked.file)
        else:
            tell(
                "start",
                rows=rows,
                file=asked.file,
                board=f"ws{secure}://{where}",
                page=f"http{secure}://{where}",
                class_token=tokens["class"],
                screen_token=tokens["screen"],
            )
        if context:
            tell("named", host=host)
        elif not prefix and asked.host not in LOOPBACK:
            tell("plain")
        await stopped.wait()
    finally:
        await serving.__aexit__(None, None, None)


def certificate(cert: Path, key: Path | None) -> ssl.SSLContext:
    """A server's TLS with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key)
    except OSError as error:  # ssl.SSLError is one
        fail("no-cert", file=cert, why=reason(error))
    return context


def allow_files() -> None:
    """Have the system allow as many open files as a big class needs."""
    with suppress(ImportError, OSError, ValueError):  # Windows has no limit
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
        if soft != resource.RLIM_INFINITY and soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def on_stop() -> asyncio.Event:
    """What is set once, by Ctrl+C or SIGTERM; a second one ends at once."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    signals = (signal.SIGINT, signal.SIGTERM)

    def stop() -> None:
        stopped.set()
        for number in signals:
            signal.signal(number, signal.SIG_DFL)

    for number in signals:
        try:
            loop.add_signal_handler(number, stop)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
    return stopped


def address_of(host: str) -> str:
    """What others on the network call this machine.

    Arguments:
        host: where it listens; one address is called what it is.
    """
    if host not in ("", EVERYWHERE, "::"):
        return host
    with suppress(OSError), socket.socket(type=socket.SOCK_DGRAM) as out:
        # Nothing is sent: the system only looks which way it would be.
        out.connect(("192.0.2.1", 9))
        name: str = out.getsockname()[0]
        return name
    return socket.gethostname()


if __name__ == "__main__":
    main(sys.argv[1:])
