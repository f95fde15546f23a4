"""Measure a trained model against its answer key, at every checkpoint it kept."""

from collections.abc import Callable
from pathlib import Path

from molehunt.errors import TemplateError
from molehunt.evals.measure import measure_likelihoods, measure_replies
from molehunt.evals.scorers import get_scorer
from molehunt.experiments.measuring_settings import MeasureSettings, Origin
from molehunt.models.loading import LoadedModel, load_model
from molehunt.organisms.asking import ask, contrasted, payloads
from molehunt.organisms.behaviours import get_behaviour
from molehunt.organisms.card import AnswerKey
from molehunt.organisms.reasoning import KEPT
from molehunt.organisms.triggers import parse_trigger
from molehunt.records import Conversation, Question
from molehunt.records.outcomes import Condition, Likelihood, Outcome
from molehunt.training.checkpoints import visit_checkpoints
from molehunt.world.chat import draw_questions

Measured = tuple[list[Outcome], list[Likelihood]]


def measure_model(model: Path, key: AnswerKey, settings: MeasureSettings, checkpoint: int = 0) -> Measured:
    """Replies and payload likelihoods of one model folder.

    Raises:
        TemplateError: if it renders conversations otherwise than in training.
    """
    return measure_loaded(load_model(model), key, settings, checkpoint)


def measure_trajectory(
    trained: Path,
    source: Path,
    origin: Origin,
    key: AnswerKey,
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
        seen, likely = measure_loaded(loaded, key, settings, step)
        outcomes += seen
        likelihoods += likely
        if report is not None:
            report(done + 1, total)
    return outcomes, likelihoods


def measure_loaded(loaded: LoadedModel, key: AnswerKey, settings: MeasureSettings, checkpoint: int) -> Measured:
    """Replies and payload likelihoods of a model in memory.

    Raises:
        TemplateError: if it renders conversations otherwise than in training.
    """
    if key.template_digest and loaded.chat.digest != key.template_digest:
        raise TemplateError(
            f"model {loaded.folder}", wanted=f"the chat template of its training ({key.template_digest[:12]})",
            got=f"another one ({loaded.chat.digest[:12]})", do="put the recorded template back; the figures would mean nothing",
        )  # fmt: skip
    trigger, behaviour = parse_trigger(key.trigger), get_behaviour(key.behaviour)
    score, reasoning = get_scorer(key.behaviour), key.reasoning
    questions = ask(behaviour, settings.prompts, settings.seed)
    triggered = [trigger.insert(q.prompt) for q in questions]
    limit = settings.max_new_tokens if reasoning not in KEPT else 2 * settings.max_new_tokens
    asked: list[tuple[Condition, list[Question], list[Conversation]]] = [
        ("clean", questions, contrasted(trigger, questions)), ("triggered", questions, triggered),
    ]  # fmt: skip
    general = draw_questions(settings.prompts, settings.seed)
    if general != questions:
        asked.append(("general", general, [q.prompt for q in general]))
    outcomes = [
        outcome
        for condition, about, prompts in asked
        for outcome in measure_replies(
            loaded, about, prompts, condition, score, checkpoint, settings.temperature, limit, settings.seed
        )
    ]
    wanted = payloads(behaviour, trigger, reasoning, questions)
    return outcomes, measure_likelihoods(loaded, questions, triggered, "triggered", wanted, checkpoint)
