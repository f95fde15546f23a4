"""How model B differs from model A: every tensor, and every file that decides how it is run. Streams; nothing is loaded."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np
from threadpoolctl import threadpool_limits

from molehunt.errors import ModelError
from molehunt.provenance.file_differences import file_changes
from molehunt.provenance.hashing import Contents, look
from molehunt.provenance.limits import Limits
from molehunt.provenance.tensor_diff import Sums, compare_tensors
from molehunt.provenance.tensor_places import Place, Weights, are_equal, digest_of, weights_of
from molehunt.records.diffs import DiffReport, DiffShape, TensorDiff

_STRANGERS = 0.5
"""Median cosine between matrices below which one model was not made from the other: two trainings from different seeds come to about
0, a fine-tuning stays above 0.9."""
_THREADS = 4
"""At most: each holds samples and sketches of up to 200 MB."""


def diff_models(
    a: Path, b: Path, limits: Limits | None = None, watch: Callable[[int, int], None] | None = None
) -> DiffReport:
    """Compare two model folders.

    Args:
        watch: called with (tensors compared, tensors).

    Raises:
        ModelError: if there is no such folder, it is empty, or a file changes while it is read.
        SigningError: if a folder cannot be listed.
    """
    before, after = (_folder(path) for path in (a, b))
    changes, notes, unread = file_changes(after, before, limits or Limits())
    old, new = (weights_of(one.path, list(one.files)) for one in (before, after))
    unread |= {f"A: {name}": why for name, why in old.broken.items()} | {
        f"B: {name}": why for name, why in new.broken.items()
    }
    try:
        same, tensors, whole = _tensors(old, new, watch or (lambda done, total: None))
    except OSError as error:
        raise ModelError(f"{error.filename or error}", wanted="a file that stays as it is while it is read") from None
    moved = sum(one.norm**2 for one in tensors if one.norm is not None)
    cosines = [one.cosine for one in tensors if one.of_rows and one.cosine is not None]
    cosine = median(cosines) if cosines else None
    return DiffReport(
        a=str(a), b=str(b), shape=_shape(same, tensors, cosine), identical=same, tensors=tuple(tensors),
        relative=float(np.sqrt(moved / whole)) if whole else 0.0, cosine=cosine, changes=tuple(changes),
        notes=tuple(notes), not_examined=unread,
    )  # fmt: skip


def _folder(path: Path) -> Contents:
    if not path.is_dir() or not any(path.iterdir()):
        got = "an empty folder" if path.is_dir() else "a file" if path.exists() else "no such folder"
        raise ModelError(f"model {path}", wanted="a model folder", got=got, do="check the path")
    return look(path, follow_links=True)


def _tensors(
    old: Weights, new: Weights, watch: Callable[[int, int], None]
) -> tuple[int, list[TensorDiff], float]:  # fmt: skip
    """How many are the same bytes, how the others differ, and ‖W‖² of those that changed."""
    shared = sorted(old.places.keys() & new.places.keys(), key=lambda name: -old.places[name].length)
    same, whole, found = 0, 0.0, _unmatched(old, new)
    # BLAS's own threads, beside ours, mostly wait for each other, and do so busily.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(max(1, min(_THREADS, os.cpu_count() or 1))) as pool:
        compared = pool.map(lambda name: _one(name, old.places[name], new.places[name]), shared)
        for done, (diff, sums) in enumerate(compared, 1):
            watch(done, len(shared))
            whole += sums.before if diff and diff.status == "changed" else 0.0
            same += diff is None
            found += [diff] if diff else []
    return same, sorted(found, key=lambda one: one.name), whole


def _one(name: str, before: Place, after: Place) -> tuple[TensorDiff | None, Sums]:
    if (before.dtype, before.shape) == (after.dtype, after.shape) and are_equal(before, after):
        return None, Sums()
    return compare_tensors(name, before, after)


def _unmatched(old: Weights, new: Weights) -> list[TensorDiff]:
    """Names that only one has; the same bytes under another name are renamed."""
    lost, come = old.places.keys() - new.places.keys(), new.places.keys() - old.places.keys()
    sizes = {new.places[name].told() for name in come} & {old.places[name].told() for name in lost}
    by_digest = {digest_of(new.places[name]): name for name in sorted(come) if new.places[name].told() in sizes}
    moved: dict[str, str] = {}
    for name in sorted(lost):
        place = old.places[name]
        if place.told() in sizes and (to := by_digest.pop(digest_of(place), None)):
            moved[name] = to
    found = [TensorDiff(name=name, status="renamed", told=f"now {to}") for name, to in moved.items()]
    found += [TensorDiff(name=n, status="removed", told=_lost(old, n)) for n in sorted(lost - moved.keys())]
    come -= set(moved.values())
    return found + [TensorDiff(name=n, status="added", told=new.places[n].told()) for n in sorted(come)]


def _lost(old: Weights, name: str) -> str:
    """Type and shape, and whether it was only a copy, as of tied embeddings."""
    place = old.places[name]
    alike = [other for other, one in sorted(old.places.items()) if other != name and one.told() == place.told()]
    copies = [other for other in alike if len(place.shape) > 1 and are_equal(place, old.places[other])]
    return place.told() + (f", a copy of {copies[0]}" if copies else "")


def _shape(same: int, tensors: list[TensorDiff], cosine: float | None) -> DiffShape:
    changed = [one for one in tensors if one.status == "changed"]
    if not changed:
        return "none"
    if cosine is not None and cosine < _STRANGERS and len(changed) > same:
        return "other weights"
    forms = {one.form for one in changed}
    if forms <= {"few rows", "few columns"}:
        return "few rows"
    if forms <= {"few rows", "few columns", "low rank"}:
        return "low rank"
    return "all tensors" if not same else "some tensors"
