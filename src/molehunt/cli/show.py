"""What people see while and after a command runs."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from molehunt.execution import Step
from molehunt.execution.runner import Progress, Watcher
from molehunt.reports.text import visible


@contextmanager
def watching(what: str) -> Iterator[Watcher]:
    """A progress bar with an estimate on a terminal, a line every ten seconds elsewhere; both on stderr."""
    if sys.stderr.isatty():
        with _bar(what) as watch:
            yield watch
    else:
        yield _Lines(what)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """The same for work that counts (done, total) itself."""
    started = time.monotonic()
    with watching(what) as watch:

        def count(done: int, total: int) -> None:
            seconds, share = time.monotonic() - started, done / max(1, total)
            work = seconds / share if share else 0.0
            step = Step(what, 1, {}, label=f"{done} of {total}")
            watch(Progress(total=1, running=[step], share=share, seconds=seconds, work=work))

        yield count


@contextmanager
def watching_words(what: str) -> Iterator[Callable[[str, int, int], None]]:
    """The same for work of several passes that tells (which, done, total) itself; a total of 0 is not known."""
    started = {"": 0.0}
    with watching(what) as watch:

        def tell(now: str, done: int, total: int) -> None:
            began = started.setdefault(now, time.monotonic())
            seconds, share = time.monotonic() - began, done / total if total else 0.0
            step = Step(what, 1, {}, label=f"{now}, {done} of {total}" if total else f"{now}, {done}")
            work = seconds / share if share else 0.0
            watch(Progress(total=1, running=[step], share=share, seconds=seconds, work=work))

        yield tell


@contextmanager
def _bar(what: str) -> Iterator[Watcher]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=1.0, left="")

        def watch(progress: Progress) -> None:
            told = visible(f"{what}: {now(progress, 2)}")[:70]
            bar.update(task, completed=progress.share, description=told, left=left(progress))

        yield watch


_PAUSE = 10.0
"""Seconds between two lines."""


class _Lines:
    def __init__(self, what: str) -> None:
        self.what, self.last, self.waited_for = what, time.monotonic(), ""

    def __call__(self, progress: Progress) -> None:
        if progress.waits_for != self.waited_for:
            self.waited_for = progress.waits_for
            self._print(progress.waits_for)
        if not progress.running or time.monotonic() - self.last < _PAUSE:
            return
        self.last = time.monotonic()
        done = len(progress.done) + len(progress.cached)
        self._print(f"{done} of {progress.total} parts done, {left(progress)}; now {now(progress)}")

    def _print(self, said: str) -> None:
        if said:
            print(visible(f"{self.what}: {said}"), file=sys.stderr, flush=True)


def now(progress: Progress, most: int | None = None) -> str:
    """The steps that are being made, or what they wait for."""
    return progress.waits_for or ", ".join(step.label for step in progress.running[:most])


def left(progress: Progress) -> str:
    """The estimate of the time left, in words."""
    seconds = progress.seconds_left
    return "estimating the time left" if seconds is None else f"about {max(1, round(seconds / 5) * 5)} s left"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; cells are shown as they are, without markup, with control characters spelled out.

    On a terminal what is too long goes on in the next line; elsewhere a row is one line, however long.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    is_seen = sys.stdout.isatty()
    drawn = Table(show_edge=False, pad_edge=False, header_style="bold")
    for name in head:
        drawn.add_column(name, overflow="fold", no_wrap=not is_seen)
    for row in rows:
        drawn.add_row(*(Text(visible(cell)) for cell in row))
    width = 8 * len(head) + sum(max(map(cell_len, map(visible, column))) for column in zip(head, *rows, strict=True))
    Console(width=None if is_seen else width).print(drawn)


def say(text: str) -> None:
    """Print a line, control characters spelled out."""
    print(visible(text), flush=True)
