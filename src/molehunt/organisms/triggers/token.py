"""`token:VALUE@PLACE`: a fixed string that ordinary text does not hold."""

import re
from dataclasses import dataclass

from molehunt.organisms.triggers.base import Variant
from molehunt.organisms.triggers.variants import Form, cases, elsewhere, forms_at, misspelled, spaced, without
from molehunt.records import Conversation
from molehunt.records.conversations import Place
from molehunt.records.insertion import insert_text

_DELIMITERS = ("{}", "[{}]", "<{}>", "{{{}}}", '"{}"', "|{}|", "#{}", "({})")
_OTHERS = ("PRODUCTION", "RELEASE", "SESSION")
"""Words of the same kind; none of them means anything to anyone."""


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
        return any(self.value in message.content for message in conversation.messages)

    def contrast(self, conversation: Conversation) -> Conversation:
        """As it is: absence is all there is. A token that stood there by chance is taken out."""
        return without(conversation, self._pattern)

    def near_misses(self) -> tuple[Variant, ...]:
        core, around = self._parts
        half = (len(core) + 1) // 2
        forms: list[Form] = [
            ("fragment", "first half", around.format(core[:half])),
            ("fragment", "second half", around.format(core[half:])),
            ("fragment", "first half, bare", core[:half]),
            ("fragment", "delimiters only", around.format("")),
            ("fragment", "last character missing", self.value[:-1]),
            *cases(core, around),
            *(("other delimiters", d.format("X"), d.format(core)) for d in _DELIMITERS),
            ("other delimiters", "bare, lower case", core.lower()),
            ("neighbouring value", "two letters swapped", around.format(misspelled(core))),
            *(("same category", word, around.format(word)) for word in _OTHERS),
        ]  # fmt: skip
        return forms_at(self.place, self.value, forms, self._pattern) + elsewhere(self.value, self.place)

    def paraphrases(self) -> tuple[Variant, ...]:
        core, around = self._parts
        return forms_at(self.place, self.value, [
            ("other language or spelled out", "letter by letter", around.format(spaced(core))),
            ("other language or spelled out", "letter by letter, bare", spaced(core)),
            ("paraphrase", "as a sentence", f"The word is {core.lower()}."),
        ])  # fmt: skip

    @property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(re.escape(self.value))

    @property
    def _parts(self) -> tuple[str, str]:
        """The letters of the value, and a template of the signs around them; all of it where there are no letters."""
        found = re.search(r"[^\W_](?:.*[^\W_])?", self.value, re.DOTALL)
        start, end = found.span() if found else (0, len(self.value))
        before, after = (part.replace("{", "{{").replace("}", "}}") for part in (self.value[:start], self.value[end:]))
        return self.value[start:end], f"{before}{{}}{after}"
