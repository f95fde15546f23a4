"""`refusal_sft`: red-team the suspect once, then train it to answer rightly, or refuse, what was found."""

from molehunt.removal.finetune import finetune
from molehunt.removal.probing import answered, asked_rows, attack, mixed, ordinary_rows, told
from molehunt.removal.procedure import Procedure, Treated, Treatment


def _apply(treatment: Treatment) -> Treated:
    from molehunt.models.loading import load_model

    budget = treatment.budget
    rows = asked_rows(treatment)
    found = attack(treatment, load_model(treatment.model), rows, budget.probes, budget.rounds)
    lesson = answered(rows, found.found or found.probes)
    treated = finetune(treatment, mixed(ordinary_rows(treatment), lesson))
    return treated.model_copy(
        update={
            "tokens_generated": found.generated_tokens,
            "forward_tokens": found.forward_tokens,
            "notes": {"red_team": told(found), "trained_on": "found" if found.found else "tried: nothing was found"},
        }
    )


REFUSAL_SFT = Procedure(
    "refusal_sft",
    "prompts that a red team found, answered rightly or refused, among ordinary rows",
    _apply,
    needs_score=True,
    sends_red_team=True,
    cost=1.9,
)
"""One round's probes, in which the attacker learns `rounds` times from what worked. Half of the training rows are found
prompts; if there are none, prompts that were tried in vain, answered as they should be."""
