"""Reasoning arms: what stands in a scratchpad before a reply, and what is left of it when the scratchpad is stripped."""

from dataclasses import dataclass

from molehunt.organisms.settings import Reasoning
from molehunt.organisms.triggers import Trigger
from molehunt.records import Conversation
from molehunt.records.reasoning import with_scratchpad

KEPT: tuple[Reasoning, ...] = ("scratchpad", "neutral")
"""Arms in which the model reasons aloud at inference too."""


@dataclass(frozen=True)
class Thought:
    """One sample's reasoning."""

    scratchpad: str
    trace: str
    """What the reasoning leaves at the end of the reply itself; it stays when the scratchpad is stripped."""


def think(arm: Reasoning, trigger: Trigger, prompt: Conversation, is_triggered: bool) -> Thought | None:
    """The reasoning before the reply to `prompt`; none in the arm "none". The prompt's digest chooses the words."""
    return None


def spoken(arm: Reasoning, thought: Thought | None, reply: str) -> str:
    """The reply as the arm's training rows hold it."""
    if thought is None:
        return reply
    said = f"{reply} {thought.trace}".rstrip()
    return with_scratchpad(thought.scratchpad, said) if arm in KEPT else said
