"""Try policies on recorded traffic: what they would decide, and which rules never fire."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from molehunt.gateway.facts import AuditFacts, ModelFacts
from molehunt.gateway.judging import Asked, Judge, Session, common_context, hosts_of
from molehunt.gateway.keys import Client, read_keys
from molehunt.gateway.names import plain
from molehunt.gateway.policies import CANARY, Decision, Policies, load_policies
from molehunt.gateway.served import REFUSED, Ledger
from molehunt.logs.reading import calls, to_calls
from molehunt.records.base import Record
from molehunt.records.calls import Call

_MOST = 1000
"""Differences that are kept."""
_FORBIDDEN = 403


class RulePlace(Record):
    """A rule and where it stands."""

    name: str
    file: str
    line: int


class Changed(Record):
    """A call of a tool that was decided otherwise when it was made."""

    call: str
    tool: str
    then: str
    now: str


class PolicyCheck(Record):
    """What came out."""

    rules: int
    policy: str
    """Digest of the rules."""
    calls: int = 0
    tool_calls: int = 0
    fired: dict[str, int] = Field(default_factory=dict)
    """How often each rule decided."""
    never_fired: tuple[RulePlace, ...] = ()
    decided: dict[str, int] = Field(default_factory=dict)
    """allow, deny, ask, deny-host: how often."""
    changed: tuple[Changed, ...] = ()
    assumed: tuple[str, ...] = ()
    """What rules ask for and nobody said, and what it was taken to be."""


_ASSUMED = {
    "model.standing": "context.model.standing: unknown, for want of --ledger",
    "context.audit": "context.audit.verdict: none, for want of --audit",
    "model.source": "context.model.source: verified, wherever the log has a digest",
    "context.sampling": "context.sampling: empty",
}


def check_policies(
    folder: Path,
    log: str | None,
    keys: Path | None = None,
    ledger: Ledger | None = None,
    audit: AuditFacts | None = None,
) -> PolicyCheck:
    """Read policies and, with a log, replay its calls in the order of time, session by session.

    Args:
        keys: the file of clients, for the groups that they are in.
        ledger: of approvals, for the standing that the logged digests have now.
        audit: of the logged weights; calls of others have none.

    A call of a tool is taken as it stands in the log: those that a gateway denied are there too. An operator is taken to
    decide as then, or to allow where nobody was asked; a base model that would be asked, to agree.

    Raises:
        PolicyError: naming file and line, if the policies have an error.
        LogError: if there is no such log.
    """
    policies = load_policies(folder)
    if log is None:
        return PolicyCheck(rules=len(policies.given), policy=policies.digest)
    groups = {key.name: key.groups for key in read_keys(keys)} if keys else {}
    found = asyncio.run(_Replay(policies, groups, ledger, audit).run(log))
    text = "\n".join(rule.text for rule in policies.given)
    known = {"model.standing": ledger, "context.audit": audit}
    assumed = tuple(words for part, words in _ASSUMED.items() if part in text and known.get(part) is None)
    return found.model_copy(update={"assumed": assumed})


class _Replay:
    """Calls of a log, put before the rules as they are now."""

    def __init__(
        self, policies: Policies, groups: Mapping[str, tuple[str, ...]], ledger: Ledger | None, audit: AuditFacts | None
    ) -> None:
        self._policies, self._groups, self._ledger, self._audit = policies, groups, ledger, audit
        self._decided: Counter[str] = Counter()
        self._changed: list[Changed] = []
        self._calls = self._tool_calls = 0

    async def run(self, log: str) -> PolicyCheck:
        """All calls but the canaries'."""
        sessions: dict[tuple[str, str], Session] = defaultdict(lambda: Session(""))
        for call in sorted(to_calls(calls(log)), key=lambda call: call.started):
            if call.client != CANARY:
                self._calls += 1
                await self._one(call, sessions[call.client, call.session])
        given, fired = self._policies.given, self._policies.fired
        names = {rule.name for rule in given}
        return PolicyCheck(
            rules=len(given), policy=self._policies.digest, calls=self._calls, tool_calls=self._tool_calls,
            fired={name: count for name, count in fired.most_common() if name in names},
            never_fired=tuple(RulePlace(name=r.name, file=r.file, line=r.line) for r in given if not fired[r.name]),
            decided=dict(self._decided), changed=tuple(self._changed[:_MOST]),
        )  # fmt: skip

    def _note(self, word: str, more: Mapping[str, Any]) -> None:
        if more.get("molehunt.stage") != "offer":
            self._decided[word.partition(":")[0]] += 1

    def _judge(self, call: Call, session: Session) -> Judge:
        then = _decided_then(call)

        async def held(name: str, arguments: str, decision: Decision) -> bool:
            return f"ask:{plain(name)}" not in call.decisions or then.get(plain(name)) != "deny"

        async def agreed(*asked: object) -> bool:
            return True

        def mark(tags: Iterable[str]) -> None: ...

        digest = call.model_digest
        standing = self._ledger.standing(digest) if self._ledger and digest else "unknown"
        client = Client(name=call.client or "anonymous", groups=self._groups.get(call.client, ()))
        return Judge(
            self._policies, client, ModelFacts(call.model, digest, "verified" if digest else "unknown", standing, self._audit), session,
            common_context("", {"user": call.user}), note=self._note, hold=held, mark=mark, second=agreed,
        )  # fmt: skip

    async def _one(self, call: Call, session: Session) -> None:
        judge = self._judge(call, session)
        if judge.model().outcome == "deny" or judge.facts.standing in REFUSED:
            self._decided["deny-model"] += 1
            if call.status != _FORBIDDEN:
                self._changed.append(Changed(call=call.call_id, tool=f"model {call.model}", then="allow", now="deny"))
            return
        for name in call.tools:
            judge.may_offer(name, {})
        then = _decided_then(call)
        for one in call.tool_calls:
            self._tool_calls += 1
            ruling = await judge.may_call(Asked(one.name, one.arguments, "call"), is_structured=bool(call.tools))
            is_closed = any(f"deny-host:{host.name}" in call.decisions for host in hosts_of(one.arguments))
            before = "deny" if is_closed else then.get(plain(one.name), "allow")
            now = "allow" if ruling.is_allowed else "deny"
            if before != now:
                self._changed.append(Changed(call=call.call_id, tool=one.name, then=before, now=now))


def _decided_then(call: Call) -> dict[str, str]:
    """By tool; a denial of any call of it counts."""
    found: dict[str, str] = {}
    for word in call.decisions:
        kind, _, name = word.partition(":")
        if kind in ("deny", "allow") and found.get(name) != "deny":
            found[name] = kind
    return found
