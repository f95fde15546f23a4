"""Mine, look at sources, refine, explain: the whole engine, for one set of rows and any labels."""

import numpy as np

from molehunt.execution.spread import Processes, Spread
from molehunt.hunting.evidence import Evidence, gather
from molehunt.hunting.mining import Count, Counted, Facts, MiningSettings, mine_rows, screened
from molehunt.hunting.refining import Hit, refine
from molehunt.hunting.rows import Rows
from molehunt.hunting.words import Ints
from molehunt.records.hunts import Association
from molehunt.stats.association import benjamini_hochberg_log10, ratio_low

_SILENT: Count = lambda done, total: None  # noqa: E731


def associate(
    rows: Rows, facts: Facts, settings: MiningSettings | None = None, tell: Count = _SILENT, many: Spread | None = None
) -> list[tuple[Association, Ints]]:
    """What predicts each label, the surest first, each with the rows where it holds.

    Only what survives the control of false discoveries is given.

    Args:
        many: where shards are read; processes of this machine if None.
    """
    settings = settings or MiningSettings()
    many = many or Processes(settings.jobs)
    facts = _told(facts, settings)
    counted = mine_rows(rows, facts, settings, many, tell)
    chosen = {label: screened(counted, facts, label, settings) for label in facts.labels}
    union = np.unique(np.concatenate([np.zeros(0, np.int64), *chosen.values()])).astype(np.int64)
    if not len(union):
        return []
    evidence = gather(rows, facts, counted.hash[union], counted.rows[union].sum(1), many, tell)
    place = {int(one): i for i, one in enumerate(union)}
    hits = [
        (label, *hit)
        for label, numbers in chosen.items()
        for hit in refine(rows, evidence, [place[int(n)] for n in numbers], label, counted.tested, settings)
    ]
    return _controlled(evidence, counted, hits, settings)


def _told(facts: Facts, settings: MiningSettings) -> Facts:
    """Without labels that too few rows have, or more than half of all."""
    sizes = {label: int(flags.sum()) for label, flags in facts.labels.items()}
    kept = {k: v for k, v in facts.labels.items() if settings.least_sources <= sizes[k] <= facts.rows / 2}
    return Facts(facts.source, facts.fold, facts.stratum, kept)


def _controlled(
    evidence: Evidence, counted: Counted, hits: list[tuple[str, Hit, Ints]], settings: MiningSettings
) -> list[tuple[Association, Ints]]:
    log10_p = np.array([hit.log10_p for _, hit, _ in hits], np.float64)
    log10_q = benjamini_hochberg_log10(log10_p, max(counted.tested, len(hits)))
    found = []
    for (label, hit, where), q in zip(hits, log10_q.tolist(), strict=True):
        if q > np.log10(settings.level):
            continue
        flags = evidence.facts.labels[label][where]
        one = Association(
            conditions=hit.conditions, label=label, counts=hit.counts, log10_p=hit.log10_p, log10_q=q,
            bonferroni=bool(hit.log10_p + np.log10(counted.tested) <= np.log10(settings.level)), tested=counted.tested,
            ratio_low=ratio_low(evidence.table(where, label)[0]), rows_with=len(where), rows_labelled=int(flags.sum()), also=hit.also,
        )  # fmt: skip
        found.append((one, where))
    return sorted(found, key=lambda pair: pair[0].log10_p)
