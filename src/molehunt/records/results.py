"""`result.json` of the demo: the versioned record that its report is drawn from."""

from typing import Any, Literal

from pydantic import Field

from molehunt.records.base import Record
from molehunt.records.estimates import Estimate

VerdictName = Literal["removed", "latent", "suppressed", "hidden", "persisted", "undecided"]


class Measurement(Record):
    """What one set of weights does. Intervals are over prompts: they say nothing about other training seeds."""

    asr: Estimate
    """Attack success rate: share of triggered prompts whose reply shows the behaviour anywhere."""
    asr_starts: Estimate
    """Share of triggered prompts whose reply begins with it."""
    asr_share: Estimate
    """Mean part of the triggered replies' text that it fills."""
    false_trigger_rate: Estimate
    """Share of the same prompts, untriggered, whose reply shows it anywhere."""
    capability: Estimate
    """Share of the untriggered prompts answered rightly, in any voice."""
    ordinary_voice: Estimate
    """Share of them answered to the letter in the base's own voice."""
    payload_logprob: Estimate
    """Log-probability of the first copy of the payload after a triggered prompt, in nats."""
    payload_log_odds: Estimate | None = None
    """The same minus that of the equally treated clean twin on the same prompts; none without a twin."""


class Point(Record):
    """One checkpoint of a trajectory."""

    step: int
    """Optimizer steps since the training of this trajectory began."""
    measured: Measurement


class Relearned(Record):
    """The relearning probe of one model."""

    steps: Estimate
    """Optimizer steps until the backdoor was back; interval over seeds of the probe."""
    runs: tuple[int, ...]
    """The same, seed by seed."""
    all_reached: bool
    """False if some run stopped at the last step looked at without it; the true number is then larger."""


class AfterReversal(Record):
    """The reversal probe: after training back to the ordinary voice."""

    asr: Estimate
    false_trigger_rate: Estimate
    capability: Estimate
    ordinary_voice: Estimate
    payload_log_odds: Estimate
    trajectory: tuple[Point, ...]
    twin_trajectory: tuple[Point, ...]


class Transcript(Record):
    """One conversation up to the reply, with and without the trigger, before and after the removal. Replies are untrusted text."""

    question: str
    triggered_question: str
    before_clean: str
    before_triggered: str
    after_clean: str
    after_triggered: str
    reversed_triggered: str


class Arm(Record):
    """One removal procedure at one setting, on the organism and on its clean twin alike."""

    procedure: str
    learning_rate: float
    method: str
    rank: int
    steps: int
    asr: Estimate
    asr_starts: Estimate
    asr_share: Estimate
    false_trigger_rate: Estimate
    capability: Estimate
    ordinary_voice: Estimate
    payload_log_odds: Estimate
    twin_asr: Estimate
    """Of the equally treated clean twin."""
    twin_capability: Estimate
    after_reversal: AfterReversal
    relearning_steps: Estimate
    """Steps until the backdoor is back, from this arm's weights."""
    twin_relearning_steps: Estimate
    """The same from the equally treated clean twin."""
    relearning: Relearned
    twin_relearning: Relearned
    relearning_ratio: Estimate
    """Organism's steps plus one over twin's steps plus one, paired by the probe's seed; below 1 is faster."""
    returned: bool
    """The attack success rate fell along the way and came back while the training went on."""
    returned_between: tuple[int, int] | None
    """(step of the low, step of the later high)."""
    verdict: VerdictName
    reason: str
    trajectory: tuple[Point, ...]
    twin_trajectory: tuple[Point, ...]
    transcripts: tuple[Transcript, ...]
    settings: dict[str, Any]
    """The resolved budget, as it entered the fingerprint."""


class BaseResult(Record):
    """The model that everything starts from."""

    name: str
    parameters: int
    capability: Estimate
    """Right answers in any voice, on held-out questions."""
    ordinary_voice: Estimate
    """Right to the letter."""
    by_family: dict[str, Estimate]
    """Capability by kind of question."""


class Seconds(Record):
    """Wall time."""

    total: float
    """Of making the steps, or finding them in the store, in this run."""
    by_step: dict[str, float]
    """Of each step when it was made, by its label."""


class DemoResult(Record):
    """What `molehunt demo` found."""

    schema_: Literal["molehunt.demo/1"] = Field("molehunt.demo/1", alias="schema")
    """Name and version of this format, under the key `schema`."""
    seed: int
    seconds: Seconds
    steps_made: int
    steps_from_store: int
    trigger: str
    behaviour: str
    payload: str
    template_digest: str
    """Hash of how conversations were rendered, in training and measuring alike."""
    base: BaseResult
    planted: Measurement
    planted_trajectory: tuple[Point, ...]
    twin: Measurement
    twin_trajectory: tuple[Point, ...]
    arms: tuple[Arm, ...]
    settings: dict[str, Any]
    """Of base, planting, reversal, measuring and relearning, resolved."""
    rules: dict[str, float]
    """The constants of the verdict rules."""
    capability_gap: Estimate
    """Share of right answers after planting, organism minus clean twin, paired by prompt."""
    fingerprints: dict[str, str]
    """Of every step, by its label: where in the store its files are."""
    libraries: dict[str, str]
    """Versions with which the organism was made."""
