"""A training in several processes from inside a step: accelerate's launcher, and what became of it."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from molehunt.errors import TrainingError, UsageError
from molehunt.records.lines import write_jsonl
from molehunt.records.rows import Row
from molehunt.training.job import Job
from molehunt.training.settings import Report, Trained

HELD = "MOLEHUNT_LAUNCHED_BY_A_STEP"
"""Environment variable that tells the processes to end when their standard input does: with whoever launched them."""


def train_launched(job: Job, rows: Iterable[Row], out: Path, report: Report | None = None) -> Trained:
    """Do a job in `job.settings.processes` processes, on a GPU each where this machine has any.

    Writes what `sft.train` writes, and weights that are its own up to the rounding of sums. The processes speak over loopback
    (where the environment names no other interface), and end with this one.

    Args:
        job: its `rows` and `out` are filled in; `base` is taken as it is.

    Raises:
        UsageError: if this machine has GPUs, but fewer than processes.
        TrainingError: if a process fails; what it kept is then in `out/checkpoints`, and all that was said its cause.
    """
    _require_gpus(job.settings.processes)
    place = out / "launched"
    place.mkdir(parents=True)
    write_jsonl(place / "rows.jsonl", rows)
    job = job.model_copy(
        update={"base": str(Path(job.base).resolve()), "rows": "rows.jsonl", "out": "made", "attest": False}
    )
    (place / "job.json").write_text(job.model_dump_json(), encoding="utf-8")
    said, code = _launch(place / "job.json", job.settings.processes, report)
    for path in place.glob("made/*"):
        path.rename(out / path.name)
    shutil.rmtree(place)
    if code:
        raise TrainingError(
            f"training in {job.settings.processes} processes", wanted="all of them to get to its end",
            got=_reason(said, code),
        ) from ChildProcessError(said)  # fmt: skip
    return Trained.model_validate_json((out / "training.json").read_text())


def _require_gpus(processes: int) -> None:
    from torch.cuda import device_count

    if 0 < device_count() < processes:
        raise UsageError(
            f"--processes {processes}", wanted=f"at most {device_count()}, a GPU each", got=str(processes),
            do="a process cannot have less than a GPU where there are any",
        )  # fmt: skip


def _launch(job: Path, processes: int, report: Report | None) -> tuple[str, int]:
    """Run a job; returns what was said beside the progress, and the exit code."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": said, "text": True}
        with subprocess.Popen(_command(job, processes), env=_environment(job.parent), **pipes) as launcher:  # type: ignore[call-overload]
            try:
                for line in launcher.stdout:
                    if report is not None and (told := re.match(r"step (\d+) of (\d+),", line)):
                        report(int(told[1]), int(told[2]))
                code = launcher.wait()
            finally:
                launcher.kill()
        said.seek(0)
        return said.read(), code


def _environment(place: Path) -> dict[str, str]:
    """This process's, with which the others import what it does and nothing that lies in the folder they happen to be
    started in; what torch's launcher leaves behind lies in `place`."""
    alone = "lo" if Path("/sys/class/net/lo").exists() else "lo0"
    told = {name: value for name, value in os.environ.items() if not _OTHER_LAUNCH.match(name)}
    known = {"GLOO_SOCKET_IFNAME": alone, "NCCL_SOCKET_IFNAME": alone, **told}
    (place / "tmp").mkdir()
    path = os.pathsep.join(filter(None, sys.path))
    return {**known, HELD: "1", "PYTHONSAFEPATH": "1", "PYTHONPATH": path, "TMPDIR": str(place / "tmp")}


_OTHER_LAUNCH = re.compile(r"(PET|MASTER|ACCELERATE|FSDP|TORCHELASTIC|LOCAL|GROUP|ROLE)_|(RANK|WORLD_SIZE)$")
"""What a scheduler or a launcher above this process tells of a group of its own: waited for, its members never come."""


def _command(job: Path, processes: int) -> list[str]:
    """The launcher and its config; without one it would take whatever the user's own says of other machines and GPUs.

    "MULTI_GPU" starts one process a GPU, and as many on a machine that has none.
    """
    config = job.with_name("launcher.json")
    config.write_text(json.dumps({**_LAUNCHER, "num_processes": processes}), encoding="utf-8")
    launcher = ["-m", "accelerate.commands.launch", "--config_file", str(config), "--num_cpu_threads_per_process", "1"]
    return [sys.executable, *launcher, "-m", "molehunt.training.launch", str(job)]


_LAUNCHER = {
    "compute_environment": "LOCAL_MACHINE", "distributed_type": "MULTI_GPU", "num_machines": 1, "machine_rank": 0,
    "gpu_ids": "all", "main_process_port": 0, "mixed_precision": "no", "use_cpu": False,
}  # fmt: skip
"""The launcher shards nothing: `launch` does."""


def _reason(said: str, code: int) -> str:
    """What the first of our own errors says, else any other; the launcher's last words, a frame of `=`, say nothing."""
    lines = [line.strip() for line in said.splitlines()]
    own = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    raised = [
        line for line in lines if re.match(r"[\w.]*(Error|Exception|Interrupt)\b", line) and _LAUNCHERS not in line
    ]
    ended = [line.removeprefix("traceback : ") for line in lines if line.startswith("traceback : Signal")]
    ended.sort(key=lambda line: "SIGTERM" in line)  # by which the launcher ends the others
    return (own or raised or ended or [f"exit code {code}"])[0]


_LAUNCHERS = "ChildFailedError"
