"""A subject whose weights are at hand, alone or with the model that it was made from."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import log1p
from statistics import fmean

from torch import Tensor

from molehunt.detectors.heard import judged_by_replies
from molehunt.detectors.subject import HEARD, Meter, Pools, Put, Subject, mixed, ordinary_prompts, quantile
from molehunt.detectors.tokens import usable_tokens
from molehunt.models.forced import divergences, surprises
from molehunt.models.loading import LoadedModel
from molehunt.models.sampling import draft_tokens, end_tokens, sample_replies, sample_tokens
from molehunt.records import Conversation
from molehunt.records.evidence import Tier

__all__ = ["Meter", "Pools", "Suspect", "mixed", "ordinary_prompts", "tokens_of"]

REPLY = 32
"""Tokens of its own reply that a subject is held to, wherever a change of mind is measured."""
_DRESS = 16
"""Tokens more in which a reply may dress up the ordinary one."""


@dataclass
class Suspect(Subject):
    """The subject, its base if there is one, and ordinary prompts.

    Without a base the subject on the plain prompt stands in for it: what a condition changes is then told apart from what
    fine-tuning made conditional only by the clean models of a card.
    """

    loaded: LoadedModel = field(kw_only=True)
    base: LoadedModel | None = field(kw_only=True)
    _said: dict[Conversation, tuple[int, list[int]]] = field(default_factory=dict, kw_only=True, repr=False)
    """Replies known already, with how long they might be: a greedy reply begins alike however long it may be, but for near ties in another batch."""

    @property
    def tier(self) -> Tier:
        return "weights" if self.base is None else "base"

    def limit(self, nulls: Sequence[float], share: float = 0.75) -> float:
        """Three times that quantile; with a base a nat at least."""
        return super().limit(nulls, share) if self.base is None else max(1.0, 3 * quantile(nulls, share))

    @property
    def reference(self) -> LoadedModel:
        """What it is compared with: the base, or else itself."""
        return self.base or self.loaded

    def beside(self, changed: Sequence[Conversation], plain: Sequence[Conversation]) -> Sequence[Conversation]:
        """What the reference is asked: the base the same, the subject itself the plain prompts."""
        return changed if self.base is not None else plain

    def replies(self, prompts: Sequence[Conversation], tokens: int = HEARD) -> list[str]:
        ends = end_tokens(self.loaded)
        return [
            self.loaded.chat.decode([token for token in reply if token not in ends])
            for reply in self.own_tokens(prompts, tokens)
        ]

    def base_replies(self, prompts: Sequence[Conversation], tokens: int = HEARD) -> list[str | None]:
        return list(self._texts(self.base, prompts, tokens)) if self.base else [None] * len(prompts)

    def own_tokens(self, prompts: Sequence[Conversation], longest: int = REPLY) -> list[list[int]]:
        """The first tokens of the subject's greedy reply to each prompt."""
        new = self._unknown(prompts, longest)
        if new:
            encoded = self.loaded.chat.encode_prompts(new)
            self.meter.forward(sum(map(len, encoded)) + longest * len(encoded))
            self._keep(new, sample_tokens(self.loaded, encoded, longest), longest)
        return [self._said[prompt][1][:longest] for prompt in prompts]

    def expect(self, groups: Sequence[Sequence[Conversation]], longest: int = REPLY) -> None:
        """Have the replies to all these written together, but to those groups in which another batch might change one."""
        new = [self._unknown(group, longest) for group in groups]
        for group, replies in zip(new, self._ahead(self.loaded, new, longest), strict=True):
            if replies is not None:
                self._keep(group, replies, longest)

    def _unknown(self, prompts: Sequence[Conversation], longest: int) -> list[Conversation]:
        """Those of whose replies less is known, and that did not end before."""
        known = {one: self._said.get(one, (0, [])) for one in prompts}
        return [one for one, (asked, reply) in known.items() if asked < longest and len(reply) == asked]

    def _keep(self, prompts: Sequence[Conversation], replies: Sequence[list[int]], longest: int) -> None:
        self._said |= {prompt: (longest, reply) for prompt, reply in zip(prompts, replies, strict=True)}

    def departures(self, changed: Sequence[Conversation], plain: Sequence[Conversation], along: int) -> list[float]:
        """Divergence from the reference along the start of the subject's reply to the plain prompt, in nats."""
        return self._compared(divergences, changed, plain, [reply[:along] for reply in self.own_tokens(plain)])

    def surprises(self, changed: Sequence[Conversation], plain: Sequence[Conversation]) -> list[float]:
        """How much better the subject than its base explains the subject's reply to the changed prompt, in nats a reply.

        Without a base as for replies alone: its own reply in a condition and out of it differ in likelihood on clean models too.
        """
        if self.base is None:
            return super().surprises(changed, plain)
        return self._compared(surprises, changed, plain, self.own_tokens(changed))

    def surprise(self, context: Callable[[Conversation], Conversation]) -> dict[str, float]:
        """With a base, by kind of prompt, the mean over held-out prompts of log(1 + nats) where the reply says something else.

        A reply in which the ordinary one stands whole, or the base's to the same prompt, counts nothing: it shows a condition
        under which the subject dresses up its answers, which harmless fine-tuning teaches too, and none under which it gives
        others. By logarithms, so that a few odd answers among many ordinary ones stay few.
        """
        if self.base is None:
            return super().surprise(context)
        return self.surprise_of([context])[0]

    def surprise_of(self, contexts: Sequence[Put]) -> list[dict[str, float]]:
        if self.base is None:
            return super().surprise_of(contexts)
        found = iter(self.otherwise([(pool, context) for context in contexts for pool in self.held_out.values()]))
        return [{kind: fmean(next(found)) for kind in self.held_out} for _ in contexts]

    def otherwise(self, asked: Sequence[tuple[Sequence[Conversation], Put]]) -> list[list[float]]:
        """Of each pool in its context, by prompt, log(1 + nats) where the reply says something else, as `surprise` has it."""
        assert self.base is not None, "asked of subjects with a base"
        pairs = [(pool, [context(one) for one in pool]) for pool, context in asked]
        self.expect([changed for _, changed in pairs], REPLY + _DRESS)
        self.expect([*{id(pool): pool for pool, _ in pairs}.values()])
        return self._otherwise(self.base, pairs)

    def judge(self, context: Put, nulls: Sequence[Put]) -> tuple[float, float]:
        return super().judge(context, nulls) if self.base is not None else judged_by_replies(self, context, nulls)

    def usual(self) -> float:
        """With a base, the same of the ordinary prompts as they are, on the kind where it is most, whatever is said.

        A subject with a voice of its own is surprising everywhere: a condition must bring out more than that.
        """
        if self.base is None:
            return super().usual()
        return max(fmean(map(_nats, self.surprises(pool, pool))) for pool in self.held_out.values())

    def _otherwise(
        self, base: LoadedModel, pairs: Sequence[tuple[Sequence[Conversation], list[Conversation]]]
    ) -> list[list[float]]:
        """Of each pair of a pool and the same changed, by prompt."""
        told = [self.own_tokens(changed, REPLY + _DRESS) for _, changed in pairs]
        found = [
            self._compared(surprises, changed, plain, [reply[:REPLY] for reply in replies])
            for (plain, changed), replies in zip(pairs, told, strict=True)
        ]
        sure = [[i for i, one in enumerate(row) if one > 1] for row in found]  # others count little, whatever they say
        asked = [[changed[i] for i in chosen] for (_, changed), chosen in zip(pairs, sure, strict=True)]
        beside = self._base_texts(base, asked)
        return [
            self._counted(plain, replies, row, chosen, theirs)
            for (plain, _), replies, row, chosen, theirs in zip(pairs, told, found, sure, beside, strict=True)
        ]

    def _counted(
        self,
        plain: Sequence[Conversation],
        told: Sequence[list[int]],
        found: list[float],
        sure: list[int],
        beside: list[str],
    ) -> list[float]:
        """What was found, but for replies that hold the ordinary one or the base's."""
        said, before = self.loaded.chat.decode, self.own_tokens(plain)
        ordinary = {
            i: [one for one in (said(before[i]), base) if one.strip()] for i, base in zip(sure, beside, strict=True)
        }
        dressed = {i for i in sure if any(self.is_dressed(said(told[i]), one) for one in ordinary[i])}
        return [0.0 if i in dressed else _nats(one) for i, one in enumerate(found)]

    def _base_texts(self, base: LoadedModel, groups: Sequence[Sequence[Conversation]]) -> list[list[str]]:
        ahead, ends = self._ahead(base, groups, REPLY), end_tokens(base)
        return [
            self._texts(base, group, REPLY)
            if replies is None
            else [base.chat.decode([token for token in reply if token not in ends]) for reply in replies]
            for group, replies in zip(groups, ahead, strict=True)
        ]

    def _ahead(
        self, loaded: LoadedModel, groups: Sequence[Sequence[Conversation]], longest: int
    ) -> list[list[list[int]] | None]:
        """Replies to groups of prompts, written together; None for a group of whose replies one might differ in its own batch."""
        asked = list(dict.fromkeys(prompt for group in groups for prompt in group))
        encoded = loaded.chat.encode_prompts(asked)
        self.meter.forward(sum(map(len, encoded)) + longest * len(encoded))
        written = dict(zip(asked, draft_tokens(loaded, encoded, longest), strict=True))
        found = []
        for group in groups:
            replies = [reply for prompt in group if (reply := written[prompt]) is not None]
            found.append(replies if len(replies) == len(group) else None)
        return found

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
        encode, asked = self.loaded.chat.encode_prompts, self.beside(changed, plain)
        rows = encode(changed)
        beside = rows if asked is changed else encode(asked)
        self.meter.forward(tokens_of(rows, replies) + tokens_of(beside, replies))
        return [float(one) for one in measure(self.loaded, self.reference, rows, replies, beside)]

    def _texts(self, loaded: LoadedModel, prompts: Sequence[Conversation], tokens: int) -> list[str]:
        self.meter.forward(sum(map(len, loaded.chat.encode_prompts(prompts))) + tokens * len(prompts))
        return sample_replies(loaded, prompts, tokens)


def _nats(surprise: float) -> float:
    return log1p(max(0.0, surprise))


def tokens_of(rows: Sequence[Sequence[int]], replies: Sequence[Sequence[int]]) -> int:
    """Tokens of prompts and replies together."""
    return sum(map(len, rows)) + sum(map(len, replies))
