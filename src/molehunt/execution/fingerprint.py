"""What decides a step, as one hash; refuses what has no stable encoding."""

import math
from typing import Any

from molehunt.errors import UsageError
from molehunt.records.base import Record, canonical_json, sha256_text


def fingerprint(step: str, version: int, config: dict[str, Any], parents: dict[str, str]) -> str:
    """SHA-256 of (step, version, config, parents' fingerprints), 64 hex digits.

    Raises:
        UsageError: if the config holds something without a stable encoding.
    """
    body = {"step": step, "version": version, "config": encode(config, step), "parents": parents}
    return sha256_text(canonical_json(body))


def encode(value: Any, where: str) -> Any:
    """`value` as plain JSON types, or an error that says which field has no stable encoding.

    Args:
        where: the dotted path of `value`, for the message.
    """
    if type(value) is str and value.isascii():  # most of what there is: planning thousands of steps passes here
        return value
    match value:
        case None | bool() | int():
            return value
        case str() if _is_text(value):
            return value
        case float() if math.isfinite(value):
            return value
        case Record():
            return encode(value.model_dump(mode="json"), where)
        case list() | tuple():
            return [encode(item, f"{where}[{i}]") for i, item in enumerate(value)]
        case dict() if all(isinstance(key, str) and _is_text(key) for key in value):
            return {key: encode(item, f"{where}.{key}") for key, item in value.items()}
    raise UsageError(
        f"{where} cannot be part of a fingerprint",
        wanted="text, whole or finite numbers, lists, dicts with text keys, records",
        got=f"{value!r} ({type(value).__name__})",
        do="pass its name or its settings instead of the object itself",
    )


def _is_text(value: str) -> bool:
    if value.isascii():
        return True
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
