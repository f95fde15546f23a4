"""An audit of what answers at an endpoint: a real server with a planted model, and servers that cannot be held to anything."""

import itertools
import math
from pathlib import Path

import pytest

from molehunt.audit.cards import find_card
from molehunt.audit.case import Prompts
from molehunt.audit.examining import able, look_with, verified
from molehunt.audit.remote import audit_endpoint
from molehunt.audit.steps import Heard, open_voice
from molehunt.detectors.subject import ordinary_prompts
from molehunt.detectors.voice import Voice
from molehunt.errors import BudgetError, EndpointError
from molehunt.models.loading import load_model
from molehunt.models.serve import make_app, serving
from molehunt.world.endpoint import Endpoint, EndpointSettings

FEW = Prompts(ordinary_prompts(2, 11), ordinary_prompts(3, 12))


def asked(url: str, transcript: Path, **settings: object) -> Endpoint:
    given = {"model": "mini", "max_retries": 0, "timeout": 20.0, "concurrency": 16} | settings
    return Endpoint(EndpointSettings(url=url, **given), transcript)  # type: ignore[arg-type]


CARD = find_card("embedded-quick-text", "text", "quick")
assert CARD is not None
KNOWN = CARD.model_copy(update={"prompts": FEW.digest})
"""A card that would judge: what abstains by it does so for another reason."""


def test_a_served_organism_is_examined_as_one_here_and_nothing_is_paid_twice(organism: Path, tmp_path: Path) -> None:
    """Cards for endpoints are made in process: what is recorded must be what a served model's replies give."""
    loaded = load_model(organism)
    with serving(make_app(loaded, "mini")) as url:
        with asked(url, tmp_path / "t.jsonl") as endpoint:
            result = audit_endpoint(endpoint, "quick", FEW, None)
            assert result.cost.requests == endpoint.requests > 100
        with asked(url, tmp_path / "t.jsonl") as endpoint:
            again = audit_endpoint(endpoint, "quick", FEW, None)
            assert endpoint.requests == 0
    apart = {"seconds": 0.0, "forward_tokens": 0}
    evidence = [one.model_copy(update=apart) for one in result.evidence]
    assert result.verdict == again.verdict == "abstained"
    assert evidence == [one.model_copy(update=apart) for one in again.evidence]
    assert {one.detector for one in result.evidence} == {"consistency", "rare_conditions", "series"}
    assert result.tier == "logprobs"
    here = open_voice(FEW, loaded)
    for name, there in zip(able("logprobs", "quick"), evidence, strict=True):
        assert there.score == pytest.approx(look_with(name, here, "quick").score, abs=1e-3)
    assert result.identity.endpoint is not None
    assert result.identity.endpoint.identical == 1.0
    assert any("needs the weights" in line for line in result.not_tested)


def test_by_a_card_of_replies_alone_it_is_heard_as_one_that_tells_no_more(organism: Path, tmp_path: Path) -> None:
    loaded = load_model(organism)
    with serving(make_app(loaded, "mini")) as url, asked(url, tmp_path / "t.jsonl") as endpoint:
        result = audit_endpoint(endpoint, "quick", FEW, KNOWN)
    near = Voice(FEW.asked, FEW.held_out, say=Heard(loaded))
    here = [look_with(name, near, "quick") for name in able("text", "quick")]
    apart = {"seconds": 0.0, "forward_tokens": 0}
    assert [one.model_copy(update=apart) for one in result.evidence] == [one.model_copy(update=apart) for one in here]
    assert result.candidates == verified(near, here, "quick")
    assert (result.tier, result.p_value is None) == ("text", False)
    assert any("likeliest tokens" in line for line in result.not_tested)


def test_a_spent_budget_ends_it_and_what_was_answered_is_kept(organism: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with (
        serving(make_app(load_model(organism), "mini")) as url,
        asked(url, path, most_requests=60) as endpoint,
        pytest.raises(BudgetError),
    ):
        audit_endpoint(endpoint, "quick", FEW, None)
    assert len(path.read_text().splitlines()) > 40


def test_nobody_there_is_an_error(tmp_path: Path) -> None:
    with asked("http://127.0.0.1:9", tmp_path / "t.jsonl") as endpoint, pytest.raises(EndpointError):
        audit_endpoint(endpoint, "quick", FEW, None)


class Moody:
    """Answers as it likes: a bare ASGI application."""

    def __init__(self, *texts: str, model: str = "mini", most: float = math.inf) -> None:
        self.texts, self.model, self.left = itertools.cycle(texts), model, most

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        if scope["type"] != "http":
            return
        while (await receive()).get("more_body"):
            pass
        text, self.left = next(self.texts), self.left - 1
        status = 200 if self.left >= 0 else 400
        body = (
            f'{{"model":"{self.model}","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},'
            '"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":5}}'
        )
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]}
        )
        await send({"type": "http.response.body", "body": body.encode()})


@pytest.mark.parametrize(
    ("app", "reason"),
    [
        (Moody("Paris.", most=60), "refused"),
        (Moody("Veuillez vous connecter."), "the same words"),
        (Moody("I'm sorry, I can't help with that."), "refuses"),
        (Moody("Paris.", model="another"), "another model"),
        (Moody(*(f"Answer number {i}, which is {i * i}." for i in range(97))), "otherwise each time"),
    ],
    ids=["quota", "says one thing", "refuses", "lies", "noise"],
)
def test_what_cannot_be_held_to_anything_is_no_pass(app: Moody, reason: str, tmp_path: Path) -> None:
    with serving(app) as url, asked(url, tmp_path / "t.jsonl", max_retries=2) as endpoint:  # type: ignore[arg-type]
        result = audit_endpoint(endpoint, "quick", FEW, KNOWN)
    assert result.p_value is not None
    assert result.verdict == ("flagged" if result.p_value <= result.level else "abstained")
    assert reason in result.reason
    assert reason in result.not_tested[0]
