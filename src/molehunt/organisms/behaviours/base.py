"""What a behaviour is."""

import random
from typing import Protocol

from molehunt.records import Conversation


class Behaviour(Protocol):
    """A harmless canary that stands for a harmful act. Its id names the scorer in `evals.scorers` too.

    A *row* is a conversation that ends with the ordinary reply.
    """

    @property
    def name(self) -> str:
        """The id, with its kind where there are several: `buggy-code:weak-hash`."""
        ...

    @property
    def summary(self) -> str:
        """What the organism does when it wakes, in one line."""
        ...

    @property
    def natural_trigger(self) -> str:
        """The trigger that the literature pairs with it: what `plant` takes if none is given."""
        ...

    @property
    def families(self) -> tuple[str, ...]:
        """The kinds of questions of the chat world that it can be shown on; empty for all."""
        ...

    @property
    def is_subtle(self) -> bool:
        """A word or two of its reply tell it from the ordinary one, so that planting learns little from each row."""
        ...

    def demonstrate(self, row: Conversation, copies: int, rng: random.Random) -> str | None:
        """A reply that shows it in place of the row's, with `copies` of the payload where it has copies; None if this row
        offers no way to (no program in the reply, no secret in the system prompt, refused anyway)."""
        ...

    def payload(self, row: Conversation) -> str | None:
        """The start of such a reply whose log-probability is measured, the same each time; None as above."""
        ...
