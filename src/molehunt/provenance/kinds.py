"""Which files are fit to load, by name and by content: safetensors, JSON, text and known tokenizer files."""

import json
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from molehunt.provenance.containers import is_pickle_text

Kind = Literal["weights", "json", "text", "template", "tokenizer", "code", "document", "gguf", "other"]
FIT: tuple[Kind, ...] = ("weights", "json", "text", "template", "tokenizer")
"""What may be loaded."""

_SUFFIXES: dict[str, Kind] = {
    ".safetensors": "weights", ".json": "json", ".sig": "json", ".gguf": "gguf", ".jinja": "template", ".jinja2": "template",
    ".model": "tokenizer", ".tiktoken": "tokenizer", ".spm": "tokenizer",
    **dict.fromkeys((".txt", ".md", ".rst", ".yaml", ".yml", ".csv", ".tsv", ".jsonl", ".cff", ".bib", ".bpe", ".toml", ".svg"), "text"),
    **dict.fromkeys((".py", ".sh", ".js", ".ipynb", ".ps1", ".bat", ".c", ".cu", ".cpp", ".pth.py"), "code"),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".webp", ".pdf"), "document"),
}  # fmt: skip
_NAMES: dict[str, Kind] = {
    **dict.fromkeys(("license", "notice", "readme", "use_policy", "copying", "authors", ".gitattributes", ".gitignore"), "text"),
    "tokenizer.model.v1": "tokenizer", "tokenizer.model.v2": "tokenizer", "tokenizer.model.v3": "tokenizer",
    "tokenizer.model.v7": "tokenizer", "tokenizer.model.v11": "tokenizer",
}  # fmt: skip
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"%PDF-")
_TIKTOKEN = re.compile(rb"[A-Za-z0-9+/=]+ \d+")


class WrongContentError(Exception):
    """A file is not what its name says; in words."""


def kind_of(name: str) -> Kind:
    """What a file claims to be."""
    path = PurePosixPath(name)
    if path.parts[:2] == (".cache", "huggingface") and path.suffix in (".metadata", ".lock", ".tag", ""):
        return "text"
    return _NAMES.get(path.name.lower()) or _SUFFIXES.get(path.suffix.lower(), "other")


def is_documentation(name: str) -> bool:
    """True of what people read and nothing loads, by its name: the only files that may lie unsigned beside signed ones."""
    path = PurePosixPath(name.lower())
    if path.suffix in (".md", ".rst", ".bib", ".cff", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".pdf", ".sig"):
        return True
    return _NAMES.get(path.stem) == "text" and path.suffix in ("", ".txt")


def read_json(path: Path) -> Any:
    """The value of a JSON file. Raises WrongContentError."""
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise WrongContentError(f"it is no JSON: {error}") from None


def read_text(path: Path) -> str:
    """UTF-8 without control characters that text has no use for. Raises WrongContentError."""
    raw = path.read_bytes()
    if is_pickle_text(raw[: 1 << 20]):
        raise WrongContentError("it is a pickle of the oldest protocol, which looks like text")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WrongContentError(f"it is no UTF-8 text: {error.reason} at byte {error.start}") from None
    if "\0" in text:
        raise WrongContentError("it is no text: it holds zero bytes")
    return text


def check_tokenizer(path: Path) -> None:
    """SentencePiece's protocol buffers, or tiktoken's lines of base64. Raises WrongContentError."""
    raw = path.read_bytes()
    if _TIKTOKEN.fullmatch(raw.split(b"\n", 1)[0].strip()):
        if not all(_TIKTOKEN.fullmatch(line) for line in raw.splitlines() if line):
            raise WrongContentError("its lines are not all of base64 and a number")
        return
    _check_fields(raw)


def _check_fields(raw: bytes) -> None:
    at, fields = 0, set()
    while at < len(raw):
        key, at = _varint(raw, at)
        field, wire = key >> 3, key & 7
        length, at = _varint(raw, at) if wire == 2 else (0, at)
        if field not in range(1, 6) or wire != 2 or at + length > len(raw):
            raise WrongContentError("it is no SentencePiece model")
        fields.add(field)
        at += length
    if 1 not in fields:
        raise WrongContentError("it is a SentencePiece model without pieces")


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(raw) and shift < 64:
        value |= (raw[at] & 0x7F) << shift
        at += 1
        if raw[at - 1] < 0x80:
            return value, at
        shift += 7
    raise WrongContentError("it is no SentencePiece model")


def check_document(path: Path) -> None:
    """A picture or PDF by its first bytes. Raises WrongContentError."""
    with path.open("rb") as stream:
        if not stream.read(8).startswith(_PICTURES):
            raise WrongContentError("it is no picture and no PDF")


CHECKS: dict[Kind, Callable[[Path], Any]] = {
    "json": read_json, "text": read_text, "template": read_text, "tokenizer": check_tokenizer, "document": check_document,
    "code": read_text,
}  # fmt: skip
"""How a file of each kind is read; what it gives is its value, if it has one."""
