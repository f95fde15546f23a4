"""A study as its author states it: what varies, how often, and which claims it is to test."""

from typing import Any, Literal

from pydantic import Field

from molehunt.records.base import Record
from molehunt.records.claims import Claim, ClaimFinding, Contrast, Flips
from molehunt.records.estimates import ArmEstimate, Estimate
from molehunt.records.results import VerdictName

Side = Literal["base", "organism", "removal"]


class Level(Record):
    """One value of a factor."""

    name: str = Field(min_length=1)
    sets: dict[str, Any]
    """Dotted fields of the resolved config to their values, such as "organism.training.optimizer"."""


class Factor(Record):
    """What is varied."""

    name: str = Field(min_length=1)
    levels: tuple[Level, ...]
    moves: tuple[str, ...]
    """Fields, or quantities that follow from them, that this factor moves by definition; "removal.training" stands for all
    below it. Whatever else differs between two of its arms confounds a contrast."""


class Probes(Record):
    """What is looked at of every treated model beside its replies; each costs trainings or samples of its own."""

    reversal: bool = False
    """Train back to the ordinary voice and ask again."""
    relearning: bool = False
    """Count the steps until the backdoor is back, against the twin."""
    red_team: bool = False
    """Search, without the trigger, for prompts that wake it, before and after."""


class Study(Record):
    """A designed experiment: all combinations of the factors' levels, on every seed.

    A seed is a replicate: it draws base, planting and removal anew, unless `shared_base`.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    question: str
    prediction: str
    """Written before the run."""
    setup: dict[str, Any] = Field(default_factory=dict)
    """Dotted fields that hold in every arm; what is not named keeps its default."""
    factors: tuple[Factor, ...]
    seeds: tuple[int, ...]
    leave_out: tuple[dict[str, str], ...] = ()
    """Combinations that are not run: every arm whose levels contain one of these."""
    shared_base: bool = False
    """All seeds start from the base of the first: the conclusions then speak of that base alone."""
    outcomes: tuple[str, ...] = ("survival", "asr", "log_odds", "capability")
    probes: Probes = Probes()
    claims: tuple[Claim, ...] = ()


class ArmPlan(Record):
    """One combination of levels and everything that it decides."""

    id: str
    """The levels in words, by factor."""
    levels: dict[str, str]
    """Factor to level."""
    config: dict[str, Any]
    """Resolved: dotted field to value, the seed left out."""
    derived: dict[str, Any]
    """Quantities that follow from the config or were counted in training; absent while unknown."""


class ContrastPlan(Record):
    """A contrast that a claim uses, and in what its arms differ."""

    claim: str
    pairs: int
    """Matched pairs of arms."""
    moved: tuple[str, ...]
    """Fields that differ and are moved by the factor, as declared."""
    confounded: tuple[str, ...]
    """Fields that differ and are not."""
    unknown: tuple[str, ...]
    """Quantities that are known only after the run."""
    note: str = ""
    """Why nothing can be said, if it cannot."""


class StudyPlan(Record):
    """What a study would do."""

    schema_: Literal["molehunt.study-plan/1"] = Field("molehunt.study-plan/1", alias="schema")
    name: str
    seeds: tuple[int, ...]
    arms: tuple[ArmPlan, ...]
    steps: int
    stored: int
    """Steps whose artifacts the store already has."""
    by_kind: dict[str, int]
    """Steps to make, by what they do."""
    unshared: int
    """Steps that there would be if no arm shared any with another."""
    seconds: float
    """Estimate of the wall time that is left, with the given jobs."""
    measured_costs: bool
    """Whether the estimate rests on steps that were made on this store, or on stated costs alone."""
    memory: float
    """GiB, of the jobs together."""
    contrasts: tuple[ContrastPlan, ...]
    detectable: dict[str, float | None]
    """Claim about rates to the smallest effect that the plan can detect with 80% power, around rates of one half, or of a single
    rate against 0; None if not even the largest is detected."""
    scatter: dict[str, float] = Field(default_factory=dict)
    """Claim about a mean to the largest standard deviation between seeds, in the outcome's unit, with which its smallest effect
    that matters is detected with 80% power."""
    enough_seeds: int | None = None
    """Seeds with which every claim about rates would see a middle effect, of 0.25 from a rate of one half; told where a claim
    can detect none, None if 64 are too few."""
    limits: tuple[str, ...]
    """What no run of this plan can say."""

    @property
    def confounded(self) -> tuple[ContrastPlan, ...]:
        """The contrasts whose arms differ in more than the factor."""
        return tuple(contrast for contrast in self.contrasts if contrast.confounded)


class TrajectoryPoint(Record):
    """One checkpoint on the way through a removal."""

    checkpoint: int
    asr: float
    capability: float
    log_odds: float | None
    """Against the twin at the same checkpoint, in nats."""


class CellResult(Record):
    """One arm on one seed."""

    arm: str
    seed: int
    rates: dict[str, tuple[int, int]]
    """Outcome to (successes, prompts)."""
    means: dict[str, tuple[float, float]]
    """Outcome to (mean, standard error over prompts)."""
    trajectory: tuple[TrajectoryPoint, ...]
    verdict: VerdictName
    reason: str
    seconds: float
    """Of the removal alone."""


class ArmResult(Record):
    """One arm over its seeds."""

    id: str
    levels: dict[str, str]
    config: dict[str, Any]
    derived: dict[str, Any]
    estimates: dict[str, ArmEstimate]
    """Outcome to its mean over seeds."""
    verdicts: dict[VerdictName, int]
    """How many seeds ended so."""
    oracle_gap: float | None
    """Mean over seeds: ASR at the chosen checkpoint (the last one, which no answer chose) minus the lowest along the way,
    which only someone who knows the trigger could have picked."""


class EffectResult(Record):
    """A factor's effect on an outcome: a level against the factor's first one."""

    factor: str
    level: str
    against: str
    outcome: str
    contrast: Contrast
    flips: Flips | None
    """None where the factor has no other levels to flip across."""


class Strength(Record):
    """How strongly the two sides of a claim's contrast were planted."""

    claim: str
    level: float
    """Mean ASR before the removal, at the claim's level."""
    against: float
    differs: bool
    """Their paired difference has an interval without 0, or is larger than a twentieth."""


class Missing(Record):
    """A cell that there is no result of."""

    arm: str
    seed: int
    why: str
    log: str = ""
    """Where the failed step's log lies."""


class ParetoPoint(Record):
    """An arm's capability against what is left of its backdoor."""

    arm: str
    capability: float
    asr: float
    on_front: bool
    """No other arm is better in one and as good in the other."""
    on_hull: bool
    """On the convex hull, which mixes of arms would reach if they could be mixed."""


class StudyResult(Record):
    """What a study found."""

    schema_: Literal["molehunt.study/1"] = Field("molehunt.study/1", alias="schema")
    study: Study
    arms: tuple[ArmResult, ...]
    cells: tuple[CellResult, ...]
    claims: tuple[ClaimFinding, ...]
    contrasts: tuple[ContrastPlan, ...]
    """In what the arms of each claim differ, with what was counted in training."""
    strengths: tuple[Strength, ...]
    effects: tuple[EffectResult, ...]
    front: tuple[ParetoPoint, ...]
    optimism: Estimate | None = None
    """By how much the area under the hull overstates, in shares of the whole square."""
    missing: tuple[Missing, ...]
    limits: tuple[str, ...]
    prompts: int
    libraries: dict[str, str]
