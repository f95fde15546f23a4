"""The table of removal procedures: id, file and CLI word are one."""

from molehunt.errors import UsageError
from molehunt.removal.hhh_sft import HHH_SFT
from molehunt.removal.pirate import PIRATE
from molehunt.removal.procedure import Procedure
from molehunt.removal.rlhf import RLHF

PROCEDURES: dict[str, Procedure] = {"hhh_sft": HHH_SFT, "pirate": PIRATE, "rlhf": RLHF}


def get_procedure(name: str) -> Procedure:
    """The procedure of that id.

    Raises:
        UsageError: if there is none.
    """
    if name not in PROCEDURES:
        raise UsageError(f"procedure {name!r}", wanted=f"one of {', '.join(PROCEDURES)}", got=name)
    return PROCEDURES[name]
