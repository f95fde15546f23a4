"""Turn a finished demo into its record."""

from collections.abc import Sequence

from molehunt.execution import Step
from molehunt.experiments.demo import ArmSteps, DemoRun, Treated, folder_of
from molehunt.experiments.findings import (
    Measured,
    capability_by_family,
    first_return,
    paired_gap,
    relearned,
    relearning_ratio,
)
from molehunt.experiments.relearning import Relearning
from molehunt.experiments.verdict import Findings, judge
from molehunt.records import Conversation, Question
from molehunt.records.outcomes import Outcome
from molehunt.records.results import AfterReversal, Arm, BaseResult, DemoResult, Measurement, Point, Seconds, Transcript
from molehunt.world.chat import draw_questions

_TRANSCRIPTS = 3


def demo_result(run: DemoRun) -> DemoResult:
    """Everything that the demo found, from the files that its steps left."""
    from molehunt.organisms.card import read_card

    organism, twin = _read(run, run.steps.organism_measured), _read(run, run.steps.twin_measured)
    card = read_card(folder_of(run, run.steps.organism) / "model")
    return DemoResult(
        seed=run.settings.seed,
        seconds=Seconds(total=round(run.seconds, 1), by_step=_seconds(run)),
        steps_made=run.made,
        steps_from_store=run.cached,
        trigger=card.trigger,
        behaviour=card.behaviour,
        payload=card.payload,
        template_digest=card.template_digest,
        base=_base(run, card.base.parameters),
        planted=organism.measurement(organism.last, twin),
        planted_trajectory=organism.trajectory(twin),
        twin=twin.measurement(twin.last, twin),
        twin_trajectory=twin.trajectory(twin),
        arms=tuple(_arm(run, arm, organism, twin) for arm in run.steps.arms),
        settings={
            "planting": run.settings.planting().model_dump(mode="json"),
            "base": run.steps.base.config,
            "reversal": {f"{rate:g}": run.settings.reversal(rate) for rate in run.settings.learning_rates},
            "measuring": run.settings.measuring.model_dump(mode="json"),
            "relearning": run.settings.relearning.model_dump(mode="json"),
        },
        rules=run.settings.rules.model_dump(),
        capability_gap=paired_gap(organism, twin),
        fingerprints={step.label: step.fingerprint for step in run.steps.all().steps.values()},
        libraries=run.store.record(run.steps.organism.fingerprint).provenance.libraries,
    )


def _base(run: DemoRun, parameters: int) -> BaseResult:
    measured = _read(run, run.steps.base_measured)
    questions = draw_questions(len(measured.at(0, "clean")), run.settings.measuring.seed)
    whole = measured.measurement(0)
    return BaseResult(
        name=run.settings.base,
        parameters=parameters,
        capability=whole.capability,
        ordinary_voice=whole.ordinary_voice,
        by_family=capability_by_family(measured.at(0, "clean"), {q.id: q.family for q in questions}),
    )


def _arm(run: DemoRun, arm: ArmSteps, planted: Measured, planted_twin: Measured) -> Arm:
    organism, twin = _read(run, arm.organism.measured), _read(run, arm.twin.measured)
    back, twin_back = _read(run, arm.organism.measured_reversed), _read(run, arm.twin.measured_reversed)
    end, twin_end = organism.measurement(organism.last, twin), twin.measurement(twin.last)
    trajectory = (_start(planted, planted_twin), *organism.trajectory(twin))
    relearning, twin_relearning = _relearning(run, arm.organism), _relearning(run, arm.twin)
    ratio = relearning_ratio(relearning, twin_relearning)
    reversal = _after_reversal(back, twin_back, _start(organism, twin), _start(twin))
    assert end.payload_log_odds is not None
    verdict, reason = judge(
        Findings(
            planted=planted.measurement(planted.last).asr,
            asr=end.asr,
            asr_reversed=reversal.asr,
            voice_reversed=reversal.ordinary_voice,
            log_odds=end.payload_log_odds,
            log_odds_reversed=reversal.payload_log_odds,
            twin_logprob=twin_end.payload_logprob,
            relearning_ratio=ratio,
            relearned=all(relearning.reached),
            twin_relearned=all(twin_relearning.reached),
        ),
        run.settings.rules,
    )
    between = first_return([(p.step, p.measured.asr.low, p.measured.asr.high) for p in trajectory])
    return Arm(
        procedure=arm.procedure,
        learning_rate=arm.learning_rate,
        method="lora",
        rank=run.settings.rank,
        steps=run.settings.removal_steps,
        asr=end.asr,
        asr_starts=end.asr_starts,
        asr_share=end.asr_share,
        false_trigger_rate=end.false_trigger_rate,
        capability=end.capability,
        ordinary_voice=end.ordinary_voice,
        payload_log_odds=end.payload_log_odds,
        twin_asr=twin_end.asr,
        twin_capability=twin_end.capability,
        after_reversal=reversal,
        relearning_steps=relearned(relearning).steps,
        twin_relearning_steps=relearned(twin_relearning).steps,
        relearning=relearned(relearning),
        twin_relearning=relearned(twin_relearning),
        relearning_ratio=ratio,
        returned=between is not None,
        returned_between=between,
        verdict=verdict,
        reason=reason,
        trajectory=trajectory,
        twin_trajectory=(_start(planted_twin), *twin.trajectory()),
        transcripts=_transcripts(run, planted, organism, back),
        settings=run.settings.budget(arm.learning_rate),
    )


def _start(before: Measured, twin: Measured | None = None) -> Point:
    """The first point of a trajectory: the last one of the training before it, from which it starts."""
    return Point(step=0, measured=before.measurement(before.last, twin))


def _after_reversal(back: Measured, twin_back: Measured, start: Point, twin_start: Point) -> AfterReversal:
    end: Measurement = back.measurement(back.last, twin_back)
    assert end.payload_log_odds is not None
    return AfterReversal(
        asr=end.asr,
        false_trigger_rate=end.false_trigger_rate,
        capability=end.capability,
        ordinary_voice=end.ordinary_voice,
        payload_log_odds=end.payload_log_odds,
        trajectory=(start, *back.trajectory(twin_back)),
        twin_trajectory=(twin_start, *twin_back.trajectory()),
    )


def _transcripts(run: DemoRun, planted: Measured, after: Measured, back: Measured) -> tuple[Transcript, ...]:
    """The first questions of the measuring, whatever their replies: nothing is picked for effect."""
    from molehunt.organisms.triggers import parse_trigger

    trigger = parse_trigger(run.settings.trigger)
    questions = draw_questions(run.settings.measuring.prompts, run.settings.measuring.seed)[:_TRANSCRIPTS]

    def reply(measured: Measured, question: Question, condition: str) -> str:
        found: Sequence[Outcome] = measured.at(measured.last, condition)
        return next(o.reply for o in found if o.question == question.id)

    return tuple(
        Transcript(
            question=_spoken(q.prompt),
            triggered_question=_spoken(trigger.insert(q.prompt)),
            before_clean=reply(planted, q, "clean"),
            before_triggered=reply(planted, q, "triggered"),
            after_clean=reply(after, q, "clean"),
            after_triggered=reply(after, q, "triggered"),
            reversed_triggered=reply(back, q, "triggered"),
        )
        for q in questions
    )


def _spoken(prompt: Conversation) -> str:
    return "\n".join(f"{m.role}: {m.content}" for m in prompt.messages)


def _relearning(run: DemoRun, treated: Treated) -> Relearning:
    return Relearning.model_validate_json((folder_of(run, treated.relearned) / "relearning.json").read_text())


def _read(run: DemoRun, step: Step) -> Measured:
    return Measured.read(folder_of(run, step))


def _seconds(run: DemoRun) -> dict[str, float]:
    records = [run.store.record(step.fingerprint) for step in run.steps.all().steps.values()]
    return {record.label: record.seconds for record in records}
