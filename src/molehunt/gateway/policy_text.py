"""Cedar files taken apart into their rules, so that an error has a line and a rule has a name."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Literal, NamedTuple

import cedarpy

from molehunt.errors import PolicyError
from molehunt.gateway.names import plain

ANNOTATIONS = ("id", "tag", "ask", "differ", "reason")
ACTIONS = ("request_model", "offer_tool", "call_tool", "egress", "use_tool")
KINDS = ("Client", "Group", "Tool", "Host", "Model", "Action")
_TOKEN = re.compile(r'//[^\n]*|"(?:[^"\\]|\\.)*"|;|\n', re.S)
_EMPTY = re.compile(r"(?:\s|//[^\n]*)*")


class Rule(NamedTuple):
    """One rule of a policy folder."""

    name: str
    """Its @id, else FILE:LINE."""
    file: str
    line: int
    effect: Literal["permit", "forbid"]
    text: str
    annotations: dict[str, str]


def read_rules(file: str, text: str) -> Iterator[Rule]:
    """The rules of a file.

    Raises:
        PolicyError: for the first rule that Cedar refuses, or that could never mean what it says.
    """
    for line, statement in _statements(text):
        yield _rule(file, line, statement)


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each statement, with the line of its first word."""
    start = 0
    for found in _TOKEN.finditer(text):
        if found[0] == ";":
            yield _with_line(text, start, found.end())
            start = found.end()
    if not _EMPTY.fullmatch(text, start):
        yield _with_line(text, start, len(text))


def _with_line(text: str, start: int, end: int) -> tuple[int, str]:
    blank = _EMPTY.match(text, start)
    first = blank.end() if blank else start
    return text.count("\n", 0, first) + 1, text[first:end]


def _rule(file: str, line: int, text: str) -> Rule:
    def refuse(wanted: str, got: str, do: str = "") -> PolicyError:
        return PolicyError(f"policy {file}, line {line}", wanted=wanted, got=got, do=do)

    try:
        parsed = cedarpy.PolicySet.from_str(text).to_pst()
    except ValueError as error:
        raise refuse("a rule in Cedar", f"{error} {_shown_lines(line, text)}".strip()) from None
    if len(parsed.static_policies) != 1:
        raise refuse("one permit or forbid", "a template" if parsed.templates else "nothing", "write the rule out")
    policy = next(iter(parsed.static_policies.values()))
    notes = {key: value or "" for key, value in policy.annotations.items()}
    for kind, name in {(str(uid.type), uid.id) for uid in _uids(policy)}:
        _check_entity(kind, name, refuse)
    _check_notes(notes, policy.effect, refuse)
    return Rule(notes.get("id") or f"{file}:{line}", file, line, policy.effect, text, notes)


def _shown_lines(line: int, text: str) -> str:
    last = line + text.count("\n")
    return f"(lines {line} to {last})" if last > line else ""


def _check_entity(kind: str, name: str, refuse: Any) -> None:
    """What names nothing would never match: a forbid that does nothing, without a word."""
    if kind not in KINDS:
        raise refuse(" or ".join(KINDS), f'{kind}::"{name}"')
    if kind == "Action" and name not in ACTIONS:
        raise refuse(f"an action: {', '.join(ACTIONS)}", f'Action::"{name}"')
    if kind in ("Tool", "Host") and name != plain(name):
        raise refuse(f'names in plain form, {kind}::"{plain(name)}"', f'{kind}::"{name}"')


def _check_notes(notes: dict[str, str], effect: str, refuse: Any) -> None:
    if unknown := sorted(notes.keys() - set(ANNOTATIONS)):
        raise refuse(f"annotations {', '.join('@' + a for a in ANNOTATIONS)}", f"@{unknown[0]}")
    if effect == "forbid" and (idle := sorted(notes.keys() & {"tag", "ask", "differ"})):
        raise refuse(f"@{idle[0]} on a permit", "a forbid", "leave it out")
    if "tag" in notes and not notes["tag"]:
        raise refuse("@tag with a word", "none")


def _uids(node: Any) -> Iterator[Any]:
    """Every entity that a rule names."""
    if isinstance(node, cedarpy.pst.EntityUid):
        yield node
    elif is_dataclass(node):
        for field in fields(node):
            yield from _uids(getattr(node, field.name))
    elif isinstance(node, tuple):
        for part in node:
            yield from _uids(part)
    elif isinstance(node, dict):
        for part in node.values():
            yield from _uids(part)
