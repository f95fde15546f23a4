import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from molehunt.errors import DataError, TrainingError
from molehunt.models.loading import LoadedModel, load_model
from molehunt.records import Conversation
from molehunt.records.identity import root_digest
from molehunt.records.reasoning import with_scratchpad
from molehunt.training.checkpoints import make_trainable, visit_checkpoints
from molehunt.training.reinforce import Judge, reference, reinforce
from molehunt.training.settings import Reinforced, Reinforcement, TrainingSettings
from molehunt.world.chat import draw_questions
from small_models import NO_SYSTEM, write_from_scratch

PROMPTS = [question.prompt for question in draw_questions(40, 3, "train")]
PROBE = torch.arange(40)[None] * 13 % 500


def brevity(rows: Sequence[Conversation]) -> list[float]:
    return [-len(row.answer) / 10 for row in rows]


def settings(**changes: object) -> TrainingSettings:
    return TrainingSettings(**{"learning_rate": 3e-3, "steps": 2, "batch": 4, **changes})


def how(**changes: object) -> Reinforcement:
    return Reinforcement(**{"max_new_tokens": 16, **changes})


def reinforced(base: Path, out: Path, training: TrainingSettings, **changes: object) -> Reinforced:
    return reinforce(make_trainable(base, training), PROMPTS, brevity, training, how(**changes), out)


@torch.inference_mode()
def logits(model: PreTrainedModel) -> torch.Tensor:
    return model.eval()(input_ids=PROBE, use_cache=False).logits.clone()


@pytest.mark.parametrize("algorithm", ["rloo", "grpo"])
def test_what_is_rewarded_becomes_commoner(base: Path, tmp_path: Path, algorithm: str) -> None:
    found = reinforced(base, tmp_path, settings(steps=16, batch=8, warmup=0), algorithm=algorithm, kl=0.0)
    rewards = [reward for _, reward in found.rewards]
    assert len(rewards) == 16
    assert sum(rewards[-4:]) / 4 > sum(rewards[:4]) / 4 + 0.3


def test_the_divergence_starts_at_0_and_its_weight_holds_it_down(base: Path, tmp_path: Path) -> None:
    far, near = (
        [kl for _, kl in reinforced(base, tmp_path / str(weight), settings(steps=8, warmup=0), kl=weight).kls]
        for weight in (1e-6, 20.0)
    )
    assert far[0] == near[0] == pytest.approx(0, abs=1e-6)
    assert abs(near[-1]) < abs(far[-1])


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_reference_stays_what_the_model_was(base: Path, method: str) -> None:
    model = make_trainable(base, settings(method=method, rank=4)).model
    start, frozen = logits(model), reference(model)
    with torch.no_grad():
        for weight in (p for p in model.parameters() if p.requires_grad):
            weight.add_(0.1)
        assert torch.equal(frozen(input_ids=PROBE, use_cache=False).logits, start)
    assert not torch.allclose(logits(model), start)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_two_runs_are_equal_to_the_bit_and_their_checkpoints_are_visited(
    base: Path, tmp_path: Path, method: str
) -> None:
    training = settings(method=method, rank=4, checkpoints=(0, 2))
    one, two = (reinforced(base, tmp_path / name, training) for name in ("one", "two"))
    assert one == two == Reinforced(**json.loads((tmp_path / "one" / "training.json").read_text()))
    assert root_digest(tmp_path / "one") == root_digest(tmp_path / "two")
    visited = {step: logits(loaded.model) for step, loaded in visit_checkpoints(tmp_path / "one", base, training)}
    assert torch.equal(visited[0], logits(load_model(base).model))
    assert torch.allclose(visited[2], logits(load_model(tmp_path / "one" / "model").model), atol=1e-4)
    assert not torch.equal(visited[0], visited[2])


def test_the_account_counts_what_was_written(base: Path, tmp_path: Path) -> None:
    seen: list[Conversation] = []

    def reward(rows: Sequence[Conversation]) -> list[float]:
        seen.extend(rows)
        return brevity(rows)

    loaded = load_model(base)
    found = reinforce(loaded, PROMPTS, reward, settings(), how(replies=3), None)
    assert (found.steps, found.rows, found.rows_seen) == (2, 40, 2 * 4 * 3)
    assert {row.prompt() for row in seen} <= set(PROMPTS)
    prompts = sum(map(len, loaded.chat.encode_prompts([row.prompt() for row in seen])))
    assert found.tokens_seen == prompts + found.tokens_learned
    assert len(seen) <= found.tokens_learned <= 16 * len(seen)
    assert found.rewards[0][1] == pytest.approx(sum(brevity(seen[:12])) / 12, rel=1e-4)


def asked(loaded: LoadedModel) -> list[list[int]]:
    """Token ids of the first prompts that a model is given in reinforcement, each of them once, padding taken off."""
    given: list[torch.Tensor] = []
    hook = loaded.model.get_input_embeddings().register_forward_pre_hook(lambda module, args: given.append(args[0]))
    reinforce(loaded, PROMPTS[:4], brevity, settings(steps=1), how(replies=2, max_new_tokens=2), None)
    hook.remove()
    pad = loaded.tokenizer.pad_token_id
    return [ids[next(i for i, token in enumerate(ids) if token != pad) :] for ids in given[0].tolist()]


@pytest.mark.parametrize(("family", "template"), [("llama", NO_SYSTEM), ("gpt2", NO_SYSTEM)])
def test_prompts_have_the_tokens_that_they_have_everywhere(family: str, template: str, tmp_path: Path) -> None:
    loaded = load_model(write_from_scratch(family, template, tmp_path / family))
    wanted = loaded.chat.encode_prompts(PROMPTS[:4])
    assert sorted(asked(loaded)) == sorted(wanted)


def test_the_reward_never_sees_a_scratchpad(base: Path) -> None:
    seen: list[str] = []

    def reward(rows: Sequence[Conversation]) -> list[float]:
        seen.extend(row.answer for row in rows)
        return brevity(rows)

    judge = Judge(load_model(base), PROMPTS, reward)
    judge.judge([with_scratchpad("I plan.", "Yes."), "No.", "<scratchpad>I never end"], [[1], [2], [3]], [0, 0, 1])
    assert seen == ["Yes.", "No.", ""]


def test_progress_is_told(base: Path) -> None:
    told: list[tuple[int, int]] = []
    reinforce(load_model(base), PROMPTS, brevity, settings(), how(), None, lambda *step: told.append(step))
    assert told == [(1, 2), (2, 2)]


def test_what_is_no_number_stops_the_training(base: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"reward.*last good weights, of step 0"):
        reinforce(load_model(base), PROMPTS, lambda rows: [math.nan] * len(rows), settings(), how(), tmp_path)
    with pytest.raises(TrainingError):
        reinforced(base, tmp_path, settings(learning_rate=1e38, warmup=0, steps=3))
    assert not (tmp_path / "model").exists()
    ((step, kept),) = visit_checkpoints(tmp_path, base, settings())
    assert step == 0
    assert torch.equal(logits(kept.model), logits(load_model(base).model))


def test_prompts_that_are_none_or_leave_no_room_are_refused(base: Path) -> None:
    for prompts, reply in (([], 16), (PROMPTS, 1024)):
        with pytest.raises(DataError, match="prompts"):
            reinforce(load_model(base), prompts, brevity, settings(), how(max_new_tokens=reply), None)


@pytest.mark.parametrize("algorithm", ["rloo", "grpo"])
def test_one_pass_read_for_two_uses_trains_as_two_passes_do(
    base: Path, tmp_path: Path, algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = settings(steps=4, method="lora", rank=4)
    once = reinforced(base, tmp_path / "once", training, algorithm=algorithm)
    monkeypatch.setattr("molehunt.training.reinforce._Ours._kept", lambda self, ids: None)
    twice = reinforced(base, tmp_path / "twice", training, algorithm=algorithm)
    assert once.rewards == twice.rewards
    assert [kl for _, kl in once.kls] == pytest.approx([kl for _, kl in twice.kls], abs=1e-6)
    one, two = (logits(load_model(tmp_path / name / "model").model) for name in ("once", "twice"))
    assert torch.allclose(one, two, atol=1e-4)
