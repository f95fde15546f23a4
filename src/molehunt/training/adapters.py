"""Low-rank adapters: put one on, take its weights, fold it in."""

import re
import warnings
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from molehunt.errors import ModelError, UsageError
from molehunt.models.loading import LoadedModel, load_model
from molehunt.training.settings import Attach, TrainingSettings

ADAPTER = "adapter"
"""Sub-folder of a model folder that holds the adapter already folded into its weights."""


def put_adapter(folder: Path, base: Path | None, settings: TrainingSettings, attach: Attach) -> LoadedModel:
    """The model of `folder` with a trainable adapter on it.

    Args:
        base: the model below the folder's own adapter; needed for "same" and "fresh".
        attach: "merge" puts a new adapter on the folder's merged weights; "same" trains the folder's own adapter on;
            "fresh" puts a new adapter beside the folder's own, which stays in place but frozen.

    Raises:
        UsageError: if "same" or "fresh" is asked of a model that was not made with an adapter.
        ModelError: if its base is not at hand, or base and adapter do not make this model.
    """
    torch.manual_seed(settings.seed)
    if attach == "merge":
        loaded = load_model(folder)
        wrapped: Any = get_peft_model(loaded.model, lora_config(loaded.model, settings))
        return LoadedModel(wrapped, loaded.chat, folder)
    own = folder / ADAPTER
    if not all((own / name).is_file() for name in ("adapter_config.json", "adapter_model.safetensors")):
        raise UsageError(
            f"--attach {attach}",
            wanted="a model made with --method lora",
            got=f"no {ADAPTER}/ with safetensors in {folder}",
            do="use --attach merge",
        )
    if base is None:
        raise ModelError(
            f"--attach {attach} of {folder}",
            wanted="the base below its adapter",
            got="no base at hand",
            do="keep the base in the store, or use --attach merge",
        )
    whole = load_model(folder)
    below = load_model(base, whole.chat.tokenizer.chat_template).model
    model: Any = PeftModel.from_pretrained(below, own, adapter_name="default", is_trainable=attach == "same")
    _check_sum(whole, model)
    if attach == "fresh":
        model.add_adapter("blue", lora_config(below, settings))
        model.base_model.set_adapter(["default", "blue"])
        for name, weight in model.named_parameters():
            weight.requires_grad_(".blue." in name)
    return LoadedModel(model, whole.chat, folder)


@torch.inference_mode()
def _check_sum(whole: LoadedModel, parts: Any) -> None:
    """An adapter that stands on other weights than `base`, or beside a second adapter, would train another model."""
    vocabulary = whole.model.get_input_embeddings().num_embeddings
    probe = torch.arange(32, device=whole.model.device)[None] * 31 % vocabulary
    was_training = parts.training
    parts.eval()
    one, two = whole.model(input_ids=probe).logits.float(), parts(input_ids=probe).logits.float()
    parts.train(was_training)
    if not (one - two).abs().max() <= 0.05 * one.abs().max().clamp(min=1):
        raise ModelError(
            f"model {whole.folder}",
            wanted="its base and its own adapter to make up its weights",
            got="another model from the two",
            do="give the base that the adapter was trained on, or use --attach merge",
        )


def lora_config(model: Any, settings: TrainingSettings) -> LoraConfig:
    """LoRA on linear layers of the blocks, scale alpha / rank (Hu et al. 2021, arXiv 2106.09685, section 4.1).

    Raises:
        ModelError: if the blocks hold no layer of the kind that `settings.targets` names.
    """
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha or 2 * settings.rank,
        target_modules="all-linear" if settings.targets == "all-linear" else _targets(model, settings.targets),
        task_type="CAUSAL_LM",
    )


_PARTS = {"attention": re.compile(r"attn|attention"), "mlp": re.compile(r"mlp|feed_forward|ffn")}
"""What families of models call the two parts of a block."""


def _targets(model: Any, part: str) -> list[str]:
    """Names, counted from the block, of the linear layers in one part of the blocks: `self_attn.q_proj`, `mlp.c_fc`."""
    linear = {
        name.removesuffix(".base_layer")
        for name, module in model.named_modules()
        if isinstance(module, (torch.nn.Linear, Conv1D)) and "lora_" not in name
    }
    inside = {found[1] for name in linear if (found := re.search(r"\.\d+\.(.+)$", name))}
    if chosen := sorted(name for name in inside if _PARTS[part].search(name)):
        return chosen
    raise ModelError(
        f"LoRA targets {part!r}", wanted="linear layers of that kind in the model's blocks",
        got=f"only {', '.join(sorted(inside)[:8]) or 'none'}", do="use all-linear",
    )  # fmt: skip


def trainable_state(model: Any) -> dict[str, torch.Tensor]:
    """Copies of the weights that training changes, by name."""
    return {name: p.detach().cpu().clone().contiguous() for name, p in model.named_parameters() if p.requires_grad}


def folded(model: Any) -> PreTrainedModel:
    """The plain model with its adapters folded into the weights; a plain model as it is."""
    if not isinstance(model, PeftModel):
        return model
    active = model.active_adapters
    return model.merge_and_unload(safe_merge=True, adapter_names=list(active))


warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)  # peft asks, transformers complains
