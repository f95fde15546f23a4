"""Matrix products by the thread that asks for them: BLAS's own threads, beside ours, mostly wait for each other, and do so busily."""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np


@contextmanager
def one_thread_each() -> Iterator[None]:
    """In this block the OpenBLAS that numpy was shipped with has no threads of its own; any other BLAS is left as it is."""
    found = _openblas()
    before = [told() for told, _ in found]
    for _, put in found:
        put(1)
    try:
        yield
    finally:
        for (_, put), count in zip(found, before, strict=True):
            put(count)


@cache
def _openblas() -> list[tuple[Callable[[], int], Callable[[int], None]]]:
    """(how many threads it uses, set how many); numpy itself has neither."""
    numpy = Path(np.__file__).parent
    found: list[tuple[Callable[[], int], Callable[[int], None]]] = []
    for path in (*numpy.parent.glob("numpy.libs/*openblas*"), *numpy.glob(".dylibs/*openblas*")):
        library = ctypes.CDLL(str(path))
        for end in ("64_", ""):
            told, put = (getattr(library, f"scipy_openblas_{do}_num_threads{end}", None) for do in ("get", "set"))
            if told and put:
                found.append((told, put))
                break
    return found
