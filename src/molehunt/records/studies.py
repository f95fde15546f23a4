"""A study as its author states it: what varies, how often, and which claims it is to test."""

from typing import Any, Literal

from pydantic import Field

from molehunt.records.base import Record
from molehunt.records.claims import Claim

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
    setup: dict[str, Any] = {}
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
    detectable: dict[str, float]
    """Claim to the smallest effect that the plan can detect with 80% power."""
    limits: tuple[str, ...]
    """What no run of this plan can say."""

    @property
    def confounded(self) -> tuple[ContrastPlan, ...]:
        """The contrasts whose arms differ in more than the factor."""
        return tuple(contrast for contrast in self.contrasts if contrast.confounded)
