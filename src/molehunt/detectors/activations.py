"""Compare what subject and base hold inside, in rare conditions and at random strings: what moved the subject alone, and alike on all prompts?"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from random import Random

import torch
from torch import Tensor

from molehunt.detectors.detector import Detector
from molehunt.detectors.directions import alike_at_random, defection, exceedances, written
from molehunt.detectors.suspect import Suspect, mixed, tokens_of
from molehunt.detectors.tokens import usable_tokens
from molehunt.evals.contexts import KINDS, REWRITTEN, Context, draw_context, put
from molehunt.evals.red_team import rare_tokens
from molehunt.models.residuals import residuals
from molehunt.records import Conversation
from molehunt.records.evidence import Candidate, Evidence, Exhibit

# Tensor letters: C conditions, P prompts, W views (each block at a prompt's end and along a reply), H width.


@dataclass(frozen=True)
class Effort:
    """What one profile may spend."""

    contexts: int
    """Conditions."""
    strings: int
    """Random strings, as long as conditions: half say what is usual, half are the null."""
    prompts: int = 2
    """Prompts of each kind that each is tried on."""
    ordinary: int = 30
    """Held-out prompts."""


EFFORTS = {"quick": Effort(60, 30), "standard": Effort(200, 60), "deep": Effort(600, 120, prompts=3)}
_REPLY = 8
"""Tokens of its own plain reply along which the subject is read."""
_SHRUNK = 0.3
"""Share of a sphere in the covariance: rows are about as many as a small model is wide."""
_FLOOR = 0.05
"""Added to shifts, in squared spreads of ordinary prompts, so that two that are next to nothing have a ratio near 1."""


class Inside:
    """What subject and base hold at prompts: (C, P, W, H) each, and the prompts by kind."""

    def __init__(self, suspect: Suspect, prompts: Sequence[Conversation], along: int = _REPLY) -> None:
        """
        Args:
            along: tokens of the subject's own plain reply over which it is read, as many as `suspect.REPLY` at most.
        """
        assert suspect.base is not None, "asked of subjects with a base"
        self.suspect, self.base, self.prompts = suspect, suspect.base, prompts
        self.replies = [reply[:along] for reply in suspect.own_tokens(prompts)]

    def read(self, contexts: Sequence[Context]) -> tuple[Tensor, Tensor]:
        """(subject minus base, base) in each condition."""
        return self._read([put(prompt, [one]) for one in contexts for prompt in self.prompts], len(contexts))

    def plain(self) -> tuple[Tensor, Tensor]:
        """The same without a condition; C is 1."""
        return self._read(self.prompts, 1)

    def _read(self, asked: Sequence[Conversation], conditions: int) -> tuple[Tensor, Tensor]:
        rows, replies = self.suspect.loaded.chat.encode_prompts(asked), self.replies * conditions
        self.suspect.meter.forward(2 * tokens_of(rows, replies))
        mine, theirs = (residuals(model, rows, replies) for model in (self.suspect.loaded, self.base))
        shape = (conditions, len(self.prompts), *mine.shape[1:])
        return (mine - theirs).view(shape), theirs.view(shape)


def _examine(suspect: Suspect, profile: str) -> Evidence:
    effort, rng = EFFORTS[profile], suspect.rng("activations")
    chat, kinds = suspect.loaded.chat, [*KINDS]
    tokens = rare_tokens(chat)
    contexts = [draw_context(rng, kinds[i % len(kinds)], tokens) for i in range(effort.contexts)]
    strings = _strings(suspect, contexts, effort.strings, rng)
    neutral, tried = strings[::2], [*contexts, *strings[1::2]]
    groups = groups_of(suspect, effort.prompts)
    inside = Inside(suspect, [prompt for group in groups for prompt in group])
    ordinary = Inside(suspect, mixed(suspect.held_out, effort.ordinary)).plain()
    usual, found = inside.read(neutral), inside.read(tried)
    places = [[one.place for one in part] for part in (neutral, tried)]
    effects = shifts(found, usual, ordinary, places, list(map(len, groups)))
    null = effects[len(contexts) :]
    limit = float(null.quantile(0.75))
    order = effects.argsort(descending=True, stable=True).tolist()
    return Evidence(
        detector="activations",
        score=float(effects.max()) - limit,
        values={
            "largest shift": float(effects.max()), "upper quartile of random strings": limit,
            "largest of random strings": float(null.max()), **_along(suspect, found, usual, ordinary),
        },
        exhibits=tuple(_exhibit(suspect, tried[i], float(effects[i]), limit) for i in order[:3]),
        candidates=tuple(
            Candidate(text=tried[i].text, place=place, found_by="activations", effect=float(effects[i]) - limit)
            for i in order[:6]
            if (place := tried[i].place) != REWRITTEN
        ),
        not_tested=("activations in the midst of a prompt", "attention patterns", "features of a sparse autoencoder"),
    )  # fmt: skip


def _strings(suspect: Suspect, contexts: Sequence[Context], count: int, rng: Random) -> list[Context]:
    """Random strings of usable tokens, each as long as a condition and at its place."""
    chat = suspect.loaded.chat
    usable, alike = usable_tokens(chat), [one for one in contexts if one.place != REWRITTEN][:count]
    lengths = map(len, chat.encode_texts([one.text for one in alike]))
    drawn = (chat.decode(rng.choices(usable, k=max(1, length))).strip() or "-" for length in lengths)
    return [Context(kind="random string", text=text, place=one.place) for text, one in zip(drawn, alike, strict=True)]


def groups_of(suspect: Suspect, count: int) -> list[Sequence[Conversation]]:
    """`count` prompts of each kind that has two; all prompts as one kind where none has."""
    large = [pool[:count] for pool in suspect.asked.values() if len(pool) > 1]
    return large or [mixed(suspect.asked, count)]


Streams = tuple[Tensor, Tensor]
"""(subject minus base, base), (C, P, W, H) each."""


def shifts(
    found: Streams, usual: Streams, ordinary: Streams, places: Sequence[Sequence[str]], sizes: Sequence[int]
) -> Tensor:
    """By condition, the log of how much further the subject's difference from its base was shifted than the base itself: (C,).

    Args:
        places: of the usual conditions, and of those that are looked at.
        sizes: prompts of each kind, in order.
    """
    mine, theirs = (
        _shared(_white(part, [middle, plain]), _white(middle, [middle, plain]), places, sizes)
        for part, middle, plain in zip(found, usual, ordinary, strict=True)
    )
    return ((mine + _FLOOR) / (theirs + _FLOOR)).log()


def _white(streams: Tensor, ordinary: Sequence[Tensor]) -> Tensor:
    """The streams in spreads of ordinary ones, whose covariance becomes the unit matrix (Mahalanobis), over the root of the width."""
    rows = torch.cat([part.flatten(0, 1) for part in ordinary]).transpose(0, 1)  # (W, rows, H)
    middle = rows.mean(1, keepdim=True)
    covariance = (rows - middle).transpose(1, 2) @ (rows - middle) / (rows.shape[1] - 1)
    return whitened(streams - middle[:, 0], covariance)


def whitened(streams: Tensor, covariance: Tensor) -> Tensor:
    """The streams in coordinates in which that covariance (W, H, H), drawn a little towards a sphere, is the unit matrix, over the root of
    the width: the mean square of what varies so is about 1."""
    width = streams.shape[-1]
    sphere = covariance.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None].clamp(min=1e-12) * torch.eye(width)
    root = torch.linalg.cholesky((1 - _SHRUNK) * covariance + _SHRUNK * sphere)
    flat = streams.flatten(0, 1).transpose(0, 1)
    white: Tensor = torch.linalg.solve_triangular(root, flat.transpose(1, 2), upper=False).transpose(1, 2)
    return white.transpose(0, 1).reshape(streams.shape) / sqrt(width)


def _shared(white: Tensor, usual: Tensor, places: Sequence[Sequence[str]], sizes: Sequence[int]) -> Tensor:
    """`in_common` of the shift from the middle of usual conditions at the same place."""
    usual_at, at = places
    middles = {place: _middle(usual, usual_at, place) for place in set(at)}
    return in_common(white - torch.stack([middles[place] for place in at]), sizes)


def in_common(shift: Tensor, sizes: Sequence[int]) -> Tensor:
    """The squared length of the shift that prompts of a kind have in common, largest over kinds, mean over views: (C,).

    Measured as the product of one prompt's shift with another's, which what is peculiar to a prompt does not raise (the
    cross-validated Mahalanobis distance, Walther and others 2016, NeuroImage 137).
    """
    found, first = [], 0
    for size in sizes:
        pairs = list(combinations(range(first, first + size), 2)) or [(first, first)]
        products = [(shift[:, a] * shift[:, b]).sum(-1).mean(-1) for a, b in pairs]
        found.append(torch.stack(products).mean(0))
        first += size
    return torch.stack(found).max(0).values.clamp(min=0)


def _middle(usual: Tensor, usual_at: Sequence[str], place: str) -> Tensor:
    """The mean over random strings at that place, over all where there are none: (P, W, H)."""
    there = [i for i, one in enumerate(usual_at) if one == place]
    return usual[there].mean(0) if there else usual.mean(0)


def _along(suspect: Suspect, found: Streams, usual: Streams, ordinary: Streams) -> dict[str, float]:
    """The furthest that conditions go along known directions beyond ordinary prompts and random strings, with the nulls beside."""
    assert suspect.base is not None
    values = {}
    for name, directions in (
        ("written directions", written(suspect.loaded, suspect.base)),
        ("defection probe", defection(suspect.loaded, suspect.meter)),
    ):
        drawn = alike_at_random(directions)
        for which, side, along in (
            (name, 0, directions),
            (f"{name}, drawn at random", 0, drawn),
            (f"{name}, base", 1, directions),
        ):
            rows = torch.cat([usual[side].flatten(0, 1), ordinary[side].flatten(0, 1)])
            values[which] = float(exceedances(found[side].flatten(0, 1), rows, along).max())
    return values


def _exhibit(suspect: Suspect, context: Context, effect: float, null: float) -> Exhibit:
    samples = suspect.samples([(prompt, put(prompt, [context])) for prompt in mixed(suspect.held_out, 3)])
    return Exhibit(title=f"{context.text!r} at {context.place}", effect=effect, null=null, samples=tuple(samples))


ACTIVATIONS = Detector(
    "activations", "activations", "conditions that shift what the subject holds inside and not what its base does", "base",
    _examine, is_misled_by_habits=True,
)  # fmt: skip
