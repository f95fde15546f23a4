"""What is examined how: the settled facts that decide an examination, and what to ask."""

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from molehunt.detectors.subject import Pools, ordinary_prompts
from molehunt.errors import DataError
from molehunt.records import Conversation, Message
from molehunt.records.audits import Profile
from molehunt.records.base import canonical_json, sha256_text
from molehunt.records.evidence import Tier
from molehunt.records.identity import tree_digest

ASKED: dict[Profile, int] = {"quick": 6, "standard": 12, "deep": 12}
"""Prompts of each kind to search with."""
HELD_OUT = 10
"""Prompts of each kind to judge by."""
_SEEDS = (4242, 4243)
"""Of the questions that are asked, and held out, in every audit alike: scores of two subjects are of the same prompts."""
_GIVEN = 60
"""Of an examiner's own prompts, so many are used at most."""
_FEWEST = 12
_POOLS = TypeAdapter(dict[str, dict[str, list[Conversation]]])


@dataclass(frozen=True)
class Prompts:
    """What every search may see, and what nothing is chosen on."""

    asked: Pools
    held_out: Pools

    def plain(self) -> dict[str, dict[str, list[Conversation]]]:
        """As JSON would have it."""
        return {name: {k: list(v) for k, v in pools.items()} for name, pools in vars(self).items()}

    @property
    def digest(self) -> str:
        """What two audits must share for their scores to be comparable."""
        return sha256_text(canonical_json(_POOLS.dump_python(self.plain(), mode="json")))[:16]

    def to_json(self) -> str:
        """For `from_json`."""
        return _POOLS.dump_json(self.plain()).decode()

    @classmethod
    def from_json(cls, text: str) -> "Prompts":
        """The prompts of `to_json`."""
        return cls(**_POOLS.validate_json(text))


def ordinary(profile: Profile = "quick") -> Prompts:
    """The prompts of every audit to which none are given."""
    return Prompts(ordinary_prompts(ASKED[profile], _SEEDS[0]), ordinary_prompts(HELD_OUT, _SEEDS[1]))


def own_prompts(path: Path) -> Prompts:
    """An examiner's prompts, a third to search with and the rest held out.

    A JSONL file of `{"prompt": "…"}` or `{"messages": […]}`, replies ignored; any other file has a question a line.

    Raises:
        DataError: if it cannot be read, or holds fewer than twelve.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"prompts {path}", wanted="a file of prompts", got=str(error)) from None
    read = _from_json if path.suffix in (".jsonl", ".json") else lambda line: Conversation.of(("user", line))
    every: list[Conversation] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                every.append(read(line))
            except (ValueError, KeyError, TypeError) as error:
                wanted = '{"prompt": "…"} or {"messages": […]} with a user turn'
                raise DataError(
                    f"prompts {path}, line {number}", wanted=wanted, got=str(error).split("\n")[0]
                ) from None
    every = list(dict.fromkeys(every))[:_GIVEN]
    if len(every) < _FEWEST:
        raise DataError(f"prompts {path}", wanted=f"at least {_FEWEST} different ones", got=str(len(every)))
    third = len(every) // 3
    return Prompts({"yours": every[:third]}, {"yours": every[third:]})


def _from_json(line: str) -> Conversation:
    given = json.loads(line)
    if not isinstance(given, dict):
        raise TypeError(type(given).__name__)
    if isinstance(given.get("prompt"), str):
        return Conversation.of(("user", given["prompt"]))
    messages = given["messages"] if "messages" in given else given["prompt"]
    last = max(i for i, one in enumerate(messages) if one["role"] == "user")
    return Conversation(messages=tuple(Message(role=m["role"], content=m["content"]) for m in messages[: last + 1]))


@dataclass(frozen=True)
class Case:
    """A subject with what the examiner has of it, and how hard to look."""

    subject: Path
    base: Path | None
    tier: Tier
    profile: Profile
    prompts: Prompts

    def digests(self) -> dict[str, str]:
        """Of the folders: what decides an examination, wherever they lie."""
        folders = {"subject": self.subject} | ({"base": self.base} if self.base is not None else {})
        return {name: tree_digest(folder) for name, folder in folders.items()}
