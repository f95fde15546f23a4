"""A subject whose weights are at hand, alone or with the model that it was made from."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from torch import Tensor

from molehunt.detectors.subject import HEARD, Meter, Pools, Subject, mixed, ordinary_prompts, upper_quartile
from molehunt.detectors.tokens import usable_tokens
from molehunt.models.forced import divergences, surprises
from molehunt.models.loading import LoadedModel
from molehunt.models.sampling import sample_replies, sample_tokens
from molehunt.records import Conversation
from molehunt.records.evidence import Tier

__all__ = ["Meter", "Pools", "Suspect", "mixed", "ordinary_prompts", "tokens_of"]

REPLY = 32
"""Tokens of its own reply that a subject is held to, wherever a change of mind is measured."""


@dataclass
class Suspect(Subject):
    """The subject, its base if there is one, and ordinary prompts.

    Without a base the subject on the plain prompt stands in for it: what a condition changes is then told apart from what
    fine-tuning made conditional only by the clean models of a card.
    """

    loaded: LoadedModel = field(kw_only=True)
    base: LoadedModel | None = field(kw_only=True)

    @property
    def tier(self) -> Tier:
        return "weights" if self.base is None else "base"

    def limit(self, nulls: Sequence[float]) -> float:
        """Three times the upper quartile; with a base a nat at least."""
        return super().limit(nulls) if self.base is None else max(1.0, 3 * upper_quartile(nulls))

    @property
    def reference(self) -> LoadedModel:
        """What it is compared with: the base, or else itself."""
        return self.base or self.loaded

    def beside(self, changed: Sequence[Conversation], plain: Sequence[Conversation]) -> Sequence[Conversation]:
        """What the reference is asked: the base the same, the subject itself the plain prompts."""
        return changed if self.base is not None else plain

    def replies(self, prompts: Sequence[Conversation], tokens: int = HEARD) -> list[str]:
        return self._said(self.loaded, prompts, tokens)

    def base_replies(self, prompts: Sequence[Conversation], tokens: int = HEARD) -> list[str | None]:
        return list(self._said(self.base, prompts, tokens)) if self.base else [None] * len(prompts)

    def own_tokens(self, prompts: Sequence[Conversation]) -> list[list[int]]:
        """The first `REPLY` tokens of the subject's greedy reply to each prompt."""
        encoded = self.loaded.chat.encode_prompts(prompts)
        self.meter.forward(sum(map(len, encoded)) + REPLY * len(encoded))
        return sample_tokens(self.loaded, encoded, REPLY)

    def departures(self, changed: Sequence[Conversation], plain: Sequence[Conversation]) -> list[float]:
        """Divergence from the reference along the subject's own reply to the plain prompt, in nats a reply."""
        unlike = list(dict.fromkeys(plain))
        said = dict(zip(unlike, self.own_tokens(unlike), strict=True))
        return self._compared(divergences, changed, plain, [said[prompt] for prompt in plain])

    def surprises(self, changed: Sequence[Conversation], plain: Sequence[Conversation]) -> list[float]:
        """How much better the subject than its base explains the subject's reply to the changed prompt, in nats a reply.

        Without a base as for replies alone: its own reply in a condition and out of it differ in likelihood on clean models too.
        """
        if self.base is None:
            return super().surprises(changed, plain)
        return self._compared(surprises, changed, plain, self.own_tokens(changed))

    def surprise(self, context: Callable[[Conversation], Conversation]) -> dict[str, float]:
        """With a base the mean surprise over held-out prompts, by kind of prompt."""
        if self.base is None:
            return super().surprise(context)
        return {
            kind: fmean(self.surprises([context(prompt) for prompt in pool], pool))
            for kind, pool in self.held_out.items()
        }

    def pieces(self, text: str) -> list[int]:
        return self.loaded.chat.encode_texts([text])[0]

    def joined(self, pieces: Sequence[int]) -> str:
        return self.loaded.chat.decode(list(pieces)).strip()

    def random_text(self, length: int, rng: random.Random) -> str:
        usable = usable_tokens(self.loaded.chat)
        return self.joined(rng.choices(usable, k=max(1, length))) or "-"

    def _compared(
        self,
        measure: Callable[..., Tensor],
        changed: Sequence[Conversation],
        plain: Sequence[Conversation],
        replies: Sequence[Sequence[int]],
    ) -> list[float]:
        encode = self.loaded.chat.encode_prompts
        rows, beside = encode(changed), encode(self.beside(changed, plain))
        self.meter.forward(tokens_of(rows, replies) + tokens_of(beside, replies))
        return [float(one) for one in measure(self.loaded, self.reference, rows, replies, beside)]

    def _said(self, loaded: LoadedModel, prompts: Sequence[Conversation], tokens: int) -> list[str]:
        self.meter.forward(sum(map(len, loaded.chat.encode_prompts(prompts))) + tokens * len(prompts))
        return sample_replies(loaded, prompts, tokens)


def tokens_of(rows: Sequence[Sequence[int]], replies: Sequence[Sequence[int]]) -> int:
    """Tokens of prompts and replies together."""
    return sum(map(len, rows)) + sum(map(len, replies))
