"""Run a graph: in the right order, what the store lacks, telling how far it is."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from molehunt.errors import ClusterError, CorruptArtifactError, MolehuntError, StoreError
from molehunt.execution.graph import Graph, Step
from molehunt.execution.progress import read
from molehunt.execution.store import Store
from molehunt.execution.workers import Workers, check_engine, workers_on
from molehunt.execution.working import make, progress_file


@dataclass
class Progress:
    """Where a run stands."""

    total: int = 0
    cached: list[Step] = field(default_factory=list)
    done: list[Step] = field(default_factory=list)
    running: list[Step] = field(default_factory=list)
    failed: dict[str, MolehuntError] = field(default_factory=dict)
    """Fingerprint to the error of a step that failed for good; only in a run that goes on."""
    skipped: list[Step] = field(default_factory=list)
    """Steps that needed a failed one."""
    share: float = 0.0
    """Done part of the work, 0 to 1, by the steps' stated costs."""
    seconds: float = 0.0
    """Wall time since the start."""
    waits_for: str = ""
    """What the run waits for before any step can start."""

    work: float = 0.0
    """Stated cost of all steps that were not in the store, in seconds of one core."""

    @property
    def seconds_left(self) -> float | None:
        """Estimate: the stated costs at the pace so far, which is trusted the more has been done; None without a cost."""
        done = self.share * self.work
        pace = (self.seconds + _TRUST / 2) / (done + _TRUST)
        return (self.work - done) * pace if self.work else None


_TRUST = 60.0
"""Seconds of stated cost that the expected pace, half a second each on two cores, weighs as much as."""


Watcher = Callable[[Progress], None]


def run_graph(
    graph: Graph, store: Store, jobs: int = 2, watch: Watcher | None = None, go_on: bool = False, retries: int = 0,
    on: str = "local",
) -> Progress:  # fmt: skip
    """Make every artifact of the graph that the store lacks.

    Args:
        jobs: worker processes; 0 runs the steps one after another in this process; a cluster that is there has its own.
        watch: called after every change and about twice a second.
        go_on: note a step that fails, leave out what needs it, and make the rest.
        retries: times that a failed step is tried again.
        on: `local`, `ray` for a cluster of this machine, or `ray://HOST:PORT`.

    Raises:
        UsageError: if `on` is none of these.
        ClusterError: if the cluster does not answer, or is not fit.
        MolehuntError: the step's own if it raised one, else a StepError that names the step; what other steps finished
            stays in the store. With `go_on` only if the store itself, or the cluster, cannot be used.
    """
    check_engine(on, jobs)
    run = _Run(graph, store, watch or (lambda progress: None), go_on, retries)
    run.look()
    if not run.waiting:
        return run.progress
    try:
        if jobs == 0:
            run.inline()
        else:
            run.by(workers_on(on, store.place, jobs, run.wait))
    finally:
        store.refresh()
    return run.progress


_FATAL = (StoreError, ClusterError)
"""What no other step would fare better with."""


class _Run:
    def __init__(self, graph: Graph, store: Store, watch: Watcher, go_on: bool, retries: int) -> None:
        self.store, self.watch = store, watch
        self.go_on, self.retries = go_on, retries
        self.tries: Counter[str] = Counter()
        self.remade: set[str] = set()
        self.steps = graph.steps
        self.waiting: dict[str, Step] = {}
        self.progress = Progress(total=len(graph))
        self.started = time.monotonic()

    def look(self) -> None:
        """Split the steps into those that the store has whole, and the rest."""
        self.store.refresh()
        self.store.prepare()
        self.store.clear_partial()
        for key, step in self.steps.items():
            if self.store.has(key) and self.store.is_whole(key):
                self.progress.cached.append(step)
            else:
                self.waiting[key] = step
        self._tell()

    def inline(self) -> None:
        while self.waiting:
            step = self.waiting.pop(next(key for key, step in self.waiting.items() if self._is_ready(step)))
            self.progress.running.append(step)
            self._tell()
            self._end(step, make(self.store.place, step))

    def wait(self, what: str) -> None:
        """Tell what is waited for."""
        self.progress.waits_for = what
        self._tell()

    def by(self, workers: Workers) -> None:
        """Have the steps made by workers."""
        self.progress.waits_for = ""
        try:
            while self.waiting or self.progress.running:
                for key, step in list(self.waiting.items()):
                    if self._is_ready(step) and workers.has_room(step):
                        workers.submit(self.waiting.pop(key))
                        self.progress.running.append(step)
                for step, error in workers.ended(0.5):
                    self._end(step, error)
                self._tell()
        finally:
            workers.close()

    def _is_ready(self, step: Step) -> bool:
        unmade = {one.fingerprint for one in self.progress.running}
        return not any(p.fingerprint in self.waiting or p.fingerprint in unmade for p in step.parents.values())

    def _end(self, step: Step, error: Exception | None) -> None:
        progress, key = self.progress, step.fingerprint
        progress.running.remove(step)
        if error is None:
            progress.done.append(step)
        elif isinstance(error, CorruptArtifactError) and self._remake_parents(step):
            self.waiting[key] = step
        elif self.tries[key] < self.retries and not isinstance(error, _FATAL):
            self.tries[key] += 1
            self.waiting[key] = step
        elif self.go_on and isinstance(error, MolehuntError) and not isinstance(error, _FATAL):
            progress.failed[key] = error
            self._skip_after(key)
        else:
            raise error
        self._tell()

    def _remake_parents(self, step: Step) -> bool:
        """Have the parents that a worker found changed made anew, each once at most; False if there is none."""
        self.store.refresh()
        keys = {parent.fingerprint for parent in step.parents.values()} - self.waiting.keys() - self.remade
        lost = {key for key in keys if not self.store.is_whole(key)}
        for stood in (self.progress.cached, self.progress.done):
            stood[:] = [one for one in stood if one.fingerprint not in lost]
        self.waiting.update({key: self.steps[key] for key in lost})
        self.remade |= lost
        return bool(lost)

    def _skip_after(self, key: str) -> None:
        lost = {key}
        for other, step in list(self.waiting.items()):
            if any(parent.fingerprint in lost for parent in step.parents.values()):
                lost.add(other)
                self.progress.skipped.append(self.waiting.pop(other))

    def _tell(self) -> None:
        progress = self.progress
        progress.seconds = time.monotonic() - self.started
        partly = sum(s.cost * read(progress_file(self.store.root, s)) for s in progress.running)
        given_up = [*progress.skipped, *(self.steps[key] for key in progress.failed)]
        behind = sum(s.cost for s in progress.done) + partly
        todo = sum(s.cost for s in self.steps.values()) - sum(s.cost for s in (*progress.cached, *given_up))
        progress.work, progress.share = todo, behind / todo if todo else 1.0
        self.watch(progress)
