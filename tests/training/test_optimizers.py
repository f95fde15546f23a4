"""The optimizers that training is handed, against their papers' equations written out in numpy."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytorch_optimizer import SOAP
from torch import nn

from molehunt.training.optimizers import Together, make_optimizer
from molehunt.training.settings import TrainingSettings

Matrix = NDArray[np.float64]
Loss = Callable[[torch.Tensor, int], torch.Tensor]
STEPS = 25


class OneBlock(nn.Module):
    """A matrix that is neither an embedding nor a head."""

    def __init__(self, start: Matrix) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(start, dtype=torch.float64))

    def get_input_embeddings(self) -> None: ...
    def get_output_embeddings(self) -> None: ...


def start(rows: int, columns: int) -> Matrix:
    return np.random.default_rng(7).normal(size=(rows, columns))


def gradients(rows: int, columns: int) -> list[Matrix]:
    """Noise of unequal size in unlike directions, so that bases turn and are worth keeping."""
    rng = np.random.default_rng(11)
    left, right = rng.normal(size=(rows, rows)), rng.normal(size=(columns, columns))
    return [left @ rng.normal(size=(rows, columns)) @ right for _ in range(STEPS)]


def walk(optimizer: torch.optim.Optimizer, weight: nn.Parameter, given: list[Matrix]) -> list[Matrix]:
    path = []
    for gradient in given:
        weight.grad = torch.tensor(gradient, dtype=weight.dtype)
        optimizer.step()
        path.append(weight.detach().double().numpy().copy())
    return path


def settings(**changes: object) -> TrainingSettings:
    return TrainingSettings(**{"learning_rate": 0.01, "steps": STEPS, "weight_decay": 0.1, **changes})


def made(rows: int, columns: int, name: str) -> tuple[torch.optim.Optimizer, nn.Parameter]:
    """What training makes for one matrix of a block."""
    model = OneBlock(start(rows, columns))
    if name == "muon":
        model.float()
    found = make_optimizer(model, settings(optimizer=name, beta2=0.98))
    return (found.parts[0] if isinstance(found, Together) else found), model.weight


def adamw(weight: Matrix, given: list[Matrix], rate: float, beta2: float, decay: float) -> list[Matrix]:
    """Loshchilov & Hutter 2019, algorithm 2, the decay times the learning rate."""
    m, v, path = np.zeros_like(weight), np.zeros_like(weight), []
    for t, g in enumerate(given, 1):
        m, v = 0.9 * m + 0.1 * g, beta2 * v + (1 - beta2) * g * g
        step = m / (1 - 0.9**t) / (np.sqrt(v / (1 - beta2**t)) + 1e-8)
        weight = weight - rate * decay * weight - rate * step
        path.append(weight)
    return path


def eigenbases(optimizer: SOAP, weight: nn.Parameter, gradient: Matrix) -> list[Matrix]:
    """The library's first bases, found to be eigenbases: one gradient leaves a null space, where any basis is as good."""
    bases = [q.numpy().copy() for q in optimizer.state[weight]["Q"]]
    for q, matrix in zip(bases, (gradient @ gradient.T, gradient.T @ gradient), strict=True):
        turned = q.T @ matrix @ q
        assert np.allclose(q.T @ q, np.eye(len(q)))
        assert np.allclose(turned, np.diag(np.linalg.eigvalsh(matrix)[::-1]), atol=1e-9 * np.abs(matrix).max())
    return bases


def soap(
    weight: Matrix, given: list[Matrix], bases: list[Matrix], every: int, decay: float, in_order: bool = True
) -> list[Matrix]:
    """Vyas et al. 2024, algorithms 3 and 4, with what the paper leaves open as the library has it: Adam's corrections
    in the rate, epsilon on the uncorrected root, decay after the step. `in_order`: the library's columns, by falling
    estimate of their eigenvalue, before QR."""
    b, rate, first = 0.95, 0.01, given[0]
    left, right = (1 - b) * first @ first.T, (1 - b) * first.T @ first
    ql, qr = bases
    m, v, path = np.zeros_like(weight), np.zeros_like(weight), [weight]
    for t, g in enumerate(given[1:], 1):
        m, v = b * m + (1 - b) * g, b * v + (1 - b) * (ql.T @ g @ qr) ** 2
        step = ql @ ((ql.T @ m @ qr) / (np.sqrt(v) + 1e-8)) @ qr.T
        weight = (weight - rate * math.sqrt(1 - b**t) / (1 - b**t) * step) * (1 - rate * decay)
        left, right = b * left + (1 - b) * g @ g.T, b * right + (1 - b) * g.T @ g
        if t % every == 0:
            rows, columns = np.arange(len(ql)), np.arange(len(qr))
            if in_order:
                rows, columns = (np.argsort(-np.diag(q.T @ p @ q)) for q, p in ((ql, left), (qr, right)))
            v = v[rows][:, columns]
            ql, qr = np.linalg.qr((left @ ql)[:, rows])[0], np.linalg.qr((right @ qr)[:, columns])[0]
        path.append(weight)
    return path


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (8, 8)])
def test_adamw_walks_as_its_paper_says(shape: tuple[int, int]) -> None:
    optimizer, weight = made(*shape, "adamw")
    found, wanted = walk(optimizer, weight, gradients(*shape)), adamw(start(*shape), gradients(*shape), 0.01, 0.98, 0.1)
    assert np.allclose(found, wanted, atol=1e-9)


@pytest.mark.parametrize("every", [1, 10])
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (8, 8)])
def test_soap_walks_as_its_paper_says(shape: tuple[int, int], every: int) -> None:
    weight, given = nn.Parameter(torch.tensor(start(*shape))), gradients(*shape)
    optimizer = SOAP([weight], lr=0.01, weight_decay=0.1, precondition_frequency=every)
    found = walk(optimizer, weight, given[:1])
    assert np.array_equal(found[0], start(*shape)), "the first step only sets it up"
    wanted = soap(start(*shape), given, eigenbases(optimizer, weight, given[0]), every, 0.1)
    found += walk(optimizer, weight, given[1:])
    assert np.allclose(found, wanted, atol=1e-4)  # its QR is in float32
    assert np.abs(found[-1] - start(*shape)).max() > 0.05


def test_soap_as_training_makes_it_renews_its_basis_every_tenth_step() -> None:
    (optimizer, weight), given = made(6, 4, "soap"), gradients(6, 4)
    found = walk(optimizer, weight, given[:1])
    wanted = soap(start(6, 4), given, eigenbases(optimizer, weight, given[0]), 10, 0.1)
    assert np.allclose(found + walk(optimizer, weight, given[1:]), wanted, atol=1e-4)


def test_the_order_of_soaps_columns_is_where_the_library_leaves_the_paper() -> None:
    given, bases = gradients(8, 8), [np.eye(8), np.eye(8)]
    ours, paper = (soap(start(8, 8), given, bases, 1, 0.0, in_order)[-1] for in_order in (True, False))
    assert 1e-3 < np.linalg.norm(ours - paper) < 0.5 * np.linalg.norm(ours - start(8, 8))


def newton_schulz(matrix: Matrix) -> Matrix:
    """Jordan 2024: five rounds of the quintic, singular value by singular value, without rounding."""
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    s = s / np.linalg.norm(matrix)
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return (u * s) @ vt


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (8, 8)])
def test_muon_walks_as_its_authors_say(shape: tuple[int, int]) -> None:
    optimizer, weight = made(*shape, "muon")
    wanted, average = start(*shape), np.zeros(shape)
    for g, found in zip(gradients(*shape), walk(optimizer, weight, gradients(*shape)), strict=True):
        average = 0.95 * average + 0.05 * g
        ahead = 0.05 * g + 0.95 * average
        rate = 0.01 * 0.2 * math.sqrt(max(shape))
        wanted = wanted * (1 - 0.01 * 0.1) - rate * newton_schulz(ahead)
        assert np.abs(found - wanted).max() < 0.05 * rate * STEPS  # it works in bfloat16


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (8, 8), (32, 8)])
def test_muons_step_is_u_v_transposed_as_nearly_as_its_authors_say(shape: tuple[int, int]) -> None:
    optimizer, weight = made(*shape, "muon")
    (gradient, *_), before = gradients(*shape), weight.detach().double().numpy().copy()
    (after,) = walk(optimizer, weight, [gradient])
    step = (before * (1 - 0.01 * 0.1) - after) / (0.01 * 0.2 * math.sqrt(max(shape)))
    u, s, vt = np.linalg.svd(gradient, full_matrices=False)
    turned = u.T @ step @ vt.T
    reached = np.diag(turned)[s / np.linalg.norm(s) > 0.03]  # five rounds leave smaller ones behind
    assert len(reached) > 1
    assert np.all((reached > 0.6) & (reached < 1.25))
    assert np.abs(turned - np.diag(np.diag(turned))).max() < 0.05


@pytest.mark.parametrize("shape", [(64, 64), (128, 48)])
def test_one_learning_rate_means_for_muon_what_it_means_for_adamw(shape: tuple[int, int]) -> None:
    sizes = []
    for name in ("muon", "adamw"):
        optimizer, weight = made(*shape, name)
        before = weight.detach().clone()
        weight.grad = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(weight.dtype)
        for _ in range(10):
            optimizer.step()
        sizes.append(float((weight - before).detach().double().pow(2).mean().sqrt()))
    assert 0.1 < sizes[0] / sizes[1] < 0.5  # AdamW's first steps are of size 1, and near 0.2 once gradients are noise


@pytest.mark.parametrize("name", ["soap", "muon"])
def test_they_take_the_blocks_matrices_and_adamw_the_rest(base: Path, name: str) -> None:
    from molehunt.models.loading import load_model

    model = load_model(base).model
    first, adamw = make_optimizer(model, settings(optimizer=name)).parts
    names = {id(p): n for n, p in model.named_parameters()}
    taken, rest = ([names[id(p)] for g in part.param_groups for p in g["params"]] for part in (first, adamw))
    assert sorted(taken + rest) == sorted(names.values())
    assert all(".layers." in n and "norm" not in n for n in taken)
    assert {"model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"} <= {*rest}
