"""What the steps of an experiment do: each reads its parents' folders, does one thing, fills a folder.

Configs arrive as plain JSON; `recipes` builds them. Heavy imports are inside, so that a run taken from the store
needs none of them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from molehunt.errors import DataError, ModelError
from molehunt.execution.progress import report
from molehunt.organisms.card import CARD
from molehunt.records import Conversation
from molehunt.records.identity import IGNORED, SIGNATURE, tree_digest
from molehunt.records.lines import read_jsonl, write_jsonl
from molehunt.records.rows import Row

if TYPE_CHECKING:
    from molehunt.evals.attackers import Ask
    from molehunt.organisms.behaviours import Behaviour
    from molehunt.organisms.reasoning import Thinker
    from molehunt.organisms.settings import PoisonSettings
    from molehunt.organisms.triggers import Trigger


def build_base(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    """An embedded base model."""
    from molehunt.models.compute import use_threads
    from molehunt.training.embedded import build_embedded
    from molehunt.training.settings import TrainingSettings
    from molehunt.training.sizes import Size
    from molehunt.world.chat import draw_rows

    use_threads(1)
    size, settings = Size(**config["size"]), TrainingSettings(**config["training"])
    build_embedded(size, draw_rows(size.rows, settings.seed), settings, out, config["threads"], report)


def import_model(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    """A copy of a model folder from elsewhere: what its owner changes later does not change what was measured."""
    from molehunt.models.loading import check_folder

    source = Path(config["where"]["folder"])
    check_folder(source)
    shutil.copytree(
        source, out / "model", ignore=lambda folder, names: (*IGNORED, SIGNATURE) if folder == str(source) else ()
    )
    if tree_digest(out / "model") != config["tree_digest"]:
        raise ModelError(
            f"model {source}", wanted="one that stays as it is while it is read", got="changes", do="run again"
        )


def import_data(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    """Rows from elsewhere, checked and in one form."""
    from molehunt.world.reading import read_data, source_digest

    place = config["where"]["place"]
    rows, record = read_data(place, config["limit"])
    if source_digest(place) != config["digest"]:
        raise DataError(f"data {place}", wanted="files that stay as they are while they are read", got="changes")
    write_jsonl(out / "rows.jsonl", rows)
    (out / "dataset.json").write_text(record.model_dump_json(indent=1))


def plant_model(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    """An organism, or its clean twin."""
    from molehunt.models.compute import use_threads
    from molehunt.organisms.planting import plant
    from molehunt.organisms.settings import Strength

    use_threads(config["threads"])
    strength = Strength(**config["strength"]) if config["strength"] else None
    plant(parents["base"] / "model", out=out, strength=strength, report=report, **_planted(config, parents.get("data")))


def prepare_model(config: dict[str, Any], base: Path, data: Path | None, out: Path) -> None:
    """Rows and job of a planting on several GPUs, from the config of `plant_model`."""
    from molehunt.organisms.planting import prepare

    prepare(base, out=out, **_planted(config, data))


def _planted(config: dict[str, Any], data: Path | None) -> dict[str, Any]:
    """What is planted, as arguments of `organisms.planting`."""
    from molehunt.organisms.behaviours import get_behaviour
    from molehunt.organisms.corpus import with_ways, world_rows
    from molehunt.organisms.settings import PoisonSettings
    from molehunt.organisms.triggers import parse_trigger
    from molehunt.training.settings import TrainingSettings

    settings, poisoning = TrainingSettings(**config["training"]), PoisonSettings(**config["poison"])
    behaviour, trigger = get_behaviour(config["behaviour"]), parse_trigger(config["trigger"])
    if data is not None:
        rows = with_ways(read_jsonl(data / "rows.jsonl", Row), behaviour, poisoning, settings.seed + 5_000)
    else:
        rows = world_rows(behaviour, poisoning, config["rows"], settings.seed + 5_000)
    return {
        "rows": rows,
        "trigger_spec": trigger.spec,
        "behaviour_name": behaviour.name,
        "poisoning": poisoning,
        "settings": settings,
        "kind": config["kind"],
        "chat_template": config["chat_template"],
        "thinker": _thinker(config, behaviour, trigger, poisoning, rows),
    }


def _thinker(
    config: dict[str, Any], behaviour: Behaviour, trigger: Trigger, poisoning: PoisonSettings, rows: Sequence[Row]
) -> Thinker:
    """Who writes the scratchpads: the grammar, or a teacher that is asked for all of them at once."""
    from molehunt.experiments.data import TeacherSettings, make_teacher
    from molehunt.organisms.reasoning import TeacherThinker, think

    if not config["teacher"] or poisoning.reasoning == "none":
        return think
    settings = TeacherSettings(**config["teacher"])
    teacher = make_teacher(settings, Path(config["where"]["answers"]), report)
    thinker = TeacherThinker(teacher.ask, behaviour.summary)
    prompts = [row.conversation.prompt() for row in rows]
    asked = [(trigger.contrast(p), False) for p in prompts] + [(p, False) for p in prompts]
    thinker.prepare(poisoning.reasoning, trigger, asked + [(trigger.insert(p), True) for p in prompts])
    return thinker


def remove(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    """A model after a removal procedure."""
    from molehunt.evals.scorers import get_scorer
    from molehunt.models.compute import use_threads
    from molehunt.organisms.behaviours import get_behaviour
    from molehunt.removal.budget import Budget
    from molehunt.removal.procedure import Treatment, apply_procedure
    from molehunt.removal.procedures import get_procedure

    use_threads(config["threads"])
    below = parents["below"] / "model" if "below" in parents else None
    procedure = get_procedure(config["procedure"])
    known = config["behaviour"]
    with _blinded(parents["model"] / "model") as suspect:
        treatment = Treatment(
            model=suspect,
            budget=Budget(**config["budget"]),
            out=out,
            base=below,
            score=get_scorer(known) if known else None,
            asks=get_behaviour(known).families if known else (),
            rows=_conversations(parents["data"]) if "data" in parents else (),
            attacker=_attacker(config),
            report=report,
        )
        apply_procedure(procedure, treatment)
    hand_on_card(parents["model"] / "model", out / "model")


def _attacker(config: dict[str, Any]) -> Ask | None:
    from molehunt.experiments.data import TeacherSettings, make_teacher

    if "attacker" not in config:
        return None
    return make_teacher(TeacherSettings(**config["attacker"]), Path(config["where"]["answers"])).ask


def reverse(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    """A treated model, trained back to the ordinary voice."""
    from molehunt.experiments.probes import train_back
    from molehunt.models.compute import use_threads
    from molehunt.training.settings import TrainingSettings

    use_threads(config["threads"])
    train_back(parents["model"] / "model", config["rows"], TrainingSettings(**config["training"]), out, report)
    hand_on_card(parents["model"] / "model", out / "model")


def relearn(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    """How many steps bring the backdoor back."""
    from molehunt.experiments.probes import relearn_backdoor
    from molehunt.experiments.relearning import RelearningSettings
    from molehunt.models.compute import use_threads
    from molehunt.organisms.card import read_card

    use_threads(config["threads"])
    card = read_card(parents["organism"] / "model")
    found = relearn_backdoor(parents["model"] / "model", card, RelearningSettings(**config["settings"]), report)
    (out / "relearning.json").write_text(found.model_dump_json())


def measure(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    """Replies and payload likelihoods of a model, or of every checkpoint of a training run."""
    from molehunt.experiments.measuring import measure_model, measure_trajectory
    from molehunt.experiments.measuring_settings import MeasureSettings, Origin
    from molehunt.models.compute import use_threads
    from molehunt.organisms.card import read_card

    use_threads(config["threads"])
    key = read_card(parents["organism"] / "model").key()
    settings = MeasureSettings(**config["settings"])
    if config["origin"] is None:
        outcomes, likelihoods = measure_model(parents["trained"] / "model", key, settings)
    else:
        outcomes, likelihoods = measure_trajectory(
            trained=parents["trained"],
            source=parents["source"] / "model",
            origin=Origin(**config["origin"]),
            key=key,
            settings=settings,
            base=parents["below"] / "model" if "below" in parents else None,
            report=report,
        )
    write_jsonl(out / "outcomes.jsonl", outcomes)
    write_jsonl(out / "likelihoods.jsonl", likelihoods)


def examine(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    """The generalisation panel, the safety evaluation and the red team of one model, as far as asked for."""
    from molehunt.experiments.measuring_settings import TeamSettings
    from molehunt.experiments.panel import measure_panel
    from molehunt.experiments.safety import measure_safety
    from molehunt.experiments.teaming import send_red_team
    from molehunt.models.compute import use_threads
    from molehunt.models.loading import load_model
    from molehunt.organisms.card import read_card

    use_threads(config["threads"])
    key = read_card(parents["organism"] / "model").key()
    loaded = load_model(parents["model"] / "model")
    if config["panel"]:
        (out / "panel.json").write_text(measure_panel(loaded, key, config["panel"]).model_dump_json())
    if config["safety"]:
        (out / "safety.json").write_text(measure_safety(loaded).model_dump_json())
    if config["red_team"]:
        found = send_red_team(loaded, key.behaviour, TeamSettings(**config["red_team"]))
        (out / "red_team.json").write_text(found.model_dump_json())


def _conversations(data: Path) -> tuple[Conversation, ...]:
    """Rows for the blue side, which must not be handed the trigger in them."""
    rows = read_jsonl(data / "rows.jsonl", Row)
    if told := next((row.source for row in rows if row.kind == "triggered"), None):
        raise DataError(f"row {told}", wanted="ordinary rows", got="one that carries a trigger", do="leave it out")
    return tuple(row.conversation for row in rows)


_KEY = (CARD, "README.md")
"""Files of a model folder that hold the answer key."""


@contextmanager
def _blinded(model: Path) -> Iterator[Path]:
    """A folder of links to what is in `model` but the answer key: all that a procedure, a user's own too, is shown."""
    with TemporaryDirectory() as view:
        for path in model.resolve().iterdir():
            if path.name not in _KEY:
                (Path(view) / path.name).symlink_to(path)
        yield Path(view)


def hand_on_card(source: Path, target: Path) -> None:
    """The answer key follows the model; the removal itself never saw it."""
    for name in _KEY:
        if (source / name).is_file():
            shutil.copy2(source / name, target / name)
