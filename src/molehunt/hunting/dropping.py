"""A cleaned copy of a data set: what was found is left out, and a ledger says what went and why."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from molehunt.errors import DataError, UsageError
from molehunt.records.hunts import DataScan, Suspect
from molehunt.world.sources import find_source


def check_new(out: Path) -> Path:
    """Where the ledger of a copy goes. Raises UsageError if it or the copy is there already, or has no folder to lie in."""
    ledger = out.with_name(out.name + ".ledger.jsonl")
    for path in (out, ledger):
        if path.exists():
            raise UsageError(f"--drop {path}", wanted="a new file", got="one that exists", do="name another")
    if not out.parent.is_dir():
        raise UsageError(f"--drop {out}", wanted="a file in a folder", got=f"no folder {out.parent}", do="make it")
    return ledger


def drop_rows(scan: DataScan, out: Path, least: float = 0.5, split: str = "train") -> int:
    """Write the data set without its suspect rows to `out`, and `out`.ledger.jsonl beside it; returns how many went.

    JSON lines stay byte for byte as they are, Parquet stays Parquet with its columns; anything else becomes JSON lines. Both files
    appear whole or not at all; the input is only read.

    Args:
        least: rows whose chance is lower are kept, for people to read.

    Raises:
        UsageError: if `out` exists, the input included.
        DataError: if the input cannot be read.
    """
    ledger = check_new(out)
    gone = {int(one.where.rpartition(":")[2]): one for one in scan.queue if one.chance >= least}
    partial, told = out.with_name(out.name + ".partial"), ledger.with_name(ledger.name + ".partial")
    try:
        with told.open("w", encoding="utf-8") as book:
            for number, digest in _copy(scan.path, partial, gone, split):
                book.write(json.dumps(_entry(scan, gone[number], digest), ensure_ascii=False) + "\n")
            _sync(book)
        os.replace(told, ledger)
        os.replace(partial, out)
    finally:
        partial.unlink(missing_ok=True)
        told.unlink(missing_ok=True)
    return len(gone)


def _entry(scan: DataScan, one: Suspect, digest: str) -> dict[str, Any]:
    association = scan.finds[one.find].association
    conditions = [condition.sentence() for condition in association.conditions]
    return {
        "where": one.where, "sha256": digest, "chance": round(one.chance, 4), "conditions": conditions, "label": association.label,
        "labels": one.labels, "contributor": one.who,
    }  # fmt: skip


def _sync(stream: Any) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def _copy(place: str, out: Path, gone: Mapping[int, Suspect], split: str) -> Iterator[tuple[int, str]]:
    """(number, SHA-256) of every row left out, as it is left out."""
    path = Path(place)
    head = _head(path)
    if head == b"PAR1":
        yield from _copy_parquet(path, out, gone)
    elif path.is_file() and head[:2] != b"\x1f\x8b" and head != b"\x28\xb5\x2f\xfd" and _is_lines(path):
        with path.open("rb") as source, out.open("wb") as target:
            yield from _copy_lines(source, target, gone)
            _sync(target)
    else:
        with out.open("w", encoding="utf-8") as target:
            for number, found in find_source(place, split).objects():
                line = json.dumps(found, ensure_ascii=False, default=str)
                if number in gone:
                    yield number, hashlib.sha256(line.encode()).hexdigest()
                else:
                    target.write(line + "\n")
            _sync(target)


def _head(path: Path) -> bytes:
    if not path.is_file():
        return b""
    with path.open("rb") as stream:
        return stream.read(4)


def _is_lines(path: Path) -> bool:
    with path.open("rb") as stream:
        return not stream.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")


def _copy_lines(source: BinaryIO, target: BinaryIO, gone: Mapping[int, Suspect]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(source, 1):
        if number in gone:
            yield number, hashlib.sha256(line).hexdigest()
        else:
            target.write(line)


def _copy_parquet(path: Path, out: Path, gone: Mapping[int, Suspect]) -> Iterator[tuple[int, str]]:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile, ParquetWriter

    first = 1
    try:
        with ParquetFile(path) as source, ParquetWriter(out, source.schema_arrow, compression="zstd") as target:
            for batch in source.iter_batches(batch_size=4096):
                kept = [first + i not in gone for i in range(batch.num_rows)]
                for i in (i for i, keep in enumerate(kept) if not keep):
                    text = json.dumps(batch.slice(i, 1).to_pylist()[0], ensure_ascii=False, default=str)
                    yield first + i, hashlib.sha256(text.encode()).hexdigest()
                target.write_batch(batch.filter(pa.array(kept)))
                first += batch.num_rows
    except pa.ArrowException as error:
        raise DataError(f"data {path}", wanted="a whole Parquet file", got=str(error)[:200]) from None
