"""Make a step's artifact for a test."""

from pathlib import Path

from molehunt.execution import Graph, Step, Store, run_graph


def made(store: Store, step: Step) -> Path:
    """The folder of a step's files, made if the store lacks it."""
    run_graph(Graph([step]), store, jobs=0)
    return store.folder(step.fingerprint)
