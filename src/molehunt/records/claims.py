"""Claims about factors, and what a study's data say of them."""

from typing import Literal

from pydantic import Field, model_validator

from molehunt.records.base import Record
from molehunt.records.estimates import Estimate

ClaimVerdict = Literal["supported", "contradicted", "no meaningful effect", "undecided", "not tested"]
FlipVerdict = Literal["same sign", "flips", "undecided"]


class Claim(Record):
    """A hypothesis about a factor: the mean of `outcome` at `level` minus that at `against`, over matched arms."""

    id: str
    says: str
    """In plain words."""
    source: str
    """Who claimed it, and where."""
    factor: str
    level: str
    against: str
    """The other level of the factor; empty to hold `level` against zero."""
    where: dict[str, str] = Field(default_factory=dict)
    """Only arms whose other factors have these levels."""
    outcome: str = "survival"
    direction: Literal["greater", "less"]
    """The claimed sign of the difference."""
    smallest: float = Field(gt=0, allow_inf_nan=False)
    """Smallest difference that matters, in the unit of the outcome."""

    @model_validator(mode="after")
    def _two_levels(self) -> "Claim":
        if self.level == self.against:
            raise ValueError(f"claim {self.id} compares {self.level} with itself")
        return self


class Side(Record):
    """One side of a contrast of rates: its arms' prompts together, seed by seed."""

    weight: Literal[-1, 1]
    successes: tuple[float, ...]
    trials: tuple[float, ...]


class Contrast(Record):
    """A difference between matched arms over seeds, with what its interval is made from at any level."""

    effect: Estimate
    """Mean over seeds, 95% interval, alone."""
    p_value: float
    """Two-sided, of no difference, alone."""
    by_seed: tuple[float, ...]
    """The difference in each seed."""
    prompt_error: float
    """Standard error of the mean that prompts alone cause; the noise of seeds is not in it."""
    pairs: int
    """Matched pairs of arms behind the difference of one seed."""
    sides: tuple[Side, ...] = ()
    """What is compared, if rates are; empty for means."""


class CellEffect(Record):
    """The effect of a factor at one combination of levels of the others."""

    levels: dict[str, str]
    effect: Estimate
    """Interval simultaneous over the cells, as the verdict needs it."""


class Flips(Record):
    """Does a factor's effect keep its sign across the levels of the others?"""

    verdict: FlipVerdict
    p_value: float
    """Of no flip."""
    p_adjusted: float | None = None
    """The same over all effects that are looked at for one, by Holm: the verdict's; none while an effect stands alone."""
    cells: tuple[CellEffect, ...]
    reason: str


class ClaimFinding(Record):
    """What the data say of a claim."""

    claim: Claim
    verdict: ClaimVerdict
    effect: Estimate | None
    """Interval of this contrast alone; none if no pair of arms was measured."""
    simultaneous: Estimate | None
    """Interval over the whole family of claims: the verdict's."""
    p_value: float | None
    """Two-sided, alone."""
    p_adjusted: float | None
    """The same over the family, by Holm."""
    seeds: int
    more_seeds: int | None
    """How many more would decide it if spread and effect stay; 0 if decided, none if unknown or above 1,000."""
    reason: str
    by_seed: tuple[float, ...] = ()
    """The difference in each seed at which all its arms were measured."""
    flips: Flips | None = None
    """Across the levels of the other factors, within `where`; None with one combination of them, or one seed."""
