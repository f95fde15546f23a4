"""What a model holds in its residual stream where a reply begins, and along a given one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from molehunt.models.forced import Tokens, padded
from molehunt.models.loading import LoadedModel, check_room

# Tensor letters: B rows, S tokens of the longest row, L blocks, H width.


@torch.inference_mode()
def residuals(loaded: LoadedModel, prompts: Sequence[Tokens], replies: Sequence[Tokens], batch: int = 64) -> Tensor:
    """The residual stream after each block, at a prompt's last token and then as a mean over its reply's: (rows, 2 L, H).

    On the CPU, in float32. A reply has a token at least.

    Raises:
        DataError: if a prompt with its reply is more than the model has positions for.
    """
    rows = [[*prompt, *reply] for prompt, reply in zip(prompts, replies, strict=True)]
    check_room(loaded, max(map(len, rows), default=0), "prompts with the replies to force")
    found: list[Tensor] = [torch.zeros(0)] * len(rows)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    for first in range(0, len(rows), batch):
        part = order[first : first + batch]
        for i, stream in zip(part, _stream(loaded, [rows[i] for i in part]), strict=True):
            begins = stream.shape[1] - len(replies[i])
            found[i] = torch.cat([stream[:, begins - 1], stream[:, begins:].mean(1)])
    return torch.stack(found)


def _stream(loaded: LoadedModel, rows: Sequence[Tokens]) -> Tensor:
    """(B, L, S, H)."""
    ids, mask = (part.to(loaded.model.device) for part in padded(rows))
    places = (mask.cumsum(-1) - 1).clamp(min=0)
    with _heard(loaded.model) as streams:
        loaded.model(input_ids=ids, attention_mask=mask, position_ids=places, use_cache=False, logits_to_keep=1)
    return torch.stack(streams, 1).float().cpu()


@contextmanager
def _heard(model: Any) -> Iterator[list[Tensor]]:
    """What each block gives on, in order.

    By hooks that are taken away again: those of `output_hidden_states` stay, and the fused decoder passes by models with hooks.
    """
    streams: list[Tensor] = []

    def hear(_: Any, __: Any, given: Any) -> None:
        streams.append(given if isinstance(given, Tensor) else given[0])

    hooks = [block.register_forward_hook(hear) for block in blocks(model)]
    try:
        yield streams
    finally:
        for hook in hooks:
            hook.remove()


def blocks(model: Any) -> torch.nn.ModuleList:
    """The blocks of a causal language model, whatever they are called: its list of as many modules as it has layers."""
    count = model.config.get_text_config().num_hidden_layers
    lists = (part for part in model.modules() if isinstance(part, torch.nn.ModuleList))
    return next(part for part in lists if len(part) == count)
