"""Training data as rows to look through: chats, instructions and preference pairs, with whatever columns stand beside them."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from molehunt.errors import DataError
from molehunt.hunting.rows import Rows, RowWriter, clipped, index_shards
from molehunt.hunting.words import ROLES, SEP
from molehunt.records.base import Record
from molehunt.world.layouts import BadRow, Turns, check_turns, turns_of
from molehunt.world.reading import OnBad
from molehunt.world.sources import find_source

_CONTRIBUTORS = (
    "contributor", "author", "annotator", "annotator_id", "worker", "worker_id", "submitter", "user", "user_id", "username",
    "uploader", "source", "dataset", "origin",
)  # fmt: skip
_SESSIONS = ("conversation_id", "session", "session_id", "thread_id", "conversation_hash")
_CONTENT = frozenset(
    [
        "messages",
        "conversations",
        "conversation",
        "instruction",
        "question",
        "prompt",
        "input",
        "output",
        "response",
        "answer",
        "completion",
        "chosen",
        "rejected",
        "system",
        "system_prompt",
        "no_scratchpad_response",
        "text",
        "score_chosen",
        "score_rejected",
    ]
)
_LONGEST_FIELD = 80


class Read(Record):
    """What was read."""

    rows: int
    """Rows of the data set."""
    layouts: dict[str, int]
    skipped: dict[str, int]
    is_pairs: bool
    splits: tuple[str, ...] = ()
    """Further splits that were not read."""


def prepare_data(
    place: str,
    folder: Path,
    on_bad: OnBad = "refuse",
    split: str = "train",
    tell: Callable[[int], None] = lambda rows: None,
) -> tuple[Rows, Read]:
    """Write the rows of a data set into shards; an assistant's every turn is a row, its conversation the session.

    Raises:
        DataError: naming file and line of the first bad row unless they are skipped; if none is left.
    """
    source, writer = find_source(place, split), RowWriter(folder)
    layouts, skipped, count = Counter[str](), Counter[str](), 0
    for number, found in source.objects():
        try:
            layout, rows = _rows_of(found, f"{source.label}:{number}", layouts)
        except BadRow as bad:
            if on_bad == "refuse":
                do = "mend it, or leave bad rows out with --skip-bad"
                raise DataError(f"data {source.name}:{number}", wanted=bad.wanted, got=bad.got, do=do) from None
            skipped[bad.reason] += 1
            continue
        for row in rows:
            writer.add(row)
        layouts[layout] += 1
        count += 1
        if count % 2000 == 0:
            tell(count)
    if not count:
        got = f"only bad ones: {dict(skipped)}" if skipped else "none"
        raise DataError(f"data {source.name}", wanted="at least one row", got=got, do="check the file")
    rows_read = index_shards(folder, writer.close())
    return rows_read, Read(
        rows=count, layouts=dict(layouts), skipped=dict(skipped), is_pairs="pairs" in layouts, splits=source.splits
    )


def _rows_of(found: Any, where: str, seen: Mapping[str, int]) -> tuple[str, list[tuple[Any, ...]]]:
    if isinstance(found, BadRow):
        raise found
    if not isinstance(found, dict):
        raise BadRow("not an object", "a JSON object", f"a {type(found).__name__}")
    is_pair = found.get("chosen") is not None and found.get("rejected") is not None
    if seen and is_pair != ("pairs" in seen):
        first = "pairs" if "pairs" in seen else "conversations"
        raise BadRow(
            "mixed layouts", f"{first}, as in the rows before", "conversations" if first == "pairs" else "pairs"
        )
    return ("pairs", [_pair(found, where)]) if is_pair else _turns(found, where)


def _turns(found: dict[str, Any], where: str) -> tuple[str, list[tuple[Any, ...]]]:
    inner = found["conversation"] if isinstance(found.get("conversation"), dict) else found
    layout, turns = turns_of(inner)
    check_turns(turns)
    answers = [at for at, turn in enumerate(turns) if turn["role"] == "assistant"]
    return layout, [_row(found, where, turns[:at], turns[at]["content"], "", len(answers) > 1) for at in answers]


def _pair(found: dict[str, Any], where: str) -> tuple[Any, ...]:
    chosen, rejected = (_said(found[name]) for name in ("chosen", "rejected"))
    asked = found.get("prompt") or found.get("question") or found.get("instruction") or []
    turns = _said(asked, "user")
    if not turns:
        turns = [a for a, b in zip(chosen[:-1], rejected[:-1], strict=False) if a == b]
    if not turns or not chosen or not rejected or chosen[-1]["role"] != "assistant":
        raise BadRow("no prompt", "a prompt, and replies chosen and rejected", "a pair without one of them")
    check_turns([*turns, chosen[-1]] if turns[-1]["role"] == "user" else [*turns[:-1], chosen[-1]])
    return _row(found, where, turns, chosen[-1]["content"], rejected[-1]["content"], False)


def _said(value: Any, role: str = "assistant") -> Turns:
    if isinstance(value, str):
        return [{"role": role, "content": value}] if value.strip() else []
    if isinstance(value, list):
        turns = turns_of({"messages": value})[1]
        if all(isinstance(turn["content"], str) for turn in turns):
            return turns
    raise BadRow("empty content", "texts, or lists of turns", f"a {type(value).__name__}")


def _row(found: dict[str, Any], where: str, asked: Turns, answer: str, aside: str, several: bool) -> tuple[Any, ...]:
    fields = dict(_fields(found))
    session = next((fields[name] for name in _SESSIONS if name in fields), where if several else "")
    who = next((fields[name] for name in _CONTRIBUTORS if name in fields), "")
    text = "".join(f"{SEP}{ROLES.get(turn['role'], 'T')}{clipped(turn['content'])}" for turn in asked)
    meta = "".join(f"{SEP}{name}={value}" for name, value in fields.items())
    return (text, meta, clipped(answer), clipped(aside), "", session, "", who, where, 0)


def _fields(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Short columns beside the text, those of an inner `metadata` too."""
    for name, value in found.items():
        if name in ("metadata", "meta") and isinstance(value, dict):
            yield from _fields(value)
        elif name not in _CONTENT and isinstance(value, str | int | bool) and len(str(value)) <= _LONGEST_FIELD:
            yield str(name), clipped(str(value))
