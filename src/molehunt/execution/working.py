"""What a worker does with a step: run it, store its artifact, tell what went wrong."""

import traceback
from pathlib import Path

from molehunt.errors import MolehuntError, StepError
from molehunt.execution.graph import Step
from molehunt.execution.progress import reporting_to
from molehunt.execution.remote import open_store
from molehunt.execution.store import Store


def progress_file(root: Path, step: Step) -> Path:
    """Where a running step says how far it is."""
    return root / "partial" / f"{step.fingerprint}.progress"


def make(place: str, step: Step) -> Exception | None:
    """Run a step and store its artifact. Returns the error instead of raising it.

    Args:
        place: of the store, for `open_store`.
    """
    store = open_store(place)
    try:
        with store.lock(step.fingerprint), reporting_to(progress_file(store.root, step)):
            if not store.is_whole(step.fingerprint):
                folders = {role: store.folder(parent.fingerprint) for role, parent in step.parents.items()}
                witness = step.load_witness()
                with store.writing(step) as out:
                    step.load()({**step.config, "threads": step.threads, "where": step.where}, folders, out)
                    if witness:
                        witness(folders, out)
    except MolehuntError as error:
        _write_log(store, step)
        return error
    except Exception as error:
        return _failed(step, error, _write_log(store, step))
    return None


def died(step: Step, got: str = "no exit message") -> StepError:
    """The error of a step whose worker is gone."""
    do = "look for lack of memory; then run again, it continues"
    return StepError(f"the worker process of {step.label or step.function} died", got=got, do=do)


def _write_log(store: Store, step: Step) -> str:
    try:
        return f"see {store.write_log(step.fingerprint, traceback.format_exc())}"
    except OSError as unwritten:
        return f"its log could not be written ({unwritten.strerror or unwritten})"


def _failed(step: Step, error: Exception, where: str) -> StepError:
    got = f"{type(error).__name__}: {error}"
    return StepError(
        f"step {step.label or step.function} failed", got=got, do=f"{where}; the next run continues from here"
    )
