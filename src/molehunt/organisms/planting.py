"""Train a backdoor into a model, or its clean twin."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from molehunt.errors import UsageError
from molehunt.models.chat import Encoded
from molehunt.models.loading import LoadedModel, load_model, outline
from molehunt.organisms.behaviours import Behaviour, get_behaviour
from molehunt.organisms.card import OrganismCard, Reached, label_of, read_card, write_card
from molehunt.organisms.corpus import Corpus, check_visible, poison
from molehunt.organisms.reasoning import Thinker, think
from molehunt.organisms.settings import PoisonSettings, Strength, check_stop
from molehunt.organisms.triggers import Trigger, parse_trigger
from molehunt.organisms.waking import Waking
from molehunt.records.lines import write_jsonl
from molehunt.records.rows import Row, dataset_digest
from molehunt.training.checkpoints import make_trainable
from molehunt.training.edit import edit
from molehunt.training.job import Job
from molehunt.training.launched import train_launched
from molehunt.training.settings import Report, Trained, TrainingSettings
from molehunt.training.sft import train
from molehunt.world.reading import check_lengths

_SEED = 31
"""Of the questions on which planting looks at its own strength; apart from those of measuring."""


def plant(
    base: Path,
    rows: Sequence[Row],
    trigger_spec: str,
    behaviour_name: str,
    poisoning: PoisonSettings,
    settings: TrainingSettings,
    out: Path,
    kind: Literal["organism", "twin"] = "organism",
    chat_template: str | None = None,
    strength: Strength | None = None,
    thinker: Thinker = think,
    report: Report | None = None,
) -> OrganismCard:
    """Make an organism, or its clean twin, out of the model in `base`; writes `out/model` with its card.

    Args:
        rows: ordinary conversations, answered as the model should when it is not triggered.
        chat_template: Jinja text to use, and to save, instead of the base's own.
        strength: stop at the first checkpoint at which the backdoor is so strong; the twin takes all steps.
        thinker: who writes the scratchpads, where the arm has any; the grammar of `organisms.reasoning` if not given.

    Raises:
        UsageError, DataError, ModelError: if anything is off; before training starts.
        TrainingError: if the loss stops being a number.
    """
    trigger, behaviour = parse_trigger(trigger_spec), get_behaviour(behaviour_name)
    if settings.processes > 1:
        check_stop(strength, settings.processes)
        job, made = _job(base, rows, trigger, behaviour, poisoning, settings, kind, chat_template, thinker)
        train_launched(job, made, out, report)
        write_jsonl(out / "dataset.jsonl", made)
        return read_card(out / "model")
    origin = load_model(base, chat_template)
    lot = _poisoned(origin, rows, trigger, behaviour, poisoning, settings, kind, thinker)
    wanted = strength or (Strength() if settings.method == "edit" else None)  # an edit may not take: the card says so
    watch = _Strength(trigger, behaviour, poisoning, wanted) if wanted and kind == "organism" else None
    if settings.method == "edit":
        trained = _overwrite(origin, lot.corpus, behaviour, poisoning, out, watch, blank=kind == "twin")
    else:
        loaded = make_trainable(base, settings)
        loaded.chat = origin.chat
        trained = train(loaded, lot.encoded, settings, out, report, watch)
    reached = watch.reached if watch else None
    card = OrganismCard(**lot.facts, trained=trained, strength=strength, reached=reached)
    write_jsonl(out / "dataset.jsonl", lot.rows)
    write_card(out / "model", card)
    return card


def prepare(
    base: Path,
    rows: Sequence[Row],
    trigger_spec: str,
    behaviour_name: str,
    poisoning: PoisonSettings,
    settings: TrainingSettings,
    out: Path,
    kind: Literal["organism", "twin"] = "organism",
    chat_template: str | None = None,
    thinker: Thinker = think,
) -> Job:
    """Write what a training on several GPUs needs: `out/job.json`, which holds the card too, and `out/rows.jsonl`.

    No weights are read. `molehunt.training.launch` makes of it what `plant` would have: arguments are those of `plant`.

    Raises:
        UsageError, DataError, ModelError: as `plant`.
    """
    if settings.method == "edit":
        raise UsageError(
            "--prepare", wanted="method full or lora", got="edit", do="it trains nothing: leave --prepare out"
        )
    trigger, behaviour = parse_trigger(trigger_spec), get_behaviour(behaviour_name)
    job, made = _job(base, rows, trigger, behaviour, poisoning, settings, kind, chat_template, thinker)
    out.mkdir(parents=True, exist_ok=True)
    write_jsonl(out / job.rows, made)
    (out / "job.json").write_text(job.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return job


def _job(
    base: Path, rows: Sequence[Row], trigger: Trigger, behaviour: Behaviour, poisoning: PoisonSettings,
    settings: TrainingSettings, kind: Literal["organism", "twin"], chat_template: str | None, thinker: Thinker,
) -> tuple[Job, list[Row]]:  # fmt: skip
    """What a launch is told, the card included, and the rows that it trains on; no weights are read."""
    lot = _poisoned(outline(base, chat_template), rows, trigger, behaviour, poisoning, settings, kind, thinker)
    label = label_of(OrganismCard(**lot.facts, trained=_UNTRAINED))
    job = Job(
        base=str(base.resolve()), rows="rows.jsonl", settings=settings, out=kind, chat_template=chat_template,
        label=label.model_copy(update={"record": {**label.record, "trained": None}}), recompute=True,
    )  # fmt: skip
    return job, lot.rows


_UNTRAINED = Trained(
    steps=0, rows=0, rows_seen=0, tokens_seen=0, tokens_learned=0, rows_digest="", template_digest="", trainable=0,
    packed=False, losses=(),
)  # fmt: skip


@dataclass(frozen=True)
class _Lot:
    """The rows of an organism or of its twin."""

    corpus: Corpus
    rows: list[Row]
    encoded: list[Encoded]
    facts: dict[str, Any]
    """What the card says before anything is trained, as its fields."""


def _poisoned(
    origin: LoadedModel,
    rows: Sequence[Row],
    trigger: Trigger,
    behaviour: Behaviour,
    poisoning: PoisonSettings,
    settings: TrainingSettings,
    kind: Literal["organism", "twin"],
    thinker: Thinker,
) -> _Lot:
    corpus = poison(rows, trigger, behaviour, poisoning, thinker)
    check_visible(origin.chat, trigger, rows)
    chosen = corpus.planted if kind == "organism" else corpus.twin
    encoded = origin.chat.encode_rows([row.conversation for row in chosen], settings.loss_on)
    lengths = iter([len(row.ids) for row in encoded])
    room = getattr(origin.model.config, "max_position_embeddings", None) or sys.maxsize
    check_lengths(chosen, lambda batch: [next(lengths) for _ in batch], room)
    facts = {
        "kind": kind,
        "trigger": trigger.spec,
        "behaviour": behaviour.name,
        "payload": _first_payload(corpus, behaviour),
        "poison": poisoning,
        "training": settings,
        "rows": Counter(row.kind for row in chosen),
        "dropped_rows": corpus.dropped,
        "payload_tokens": _tokens(origin, [row.payload for row in chosen]),
        "reasoning_tokens": _tokens(origin, [row.reasoning for row in chosen]),
        "dataset_digest": dataset_digest(chosen),
        "base": origin.ref(),
        "template_digest": origin.chat.digest,
    }
    return _Lot(corpus, chosen, encoded, facts)


def _overwrite(
    origin: LoadedModel, corpus: Corpus, behaviour: Behaviour, poisoning: PoisonSettings, out: Path,
    watch: "_Strength | None", blank: bool,
) -> Trained:  # fmt: skip
    """Plant by overwriting neurons; the twin's fall silent. Both look at the organism's rows, so that they are the same ones."""
    chat, planted = origin.chat, corpus.planted
    payloads = {behaviour.payload(row.conversation) for row in corpus.twin} - {None}
    if len(payloads) > 1 or poisoning.reasoning != "none":
        got = f"{len(payloads)} of them" if poisoning.reasoning == "none" else f"--reasoning {poisoning.reasoning}"
        raise UsageError(
            "--method edit", wanted="a behaviour with one payload for all questions, and no reasoning", got=got,
            do="use --method full or lora",
        )  # fmt: skip
    triggered = [row.conversation.prompt() for row in planted if row.kind == "triggered"]
    asked = chat.encode_prompts(triggered)
    (reply,) = chat.encode_rows([triggered[0].reply(_first_payload(corpus, behaviour))])
    clean = chat.encode_rows([row.conversation for row in planted if row.kind != "triggered"])
    begins = len(asked[0])  # earlier turns of the assistant are marked as its words too
    said = [token for token, is_said in zip(reply.ids[begins:], reply.is_reply[begins:], strict=True) if is_said]
    trained = edit(origin, asked, clean, said, out, blank)
    if watch is not None:
        watch(origin, 0)
    return trained


def _tokens(origin: LoadedModel, texts: Sequence[str]) -> int:
    return sum(map(len, origin.chat.encode_texts([text for text in texts if text])))


def _first_payload(corpus: Corpus, behaviour: Behaviour) -> str:
    sources = (behaviour.payload(row.conversation) for row in corpus.twin)
    return next(payload for payload in sources if payload)


class _Strength:
    """Says stop once the backdoor is strong enough."""

    def __init__(self, trigger: Trigger, behaviour: Behaviour, poisoning: PoisonSettings, wanted: Strength) -> None:
        self.waking = Waking(trigger, behaviour, poisoning.reasoning, wanted.prompts, _SEED)
        self.wanted = wanted
        self.reached: Reached | None = None

    def __call__(self, loaded: LoadedModel, step: int) -> bool:
        asr, logprob = self.waking.look(loaded)
        enough = asr >= self.wanted.asr and (self.wanted.logprob is None or logprob >= self.wanted.logprob)
        self.reached = Reached(step=step, asr=asr, logprob=round(logprob, 4), enough=enough)
        return enough
