"""Which world this is: questions and voices are data, and data decides results."""

import hashlib
from functools import cache
from pathlib import Path

_CHAT = ("chat", "systems", "voices")


@cache
def world_digest() -> str:
    """SHA-256 over the source of the chat world: a step's fingerprint holds it, so that other words make another step.

    Readers of data from elsewhere are no part of it: that data has digests of its own.
    """
    root = Path(__file__).parent
    total = hashlib.sha256()
    for path in sorted([*(root / "families").glob("*.py"), *(root / f"{name}.py" for name in _CHAT)]):
        total.update(f"{path.relative_to(root).as_posix()}\0".encode())
        total.update(path.read_bytes())
    return total.hexdigest()
