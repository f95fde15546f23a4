"""Words on the command line, and how they end."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Ended:
    """How a command ended."""

    code: int | str | None
    out: str
    err: str


Command = Callable[..., Ended]


def assert_refused(ended: Ended, words: str) -> None:
    """Exit code 2, one line on stderr, nothing on stdout."""
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.startswith("molehunt: ")
    assert ended.err.count("\n") == 1
    assert words in ended.err
    assert "Traceback" not in ended.err
