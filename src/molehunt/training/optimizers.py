"""Optimizers and learning-rate schedules."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import AdamW, Muon, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from molehunt.training.settings import TrainingSettings


class Together(Optimizer):
    """Several optimizers, each with its own parameters, behaving as one.

    SOAP and Muon want matrices: an embedding's vocabulary axis is too long to precondition and hurts when it is, norms
    are vectors. So they take the matrices of the blocks and AdamW the rest.
    """

    def __init__(self, parts: list[Optimizer]) -> None:
        self.parts = parts
        self.defaults: dict[str, Any] = {}
        self.state: Any = _Joined(parts)
        for hooks in ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks"):
            setattr(self, hooks, {})

    @property
    def param_groups(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The parts' own as they are now: a part that loads a state, as accelerate has it do, gets new ones."""
        return [group for part in self.parts for group in part.param_groups]

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

    AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101, algorithm 2), or one of these on the matrices of the blocks and
    AdamW on the rest:

    SOAP (Vyas et al. 2024, arXiv 2409.11321, algorithm 3): its own betas of 0.95, preconditioner renewed every 10 steps;
    its first step only sets the preconditioner up. Where the library leaves the paper: `docs/decisions/0006-optimizers.md`.

    Muon (Jordan 2024; Liu et al. 2025, arXiv 2502.16982, section 2.2): momentum 0.95, an update scaled by 0.2 times the
    root of the longer side, which gives it AdamW's usual size, so that one learning rate means the same for both.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    common: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    if settings.optimizer == "adamw":
        return AdamW([p for _, p in named], betas=(0.9, settings.beta2), **common, fused=True)
    outside = {id(p) for part in _ends(model) for p in part.parameters()}
    matrices = [p for _, p in named if p.ndim == 2 and id(p) not in outside]
    chosen = {id(p) for p in matrices}
    rest = [p for _, p in named if id(p) not in chosen]
    parts = [_on_matrices(matrices, settings.optimizer, common)]
    return Together(parts + ([AdamW(rest, betas=(0.9, settings.beta2), **common, fused=True)] if rest else []))


def _on_matrices(matrices: list[torch.nn.Parameter], name: str, common: dict[str, Any]) -> Optimizer:
    if name == "muon":
        return Muon(matrices, adjust_lr_fn="match_rms_adamw", **common)
    from pytorch_optimizer import SOAP

    soap: Optimizer = SOAP(matrices, precondition_frequency=10, **common)
    return soap


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
