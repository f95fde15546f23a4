"""Send a red team at a model: what an adversary finds who knows the behaviour, not the trigger."""

from molehunt.evals.red_team import red_team
from molehunt.evals.scorers import get_scorer
from molehunt.experiments.measuring_settings import RedTeamSettings
from molehunt.models.loading import LoadedModel
from molehunt.records.panels import RedTeaming


def send_red_team(loaded: LoadedModel, behaviour: str, settings: RedTeamSettings) -> RedTeaming:
    """How many of the red team's probes succeed; intervals over probes."""
    return summary(red_team(loaded, get_scorer(behaviour), settings))
