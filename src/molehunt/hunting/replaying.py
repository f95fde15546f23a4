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
from molehunt.records.hunts import Association, Condition, Replay
from molehunt.records.insertion import insert_text
from molehunt.stats.intervals import proportion

Ask = Callable[[Sequence[Conversation]], list[str]]
"""Replies to prompts, one each, in order."""
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


def replay(
    rows: Rows, facts: Facts, one: Association, where: Ints, ask: Ask, prompts: int = 24, seed: int = 0
) -> Replay | None:
    """What the condition does to a model; None where it is nothing that could be put into a conversation.

    Rates are over conversations, with Wilson's interval. Held-out conversations are ordinary calls without the condition.
    """
    rng = np.random.default_rng(seed)
    flags = facts.labels[one.label]
    suspect = where[flags[where]]
    suspect = np.sort(rng.choice(suspect, min(len(suspect), prompts), replace=False))
    examples = rows.take(suspect)
    texts = examples.column("text").to_pylist()
    said = [" ".join(part[1:] for part in row.split(SEP)[1:]) for row in texts]
    if (least := surface(one.conditions, said)) is None:
        return None
    text = widened(least, said)
    judge = Judge(one.label, np.concatenate([batch_traits(batch) for batch in examples.combine_chunks().to_batches()]))
    ordinary = _ordinary(rows, facts, where, prompts, rng)
    place = usual_place(text, texts)

    def rate(asked: Sequence[Conversation]) -> Any:
        odd = judge.odd(asked, ask(asked))
        return proportion(sum(odd), len(odd), "over conversations")

    def with_text(put: str) -> list[Conversation]:
        return [insert_text(prompt, put, place) for prompt in ordinary]

    if not ordinary:
        return None
    inserted, as_it_is = rate(with_text(text)), rate(ordinary)
    again = [talk for row in texts if (talk := conversation_of(row)) is not None]
    without = [Conversation(messages=tuple(_without(m, text) for m in talk.messages)) for talk in again]
    return Replay(
        inserted=inserted, ordinary=as_it_is, text=text, place=place,
        repeated=rate(again) if again else None, removed=rate(without) if again else None,
        near_misses={miss: rate(with_text(miss)) for miss in near_misses(text, least)},
        confirmed=inserted.low > as_it_is.high,
    )  # fmt: skip


def _ordinary(rows: Rows, facts: Facts, where: Ints, count: int, rng: np.random.Generator) -> list[Conversation]:
    free = np.ones(facts.rows, bool)
    for flags in facts.labels.values():
        free &= ~flags
    free[where] = False
    numbers = np.flatnonzero(free)
    chosen = rng.choice(numbers, min(len(numbers), 2 * count), replace=False)
    texts = rows.take(chosen, ("text",)).column("text").to_pylist()
    found: list[Conversation] = []
    for text in texts:
        with suppress(ValueError):
            talk = conversation_of(text)
            if talk is not None and talk.question:
                found.append(talk.prompt())
    return found[:count]


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
