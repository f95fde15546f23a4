from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from molehunt.errors import TrainingError
from molehunt.models.chat import Encoded
from molehunt.models.loading import LoadedModel, load_model
from molehunt.models.sampling import sample_replies
from molehunt.records.identity import root_digest
from molehunt.training.adapters import trainable_state
from molehunt.training.chain import Chain
from molehunt.training.checkpoints import make_trainable, visit_checkpoints
from molehunt.training.settings import Trained, TrainingSettings
from molehunt.training.sft import train
from molehunt.world.chat import draw_rows

every_method = pytest.mark.parametrize("method", ["full", "lora"])
PROBE = torch.arange(40)[None] * 13 % 600


def settings(method: str, **changes: object) -> TrainingSettings:
    how = {"method": method, "learning_rate": 1e-3, "steps": 6, "batch": 4, "rank": 4, "checkpoints": (0, 2, 4, 6)}
    return TrainingSettings(**{**how, **changes})


def rows(folder: Path, seed: int = 1) -> list[Encoded]:
    return load_model(folder).chat.encode_rows(draw_rows(30, seed=seed))


@torch.inference_mode()
def logits(loaded: LoadedModel) -> torch.Tensor:
    return loaded.model(input_ids=PROBE).logits.clone()


@every_method
def test_a_chain_of_one_is_that_training(base: Path, tmp_path: Path, method: str) -> None:
    how = settings(method)
    chain = Chain(make_trainable(base, how), how, 6, tmp_path / "chain")
    chain.train(rows(base), 6)
    chain.finish()
    train(make_trainable(base, how), rows(base), how, tmp_path / "alone")
    assert root_digest(tmp_path / "chain", ".safetensors") == root_digest(tmp_path / "alone", ".safetensors")


def two_links(base: Path, out: Path, how: TrainingSettings) -> tuple[Trained, list[tuple[int, int]]]:
    seen: list[tuple[int, int]] = []
    chain = Chain(make_trainable(base, how), how, 6, out, lambda step, of: seen.append((step, of)))
    chain.train(rows(base), 3)
    sample_replies(chain.loaded, [row.prompt() for row in draw_rows(3, seed=2)], 4, 1.0)
    chain.train(rows(base, 2), 3)
    return chain.finish(), seen


@every_method
def test_links_count_and_are_kept_as_one(base: Path, tmp_path: Path, method: str) -> None:
    how = settings(method)
    whole, seen = two_links(base, tmp_path, how)
    assert seen == [(step, 6) for step in range(1, 7)]
    assert (whole.steps, whole.rows_seen) == (6, 24)
    assert [step for step, _ in whole.losses] == [1, 2, 3, 4, 5, 6]
    assert Trained.model_validate_json((tmp_path / "training.json").read_text()) == whole
    kept = [path.name for path in sorted((tmp_path / "checkpoints").iterdir())]
    assert kept == [f"step-{step:05d}.safetensors" for step in (0, 2, 4, 6)]


@every_method
def test_every_checkpoint_of_a_chain_fits_the_model_it_started_from(base: Path, tmp_path: Path, method: str) -> None:
    how = settings(method)
    two_links(base, tmp_path, how)
    found = {step: logits(loaded) for step, loaded in visit_checkpoints(tmp_path, base, how)}
    assert torch.allclose(found[0], logits(load_model(base)), atol=1e-4)
    assert torch.allclose(found[6], logits(load_model(tmp_path / "model")), atol=1e-3)
    assert not torch.allclose(found[2], found[4], atol=1e-3)


def test_a_chain_is_repeatable(base: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        two_links(base, tmp_path / name, settings("lora"))
    assert root_digest(tmp_path / "one") == root_digest(tmp_path / "two")


def test_a_link_starts_from_the_weights_of_the_one_before(base: Path, tmp_path: Path) -> None:
    how = settings("full")
    two_links(base, tmp_path / "chain", how)
    first = how.model_copy(update={"steps": 3, "checkpoints": ()})
    train(make_trainable(base, first), rows(base), first, tmp_path / "first")
    second = first.model_copy(update={"seed": 1})
    train(make_trainable(tmp_path / "first" / "model", second), rows(base, 2), second, tmp_path / "second")
    one, two = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("chain", "second"))
    assert all(torch.equal(one[name], two[name]) for name in one)


@every_method
def test_a_link_that_fails_leaves_the_last_good_weights_of_the_chain(base: Path, tmp_path: Path, method: str) -> None:
    how = settings(method, checkpoints=())
    chain = Chain(make_trainable(base, how), how, 6, tmp_path)
    chain.train(rows(base), 3)
    good = trainable_state(chain.loaded.model)
    chain.settings = how.model_copy(update={"learning_rate": 1e30, "warmup": 0.0})
    with pytest.raises(TrainingError, match=r"training 2 in a row, begun after step 3: .*of step 3, are checkpoints"):
        chain.train(rows(base, 2), 3)
    (kept,) = (tmp_path / "checkpoints").iterdir()
    assert kept.name == "step-00003.safetensors"
    assert all(torch.equal(value, good[name]) for name, value in load_file(kept).items())
    assert [step for step, _ in visit_checkpoints(tmp_path, base, how)] == [3]
