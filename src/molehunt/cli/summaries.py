"""Results on the terminal."""

from molehunt.cli.show import say, table
from molehunt.experiments.commands import Made
from molehunt.records.results import DemoResult
from molehunt.reports.text import rate


def demo_summary(result: DemoResult) -> None:
    """Print the verdicts of a demo."""
    say(
        f"planted {result.trigger} → {result.behaviour}: ASR {rate(result.planted.asr)}, false triggers {rate(result.planted.false_trigger_rate)}"
    )
    head = ("procedure", "learning rate", "ASR after", "ASR after reversal", "capability", "verdict")
    table(head, [
        (a.procedure, f"{a.learning_rate:g}", rate(a.asr), rate(a.after_reversal.asr), rate(a.capability), a.verdict)
        for a in result.arms
    ])  # fmt: skip


def made_summary(made: Made, as_json: bool) -> None:
    """Say where a model was written."""

    if as_json:
        print(made.model_dump_json(indent=1))
        return
    for model in made.models:
        origin = "taken from the store" if model.cached else "made"
        say(
            f"{model.kind} {origin}: {model.path} (fingerprint {model.fingerprint[:12]}, root digest {model.root_digest[:12]})"
        )
