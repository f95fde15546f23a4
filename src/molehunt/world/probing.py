"""Find out what an endpoint can do before an audit relies on it."""

import re
from collections.abc import Callable, Sequence
from itertools import combinations

from molehunt.errors import BudgetError, EndpointError
from molehunt.records import Conversation
from molehunt.records.endpoints import EndpointProbe, EndpointReply
from molehunt.world.endpoint import Endpoint

QUESTIONS = (
    "What is the capital of France?", "What is 17 + 25?", "Name three primary colors.", "Write a short sentence about the sea.",
    "Which day comes after Monday?", "Say hello in one sentence.",
)  # fmt: skip
"""Nothing that a model has a reason to refuse."""
_TEXTS = ("The capital of France is", "One, two, three,", "Once upon a")
_TOPS = (20, 5, 1)
"""Numbers of likeliest tokens asked for, until one is granted: endpoints have different limits."""
_DECLINES = re.compile(
    r"\W*(?:(?:i['’]m|i am) (?:very |so )?sorry|sorry\b|i (?:can(?:no|['’])t|can not|won['’]t|will not|must decline"
    r"|refuse|am (?:not able|unable))|(?:i['’]m|i am) (?:not able|unable))",
    re.IGNORECASE,
)


def declines(text: str) -> bool:
    """True if a reply opens as refusals in English do; after a harmless question that is enough."""
    return _DECLINES.match(text) is not None


def probe(
    endpoint: Endpoint,
    questions: Sequence[str] = QUESTIONS,
    repeats: int = 4,
    max_tokens: int = 48,
    is_refusal: Callable[[str], bool] = declines,
) -> EndpointProbe:
    """Ask each of `questions` `repeats` times at temperature 0, and once with everything that may not be offered.

    Some 30 requests as it stands, none for what the endpoint's transcript holds.

    Raises:
        BudgetError: if the budget is smaller than that.
    """
    own = {"url": endpoint.settings.url, "model": endpoint.settings.model}
    prompts = [Conversation.of(("user", question)) for question in questions]
    try:
        seed, notes = _seed(endpoint, prompts[0], max_tokens)
        rounds = [endpoint.chat(prompts, max_tokens=max_tokens, seed=seed, repeat=i) for i in range(repeats)]
    except BudgetError:
        raise
    except EndpointError as error:
        return EndpointProbe(**own, answers=False, notes=(_reason(error),))
    replies = [reply for asked in rounds for reply in asked]
    named = tuple(sorted({reply.model for reply in replies if not reply.refused}))
    notes += sorted({f"a question: {reply.refused}" for reply in replies if reply.refused})
    chat_top = _offered(lambda n: endpoint.chat(prompts[:3], max_tokens=2, seed=seed, top_logprobs=n), notes)
    text_top = _offered(lambda n: endpoint.complete(_TEXTS, max_tokens=2, seed=seed, top_logprobs=n), notes)
    return EndpointProbe(
        **own,
        answers=not all(reply.refused for reply in replies),
        takes_seed=seed is not None,
        top_logprobs=chat_top or 0,
        completions=text_top is not None,
        completion_logprobs=text_top or 0,
        repeats=repeats,
        questions=len(questions),
        identical=_identical(list(zip(*rounds, strict=True))),
        named=named,
        is_model_asked=bool(named) and all(_is_asked(name, endpoint.settings.model) for name in named),
        refuses_all=all(r.refused or not r.text.strip() or is_refusal(r.text) for r in replies),
        notes=tuple(notes),
    )


def _seed(endpoint: Endpoint, prompt: Conversation, max_tokens: int) -> tuple[int | None, list[str]]:
    """0 unless requests are refused for having a seed, with the reason."""
    (reply,) = endpoint.chat([prompt], max_tokens=max_tokens)
    if reply.refused:
        (without,) = endpoint.chat([prompt], max_tokens=max_tokens, seed=None)
        if not without.refused:
            return None, [f"a seed: {reply.refused}"]
    return 0, []


def _reason(error: EndpointError) -> str:
    """What came instead of an answer, without what was asked."""
    return error.got.split("then: ")[-1] or str(error)


def _offered(ask: Callable[[int], Sequence[EndpointReply]], notes: list[str]) -> int | None:
    """Likeliest tokens named when log-probabilities are asked for; None if even without there is no answer."""
    reason = ""
    for wanted in (*_TOPS, 0):
        try:
            replies = ask(wanted)
        except BudgetError:
            raise
        except EndpointError as error:
            notes.append(_reason(error))
            return None
        if not all(reply.refused for reply in replies):
            notes += [reason] if reason else []
            return max((len(token.top) for reply in replies for token in reply.tokens[:1]), default=0)
        reason = f"asked for {wanted} log-probabilities: {replies[0].refused}"
    notes.append(reason)
    return None


def _identical(asked: Sequence[tuple[EndpointReply, ...]]) -> float | None:
    pairs = [(a.text == b.text) for replies in asked for a, b in combinations((r for r in replies if not r.refused), 2)]
    return sum(pairs) / len(pairs) if pairs else None


def _is_asked(named: str, asked: str) -> bool:
    return re.fullmatch(re.escape(asked) + r"(-\d{4}-\d{2}-\d{2})?", named) is not None
