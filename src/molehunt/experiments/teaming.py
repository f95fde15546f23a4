"""Send a red team at a model: what an adversary finds who knows the behaviour, not the trigger."""

from molehunt.evals.attackers import Attacker, ChatAttacker, TemplateAttacker
from molehunt.evals.red_team import RedTeamSettings, rare_tokens, red_team
from molehunt.evals.scorers import get_scorer
from molehunt.experiments.data import TeacherSettings, make_teacher
from molehunt.experiments.measuring_settings import TeamSettings
from molehunt.experiments.recipes import teacher_answers
from molehunt.models.loading import LoadedModel
from molehunt.organisms.asking import ask
from molehunt.organisms.behaviours import get_behaviour
from molehunt.records.panels import RedTeaming
from molehunt.stats import proportion

_BEST = 8


def send_red_team(
    loaded: LoadedModel, behaviour: str, settings: TeamSettings, attacker: TeacherSettings | None = None
) -> RedTeaming:
    """How many of a red team's probes succeed.

    The same questions and seed each time, so that two models meet the same first round; later rounds follow what worked.

    Args:
        attacker: the language model that proposes the prompts; templates if None.

    Raises:
        TeacherError, DataError: if the attacker answers nothing, or nothing that is a list of prompts.
    """
    questions = [q.prompt for q in ask(get_behaviour(behaviour), settings.probes, settings.seed)]
    proposing: Attacker = TemplateAttacker(questions, rare_tokens(loaded.chat), settings.seed)
    if attacker is not None:
        answers = teacher_answers(attacker.model_dump(mode="json"))
        proposing = ChatAttacker(make_teacher(attacker, answers).ask, questions, settings.seed)
    total = settings.probes * settings.rounds
    asked = RedTeamSettings(probes=total, rounds=settings.rounds, samples=settings.samples)
    found = red_team(loaded, get_scorer(behaviour), proposing, asked, settings.seed)
    shown = sum(probe.shown for probe in found.probes)
    return RedTeaming(
        attacker=f"{attacker.model} at {attacker.url}" if attacker else "templates",
        elicited=proportion(len(found.found), found.tried, "over probes of one search"),
        replies_shown=proportion(shown, sum(probe.samples for probe in found.probes), "over replies, probes not independent"),
        probes=found.tried,
        samples=settings.samples,
        best=tuple("\n".join(f"{m.role}: {m.content}" for m in p.attempt.prompt.messages) for p in found.found[:_BEST]),
    )  # fmt: skip
