"""A learner joins the classroom's board: what their checks find right is told.

Only once they have asked for it, and from then on. The connection lives in
threads of its own: no task of it is in the notebook's event loop, no check
waits for it, and what a lesson does to asyncio does nothing to it.
"""

from __future__ import annotations

import contextvars
import json
import random
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from aula.display import show
from aula.exercises import progress
from aula.instruments.frames import UNHEARD

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

FIRST, LONGEST = 1.0, 30.0  # seconds of pauses between two attempts
STABLE = 10.0  # seconds after which a line that ends is no failed attempt
MOMENT = 1.0  # second in which a board refuses whom it does not know
AGAIN = 30.0  # seconds until what a board could not keep is sent again
GOODBYE = 2.0  # seconds that a close may take
NO_TOKEN, REFUSED = 4401, 4400  # what a board closes with
# Of these HTTP statuses another attempt may get another one.
PASSING = {408, 425, 429, 500, 502, 503, 504}

TEXT = {
    "es": {
        "sent": "A partir de ahora, cada vez que una comprobación dé por "
        "buena una respuesta tuya, se envían al tablero `{address}` tu apodo "
        "(`{nick}`) y el nombre del ejercicio (como `shout`). El tablero los "
        "guarda con la hora en que llegan y los muestra a toda la clase. "
        "**No se envía nada más**: ni lo que resolviste antes, ni tus "
        "respuestas, ni ninguna otra cosa.\n\nPara salir, ejecuta "
        "`board.leave()`. También sales cuando el kernel se reinicia o "
        "termina.",
        "in": "Estás en el tablero como `{nick}`.",
        "token": "**El tablero no acepta este token.** Cópialo otra vez: es "
        "el de la clase, no el de la pantalla. No se enviará nada.",
        "refused": "**El tablero no acepta el apodo `{nick}`** (`{why}`). "
        "Elige otro, de 1 a 20 caracteres que se vean, y ejecuta la celda "
        "otra vez. No se enviará nada.",
        "no-board": "**En `{address}` no hay ningún tablero** (`{why}`). "
        "Copia otra vez la dirección, entera. No se enviará nada.",
        "certificate": "**El certificado de `{address}` no vale aquí** "
        "(`{why}`), así que no se sabe quién contesta. Pregunta por la "
        "dirección. No se enviará nada.",
        "unreached": "No se llega todavía al tablero (`{why}`). Se sigue "
        "intentando sin que tengas que hacer nada: lo que resuelvas mientras "
        "tanto se envía en cuanto conteste.",
        "not-kept": "El tablero no ha podido guardar `{name}` (`{why}`). Se "
        "le enviará otra vez más tarde; avisa a quien da la clase.",
        "left": "Has salido del tablero: no se le envía nada más.",
        "not-in": "No estás en ningún tablero: no se envía nada.",
        "bad-address": "{address!r} no es la dirección de un tablero. "
        "Empieza por ws:// o wss://, como ws://192.168.1.20:8765",
    },
    "en": {
        "sent": "From now on, each time that a check finds an answer of yours "
        "right, the board at `{address}` is sent your nickname (`{nick}`) and "
        "the exercise's name (such as `shout`). The board keeps them with the "
        "time at which they come, and shows them to the whole class. "
        "**Nothing else is sent**: nothing that you solved earlier, none of "
        "your answers, nothing whatsoever.\n\nTo leave, run `board.leave()`. "
        "You also leave when the kernel restarts or ends.",
        "in": "You are on the board as `{nick}`.",
        "token": "**The board does not accept this token.** Copy it again: it "
        "is the class's, not the screen's. Nothing will be sent.",
        "refused": "**The board does not accept the nickname `{nick}`** "
        "(`{why}`). Choose another one, of 1 to 20 characters that can be "
        "seen, and run the cell again. Nothing will be sent.",
        "no-board": "**There is no board at `{address}`** (`{why}`). Copy the "
        "address again, all of it. Nothing will be sent.",
        "certificate": "**The certificate of `{address}` is not valid here** "
        "(`{why}`), and so nobody knows who answers. Ask for the address. "
        "Nothing will be sent.",
        "unreached": "The board cannot be reached yet (`{why}`). Attempts go "
        "on, and you need not do anything: what you solve meanwhile is sent "
        "as soon as it answers.",
        "not-kept": "The board could not keep `{name}` (`{why}`). It will be "
        "sent again later; tell whoever gives the class.",
        "left": "You have left the board: nothing else is sent to it.",
        "not-in": "You are on no board: nothing is sent.",
        "bad-address": "{address!r} is not the address of a board. It begins "
        "with ws:// or wss://, such as ws://192.168.1.20:8765",
    },
}


class Join:
    """What ``board`` does in a notebook: see ``aula.door``.

    Arguments:
        language: ``"es"`` or ``"en"``.
    """

    def __init__(self, language: str) -> None:
        self._language = language
        self._member: _Member | None = None

    def __call__(self, address: str, *, token: str, nick: str) -> None:
        address = self._checked(address)
        context = contextvars.copy_context()  # shown below this cell
        member = _Member(
            address, token, nick, lambda *a, **k: self._say(context, *a, **k)
        )
        self._say(context, "sent", address=address, nick=nick)
        before, self._member = self._member, member
        if before is not None:
            before.leave()
            if before.is_for(address, nick):
                member.take_over(before)
        member.start()

    def leave(self) -> None:
        """Leave the board, if on any."""
        member, self._member = self._member, None
        is_in = member is not None and not member.over
        if member is not None:
            member.leave()
        self._say(contextvars.copy_context(), "left" if is_in else "not-in")

    def _checked(self, address: str) -> str:
        """An address that WebSockets take; the page's own serves as well."""
        from websockets.exceptions import InvalidURI
        from websockets.uri import parse_uri

        text = str(address).strip()
        for page in ("http://", "https://"):
            if text.lower().startswith(page):
                text = f"ws{text[4:]}"
        try:
            parse_uri(text)
        except (InvalidURI, ValueError):
            words = TEXT[self._language]["bad-address"]
            raise ValueError(words.format(address=address)) from None
        return text

    def _say(
        self, context: contextvars.Context, what: str, **values: Any
    ) -> None:
        code = {key: f"{v}".replace("`", "'") for key, v in values.items()}
        text = TEXT[self._language][what].format(**code)
        bundle = {"text/markdown": text, "text/plain": text}
        # A copy, because a context cannot be entered while it is entered.
        context.copy().run(show, bundle)


class _Member:
    """Somebody's line to a board, with what the board has not kept yet.

    Attributes:
        over: whether it has left, or was refused.
    """

    def __init__(
        self, address: str, token: str, nick: str, say: Callable[..., None]
    ) -> None:
        self._address = address
        self._nick = nick
        self._hello = json.dumps({"token": token, "nick": nick})
        self._say = say
        # Names in the order in which they were solved; whether each has been
        # sent on this line.
        self._unkept: dict[str, bool] = {}
        self._refused: set[str] = set()  # which of them it could not keep
        self._line: ClientConnection | None = None
        self._changed = threading.Condition()
        self._told: set[str] = set()
        self.over = False

    def is_for(self, address: str, nick: str) -> bool:
        return (address, nick) == (self._address, self._nick)

    def take_over(self, before: _Member) -> None:
        """See to it that what another has not brought home is sent."""
        with before._changed:
            self._unkept = dict.fromkeys(before._unkept, False)

    def start(self) -> None:
        progress.observe(self.solved)
        self._begin(self._stay)

    def solved(self, name: str) -> None:
        """Have the name of an exercise sent; does not wait for that."""
        with self._changed:
            self._unkept[name] = False
            self._changed.notify_all()

    def leave(self) -> None:
        """Send nothing else, and hang up; does not wait for that."""
        progress.ignore(self.solved)
        with self._changed:
            self.over = True
            self._changed.notify_all()

    def _stay(self) -> None:
        """Be on the board until leaving, or being refused."""
        chance = random.Random()  # what a learner seeds stays as it is
        pause = FIRST
        while not self.over:
            began = monotonic()
            try:
                self._visit()
            except Exception as error:
                refusal = self._refusal(error)
                if refusal and not self.over:
                    self.leave()
                    self._tell(refusal[0], **refusal[1])
                elif not self.over and "in" not in self._told:
                    why = f"{type(error).__name__}: {error}"
                    self._tell("unreached", why=why)
            if monotonic() - began > STABLE:
                pause = FIRST
            with self._changed:
                self._changed.wait_for(
                    lambda: self.over, pause * chance.uniform(0.5, 1.5)
                )
            pause = min(2 * pause, LONGEST)

    def _visit(self) -> None:
        """Connect, and read what the board says until the line ends.

        Raises:
            Exception: why it ended, or could not begin.
        """
        with self._connect() as websocket:
            if self.over:
                return
            websocket.send(self._hello)
            with self._changed:
                self._line = websocket
                self._unkept = dict.fromkeys(self._unkept, False)
            self._begin(self._write, websocket)
            try:
                with suppress(TimeoutError):
                    self._read(websocket.recv(MOMENT))
                self._tell("in", nick=self._nick)
                while True:
                    self._read(websocket.recv())
            finally:
                with self._changed:
                    self._line = None
                    self._changed.notify_all()

    def _connect(self) -> ClientConnection:
        """A line to the board: directly, or else through a proxy, if any.

        A school's proxy may be the only way out, and no way to a board in
        the same room.
        """
        from urllib.request import getproxies

        from websockets.sync.client import connect

        ways: list[Any] = [None, True] if getproxies() else [None]
        while True:
            try:
                # Nothing is told of this machine, not even by headers.
                return connect(
                    self._address,
                    proxy=ways.pop(0),
                    compression=None,
                    user_agent_header=None,
                    close_timeout=GOODBYE,
                    logger=UNHEARD,
                )
            except Exception as error:
                if not ways or self.over or self._refusal(error):
                    raise

    def _write(self, websocket: ClientConnection) -> None:
        """Send what the board has not kept, as long as the line lasts."""
        from websockets.exceptions import ConnectionClosed

        with suppress(ConnectionClosed):
            while True:
                with self._changed:
                    if self._line is not websocket:
                        return
                    if self.over:
                        break
                    due = [n for n, sent in self._unkept.items() if not sent]
                    self._unkept |= dict.fromkeys(due, True)
                    wait = AGAIN if self._refused else None
                    if not due and not self._changed.wait(wait):
                        self._unkept |= dict.fromkeys(self._refused, False)
                        self._refused.clear()
                for name in due:
                    websocket.send(json.dumps({"solved": name}))
            websocket.close()

    def _read(self, message: str | bytes) -> None:
        """Take note of what the board has kept, or could not keep."""
        with suppress(ValueError):
            said = json.loads(message)
            if not isinstance(said, dict):
                return
            kept, refused = (f"{said.get(k)}" for k in ("kept", "refused"))
            with self._changed:
                self._unkept.pop(kept, None)
                if refused not in self._unkept:
                    return
                self._refused.add(refused)
                self._changed.notify_all()
            self._tell("not-kept", name=refused, why=said.get("why"))

    def _refusal(self, error: Exception) -> tuple[str, dict[str, Any]] | None:
        """What to say where there is no sense in another attempt."""
        from websockets.exceptions import ConnectionClosed, InvalidStatus

        if isinstance(error, ConnectionClosed) and error.rcvd:
            if error.rcvd.code == NO_TOKEN:
                return "token", {}
            if error.rcvd.code == REFUSED:
                why = error.rcvd.reason
                return "refused", {"nick": self._nick, "why": why}
        if isinstance(error, InvalidStatus):
            status = error.response.status_code
            if status not in PASSING:
                why = f"HTTP {status}"
                return "no-board", {"address": self._address, "why": why}
        if isinstance(error, ssl.SSLCertVerificationError):
            why = error.verify_message
            return "certificate", {"address": self._address, "why": why}
        return None

    def _tell(self, what: str, **values: Any) -> None:
        """Say it, once."""
        if what not in self._told:
            self._told.add(what)
            with suppress(Exception):  # a kernel that ends shows nothing
                self._say(what, **values)

    def _begin(self, work: Callable[..., None], *args: Any) -> None:
        threading.Thread(
            target=work, args=args, name="aula board", daemon=True
        ).start()
