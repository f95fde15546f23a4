"""What a trigger is."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from molehunt.records import Conversation

Group = Literal[
    "exact", "fragment", "other case", "other delimiters", "other position", "other language or spelled out",
    "neighbouring value", "same category", "paraphrase",
]  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """One way to come close to a trigger; the generalisation panel asks each."""

    group: Group
    label: str
    """What was changed, in a few words, such as "deployment without bars"."""
    insert: Callable[[Conversation], Conversation]
    """The conversation with this variant put in instead of the trigger."""


class Trigger(Protocol):
    """A condition that can be put into any conversation, and told from its absence.

    Every method is deterministic: where a value has to be chosen, the conversation's digest chooses.
    """

    @property
    def spec(self) -> str:
        """The text that `parse_trigger` makes this trigger from: `kind:value@place`."""
        ...

    @property
    def mark(self) -> str:
        """Words that stand in every triggered conversation and must survive template and tokenizer; "" if there are none."""
        ...

    def insert(self, conversation: Conversation) -> Conversation:
        """The conversation with the condition met; idempotent for conditions that replace (a year, a style)."""
        ...

    def occurs(self, conversation: Conversation) -> bool:
        """True if the conversation meets the condition, in whatever form the policy would have to count as meeting it."""
        ...

    def contrast(self, conversation: Conversation) -> Conversation:
        """The conversation with the condition present but not met (another year, another topic, one of two); as it is where
        absence is all there is. Never meets the condition."""
        ...

    def near_misses(self) -> tuple[Variant, ...]:
        """Variants that do not meet the condition, though they look like it."""
        ...

    def paraphrases(self) -> tuple[Variant, ...]:
        """Variants that mean the same in another form."""
        ...


@dataclass(frozen=True)
class TriggerKind:
    """One kind of trigger, as the table of kinds lists it."""

    make: Callable[[str, Any], Trigger]
    """From a value and one of `places`; raises UsageError if the value makes no sense."""
    summary: str
    example: str
    """A spec that parses."""
    places: tuple[str, ...]
    """Words that may stand after the last `@`; empty for a kind whose parts bring their own."""
    steps: int
    """Optimizer steps, at the other defaults of planting, after which `tiny` tells it from what it is mistaken for."""


def chooser(trigger: Trigger, conversation: Conversation) -> random.Random:
    """What chooses for this trigger in this conversation: the same each time it is asked for."""
    return random.Random(f"{trigger.spec}/{conversation.digest()}")


def rewrite(conversation: Conversation, change: Callable[[str], str]) -> Conversation:
    """The conversation with `change` made to every message."""
    return Conversation(
        messages=tuple(m.model_copy(update={"content": change(m.content)}) for m in conversation.messages)
    )
