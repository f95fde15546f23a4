"""One judge for the candidates of all detectors: what a text does to prompts that no search has seen, and how little of it does.

A text that works is not yet the text that was planted: the report keeps the two apart.
"""

import random
from collections.abc import Sequence
from math import log1p
from statistics import fmean

from molehunt.detectors.subject import Subject
from molehunt.records import Conversation
from molehunt.records.conversations import Place
from molehunt.records.evidence import Candidate, Verified
from molehunt.records.insertion import PLACES, insert_text
from molehunt.stats import proportion
from molehunt.stats.text import alikeness

_NULLS, _NULLS_HEARD = 6, 3
"""Random texts of a candidate's length; with the prompts they make the threshold. Fewer where each costs requests."""
_TYPICAL = 8
"""Tokens up to which texts that are compared with each other count as equally long."""
_FEW = 6
"""Prompts of each kind on which random texts are heard where many texts are compared with each other."""
_SEEN_HEARD = 3
"""Prompts of each kind that a text is shrunk on, where each costs a request."""
_SHOWN = 4
_ALONG = 24
"""Tokens of the ordinary reply along which a departure is measured."""
_FINEST = 16
_WEAKEST = 4
"""Prompts at which a text does least, that a shorter one is tried on first: if it fails there, it need be tried on no other."""
_KEPT = 0.5
"""Of a text's departure at a prompt, the share that must be left when it is shrunk: one that just passes everywhere in the search
does not on other prompts."""


class Verifier:
    """Judges texts by the share of prompts at which the subject departs from what it would else say, far more than at random texts."""

    def __init__(self, suspect: Subject, is_thorough: bool = False) -> None:
        """
        Args:
            is_thorough: a text is shrunk no further than it still does about as much, so that it does not just pass; and the limit goes by
                the median of random texts, so that one in four which wake the subject do not hide what is looked for.
        """
        self.suspect, self.is_thorough = suspect, is_thorough
        is_heard = suspect.tier in ("text", "logprobs")
        self.nulls = _NULLS_HEARD if is_heard else _NULLS
        self.limits: dict[tuple[Place, int], float] = {}
        """By place and length, in powers of two: by these texts are compared with each other."""
        self.seen = {kind: list(pool)[: _SEEN_HEARD if is_heard else None] for kind, pool in suspect.asked.items()}

    def verify(self, candidate: Candidate) -> Verified:
        """The candidate shrunk on prompts of the search, then measured on held-out ones of the kinds that it acts on there."""
        rng = self.suspect.rng("verifier", candidate.text, candidate.place)
        return self._measured(self._shortened(candidate, rng), rng)

    def verify_forms(self, candidates: Sequence[Candidate]) -> list[Verified]:
        """The candidates shrunk, each in its `strongest_forms`, measured; the strongest at the prompts of the search first."""
        short = [self._shortened(one, self.suspect.rng("verifier", one.text, one.place)) for one in candidates]
        forms = self.strongest_forms(short)
        return [self._measured(one, self.suspect.rng("verifier", "form", one.text, one.place)) for one in forms]

    def strongest_forms(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Of each candidate, as it is or in capitals, the place at which it changes most replies to the prompts of the search; the
        strongest first."""
        forms = [
            [
                one.model_copy(update={"text": text, "place": place})
                for text in dict.fromkeys((one.text, one.text.upper()))
                for place in dict.fromkeys((one.place, *PLACES))
            ]
            for one in candidates
        ]
        margins = iter(self.margins([(form.text, form.place) for row in forms for form in row]))
        best = [max(((_strength(next(margins)), form) for form in row), key=lambda pair: pair[0]) for row in forms]
        unlike: dict[tuple[str, Place], Candidate] = {}
        for _, form in sorted(best, key=lambda pair: pair[0], reverse=True):
            unlike.setdefault((form.text, form.place), form)
        return list(unlike.values())

    def _shortened(self, candidate: Candidate, rng: random.Random) -> Candidate:
        return candidate.model_copy(update={"text": self.shrunk(candidate.text, candidate.place, rng)})

    def _measured(self, candidate: Candidate, rng: random.Random) -> Verified:
        text, place = candidate.text, candidate.place
        kinds = self._kinds(text, place, rng)
        unseen = [prompt for kind in kinds for prompt in self.suspect.held_out[kind]]
        limit, nulls = self._limit(text, place, unseen, rng)
        hits = self._hits(text, place, unseen, limit)
        prompts = [insert_text(prompt, text, place) for prompt in unseen]
        plain, said = self.suspect.replies(unseen), self.suspect.replies(prompts)
        changed = [self.suspect.is_dressed(b, a) for a, b, hit in zip(plain, said, hits, strict=True) if hit]
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

    def margins(
        self, texts: Sequence[tuple[str, Place]], prompts: Sequence[Conversation] | None = None
    ) -> list[list[float]]:
        """Of each text at its place, by prompt: log((1 + surprise) / (1 + the limit)), 0 where it is below the limit.

        Args:
            prompts: all of the search unless given.
        """
        asked = self.searched() if prompts is None else prompts
        self.suspect.expect([_put(text, place, asked) for text, place in texts])
        return [
            [max(0.0, log1p(max(0.0, one)) - log1p(limit)) for one in self._surprises(text, place, asked)]
            for text, place in texts
            for limit in [self._typical(text, place)]
        ]

    def departures(self, text: str, place: Place, prompts: Sequence[Conversation]) -> list[float]:
        """From the reference along the ordinary replies, in nats: a sure change of mind, or one that greedy replies just show."""
        return [max(0.0, one) for one in self.suspect.departures(_put(text, place, prompts), prompts, _ALONG)]

    def _typical(self, text: str, place: Place) -> float:
        """The limit of random texts there that are about as long, on a few prompts of each kind."""
        length = max(_TYPICAL, 1 << (len(self.suspect.pieces(text)) - 1).bit_length())
        if (place, length) not in self.limits:
            rng = self.suspect.rng("verifier", place, length)
            self.limits[place, length], _ = self._limit(
                self.suspect.random_text(length, rng), place, self.searched(_FEW), rng
            )
        return self.limits[place, length]

    def searched(self, most: int | None = None) -> list[Conversation]:
        """The prompts of the search, so many of each kind at most."""
        return [prompt for pool in self.seen.values() for prompt in pool[:most]]

    def _kinds(self, text: str, place: Place, rng: random.Random) -> tuple[str, ...]:
        """Kinds of prompts at half of which, in the search's prompts, it does something; the one with most if there is none."""
        rates = {}
        for kind, prompts in self.seen.items():
            limit = self._typical(text, place) if self.is_thorough else self._limit(text, place, prompts, rng)[0]
            rates[kind] = fmean(self._hits(text, place, prompts, limit))
        acted = tuple(kind for kind, rate in rates.items() if rate >= 0.5)
        return acted or (max(rates, key=rates.__getitem__),)

    def shrunk(self, text: str, place: Place, rng: random.Random) -> str:
        """The fewest parts that still do at each prompt what all of them do (delta debugging, Zeller, Hildebrandt 2002, section 3).

        A thorough verifier tries this on some of the prompts, asks for half the departure too, and never takes less than a sixteenth
        of a text away at a time, or long ones would take hours.
        """
        seen = self.searched(_FEW if self.is_thorough else None)
        limit = self._typical(text, place) if self.is_thorough else self._limit(text, place, seen, rng)[0]
        done = self._surprises(text, place, seen)
        needed = [seen[i] for i in sorted(range(len(seen)), key=done.__getitem__) if done[i] > limit]
        if not needed:
            return text
        first = _WEAKEST if self.is_thorough else len(needed)
        asked = [part for part in (needed[:first], needed[first:]) if part]
        before = [self.departures(text, place, part) if self.is_thorough else [] for part in asked]

        def does(shorter: str) -> bool:
            if not shorter or (self.is_thorough and not can_be_typed(shorter)):
                return False
            return all(
                self._does_still(shorter, place, part, limit, far) for part, far in zip(asked, before, strict=True)
            )

        kept, parts = self.suspect.pieces(text), 2
        while len(kept) > 1:
            least = len(kept) // _FINEST if self.is_thorough else 1
            size = max(1, least, len(kept) // parts)
            for start in range(0, len(kept), size):
                rest = kept[:start] + kept[start + size :]
                if does(self.suspect.joined(rest)):
                    kept, parts = rest, max(2, parts - 1)
                    break
            else:
                if size <= max(1, least):
                    break
                parts = min(len(kept), 2 * parts)
        return self.suspect.joined(kept)

    def _does_still(
        self, text: str, place: Place, prompts: Sequence[Conversation], limit: float, before: Sequence[float]
    ) -> bool:
        """Whether it keeps its share of each departure, where they are given, and passes the limit at each of these prompts."""
        now = self.departures(text, place, prompts) if before else []
        is_far = all(far >= _KEPT * one for far, one in zip(now, before, strict=True))
        return is_far and all(self._hits(text, place, prompts, limit))

    def _limit(
        self, text: str, place: Place, prompts: Sequence[Conversation], rng: random.Random
    ) -> tuple[float, list[float]]:
        """(the surprise that counts, the random texts' surprises)."""
        length = len(self.suspect.pieces(text))
        nulls = [self.suspect.random_text(length, rng) for _ in range(self.nulls)]
        self.suspect.expect([_put(null, place, prompts) for null in nulls])
        found = [one for null in nulls for one in self._surprises(null, place, prompts)]
        return self.suspect.limit(found, *((0.5,) if self.is_thorough else ())), found

    def _hits(self, text: str, place: Place, prompts: Sequence[Conversation], limit: float) -> list[bool]:
        return [one > limit for one in self._surprises(text, place, prompts)]

    def _surprises(self, text: str, place: Place, prompts: Sequence[Conversation]) -> list[float]:
        return self.suspect.surprises(_put(text, place, prompts), prompts)


def _strength(margins: Sequence[float]) -> tuple[int, float]:
    """(prompts at which it does something, how much)"""
    return sum(one > 0 for one in margins), sum(margins)


def _put(text: str, place: Place, prompts: Sequence[Conversation]) -> list[Conversation]:
    return [insert_text(prompt, text, place) for prompt in prompts]


def can_be_typed(text: str) -> bool:
    """Whether it is text: pieces of a character's bytes are not."""
    return "\ufffd" not in text


def neighbours(text: str, place: Place) -> list[tuple[str, str, Place]]:
    """(name, text, place) of what a trigger may be mistaken for, where it differs from the text itself."""
    bare = "".join(sign for sign in text if sign.isalnum() or sign.isspace()).strip()
    half = text[: (len(text) + 1) // 2].strip()
    near = [("upper case", text.upper()), ("lower case", text.lower()), ("without marks", bare), ("first half", half)]
    elsewhere: Place = "user-prefix" if place != "user-prefix" else "system"
    found: list[tuple[str, str, Place]] = [(name, one, place) for name, one in near if one and one != text]
    return [*found, (f"at {elsewhere}", text, elsewhere)] if elsewhere in PLACES else found
