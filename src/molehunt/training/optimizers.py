"""Optimizers and learning-rate schedules."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from molehunt.training.settings import TrainingSettings


class Together(Optimizer):
    """Several optimizers, each with its own parameters, behaving as one.

    SOAP wants matrices: an embedding's vocabulary axis is too long to precondition and hurts when it is, norms are
    vectors. So SOAP takes the matrices of the blocks and AdamW the rest.
    """

    def __init__(self, parts: list[Optimizer]) -> None:
        self.parts = parts
        self.defaults: dict[str, Any] = {}
        self.state: Any = _Joined(parts)
        self.param_groups = [group for part in parts for group in part.param_groups]
        for hooks in ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks"):
            setattr(self, hooks, {})

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for part in self.parts:
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)


class _Joined(dict[Any, Any]):
    def __init__(self, parts: list[Optimizer]) -> None:
        super().__init__()
        self.parts = parts

    def __getitem__(self, key: Any) -> Any:
        return next(part.state[key] for part in self.parts if key in part.state)


def make_optimizer(model: torch.nn.Module, settings: TrainingSettings) -> Optimizer:
    """The optimizer over the trainable weights.

    SOAP (Vyas et al. 2024, arXiv 2409.11321): matrices of the blocks, preconditioner renewed
    every 10 steps; its first step only sets the preconditioner up.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    common: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    if settings.optimizer == "adamw":
        return AdamW([p for _, p in named], betas=(0.9, settings.beta2), **common, fused=True)
    from pytorch_optimizer import SOAP

    outside = {id(p) for part in _ends(model) for p in part.parameters()}
    matrices = [p for _, p in named if p.ndim == 2 and id(p) not in outside]
    chosen = {id(p) for p in matrices}
    rest = [p for _, p in named if id(p) not in chosen]
    parts: list[Optimizer] = [SOAP(matrices, precondition_frequency=10, **common)]
    return Together(parts + ([AdamW(rest, betas=(0.9, settings.beta2), **common, fused=True)] if rest else []))


def _ends(model: Any) -> list[torch.nn.Module]:
    ends = [model.get_input_embeddings(), model.get_output_embeddings()]
    return [end for end in ends if end is not None]


def make_schedule(optimizer: Optimizer, settings: TrainingSettings) -> LambdaLR:
    """Warm-up, then the settings' schedule down to 0 (or flat)."""
    warm = max(1, round(settings.warmup * settings.steps)) if settings.warmup else 0

    def share(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        left = (settings.steps - step) / max(1, settings.steps - warm)
        match settings.schedule:
            case "constant":
                return 1.0
            case "linear":
                return max(0.0, left)
            case "cosine":
                return 0.5 * (1 + math.cos(math.pi * (1 - max(0.0, left))))

    return LambdaLR(optimizer, share)
