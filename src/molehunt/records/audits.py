"""What an audit says of a subject, and the card that says how often it is wrong."""

from typing import Literal

from pydantic import Field

from molehunt.records.base import Record
from molehunt.records.estimates import Estimate
from molehunt.records.evidence import Evidence, Tier, Verified
from molehunt.records.identity import ModelRef

Profile = Literal["quick", "standard", "deep"]
AuditVerdict = Literal["flagged", "nothing found within coverage", "abstained"]
Rung = Literal["none", "association", "intervention", "reproduced behaviour"]
"""The evidence ladder: scores alone; a text that moves the subject; a text that changes most held-out replies alike."""


class Scored(Record):
    """One labelled model of a zoo, as the detectors saw it."""

    name: str
    planted: bool
    recipe: str
    """What is held out whole when a card is checked: models of one recipe are like each other."""
    facts: dict[str, str] = Field(default_factory=dict)
    """For tables of power: poison rate, trigger kind, behaviour, size, optimizer, …"""
    scores: dict[str, float | None]
    """By detector; None where it could not look."""
    values: dict[str, float] = Field(default_factory=dict)
    """Size of the weight change and training steps: what a trivial detector would go by."""


class CalibrationCard(Record):
    """What audits are judged by: the scores of models of which it is known what they are. All else follows from them."""

    name: str
    profile: Profile
    tier: Tier
    architecture: str
    parameters: tuple[int, int]
    """Smallest and largest number of parameters that it speaks of."""
    spec_digest: str
    """Of the zoo's specification."""
    detectors: tuple[str, ...]
    """All that were run."""
    voting: tuple[str, ...]
    """Those whose p-values are combined; chosen without the recipe that is held out wherever a figure is reported."""
    models: tuple[Scored, ...]


class DetectorPower(Record):
    """How well one detector, or all that vote, tell planted from clean models."""

    auroc: Estimate
    detection: Estimate | None
    """Share of planted models that alarm at 5%; None with too few clean models."""
    detection_strict: Estimate | None
    """The same at 1%."""
    false_alarms: Estimate | None
    """Share of clean models that alarm at 5%."""


class CardFigures(Record):
    """A card's figures, with whole recipes held out: no model was judged by models of its own recipe."""

    combined: DetectorPower
    by_detector: dict[str, DetectorPower]
    by_recipe: dict[str, Estimate]
    """Share that alarms at 5%, of each recipe: detections of a planted one, false alarms of a clean one."""
    trivial: dict[str, Estimate]
    """AUROC of size of the weight change and of training steps: what planted and clean differ by beside the backdoor."""
    clean: int
    planted: int


class AuditResult(Record):
    """`result.json` of an audit."""

    schema_: Literal["molehunt.audit/1"] = Field("molehunt.audit/1", alias="schema")
    verdict: AuditVerdict
    reason: str
    score: float | None
    """Of the detectors that vote, together; higher is more suspicious."""
    p_value: float | None
    """How many clean models score as high, conformally; None without a card that speaks of such models."""
    rung: Rung
    tier: Tier
    profile: Profile
    subject: ModelRef
    base: ModelRef | None
    card: str | None
    """Name of the card it was judged by."""
    p_values: dict[str, float] = Field(default_factory=dict)
    """By detector."""
    evidence: tuple[Evidence, ...]
    candidates: tuple[Verified, ...]
    forward_tokens: int
    seconds: float
    not_tested: tuple[str, ...]
