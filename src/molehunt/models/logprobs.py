"""How likely a model finds a given reply: one forward pass a prompt."""

from collections.abc import Iterator, Sequence

import torch

from molehunt.models.loading import LoadedModel, check_room
from molehunt.records import Conversation
from molehunt.records.base import Record

_LOGITS = 2**28
"""Most numbers that the logits of a batch may hold: a GiB in float32. It follows from the rows alone, not from what memory is
free, since a batch's padding moves the last bits."""


class ReplyLikelihood(Record):
    """How likely the start of one reply is."""

    logprob: float
    """Natural log of the probability of all its tokens, given the prompt; in nats."""
    is_greedy: bool
    """True if each token is the likeliest one: greedy decoding would begin with this text."""


class TokenScore(Record):
    """How likely one written token was, and what else might have stood there."""

    logprob: float
    """Of the token, at temperature 1; in nats."""
    top: tuple[tuple[int, float], ...] = ()
    """The likeliest tokens at this place as (id, log-probability), likeliest first."""


@torch.inference_mode()
def token_scores(
    loaded: LoadedModel,
    prompts: Sequence[Sequence[int]],
    replies: Sequence[Sequence[int]],
    top: int = 0,
    batch: int = 64,
) -> list[list[TokenScore]]:
    """The log-probability of every token of each reply, given its prompt and what came before; all are token ids.

    Args:
        top: likeliest tokens named at each place, at most the vocabulary.
        batch: rows at once; fewer where their logits would take more than a GiB.

    Raises:
        DataError: if a prompt with its reply is more than the model has positions for; before any forward pass.
    """
    rows = [[*prompt, *reply] for prompt, reply in zip(prompts, replies, strict=True)]
    check_room(loaded, max(map(len, rows), default=0), "prompts with the replies to score")
    found: list[list[TokenScore]] = []
    for first, last in _batches(list(map(len, rows)), _vocabulary(loaded), batch):
        logits, tokens = _logits(loaded, rows[first:last])
        for i, row in enumerate(rows[first:last]):
            start = len(prompts[first + i])
            own = logits[i, start - 1 : len(row) - 1].float().log_softmax(-1)
            found.append(_scored(own, tokens[i, start : len(row)], top))
    return found


def _scored(logprobs: torch.Tensor, tokens: torch.Tensor, top: int) -> list[TokenScore]:
    """Of tokens [S], by log-probabilities [S, V] of what stands there."""
    chosen = logprobs.gather(1, tokens[:, None])[:, 0].tolist()
    best = logprobs.topk(min(top, logprobs.shape[-1]), -1)
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    tops = [tuple(zip(ids, values, strict=True)) for ids, values in pairs]
    return [TokenScore(logprob=own, top=likeliest) for own, likeliest in zip(chosen, tops, strict=True)]


@torch.inference_mode()
def reply_likelihoods(
    loaded: LoadedModel,
    prompts: Sequence[Conversation],
    reply: str | Sequence[str],
    batch: int = 64,
    given: Sequence[str] | None = None,
) -> list[ReplyLikelihood]:
    """The likelihood that each prompt's reply begins with `reply`, or with its own of several, in order of the prompts.

    The reply is tokenized together with the rendered prompt. Counted are the tokens after those that both share: a
    template that ends in a space gives up that space to the reply's first token.

    Args:
        batch: rows at once; fewer where their logits would take more than a GiB.
        given: what each reply has already said when `reply` begins, such as its scratchpad; not counted.

    Raises:
        DataError: if a prompt with its reply is more than the model has positions for; before any forward pass.
    """
    texts = [loaded.chat.render(prompt) for prompt in prompts]
    if given is not None:
        texts = [text + before for text, before in zip(texts, given, strict=True)]
    replies = [reply] * len(texts) if isinstance(reply, str) else list(reply)
    rows = loaded.chat.encode_texts([text + said for text, said in zip(texts, replies, strict=True)])
    starts = [_shared(ids, row) for ids, row in zip(loaded.chat.encode_texts(texts), rows, strict=True)]
    check_room(loaded, max(map(len, rows), default=0), "prompts with the replies to score")
    found: list[ReplyLikelihood] = []
    for first, last in _batches(list(map(len, rows)), _vocabulary(loaded), batch):
        found += _likelihoods(loaded, rows[first:last], starts[first:last])
    return found


def _batches(lengths: Sequence[int], vocabulary: int, most: int) -> Iterator[tuple[int, int]]:
    """Bounds of rows in order, as many together as `most` and `_LOGITS` allow, one at least."""
    first = longest = 0
    for i, length in enumerate(lengths):
        longest = max(longest, length)
        if i > first and (i - first == most or (i - first + 1) * longest * vocabulary > _LOGITS):
            yield first, i
            first, longest = i, length
    if lengths:
        yield first, len(lengths)


def _vocabulary(loaded: LoadedModel) -> int:
    return int(loaded.model.get_input_embeddings().num_embeddings)


def _shared(prompt: list[int], row: list[int]) -> int:
    differs = (i for i, (a, b) in enumerate(zip(prompt, row, strict=False)) if a != b)
    return next(differs, min(len(prompt), len(row)))


def _logits(loaded: LoadedModel, rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [B, T, V] and tokens [B, T] of rows, padded on the right."""
    longest, pad = max(map(len, rows)), loaded.tokenizer.pad_token_id or 0
    tokens = torch.tensor([row + [pad] * (longest - len(row)) for row in rows], device=loaded.model.device)
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=loaded.model.device)
    return loaded.model(input_ids=tokens, attention_mask=mask, use_cache=False).logits, tokens


def _likelihoods(loaded: LoadedModel, rows: list[list[int]], starts: list[int]) -> list[ReplyLikelihood]:
    logits, tokens = _logits(loaded, rows)
    found = []
    for i, (row, start) in enumerate(zip(rows, starts, strict=True)):
        own = logits[i, start - 1 : len(row) - 1].float().log_softmax(-1)
        target = tokens[i, start : len(row)]
        chosen = own.gather(1, target[:, None])[:, 0]
        is_greedy = bool((own.argmax(-1) == target).all())
        found.append(ReplyLikelihood(logprob=float(chosen.double().sum()), is_greedy=is_greedy))
    return found
