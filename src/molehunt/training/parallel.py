"""Train in several processes of one machine, each with its share of every batch."""

import os
import pickle
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from molehunt.errors import MolehuntError


def in_processes(function: Callable[..., None], processes: int, *args: Any) -> None:
    """Call `function(*args)` in `processes` new processes that form one torch.distributed group (gloo, loopback only).

    transformers' Trainer finds the group and splits each step's rows among its members. With two members the sum of
    two gradients has one order, so that a run is repeatable to the bit. The members die with this process.

    Raises:
        MolehuntError: the function's own, as if it had been called here.
    """
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "error"
        try:
            mp.spawn(_member, (processes, str(Path(folder) / "rendezvous"), told, function, args), nprocs=processes)  # type: ignore[no-untyped-call, attr-defined]
        except mp.ProcessRaisedException:  # type: ignore[attr-defined]
            if told.is_file():
                raise pickle.loads(told.read_bytes()) from None
            raise


def _member(
    rank: int, processes: int, rendezvous: str, told: Path, function: Callable[..., None], args: tuple[Any, ...]
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # torch sends it when the parent dies; workers that start us ignore it
    torch.set_num_threads(1)
    interfaces = [name for _, name in socket.if_nameindex()]
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(processes),
        LOCAL_WORLD_SIZE=str(processes),
        GLOO_SOCKET_IFNAME="lo" if "lo" in interfaces else "lo0",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT="0",
        OMP_NUM_THREADS="1",
    )
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=processes)
    try:
        function(*args)
    except MolehuntError as error:
        _tell(error, told, rank)
        raise
    finally:
        dist.destroy_process_group()


def _tell(error: MolehuntError, told: Path, rank: int) -> None:
    """Leave the error to the caller. The first member, which writes what all trained, comes first: the others are killed
    as soon as one has failed."""
    patience = time.monotonic() + 60
    while rank and not told.exists() and time.monotonic() < patience:
        time.sleep(0.1)
    if not told.exists():
        aside = told.with_suffix(f".{rank}")
        aside.write_bytes(pickle.dumps(error))
        aside.rename(told)


def members() -> int:
    """How many processes share this training: 1 outside `in_processes`."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first() -> bool:
    """True in the member that writes what all have trained."""
    return not dist.is_initialized() or dist.get_rank() == 0
