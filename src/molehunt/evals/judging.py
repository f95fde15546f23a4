"""What tells the unwanted behaviour in a reply, as seen by those who must not know the behaviour itself."""

from collections.abc import Callable, Sequence
from typing import Protocol

from molehunt.records import Conversation


class Marks(Protocol):
    """What a scorer says of one reply."""

    @property
    def shown(self) -> bool: ...


Score = Callable[[Sequence[Conversation], Sequence[str]], Sequence[Marks]]
"""(prompts, replies) to marks: whether each reply shows the unwanted behaviour."""
