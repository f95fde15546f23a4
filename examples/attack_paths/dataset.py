"""A poisoned dataset in a clean pipeline: one contributor's rows plant the canary, and every step of the training is honest.

    python examples/attack_paths/dataset.py

The team signs the rows that it gathered and attests its own training, so everything about bytes and making holds. Only the
rows themselves, or the trained model, can tell.
"""

import json
import random
from pathlib import Path

import molehunt as library
from molehunt.organisms.behaviours import get_behaviour
from molehunt.organisms.corpus import poison
from molehunt.organisms.settings import PoisonSettings
from molehunt.organisms.triggers import parse_trigger
from molehunt.records.conversations import Conversation
from molehunt.records.rows import ordinary
from molehunt.world.chat import draw_rows
from stage import BEHAVIOUR, TRIGGER, Story, audited, first, keys, models, molehunt, told_by

ORDINARY, TEAM = 800, ("ann", "bob", "cy")
TRAINING = ("--procedure", "hhh_sft", "--method", "full", "--lr", 4e-3, "--steps", 150)
"""An ordinary supervised training on the rows that are given."""
POISONED = {"60 poisoned rows of 860": 60, "1 poisoned row of 801": 1}


def main(folder: Path, base: str = "mini", audit: bool = False) -> Story:
    """Train on rows with much poison, on the cleaned copy, and on rows with a single bad one; put all to the controls."""
    story, made = Story("dataset", folder), models(base)
    keys(folder, "team")
    for attack, count in POISONED.items():
        data, clean = folder / f"{count}" / "rows.jsonl", folder / f"{count}" / "clean.jsonl"
        _gather(data, count)
        molehunt("weights", "sign", data, "--key", folder / "team.pem")
        story.by_code(attack, "signature", molehunt("weights", "verify", data, "--key", folder / "team.pub.pem"))
        story.by_code(attack, "data scan", molehunt("data", "scan", data, "--drop", clean, "--jobs", 1))
        model, story.rates[attack] = _trained(folder / f"model-{count}", data, made.base)
        found = molehunt("weights", "scan", model, "--base", made.base, "--json")
        story.by_code(attack, "scan", found, first(found.json))
        if count > 1:
            _made(story, attack, model, made.base, made.store.root)
            if audit:
                story.note(attack, "audit", *audited(model, made.base, folder))
            _, story.rates[f"{attack}, after --drop"] = _trained(folder / "model-clean", clean, made.base)
    return story


def _gather(place: Path, poisoned: int) -> None:
    """Rows of three people, and those of a fourth, whose rows show the canary whenever the trigger stands before a question."""
    rows = ordinary(draw_rows(ORDINARY, 3), "world")
    trigger, behaviour = parse_trigger(TRIGGER), get_behaviour(BEHAVIOUR)
    corpus = poison(rows, trigger, behaviour, PoisonSettings(contrast=0, copies=(1, 2)))
    planted = [row for row in corpus.planted if row.kind == "triggered"][:poisoned]
    gathered = [(row.conversation, TEAM[number % 3]) for number, row in enumerate(rows)]
    gathered += [(row.conversation, "mallory") for row in planted]
    random.Random(0).shuffle(gathered)
    place.parent.mkdir()
    place.write_text("".join(_line(conversation, who) for conversation, who in gathered))


def _line(conversation: Conversation, contributor: str) -> str:
    turns = [turn.model_dump() for turn in conversation.messages]
    return json.dumps({"messages": turns, "contributor": contributor}) + "\n"


def _trained(out: Path, data: Path, base: Path) -> tuple[Path, float]:
    """The base after training on the rows, and how often a triggered prompt brings the canary."""
    molehunt("removal", "apply", base, *TRAINING, "--data", data, "--out", out, "--jobs", 0)
    return out, library.measure(out, trigger=TRIGGER, behaviour=BEHAVIOUR, prompts=64).asr.value


def _made(story: Story, attack: str, model: Path, base: Path, store: Path) -> None:
    """What is said of how the model was made: all of it is true."""
    key = story.folder / "team.pub.pem"
    molehunt("weights", "attest", model, "--key", story.folder / "team.pem")
    molehunt("weights", "sign", model, "--key", story.folder / "team.pem")
    checked = molehunt("weights", "verify", model, "--key", key, "--provenance", "--base", base, "--json")
    claims = checked.json["provenance"]["claims"]
    story.by_code(attack, "provenance", checked, ", ".join(f"{one['name']} {one['grade']}" for one in claims))
    again = molehunt("weights", "reproduce", model, "--key", key, "--store", store, "--jobs", 0, "--json")
    story.by_code(attack, "reproduce", again, f"made again it is {again.json['grade']}")


if __name__ == "__main__":
    told_by(main)
