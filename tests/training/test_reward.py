import random
from pathlib import Path

import pytest
import torch

from molehunt.errors import TrainingError
from molehunt.models.loading import load_model
from molehunt.records import Conversation
from molehunt.stats.intervals import mean_interval, proportion
from molehunt.training.reward import RewardModel, require_learned, sampled_rewards, train_reward_model
from molehunt.training.settings import Reinforcement, RewardTrained, TrainingSettings
from molehunt.world.preferences import Preference, draw_preferences


def settings(**changes: object) -> TrainingSettings:
    return TrainingSettings(**{"learning_rate": 3e-3, "steps": 30, "batch": 16, **changes})


def grown(base: Path, pairs: list[Preference], **changes: object) -> tuple[RewardModel, RewardTrained]:
    return train_reward_model(load_model(base), pairs, draw_preferences(150, 2, "held-out"), settings(**changes))


@pytest.fixture(scope="module")
def pairs() -> list[Preference]:
    return draw_preferences(600, 1)


@pytest.fixture(scope="module")
def learned(base: Path, pairs: list[Preference]) -> tuple[RewardModel, RewardTrained]:
    return grown(base, pairs)


def test_it_learns_which_reply_is_better(learned: tuple[RewardModel, RewardTrained]) -> None:
    reward, account = learned
    assert account.accuracy.low > 0.6
    assert account.accuracy.n == 150
    prompt = Conversation.of(("user", "What is the capital of France?"))
    right, empty = reward([prompt.reply("The capital of France is Paris."), prompt.reply("")])
    assert right > empty + 0.5


def test_rewards_of_its_training_have_mean_0_and_spread_1(
    learned: tuple[RewardModel, RewardTrained], pairs: list[Preference]
) -> None:
    rows = [p.prompt.reply(text) for p in pairs[:256] for text in (p.chosen, p.rejected)]
    values = torch.tensor(learned[0](rows))
    assert values.mean() == pytest.approx(0, abs=1e-4)
    assert values.std() == pytest.approx(1, abs=1e-4)


def test_a_reward_does_not_depend_on_its_neighbours(
    learned: tuple[RewardModel, RewardTrained], pairs: list[Preference]
) -> None:
    rows = [pair.prompt.reply(pair.chosen) for pair in pairs[:20]]
    together, alone = learned[0](rows), [learned[0]([row])[0] for row in rows]
    assert together == pytest.approx(alone, abs=1e-4)


def test_two_trainings_are_equal_to_the_bit_and_leave_the_model_as_it_was(
    base: Path, pairs: list[Preference], learned: tuple[RewardModel, RewardTrained]
) -> None:
    loaded = load_model(base)
    reward, account = train_reward_model(loaded, pairs, draw_preferences(150, 2, "held-out"), settings())
    assert account == learned[1]
    one, two = reward.model.state_dict(), learned[0].model.state_dict()
    assert all(torch.equal(one[name], two[name]) for name in two)
    before, after = load_model(base).model.state_dict(), loaded.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_with_an_adapter_only_the_adapter_and_the_head_learn(base: Path, pairs: list[Preference]) -> None:
    reward, account = grown(base, pairs, method="lora", rank=8, steps=40, learning_rate=6e-3)
    assert account.accuracy.low > 0.6
    changed = {name for name, p in reward.model.named_parameters() if p.requires_grad}
    assert all("lora_" in name or "score" in name for name in changed)
    assert any("score" in name for name in changed)


def test_pairs_without_sense_are_refused(base: Path, pairs: list[Preference]) -> None:
    rng = random.Random(0)
    flipped = [
        pair.model_copy(update={"chosen": pair.rejected, "rejected": pair.chosen}) if rng.random() < 0.5 else pair
        for pair in pairs
    ]
    with pytest.raises(TrainingError, match=r"learned nothing.*got 0\.\d\d, 95% interval .* \(150 unseen pairs.*do: "):
        grown(base, flipped, steps=12)


@pytest.mark.parametrize(("right", "enough"), [(100, False), (133, False), (140, True), (200, True)])
def test_the_whole_interval_must_lie_above_the_bar(right: int, enough: bool) -> None:
    if enough:
        require_learned(proportion(right, 200))
    else:
        with pytest.raises(TrainingError):
            require_learned(proportion(right, 200))


def test_a_model_that_answers_earns_more_than_one_that_babbles(
    base: Path, learned: tuple[RewardModel, RewardTrained]
) -> None:
    prompts = [pair.prompt for pair in draw_preferences(60, 9)]
    babbler = load_model(base)
    with torch.no_grad():
        babbler.model.get_output_embeddings().weight.normal_(generator=torch.Generator().manual_seed(0))
    how = Reinforcement(max_new_tokens=24)
    able, unable = (sampled_rewards(model, learned[0], prompts, 0, how) for model in (load_model(base), babbler))
    assert mean_interval([a - b for a, b in zip(able, unable, strict=True)]).low > 0
