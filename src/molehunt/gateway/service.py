"""One worker of the gateway: all that its routes share, and what it does on a schedule."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from molehunt.errors import LogError, MolehuntError, PolicyError
from molehunt.gateway.canned import Canned
from molehunt.gateway.holds import Holds
from molehunt.gateway.keys import Keys
from molehunt.gateway.metrics import Metrics
from molehunt.gateway.policies import Policies, policies_of, read_texts
from molehunt.gateway.recording import Recorder
from molehunt.gateway.refusals import Refusal
from molehunt.gateway.served import Ledger, Served
from molehunt.gateway.settings import GatewaySettings, UpstreamSettings, key_of
from molehunt.gateway.state import State
from molehunt.gateway.upstream import HttpUpstream, Upstream
from molehunt.logs import events

_ANCHOR = 60.0
"""Seconds between two anchors: what was told cannot be cut off unseen."""
_LOOK = 0.5
"""Seconds between two looks at the policy folder and the file of keys."""


_KEPT = 365 * 86400.0
"""Seconds that session tags and ids of responses are kept."""


class Service:
    """What stands behind the routes.

    Args:
        recorder: where the log is written.
        ledger: of approvals; None without one.
        is_first: this worker hashes the weights; the others read what it found.

    Raises:
        PolicyError, GatewayError, UsageError: if policies, keys, audit or state cannot be read.
    """

    def __init__(
        self, settings: GatewaySettings, recorder: Recorder, ledger: Ledger | None = None, is_first: bool = True
    ) -> None:
        self.settings, self.bounds, self.recorder = settings, settings.bounds, recorder
        self.state, self.metrics = State(settings.state), Metrics()
        self.keys = Keys(settings.keys, self.state)
        self.policy_trouble = self.log_trouble = ""
        self.policies = self._first_policies()
        self.served = [self._served(one, ledger) for one in settings.upstreams]
        self.base = self._served(settings.base, None) if settings.base else None
        self.holds = Holds(self.state, settings.bounds, settings.webhook, key_of(settings.webhook_key_env))
        self.canned = Canned()
        self.canary_trouble: tuple[str, ...] | None = None
        """Of the last round: what failed; None before the first."""
        self._is_first, self._stamp = is_first, _stamp(settings.policy)
        self._tasks: list[asyncio.Task[None]] = []
        self._undone: dict[str, str] = {}
        """What of the schedule failed when it was last due, and why."""

    def _served(self, one: UpstreamSettings, ledger: Ledger | None) -> Served:
        upstream: Upstream = HttpUpstream(one.url, key_of(one.key_env), self.bounds)
        return Served(one, upstream, self.state, ledger)

    def served_for(self, model: str) -> Served:
        """Where a model is asked. Raises Refusal if nobody has it."""
        named = next((one for one in self.served if one.settings.model and one.settings.model == model), None)
        found = named or next((one for one in self.served if not one.settings.model), None)
        if found is None:
            raise Refusal(404, f"no upstream has the model {model[:100]!r}", "model_not_found")
        return found

    def record(self, event: str, body: Mapping[str, Any]) -> None:
        """Write into the log. Raises Refusal 503 if it cannot be written, unless the gateway is told to go on then."""
        try:
            ref = self.recorder.append(event, body)
            if self.canned.call is not None:
                self.canned.refs.append((event, body, ref))
        except (LogError, OSError) as error:
            self.metrics.log_failures.inc()
            self.log_trouble = str(error)
            if not self.settings.fail_open:
                raise Refusal(503, "the log cannot be written, so nothing is answered", "log_unavailable") from None
        else:
            self.log_trouble = ""

    def health(self) -> dict[str, str]:
        """What is wrong, by part; empty if nothing is."""
        canaries = "not asked yet" if self.canary_trouble is None else "; ".join(self.canary_trouble)
        behind = getattr(self.recorder, "trouble", "")
        models = "; ".join(filter(None, (one.trouble() for one in self.served)))
        wrong = {"canaries": canaries, "log": self.log_trouble or behind, "models": models, **self._undone}
        return {part: what for part, what in wrong.items() if what}

    async def start(self) -> None:
        """Hash what is served, say so in the log, begin the schedule."""
        self.state.forget(_KEPT)
        await self._look_at_models()
        start = {events.POLICY: self.policies.digest, "molehunt.upstreams": [s.settings.url for s in self.served]}
        self.recorder.append("start", start)
        works = [self._often("reading rules and keys", _LOOK, self._read_again)]
        if self.settings.anchors:
            works.append(self._often("telling anchors", _ANCHOR, self._anchor, at_once=True))
        if self._is_first and any(one.settings.folder for one in self.served):
            works.append(self._often("hashing models", self.settings.rehash, self._look_at_models))
        self._tasks = [asyncio.create_task(work) for work in works]

    async def stop(self) -> None:
        """End the schedule and close the log."""
        for task in self._tasks:
            task.cancel()
        for one in self.served:
            await one.upstream.close()
        self.recorder.append("stop", {})
        self.recorder.close()
        self.state.close()

    async def _often(
        self, what: str, seconds: float, work: Callable[[], Awaitable[None]], at_once: bool = False
    ) -> None:
        """Whatever goes wrong, such as a full disk, it is done again: else nobody would read rules any more, or look at the weights."""
        while True:
            await asyncio.sleep(0.0 if at_once else seconds)
            at_once = False
            try:
                await work()
            except Exception as error:
                self._undone[what] = f"{type(error).__name__}: {error}"
            else:
                self._undone.pop(what, None)

    async def _look_at_models(self) -> None:
        for one in self.served if self._is_first else ():
            if (digest := await one.look()) is not None:
                self.recorder.append("model", {events.MODEL_DIGEST: digest, "molehunt.upstream": one.settings.url})

    async def _anchor(self) -> None:
        await asyncio.to_thread(self.recorder.anchor)

    async def _read_again(self) -> None:
        self.reload_policies()
        self.keys.refresh()

    def reload_policies(self) -> None:
        """Read the policies again if a file changed; those with an error change nothing, and the health page says why."""
        stamp = _stamp(self.settings.policy)
        if stamp == self._stamp:
            return
        trouble = ""
        try:
            self.policies = self._read_policies()
        except PolicyError as error:
            trouble = str(error)
            print(f"molehunt: {error}; the policies read before stay in force", file=sys.stderr, flush=True)
        self._stamp, self.policy_trouble = stamp, trouble
        self._note_policy({"molehunt.policy.refused": trouble} if trouble else {})

    def _read_policies(self) -> Policies:
        folder = self.settings.policy
        if folder is None:
            return Policies(())
        texts = read_texts(folder)
        found = policies_of(texts, str(folder))
        self.state.keep_good(str(folder), texts)
        return found

    def _first_policies(self) -> Policies:
        """A worker that takes the place of another goes on with the rules that were good last; `running.check` refuses a bad start."""
        try:
            return self._read_policies()
        except PolicyError as error:
            good = self.state.good(str(self.settings.policy))
            if good is None:
                raise
            self.policy_trouble = str(error)
            return policies_of(good, str(self.settings.policy))

    def _note_policy(self, more: Mapping[str, Any]) -> None:
        try:
            self.recorder.append("policy", {events.POLICY: self.policies.digest, **more})
        except MolehuntError as error:
            self.log_trouble = str(error)

    def allow_rate(self, client: str, per_minute: float | None) -> None:
        """Raises Refusal 429 if a client asks too often."""
        if per_minute is not None and (wait := self.state.spend(client, per_minute)) > 0:
            raise Refusal(429, f"more than {per_minute:g} requests a minute", "rate_limit_exceeded", wait)


def _stamp(folder: Path | None) -> tuple[tuple[str, int, int, int], ...]:
    """What changes when a policy file does."""
    if folder is None:
        return ()
    found = []
    for path in sorted(folder.glob("*.cedar")):
        try:
            stat = path.stat()
        except OSError:
            continue
        found.append((path.name, stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(found)


def now() -> float:
    """Seconds, for measuring."""
    return time.perf_counter()
