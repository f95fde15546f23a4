"""How far a running step is: a number in a file that the driver reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_FILE: ContextVar[Path | None] = ContextVar("progress file", default=None)


def report(done: int, total: int) -> None:
    """Say that `done` of `total` parts of the running step are behind us; outside a step, does nothing."""
    path = _FILE.get()
    if path is not None and total > 0:
        path.write_text(f"{done / total:.4f}")


def read(path: Path) -> float:
    """The last share reported, 0 if none was."""
    try:
        return min(1.0, float(path.read_text()))
    except (OSError, ValueError):
        return 0.0


@contextmanager
def reporting_to(path: Path) -> Iterator[None]:
    """Within the block, `report` writes to `path`."""
    token = _FILE.set(path)
    try:
        yield
    finally:
        _FILE.reset(token)
        path.unlink(missing_ok=True)
