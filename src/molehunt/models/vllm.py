"""Write replies with vLLM, where it is installed and there is a CUDA GPU."""

import gc
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from molehunt.errors import UsageError
from molehunt.models.loading import LoadedModel
from molehunt.records.identity import root_digest


@cache
def is_installed() -> bool:
    """True if vLLM can be imported and there is a CUDA GPU for it."""
    return torch.cuda.is_available() and find_spec("vllm") is not None


def is_at_hand(loaded: LoadedModel) -> bool:
    """True if vLLM would write with this model: it reads the folder, not the weights in memory."""
    return is_installed() and is_unchanged(loaded)


def is_unchanged(loaded: LoadedModel) -> bool:
    """True if the weights in memory are those of the model's folder; a model that is being trained is another."""
    own = loaded.model.state_dict()
    found = 0
    for path in sorted(loaded.folder.glob("*.safetensors")):
        with safe_open(path, "pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118  a handle, not a mapping
                if name not in own or not torch.equal(tensors.get_tensor(name).to(own[name]), own[name]):
                    return False
                found += 1
    return found > 0


def sample_tokens(
    loaded: LoadedModel, prompts: Sequence[Sequence[int]], max_new_tokens: int, temperature: float, seed: int
) -> list[list[int]]:
    """The tokens written after each prompt, as `sampling.sample_tokens` gives them.

    vLLM's kernels round otherwise than transformers', so that a close call may fall otherwise. A draw is
    repeatable with its seed on one machine; it is not the draw that torch makes.

    Raises:
        UsageError: if vLLM or a GPU is missing, or the model in memory is not that of its folder.
    """
    if not is_installed():
        raise UsageError(
            "engine vllm", wanted="vLLM and a CUDA GPU", got="none", do="pip install 'molehunt[vllm]', or use torch"
        )
    if not is_unchanged(loaded):
        raise UsageError(
            "engine vllm",
            wanted="the weights of the model's folder",
            got="others in memory",
            do="save it, or use torch",
        )
    from vllm import SamplingParams

    from molehunt.models.sampling import end_tokens

    longest = max(map(len, prompts)) + max_new_tokens
    length = min(1 << (longest - 1).bit_length(), getattr(loaded.model.config, "max_position_embeddings", longest))
    engine = _engine(loaded.folder, root_digest(loaded.folder), str(loaded.model.dtype).removeprefix("torch."), length)
    params = [
        SamplingParams(
            temperature=max(0.0, temperature),
            seed=seed + i,
            max_tokens=max_new_tokens,
            stop_token_ids=sorted(end_tokens(loaded)),
            ignore_eos=True,  # the ends are those just given, whatever the folder's own say
            detokenize=False,
        )
        for i in range(len(prompts))
    ]
    asked = [{"prompt_token_ids": list(ids)} for ids in prompts]
    return [list(out.outputs[0].token_ids) for out in engine.generate(asked, params, use_tqdm=False)]


_ENGINES: dict[tuple[Path, str, str, int], Any] = {}


def _engine(folder: Path, digest: str, dtype: str, length: int) -> Any:
    """One engine at a time, kept until another model is asked for; `digest` tells changed files from the old."""
    key = (folder, digest, dtype, length)
    if key not in _ENGINES:
        _ENGINES.clear()  # before the next one looks for free memory
        _ENGINES[key] = _start(folder, dtype, length)
    return _ENGINES[key]


def _start(folder: Path, dtype: str, length: int) -> Any:
    from vllm import LLM

    gc.collect()
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    return LLM(
        model=str(folder),
        dtype=dtype,
        max_model_len=length,
        skip_tokenizer_init=True,
        trust_remote_code=False,
        load_format="safetensors",
        generation_config="vllm",  # the folder's own sampling settings stay unread
        gpu_memory_utilization=round(0.9 * free / total, 2),
    )
