"""The columns of a closed segment: what anyone reads with DuckDB, and what every hash is derived from again.

Long contents (`events.CONTENT`) are kept once: their canonical JSON stands in a column of its own, and in `body` the place is marked
`"NAME":"@"`. Where marking would be ambiguous the body stays whole and the column is empty.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from molehunt.logs import events
from molehunt.logs.chain import Entry

_MARK = '"@"'
_DECODER = json.JSONDecoder()
_TYPES = {
    **dict.fromkeys(events.CONTENT, pa.string()),
    **dict.fromkeys(events.TEXTS, pa.string()),
    **dict.fromkeys(events.INTEGERS, pa.int64()),
    **dict.fromkeys(events.NUMBERS, pa.float64()),
    **dict.fromkeys(events.TRUTHS, pa.bool_()),
    **dict.fromkeys(events.LISTS, pa.list_(pa.string())),
}
SCHEMA = pa.schema(
    [("seq", pa.int64()), ("time", pa.string()), ("event", pa.string()), ("body", pa.string()), ("prev", pa.string()), ("hash", pa.string()), *list(_TYPES.items())]
)  # fmt: skip
"""`time` is the text that was hashed; DuckDB casts it to a timestamp."""


def table_of(entries: Sequence[Entry]) -> pa.Table:
    """Records as a table of `SCHEMA`."""
    columns: dict[str, list[Any]] = {name: [None] * len(entries) for name in _TYPES}
    bodies = []
    for row, entry in enumerate(entries):
        found = entry.attributes()
        body, contents = _split(entry.body, found)
        bodies.append(body)
        for name, value in found.items():
            if name in _TYPES:
                columns[name][row] = contents.get(name) if name in events.CONTENT else _typed(name, value)
    fixed = [[entry.seq for entry in entries], [entry.time for entry in entries], [entry.event for entry in entries]]
    fixed += [bodies, [entry.prev for entry in entries], [entry.hash for entry in entries]]
    values = dict(zip(SCHEMA.names, fixed, strict=False)) | columns
    return pa.table([pa.array(values[field.name], field.type) for field in SCHEMA], schema=SCHEMA)


def row_of(entry: Entry) -> dict[str, Any]:
    """One record as a row, with all columns."""
    (row,) = table_of([entry]).to_pylist()
    return dict(row)


def entry_of(row: Mapping[str, Any]) -> Entry:
    """The record of a row, to the byte."""
    contents = {name: row[name] for name in events.CONTENT if row[name] is not None}
    return Entry(row["seq"], row["time"], row["event"], _whole(row["body"] or "", contents), row["prev"], row["hash"])


def _split(body: str, found: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """The body with its long contents marked, and their texts as they stand in it."""
    rest, contents = body, {}
    for name in events.CONTENT:
        if found.get(name) is None:
            continue
        start = rest.find(f'"{name}":') + len(name) + 3
        value, end = _DECODER.raw_decode(rest, start)
        if value == found[name]:  # not one of the same name, deeper
            contents[name], rest = rest[start:end], f"{rest[:start]}{_MARK}{rest[end:]}"
    return (rest, contents) if _whole(rest, contents) == body else (body, {})


def _whole(rest: str, contents: Mapping[str, str]) -> str:
    for name, text in contents.items():
        rest = rest.replace(f'"{name}":{_MARK}', f'"{name}":{text}', 1)
    return rest


def _typed(name: str, value: Any) -> Any:
    """The value if it is what the column is for; what is not stays in the body alone."""
    if name in events.TEXTS:
        return clean(value) if isinstance(value, str) else None
    if name in events.LISTS:
        is_texts = isinstance(value, list) and all(isinstance(part, str) for part in value)
        return [clean(part) for part in value] if is_texts else None
    if name in events.TRUTHS:
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if name in events.INTEGERS:
        return value if isinstance(value, int) and abs(value) < 2**63 else None
    return float(value) if abs(value) < 2**53 and math.isfinite(value) else None


def clean(text: str) -> str:
    """The text with half surrogate pairs replaced: what UTF-8 has bytes for."""
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text
