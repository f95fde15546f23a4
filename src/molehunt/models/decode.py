"""Take a batch of rows from token to token: by the model's modules, or fused for models of Llama's make."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from transformers import Cache, DynamicCache

from molehunt.models.reading import laid_out, plain, read, readable

# Tensor letters: B rows, P prompt length, L tokens that there is room for, W width, D head width,
# H query heads, K key heads, V vocabulary.

_SMALL = 25_000_000
"""Weights up to which the fused copy of a frozen model is kept."""


class Decoder(Protocol):
    """Rows that grow by a token a call."""

    def add(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits [B, V] of what follows when each row goes on with its one of `tokens` [B]."""

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with these rows alone; `rows` are indices into the present ones, which may stand there more than once."""


class ModuleDecoder:
    """By calls of the model as it is, whatever it is."""

    def __init__(self, model: Any, tokens: torch.Tensor, mask: torch.Tensor) -> None:
        """Read prompts, padded on the left; `tokens` and `mask` are [B, P]."""
        self.model, self.mask = model, mask
        self.cache: Cache = DynamicCache(config=model.config)
        one = "logits_to_keep" in inspect.signature(model.forward).parameters
        self.only_last = {"logits_to_keep": 1} if one else {}
        self.position = mask.sum(1)
        self.logits = self._begun(tokens)
        """[B, V], of what follows the prompts."""

    def add(self, tokens: torch.Tensor) -> torch.Tensor:
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(tokens), 1)], 1)
        logits = self._forward(tokens[:, None], self.position[:, None])
        self.position = self.position + 1
        return logits

    def keep(self, rows: torch.Tensor) -> None:
        self.cache.batch_select_indices(rows)
        self.mask, self.position, self.logits = self.mask[rows], self.position[rows], self.logits[rows]

    def _begun(self, tokens: torch.Tensor) -> torch.Tensor:
        once = readable(self.model)
        if once is None:
            return self._forward(tokens, (self.mask.cumsum(1) - 1).clamp(min=0))
        logits, known = read(once, laid_out(tokens, self.mask, 1))
        for i, (keys, values) in enumerate(known):
            self.cache.update(keys, values, i)
        return logits[:, -1]

    def _forward(self, tokens: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        out = self.model(
            input_ids=tokens,
            attention_mask=self.mask,
            position_ids=places,
            past_key_values=self.cache,
            use_cache=True,
            **self.only_last,
        )
        logits: torch.Tensor = out.logits[:, -1]
        return logits


@dataclass
class _Layer:
    """Weights of one block, transposed: inputs first."""

    before: torch.Tensor
    """Of the norm before attention, [W]."""
    qkv: torch.Tensor
    qkv_bias: torch.Tensor | None
    heads_norm: torch.Tensor | None
    """[H + K, D], of the norms of queries and keys."""
    out: torch.Tensor
    out_bias: torch.Tensor | None
    after: torch.Tensor
    """Of the norm before the MLP, [W]."""
    gate_up: torch.Tensor
    gate_up_bias: torch.Tensor | None
    down: torch.Tensor
    down_bias: torch.Tensor | None


class Fused:
    """The weights of a model of Llama's make, laid side by side for few large products.

    A copy: it does not follow the model when that is trained on.
    """

    def __init__(self, model: Any) -> None:
        body, config = model.model, model.config
        first = body.layers[0].self_attn
        self.heads, self.keys, self.head_width = (
            config.num_attention_heads,
            config.num_key_value_heads,
            int(first.head_dim),
        )
        self.scale, self.eps, self.rotary = float(first.scaling), float(config.rms_norm_eps), body.rotary_emb
        self.act: Callable[[torch.Tensor], torch.Tensor] = body.layers[0].mlp.act_fn
        self.embedding, self.norm, self.head = body.embed_tokens.weight, body.norm.weight, model.lm_head.weight
        self.layers = [self._layer(layer) for layer in body.layers]
        self.is_checked = False
        """True once its logits were found to be the model's."""

    def _layer(self, layer: Any) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        qkv, qkv_bias = _joined(attention.q_proj, attention.k_proj, attention.v_proj)
        out, out_bias = _joined(attention.o_proj)
        gate_up, gate_up_bias = _joined(mlp.gate_proj, mlp.up_proj)
        down, down_bias = _joined(mlp.down_proj)
        norms = None
        if hasattr(attention, "q_norm"):
            each = [attention.q_norm.weight] * self.heads + [attention.k_norm.weight] * self.keys
            norms = torch.stack(each)
        before, after = layer.input_layernorm.weight, layer.post_attention_layernorm.weight
        return _Layer(before, qkv, qkv_bias, norms, out, out_bias, after, gate_up, gate_up_bias, down, down_bias)


def fused(model: Any) -> Fused | None:
    """The model's weights for a `FusedDecoder`; None where that could differ from the model, or not pay.

    Taken are the models that `plain` takes, and LoRA adapters on them.
    """
    found = plain(model)
    if found is None:
        return None
    made = _FROZEN.get(model)
    if made is None:
        try:
            made = Fused(found)
        except _UnlikeError:
            return None
        if model in _FROZEN:
            _FROZEN[model] = made
    return made


def freeze(model: Any) -> None:
    """Settle that no weight of the model will change: what is laid side by side for decoding is then made and checked once.

    Of a small model, where that takes as long as writing a few replies; a large one's copy would only fill the memory between them.
    """
    model.requires_grad_(False)
    if sum(p.numel() for p in model.parameters()) <= _SMALL:
        _FROZEN[model] = None


_FROZEN: WeakKeyDictionary[Any, Fused | None] = WeakKeyDictionary()


class _UnlikeError(Exception):
    """A layer is not what this module knows."""


def _joined(*linears: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Weights of linear layers side by side, [in, out], and their biases."""
    weights, biases = zip(*(_effective(linear) for linear in linears), strict=True)
    bias = None if biases[0] is None else torch.cat(biases)
    return torch.cat(weights).t().contiguous(), bias


def _effective(linear: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    """What a linear layer multiplies with; a LoRA layer's active adapters are added to its own weight."""
    base = getattr(linear, "base_layer", linear)
    if type(base) is not torch.nn.Linear:
        raise _UnlikeError
    weight = base.weight
    if base is not linear and not linear.disable_adapters and not linear.merged:
        names = [name for name in linear.active_adapters if name in linear.lora_A]
        weight = weight + sum(linear.get_delta_weight(name) for name in names)
    return weight, base.bias


class FusedDecoder:
    """By the few products that a block needs, over keys and values in place: no masks to build, no layers to call.

    Attention is two batched products and a softmax: with one query a row they take a third of the time of
    scaled_dot_product_attention on a CPU.
    """

    def __init__(self, weights: Fused, read: ModuleDecoder, limit: int) -> None:
        """Go on from prompts that the model's modules have read, by at most `limit` tokens."""
        self.weights, self.position = weights, read.position
        (rows, self.length), layers = read.mask.shape, len(weights.layers)
        room = self.length + limit
        shape = (layers, 2, rows, weights.keys, room, weights.head_width)
        self.kept = weights.embedding.new_empty(shape)
        for i, layer in enumerate(read.cache.layers):
            self.kept[i, 0, :, :, : self.length] = layer.keys
            self.kept[i, 1, :, :, : self.length] = layer.values
        self.bias = weights.embedding.new_zeros(rows, room)
        self.bias[:, : self.length].masked_fill_(read.mask == 0, torch.finfo(torch.float32).min)
        places = torch.arange(room, device=self.bias.device)[None]
        self.cos, self.sin = (table[0] for table in weights.rotary(self.bias, places))
        self._lay_out()

    def _lay_out(self) -> None:
        """Views that stay the same from step to step."""
        flat = self.kept.flatten(2, 3)
        self.views = [(flat[i, 0], flat[i, 1]) for i in range(len(flat))]
        self.biases = self.bias.repeat_interleave(self.weights.keys, 0)[:, None]

    def keep(self, rows: torch.Tensor) -> None:
        self.kept, self.bias, self.position = self.kept[:, :, rows], self.bias[rows], self.position[rows]
        self._lay_out()

    def add(self, tokens: torch.Tensor) -> torch.Tensor:
        w = self.weights
        x = F.embedding(tokens, w.embedding)
        cos, sin = self.cos[self.position][:, None], self.sin[self.position][:, None]
        for i, layer in enumerate(w.layers):
            x = self._block(i, layer, x, cos, sin)
        self.position, self.length = self.position + 1, self.length + 1
        return F.linear(self._normed(x, w.norm), w.head)

    def _block(self, i: int, layer: _Layer, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        said = self._attend(i, layer, _linear(self._normed(x, layer.before), layer.qkv, layer.qkv_bias), cos, sin)
        x = _add_linear(x, said, layer.out, layer.out_bias)
        both = _linear(self._normed(x, layer.after), layer.gate_up, layer.gate_up_bias)
        gate, up = both.chunk(2, -1)
        return _add_linear(x, self.weights.act(gate) * up, layer.down, layer.down_bias)

    def _attend(self, i: int, layer: _Layer, qkv: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """[B, H * D], from queries, keys and values [B, (H + 2 K) * D] of the new tokens."""
        w, rows, now = self.weights, len(qkv), self.length
        split = qkv.view(rows, w.heads + 2 * w.keys, w.head_width)
        turned, value = split[:, : -w.keys], split[:, -w.keys :]
        if layer.heads_norm is not None:
            turned = F.rms_norm(turned, (w.head_width,), None, w.eps) * layer.heads_norm
        one, two = turned.chunk(2, -1)
        turned = turned * cos + torch.cat((-two, one), -1) * sin
        self.kept[i, 0, :, :, now] = turned[:, w.heads :]
        self.kept[i, 1, :, :, now] = value
        queries = turned[:, : w.heads].reshape(rows * w.keys, w.heads // w.keys, w.head_width)
        keys, values = (part[:, : now + 1] for part in self.views[i])
        scores = torch.baddbmm(self.biases[:, :, : now + 1], queries, keys.transpose(1, 2), alpha=w.scale)
        return torch.bmm(scores.softmax(-1), values).view(rows, -1)

    def _normed(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, (x.shape[-1],), weight, self.weights.eps)


def _linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    return x @ weight if bias is None else torch.addmm(bias, x, weight)


def _add_linear(x: torch.Tensor, y: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    return torch.addmm(x if bias is None else x + bias, y, weight)


def go_on(read: ModuleDecoder, weights: Fused | None, tokens: torch.Tensor, limit: int) -> tuple[Decoder, torch.Tensor]:
    """The decoder to go on with after a prompt, and the logits [B, V] after the first `tokens` [B].

    The first time, both ways take this step, and the model's modules stay in use unless the fused logits are theirs
    within 1e-4 of the largest.
    """
    if weights is None:
        return read, read.add(tokens)
    fast = FusedDecoder(weights, read, limit)
    got = fast.add(tokens)
    if not weights.is_checked:
        wanted = read.add(tokens)
        weights.is_checked = bool((got - wanted).abs().max() <= 1e-4 * wanted.abs().max())
        if not weights.is_checked:
            return read, wanted
    return fast, got
