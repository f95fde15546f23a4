"""Replies that the suspect itself gives to ordinary questions."""

from collections.abc import Sequence
from dataclasses import dataclass

from molehunt.records import Conversation
from molehunt.removal.procedure import Treatment


@dataclass(frozen=True)
class OwnReplies:
    """The suspect's replies, and what they cost."""

    replies: list[str]
    """One a prompt, in order."""
    forward_tokens: int
    """Of the prompts."""
    generated_tokens: int


def own_replies(treatment: Treatment, prompts: Sequence[Conversation], max_new_tokens: int) -> OwnReplies:
    """The untreated suspect's replies at temperature 1: draws from what it would say."""
    from molehunt.models.loading import load_model
    from molehunt.models.sampling import sample_replies

    loaded = load_model(treatment.model)
    replies = sample_replies(loaded, prompts, max_new_tokens, temperature=1.0, seed=treatment.budget.training.seed)
    forward, generated = loaded.chat.encode_prompts(prompts), loaded.chat.encode_texts(replies)
    return OwnReplies(replies, sum(map(len, forward)), sum(map(len, generated)))
