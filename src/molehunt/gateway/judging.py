"""Whether one request may go on, tool by tool and call by call; every decision is written down before it has an effect."""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from molehunt.gateway.bodies import parse_json
from molehunt.gateway.facts import ModelFacts
from molehunt.gateway.hosts import Host, hosts_in
from molehunt.gateway.keys import Client
from molehunt.gateway.names import plain
from molehunt.gateway.policies import Decision, Policies, cedar_value, tool

_SAMPLING = (
    "temperature", "top_p", "top_k", "seed", "n", "max_tokens", "max_completion_tokens", "max_output_tokens",
    "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "best_of",
)  # fmt: skip
_SHOWN = 80
_DEPTH = 100
_MOST_ARGUMENTS = 2**20


class Asked(NamedTuple):
    """A call that a model asks for, or asked for earlier."""

    name: str
    arguments: str
    form: str
    """call, function_call, or text: and the syntax; an output item's type."""


class Ruling(NamedTuple):
    """What is done about a call."""

    is_allowed: bool
    notice: str
    """For the client, if it is not."""


@dataclass
class Session:
    """What belongs together, and what happened in it."""

    id: str
    """Empty if the client names none: then only this request's own history counts."""
    client: str = ""
    """Whose it is."""
    also: tuple[str, ...] = ()
    """Other names that a request gives it: a mark of one is a mark of all."""
    tags: set[str] = field(default_factory=set)
    calls: int = 0
    denied: int = 0


Note = Callable[[str, Mapping[str, Any]], None]
"""Writes a decision: its word, such as deny:TOOL, and what else is known of it."""
Hold = Callable[[str, str, Decision], Awaitable[bool]]
"""Asks an operator about a call (tool, arguments, why)."""
Second = Callable[[str, str, str], Awaitable[bool]]
"""Asks the base model (tool, arguments, record or require): False if it must not go on."""


class Judge:
    """Judges one request and its answer."""

    def __init__(
        self, policies: Policies, client: Client, facts: ModelFacts, session: Session, common: dict[str, Any], *,
        note: Note, hold: Hold, mark: Callable[[Iterable[str]], None], second: Second,
    ) -> None:  # fmt: skip
        self._policies, self._client, self.facts = policies, client, facts
        self.session, self.offered = session, set[str]()
        self._common = {**common, **facts.context()}
        self._note, self._hold, self._mark, self._second = note, hold, mark, second
        self.denied: list[Asked] = []
        self.has_tags = policies.has_tags

    def model(self) -> Decision:
        """May this client ask this model?"""
        return self._decide("request_model", ("Model", self.facts.name), {})

    def may_offer(self, name: str, definition: Mapping[str, Any]) -> bool:
        """May a tool stand in the request? Servers that its definition names count as egress."""
        decision = self._decide("offer_tool", tool(name), {})
        hosts = () if definition.get("type") in (None, "function", "custom") else hosts_in(_addresses(definition))
        refused = next((self._egress(host, name) for host in hosts if self._is_closed(host, name)), None)
        if decision.outcome != "deny" and refused is None:
            self.offered.add(plain(name))
            return True
        self._write("withhold", plain(name), "offer", refused or decision, {})
        return False

    def remember(self, calls: Iterable[Asked]) -> None:
        """What the model has done before, by the request's own messages, marks the session too."""
        for call in dict.fromkeys(calls):
            context = self._context(self._arguments(call))
            self.session.tags |= set(self._policies.tags_of(*self._who(), "call_tool", tool(call.name), context))
            self.session.calls += 1

    async def may_call(self, call: Asked, is_structured: bool = True) -> Ruling:
        """May the client have this call? Calls are judged in their order: what one marks, the next feels."""
        name = plain(call.name)
        if len(call.arguments) > _MOST_ARGUMENTS:
            return self._refuse(
                call, Decision("deny", (), reason=f"its arguments are longer than {_MOST_ARGUMENTS}"), "call"
            )
        more = self._arguments(call)
        if is_structured and name not in self.offered:
            return self._refuse(call, Decision("deny", (), reason="this request did not offer it"), "call")
        decision = self._decide("call_tool", tool(name), more)
        if decision.outcome == "deny":
            return self._refuse(call, decision, "call")
        if refused := next((host for host in more["hosts_"] if self._is_closed(host, name)), None):
            return self._refuse(call, self._egress(refused, name), "egress", refused.name)
        if not await self._is_confirmed(call, decision):
            return self._refuse(call, decision._replace(reason=decision.reason or "it was not confirmed"), "call")
        self._write("allow", name, "call", decision, {"gen_ai.tool.call.arguments": call.arguments})
        self.session.calls += 1
        if new := set(decision.tags) - self.session.tags:
            self.session.tags |= new
            self._mark(new)
        return Ruling(True, "")

    async def _is_confirmed(self, call: Asked, decision: Decision) -> bool:
        if decision.differ and not await self._second(call.name, call.arguments, decision.differ):
            return False
        if decision.outcome != "ask":
            return True
        self._write("ask", plain(call.name), "call", decision, {"gen_ai.tool.call.arguments": call.arguments})
        return await self._hold(call.name, call.arguments, decision)

    def _refuse(self, call: Asked, decision: Decision, stage: str, host: str = "") -> Ruling:
        self.session.denied += 1
        self.denied.append(call)
        more = {"gen_ai.tool.call.arguments": call.arguments, "molehunt.call.form": call.form}
        self._write("deny-host" if host else "deny", host or plain(call.name), stage, decision, more)
        shown = "".join(c for c in call.name if c.isprintable())[:_SHOWN]
        what = f"egress to {host} by {shown}" if host else f"call of {shown}"
        return Ruling(False, f"[{what} denied by policy{': ' + decision.reason if decision.reason else ''}]")

    def unreadable(self, raw: str, form: str) -> Ruling:
        """A call that nobody can read is not passed on."""
        return self._refuse(
            Asked("(unreadable)", raw[:4096], form), Decision("deny", (), reason="it cannot be read"), "call"
        )

    def _write(self, word: str, name: str, stage: str, decision: Decision, more: Mapping[str, Any]) -> None:
        said = {"molehunt.stage": stage, "molehunt.decision.reasons": list(decision.rules)}
        said |= {"molehunt.decision.reason": decision.reason} if decision.reason else {}
        self._note(f"{word}:{name}", {**said, **more})

    def _is_closed(self, host: Host, name: str) -> bool:
        return self._egress(host, name).outcome == "deny"

    def _egress(self, host: Host, name: str) -> Decision:
        more = {"tool": plain(name), "port": -1 if host.port is None else host.port, "form": host.form}
        return self._decide("egress", ("Host", plain(host.name)), more)

    def _decide(self, action: Any, resource: tuple[str, str], more: dict[str, Any]) -> Decision:
        return self._policies.decide(*self._who(), action, resource, self._context(more))

    def _who(self) -> tuple[str, tuple[str, ...]]:
        return self._client.name, self._client.groups

    def _context(self, more: dict[str, Any]) -> dict[str, Any]:
        session = {"tags": sorted(self.session.tags), "calls": self.session.calls, "denied": self.session.denied}
        more = {key: part for key, part in more.items() if key != "hosts_"}
        return {**self._common, "session": session, **more}

    def _arguments(self, call: Asked) -> dict[str, Any]:
        """Parsed, if they are JSON in which no name stands twice: `context.arguments` is there only then."""
        value = _parsed(call.arguments)
        hosts = hosts_in(call.arguments if value is None else value)
        found = {"arguments_text": cedar_value(call.arguments), "is_json": value is not None, "form": call.form}
        found |= {"hosts": sorted({host.name for host in hosts}), "hosts_": hosts}
        return found | ({"arguments": cedar_value(value)} if isinstance(value, dict) else {})


def common_context(endpoint: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """What every question about a request has in its context."""
    user = body.get("user")
    sampling = {key: cedar_value(body[key]) for key in _SAMPLING if isinstance(body.get(key), bool | int | float)}
    return {
        "endpoint": endpoint, "stream": body.get("stream") is True, "sampling": sampling,
        "user": cedar_value(user) if isinstance(user, str) else "",
    }  # fmt: skip


def _parsed(arguments: str) -> Any:
    """None if they cannot be read in one way alone."""
    try:
        return parse_json(arguments, _DEPTH, is_unique=True) if arguments.strip() else {}
    except ValueError:
        return None


def hosts_of(arguments: str) -> tuple[Host, ...]:
    """The hosts that a call's arguments name, JSON or not."""
    value = _parsed(arguments)
    return hosts_in(arguments if value is None else value)


def _addresses(definition: Mapping[str, Any]) -> dict[str, Any]:
    return {key: part for key, part in definition.items() if "url" in key or "host" in key or "domain" in key}


def as_text(arguments: Any) -> str:
    """Arguments as the model wrote them; an object becomes its JSON."""
    return arguments if isinstance(arguments, str) else "" if arguments is None else json.dumps(arguments)
