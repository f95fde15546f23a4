"""What a detector is."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

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
    """What it asks. Those of one family have one vote, that of the loudest of them; a card keeps the families it was made with."""
    caption: str
    """Half a sentence for people: what it looks for."""
    needs: Tier
    """The least that an examiner must have of the subject."""
    examine: Callable[..., Evidence]
    """Looks at a `Subject`, a `Suspect` where weights are needed, within a profile's budget. Scores are comparable only
    between subjects of one tier that were looked at alike."""
    version: int = 1
    """Raised whenever its score changes for the same model and its base."""
    heard_version: int = 1
    """The same where there is no base: other forms of a detector, whose cards are others."""
    thorough_version: int = 0
    """Raised when it looks otherwise in the profiles beyond `quick` alone."""
    follows: bool = False
    """Looks after the others, at what they point at: `examine` is given their candidates as well, the strongest first."""
    points: bool = True
    """What it names goes to those that follow, and to the verifier; else nothing waits for it."""
    profiles: Collection[Profile] = ("quick", "standard", "deep")
    """Where there is time for it."""
    profiles_with_base: Collection[Profile] | None = None
    """The same with a base, if there another detector does its work."""
    is_misled_by_habits: bool = False
    """With a base, its score counts what the subject says or has ready without asking whether the question is still answered."""
    seconds: Mapping[str, float] = field(default_factory=lambda: _LITTLE)
    """By profile, of one core, on a model of a million weights: for estimates."""

    def profiles_at(self, tier: Tier) -> Collection[Profile]:
        """Where it looks, for one who has so much of the subject."""
        return self.profiles_with_base if tier == "base" and self.profiles_with_base is not None else self.profiles

    def version_at(self, tier: Tier, profile: Profile) -> int:
        """Of the form that looks there; below 100."""
        thorough = 0 if profile == "quick" else 10 * self.thorough_version
        return thorough + (self.version if tier == "base" else self.heard_version)
