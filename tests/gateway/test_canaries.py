"""Canaries notice what configuration cannot show: rules that are read and not applied, records that are not written."""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateways import READ_ONLY
from molehunt.errors import GatewayError, LogError
from molehunt.gateway import canaries
from molehunt.gateway.app import DIALECTS, make_app
from molehunt.gateway.canaries import sing
from molehunt.gateway.canned import CANARIES
from molehunt.gateway.dialects.base import Json
from molehunt.gateway.dialects.chat import Chat
from molehunt.gateway.failures import refusal_of
from molehunt.gateway.judging import Judge
from molehunt.gateway.service import Service
from molehunt.gateway.settings import GatewaySettings, UpstreamSettings
from molehunt.gateway.state import _Base
from molehunt.logs.writing import LogWriter


class Careless(Chat):
    """Judges nothing in answers, as a proxy that parses its policies and never runs them."""

    async def whole(self, answer: Json, judge: Judge) -> Json:
        return answer


class Generous(Chat):
    """Offers every tool to the model."""

    def strip(self, body: Json, judge: Judge) -> Json:
        for tool in body.get("tools", ()):
            judge.may_offer(tool["function"]["name"], tool)
        return body


class Forgetful(LogWriter):
    """Writes no answers."""

    def append(self, event: str, body: Mapping[str, Any]) -> Any:
        return None if event == "answer" else super().append(event, body)


def made(folder: Path, writer: Callable[..., LogWriter], **more: Any) -> Service:
    (folder / "policy").mkdir()
    (folder / "policy" / "rules.cedar").write_text(READ_ONLY)
    settings = GatewaySettings(
        upstreams=(UpstreamSettings(url="http://127.0.0.1:9/v1"),),
        policy=folder / "policy",
        log=folder / "log",
        state=folder / "state",
        **more,
    )
    return Service(settings, writer(settings.log, "w", apart=False))


def sung(folder: Path, writer: Callable[..., LogWriter] = LogWriter) -> Service:
    async def run() -> Service:
        service = made(folder, writer)
        await sing(service, make_app(service))
        await service.stop()
        return service

    return asyncio.run(run())


def test_all_is_well(tmp_path: Path) -> None:
    service = sung(tmp_path)
    assert service.canary_trouble == ()
    assert len(CANARIES) == 12
    assert service.health() == {}


@pytest.mark.parametrize(
    ("dialect", "words"), [(Careless(), "a denied call reached the client"), (Generous(), "was offered to the model")]
)
def test_rules_that_are_not_applied_are_noticed(
    dialect: Chat, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DIALECTS, "/v1/chat/completions", dialect)
    service = sung(tmp_path)
    assert service.canary_trouble
    assert all(one.startswith("chat/completions") and words in one for one in service.canary_trouble)
    assert "canaries" in service.health()


def test_records_that_are_not_written_are_noticed(tmp_path: Path) -> None:
    service = sung(tmp_path, Forgetful)
    assert len(service.canary_trouble or ()) == len(CANARIES)
    assert all("its answer is not in the log" in one for one in service.canary_trouble or ())


def test_what_failed_is_tried_again_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that was told to sing at start alone is well again once a canary comes through."""
    monkeypatch.setattr(canaries, "_AGAIN", 0.01)

    async def run() -> None:
        service = made(tmp_path, Forgetful, canaries=0)
        app = make_app(service)
        await sing(service, app)
        assert "canaries" in service.health()
        monkeypatch.setattr(Forgetful, "append", LogWriter.append)
        watching = asyncio.create_task(canaries.watch(service, app))
        async with asyncio.timeout(20):
            while "canaries" in service.health():
                await asyncio.sleep(0.01)
        watching.cancel()
        await service.stop()

    asyncio.run(run())


def test_rules_are_read_again_although_the_state_or_the_log_cannot_be_written(tmp_path: Path) -> None:
    """Where a disk is full; and what is due goes on, telling what it could not do, once there is room."""

    class Full(LogWriter):
        is_full = True

        def append(self, event: str, body: Mapping[str, Any]) -> Any:
            if self.is_full:
                raise LogError("log", wanted="room", got="none")
            return super().append(event, body)

    async def run() -> None:
        service = made(tmp_path, Full)
        before = service.policies.digest
        base, service.state._base = service.state._base, sqlite3.connect(":memory:", factory=_Base)
        (tmp_path / "policy" / "rules.cedar").write_text("forbid(principal, action, resource);")
        service.reload_policies()
        assert service.policies.digest != before
        with pytest.raises(GatewayError) as raised:
            service.state.mark("app", "s", {"read_secret"})
        assert refusal_of(raised.value, "c", 1.0).status == 503

        async def write() -> None:
            service.recorder.append("start", {})

        often = asyncio.create_task(service._often("writing", 0.01, write))
        await asyncio.sleep(0.1)
        assert "room" in service.health()["writing"]
        Full.is_full = False
        await asyncio.sleep(0.1)
        assert "writing" not in service.health()
        often.cancel()
        service.state._base = base
        await service.stop()

    asyncio.run(run())
