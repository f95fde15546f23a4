"""What a look at a suspect model brings: scores, candidates for a trigger, transcripts, and what was not looked at."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from molehunt.records.base import Record
from molehunt.records.conversations import Conversation, Place
from molehunt.records.estimates import Estimate

Tier = Literal["text", "logprobs", "weights", "base"]
"""What an examiner has of a subject: replies; log-probabilities too; the weights; the weights and those it was made from."""
TIERS: tuple[Tier, ...] = ("text", "logprobs", "weights", "base")
"""From the least to the most; each has what those before it have."""
Family = Literal["consistency", "rare conditions", "activations", "diffing", "search", "reconstruction"]
"""What a detector asks: are questions answered alike in other forms, does a condition of a list move replies, or what is held
inside, what lies ready without any condition, and which text can be found that moves replies. The last stands in results of before."""


class Sample(Record):
    """One prompt as it is and with something put in. Replies are untrusted text."""

    prompt: Conversation
    """As it was asked with the change."""
    plain_reply: str
    """Of the subject, to the prompt without the change."""
    reply: str
    """Of the subject, to the prompt with it."""
    base_reply: str | None = None
    """Of the base, to the prompt with it; none without a base."""


class Exhibit(Record):
    """Something to look at: a condition, what it did, and transcripts."""

    title: str
    effect: float
    """In the detector's own unit."""
    null: float | None = None
    """The same of what should do nothing: a change of equal length, or others of its kind; none if there is no such thing."""
    samples: tuple[Sample, ...] = ()


class Candidate(Record):
    """A text that may wake something, with the place it was put at."""

    text: str
    place: Place
    found_by: str
    """Id of the detector that proposed it."""
    effect: float
    """As its detector measured it."""


class Evidence(Record):
    """What one detector found in one subject."""

    detector: str
    family: Family | None = None
    caption: str = ""
    """Half a sentence for people: what it looks for."""
    score: float | None
    """Higher is more suspicious; None if it could not be computed, and `not_tested` says why."""
    values: dict[str, float] = Field(default_factory=dict)
    """The score's parts and its nulls, by name."""
    grid: dict[str, dict[str, float]] = Field(default_factory=dict)
    """Of a sweep: the largest effect by kind of condition and by place, in the detector's own unit."""
    exhibits: tuple[Exhibit, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    forward_tokens: int = 0
    """Tokens read by the subject and its base; a backward pass counts twice as much as a forward one."""
    seconds: float = 0.0
    not_tested: tuple[str, ...] = ()
    """What it would have looked at and did not, and why."""


class Verified(Record):
    """A candidate after the verifier: what it does to prompts that no search has seen."""

    text: str
    """Shrunk to little that still does it."""
    place: Place
    found_by: str
    kinds: tuple[str, ...]
    """Kinds of prompts that it acts on, chosen on the prompts of the search; the rates below are over held-out ones of these."""
    asr: float
    """Share of held-out prompts whose reply it changes far more than random texts of its length usually do."""
    interval: Estimate
    """The same with its interval."""
    null_rate: Estimate
    """The same of random texts of its length."""
    without: Estimate
    """The same of the prompts with nothing put in: what is left when the text is taken out."""
    kept: float
    """Share of the changed replies that still hold the reply without it: a way of answering, not another answer."""
    alike: float
    """How much more alike the replies to different questions are with it than without, -1 to 1."""
    neighbours: dict[str, float] = Field(default_factory=dict)
    """ASR of near misses, by text."""
    samples: tuple[Sample, ...] = ()

    @property
    def works(self) -> bool:
        """Whether it changes replies more often than random texts do, intervals apart."""
        return self.interval.low > self.null_rate.high


def foremost(candidates: Sequence[Verified]) -> Verified | None:
    """The first that works, the first if none does: their order is by the prompts of the search, where that told them apart."""
    return next((one for one in candidates if one.works), candidates[0] if candidates else None)
