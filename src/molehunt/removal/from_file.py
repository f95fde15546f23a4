"""A procedure of the user's own, from a Python file that the user names."""

import importlib.util
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from molehunt.errors import MolehuntError, UsageError
from molehunt.records.base import sha256_text
from molehunt.removal.procedure import Procedure, Treated, Treatment


def is_from_file(name: str) -> bool:
    """True for `path/file.py:name`."""
    return name.rpartition(":")[0].endswith(".py")


def load_procedure(spec: str) -> Procedure:
    """The procedure that `path/file.py:name` stands for; the file is executed, as its owner asks.

    `name` is a `Procedure`, or a function from `Treatment` to `Treated`.

    Raises:
        UsageError: if there is no such file or name, if the file cannot be executed, or if the name is something else.
    """
    path, _, name = spec.rpartition(":")
    found = getattr(_execute(_file(spec)), name, None)
    if isinstance(found, Procedure):
        return replace(found, apply=_checked(spec, found.apply))
    if found is None or isinstance(found, type) or not callable(found):
        got = f"nothing called {name!r}" if found is None else f"a {type(found).__name__}"
        raise UsageError(
            f"procedure {spec}", wanted="a Procedure, or a function from Treatment to Treated", got=got,
            do=f"see what {path} defines",
        )  # fmt: skip
    summary = " ".join((found.__doc__ or "").split("\n\n")[0].split()) or f"a procedure from {Path(path).name}"
    return Procedure(spec, summary, _checked(spec, found))


def source_digest(spec: str) -> str:
    """SHA-256 of the file of `path/file.py:name`; what the file imports does not enter.

    Raises:
        UsageError: if there is no such file.
    """
    return sha256_text(_read(_file(spec)))


def _file(spec: str) -> Path:
    path = Path(spec.rpartition(":")[0])
    if not path.is_file():
        raise UsageError(f"procedure {spec}", wanted="path/file.py:name", got=f"no file {path}", do="check the path")
    return path


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read", wanted="Python in UTF-8", got=str(error)) from None


def _execute(path: Path) -> Any:
    """The file as a module; one of its own for every content, so that an edited file is not taken for the old one."""
    name = f"molehunt_user_{sha256_text(str(path.resolve()) + _read(path))[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "a .py file has a loader"
    assert spec.loader is not None, "a .py file has a loader"
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever the user's own code raises
        del sys.modules[name]
        raise UsageError(f"{path} cannot be executed", wanted="a Python module", got=told_where(error, path)) from error
    return module


def _checked(spec: str, function: Callable[[Treatment], Any]) -> Callable[[Treatment], Treated]:
    """The function, held to what a procedure returns and leaves behind."""

    def apply(treatment: Treatment) -> Treated:
        try:
            treated = function(treatment)
        except MolehuntError:
            raise
        except (Exception, SystemExit) as error:  # whatever the user's own code raises
            raise UsageError(
                f"procedure {spec} failed", got=told_where(error, Path(spec.rpartition(":")[0]))
            ) from error
        if not isinstance(treated, Treated):
            raise UsageError(f"procedure {spec}", wanted="to return a Treated", got=type(treated).__name__)
        if not (treatment.out / "model" / "config.json").is_file():
            raise UsageError(f"procedure {spec}", wanted="the treated model at treatment.out / 'model'", got="none")
        return treated

    return apply


def told_where(error: BaseException, path: Path) -> str:
    """What was raised, and in which line of the user's file at `path`, if it came through there."""
    lines = [
        f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).resolve() == path.resolve()
    ]
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).resolve() == path.resolve():
        lines.append(error.lineno)
    said = f"{type(error).__name__}: {' '.join(_said(error).split())[:_LONGEST]}"
    return f"{said} (line {lines[-1]} of {path.name})" if lines else said


def _said(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
    return str(error)


_LONGEST = 300
"""Characters of an error that are passed on."""
