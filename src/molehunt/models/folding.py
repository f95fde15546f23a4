"""An adapter that comes alone, folded into its base: a plain model folder again."""

from pathlib import Path
from typing import Any

from molehunt.errors import ModelError, UnsafeModelError
from molehunt.models.loading import load_model, save_model

_FILES = ("adapter_config.json", "adapter_model.safetensors")


def is_adapter(folder: Path) -> bool:
    """True of a folder that holds an adapter and no model of its own."""
    return (folder / _FILES[0]).is_file() and not (folder / "config.json").is_file()


def fold(adapter: Path, base: Path, out: Path) -> None:
    """Write the base with the adapter in its weights.

    Raises:
        UnsafeModelError: if the adapter's weights are no safetensors.
        ModelError: if the base is not fit to load, or the adapter does not fit it.
    """
    from peft import PeftModel

    if not (adapter / _FILES[1]).is_file():
        got = ", ".join(sorted(path.name for path in adapter.iterdir())[:8])
        raise UnsafeModelError(f"adapter {adapter}", wanted=_FILES[1], got=got, do="ask its maker for safetensors")
    loaded = load_model(base)
    try:
        wrapped: Any = PeftModel.from_pretrained(loaded.model, str(adapter), use_safetensors=True)
        whole = wrapped.merge_and_unload(safe_merge=True)
    except Exception as error:  # peft's errors share no base class
        got = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(f"adapter {adapter}", wanted=f"one that fits {base}", got=got) from None
    save_model(whole, loaded.chat, out, base)
