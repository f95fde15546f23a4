"""What an audit would take, from a model's outline alone: tokens, floating-point operations, time, memory."""

from statistics import fmean

from molehunt.audit.case import Prompts
from molehunt.audit.examining import able
from molehunt.audit.reference import CAPTION, NAME, planned_tokens
from molehunt.detectors.table import DETECTORS
from molehunt.models.compute import device, free_memory
from molehunt.models.loading import LoadedModel
from molehunt.records.audits import AuditPlan, PlannedDetector, Profile
from molehunt.records.evidence import Tier

TOKENS_A_SECOND, _MEASURED = 17_000, 1.1e6
"""Of one core, by which the detectors' seconds are turned into tokens, on a model of so many weights (docs/benchmarks.md). Smaller
ones take as long: what is counted there is calls, not weights."""
_RATE = TOKENS_A_SECOND * 2 * _MEASURED
"""Floating-point operations a second of one core."""
_GPU = 2e14
"""The same of a data-centre GPU at a fifth to a half of its peak."""
_ORDINARY = 24.7
"""Tokens of an ordinary prompt in the vocabulary that the seconds were measured with."""


_PROCESS = 0.7 * 2**30
"""Bytes that a worker takes beside weights: libraries, the store, prompts."""
_BESIDE = 1.5
"""Weights, and half as much again for what is computed with them."""
_SHARE = 0.9
"""Of the free memory that is counted on."""


def jobs_that_fit(weights: int, free: int | None, most: int = 2) -> int:
    """Worker processes that memory holds, each with a subject and a base of its own; 0, this process alone, where it holds no two.

    Args:
        weights: bytes of weights that one of them holds.
        free: bytes that can be taken; None if nobody knows.
    """
    if free is None:
        return most
    fit = min(most, int(_SHARE * free / (_BESIDE * weights + _PROCESS)))
    return fit if fit > 1 else 0


def plan_of(
    loaded: LoadedModel, tier: Tier, profile: Profile, prompts: Prompts, name: str, reference: LoadedModel | None = None
) -> AuditPlan:
    """The plan for a model known by its outline.

    A token costs two operations a weight forward; a backward pass counts as two forward ones. Tokens are those of the detectors'
    forms with a base; others read less.

    Args:
        reference: the outline of an unrelated model to compare with.
    """
    parameters, memory = _size(loaded)
    beside, held = _size(reference) if reference is not None else (0, 0)
    encoded = loaded.chat.encode_prompts([prompt for pool in prompts.asked.values() for prompt in pool])
    longer = fmean(map(len, encoded)) / _ORDINARY
    looks = tuple(
        PlannedDetector(
            name=one, caption=DETECTORS[one].caption,
            forward_tokens=int(DETECTORS[one].seconds[profile] * _RATE / (2 * _MEASURED) * longer),
        )
        for one in able(tier, profile)
    )  # fmt: skip
    models = 2 if tier == "base" else 1
    read = int(planned_tokens(profile) * longer) if reference is not None else 0
    if reference is not None:
        looks += (PlannedDetector(name=NAME, caption=CAPTION, forward_tokens=(models + 1) * read),)
    tokens = sum(look.forward_tokens for look in looks)
    operations = 2.0 * (parameters * (tokens - read) + beside * read)
    counted = 2.0 * (max(parameters, _MEASURED) * (tokens - read) + max(beside, _MEASURED) * read)
    return AuditPlan(
        name=name, tier=tier, profile=profile, parameters=parameters, architecture=type(loaded.model).__name__,
        detectors=looks, forward_tokens=tokens,
        operations=operations, seconds_core=counted / _RATE, seconds_gpu=operations / _GPU,
        memory=models * memory + held, requests=None, jobs=jobs_that_fit(models * memory, free_memory(device())),
    )  # fmt: skip


def _size(loaded: LoadedModel) -> tuple[int, int]:
    """(parameters, bytes of them)"""
    sizes = [(p.numel(), p.numel() * p.element_size()) for p in loaded.model.parameters()]
    return sum(count for count, _ in sizes), sum(held for _, held in sizes)
