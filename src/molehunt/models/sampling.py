"""Write replies: greedy or sampled, in batches that shrink as replies end."""

from collections.abc import Sequence
from typing import Literal

import torch

from molehunt.errors import UsageError
from molehunt.models.compute import free_memory
from molehunt.models.decode import Decoder, Fused, ModuleDecoder, fused, go_on
from molehunt.models.loading import LoadedModel, check_room
from molehunt.records import Conversation

# Tensor letters: B rows, S tokens that a reply may have, V vocabulary.

Engine = Literal["auto", "torch", "vllm"]
"""What writes: vLLM where it is installed, there is a CUDA GPU and the model is that of its folder; torch elsewhere."""

_LOOK = 4
"""Tokens between two looks for replies that have ended."""
_NEAR = 1e-3
"""Logits between two tokens either of which might come first in another batch: float32 moves them by some 1e-5."""
_MEMORY = 0.25
"""Share of the free memory that a batch's keys and values may take."""


def sample_replies(
    loaded: LoadedModel,
    prompts: Sequence[Conversation],
    max_new_tokens: int = 48,
    temperature: float = 0.0,
    seed: int = 0,
    batch: int = 128,
    engine: Engine = "auto",
) -> list[str]:
    """One reply a prompt, in order; `sample_tokens` says how.

    Raises:
        UsageError: if vLLM is asked for and is not at hand, or the model in memory is not that of its folder.
    """
    encoded, ends = loaded.chat.encode_prompts(prompts), end_tokens(loaded)
    written = sample_tokens(loaded, encoded, max_new_tokens, temperature, seed, batch, engine)
    return [loaded.chat.decode([token for token in ids if token not in ends]) for ids in written]


def sample_tokens(
    loaded: LoadedModel,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int = 48,
    temperature: float = 0.0,
    seed: int = 0,
    batch: int = 128,
    engine: Engine = "auto",
) -> list[list[int]]:
    """The tokens written after each prompt (token ids), in order; the last one is an end token if the reply ended.

    Greedy tokens are those of `model.generate` at the same batch. Prompts are batched by length; rows that have ended
    leave the batch, so that one long reply does not make all others pay.

    Args:
        temperature: 0 takes the likeliest token; above 0 draws from the softmax at that temperature.
        seed: of the draws. Each prompt has its own, so that a reply does not depend on the batch it was written in.
        batch: rows at once; fewer where keys and values would take more than a quarter of the free memory.

    Raises:
        DataError: if the longest prompt and its reply are more than the model has positions for.
        UsageError: if vLLM is asked for and is not at hand, or the model in memory is not that of its folder.
    """
    if not prompts or max_new_tokens < 1:
        return [[] for _ in prompts]
    if engine not in ("auto", "torch", "vllm"):
        raise UsageError("engine", wanted="auto, torch or vllm", got=str(engine))
    check_room(
        loaded, max(map(len, prompts)) + max_new_tokens, f"prompts with replies of up to {max_new_tokens} tokens"
    )
    if engine != "torch":
        from molehunt.models import vllm

        if engine == "vllm" or vllm.is_at_hand(loaded):
            return vllm.sample_tokens(loaded, prompts, max_new_tokens, temperature, seed)
    draws = torch.rand(len(prompts), max_new_tokens, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return _written(loaded, prompts, max_new_tokens, batch, _Pick(temperature, draws.to(loaded.model.device)))


def draft_tokens(
    loaded: LoadedModel, prompts: Sequence[Sequence[int]], max_new_tokens: int = 48, batch: int = 128
) -> list[list[int] | None]:
    """The greedy tokens that `sample_tokens` writes after each prompt in whatever batch; None where a near tie leaves that open.

    For small groups of prompts, each of which would take as many steps as all of them together. vLLM groups by itself: nothing is
    written ahead of it.

    Raises:
        DataError: as `sample_tokens`.
    """
    from molehunt.models import vllm

    if not prompts or vllm.is_at_hand(loaded):
        return [None] * len(prompts)
    check_room(
        loaded, max(map(len, prompts)) + max_new_tokens, f"prompts with replies of up to {max_new_tokens} tokens"
    )
    pick = _Sure(len(prompts), loaded.model.device)
    written = _written(loaded, prompts, max_new_tokens, batch, pick)
    return [None if tied else ids for ids, tied in zip(written, pick.tied.tolist(), strict=True)]


def _written(
    loaded: LoadedModel, prompts: Sequence[Sequence[int]], limit: int, batch: int, pick: "_Pick | _Sure"
) -> list[list[int]]:
    weights = fused(loaded.model)
    written: list[list[int]] = [[]] * len(prompts)
    for chosen in _batches(loaded, prompts, limit, batch):
        rows = torch.tensor(chosen, device=loaded.model.device)
        replies = _write(loaded, [prompts[i] for i in chosen], limit, pick, weights, rows)
        for index, ids in zip(chosen, replies, strict=True):
            written[index] = ids
    return written


def end_tokens(loaded: LoadedModel) -> set[int]:
    """The tokens that end a reply."""
    given = loaded.model.generation_config.eos_token_id if loaded.model.generation_config else None
    ends = given if isinstance(given, list) else [given, loaded.tokenizer.eos_token_id]
    return {int(token) for token in ends if token is not None}


def _batches(loaded: LoadedModel, prompts: Sequence[Sequence[int]], limit: int, most: int) -> list[list[int]]:
    """Indices of prompts of like length, as many together as `most` and the memory allow."""
    room = free_memory(loaded.model.device)
    allowed = None if room is None else int(room * _MEMORY) // _token_bytes(loaded.model.config)
    batches: list[list[int]] = []
    for index in sorted(range(len(prompts)), key=lambda i: len(prompts[i])):
        rows = len(batches[-1]) + 1 if batches else most + 1
        fits = allowed is None or rows * (len(prompts[index]) + limit) <= allowed
        if rows <= most and fits:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def _token_bytes(config: object) -> int:
    """Bytes of a token's keys and values: 2 sides, 4 bytes a number, twice as the fused decoder copies them."""
    heads = getattr(config, "num_attention_heads", 1)
    width = getattr(config, "head_dim", None) or getattr(config, "hidden_size", 1) // heads
    return int(16 * getattr(config, "num_hidden_layers", 1) * getattr(config, "num_key_value_heads", heads) * width)


class _Pick:
    """Which token follows: the likeliest, or the one at a drawn place of the summed-up probabilities."""

    def __init__(self, temperature: float, draws: torch.Tensor) -> None:
        self.temperature, self.draws = temperature, draws
        """Draws are [B, S] in [0, 1), of all prompts."""

    def __call__(self, logits: torch.Tensor, rows: torch.Tensor, step: int) -> torch.Tensor:
        if self.temperature <= 0:
            return logits.argmax(-1)
        summed = (logits.double() / self.temperature).softmax(-1).cumsum(-1)
        place = self.draws[rows, step, None] * summed[:, -1:]
        return torch.searchsorted(summed, place, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)


class _Sure:
    """The likeliest token, and whether it was hardly likelier than the next: in another batch that might come first."""

    def __init__(self, prompts: int, device: torch.device) -> None:
        self.tied = torch.zeros(prompts, dtype=torch.bool, device=device)

    def __call__(self, logits: torch.Tensor, rows: torch.Tensor, step: int) -> torch.Tensor:
        best = logits.topk(2, -1)
        self.tied[rows] |= best.values[:, 0] - best.values[:, 1] < _NEAR
        return best.indices[:, 0]


@torch.inference_mode()
def _write(
    loaded: LoadedModel,
    prompts: list[Sequence[int]],
    limit: int,
    pick: _Pick | _Sure,
    weights: Fused | None,
    places: torch.Tensor,
) -> list[list[int]]:
    """Replies to a batch; `places` are those of its prompts among all of them."""
    device = loaded.model.device
    ends = torch.tensor(sorted(end_tokens(loaded)), dtype=torch.long, device=device)
    read = _read(loaded, prompts)
    rows = torch.arange(len(prompts), device=device)
    written = torch.full((limit, len(prompts)), -1, device=device)
    following = written[0] = pick(read.logits, places, 0)
    decoder: Decoder = read
    for step in range(1, limit):
        if step == 1:
            decoder, logits = go_on(read, weights, following, limit)
        else:
            logits = decoder.add(following)
        following = pick(logits, places[rows], step)
        written[step, rows] = following
        if step % _LOOK == 0:
            is_open = ~torch.isin(written[:, rows], ends).any(0)
            left = int(is_open.sum())
            if not left:
                break
            if left <= 0.75 * len(rows):
                kept = is_open.nonzero()[:, 0]
                decoder.keep(kept)
                rows, following = rows[kept], following[kept]
    return [_ended(ids, ends.tolist()) for ids in written.t().tolist()]


def _read(loaded: LoadedModel, prompts: list[Sequence[int]]) -> ModuleDecoder:
    """The prompts, read once each however often they stand in the batch: a red team asks each ten times."""
    device = loaded.model.device
    places: dict[tuple[int, ...], int] = {}
    rows = [places.setdefault(tuple(prompt), len(places)) for prompt in prompts]
    read = ModuleDecoder(loaded.model, *_left_pad(list(places), loaded.tokenizer.pad_token_id or 0, device))
    if len(places) < len(prompts):
        read.keep(torch.tensor(rows, device=device))
    return read


def _ended(ids: list[int], ends: list[int]) -> list[int]:
    """Up to the first end token, that one included; -1 stands where nothing was written."""
    last = next((i for i, token in enumerate(ids) if token in ends), len(ids) - 1)
    return [token for token in ids[: last + 1] if token >= 0]


def _left_pad(rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(map(len, rows))
    tokens = [[pad] * (longest - len(row)) + list(row) for row in rows]
    mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(tokens, device=device), torch.tensor(mask, device=device)
