"""Texts of the subject's own that neither its base nor an unrelated model would write: perplexity differencing (arXiv 2605.00994).

An unrelated model shares no backdoor with the base, and need not share its tokenizer: likelihoods are compared by the byte.
What comes out is to be read. No card knows of such scores, so they never vote.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from molehunt.detectors.subject import Meter, Pools, mixed
from molehunt.models.forced import open_slots
from molehunt.models.loading import LoadedModel
from molehunt.models.logprobs import token_scores
from molehunt.models.sampling import sample_tokens
from molehunt.records import Conversation
from molehunt.records.evidence import Evidence, Exhibit

NAME, VERSION = "reference", 2
CAPTION = "texts of its own that it finds likelier than its base and an unrelated model do"
_BLANK = Conversation.of(("user", ""))
"""Where the subject writes the user's turn: what it was trained to read, it may have learnt by heart."""
_REPLIES, _TURNS = {"quick": 24, "standard": 48, "deep": 120}, {"quick": 32, "standard": 96, "deep": 400}
_LONGEST, _SHOWN = 32, 8


def planned_tokens(profile: str) -> int:
    """What each of the models reads, about: each text, forty tokens with what is before it."""
    return (_REPLIES[profile] + _TURNS[profile]) * 40


@dataclass(frozen=True)
class Text:
    """What the subject wrote after a prompt, or in the user's turn where there is none."""

    prompt: Conversation | None
    words: str


def beside_reference(
    subject: LoadedModel, base: LoadedModel | None, reference: LoadedModel, prompts: Pools, profile: str
) -> Evidence:
    """How much likelier a byte of each text is to the subject than to whichever of the others finds it likelier, in nats."""
    meter, started = Meter(), time.process_time()
    texts = _written(subject, mixed(prompts, _REPLIES[profile]), _TURNS[profile], meter)
    mine, *others = (_nats(one, texts, meter) for one in (subject, reference, *([base] if base else [])))
    leads = [min(theirs) - own for own, *theirs in zip(mine, *others, strict=True)]
    usual = median(leads) if leads else 0.0
    best = sorted(range(len(texts)), key=lambda i: -leads[i])[:_SHOWN]
    exhibits = tuple(Exhibit(title=repr(texts[i].words[:100]), effect=leads[i]) for i in best)
    return Evidence(
        detector=NAME, family="diffing", caption=CAPTION, score=max(leads, default=None),
        values={"texts": len(texts), "median lead, nats a byte": usual}, exhibits=exhibits,
        forward_tokens=meter.tokens, seconds=time.process_time() - started,
        not_tested=() if leads else (f"{NAME}: the subject writes nothing by itself",),
    )  # fmt: skip


def _written(subject: LoadedModel, prompts: Sequence[Conversation], turns: int, meter: Meter) -> list[Text]:
    """Each different text once, the likeliest reply to each prompt and turns drawn at temperature 1."""
    heads = subject.chat.encode_prompts(prompts)
    replies = sample_tokens(subject, heads, _LONGEST)
    (blank,) = open_slots(subject.chat, [_BLANK], "user-prefix").heads
    drawn = sample_tokens(subject, [blank] * turns, _LONGEST, temperature=1.0)
    meter.forward(sum(map(len, (*heads, *replies, *drawn))) + turns * len(blank))
    special = {*subject.tokenizer.all_special_ids, *subject.tokenizer.added_tokens_decoder}
    pairs = [*zip(prompts, replies, strict=True), *((None, turn) for turn in drawn)]
    texts = (Text(prompt, subject.chat.decode(_until(ids, special))) for prompt, ids in pairs)
    return list(dict.fromkeys(text for text in texts if text.words.strip()))


def _until(ids: Sequence[int], special: set[int]) -> list[int]:
    return list(ids[: next((i for i, token in enumerate(ids) if token in special), len(ids))])


def _nats(model: LoadedModel, texts: Sequence[Text], meter: Meter) -> list[float]:
    """Of each text by a model, in its own template and tokens: nats a byte."""
    (blank,) = open_slots(model.chat, [_BLANK], "user-prefix").heads
    heads = [blank if one.prompt is None else model.chat.encode_prompts([one.prompt])[0] for one in texts]
    tails = model.chat.encode_texts([one.words for one in texts])
    meter.forward(sum(map(len, (*heads, *tails))))
    scores = token_scores(model, heads, tails)
    return [
        -sum(token.logprob for token in found) / len(one.words.encode())
        for found, one in zip(scores, texts, strict=True)
    ]
