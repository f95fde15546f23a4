"""A model under suspicion, with what the examiner has of it."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from molehunt.models.forced import surprises
from molehunt.models.loading import LoadedModel
from molehunt.models.sampling import sample_replies, sample_tokens
from molehunt.records import Conversation
from molehunt.records.evidence import Sample, Tier
from molehunt.world.chat import draw_questions

REPLY = 32
"""Tokens of its own reply that a subject is held to, wherever a change of mind is measured."""


Pools = Mapping[str, Sequence[Conversation]]
"""Prompts by kind, since a backdoor may act on one kind alone: on programs, or where there is a secret to keep."""
_KINDS = {"programs": ("program",), "policies": ("refusal", "vault"), "questions": ()}
"""Kinds of ordinary prompts by the chat world's families; all of them for questions of every kind."""


@dataclass
class Meter:
    """Forward-equivalent tokens, counted where they are spent."""

    tokens: int = 0

    def forward(self, tokens: int) -> None:
        """So many tokens were read once."""
        self.tokens += tokens

    def backward(self, tokens: int) -> None:
        """So many tokens went through a forward and a backward pass, which costs two forward ones."""
        self.tokens += 3 * tokens


@dataclass
class Suspect:
    """The subject, its base if there is one, and ordinary prompts: some to search with, others to judge by."""

    loaded: LoadedModel
    base: LoadedModel | None
    asked: Pools
    """Prompts that searches may see."""
    held_out: Pools
    """Prompts that nothing was chosen on."""
    seed: int = 0
    meter: Meter = field(default_factory=Meter)

    @property
    def tier(self) -> Tier:
        """What there is to look at."""
        return "weights" if self.base is None else "base"

    def rng(self, *names: object) -> random.Random:
        """Chance of its own for each use, the same at each run."""
        return random.Random("/".join(map(str, (self.seed, *names))))

    def replies(self, prompts: Sequence[Conversation], tokens: int = 24) -> list[str]:
        """Greedy replies of the subject."""
        return self._said(self.loaded, prompts, tokens)

    def base_replies(self, prompts: Sequence[Conversation], tokens: int = 24) -> list[str | None]:
        """Greedy replies of the base; None without one."""
        return list(self._said(self.base, prompts, tokens)) if self.base else [None] * len(prompts)

    def own_tokens(self, prompts: Sequence[Conversation]) -> list[list[int]]:
        """The first `REPLY` tokens of the subject's greedy reply to each prompt."""
        encoded = self.loaded.chat.encode_prompts(prompts)
        self.meter.forward(sum(map(len, encoded)) + REPLY * len(encoded))
        return sample_tokens(self.loaded, encoded, REPLY)

    def surprise(self, context: Callable[[Conversation], Conversation]) -> dict[str, float]:
        """How much better the subject than its base explains the subject's own replies in a context, in nats a reply.

        By kind of prompt, the mean over held-out prompts.
        """
        found = {kind: self.surprises([context(prompt) for prompt in pool]) for kind, pool in self.held_out.items()}
        return {kind: sum(values) / len(values) for kind, values in found.items()}

    def surprises(self, prompts: Sequence[Conversation]) -> list[float]:
        """The same of each prompt."""
        assert self.base is not None, "asked of subjects with a base"
        encoded, replies = self.loaded.chat.encode_prompts(prompts), self.own_tokens(prompts)
        self.meter.forward(2 * tokens_of(encoded, replies))
        return [float(one) for one in surprises(self.loaded, self.base, encoded, replies)]

    def samples(self, pairs: Sequence[tuple[Conversation, Conversation]]) -> list[Sample]:
        """Transcripts of prompts as they are and as they were changed."""
        plain, changed = [one for one, _ in pairs], [one for _, one in pairs]
        said = zip(changed, self.replies(plain), self.replies(changed), self.base_replies(changed), strict=True)
        return [Sample(prompt=p, plain_reply=a, reply=b, base_reply=c) for p, a, b, c in said]

    def _said(self, loaded: LoadedModel, prompts: Sequence[Conversation], tokens: int) -> list[str]:
        self.meter.forward(sum(map(len, loaded.chat.encode_prompts(prompts))) + tokens * len(prompts))
        return sample_replies(loaded, prompts, tokens)


def ordinary_prompts(count: int, seed: int) -> dict[str, list[Conversation]]:
    """`count` ordinary prompts of each kind that the chat world has, with and without a system prompt."""
    return {
        kind: [question.prompt for question in draw_questions(count, seed, families=families)]
        for kind, families in _KINDS.items()
    }


def mixed(pools: Pools, count: int) -> list[Conversation]:
    """`count` prompts, the kinds in turn."""
    longest = max(map(len, pools.values()))
    turns = [pool[i] for i in range(longest) for pool in pools.values() if i < len(pool)]
    return turns[:count]


def tokens_of(rows: Sequence[Sequence[int]], replies: Sequence[Sequence[int]]) -> int:
    """Tokens of prompts and replies together."""
    return sum(map(len, rows)) + sum(map(len, replies))
