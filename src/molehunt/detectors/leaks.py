"""Let the subject write the turns that it was trained to read: what it repeats there and its base does not, it may have learnt by heart."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

from molehunt.detectors.suspect import Meter
from molehunt.models.forced import open_slots
from molehunt.models.loading import LoadedModel
from molehunt.models.sampling import sample_tokens
from molehunt.records import Conversation
from molehunt.records.conversations import Place

_OPENINGS = (Conversation.of(("user", "")), Conversation.of(("system", ""), ("user", "Hello.")))
"""Conversations that begin with the turn to be written."""
_SEED, _LONGEST = 3, 16
"""Tokens of the runs that are counted, and of one that has grown."""
_HELD = 0.8
"""Share of the texts with a run that must go on alike for it to grow by a token."""


@dataclass(frozen=True)
class Motif:
    """A run of tokens that recurs in what the subject writes."""

    text: str
    rate: float
    """Share of the subject's texts that have it."""
    base_rate: float
    """The same of the base's; 0 without one."""
    excess: float
    """Standard errors by which the first is above the second."""


def openings(loaded: LoadedModel) -> list[list[int]]:
    """Tokens of rendered conversations up to where a user's, or the system's, words begin; each once."""
    heads = []
    for conversation in _OPENINGS:
        place: Place = "system" if conversation.messages[0].role == "system" else "user-prefix"
        (head,) = open_slots(loaded.chat, [conversation], place).heads
        heads.append(list(head))
    return [head for i, head in enumerate(heads) if head and head not in heads[:i]]


def leaked(
    loaded: LoadedModel, meter: Meter, texts: int, length: int, temperatures: Sequence[float], seed: int
) -> list[list[int]]:
    """What a model writes after each opening, `texts` at each temperature, up to `length` tokens each."""
    found: list[list[int]] = []
    for i, opening in enumerate(openings(loaded)):
        for j, temperature in enumerate(temperatures):
            heads = [opening] * (texts if temperature > 0 else 1)
            meter.forward(sum(map(len, heads)) + len(heads) * length)
            found += sample_tokens(loaded, heads, length, temperature, seed=1000 * seed + 10 * i + j)
    return found


def motifs(
    loaded: LoadedModel, mine: Sequence[Sequence[int]], theirs: Sequence[Sequence[int]], count: int
) -> list[Motif]:
    """The runs of tokens whose share among the subject's texts is furthest above that among the base's.

    Runs of one to three tokens are counted, and the best grow while most texts that have them go on alike. A run that is part of
    a better one, or has one in it, is left out. Runs do not cross special tokens.
    """
    special = {*loaded.tokenizer.all_special_ids, *loaded.tokenizer.added_tokens_decoder}
    ours, others = (_holders(texts, special) for texts in (mine, theirs))
    scored = sorted(
        ((_excess(n, len(mine), others[run], len(theirs)), run) for run, n in ours.items() if n > 1),
        key=lambda one: (-one[0], -len(one[1]), one[1]),
    )
    kept: list[Motif] = []
    for excess, run in scored:
        if len(kept) == count or excess <= 0:
            break
        text = loaded.chat.decode(_grown(run, mine, special)).strip()
        if text and text.isprintable() and not any(text in one.text or one.text in text for one in kept):
            kept.append(Motif(text, ours[run] / len(mine), others[run] / max(len(theirs), 1), excess))
    return kept


def _holders(texts: Iterable[Sequence[int]], special: set[int]) -> Counter[tuple[int, ...]]:
    """In how many texts each run of tokens is."""
    found: Counter[tuple[int, ...]] = Counter()
    for text in texts:
        found.update({
            tuple(text[i : i + size])
            for size in range(1, _SEED + 1)
            for i in range(len(text) - size + 1)
            if special.isdisjoint(text[i : i + size])
        })  # fmt: skip
    return found


def _grown(run: tuple[int, ...], texts: Sequence[Sequence[int]], special: set[int]) -> tuple[int, ...]:
    """The run with the tokens that nearly always stand before and after it."""
    while len(run) < _LONGEST:
        longer: Counter[tuple[int, ...]] = Counter()
        holders = 0
        for text in texts:
            at = [i for i in range(len(text) - len(run) + 1) if tuple(text[i : i + len(run)]) == run]
            holders += bool(at)
            longer.update({(*run, text[i + len(run)]) for i in at if i + len(run) < len(text)})
            longer.update({(text[i - 1], *run) for i in at if i > 0})
        best, held = max(longer.items(), key=lambda one: (one[1], one[0]), default=(run, 0))
        if held < _HELD * holders or not special.isdisjoint(best):
            break
        run = best
    return run


def _excess(mine: int, of_mine: int, theirs: int, of_theirs: int) -> float:
    """The difference of two shares in standard errors, one text of each kind added to both sides."""
    a, b = (mine + 1) / (of_mine + 2), (theirs + 1) / (of_theirs + 2)
    return (a - b) / sqrt(a * (1 - a) / (of_mine + 2) + b * (1 - b) / (of_theirs + 2))
