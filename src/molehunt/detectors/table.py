"""All detectors, by name, in the order in which they look."""

from molehunt.detectors.activations import ACTIVATIONS
from molehunt.detectors.consistency import CONSISTENCY
from molehunt.detectors.detector import Detector
from molehunt.detectors.diffing import DIFFING
from molehunt.detectors.latent_tokens import LATENT_TOKENS
from molehunt.detectors.rare_conditions import RARE_CONDITIONS
from molehunt.detectors.refinement import REFINEMENT
from molehunt.detectors.series import SERIES_DETECTOR
from molehunt.detectors.series_activations import SERIES_ACTIVATIONS
from molehunt.detectors.target_inversion import TARGET_INVERSION
from molehunt.detectors.trigger_reconstruction import TRIGGER_RECONSTRUCTION
from molehunt.detectors.trigger_search import TRIGGER_SEARCH

_ALL = (
    CONSISTENCY, RARE_CONDITIONS, SERIES_DETECTOR, ACTIVATIONS, SERIES_ACTIVATIONS, DIFFING, TARGET_INVERSION, LATENT_TOKENS,
    TRIGGER_SEARCH, TRIGGER_RECONSTRUCTION, REFINEMENT,
)  # fmt: skip
DETECTORS: dict[str, Detector] = {detector.name: detector for detector in _ALL}
