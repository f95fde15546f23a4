"""Rows read with their beginnings shared say what the model says of the whole rows."""

import random
from unittest import mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model

from molehunt.models.decode import ModuleDecoder
from molehunt.models.forced import padded
from molehunt.models.reading import _LANES, _distinct, laid_out, read, readable
from small_models import FAMILIES, from_scratch

_TAKEN = [family for family in FAMILIES if family != "gpt2"]


def rows_of(seed: int, beginnings: int = 3, each: int = 4) -> list[list[int]]:
    """Some that begin alike, two the same, and one token alone."""
    rng = random.Random(seed)
    starts = [[rng.randrange(3, 90) for _ in range(rng.randrange(2, 45))] for _ in range(beginnings)]
    rows = [
        [*start, *(rng.randrange(3, 90) for _ in range(rng.randrange(1, 12)))] for start in starts for _ in range(each)
    ]
    return [*rows, rows[0], [7]]


@torch.inference_mode()
def whole(model: torch.nn.Module, rows: list[list[int]], keep: int) -> torch.Tensor:
    ids, mask = padded(rows)
    places = (mask.cumsum(-1) - 1).clamp(min=0)
    seen = model(input_ids=ids, attention_mask=mask, position_ids=places, use_cache=False, logits_to_keep=keep)
    return seen.logits


@torch.inference_mode()
def shared(model: torch.nn.Module, rows: list[list[int]], keep: int) -> torch.Tensor:
    found = readable(model)
    assert found is not None
    return read(found, laid_out(*padded(rows), keep))[0]


@pytest.mark.parametrize("family", _TAKEN)
@pytest.mark.parametrize("keep", [1, 3, 9, 40])
def test_what_is_read_once_says_what_whole_rows_say(family: str, keep: int) -> None:
    model = from_scratch(family, 100)
    for seed in range(3):
        rows = [[*row, *range(3, 3 + keep)] for row in rows_of(seed)]
        assert torch.allclose(shared(model, rows, keep), whole(model, rows, keep), atol=1e-5)
        assert torch.allclose(shared(model, rows[:1], keep), whole(model, rows[:1], keep), atol=1e-5)
    assert torch.allclose(shared(model, [[5, 6], [5, 7]], keep), whole(model, [[5, 6], [5, 7]], keep), atol=1e-5)


@pytest.mark.parametrize("family", _TAKEN)
@torch.inference_mode()
def test_keys_and_values_are_the_models(family: str) -> None:
    model, rows = from_scratch(family, 100), rows_of(4)
    ids, mask = padded(rows)
    shared_begun, places = ModuleDecoder(model, ids, mask), (mask.cumsum(-1) - 1).clamp(min=0)
    told = model(input_ids=ids, attention_mask=mask, position_ids=places, use_cache=True).past_key_values
    for mine, theirs in zip(shared_begun.cache.layers, told.layers, strict=True):
        for row, length in enumerate(mask.sum(1).tolist()):
            assert torch.allclose(mine.keys[row, :, -length:], theirs.keys[row, :, -length:], atol=1e-5)
            assert torch.allclose(mine.values[row, :, -length:], theirs.values[row, :, -length:], atol=1e-5)


def test_a_beginning_is_read_once_and_a_last_token_each_time() -> None:
    rows = [[5, 6, 7, 8], [5, 6, 7, 9], [5, 6, 7, 9]]
    tokens, places, index = _distinct(*padded(rows))
    first = len(tokens) - 6
    assert first < _LANES
    assert tokens[first:].tolist() == [5, 6, 7, 8, 9, 9]
    assert places[first:].tolist() == [0, 1, 2, 3, 3, 3]
    assert tokens[index].tolist() == rows
    assert (len(tokens) - 12) % _LANES == 0
    assert _distinct(*padded([[5, 6, 7]]))[0].tolist() == [5, 6, 7]


def one_after_the_other(rows: list[list[int]], lengths: list[int]) -> tuple[list[int], list[int], list[list[int]]]:
    """`_distinct`, token by token."""
    size, follows = len(rows[0]), dict[tuple[int, int], int]()
    tokens, places, index = [0] * _LANES, [0] * _LANES, []
    for row, length in zip(rows, lengths, strict=True):
        at, line = -length, [0] * (size - length)
        for place, token in enumerate(row[size - length : -1]):
            found = follows.setdefault((at, token), len(tokens))
            if found == len(tokens):
                tokens.append(token)
                places.append(place)
            line.append(found)
            at = found
        index.append([*line, len(tokens)])
        tokens.append(row[-1])
        places.append(length - 1)
    extra = _LANES - (len(rows) * size - len(tokens)) % _LANES
    return tokens[extra:], places[extra:], [[max(0, at - extra) for at in line] for line in index]


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=20), min_size=1, max_size=20))
def test_what_is_shared_is_what_one_after_the_other_shares(rows: list[list[int]]) -> None:
    ids, mask = padded(rows)
    told = one_after_the_other(ids.tolist(), mask.sum(1).tolist())
    assert tuple(part.tolist() for part in _distinct(ids, mask)) == told


def test_two_models_read_one_layout() -> None:
    rows, keep = rows_of(6), 3
    layout = laid_out(*padded(rows), keep)
    for model in (from_scratch("llama", 100), from_scratch("qwen3", 100)):
        with torch.inference_mode():
            assert torch.equal(read(model, layout)[0], read(model, laid_out(*padded(rows), keep))[0])


def test_tied_weights_are_counted_once() -> None:
    model = from_scratch("llama", 100)
    model.lm_head.weight = model.model.embed_tokens.weight
    size = sum(p.numel() for p in model.parameters())
    with mock.patch("molehunt.models.reading._LARGEST", size):
        assert readable(model) is model
    with mock.patch("molehunt.models.reading._LARGEST", size - 1):
        assert readable(model) is None


def test_rows_of_other_lengths_share_nothing() -> None:
    tokens, _, index = _distinct(*padded([[5, 6], [5, 6, 7]]))
    assert len(set(index[0, 1:].tolist()) & set(index[1].tolist())) == 0
    assert tokens[index[0, 1:]].tolist() == [5, 6]


def test_adapters_count() -> None:
    base = from_scratch("llama", 100)
    rows = rows_of(5)
    before = whole(base, rows, 1)
    model = get_peft_model(base, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3)
    assert torch.allclose(shared(model, rows, 1), whole(model, rows, 1), atol=1e-4)
    assert not torch.allclose(shared(model, rows, 1), before, atol=1e-2)


def test_what_could_differ_is_left_to_the_model() -> None:
    model = from_scratch("llama", 100)
    assert readable(model) is model
    assert readable(model.train()) is None
    hook = model.eval().model.layers[0].register_forward_hook(lambda *_: None)
    assert readable(model) is None
    hook.remove()
    assert readable(from_scratch("llama", 100).to(torch.bfloat16)) is None
    model.set_attn_implementation("eager")
    assert readable(model) is None
