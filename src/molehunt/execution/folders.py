"""Write folders so that nothing that was there is lost."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    found = [path for path in folder.iterdir() if not path.name.startswith(_ASIDE)]
    strange = sorted(path.name for path in found if path.name not in _REPORT or not path.is_file())
    if not strange and found and not _is_of_kind(folder / "result.json", kind):
        strange = [f"no result.json of {kind}"]
    if strange:
        wanted = "a new or empty folder, or one with an earlier report alone"
        raise UsageError(f"output folder {folder}", wanted=wanted, got=strange[0], do="choose another --out")


@contextmanager
def report_folder(folder: Path, kind: str) -> Iterator[Path]:
    """A folder to write a report into, whose files take the places of those in `folder` once all are written.

    An earlier table lies in it, for who can go on from that. A kill leaves the earlier report there, or a part of one that the next call knows as such and replaces.

    Raises:
        UsageError: as `require_report_folder`.
    """
    was_there = folder.exists()
    require_report_folder(folder, kind)
    for left in folder.glob(f"{_ASIDE}*"):
        if not _is_at_work(left.name.removeprefix(_ASIDE).partition("-")[0]):
            shutil.rmtree(left, ignore_errors=True)
    aside = Path(tempfile.mkdtemp(prefix=f"{_ASIDE}{os.getpid()}-", dir=folder))
    with suppress(OSError):
        os.link(folder / _TABLE, aside / _TABLE)
    try:
        yield aside
        for name in _REPORT:
            if (aside / name).exists():
                os.replace(aside / name, folder / name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if not was_there:
            with suppress(OSError):  # nothing came of it
                folder.rmdir()


def _is_at_work(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True


_TABLE = "results.parquet"
_REPORT = ("result.json", _TABLE, "report.html")
"""In the order in which they take their places: by the first a report is known."""
_ASIDE = ".molehunt-report-"


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
