"""Rows as both hunts read them, several times over: on disk in shards, in memory a batch at a time."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from molehunt.errors import DataError
from molehunt.hunting.words import BATCH_BYTES, SEP, Ints, rising
from molehunt.records.base import Record

COLUMNS = ("text", "meta", "answer", "aside", "did", "session", "stratum", "who", "where")
"""All are strings; `time` comes with them, in microseconds since 1970 in UTC, 0 if unknown.

text: the input's messages, `SEP` and the role's letter before each. meta: name=value, `SEP` before each. answer. aside: the
rejected reply of a pair, or the reasoning of a call. did: tools called, hosts, decisions, complaints, `SEP` before each.
session: what belongs together; empty if nothing says so. stratum: rows are compared within it. who: contributor or client.
where: FILE:LINE, or SEGMENT:HASH.
"""
_SHARD_BYTES = 32 * 2**20
_CLIP = 2**15
"""Characters kept of either end of a very long text."""


def clipped(text: str) -> str:
    """A text without the marks we set ourselves; of a very long one, both ends."""
    if len(text) > 2 * _CLIP:
        text = f"{text[:_CLIP]} {text[-_CLIP:]}"
    return text.replace(SEP, " ").replace("\0", " ")


def schema() -> Any:
    """Of the shards."""
    import pyarrow as pa

    return pa.schema([*((name, pa.string()) for name in COLUMNS), ("time", pa.int64())])


class Shard(Record):
    """One file of rows."""

    name: str
    first: int
    """Number of its first row."""
    rows: int
    sizes: tuple[int, ...]
    """Rows of each of its batches."""


class RowWriter:
    """Writes rows into shards; closing it makes the folder readable."""

    def __init__(self, folder: Path, prefix: str = "rows") -> None:
        self.folder, self.prefix = folder, prefix
        self.shards: list[Written] = []
        self._held: list[tuple[Any, ...]] = []
        self._bytes = self._written = 0
        self._sizes: list[int] = []
        self._file: Any = None
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, row: tuple[Any, ...]) -> None:
        """One row, values in the order of `COLUMNS` and the time last."""
        self._held.append(row)
        self._bytes += len(row[0]) + 1
        if self._bytes >= BATCH_BYTES or len(self._held) >= 4096:
            self._flush()

    def add_table(self, table: Any) -> None:
        """Rows that are in Arrow already."""
        import pyarrow.compute as pc

        self._flush()
        size = int(pc.sum(pc.binary_length(table.column("text"))).as_py() or 0)
        step = max(1, int(table.num_rows * BATCH_BYTES / max(BATCH_BYTES, size)))
        for start in range(0, table.num_rows, step):
            for batch in table.slice(start, step).combine_chunks().to_batches():
                self._write(batch, size * batch.num_rows // max(1, table.num_rows))

    def _flush(self) -> None:
        if self._held:
            import pyarrow as pa

            columns = list(zip(*self._held, strict=True))
            arrays = [_strings(values) for values in columns[:-1]]
            self._write(pa.record_batch([*arrays, pa.array(columns[-1], pa.int64())], schema=schema()), self._bytes)
            self._held, self._bytes = [], 0

    def _write(self, batch: Any, size: int) -> None:
        import pyarrow as pa

        if self._file is None:
            name = f"{self.prefix}-{len(self.shards):05d}.arrow"
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._file = pa.ipc.new_file(str(self.folder / name), schema(), options=options)
            self._name, self._written, self._sizes = name, 0, []
        self._file.write_batch(batch)
        self._sizes.append(batch.num_rows)
        self._written += size
        if self._written >= _SHARD_BYTES:
            self._end()

    def _end(self) -> None:
        if self._file is not None:
            self._file.close()
            self.shards.append((self._name, self._sizes))
            self._file = None

    def close(self) -> list["Written"]:
        """All shards."""
        self._flush()
        self._end()
        return self.shards


def _strings(values: Sequence[str]) -> Any:
    import pyarrow as pa

    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        return pa.array([value.encode("utf-8", "replace").decode() for value in values], pa.string())


Written = tuple[str, Sequence[int]]
"""(name, rows of each batch) of a shard."""


def index_shards(folder: Path, written: Iterable[Written]) -> "Rows":
    """Make the written shards one collection.

    Raises:
        DataError: if there are no rows.
    """
    shards, first = [], 0
    for name, sizes in written:
        shards.append(Shard(name=name, first=first, rows=sum(sizes), sizes=tuple(sizes)))
        first += sum(sizes)
    if not first:
        raise DataError(f"rows in {folder}", wanted="at least one row", got="none")
    text = json.dumps([shard.model_dump() for shard in shards])
    (folder / "index.json").write_text(text, encoding="utf-8")
    return Rows(folder)


class Rows:
    """A folder of shards, with row numbers from 0."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shards = [Shard.model_validate(one) for one in json.loads((folder / "index.json").read_text("utf-8"))]
        self.count = sum(shard.rows for shard in self.shards)

    def batches(
        self, shard: Shard, columns: Sequence[str] = (), holding: Ints | None = None
    ) -> Iterator[tuple[int, Any]]:
        """(number of the first row, Arrow batch), in order.

        Args:
            holding: rows, rising; batches that hold none of them are not read.
        """
        import pyarrow as pa

        wanted = [schema().get_field_index(name) for name in columns] or None
        first = shard.first
        with pa.OSFile(str(self.folder / shard.name)) as source:
            options = pa.ipc.IpcReadOptions(included_fields=wanted, use_threads=False)
            reader = pa.ipc.open_file(source, options=options)
            for number, size in enumerate(shard.sizes):
                if holding is None or np.diff(np.searchsorted(holding, [first, first + size]))[0]:
                    yield first, reader.get_batch(number)
                first += size

    def take(self, numbers: Ints, columns: Sequence[str] = ()) -> Any:
        """An Arrow table of these rows, in the order of their numbers."""
        import pyarrow as pa

        numbers = rising(numbers)
        parts = []
        for shard in self.shards:
            low, high = np.searchsorted(numbers, [shard.first, shard.first + shard.rows])
            if low == high:
                continue
            for first, batch in self.batches(shard, columns, numbers[low:high]):
                here = np.searchsorted(numbers, [first, first + batch.num_rows])
                parts.append(batch.take(pa.array(numbers[here[0] : here[1]] - first)))
        fields = [schema().field(name) for name in columns] or list(schema())
        return pa.Table.from_batches(parts) if parts else pa.schema(fields).empty_table()


def in_batches(table: Any) -> Iterator[Any]:
    """A table as batches of a size that is worked on at once."""
    import pyarrow.compute as pc

    size = int(pc.sum(pc.binary_length(table.column("text"))).as_py() or 0)
    step = max(1, int(table.num_rows * BATCH_BYTES / max(BATCH_BYTES, size)))
    for start in range(0, table.num_rows, step):
        yield from table.slice(start, step).combine_chunks().to_batches()
