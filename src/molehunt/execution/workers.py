"""Who makes the steps: worker processes of this machine, or whoever else stands behind the protocol."""

import gc
import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver
from typing import Any, Protocol

from molehunt.errors import UsageError
from molehunt.execution.graph import Step
from molehunt.execution.working import died, make

Ended = list[tuple[Step, Exception | None]]
_PATIENCE = 5.0
"""Seconds that a pool whose processes were killed is given to notice."""


class Workers(Protocol):
    """Makes steps whose parents are in the store, several at a time."""

    def has_room(self, step: Step) -> bool:
        """True if the step would start soon."""
        ...

    def submit(self, step: Step) -> None:
        """Have a step made."""
        ...

    def ended(self, seconds: float) -> Ended:
        """The steps that ended since the last call, with their errors; waits so long for one."""
        ...

    def close(self) -> None:
        """Stop at once; what is not finished is lost."""
        ...


def check_engine(on: str, jobs: int) -> None:
    """Raises UsageError unless `on` names an engine that can work with so many jobs."""
    if on != "local" and on != "ray" and not re.fullmatch(r"ray://[^/]+:\d+", on):
        raise UsageError("--on", wanted="local, ray or ray://HOST:PORT", got=on)
    if on != "local" and jobs == 0:
        raise UsageError(f"--on {on} with --jobs 0", wanted="at least one job", got="work in this process")


def workers_on(on: str, place: str, jobs: int, tell: Callable[[str], None]) -> Workers:
    """The workers of an engine; `tell` is called with what is waited for until they are there.

    Raises:
        ClusterError: if the engine is a cluster that does not answer, or is not fit.
    """
    if on == "local":
        return LocalWorkers(place, jobs)
    from molehunt.execution.cluster_steps import RayWorkers  # Ray is an extra, and slow to import

    return RayWorkers(place, on, jobs, tell)


class LocalWorkers:
    """A pool of processes of one thread each, told the store's place. Steps with more threads take more places.

    A worker that dies (lack of memory, say) takes the pool with it; its steps all end as died, and each of them runs alone
    if it is submitted again, so that it cannot take others down twice.
    """

    def __init__(self, place: str, jobs: int) -> None:
        self.place, self.jobs = place, jobs
        self._pool = _pool(jobs)
        self._running: dict[Future[Exception | None], Step] = {}
        self._alone: set[str] = set()

    def has_room(self, step: Step) -> bool:
        if not self._running:
            return True
        busy = sum(one.threads for one in self._running.values())
        shy = any(one.fingerprint in self._alone for one in (step, *self._running.values()))
        return not shy and busy + step.threads <= self.jobs

    def submit(self, step: Step) -> None:
        try:
            self._running[self._pool.submit(make, self.place, step)] = step
        except BrokenProcessPool:
            lost: Future[Exception | None] = Future()
            lost.set_exception(BrokenProcessPool())
            self._running[lost] = step

    def ended(self, seconds: float) -> Ended:
        done, _ = wait(self._running, timeout=seconds, return_when=FIRST_COMPLETED)
        found: Ended = []
        for future in done:
            error = future.exception()
            if error is not None and not isinstance(error, BrokenProcessPool):
                raise error
            if error is None:
                found.append((self._running.pop(future), future.result()))
        if len(found) < len(done):
            found += [(step, died(step)) for step in self._running.values()]
            self._alone |= {step.fingerprint for step in self._running.values()}
            self._running.clear()
            self.close()
            self._pool = _pool(self.jobs)
        return found

    def close(self) -> None:
        processes = list((self._pool._processes or {}).values())
        manager: Any = self._pool._executor_manager_thread
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()
        if manager is not None:  # Python's own tidying up at exit trips over one that is still closing its pipes
            manager.join(_PATIENCE)


def get_ready(modules: Sequence[str]) -> None:
    """Begin to import what steps will need, in a process that this one's workers are forked from: once for all of them.

    It goes on while this process does other things. A process that has forked its first worker, or got ready, keeps what it has.
    """
    forkserver.set_forkserver_preload(["molehunt.execution.uncollected", *modules])
    forkserver.ensure_running()


def _pool(jobs: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("forkserver")
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker, initargs=(dict(os.environ),))


def _start_worker(environment: dict[str, str]) -> None:
    """Take over the driver's environment, which may have changed since the process began that workers are forked from."""
    os.environ.clear()
    os.environ.update(environment)
    gc.freeze()  # what was imported stays: nobody need look through it for garbage again
    gc.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_driver, daemon=True).start()


def _die_with_driver() -> None:
    """However it ends: it, not the process that this one was forked from, holds the other end of what is waited at."""
    driver = multiprocessing.parent_process()
    assert driver is not None, "called in a worker"
    driver.join()
    os._exit(1)
