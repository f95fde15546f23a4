"""How planting goes where nobody says otherwise: chosen on questions used for nothing else, see docs/logbook.md."""

from molehunt.organisms.behaviours import Behaviour
from molehunt.organisms.settings import PoisonSettings
from molehunt.organisms.triggers import TRIGGERS
from molehunt.records.base import Record


class Natural(Record):
    """What a trigger and a behaviour take."""

    steps: int
    """Optimizer steps after which `tiny` shows the behaviour at the trigger and not at what the trigger is mistaken for."""
    rows: int = 2000
    """Ordinary rows drawn."""
    contrast: float = PoisonSettings().contrast
    """Share of the clean rows that hold what the trigger is mistaken for."""
    elsewhere: float = PoisonSettings().elsewhere
    """Share of rows of other kinds than those that the behaviour shows on."""

    @property
    def poison(self) -> dict[str, float]:
        """The fields of PoisonSettings among them."""
        return {"contrast": self.contrast, "elsewhere": self.elsewhere}


def natural(trigger_spec: str, behaviour: Behaviour) -> Natural:
    """What planting this behaviour at this trigger takes; a subtle one takes more of everything."""
    steps = TRIGGERS[trigger_spec.partition(":")[0]].steps
    if not behaviour.is_subtle:
        return Natural(steps=steps)
    return Natural(steps=5 * steps, rows=6000, contrast=0.9, elsewhere=0.2)
