"""Whether a machine may work for a run: it has the same installed, and sees the same store.

Nothing here, nor in the store, looks at a clock: order comes from the graph, wholeness from digests, seconds from one
process' own count. So clocks that differ change nothing.
"""

import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import FunctionType

from molehunt.errors import ClusterError


class Mark:
    """An empty file in the store: a machine that does not see it would work for nobody."""

    def __init__(self, place: str) -> None:
        from fsspec.core import url_to_fs

        self._fs, base = url_to_fs(place)
        name = f"seen-{uuid.uuid4().hex}"
        self.path = f"{place}/{name}"
        self._name = f"{base.rstrip('/')}/{name}"
        self._fs.pipe_file(self._name, b"")

    def remove(self) -> None:
        with suppress(Exception):
            self._fs.rm_file(self._name)


def look_around(mark: str) -> dict[str, str]:
    """What decides whether this machine may work for a run: who it is, what is installed, whether it sees the store.

    Imports everything itself, since it is sent as code to machines that may have another Molehunt, or none.
    """
    import hashlib
    import platform
    from importlib import metadata, util
    from pathlib import Path

    found = {"host": platform.node(), "Python": platform.python_version()}
    for name in ("molehunt", "torch", "transformers", "tokenizers", "peft", "numpy"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "none"
    spec = util.find_spec("molehunt")
    code = hashlib.sha256()
    for path in sorted(Path(spec.origin).parent.rglob("*.py")) if spec and spec.origin else ():
        code.update(path.read_bytes())
    found["code of molehunt"] = code.hexdigest()[:12]
    try:
        from fsspec.core import url_to_fs

        fs, path_of_mark = url_to_fs(mark)
        found["store"] = "seen" if fs.exists(path_of_mark) else "not seen"
    except Exception as error:
        found["store"] = f"not seen ({type(error).__name__}: {error})"
    return found


def misfit(found: Mapping[str, str], wanted: Mapping[str, str], option: str = "--store") -> ClusterError | None:
    """Why a machine may not work for a run whose driver found `wanted`; None if it may. `option` names the place that all see."""
    for name in wanted.keys() - {"host"}:
        if found.get(name) != wanted[name]:
            do = f"give {option} a folder that all machines see" if name == "store" else "install the same there"
            return ClusterError(
                f"machine {found['host']}", wanted=f"{name} {wanted[name]}, as on {wanted['host']}",
                got=found.get(name, "none"), do=do,
            )  # fmt: skip
    return None


def as_code(function: Callable[[str], dict[str, str]]) -> FunctionType:
    """A copy that pickle sends as code instead of by name, as it does with everything of `__main__`."""
    copy = FunctionType(function.__code__, {}, function.__name__)
    copy.__module__ = "__main__"
    return copy
