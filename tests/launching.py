"""Start the launcher of the recipes as its user does."""

import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file


def assert_close(one: Path, two: Path, atol: float = 2e-5) -> None:
    """The same tensors up to the rounding of sums."""
    first, second = load_file(one), load_file(two)
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=atol, rtol=1e-3)


def in_two_processes(job: Path) -> subprocess.CompletedProcess[str]:
    """By the one command that the recipes name."""
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "molehunt.training.launch"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *words, str(job)], env=env, capture_output=True, text=True, timeout=280)
