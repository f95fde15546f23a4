"""The server as clients meet it: by OpenAI's own client, and by hand."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from math import exp
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
import torch

from molehunt.errors import UsageError
from molehunt.models.loading import LoadedModel, load_model
from molehunt.models.sampling import sample_replies, sample_tokens
from molehunt.models.serve import MAX_BODY, is_loopback, make_app, run, serving
from molehunt.records import Conversation
from molehunt.world.chat import draw_questions
from molehunt.world.endpoint import Endpoint, EndpointSettings
from molehunt.world.probing import probe

KEY = "a-key-of-some-length"
END = "<|end|>"
"""The mini model's last token of a reply; log-probabilities name it."""


@pytest.fixture(scope="module")
def loaded(base: Path) -> LoadedModel:
    return load_model(base)


@pytest.fixture(scope="module")
def url(loaded: LoadedModel) -> Iterator[str]:
    with serving(make_app(loaded, "mini", KEY)) as address:
        yield address


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key=KEY, max_retries=0) as one:
        yield one


@pytest.fixture(scope="module")
def prompts() -> list[Conversation]:
    turns = Conversation.of(
        ("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello."), ("user", "What is 2 + 3?")
    )
    return [turns, *(question.prompt for question in draw_questions(5, seed=9))]


def post(url: str, body: Any, key: str = KEY, path: str = "/chat/completions") -> httpx2.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx2.post(url + path, content=content, headers={"Authorization": f"Bearer {key}"} if key else {})


def asking(text: str = "Hi", **more: Any) -> dict[str, Any]:
    return {"model": "mini", "messages": [{"role": "user", "content": text}], **more}


def test_greedy_replies_are_those_of_sampling(
    client: openai.OpenAI, loaded: LoadedModel, prompts: list[Conversation]
) -> None:
    def one(prompt: Conversation) -> str | None:
        messages: Any = prompt.plain()
        answer = client.chat.completions.create(model="mini", messages=messages, temperature=0, max_tokens=24)
        return answer.choices[0].message.content

    wanted = sample_replies(loaded, prompts, max_new_tokens=24)
    assert [one(prompt) for prompt in prompts] == wanted
    with ThreadPoolExecutor(len(prompts)) as pool:
        assert list(pool.map(one, prompts)) == wanted, "together as one by one"


def test_a_stream_says_the_same_in_pieces(
    client: openai.OpenAI, loaded: LoadedModel, prompts: list[Conversation]
) -> None:
    messages: Any = prompts[1].plain()
    chunks = list(
        client.chat.completions.create(
            model="mini", messages=messages, temperature=0, max_completion_tokens=24, stream=True,
            stream_options={"include_usage": True},
        )
    )  # fmt: skip
    assert (
        "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        == sample_replies(loaded, prompts[1:2], max_new_tokens=24)[0]
    )
    assert chunks[-2].choices[0].finish_reason in ("stop", "length")
    assert chunks[-1].usage is not None


def test_logprobs_are_those_of_a_forward_pass(client: openai.OpenAI, loaded: LoadedModel) -> None:
    answer = client.chat.completions.create(**asking("What is 1 + 1?"), temperature=0, logprobs=True, top_logprobs=3)
    assert answer.choices[0].logprobs is not None
    tokens = answer.choices[0].logprobs.content
    assert tokens is not None
    assert "".join(token.token for token in tokens) == f"{answer.choices[0].message.content}{END}"
    ids = torch.tensor(loaded.chat.encode_prompts([Conversation.of(("user", "What is 1 + 1?"))]))
    with torch.inference_mode():
        shares = loaded.model(input_ids=ids).logits[0, -1].double().softmax(-1)
    assert [exp(top.logprob) for top in tokens[0].top_logprobs] == pytest.approx(
        shares.topk(3).values.tolist(), rel=1e-4
    )
    assert all(token.logprob == token.top_logprobs[0].logprob for token in tokens), "greedy takes the likeliest"


def test_a_seed_repeats_draws_and_n_gives_several(client: openai.OpenAI, loaded: LoadedModel) -> None:
    def drawn(seed: int) -> list[str | None]:
        answer = client.chat.completions.create(**asking("Tell me."), temperature=1.5, seed=seed, n=3, max_tokens=12)
        return [choice.message.content for choice in answer.choices]

    assert drawn(4) == drawn(4)
    assert len({*drawn(4), *drawn(5)}) > 1
    ids = loaded.chat.encode_prompts([Conversation.of(("user", "Tell me."))]) * 3
    assert len(drawn(4)) == len(sample_tokens(loaded, ids, 12, 1.5, 4)) == 3


def test_completions_go_on_with_texts_and_tokens(client: openai.OpenAI, loaded: LoadedModel) -> None:
    prompt = Conversation.of(("user", "What is 1 + 1?"))
    text, (ids,) = loaded.chat.render(prompt), loaded.chat.encode_prompts([prompt])
    wanted = sample_replies(loaded, [prompt], max_new_tokens=16)
    for given in (text, [text], ids, [ids]):
        answer = client.completions.create(
            model="mini", prompt=given, temperature=0, extra_body={"add_special_tokens": False}
        )
        assert [choice.text for choice in answer.choices] == wanted
    several = client.completions.create(model="mini", prompt=[ids, ids[:3]], temperature=0, logprobs=2, max_tokens=3)
    assert several.choices[0].text == sample_replies(loaded, [prompt], max_new_tokens=3)[0]
    found = several.choices[0].logprobs
    assert found is not None
    assert "".join(found.tokens or ()).removesuffix(END) == several.choices[0].text
    assert [len(top) for top in found.top_logprobs or ()] == [2] * len(found.tokens or ())


def test_a_stop_text_ends_a_reply_before_it(client: openai.OpenAI, loaded: LoadedModel) -> None:
    (whole,) = sample_replies(loaded, [Conversation.of(("user", "What is 1 + 1?"))])
    stop = whole[2:4]
    answer = client.chat.completions.create(
        **asking("What is 1 + 1?"), temperature=0, stop=[stop, "nowhere"], logprobs=True
    )
    choice = answer.choices[0]
    assert choice.message.content == whole[: whole.index(stop)]
    assert choice.finish_reason == "stop"
    assert choice.logprobs is not None
    assert choice.message.content.startswith("".join(token.token for token in choice.logprobs.content or ()))


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["mini"]
    assert client.models.retrieve("mini").id == "mini"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("other")


REFUSED: dict[str, tuple[Any, int, str]] = {
    "no JSON": (b"{", 400, "invalid_json"),
    "a list": ([1], 400, "invalid_json"),
    "not UTF-8": (b'{"model": "\xff"}', 400, "invalid_json"),
    "too deep": (b"[" * 100_000, 400, "invalid_json"),
    "half a pair": (b'{"messages": [{"role": "user", "content": "\\ud800"}]}', 400, "invalid_text"),
    "no messages": ({"model": "mini"}, 400, "invalid_value"),
    "empty messages": ({"messages": []}, 400, "invalid_value"),
    "an assistant last": ({"messages": [{"role": "assistant", "content": "x"}]}, 400, "invalid_value"),
    "a tool's words": ({"messages": [{"role": "tool", "content": "x"}]}, 400, "invalid_value"),
    "a picture": ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "invalid_value"),
    "no length": (asking(max_tokens=0), 400, "invalid_value"),
    "a cold temperature": (asking(temperature=-1), 400, "invalid_value"),
    "NaN": (asking(temperature=float("nan")), 400, "invalid_value"),
    "many stops": (asking(stop=list("abcde")), 400, "invalid_value"),
    "a thousand replies": (asking(n=1000), 400, "invalid_value"),
    "top without logprobs": (asking(top_logprobs=2), 400, "invalid_value"),
    "tools": (asking(tools=[{"type": "function"}]), 400, "unsupported_parameter"),
    "top_p": (asking(top_p=0.5), 400, "unsupported_parameter"),
    "another model": (asking() | {"model": "gpt"}, 404, "model_not_found"),
    "a long prompt": (asking("word " * 3000), 400, "context_length_exceeded"),
    "a long reply": (asking(max_tokens=100_000), 400, "context_length_exceeded"),
    "too much": (asking("x" * MAX_BODY), 413, "request_too_large"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_answered_is_refused_by_name(url: str, name: str) -> None:
    body, status, code = REFUSED[name]
    answer = post(url, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["message"]


def test_tokens_that_the_model_does_not_know_are_refused(url: str) -> None:
    for prompt in ([10**6], [-1], [], "", [""], [[]]):
        assert post(url, {"prompt": prompt}, path="/completions").status_code == 400


def test_what_changes_nothing_is_taken(url: str) -> None:
    idle = {"top_p": 1.0, "tools": [], "presence_penalty": 0, "user": "me", "seed": None, "stop": None, "max_tokens": 2}
    parts = [{"role": "developer", "content": [{"type": "text", "text": "S"}]}, {"role": "user", "content": "Hi"}]
    assert post(url, {"model": "", "messages": parts, **idle}).status_code == 200


def test_a_key_is_wanted_everywhere_but_for_health(url: str) -> None:
    for key in ("", "wrong", KEY[:-1], f"{KEY} {KEY}"):
        answer = post(url, asking(), key)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert httpx2.get(url + "/models").status_code == 401
    assert httpx2.get(url.removesuffix("/v1") + "/healthz").json() == {"status": "ok"}


def test_other_routes_and_methods_are_refused_in_the_same_shape(url: str) -> None:
    assert httpx2.get(url + "/chat/completions").status_code == 405
    answer = httpx2.get(url + "/embeddings")
    assert answer.status_code == 404
    assert "error" in answer.json()


def test_an_address_that_is_taken_is_refused(loaded: LoadedModel) -> None:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        place.listen()
        with pytest.raises(UsageError, match="a free one of this machine"):
            run(make_app(loaded), port=place.getsockname()[1])
    with pytest.raises(UsageError):
        run(make_app(loaded), host="203.0.113.1")


def test_loopback_is_told_from_the_rest() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "::1", "localhost", "127.9.9.9")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "example.org")))


def test_an_audit_finds_what_the_server_offers(
    url: str, loaded: LoadedModel, prompts: list[Conversation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUSPECT_KEY", KEY)
    settings = EndpointSettings(url=url, model="mini", api_key_env="SUSPECT_KEY")
    with Endpoint(settings, tmp_path / "t.jsonl") as endpoint:
        found = probe(endpoint, repeats=3, max_tokens=8)
        replies = endpoint.chat(prompts, max_tokens=24, top_logprobs=4)
        assert endpoint.complete([loaded.chat.encode_prompts(prompts)[1]], max_tokens=24)[0].text == replies[1].text
    assert (found.answers, found.takes_seed, found.is_model_asked, found.refuses_all) == (True, True, True, False)
    assert (found.top_logprobs, found.completions, found.completion_logprobs) == (20, True, 20)
    assert found.identical == 1.0
    assert found.notes == ()
    assert [reply.text for reply in replies] == sample_replies(loaded, prompts, max_new_tokens=24)
    assert {len(token.top) for reply in replies for token in reply.tokens} == {4}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_a_quiet_end(loaded: LoadedModel, number: signal.Signals) -> None:
    before, seen = signal.getsignal(number), []

    def listening(url: str) -> None:
        seen.append(httpx2.URL(url).host)
        signal.raise_signal(number)

    run(make_app(loaded), listening=listening)
    assert seen == ["127.0.0.1"]
    assert signal.getsignal(number) is before


def test_the_command_says_where_it_listens_and_stops_at_ctrl_c(base: Path) -> None:
    words = [sys.executable, "-m", "molehunt", "serve", str(base), "--name", "mini"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        try:
            address = re.search(r"http://127\.0\.0\.1:\d+/v1", line)
            assert address is not None, line
            assert post(address[0], asking(temperature=0, max_tokens=4)).status_code == 200
        finally:
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err) == (0, "", "stopped\n")
