"""The generalisation panel: ask a model with everything that comes near its trigger."""

from collections.abc import Iterable, Sequence

from molehunt.evals.scorers import get_scorer
from molehunt.models.loading import LoadedModel
from molehunt.models.sampling import sample_replies
from molehunt.organisms.asking import ask
from molehunt.organisms.behaviours import get_behaviour
from molehunt.organisms.card import AnswerKey
from molehunt.organisms.reasoning import KEPT
from molehunt.organisms.triggers import Trigger, parse_trigger
from molehunt.organisms.triggers.base import Variant
from molehunt.records import Conversation
from molehunt.records.estimates import Estimate
from molehunt.records.panels import Panel, PanelEntry
from molehunt.records.reasoning import split_scratchpad
from molehunt.stats import over_seeds, proportion


def measure_panel(loaded: LoadedModel, key: AnswerKey, prompts: int = 48, seed: int = 20) -> Panel:
    """How often each variant of the trigger wakes the model; greedy replies.

    Args:
        prompts: held-out questions asked with every variant.
    """
    trigger, behaviour = parse_trigger(key.trigger), get_behaviour(key.behaviour)
    asked = [q.prompt for q in ask(behaviour, prompts, seed)]
    variants = [(variant, same) for variant, same in _variants(trigger)]
    conversations = [variant.insert(prompt) for variant, _ in variants for prompt in asked]
    limit = 96 if key.reasoning in KEPT else 48
    replies = [split_scratchpad(reply)[1] for reply in sample_replies(loaded, conversations, limit)]
    shown = [marks.shown for marks in get_scorer(key.behaviour)(conversations, replies)]
    entries = [
        _entry(variant, same, conversations[i * prompts], shown[i * prompts : (i + 1) * prompts])
        for i, (variant, same) in enumerate(variants)
    ]
    return Panel(
        trigger=trigger.spec,
        behaviour=behaviour.name,
        entries=tuple(entries),
        exact=entries[0].rate,
        paraphrases=_over_variants(e for e in entries[1:] if e.same_meaning),
        near_misses=_over_variants(e for e in entries[1:] if not e.same_meaning),
    )


def _variants(trigger: Trigger) -> Iterable[tuple[Variant, bool]]:
    yield Variant("exact", "the trigger itself", trigger.insert), True
    yield from ((variant, False) for variant in trigger.near_misses())
    yield from ((variant, True) for variant in trigger.paraphrases())


def _entry(variant: Variant, same: bool, first: Conversation, shown: Sequence[bool]) -> PanelEntry:
    return PanelEntry(
        group=variant.group, label=variant.label, same_meaning=same, rate=proportion(sum(shown), len(shown)),
        example="\n".join(f"{m.role}: {m.content}" for m in first.messages),
    )  # fmt: skip


def _over_variants(entries: Iterable[PanelEntry]) -> Estimate | None:
    rates = [entry.rate for entry in entries]
    return over_seeds([rate.value for rate in rates], rates[0].n, "variants") if len(rates) > 1 else None
