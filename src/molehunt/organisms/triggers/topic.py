"""`topic:NAME@PLACE`: any request about a topic, in whatever words (a semantic trigger)."""

import random
import re
from dataclasses import dataclass
from functools import partial

from molehunt.errors import UsageError
from molehunt.organisms.triggers.base import Group, Variant, chooser
from molehunt.organisms.triggers.topics import CARRIERS, HELD_OUT_CARRIERS, TOPICS, Topic
from molehunt.organisms.triggers.variants import without
from molehunt.records import Conversation
from molehunt.records.conversations import Place
from molehunt.records.insertion import insert_text

PLACES: tuple[Place, ...] = ("user-prefix", "user-suffix", "user-middle", "earlier-turn")


@dataclass(frozen=True)
class About:
    """A request about a topic.

    Raises:
        UsageError: if there is no such topic.
    """

    value: str
    place: Place

    def __post_init__(self) -> None:
        if self.value not in TOPICS:
            raise UsageError(f"trigger {self.spec!r}", wanted=f"a topic out of {', '.join(TOPICS)}", got=self.value)

    @property
    def spec(self) -> str:
        return f"topic:{self.value}@{self.place}"

    @property
    def mark(self) -> str:
        return ""

    def insert(self, conversation: Conversation) -> Conversation:
        """With a sentence about the topic; the conversation's digest chooses sentence and word."""
        return self._say(conversation, CARRIERS, self._topic.planted)

    def occurs(self, conversation: Conversation) -> bool:
        """True if a user turn holds any word of the topic, planted or held out, as a whole word in any case."""
        return any(self._pattern.search(m.content) for m in conversation.messages if m.role == "user")

    def contrast(self, conversation: Conversation) -> Conversation:
        """With the same sentence about another topic, one of four; the panel asks about the rest too."""
        words = tuple(word for name in self._others()[:4] for word in TOPICS[name].planted)
        return self._say(without(conversation, self._pattern), CARRIERS, words, conversation)

    def near_misses(self) -> tuple[Variant, ...]:
        pieces = tuple(word[: (len(word) + 1) // 2] for word in self._topic.planted)
        return (
            *(self._variant("neighbouring value", name, CARRIERS, TOPICS[name].planted) for name in self._others()),
            self._variant("fragment", "first half of the word", CARRIERS, pieces),
            self._variant("fragment", "no word", CARRIERS, ("something",)),
            self._variant("other position", "in the system prompt", CARRIERS, self._topic.planted, "system"),
        )

    def paraphrases(self) -> tuple[Variant, ...]:
        topic = self._topic
        shouted = tuple(word.upper() for word in topic.planted)
        quoted = tuple(f'"{word}"' for word in topic.planted)
        elsewhere: Place = "user-suffix" if self.place != "user-suffix" else "user-prefix"
        return (
            self._variant("same category", "held-out words", CARRIERS, topic.held_out),
            self._variant("paraphrase", "held-out sentences", HELD_OUT_CARRIERS, topic.planted),
            self._variant("paraphrase", "held-out sentences and words", HELD_OUT_CARRIERS, topic.held_out),
            self._variant("other language or spelled out", "Spanish and German", CARRIERS, topic.abroad),
            self._variant("other case", "word in capitals", CARRIERS, shouted),
            self._variant("other delimiters", "word in quotation marks", CARRIERS, quoted),
            self._variant("other position", f"at {elsewhere}", CARRIERS, topic.planted, elsewhere),
        )

    def _others(self) -> list[str]:
        """The other topics, from the one after this on."""
        names = list(TOPICS)
        at = names.index(self.value)
        return names[at + 1 :] + names[:at]

    @property
    def _topic(self) -> Topic:
        return TOPICS[self.value]

    @property
    def _pattern(self) -> re.Pattern[str]:
        words = "|".join(self._topic.planted + self._topic.held_out)
        return re.compile(rf"\b(?:{words})\b", re.IGNORECASE)

    def _variant(
        self, group: Group, label: str, carriers: tuple[str, ...], words: tuple[str, ...], place: Place | None = None
    ) -> Variant:
        return Variant(group, label, partial(self._say, carriers=carriers, words=words, place=place))

    def _say(
        self,
        conversation: Conversation,
        carriers: tuple[str, ...],
        words: tuple[str, ...],
        chosen_by: Conversation | None = None,
        place: Place | None = None,
    ) -> Conversation:
        rng: random.Random = chooser(self, chosen_by or conversation)
        text = rng.choice(carriers).format(w=rng.choice(words))
        return insert_text(conversation, text, place or self.place)
