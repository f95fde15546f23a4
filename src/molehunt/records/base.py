"""The base of all records: frozen, strict, canonical JSON."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError


class Record(BaseModel):
    """A frozen value that travels between rooms; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings", populate_by_name=True)

    def canonical(self) -> str:
        """The one JSON text of this record: sorted keys, no spaces, UTF-8."""
        return canonical_json(self.model_dump(mode="json"))

    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hex."""
        return sha256_text(self.canonical())


def first_wrong(error: ValidationError) -> str:
    """The first field that is off, and why; the reason alone where it is the whole. Another kind of file is told before its fields."""
    errors = error.errors(include_url=False, include_input=False)
    first = next((one for one in errors if one["loc"] == ("schema",)), errors[0])
    where = ".".join(map(str, first["loc"])).replace("\n", " ")[:_SHOWN]
    return ": ".join(filter(None, (where, first["msg"])))


_SHOWN = 120
"""Characters of a field's name, which may come from the file."""


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces; refuses NaN and anything that JSON has no word for."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_text(text: str) -> str:
    """SHA-256 of the UTF-8 bytes of `text`, in hex."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
