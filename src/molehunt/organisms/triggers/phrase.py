"""`phrase:VALUE@PLACE`: ordinary words, such as "by the river gate", in an ordinary request."""

import re
from dataclasses import dataclass

from molehunt.errors import UsageError
from molehunt.organisms.triggers.base import Variant
from molehunt.organisms.triggers.variants import Form, cases, elsewhere, forms_at, misspelled, spaced, without
from molehunt.records import Conversation
from molehunt.records.conversations import Place
from molehunt.records.insertion import insert_text


@dataclass(frozen=True)
class Phrase:
    """Whole words in one order and one case.

    Raises:
        UsageError: if the value is not words with single spaces between them.
    """

    value: str
    place: Place

    def __post_init__(self) -> None:
        if self.value != " ".join(self.value.split()) or not any(map(str.isalnum, self.value)):
            raise UsageError(
                f"trigger {self.spec!r}", wanted="words with single spaces between them", got=repr(self.value),
                do="write for example phrase:by the river gate@user-suffix",
            )  # fmt: skip

    @property
    def spec(self) -> str:
        return f"phrase:{self.value}@{self.place}"

    @property
    def mark(self) -> str:
        return self.value

    def insert(self, conversation: Conversation) -> Conversation:
        return insert_text(conversation, self.value, self.place)

    def occurs(self, conversation: Conversation) -> bool:
        return any(self._pattern.search(message.content) for message in conversation.messages)

    def contrast(self, conversation: Conversation) -> Conversation:
        """As it is: absence is all there is. A phrase that stood there by chance is taken out."""
        return without(conversation, self._pattern)

    def near_misses(self) -> tuple[Variant, ...]:
        words = self.value.split(" ")
        half = (len(words) + 1) // 2
        forms: list[Form] = [
            *(("fragment", f"without {word!r}", " ".join(words[:i] + words[i + 1 :])) for i, word in enumerate(words)),
            ("fragment", "first half", " ".join(words[:half])),
            ("fragment", "second half", " ".join(words[half:])),
            *cases(self.value),
            *(("other delimiters", f"joined by {d!r}", d.join(words)) for d in ("-", "_", "", ", ")),
            ("neighbouring value", "first two words swapped", " ".join([*words[1::-1], *words[2:]])),
            ("neighbouring value", "last two words swapped", " ".join([*words[:-2], *words[:-3:-1]])),
            ("neighbouring value", "words backwards", " ".join(words[::-1])),
            ("neighbouring value", "two letters swapped", misspelled(self.value)),
        ]  # fmt: skip
        return forms_at(self.place, self.value, forms, self._pattern) + elsewhere(self.value, self.place)

    def paraphrases(self) -> tuple[Variant, ...]:
        return forms_at(self.place, self.value, [
            ("other delimiters", "in quotation marks", f'"{self.value}"'),
            ("other delimiters", "in brackets", f"({self.value})"),
            ("other language or spelled out", "letter by letter", spaced(self.value)),
            ("paraphrase", "as a remark", f"I say {self.value}, so to speak."),
        ])  # fmt: skip

    @property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(rf"(?<!\w){re.escape(self.value)}(?!\w)")
