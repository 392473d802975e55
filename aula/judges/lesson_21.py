"""Judges the exercises of lesson 21."""

from __future__ import annotations

import asyncio
import hmac
import traceback
from contextlib import suppress
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import (
    ConnectionClosed,
    InvalidMessage,
    InvalidStatus,
)
from websockets.http11 import Request, Response

from aula.exercises.exercise import Answer, Right, Wrong, exercise
from aula.exercises.prediction import Program, refuse_other
from aula.judges.mistakes import UNPACKED, equal, refuse_none
from aula.judges.servers import (
    Hung,
    Service,
    address,
    calling,
    hear,
    path_of,
    quiet,
    stop,
    tell,
)
from aula.judges.waiting import Silence, until

TOKENS = {
    "latte-4711": "Ada",
    "mocha-77a1": "Lima",
    "té.9b": "Eva",
    "ristretto-7e": "Iris",  # its ends are letters of Bearer
    "Cortado-5B": "Carla",
}


@exercise("21.1", answer="prediction", picture=None)
async def doors(answer: Any, program: Program) -> Right:
    await program.run()
    result = program.result
    if isinstance(answer, list) and len(answer) == len(result):
        bill, refused = "Ada owes 12", "refused: 403"
        _refuse_row(answer, result, 3, bill, "as-if-cookie-sufficed")
        _refuse_row(answer, result, 1, bill, "as-if-slash-were-nothing")
        _refuse_row(answer, result, 2, bill, "as-if-http-were-https")
        _refuse_row(answer, result, 4, refused, "as-if-none-were-nobody")
    refuse_other(answer, result)
    return Right()


def _refuse_row(
    answer: list[Any], result: Any, row: int, said: str, mistake: str
) -> None:
    """Name the mistake of one who says that of a row where it is not so."""
    if answer[row : row + 1] == [said] and result[row : row + 1] != [said]:
        equal(answer, result, mistake)


class _Gate:
    """The server whose door is the learner's function.

    Attributes:
        tokens: those that the function is given.
        made: whether the function has made a response this time.
        returned: what it has returned.
        error: what it has raised.
        header: what it was asked with.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.tokens = TOKENS.copy()
        self.header = ""
        self.made = False
        self.returned: Any = None
        self.error: Exception | None = None

    def open(self, connection: ServerConnection, request: Request) -> Any:
        respond = connection.respond

        def noted(*args: Any, **options: Any) -> Response:
            self.made = True
            return respond(*args, **options)

        connection.respond = noted  # type: ignore[method-assign]
        try:
            self.returned = self._answer(connection, request, self.tokens)
        except Exception as error:
            self.error = error
            raise
        return self.returned

    async def ask(self, url: str, header: str | None) -> int | str:
        """The status that a header is refused with, or a name."""
        self.made, self.returned, self.error = False, None, None
        self.header = header or ""
        headers = {} if header is None else {"Authorization": header}
        try:
            async with calling(url, additional_headers=headers) as websocket:
                name = await hear(websocket)
                return name if isinstance(name, str) else name.decode()
        except InvalidStatus as error:
            return error.response.status_code
        except InvalidMessage:
            return 0


@exercise("21.2", answer="function", parameters=3, picture="wiretap")
async def gate(answer: Answer) -> Right:
    door = _Gate(answer)

    told = asyncio.Event()

    async def tell_name(websocket: ServerConnection) -> None:
        if path_of(websocket) == LATER:
            await told.wait()
        with suppress(ConnectionClosed):
            await websocket.send(f"{getattr(websocket, 'username', None)}")

    server = await serve(
        tell_name, "127.0.0.1", 0, process_request=door.open, logger=quiet
    )
    try:
        await _judge_gate(door, address(server))
        await _judge_two(door, address(server), told)
    finally:
        told.set()
        await stop(server)
    return Right()


LATER = "/later"  # where names are told only when another has come in


async def _judge_two(door: _Gate, url: str, told: asyncio.Event) -> None:
    """Ada is asked for her name when Lima has come in as well."""
    headers = {"Authorization": "Bearer latte-4711"}
    async with calling(url + LATER, additional_headers=headers) as ada:
        await door.ask(url, "Bearer mocha-77a1")
        told.set()
        equal(await hear(ada), "Ada", "shared-name")


async def _judge_gate(door: _Gate, url: str) -> None:
    fresh = await door.ask(url, "Bearer mocha-77a1")
    _refuse_changed(door.tokens)
    await _judge_stranger(door, url, None, "open-door")
    if fresh == "Lima" != await door.ask(url, "Bearer mocha-77a1"):
        raise Wrong("kept-between-calls")
    for token in "latte-4711", "mocha-77a1":
        name = TOKENS[token]
        seen = await door.ask(url, f"Bearer {token}")
        _refuse_error(door)
        _refuse_other_return(door)
        _refuse_changed(door.tokens)
        if seen in (401, 403) and token != "latte-4711":
            raise Wrong("one-owner", expected=name, seen=seen)
        if seen in (401, 403):
            raise Wrong("owner-refused", expected=name, seen=seen)
        if isinstance(seen, int):
            raise Wrong("owner-answered", expected=name, seen=seen)
        if token in seen:
            raise Wrong("token-as-name", expected=name, seen=seen)
        equal(seen, name, "other-name")
    there = f"{url}/?token=latte-4711"
    await _judge_stranger(door, there, None, "token-in-address")
    await _judge_stranger(door, url, "Bearer macchiato-1", "any-token")
    await _judge_stranger(door, url, "Bearer ", "other-header")
    await _judge_stranger(door, url, "Bearer latte", "part-of-it")
    await _judge_stranger(door, url, "Bearer latte-4711x", "part-of-it")
    await _judge_stranger(door, url, "latte-4711", "bare-token")
    for scheme in "Basic", "Digest", "NoBearer", "BearerX":
        header = f"{scheme} latte-4711"
        await _judge_stranger(door, url, header, "any-scheme")
    await _judge_stranger(door, url, "Bearer café", "any-token")
    await _judge_stranger(door, url, "Bearer moka latte-4711", "last-word")
    for header in "Bearerlatte-4711", "Bearer:latte-4711":
        await _judge_stranger(door, url, header, "no-space")
    seen = await door.ask(url, "Bearer ristretto-7e")
    _refuse_error(door)
    equal(seen, "Iris", "letters-stripped")
    seen = await door.ask(url, "Bearer Cortado-5B")
    _refuse_error(door)
    equal(seen, "Carla", "letter-case")
    await _judge_stranger(door, url, "Bearer LATTE-4711", "letter-case")
    equal(
        await door.ask(url, "Bearer latte-4711"), "Ada", "kept-between-calls"
    )


async def _judge_stranger(
    door: _Gate, url: str, header: str | None, mistake: str
) -> None:
    """One who must get a 401."""
    seen = await door.ask(url, header)
    if door.error is not None and _is_raised(door.error):
        raise Wrong("raises-instead", seen=door.error)
    _refuse_error(door)
    _refuse_other_return(door)
    if isinstance(seen, str):
        if door.made:
            raise Wrong("not-returned", expected=401, seen=seen)
        raise Wrong(mistake, header=f"{header}", expected=401, seen=seen)
    equal(seen, 401, "other-status")


def _is_raised(error: Exception) -> bool:
    """Whether an error comes from a ``raise`` in the answer's own lines."""
    *_, last = traceback.extract_tb(error.__traceback__)
    return f"{last.line}".startswith("raise ")


def _refuse_changed(tokens: dict[str, str]) -> None:
    if tokens != TOKENS:
        raise Wrong("tokens-changed", expected=TOKENS, seen=tokens)


def _refuse_other_return(door: _Gate) -> None:
    returned = door.returned
    if returned is not None and not isinstance(returned, Response):
        raise Wrong("not-response", seen=returned)


def _refuse_error(door: _Gate) -> None:
    if isinstance(door.error, KeyError):
        raise Wrong("key-error", seen=door.error)
    if isinstance(door.error, AttributeError) and door.error.obj is None:
        raise Wrong("none-header", seen=door.error)
    if isinstance(door.error, ValueError) and UNPACKED in f"{door.error}":
        raise Wrong("other-pieces", header=door.header, seen=door.error)
    if door.error is not None:
        raise door.error


@exercise("21.3", parameters=2, limit=9, picture="wiretap")
async def admit(answer: Answer) -> Right:
    tokens = TOKENS.copy()
    async with (
        Service(answer, tokens) as service,
        service.connect() as mute,
        service.connect() as ada,
        service.connect() as iris,
    ):
        # For as long as somebody takes who types.
        await asyncio.sleep(0.05)
        await _judge_welcome(service, ada, "latte-4711", "welcome, Ada", mute)
        _refuse_changed(tokens)
        await asyncio.sleep(SLOW)
        try:
            await _judge_welcome(
                service, iris, "ristretto-7e", "welcome, Iris", ada
            )
        except Wrong as wrong:
            if wrong.mistake != "owner-refused":
                raise
            # The machine does not stand still twice.
            if not await _waits(service):
                raise Wrong("hurries", seconds=SLOW) from None
        await asyncio.sleep(0.6)
        for message in "hola", "latte-4711", "nobody knows", b"t\xc3\xa9":
            await _judge_echo(service, ada, message)
        with suppress(Hung, Silence):
            raise Wrong("told-others", seen=await hear(iris, 0.05))
        if not await until(lambda: mute.close_code is not None):
            raise Wrong("no-limit")
        for error in service.errors:
            if isinstance(error, TimeoutError):
                raise Wrong("timeout-escapes", seen=error)
            if isinstance(error, UnboundLocalError):
                raise Wrong("never-came", seen=error)
            if isinstance(error, KeyError) and mute.close_code == 1008:
                raise Wrong("goes-on", seen=error)
            if isinstance(error, KeyError):
                raise Wrong("token-not-there", seen=error)
        service.raise_errors()
        equal(mute.close_code, 1008, "mute-other-code")
        async with service.connect() as lima:
            await _judge_welcome(
                service, lima, "mocha-77a1", "welcome, Lima", ada
            )
        for token in "latte-9999", "", "Ada":
            await _judge_unknown(service, token, "anybody")
        for token in "latte", "latte-4711x", " latte-4711", "LATTE-4711":
            await _judge_unknown(service, token, "similar-let-in")
        async with service.connect() as again:
            heard: Any = None
            with suppress(Hung, Silence):
                heard = await tell(again, "latte-4711")
            equal(heard, "welcome, Ada", "kept-between-calls")
    return Right()


SLOW = 0.2  # seconds until one sends a token who takes their time


async def _waits(service: Service) -> bool:
    """Whether one who takes their time is welcome in the end."""
    async with service.connect() as slow:
        await asyncio.sleep(SLOW)
        with suppress(Hung, Silence):
            await tell(slow, "ristretto-7e")
        return slow.close_code is None


async def _judge_welcome(
    service: Service, websocket: Any, token: str, expected: str, other: Any
) -> None:
    """One with a token is welcome, while another client is there."""
    try:
        seen = await tell(websocket, token)
    except Silence:
        service.raise_errors()
        await other.close()
        with suppress(Silence, Hung):
            equal(await hear(websocket), None, "one-at-a-time")
        raise Wrong("no-welcome", expected=expected) from None
    except Hung:
        service.raise_errors()
        raise Wrong("owner-refused", seen=websocket.close_code) from None
    equal(seen, expected, "other-welcome")


async def _judge_echo(
    service: Service, websocket: Any, message: str | bytes
) -> None:
    try:
        seen = await tell(websocket, message)
    except Silence:
        service.raise_errors()
        raise Wrong("no-echo", expected=message) from None
    except Hung:
        service.raise_errors()
        if websocket.close_code == 1000:
            raise Wrong("ends-early", seen=1000) from None
        raise Wrong("limit-on-all", seen=websocket.close_code) from None
    equal(seen, message, "other-echo")


async def _judge_unknown(service: Service, token: str, mistake: str) -> None:
    """One with a wrong token, who then tries a right one."""
    async with service.connect() as websocket:
        with suppress(ConnectionClosed):
            await websocket.send(token)
        heard: Any = None
        with suppress(Hung, Silence):
            heard = await hear(websocket, 0.3)
        if f"{heard}".startswith("welcome"):
            raise Wrong(mistake, token=token, seen=heard)
        if heard is not None:
            raise Wrong("told-not-closed", seen=heard)
        if websocket.close_code is None:
            with suppress(Hung, Silence):
                heard = await tell(websocket, "mocha-77a1")
            if heard is not None:
                raise Wrong("second-try", seen=heard)
            service.raise_errors()
            raise Wrong("stays-open")
        for error in service.errors:
            if isinstance(error, KeyError) and websocket.close_code == 1008:
                raise Wrong("closed-and-goes-on", seen=error)
            if isinstance(error, KeyError):
                raise Wrong("token-not-there", seen=error)
        service.raise_errors()
        equal(websocket.close_code, 1008, "other-code")


KEYS = b"a key of the check", b"another one"
LESSON_KEY = b"only the servers know this"
NOT_BYTES = "a bytes-like object is required"
FAR = 10**11  # an expiry that no clock has reached


def _sign(text: str, key: bytes) -> str:
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def _token(text: str, key: bytes = KEYS[0]) -> str:
    return f"{text}.{_sign(text, key)}"


@exercise("21.4", answer="function", parameters=3, picture=None)
async def read_token(answer: Answer) -> Right:
    for text, key, now in (
        ("Ada.1800", KEYS[0], 1700),
        ("Lima.90", KEYS[1], 89.5),
        ("Núria.5000", KEYS[0], 0),
    ):
        _judge_valid(answer, text, key, now, "valid-refused")
    _judge_valid(answer, "Ada.B.Núñez.1800", KEYS[1], 1799, "points")
    _judge_valid(answer, "Ana María-2 @té.1800", KEYS[0], 0, "name-letters")
    forged = _token("Ada.1800").replace("1800", "9999", 1)
    for token in forged, _token("Ada.1800", KEYS[1]):
        _judge_bad(answer, token, 1700, "forged")
    _judge_bad(answer, _token("Lima.1800").replace("Lima", "Ada"), 0, "forged")
    for token in _token("Ada.1800")[:-1], "Ada.1800.":
        _judge_bad(answer, token, 1700, "part-of-signature")
    for sign in (
        _sign("Ada.1800", KEYS[0]).upper(),
        _token("Ada.1800")[9:] + " ",
    ):
        _judge_bad(answer, f"Ada.1800.{sign}", 1700, "similar-signature")
    _judge_bad(answer, _token("Ada.1800"), 1900.0, "out-of-date")
    _judge_bad(answer, _token("Ada.900"), 1700, "as-text")
    _judge_bad(answer, _token("Ada.1800"), 1800, "exact-second")
    _judge_bad(answer, "Ada.1800.café", 1700, "forged")
    for token in "", "hola", "...", "Ada.1800", _sign("Ada.1800", KEYS[0]):
        _judge_bad(answer, token, 1700, "forged")
    return Right()


def _judge_valid(
    answer: Answer, text: str, key: bytes, now: float, mistake: str
) -> None:
    name = text.rpartition(".")[0]
    try:
        seen = answer(_token(text, key), key, now)
    except ValueError as error:
        shown = {"text": text, "expected": name, "seen": error}
        if _takes(answer, f"{name}.{int(now) + 2}", key, key, now):
            raise Wrong("rounds", **shown) from None
        if _takes(answer, text, key, key, FAR):
            raise Wrong("upside-down-date", **shown) from None
        if _takes(answer, f"{name}.{FAR}", key, key):
            raise Wrong("own-clock", **shown) from None
        if _takes(answer, text, key[:-1], key, now):
            raise Wrong("upside-down", **shown) from None
        if _takes(answer, f"{name}.{FAR}", LESSON_KEY, key):
            raise Wrong("own-key", **shown) from None
        raise Wrong(mistake, **shown) from None
    except TypeError as error:
        if NOT_BYTES in f"{error}":
            raise Wrong("bytes-and-text", seen=error) from None
        raise
    refuse_none(seen, name)
    if seen != name and "." in name:
        raise Wrong("points", text=text, expected=name, seen=seen)
    equal(seen, name, "other-value")


def _takes(
    answer: Answer, text: str, key: bytes, told: bytes, now: float = 0
) -> bool:
    """Whether it takes a token signed with a key when told one."""
    try:
        answer(_token(text, key), told, now)
    except Exception:
        return False
    return True


def _takes_late(answer: Answer, now: float) -> bool:
    """Whether it takes an expired token that it has not seen before."""
    with suppress(Exception):
        return answer(_token("Zoe.1800"), KEYS[0], now) is not None
    return False


def _judge_bad(answer: Answer, token: str, now: float, mistake: str) -> None:
    try:
        seen = answer(token, KEYS[0], now)
    except ValueError:
        return
    except TypeError as error:
        if "ASCII" in f"{error}":
            raise Wrong("not-ascii", seen=error) from None
        raise
    except AssertionError as error:
        raise Wrong("asserts", token=token, seen=error) from None
    except Exception as error:
        raise Wrong("other-error", token=token, seen=error) from None
    if isinstance(seen, BaseException):
        raise Wrong("returned-error", token=token, seen=seen)
    if seen is None or seen is False:
        raise Wrong("no-error", token=token, seen=seen)
    if mistake == "out-of-date" and not _takes_late(answer, now):
        raise Wrong("kept-between-calls", seen=seen)
    raise Wrong(mistake, token=token, seen=seen)
