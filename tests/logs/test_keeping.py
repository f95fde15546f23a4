from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from log_bodies import answer, request
from molehunt.errors import LogError
from molehunt.logs.anchors import read_anchors
from molehunt.logs.keeping import prune
from molehunt.logs.reading import calls
from molehunt.logs.verifying import verify
from molehunt.logs.writing import LogWriter
from molehunt.provenance.keys import new_private_key

KEY = new_private_key()
LATER = datetime.now(UTC) + timedelta(days=1)


def written(tmp_path: Path) -> Path:
    with LogWriter(
        tmp_path / "log", "w0", key=KEY, segment_records=8, apart=False, anchors=[tmp_path / "anchors"]
    ) as writer:
        for number in range(12):
            writer.append("request", request(f"c{number}"))
            writer.append("answer", answer(f"c{number}"))
    return tmp_path / "log"


def test_what_is_pruned_is_gone_and_the_chain_still_verifies(tmp_path: Path) -> None:
    log = written(tmp_path)
    assert not prune(log, datetime.now(UTC) - timedelta(days=1), KEY)
    done = prune(log, LATER, KEY)
    assert len(done) >= 3
    assert not list(log.glob("*/*.parquet"))
    report = verify(log, [KEY.public], read_anchors(tmp_path / "anchors"))
    assert (report.outcome, report.pruned) == ("verified", len(done))
    assert len(list(calls(log))) <= 1
    assert verify(log, anchors=read_anchors(tmp_path / "anchors")).outcome == "not fully verified"
    other = verify(log, [new_private_key().public])
    assert other.outcome == "broken"


def test_a_segment_without_its_tombstone_was_not_pruned(tmp_path: Path) -> None:
    log = written(tmp_path)
    prune(log, LATER, None)
    report = verify(log, [KEY.public])
    assert "tombstone is not signed" in report.problems[0].what
    (log / "w0/00000001.pruned.json").unlink()
    assert "no tombstone" in verify(log, [KEY.public]).problems[0].what


def test_a_legal_hold_keeps_everything(tmp_path: Path) -> None:
    log = written(tmp_path)
    (log / "HOLD").write_text("case 12\n")
    with pytest.raises(LogError, match="case 12"):
        prune(log, LATER, KEY)
    assert list(log.glob("*/*.parquet"))
