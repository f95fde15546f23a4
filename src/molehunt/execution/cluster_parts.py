"""Parts of one piece of work on a Ray cluster."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from molehunt.errors import ClusterError
from molehunt.execution.cluster import Cluster, first_line, refused_here
from molehunt.execution.spread import Told

W = TypeVar("W")
S = TypeVar("S")
R = TypeVar("R")
_TRIES = 3
"""Of a part whose process or machine died."""
_AHEAD = 2
"""Parts handed out for each processor: what ended waits in Ray's memory until it is taken."""


class RayParts(Cluster):
    """One part a processor, `work` sent to each machine once."""

    def over(self, do: Callable[[W, S], R], work: W, parts: Sequence[S], tell: Told) -> Iterator[R]:
        """See `Spread`; what is wrong with the data is raised as it was there.

        Raises:
            ClusterError: if a part's machine died again and again, or the cluster stops answering.
        """
        with self.answering():
            sent, waiting, running = self._ray.put(work), list(reversed(parts)), list[Any]()
            task = self._ray.remote(num_cpus=1, max_retries=_TRIES - 1)(_part)
            places = _AHEAD * max(1, int(sum(node.get("CPU", 0) for node in self.machines())))
            done = 0
            while waiting or running:
                while waiting and len(running) < places:
                    running.append(task.remote(do, sent, waiting.pop(), self._wanted, self._mark.path, self._option))
                [first], running = self._ray.wait(running, num_returns=1)
                yield self._result(first)
                done += 1
                tell(done, len(parts))

    def _result(self, task: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(task)
        except errors.RayTaskError as raised:
            raise raised.cause from None
        except errors.RayError as lost:
            raise ClusterError(
                f"cluster {self.on}", wanted="machines that last", do="run again, it continues",
                got=f"a part whose machine or process died {_TRIES} times ({type(lost).__name__}: {first_line(lost)})",
            ) from None  # fmt: skip


def _part(do: Callable[[W, S], R], work: W, part: S, wanted: Mapping[str, str], mark: str, option: str) -> R:
    if refused := refused_here(wanted, mark, option):
        raise refused
    return do(work, part)
