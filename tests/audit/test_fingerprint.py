"""Whether rows that no text trains tell a base from a stranger, on small real models changed in ways of which the answer is known."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from molehunt.audit.case import ordinary
from molehunt.audit.fingerprint import fingerprint
from molehunt.audit.identity import kinship
from molehunt.audit.running import Audit
from molehunt.models.chat import Chat
from molehunt.models.loading import LoadedModel, load_model, save_model
from molehunt.training.embedded import make_tokenizer, size_config
from molehunt.training.settings import TrainingSettings
from molehunt.training.sft import train
from molehunt.training.sizes import Size, recipe
from molehunt.world.chat import draw_rows

_BYTES = (0xC0, 0xC1, *range(0xF5, 0x100))


def rows_of(one: LoadedModel) -> torch.Tensor:
    """Ids of bytes that UTF-8 makes no use of."""
    known = one.tokenizer.get_vocab()
    return torch.tensor([known[chr(byte)] for byte in _BYTES])


def table(one: LoadedModel) -> torch.Tensor:
    found: torch.Tensor = one.model.get_input_embeddings().weight.data
    return found


def changed(folder: Path, by: Callable[[LoadedModel], None]) -> LoadedModel:
    found = load_model(folder)
    with torch.no_grad():
        by(found)
    return found


def drawn(like: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """Numbers as large as these, in directions of their own."""
    signs = torch.randint(0, 2, like.shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return like * signs


def test_children_have_their_base_s_rows(organism: Path, twin: Path, base: Path) -> None:
    origin = load_model(base)
    for child in (organism, twin):
        found = fingerprint(load_model(child), origin)
        assert found.says == "same"
        assert found.rows == len(_BYTES)
        assert found.cosine == pytest.approx(1, abs=1e-3)


def test_scale_type_and_shards_do_not_matter(organism: Path, base: Path, tmp_path: Path) -> None:
    def halve(one: LoadedModel) -> None:
        one.model.to(torch.bfloat16)

    def scale(one: LoadedModel) -> None:
        table(one).mul_(3)

    child = load_model(organism)
    for change in (halve, scale):
        assert fingerprint(child, changed(base, change)).says == "same"
        assert fingerprint(changed(organism, change), load_model(base)).says == "same"
    child.model.save_pretrained(tmp_path, max_shard_size="100KB")
    child.tokenizer.save_pretrained(tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert kinship(load_model(tmp_path), load_model(base)).is_base


def test_of_another_seed_they_are_others(organism: Path, base: Path) -> None:
    def elsewhere(one: LoadedModel) -> None:
        for i, tensor in enumerate(one.model.state_dict().values()):
            tensor.copy_(drawn(tensor, i))

    found = kinship(load_model(organism), changed(base, elsewhere))
    assert found.fingerprint is not None
    assert found.fingerprint.says == "other"
    assert not found.fingerprint.is_turned
    assert not found.is_base


def test_where_weights_and_rows_disagree_nothing_is_compared(organism: Path, base: Path, tmp_path: Path) -> None:
    def rows_alone(one: LoadedModel) -> None:
        here = rows_of(one)
        table(one)[here] = drawn(table(one)[here])

    def all_but_rows(one: LoadedModel) -> None:
        here, kept = rows_of(one), table(one)[rows_of(one)].clone()
        for i, tensor in enumerate(one.model.state_dict().values()):
            tensor.copy_(drawn(tensor, i))
        table(one)[here] = kept

    child = load_model(organism)
    for change, says, alike in ((rows_alone, "other", True), (all_but_rows, "same", False)):
        stranger = changed(base, change)
        found = kinship(child, stranger)
        assert found.fingerprint is not None
        assert found.fingerprint.says == says
        assert found.cosine is not None
        assert (found.cosine > 0.5) is alike
        assert not found.is_base
        for figure in (found.cosine, found.fingerprint.cosine):
            assert f"{figure:.2f}" in found.reason
        save_model(stranger.model, stranger.chat, tmp_path / says)
        audit = Audit.of("organism", organism, tmp_path / says, "quick", ordinary())
        assert audit.case.tier == "weights"
        assert found.reason in audit.gaps[0]


def test_one_model_in_other_coordinates_is_told(organism: Path, base: Path) -> None:
    def permute(one: LoadedModel) -> None:
        """Every tensor along the residual stream: the model that comes out computes the same."""
        width = one.model.config.hidden_size
        order = torch.randperm(width, generator=torch.Generator().manual_seed(0))
        for name, tensor in one.model.state_dict().items():
            writes = name.endswith(("o_proj.weight", "down_proj.weight"))
            tensor.copy_(tensor[order] if writes or tensor.ndim == 1 else tensor[:, order])

    turned = changed(base, permute)
    ids = torch.tensor([[1, 40, 50, 60]])
    assert torch.allclose(turned.model(ids).logits, load_model(base).model(ids).logits, atol=1e-4)
    found = kinship(load_model(organism), turned)
    assert found.fingerprint is not None
    assert found.fingerprint.is_turned
    assert not found.is_base
    assert "permuted or rotated" in found.reason


def test_an_extended_vocabulary_hides_no_ancestor(organism: Path, base: Path) -> None:
    def extend(one: LoadedModel) -> None:
        one.tokenizer.add_tokens([f"<new{i}>" for i in range(20)])
        one.model.resize_token_embeddings(len(one.tokenizer))

    found = kinship(changed(organism, extend), load_model(base))
    assert "vocabularies" in found.reason
    assert found.fingerprint is not None
    assert found.fingerprint.says == "same"


@pytest.mark.parametrize("whose", ["trained", "one"])
def test_rows_that_were_trained_after_all_say_nothing(whose: str, organism: Path, base: Path) -> None:
    """Neither for the base nor against it, and that is said."""

    def spoil(one: LoadedModel) -> None:
        here = rows_of(one)
        ordinary = table(one).norm(dim=1).argsort(descending=True)[: len(here)]
        table(one)[here] = table(one)[ordinary if whose == "trained" else ordinary[:1]].clone()

    found = fingerprint(load_model(organism), changed(base, spoil))
    assert found.says == "cannot say"
    assert found.reason.endswith("in the base")
    assert fingerprint(changed(organism, spoil), load_model(base)).reason.endswith("in the subject")


def test_what_cannot_be_said_is_listed(organism: Path, base: Path, tmp_path: Path) -> None:
    def blank(one: LoadedModel) -> None:
        table(one)[rows_of(one)] = 0

    child, origin = changed(organism, blank), changed(base, blank)
    for one, name in ((child, "child"), (origin, "origin")):
        save_model(one.model, one.chat, tmp_path / name)
    audit = Audit.of("child", tmp_path / "child", tmp_path / "origin", "quick", ordinary())
    assert audit.case.tier == "base"
    assert any("rows that no text trains" in gap for gap in audit.gaps)


def test_rows_shared_with_the_output_tell_too(tmp_path: Path) -> None:
    """There the softmax pushes all of them, and what each had of its own is left."""
    size = Size(width=48, layers=1, heads=4, steps=60, rows=600, learning_rate=8e-3, vocabulary=500)
    rows = draw_rows(size.rows, seed=3)
    chat = Chat(make_tokenizer(rows, size.vocabulary))

    def made(seed: int) -> LoadedModel:
        torch.manual_seed(seed)
        config = size_config(size, len(chat.tokenizer))
        config.tie_word_embeddings = True
        one = LoadedModel(LlamaForCausalLM(config), chat, tmp_path)
        train(
            one, chat.encode_rows(rows, "all"), recipe(size, seed).model_copy(update={"batch": 8}), tmp_path / str(seed)
        )
        return one

    here, there = made(0), made(1)
    before = table(here).clone()
    origin = LoadedModel(LlamaForCausalLM(here.model.config), chat, tmp_path)
    origin.model.load_state_dict(here.model.state_dict())
    again = TrainingSettings(learning_rate=4e-3, steps=60, batch=8)
    train(here, chat.encode_rows(draw_rows(600, seed=9), "assistant"), again, tmp_path / "child")
    assert not torch.equal(before[rows_of(here)], table(here)[rows_of(here)])
    assert fingerprint(here, origin).says == "same"
    assert fingerprint(here, there).says == "other"
