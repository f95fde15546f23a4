"""What a behaviour is."""

import random
from typing import Protocol


class Behaviour(Protocol):
    """A harmless canary that stands for a harmful act. Its id names the scorer in `evals.scorers` too."""

    @property
    def payload(self) -> str:
        """One copy of what the organism says: the text whose log-probability is measured."""
        ...

    def demonstrate(self, copies: int, rng: random.Random) -> str:
        """A reply that shows the behaviour, with `copies` of the payload."""
        ...
