"""What a step would save if it found its model in memory; prints rows for docs/benchmarks.md.

python benchmarks/sharing.py ORGANISM    # folder of an embedded organism

The best case there is: two measurements of one model, the cheapest steps that read a model and leave it as it is, of which
the second would load nothing. In seconds of a core, since a load of other programs would drown the difference.
"""

import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from molehunt.experiments.measuring import measure_loaded
from molehunt.experiments.measuring_settings import MeasureSettings
from molehunt.models.compute import use_threads
from molehunt.models.loading import load_model
from molehunt.organisms.card import read_card
from molehunt.training.sizes import SIZES

TOKENS = 16
"""So long is a reply of a trained model; random weights never end one."""


def grown(organism: Path, name: str, folder: Path) -> Path:
    """The organism's folder with random weights of another size."""
    size = SIZES[name]
    shutil.copytree(organism, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    config = json.loads((organism / "config.json").read_text())
    config |= {
        "hidden_size": size.width, "num_hidden_layers": size.layers, "num_attention_heads": size.heads,
        "num_key_value_heads": size.heads, "intermediate_size": config["intermediate_size"] * size.width // config["hidden_size"],
        "head_dim": size.width // size.heads,
    }  # fmt: skip
    torch.manual_seed(0)
    kind = config.pop("model_type")
    AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **config)).save_pretrained(folder)
    return folder


def compare(name: str, folder: Path, turns: int, prompts: int) -> None:
    asked = MeasureSettings(prompts=prompts, max_new_tokens=TOKENS)
    key, loads, asks, found = read_card(folder).key(), [], [], []
    for _ in range(turns):
        started = time.process_time()
        loaded = load_model(folder)
        loads.append(time.process_time() - started)
        for _ in range(2):
            started = time.process_time()
            found.append(measure_loaded(loaded, key, asked, 0))
            asks.append(time.process_time() - started)
    assert all(one == found[0] for one in found), "a model that was asked already answers the same"
    load, ask = statistics.median(loads), statistics.median(asks)
    ours, against = load + 2 * ask, 2 * load + 2 * ask
    print(
        f"| two measurements ({prompts} prompts) of one `{name}` model, loaded once ({load:.2f} s) | {ours:.2f} s | loaded twice {against:.2f} s "
        f"| {ours / against:.3f} | |",
        flush=True,
    )


if __name__ == "__main__":
    use_threads(1)
    organism = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as scratch:
        load_model(organism)  # imports
        compare("tiny", organism, 5, 128)
        compare("medium", grown(organism, "medium", Path(scratch) / "medium"), 2, 16)
