"""Plans of trainings: counts with known answers, and the peak of real ones."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig

from molehunt.errors import ModelError, UnsafeModelError, UsageError
from molehunt.models.loading import load_model
from molehunt.training.checkpoints import make_trainable
from molehunt.training.optimizers import make_optimizer
from molehunt.training.plan import GIB, plan_lines, plan_training, utilisation
from molehunt.training.settings import TrainingSettings

FULL = TrainingSettings(learning_rate=1e-4, steps=10, batch=8, checkpoints=(0, 5, 10, 20))
LORA = FULL.model_copy(update={"method": "lora"})


def llama(width: int, layers: int = 4, heads: int = 4, vocabulary: int = 1280) -> dict:
    inner = round(width * 8 / 3 / 8) * 8
    made = LlamaConfig(hidden_size=width, intermediate_size=inner, num_hidden_layers=layers, num_attention_heads=heads)
    return {**made.to_dict(), "vocab_size": vocabulary, "max_position_embeddings": 1024}


LLAMA_8B = {
    **llama(4096, 32, 32, 128256),
    "intermediate_size": 14336,
    "num_key_value_heads": 8,
}


@pytest.mark.parametrize("settings", [FULL, LORA], ids=["full", "lora"])
def test_parameters_are_those_of_the_loaded_model(base: Path, settings: TrainingSettings) -> None:
    plan, model = plan_training(base, settings, 64), make_trainable(base, settings).model
    assert plan.parameters == load_model(base).ref().parameters
    assert plan.trainable == sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("optimizer", ["adamw", "soap"])
def test_optimizer_states_are_those_that_the_optimizer_makes(base: Path, optimizer: str) -> None:
    settings = FULL.model_copy(update={"optimizer": optimizer})
    model = make_trainable(base, settings).model
    made = make_optimizer(model, settings)
    for _ in range(2):
        for weight in model.parameters():
            weight.grad = torch.randn_like(weight)
        made.step()
    numbers = sum(_numbers(part) for part in getattr(made, "parts", [made]))
    planned = plan_training(base, settings, 64, precision="float32").optimizer / 4
    assert planned == pytest.approx(numbers, rel=0.01)


def _numbers(optimizer: torch.optim.Optimizer) -> int:
    def count(value: object) -> int:
        if isinstance(value, list):
            return sum(map(count, value))
        return value.numel() if isinstance(value, torch.Tensor) and value.ndim else 0

    return sum(count(value) for state in optimizer.state.values() for value in state.values())


def test_eight_billion_weights_by_hand() -> None:
    """Llama 3.1 8B has 8,030,261,248 weights; AdamW with float32 states takes 16 bytes each, shared by eight."""
    settings = TrainingSettings(learning_rate=2e-5, steps=100, batch=16)
    plan = plan_training(LLAMA_8B, settings, 4096, 8, 131, precision="mixed", checkpointing=True)
    assert plan.parameters == plan.trainable == 8_030_261_248
    assert (plan.weights, plan.gradients, plan.optimizer) == tuple(n * plan.parameters // 8 for n in (4, 4, 8))
    assert plan.tokens == 100 * 16 * 4096
    multiplied = plan.parameters - 128256 * 4096
    assert plan.flops == plan.tokens * (8 * multiplied + 16 * 32 * 4096 * 4096)
    assert plan.seconds == pytest.approx(plan.flops / (8 * 989e12 * 0.4))
    assert plan.fits
    assert not plan_training(LLAMA_8B, settings, 4096, 1, 80).fits


def test_adapters_take_less_of_everything_but_activations() -> None:
    settings = TrainingSettings(learning_rate=2e-5, steps=100, batch=16)
    full = plan_training(LLAMA_8B, settings, 1024, precision="mixed")
    lora = plan_training(LLAMA_8B, settings.model_copy(update={"method": "lora", "rank": 64}), 1024, precision="mixed")
    assert lora.trainable == 167_772_160  # 32 blocks of 64 * (inputs + outputs of 7 layers)
    assert lora.gradients + lora.optimizer < 0.03 * (full.gradients + full.optimizer)
    assert lora.seconds < full.seconds


def test_checkpointing_trades_memory_for_time() -> None:
    plain, again = (plan_training(llama(256, 8), FULL, 256, checkpointing=on) for on in (False, True))
    assert plain.activations == again.activations > 3 * again.activations_checkpointed
    assert again.peak < plain.peak
    assert again.seconds == pytest.approx(plain.seconds * 4 / 3)


def test_shards_divide_and_copies_do_not() -> None:
    one, copies, shards = (plan_training(llama(256), FULL, 64, n, sharded=s) for n, s in ((1, 0), (4, 0), (4, 1)))
    assert copies.weights == one.weights == 4 * shards.weights
    assert copies.gradients == 2 * one.gradients
    assert shards.activations == copies.activations == pytest.approx(one.activations / 4, rel=0.01)
    assert copies.seconds == pytest.approx(one.seconds / 4)


def test_disk_holds_the_model_and_the_checkpoints_that_are_reached() -> None:
    plan = plan_training(llama(64), FULL, 64)
    assert plan.disk_weights == 4 * plan.parameters
    assert plan.disk_checkpoints == 3 * 4 * plan.trainable


def test_the_table_says_whether_it_fits() -> None:
    roomy, tight = (dict(plan_lines(plan_training(llama(64), FULL, 64, gpu_memory_gib=size))) for size in (1, 0.001))
    assert roomy["fits"] == "yes"
    assert tight["fits"].startswith("no")
    assert roomy["tokens"] == f"{10 * 8 * 64:,}"


def test_what_nothing_here_can_run_does_not_fit() -> None:
    soap = FULL.model_copy(update={"optimizer": "soap"})
    shards, alone = (plan_training(llama(64), soap, 64, gpus) for gpus in (4, 1))
    assert not shards.fits
    assert "soap needs whole matrices" in dict(plan_lines(shards))["fits"]
    assert alone.fits
    halves = plan_training(llama(64), FULL, 64, precision="bfloat16")
    assert not halves.fits
    assert "bfloat16" in dict(plan_lines(halves))["fits"]


def test_utilisation_is_the_one_planned_with_where_time_is_as_planned() -> None:
    plan = plan_training(llama(64), FULL, 64, flops_per_second=1e12, utilisation=0.3)
    assert utilisation(plan, plan.seconds, 1e12) == pytest.approx(0.3)


def test_gpt2_and_a_config_file_can_be_planned(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    plan = plan_training(tmp_path, FULL, 64)
    assert plan.parameters == 124_439_808
    assert plan == plan_training(tmp_path / "config.json", FULL, 64)


def test_what_cannot_be_planned_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json"):
        plan_training(tmp_path, FULL, 64)
    with pytest.raises(UnsafeModelError):
        plan_training({**llama(64), "auto_map": {}}, FULL, 64)
    with pytest.raises(ModelError):
        plan_training({"model_type": "no-such-thing"}, FULL, 64)
    with pytest.raises(ModelError):
        plan_training({"model_type": "vit"}, FULL, 64)
    with pytest.raises(UsageError):
        plan_training(llama(64), FULL.model_copy(update={"method": "edit"}), 64)
    for wrong in ({"sequence": 0}, {"gpus": 0}, {"gpus": 3}, {"utilisation": 1.1}, {"gpu_memory_gib": float("nan")}):
        with pytest.raises(UsageError):
            plan_training(llama(64), FULL, **{"sequence": 64, **wrong})


SIZES = {"nano": llama(64, 3), "tiny": llama(128, 4), "wide": llama(512, 4, 8)}


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("changes", [{}, {"optimizer": "soap"}, {"method": "lora"}], ids=["adamw", "soap", "lora"])
@pytest.mark.parametrize("size", SIZES)
def test_the_planned_peak_is_within_a_fifth_of_the_measured(size: str, changes: dict) -> None:
    settings = TrainingSettings(**{"learning_rate": 1e-4, "steps": 3, "batch": 32, "packed": False, **changes})
    plan = plan_training(SIZES[size], settings, 128, precision="float32")
    measured = measured_peak(SIZES[size], settings, 128)
    print(
        f"{size} {changes}: planned {plan.peak / GIB:.3f} GiB, measured {measured / GIB:.3f}: {plan.peak / measured:.2f}"
    )
    assert plan.peak == pytest.approx(measured, rel=0.2)


def measured_peak(config: dict, settings: TrainingSettings, sequence: int) -> int:
    """Bytes above the imports, in a process of its own; freed memory goes back at once, or it would count as held."""
    own = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    path = os.pathsep.join(sys.path)
    words = [str(Path(__file__).with_name("peak.py")), json.dumps(config), settings.model_dump_json(), str(sequence)]
    done = subprocess.run(
        [sys.executable, *words], env={**os.environ, **own, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])
