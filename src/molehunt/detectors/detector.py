"""What a detector is."""

from collections.abc import Callable
from dataclasses import dataclass

from molehunt.detectors.suspect import Suspect
from molehunt.records.evidence import Evidence, Family, Tier

Profile = str
"""quick, standard or deep: how much work a detector may do."""


@dataclass(frozen=True)
class Detector:
    """One method of looking, with what it needs."""

    name: str
    """Module name, word on the command line and anchor in the report."""
    family: Family
    caption: str
    """Half a sentence for people: what it looks for."""
    needs: Tier
    """The least that an examiner must have of the subject."""
    examine: Callable[[Suspect, Profile], Evidence]
    """Looks, within the profile's budget. The score is comparable only between subjects that were looked at alike."""
