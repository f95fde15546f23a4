"""How much of a folder a scan reads, and for how long; what is longer is not analysed."""

from pydantic import Field

from molehunt.records.base import Record

_MIB = 1 << 20


class Limits(Record):
    """Bounds of one scan. Bytes, seconds of the clock."""

    files: int = Field(20_000, ge=1)
    """In the whole folder."""
    text_bytes: int = Field(96 * _MIB, ge=1)
    """Of one JSON, text or tokenizer file."""
    template_chars: int = Field(200_000, ge=1)
    """Of one chat template."""
    weights_bytes: int = Field(4 << 40, ge=1)
    """Of all weights whose numbers are looked at."""
    unrelated_bytes: int = Field(256 * _MIB, ge=0)
    """Of all files that are not fit to load anyway: so much of them is hashed."""
    archive_bytes: int = Field(256 * _MIB, ge=1)
    """Of what one archive unpacks to, in memory, all nested ones together."""
    archive_members: int = Field(20_000, ge=1)
    archive_depth: int = Field(4, ge=1)
    seconds: float = Field(30.0, gt=0)
    """For one chat template or one pickle, in a process apart."""
    memory_bytes: int = Field(2 << 30, ge=1 << 27)
    """Address space of that process."""
    output_chars: int = Field(2_000_000, ge=1)
    """Of one rendered conversation."""
