"""Steps and the graph they form."""

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from molehunt.errors import UsageError
from molehunt.execution.fingerprint import fingerprint

StepFunction = Callable[[dict[str, Any], dict[str, Path], Path], None]
"""(config, folders of the parents by role, empty folder to fill)"""
Witness = Callable[[dict[str, Path], Path], None]
"""(folders of the parents by role, the filled folder): leaves what it has to say beside that folder, never in it"""


@dataclass(frozen=True)
class Needs:
    """What a machine must have free for a step, beside its threads."""

    gpus: float = 0.0
    """Of each process of a step that starts several, then whole ones."""
    memory: float = 0.0
    """GiB; 0 leaves it open."""


@dataclass(frozen=True, eq=False)
class Step:
    """One cached unit of work: `function` says what it does; all but `label`, `where`, `cost` and `needs` decides its result."""

    function: str
    """`package.module:name` of a StepFunction."""
    version: int
    """Raised by hand whenever the function's result changes for the same config."""
    config: dict[str, Any]
    """Resolved settings: everything that was decided, nothing about where it runs."""
    parents: dict[str, "Step"] = field(default_factory=dict)
    """Steps whose artifacts this one reads, by role."""
    label: str = ""
    """For people; not part of the fingerprint."""
    where: dict[str, str] = field(default_factory=dict)
    """Where things lie on this machine; handed to the function, not part of the fingerprint."""
    threads: int = 1
    """CPU threads that the step computes with; part of the fingerprint, since sums change with it."""
    processes: int = 1
    """That the step starts and shares its work among, a thread each; its config says so too."""
    cost: float = 1.0
    """Expected seconds of work, for the estimate of the time left; not part of the fingerprint."""
    witness: str = ""
    """`package.module:name` of what is called with this step before it runs, and gives a Witness of what came out. What that leaves lies
    beside the artifact's files: it is part of neither fingerprint nor digest."""
    needs: Needs = field(default_factory=Needs)
    """Looked at by engines that choose among machines; not part of the fingerprint."""

    @cached_property
    def fingerprint(self) -> str:
        """The identity of the step and of its artifact."""
        config = {**self.config, "threads": self.threads}
        parents = {role: step.fingerprint for role, step in self.parents.items()}
        return fingerprint(self.function, self.version, config, parents)

    def told(self, label: str | None = None, needs: "Needs | None" = None) -> "Step":
        """A copy under another label or with other needs: neither decides the result, so it is the same step."""
        copy = replace(self, label=label or self.label, needs=needs or self.needs)
        copy.__dict__["fingerprint"] = self.fingerprint  # it takes longer than all else in planning
        return copy

    def load(self) -> StepFunction:
        """The function itself."""
        function: StepFunction = _named(self.function)
        return function

    def load_witness(self) -> Witness | None:
        """Who sees what comes out, if anybody; what it needs is looked for now, before any work is done."""
        if not self.witness:
            return None
        seen: Witness = _named(self.witness)(self)
        return seen


def _named(function: str) -> Any:
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)


class Graph:
    """Steps in an order in which every step follows its parents, equal steps folded into one."""

    def __init__(self, wanted: Iterable[Step]) -> None:
        self.steps: dict[str, Step] = {}
        self._open: set[int] = set()
        self._seen: set[int] = set()
        self._kept = list(wanted)
        for step in self._kept:
            self._add(step)

    def _add(self, step: Step) -> None:
        if id(step) in self._seen:
            return
        if id(step) in self._open:
            raise UsageError(f"step {step.label or step.function} depends on itself", do="remove the circle of parents")
        self._open.add(id(step))
        for parent in step.parents.values():
            self._add(parent)
        self._open.discard(id(step))
        self._seen.add(id(step))
        self.steps.setdefault(step.fingerprint, step)

    def __len__(self) -> int:
        return len(self.steps)
