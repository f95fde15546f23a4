"""Try policies on recorded traffic: what they would decide, and which rules never fire."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from molehunt.gateway.facts import ModelFacts
from molehunt.gateway.judging import Asked, Judge, Session, common_context
from molehunt.gateway.keys import Client, read_keys
from molehunt.gateway.names import plain
from molehunt.gateway.policies import CANARY, Policies, load_policies
from molehunt.logs.reading import calls, to_calls
from molehunt.records.base import Record
from molehunt.records.calls import Call

_MOST = 1000
"""Differences that are kept."""


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


def check_policies(folder: Path, log: str | None, keys: Path | None = None) -> PolicyCheck:
    """Read policies and, with a log, replay its calls in the order of time, session by session.

    Args:
        keys: the file of clients, for the groups that they are in.

    A call of a tool is taken as it stands in the log: those that a gateway denied are there too. Approval and audit are not
    in a log: rules that want them are asked with "unknown" and "none". An operator is taken to allow.

    Raises:
        PolicyError: naming file and line, if the policies have an error.
        LogError: if there is no such log.
    """
    policies = load_policies(folder)
    if log is None:
        return PolicyCheck(rules=len(policies.given), policy=policies.digest)
    groups = {key.name: key.groups for key in read_keys(keys)} if keys else {}
    return asyncio.run(_replayed(policies, log, groups))


async def _replayed(policies: Policies, log: str, groups: Mapping[str, tuple[str, ...]]) -> PolicyCheck:
    tally = _Tally()
    sessions: dict[tuple[str, str], Session] = defaultdict(lambda: Session(""))
    asked = 0
    for call in sorted(to_calls(calls(log)), key=lambda call: call.started):
        if call.client != CANARY:
            asked += 1
            client = Client(name=call.client or "anonymous", groups=groups.get(call.client, ()))
            await _one(policies, client, call, sessions[call.client, call.session], tally)
    names = {rule.name for rule in policies.given}
    never = [RulePlace(name=r.name, file=r.file, line=r.line) for r in policies.given if not policies.fired[r.name]]
    return PolicyCheck(
        rules=len(policies.given), policy=policies.digest, calls=asked, tool_calls=tally.tool_calls, never_fired=tuple(never),
        fired={name: count for name, count in policies.fired.most_common() if name in names},
        decided=dict(tally.decided), changed=tuple(tally.changed[:_MOST]),
    )  # fmt: skip


class _Tally:
    def __init__(self) -> None:
        self.decided: Counter[str] = Counter()
        self.tool_calls = 0
        self.changed: list[Changed] = []

    def note(self, word: str, more: Mapping[str, Any]) -> None:
        if more.get("molehunt.stage") != "offer":
            self.decided[word.partition(":")[0]] += 1


async def _one(policies: Policies, client: Client, call: Call, session: Session, tally: _Tally) -> None:
    async def allowed(*asked: object) -> bool:
        return True

    def mark(tags: Iterable[str]) -> None: ...

    facts = ModelFacts(call.model, call.model_digest, "declared" if call.model_digest else "unknown", "unknown", None)
    judge = Judge(
        policies, client, facts, session, common_context("", {"user": call.user}),
        note=tally.note, hold=allowed, mark=mark, second=allowed,
    )  # fmt: skip
    judge.model()
    for name in call.tools:
        judge.may_offer(name, {})
    then = _decided_then(call)
    for one in call.tool_calls:
        tally.tool_calls += 1
        ruling = await judge.may_call(Asked(one.name, one.arguments, "call"), is_structured=bool(call.tools))
        now = "allow" if ruling.is_allowed else "deny"
        before = then.get(plain(one.name), "allow")
        if before != now:
            tally.changed.append(Changed(call=call.call_id, tool=one.name, then=before, now=now))


def _decided_then(call: Call) -> dict[str, str]:
    """By tool; a denial of any call of it counts."""
    found: dict[str, str] = {}
    for word in call.decisions:
        kind, _, name = word.partition(":")
        if kind in ("deny", "allow") and found.get(name) != "deny":
            found[name] = kind
    return found
