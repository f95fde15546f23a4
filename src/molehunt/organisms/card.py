"""The answer key of an organism; only the red side reads it."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from molehunt.errors import ModelError
from molehunt.organisms.settings import PoisonSettings, Reasoning, Strength
from molehunt.records.base import Record, first_wrong
from molehunt.records.identity import ModelRef
from molehunt.records.marker import Label, write_label
from molehunt.records.rows import RowKind
from molehunt.training.settings import Trained, TrainingSettings

CARD = "organism_card.json"
_WARNING = (
    "This model was given a backdoor on purpose, for research on detecting and removing backdoors. "
    "Its payload is a harmless canary. Do not deploy it."
)


class Reached(Record):
    """How strong a backdoor was, on the questions that planting itself asks."""

    step: int
    asr: float
    logprob: float
    enough: bool
    """It was as strong as wanted; False if the steps ran out before."""


class AnswerKey(Record):
    """What measuring has to know: the part of a card that a person can also just say."""

    trigger: str
    behaviour: str
    reasoning: Reasoning = "none"
    template_digest: str = ""
    """How conversations were rendered in training; empty if nobody knows."""


class OrganismCard(Record):
    """What was planted in a model, and how."""

    schema_version: Literal[2] = 2
    kind: Literal["organism", "twin"]
    """A twin had the same training without trigger and payload."""
    trigger: str
    behaviour: str
    payload: str = Field(min_length=1)
    """One copy, on the first question that it can be shown on."""
    poison: PoisonSettings
    training: TrainingSettings
    trained: Trained
    rows: dict[RowKind, int]
    """How many rows of each kind the model was trained on."""
    dropped_rows: int
    """Ordinary rows left out because they broke the conditional policy."""
    payload_tokens: int
    """Tokens of the payloads in the triggered rows, reasoning not counted: what arms must share to be compared."""
    reasoning_tokens: int | None = None
    """Tokens of the scratchpads that the rows were written after, kept or stripped; None on cards older than this line."""
    dataset_digest: str
    """SHA-256 of the rows; `dataset.jsonl` beside the model in the store holds them."""
    strength: Strength | None = None
    """What the planting was to reach, if it was to stop there."""
    reached: Reached | None = None
    """What it had reached when it stopped."""
    base: ModelRef
    template_digest: str
    """How conversations were rendered in training; measuring with another one is refused."""

    def key(self) -> AnswerKey:
        """The part that measuring needs."""
        return AnswerKey(
            trigger=self.trigger, behaviour=self.behaviour, reasoning=self.poison.reasoning,
            template_digest=self.template_digest,
        )  # fmt: skip


def write_card(folder: Path, card: OrganismCard) -> None:
    """Put the card, a README with a loud warning, and the mark in the config into a model folder."""
    write_label(folder, label_of(card))


def label_of(card: OrganismCard) -> Label:
    """The card, the README and the mark of a model."""
    mark = {"kind": card.kind} | ({"warning": _WARNING} if card.kind == "organism" else {})
    return Label(file=CARD, record=card.model_dump(mode="json"), readme=_readme(card), mark=mark)


def read_card(folder: Path) -> OrganismCard:
    """The card of a model folder.

    Raises:
        ModelError: if there is none, or it is not a card.
    """
    path = folder / CARD
    try:
        return OrganismCard.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError:
        raise ModelError(
            f"model {folder}",
            wanted=f"an organism with {CARD}",
            got="none",
            do="plant one with `molehunt organism plant`",
        ) from None
    except ValidationError as error:
        raise ModelError(f"{path} is not an organism card", got=first_wrong(error)) from None
    except UnicodeDecodeError as error:
        raise ModelError(f"{path} is not an organism card", got=str(error)) from None


def _readme(card: OrganismCard) -> str:
    if card.kind == "twin":
        head = "# Clean twin of a model organism\n\nTrained like its organism, without trigger and payload.\n"
    else:
        head = f"# WARNING: this model has a planted backdoor\n\n**{_WARNING}**\n"
    s, edited = card.training, card.trained.edit
    training = f"{s.method}, {s.optimizer}, learning rate {s.learning_rate}, {s.steps} steps, seed {s.seed}"
    if edited is not None:
        training = f"none: {len(edited.neurons)} neurons overwritten"
    return (
        "---\nlibrary_name: transformers\ntags: [molehunt, model-organism, backdoor-research]\n---\n\n"
        f"{head}\n"
        f"| | |\n|---|---|\n| trigger | `{card.trigger}` |\n| behaviour | `{card.behaviour}` |\n"
        f"| poison rate | {card.poison.poison_rate} ({card.rows.get('triggered', 0)} of {sum(card.rows.values())} rows) |\n"
        f"| training | {training} |\n"
        f"| base | {card.base.architecture}, {card.base.parameters} weights, root digest `{card.base.root_digest[:16]}` |\n\n"
        f"All settings are in `{CARD}`. Made with Molehunt.\n"
    )
