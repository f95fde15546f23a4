"""Steps on a Ray cluster: one of this machine, started for a run, or one that is there already."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from molehunt.errors import StepError
from molehunt.execution.cluster import Cluster, first_line, last_line, refused_here
from molehunt.execution.graph import Step
from molehunt.execution.workers import Ended
from molehunt.execution.working import died, make


class RayWorkers(Cluster):
    """Tasks of a Ray cluster, each told the store's place, each with the resources that its step needs.

    Ray tries nothing again: a task whose process or machine dies ends as died, and the runner decides.
    """

    def __init__(self, place: str, on: str, jobs: int, tell: Callable[[str], None] = lambda what: None) -> None:
        super().__init__(place, on, jobs, tell)
        self._running: dict[Any, Step] = {}
        self._refused: Ended = []
        self._died: set[str] = set()
        self._make = self._ray.remote(max_retries=0)(_make)

    def has_room(self, step: Step) -> bool:
        """True until one step more is there than the machines hold: it starts the moment that another ends."""
        busy = _sum(_resources(one) for one in self._running.values())
        with self.answering():
            return _fits(busy, _sum(self.machines()))

    def submit(self, step: Step) -> None:
        with self.answering():
            self._submit(step)

    def _submit(self, step: Step) -> None:
        needed = _resources(step)
        if not any(_fits(needed, node) for node in self.machines()):
            self._refused.append((step, _too_large(step, needed)))
            return
        memory = int(needed.get("memory", 0)) or None
        elsewhere = "SPREAD" if step.fingerprint in self._died else "DEFAULT"
        task = self._make.options(
            num_cpus=step.threads, num_gpus=needed.get("GPU", 0), memory=memory, scheduling_strategy=elsewhere,
            name=step.label or step.function,
        )  # fmt: skip
        self._running[task.remote(self.place, step, self._wanted, self._mark.path)] = step

    def ended(self, seconds: float) -> Ended:
        found, self._refused = self._refused, []
        if not self._running:
            return found
        with self.answering():
            tasks = list(self._running)
            if self._ray.wait(tasks, num_returns=1, timeout=0 if found else seconds)[0]:
                for task in self._ray.wait(tasks, num_returns=len(tasks), timeout=0)[0]:
                    step = self._running.pop(task)
                    found.append((step, self._outcome(task, step)))
        return found

    def _outcome(self, task: Any, step: Step) -> Exception | None:
        errors = self._ray.exceptions
        try:
            error: Exception | None = self._ray.get(task)
        except errors.RayTaskError as raised:
            return StepError(f"step {step.label or step.function} failed", got=last_line(raised))
        except errors.RayError as lost:
            self._died.add(step.fingerprint)
            self._seen = 0.0
            return died(step, f"{type(lost).__name__}: {first_line(lost)}")
        return error


def _make(place: str, step: Step, wanted: Mapping[str, str], mark: str) -> Exception | None:
    # Machines that joined later were not greeted.
    return refused_here(wanted, mark) or make(place, step)


def _resources(step: Step) -> dict[str, float]:
    gpus = step.needs.gpus if step.processes == 1 else float(math.ceil(step.needs.gpus) * step.processes)
    needed = {"CPU": float(step.threads), "GPU": gpus, "memory": step.needs.memory * 2**30}
    return {kind: amount for kind, amount in needed.items() if amount}


def _sum(parts: Iterable[Mapping[str, float]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return total


def _fits(needed: Mapping[str, float], there: Mapping[str, float]) -> bool:
    return all(there.get(kind, 0) >= amount for kind, amount in needed.items())


def _too_large(step: Step, needed: Mapping[str, float]) -> StepError:
    wanted = ", ".join(f"{amount:g} {kind}" for kind, amount in needed.items())
    do = "add such a machine, or ask for less with --gpus and --memory"
    return StepError(f"step {step.label or step.function}", wanted=wanted, got="no machine that has it", do=do)
