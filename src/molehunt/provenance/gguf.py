"""The metadata of a GGUF file: its chat templates. Format: ggml's docs/gguf.md, versions 2 and 3."""

import struct
from pathlib import Path
from typing import BinaryIO

_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_KEY = "tokenizer.chat_template"
_MOST_ENTRIES = 1 << 16
_NO_LIMIT = 1 << 62


class GgufError(Exception):
    """What is wrong with the file, in words."""


def chat_templates(path: Path, most: int) -> dict[str, str]:
    """The templates by their key.

    Args:
        most: bytes of metadata that are read.

    Raises:
        GgufError: if this is no GGUF, is cut off, or has more metadata than that.
    """
    with path.open("rb") as stream:
        magic, version = stream.read(4), _number(stream, 4)
        if magic != b"GGUF" or version not in (2, 3):
            raise GgufError("it does not begin as GGUF of version 2 or 3")
        _number(stream, 8)
        entries = _number(stream, 8)
        if entries > _MOST_ENTRIES:
            raise GgufError(f"{entries} entries of metadata")
        found = {}
        for _ in range(entries):
            key, kind = _text(stream, most).decode("utf-8", "replace"), _number(stream, 4)
            value = _value(stream, kind, most, key.startswith(_KEY))
            if key.startswith(_KEY) and value is not None:
                found[key] = value.decode("utf-8", "replace")
        return found


def _value(stream: BinaryIO, kind: int, most: int, is_wanted: bool) -> bytes | None:
    """Step over a value; a wanted text is given back."""
    if kind == _STRING:
        text = _text(stream, most)
        return text if is_wanted else None
    if kind == _ARRAY:
        _step_over_array(stream, most)
    elif kind in _WIDTHS:
        _take(stream, _WIDTHS[kind], most)
    else:
        raise GgufError(f"an unknown type {kind} of metadata")
    return None


def _step_over_array(stream: BinaryIO, most: int) -> None:
    kind, count = _number(stream, 4), _number(stream, 8)
    if kind in _WIDTHS:
        _take(stream, _WIDTHS[kind] * count, most)
    elif kind == _STRING:
        for _ in range(count):
            _text(stream, most)
    else:
        raise GgufError(f"an array of type {kind} in the metadata")


def _text(stream: BinaryIO, most: int) -> bytes:
    return _take(stream, _number(stream, 8), most)


def _number(stream: BinaryIO, width: int) -> int:
    form = {4: "<I", 8: "<Q"}[width]
    return int(struct.unpack(form, _take(stream, width, _NO_LIMIT))[0])


def _take(stream: BinaryIO, length: int, most: int) -> bytes:
    if length > most or stream.tell() + length > most + 64:
        raise GgufError(f"metadata of more than {most} bytes")
    taken = stream.read(length)
    if len(taken) < length:
        raise GgufError("it is cut off in its metadata")
    return taken
