"""Where a model asks for code: `auto_map` and its kin, followed to files with their digests, or out of the folder."""

import ast
import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from molehunt.records.scans import Finding

_MOST_ENTRIES = 2000
"""Of a table or list that is walked; vocabularies are larger, and configs are not."""
_DEPTH = 8
_MOST_SOURCE = 4 << 20


def code_findings(documents: Mapping[str, Any], files: Mapping[str, Path]) -> list[Finding]:
    """Findings on every reference to code in the JSON of a folder.

    Args:
        documents: parsed JSON by the file's name.
        files: all files of the folder.
    """
    found: dict[Finding, None] = {}
    for name, document in documents.items():
        for key, value in _entries(document, "", 0):
            for finding in _judged(f"{name}:{key}", key.rpartition(".")[2], value, name, files):
                found[finding] = None
        if PurePosixPath(name).name == "modules.json" and isinstance(document, list):
            for item in document:
                if isinstance(item, dict) and not str(item.get("type", "")).startswith("sentence_transformers."):
                    told = f"a module that is no part of sentence_transformers: {item.get('type')!r}"
                    found[Finding.of("external-code", name, told)] = None
    return list(found)


def _entries(value: Any, key: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Every entry of every table, with its dotted key."""
    if depth > _DEPTH:
        return
    if isinstance(value, dict) and len(value) <= _MOST_ENTRIES:
        for name, inner in value.items():
            yield f"{key}.{name}".lstrip("."), inner
            yield from _entries(inner, f"{key}.{name}".lstrip("."), depth + 1)
    elif isinstance(value, list) and len(value) <= _MOST_ENTRIES:
        for number, inner in enumerate(value):
            yield from _entries(inner, f"{key}[{number}]", depth + 1)


def _judged(place: str, key: str, value: Any, document: str, files: Mapping[str, Path]) -> Iterator[Finding]:
    if key == "auto_map":
        for reference in _texts(value):
            yield from _reference(place, reference, document, files)
    elif key == "impl" and isinstance(value, str):
        yield from _reference(place, value, document, files)
    elif key == "trust_remote_code" and value:
        yield Finding.of("remote-code", place, "it asks that remote code be trusted")
    elif key.endswith("_implementation") and any("/" in text for text in _texts(value)):
        yield Finding.of("external-code", place, f"it asks for a kernel from elsewhere: {value!r}")
    elif key == "auto_mapping" and isinstance(value, dict):
        yield Finding.of("external-code", place, f"it asks to import {value.get('parent_library')!r}")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _reference(place: str, reference: str, document: str, files: Mapping[str, Path]) -> Iterator[Finding]:
    """`file.Class` of the folder, or `owner/name--file.Class` of another repository."""
    if "--" in reference:
        yield Finding.of("external-code", place, f"code of another repository: {reference!r}")
        return
    module = reference.rpartition(".")[0] or reference
    beside = PurePosixPath(document).parent
    waiting, seen = [module], set[str]()
    while waiting:
        name = (beside / (waiting.pop().replace(".", "/") + ".py")).as_posix()
        if name in seen:
            continue
        seen.add(name)
        path = files.get(name)
        if path is None or not re.fullmatch(r"[\w./-]+", name):
            yield Finding.of("external-code", place, f"code that is not in the folder: {reference!r} wants {name!r}")
            continue
        source = path.read_bytes()[:_MOST_SOURCE]
        digest = hashlib.sha256(source).hexdigest()
        yield Finding.of("remote-code", place, f"{reference!r} would have {name} executed, SHA-256 {digest}")
        waiting += _siblings(source)


def _siblings(source: bytes) -> list[str]:
    """Modules that a file imports from beside itself."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 1]
    return [name for node in imports for name in ([node.module] if node.module else [a.name for a in node.names])]
