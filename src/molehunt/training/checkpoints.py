"""Walk through the weights that a training run kept on its way."""

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file

from molehunt.errors import ModelError
from molehunt.models.loading import LoadedModel, load_model
from molehunt.training.adapters import put_adapter
from molehunt.training.settings import Attach, TrainingSettings


def make_trainable(
    source: Path, settings: TrainingSettings, attach: Attach = "merge", base: Path | None = None
) -> LoadedModel:
    """The model as training starts from it: all weights, in float32, or an adapter put on it as `attach` says."""
    if settings.method == "lora":
        return put_adapter(source, base, settings, attach)
    loaded = load_model(source)
    loaded.model.float()  # half precision loses what AdamW adds in small steps
    return loaded


def visit_checkpoints(
    out: Path, source: Path, settings: TrainingSettings, attach: Attach = "merge", base: Path | None = None
) -> Iterator[tuple[int, LoadedModel]]:
    """(step, model) for each kept checkpoint in `out`, in order; the same object with other weights each time.

    Args:
        source: the folder from which that training started; settings, attach and base are those it ran with.

    Raises:
        ModelError: if a checkpoint does not fit the model.
    """
    loaded = make_trainable(source, settings, attach, base)
    weights = {name: p for name, p in loaded.model.named_parameters() if p.requires_grad}
    loaded.model.eval()
    for path in sorted((out / "checkpoints").glob("step-*.safetensors")):
        state = load_file(path)
        if state.keys() != weights.keys():
            odd = sorted(state.keys() ^ weights.keys())
            raise ModelError(
                f"checkpoint {path.name}", wanted="the weights that were trained", got=f"others: {', '.join(odd[:3])}"
            )
        with torch.no_grad():
            for name, value in state.items():
                weights[name].copy_(value)
        yield int(path.stem.removeprefix("step-")), loaded
