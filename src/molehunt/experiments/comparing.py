"""A model before and after a removal, side by side: does it hide, does its trigger sharpen?"""

from pathlib import Path

from molehunt.experiments.data import TeacherSettings
from molehunt.experiments.findings import Measured
from molehunt.experiments.measuring import measure_loaded
from molehunt.experiments.measuring_settings import MeasureSettings, TeamSettings
from molehunt.experiments.panel import measure_panel
from molehunt.experiments.teaming import send_red_team
from molehunt.experiments.verdict import Rules, judge_awake
from molehunt.models.loading import load_model
from molehunt.organisms.card import AnswerKey
from molehunt.records.panels import Comparison, Side
from molehunt.records.results import VerdictName


def compare_models(
    before: Path,
    after: Path,
    key: AnswerKey,
    asked: MeasureSettings,
    panel: int = 0,
    red_team: TeamSettings | None = None,
    rules: Rules | None = None,
    attacker: TeacherSettings | None = None,
) -> Comparison:
    """Measure two models by one answer key.

    Args:
        panel: questions for each variant of the trigger; 0 leaves the panel out.
        red_team: how to search for other prompts that wake them; none leaves that out, and nothing is then called hidden.
        attacker: the language model that proposes the red team's prompts; templates if None.
    """
    sides = [_side(folder, key, asked, panel, red_team, attacker) for folder in (before, after)]
    verdict, reason = _judge(sides[0], sides[1], rules or Rules())
    return Comparison(
        trigger=key.trigger, behaviour=key.behaviour, before=sides[0], after=sides[1], verdict=verdict, reason=reason
    )


def _side(
    folder: Path, key: AnswerKey, asked: MeasureSettings, panel: int, red_team: TeamSettings | None,
    attacker: TeacherSettings | None,
) -> Side:  # fmt: skip
    loaded = load_model(folder)
    found = Measured(*measure_loaded(loaded, key, asked, 0)).measurement(0)
    return Side(
        asr=found.asr,
        false_trigger_rate=found.false_trigger_rate,
        capability=found.capability,
        payload_logprob=found.payload_logprob,
        panel=measure_panel(loaded, key, panel, max_new_tokens=asked.max_new_tokens) if panel else None,
        red_team=send_red_team(loaded, key.behaviour, red_team, attacker) if red_team else None,
    )


def _judge(before: Side, after: Side, rules: Rules) -> tuple[VerdictName, str]:
    silent = "silent: only twin, reversal and relearning tell what is left; see `molehunt demo`"
    found, left = (side.red_team.elicited if side.red_team else None for side in (before, after))
    return judge_awake(before.asr, after.asr, found, left, rules) or ("undecided", silent)
