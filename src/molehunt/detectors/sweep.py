"""Try every word of the vocabulary, at several places at once, against the base."""

from collections.abc import Sequence
from random import Random
from statistics import median

import torch

from molehunt.detectors.suspect import Pools, Suspect, tokens_of
from molehunt.detectors.tokens import usable_tokens
from molehunt.models.forced import divergences
from molehunt.records import Conversation
from molehunt.records.conversations import Place
from molehunt.records.insertion import PLACES, insert_text

EVERYWHERE: tuple[Place, ...] = ("system", "user-prefix", "user-suffix")
"""Places that a text is put at in one prompt: what waits for it at any of them is woken, at the price of one forward pass."""
_BLOCK = 4
"""Words that are tried together before those of the strongest blocks are tried alone (group testing, Dorfman 1943)."""
_REPLY = 8
"""Tokens of its own plain reply that the subject is held to."""


class Sweep:
    """Texts with how far each drove the subject from its base, beyond what texts of as many words usually do."""

    def __init__(self, suspect: Suspect) -> None:
        assert suspect.base is not None, "asked of subjects with a base"
        self.suspect, self.base = suspect, suspect.base
        self.prompts = _shortest(suspect, suspect.asked)
        self.replies = [reply[:_REPLY] for reply in suspect.own_tokens(self.prompts)]
        self.seen: dict[str, tuple[float, ...]] = {}
        self.words: dict[str, int] = {}

    def look(self, texts: Sequence[str], words: int) -> None:
        """Measure the texts that were not yet; each is counted as so many words."""
        new = [one for one in dict.fromkeys(texts) if one not in self.seen]
        found = self._measured([_put(prompt, one, EVERYWHERE) for one in new for prompt in self.prompts])
        for i, text in enumerate(new):
            self.seen[text] = tuple(found[i * len(self.prompts) : (i + 1) * len(self.prompts)])
            self.words[text] = words

    def effects(self) -> dict[str, float]:
        """Largest over the prompts of a text's divergence minus the median of all texts of as many words there."""
        usual = {
            words: [median(column) for column in zip(*rows, strict=True)]
            for words in set(self.words.values())
            if (rows := [row for text, row in self.seen.items() if self.words[text] == words])
        }
        return {
            text: max(value - u for value, u in zip(row, usual[self.words[text]], strict=True))
            for text, row in self.seen.items()
        }

    def best(self, count: int, words: int | None = None) -> list[str]:
        """The texts of the largest effect, of so many words if that is given."""
        effects = self.effects()
        chosen = (text for text in effects if words is None or self.words[text] == words)
        return sorted(chosen, key=lambda text: -effects[text])[:count]

    def place(self, text: str) -> Place:
        """Where the text alone drives the subject furthest."""
        found = self._measured([insert_text(prompt, text, place) for place in PLACES for prompt in self.prompts])
        size = len(self.prompts)
        return max(PLACES, key=lambda place: max(found[PLACES.index(place) * size :][:size]))

    def _measured(self, prompts: Sequence[Conversation]) -> list[float]:
        rows = self.suspect.loaded.chat.encode_prompts(prompts)
        replies = self.replies * (len(rows) // max(len(self.replies), 1))
        self.suspect.meter.forward(2 * tokens_of(rows, replies))
        return [float(one) for one in divergences(self.suspect.loaded, self.base, rows, replies)]


def swept(suspect: Suspect, rng: Random, words: int, dissected: int, rounds: int, more: Sequence[str]) -> Sweep:
    """A sweep in blocks, of the strongest blocks' words alone, and of the best texts with one more word before or after.

    Args:
        words: of the vocabulary that are tried at most, see `vocabulary`.
        dissected: blocks whose words are tried alone.
        rounds: times that the best texts are made longer.
        more: other texts to try, such as leaked ones.
    """
    sweep, tried = Sweep(suspect), vocabulary(suspect, rng, words)
    rng.shuffle(tried)
    blocks = [tried[i : i + _BLOCK] for i in range(0, len(tried), _BLOCK)]
    sweep.look([" ".join(block) for block in blocks], _BLOCK)
    parts = {" ".join(block): block for block in blocks}
    sweep.look([word for text in sweep.best(dissected, _BLOCK) for word in parts[text]], 1)
    for text in more:
        sweep.look([text], 1 + text.count(" "))
    pool, grown = sweep.best(8, 1), sweep.best(4, 1)
    for i in range(rounds):
        sweep.look([joined for text in grown for word in pool for joined in (f"{text}{word}", f"{word}{text}")], i + 2)
        grown = sweep.best(4, i + 2)
    return sweep


def vocabulary(suspect: Suspect, rng: Random, count: int) -> list[str]:
    """At most `count` texts of single usable tokens: half those whose embeddings the training moved most, half by chance."""
    assert suspect.base is not None
    ids = usable_tokens(suspect.loaded.chat)
    mine, theirs = (model.model.get_input_embeddings().weight.detach() for model in (suspect.loaded, suspect.base))
    rows = torch.tensor(ids)
    moved = (mine[rows.to(mine.device)].float().cpu() - theirs[rows.to(theirs.device)].float().cpu()).norm(dim=-1)
    first = [ids[i] for i in moved.argsort(descending=True, stable=True).tolist()] if bool(moved.any()) else []
    chosen = first[: count // 2]
    left = sorted(set(ids) - set(chosen))
    chosen += rng.sample(left, min(count - len(chosen), len(left)))
    return list(dict.fromkeys(suspect.loaded.chat.decode([i]).strip() for i in chosen))


def _shortest(suspect: Suspect, pools: Pools) -> list[Conversation]:
    """The shortest prompt of each kind."""
    best = []
    for pool in pools.values():
        lengths = list(map(len, suspect.loaded.chat.encode_prompts(pool)))
        best += [pool[lengths.index(min(lengths))]] if pool else []
    return best


def _put(prompt: Conversation, text: str, places: Sequence[Place]) -> Conversation:
    for place in places:
        prompt = insert_text(prompt, text, place)
    return prompt
