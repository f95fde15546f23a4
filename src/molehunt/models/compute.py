"""The device, its free memory, and the number of threads that a process computes with."""

import os
from pathlib import Path

import torch


def use_threads(threads: int) -> None:
    """Compute with `threads` CPU threads from now on; sums depend on their number."""
    torch.set_num_threads(threads)


def device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def free_memory(device: torch.device) -> int | None:
    """Bytes that can still be taken on a device without swapping; None if the system does not say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        pages = "SC_AVPHYS_PAGES"
        return os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE") if pages in os.sysconf_names else None
