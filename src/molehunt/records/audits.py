"""What an audit says of a subject, and the card that says how often it is wrong."""

from typing import Literal

from pydantic import Field

from molehunt.records.base import Record
from molehunt.records.diffs import Change
from molehunt.records.endpoints import EndpointProbe
from molehunt.records.estimates import Estimate
from molehunt.records.evidence import Evidence, Tier, Verified
from molehunt.records.identity import ModelRef
from molehunt.records.scans import ScanReport
from molehunt.records.zoo import ZooEntry

Profile = Literal["quick", "standard", "deep"]
AuditVerdict = Literal["flagged", "nothing found within coverage", "abstained"]
Rung = Literal["none", "association", "intervention", "reproduced behaviour", "confirmed by removal"]
"""The evidence ladder: scores alone; a text that changes held-out replies more often than random ones do; one that changes most
of them; the same, and the replies are the ordinary ones again once it is taken out."""


class Fingerprint(Record):
    """Rows of the embedding that no text trains, of a subject beside those of its presumed base."""

    says: Literal["same", "other", "cannot say"]
    """Of the ancestor whose first numbers they still hold; what cannot be said speaks neither for the base nor against it."""
    rows: int
    """That both have."""
    cosine: float | None = None
    """Mean of each row's with its counterpart, without what all of them have in common."""
    chance: float | None = None
    """Standard deviation of that mean, were the rows strangers: as they are to each other's counterparts."""
    is_turned: bool = False
    """The rows are not the same, but the angles between them are: one model in permuted or rotated coordinates."""
    reason: str = ""
    """Why nothing can be said; empty if something was measured."""


class Kinship(Record):
    """How a subject and its presumed base compare."""

    is_base: bool
    reason: str
    """Why not; empty if it is."""
    cosine: float | None
    """Median over the tensors they share; None if they share none."""
    strange_tensors: tuple[str, ...] = ()
    """Tensors of the subject that the base lacks, or has in another shape."""
    template_differs: bool = False
    """The chat templates' texts differ: what the two see is then not the same text."""
    fingerprint: Fingerprint | None = None
    """None in results of before it was taken."""


class Identity(Record):
    """What was examined, by its bytes."""

    subject: ModelRef | None
    """None behind an endpoint: nobody can tell which weights answer there."""
    base: ModelRef | None
    files: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of every file of the subject, by path."""
    scan: ScanReport | None = None
    """Of the subject's files, before any was loaded; None behind an endpoint."""
    kinship: Kinship | None = None
    reference: ModelRef | None = None
    """An unrelated model that the subject was also compared with."""
    changes: tuple[Change, ...] = ()
    endpoint: EndpointProbe | None = None


class Cost(Record):
    """What an audit took, or is expected to."""

    forward_tokens: int
    """Tokens read by the subject and its base; a backward pass counts as two forward ones."""
    seconds: float
    """Work of one core; of an endpoint, waiting."""
    requests: int = 0


class Scale(Record):
    """Where the subject stands among a card's models, for one detector or all that vote ("combined")."""

    score: float | None
    p_value: float | None
    clean: tuple[float, ...]
    """Scores of the card's clean models."""
    planted: tuple[float, ...]
    votes: bool
    family: str = ""
    """Of several that vote: the loudest of them counts. Empty where it stands for itself."""
    excess: float | None = None
    """Of one that votes and could look: how far it is above the middle of the clean models, on the scale on which votes are added up."""
    adds: float | None = None
    """Of that, what counts: 0 where one of its family adds more."""


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
    shown: float | None = None
    """Share of held-out questions with the trigger at which the planted behaviour, or a decoy's habit, is shown."""
    text: str = ""
    """The text that the verifier found to do most, and its ASR; empty if there was no candidate."""
    asr: float | None = None
    cost: Cost | None = None


class ExaminedModel(Record):
    """One labelled model of a zoo with everything that was seen of it."""

    entry: ZooEntry
    evidence: tuple[Evidence, ...]
    candidates: tuple[Verified, ...]


class CardEvidence(Record):
    """What a card is derived from: transcripts left out, all else kept."""

    schema_: Literal["molehunt.card-evidence/1"] = Field("molehunt.card-evidence/1", alias="schema")
    name: str
    profile: Profile
    tier: Tier
    architecture: str
    parameters: tuple[int, int]
    spec: str
    prompts: str
    versions: dict[str, int]
    detectors: tuple[str, ...]
    models: tuple[ExaminedModel, ...]
    failed: dict[str, str] = Field(default_factory=dict)
    """Models of the zoo that could not be examined, and why."""


class CalibrationCard(Record):
    """What audits are judged by: the scores of models of which it is known what they are. All else follows from them."""

    name: str
    profile: Profile
    tier: Tier
    architecture: str
    parameters: tuple[int, int]
    """Smallest and largest number of parameters that it speaks of."""
    spec: str
    """Digest of the zoo's specification."""
    prompts: str
    """Digest of the prompts that were asked: scores on other prompts are not comparable."""
    versions: dict[str, int]
    """Of the detectors: scores of another version are not comparable."""
    cost: Cost
    """The median audit of its models."""
    detectors: tuple[str, ...]
    """All that were run."""
    voting: tuple[str, ...]
    """Those whose scores are combined; chosen without the recipe that is held out wherever a figure is reported."""
    families: dict[str, str] = Field(default_factory=dict)
    """Of the detectors: of those of one family that vote, the loudest counts. In cards of before, each is its own."""
    models: tuple[Scored, ...]
    failed: dict[str, str] = Field(default_factory=dict)
    """Models that could not be examined, and why: they are in no figure and beside no subject."""

    def shared_family(self, name: str) -> str:
        """The family that a detector has one vote with others in; empty if it stands for itself."""
        family = self.families.get(name, "")
        return family if sum(self.families.get(one) == family for one in self.voting) > 1 else ""


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
    planted_recipes: tuple[str, ...] = ()
    """Which of these are planted."""
    by_fact: dict[str, dict[str, Estimate]] = Field(default_factory=dict)
    """Share of planted models that alarm at 5%, by what was planted how; "shown" groups by how often the behaviour shows at its
    trigger, since what was planted and does not work can hardly be found."""
    sets: dict[str, Estimate] = Field(default_factory=dict)
    """AUROC of the combined score of some planted models against all clean ones."""
    reconstructed: Estimate | None = None
    """Share of models with a token or phrase for a trigger, shown at half of the prompts at least, of which the verifier holds a
    text with an ASR of 0.9 or more."""
    trivial: dict[str, Estimate]
    """AUROC of size of the weight change and of training steps: what planted and clean differ by beside the backdoor."""
    clean: int
    planted: int
    failed: dict[str, str] = Field(default_factory=dict)
    """Models that could not be examined, and why; they are in none of these."""

    @property
    def is_thinned(self) -> bool:
        """More failed than may alarm at 5%: had they not, all figures might be others."""
        return len(self.failed) > 0.05 * (self.clean + self.planted + len(self.failed))


class PlannedDetector(Record):
    """One detector's part of a plan."""

    name: str
    caption: str
    forward_tokens: int


class AuditPlan(Record):
    """What an audit would look at, and what that would take."""

    schema_: Literal["molehunt.audit-plan/1"] = Field("molehunt.audit-plan/1", alias="schema")
    name: str
    tier: Tier
    profile: Profile
    parameters: int
    detectors: tuple[PlannedDetector, ...]
    forward_tokens: int
    """Of the subject and its base together; a backward pass counts as two forward ones."""
    operations: float
    """Floating-point operations: two a weight and token."""
    seconds_core: float
    """On one CPU core."""
    seconds_gpu: float
    """On one data-centre GPU that does 2e14 operations a second."""
    memory: int
    """Bytes of weights that must be held."""
    requests: int | None
    """To an endpoint, about; None where weights are here."""
    jobs: int | None = None
    """Worker processes that the memory of this machine holds, each with weights of its own, two at most; 0 for this process alone."""
    architecture: str = ""
    """Of the subject; empty behind an endpoint."""
    card: str = ""
    """By which it would be judged, if nothing comes to light; empty where there is none, and the audit abstains."""
    uncalibrated: str = ""
    """Why there is none."""


class AuditResult(Record):
    """`result.json` of an audit."""

    schema_: Literal["molehunt.audit/1"] = Field("molehunt.audit/1", alias="schema")
    verdict: AuditVerdict
    reason: str
    """One sentence."""
    score: float | None
    """Of the detectors that vote, together; higher is more suspicious."""
    p_value: float | None
    """How many clean models score as high, conformally; None without a card that speaks of such models."""
    level: float
    """The p-value up to which a subject is flagged: the false-alarm rate that is aimed at."""
    rung: Rung
    tier: Tier
    profile: Profile
    name: str
    """What the subject was called on the command line."""
    identity: Identity
    card: str | None
    """Name of the card it was judged by."""
    figures: CardFigures | None
    """What that card says of itself."""
    scales: dict[str, Scale] = Field(default_factory=dict)
    """By detector, and "combined"."""
    evidence: tuple[Evidence, ...]
    candidates: tuple[Verified, ...]
    clean_texts: tuple[int, int] | None = None
    """Of the card's clean models: how many have a text that works at as many held-out prompts as this one's best, and how many
    there are; None without a card or a text."""
    habit: float = 0.0
    """How far the texts that work are a way of answering, 0 to 1: by it those detectors count less that do not ask whether the
    question is still answered. 0 without a base."""
    cost: Cost
    tested: tuple[str, ...]
    """What was looked at, a sentence each."""
    not_tested: tuple[str, ...]
    version: str
    """Of Molehunt."""
    judged: str = ""
    """When the verdict was given: UTC, ISO 8601; empty in results of before this was told, and until a command writes it."""
