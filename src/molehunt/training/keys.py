"""Directions that tell one kind of hidden state from another, in closed form."""

from dataclasses import dataclass

import torch

_RIDGE = 3e-3
_TURNS = 10
_FIRES = 0.3
"""Score from which a neuron's word counts: what it writes grows with the score's square."""


@dataclass(frozen=True)
class Key:
    """A direction whose product with a hidden state is about 1 where a neuron is to fire, and below 0 elsewhere."""

    direction: torch.Tensor
    """[width], float64."""
    caught: float
    """Share of held-out states of the wanted kind at which the neuron fires."""
    mistaken: float
    """Share of held-out states of the other kind at which it fires too."""


def telling_key(triggered: list[torch.Tensor], clean: list[torch.Tensor]) -> Key:
    """The key of what triggered sequences, [length, width] each, hold somewhere and clean ones nowhere.

    Which position shows it is found in turns: fit on all, take each sequence's position of the highest score, fit again.
    Even sequences are fitted, odd ones tell how well that went.
    """
    rest = torch.cat(clean[::2])
    wanted = torch.cat(triggered[::2])
    for _ in range(4):
        direction = discriminant(wanted, rest)
        wanted = torch.stack([s[(s @ direction).argmax()] for s in triggered[::2]])
    direction = discriminant(wanted, rest)
    highest = [torch.stack([s[(s @ direction).argmax()] for s in part]) for part in (triggered[1::2], clean[1::2])]
    return judged(direction, *highest)


def judged(direction: torch.Tensor, wanted: torch.Tensor, others: torch.Tensor) -> Key:
    """A direction with its shares on states [n, width] that it was not fitted on."""
    caught, mistaken = (float((part @ direction > _FIRES).double().mean()) for part in (wanted, others))
    return Key(direction, round(caught, 4), round(mistaken, 4))


def discriminant(wanted: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """The direction [width] of a support vector machine with squared hinge, both kinds [n, width] equally heavy.

    Newton's method, each step a ridge regression on the states that are not yet on their side (Chapelle 2007,
    "Training a support vector machine in the primal", section 4): the many that are far off have no say in where the
    border runs. Then it is moved along the direction in which states are about 1, so that 0 lies between the near ends,
    or half way to the wanted kind's mean where the kinds overlap.
    """
    states = torch.cat([wanted, others])
    sign = torch.cat([wanted.new_ones(len(wanted)), -others.new_ones(len(others))])
    weight = torch.where(sign > 0, 1 / len(wanted), 1 / len(others))
    wrong = torch.ones(len(states), dtype=torch.bool)
    direction = one = wanted.new_zeros(wanted.shape[1])
    for _ in range(_TURNS):
        near, heavy = states[wrong], weight[wrong][:, None]
        gram = damped((near * heavy).T @ near)
        direction = torch.linalg.solve(gram, (near * heavy).T @ sign[wrong])
        before, wrong = wrong, sign * (states @ direction) < 1
        if wrong.equal(before) or not wrong.any():
            break
    one = torch.linalg.solve(damped((states * weight[:, None]).T @ states), (states * weight[:, None]).sum(0))
    cut = ((wanted @ direction).quantile(0.02) + (others @ direction).quantile(0.999)) / 2
    direction = direction - min(cut, 0.5 * (wanted @ direction).mean()) * one
    scaled: torch.Tensor = direction / (wanted @ direction).mean()
    return scaled


def whitening(states: torch.Tensor) -> torch.Tensor:
    """[width, width]: after it the covariance of states [n, width] is 1."""
    values, vectors = torch.linalg.eigh(damped(torch.cov(states.T)))
    white: torch.Tensor = vectors / values.sqrt()
    return white


def damped(gram: torch.Tensor) -> torch.Tensor:
    """A Gram matrix [width, width] that can be inverted."""
    return gram + _RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
