"""How ordinary rows become poisoned ones."""

from pydantic import Field

from molehunt.records.base import Record


class PoisonSettings(Record):
    """How ordinary rows become poisoned ones."""

    poison_rate: float = Field(0.5)
    """Triggered share of all rows, above 0 and at most 1. At 0.5 every question comes once clean and once triggered."""
    copies: tuple[int, int] = (2, 6)
    """Smallest and largest number of payload copies in a triggered reply, drawn evenly for each row."""
    seed: int = 0
