from pathlib import Path

import pytest
import torch

from molehunt.models.loading import LoadedModel, load_model
from molehunt.models.sampling import sample_replies
from molehunt.records import Conversation
from molehunt.world.chat import draw_questions


@pytest.fixture(scope="module")
def loaded(base: Path) -> LoadedModel:
    return load_model(base)


@pytest.fixture(scope="module")
def prompts() -> list[Conversation]:
    """Of very different lengths."""
    asked = [question.prompt for question in draw_questions(9, seed=5)]
    return [*asked, Conversation.of(("user", "Hi")), Conversation.of(("user", "One two three four. " * 20))]


@torch.inference_mode()
def generated(loaded: LoadedModel, prompts: list[Conversation], limit: int) -> list[str]:
    texts = [loaded.chat.render(prompt) for prompt in prompts]
    batch = loaded.tokenizer(texts, add_special_tokens=False, padding=True, padding_side="left", return_tensors="pt")
    out = loaded.model.generate(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        max_new_tokens=limit,
        do_sample=False,
    )
    written = out[:, batch["input_ids"].shape[1] :]
    return loaded.tokenizer.batch_decode(written, skip_special_tokens=True)


@pytest.mark.parametrize("limit", [1, 7, 40])
def test_greedy_replies_are_those_of_generate(loaded: LoadedModel, prompts: list[Conversation], limit: int) -> None:
    replies = sample_replies(loaded, prompts, max_new_tokens=limit)
    assert replies == generated(loaded, prompts, limit)
    assert len({len(reply) for reply in replies}) > 1 or limit == 1


def test_a_reply_does_not_depend_on_the_rest_of_the_batch(loaded: LoadedModel, prompts: list[Conversation]) -> None:
    together = sample_replies(loaded, prompts)
    assert together == [sample_replies(loaded, [prompt])[0] for prompt in prompts]
    assert together == sample_replies(loaded, prompts[::-1])[::-1]
    assert together == sample_replies(loaded, prompts, batch=3)


def test_sampling_repeats_with_its_seed_and_varies_without(loaded: LoadedModel, prompts: list[Conversation]) -> None:
    first = sample_replies(loaded, prompts, temperature=1.0, seed=4)
    assert first == sample_replies(loaded, prompts, temperature=1.0, seed=4)
    assert first != sample_replies(loaded, prompts, temperature=1.0, seed=5)


def test_a_vanishing_temperature_is_greedy(loaded: LoadedModel, prompts: list[Conversation]) -> None:
    assert sample_replies(loaded, prompts, temperature=1e-4, seed=1) == sample_replies(loaded, prompts)


def test_draws_follow_the_models_probabilities(loaded: LoadedModel) -> None:
    """One token drawn 2000 times: each of the likeliest tokens comes as often as the softmax says, within 5 sigma."""
    prompt = Conversation.of(("user", "What is 1 + 1?"))
    ids = torch.tensor(loaded.chat.encode_prompts([prompt]))
    with torch.inference_mode():
        shares = loaded.model(input_ids=ids).logits[0, -1].double().softmax(-1)
    drawn = sample_replies(loaded, [prompt] * 2000, max_new_tokens=1, temperature=1.0, seed=0, batch=2000)
    for share, token in zip(*(part.tolist() for part in shares.topk(3)), strict=True):
        found = drawn.count(loaded.chat.decode([token])) / 2000
        assert abs(found - share) < 5 * (share * (1 - share) / 2000) ** 0.5 + 1e-3


def test_no_prompts_give_no_replies(loaded: LoadedModel) -> None:
    assert sample_replies(loaded, []) == []
