"""Train a backdoor into a model, or its clean twin."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from molehunt.models.loading import load_model
from molehunt.organisms.behaviours import get_behaviour
from molehunt.organisms.card import OrganismCard, write_card
from molehunt.organisms.corpus import check_visible, poison
from molehunt.organisms.settings import PoisonSettings
from molehunt.organisms.triggers import parse_trigger
from molehunt.records import Conversation
from molehunt.training.checkpoints import make_trainable
from molehunt.training.settings import Report, TrainingSettings
from molehunt.training.sft import train


def plant(
    base: Path,
    rows: Sequence[Conversation],
    trigger_spec: str,
    behaviour_name: str,
    poisoning: PoisonSettings,
    settings: TrainingSettings,
    out: Path,
    kind: Literal["organism", "twin"] = "organism",
    chat_template: str | None = None,
    report: Report | None = None,
) -> OrganismCard:
    """Make an organism, or its clean twin, out of the model in `base`; writes `out/model` with its card.

    Args:
        rows: ordinary conversations, answered as the model should when it is not triggered.
        chat_template: Jinja text to use, and to save, instead of the base's own.

    Raises:
        UsageError, DataError, ModelError: if anything is off; before training starts.
        TrainingError: if the loss stops being a number.
    """
    trigger, behaviour = parse_trigger(trigger_spec), get_behaviour(behaviour_name)
    corpus = poison(rows, trigger, behaviour, poisoning)
    origin = load_model(base, chat_template)
    check_visible(origin.chat, trigger, rows)
    encoded = origin.chat.encode_rows(corpus.planted if kind == "organism" else corpus.twin, settings.loss_on)
    loaded = make_trainable(base, settings)
    loaded.chat = origin.chat
    trained = train(loaded, encoded, settings, out, report)
    card = OrganismCard(
        kind=kind,
        trigger=trigger.spec,
        behaviour=behaviour_name,
        payload=behaviour.payload,
        poison=poisoning,
        training=settings,
        trained=trained,
        triggered_rows=corpus.triggered if kind == "organism" else 0,
        base=origin.ref(),
        template_digest=loaded.chat.digest,
    )
    write_card(out / "model", card)
    return card
