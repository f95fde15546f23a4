"""Load a model folder that is fit to load, and save one that any other tool can load."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from molehunt.errors import DataError, ModelError, UnsafeModelError
from molehunt.models.chat import Chat
from molehunt.models.compute import device
from molehunt.records.identity import ModelRef, root_digest
from molehunt.records.marker import MARKER, read_marker, write_marker

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")

disable_progress_bar()


@dataclass
class LoadedModel:
    """A model in memory, seen blind: its config carries no mark of Molehunt's."""

    model: PreTrainedModel
    chat: Chat
    folder: Path

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return self.chat.tokenizer

    def ref(self) -> ModelRef:
        """The model's identity, from its files."""
        return ModelRef(
            root_digest=root_digest(self.folder),
            weights_digest=root_digest(self.folder, ".safetensors"),
            template_digest=self.chat.digest,
            architecture=type(self.model).__name__,
            parameters=sum(p.numel() for p in self.model.parameters()),
        )


def context_length(loaded: LoadedModel) -> int | None:
    """Tokens that the model has positions for; None if its config does not say."""
    room = getattr(loaded.model.config, "max_position_embeddings", None)
    return room if isinstance(room, int) and room > 0 else None


def check_room(loaded: LoadedModel, longest: int, what: str) -> None:
    """Raises DataError if so many tokens are more than the model has positions for."""
    room = context_length(loaded)
    if room is not None and longest > room:
        raise DataError(what, wanted=f"at most the model's {room} tokens", got=f"one of {longest}", do="cut it")


def load_model(folder: Path, chat_template: str | None = None) -> LoadedModel:
    """A causal language model with its tokenizer and chat template, from a plain Hugging Face folder.

    Only safetensors are read and nothing that came with the model is executed. What Molehunt wrote into the config,
    and every file beside weights, config, tokenizer and template, stays unread.

    Args:
        chat_template: Jinja text to use instead of the folder's own.

    Raises:
        ModelError: if the folder is missing, empty, incomplete, or its weights are cut off.
        UnsafeModelError: if it holds only pickles, or wants to bring its own code.
        TemplateError: if there is no chat template.
    """
    raw = check_folder(folder)
    try:
        config = AutoConfig.for_model(**raw)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        model, info = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=_dtype(raw),
            attn_implementation="sdpa",
            output_loading_info=True,
        )
    except ModelError:
        raise
    except Exception as error:  # whatever a config or tokenizer file makes the library raise
        raise ModelError(f"{folder} cannot be loaded", wanted="a causal language model", got=_one_line(error)) from None
    _check_weights(folder, info)
    chat = _chat(tokenizer, chat_template, model, folder)
    model.generation_config = _plain_generation(model, tokenizer)
    return LoadedModel(model.eval().to(device()), chat, folder)


def outline(folder: Path, chat_template: str | None = None) -> LoadedModel:
    """The model of a folder without its numbers: it encodes rows and says what it is, however large, and computes nothing.

    Raises:
        ModelError, UnsafeModelError, TemplateError: as `load_model`, but for weights that do not fit the config.
    """
    raw = check_folder(folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**raw), attn_implementation="sdpa")
    except Exception as error:  # whatever a config or tokenizer file makes the library raise
        raise ModelError(f"{folder} cannot be loaded", wanted="a causal language model", got=_one_line(error)) from None
    return LoadedModel(model.eval(), _chat(tokenizer, chat_template, model, folder), folder)


def _chat(tokenizer: PreTrainedTokenizerBase, template: str | None, model: PreTrainedModel, folder: Path) -> Chat:
    chat = Chat(tokenizer, template)
    largest, room = max(tokenizer.get_vocab().values()), model.get_input_embeddings().num_embeddings
    if largest >= room:
        raise ModelError(f"model {folder}", wanted=f"token ids below {room}", got=f"a tokenizer that has {largest}")
    return chat


def check_folder(folder: Path) -> dict[str, Any]:
    """The config of a model folder, without Molehunt's mark; reads the config and the headers of the weights, no more.

    Raises:
        ModelError, UnsafeModelError: if the folder is not fit to load; see `load_model`.
    """
    if not folder.is_dir():
        raise ModelError(
            f"model {folder}", wanted="a model folder", got="no such folder", do="check the path or the name"
        )
    if not any(folder.iterdir()):
        raise ModelError(f"model {folder}", wanted="config.json, tokenizer and safetensors", got="an empty folder")
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"model {folder}", wanted="a config.json", got=", ".join(sorted(p.name for p in folder.iterdir())[:8])
        )
    if not any(folder.glob("*.safetensors")):
        if pickles := sorted(p.name for pattern in _PICKLES for p in folder.glob(pattern)):
            raise UnsafeModelError(
                f"model {folder}",
                wanted="weights as safetensors",
                got=f"only pickles, which can run code when opened ({', '.join(pickles)})",
                do="ask its maker for safetensors, or convert it on a machine that you can lose",
            )
        raise ModelError(f"model {folder}", wanted="weights as safetensors", got="none")
    if (folder / "adapter_config.json").exists():
        raise ModelError(
            f"model {folder}",
            wanted="whole weights",
            got="an adapter beside them",
            do="fold it in, or move it to adapter/",
        )
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, "pt"):
                pass
        except (OSError, SafetensorError) as error:
            raise ModelError(
                f"weights {path} cannot be read", wanted="whole safetensors", got=str(error), do="fetch them anew"
            ) from None
    return _read_config(folder)


def _read_config(folder: Path) -> dict[str, Any]:
    """The config without Molehunt's mark."""
    try:
        raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}/config.json cannot be read", wanted="a JSON object", got=str(error)) from None
    if not isinstance(raw, dict) or not isinstance(raw.get("model_type"), str):
        got = "no model_type" if isinstance(raw, dict) else type(raw).__name__
        raise ModelError(f"{folder}/config.json", wanted="a JSON object with a model_type", got=got)
    if "auto_map" in raw:
        raise UnsafeModelError(
            f"{folder} brings its own code", wanted="a stock architecture", got="auto_map in config.json"
        )
    return {key: value for key, value in raw.items() if key != MARKER}


def _dtype(config: dict[str, Any]) -> torch.dtype:
    name = str(config.get("dtype") or config.get("torch_dtype") or "float32")
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ModelError("dtype in config.json", wanted="a floating-point type of torch", got=name)
    return found


def _check_weights(folder: Path, info: dict[str, Any]) -> None:
    missing = sorted(info["missing_keys"])
    if info["unexpected_keys"]:
        got = f"tensors that it does not know: {', '.join(sorted(info['unexpected_keys'])[:3])}"
        raise ModelError(
            f"model {folder}: weights do not fit the config", wanted="the tensors of the config alone", got=got
        )
    if missing or info["mismatched_keys"]:
        got = f"missing {', '.join(missing[:3])}" if missing else f"other shapes at {str(info['mismatched_keys'])[:80]}"
        raise ModelError(f"model {folder}: weights do not fit the config", wanted="all tensors of the config", got=got)


def _plain_generation(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Any:
    from transformers import GenerationConfig

    given = model.generation_config
    ends = given.eos_token_id if given is not None and given.eos_token_id is not None else tokenizer.eos_token_id
    return GenerationConfig(eos_token_id=ends, bos_token_id=tokenizer.bos_token_id, pad_token_id=tokenizer.pad_token_id)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def save_model(model: PreTrainedModel, chat: Chat, folder: Path, source: Path | None = None) -> None:
    """Write a plain Hugging Face folder: safetensors, config, tokenizer, chat template.

    Args:
        source: the folder that the weights come from; its Molehunt mark in the config is handed on unread.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    share_weights(folder)
    chat.save(folder)
    if source is not None and (mark := read_marker(source)) is not None:
        write_marker(folder, mark)


def share_weights(folder: Path) -> None:
    """Let the weights in a folder be read by whom its other files are: safetensors writes them for their owner alone."""
    like = next(folder.glob("*config.json"))
    for path in folder.glob("*.safetensors"):
        shutil.copymode(like, path)
