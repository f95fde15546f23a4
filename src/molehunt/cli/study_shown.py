"""Studies on the terminal."""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from molehunt.cli.show import left, now, say, table, watching
from molehunt.execution.runner import Progress, Watcher
from molehunt.records.claims import ClaimFinding
from molehunt.records.estimates import Estimate
from molehunt.records.studies import ContrastPlan, StudyPlan, StudyResult
from molehunt.reports.text import visible

if TYPE_CHECKING:
    from molehunt.experiments.studies.running import StudyRun

_CONTRASTS_TOLD = 8


@contextmanager
def live(name: str) -> Iterator[Watcher]:
    """A table that follows the run on a terminal, a line every ten seconds elsewhere; both on stderr."""
    if not sys.stderr.isatty():
        with watching(name) as watch:
            yield watch
        return
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

    with Live(console=Console(stderr=True), transient=True, refresh_per_second=2) as shown:

        def watch(progress: Progress) -> None:
            drawn = Table(show_edge=False, pad_edge=False, header_style="bold", title=visible(name))
            for head in ("done", "running", "from the store", "failed", "skipped", "of", "time left"):
                drawn.add_column(head)
            drawn.add_row(*map(str, (
                len(progress.done), len(progress.running), len(progress.cached), len(progress.failed),
                len(progress.skipped), progress.total, left(progress),
            )))  # fmt: skip
            drawn.caption = visible(f"now {now(progress, 4)}")
            shown.update(drawn)

        yield watch


def plan_shown(plan: StudyPlan, as_json: bool) -> None:
    """Print a plan and its confound report."""
    if as_json:
        print(plan.model_dump_json(by_alias=True, indent=1))
        return
    kinds = ", ".join(f"{count} {kind}" for kind, count in plan.by_kind.items())
    table(("plan", ""), [
        ("arms, seeds", f"{len(plan.arms)}, {len(plan.seeds)}"),
        ("parts", f"{plan.steps}, of which {plan.stored} are in the store; {plan.unshared} if nothing were shared"),
        ("to make", kinds or "nothing"),
        ("time", f"about {time_words(plan.seconds)}, " + ("from parts made here" if plan.measured_costs else "a guess: nothing like it was made here")),
        ("memory", f"about {plan.memory:.1f} GiB"),
    ])  # fmt: skip
    say("")
    rows = [
        (c.claim, str(c.pairs), _listed(c.moved), _listed(c.confounded) or "nothing", c.note or _unknown(c))
        for c in plan.contrasts
    ]
    table(("claim", "pairs", "its factor moves", "CONFOUNDED WITH", "known after the run"), rows)
    if plan.detectable:
        say("")
        table(
            ("claim", "smallest effect seen with 80% power"),
            [(k, "none" if v is None else f"{v:.2f}") for k, v in plan.detectable.items()],
        )
        if None in plan.detectable.values():
            say(
                f"none: with {len(plan.seeds)} seeds and a family of {len(plan.contrasts)}, not even the largest "
                f"difference from or around rates of one half, or a single rate of 1, would be called; for a middle difference, of 0.25, it takes "
                f"{f'about {plan.enough_seeds}' if plan.enough_seeds else 'more than 64'} seeds"
            )
    for claim, spread in plan.scatter.items():
        say(
            f"{claim}: seen with 80% power if the difference scatters by at most {spread:.3g} between seeds, in its own unit"
        )
    for limit in plan.limits:
        say(f"limit: {limit}")


def run_shown(run: "StudyRun", as_json: bool) -> None:
    """Say what a run made, and what failed."""
    progress = run.progress
    found = {name: len(getattr(progress, name)) for name in ("done", "cached", "failed", "skipped")}
    if as_json:
        failed = {key: str(error) for key, error in progress.failed.items()}
        print(
            json.dumps(
                {**found, "total": progress.total, "seconds": round(progress.seconds, 1), "errors": failed}, indent=1
            )
        )
        return
    say(
        f"{found['done']} parts made, {found['cached']} from the store, {found['failed']} failed, "
        f"{found['skipped']} left out because of them; {time_words(progress.seconds)}"
    )
    for error in progress.failed.values():
        say(f"failed: {error}")


def claims_shown(claims: Sequence[ClaimFinding], as_json: bool) -> None:
    """Print the claims ledger."""
    if as_json:
        print(json.dumps([claim.model_dump(mode="json") for claim in claims], indent=1))
        return
    rows = [
        (f.claim.id, f.verdict, _effect(f.effect), f"{f.claim.direction}, at least {f.claim.smallest:g}",
         "" if f.more_seeds is None else str(f.more_seeds), f.reason)
        for f in claims
    ]  # fmt: skip
    table(("claim", "verdict", "effect, 95% interval alone", "claimed", "more seeds", "why"), rows)


def missing_shown(result: StudyResult) -> None:
    """Say which cells there is nothing of."""
    for why, count in Counter(missing.why for missing in result.missing).most_common(5):
        say(f"missing: {count} of {len(result.missing) + len(result.cells)} cells: {why}")
    for limit in result.limits:
        say(f"limit: {limit}")


def _effect(effect: Estimate | None) -> str:
    return f"{effect.value:+.3g} [{effect.low:+.3g}, {effect.high:+.3g}]" if effect else "–"


def _unknown(contrast: ContrastPlan) -> str:
    from molehunt.experiments.studies.setup import COUNTED

    return "all that training counts" if len(contrast.unknown) == len(COUNTED) else _listed(contrast.unknown)


def _listed(fields: Sequence[str]) -> str:
    more = f" and {len(fields) - _CONTRASTS_TOLD} more" if len(fields) > _CONTRASTS_TOLD else ""
    return ", ".join(fields[:_CONTRASTS_TOLD]) + more


def time_words(seconds: float) -> str:
    """A duration in words, as exact as an estimate deserves."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
