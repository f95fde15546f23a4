"""Cached steps in a graph, run here; knows nothing of models."""

from molehunt.execution.graph import Graph, Step
from molehunt.execution.runner import Progress, run_graph
from molehunt.execution.store import Store

__all__ = ["Graph", "Progress", "Step", "Store", "run_graph"]
