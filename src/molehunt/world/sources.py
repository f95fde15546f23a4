"""Where chat data lies: files, saved data sets and the hub, read one object at a time."""

import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

from pydantic_core import from_json

from molehunt.errors import DataError
from molehunt.world.layouts import BadRow

MAX_ROW = 16 * 2**20
"""Bytes that one row may take: more than any context holds, less than what would fill the memory."""

_BATCH = 1024
_CHUNK = 2**16
_HUB = re.compile(r"hf:(?P<name>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<revision>[\w./-]+))?")
_GAP = re.compile(r"[ \t\r\n]*")

Numbered = tuple[int, Any]
"""A line, or the number of a row from 1, and the object there, or the BadRow that stands there instead."""


@dataclass(frozen=True)
class Source:
    """A place that holds chat data."""

    name: str
    """As the user wrote it."""
    label: str
    """What row sources begin with: the file's own name, or the name on the hub."""
    files: dict[str, Path]
    """The files behind it."""
    objects: Callable[[], Iterator[Numbered]]
    splits: tuple[str, ...] = ()
    """Further splits that lie there and are not read."""


def find_source(place: str | Path, split: str = "train") -> Source:
    """What `place` is: a file (its first bytes say of which kind), a folder by `save_to_disk` or as it lies on the hub, or `hf:OWNER/NAME[@REVISION]`.

    Args:
        split: which part to take of a saved folder or a hub data set that has several.

    Raises:
        DataError: if nothing is there, or it is none of these.
    """
    if hub := _HUB.fullmatch(str(place)):
        return _hub(str(place), hub["name"], hub["revision"], split)
    path = Path(place)
    if path.is_dir():
        is_saved = any((path / mark).is_file() for mark in ("state.json", "dataset_dict.json"))
        return _saved(path, split) if is_saved else _laid_out(path, split)
    if not path.is_file():
        wanted = "a file, a folder of a data set, or hf:OWNER/NAME"
        got = "something else" if path.exists() else "nothing there"
        raise DataError(f"data {place}", wanted=wanted, got=got, do="check the path")
    return Source(str(place), path.name, {path.name: path}, lambda: _in_file(path))


def _in_file(path: Path) -> Iterator[Numbered]:
    with _reading(path), path.open("rb") as raw:
        head = raw.read(4)
        raw.seek(0)
        if head == b"PAR1":
            yield from _parquet(raw)
        elif head[:2] == b"\x1f\x8b":
            yield from _json(path, io.BufferedReader(gzip.GzipFile(fileobj=raw)))
        elif head == b"\x28\xb5\x2f\xfd":
            yield from _json(path, _zst(raw))
        else:
            yield from _json(path, raw)


@contextmanager
def _reading(place: str | Path) -> Iterator[None]:
    """Whatever a file that is cut short or not what it looks like makes its reader raise, in our words."""
    try:
        yield
    except _unreadable() as error:
        got = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise DataError(f"data {place}", wanted="a whole file that can be read", got=got, do="fetch it again") from None


def _unreadable() -> tuple[type[Exception], ...]:
    arrow = sys.modules.get("pyarrow")  # not imported by us unless the file needs it
    return (OSError, EOFError, zlib.error, *((arrow.ArrowException,) if arrow else ()))


def _zst(raw: BinaryIO) -> BinaryIO:
    from pyarrow import CompressedInputStream, PythonFile

    return io.BufferedReader(CompressedInputStream(PythonFile(raw, mode="r"), "zstd"))


def _json(path: Path, stream: Any) -> Iterator[Numbered]:
    if stream.peek(1).startswith(b"\xef\xbb\xbf"):  # the mark that some editors put before UTF-8
        stream.read(3)
    if stream.peek(_CHUNK).lstrip()[:1] == b"[":
        return _array(path, stream)
    return _lines(stream)


def _lines(stream: BinaryIO) -> Iterator[Numbered]:
    for number in count(1):
        line = stream.readline(MAX_ROW + 1)
        if not line:
            return
        if len(line) > MAX_ROW:
            yield number, _too_long()
            while line and not line.endswith(b"\n"):
                line = stream.readline(MAX_ROW)
        elif not line.isspace():
            yield number, _parse(line)


def _parse(line: bytes) -> Any:
    try:
        return from_json(line)
    except ValueError:
        pass
    try:
        return json.loads(
            line.decode()
        )  # takes half surrogate pairs, which are named later, and explains itself better
    except UnicodeDecodeError as error:
        return BadRow("not UTF-8", "text in UTF-8", f"byte 0x{line[error.start]:02x} at column {error.start + 1}")
    except (ValueError, RecursionError) as error:
        got = "NUL bytes" if b"\0" in line else str(error).replace("line 1 ", "")
        return BadRow("not JSON", "one JSON object a line, or one array of them", got)


def _array(path: Path, stream: Any) -> Iterator[Numbered]:
    with io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="\n") as text:
        yield from _elements(path, text)


def _elements(path: Path, text: io.TextIOWrapper) -> Iterator[Numbered]:
    """The elements of one JSON array, read piece by piece: no more than one element and one piece is held."""
    decode = json.JSONDecoder().raw_decode
    held, at, line, mark, piece = text.read(_CHUNK), 0, 1, "[", _CHUNK
    while True:
        try:
            start = _after(held, at, mark)
            if start is None:
                break
            found, end = decode(held, start)
            _after(held, end, ",")  # an element is whole when we see what follows it
        except (ValueError, RecursionError) as error:
            more = text.read(piece) if len(held) - at <= MAX_ROW else ""
            if not more:
                line += held.count("\n", at, getattr(error, "pos", at))
                wanted = f"a JSON array, its elements of at most {MAX_ROW // 2**20} MiB"
                got = getattr(error, "msg", str(error))
                raise DataError(f"data {path}:{line}", wanted=wanted, got=got, do="mend the file") from None
            held, at, piece = held[at:] + more, 0, piece * 2
        else:
            line += held.count("\n", at, start)
            yield line, found
            line += held.count("\n", start, end)
            at, mark, piece = end, ",", _CHUNK
    if (held[at:] + text.read(_CHUNK)).strip("[] \t\r\n"):
        raise DataError(f"data {path}", wanted="one JSON array", got="more after its end", do="mend the file")


def _after(held: str, at: int, mark: str) -> int | None:
    """Where the value after `mark` begins; None if the array ends here."""
    start = _GAP.match(held, at).end()  # type: ignore[union-attr]
    if held[start : start + 1] == "]" and mark == ",":
        return None
    if held[start : start + 1] != mark:
        raise json.JSONDecodeError(f"Expecting '{mark}'", held, start)
    start = _GAP.match(held, start + 1).end()  # type: ignore[union-attr]
    return None if mark == "[" and held[start : start + 1] == "]" else start


def _too_long() -> BadRow:
    return BadRow("row too long", f"rows of at most {MAX_ROW // 2**20} MiB", "a longer line")


def _parquet(raw: BinaryIO) -> Iterator[Numbered]:
    from pyarrow.parquet import ParquetFile

    return _numbered(ParquetFile(raw).iter_batches(batch_size=_BATCH))


def _in_batches(place: str, batches: Iterable[Any]) -> Iterator[Numbered]:
    with _reading(place):
        yield from _numbered(batches)


def _numbered(batches: Iterable[Any]) -> Iterator[Numbered]:
    """The rows of Arrow batches or tables; where a batch holds bytes that are no text, row by row."""
    number = 0
    for batch in batches:
        try:
            rows = batch.to_pylist()
        except UnicodeDecodeError:
            rows = [_one(batch.slice(i, 1)) for i in range(batch.num_rows)]
        yield from enumerate(rows, start=number + 1)
        number += len(rows)


def _one(row: Any) -> Any:
    try:
        return row.to_pylist()[0]
    except UnicodeDecodeError:
        return BadRow("not UTF-8", "text in UTF-8", "bytes that are none")


def _saved(folder: Path, split: str) -> Source:
    from datasets import load_from_disk

    with _loading(str(folder)):
        data = load_from_disk(str(folder))
    return _dataset(str(folder), folder.name, data, split)


def _laid_out(folder: Path, split: str) -> Source:
    """Files of rows whose names say of which split they are, as a clone from the hub has them. What its README configures is not read."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    rows = [name for name in names if _ROWS.fullmatch(name) and not _BESIDE.fullmatch(name)]
    if not rows:
        wanted, got = "files of rows (.parquet, .jsonl, .json), or what save_to_disk writes", "a folder without any"
        raise DataError(f"data {folder}", wanted=wanted, got=got, do="name a file")
    splits = {name: _split_of(name) for name in rows}
    known = sorted({one for one in splits.values() if one}) or ["train"]
    if split not in known:
        raise DataError(f"data {folder}", wanted=f"one of the splits {', '.join(known)}", got=split, do="choose one")
    mine = {name: folder / name for name in rows if (splits[name] or "train") == split}
    others = {one or "train" for one in splits.values()} - {split}
    return Source(str(folder), folder.name, mine, lambda: _one_after_another(mine.values()), tuple(sorted(others)))


def _one_after_another(files: Iterable[Path]) -> Iterator[Numbered]:
    numbers = count(1)
    for path in files:
        for _, found in _in_file(path):
            yield next(numbers), found


_ROWS = re.compile(r"(?!\.)(?:(?!/\.).)*\.(?:parquet|jsonl?(?:\.gz|\.zst)?)", re.IGNORECASE)
"""Of no hidden folder."""
_BESIDE = re.compile(r"(?:.*/)?(?:dataset_infos?|dataset_dict|state|metadata|config)\.json", re.IGNORECASE)
_SHARD = re.compile(r"(?:.*/)?(?P<split>\w[\w.-]*?)-\d{5}-of-\d{5}\..*")
_SPLITS = {
    "train": "train", "training": "train", "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
}  # fmt: skip
"""What the hub takes for the name of a split, as a word of a file's or a folder's name."""


def _split_of(name: str) -> str | None:
    if shard := _SHARD.fullmatch(name):
        return shard["split"]
    words = re.split(r"[^a-z0-9]+", name.lower())
    return next((_SPLITS[word] for word in reversed(words) if word in _SPLITS), None)


def _hub(place: str, name: str, revision: str | None, split: str) -> Source:
    from datasets import load_dataset

    with _loading(place):
        data = load_dataset(name, revision=revision)  # datasets 4 and later run no code that comes with the data
    return _dataset(place, name, data, split)


@contextmanager
def _loading(place: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever datasets, the hub's client or the network raises
        got = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        raise DataError(f"data {place}", wanted="a data set that can be loaded", got=got) from error


def _dataset(place: str, label: str, data: Any, split: str) -> Source:
    others = tuple(sorted(set(data) - {split})) if isinstance(data, dict) else ()
    if isinstance(data, dict):
        if split not in data:
            raise DataError(f"data {place}", wanted=f"one of the splits {', '.join(data)}", got=split, do="choose one")
        data = data[split]
    files = [Path(one["filename"]) for one in data.cache_files]
    batches = data.with_format("arrow").iter(batch_size=_BATCH)
    return Source(place, label, {path.name: path for path in files}, lambda: _in_batches(place, batches), others)
