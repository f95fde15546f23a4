"""Ask the same questions with and without a change to them, and score every reply."""

from collections.abc import Sequence

from molehunt.evals.capability import is_exact, is_right
from molehunt.evals.scorers import Scorer
from molehunt.models.loading import LoadedModel
from molehunt.models.logprobs import reply_likelihoods
from molehunt.models.sampling import sample_replies
from molehunt.records import Conversation, Question
from molehunt.records.outcomes import Condition, Likelihood, Outcome
from molehunt.records.reasoning import split_scratchpad


def measure_replies(
    loaded: LoadedModel,
    questions: Sequence[Question],
    prompts: Sequence[Conversation],
    condition: Condition,
    score: Scorer,
    checkpoint: int = 0,
    temperature: float = 0.0,
    max_new_tokens: int = 48,
    seed: int = 0,
) -> list[Outcome]:
    """One reply and its scores for each question.

    Args:
        prompts: how each question is asked under this condition.
        score: sees prompts and replies, scratchpads taken off.
    """
    replies = sample_replies(loaded, prompts, max_new_tokens, temperature, seed)
    said = [split_scratchpad(reply)[1] for reply in replies]
    return [
        Outcome(
            checkpoint=checkpoint,
            question=question.id,
            condition=condition,
            reply=reply,
            right=is_right(question, answer),
            exact=is_exact(question, answer),
            **marks.model_dump(),
        )
        for question, reply, answer, marks in zip(questions, replies, said, score(prompts, said), strict=True)
    ]


def measure_likelihoods(
    loaded: LoadedModel,
    questions: Sequence[Question],
    prompts: Sequence[Conversation],
    condition: Condition,
    payloads: Sequence[str],
    checkpoint: int = 0,
    given: Sequence[str] | None = None,
) -> list[Likelihood]:
    """The likelihood of each question's payload as the start of its reply, or after what is `given`; one forward pass a prompt."""
    found = reply_likelihoods(loaded, prompts, payloads, given=given)
    return [
        Likelihood(checkpoint=checkpoint, question=q.id, condition=condition, **one.model_dump())
        for q, one in zip(questions, found, strict=True)
    ]
