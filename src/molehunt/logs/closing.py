"""Rewrite a closed segment as Parquet; run as a process of its own, so that the one that writes the log is not held up."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from molehunt.errors import LogError
from molehunt.logs.chain import SCHEMA as LOG_SCHEMA
from molehunt.logs.chain import Entry, parse
from molehunt.logs.columns import SCHEMA, entry_of, table_of
from molehunt.logs.events import CONTENT

ROWS = 5_000
"""Of a row group: what is held in memory at once."""


def rewrite(lines: Path, table: Path) -> None:
    """Rewrite an open segment's lines as zstd Parquet, on disk, renamed into place; the lines stay.

    Raises:
        LogError: if a line is no record, or the table cannot be written.
    """
    aside = table.with_name(f".{table.name}.{os.getpid()}")
    meta = {"molehunt.log": LOG_SCHEMA}
    try:
        with pq.ParquetWriter(aside, SCHEMA.with_metadata(meta), compression="zstd", compression_level=3) as writer:
            entries = read_lines(lines)
            while some := list(islice(entries, ROWS)):
                writer.write_table(table_of(some))
        with aside.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(aside, table)
    except OSError as error:
        raise LogError(f"log file {table}", wanted="room to write", got=error.strerror or str(error)) from error
    finally:
        aside.unlink(missing_ok=True)


def rewrite_apart(lines: Path, table: Path) -> None:
    """The same in a process of its own, of low priority. Raises LogError."""
    # -P: what lies in the working folder is not imported
    command = [sys.executable, "-P", "-m", "molehunt.logs.closing", str(lines), str(table)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["killed"])[-1]
        raise LogError(f"log file {table}", wanted="to be rewritten", got=last[:200])


def read_lines(lines: Path) -> Iterator[Entry]:
    """The records of an open segment, up to what is not whole yet. Raises LogError at a line that is no record."""
    with lines.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.endswith(b"\n"):
                return
            entry = parse(line[:-1].decode("utf-8", "replace"))
            if entry is None:
                raise LogError(f"log file {lines}, line {number}", wanted="a record", got="something else")
            yield entry


def read_table(table: Path) -> Iterator[Entry]:
    """The records of a closed segment. Raises LogError if it cannot be read."""
    return map(entry_of, read_rows(table, ["seq", "time", "event", "body", "prev", "hash", *CONTENT]))


def read_rows(table: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a closed segment, all columns unless some are named. Raises LogError if it cannot be read."""
    try:
        with pq.ParquetFile(table) as file:
            missing = set(columns or SCHEMA.names) - set(file.schema_arrow.names)
            if missing:
                raise ValueError(f"no column {min(missing)}")
            for batch in file.iter_batches(batch_size=ROWS, columns=columns):
                yield from batch.to_pylist()
    except (OSError, ValueError, KeyError, MemoryError, OverflowError, pa.ArrowException) as error:
        raise LogError(f"log file {table}", wanted="a closed segment", got=str(error)[:120]) from None


def file_sha256(path: Path) -> str:
    """SHA-256 of a file in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _main() -> None:
    os.nice(10)
    rewrite(Path(sys.argv[1]), Path(sys.argv[2]))


if __name__ == "__main__":
    _main()
