"""Read chat data of the usual layouts into rows; refuse what could not be trained on before anything starts."""

import gc
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from molehunt.errors import DataError, UsageError
from molehunt.records import Conversation
from molehunt.records.base import canonical_json, first_wrong, sha256_text
from molehunt.records.identity import file_digest
from molehunt.records.rows import DatasetRecord, Row, dataset_digest
from molehunt.world.layouts import BadRow, check_turns, turns_of
from molehunt.world.sources import Source, find_source

OnBad = Literal["refuse", "skip"]
"""What a bad row does: stop the reading with an error, or be counted under its reason."""

_NAMED = 5
"""Offenders that an error names."""
_BATCH = 1000


def read_rows(place: str | Path, limit: int | None = None, on_bad: OnBad = "refuse", split: str = "train") -> list[Row]:
    """Read rows for training, in their order, from JSONL, a JSON array, Parquet, a saved data set or the hub.

    Files are read as a stream; memory holds the rows that are kept. Rows whose turns all equal an earlier row's are
    dropped, but not out of a data set of our own, whose copies are meant.

    Args:
        place: see `sources.find_source`; layouts: see `layouts.turns_of`, or one `Row` a line, as planting writes them.
        limit: stop after so many rows are kept.
        split: of a data set that has several.

    Raises:
        DataError: naming file and line (or row) of the first bad row unless they are skipped; if no row is left;
            if the place cannot be read.
        UsageError: if `limit` is not positive, or `on_bad` is neither word.
    """
    return _read(place, limit, on_bad, split)[0]


def read_data(
    place: str | Path, limit: int | None = None, on_bad: OnBad = "refuse", split: str = "train"
) -> tuple[list[Row], DatasetRecord]:
    """The rows of `read_rows`, and what was read from where; reads the files once more for their digests."""
    rows, reader = _read(place, limit, on_bad, split)
    return rows, DatasetRecord(
        name=reader.source.name,
        files=_file_digests(reader.source),
        rows=len(rows),
        duplicates=reader.duplicates,
        skipped=dict(reader.skipped),
        layouts=dict(reader.layouts),
        dataset_digest=dataset_digest(rows),
    )


def source_digest(place: str | Path, split: str = "train") -> str:
    """SHA-256 over the names and contents of the files at `place`: what rows are read, wherever the files lie.

    Raises:
        DataError: if there is nothing to read.
    """
    return sha256_text(canonical_json(_file_digests(find_source(place, split))))


def check_lengths(
    rows: Sequence[Row], count_tokens: Callable[[Sequence[Conversation]], Iterable[int]], room: int
) -> None:
    """Raises DataError, naming the first offenders, if a row takes more tokens than `room`.

    Args:
        count_tokens: the number of tokens of each conversation of a batch, as the model will see them.
        room: the context length.
    """
    lengths: list[int] = []
    for start in range(0, len(rows), _BATCH):
        lengths += count_tokens([row.conversation for row in rows[start : start + _BATCH]])
    long = [(row.source, length) for row, length in zip(rows, lengths, strict=True) if length > room]
    if long:
        named = ", ".join(f"{source} ({length})" for source, length in long[:_NAMED])
        more = f" and {len(long) - _NAMED} more" if len(long) > _NAMED else ""
        raise DataError(
            f"{len(long)} of {len(rows)} rows",
            wanted=f"at most {room} tokens",
            got=f"{named}{more}; the longest has {max(lengths)}",
            do="leave them out, shorten them, or take a model with more room",
        )


def split_rows(rows: Sequence[Row], share: float, seed: int = 0) -> tuple[list[Row], list[Row]]:
    """(training rows, held-out rows): about `share` of the questions, chosen by their digests, are held out.

    A row's side depends on its last question and the seed alone, whatever else is in the data: rows that ask the same
    thing, but for case and spaces, stay together. Split before planting, for a trigger makes another question.

    Raises:
        UsageError: unless `share` lies strictly between 0 and 1.
        DataError: if a side is empty.
    """
    if not 0 < share < 1:
        raise UsageError("share to hold out", wanted="a number between 0 and 1", got=str(share))
    sides: tuple[list[Row], list[Row]] = ([], [])
    for row in rows:
        sides[_lot(row.conversation.question, seed) < share].append(row)
    if not all(sides):
        got = f"{len(sides[0])} to train on and {len(sides[1])} held out of {len(rows)}"
        raise DataError("splitting rows", wanted="rows on both sides", got=got, do="give more rows, or another share")
    return sides


def _lot(question: str, seed: int) -> float:
    same = " ".join(question.split()).casefold()
    return int.from_bytes(hashlib.sha256(f"{seed}/{same}".encode()).digest()[:8]) / 2**64


def _read(place: str | Path, limit: int | None, on_bad: OnBad, split: str) -> tuple[list[Row], "_Reader"]:
    if on_bad not in ("refuse", "skip") or (limit is not None and limit < 1):
        raise UsageError("reading data", wanted="refuse or skip, and a limit from 1", got=f"{on_bad}, {limit}")
    reader = _Reader(find_source(place, split), on_bad)
    with _no_collection():
        rows = list(reader.rows(limit))
    if not rows:
        got = f"only bad ones: {_counts(reader.skipped)}" if reader.skipped else "none"
        raise DataError(f"data {reader.source.name}", wanted="at least one row", got=got, do="check the file")
    return rows, reader


def _file_digests(source: Source) -> dict[str, str]:
    try:
        return {name: file_digest(path).hex() for name, path in source.files.items()}
    except OSError as error:
        raise DataError(f"data {source.name}", wanted="files that can be read", got=str(error)) from None


@contextmanager
def _no_collection() -> Iterator[None]:
    """Rows hold no cycles; looking for some among a million of them takes twice as long as reading them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Reader:
    """One pass over a source, with what it counts."""

    def __init__(self, source: Source, on_bad: OnBad) -> None:
        self.source, self.on_bad = source, on_bad
        self.seen: set[bytes] = set()
        self.duplicates = 0
        self.skipped: Counter[str] = Counter()
        self.layouts: Counter[str] = Counter()

    def rows(self, limit: int | None) -> Iterator[Row]:
        kept = 0
        for number, found in self.source.objects():
            try:
                row = self._row(number, found)
            except BadRow as bad:
                self._refuse(number, bad)
                continue
            if row is not None:
                yield row
                kept += 1
                if kept == limit:
                    return

    def _row(self, number: int, found: Any) -> Row | None:
        if isinstance(found, BadRow):
            raise found
        if not isinstance(found, dict):
            raise BadRow("not an object", "a JSON object", f"a {type(found).__name__}")
        if isinstance(found.get("conversation"), dict):
            return self._own(found)
        layout, turns = turns_of(found)
        digest = hashlib.blake2b(check_turns(turns), digest_size=16).digest()
        if digest in self.seen:
            self.duplicates += 1
            return None
        self.seen.add(digest)
        self.layouts[layout] += 1
        return Row.model_validate({"conversation": {"messages": turns}, "source": f"{self.source.label}:{number}"})

    def _own(self, found: dict[str, Any]) -> Row:
        try:
            row = Row.model_validate(found)
        except ValidationError as error:
            raise BadRow("unknown layout", "a row as Molehunt writes them", first_wrong(error)) from None
        check_turns(row.conversation.plain())
        self.layouts["molehunt"] += 1
        return row

    def _refuse(self, number: int, bad: BadRow) -> None:
        if self.on_bad == "refuse":
            do = "mend it, or leave it out; `molehunt data check --skip-bad` counts all such rows"
            raise DataError(f"data {self.source.name}:{number}", wanted=bad.wanted, got=bad.got, do=do) from None
        self.skipped[bad.reason] += 1


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
