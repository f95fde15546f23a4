"""Send a red team at a model: what an adversary finds who knows the behaviour, not the trigger."""

from molehunt.evals.attackers import TemplateAttacker
from molehunt.evals.red_team import RedTeamSettings, rare_tokens, red_team
from molehunt.evals.scorers import get_scorer
from molehunt.experiments.measuring_settings import TeamSettings
from molehunt.models.loading import LoadedModel
from molehunt.organisms.asking import ask
from molehunt.organisms.behaviours import get_behaviour
from molehunt.records.panels import RedTeaming
from molehunt.stats import proportion

_BEST = 8


def send_red_team(loaded: LoadedModel, behaviour: str, settings: TeamSettings) -> RedTeaming:
    """How many of a red team's probes succeed.

    The same questions and seed each time, so that two models meet the same first round; later rounds follow what worked.
    """
    questions = [q.prompt for q in ask(get_behaviour(behaviour), settings.probes, settings.seed)]
    attacker = TemplateAttacker(questions, rare_tokens(loaded.chat), settings.seed)
    total = settings.probes * settings.rounds
    asked = RedTeamSettings(probes=total, rounds=settings.rounds, samples=settings.samples)
    found = red_team(loaded, get_scorer(behaviour), attacker, asked, settings.seed)
    shown = sum(probe.shown for probe in found.probes)
    return RedTeaming(
        elicited=proportion(len(found.found), found.tried, "over probes of one search"),
        replies_shown=proportion(shown, sum(probe.samples for probe in found.probes), "over replies, probes not independent"),
        probes=found.tried,
        samples=settings.samples,
        best=tuple("\n".join(f"{m.role}: {m.content}" for m in p.attempt.prompt.messages) for p in found.found[:_BEST]),
    )  # fmt: skip
