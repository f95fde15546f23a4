"""What training a model would hold in memory, counted on a copy of it that has shapes and no numbers."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from molehunt.errors import ModelError, UnsafeModelError
from molehunt.records.marker import MARKER
from molehunt.training.adapters import lora_config
from molehunt.training.settings import TrainingSettings

_LARGEST_FACTOR = 10_000
"""Axes longer than this get no preconditioner in SOAP (Vyas et al. 2024, arXiv 2409.11321, section 4; the library's default)."""


@dataclass(frozen=True)
class Footprint:
    """Counts of numbers and of bytes that do not depend on the machine."""

    parameters: int
    trainable: int
    multiplied: int
    """Weights that a token is multiplied with: all but an input embedding of its own."""
    states: int
    """Numbers that the optimizer keeps."""
    largest_block: int
    """Weights of the largest block."""
    outside_blocks: int
    """Weights of embedding, head and final norm."""
    saved: int
    """Bytes that a forward pass keeps for the backward pass, logits and loss not counted."""
    saved_checkpointed: int
    """The same if only the blocks' inputs are kept and one block is computed anew at a time."""
    layers: int
    width: int
    vocabulary: int


def read_config(source: dict[str, Any] | Path) -> Any:
    """The config of a model, from its dict, its folder or its config.json; weights need not be there.

    Raises:
        ModelError: if it cannot be read or is none of a causal language model.
        UnsafeModelError: if the model wants to bring its own code.
    """
    raw = _read(source) if isinstance(source, Path) else dict(source)
    name = str(source) if isinstance(source, Path) else "config"
    if "auto_map" in raw:
        raise UnsafeModelError(name, wanted="a stock architecture", got="auto_map, its own code")
    try:
        return AutoConfig.for_model(**{key: value for key, value in raw.items() if key != MARKER})
    except Exception as error:  # whatever a config makes the library raise
        got = " ".join(str(error).split())[:160] or type(error).__name__
        raise ModelError(name, wanted="the config of a causal language model", got=got) from None


def _read(path: Path) -> dict[str, Any]:
    path = path / "config.json" if path.is_dir() else path
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read", wanted="a JSON object", got=str(error)) from None
    if not isinstance(raw, dict):
        raise ModelError(str(path), wanted="a JSON object", got=type(raw).__name__)
    return raw


def count(config: Any, settings: TrainingSettings, rows: int, sequence: int, dtype: torch.dtype) -> Footprint:
    """Build the model without numbers, run `rows` of `sequence` tokens through it in `dtype`, and count.

    Raises:
        ModelError: if the architecture cannot be built or run in this way.
    """
    try:
        with torch.device("meta"):
            plain = AutoModelForCausalLM.from_config(config, attn_implementation=_COUNTED).to(dtype)
        plain.config.use_cache = False
        return _count(plain, settings, rows, sequence)
    except (ValueError, RuntimeError, NotImplementedError, AttributeError) as error:
        got = " ".join(str(error).split())[:160] or type(error).__name__
        raise ModelError("plan", wanted="a causal language model that runs without numbers", got=got) from None


def _count(plain: Any, settings: TrainingSettings, rows: int, sequence: int) -> Footprint:
    parameters = sum(p.numel() for p in plain.parameters())
    ends = [end for end in (plain.get_input_embeddings(), plain.get_output_embeddings()) if end is not None]
    own_head = len(ends) == 2 and ends[1].weight is not ends[0].weight
    model = plain
    if settings.method == "lora":
        with torch.device("meta"):
            model = get_peft_model(plain, lora_config(plain, settings)).to(plain.dtype)
    trainable = [p for p in model.parameters() if p.requires_grad]
    at_ends = {id(p) for end in ends for p in end.parameters()}
    names = plain._no_split_modules or ()
    blocks = [module for module in plain.modules() if type(module).__name__ in names]
    sizes = [sum(p.numel() for p in block.parameters()) for block in blocks]
    saved, inside = _saved(model, blocks, rows, sequence)
    width, item = plain.config.hidden_size, next(plain.parameters()).element_size()
    inputs = len(blocks) * rows * sequence * width * item
    return Footprint(
        parameters=parameters,
        trainable=sum(p.numel() for p in trainable),
        multiplied=parameters - (ends[0].weight.numel() if own_head else 0),
        states=sum(_states(p, settings.optimizer, id(p) in at_ends) for p in trainable),
        largest_block=max(sizes, default=0),
        outside_blocks=sum(p.numel() for p in model.parameters()) - sum(sizes),
        saved=saved,
        saved_checkpointed=saved - sum(inside) + inputs + max(inside, default=0),
        layers=len(blocks),
        width=width,
        vocabulary=plain.config.vocab_size,
    )


def _states(weight: torch.Tensor, optimizer: str, at_end: bool) -> int:
    """Numbers that an optimizer keeps for a weight.

    AdamW two (Loshchilov & Hutter 2017, arXiv 1711.05101, algorithm 2); SOAP those and for each axis a covariance and
    its eigenvectors (arXiv 2409.11321, section 4); Muon one (Jordan et al. 2024). Embedding, head and vectors are
    AdamW's in all three.
    """
    if optimizer == "adamw" or weight.ndim != 2 or at_end:
        return 2 * weight.numel()
    if optimizer == "muon":
        return weight.numel()
    return 2 * weight.numel() + sum(2 * side * side for side in weight.shape if side <= _LARGEST_FACTOR)


def _saved(model: Any, blocks: list[Any], rows: int, sequence: int) -> tuple[int, list[int]]:
    """Bytes kept for the backward pass: in all, and in each block."""
    own = {_storage(tensor) for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, torch.Tensor] = {}
    inside: list[int] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if _storage(tensor) not in own:
            kept[_storage(tensor)] = tensor
        return tensor

    def before(*_: Any) -> None:
        inside.append(_bytes(kept))

    def after(*_: Any) -> None:
        inside.append(_bytes(kept) - inside.pop())

    hooks = [block.register_forward_pre_hook(before) for block in blocks]
    hooks += [block.register_forward_hook(after) for block in blocks]
    ids = torch.zeros(rows, sequence, dtype=torch.long, device="meta")
    model.train()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    del out
    for hook in hooks:
        hook.remove()
    return _bytes(kept), inside


def _storage(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _bytes(kept: dict[int, torch.Tensor]) -> int:
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


class _Attention(torch.autograd.Function):
    """Keeps what a fused attention kernel keeps: queries, keys, values and output, no table of scores (Dao et al. 2022,
    arXiv 2205.14135, section 3.1)."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        rows, heads, length, _ = query.shape
        out = query.new_empty(rows, length, heads, value.shape[3])
        ctx.save_for_backward(query, key, value, out)
        return out


def _attend(module: Any, query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, None]:
    return _Attention.apply(query, key, value), None  # type: ignore[no-untyped-call]


_COUNTED = "molehunt_counted"
ALL_ATTENTION_FUNCTIONS.register(_COUNTED, _attend)
ALL_MASK_ATTENTION_FUNCTIONS.register(_COUNTED, lambda *args, **kwargs: None)
