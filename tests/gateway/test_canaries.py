"""Canaries notice what configuration cannot show: rules that are read and not applied, records that are not written."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateways import READ_ONLY
from molehunt.gateway.app import DIALECTS, make_app
from molehunt.gateway.canaries import sing
from molehunt.gateway.canned import CANARIES
from molehunt.gateway.dialects.base import Json
from molehunt.gateway.dialects.chat import Chat
from molehunt.gateway.judging import Judge
from molehunt.gateway.service import Service
from molehunt.gateway.settings import GatewaySettings, UpstreamSettings
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


def sung(folder: Path, writer: Callable[..., LogWriter] = LogWriter) -> Service:
    (folder / "policy").mkdir()
    (folder / "policy" / "rules.cedar").write_text(READ_ONLY)
    settings = GatewaySettings(
        upstreams=(UpstreamSettings(url="http://127.0.0.1:9/v1"),),
        policy=folder / "policy",
        log=folder / "log",
        state=folder / "state",
    )

    async def run() -> Service:
        service = Service(settings, writer(settings.log, "w", apart=False))
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
