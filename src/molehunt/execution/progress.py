"""How far a running step is: a number in a file that the driver reads."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_VARIABLE = "MOLEHUNT_PROGRESS_FILE"
"""An environment variable, so that processes which a step starts can report too."""


def report(done: int, total: int) -> None:
    """Say that `done` of `total` parts of the running step are behind us; outside a step, does nothing."""
    path = os.environ.get(_VARIABLE)
    if path and total > 0:
        aside = Path(f"{path}.{os.getpid()}")
        aside.write_text(f"{done / total:.4f}")
        os.replace(aside, path)


def read(path: Path) -> float:
    """The last share reported, 0 if none was."""
    try:
        return min(1.0, float(path.read_text()))
    except (OSError, ValueError):
        return 0.0


@contextmanager
def reporting_to(path: Path) -> Iterator[None]:
    """Within the block, `report` writes to `path`."""
    os.environ[_VARIABLE] = str(path)
    path.write_text("0")  # a killed run may have left its own
    try:
        yield
    finally:
        del os.environ[_VARIABLE]
        path.unlink(missing_ok=True)
