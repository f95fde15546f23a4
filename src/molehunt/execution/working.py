"""What a worker does with a step: run it, store its artifact, tell what went wrong."""

import traceback
from pathlib import Path

from molehunt.errors import CorruptArtifactError, MolehuntError, StepError
from molehunt.execution.graph import Step
from molehunt.execution.progress import reporting_to
from molehunt.execution.store import Store


def progress_file(root: Path, step: Step) -> Path:
    """Where a running step says how far it is."""
    return root / "partial" / f"{step.fingerprint}.progress"


def log_file(root: Path, fingerprint: str) -> Path:
    """Where the traceback of a failed step lies."""
    return root / "logs" / f"{fingerprint}.txt"


def make(root: Path, step: Step) -> Exception | None:
    """Run a step and store its artifact. Returns the error instead of raising it."""
    store = Store(root)
    folders = {role: store.folder(parent.fingerprint) for role, parent in step.parents.items()}
    try:
        with store.lock(step.fingerprint), reporting_to(progress_file(root, step)):
            if not _whole(store, step):
                with store.writing(step) as out:
                    step.load()({**step.config, "threads": step.threads, "where": step.where}, folders, out)
    except MolehuntError as error:
        _write_log(root, step)
        return error
    except Exception as error:
        return _failed(step, error, _write_log(root, step))
    return None


def died(step: Step) -> StepError:
    """The error of a step whose worker is gone."""
    do = "look for lack of memory; then run again, it continues"
    return StepError(f"the worker process of {step.label or step.function} died", got="no exit message", do=do)


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
