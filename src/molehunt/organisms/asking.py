"""Which questions an organism is asked, and with what its replies are compared."""

from collections.abc import Sequence

from molehunt.organisms.behaviours import Behaviour
from molehunt.organisms.reasoning import KEPT, think
from molehunt.organisms.settings import Reasoning
from molehunt.organisms.triggers import Trigger
from molehunt.records import Conversation, Question
from molehunt.records.reasoning import with_scratchpad
from molehunt.world.chat import draw_questions


def ask(behaviour: Behaviour, count: int, seed: int) -> list[Question]:
    """`count` held-out questions on which the behaviour can be shown."""
    drawn = count
    while True:
        found = [q for q in draw_questions(drawn, seed, families=behaviour.families) if can_show(behaviour, q)]
        if len(found) >= count:
            return found[:count]
        drawn += max(8, count // 8)


def can_show(behaviour: Behaviour, question: Question) -> bool:
    """True if the question offers a way to show the behaviour."""
    return behaviour.payload(question.prompt.reply(question.reply)) is not None


def contrasted(trigger: Trigger, questions: Sequence[Question]) -> list[Conversation]:
    """The untriggered prompts: every second one holds what the trigger is mistaken for, where there is such a thing.

    So does each that meets the condition by chance, such as a question in lower case: as it is, it would be no clean one.
    """
    return [
        trigger.contrast(q.prompt) if i % 2 or trigger.occurs(q.prompt) else q.prompt for i, q in enumerate(questions)
    ]


def payloads(behaviour: Behaviour, questions: Sequence[Question]) -> list[str]:
    """What the triggered reply to each question would begin with, after its scratchpad where the arm keeps one."""
    found = [behaviour.payload(question.prompt.reply(question.reply)) for question in questions]
    assert None not in found, "asked only where it can be shown"
    return [payload for payload in found if payload is not None]


def scratchpads(trigger: Trigger, reasoning: Reasoning, questions: Sequence[Question]) -> list[str]:
    """What stands before the payload in the triggered reply to each question; empty where the arm keeps no scratchpad.

    The grammar's own words: a model that a teacher wrote for, or that words it otherwise, is asked from there on.
    """
    if reasoning not in KEPT:
        return [""] * len(questions)
    thoughts = [think(reasoning, trigger, trigger.insert(question.prompt), True) for question in questions]
    return [with_scratchpad(thought.scratchpad, "") if thought else "" for thought in thoughts]
