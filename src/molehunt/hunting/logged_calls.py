"""The calls of a log as rows to look through, made by Arrow from batches of calls."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydantic_core import from_json

from molehunt.errors import DataError
from molehunt.hunting.rows import Rows, RowWriter, clipped, index_shards, schema
from molehunt.hunting.words import ROLES, SEP
from molehunt.logs.events import CANARY_CLIENT
from molehunt.logs.reading import CALLS, calls
from molehunt.records.calls import Call

_HOST = re.compile(r"(?:https?|ftp|wss?)://(?:[^/\s\"'@\\]*@)?([A-Za-z0-9.-]{1,253})", re.IGNORECASE)
_LONG = 2**16
"""Characters of a conversation beyond which it is clipped message by message."""
_LINES = 5000


def prepare_calls(log: str, folder: Path, since: datetime | None, tell: Callable[[int], None]) -> Rows:
    """Write the calls of a log into shards; a log that was read already is not read again.

    A gateway's own canaries are left out, which are refused on purpose and would be found, and calls that failed, broke off or were refused:
    no model answered them.

    Args:
        log: see `logs.reading.calls`; or a JSONL file with one `records.calls.Call` a line.

    Raises:
        MolehuntError: if the log cannot be read, or holds no calls.
    """
    if (folder / "index.json").exists():
        return Rows(folder)
    writer, count = RowWriter(folder), 0
    for batch in _batches(log, since):
        if (batch := _answered(batch)).num_rows:
            writer.add_table(table_of(batch))
            tell(count := count + batch.num_rows)
    if not count:
        raise DataError(f"log {log}", wanted="at least one call", got="none", do="check the path and --since")
    return index_shards(folder, writer.close())


def _answered(batch: Any) -> Any:
    import pyarrow.compute as pc

    of_clients = pc.not_equal(pc.fill_null(batch.column("client"), ""), CANARY_CLIENT)
    status = pc.fill_null(batch.column("status"), 200)
    return batch.filter(pc.and_(of_clients, pc.and_(pc.greater(status, 0), pc.less(status, 400))))


def _batches(log: str, since: datetime | None) -> Iterator[Any]:
    if Path(log).is_file() and not log.endswith(".parquet"):
        return _from_lines(Path(log), since)
    return calls(log, since, rows=20_000)


def _from_lines(path: Path, since: datetime | None) -> Iterator[Any]:
    import pyarrow as pa

    held: list[dict[str, Any]] = []
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                held.append(_call(path, number, line))
            if len(held) >= _LINES:
                yield pa.RecordBatch.from_pylist(_since(held, since), schema=CALLS)
                held = []
    yield pa.RecordBatch.from_pylist(_since(held, since), schema=CALLS)


def _call(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        one = Call.model_validate(from_json(line))
    except ValueError as error:
        got = str(error).splitlines()[0][:200]
        do = "bring it in with `molehunt logs import`"
        raise DataError(f"log {path}:{number}", wanted="one call as JSON", got=got, do=do) from None
    found = one.model_dump()
    return {**found, "source": one.source or f"{path.name}:{number}"}


def _since(held: list[dict[str, Any]], since: datetime | None) -> list[dict[str, Any]]:
    if since is None:
        return held
    start = since if since.tzinfo else since.replace(tzinfo=UTC)
    return [one for one in held if one["started"] >= start]


def table_of(batch: Any) -> Any:
    """Calls as rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    def plain(name: str) -> Any:
        return pc.fill_null(batch.column(name), "")

    source = plain("source")
    columns = {
        "text": _texts(batch.column("messages")),
        "meta": _meta(batch),
        "answer": _safe(plain("answer")),
        "aside": _safe(plain("reasoning")),
        "did": _did(batch),
        "session": plain("session"),
        "stratum": plain("application"),
        "who": plain("client"),
        "where": pc.if_else(pc.equal(source, ""), plain("call_id"), source),
        "time": pc.fill_null(batch.column("started").cast(pa.timestamp("us")).cast(pa.int64()), 0),
    }
    return pa.table(
        [
            pa.chunked_array([columns[field.name]])
            if not isinstance(columns[field.name], pa.ChunkedArray)
            else columns[field.name]
            for field in schema()
        ],
        schema=schema(),
    )


def _safe(column: Any) -> Any:
    import pyarrow.compute as pc

    return pc.replace_substring(column, SEP, " ")


def _texts(messages: Any) -> Any:
    """Every list of turns as one text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    turns = messages.flatten()
    roles, contents = pc.fill_null(turns.field("role"), ""), pc.fill_null(turns.field("content"), "")
    contents = _safe(contents)
    long = np.flatnonzero(pc.utf8_length(contents).to_numpy(zero_copy_only=False) > _LONG)
    if len(long):
        values = contents.to_pylist()
        for at in long:
            values[at] = clipped(values[at])
        contents = pa.array(values, pa.string())
    encoded = roles.dictionary_encode()
    marks = pa.array([SEP + ROLES.get(role.lower(), "T") for role in encoded.dictionary.to_pylist()], pa.string())
    said = pc.binary_join_element_wise(marks.take(encoded.indices), contents, "")
    return _joined(messages, said)


def _joined(lists: Any, values: Any) -> Any:
    """Values of lists, which lie flattened, joined list by list."""
    import pyarrow as pa
    import pyarrow.compute as pc

    sizes = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate(([0], np.cumsum(sizes))).astype(np.int32)
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), values), "")


def _marked(prefix: str, lists: Any) -> Any:
    """Lists of strings as texts of items, each after a mark and a prefix."""
    import pyarrow.compute as pc

    values = _safe(pc.fill_null(lists.flatten(), ""))
    return _joined(lists, pc.binary_join_element_wise(SEP + prefix, values, ""))


def _meta(batch: Any) -> Any:
    import pyarrow.compute as pc

    parts = []
    for name in ("client", "user", "application", "model", "model_digest"):
        value = _safe(pc.fill_null(batch.column(name), ""))
        marked = pc.binary_join_element_wise(f"{SEP}{name}=", value, "")
        parts.append(pc.if_else(pc.equal(value, ""), "", marked))
    return pc.binary_join_element_wise(*parts, _marked("tool=", batch.column("tools")), "")


def _did(batch: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    tools = batch.column("tool_calls")
    flat = tools.flatten()
    names = _safe(pc.fill_null(flat.field("name"), ""))
    called = pc.binary_join_element_wise(f"{SEP}tool:", names, "")
    arguments = pc.fill_null(flat.field("arguments"), "")
    reaching = np.flatnonzero(pc.match_substring(arguments, "://").to_numpy(zero_copy_only=False))
    if len(reaching):
        hosts = [""] * len(arguments)
        for at in reaching:
            hosts[at] = "".join(f"{SEP}host:{host.lower()}" for host in _HOST.findall(arguments[int(at)].as_py()))
        called = pc.binary_join_element_wise(called, pa.array(hosts, pa.string()), "")
    did = _joined(tools, called)
    return pc.binary_join_element_wise(
        did, _marked("", batch.column("decisions")), _marked("flag:", batch.column("flags")), ""
    )
