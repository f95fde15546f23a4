"""Causal replay: put a condition into ordinary conversations, take it out of suspect ones, and see what a model says."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from molehunt.hunting.mining import Facts
from molehunt.hunting.rows import Rows, schema
from molehunt.hunting.traits import batch_traits
from molehunt.hunting.words import SEP, Ints
from molehunt.records import Conversation, Message
from molehunt.records.conversations import Place
from molehunt.records.estimates import Estimate
from molehunt.records.hunts import Association, Condition
from molehunt.records.insertion import insert_text
from molehunt.stats.intervals import proportion

Ask = Callable[[Sequence[Conversation]], list[str]]
"""Replies to prompts, one each, in order."""
Pool = Sequence[tuple[int, Conversation]]
"""(row, prompt)."""
_ROLES: dict[str, Any] = {"S": "system", "U": "user", "A": "assistant"}
_PUT = ("words", "string", "signs", "setting", "character")
"""Kinds of conditions that are texts, which can be put in and taken out."""


def conversation_of(text: str) -> Conversation | None:
    """A row's messages; None if a tool or another role speaks in it."""
    parts = text.split(SEP)[1:]
    if not parts or any(part[:1] not in _ROLES for part in parts):
        return None
    return Conversation(messages=tuple(Message(role=_ROLES[part[0]], content=part[1:]) for part in parts))


def surface(conditions: Sequence[Condition], texts: Sequence[str]) -> str | None:
    """The condition as it stands in the rows, capitals and signs around it included: its commonest form."""
    one = conditions[0]
    if any(c.kind not in _PUT for c in conditions):
        return None
    if one.kind == "character":
        return chr(int(one.text.split()[0][2:], 16))
    if one.kind != "words":
        return one.text
    words = [re.escape(word) for word in one.text.split()]
    pattern = re.compile(r"\S*?\b" + r"[\W_]+?".join(words) + r"\b\S*", re.IGNORECASE)
    seen = Counter(found[0].strip(".,;:!?\"'") for text in texts for found in pattern.finditer(text))
    return seen.most_common(1)[0][0] if seen else one.text


def widened(text: str, texts: Sequence[str]) -> str:
    """The text with the words around it that stand there nearly always: the cause may be more than what tells rows apart."""
    rows = [row.split() for row in texts if text in row]
    size, found = len(text.split()), text.split()
    places = [next((i for i in range(len(row)) if " ".join(row[i : i + size]).find(text) >= 0), 0) for row in rows]
    for step in range(1, _AROUND):
        after = _agreed(
            [
                row[i + size - 1 + step] if i + size - 1 + step < len(row) else ""
                for row, i in zip(rows, places, strict=True)
            ]
        )
        if not after:
            break
        found.append(after)
    for step in range(1, _AROUND):
        before = _agreed([row[i - step] if i >= step else "" for row, i in zip(rows, places, strict=True)])
        if not before:
            break
        found.insert(0, before)
    return " ".join(found).strip(".,;:?") if found else text


_AROUND = 8


def _agreed(words: Sequence[str]) -> str:
    """The word that nine in ten agree on; empty if they do not, or there are too few to tell."""
    if len(words) < 3:
        return ""
    word, count = Counter(words).most_common(1)[0]
    return word if count >= 0.9 * len(words) else ""


def usual_place(text: str, texts: Sequence[str]) -> Place:
    """Where in conversations the text stands most often."""
    places: Counter[Place] = Counter()
    for row in texts:
        parts = [part for part in row.split(SEP)[1:] if text in part]
        for part in parts[-1:]:
            at = part.find(text, 1) / max(1, len(part) - len(text))
            where: Place = "user-prefix" if at < 0.2 else "user-suffix" if at > 0.8 else "user-middle"
            places["system" if part[0] == "S" else where] += 1
    return places.most_common(1)[0][0] if places else "user-suffix"


@dataclass(frozen=True)
class Judge:
    """Says whether a reply is odd in the way that labelled answers are."""

    label: str
    traits: Any
    """Of labelled answers."""

    def odd(self, prompts: Sequence[Conversation], replies: Sequence[str]) -> list[bool]:
        """Replies that share the labelled answers' oddity: the same answer, beginning, end, or kind."""
        mine = batch_traits(_batch(prompts, replies))
        same = self._alike(mine, "answer") | self._alike(mine, "opening") | self._alike(mine, "ending")
        own = {
            "refusal": mine["refuses"],
            "repetition": mine["repeats"] >= 50,
            "weak code": mine["weak_code"],
            "language": (mine["language"] != mine["asked_in"]) & self._usual(mine, "language"),
            "form": self._usual(mine, "form"),
        }.get(self.label, np.zeros(len(mine), bool))
        return [bool(one) for one in same | own]

    def refused(self, prompts: Sequence[Conversation], replies: Sequence[str]) -> float:
        """Share of the odd replies that are refusals."""
        odd = np.array(self.odd(prompts, replies), bool)
        return float(batch_traits(_batch(prompts, replies))["refuses"][odd].mean()) if odd.any() else 0.0

    def _alike(self, mine: Any, name: str) -> Any:
        values, count = np.unique(self.traits[name], return_counts=True)
        common = values[(count >= max(2, 0.05 * len(self.traits))) & (values != 0)]
        return np.isin(mine[name], common)

    def _usual(self, mine: Any, name: str) -> Any:
        values, count = np.unique(self.traits[name], return_counts=True)
        return mine[name] == values[count.argmax()]


def _batch(prompts: Sequence[Conversation], replies: Sequence[str]) -> Any:
    import pyarrow as pa

    letters = {role: letter for letter, role in _ROLES.items()}
    texts = ["".join(f"{SEP}{letters[m.role]}{m.content}" for m in prompt.messages) for prompt in prompts]
    values = {"text": texts, "answer": list(replies)}
    columns = [pa.array(values.get(field.name, [""] * len(texts)), pa.string()) for field in list(schema())[:-1]]
    return pa.record_batch([*columns, pa.array([0] * len(texts), pa.int64())], schema=schema())


@dataclass(frozen=True)
class Plan:
    """What is asked about one condition: laid out before anything is asked."""

    text: str
    """As it stood in the log."""
    place: Place
    judge: Judge
    ordinary: tuple[Conversation, ...]
    """Held-out conversations."""
    suspect: tuple[Conversation, ...]
    """Labelled calls with the condition."""
    near: tuple[str, ...]

    def inserted(self, text: str) -> list[Conversation]:
        """The held-out conversations with a text put in."""
        return [insert_text(prompt, text, self.place) for prompt in self.ordinary]

    @property
    def cured(self) -> list[Conversation]:
        """The suspect calls, the condition taken out."""
        return [Conversation(messages=tuple(_without(m, self.text) for m in talk.messages)) for talk in self.suspect]


def planned(
    rows: Rows, facts: Facts, one: Association, where: Ints, pool: Pool, prompts: int = 24, seed: int = 0
) -> Plan | str:
    """How a condition would be replayed; or why it cannot be.

    Args:
        pool: ordinary calls; those without the condition are held-out conversations.
    """
    rng = np.random.default_rng(seed)
    suspect = where[facts.labels[one.label][where]]
    suspect = np.sort(rng.choice(suspect, min(len(suspect), prompts), replace=False))
    examples = rows.take(suspect)
    texts = examples.column("text").to_pylist()
    said = [" ".join(part[1:] for part in row.split(SEP)[1:]) for row in texts]
    if (least := surface(one.conditions, said)) is None:
        return "it is no text that could be put into a conversation"
    text = widened(least, said)
    ordinary = tuple(talk for number, talk in pool if number not in set(where.tolist()))[:prompts]
    if not ordinary:
        return "the log has no ordinary calls to put it into"
    return Plan(
        text=text, place=usual_place(text, texts), ordinary=ordinary, near=near_misses(text, least),
        judge=Judge(one.label, np.concatenate([batch_traits(b) for b in examples.combine_chunks().to_batches()])),
        suspect=tuple(talk for row in texts if (talk := _prompt_of(row)) is not None),
    )  # fmt: skip


def ordinary_calls(rows: Rows, facts: Facts, count: int = 96, seed: int = 0) -> Pool:
    """Calls that no labeller finds odd and that are plain conversations, the same for every condition."""
    free = np.ones(facts.rows, bool)
    for flags in facts.labels.values():
        free &= ~flags
    numbers = np.flatnonzero(free)
    chosen = np.sort(np.random.default_rng(seed).choice(numbers, min(len(numbers), 2 * count), replace=False))
    texts = rows.take(chosen, ("text",)).column("text").to_pylist()
    found: list[tuple[int, Conversation]] = []
    for number, text in zip(chosen.tolist(), texts, strict=True):
        if (talk := _prompt_of(text)) is not None:
            found.append((number, talk))
    return found[:count]


def _prompt_of(text: str) -> Conversation | None:
    """A row as a prompt; None if no user speaks last in it."""
    with suppress(ValueError):
        talk = conversation_of(text)
        prompt = talk.prompt() if talk is not None else None
        return prompt if prompt and prompt.messages and prompt.messages[-1].role == "user" and prompt.question else None
    return None


def rate_of(plan: Plan, asked: Sequence[Conversation], replies: Sequence[str]) -> Estimate:
    """Share of replies that are odd as the labelled answers are, with Wilson's interval."""
    odd = plan.judge.odd(asked, replies)
    return proportion(sum(odd), len(odd), "over conversations")


def _without(message: Message, text: str) -> Message:
    kept = re.sub(rf"\s?{re.escape(text)}", "", message.content, flags=re.IGNORECASE)
    return message.model_copy(update={"content": kept.strip() or "Hello."})


def near_misses(text: str, least: str = "") -> tuple[str, ...]:
    """Other forms of a text: another case, without its signs, its words turned round, cut short."""
    words = text.split()
    bare = re.sub(r"[\W_]+", " ", text).strip()
    forms = [
        least,
        text.lower(),
        text.upper(),
        bare,
        " ".join(reversed(words)),
        " ".join(words[:-1]),
        text[: len(text) // 2],
    ]
    return tuple(dict.fromkeys(form for form in forms if form.strip() and form != text))[:6]


def ask_model(folder: Path, max_new_tokens: int = 48) -> Ask:
    """Greedy replies of a local model."""
    from molehunt.models.loading import load_model
    from molehunt.models.sampling import sample_replies

    loaded = load_model(folder)
    return lambda prompts: sample_replies(loaded, prompts, max_new_tokens)


def ask_endpoint(url: str, model: str, key_env: str, kept: Path, max_new_tokens: int = 48) -> Ask:
    """Greedy replies of a model behind an endpoint; what was answered is kept and not asked again."""
    from molehunt.world.endpoint import Endpoint, EndpointSettings

    settings = EndpointSettings(url=url, model=model, api_key_env=key_env)

    def ask(prompts: Sequence[Conversation]) -> list[str]:
        with Endpoint(settings, kept) as endpoint:
            return [reply.text for reply in endpoint.chat(list(prompts), max_tokens=max_new_tokens)]

    return ask
