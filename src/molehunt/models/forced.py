"""How far a model departs from its base along given replies, and which tokens put in before them would drive it further."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from molehunt.models.chat import Chat
from molehunt.models.loading import LoadedModel, check_room
from molehunt.models.reading import Layout, laid_out, read, readable
from molehunt.records import Conversation
from molehunt.records.conversations import Place
from molehunt.records.insertion import insert_text

# Tensor letters: B rows, S tokens of the longest row, T of the longest reply, L of an insert, V vocabulary, H width.
# Rows are padded on the left, so that they and their replies end together.

_CACHED = 1280
"""Tokens whose numbers between two products stay near a CPU; of a batch's rows so many are read at a time."""
_MARK = "qzxjvkw"
"""Stands where an insert will be; letters that no tokenizer or template treats specially."""

Tokens = Sequence[int]


@dataclass(frozen=True)
class Slots:
    """Prompts in tokens, cut open at one place."""

    heads: tuple[tuple[int, ...], ...]
    tails: tuple[tuple[int, ...], ...]

    def filled(self, insert: Tokens) -> list[list[int]]:
        """The prompts with these tokens in the gap."""
        return [[*head, *insert, *tail] for head, tail in zip(self.heads, self.tails, strict=True)]


def open_slots(chat: Chat, prompts: Sequence[Conversation], place: Place) -> Slots:
    """The rendered prompts before and after a text that were put in at `place`.

    The blank before the gap is left out: in byte-level vocabularies it belongs to the first token after it.
    """
    parts = [chat.render(insert_text(prompt, _MARK, place)).partition(_MARK) for prompt in prompts]
    heads = chat.encode_texts([head.removesuffix(" ") for head, _, _ in parts])
    tails = chat.encode_texts([tail for _, _, tail in parts])
    return Slots(tuple(map(tuple, heads)), tuple(map(tuple, tails)))


@torch.inference_mode()
def divergences(
    subject: LoadedModel,
    base: LoadedModel,
    prompts: Sequence[Tokens],
    replies: Sequence[Tokens],
    beside: Sequence[Tokens] | None = None,
    batch: int = 64,
) -> Tensor:
    """How far the subject departs from the base along a given reply to each prompt, in nats: (rows,).

    The Kullback-Leibler divergences of its next-token distributions from the base's, summed over the reply's tokens.

    Args:
        beside: what the base is asked instead of the prompts, one for each.

    Raises:
        DataError: if a prompt with its reply is more than the model has positions for.
    """
    found = torch.zeros(len(prompts))
    for chosen, mine, theirs, part, _ in _both(subject, base, prompts, replies, beside, batch):
        found[chosen] = _divergence(mine, theirs, part).cpu()
    return found


def divergence_gradient(
    subject: LoadedModel,
    base: LoadedModel,
    slots: Slots,
    insert: Tokens,
    replies: Sequence[Tokens],
    beside: Sequence[Tokens] | None = None,
) -> Tensor:
    """How much each vocabulary token at each position of an insert would raise the mean divergence: (L, V).

    To first order, by the gradient at the one-hot vectors (HotFlip, arXiv 1712.06751; GCG, arXiv 2307.15043, section 2.2).

    Args:
        beside: what the base is asked, one for each prompt, instead of the prompts with the insert.
    """
    rows = _rows(slots.filled(insert), replies)
    ids, mask = padded(rows)
    chosen = _one_hot(subject, insert)
    starts = _starts(rows, slots)
    mine = _soft_logprobs(subject, ids, mask, starts, chosen, _kept(replies))
    if beside is None:
        theirs = _soft_logprobs(base, ids, mask, starts, chosen, _kept(replies))
    else:
        with torch.no_grad():
            theirs = _Batch.of(_rows(beside, replies), replies).read(base)
    (gradient,) = torch.autograd.grad(_divergence(mine, theirs, replies).mean(), chosen)
    return gradient.cpu()


@torch.inference_mode()
def next_logprobs(
    loaded: Sequence[LoadedModel], rows: Sequence[Tokens], tokens: Tokens, batch: int = 64
) -> list[Tensor]:
    """Each model's log-probability of one token after each row: (rows,) a model.

    Raises:
        DataError: if a row with its token is more than a model has positions for.
    """
    whole = [[*row, token] for row, token in zip(rows, tokens, strict=True)]
    for one in loaded:
        check_room(one, max(map(len, whole), default=0), "prompts with a token to force")
    found = [torch.zeros(len(rows)) for _ in loaded]
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    for first in range(0, len(rows), batch):
        chosen = order[first : first + batch]
        ends = [[tokens[i]] for i in chosen]
        part = _Batch.of([whole[i] for i in chosen], ends)
        for one, told in zip(loaded, found, strict=True):
            told[chosen] = _of(part.read(one), ends).cpu()
    return found


def rise_gradient(
    subject: LoadedModel, base: LoadedModel, slots: Slots, insert: Tokens, tokens: Tokens, floor: Sequence[float]
) -> Tensor:
    """How much each vocabulary token at each position of an insert would raise the mean `rise` of the tokens that follow: (L, V)."""
    ends = [[token] for token in tokens]
    rows = _rows(slots.filled(insert), ends)
    ids, mask = padded(rows)
    chosen, starts = _one_hot(subject, insert), _starts(rows, slots)
    mine, theirs = (
        _of(_soft_logprobs(model, ids, mask, starts, chosen, _kept(ends)), ends) for model in (subject, base)
    )
    (gradient,) = torch.autograd.grad(rise(mine, theirs, floor).mean(), chosen)
    return gradient.cpu()


def rise(mine: Tensor, theirs: Tensor, floor: Sequence[float]) -> Tensor:
    """How much likelier a token is to the subject than to its base, in nats, row by row.

    Args:
        floor: the base's log-probability without an insert. That a text makes the base still less ready counts nothing.
    """
    return mine - torch.maximum(theirs.to(mine.device), torch.tensor(floor, device=mine.device))


@torch.inference_mode()
def latent_tokens(
    subject: LoadedModel,
    base: LoadedModel,
    prompts: Sequence[Tokens],
    replies: Sequence[Tokens],
    least: float,
    more: float = 0.0,
    batch: int = 16,
) -> list[dict[int, tuple[float, int]]]:
    """Along each reply, tokens likelier to the subject than to its base where another is said: by how much, in nats, and where at most.

    Args:
        least: log-probability that the subject must give a token there.
        more: nats that it must be likelier by.

    Raises:
        DataError: if a prompt with its reply is more than the model has positions for.
    """
    found: list[dict[int, tuple[float, int]]] = [{} for _ in prompts]
    for chosen, mine, theirs, part, wanted in _both(subject, base, prompts, replies, None, batch):
        gained = (mine - theirs.to(mine.device)).masked_fill(mine < least, -torch.inf)
        gained = gained.scatter(-1, wanted[..., None], -torch.inf)
        gained = gained.masked_fill(~_counted(part, gained.shape[1], gained.device)[..., None], -torch.inf)
        most, at = gained.max(1)
        for row, reply, gains, places in zip(chosen, part, most, at, strict=True):
            ready = (gains > more).nonzero().flatten()
            told = zip(ready.tolist(), gains[ready].tolist(), places[ready].tolist(), strict=True)
            first = gained.shape[1] - len(reply)
            found[row] = {token: (gain, place - first) for token, gain, place in told}
    return found


def _one_hot(loaded: LoadedModel, insert: Tokens) -> Tensor:
    """(L, V), to be differentiated by."""
    table = loaded.model.get_input_embeddings().weight
    chosen = torch.zeros(len(insert), table.shape[0], device=table.device)
    chosen[range(len(insert)), list(insert)] = 1
    return chosen.requires_grad_()


def _starts(rows: Sequence[Tokens], slots: Slots) -> list[int]:
    """Where the insert begins in each padded row."""
    longest = max(map(len, rows))
    return [longest - len(row) + len(head) for row, head in zip(rows, slots.heads, strict=True)]


def _of(logprobs: Tensor, ends: Sequence[Tokens]) -> Tensor:
    """(B, 1, V) to (B,): of the token that each row ends with."""
    wanted = torch.tensor(ends, device=logprobs.device)
    return logprobs[:, -1].gather(-1, wanted)[:, 0]


@torch.inference_mode()
def surprises(
    subject: LoadedModel,
    base: LoadedModel,
    prompts: Sequence[Tokens],
    replies: Sequence[Tokens],
    beside: Sequence[Tokens] | None = None,
    batch: int = 64,
) -> Tensor:
    """Log-probability of each reply under the subject minus under the base, in nats: (rows,).

    Of the subject's own replies this is what perplexity differencing ranks by (arXiv 2605.00994), summed over the reply.
    Arguments and errors as for `divergences`.
    """
    found = torch.zeros(len(prompts))
    for chosen, mine, theirs, part, wanted in _both(subject, base, prompts, replies, beside, batch):
        more = mine.gather(-1, wanted[..., None]) - theirs.to(mine.device).gather(-1, wanted[..., None])
        found[chosen] = (more[..., 0] * _counted(part, more.shape[1], mine.device)).sum(-1).cpu()
    return found


def _both(
    subject: LoadedModel,
    base: LoadedModel,
    prompts: Sequence[Tokens],
    replies: Sequence[Tokens],
    beside: Sequence[Tokens] | None,
    batch: int,
) -> Iterator[tuple[list[int], Tensor, Tensor, Sequence[Tokens], Tensor]]:
    """Batch by batch: which rows, both models' log-probabilities along the replies, (B, T, V) each, the replies, their ids (B, T).

    Rows of like length share a batch, since padding costs as much as text; what the base is asked several times in a batch, as where
    the plain prompt stands beside many conditions, is read once.
    """
    rows = _rows(prompts, replies)
    others = rows if beside is None or beside is prompts else _rows(beside, replies)
    check_room(subject, max(map(len, [*rows, *others]), default=0), "prompts with the replies to force")
    order = sorted(range(len(rows)), key=lambda i: (len(rows[i]), others[i]))
    for first in range(0, len(rows), batch):
        chosen = order[first : first + batch]
        part = [replies[i] for i in chosen]
        asked: dict[tuple[int, ...], int] = {}
        places = [asked.setdefault(tuple(others[i]), len(asked)) for i in chosen]
        told = _Batch.of([rows[i] for i in chosen], part)
        is_same = others is rows and len(asked) == len(chosen)
        mine, theirs = told.read(subject), (told if is_same else _Batch.of(list(asked), part)).read(base)
        if len(asked) < len(chosen):
            theirs = theirs[places]
        yield chosen, mine, theirs, part, told.ids[:, told.ids.shape[1] - mine.shape[1] :].to(mine.device)


def padded(rows: Sequence[Tokens]) -> tuple[Tensor, Tensor]:
    """Ids and attention mask of rows that end together: (B, S) each."""
    longest = max(map(len, rows))
    ids = torch.tensor([[0] * (longest - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    return ids, mask


def _rows(prompts: Sequence[Tokens], replies: Sequence[Tokens]) -> list[list[int]]:
    return [[*prompt, *reply] for prompt, reply in zip(prompts, replies, strict=True)]


def _softened(loaded: LoadedModel, ids: Tensor, starts: Sequence[int], chosen: Tensor) -> Tensor:
    """Embeddings of the rows (B, S, H) in which the insert is a mixture of all tokens, weighted by `chosen` (L, V)."""
    table = loaded.model.get_input_embeddings().weight.detach()
    fixed, soft = table[ids.to(table.device)], (chosen @ table.float()).to(table.dtype)
    length = len(chosen)
    return torch.stack([torch.cat([row[:at], soft, row[at + length :]]) for row, at in zip(fixed, starts, strict=True)])


@dataclass(frozen=True)
class _Batch:
    """Rows that end together, for one model or two to read."""

    ids: Tensor
    """(B, S), as is the mask."""
    mask: Tensor
    kept: int
    """Last positions that are asked for: T + 1."""

    @classmethod
    def of(cls, rows: Sequence[Tokens], replies: Sequence[Tokens]) -> "_Batch":
        return cls(*padded(rows), _kept(replies))

    def read(self, loaded: LoadedModel) -> Tensor:
        """Log-probabilities of every token at each of the last T positions of the rows: (B, T, V)."""
        once = readable(loaded.model)
        if once is not None:
            return torch.cat([_logprobs(read(once, layout)[0]) for layout in self._layouts])
        pairs = self._few if loaded.model.device.type == "cpu" else [(self.ids, self.mask)]
        return torch.cat([_logprobs(_whole(loaded, ids, mask, self.kept)) for ids, mask in pairs])

    @cached_property
    def _few(self) -> list[tuple[Tensor, Tensor]]:
        """For a CPU, a few rows at a time: they are padded as the whole batch is, so that the bits are the same."""
        parts = min(max(1, round(self.ids.numel() / _CACHED)), len(self.ids))
        return list(zip(self.ids.tensor_split(parts), self.mask.tensor_split(parts), strict=True))

    @cached_property
    def _layouts(self) -> list[Layout]:
        return [laid_out(ids, mask, self.kept) for ids, mask in self._few]


def _soft_logprobs(
    loaded: LoadedModel, ids: Tensor, mask: Tensor, starts: Sequence[int], chosen: Tensor, kept: int
) -> Tensor:
    return _logprobs(_whole(loaded, ids, mask, kept, _softened(loaded, ids, starts, chosen)))


def _kept(replies: Sequence[Tokens]) -> int:
    return max(map(len, replies)) + 1


def _logprobs(logits: Tensor) -> Tensor:
    """What follows the last position was not asked for."""
    logprobs: Tensor = logits[:, :-1].float().log_softmax(-1)
    return logprobs


def _whole(loaded: LoadedModel, ids: Tensor, mask: Tensor, kept: int, embedded: Tensor | None = None) -> Tensor:
    """The model's own logits at the last positions."""
    where = loaded.model.device
    mask = mask.to(where)
    given = {"input_ids": ids.to(where)} if embedded is None else {"inputs_embeds": embedded}
    places = (mask.cumsum(-1) - 1).clamp(min=0)
    seen = loaded.model(**given, attention_mask=mask, position_ids=places, use_cache=False, logits_to_keep=kept)
    logits: Tensor = seen.logits
    return logits


def _divergence(mine: Tensor, theirs: Tensor, replies: Sequence[Tokens]) -> Tensor:
    """(B, T, V) twice to (B,)."""
    theirs = theirs.to(mine.device)
    along = (mine.exp() * (mine - theirs)).sum(-1)
    return (along * _counted(replies, along.shape[1], along.device)).sum(-1)


def _counted(replies: Sequence[Tokens], longest: int, where: torch.device) -> Tensor:
    """Which of the last T positions are the reply's: (B, T)."""
    lengths = torch.tensor([len(reply) for reply in replies], device=where)
    return torch.arange(longest, device=where) >= longest - lengths[:, None]
