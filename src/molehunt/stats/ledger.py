"""The claims ledger: which claims the data support, contradict, or leave open."""

from collections.abc import Sequence

from molehunt.records.claims import Claim, ClaimFinding, ClaimVerdict, Contrast
from molehunt.records.estimates import Estimate
from molehunt.stats.families import simultaneous
from molehunt.stats.power import more_seeds, unseen_share


def judge(claims: Sequence[tuple[Claim, Contrast | None]]) -> list[ClaimFinding]:
    """A finding for each claim of one family, in the order given; None where no matched arms were measured.

    With the interval that is simultaneous over all tested claims of the family, and the effect turned to the claimed
    direction:

    - supported: the interval lies beyond 0 and the effect is at least `smallest`;
    - contradicted: the interval lies beyond 0 on the other side and the effect is at least `smallest` in size;
    - no meaningful effect: the interval lies strictly within ± `smallest` (two one-sided tests: Schuirmann 1987, J
      Pharmacokinet Biopharm 15; at the family's level, so no narrower than the usual 90%);
    - undecided: anything else;
    - not tested: no matched arms, or one seed; such claims do not count in the family.
    """
    tested = [c for _, c in claims if c is not None and len(c.by_seed) > 1]
    together = iter(simultaneous(tested))
    return [
        _untested(claim, c) if c is None or len(c.by_seed) < 2 else _judged(claim, c, *next(together), len(tested))
        for claim, c in claims
    ]


def verdict_of(claim: Claim, interval: Estimate, certain: bool) -> ClaimVerdict:
    """The rule of `judge` for one interval; `certain` if it lies beyond 0."""
    sign = 1 if claim.direction == "greater" else -1
    effect = sign * interval.value
    if certain and effect >= claim.smallest:
        return "supported"
    if certain and effect <= -claim.smallest:
        return "contradicted"
    if -claim.smallest < interval.low and interval.high < claim.smallest:
        return "no meaningful effect"
    return "undecided"


def _judged(claim: Claim, contrast: Contrast, interval: Estimate, adjusted: float, family: int) -> ClaimFinding:
    verdict, seeds = verdict_of(claim, interval, adjusted <= 0.05), len(contrast.by_seed)
    more = more_seeds(contrast, claim.smallest, family) if verdict == "undecided" else 0
    return ClaimFinding(
        claim=claim, verdict=verdict, effect=contrast.effect, simultaneous=interval, p_value=contrast.p_value,
        p_adjusted=adjusted, seeds=seeds, more_seeds=more, by_seed=contrast.by_seed,
        reason=_reason(claim, interval, verdict, seeds, more),
    )  # fmt: skip


def _untested(claim: Claim, contrast: Contrast | None) -> ClaimFinding:
    if contrast is None:
        sides = [f"{claim.factor}={level}" for level in (claim.level, claim.against) if level]
        reason = f"no matched arms with {' and '.join(sides)} were measured"
    else:
        reason = "one seed: its interval is over prompts, and no claim about other seeds can be made"
    return ClaimFinding(
        claim=claim, verdict="not tested", effect=contrast.effect if contrast else None, simultaneous=None, p_value=None,
        p_adjusted=None, seeds=len(contrast.by_seed) if contrast else 0, more_seeds=None, reason=reason,
        by_seed=contrast.by_seed if contrast else (),
    )  # fmt: skip


def _reason(claim: Claim, interval: Estimate, verdict: ClaimVerdict, seeds: int, more: int | None) -> str:
    sign = 1 if claim.direction == "greater" else -1
    far = interval.high if sign > 0 else -interval.low
    if verdict == "no meaningful effect":
        return f"the whole interval lies within ±{claim.smallest:g}"
    if verdict != "undecided":
        where = "beyond 0 as claimed" if verdict == "supported" else "beyond 0, against the claim"
        unseen = f"up to {unseen_share(seeds):.0%} of seeds could be of a kind that none of these {seeds} shows"
        return f"the interval lies {where}, and the effect is at least {claim.smallest:g}; {unseen}"
    seen = (
        "an effect as large as matters, in the claimed direction, is excluded" if far < claim.smallest else "too wide"
    )
    needs = "more than 1,000 further seeds" if more is None else f"about {more} more seed{'s' * (more != 1)}"
    return f"{seen}; {needs} would decide it, if spread and effect stay as they are"
