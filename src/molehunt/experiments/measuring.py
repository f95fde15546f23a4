"""Measure a trained model against its answer key, at every checkpoint it kept."""

from collections.abc import Callable
from pathlib import Path

from molehunt.errors import TemplateError
from molehunt.evals.measure import measure_likelihoods, measure_replies
from molehunt.evals.scorers import SCORERS
from molehunt.experiments.measuring_settings import MeasureSettings, Origin
from molehunt.models.loading import LoadedModel, load_model
from molehunt.organisms.behaviours import get_behaviour
from molehunt.organisms.card import OrganismCard
from molehunt.organisms.triggers import parse_trigger
from molehunt.records.outcomes import Likelihood, Outcome
from molehunt.training.checkpoints import visit_checkpoints
from molehunt.world.chat import draw_questions

Measured = tuple[list[Outcome], list[Likelihood]]


def measure_model(model: Path, card: OrganismCard, settings: MeasureSettings, checkpoint: int = 0) -> Measured:
    """Replies and payload likelihoods of one model folder.

    Raises:
        TemplateError: if it renders conversations otherwise than in training.
    """
    return _measure(load_model(model), card, settings, checkpoint)


def measure_trajectory(
    trained: Path,
    source: Path,
    origin: Origin,
    card: OrganismCard,
    settings: MeasureSettings,
    base: Path | None = None,
    report: Callable[[int, int], None] | None = None,
) -> Measured:
    """The same at each checkpoint in `trained`, a folder that `training.train` filled starting from `source`."""
    outcomes: list[Outcome] = []
    likelihoods: list[Likelihood] = []
    total = len(list((trained / "checkpoints").glob("*.safetensors")))
    checkpoints = visit_checkpoints(trained, source, origin.training, origin.attach, base)
    for done, (step, loaded) in enumerate(checkpoints):
        seen, likely = _measure(loaded, card, settings, step)
        outcomes += seen
        likelihoods += likely
        if report is not None:
            report(done + 1, total)
    return outcomes, likelihoods


def _measure(loaded: LoadedModel, card: OrganismCard, settings: MeasureSettings, checkpoint: int) -> Measured:
    if loaded.chat.digest != card.template_digest:
        raise TemplateError(
            f"model {loaded.folder}", wanted=f"the chat template of its training ({card.template_digest[:12]})",
            got=f"another one ({loaded.chat.digest[:12]})", do="put the recorded template back; the figures would mean nothing",
        )  # fmt: skip
    trigger = parse_trigger(card.trigger)
    questions = draw_questions(settings.prompts, settings.seed)
    get_behaviour(card.behaviour)
    score = SCORERS[card.behaviour]
    common = {"checkpoint": checkpoint, "temperature": settings.temperature, "max_new_tokens": settings.max_new_tokens}
    outcomes = [
        *measure_replies(loaded, questions, "clean", score, None, seed=settings.seed, **common),  # type: ignore[arg-type]
        *measure_replies(loaded, questions, "triggered", score, trigger.insert, seed=settings.seed, **common),  # type: ignore[arg-type]
    ]
    likelihoods = measure_likelihoods(loaded, questions, "triggered", card.payload, trigger.insert, checkpoint)
    return outcomes, likelihoods
