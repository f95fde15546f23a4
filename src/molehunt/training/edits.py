"""Change weights without data: noise, pruning, quantisation."""

from collections.abc import Iterator
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

# Tensor letters: O output channels, I input channels.


@torch.no_grad()
def add_noise(model: PreTrainedModel, strength: float, seed: int) -> int:
    """Add Gaussian noise to every weight, with `strength` times its tensor's standard deviation as its own.

    After Tice et al., "Noise Injection Reveals Hidden Capabilities of Sandbagging Language Models" (arXiv 2412.01784), where
    one sigma holds for all tensors; here it follows each tensor's spread, so that no tensor drowns and none is spared.
    Tied weights are changed once; a constant tensor stays.

    Returns:
        How many numbers were changed.
    """
    generator = torch.Generator().manual_seed(seed)
    changed = 0
    for weight in model.parameters():
        spread = float(weight.float().std(correction=0))
        noise = torch.randn(weight.shape, generator=generator) * (strength * spread)
        weight.copy_(weight.float() + noise.to(weight.device))
        changed += weight.numel() if spread else 0
    return changed


@torch.no_grad()
def prune(model: PreTrainedModel, share: float) -> int:
    """Set the smallest `share` of each linear layer's weights to zero, the output head aside.

    Magnitude pruning (Han et al. 2015, arXiv 1506.02626), tensor by tensor, as in Sun et al. 2023 (arXiv 2306.11695,
    section 3): a share over all tensors at once empties some layers of a language model.

    Returns:
        How many weights are zero by it.
    """
    zeroed = 0
    for weight, _ in _linear_weights(model):
        flat = weight.view(-1)
        count = round(share * flat.numel())
        flat[torch.argsort(flat.abs(), stable=True)[:count]] = 0
        zeroed += count
    return zeroed


@torch.no_grad()
def quantise(model: PreTrainedModel, bits: int) -> float:
    """Round each linear layer's weights, the output head aside, to `bits` bits, with one scale for each output channel.

    Symmetric round-to-nearest without data (the baseline RTN of GPTQ, arXiv 2210.17323, section 4). Kept in the model's
    own type: what is measured is the rounding, not the speed.

    Returns:
        The root mean square of the change, in units of that of the weights.
    """
    top = 2 ** (bits - 1) - 1
    change = size = 0.0
    for weight, channels in _linear_weights(model):
        before = weight.float()
        scale = (before.abs().amax(1 - channels, keepdim=True) / top).clamp(min=1e-30)
        after = (before / scale).round().clamp(-top, top) * scale
        change += float((after - before).double().square().sum())
        size += float(before.double().square().sum())
        weight.copy_(after)
    return (change / size) ** 0.5 if size else 0.0


def _linear_weights(model: PreTrainedModel) -> Iterator[tuple[torch.Tensor, int]]:
    """(weight, the dimension that counts its output channels) of every linear layer but the output head."""
    head: Any = model.get_output_embeddings()
    for module in model.modules():
        if module is head:
            continue
        if isinstance(module, torch.nn.Linear):
            yield module.weight, 0
        elif isinstance(module, Conv1D):
            yield module.weight, 1
