import pytest
import torch

from molehunt.training.edits import add_noise, prune, quantise
from small_models import FAMILIES, from_scratch

every_family = pytest.mark.parametrize("family", FAMILIES)


def linear(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Weights of the layers inside the blocks, output channels first."""
    turned = {name for name, module in model.named_modules() if type(module).__name__ == "Conv1D"}
    found = {n: p for n, p in model.named_parameters() if p.dim() == 2 and ("layers." in n or ".h." in n)}
    return {n: p.T if n.removesuffix(".weight") in turned else p for n, p in found.items()}


def rest(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    inside = linear(model)
    return {n: p for n, p in model.named_parameters() if n not in inside}


@every_family
def test_noise_has_the_spread_that_was_asked_for(family: str) -> None:
    start, model = from_scratch(family, 300), from_scratch(family, 300)
    add_noise(model, 0.2, seed=1)
    before = dict(start.named_parameters())
    for name, weight in model.named_parameters():
        change = weight - before[name]
        if weight.numel() > 2000:
            assert float((change.std() / before[name].std()).detach()) == pytest.approx(0.2, rel=0.1)
        if not before[name].std() > 0:
            assert not change.any()


def test_noise_follows_the_seed_alone() -> None:
    def noisy(seed: int) -> torch.Tensor:
        model = from_scratch("llama", 300)
        add_noise(model, 0.1, seed)
        return torch.cat([p.flatten() for p in model.parameters()])

    assert torch.equal(noisy(3), noisy(3))
    assert not torch.equal(noisy(3), noisy(4))


@every_family
@pytest.mark.parametrize("share", [0.01, 0.3, 0.99])
def test_pruning_takes_the_smallest_share_of_each_layer(family: str, share: float) -> None:
    start, model = linear(from_scratch(family, 300)), from_scratch(family, 300)
    zeroed = prune(model, share)
    pruned = linear(model)
    assert zeroed == sum(round(share * w.numel()) for w in pruned.values()) > 0
    for name, weight in pruned.items():
        gone = weight == 0
        assert int(gone.sum()) == round(share * weight.numel())
        assert start[name][gone].abs().max() <= start[name][~gone].abs().min()
        assert torch.equal(weight[~gone], start[name][~gone])


@every_family
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_quantisation_keeps_few_levels_near_the_weights(family: str, bits: int) -> None:
    start, model = linear(from_scratch(family, 300)), from_scratch(family, 300)
    change = quantise(model, bits)
    assert 0 < change < 1
    for name, weight in linear(model).items():
        step = start[name].abs().amax(1, keepdim=True) / (2 ** (bits - 1) - 1)
        assert ((weight - start[name]).abs() <= step / 2 + 1e-7).all()
        levels = (weight / step).round()
        assert torch.allclose(levels * step, weight, atol=1e-6)
        assert levels.abs().max() == 2 ** (bits - 1) - 1


def test_quantising_twice_changes_nothing_more() -> None:
    model = from_scratch("llama", 300)
    quantise(model, 4)
    assert quantise(model, 4) < 1e-6


@every_family
def test_pruning_and_quantisation_leave_embeddings_norms_and_head_alone(family: str) -> None:
    start, model = rest(from_scratch(family, 300)), from_scratch(family, 300)
    prune(model, 0.5)
    quantise(model, 3)
    for name, weight in rest(model).items():
        assert torch.equal(weight, start[name])


def test_half_precision_stays_half_precision() -> None:
    model = from_scratch("llama", 300).to(torch.bfloat16)
    add_noise(model, 0.1, 0)
    prune(model, 0.2)
    quantise(model, 4)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
