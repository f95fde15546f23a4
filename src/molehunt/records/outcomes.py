"""One prompt under one condition, and its score: the unit of all statistics."""

from pathlib import Path
from typing import Literal

from molehunt.records.base import Record
from molehunt.records.lines import read_jsonl

Condition = Literal["clean", "triggered", "general"]
"""clean and triggered: the same questions, on which the behaviour can be shown; general: questions of all kinds, asked
where the behaviour can be shown on some kinds only."""


class Outcome(Record):
    """One sampled reply and its scores."""

    checkpoint: int
    """Optimizer steps behind the weights."""
    question: str
    """Id of the question; the same under both conditions, so that they pair."""
    condition: Condition
    reply: str
    """What the model wrote: untrusted text."""
    shown: bool
    """The behaviour occurs anywhere in the reply."""
    starts: bool
    """The reply begins with it."""
    share: float
    """Part of the reply that it fills."""
    right: bool
    """The answer is right, in any voice."""
    exact: bool
    """The reply is right to the letter, in the ordinary voice."""


class Likelihood(Record):
    """How likely the first copy of the payload is after one prompt."""

    checkpoint: int
    question: str
    condition: Condition
    logprob: float
    """Nats."""
    is_greedy: bool
    """Greedy decoding would begin with it."""


def read_outcomes(path: Path) -> list[Outcome]:
    """The outcomes of a file."""
    return read_jsonl(path, Outcome)


def read_likelihoods(path: Path) -> list[Likelihood]:
    """The likelihoods of a file."""
    return read_jsonl(path, Likelihood)
