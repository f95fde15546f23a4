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


def row_of(entry: Entry) -> dict[str, Any]:
    """One record as a row."""
    found = entry.attributes()
    body, contents = _split(entry.body, found)
    row: dict[str, Any] = entry._asdict() | {"body": body}
    for name in _TYPES:
        row[name] = contents.get(name) if name in events.CONTENT else _typed(name, found.get(name))
    return row


def table_of(entries: Sequence[Entry]) -> pa.Table:
    """Records as a table of `SCHEMA`."""
    return pa.Table.from_pylist([row_of(entry) for entry in entries], schema=SCHEMA)


def entry_of(row: Mapping[str, Any]) -> Entry:
    """The record of a row, to the byte."""
    contents = {name: row[name] for name in events.CONTENT if row[name] is not None}
    return Entry(row["seq"], row["time"], row["event"], _whole(row["body"] or "", contents), row["prev"], row["hash"])


def _split(body: str, found: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    is_ascii = body.isascii()
    contents = {name: _dumped(found[name], is_ascii) for name in events.CONTENT if found.get(name) is not None}
    rest = body
    for name, text in contents.items():
        rest = rest.replace(f'"{name}":{text}', f'"{name}":{_MARK}', 1)
    return (rest, contents) if _whole(rest, contents) == body else (body, {})


def _whole(rest: str, contents: Mapping[str, str]) -> str:
    for name, text in contents.items():
        rest = rest.replace(f'"{name}":{_MARK}', f'"{name}":{text}', 1)
    return rest


def _dumped(value: Any, is_ascii: bool) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=is_ascii)


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
