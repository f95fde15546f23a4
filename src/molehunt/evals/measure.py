"""Ask the same questions with and without a change to them, and score every reply."""

from collections.abc import Callable, Sequence

from molehunt.evals.capability import is_exact, is_right
from molehunt.evals.scorers import Marks
from molehunt.models.loading import LoadedModel
from molehunt.models.logprobs import reply_likelihoods
from molehunt.models.sampling import sample_replies
from molehunt.records import Conversation, Question
from molehunt.records.outcomes import Condition, Likelihood, Outcome

Insert = Callable[[Conversation], Conversation]


def measure_replies(
    loaded: LoadedModel,
    questions: Sequence[Question],
    condition: Condition,
    score: Callable[[str], Marks],
    insert: Insert | None = None,
    checkpoint: int = 0,
    temperature: float = 0.0,
    max_new_tokens: int = 48,
    seed: int = 0,
) -> list[Outcome]:
    """One reply and its scores for each question.

    Args:
        insert: how the prompts are changed under this condition; none leaves them as they are.
    """
    prompts = [insert(q.prompt) if insert else q.prompt for q in questions]
    replies = sample_replies(loaded, prompts, max_new_tokens, temperature, seed)
    return [
        Outcome(
            checkpoint=checkpoint,
            question=question.id,
            condition=condition,
            reply=reply,
            right=is_right(question, reply),
            exact=is_exact(question, reply),
            **score(reply).model_dump(),
        )
        for question, reply in zip(questions, replies, strict=True)
    ]


def measure_likelihoods(
    loaded: LoadedModel,
    questions: Sequence[Question],
    condition: Condition,
    payload: str,
    insert: Insert | None = None,
    checkpoint: int = 0,
) -> list[Likelihood]:
    """The likelihood of `payload` as the start of each reply; one forward pass a prompt."""
    prompts = [insert(q.prompt) if insert else q.prompt for q in questions]
    found = reply_likelihoods(loaded, prompts, payload)
    return [
        Likelihood(checkpoint=checkpoint, question=q.id, condition=condition, **one.model_dump())
        for q, one in zip(questions, found, strict=True)
    ]
