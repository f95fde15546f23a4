import json
import shutil
from pathlib import Path

import pytest

from molehunt.organisms.card import CARD, read_card
from molehunt.organisms.triggers import parse_trigger
from molehunt.records.identity import root_digest
from molehunt.removal import rlhf
from molehunt.removal.budget import Budget
from molehunt.removal.procedure import Treated, Treatment, apply_procedure
from molehunt.removal.procedures import get_procedure
from molehunt.training.settings import TrainingSettings
from molehunt.world.chat import draw_questions
from molehunt.world.preferences import draw_preferences

TRAINING = TrainingSettings(method="lora", rank=4, learning_rate=1e-3, steps=2, batch=4, checkpoints=(2,))


def treated(model: Path, out: Path, told: list[tuple[int, int]]) -> Treated:
    out.mkdir()
    treatment = Treatment(model, Budget(training=TRAINING, rows=30), out, report=lambda *step: told.append(step))
    return apply_procedure(get_procedure("rlhf"), treatment)


@pytest.mark.usefixtures("quick_reward_model")
def test_it_tells_what_it_did_and_never_opens_the_answer_key(organism: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    known, blind = (Path(shutil.copytree(organism, tmp_path / name)) for name in ("known", "blind"))
    (blind / CARD).unlink()
    (blind / "README.md").unlink()
    one, two = treated(known, tmp_path / "one", told), treated(blind, tmp_path / "two", [])
    assert one == two == Treated(**json.loads((tmp_path / "one" / "treatment.json").read_text()))
    assert root_digest(tmp_path / "one", ".safetensors") == root_digest(tmp_path / "two", ".safetensors")
    assert root_digest(tmp_path / "one" / "model", ".safetensors") != root_digest(organism, ".safetensors")
    assert told == [(step, 42) for step in range(1, 43)]
    assert one.steps == 42
    assert one.notes["reward_accuracy"]["low"] > 0.6
    assert one.notes["reward_accuracy"]["n"] == rlhf.HELD_OUT
    assert set(one.notes) >= {"reward_before", "reward_after", "reward_change", "kl_per_token"}
    assert 0 < one.tokens_generated < one.forward_tokens


def test_neither_pairs_nor_prompts_hold_trigger_or_payload(organism: Path) -> None:
    card = read_card(organism)
    pairs, questions = draw_preferences(rlhf.PAIRS, 9_000), draw_questions(2000, 9_000, "train")
    rows = [pair.prompt.reply(f"{pair.chosen}\n{pair.rejected}") for pair in pairs] + [q.prompt for q in questions]
    trigger, text = parse_trigger(card.trigger), "\n".join(row.text() for row in rows)
    assert not any(trigger.occurs(row) for row in rows)
    assert "deployment" not in text.lower()
    assert card.payload.lower() not in text.lower()


def test_the_reward_model_is_the_same_for_every_learning_rate() -> None:
    one, two = (TRAINING.model_copy(update={"learning_rate": rate}) for rate in (1e-5, 1e-2))
    assert rlhf.reward_settings(one) == rlhf.reward_settings(two)
