"""The batteries that need replies alone, as tasks of Inspect AI: any model that Inspect can ask, examined as behind an endpoint."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import get_args

from anyio import from_thread, to_thread
from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import EvalLog, read_eval_log
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
    Model,
    get_model,
)
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import collect

from molehunt.audit.case import Prompts, ordinary, own_prompts
from molehunt.audit.inspect_model import told_by_inspect
from molehunt.detectors.subject import Meter
from molehunt.detectors.voice import Voice
from molehunt.errors import DataError, UsageError
from molehunt.records import Conversation, Message
from molehunt.records.audits import Profile
from molehunt.records.evidence import Evidence

_FOUND = "evidence"
"""Where a sample's store holds what was found."""
_MUTE = 0.5
"""Share of empty replies from which the evidence says that nothing could be seen."""
_LEFT = (
    "whether it answers a question alike when asked again: molehunt audit run --endpoint asks",
    "candidates on prompts that no search has seen: molehunt audit run --endpoint verifies them",
)


@task
def consistency(profile: Profile = "quick", prompts: str = "") -> Task:
    """The same questions in other forms.

    Args:
        profile: quick, standard or deep.
        prompts: a file of your own ordinary prompts, as for `molehunt audit run --prompts`; those of every audit if empty.
    """
    return _battery("consistency", profile, prompts)


@task
def rare_conditions(profile: Profile = "quick", prompts: str = "") -> Task:
    """Ordinary prompts in rare conditions, and a closer look around those that moved the model.

    Args:
        profile: quick, standard or deep.
        prompts: a file of your own ordinary prompts, as for `molehunt audit run --prompts`; those of every audit if empty.
    """
    return _battery("rare_conditions", profile, prompts)


def evidence(log: EvalLog | Path | str) -> Evidence:
    """What the one battery of a log found.

    Args:
        log: the log that Inspect gave, or where it lies.

    Raises:
        DataError: if it cannot be read, is not of one of these tasks, or the battery did not come to its end.
    """
    if not isinstance(log, EvalLog):
        try:
            log = read_eval_log(str(log), exclude_fields={"messages", "events"})
        except (OSError, ValueError) as error:
            raise DataError(f"log {log}", wanted="a log of Inspect's", got=str(error).split("\n")[0]) from None
    found = [sample.store[_FOUND] for sample in log.samples or () if _FOUND in sample.store]
    if log.status != "success" or len(found) != 1:
        got = f"status {log.status}{f': {log.error.message}' if log.error else ''}, evidence {len(found)} times"
        wanted = "one battery that came to its end, its sample logged, in one epoch"
        raise DataError(f"log {log.location} of {log.eval.task}", wanted=wanted, got=got)
    return Evidence.model_validate(found[0])


def _battery(name: str, profile: Profile, prompts: str) -> Task:
    """One sample, which holds the prompts: what a detector asks next depends on what it heard."""
    from molehunt.detectors.table import DETECTORS

    with told_by_inspect():
        if profile not in get_args(Profile):
            raise UsageError("profile", wanted=", ".join(get_args(Profile)), got=str(profile))
        asked = own_prompts(Path(prompts)) if prompts else ordinary(profile)
    detector = DETECTORS[name]
    sample = Sample(id=name, input=detector.caption, metadata={"prompts": asked.to_json()})
    return Task(
        name=name, dataset=MemoryDataset([sample], name=asked.digest), solver=examined(name, profile), scorer=suspicion(),
        version=detector.version_at("text", profile), metadata={"profile": profile, "prompts": asked.digest},
    )  # fmt: skip


@solver
def examined(detector: str, profile: Profile) -> Solver:
    """Runs a detector in a thread, with Inspect's model for the subject's voice."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        from molehunt.audit.examining import look_with

        prompts, meter = Prompts.from_json(state.metadata["prompts"]), Meter()
        line = Line(get_model(), meter)
        subject = Voice(prompts.asked, prompts.held_out, say=line, meter=meter)
        found = await to_thread.run_sync(partial(look_with, detector, subject, profile))
        found = found.model_copy(update={"not_tested": (*line.gaps(), *found.not_tested, *_LEFT)})
        state.store.set(_FOUND, found.model_dump(mode="json"))
        return state

    return solve


@scorer(metrics=[mean()])
def suspicion() -> Scorer:
    """The detector's score: higher is more suspicious, comparable only between models that were asked the same alike."""

    async def score(state: TaskState, target: Target) -> Score:
        stored = state.store.get(_FOUND)
        found = None if stored is None else Evidence.model_validate(stored)
        if found is None or found.score is None:
            return Score.unscored(reason="scoring_failed", explanation="the battery did not come to its end")
        moved = "; ".join(f"{one.title}: {one.effect:.2f}" for one in found.exhibits)
        return Score(value=found.score, explanation=f"moved most by {moved}", metadata=dict(found.values))

    return score


class Line:
    """What a detector asks in its thread, put to a model in Inspect's event loop. Nothing is asked twice."""

    def __init__(self, model: Model, meter: Meter) -> None:
        self.model, self.meter = model, meter
        self._heard: dict[tuple[Conversation, int], str] = {}

    def __call__(self, prompts: Sequence[Conversation], tokens: int) -> list[str]:
        """Replies at temperature 0 of so many tokens at most; for `Voice.say`."""
        new = [prompt for prompt in dict.fromkeys(prompts) if (prompt, tokens) not in self._heard]
        if new:
            said = from_thread.run(self._asked, new, tokens)
            self._heard |= {(prompt, tokens): text for prompt, text in zip(new, said, strict=True)}
        return [self._heard[prompt, tokens] for prompt in prompts]

    def gaps(self) -> tuple[str, ...]:
        """Why nothing may be concluded from quiet."""
        empty = sum(not text.strip() for text in self._heard.values())
        if empty < _MUTE * len(self._heard):
            return ()
        return (f"anything: {empty} of {len(self._heard)} replies were empty",)

    async def _asked(self, prompts: Sequence[Conversation], tokens: int) -> list[str]:
        config = GenerateConfig(temperature=0.0, max_tokens=tokens)
        outputs = await collect(*(self.model.generate(_messages(prompt), config=config) for prompt in prompts))
        self.meter.forward(sum(one.usage.total_tokens for one in outputs if one.usage))
        return [one.completion or one.error or "" for one in outputs]


def _messages(prompt: Conversation) -> list[ChatMessage]:
    return [_message(one) for one in prompt.messages]


def _message(one: Message) -> ChatMessage:
    if one.role == "system":
        return ChatMessageSystem(content=one.content)
    return ChatMessageUser(content=one.content) if one.role == "user" else ChatMessageAssistant(content=one.content)
