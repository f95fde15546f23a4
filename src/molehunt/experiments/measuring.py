"""Measure a trained model against its answer key, at every checkpoint it kept."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from molehunt.errors import TemplateError
from molehunt.evals.measure import measure_likelihoods, measure_replies
from molehunt.evals.scorers import get_scorer
from molehunt.experiments.measuring_settings import MeasureSettings, Origin
from molehunt.models.loading import LoadedModel, load_model
from molehunt.organisms.asking import ask, contrasted, payloads, scratchpads
from molehunt.organisms.behaviours import get_behaviour
from molehunt.organisms.card import AnswerKey
from molehunt.organisms.reasoning import KEPT
from molehunt.organisms.triggers import parse_trigger
from molehunt.records import Conversation, Question
from molehunt.records.outcomes import Condition, Likelihood, Outcome
from molehunt.stats.sequential import confidence_sequence
from molehunt.training.checkpoints import visit_checkpoints
from molehunt.world.chat import draw_questions

_LOOK = 16
"""Prompts between two looks at whether the rate is known well enough."""
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

    def replies(condition: Condition, about: Sequence[Question], prompts: Sequence[Conversation]) -> list[Outcome]:
        return measure_replies(
            loaded, about, prompts, condition, score, checkpoint, settings.temperature, limit, settings.seed
        )

    shown = _until_narrow(partial(replies, "triggered"), questions, triggered, settings.stop_width)
    questions, triggered = questions[: len(shown)], triggered[: len(shown)]
    outcomes = [*replies("clean", questions, contrasted(trigger, questions)), *shown]
    general = draw_questions(settings.prompts, settings.seed)[: len(shown)]
    if general != questions:
        outcomes += replies("general", general, [q.prompt for q in general])
    wanted, given = payloads(behaviour, questions), scratchpads(trigger, reasoning, questions)
    return outcomes, measure_likelihoods(loaded, questions, triggered, "triggered", wanted, checkpoint, given)


def _until_narrow(
    replies: Callable[[Sequence[Question], Sequence[Conversation]], list[Outcome]],
    questions: Sequence[Question],
    prompts: Sequence[Conversation],
    width: float | None,
) -> list[Outcome]:
    """Outcomes of all prompts, or of the first so many after which the rate's confidence sequence is narrow enough."""
    if width is None:
        return replies(questions, prompts)
    found: list[Outcome] = []
    for start in range(0, len(prompts), _LOOK):
        found += replies(questions[start : start + _LOOK], prompts[start : start + _LOOK])
        seen = confidence_sequence([outcome.shown for outcome in found])
        if seen.high - seen.low <= width:
            break
    return found
