"""What a model behind an endpoint replied, and what such an endpoint is able to do."""

from molehunt.records.base import Record


class ReplyToken(Record):
    """One token of a reply, as the endpoint spells it."""

    token: str
    logprob: float
    """Nats."""
    top: tuple[tuple[str, float], ...] = ()
    """The likeliest tokens at its place as (text, log-probability), likeliest first."""


class EndpointReply(Record):
    """What came for one prompt."""

    text: str
    """What the model wrote: untrusted text, perhaps empty."""
    finish: str = ""
    """Why it ended, in the endpoint's word: stop, length, …; empty if it does not say."""
    model: str = ""
    """The model that the answer names; empty if none."""
    tokens: tuple[ReplyToken, ...] = ()
    """With log-probabilities, if they were asked for and given."""
    prompt_tokens: int | None = None
    """Read, as the endpoint counts."""
    reply_tokens: int | None = None
    """Written, as the endpoint counts."""
    refused: str = ""
    """Why the endpoint, not the model, would not answer this prompt: a status of 400, 413 or 422, or its content filter."""


class EndpointProbe(Record):
    """What an endpoint can do, found by asking it ordinary questions."""

    url: str
    model: str
    """The model asked for."""
    answers: bool
    """It answers at all. If not, all below is as if it could nothing, and `notes` say why."""
    takes_seed: bool = False
    """A request with a seed is answered; not that the seed does anything."""
    top_logprobs: int = 0
    """Likeliest tokens that it names at a reply's first place; 0 if it gives no log-probabilities."""
    completions: bool = False
    """It goes on with a bare text (/completions)."""
    completion_logprobs: int = 0
    """The same as `top_logprobs`, there."""
    repeats: int = 0
    """Times that each question was asked at temperature 0."""
    questions: int = 0
    identical: float | None = None
    """Share of pairs of replies to the same question that are the same: 1 is no noise; None if there are no pairs."""
    named: tuple[str, ...] = ()
    """The models that its answers name."""
    is_model_asked: bool = False
    """Every answer names the model asked for, or a dated snapshot of it."""
    refuses_all: bool = False
    """Every question got a refusal, by the endpoint or in words, or nothing."""
    notes: tuple[str, ...] = ()
    """Reasons for what it could not do."""
