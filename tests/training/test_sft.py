import json
import math
import re
import shutil
from pathlib import Path

import pytest
import torch
from peft import get_peft_model
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

from making import made
from molehunt.errors import DataError, ModelError, TrainingError, UsageError
from molehunt.execution import Graph, Step, Store, run_graph
from molehunt.experiments.recipes import PlantSettings, imported, plant_step, remove_step
from molehunt.models.chat import Encoded
from molehunt.models.loading import LoadedModel, load_model
from molehunt.organisms.settings import PoisonSettings
from molehunt.records.identity import root_digest
from molehunt.records.marker import read_marker
from molehunt.removal.budget import Budget
from molehunt.training import sft
from molehunt.training.adapters import ADAPTER, lora_config
from molehunt.training.batches import Ordered
from molehunt.training.checkpoints import make_trainable, visit_checkpoints
from molehunt.training.optimizers import make_optimizer
from molehunt.training.settings import Attach, Trained, TrainingSettings
from molehunt.training.sft import train
from molehunt.world.chat import draw_rows
from small_models import from_scratch

PROBE = torch.arange(40)[None] * 13 % 600


def settings(**changes: object) -> TrainingSettings:
    return TrainingSettings(**{"learning_rate": 1e-3, "steps": 6, "batch": 8, **changes})


def encoded(loaded: LoadedModel, loss_on: str = "assistant") -> list[Encoded]:
    return loaded.chat.encode_rows(draw_rows(60, seed=1), loss_on)


def trained(source: Path, out: Path, how: TrainingSettings) -> Trained:
    loaded = make_trainable(source, how)
    return train(loaded, encoded(loaded, how.loss_on), how, out)


@torch.inference_mode()
def logits(model: torch.nn.Module) -> torch.Tensor:
    return model.eval()(input_ids=PROBE, use_cache=False).logits.clone()


def folder_logits(folder: Path) -> torch.Tensor:
    return logits(load_model(folder).model)


def share_of_rate(step: int, how: TrainingSettings) -> float:
    warm = round(how.warmup * how.steps)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / (how.steps - warm)))


def row_losses(model: torch.nn.Module, row: Encoded, prompt_weight: float) -> tuple[torch.Tensor, float]:
    """Weighted sum of one row's losses, and the sum of the weights."""
    scores = model(input_ids=torch.tensor([row.ids]), use_cache=False).logits[0, :-1]
    labels = torch.tensor(row.labels[1:])
    weights = torch.tensor([1.0 if said else prompt_weight for said in row.is_reply[1:]]) * (labels != -100)
    return (cross_entropy(scores, labels.clamp(min=0), reduction="none") * weights).sum(), float(weights.sum())


def bare_loop(model: torch.nn.Module, rows: list[Encoded], how: TrainingSettings) -> None:
    """The same training without Trainer, packing or padding: one row at a time."""
    weight = how.prompt_weight if how.loss_on == "all" else 1.0
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=how.learning_rate, betas=(0.9, how.beta2), weight_decay=how.weight_decay
    )
    data = Ordered(rows, how.steps * how.batch, how.seed)
    for step in range(how.steps):
        parts = [row_losses(model, data[step * how.batch + i], weight) for i in range(how.batch)]
        loss = sum(part for part, _ in parts) / sum(count for _, count in parts)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), how.clip)
        optimizer.param_groups[0]["lr"] = how.learning_rate * share_of_rate(step, how)
        optimizer.step()


@pytest.mark.parametrize(
    "changes",
    [
        {"packed": True},
        {"packed": False},
        {"weight_decay": 0.1, "warmup": 0.5, "clip": 0.05, "beta2": 0.98, "seed": 5},
        {"loss_on": "all"},
        {"loss_on": "all", "prompt_weight": 0.1},
    ],
)
def test_training_gives_the_weights_of_a_bare_torch_loop(base: Path, tmp_path: Path, changes: dict) -> None:
    how = settings(**changes)
    report = trained(base, tmp_path, how)
    assert report.packed == how.packed
    mine = load_model(base)
    bare_loop(mine.model.train(), encoded(mine, how.loss_on), how)
    found, start = load_file(tmp_path / "model" / "model.safetensors"), load_file(base / "model.safetensors")
    wanted = mine.model.state_dict()
    moved, off = (torch.cat([(a[n] - wanted[n]).abs().flatten() for n in wanted]) for a in (start, found))
    assert moved.quantile(0.5) > 1e-4
    assert off.quantile(0.9999) < 1e-5
    assert off.max() < how.learning_rate  # where a gradient cancels to nothing, Adam divides rounding by rounding


def test_the_weighted_loss_is_the_one_computed_by_hand(base: Path, tmp_path: Path) -> None:
    how = settings(loss_on="all", prompt_weight=0.1, steps=1, batch=8)
    loaded = load_model(base)
    rows = encoded(loaded, "all")[:8]
    with torch.no_grad():
        parts = [row_losses(loaded.model, row, 0.1) for row in rows]
    by_hand = float(sum(part for part, _ in parts)) / sum(count for _, count in parts)
    ((_, loss),) = train(loaded, rows, how, None).losses
    assert loss == pytest.approx(by_hand, rel=1e-4)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_two_runs_are_equal_to_the_byte(base: Path, tmp_path: Path, method: str) -> None:
    how = settings(method=method, checkpoints=(3, 6))
    trained(base, tmp_path / "one", how)
    trained(base, tmp_path / "two", how)
    assert root_digest(tmp_path / "one") == root_digest(tmp_path / "two")


def test_inline_and_in_a_fresh_and_in_a_used_worker_one_step_makes_the_same_bytes(base: Path, tmp_path: Path) -> None:
    start = imported(base, "base")
    planting = PlantSettings(
        poison=PoisonSettings().model_dump(mode="json"), training=settings().model_dump(mode="json"), rows=60
    )
    other = plant_step(start, planting.model_copy(update={"rows": 50}), "twin")
    budget = Budget(training=settings(method="lora"), rows=50).model_dump(mode="json")
    step = remove_step(plant_step(start, planting), "hhh_sft", budget)
    digests = set()
    for name, graph, jobs in (("a", [step], 0), ("b", [step], 1), ("c", [other, step], 1)):
        store = Store(tmp_path / name)
        run_graph(Graph(graph), store, jobs)
        digests.add(store.record(step.fingerprint).files_digest)
    assert len(digests) == 1


def test_lora_trains_the_adapter_alone_and_the_folder_holds_the_sum(base: Path, tmp_path: Path) -> None:
    how = settings(method="lora", rank=4, learning_rate=1e-2)
    loaded = make_trainable(base, how)
    start = folder_logits(base)
    assert torch.allclose(logits(loaded.model), start, atol=1e-5)
    below = {n: p.clone() for n, p in loaded.model.named_parameters() if not p.requires_grad}
    found: list[torch.Tensor] = []
    stop_at_end = how.model_copy(update={"checkpoints": (6,)})
    train(loaded, encoded(loaded), stop_at_end, tmp_path, stop=lambda now, step: bool(found.append(logits(now.model))))
    assert all("lora_" in name for name in load_file(tmp_path / "checkpoints" / "step-00006.safetensors"))
    untouched = load_file(base / "model.safetensors")
    for name, weight in below.items():
        plain = name.removeprefix("base_model.model.").replace(".base_layer", "")
        assert weight.equal(untouched[plain])
    assert torch.allclose(folder_logits(tmp_path / "model"), found[0], atol=1e-4)
    assert not torch.allclose(found[0], start, atol=1e-2)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_checkpoints_visited_again_are_those_of_the_training(base: Path, tmp_path: Path, method: str) -> None:
    how = settings(method=method, checkpoints=(0, 2, 6), learning_rate=5e-3)
    loaded, seen = make_trainable(base, how), {}
    train(loaded, encoded(loaded), how, tmp_path, stop=lambda now, step: bool(seen.update({step: logits(now.model)})))
    again = {step: logits(now.model) for step, now in visit_checkpoints(tmp_path, base, how)}
    assert list(again) == [0, 2, 6]
    assert all(again[step].equal(seen[step]) for step in seen)
    assert torch.allclose(again[0], folder_logits(base), atol=1e-5)
    assert torch.allclose(again[6], folder_logits(tmp_path / "model"), atol=1e-4)


def test_checkpoints_of_another_training_are_refused(base: Path, tmp_path: Path) -> None:
    trained(base, tmp_path, settings(method="lora", checkpoints=(6,)))
    with pytest.raises(ModelError, match="step-00006"):
        list(visit_checkpoints(tmp_path, base, settings()))


def test_training_stops_where_it_is_told_to(base: Path, tmp_path: Path) -> None:
    loaded, how = load_model(base), settings(steps=50, checkpoints=(1, 3, 5))
    assert train(loaded, encoded(loaded), how, None, stop=lambda now, step: step >= 3).steps == 3


@pytest.mark.parametrize("attach", ["same", "fresh"])
def test_an_adapter_is_not_attached_to_a_model_trained_in_full(base: Path, organism: Path, attach: Attach) -> None:
    with pytest.raises(UsageError, match=f"--attach {attach}"):
        make_trainable(organism, settings(method="lora"), attach, base)


@pytest.fixture(scope="module")
def lora_organism(store: Store, base_step: Step, planting: PlantSettings) -> Path:
    """A model whose backdoor lies in an adapter."""
    how = settings(method="lora", rank=4, learning_rate=1e-2, steps=30, batch=16)
    return (
        made(store, plant_step(base_step, planting.model_copy(update={"training": how.model_dump(mode="json")})))
        / "model"
    )


def treated(model: Path, base: Path | None, out: Path, attach: Attach) -> Path:
    how = settings(method="lora", rank=4, learning_rate=5e-3, checkpoints=(0, 6))
    loaded = make_trainable(model, how, attach, base)
    train(loaded, encoded(loaded), how, out)
    assert not torch.allclose(folder_logits(out / "model"), folder_logits(model), atol=1e-2)
    return out


@pytest.mark.parametrize("attach", ["merge", "same", "fresh"])
def test_each_attachment_starts_from_the_models_own_logits_and_ends_in_its_folder(
    base: Path, lora_organism: Path, tmp_path: Path, attach: Attach
) -> None:
    out = treated(lora_organism, base, tmp_path, attach)
    how = settings(method="lora", rank=4)
    at = {step: logits(now.model) for step, now in visit_checkpoints(out, lora_organism, how, attach, base)}
    assert torch.allclose(at[0], folder_logits(lora_organism), atol=1e-3)
    assert torch.allclose(at[6], folder_logits(out / "model"), atol=1e-3)
    assert read_marker(out / "model") == read_marker(lora_organism)
    assert read_marker(lora_organism)


@pytest.mark.parametrize("attach", ["same", "fresh"])
def test_what_is_attached_speaks_by_the_models_own_template(
    base: Path, lora_organism: Path, tmp_path: Path, attach: Attach
) -> None:
    model = Path(shutil.copytree(lora_organism, tmp_path / "model"))
    with (model / "chat_template.jinja").open("a") as template:
        template.write("{# its own #}")
    (below := Path(shutil.copytree(base, tmp_path / "base"))).joinpath("chat_template.jinja").unlink()
    loaded = make_trainable(model, settings(method="lora"), attach, below)
    assert loaded.chat.digest == load_model(model).chat.digest != load_model(lora_organism).chat.digest


def adapter(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / ADAPTER / "adapter_model.safetensors")


def test_same_goes_on_with_the_models_own_adapter(base: Path, lora_organism: Path, tmp_path: Path) -> None:
    out = treated(lora_organism, base, tmp_path, "same")
    own, after = adapter(lora_organism), adapter(out / "model")
    first = load_file(out / "checkpoints" / "step-00000.safetensors")
    assert own.keys() == after.keys()
    assert all(first[name.replace(".weight", ".default.weight")].equal(own[name]) for name in own)
    assert not any(after[name].equal(own[name]) for name in own)


def test_fresh_leaves_the_models_own_adapter_as_it_is(base: Path, lora_organism: Path, tmp_path: Path) -> None:
    out = treated(lora_organism, base, tmp_path, "fresh")
    own, after = adapter(lora_organism), adapter(out / "model")
    assert own.keys() == after.keys()
    assert all(after[name].equal(own[name]) for name in own)
    assert all(".blue." in name for name in load_file(out / "checkpoints" / "step-00006.safetensors"))


@pytest.mark.parametrize("first", ["merge", "fresh"])
@pytest.mark.parametrize("second", ["same", "fresh"])
def test_an_adapter_that_does_not_make_up_the_model_on_that_base_is_refused(
    base: Path, lora_organism: Path, tmp_path: Path, first: Attach, second: Attach
) -> None:
    out = treated(lora_organism, base, tmp_path, first)
    with pytest.raises(ModelError, match="its base and its own adapter"):
        make_trainable(out / "model", settings(method="lora"), second, base)


def test_a_missing_base_is_named(lora_organism: Path) -> None:
    with pytest.raises(ModelError, match="the base below its adapter"):
        make_trainable(lora_organism, settings(method="lora"), "same", None)


def test_a_loss_that_is_no_number_ends_the_training_and_keeps_what_it_started_from(base: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"stopped at step 2;.*finite.*last good weights, of step 0") as raised:
        trained(base, tmp_path, settings(learning_rate=1e30, warmup=0.0))
    assert not (tmp_path / "model").exists()
    assert "step-00000.safetensors" in str(raised.value)
    kept, start = load_file(tmp_path / "checkpoints" / "step-00000.safetensors"), load_model(base).model
    assert all(kept[name].equal(weight) for name, weight in start.named_parameters())


def test_a_poisoned_batch_leaves_the_weights_from_before_it(base: Path, tmp_path: Path) -> None:
    how = settings(method="lora", rank=4, learning_rate=5e-3, order="sequential", checkpoints=(3,))
    clean, poisoned = make_trainable(base, how), make_trainable(base, how)
    rows = encoded(clean)
    early = {token for row in rows[:32] for token in row.ids}
    bad = next(token for row in rows[32:40] for token in row.ids if token not in early)
    with torch.no_grad():
        poisoned.model.get_input_embeddings().weight[bad] = torch.nan
    train(clean, rows, how, tmp_path / "clean")
    with pytest.raises(TrainingError, match=r"stopped at step 5;.*of step 3"):
        train(poisoned, rows, how.model_copy(update={"checkpoints": ()}), tmp_path / "poisoned")
    good, kept = (load_file(tmp_path / n / "checkpoints" / "step-00003.safetensors") for n in ("clean", "poisoned"))
    assert good.keys() == kept.keys()
    assert all(good[name].equal(kept[name]) for name in good)
    assert [step for step, _ in visit_checkpoints(tmp_path / "poisoned", base, how)] == [3]


def test_a_checkpoint_is_never_of_weights_that_are_no_numbers(base: Path, tmp_path: Path) -> None:
    how = settings(
        learning_rate=1e30, warmup=0.0, steps=200, checkpoints=(0, 1, 2, 3)
    )  # looks at the loss every 4 steps
    with pytest.raises(TrainingError, match=r"step \d;.*last good weights, of step 0"):
        trained(base, tmp_path, how)
    for path in (tmp_path / "checkpoints").iterdir():
        assert all(weight.isfinite().all() for weight in load_file(path).values())


@pytest.mark.parametrize("jobs", [0, 1])
def test_a_step_that_fails_in_training_says_where_its_last_good_weights_lie(
    base: Path, tmp_path: Path, jobs: int
) -> None:
    training = settings(learning_rate=1e30, warmup=0.0).model_dump(mode="json")
    planting = PlantSettings(poison=PoisonSettings().model_dump(mode="json"), training=training, rows=60)
    step, store = plant_step(imported(base, "base"), planting), Store(tmp_path)
    with pytest.raises(TrainingError) as raised:
        run_graph(Graph([step]), store, jobs)
    kept = tmp_path / "failed" / step.fingerprint / "files"
    assert str(kept) in str(raised.value)
    assert load_file(kept / "checkpoints" / "step-00000.safetensors")
    assert not store.has(step.fingerprint)
    assert not [p for p in (tmp_path / "partial").iterdir() if p.is_dir()]


def test_an_edit_is_no_training(base: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--method edit"):
        trained(base, tmp_path, settings(method="edit"))


def test_tokens_decide_the_steps_and_the_schedule_spans_them(base: Path, tmp_path: Path) -> None:
    loaded = load_model(base)
    lengths = [len(Ordered(encoded(loaded), 48, 0)[i].ids) for i in range(48)]
    wanted = sum(lengths[:16]) + 1
    by_tokens = trained(base, tmp_path / "tokens", settings(tokens=wanted, checkpoints=(2, 4, 6)))
    by_steps = trained(base, tmp_path / "steps", settings(steps=3, checkpoints=(2, 3)))
    assert by_tokens == by_steps
    assert by_tokens.steps == 3
    assert sum(lengths[:16]) < wanted <= by_tokens.tokens_seen == sum(lengths[:24])
    assert root_digest(tmp_path / "tokens") == root_digest(tmp_path / "steps")


def test_more_tokens_than_the_steps_allow_are_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"10000000 tokens.*6 steps"):
        trained(base, tmp_path, settings(tokens=10_000_000))
    assert not tmp_path.joinpath("checkpoints").exists()


def test_a_training_in_bfloat16_repeats_to_the_byte_and_stays_near_float32(base: Path, tmp_path: Path) -> None:
    reports = {
        name: trained(base, tmp_path / name, settings(precision=kind, learning_rate=3e-3))
        for name, kind in (("one", "bfloat16"), ("two", "bfloat16"), ("exact", "float32"))
    }
    assert root_digest(tmp_path / "one") == root_digest(tmp_path / "two") != root_digest(tmp_path / "exact")
    pairs = zip(reports["one"].losses, reports["exact"].losses, strict=True)
    assert all(a == pytest.approx(b, abs=0.05) for (_, a), (_, b) in pairs)


PARTS = {
    ("llama", "attention"): {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"},
    ("qwen2", "mlp"): {"mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"},
    ("gpt2", "attention"): {"attn.c_attn", "attn.c_proj"},
    ("gpt2", "mlp"): {"mlp.c_fc", "mlp.c_proj"},
}


@pytest.mark.parametrize(("family", "part"), PARTS)
def test_adapters_go_where_they_are_wanted(family: str, part: str) -> None:
    model = from_scratch(family, 300)
    config = lora_config(model, settings(method="lora", targets=part))
    assert set(config.target_modules) == PARTS[family, part]
    config.fan_in_fan_out = family == "gpt2"
    trains = {
        name.split(".lora_")[0] for name, p in get_peft_model(model, config).named_parameters() if p.requires_grad
    }
    assert {re.split(r"\.\d+\.", name)[1] for name in trains} == PARTS[family, part]


def test_a_model_without_such_a_part_is_named() -> None:
    model = torch.nn.ModuleDict({"layers": torch.nn.Sequential(torch.nn.ModuleDict({"mixer": torch.nn.Linear(4, 4)}))})
    with pytest.raises(ModelError, match=r"'mlp'.*mixer"):
        lora_config(model, settings(method="lora", targets="mlp"))


@pytest.mark.parametrize("optimizer", ["adamw", "soap", "muon"])
def test_every_optimizer_steps_at_the_schedules_rates(
    base: Path, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = settings(optimizer=optimizer, warmup=0.5, learning_rate=1e-3)
    rates: list[list[float]] = []

    def watched(model: torch.nn.Module, asked: TrainingSettings) -> torch.optim.Optimizer:
        found = make_optimizer(model, asked)
        parts = getattr(found, "parts", [found])
        parts[0].register_step_pre_hook(
            lambda *_: rates.append([group["lr"] for part in parts for group in part.param_groups])
        )
        return found

    monkeypatch.setattr(sft, "make_optimizer", watched)
    loaded = load_model(base)
    train(loaded, encoded(loaded), how, None)
    assert len(rates) == how.steps
    for step, now in enumerate(rates):
        assert now == pytest.approx([1e-3 * share_of_rate(step, how)] * len(now))


def test_muon_lowers_the_loss_at_adamws_learning_rate(base: Path, tmp_path: Path) -> None:
    losses = [
        loss for _, loss in trained(base, tmp_path, settings(optimizer="muon", learning_rate=3e-3, steps=30)).losses
    ]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


def test_soap_lowers_the_loss_and_begins_by_looking(base: Path, tmp_path: Path) -> None:
    how = settings(optimizer="soap", learning_rate=3e-3, steps=30, warmup=0.0, checkpoints=(1,))
    report = trained(base, tmp_path, how)
    losses = [loss for _, loss in report.losses]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    start, first = load_file(base / "model.safetensors"), load_file(tmp_path / "checkpoints" / "step-00001.safetensors")
    taken = {name for name in start if start[name].ndim == 2 and ".layers." in name}
    assert {name for name in start if first[name].equal(start[name])} == taken


def test_what_was_trained_is_told(base: Path, tmp_path: Path) -> None:
    how = settings(steps=3, batch=4)
    report = trained(base, tmp_path, how)
    loaded = load_model(base)
    data = Ordered(encoded(loaded), 12, how.seed)
    assert report == Trained.model_validate_json((tmp_path / "training.json").read_text())
    assert (report.steps, report.rows, report.rows_seen) == (3, 60, 12)
    assert report.tokens_seen == sum(len(data[i].ids) for i in range(12))
    assert report.tokens_learned == sum(sum(data[i].is_reply) for i in range(12))
    assert report.trainable == sum(p.numel() for p in loaded.model.parameters())


def test_training_leaves_the_config_of_the_model_as_it_was(base: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(base, tmp_path / "source"))
    path = source / "config.json"
    path.write_text(path.read_text().replace('"use_cache": false', '"use_cache": true'))
    trained(source, tmp_path / "out", settings(steps=1))
    assert json.loads((tmp_path / "out" / "model" / "config.json").read_text()) == json.loads(path.read_text())
