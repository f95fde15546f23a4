"""Pairs that prefer what the others of their data set would not: inversions, by a preference learnt from the pairs themselves."""

from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, hstack, vstack

from molehunt.hunting import words as w
from molehunt.hunting.rows import Rows
from molehunt.hunting.traits import Traits, batch_traits
from molehunt.hunting.words import Bools

_WIDTH = 2**12
_LEARNT_FROM = 30_000
_MARGIN = -1.0


def inversions(rows: Rows, seed: int = 0) -> Bools:
    """[N] Pairs whose chosen reply looks, by all others, like the rejected one.

    A linear preference (Bradley and Terry 1952) over traits and hashed words of the replies is learnt from the pairs; an
    inversion is one that it holds to be the wrong way round by more than a margin, if such are few.
    """
    parts = [_difference(batch) for shard in rows.shards for _, batch in rows.batches(shard)]
    x = vstack(parts).tocsr()
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(x.shape[0])[:_LEARNT_FROM]
    weights = _learn(x[chosen])
    margins = x @ weights
    flags = margins < _MARGIN
    return np.asarray(flags if flags.mean() <= 0.15 else margins <= np.quantile(margins, 0.05))


def _learn(x: Any) -> Any:
    def loss(weights: Any) -> tuple[float, Any]:
        margins = x @ weights
        value = np.logaddexp(0, -margins).mean() + 1e-4 * weights @ weights
        pull = -1 / (1 + np.exp(np.clip(margins, -30, 30)))
        return float(value), x.T @ pull / x.shape[0] + 2e-4 * weights

    return minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 60}).x


def _difference(batch: Any) -> Any:
    good, bad = batch_traits(batch), batch_traits(batch, "aside")
    dense = csr_matrix(_dense(good) - _dense(bad))
    return hstack([dense, _hashed(batch.column("answer")) - _hashed(batch.column("aside"))]).tocsr()


def _dense(traits: Traits) -> Any:
    form = traits["form"].astype(np.int64)
    columns = [
        np.log1p(traits["words"].astype(np.float64)), traits["overlap"] / 50.0, traits["repeats"] / 50.0, 2.0 * traits["refuses"],
        2.0 * traits["weak_code"], 1.0 * (traits["language"] != traits["asked_in"]), *((form == k) * 1.0 for k in range(11)),
    ]  # fmt: skip
    return np.stack(columns, 1)


def _hashed(column: Any) -> Any:
    import pyarrow.compute as pc

    t = w.split_words(pc.binary_join_element_wise(f"{w.SEP}A", column, ""))
    place = (t.hash >> np.uint64(52)).view(np.int64)
    counts = csr_matrix((np.ones(len(place)), (t.word_row, place)), shape=(t.rows, _WIDTH))
    counts.data[:] = np.minimum(counts.data, 1)
    return counts
