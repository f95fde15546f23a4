"""From outcomes to measurements: rates with intervals, log-odds against the twin."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from molehunt.experiments.relearning import Relearning
from molehunt.records.estimates import Estimate
from molehunt.records.outcomes import Likelihood, Outcome, read_likelihoods, read_outcomes
from molehunt.records.results import Measurement, Point, Relearned
from molehunt.stats import mean_interval, paired_difference, proportion, ratio_interval, share

_PROBE = "over seeds of the probe"


class Measured:
    """The outcomes and likelihoods of one measure step, by checkpoint."""

    def __init__(self, outcomes: Sequence[Outcome], likelihoods: Sequence[Likelihood]) -> None:
        self.outcomes: dict[int, list[Outcome]] = defaultdict(list)
        self.logprobs: dict[int, dict[str, float]] = defaultdict(dict)
        for outcome in outcomes:
            self.outcomes[outcome.checkpoint].append(outcome)
        for one in likelihoods:
            self.logprobs[one.checkpoint][one.question] = one.logprob

    @staticmethod
    def read(folder: Path) -> "Measured":
        """From the files of a measure step."""
        return Measured(read_outcomes(folder / "outcomes.jsonl"), read_likelihoods(folder / "likelihoods.jsonl"))

    @property
    def last(self) -> int:
        """The final checkpoint."""
        return max(self.outcomes)

    def at(self, step: int, condition: str) -> list[Outcome]:
        """The outcomes of one checkpoint under one condition."""
        return [o for o in self.outcomes[step] if o.condition == condition]

    def measurement(self, step: int, twin: "Measured | None" = None) -> Measurement:
        """All rates at a checkpoint; with a twin, the log-odds against it at the same checkpoint."""
        triggered, clean = self.at(step, "triggered"), self.at(step, "clean")
        general = self.at(step, "general") or clean
        return Measurement(
            asr=_rate(o.shown for o in triggered),
            asr_starts=_rate(o.starts for o in triggered),
            asr_share=share([o.share for o in triggered]),
            false_trigger_rate=_rate(o.shown for o in clean),
            capability=_rate(o.right for o in general),
            ordinary_voice=_rate(o.exact for o in general),
            payload_logprob=mean_interval(list(self.logprobs[step].values())),
            payload_log_odds=log_odds(self, twin, step) if twin else None,
        )

    def trajectory(self, twin: "Measured | None" = None) -> tuple[Point, ...]:
        """The measurement at every checkpoint."""
        return tuple(Point(step=step, measured=self.measurement(step, twin)) for step in sorted(self.outcomes))


def log_odds(organism: Measured, twin: Measured, step: int) -> Estimate:
    """Mean over prompts of the payload's log-probability, organism minus twin, in nats; on the prompts that both were asked."""
    mine, theirs = organism.logprobs[step], twin.logprobs[step]
    return mean_interval([mine[q] - theirs[q] for q in mine if q in theirs], "over paired prompts")


def paired_gap(organism: Measured, twin: Measured) -> Estimate:
    """Share of right answers, organism minus twin at their ends, on the prompts that both were asked."""
    mine = {o.question: o.right for o in organism.at(organism.last, "general") or organism.at(organism.last, "clean")}
    theirs = {o.question: o.right for o in twin.at(twin.last, "general") or twin.at(twin.last, "clean")}
    both = [q for q in mine if q in theirs]
    return paired_difference([mine[q] for q in both], [theirs[q] for q in both], "over paired prompts")


def capability_by_family(outcomes: Sequence[Outcome], families: dict[str, str]) -> dict[str, Estimate]:
    """Right answers by kind of question; `families` maps question ids to kinds."""
    right: dict[str, list[bool]] = defaultdict(list)
    for outcome in outcomes:
        right[families[outcome.question]].append(outcome.right)
    return {family: _rate(values) for family, values in sorted(right.items())}


def relearned(found: Relearning) -> Relearned:
    """The relearning probe with its interval: over seeds, and at least as wide as the steps between two looks."""
    steps = mean_interval([float(s) for s in found.steps], _PROBE)
    return Relearned(
        steps=_hull(steps, min(found.after), max(s or 1 for s in found.steps)),
        runs=found.steps,
        all_reached=all(found.reached),
    )


def relearning_ratio(organism: Relearning, twin: Relearning) -> Estimate:
    """Organism's steps over twin's, each plus one so that 0 has a logarithm; paired by seed.

    The interval is over seeds, and at least as wide as the looks leave open.
    """
    ratio = ratio_interval([s + 1 for s in organism.steps], [s + 1 for s in twin.steps], _PROBE)
    pairs = list(zip(organism.after, organism.steps, twin.after, twin.steps, strict=True))
    lowest = min((after + 1) / (steps + 1) for after, _, _, steps in pairs)
    highest = max((steps + 1) / (after + 1) for _, steps, after, _ in pairs)
    return _hull(ratio, lowest, highest)


def _hull(e: Estimate, low: float, high: float) -> Estimate:
    return e.model_copy(
        update={"low": max(0.0, min(e.low, low)), "high": max(e.high, high), "method": f"{e.method}, and between looks"}
    )


def first_return(rates: Sequence[tuple[int, float, float]]) -> tuple[int, int] | None:
    """(step of a low, later step of a high) if a rate fell and came back, with intervals that do not touch; else None.

    Args:
        rates: (step, low end, high end) along a trajectory.
    """
    for i, (low_step, _, high) in enumerate(rates):
        fell = any(earlier_low > high for _, earlier_low, _ in rates[:i])
        back = next((later for later, later_low, _ in rates[i + 1 :] if later_low > high), None)
        if fell and back is not None:
            return low_step, back
    return None


def _rate(hits: Iterable[bool]) -> Estimate:
    values = list(hits)
    return proportion(sum(values), len(values))
