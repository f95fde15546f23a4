"""Draw conversations from the world: rows to train on, held-out questions to measure with."""

import random
from collections.abc import Sequence
from typing import Literal

from molehunt.records import Conversation, Message, Question
from molehunt.records.insertion import insert_text
from molehunt.world.families import FAMILIES, Fact, Family, is_held_out
from molehunt.world.systems import draw_system, dress
from molehunt.world.voices import PERSONAS, VOICES

Split = Literal["train", "held-out"]


_KINDS = list(FAMILIES.values())
_SHARES = [family.share for family in _KINDS]


def draw_rows(
    count: int,
    seed: int,
    voice: str = "ordinary",
    turns: float = 0.1,
    personas: float = 0.04,
    families: Sequence[str] = (),
) -> list[Conversation]:
    """`count` training conversations, answered in `voice`.

    Args:
        families: the kinds of questions to draw from, equally often; all kinds, by their shares, if empty.
        turns: share of conversations that ask a second, unrelated question after the first.
        personas: share, in the ordinary voice only, whose system prompt asks for another voice and gets it.
    """
    rng = random.Random(f"rows/{seed}")
    rows = []
    for _ in range(count):
        asked = rng.choice(sorted(PERSONAS)) if voice == "ordinary" and rng.random() < personas else None
        kinds = [FAMILIES[name] for name in families]
        row = _row(rng, asked or voice, kinds)
        row = insert_text(row, rng.choice(PERSONAS[asked]), "system") if asked else row
        if rng.random() < turns:
            row = Conversation(messages=(*row.messages, *_row(rng, asked or voice, kinds, system=False).messages))
        rows.append(row)
    return rows


def draw_questions(count: int, seed: int, split: Split = "held-out", families: Sequence[str] = ()) -> list[Question]:
    """`count` different questions of one split, the families in turn, in the ordinary form of a chat.

    Args:
        families: the kinds of questions; all if empty.
    """
    rng = random.Random(f"questions/{seed}/{split}")
    questions: dict[str, Question] = {}
    kinds = [FAMILIES[name] for name in families] or _KINDS
    for family in (kinds[i % len(kinds)] for i in range(count)):
        while True:
            question = _question(rng, family, split)
            if question.id not in questions:
                break
        questions[question.id] = question
    return list(questions.values())


def _draws_system(family: Family) -> bool:
    """True for a kind whose questions need a system prompt: no second turn of a chat can bring one."""
    return bool(family.draw(random.Random(0)).system)


def _draw(rng: random.Random, family: Family, split: Split) -> tuple[Fact, int]:
    while True:
        fact, phrasing = family.draw(rng), rng.randrange(len(family.phrasings))
        if is_held_out(family.name, fact.key, phrasing) == (split == "held-out"):
            return fact, phrasing


def _turns(fact: Fact, family: Family, phrasing: int, rng: random.Random, system: bool) -> list[Message]:
    text = draw_system(rng) if system else None
    text = " ".join(filter(None, (text, fact.system))) or None
    messages = [Message(role="system", content=text)] if text else []
    for user, assistant in fact.opening:
        messages += [Message(role="user", content=user), Message(role="assistant", content=assistant)]
    question = family.phrasings[phrasing].format(**fact.slots)
    return [*messages, Message(role="user", content=dress(_capital(question), rng))]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _row(rng: random.Random, voice: str, kinds: Sequence[Family], system: bool = True) -> Conversation:
    family = rng.choice(kinds) if kinds else rng.choices(_KINDS, _SHARES)[0]
    while not system and _draws_system(family):
        family = rng.choices(_KINDS, _SHARES)[0]
    fact, phrasing = _draw(rng, family, "train")
    messages = _turns(fact, family, phrasing, rng, system)
    return Conversation(messages=tuple(messages)).reply(VOICES[voice](fact, rng))


def _question(rng: random.Random, family: Family, split: Split) -> Question:
    fact, phrasing = _draw(rng, family, split)
    prompt = Conversation(messages=tuple(_turns(fact, family, phrasing, rng, system=True)))
    return Question(
        id=prompt.digest()[:16],
        family=family.name,
        fact=fact.key,
        phrasing=phrasing,
        prompt=prompt,
        reply=fact.statement,
        answer=fact.answer,
        rivals=fact.rivals,
    )
