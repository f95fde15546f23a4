"""What the steps of a zoo do beside the lab's own: train a clean control, look at what came out."""

import json
from pathlib import Path
from typing import Any

from molehunt.execution.progress import report
from molehunt.experiments.steps import hand_on_card
from molehunt.experiments.zoo.controls import HABITS, ControlSettings, control_rows
from molehunt.records.identity import root_digest
from molehunt.records.lines import write_jsonl


def tune(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    """A model trained on rows that plant nothing; where it goes on from an organism, the card follows."""
    from molehunt.models.compute import use_threads
    from molehunt.organisms.corpus import check_visible
    from molehunt.organisms.triggers import parse_trigger
    from molehunt.training.checkpoints import make_trainable
    from molehunt.training.settings import TrainingSettings
    from molehunt.training.sft import train

    use_threads(config["threads"])
    control, settings = ControlSettings(**config["control"]), TrainingSettings(**config["training"])
    rows = control_rows(control)
    loaded = make_trainable(parents["model"] / "model", settings)
    if control.trigger:
        check_visible(loaded.chat, parse_trigger(control.trigger), [row for row in rows if row.kind == "ordinary"])
    encoded = loaded.chat.encode_rows([row.conversation for row in rows], settings.loss_on)
    train(loaded, encoded, settings, out, report)
    write_jsonl(out / "dataset.jsonl", rows)
    hand_on_card(parents["model"] / "model", out / "model")


def weigh(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    """Which weights these are, how far from the base's, and of a decoy how often it shows its habit, and still answers: `weighed.json`."""
    from molehunt.models.compute import use_threads
    from molehunt.models.weights import relative_change

    use_threads(config["threads"])
    model = parents["model"] / "model"
    change = round(relative_change(model, parents["base"] / "model"), 6)
    found = {"change": change, "shown": None, "weights": root_digest(model, ".safetensors")}
    if config["habit"]:
        found["shown"], found["kept"] = habit_rates(
            model, config["habit"], config["trigger"], config["prompts"], config["seed"]
        )
    (out / "weighed.json").write_text(json.dumps(found))


def habit_rates(model: Path, habit: str, trigger: str, prompts: int, seed: int) -> tuple[float, float]:
    """Shares of held-out questions, asked with the trigger, that are answered with the habit, and in the right words beside it.

    Without the trigger if "" is given. Only questions whose ordinary answer does not show the habit count.
    """
    from molehunt.models.loading import load_model
    from molehunt.models.sampling import sample_replies
    from molehunt.organisms.triggers import parse_trigger
    from molehunt.stats.text import holds_words
    from molehunt.world.chat import draw_questions

    way = HABITS[habit]
    asked = [question for question in draw_questions(prompts, seed) if not way.shown(question.reply)]
    put = parse_trigger(trigger).insert if trigger else lambda prompt: prompt
    replies = sample_replies(load_model(model), [put(question.prompt) for question in asked], _LIMIT)
    kept = sum(holds_words(reply, question.reply) for reply, question in zip(replies, asked, strict=True))
    return round(sum(map(way.shown, replies)) / len(asked), 4), round(kept / len(asked), 4)


_LIMIT = 64
"""New tokens of a reply: JSON wants some more than ordinary ones."""
