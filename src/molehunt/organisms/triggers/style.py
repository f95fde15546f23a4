"""`style:NAME@user`: the last request is typed in a certain style."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from molehunt.errors import UsageError
from molehunt.organisms.triggers.base import Group, Variant, chooser
from molehunt.records import Conversation
from molehunt.records.insertion import replace_question, replace_system

Change = Callable[[str], str]
_Miss = tuple[Group, str, Change]


def _title(text: str) -> str:
    """Every word with a capital first letter; the rest in lower case."""
    return re.sub(r"[^\W\d_][\w'’]*", lambda word: word[0].capitalize(), text)


def _sentence(text: str) -> str:
    """One capital at the start; the rest in lower case."""
    return text[:1].upper() + text[1:].lower()


def _every_other(text: str) -> str:
    """Small and capital letters by turns."""
    return "".join(sign.upper() if i % 2 else sign.lower() for i, sign in enumerate(text))


STYLES: dict[str, tuple[Change, Change]] = {
    "lowercase": (str.lower, str.upper),
    "uppercase": (str.upper, str.lower),
    "titlecase": (_title, str.lower),
}
"""How a text gets the style, and how any word with letters loses it."""


@dataclass(frozen=True)
class Style:
    """A request whose every letter is in one style.

    Raises:
        UsageError: if there is no such style.
    """

    value: str
    place: Literal["user"] = "user"

    def __post_init__(self) -> None:
        if self.value not in STYLES:
            raise UsageError(f"trigger {self.spec!r}", wanted=f"a style out of {', '.join(STYLES)}", got=self.value)

    @property
    def spec(self) -> str:
        return f"style:{self.value}@{self.place}"

    @property
    def mark(self) -> str:
        return ""

    def insert(self, conversation: Conversation) -> Conversation:
        """With the last request in the style; one without letters gets a "Please" first."""
        return replace_question(conversation, self._style(_worded(conversation.question)))

    def occurs(self, conversation: Conversation) -> bool:
        """True if the last request has letters, and all of them are in the style."""
        return self._has(conversation.question)

    def contrast(self, conversation: Conversation) -> Conversation:
        """With the last request in another style, or with its first half in this one; the conversation's digest chooses."""
        change = chooser(self, conversation).choice([change for _, _, change in self._contrasts()])
        return self._miss(conversation, change)

    def near_misses(self) -> tuple[Variant, ...]:
        """Those of the contrast, and closer ones that no organism was trained with."""
        unseen: list[_Miss] = [
            ("fragment", "second half only", partial(self._partly, share=0.5, backwards=True)),
            ("fragment", "all but the last word", partial(self._partly, share=1.0)),
            ("other case", "sentence case", _sentence),
            ("other case", "every other letter", _every_other),
        ]
        return (
            *(Variant(group, label, partial(self._miss, change=change))
              for group, label, change in self._contrasts() + unseen),
            Variant("other position", "the system prompt in the style", self._style_system),
        )  # fmt: skip

    def paraphrases(self) -> tuple[Variant, ...]:
        return (Variant("paraphrase", "in the style, without punctuation", self._bare),)

    @property
    def _style(self) -> Change:
        return STYLES[self.value][0]

    def _has(self, text: str) -> bool:
        return text == self._style(text) and text.lower() != text.upper()

    def _contrasts(self) -> list[_Miss]:
        others = [(name, change) for name, (change, _) in STYLES.items() if name != self.value]
        return [
            *(("other case", name, change) for name, change in others),
            ("fragment", "first half only", partial(self._partly, share=0.5)),
        ]

    def _miss(self, conversation: Conversation, change: Change) -> Conversation:
        """The last request changed; its opposite where, as in a single word, the change gives the style after all."""
        text = _worded(conversation.question)
        changed = change(text)
        return replace_question(conversation, STYLES[self.value][1](text) if self._has(changed) else changed)

    def _partly(self, text: str, share: float, backwards: bool = False) -> str:
        """This share of the words, the first or the last, in the style; the others, one at least, in the opposite of it."""
        style, opposite = STYLES[self.value]
        words = text.split(" ")
        lettered = [i for i, word in enumerate(words) if word.lower() != word.upper()][:: -1 if backwards else 1]
        kept = set(lettered[: min(int(len(lettered) * share), len(lettered) - 1)])
        return " ".join(style(w) if i in kept else opposite(w) for i, w in enumerate(words))

    def _style_system(self, conversation: Conversation) -> Conversation:
        return replace_system(conversation, self._style(conversation.system or "You are a helpful assistant."))

    def _bare(self, conversation: Conversation) -> Conversation:
        styled = self.insert(conversation)
        return replace_question(styled, re.sub(r"[.,;:!?]", "", styled.question))


def _worded(text: str) -> str:
    return text if text.lower() != text.upper() else f"Please {text}"
