"""Request bodies, read strictly: JSON objects in UTF-8, not too large and not too deep."""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NoReturn

from molehunt.gateway.refusals import Refusal

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


async def read_body(receive: Receive, length: str | None, most: int, seconds: float) -> bytes:
    """The bytes of a request.

    Args:
        length: what its Content-Length says.
        most: bytes that are taken; no more than these are ever held.

    Raises:
        Refusal: 413 if it is larger, 408 if it does not come in time, 499 if the client is gone.
    """
    if length is not None and (not length.isdigit() or int(length[:19]) > most):
        raise _too_large(most)
    try:
        async with asyncio.timeout(seconds):
            return await _read(receive, most)
    except TimeoutError:
        raise Refusal(408, f"the body did not come within {seconds:g} s", "request_timeout") from None


async def _read(receive: Receive, most: int) -> bytes:
    pieces, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal(499, "the client is gone", "client_gone")
        piece = message.get("body", b"")
        size += len(piece)
        if size > most:
            raise _too_large(most)
        pieces.append(piece)
        if not message.get("more_body"):
            return b"".join(pieces) if len(pieces) > 1 else piece


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"the body is larger than {most} bytes", "request_too_large")


def parse_body(body: bytes, depth: int) -> dict[str, Any]:
    """The JSON object in a body. Of a name that stands twice in one object, the last counts, here and for the upstream.

    Raises:
        Refusal: 400, saying what is wrong with it.
    """
    try:
        found = parse_json(body.decode("utf-8"), depth)
    except UnicodeDecodeError as error:
        raise Refusal(400, f"the body is not UTF-8 (byte {error.start})", "invalid_encoding") from None
    except ValueError as error:
        raise Refusal(400, f"the body cannot be read: {error}", "invalid_json") from None
    if not isinstance(found, dict):
        raise Refusal(400, "the body is not a JSON object", "invalid_json")
    return found


def parse_json(text: str, depth: int, is_unique: bool = False) -> Any:
    """Any JSON value.

    Raises:
        ValueError: if it is none, holds NaN or infinity, is nested deeper than `depth`, or (`is_unique`) has a name twice in
            one object, of which some readers take the first and some the last.
    """
    try:
        found = (_UNIQUE if is_unique else _DECODER).decode(text)
    except RecursionError:
        raise ValueError(f"it is nested deeper than {depth}") from None
    if (text.count("{") + text.count("[") > depth) and not _is_flat(found, depth):
        raise ValueError(f"it is nested deeper than {depth}")
    return found


def _is_flat(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [part for one in level for part in _parts(one)]
        if not level:
            return True
    return False


def _parts(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [part for part in inner if isinstance(part, dict | list)]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_UNIQUE = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_unique)


def dumped(value: Any) -> bytes:
    """JSON as it is sent on: what was judged and nothing else. ASCII, since JSON can spell what UTF-8 cannot."""
    return _ENCODER.encode(value).encode("ascii")


_ENCODER = json.JSONEncoder(separators=(",", ":"), check_circular=False)
