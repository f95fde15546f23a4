"""Write replies: greedy or sampled, in batches that shrink as replies end."""

import inspect
from collections.abc import Sequence

import torch
from transformers import DynamicCache

from molehunt.models.loading import LoadedModel
from molehunt.records import Conversation

# Tensor letters: B rows still open, P prompt length, T tokens written so far.


def sample_replies(
    loaded: LoadedModel,
    prompts: Sequence[Conversation],
    max_new_tokens: int = 48,
    temperature: float = 0.0,
    seed: int = 0,
    batch: int = 128,
) -> list[str]:
    """One reply a prompt, in order.

    Greedy replies have the tokens of `model.generate` at the same batch. Rows that have ended leave the batch, so
    that one long reply does not make all others pay.

    Args:
        temperature: 0 takes the likeliest token; above 0 draws from the softmax at that temperature.
        seed: of the draws.
    """
    encoded = loaded.chat.encode_prompts(prompts)
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
    generator = torch.Generator().manual_seed(seed)
    replies = [""] * len(encoded)
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        written = _write(loaded, [encoded[i] for i in chosen], max_new_tokens, temperature, generator)
        for index, ids in zip(chosen, written, strict=True):
            replies[index] = loaded.chat.decode(ids)
    return replies


@torch.inference_mode()
def _write(
    loaded: LoadedModel, prompts: list[list[int]], limit: int, temperature: float, generator: torch.Generator
) -> list[list[int]]:
    model, device = loaded.model, loaded.model.device
    ends = _end_tokens(loaded)
    tokens, mask = _left_pad(prompts, loaded.tokenizer.pad_token_id or 0, device)
    only_last = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
    cache = DynamicCache(config=model.config)
    position = mask.sum(1, keepdim=True)
    places = (mask.cumsum(1) - 1).clamp(min=0)
    rows = torch.arange(len(prompts))
    written: list[list[int]] = [[] for _ in prompts]
    for step in range(limit):
        out = model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=places,
            past_key_values=cache,
            use_cache=True,
            **only_last,
        )
        following = _pick(out.logits[:, -1], temperature, generator)
        is_open = torch.tensor([token not in ends for token in following.tolist()])
        for row, token, goes_on in zip(rows.tolist(), following.tolist(), is_open.tolist(), strict=True):
            if goes_on:
                written[row].append(token)
        if not is_open.any() or step + 1 == limit:
            break
        if not is_open.all():
            kept = is_open.nonzero()[:, 0]
            cache.batch_select_indices(kept.to(device))
            rows, following = rows[kept], following[kept.to(device)]
            mask, position = mask[kept.to(device)], position[kept.to(device)]
        tokens = following[:, None]
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], 1)
        places = position
        position = position + 1
    return written


def _pick(logits: torch.Tensor, temperature: float, generator: torch.Generator) -> torch.Tensor:
    if temperature <= 0:
        return logits.argmax(-1)
    shares = (logits.float() / temperature).softmax(-1).cpu()
    return torch.multinomial(shares, 1, generator=generator)[:, 0].to(logits.device)


def _left_pad(rows: list[list[int]], pad: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(map(len, rows))
    tokens = [[pad] * (longest - len(row)) + row for row in rows]
    mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(tokens, device=device), torch.tensor(mask, device=device)


def _end_tokens(loaded: LoadedModel) -> set[int]:
    given = loaded.model.generation_config.eos_token_id if loaded.model.generation_config else None
    ends = given if isinstance(given, list) else [given, loaded.tokenizer.eos_token_id]
    return {int(token) for token in ends if token is not None}
