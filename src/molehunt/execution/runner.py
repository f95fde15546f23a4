"""Run a graph on this machine: a pool of worker processes, or this process itself."""

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

from molehunt.errors import CorruptArtifactError, MolehuntError, StepError, StoreError
from molehunt.execution.graph import Graph, Step
from molehunt.execution.progress import read, reporting_to
from molehunt.execution.store import Store


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
    graph: Graph, store: Store, jobs: int = 2, watch: Watcher | None = None, go_on: bool = False, retries: int = 0
) -> Progress:
    """Make every artifact of the graph that the store lacks.

    Args:
        jobs: worker processes; 0 runs the steps one after another in this process.
        watch: called after every change and about twice a second.
        go_on: note a step that fails, leave out what needs it, and make the rest.
        retries: times that a failed step is tried again.

    Raises:
        MolehuntError: the step's own if it raised one, else a StepError that names the step; what other steps finished
            stays in the store. With `go_on` only if the store itself cannot be used.
    """
    run = _Run(graph, store, watch or (lambda progress: None), go_on, retries)
    run.look()
    if not run.waiting:
        return run.progress
    if jobs == 0:
        run.inline()
    else:
        run.pooled(jobs)
    return run.progress


class _Run:
    def __init__(self, graph: Graph, store: Store, watch: Watcher, go_on: bool, retries: int) -> None:
        self.store, self.watch = store, watch
        self.go_on, self.retries = go_on, retries
        self.tries: Counter[str] = Counter()
        self.alone: set[str] = set()
        self.steps = graph.steps
        self.waiting: dict[str, Step] = {}
        self.progress = Progress(total=len(graph))
        self.started = time.monotonic()

    def look(self) -> None:
        """Split the steps into those that the store has whole, and the rest."""
        self.store.prepare()
        self.store.clear_partial()
        for key, step in self.steps.items():
            if self._is_stored(key):
                self.progress.cached.append(step)
            else:
                self.waiting[key] = step
        self._tell()

    def _is_stored(self, key: str) -> bool:
        if not self.store.has(key):
            return False
        try:
            self.store.verify(key)
        except CorruptArtifactError:
            return False
        return True

    def inline(self) -> None:
        while self.waiting:
            step = self.waiting.pop(next(key for key, step in self.waiting.items() if self._is_ready(step)))
            self.progress.running.append(step)
            self._tell()
            self._end(step, _make(self.store.root, step))

    def pooled(self, jobs: int) -> None:
        pool = _pool(jobs)
        running: dict[Future[Exception | None], Step] = {}
        try:
            while self.waiting or running:
                self._submit_ready(pool, running, jobs)
                ended, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in ended:
                    step = running.pop(future)
                    self._end(step, _outcome(future, step))
                if any(isinstance(future.exception(), BrokenProcessPool) for future in ended):
                    pool = self._replaced(pool, running, jobs)
                self._tell()
        except BaseException:
            _kill(pool)
            raise
        pool.shutdown()

    def _submit_ready(
        self, pool: ProcessPoolExecutor, running: dict[Future[Exception | None], Step], jobs: int
    ) -> None:
        busy = sum(step.threads for step in running.values())
        if any(step.fingerprint in self.alone for step in running.values()):
            return
        for key, step in list(self.waiting.items()):
            if busy >= jobs:
                return
            fits = not running or (busy + step.threads <= jobs and key not in self.alone)
            if not fits or not self._is_ready(step):
                continue
            try:
                future = pool.submit(_make, self.store.root, step)
            except BrokenProcessPool:
                return  # the dead worker's steps end next, and a new pool takes over
            running[future] = self.waiting.pop(key)
            self.progress.running.append(step)
            busy = jobs if key in self.alone else busy + step.threads

    def _is_ready(self, step: Step) -> bool:
        unmade = {one.fingerprint for one in self.progress.running}
        return not any(p.fingerprint in self.waiting or p.fingerprint in unmade for p in step.parents.values())

    def _replaced(
        self, pool: ProcessPoolExecutor, running: dict[Future[Exception | None], Step], jobs: int
    ) -> ProcessPoolExecutor:
        """A new pool for one whose worker died: all of its steps died with it, whosever fault it was."""
        _kill(pool)
        for step in running.values():
            self._end(step, _died([step]))
        running.clear()
        self.alone |= {key for key in self.tries if key in self.waiting}  # so that one cannot take others down again
        return _pool(jobs)

    def _end(self, step: Step, error: Exception | None) -> None:
        progress, key = self.progress, step.fingerprint
        progress.running.remove(step)
        if error is None:
            progress.done.append(step)
        elif self.tries[key] < self.retries and not isinstance(error, StoreError):
            self.tries[key] += 1
            self.waiting[key] = step
        elif self.go_on and isinstance(error, MolehuntError) and not isinstance(error, StoreError):
            progress.failed[key] = error
            self._skip_after(key)
        else:
            raise error
        self._tell()

    def _skip_after(self, key: str) -> None:
        lost = {key}
        for other, step in list(self.waiting.items()):
            if any(parent.fingerprint in lost for parent in step.parents.values()):
                lost.add(other)
                self.progress.skipped.append(self.waiting.pop(other))

    def _tell(self) -> None:
        progress = self.progress
        progress.seconds = time.monotonic() - self.started
        partly = sum(s.cost * read(_progress_file(self.store.root, s)) for s in progress.running)
        given_up = [*progress.skipped, *(self.steps[key] for key in progress.failed)]
        behind = sum(s.cost for s in progress.done) + partly
        todo = sum(s.cost for s in self.steps.values()) - sum(s.cost for s in (*progress.cached, *given_up))
        progress.work, progress.share = todo, behind / todo if todo else 1.0
        self.watch(progress)


def _progress_file(root: Path, step: Step) -> Path:
    return root / "partial" / f"{step.fingerprint}.progress"


def _make(root: Path, step: Step) -> Exception | None:
    """In a worker: run the step and store its artifact. Returns the error instead of raising it."""
    store = Store(root)
    folders = {role: store.folder(parent.fingerprint) for role, parent in step.parents.items()}
    try:
        with store.lock(step.fingerprint), reporting_to(_progress_file(root, step)):
            if not _whole(store, step):
                with store.writing(step) as out:
                    step.load()({**step.config, "threads": step.threads, "where": step.where}, folders, out)
    except MolehuntError as error:
        _write_log(root, step)
        return error
    except Exception as error:
        return _failed(step, error, _write_log(root, step))
    return None


def _write_log(root: Path, step: Step) -> str:
    log, text = root / "logs" / f"{step.fingerprint}.txt", traceback.format_exc()
    try:
        log.parent.mkdir(exist_ok=True)
        log.write_text(text)
    except OSError as unwritten:
        return f"its log could not be written ({unwritten.strerror})"
    return f"see {log}"


def _failed(step: Step, error: Exception, where: str) -> StepError:
    got = f"{type(error).__name__}: {error}"
    return StepError(
        f"step {step.label or step.function} failed", got=got, do=f"{where}; the next run continues from here"
    )


def _whole(store: Store, step: Step) -> bool:
    try:
        return store.has(step.fingerprint) and bool(store.verify(step.fingerprint))
    except CorruptArtifactError:
        return False


def _outcome(future: "Future[Exception | None]", step: Step) -> Exception | None:
    try:
        return future.result()
    except BrokenProcessPool:
        return _died([step])


def _died(steps: list[Step]) -> StepError:
    names = ", ".join(step.label or step.function for step in steps) or "a step"
    do = "look for lack of memory; then run again, it continues"
    return StepError(f"the worker process of {names} died", got="no exit message", do=do)


def _pool(jobs: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker, initargs=(os.getpid(),))


def _start_worker(driver: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with, args=(driver,), daemon=True).start()


def _die_with(driver: int) -> None:
    while os.getppid() == driver:
        time.sleep(1)
    os._exit(1)


def _kill(pool: ProcessPoolExecutor) -> None:
    processes = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()
