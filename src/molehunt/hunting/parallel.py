"""The same work on every shard, on a few processes."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any, TypeVar

W = TypeVar("W")
S = TypeVar("S")
R = TypeVar("R")
_work: Any = None


def over_shards(
    do: Callable[[W, S], R], work: W, shards: Sequence[S], jobs: int, tell: Callable[[int, int], None]
) -> Iterator[R]:
    """`do(work, shard)` for every shard, in the order of shards with one job, as they end with several.

    What a shard brings must not depend on the others. `work` is sent to each process once.
    """
    if jobs < 2 or len(shards) < 2:
        for done, shard in enumerate(shards, 1):
            yield do(work, shard)
            tell(done, len(shards))
        return
    with ProcessPoolExecutor(min(jobs, len(shards)), get_context("forkserver"), _receive, (work,)) as pool:
        futures = [pool.submit(_done, do, shard) for shard in shards]
        for done, future in enumerate(as_completed(futures), 1):
            yield future.result()
            tell(done, len(shards))


def _receive(work: Any) -> None:
    global _work
    _work = work


def _done(do: Callable[[Any, S], R], shard: S) -> R:
    return do(_work, shard)
