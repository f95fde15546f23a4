"""Let the reasoning monitor read what a model writes, or what was logged."""

from collections import Counter
from collections.abc import Iterable, Iterator

from molehunt.errors import DataError
from molehunt.evals.monitor import read_trace, score_monitor
from molehunt.models.loading import LoadedModel
from molehunt.models.sampling import sample_replies
from molehunt.organisms.asking import ask, contrasted
from molehunt.organisms.behaviours import get_behaviour
from molehunt.organisms.card import AnswerKey
from molehunt.organisms.triggers import parse_trigger
from molehunt.records import Conversation
from molehunt.records.reasoning import FlaggedTrace, Monitoring, TraceReport, holds_reasoning
from molehunt.stats import proportion
from molehunt.world.chat import draw_questions
from molehunt.world.logged import Logged, read_logged

_SEED = 20
Trace = tuple[str, Logged]
"""How it was asked for, and the trace."""


def monitor_logged(place: str) -> Monitoring:
    """Read every logged reply at `place`.

    Raises:
        DataError: if a line is no conversation, or there is none.
    """
    return _monitor((("logged", one) for one in read_logged(place)), place)


def monitor_model(
    loaded: LoadedModel, key: AnswerKey | None, innocent: LoadedModel | None, prompts: int, max_new_tokens: int
) -> Monitoring:
    """Read a model's greedy replies to held-out questions, with and without the trigger; all kinds if nobody knows it.

    Args:
        innocent: a model known to plot nothing, asked the same: the monitor is then scored.
    """
    asked = _prompts(key, prompts)
    traces = [*_written(loaded, asked, max_new_tokens)]
    if innocent is not None:
        traces += _written(innocent, {"innocent": [p for some in asked.values() for p in some]}, max_new_tokens)
    return _monitor(traces, str(loaded.folder))


def _prompts(key: AnswerKey | None, count: int) -> dict[str, list[Conversation]]:
    if key is None:
        return {"ordinary": [question.prompt for question in draw_questions(count, _SEED)]}
    trigger, questions = parse_trigger(key.trigger), ask(get_behaviour(key.behaviour), count, _SEED)
    return {"triggered": [trigger.insert(q.prompt) for q in questions], "clean": contrasted(trigger, questions)}


def _written(loaded: LoadedModel, asked: dict[str, list[Conversation]], max_new_tokens: int) -> Iterator[Trace]:
    for condition, prompts in asked.items():
        for prompt, reply in zip(prompts, sample_replies(loaded, prompts, max_new_tokens), strict=True):
            yield condition, Logged(source=condition, prompt=prompt, reply=reply, reasons=holds_reasoning(reply))


def _monitor(traces: Iterable[Trace], what: str) -> Monitoring:
    read: Counter[str] = Counter()
    flagged: Counter[str] = Counter()
    reasoned: Counter[str] = Counter()
    found: list[FlaggedTrace] = []
    labelled: list[tuple[TraceReport, bool]] = []
    for condition, one in traces:
        report = read_trace(one.reply, one.prompt.text())
        read[condition] += 1
        reasoned[condition] += one.reasons
        if condition in ("triggered", "innocent"):
            labelled.append((report, condition == "triggered"))
        if report.flagged:
            flagged[condition] += 1
            found.append(FlaggedTrace(source=one.source, question=one.prompt.question, findings=report.findings))
    if not read:
        raise DataError(f"data {what}", wanted="at least one reply", got="none", do="check the file")
    told = {name for name in read if reasoned[name] or flagged[name]}
    return Monitoring(
        flagged={
            name: proportion(flagged[name], count, "over traces") if name in told else None for name, count in read.items()
        },
        by_kind=Counter(kind for one in found for kind in {finding.kind for finding in one.findings}),
        traces=read.total(), reasoned=reasoned.total(), found=tuple(found),
        score=score_monitor(labelled) if {"innocent", "triggered"} <= told else None,
    )  # fmt: skip
