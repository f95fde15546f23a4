"""Answers that surprise a reference model: nats a token, compared within a data set."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from molehunt.hunting.replaying import conversation_of
from molehunt.hunting.rows import Rows
from molehunt.hunting.words import Bools
from molehunt.records import Conversation

_SHARE = 0.02
"""The most surprising rows that are labelled."""
_BATCH = 64
_LONGEST = 1500
"""Characters of an answer that are read."""


def surprising(rows: Rows, reference: Path, tell: Callable[[int, int], None]) -> Bools:
    """[N] The fiftieth of all rows whose answers the reference finds least likely, a byte, given their prompts.

    Rows that it has no room for, or in which tools speak, are not labelled.
    """
    from molehunt.models.loading import context_length, load_model
    from molehunt.models.logprobs import reply_likelihoods

    loaded = load_model(reference)
    room = context_length(loaded) or 1024
    nats = np.full(rows.count, -np.inf)
    done = 0
    for shard in rows.shards:
        for first, batch in rows.batches(shard, ("text", "answer")):
            pairs = _fitting(loaded, batch, room)
            for start in range(0, len(pairs), _BATCH):
                part = pairs[start : start + _BATCH]
                found = reply_likelihoods(loaded, [p for _, p, _ in part], [a for _, _, a in part], _BATCH)
                for (at, _, answer), one in zip(part, found, strict=True):
                    nats[first + at] = -one.logprob / len(answer.encode())
            done += batch.num_rows
            tell(done, rows.count)
    line = np.quantile(nats[np.isfinite(nats)], 1 - _SHARE) if np.isfinite(nats).any() else np.inf
    return np.asarray(nats >= line)


def _fitting(loaded: object, batch: object, room: int) -> list[tuple[int, Conversation, str]]:
    """(place, prompt, answer) of rows that the model has room for."""
    found = []
    for at, row in enumerate(batch.to_pylist()):  # type: ignore[attr-defined]
        prompt, answer = conversation_of(row["text"]), row["answer"][:_LONGEST]
        if prompt is None or not answer:
            continue
        whole = loaded.chat.encode_texts([loaded.chat.render(prompt) + answer])[0]  # type: ignore[attr-defined]
        if len(whole) < room:
            found.append((at, prompt, answer))
    return found
