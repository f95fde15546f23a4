"""What a detector is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from molehunt.records.evidence import Evidence, Family, Tier

Profile = str
"""quick, standard or deep: how much work a detector may do."""
_LITTLE: Mapping[str, float] = {"quick": 3.0, "standard": 6.0, "deep": 20.0}


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
    examine: Callable[[Any, Profile], Evidence]
    """Looks at a `Subject`, a `Suspect` where weights are needed, within the profile's budget. Scores are comparable only
    between subjects of one tier that were looked at alike."""
    version: int = 1
    """Raised whenever its score changes for the same model and its base."""
    heard_version: int = 1
    """The same where there is no base: other forms of a detector, whose cards are others."""
    is_misled_by_habits: bool = False
    """With a base, its score counts what the subject says or has ready without asking whether the question is still answered."""
    seconds: Mapping[str, float] = field(default_factory=lambda: _LITTLE)
    """By profile, of one core, on a model of a million weights: for estimates."""

    def version_at(self, tier: Tier) -> int:
        """Of the form that looks there."""
        return self.version if tier == "base" else self.heard_version
