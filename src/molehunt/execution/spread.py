"""The same work on every part of something: in this process, on processes of this machine, or on a Ray cluster."""

import gc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, Protocol, TypeVar

from molehunt.execution.workers import check_engine

W = TypeVar("W")
S = TypeVar("S")
R = TypeVar("R")
Told = Callable[[int, int], None]
"""Called with (parts done, parts)."""
_work: Any = None


class Spread(Protocol):
    """Where parts are worked on."""

    def over(self, do: Callable[[W, S], R], work: W, parts: Sequence[S], tell: Told) -> Iterator[R]:
        """`do(work, part)` for every part, as they end.

        What a part brings must not depend on the others. `work` is sent once to whoever works.
        """
        ...


class Processes:
    """A few processes of this machine; with one job this process itself, in the order of parts."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs

    def over(self, do: Callable[[W, S], R], work: W, parts: Sequence[S], tell: Told) -> Iterator[R]:
        if self.jobs < 2 or len(parts) < 2:
            for done, part in enumerate(parts, 1):
                yield do(work, part)
                tell(done, len(parts))
            return
        context = get_context("forkserver")
        with ProcessPoolExecutor(min(self.jobs, len(parts)), context, _receive, (work,)) as pool:
            # nobody else holds the futures: what a part brought is let go of when it has been taken
            for done, future in enumerate(as_completed([pool.submit(_done, do, part) for part in parts]), 1):
                yield future.result()
                tell(done, len(parts))


def _receive(work: Any) -> None:
    global _work
    _work = work
    gc.enable()  # the process that this one was forked from may import without


def _done(do: Callable[[Any, S], R], part: S) -> R:
    return do(_work, part)


@contextmanager
def spread_on(on: str, jobs: int, place: str, option: str, tell: Callable[[str], None]) -> Iterator[Spread]:
    """Workers of an engine, there until the end of the block.

    Args:
        on: `local`, `ray` for a cluster of this machine with so many jobs, or `ray://HOST:PORT`.
        place: the folder that parts are read from and written to; every machine must see it.
        option: of the command line, that names it.
        tell: called with what is waited for.

    Raises:
        UsageError: if `on` names no engine.
        ClusterError: if the cluster does not answer, or is not fit.
    """
    check_engine(on, jobs)
    if on == "local":
        yield Processes(jobs)
        return
    from molehunt.execution.cluster_parts import RayParts  # Ray is an extra, and slow to import

    cluster = RayParts(place, on, jobs, tell, option)
    try:
        yield cluster
    finally:
        cluster.close()
