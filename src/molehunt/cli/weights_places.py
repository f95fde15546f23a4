"""Where the model, dataset or file lies that a `molehunt weights` command was given."""

import re
from pathlib import Path


def place_of(name: str, store: str | None) -> Path:
    """A path, a fingerprint, or an embedded size that was built.

    A hub name is refused: loading fetches only what is fit to load, and the rest is what to look at.

    Raises:
        MolehuntError: if there is nothing by that name.
    """
    from molehunt.errors import UsageError

    if Path(name).exists() or name.count("/") > 1:
        return Path(name)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not name.startswith("."):
        do = f"fetch it whole (hf download {name} --local-dir FOLDER) and name FOLDER"
        raise UsageError(f"model {name!r}", wanted="a model folder here", got="no such folder", do=do)
    from molehunt.experiments.commands import folder_of

    return folder_of(name, store)
