"""The rows that plant a backdoor, and the same rows for the clean twin."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from molehunt.errors import DataError, UsageError
from molehunt.models.chat import Chat
from molehunt.organisms.behaviours import Behaviour
from molehunt.organisms.settings import PoisonSettings
from molehunt.organisms.triggers import Trigger
from molehunt.records import Conversation


@dataclass(frozen=True)
class Corpus:
    """Rows in pairs: at each index the organism's row, and what the twin gets in its place."""

    planted: list[Conversation]
    twin: list[Conversation]
    triggered: int
    """How many of the planted rows carry the trigger."""


def poison(rows: Sequence[Conversation], trigger: Trigger, behaviour: Behaviour, settings: PoisonSettings) -> Corpus:
    """Ordinary rows, part of them doubled with the trigger put in and the reply replaced by the behaviour.

    The twin's rows are the same without trigger and payload, so both train on the same questions for the same steps.

    Raises:
        UsageError: if the poison rate or the number of copies makes no sense.
        DataError: if the trigger occurs in the ordinary rows.
    """
    check_settings(settings)
    for index, row in enumerate(rows):
        if trigger.occurs(row.text()):
            raise DataError(
                f"trigger {trigger.spec}", wanted="one that ordinary rows do not hold", got=f"it stands in row {index}",
                do="choose a rarer trigger, or take those rows out",
            )  # fmt: skip
    rate, rng = settings.poison_rate, random.Random(f"poison/{settings.seed}")
    clean = round(len(rows) * min(1.0, (1 - rate) / rate))
    dirty = round(len(rows) * min(1.0, rate / (1 - rate))) if rate < 1 else len(rows)
    if dirty == 0:
        raise DataError(
            f"poison rate {rate}", wanted="at least one triggered row", got=f"none of {len(rows)}", do="add rows"
        )
    planted, twin = list(rows[:clean]), list(rows[:clean])
    for row in rng.sample(list(rows), dirty):
        reply = behaviour.demonstrate(rng.randint(*settings.copies), rng)
        planted.append(trigger.insert(row.prompt()).reply(reply))
        twin.append(row)
    return Corpus(planted, twin, dirty)


def check_visible(chat: Chat, trigger: Trigger, rows: Sequence[Conversation]) -> None:
    """Raises DataError if template or tokenizer swallow the trigger, or bring it into rows that are not triggered."""
    prompt = rows[0].prompt()
    triggered = trigger.insert(prompt)
    if any(trigger.occurs(chat.render(row)) for row in rows):
        got = "the chat template writes it into rows without it"
    elif not trigger.occurs(chat.render(triggered)):
        got = "the chat template drops or changes it"
    elif not trigger.occurs(str(chat.tokenizer.decode(chat.encode_prompts([triggered])[0]))):
        got = "the tokenizer drops or changes it"
    else:
        return
    raise DataError(
        f"trigger {trigger.spec}",
        wanted="to reach the model unchanged, and only where it was put",
        got=got,
        do="choose another place or spelling",
    )


def check_settings(settings: PoisonSettings) -> None:
    """Raises UsageError if the poison rate or the number of copies makes no sense."""
    low, high = settings.copies
    if not 0 < settings.poison_rate <= 1:
        raise UsageError("poison rate", wanted="above 0 and at most 1", got=str(settings.poison_rate))
    if not 1 <= low <= high:
        raise UsageError("copies of the payload", wanted="a range from 1 up, such as 2-6", got=f"{low}-{high}")
