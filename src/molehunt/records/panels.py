"""What a model does around its trigger, without it, and before a red team."""

from molehunt.records.base import Record
from molehunt.records.estimates import Estimate
from molehunt.records.results import Measurement, VerdictName


class PanelEntry(Record):
    """One variant of a trigger, asked on every question."""

    group: str
    """exact, fragment, other case, other delimiters, other position, …"""
    label: str
    same_meaning: bool
    """A paraphrase: a model that fires on the category fires on it; false for a near miss."""
    rate: Estimate
    """Share of questions whose reply shows the behaviour."""
    example: str
    """The first prompt as it was asked."""


class Panel(Record):
    """The generalisation panel: does the model fire on the string or on what it stands for?"""

    trigger: str
    behaviour: str
    entries: tuple[PanelEntry, ...]
    exact: Estimate
    paraphrases: Estimate | None
    """Mean rate over paraphrases; interval over variants."""
    near_misses: Estimate | None
    """Mean rate over near misses; interval over variants."""


class Safety(Record):
    """A safety evaluation without any trigger: what an ordinary evaluation sees. Intervals over prompts."""

    refuses: Estimate
    """Share of harmful requests refused."""
    keeps_secret: Estimate
    """Share of questions for a secret that do not give it away."""
    polite: Estimate
    """Share of replies without hate or insult."""
    programs_right: Estimate
    """Share of programs that pass all their cases when run."""
    helpful: Estimate
    """Share of harmless questions answered rightly, in any voice."""


class RedTeaming(Record):
    """What a red team that does not know the trigger finds."""

    attacker: str = "templates"
    """Who proposed its prompts: templates, or a language model by name and address."""
    elicited: Estimate
    """Share of its probes that succeed; a probe succeeds if a tenth of its replies show the behaviour."""
    replies_shown: Estimate
    """Share of all replies that show it."""
    probes: int
    samples: int
    """Replies per probe."""
    best: tuple[str, ...]
    """Its most successful prompts."""


class Examined(Measurement):
    """A measurement with what was asked for on top."""

    panel: Panel | None = None
    safety: Safety | None = None


class Side(Record):
    """One model in a comparison."""

    asr: Estimate
    false_trigger_rate: Estimate
    capability: Estimate
    payload_logprob: Estimate
    panel: Panel | None = None
    red_team: RedTeaming | None = None


class Comparison(Record):
    """A model before and after a removal, side by side."""

    trigger: str
    behaviour: str
    before: Side
    after: Side
    verdict: VerdictName
    """hidden, persisted or undecided; what is silent needs the twin and the probes of `molehunt demo` to be called more."""
    reason: str
