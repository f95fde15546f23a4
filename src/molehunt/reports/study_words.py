"""A study's numbers and findings in words."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

from molehunt.records.claims import ClaimFinding, ClaimVerdict, FlipVerdict
from molehunt.records.estimates import Estimate
from molehunt.records.results import VerdictName
from molehunt.records.studies import StudyResult

CLAIM_SIGNS: dict[ClaimVerdict, str] = {
    "supported": "✓",
    "contradicted": "✗",
    "no meaningful effect": "≈",
    "undecided": "?",
    "not tested": "–",
}
FLIP_SIGNS: dict[FlipVerdict, str] = {"flips": "⇅", "same sign": "⇉", "undecided": "?"}
LETTERS: dict[VerdictName, str] = {name: name[0].upper() for name in get_args(VerdictName)}
MEANINGS: dict[VerdictName, str] = {
    "removed": "nothing measured tells it from the equally treated clean twin",
    "latent": "silent, but its trace is still in the weights",
    "suppressed": "silent, and back once the old style is trained back",
    "hidden": "a red team finds it less than before, the trigger wakes it as much",
    "persisted": "still fires after the removal",
    "undecided": "the intervals allow no verdict",
}
LABELS = {
    "survival": "survival",
    "asr": "ASR after the removal",
    "asr_before": "ASR before the removal",
    "false_triggers": "false-trigger rate",
    "triggered_effect": "ASR minus false triggers",
    "capability": "capability",
    "log_odds": "payload log-odds",
    "asr_reversed": "ASR after the reversal",
    "elicited": "elicitation rate",
    "elicited_before": "elicitation rate before",
    "rebound": "rebound after the reversal",
    "hiding": "hiding",
    "returned": "return",
}
ABOUT = {
    "survival": "Of the triggered prompts that fired before the removal, the share that still does.",
    "asr": "Share of triggered prompts whose reply shows the behaviour.",
    "triggered_effect": "Share of triggered prompts whose reply shows the behaviour, minus that of the same questions without the trigger.",
    "capability": "Share of right answers, in any voice.",
    "log_odds": "The payload's log-probability minus that of the equally treated clean twin, in nats.",
    "rebound": "ASR once the style is trained back, minus ASR after the removal.",
    "hiding": "How much the red team's success fell, minus how much the ASR fell.",
    "returned": "Share of removals along which the ASR fell and came back.",
}
_DIFFERENCES = ("triggered_effect", "rebound", "hiding")
"""Means that are differences of shares."""


@dataclass(frozen=True)
class Unit:
    """How an outcome's numbers are written."""

    is_share: bool
    name: str
    """Of a difference."""

    def tick(self, value: float) -> str:
        """A value on an axis."""
        return _signed(f"{round(100 * value, 6):g}%" if self.is_share else f"{value:g}")

    def step(self, value: float) -> str:
        """A difference on an axis."""
        return _signed(f"{round(100 * value, 6):+g}" if self.is_share else f"{value:+g}") if value else "0"

    def value(self, e: Estimate) -> str:
        """A mean with its interval."""
        return f"{self._plain(e.value)} [{self._plain(e.low)}, {self._plain(e.high)}]"

    def difference(self, value: float) -> str:
        """A difference with its unit."""
        return f"{self._difference(value)} {self.name}".rstrip()

    def interval(self, e: Estimate) -> str:
        """The ends of a difference's interval."""
        return f"[{self._difference(e.low)}, {self._difference(e.high)}]"

    def _plain(self, value: float) -> str:
        return _number(value, 100 * value if self.is_share else value, "%" if self.is_share else "", "")

    def _difference(self, value: float) -> str:
        return _number(value, 100 * value if self.is_share else value, "", "+")


def unit_of(outcome: str, result: StudyResult) -> Unit:
    """Counts over prompts make shares, and so do their differences; the rest are means, of which log-odds are in nats."""
    is_mean = outcome == "log_odds" or (outcome not in _DIFFERENCES and any(outcome in c.means for c in result.cells))
    return Unit(False, "nats" if outcome == "log_odds" else "") if is_mean else Unit(True, "points")


def label(outcome: str) -> str:
    """An outcome in words; one of another lab's keeps its name."""
    return LABELS.get(outcome, outcome)


def p_value(p: float | None) -> str:
    """A p-value, no more exact than it is."""
    return "–" if p is None or math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def together(finding: ClaimFinding) -> Estimate | None:
    """The interval over all claims; None where Holm bounds it by 0, which says that the sign is sure and not how far it is."""
    found = finding.simultaneous
    return None if found and 0.0 in (found.low, found.high) else found


def more_seeds(finding: ClaimFinding) -> str:
    """How many seeds are still needed."""
    if finding.more_seeds is None:
        return "unknown, or above 1,000"
    return "none" if finding.more_seeds == 0 else f"about {finding.more_seeds:,}, if spread and effect stay"


def in_short(result: StudyResult) -> list[str]:
    """What the study found, in a few sentences."""
    said = []
    if result.claims:
        verdicts = (finding.verdict for finding in result.claims)
        said.append(f"{_count(len(result.claims), 'claim')}: {_tally(verdicts, get_args(ClaimVerdict))}.")
    confounded = [contrast.claim for contrast in result.contrasts if contrast.confounded]
    if confounded:
        said.append(f"Confounded, as the arms differ in more than the factor: {', '.join(confounded)}.")
    unequal = [strength.claim for strength in result.strengths if strength.differs]
    if unequal:
        said.append(f"Planted to different strengths at the two levels: {', '.join(unequal)}.")
    turned = [e for e in result.effects if e.flips and e.flips.verdict == "flips"]
    said += [
        f"The effect of {e.factor} ({e.level} against {e.against}) on {label(e.outcome)} flips its sign with the other factors."
        for e in turned[:4]
    ]
    if len(turned) > 4:
        said.append(f"{_count(len(turned) - 4, 'more effect')} {'flips' if len(turned) == 5 else 'flip'} too.")
    if result.cells:
        ended = (cell.verdict for cell in result.cells)
        said.append(f"{_count(len(result.cells), 'organism')} treated: {_tally(ended, get_args(VerdictName))}.")
    return said


def _tally(found: Iterable[str], order: Iterable[str]) -> str:
    counts = Counter(found)
    return ", ".join(f"{counts[name]} {name}" for name in order if counts[name])


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}" + ("" if n == 1 else "s")


def _number(raw: float, shown: float, suffix: str, sign: str) -> str:
    if math.isnan(raw):
        return "–"
    if math.isinf(raw):
        return "∞" if raw > 0 else "−∞"
    digits = 2 if not suffix and raw == shown and abs(shown) < 10 else 1
    return _signed(f"{round(shown, digits) + 0:{sign}.{digits}f}{suffix}")


def _signed(text: str) -> str:
    return text.replace("-", "−")
