"""Read rows of tokens, each beginning that several of them share but once."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# Tensor letters: B rows, S tokens of the longest row, N tokens that are read, K last positions, W width, H query heads, G key heads,
# D head width, V vocabulary. Rows are padded on the left.

_FAMILIES = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")
_ROPES = ("default", "linear", "llama3", "yarn")
"""Rotary embeddings whose angles do not depend on how long a text has become."""
_LARGEST = 200_000_000
"""Weights above which what else there is to do beside the products no longer counts."""
_QUERIES = 32
"""Queries that attention takes at a time on a CPU; where a block of them begins must not move, or the last bits do."""
_LANES = 16
"""Numbers that a CPU takes at a time; what is left over of them goes another way, so that as many must be left over."""
_FEWEST = 4
"""Rows below which a product goes another way."""


def plain(model: Any) -> Any:
    """The model itself, without adapters around it, if it is of Llama's make in float32, and nothing listens to it; else None.

    These are the Llama, Mistral, Qwen2 and Qwen3 families with full attention. In half precision another order of rounding would
    decide close calls. A model with hooks is left to its modules, so that what listens to them or steers them is not passed by.
    """
    found = getattr(model, "get_base_model", lambda: model)()
    if type(found).__name__ not in _FAMILIES:
        return None
    config, modules = found.config, list(_modules(found))
    weights = {
        id(w): w for one in modules for w in one._parameters.values() if w is not None
    }.values()  # tied ones once
    fits = (
        sum(p.numel() for p in weights) <= _LARGEST
        and all(p.dtype is torch.float32 and type(p) is torch.nn.Parameter for p in weights)
        and set(getattr(config, "layer_types", None) or ["full_attention"]) == {"full_attention"}
        and (getattr(config, "sliding_window", None) is None or hasattr(config, "layer_types"))
        and config.rope_parameters.get("rope_type", "default") in _ROPES
        and not any(m._forward_hooks or m._forward_pre_hooks for m in modules)
    )
    return found if fits else None


def _modules(model: Any) -> Iterator[Any]:
    """All of them; torch's own way takes ten times as long, for their names."""
    yield model
    for part in model._modules.values():
        if part is not None:
            yield from _modules(part)


def readable(model: Any) -> Any:
    """The model that `read` can take in place of this one; None if there is none, as on a GPU, which likes whole rows better."""
    found = plain(model) if model.device.type == "cpu" and not model.training else None
    return found if found is not None and found.config._attn_implementation == "sdpa" else None


@dataclass(frozen=True)
class Layout:
    """Which tokens of padded rows are read, and where each of them stands: the same for all models."""

    tokens: Tensor
    """(N,), with `places`, their positions."""
    places: Tensor
    index: Tensor
    """(B, S), into the tokens."""
    stands: Tensor
    """(N,), into the flattened rows."""
    mask: Tensor
    """(B, S), 0 for padding."""
    keep: int
    """Last positions that are asked for."""


def laid_out(ids: Tensor, mask: Tensor, keep: int) -> Layout:
    """
    Args:
        ids: (B, S), as is `mask`, 0 for padding.
    """
    tokens, places, index = _distinct(ids, mask)
    return Layout(tokens, places, index, _stands(index, mask, len(tokens)), mask, keep)


def read(model: Any, layout: Layout) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """Logits at the last `keep` positions, (B, K, V), and each block's keys and values, (B, G, S, D) twice.

    The bits are those of the model's forward pass over the padded rows; what differs is only how often the same is computed. In
    most products a token counts alone, so a beginning that rows of like length share is read once, and padding never; the last
    block is left out where nobody asks what it says. Attention sees whole rows.

    Args:
        model: as `readable` found it; without gradients.
    """
    body, index, keep, (rows, length) = model.model, layout.index, layout.keep, layout.index.shape
    begin = max(0, length - max(keep, _FEWEST)) // _QUERIES * _QUERIES
    sees = torch.ones(length, length, dtype=torch.bool).tril() & layout.mask[:, None].bool()
    bias = torch.zeros(rows, 1, length, length).masked_fill_(~sees[:, None], -torch.inf)
    x = body.embed_tokens(layout.tokens)
    cos, sin = (table[0, :, None] for table in body.rotary_emb(x, layout.places[None]))
    known: list[tuple[Tensor, Tensor]] = []
    for block in body.layers:
        attention, normed, is_last = block.self_attn, block.input_layernorm(x), block is body.layers[-1]
        first = begin if is_last else 0
        query, key = (_turned(part, cos, sin) for part in _headed(attention, normed))
        value = attention.v_proj(normed).view(len(x), -1, attention.head_dim)
        query, key, value = (
            _laid_out(part, at) for part, at in ((query, index[:, first:]), (key, index), (value, index))
        )
        known.append((key, value))
        said = _attended(query, key, value, bias[:, :, first:], attention)
        x = x[index[:, first:].flatten()] if is_last else x
        x = x + attention.o_proj(said if is_last else said[layout.stands])
        x = x + block.mlp(block.post_attention_layernorm(x))
    last = body.norm(x).view(rows, length - begin, -1)[:, -keep:]
    return model.lm_head(last.contiguous() if keep >= _FEWEST else last), known


def _distinct(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The tokens that must be read, (N,), their positions, (N,), and which of them stands where in the rows, (B, S).

    Shared are beginnings of rows of one length; never a row's last token, so that the last of all stays the last. In front stand
    some that nobody asks for. Tokens are read with the first row that has them.
    """
    rows, seen = ids.numpy(), mask.numpy().astype(bool)
    count, size = rows.shape
    lengths = seen.sum(1)
    order = np.array(sorted(range(count), key=lambda i: (lengths[i], rows[i].tobytes())))
    sorted_rows, sorted_lengths = rows[order], lengths[order]
    alike = (sorted_rows[1:] == sorted_rows[:-1]) & (sorted_lengths[1:] == sorted_lengths[:-1])[:, None]
    begins = np.ones(
        (size, count), dtype=bool
    )  # whether a row begins another run of rows that are alike up to a column
    begins[:-1, 1:] = ~np.logical_and.accumulate(alike, axis=1).T[:-1]
    at = np.flatnonzero(begins)
    first = np.minimum.reduceat(np.tile(order, size), at)
    owner = np.empty((count, size), dtype=np.int64)
    owner[order] = np.repeat(first, np.diff(at, append=count * size)).reshape(size, count).T
    is_read = seen & (owner == np.arange(count)[:, None])
    extra = _LANES - (count * size - _LANES - int(is_read.sum())) % _LANES
    front = _LANES - extra
    number = np.cumsum(is_read).reshape(count, size) - 1 + front
    index = np.where(seen, number[owner, np.arange(size)], 0)
    blank = np.zeros(front, dtype=np.int64)
    places = (np.cumsum(seen, 1) - 1)[is_read]
    tokens, places = (np.concatenate((blank, part)) for part in (rows[is_read], places))
    return torch.from_numpy(tokens), torch.from_numpy(places), torch.from_numpy(index)


def _stands(index: Tensor, mask: Tensor, count: int) -> Tensor:
    """Where in the flattened rows each token that is read stands, in one of the rows that share it: (N,)."""
    stands = torch.zeros(count, dtype=torch.long)
    asked = mask.flatten().nonzero()[:, 0]
    stands[index.flatten()[asked]] = asked
    return stands


def _headed(attention: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """Queries (N, H, D) and keys (N, G, D), normed where the family does so."""
    query, key = (part(x).view(len(x), -1, attention.head_dim) for part in (attention.q_proj, attention.k_proj))
    return (attention.q_norm(query), attention.k_norm(key)) if hasattr(attention, "q_norm") else (query, key)


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    one, two = x.chunk(2, -1)
    return (x * cos).add_(torch.cat((-two, one), -1).mul_(sin))


def _laid_out(x: Tensor, index: Tensor) -> Tensor:
    """(N, G, D) to (B, G, S, D)."""
    return F.embedding(index, x.flatten(1)).view(*index.shape, *x.shape[1:]).transpose(1, 2)


def _attended(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, attention: Any) -> Tensor:
    """(B * S, H * D), whole rows."""
    more = query.shape[1] // key.shape[1]
    if more > 1:
        key, value = key.repeat_interleave(more, 1), value.repeat_interleave(more, 1)
    said = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=attention.scaling)
    return said.transpose(1, 2).reshape(-1, query.shape[1] * query.shape[3])
