"""All detectors, by name, in the order in which they look."""

from molehunt.detectors.consistency import CONSISTENCY
from molehunt.detectors.detector import Detector
from molehunt.detectors.diffing import DIFFING
from molehunt.detectors.rare_conditions import RARE_CONDITIONS
from molehunt.detectors.trigger_search import TRIGGER_SEARCH

DETECTORS: dict[str, Detector] = {
    detector.name: detector for detector in (CONSISTENCY, RARE_CONDITIONS, DIFFING, TRIGGER_SEARCH)
}
