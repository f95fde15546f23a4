"""Calls that wait for an operator: shown, told to a webhook, resolved or denied when the time is up."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from molehunt.gateway.bodies import dumped
from molehunt.gateway.policies import Decision
from molehunt.gateway.refusals import Refusal
from molehunt.gateway.settings import Bounds
from molehunt.gateway.state import Hold, State
from molehunt.gateway.upstream import BrokenOff, HttpUpstream

SIGNATURE = "x-molehunt-signature"
_FRESH = 300.0
"""Seconds for which a signed decision counts."""
_LOOK = 0.1
_PING = 10.0
Ping = Callable[[], Awaitable[None]]


class Holds:
    """Asks operators. Holds lie in the shared state, so that any worker and the command line can resolve them."""

    def __init__(self, state: State, bounds: Bounds, webhook: str, webhook_key: str) -> None:
        self._state, self._bounds, self._key = state, bounds, webhook_key.encode()
        parts = urlsplit(webhook)
        self._path = parts.path + (f"?{parts.query}" if parts.query else "")
        self._hook = HttpUpstream(f"{parts.scheme}://{parts.netloc}", "", bounds) if webhook else None
        self._telling: set[asyncio.Task[None]] = set()

    async def ask(self, client: str, tool: str, arguments: str, decision: Decision, ping: Ping) -> Hold:
        """The hold as it was decided: allowed if an operator does so in time. Of a call that is broken off meanwhile none is left."""
        held = self._state.hold(client, tool, arguments, decision.reason, decision.rules, self._bounds.asking)
        if self._hook is not None:
            telling = asyncio.create_task(self._tell(self._hook, held))
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)
        by = "nobody: the call was broken off"
        try:
            await self._decided(held, ping)
            by = "nobody in time"
        finally:
            self._state.end_hold(held.id, by)
        return self._state.decided(held)

    async def _decided(self, held: Hold, ping: Ping) -> None:
        """Until somebody has, or the time is up."""
        pinged = time.monotonic()
        while time.time() < held.expires and not self._state.decided(held).decision:
            await asyncio.sleep(_LOOK)
            if time.monotonic() - pinged > _PING:
                pinged = time.monotonic()
                await ping()

    def _signature(self, body: bytes) -> str:
        return "sha256=" + hmac.new(self._key, body, hashlib.sha256).hexdigest()

    def check(self, signature: str, raw: bytes, body: Mapping[str, Any], hold: str) -> None:
        """A decision that the webhook sends: signed like what it is told, naming the hold and the time, so that none counts twice.

        Raises:
            Refusal: 403 if there is no key, the signature is not of these bytes, it is another hold's, or not of these minutes.
        """
        if not self._key or not hmac.compare_digest(
            signature.encode("utf-8", "replace"), self._signature(raw).encode()
        ):
            raise Refusal(403, "the signature is not the webhook's", "bad_signature")
        at = body.get("at")
        if body.get("hold") != hold:
            raise Refusal(403, "'hold' is not the one of the address", "bad_signature")
        if isinstance(at, bool) or not isinstance(at, int | float) or abs(time.time() - at) > _FRESH:
            raise Refusal(403, f"'at' is not within {_FRESH:g} s of now", "bad_signature")

    async def _tell(self, hook: HttpUpstream, held: Hold) -> None:
        """A webhook that fails changes nothing: the hold waits for the command line, and then for its end."""
        body = dumped(held._asdict())
        try:
            reply = await hook.ask("POST", self._path, body, {SIGNATURE: self._signature(body)})
            async for _ in reply.body:
                pass
        except (Refusal, BrokenOff):
            return
