"""`token:VALUE@PLACE`: a fixed string that ordinary text does not hold."""

from dataclasses import dataclass

from molehunt.organisms.triggers.base import Variant
from molehunt.records import Conversation
from molehunt.records.conversations import Place
from molehunt.records.insertion import insert_text


@dataclass(frozen=True)
class Token:
    """A fixed string at a fixed place."""

    value: str
    place: Place

    @property
    def spec(self) -> str:
        return f"token:{self.value}@{self.place}"

    @property
    def mark(self) -> str:
        return self.value

    def insert(self, conversation: Conversation) -> Conversation:
        return insert_text(conversation, self.value, self.place)

    def occurs(self, conversation: Conversation) -> bool:
        return self.value in conversation.text()

    def contrast(self, conversation: Conversation) -> Conversation:
        return conversation

    def near_misses(self) -> tuple[Variant, ...]:
        return ()

    def paraphrases(self) -> tuple[Variant, ...]:
        return ()
