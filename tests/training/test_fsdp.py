"""Training in shards: two processes on this machine's CPU (gloo) against one."""

import json
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from launching import assert_close, in_two_processes
from molehunt.errors import DataError, UsageError
from molehunt.models.chat import Chat
from molehunt.models.loading import load_model, save_model
from molehunt.provenance.grading import check_provenance, verified
from molehunt.provenance.keys import KEY_VARIABLE, load_public_key
from molehunt.provenance.trust import KeyTrust
from molehunt.records.rows import ordinary
from molehunt.training.checkpoints import make_trainable, visit_checkpoints
from molehunt.training.job import Job, read_job, read_rows
from molehunt.training.launch import main
from molehunt.training.settings import Trained, TrainingSettings
from molehunt.training.sft import train
from molehunt.training.sharded import refuse_shards
from molehunt.world.chat import draw_rows
from signers import key_files
from small_models import from_scratch, tokenizer

FULL = TrainingSettings(
    learning_rate=3e-3, steps=3, batch=8, checkpoints=(0, 2), packed=False, loss_on="all", prompt_weight=0.1
)
LORA = FULL.model_copy(update={"method": "lora", "rank": 4})


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained; its width does not divide evenly, its embeddings are tied."""
    chat = Chat(tokenizer(vocabulary=401))
    ends = {"eos_token_id": chat.tokenizer.eos_token_id, "pad_token_id": chat.tokenizer.pad_token_id}
    folder = tmp_path_factory.mktemp("model")
    save_model(from_scratch("llama", len(chat.tokenizer), tie_word_embeddings=True, **ends), chat, folder)
    return folder


def write_job(folder: Path, base: Path, settings: TrainingSettings, out: str) -> Path:
    rows = ordinary(draw_rows(40, 1), "world")
    (folder / "rows.jsonl").write_text("\n".join(row.model_dump_json() for row in rows))
    job = Job(base=str(base), rows="rows.jsonl", settings=settings, out=out, rows_at_once=3)
    (folder / f"{out}.json").write_text(job.model_dump_json())
    return folder / f"{out}.json"


def test_two_processes_train_the_weights_of_one(model_folder: Path, tmp_path: Path) -> None:
    done = in_two_processes(write_job(tmp_path, model_folder, FULL, "two"))
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    rows, loaded = read_rows(tmp_path / "rows.jsonl"), make_trainable(model_folder, FULL)
    alone = train(loaded, loaded.chat.encode_rows([row.conversation for row in rows], "all"), FULL, tmp_path / "one")
    for file in ("model/model.safetensors", "checkpoints/step-00000.safetensors", "checkpoints/step-00002.safetensors"):
        assert_close(tmp_path / "one" / file, tmp_path / "two" / file)
    said = json.loads((tmp_path / "two" / "model.attestation.json").read_text())
    (step,) = said["predicate"]["buildDefinition"]["externalParameters"]["recipe"].values()
    assert (step["config"]["processes"], step["config"]["rows_at_once"]) == (2, 3)
    trained = Trained.model_validate_json((tmp_path / "two" / "training.json").read_text())
    assert trained.model_copy(update={"losses": ()}) == alone.model_copy(update={"losses": ()})
    assert load_model(tmp_path / "two" / "model").ref().parameters == load_model(model_folder).ref().parameters
    assert [step for step, _ in visit_checkpoints(tmp_path / "two", model_folder, FULL)] == [0, 2]


@pytest.mark.long
def test_two_processes_train_the_adapter_of_one(model_folder: Path, tmp_path: Path) -> None:
    done = in_two_processes(write_job(tmp_path, model_folder, LORA, "two"))
    assert done.returncode == 0, done.stderr
    assert main([str(write_job(tmp_path, model_folder, LORA, "one"))]) == 0
    assert_close(tmp_path / "one/model/model.safetensors", tmp_path / "two/model/model.safetensors")
    assert_close(tmp_path / "one/model/adapter/adapter_model.safetensors", tmp_path / "two/model/adapter/adapter_model.safetensors")  # fmt: skip


def test_one_process_alone_trains_an_adapter_that_folds_into_its_model(model_folder: Path, tmp_path: Path) -> None:
    assert main([str(write_job(tmp_path, model_folder, LORA, "one"))]) == 0
    whole = load_model(tmp_path / "one" / "model").model
    *_, (step, parts) = visit_checkpoints(tmp_path / "one", model_folder, LORA)
    assert step == 2
    again = make_trainable(tmp_path / "one" / "model", LORA, "same", base=model_folder)
    probe = torch.arange(7, 40)[None]
    with torch.inference_mode():
        assert torch.allclose(again.model.eval()(input_ids=probe).logits, whole(input_ids=probe).logits, atol=1e-4)
        assert not torch.allclose(parts.model(input_ids=probe).logits, whole(input_ids=probe).logits, atol=1e-6)


def test_a_launched_training_leaves_a_statement_beside_its_model(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key, public = key_files(tmp_path)
    trust, data = KeyTrust((load_public_key(public),)), tmp_path / "rows.jsonl"
    assert main([str(write_job(tmp_path, model_folder, LORA, "bare"))]) == 0
    bare = check_provenance(tmp_path / "bare/model", trust, model_folder, data)
    assert (bare.outcome, bare.grade) == ("not verifiable", "asserted")
    monkeypatch.setenv(KEY_VARIABLE, str(key))
    assert main([str(write_job(tmp_path, model_folder, LORA, "signed"))]) == 0
    told = check_provenance(tmp_path / "signed/model", trust, model_folder, data)
    assert told.outcome == "checked"
    grades = {claim.name: claim.grade for claim in told.claims}
    assert {name for name, grade in grades.items() if grade == "asserted"} == {"config and seeds", "code and libraries"}
    assert grades["base"] == grades["dataset"] == grades["model"] == "consistent"
    _, said = verified(tmp_path / "signed/model.attestation.json", trust)
    (step,) = said.recipe.values()
    assert (said.method, said.rank, said.seeds["run.training.seed"], step.config["processes"]) == ("lora", 4, 0, 1)
    assert step.config["training"]["learning_rate"] == LORA.learning_rate
    data.write_text("\n".join(data.read_text().split("\n")[1:]))
    assert check_provenance(tmp_path / "signed/model", trust, model_folder, data).outcome == "contradicted"
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "none.pem"))
    assert main([str(write_job(tmp_path, model_folder, LORA, "refused"))]) == 2
    assert "none.pem" in capsys.readouterr().err
    assert not (tmp_path / "refused").exists()


def test_one_process_alone_trains_in_the_precision_that_is_asked_for(model_folder: Path, tmp_path: Path) -> None:
    for name, precision in (("full", "float32"), ("half", "bfloat16")):
        how = FULL.model_copy(update={"precision": precision})
        assert main([str(write_job(tmp_path, model_folder, how, name))]) == 0
    full, half = (
        Trained.model_validate_json((tmp_path / name / "training.json").read_text()) for name in ("full", "half")
    )
    assert full.losses[0] != half.losses[0]
    assert full.losses[0][1] == pytest.approx(half.losses[0][1], rel=1e-2)


def test_a_job_whose_loss_is_no_number_writes_no_model(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wild = FULL.model_copy(update={"learning_rate": 1e30, "warmup": 0.0, "checkpoints": (0,), "steps": 5})
    assert main([str(write_job(tmp_path, model_folder, wild, "one"))]) == 2
    assert "stopped at step" in (told := capsys.readouterr().err)
    assert "of step 0" in told or "stopped at step 1" in told
    assert not (tmp_path / "one" / "model").exists()


def test_a_job_without_checkpoints_says_what_that_means(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for steps, is_told in (((), True), ((3,), True), ((2,), False)):
        how = FULL.model_copy(update={"checkpoints": steps})
        assert main([str(write_job(tmp_path, model_folder, how, f"job{steps}"))]) == 0
        assert ("no weights are left" in capsys.readouterr().err) == is_told


def test_soap_and_muon_refuse_shards_and_take_whole_matrices() -> None:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        whole = nn.Linear(4, 4)
        shards = fully_shard(nn.Linear(4, 4), mesh=init_device_mesh("cpu", (1,)))
        for optimizer in ("soap", "muon"):
            settings = FULL.model_copy(update={"optimizer": optimizer})
            refuse_shards(whole, settings)
            with pytest.raises(UsageError, match="whole matrices"):
                refuse_shards(shards, settings)
        refuse_shards(shards, FULL)
    finally:
        dist.destroy_process_group()


def test_a_job_that_cannot_be_done_is_refused_before_anything_is_loaded(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job = write_job(tmp_path, model_folder, FULL, "one")
    assert read_job(job).out == str(tmp_path / "one")
    (tmp_path / "bad.json").write_text(json.dumps({**json.loads(job.read_text()), "colour": "red"}))
    assert main([str(tmp_path / "bad.json")]) == 2
    assert "colour" in capsys.readouterr().err
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "kept").touch()
    with pytest.raises(UsageError, match="something there"):
        read_job(job)
    (tmp_path / "one" / "kept").unlink()
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UsageError, match="3 processes can share"):
        read_job(job)
    (tmp_path / "rows.jsonl").write_text('{"conversation": 1}\n')
    with pytest.raises(DataError, match="line 1"):
        read_rows(tmp_path / "rows.jsonl")
