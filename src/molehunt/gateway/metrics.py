"""Counts and times for Prometheus; with several workers, summed over all of them."""

import os

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable with the folder that workers share; it must be set before this module is imported."""


class Metrics:
    """Those of one worker."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "molehunt_gateway_requests", "Requests answered.", ["endpoint", "status"], registry=registry
        )
        self.decisions = Counter(
            "molehunt_gateway_decisions", "Decisions on tools and calls.", ["word", "stage"], registry=registry
        )
        self.interrupted = Counter("molehunt_gateway_interrupted", "Answers broken off.", ["by"], registry=registry)
        self.log_failures = Counter(
            "molehunt_gateway_log_failures", "Records that could not be written.", registry=registry
        )
        self.canaries = Counter("molehunt_gateway_canaries", "Live-path canaries.", ["passed"], registry=registry)
        self.seconds = Histogram(
            "molehunt_gateway_seconds", "Whole requests.", ["endpoint"], buckets=_SECONDS, registry=registry
        )
        self.own_seconds = Histogram(
            "molehunt_gateway_own_seconds",
            "Of these, what was spent before the upstream was asked.",
            buckets=_SECONDS,
            registry=registry,
        )

    def text(self) -> bytes:
        """All of it in Prometheus' own format."""
        if not os.environ.get(FOLDER):
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
