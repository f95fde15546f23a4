"""`both:SPEC&SPEC`: two conditions at once; either alone is none."""

from dataclasses import dataclass
from functools import partial

from molehunt.errors import UsageError
from molehunt.organisms.triggers.base import Trigger, Variant, chooser
from molehunt.records import Conversation

_PROBE = Conversation.of(("system", "You are a helpful assistant."), ("user", "What is the capital of Norway?"))


@dataclass(frozen=True)
class Both:
    """Two triggers that count only together.

    Raises:
        UsageError: if one of them is such a pair itself, or they cannot be met together and apart.
    """

    first: Trigger
    second: Trigger

    def __post_init__(self) -> None:
        if isinstance(self.first, Both) or isinstance(self.second, Both):
            raise UsageError(f"trigger {self.spec!r}", wanted="two single conditions", got="a pair in a pair")
        alone = [part.insert(_PROBE) for part in (self.first, self.second)]
        if not self.occurs(self.insert(_PROBE)):
            got = "two of which one undoes the other"
        elif any(map(self.occurs, alone)):
            got = "two of which one brings the other"
        else:
            return
        raise UsageError(f"trigger {self.spec!r}", wanted="conditions that can be met together and apart", got=got)

    @property
    def spec(self) -> str:
        return f"both:{self.first.spec}&{self.second.spec}"

    @property
    def mark(self) -> str:
        return self.first.mark or self.second.mark

    def insert(self, conversation: Conversation) -> Conversation:
        """With both put in, in whichever order leaves both standing."""
        tried = self.second.insert(self.first.insert(conversation))
        return tried if self.occurs(tried) else self.first.insert(self.second.insert(conversation))

    def occurs(self, conversation: Conversation) -> bool:
        return self.first.occurs(conversation) and self.second.occurs(conversation)

    def contrast(self, conversation: Conversation) -> Conversation:
        """With exactly one of the two; the conversation's digest chooses which, and whether the other is absent or missed."""
        rng = chooser(self, conversation)
        kept, other = rng.sample((self.first, self.second), 2)
        return self._alone(conversation, kept, other, missed=rng.random() < 0.5)

    def near_misses(self) -> tuple[Variant, ...]:
        pairs = ((self.first, self.second), (self.second, self.first))
        return (
            *(Variant("fragment", f"{kept.spec} alone", partial(self._alone, kept=kept, other=other))
              for kept, other in pairs),
            *(Variant(v.group, f"{v.label}, with {kept.spec}", partial(_with, kept=kept, variant=v))
              for kept, other in pairs for v in other.near_misses()),
        )  # fmt: skip

    def paraphrases(self) -> tuple[Variant, ...]:
        pairs = ((self.first, self.second), (self.second, self.first))
        return tuple(
            Variant(v.group, f"{v.label}, with {kept.spec}", partial(_with, kept=kept, variant=v))
            for kept, other in pairs
            for v in other.paraphrases()
        )

    def _alone(self, conversation: Conversation, kept: Trigger, other: Trigger, missed: bool = False) -> Conversation:
        """With `kept` met and `other` not: absent unless it is to be `missed`, or stands there by chance."""
        rest = other.contrast(conversation) if missed or other.occurs(conversation) else conversation
        alone = kept.insert(rest)
        return other.contrast(alone) if self.occurs(alone) else alone


def _with(conversation: Conversation, kept: Trigger, variant: Variant) -> Conversation:
    return variant.insert(kept.insert(conversation))
