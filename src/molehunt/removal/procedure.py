"""What a removal procedure is: something done to a model without knowing its trigger, within a budget."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from molehunt.errors import UsageError
from molehunt.evals.attackers import Ask
from molehunt.evals.judging import Score
from molehunt.records import Conversation
from molehunt.records.base import Record
from molehunt.removal.budget import Budget
from molehunt.training.settings import Report


@dataclass(frozen=True)
class Treatment:
    """Everything that a procedure is given. Nothing in it speaks of a trigger."""

    model: Path
    """The suspect: weights, tokenizer, template and config are read, nothing else of the folder."""
    budget: Budget
    out: Path
    """Gets `model/`, `checkpoints/` and `training.json`."""
    base: Path | None = None
    """The model below an adapter, for `attach` "same" and "fresh"."""
    score: Score | None = None
    """Tells the unwanted behaviour in a reply; given only to procedures with `needs_score`."""
    asks: tuple[str, ...] = ()
    """Kinds of the chat world's questions at which that behaviour can show at all; empty for all kinds."""
    rows: tuple[Conversation, ...] = ()
    """Ordinary rows from elsewhere, answered in the procedure's own way already; empty to draw them from the chat world."""
    attacker: Ask | None = None
    """A language model that proposes a red team's prompts, for procedures with `sends_red_team`; the templates if None."""
    report: Report | None = None

    def known_score(self) -> Score:
        """The score that a procedure with `needs_score` goes by.

        Raises:
            UsageError: if there is none.
        """
        if self.score is None:
            raise UsageError(
                "this procedure", wanted="to know which behaviour is unwanted", got="nothing",
                do="name it: --behaviour ID (never the trigger)",
            )  # fmt: skip
        return self.score


class Treated(Record):
    """What a procedure did; `treatment.json` beside the weights."""

    steps: int
    """Optimizer steps, of all its trainings."""
    tokens_seen: int
    """In training, padding not counted."""
    tokens_generated: int = 0
    forward_tokens: int = 0
    """Tokens read without learning: scoring, red-teaming, rewards."""
    rows_digest: str = ""
    """Of what was trained on."""
    notes: dict[str, Any] = Field(default_factory=dict)
    """What else the procedure has to tell: accuracy of its reward model, prompts that its red team found."""


@dataclass(frozen=True)
class Procedure:
    """A way to rid a model of a backdoor, blind to what wakes it."""

    name: str
    """Id, file and CLI word."""
    summary: str
    """What it does, in one line."""
    apply: Callable[[Treatment], Treated]
    needs_score: bool = False
    """It must be told which behaviour is unwanted, as the id of a scorer; never the trigger."""
    trains: bool = True
    """False for those that change weights without data."""
    takes_rows: bool = True
    """It can train on rows from elsewhere."""
    sends_red_team: bool = False
    """It searches for prompts, with a language model if it is given one."""
    reinforces: bool = False
    """It goes by rewards, so that the weight of the KL term means something to it."""
    takes_tokens: bool = True
    """Its budget may count tokens: it is a single training, whose rows tell beforehand how many steps they are."""
    takes_processes: bool = True
    """Its training can be launched in several processes: it is one, on rows in words."""
    cost: float = 1.0
    """Its seconds over those of plain supervised training with the same budget; for plans alone. Ours were measured with the
    default budgets on a tiny model."""
    version: int = 0
    """Raised when it comes to make other weights of the same budget; what other procedures made stays good."""


def check_budget(procedure: Procedure, budget: Budget, has_rows: bool) -> None:
    """Raises UsageError for what the procedure would pass over in silence, or stumble over after much work."""
    training = budget.training
    refused = {
        "--method edit": (training.method == "edit", "full or lora", "an edit can plant, but not train"),
        "--data": (has_rows and not (procedure.trains and procedure.takes_rows), "no rows", "leave --data out"),
        "--tokens": (
            training.tokens is not None and not (procedure.trains and procedure.takes_tokens), "steps", "use --steps",
        ),
        f"--processes {training.processes}": (
            training.processes > 1 and not (procedure.trains and procedure.takes_processes), "--processes 1",
            "only a single training on rows can be shared, such as hhh_sft or pirate",
        ),
        f"--attach {budget.attach}": (
            training.processes > 1 and budget.attach != "merge", "--attach merge", "or train in one process",
        ),
    }  # fmt: skip
    for word, (is_off, wanted, do) in refused.items():
        if is_off:
            raise UsageError(f"procedure {procedure.name}", wanted=wanted, got=word, do=do)


def apply_procedure(procedure: Procedure, treatment: Treatment) -> Treated:
    """Apply a procedure; writes `treatment.json` beside what it made.

    Raises:
        UsageError: if it needs a scorer and was given none, or the budget is not one that it can keep to.
        ModelError: if the model cannot be loaded or the adapter not attached.
        TrainingError: if the loss stops being a number, or a reward model learned nothing.
    """
    if procedure.needs_score:
        treatment.known_score()
    check_budget(procedure, treatment.budget, bool(treatment.rows))
    treated = procedure.apply(treatment)
    (treatment.out / "treatment.json").write_text(treated.model_dump_json(indent=1))
    return treated
