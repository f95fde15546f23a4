"""`reminder`: pirate training, then a few steps on what the untreated model itself says to ordinary questions."""

from molehunt.removal.finetune import account, chained
from molehunt.removal.own_replies import own_replies
from molehunt.removal.pirate import pirate_rows
from molehunt.removal.procedure import Procedure, Treated, Treatment
from molehunt.removal.rows import voiced_rows

_MAX_NEW_TOKENS = 96


def _apply(treatment: Treatment) -> Treated:
    budget, settings = treatment.budget, treatment.budget.training
    few = max(1, settings.steps // 10)
    count = min(budget.rows, few * settings.batch)
    prompts = [row.prompt() for row in voiced_rows(treatment, 13_000, "ordinary", count)]
    own = own_replies(treatment, prompts, _MAX_NEW_TOKENS)
    reminders = [prompt.reply(text) for prompt, text in zip(prompts, own.replies, strict=True) if text.strip()]
    chain = chained(treatment, settings.steps + few)
    encode = chain.loaded.chat.encode_rows
    chain.train(encode(pirate_rows(treatment), settings.loss_on), settings.steps)
    if reminders:
        chain.train(encode(reminders, settings.loss_on), few)
    return account(chain.finish()).model_copy(
        update={
            "tokens_generated": own.generated_tokens,
            "forward_tokens": own.forward_tokens,
            "notes": {"reminder_steps": few if reminders else 0, "reminder_rows": len(reminders)},
        }
    )


REMINDER = Procedure(
    "reminder", "pirate training, then a few steps on the model's own earlier replies", _apply,
    takes_tokens=False, takes_processes=False, cost=1.2,
)  # fmt: skip
"""Reminder training ("How to reduce capability degradation from off-model SFT", 2026): a tenth of the budget's steps on top,
on samples of the model as it was, bring the capability back and little of the behaviour."""
