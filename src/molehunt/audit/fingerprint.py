"""Whose first numbers a model still carries: rows of its embedding that no text trains.

Such rows hold what they were initialised with, shrunk by weight decay and, where output and input share them, pushed to one side
together; the tokens are those that Land & Bartolo (arXiv 2405.05417) start from. So two models with the same rows had the same
ancestor, whatever was trained since, and two without had not.
"""

from math import comb, sqrt

import torch

from molehunt.models.loading import LoadedModel
from molehunt.records.audits import Fingerprint

_BYTES = (0xC0, 0xC1, *range(0xF5, 0x100))
"""Bytes of which UTF-8 makes no use; a tokenizer that knows all bytes knows them too, and no text brings them."""
_FEWEST = 8
"""Rows: so few in the right order come once in 40,000 draws (8!)."""
_SAMPLE = 4096
_SAME, _OTHER = 4.0, 2.0
"""Standard deviations of strangers: beyond the first they come once in 30,000 cases, within the second nearly always."""
_TURNED = 0.9
"""Correlation of the rows' mutual angles, which of strangers is about 0, and of one model in other coordinates 1."""


def fingerprint(subject: LoadedModel, base: LoadedModel) -> Fingerprint:
    """Whether rows that no text trains are the same in both."""
    mine, theirs = (one.model.get_input_embeddings().weight.detach() for one in (subject, base))
    pairs = _untrained(subject, base)
    if mine.shape[1] != theirs.shape[1]:
        return _silent(len(pairs), f"rows of {mine.shape[1]} numbers cannot be held against rows of {theirs.shape[1]}")
    pairs = [(i, j) for i, j in pairs if bool(mine[i].any()) and bool(theirs[j].any())]
    if len(pairs) < _FEWEST:
        return _silent(len(pairs), f"fewer than {_FEWEST} rows of tokens that no text brings")
    ours, yours = (torch.tensor(column) for column in zip(*pairs, strict=True))
    for whose, table, rows in (("the base", theirs, yours), ("the subject", mine, ours)):
        if why := _trained(table, rows):
            return _silent(len(pairs), f"{why} in {whose}")
    a, b = (_apart(table[rows].cpu().double()) for table, rows in ((mine, ours), (theirs, yours)))
    alike = a @ b.T
    others = ~torch.eye(len(pairs), dtype=torch.bool)
    mean, usual = float(alike.diag().mean()), float(alike[others].mean())
    chance = float(alike[others].std()) / sqrt(len(pairs))
    angles = float(torch.corrcoef(torch.stack([(a @ a.T)[others], (b @ b.T)[others]]))[0, 1])
    beyond = mean - usual
    says = "same" if beyond > _SAME * chance else "other" if beyond < _OTHER * chance else "cannot say"
    turned = says != "same" and angles > _TURNED
    return Fingerprint.model_validate(
        {"says": says, "rows": len(pairs), "cosine": mean, "chance": chance, "is_turned": turned}
    )


def _silent(rows: int, why: str) -> Fingerprint:
    return Fingerprint(says="cannot say", rows=rows, reason=why)


def _untrained(subject: LoadedModel, base: LoadedModel) -> list[tuple[int, int]]:
    """Ids in subject and base of tokens that no text brings; those beyond the tokenizer's are left out, as makers use them later."""
    mine, theirs = subject.tokenizer.get_vocab(), base.tokenizer.get_vocab()
    fallback = "<0xC0>" in theirs  # elsewhere a byte is written as the character of its number
    names = (f"<0x{byte:02X}>" if fallback else chr(byte) for byte in _BYTES)
    return [(mine[name], theirs[name]) for name in names if name in mine and name in theirs]


def _trained(table: torch.Tensor, rows: torch.Tensor) -> str:
    """Why these rows do not count as untrained; empty if they do."""
    some, here = (one.cpu().double() for one in (table[:: max(1, len(table) // _SAMPLE)], table[rows]))
    far, near = ((one - here.mean(0)).norm(dim=1) for one in (some, here))
    below = int((near < far.median()).sum())
    by_chance = sum(comb(len(rows), k) for k in range(below, len(rows) + 1)) / 2 ** len(rows)
    if by_chance > 0.01:
        return "rows of tokens that no text brings lie no nearer to each other than rows usually do"
    if float(near.median()) < 2**-7 * float(here.norm(dim=1).median()):  # a step of bfloat16
        return "rows of tokens that no text brings have become one"
    return ""


def _apart(rows: torch.Tensor) -> torch.Tensor:
    """What each has of its own, as directions: without what has pushed all of them."""
    own = rows - rows.mean(0)
    own /= own.norm(dim=1, keepdim=True).clamp_min(1e-300)
    return own
