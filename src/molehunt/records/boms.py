"""What goes into a bill of materials beside the model's own files."""

from molehunt.records.base import Record


class Metric(Record):
    """One measured number, by name."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    source: str = ""
    """The file it was read from."""
