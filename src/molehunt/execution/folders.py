"""Write folders so that nothing that was there is lost."""

import os
import shutil
import tempfile
from pathlib import Path

from molehunt.errors import UsageError


def require_new_folder(folder: Path) -> None:
    """Raises UsageError unless `folder` is new, or an empty folder, in a place that can be written."""
    if folder.resolve() == Path.cwd():
        raise UsageError(
            f"output folder {folder}", wanted="a folder of its own", got="the one we stand in", do="name a new one"
        )
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists():
        raise UsageError(
            f"output folder {folder}", wanted="a new or empty folder", got="something there", do="choose another --out"
        )
    place = next(p for p in folder.resolve().parents if p.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise UsageError(
            f"output folder {folder}",
            wanted="a place that can be written",
            got=f"{place} cannot",
            do="choose another --out",
        )


def require_new_file(path: Path) -> None:
    """Raises UsageError unless `path` is new, in a folder that can be written; makes that folder."""
    if path.exists():
        raise UsageError(f"output file {path}", wanted="a new file", got="something there", do="choose another --out")
    require_writable_folder(path.resolve().parent)


def require_writable_folder(folder: Path) -> None:
    """Make `folder` if it is missing. Raises UsageError if it cannot be, or cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        got = error.strerror or str(error)
        raise UsageError(
            f"output folder {folder}", wanted="a folder that can be written", got=got, do="choose another --out"
        ) from None


def require_report_folder(folder: Path, kind: str) -> None:
    """Make `folder` if it is missing. Raises UsageError unless it is empty, or holds an earlier report and nothing else.

    Args:
        kind: how the schema of the report's result.json begins, such as "molehunt.study".
    """
    require_writable_folder(folder)
    strange = sorted(path.name for path in folder.iterdir() if path.name not in _REPORT or not path.is_file())
    if not strange and any(folder.iterdir()) and not _is_of_kind(folder / "result.json", kind):
        strange = [f"no result.json of {kind}"]
    if strange:
        wanted = "a new or empty folder, or one with an earlier report alone"
        raise UsageError(f"output folder {folder}", wanted=wanted, got=strange[0], do="choose another --out")


_REPORT = ("report.html", "result.json", "results.parquet")


def _is_of_kind(result: Path, kind: str) -> bool:
    if not result.is_file():
        return False
    with result.open(encoding="utf-8", errors="replace") as file:
        return f'"schema": "{kind}/' in file.read(200)


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder aside and rename it into place: `target` is whole or as it was."""
    target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        shutil.copytree(source, aside, dirs_exist_ok=True)
        os.chmod(aside, 0o755)
        if target.exists():
            target.rmdir()
        os.rename(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a file aside and rename it into place."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_text(text, encoding="utf-8")
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
