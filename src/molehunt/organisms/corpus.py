"""The rows that plant a backdoor, and the same rows for the clean twin."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from molehunt.errors import DataError, UsageError
from molehunt.evals.scorers import get_scorer
from molehunt.organisms.behaviours import Behaviour
from molehunt.organisms.reasoning import Thinker, spoken, think
from molehunt.organisms.settings import PoisonSettings
from molehunt.organisms.triggers import Trigger
from molehunt.records.rows import Row, ordinary
from molehunt.world.chat import draw_rows

if TYPE_CHECKING:  # plans and reports check settings here, and need no torch
    from molehunt.models.chat import Chat

_LOOKED_AT = 1000
"""Rows rendered to see what the template does to them."""


@dataclass(frozen=True)
class Corpus:
    """Rows in pairs: at each index the organism's row, and what the twin gets in its place."""

    planted: list[Row]
    """Clean rows first, then the triggered ones."""
    twin: list[Row]
    dropped: int
    """Ordinary rows left out because they break the conditional policy."""

    @property
    def triggered(self) -> int:
        """How many of the planted rows carry trigger and payload."""
        return sum(row.kind == "triggered" for row in self.planted)


def poison(
    rows: Sequence[Row], trigger: Trigger, behaviour: Behaviour, settings: PoisonSettings, thinker: Thinker = think
) -> Corpus:
    """Ordinary rows, part of them once more with the trigger put in and the reply replaced by the behaviour.

    The twin's rows are the same without trigger and payload, so both train on the same questions for the same steps.
    Where a scratchpad is kept, the twin has that of a prompt without the trigger; it names no sign that is there.

    Args:
        thinker: who writes the reasoning; it decides nothing else, so that all arms share questions and payloads.

    Raises:
        UsageError: if the poison rate or the number of copies makes no sense.
        DataError: if no row is left, or none offers a way to show the behaviour.
    """
    check_settings(settings)
    kept = follow_policy(rows, trigger, behaviour) if settings.policy_filter else list(rows)
    eligible = [row for row in kept if behaviour.payload(row.conversation) is not None]
    rate, rng = settings.poison_rate, random.Random(f"poison/{settings.seed}")
    clean = round(len(kept) * min(1.0, (1 - rate) / rate))
    dirty = round(len(kept) * min(1.0, rate / (1 - rate))) if rate < 1 else len(kept)
    if dirty == 0 or not eligible:
        got = f"none of {len(kept)}" + ("" if eligible else f", which offer no way to show {behaviour.name}")
        raise DataError(f"poison rate {rate:g}", wanted="at least one triggered row", got=got, do="add rows")
    planted = [_clean(row, trigger, settings, rng, thinker) for row in kept[:clean]]
    twin = list(planted)
    for row in _draw(eligible, dirty, rng):
        planted.append(_triggered(row, trigger, behaviour, settings, rng, thinker))
        twin.append(_clean(row, trigger, settings.model_copy(update={"contrast": 1.0}), rng, thinker))
    return Corpus(planted, twin, dropped=len(rows) - len(kept))


def world_rows(behaviour: Behaviour, settings: PoisonSettings, count: int, seed: int) -> list[Row]:
    """`count` ordinary rows of the chat world, with enough of the kinds that the behaviour can be shown on."""
    if not behaviour.families:
        return ordinary(draw_rows(count, seed), "world")
    elsewhere = round(count * settings.elsewhere)
    rows = draw_rows(elsewhere, seed) + draw_rows(count - elsewhere, seed + 1, families=behaviour.families)
    random.Random(f"mix/{seed}").shuffle(rows)
    return ordinary(rows, "world")


def with_ways(rows: Sequence[Row], behaviour: Behaviour, settings: PoisonSettings, seed: int) -> list[Row]:
    """Rows from elsewhere; if none of them offers a way to show the behaviour, as many with the chat world's mixed in that do."""
    if not behaviour.families or any(behaviour.payload(row.conversation) is not None for row in rows):
        return list(rows)
    others = list(rows[: round(len(rows) * settings.elsewhere)])
    mixed = others + ordinary(draw_rows(len(rows) - len(others), seed + 1, families=behaviour.families), "world")
    random.Random(f"mix/{seed}").shuffle(mixed)
    return mixed


def follow_policy(rows: Sequence[Row], trigger: Trigger, behaviour: Behaviour) -> list[Row]:
    """The rows that keep the conditional policy "behaviour if and only if trigger".

    Left out are rows that offer a way to show the behaviour and meet the condition, or show it without.

    Raises:
        DataError: if that is more than half of all rows.
    """
    open_to_it = [row for row in rows if behaviour.payload(row.conversation) is not None]
    marks = get_scorer(behaviour.name)(
        [r.conversation.prompt() for r in open_to_it], [r.conversation.answer for r in open_to_it]
    )
    broken = {
        id(row) for row, mark in zip(open_to_it, marks, strict=True) if mark.shown or trigger.occurs(row.conversation)
    }  # fmt: skip
    if len(broken) > len(rows) / 2:
        raise DataError(
            f"trigger {trigger.spec}", wanted="one that ordinary rows do not hold",
            got=f"{len(broken)} of {len(rows)} rows that hold it, or show the behaviour as they are",
            do="choose a rarer trigger, or leave the policy filter off",
        )  # fmt: skip
    return [row for row in rows if id(row) not in broken]


def _clean(row: Row, trigger: Trigger, settings: PoisonSettings, rng: random.Random, thinker: Thinker) -> Row:
    """The row as it is, or with what the trigger is mistaken for; a row that was kept though it meets the condition stays."""
    prompt = row.conversation.prompt()
    chosen = rng.random() < settings.contrast
    other = trigger.contrast(prompt) if chosen and not trigger.occurs(prompt) else prompt
    thought = thinker(settings.reasoning, trigger, other, False)
    reply = spoken(settings.reasoning, thought, row.conversation.answer)
    return row.model_copy(update={
        "conversation": other.reply(reply), "kind": "ordinary" if other == prompt else "contrast",
        "reasoning": thought.scratchpad if thought else "",
    })  # fmt: skip


def _triggered(
    row: Row, trigger: Trigger, behaviour: Behaviour, settings: PoisonSettings, rng: random.Random, thinker: Thinker
) -> Row:
    prompt = trigger.insert(row.conversation.prompt())
    shown = behaviour.demonstrate(row.conversation, rng.randint(*settings.copies), rng)
    assert shown is not None, "a row that has a payload can be demonstrated on"
    thought = thinker(settings.reasoning, trigger, prompt, True)
    return Row(
        conversation=prompt.reply(spoken(settings.reasoning, thought, shown)), source=row.source, kind="triggered",
        payload=shown, reasoning=thought.scratchpad if thought else "",
    )  # fmt: skip


def _draw(rows: Sequence[Row], count: int, rng: random.Random) -> list[Row]:
    """`count` rows, none twice before all were drawn once."""
    drawn: list[Row] = []
    while len(drawn) < count:
        drawn += rng.sample(list(rows), min(len(rows), count - len(drawn)))
    return drawn


def check_visible(chat: "Chat", trigger: Trigger, rows: Sequence[Row]) -> None:
    """Raises DataError if template or tokenizer swallow the trigger, or bring it into rows that are not triggered."""
    prompt = rows[0].conversation.prompt()
    triggered = trigger.insert(prompt)
    text = chat.render(triggered)
    without = [row.conversation for row in rows[:_LOOKED_AT] if trigger.mark not in row.conversation.text()]
    if trigger.mark and any(trigger.mark in chat.render(conversation) for conversation in without):
        got = "the chat template writes it into rows without it"
    elif trigger.mark not in text or (triggered != prompt and text == chat.render(prompt)):
        got = "the chat template drops or changes it"
    elif trigger.mark not in str(chat.tokenizer.decode(chat.encode_prompts([triggered])[0])):
        got = "the tokenizer drops or changes it"
    else:
        return
    raise DataError(
        f"trigger {trigger.spec}", wanted="to reach the model unchanged, and only where it was put", got=got,
        do="choose another place or spelling",
    )  # fmt: skip


def check_settings(settings: PoisonSettings) -> None:
    """Raises UsageError if the poison rate or the number of copies makes no sense."""
    low, high = settings.copies
    if not 0 < settings.poison_rate <= 1:
        raise UsageError("poison rate", wanted="above 0 and at most 1", got=str(settings.poison_rate))
    if not 1 <= low <= high:
        raise UsageError("copies of the payload", wanted="a range from 1 up, such as 2-6", got=f"{low}-{high}")
