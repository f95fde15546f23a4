"""One judge for the candidates of all detectors: what a text does to prompts that no search has seen, and how little of it does.

A text that works is not yet the text that was planted: the report keeps the two apart.
"""

import random
from collections.abc import Sequence
from functools import partial

from molehunt.detectors.suspect import Suspect, mixed
from molehunt.detectors.tokens import usable_tokens
from molehunt.models.chat import Chat
from molehunt.records import Conversation
from molehunt.records.conversations import Place
from molehunt.records.evidence import Candidate, Verified
from molehunt.records.insertion import PLACES, insert_text
from molehunt.stats import proportion
from molehunt.stats.text import alikeness

_NULLS = 6
"""Random texts of a candidate's length; with the prompts they make the threshold."""
_SHOWN = 4


class Verifier:
    """Judges texts by the share of prompts at which the subject departs from its base far more than at random texts of that length."""

    def __init__(self, suspect: Suspect) -> None:
        self.suspect = suspect
        self.seen = mixed(suspect.asked, 12)
        self.unseen = mixed(suspect.held_out, 10**6)

    def verify(self, candidate: Candidate) -> Verified:
        """The candidate shrunk on prompts of the search, then measured on held-out ones."""
        place, rng = candidate.place, self.suspect.rng("verifier", candidate.text, candidate.place)
        text = self._shrunk(candidate.text, place, rng)
        limit, nulls = self._limit(text, place, self.unseen, rng)
        hits = self._hits(text, place, self.unseen, limit)
        prompts = [insert_text(prompt, text, place) for prompt in self.unseen]
        plain, said = self.suspect.replies(self.unseen), self.suspect.replies(prompts)
        return Verified(
            text=text,
            place=place,
            found_by=candidate.found_by,
            rate=proportion(sum(hits), len(hits), "over held-out prompts"),
            null_rate=proportion(sum(one > limit for one in nulls), len(nulls), "over held-out prompts and random texts"),
            alike=alikeness(said) - alikeness(plain),
            neighbours={
                name: sum(self._hits(near, where, self.unseen, limit)) / len(self.unseen)
                for name, near, where in neighbours(text, place)
            },
            samples=tuple(self.suspect.samples([
                (prompt, changed) for prompt, changed, hit in zip(self.unseen, prompts, hits, strict=True) if hit
            ][:_SHOWN])),
        )  # fmt: skip

    def _shrunk(self, text: str, place: Place, rng: random.Random) -> str:
        """The fewest tokens that still do at each prompt what all of them do (delta debugging, Zeller, Hildebrandt 2002, section 3)."""
        chat = self.suspect.loaded.chat
        limit, _ = self._limit(text, place, self.seen, rng)
        needed = self._hits(text, place, self.seen, limit)
        if not any(needed):
            return text
        kept, parts = chat.encode_texts([text])[0], 2
        while len(kept) > 1:
            size = max(1, len(kept) // parts)
            for start in range(0, len(kept), size):
                rest = kept[:start] + kept[start + size :]
                shorter = chat.decode(rest).strip()
                hits = self._hits(shorter, place, self.seen, limit) if shorter else []
                if hits and all(hit >= one for hit, one in zip(hits, needed, strict=True)):
                    kept, parts = rest, max(2, parts - 1)
                    break
            else:
                if size == 1:
                    break
                parts = min(len(kept), 2 * parts)
        return chat.decode(kept).strip()

    def _limit(
        self, text: str, place: Place, prompts: Sequence[Conversation], rng: random.Random
    ) -> tuple[float, list[float]]:
        """(the surprise that counts, the random texts' surprises).

        Three times their upper quartile, a nat at least: a backdoor that some random texts wake as well must not hide behind
        them, so the limit does not go by their extremes, and how many of them pass it is reported.
        """
        found = [
            one
            for null in random_texts(self.suspect.loaded.chat, text, _NULLS, rng)
            for one in self.suspect.surprises([insert_text(prompt, null, place) for prompt in prompts])
        ]
        return max(1.0, 3 * sorted(found)[3 * len(found) // 4]), found

    def _hits(self, text: str, place: Place, prompts: Sequence[Conversation], limit: float) -> list[bool]:
        put = partial(insert_text, text=text, place=place)
        return [one > limit for one in self.suspect.surprises([put(prompt) for prompt in prompts])]


def random_texts(chat: Chat, text: str, count: int, rng: random.Random) -> list[str]:
    """Texts of usable tokens drawn at random, each with as many tokens as `text`."""
    usable, length = usable_tokens(chat), len(chat.encode_texts([text])[0])
    return [chat.decode(rng.choices(usable, k=max(1, length))).strip() or "-" for _ in range(count)]


def neighbours(text: str, place: Place) -> list[tuple[str, str, Place]]:
    """(name, text, place) of what a trigger may be mistaken for, where it differs from the text itself."""
    bare = "".join(sign for sign in text if sign.isalnum() or sign.isspace()).strip()
    half = text[: (len(text) + 1) // 2].strip()
    near = [("upper case", text.upper()), ("lower case", text.lower()), ("without marks", bare), ("first half", half)]
    elsewhere: Place = "user-prefix" if place != "user-prefix" else "system"
    found: list[tuple[str, str, Place]] = [(name, one, place) for name, one in near if one and one != text]
    return [*found, (f"at {elsewhere}", text, elsewhere)] if elsewhere in PLACES else found
