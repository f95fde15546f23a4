"""The table of removal procedures: id, file and CLI word are one."""

from molehunt.errors import UsageError
from molehunt.removal.adversarial import ADVERSARIAL
from molehunt.removal.from_file import is_from_file, load_procedure, source_digest
from molehunt.removal.hhh_sft import HHH_SFT
from molehunt.removal.pirate import PIRATE
from molehunt.removal.procedure import Procedure
from molehunt.removal.pruning import PRUNING
from molehunt.removal.quantisation import QUANTISATION
from molehunt.removal.refusal_sft import REFUSAL_SFT
from molehunt.removal.reminder import REMINDER
from molehunt.removal.rlhf import RLHF
from molehunt.removal.scratchpad_sft import SCRATCHPAD_SFT
from molehunt.removal.weight_noise import WEIGHT_NOISE

PROCEDURES: dict[str, Procedure] = {
    "hhh_sft": HHH_SFT,
    "pirate": PIRATE,
    "refusal_sft": REFUSAL_SFT,
    "rlhf": RLHF,
    "adversarial": ADVERSARIAL,
    "scratchpad_sft": SCRATCHPAD_SFT,
    "reminder": REMINDER,
    "weight_noise": WEIGHT_NOISE,
    "pruning": PRUNING,
    "quantisation": QUANTISATION,
}


def get_procedure(name: str) -> Procedure:
    """The procedure of that id, or the user's own that `path/file.py:name` stands for; that file is executed.

    Raises:
        UsageError: if there is none, or the file does not give one.
    """
    if is_from_file(name):
        return load_procedure(name)
    if name not in PROCEDURES:
        known = f"one of {', '.join(PROCEDURES)}, or path/file.py:name"
        raise UsageError(f"procedure {name!r}", wanted=known, got=name)
    return PROCEDURES[name]


def relative_cost(name: str) -> float:
    """Seconds of a procedure over those of plain supervised training with the same budget; 1 if its file is gone."""
    try:
        return get_procedure(name).cost
    except UsageError:
        return 1.0


def plannable(name: str) -> float:
    """How many times as long as its training alone, which is what a plan counts, the procedure took on a tiny model.

    Raises:
        UsageError: if it trains nothing that could be planned.
    """
    procedure = get_procedure(name)
    if not procedure.trains:
        raise UsageError("--plan", wanted="a procedure that trains", got=name, do="run it: it takes a second or two")
    return procedure.cost


def procedure_digest(name: str) -> str:
    """SHA-256 of a user's own procedure's file, for the fingerprint; "" for ours, which the step's version covers.

    Raises:
        UsageError: if there is no such file.
    """
    return source_digest(name) if is_from_file(name) else ""
