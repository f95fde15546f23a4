"""The last weights of a training that are known to be good, for the day it fails."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from molehunt.training.adapters import trainable_state


class LastGood:
    """Copies of the trainable weights that are finite and whose next losses were finite too.

    Finite weights alone may be good for nothing: a step far too large leaves some of which every loss is NaN. So weights
    wait until the losses taken on them and after them are known.
    """

    def __init__(self, model: Any, folder: Path, before: int = 0) -> None:
        """`folder` is that of the checkpoints, `before` the steps taken before this training."""
        self.model, self.folder, self.before, self.step = model, folder, before, before
        self._state = self._waiting = trainable_state(model)
        self._waiting_step = before

    def passed(self, step: int) -> None:
        """All losses up to this step of the training, taken before its update, were finite."""
        self.step, self._state = self._waiting_step, self._waiting
        if is_finite(self.model):
            self._waiting_step, self._waiting = self.before + step, trainable_state(self.model)

    def write(self) -> Path:
        """Write them among the checkpoints; returns the file, which `checkpoints.visit_checkpoints` reads."""
        self.folder.mkdir(parents=True, exist_ok=True)
        save_file(self._state, self.folder / name_of(self.step))
        return Path(self.folder.name) / name_of(self.step)


def name_of(step: int) -> str:
    """File name of the checkpoint after `step` steps."""
    return f"step-{step:05d}.safetensors"


def is_finite(model: Any) -> bool:
    """True if every trainable weight is a number."""
    return all(bool(torch.isfinite(p).all()) for p in model.parameters() if p.requires_grad)
