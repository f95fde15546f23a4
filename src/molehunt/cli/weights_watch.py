"""`molehunt weights watch`: are the bytes under every approved name those that were approved?"""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molehunt.cli.options import FOUND, JsonOption
from molehunt.cli.weights_registry import OwnerOption, RegistryArgument

if TYPE_CHECKING:
    from collections.abc import Callable

    from molehunt.provenance.watching import Watch
    from molehunt.records.registry import WatchEvent


def watch(
    registry: RegistryArgument,
    loop: Annotated[bool, typer.Option("--loop", help="Go on until stopped; look whenever something changes.")] = False,
    every: Annotated[float, typer.Option("--every", min=0.1, help="With --loop: look after so many seconds anyway.")] = 60.0,
    full: Annotated[bool, typer.Option("--full", help="Read every byte, whatever times and inodes say.")] = False,
    full_every: Annotated[
        float, typer.Option("--full-every", min=1, help="With --loop: read every byte after so many seconds.")
    ] = 86_400.0,
    events: Annotated[
        list[str] | None,
        typer.Option("--events", metavar="PLACE", help="FILE, syslog, syslog:HOST:PORT or a URL; may be repeated."),
    ] = None,
    quarantine: Annotated[bool, typer.Option("--quarantine", help="Move changed and revoked models aside.")] = False,
    reference: Annotated[
        Path | None, typer.Option("--reference", metavar="DIR", help="Trusted copies at the same names: tells which tensors changed.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option("--state", metavar="FILE", help="What the last pass saw; best where the registry's writers cannot.")
    ] = None,
    owner: OwnerOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Compare the models of REGISTRY with its ledger; files that look untouched are not read again.

    Exit code 0: all are what was approved. 1: something is not, and every event says what.
    """
    from molehunt.cli.registry_work import opened
    from molehunt.provenance.alarms import alarm_of, tell_all
    from molehunt.provenance.watching import Watch

    alarms = [alarm_of(place) for place in events or []]
    watching = Watch(opened(registry, owner), state or _state(registry), quarantine, reference)
    if loop:
        _loop(watching, lambda found: _told(found, tell_all(alarms, found), as_json), every, full_every)
    found = watching.look(full)
    _told(found, tell_all(alarms, found), as_json)
    if not found and not as_json:
        from molehunt.cli.show import say

        say(f"all models are what was approved; {watching.read} files were read")
    raise typer.Exit(FOUND if found else 0)


def _loop(watching: "Watch", tell: "Callable[[list[WatchEvent]], None]", every: float, full_every: float) -> None:
    """Look when something changes, and on a schedule; ends only by a signal."""
    import threading

    from watchdog.events import FileSystemEvent, FileSystemEventHandler
    from watchdog.observers import Observer

    stirred = threading.Event()

    class Stir(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            if event.event_type not in ("opened", "closed_no_write"):
                stirred.set()

    observer = Observer()
    observer.schedule(Stir(), str(watching.ledger.registry), recursive=True)
    observer.start()
    last_full = 0.0
    try:
        while True:
            is_full = time.monotonic() - last_full >= full_every
            last_full = time.monotonic() if is_full else last_full
            stirred.clear()
            tell(watching.look(is_full))
            if stirred.wait(every):
                time.sleep(_SETTLE)
    finally:
        observer.stop()
        observer.join()


_SETTLE = 0.2
"""Seconds in which one change is let come to its end."""


def _told(found: "list[WatchEvent]", failed: list[str], as_json: bool) -> None:
    import sys

    from molehunt.cli.show import say

    for event in found:
        if as_json:
            print(event.model_dump_json(), flush=True)
            continue
        say(f"{event.time[:19]} {event.kind}: {event.name}: {event.what}")
        for change in event.changes:
            say(f"  {change.what} {change.file} {change.before[:16]} -> {change.after[:16]}")
        if event.difference:
            say(f"  {event.difference}")
        if event.approved_by:
            say(f"  last approved by {event.approved_by}")
        if event.quarantined:
            say(f"  moved to {event.quarantined}")
    for text in failed:
        print(f"molehunt: {text}", file=sys.stderr, flush=True)


def _state(registry: Path) -> Path:
    from platformdirs import user_state_path

    from molehunt.records.base import sha256_text

    folder = Path(os.environ.get("MOLEHUNT_STATE") or user_state_path("molehunt"))
    return folder / "watch" / f"{sha256_text(str(registry.resolve()))[:16]}.json"
