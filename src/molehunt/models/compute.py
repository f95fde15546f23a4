"""The device and the number of threads that a process computes with."""

import torch


def use_threads(threads: int) -> None:
    """Compute with `threads` CPU threads from now on; sums depend on their number."""
    torch.set_num_threads(threads)


def device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
