"""A folder of Cedar policies, loaded: who may do what, decided."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cedarpy

from molehunt.errors import PolicyError
from molehunt.gateway.names import plain
from molehunt.gateway.policy_text import Rule, read_rules
from molehunt.logs.events import CANARY_CLIENT
from molehunt.records.base import sha256_text

Outcome = Literal["allow", "deny", "ask"]
Action = Literal["request_model", "offer_tool", "call_tool", "egress"]
CANARY = CANARY_CLIENT
"""The client that asks the live-path canaries; the tools it asks for begin with this too."""
_OWN = f"""
@id("molehunt:models") permit(principal, action == Action::"request_model", resource);
@id("molehunt:canary-permitted")
permit(principal == Client::"{CANARY}", action in Action::"use_tool", resource == Tool::"{CANARY}-permitted");
@id("molehunt:canary-offered")
permit(principal == Client::"{CANARY}", action == Action::"offer_tool", resource == Tool::"{CANARY}-denied");
@id("molehunt:canary-denied") forbid(principal, action == Action::"call_tool", resource == Tool::"{CANARY}-denied");
"""
"""Rules that are always there: models may be asked unless a rule forbids it, and what the canaries need."""
_ENTITIES = [
    {"uid": {"type": "Action", "id": name}, "attrs": {}, "parents": [{"type": "Action", "id": "use_tool"}]}
    for name in ("offer_tool", "call_tool")
]
_FAILED = re.compile(r"policy `(policy\d+)`")
_CACHED = 4096


class Decision(NamedTuple):
    """What the rules say to one question."""

    outcome: Outcome
    rules: tuple[str, ...]
    """Those that decided; empty where none spoke, which is a denial."""
    tags: tuple[str, ...] = ()
    """What the session is marked with if it is done."""
    reason: str = ""
    """A sentence for the client, from @reason; or what went wrong."""
    differ: str = ""
    """What the rules' @differ wants: record or require."""


class Policies:
    """Rules that were read without an error; immutable."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        own = tuple(read_rules("molehunt", _OWN))
        self.rules = (*rules, *own)
        self.given = tuple(rules)
        self.digest = sha256_text("\n".join(rule.text for rule in rules))
        self._set = cedarpy.PolicySet.from_str("\n".join(rule.text for rule in self.rules))
        self._tagging = [rule for rule in rules if "tag" in rule.annotations]
        self._tag_set = cedarpy.PolicySet.from_str("\n".join(rule.text for rule in self._tagging))
        self._entities = cedarpy.Entities.from_json_str(json.dumps(_ENTITIES))
        self.fired: Counter[str] = Counter()
        """How often each rule decided."""
        self._cached = lru_cache(_CACHED)(self._asked)
        self._cached_tags = lru_cache(_CACHED)(self._tags)

    def decide(
        self, client: str, groups: Sequence[str], action: Action, resource: tuple[str, str], context: Mapping[str, Any]
    ) -> Decision:
        """Allow, deny or ask: a forbid wins over all, @ask over a plain permit, and silence is no.

        Args:
            resource: its kind (Tool, Host, Model) and its name.
            context: JSON, as `cedar_value` makes it.
        """
        decision = self._cached(client, tuple(groups), action, resource, json.dumps(context, sort_keys=True))
        self.fired.update(decision.rules)
        return decision

    @property
    def has_tags(self) -> bool:
        """True if any rule marks sessions."""
        return bool(self._tagging)

    def tags_of(
        self, client: str, groups: Sequence[str], action: Action, resource: tuple[str, str], context: Mapping[str, Any]
    ) -> tuple[str, ...]:
        """The tags of all rules with @tag whose conditions hold, whatever the other rules say: for what has been done already."""
        if not self._tagging:
            return ()
        return self._cached_tags(client, tuple(groups), action, resource, json.dumps(context, sort_keys=True))

    def _asked(
        self, client: str, groups: tuple[str, ...], action: str, resource: tuple[str, str], context: str
    ) -> Decision:
        question = _question(client, action, resource, context)
        answer = cedarpy.is_authorized(question, self._set, self._with(client, groups, resource))
        return self._read(answer)

    def _read(self, answer: cedarpy.AuthzResult) -> Decision:
        errors = answer.diagnostics.errors
        failed = [self._named(found[1]) for text in errors if (found := _FAILED.search(text))]
        if answer.decision is cedarpy.Decision.NoDecision or len(failed) < len(errors):
            return Decision("deny", (), reason=f"the policies cannot be asked: {'; '.join(errors)[:300]}")
        if broken := [rule for rule in failed if rule.effect == "forbid"]:  # Cedar would pass over it, and so let pass
            return Decision("deny", (broken[0].name,), reason=f"a rule cannot be evaluated: {errors[0][:300]}")
        rules = [self._named(name) for name in answer.diagnostics.reasons]
        names = tuple(sorted(rule.name for rule in rules))
        reason = next((rule.annotations["reason"] for rule in rules if rule.annotations.get("reason")), "")
        if not answer.allowed:
            return Decision("deny", names, reason=reason)
        asks = [rule for rule in rules if "ask" in rule.annotations]
        tags = tuple(sorted({rule.annotations["tag"] for rule in rules if "tag" in rule.annotations}))
        differ = max((rule.annotations.get("differ", "") for rule in rules), default="")
        return Decision("ask" if asks else "allow", names, tags, asks[0].annotations["ask"] if asks else reason, differ)

    def _tags(
        self, client: str, groups: tuple[str, ...], action: str, resource: tuple[str, str], context: str
    ) -> tuple[str, ...]:
        question = _question(client, action, resource, context)
        answer = cedarpy.is_authorized(question, self._tag_set, self._with(client, groups, resource))
        met = (self._tagging[int(name.removeprefix("policy"))] for name in answer.diagnostics.reasons)
        return tuple(sorted({rule.annotations["tag"] for rule in met}))

    def _named(self, policy: str) -> Rule:
        return self.rules[int(policy.removeprefix("policy"))]

    def _with(self, client: str, groups: tuple[str, ...], resource: tuple[str, str]) -> cedarpy.Entities:
        """A client is in its groups; a host in all domains above it."""
        kind, name = resource
        above = [name[at + 1 :] for at, sign in enumerate(name) if sign == "."] if kind == "Host" else []
        added = [_entity("Client", client, "Group", groups)] if groups else []
        added += [_entity("Host", name, "Host", above)] if above else []
        return self._entities.with_added_json_str(json.dumps(added)) if added else self._entities


def _entity(kind: str, name: str, parents: str, names: Sequence[str]) -> dict[str, Any]:
    above = [{"type": parents, "id": parent} for parent in names]
    return {"uid": {"type": kind, "id": name}, "attrs": {}, "parents": above}


def _question(client: str, action: str, resource: tuple[str, str], context: str) -> dict[str, Any]:
    return {
        "principal": {"type": "Client", "id": client},
        "action": {"type": "Action", "id": action},
        "resource": {"type": resource[0], "id": resource[1]},
        "context": context,
    }


def load_policies(folder: Path | None) -> Policies:
    """The rules of every *.cedar of a folder, in the order of names; no folder means no rules, so that no tool may be used.

    Raises:
        PolicyError: naming file and line of the first error.
    """
    return policies_of(read_texts(folder), str(folder)) if folder is not None else Policies(())


def read_texts(folder: Path) -> dict[str, str]:
    """The texts of a folder's *.cedar files, by name. Raises PolicyError if one cannot be read."""
    if not folder.is_dir():
        got = "a file" if folder.exists() else "nothing there"
        raise PolicyError(f"policies {folder}", wanted="a folder of *.cedar files", got=got)
    return {path.name: _text(path) for path in sorted(folder.glob("*.cedar"))}


def policies_of(texts: Mapping[str, str], where: str) -> Policies:
    """The rules of some files. Raises PolicyError, naming file and line of the first error."""
    rules = [rule for file, text in texts.items() for rule in read_rules(file, text)]
    if not rules:
        raise PolicyError(f"policies {where}", wanted="at least one rule in a *.cedar file", got="none")
    seen: dict[str, Rule] = {}
    for rule in rules:
        if (other := seen.setdefault(rule.name, rule)) is not rule:
            place = f"policy {rule.file}, line {rule.line}"
            raise PolicyError(place, wanted="an @id of its own", got=f"that of {other.file}, line {other.line}")
    return Policies(rules)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise PolicyError(f"policy {path.name}", wanted="UTF-8", got=f"byte {error.start} is none") from None
    except OSError as error:
        raise PolicyError(
            f"policy {path.name}", wanted="a file that can be read", got=error.strerror or "none"
        ) from None


def cedar_value(value: Any, depth: int = 24) -> Any:
    """JSON as Cedar can take it: no nulls, fractions as decimals of four digits, whole numbers of 64 bits; what has no word is a text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, float):
        return {"__extn": {"fn": "decimal", "arg": f"{value:.4f}"}} if abs(value) < 9e14 else str(value)
    if isinstance(value, list) and depth:
        return [cedar_value(part, depth - 1) for part in value if part is not None]
    if isinstance(value, dict) and depth:
        return {_key(key): cedar_value(part, depth - 1) for key, part in value.items() if part is not None}
    return json.dumps(value)


def _key(key: str) -> str:
    """`__entity` and `__extn` would be read as more than text."""
    return key.encode("utf-8", "replace").decode() if not key.startswith("__") else f"_{key}"


def tool(name: str) -> tuple[str, str]:
    """A tool as a resource."""
    return "Tool", plain(name)
