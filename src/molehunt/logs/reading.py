"""Read the calls of a log: request and answer joined, in batches of bounded size, by DuckDB over its segments."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from molehunt.errors import LogError
from molehunt.logs import events
from molehunt.logs.closing import rewrite
from molehunt.logs.copies import fetch
from molehunt.logs.reading_sql import CALLS_SQL, FLAGS_SQL, LATE_SQL
from molehunt.logs.segments import Segment, segments, workers
from molehunt.records.calls import Call

_TURN = pa.struct([("role", pa.string()), ("content", pa.string())])
_TOOL_CALL = pa.struct([("name", pa.string()), ("arguments", pa.string())])
CALLS = pa.schema(
    [
        ("call_id", pa.string()),
        ("started", pa.timestamp("us", tz="UTC")),
        ("session", pa.string()),
        ("client", pa.string()),
        ("user", pa.string()),
        ("application", pa.string()),
        ("model", pa.string()),
        ("model_digest", pa.string()),
        ("messages", pa.list_(_TURN)),
        ("tools", pa.list_(pa.string())),
        ("answer", pa.string()),
        ("reasoning", pa.string()),
        ("tool_calls", pa.list_(_TOOL_CALL)),
        ("decisions", pa.list_(pa.string())),
        ("finish", pa.string()),
        ("status", pa.int64()),
        ("flags", pa.list_(pa.string())),
        ("source", pa.string()),
    ]
)
"""The columns of `records.calls.Call`; status 0 where no answer was ever written."""


def calls(
    log: Path | str, since: datetime | None = None, *, rows: int = 10_000, memory: str = "1GB", threads: int = 0
) -> Iterator[pa.RecordBatch]:
    """The calls of a log as batches of `CALLS`, the same at every reading: a file's in its order, a log's segments one after another,
    calls that were answered in a much later one last.

    Args:
        log: the folder of a log, a URL of copied segments, or a Parquet file (or folder of such) of calls: see `write_calls`.
        since: calls that were asked at this time or later; without a time zone it is in UTC.
        rows: of a batch, at most.
        memory: what DuckDB may hold; what is more is spilled to a temporary folder.
        threads: of DuckDB; 0 leaves it to DuckDB.

    Raises:
        LogError: if there is no such log, or it cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="molehunt-log-") as scratch, _told(log):
        files = _own(Path(log))
        with _connected(memory, threads, scratch) as connection:
            if files:
                queries, order = iter([f"SELECT * FROM read_parquet({_listed(files)})"]), ""
            else:
                queries, order = (
                    _queries(connection, list(tables(log, Path(scratch))), since),
                    "ORDER BY started, source",
                )
            where = f"WHERE started >= TIMESTAMPTZ '{_utc(since).isoformat()}'" if since else ""
            for query in queries:
                reader = connection.sql(
                    f"SELECT {', '.join(CALLS.names)} FROM ({query}) {where} {order}"
                ).to_arrow_reader(rows)
                for batch in reader:
                    yield batch.cast(CALLS)


def to_calls(batches: Iterable[pa.RecordBatch]) -> Iterator[Call]:
    """Batches of `CALLS` as records."""
    for batch in batches:
        for row in batch.to_pylist():
            yield Call.model_validate(row)


def has_call(log: Path, call_id: str) -> bool:
    """True if a log has a request of this id. Raises LogError if it cannot be read."""
    with tempfile.TemporaryDirectory(prefix="molehunt-log-") as scratch, _told(log):
        files = _listed(list(tables(log, Path(scratch))))
        with _connected("1GB", 0, scratch) as connection:
            query = f"""SELECT 1 FROM read_parquet({files}, union_by_name = true) WHERE event = 'request' AND "molehunt.call.id" = ? LIMIT 1"""
            return bool(connection.execute(query, [call_id]).fetchall())


def call_ids(log: Path, event: str) -> Iterator[str]:
    """The ids of all calls that a log has such an event of. Raises LogError if it cannot be read."""
    with tempfile.TemporaryDirectory(prefix="molehunt-log-") as scratch, _told(log):
        for table in tables(log, Path(scratch)):
            found = pq.read_table(table, columns=[events.CALL_ID], filters=[("event", "=", event)])
            yield from found.column(0).to_pylist()


def write_calls(path: Path, batches: Iterable[pa.RecordBatch]) -> int:
    """Write batches of `CALLS` to a Parquet file that `calls` reads; returns how many calls."""
    count = 0
    with pq.ParquetWriter(path, CALLS, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)
            count += batch.num_rows
    return count


def tables(log: Path | str, scratch: Path) -> Iterator[Path]:
    """All segments of a log as Parquet files of `columns.SCHEMA`, named WORKER/NUMBER.parquet; open ones are rewritten below `scratch`."""
    if "://" in str(log):
        fetch(str(log), scratch / "fetched")
        log = scratch / "fetched"
    for worker in workers(Path(log)):
        for segment in segments(Path(log) / worker):
            if (table := _table(segment, scratch / "open")) is not None:
                yield table


def _table(segment: Segment, scratch: Path) -> Path | None:
    if segment.table.exists():
        return segment.table
    made = scratch / segment.worker / segment.table.name
    made.parent.mkdir(parents=True, exist_ok=True)
    try:
        rewrite(segment.lines, made)
    except LogError:
        if segment.table.exists():  # closed behind our back
            return segment.table
        if segment.lines.exists():
            raise
        return None  # pruned
    return made


def _own(place: Path) -> list[Path]:
    """Files of calls, if that is what lies there."""
    if place.is_dir():
        return sorted(place.glob("*.parquet"))
    return [place] if place.suffix == ".parquet" and place.exists() else []


def _queries(connection: duckdb.DuckDBPyConnection, files: Sequence[Path], since: datetime | None) -> Iterator[str]:
    """Some segments at a time, so that only their answers are held; calls that were answered much later come last."""
    connection.execute(FLAGS_SQL.replace("FILES", _listed(files)))
    connection.execute("CREATE TEMP TABLE late (id VARCHAR)")
    begun = _utc(since).strftime("'%Y-%m-%dT%H:%M:%S.%fZ'") if since else "''"
    for some, after in _groups(files):
        yield _query(some, [*some, *after], begun, "true")
        late = LATE_SQL.replace("REQUESTS", _listed(some)).replace("ANSWERS", _listed([*some, *after]))
        connection.execute(late)
    yield _query(files, files, begun, '"molehunt.call.id" IN (FROM late)', "LEFT")


def _query(requests: Sequence[Path], answers: Sequence[Path], since: str, only: str, join: str = "INNER") -> str:
    words = {
        "REQUESTS": _listed(requests),
        "ANSWERS": _listed(answers),
        "SINCE": since,
        "ONLY": only,
        "KIND JOIN": f"{join} JOIN",
    }
    text = CALLS_SQL
    for word, meant in words.items():
        text = text.replace(word, meant)
    return text


def _groups(files: Sequence[Path]) -> Iterator[tuple[list[Path], list[Path]]]:
    """Consecutive segments of one worker with about `_GROUP` records, and the segment after them."""
    some: list[Path] = []
    count = 0
    for number, path in enumerate(files):
        some.append(path)
        count += pq.read_metadata(path).num_rows
        after = [other for other in files[number + 1 : number + 2] if other.parent.name == path.parent.name]
        if count >= _GROUP or not after:
            yield some, after
            some, count = [], 0


_GROUP = 50_000
"""Records whose texts are held at once, about."""


def _listed(files: Iterable[Path]) -> str:
    return "[" + ", ".join("'" + str(path).replace("'", "''") + "'" for path in files) + "]"


def _utc(since: datetime) -> datetime:
    return since.astimezone(UTC) if since.tzinfo else since.replace(tzinfo=UTC)


@contextmanager
def _connected(memory: str, threads: int, scratch: str) -> Iterator[duckdb.DuckDBPyConnection]:
    config: dict[str, Any] = {"memory_limit": memory, "temp_directory": scratch}
    with duckdb.connect(":memory:", config=config | ({"threads": threads} if threads else {})) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@contextmanager
def _told(log: Path | str) -> Iterator[None]:
    try:
        yield
    except (duckdb.Error, OSError, pa.ArrowException) as error:
        if isinstance(error, LogError):
            raise
        got = str(error).splitlines()[0][:200]
        raise LogError(f"log {log}", wanted="segments that can be read", got=got, do="verify it") from None
