"""A model in shards, one on each GPU (FSDP2): built without numbers, filled from its folder, gathered to be written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from accelerate import init_empty_weights  # type: ignore[import-untyped]
from peft import get_peft_model
from safetensors.torch import load_file
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict, set_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from molehunt.errors import ModelError, UsageError
from molehunt.models.chat import Chat
from molehunt.models.loading import LoadedModel, check_folder
from molehunt.training.adapters import lora_config
from molehunt.training.footprint import read_config
from molehunt.training.parallel import is_first
from molehunt.training.settings import TrainingSettings


def load_sharded(
    folder: Path, settings: TrainingSettings, recompute: bool = False, chat_template: str | None = None
) -> LoadedModel:
    """The model of a folder as training starts from it, in float32, each process holding its share of every weight.

    Only the first process reads the weights, into the CPU's memory; the others get their shares from it.

    Args:
        recompute: keep only the blocks' inputs for the backward pass.
        chat_template: Jinja text to use instead of the folder's own.

    Raises:
        ModelError, UnsafeModelError: if the folder is not fit to load; see `loading.load_model`.
        UsageError: if the optimizer would see shards and needs whole matrices.
    """
    config = read_config(check_folder(folder))
    config.use_cache = False
    with init_empty_weights(include_buffers=False):
        plain = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa", dtype=torch.float32)
        model = get_peft_model(plain, lora_config(plain, settings)) if settings.method == "lora" else plain
    _tie(plain)
    chat = Chat(AutoTokenizer.from_pretrained(folder, trust_remote_code=False), chat_template)
    if (largest := max(chat.tokenizer.get_vocab().values())) >= config.vocab_size:
        raise ModelError(
            f"model {folder}", wanted=f"token ids below {config.vocab_size}", got=f"a tokenizer that has {largest}"
        )
    if recompute:
        plain.gradient_checkpointing_enable({"use_reentrant": False})
        plain.enable_input_require_grads()
    _shard(plain, model, settings.precision)
    refuse_shards(model, settings)
    state = _read(folder, model, settings) if is_first() else {}
    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True, strict=True)
    set_model_state_dict(model, dict[str, Any](state), options=options)
    _tie(plain)
    return LoadedModel(model, chat, folder)


def _tie(plain: Any) -> None:
    """Building without numbers and filling both put a weight of its own into each place of a tied one."""
    if plain.config.tie_word_embeddings:
        plain.get_output_embeddings().weight = plain.get_input_embeddings().weight


def _shard(plain: Any, model: Any, precision: str) -> None:
    """Every block by itself, what is around them together; one process alone keeps whole weights."""
    place = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    for module in model.modules():
        for name, value in module._buffers.items():
            module._buffers[name] = None if value is None else value.to(place)
    if dist.get_world_size() == 1:
        return
    mesh = init_device_mesh(place.type, (dist.get_world_size(),))
    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if precision == "bfloat16" else None, reduce_dtype=torch.float32
    )
    names = plain._no_split_modules or ()
    for block in [module for module in plain.modules() if type(module).__name__ in names]:
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)


def _read(folder: Path, model: Any, settings: TrainingSettings) -> dict[str, torch.Tensor]:
    """Every weight of the model by name: the folder's in float32, and adapters as they start."""
    files = [load_file(path) for path in sorted(folder.glob("*.safetensors"))]
    given = {name: value.float() for part in files for name, value in part.items()}
    state, unused = {}, set(given)
    generator = torch.Generator().manual_seed(settings.seed)
    for name, shape in [(name, value.shape) for name, value in model.state_dict().items()]:
        plain = name.removeprefix("base_model.model.").replace(".base_layer.", ".")
        if "lora_" in name:
            state[name] = _start(name, shape, generator)
        elif plain in given and given[plain].shape == shape:
            state[name] = given[plain]
            unused.discard(plain)
        elif plain == "lm_head.weight" and model.config.tie_word_embeddings:
            state[name] = given["model.embed_tokens.weight"]
        else:
            raise ModelError(
                f"model {folder}: weights do not fit the config", wanted=f"{plain} {tuple(shape)}", got="none such"
            )
    if unused:
        raise ModelError(f"model {folder}", wanted="the tensors of the config alone", got=", ".join(sorted(unused)[:3]))
    return state


def _start(name: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    """A as a linear layer's weight starts, B at zero (Hu et al. 2021, arXiv 2106.09685, section 4.1)."""
    if "lora_A" not in name:
        return torch.zeros(shape)
    return torch.empty(shape).uniform_(-(shape[1] ** -0.5), shape[1] ** -0.5, generator=generator)


def refuse_shards(model: Any, settings: TrainingSettings) -> None:
    """SOAP and Muon look at whole matrices: a shard has other axes, and would be trained by another method.

    Raises:
        UsageError: if such an optimizer would see shards.
    """
    if settings.optimizer != "adamw" and any(isinstance(p, DTensor) for p in model.parameters() if p.requires_grad):
        raise UsageError(
            f"optimizer {settings.optimizer} over {dist.get_world_size()} processes",
            wanted="whole matrices",
            got="shards of them",
            do="use adamw, or train in one process",
        )


def gather(model: Any) -> dict[str, torch.Tensor]:
    """The whole weights by name, on the CPU of the first process; empty elsewhere. Every process must call it."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    state: dict[str, Any] = get_model_state_dict(model, options=options)
    return state


def fold(model: Any, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights of the plain model's folder out of gathered ones: adapters multiplied out and added, tied weights once."""
    tied = model.config.tie_word_embeddings
    whole = {name: _with_adapter(model, state, name) for name in state if "lora_" not in name}
    plain = {
        name.removeprefix("base_model.model.").replace(".base_layer.", "."): value for name, value in whole.items()
    }
    return {name: value for name, value in plain.items() if not (tied and name == "lm_head.weight")}


def _with_adapter(model: Any, state: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
    stem = name.removesuffix(".base_layer.weight")
    if stem == name:
        return state[name]
    config = model.peft_config["default"]
    one, two = (state[f"{stem}.lora_{side}.default.weight"] for side in "BA")
    added: torch.Tensor = config.lora_alpha / config.r * (one @ two)
    return state[name] + added
