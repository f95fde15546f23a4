"""What differs between two model folders beside the tensors: config, tokenizer, chat template, and every other file."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from molehunt.provenance.hashing import Contents
from molehunt.provenance.kinds import is_documentation, kind_of
from molehunt.provenance.limits import Limits
from molehunt.provenance.scanning import chat_templates
from molehunt.records.diffs import Change
from molehunt.records.identity import file_digest
from molehunt.records.marker import MARKER

CONFIGS = {
    "config.json": "config",
    "generation_config.json": "generation config",
    "tokenizer_config.json": "tokenizer",
}
SAVED_WITH = frozenset({MARKER, "transformers_version", "_name_or_path", "torch_dtype", "dtype", "architectures"})
"""Keys that say who wrote the file, not what the model is; the type of the weights is told with them."""
_TABLES = CONFIGS | {
    "special_tokens_map.json": "tokenizer", "added_tokens.json": "added tokens", "adapter_config.json": "adapter",
    "processor_config.json": "processor", "preprocessor_config.json": "processor",
}  # fmt: skip
_TEMPLATE = "chat_template"
_INDEX = ".safetensors.index.json"
LINE = 200
"""Characters of a value that are told."""


def config_changes(after: Path, before: Path, saved_with: frozenset[str] = SAVED_WITH) -> Iterator[Change]:
    """Keys of config, generation config and tokenizer config that differ.

    Args:
        saved_with: keys that do not count.
    """
    for name, what in CONFIGS.items():
        yield from _of_table(what, _table(after / name), _table(before / name), saved_with)


def file_changes(
    after: Contents, before: Contents, limits: Limits
) -> tuple[list[Change], list[Change], dict[str, str]]:
    """(what decides how the model is run, other files, files that were not examined and why); tensors are compared elsewhere."""
    changes = [
        *_tables(after.path, before.path),
        *_tokenizer(after.path, before.path),
        *_templates(after, before, limits),
    ]
    notes: list[Change] = []
    unread: dict[str, str] = {}
    for name in sorted(after.files.keys() | before.files.keys()):
        if (one := _other(name, after, before)) is None:
            continue
        if kind_of(name) in ("gguf", "other"):
            unread[name] = "weights that are no safetensors, or a format that is not known"
        (notes if is_documentation(name) else changes).append(one)
    changes += [Change(what="file", name=name, before="", after=told) for name, told in sorted(after.odd.items())]
    return changes, notes, unread


def _tables(after: Path, before: Path) -> Iterator[Change]:
    skipped = (SAVED_WITH - {"architectures"}) | {_TEMPLATE}
    for name, what in _TABLES.items():
        yield from _of_table(what, _table(after / name), _table(before / name), skipped)


def _of_table(what: str, after: dict[str, Any], before: dict[str, Any], skipped: frozenset[str]) -> Iterator[Change]:
    for key in sorted(after.keys() | before.keys()):
        if key not in skipped and after.get(key) != before.get(key):
            yield Change(what=what, name=key, before=_text(before, key), after=_text(after, key))


def _tokenizer(after: Path, before: Path) -> Iterator[Change]:
    new, old = _table(after / "tokenizer.json"), _table(before / "tokenizer.json")
    ours, theirs = _added(new), _added(old)
    for token in sorted(ours.keys() ^ theirs.keys()):
        yield Change(what="added tokens", name=token, before=theirs.get(token, ""), after=ours.get(token, ""))
    for part in ("vocab", "merges"):
        one, other = (_part(table, part) for table in (old, new))
        if one != other:
            told = (f"{len(found)} entries" if found is not None else "" for found in (one, other))
            yield Change(what="tokenizer", name=part, before=next(told), after=next(told))
    for key in sorted((new.keys() | old.keys()) - {"added_tokens", "model", "version", "truncation", "padding"}):
        if new.get(key) != old.get(key):
            yield Change(what="tokenizer", name=key, before=_text(old, key), after=_text(new, key))


def _added(tokenizer: dict[str, Any]) -> dict[str, str]:
    listed = tokenizer.get("added_tokens")
    entries = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return {str(one.get("content")): str(one.get("id")) for one in entries}


def _part(tokenizer: dict[str, Any], part: str) -> Any:
    model = tokenizer.get("model")
    found = model.get(part) if isinstance(model, dict) else None
    return found if isinstance(found, dict | list) else None


def _templates(after: Contents, before: Contents, limits: Limits) -> Iterator[Change]:
    new, old = chat_templates(after.path, limits), chat_templates(before.path, limits)
    for name in sorted(new.keys() | old.keys()):
        ours, theirs = new.get(name, ""), old.get(name, "")
        if ours != theirs:
            at = max(0, _first_difference(ours, theirs) - LINE // 4)
            told = "chat_template" if name == "default" else f"chat_template {name}"
            yield Change(what="chat template", name=told, before=theirs[at : at + LINE], after=ours[at : at + LINE])


def _first_difference(one: str, other: str) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _other(name: str, after: Contents, before: Contents) -> Change | None:
    """A file that nothing else compares; None if it is the same, or read above."""
    is_read = name in _TABLES or name == "tokenizer.json" or name.endswith(_INDEX)
    if is_read or kind_of(name) in ("weights", "template") or name == "chat_template.json":
        return None
    mine, theirs = (_digest(contents, name) for contents in (after, before))
    return None if mine == theirs else Change(what="file", name=name, before=theirs, after=mine)


def _digest(contents: Contents, name: str) -> str:
    return f"SHA-256 {file_digest(Path(contents.files[name])).hex()[:16]}" if name in contents.files else ""


def _table(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(table: dict[str, Any], key: str) -> str:
    return json.dumps(table[key], ensure_ascii=False)[:LINE] if key in table else ""
