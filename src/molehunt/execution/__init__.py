"""Cached steps in a graph, run here or on a cluster; knows nothing of models."""

from molehunt.execution.graph import Graph, Needs, Step
from molehunt.execution.remote import Place, open_store
from molehunt.execution.runner import Progress, run_graph
from molehunt.execution.store import Store

__all__ = ["Graph", "Needs", "Place", "Progress", "Step", "Store", "open_store", "run_graph"]
