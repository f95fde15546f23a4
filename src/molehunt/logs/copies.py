"""Closed segments at a URL: copied there when they are closed, fetched to be verified or read."""

from pathlib import Path
from typing import Any

from molehunt.errors import LogError
from molehunt.logs.segments import Segment


def copy_closed(segment: Segment, url: str) -> None:
    """Copy a closed segment and its head below `url`, the head last. Raises LogError."""
    try:
        files, root = _opened(url)
        place = f"{root.rstrip('/')}/{segment.worker}"
        files.makedirs(place, exist_ok=True)
        records = segment.table if not segment.lines.exists() else segment.lines
        for path in (records, segment.head_file):
            files.put_file(str(path), f"{place}/{path.name}")
        if records == segment.table and files.exists(f"{place}/{segment.lines.name}"):
            files.rm_file(f"{place}/{segment.lines.name}")
    except (OSError, ValueError, ImportError) as error:
        raise LogError(f"log copy {url}", wanted="a place that can be written", got=str(error)[:120]) from error


def fetch(url: str, folder: Path) -> None:
    """Fetch a log of closed segments into an empty folder. Raises LogError."""
    try:
        files, root = _opened(url)
        for found in files.find(root):
            target = folder / str(found).removeprefix(root.rstrip("/")).lstrip("/")
            if not target.resolve().is_relative_to(folder.resolve()):
                raise ValueError(f"{found} lies outside")
            target.parent.mkdir(parents=True, exist_ok=True)
            files.get_file(found, str(target))
    except (OSError, ValueError, ImportError) as error:
        raise LogError(f"log {url}", wanted="a place that can be read", got=str(error)[:120]) from error


def _opened(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    files, root = url_to_fs(url)
    return files, str(root)
