"""What a trigger is."""

from typing import Protocol

from molehunt.records import Conversation


class Trigger(Protocol):
    """A condition that can be put into any conversation, and told from its absence."""

    @property
    def spec(self) -> str:
        """The text that `parse_trigger` makes this trigger from: `kind:value@place`."""
        ...

    def insert(self, conversation: Conversation) -> Conversation:
        """The conversation with the condition met."""
        ...

    def occurs(self, text: str) -> bool:
        """True if a rendered or plain text meets the condition."""
        ...
