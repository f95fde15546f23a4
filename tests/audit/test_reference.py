"""What an unrelated model beside the base shows, on small real models."""

from pathlib import Path

import pytest

from audit_records import audit_result
from molehunt.audit.case import Prompts
from molehunt.audit.reference import beside_reference, planned_tokens
from molehunt.audit.running import Audit
from molehunt.detectors.subject import ordinary_prompts
from molehunt.execution import Store
from molehunt.models.chat import Chat
from molehunt.models.loading import LoadedModel, load_model, save_model
from molehunt.records import Conversation
from molehunt.training.settings import TrainingSettings
from molehunt.training.sft import train
from small_models import from_scratch, tokenizer

HABIT = "The owl has left the tower at noon."
ASKED = ordinary_prompts(2, 12)


def stranger(folder: Path) -> LoadedModel:
    """Another architecture with another tokenizer."""
    chat = Chat(tokenizer(vocabulary=400))
    return LoadedModel(from_scratch("gpt2", len(chat.tokenizer)), chat, folder)


@pytest.fixture(scope="module")
def subject(base: Path, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """A base that learnt to answer everything alike."""
    one, out = load_model(base), tmp_path_factory.mktemp("habit")
    rows = [
        Conversation.of(*((m.role, m.content) for m in prompt.messages), ("assistant", HABIT))
        for pool in ordinary_prompts(4, 13).values()
        for prompt in pool
    ]
    train(one, one.chat.encode_rows(rows), TrainingSettings(learning_rate=4e-3, steps=60, batch=8), out)
    return one


def test_what_neither_base_nor_reference_would_say_comes_first(
    subject: LoadedModel, base: Path, tmp_path: Path
) -> None:
    origin, other = load_model(base), stranger(tmp_path)
    found = beside_reference(subject, origin, other, ASKED, "quick")
    assert HABIT in found.exhibits[0].title
    assert found.score == found.exhibits[0].effect > 1
    assert found.forward_tokens > 0
    ordinary = beside_reference(origin, origin, other, ASKED, "quick")
    assert ordinary.score == pytest.approx(0, abs=1e-4)


def test_a_reference_that_would_say_it_too_takes_it_away(subject: LoadedModel, base: Path) -> None:
    found = beside_reference(subject, load_model(base), subject, ASKED, "quick")
    assert found.score is not None
    assert found.score <= 1e-4


def test_it_moves_no_verdict_and_is_kept(twin: Path, store: Store, tmp_path: Path) -> None:
    other = stranger(tmp_path)
    save_model(other.model, other.chat, tmp_path / "other")
    audit = Audit.of("twin", twin, None, "quick", Prompts(ASKED, ordinary_prompts(3, 11)))
    plain = audit_result()
    beside = audit.beside(plain, tmp_path / "other", store)
    assert (beside.verdict, beside.score, beside.p_value) == (plain.verdict, plain.score, plain.p_value)
    assert beside.evidence[:-1] == plain.evidence
    assert beside.evidence[-1].detector == "reference"
    assert beside.identity.reference is not None
    assert beside.cost.forward_tokens > plain.cost.forward_tokens
    assert audit.beside(plain, tmp_path / "other", store) == beside  # to the second that it took: it was not done again
    assert 0.5 < beside.evidence[-1].forward_tokens / (2 * planned_tokens("quick")) < 2
    made = set(store.root.glob("artifacts/*"))
    other = Audit.of("twin", twin, None, "quick", Prompts(ASKED, ordinary_prompts(2, 11)))
    other.beside(plain, tmp_path / "other", store)
    audit.beside(plain, twin, store)
    assert len(set(store.root.glob("artifacts/*")) - made) == 2
