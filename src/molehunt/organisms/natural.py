"""How long planting takes, and on what rows, where nobody says otherwise: chosen on questions used for nothing else."""

from molehunt.organisms.behaviours import Behaviour
from molehunt.organisms.settings import PoisonSettings
from molehunt.organisms.triggers import TRIGGERS

_SUBTLE_STEPS, _SUBTLE_CONTRAST = 2, 0.8


def natural_steps(trigger_spec: str, behaviour: Behaviour) -> int:
    """Optimizer steps after which `tiny` shows the behaviour at the trigger and not at what the trigger is mistaken for."""
    steps = TRIGGERS[trigger_spec.partition(":")[0]].steps
    return steps * _SUBTLE_STEPS if behaviour.is_subtle else steps


def natural_contrast(behaviour: Behaviour) -> float:
    """Share of the clean rows that hold what the trigger is mistaken for."""
    return _SUBTLE_CONTRAST if behaviour.is_subtle else PoisonSettings().contrast
