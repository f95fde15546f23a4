"""Calls of a log on their way to a hunt."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from molehunt.hunting.logged_calls import prepare_calls
from molehunt.records.calls import Call, Turn

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(("hour", "kept"), [(11, 2), (12, 2), (13, 1)])
def test_a_time_without_a_zone_is_utc_wherever_the_log_is_read(
    hour: int, kept: int, far_east: None, tmp_path: Path
) -> None:
    calls = [
        Call(call_id=str(i), started=NOON + timedelta(hours=i), session=str(i), messages=(Turn(role="user", content="Hi"),), answer="Hello.")
        for i in (0, 2)
    ]  # fmt: skip
    log = tmp_path / "calls.jsonl"
    log.write_text("".join(call.model_dump_json() + "\n" for call in calls))
    assert prepare_calls(str(log), tmp_path / "rows", datetime(2026, 5, 1, hour), lambda count: None).count == kept
