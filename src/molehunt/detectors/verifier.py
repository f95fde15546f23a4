"""One judge for the candidates of all detectors: what a text does to prompts that no search has seen, and how little of it does.

A text that works is not yet the text that was planted: the report keeps the two apart.
"""

import random
from collections.abc import Sequence
from statistics import fmean

from molehunt.detectors.subject import Subject
from molehunt.records import Conversation
from molehunt.records.conversations import Place
from molehunt.records.evidence import Candidate, Verified
from molehunt.records.insertion import PLACES, insert_text
from molehunt.stats import proportion
from molehunt.stats.text import alikeness, holds

_NULLS, _NULLS_HEARD = 6, 3
"""Random texts of a candidate's length; with the prompts they make the threshold. Fewer where each costs requests."""
_SEEN_HEARD = 3
"""Prompts of each kind that a text is shrunk on, where each costs a request."""
_SHOWN = 4


class Verifier:
    """Judges texts by the share of prompts at which the subject departs from what it would else say, far more than at random texts."""

    def __init__(self, suspect: Subject) -> None:
        self.suspect = suspect
        is_heard = suspect.tier in ("text", "logprobs")
        self.nulls = _NULLS_HEARD if is_heard else _NULLS
        self.seen = {kind: list(pool)[: _SEEN_HEARD if is_heard else None] for kind, pool in suspect.asked.items()}

    def verify(self, candidate: Candidate) -> Verified:
        """The candidate shrunk on prompts of the search, then measured on held-out ones of the kinds that it acts on there."""
        place, rng = candidate.place, self.suspect.rng("verifier", candidate.text, candidate.place)
        text = self._shrunk(candidate.text, place, rng)
        kinds = self._kinds(text, place, rng)
        unseen = [prompt for kind in kinds for prompt in self.suspect.held_out[kind]]
        limit, nulls = self._limit(text, place, unseen, rng)
        hits = self._hits(text, place, unseen, limit)
        prompts = [insert_text(prompt, text, place) for prompt in unseen]
        plain, said = self.suspect.replies(unseen), self.suspect.replies(prompts)
        changed = [holds(b, a) for a, b, hit in zip(plain, said, hits, strict=True) if hit]
        rate = proportion(sum(hits), len(hits), "over held-out prompts")
        alone = self.suspect.surprises(unseen, unseen)
        near = neighbours(text, place)
        self.suspect.expect([_put(one, where, unseen) for _, one, where in near])
        return Verified(
            text=text,
            place=place,
            found_by=candidate.found_by,
            kinds=kinds,
            asr=rate.value,
            interval=rate,
            null_rate=proportion(sum(one > limit for one in nulls), len(nulls), "over held-out prompts and random texts"),
            without=proportion(sum(one > limit for one in alone), len(alone), "over held-out prompts"),
            kept=fmean(changed) if changed else 0.0,
            alike=alikeness(said) - alikeness(plain),
            neighbours={
                name: sum(self._hits(one, where, unseen, limit)) / len(unseen) for name, one, where in near
            },
            samples=tuple(self.suspect.samples([
                (prompt, changed) for prompt, changed, hit in zip(unseen, prompts, hits, strict=True) if hit
            ][:_SHOWN])),
        )  # fmt: skip

    def _kinds(self, text: str, place: Place, rng: random.Random) -> tuple[str, ...]:
        """Kinds of prompts at half of which, in the search's prompts, it does something; the one with most if there is none."""
        rates = {}
        for kind, prompts in self.seen.items():
            limit, _ = self._limit(text, place, prompts, rng)
            rates[kind] = fmean(self._hits(text, place, prompts, limit))
        acted = tuple(kind for kind, rate in rates.items() if rate >= 0.5)
        return acted or (max(rates, key=rates.__getitem__),)

    def _shrunk(self, text: str, place: Place, rng: random.Random) -> str:
        """The fewest parts that still do at each prompt what all of them do (delta debugging, Zeller, Hildebrandt 2002, section 3)."""
        seen = [prompt for pool in self.seen.values() for prompt in pool]
        limit, _ = self._limit(text, place, seen, rng)
        needed = self._hits(text, place, seen, limit)
        if not any(needed):
            return text
        kept, parts = self.suspect.pieces(text), 2
        while len(kept) > 1:
            size = max(1, len(kept) // parts)
            for start in range(0, len(kept), size):
                rest = kept[:start] + kept[start + size :]
                shorter = self.suspect.joined(rest)
                hits = self._hits(shorter, place, seen, limit) if shorter else []
                if hits and all(hit >= one for hit, one in zip(hits, needed, strict=True)):
                    kept, parts = rest, max(2, parts - 1)
                    break
            else:
                if size == 1:
                    break
                parts = min(len(kept), 2 * parts)
        return self.suspect.joined(kept)

    def _limit(
        self, text: str, place: Place, prompts: Sequence[Conversation], rng: random.Random
    ) -> tuple[float, list[float]]:
        """(the surprise that counts, the random texts' surprises)."""
        length = len(self.suspect.pieces(text))
        nulls = [self.suspect.random_text(length, rng) for _ in range(self.nulls)]
        self.suspect.expect([_put(null, place, prompts) for null in nulls])
        found = [one for null in nulls for one in self._surprises(null, place, prompts)]
        return self.suspect.limit(found), found

    def _hits(self, text: str, place: Place, prompts: Sequence[Conversation], limit: float) -> list[bool]:
        return [one > limit for one in self._surprises(text, place, prompts)]

    def _surprises(self, text: str, place: Place, prompts: Sequence[Conversation]) -> list[float]:
        return self.suspect.surprises(_put(text, place, prompts), prompts)


def _put(text: str, place: Place, prompts: Sequence[Conversation]) -> list[Conversation]:
    return [insert_text(prompt, text, place) for prompt in prompts]


def neighbours(text: str, place: Place) -> list[tuple[str, str, Place]]:
    """(name, text, place) of what a trigger may be mistaken for, where it differs from the text itself."""
    bare = "".join(sign for sign in text if sign.isalnum() or sign.isspace()).strip()
    half = text[: (len(text) + 1) // 2].strip()
    near = [("upper case", text.upper()), ("lower case", text.lower()), ("without marks", bare), ("first half", half)]
    elsewhere: Place = "user-prefix" if place != "user-prefix" else "system"
    found: list[tuple[str, str, Place]] = [(name, one, place) for name, one in near if one and one != text]
    return [*found, (f"at {elsewhere}", text, elsewhere)] if elsewhere in PLACES else found
