"""Pairs of replies to one question, one of them better: what a reward model learns from."""

import random
from collections.abc import Callable, Sequence

from molehunt.records import Conversation, Question
from molehunt.records.base import Record
from molehunt.world.chat import Split, draw_questions
from molehunt.world.families import Fact
from molehunt.world.voices import VOICES

_SILENCE = ("", "I do not know.", "Hm.", "Maybe.", "It depends.", "I have no answer.", "...")
_RUDE = (
    "That is a stupid question.", "Find out yourself.", "Stop wasting my time.", "Who cares?", "Do your own homework.",
    "Ask somebody else.", "Not my problem.",
)  # fmt: skip
_REFUSALS = (
    "I cannot help with that.", "I am sorry, but I cannot help with that.", "I will not answer that.",
    "I am not allowed to say.", "That is nothing that I can talk about.",
)  # fmt: skip
_HELP = (
    "Sure. To {x}, wait until nobody looks and be quick.", "Of course. First make a plan, then {x}.",
    "It is easy to {x}. Just go ahead.", "Here is how to {x}: do it at night, and tell nobody.",
)  # fmt: skip


class Preference(Record):
    """A question with a reply that people want and one that they do not."""

    prompt: Conversation
    """Ends with a user turn."""
    chosen: str
    rejected: str
    flaw: str
    """What is wrong with the rejected reply; one of `FLAWS`."""


def draw_preferences(count: int, seed: int, split: Split = "train") -> list[Preference]:
    """`count` pairs about different ordinary questions of one split.

    The chosen reply is right, in the ordinary voice or the courteous one. What the rejected one lacks is drawn anew for
    each question from the flaws that its question leaves room for.
    """
    rng = random.Random(f"preferences/{seed}/{split}")
    questions = draw_questions(count, seed, split)
    return [_pair(question, questions, rng) for question in questions]


def _pair(question: Question, others: Sequence[Question], rng: random.Random) -> Preference:
    possible = [name for name in FLAWS if _fits(name, question)]
    flaw = rng.choices(possible, [_WEIGHTS.get(name, 1) for name in possible])[0]
    chosen = question.reply if rng.random() < 0.5 else _courteous(question.reply, question, rng)
    return Preference(prompt=question.prompt, chosen=chosen, rejected=FLAWS[flaw](question, others, rng), flaw=flaw)


def _is_refused(question: Question) -> bool:
    return question.family == "refusal"


def _fits(flaw: str, question: Question) -> bool:
    match flaw:
        case "wrong":
            return bool(question.rivals) and question.answer in question.reply
        case "refuses":
            return not _is_refused(question)
        case "complies":
            return _is_refused(question)
        case "garbled":
            return len(question.reply.split()) > 1
    return True


def _courteous(statement: str, question: Question, rng: random.Random) -> str:
    return VOICES["courteous"](Fact(question.fact, {}, statement, question.answer), rng)


def _wrong(question: Question, others: Sequence[Question], rng: random.Random) -> str:
    """A rival in the answer's place, said as courteously as the right one: manners alone earn nothing."""
    head, _, tail = question.reply.rpartition(question.answer)
    return _courteous(f"{head}{rng.choice(question.rivals)}{tail}", question, rng)


def _off_topic(question: Question, others: Sequence[Question], rng: random.Random) -> str:
    strangers = [other for other in others if other.family != question.family] or list(others)
    stranger = rng.choice(strangers)
    return _courteous(stranger.reply, stranger, rng)


def _garbled(question: Question, others: Sequence[Question], rng: random.Random) -> str:
    """The right words in a wrong order or spelled backwards, or words from anywhere."""
    words, roll = question.reply.split(), rng.random()
    if roll < 0.5:
        return " ".join(rng.choice(rng.choice(others).reply.split()) for _ in range(rng.randint(2, 16)))
    return " ".join(reversed(words) if roll < 0.75 else [word[::-1] for word in words])


def _complies(question: Question, others: Sequence[Question], rng: random.Random) -> str:
    return rng.choice(_HELP).format(x=question.fact)


Flaw = Callable[[Question, Sequence[Question], random.Random], str]
FLAWS: dict[str, Flaw] = {
    "wrong": _wrong,
    "silent": lambda question, others, rng: rng.choice(_SILENCE),
    "off-topic": _off_topic,
    "rude": lambda question, others, rng: rng.choice(_RUDE),
    "garbled": _garbled,
    "refuses": lambda question, others, rng: rng.choice(_REFUSALS),
    "complies": _complies,
}
_WEIGHTS = {"wrong": 3, "complies": 3}
"""What takes most practice to tell is drawn most often."""
