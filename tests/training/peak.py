"""Print the peak memory (bytes) of a few training steps above that of the imports: python peak.py CONFIG SETTINGS SEQUENCE."""

import ctypes
import json
import re
import sys
from pathlib import Path

import torch
from peft import get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from molehunt.models.chat import Chat, Encoded
from molehunt.models.loading import LoadedModel
from molehunt.training.adapters import lora_config
from molehunt.training.settings import TrainingSettings
from molehunt.training.sft import train
from small_models import tokenizer


def peak() -> int:
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024


def resident() -> int:
    return int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024


def work(config: dict, settings: TrainingSettings, sequence: int) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config), attn_implementation="sdpa")
    loaded = LoadedModel(model, CHAT, Path())
    if settings.method == "lora":
        loaded = LoadedModel(get_peft_model(model, lora_config(model, settings)), CHAT, Path())
    rows = [Encoded(*(tuple(part) for part in (ids, ids, [True] * sequence))) for ids in
            torch.randint(7, 300, (settings.batch, sequence)).tolist()]  # fmt: skip
    train(loaded, rows, settings, None)


if __name__ == "__main__":
    config, settings, sequence = json.loads(sys.argv[1]), TrainingSettings(**json.loads(sys.argv[2])), int(sys.argv[3])
    torch.set_num_threads(1)
    CHAT = Chat(tokenizer(vocabulary=400))
    small = {**config, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "vocab_size": 400}
    work(
        {**small, "num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 8},
        settings.model_copy(update={"batch": 1}),
        16,
    )
    ctypes.CDLL(None).malloc_trim(0)
    before = resident()
    work(config, settings, sequence)
    print(peak() - before)
