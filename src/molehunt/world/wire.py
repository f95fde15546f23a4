"""One request to another model's endpoint: sent, timed, tried again, and never showing the key."""

import asyncio
import math
import os
import random
import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2

from molehunt.errors import UsageError
from molehunt.world.replies import PATIENCE, Failure

_URL = re.compile(r"https?://[^/?#@\s]+(/[^?#@\s]*)?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_WAIT = 60.0
_KEY_LENGTH = 12
"""Shorter keys are words like EMPTY, for servers that want none; an answer may hold them."""
_SHOWN = 200

Got = TypeVar("Got")
Read = Callable[[httpx2.Response], Awaitable[Got]]
"""Takes what a server replied; raises Failure if it is no answer."""
Gate = Callable[[], AbstractAsyncContextManager[Any]]
"""Entered for each try; it may wait, or raise Failure."""


@dataclass(frozen=True)
class Tries:
    """How long one try may take, and how many there are."""

    timeout: float
    """Seconds for one try, from its start to the last byte."""
    retries: int
    """Tries after the first."""
    backoff: float
    """Seconds before the second try; doubled before each further one up to a minute, shortened by up to half at random."""


def check_address(whose: str, url: str, api_key_env: str) -> None:
    """Raises UsageError, showing neither, if these are no URL of an endpoint or no name of a variable."""
    if not _URL.fullmatch(url):
        wanted = "http(s)://host/path, without user, key or query in it"
        raise UsageError(f"{whose}'s URL", wanted=wanted, got="something else", do="give the address up to /v1")
    if api_key_env and not _VARIABLE.fullmatch(api_key_env):
        wanted = "the name of an environment variable"
        raise UsageError(f"{whose}'s key", wanted=wanted, got="something else", do="export the key, name that")


def check_numbers(whose: str, positive: dict[str, float], natural: dict[str, float]) -> None:
    """Raises UsageError unless the first are above 0, the others not below, and all finite."""
    given = positive | natural
    if (
        min(positive.values()) <= 0
        or min(natural.values(), default=0) < 0
        or not all(map(math.isfinite, given.values()))
    ):
        got = ", ".join(f"{name} {value}" for name, value in given.items())
        raise UsageError(f"{whose}'s settings", wanted=f"{', '.join(positive)} above 0, the others from 0", got=got)


def read_key(whose: str, api_key_env: str) -> str:
    """The key in an environment variable; empty if none is named. Raises UsageError if the variable holds no key."""
    if not api_key_env:
        return ""
    key = os.environ.get(api_key_env, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        got = "characters that no key has" if key else "nothing"
        raise UsageError(f"environment variable {api_key_env}", wanted=f"{whose}'s key", got=got)
    return key


class Wire:
    """Speaks to one endpoint; used in one event loop."""

    def __init__(self, url: str, key: str, tries: Tries, connections: int) -> None:
        self.url, self.tries, self._key = url.rstrip("/"), tries, key
        headers = {"Accept-Encoding": "identity"}  # a body that swells when unpacked is none we want
        if key:
            headers["Authorization"] = f"Bearer {key}"
        limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._client = httpx2.AsyncClient(headers=headers, timeout=tries.timeout, limits=limits)

    async def __aenter__(self) -> "Wire":
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def post(self, path: str, body: dict[str, Any], read: Read[Got], lot: str, gate: Gate = nullcontext) -> Got:
        """What `read` makes of the reply, after as many tries as help.

        Args:
            path: below the URL, such as /chat/completions.
            lot: draws how waits are shortened.
            gate: entered around each try.

        Raises:
            Failure: if no try brought an answer; its reason does not hold the key.
        """
        chance = random.Random(lot)
        for tries in range(self.tries.retries + 1):
            try:
                async with gate():
                    return await self._once(path, body, read)
            except Failure as failure:
                failure.reason = self._hide(failure.reason)
                if not failure.again or tries == self.tries.retries:
                    raise
                pause = min(self.tries.backoff * 2**tries, _LONGEST_WAIT) * chance.uniform(0.5, 1)
                await asyncio.sleep(max(pause, min(failure.wait, PATIENCE)))
        raise AssertionError("unreachable")

    def tells_key(self, text: str) -> bool:
        """True if the text holds the key."""
        return len(self._key) >= _KEY_LENGTH and self._key in text

    async def _once(self, path: str, body: dict[str, Any], read: Read[Got]) -> Got:
        try:
            async with asyncio.timeout(self.tries.timeout):
                async with self._client.stream("POST", self.url + path, json=body) as response:
                    answer = await read(response)
        except (TimeoutError, httpx2.TimeoutException):
            raise Failure(f"no whole answer within {self.tries.timeout:g} s") from None
        except httpx2.ConnectError as error:
            raise Failure(f"no connection: {error}", fatal=True, free=True) from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Failure(f"a broken connection: {type(error).__name__} {error}") from None
        if self.tells_key(str(answer)):
            raise Failure("an answer that holds the key")
        return answer

    def _hide(self, text: str) -> str:
        """The text without the key, cut only then."""
        return (text.replace(self._key, "***") if self._key else text)[:_SHOWN]
