"""What the steps of an examination do: one detector's look each, then the verifier's; all leave records."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from molehunt.audit.case import Prompts
from molehunt.audit.examining import look_with, verified
from molehunt.audit.reference import beside_reference
from molehunt.detectors.likely import TOP, Spoken
from molehunt.detectors.subject import Meter, Subject
from molehunt.detectors.suspect import Suspect
from molehunt.detectors.voice import OpenVoice, Voice
from molehunt.models.compute import use_threads
from molehunt.models.decode import freeze
from molehunt.models.folding import fold
from molehunt.models.loading import LoadedModel, load_model
from molehunt.models.logprobs import TokenScore, token_scores
from molehunt.models.sampling import end_tokens, sample_replies, sample_tokens
from molehunt.records import Conversation
from molehunt.records.endpoints import ReplyToken
from molehunt.records.evidence import Evidence, Verified

EVIDENCE, VERIFIED = "evidence.json", "verified.json"
_VERIFIED = TypeAdapter(tuple[Verified, ...])


def look(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    """One detector's evidence."""
    before = [read_evidence(parents[name]) for name in config.get("before", ())]
    found = look_with(config["detector"], _opened(config), config["profile"], before)
    (out / EVIDENCE).write_text(found.model_dump_json(), encoding="utf-8")


def verify(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    """What the texts do that the detectors point at."""
    found = verified(_opened(config), [read_evidence(parents[name]) for name in config["detectors"]], config["profile"])
    (out / VERIFIED).write_bytes(_VERIFIED.dump_json(found))


def fold_adapter(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    """The whole model of an adapter that came alone."""
    fold(Path(config["where"]["adapter"]), Path(config["where"]["base"]), out / "model")


def compare(config: dict[str, Any], parents: dict[str, Path], out: Path) -> None:
    """What an unrelated model beside the subject shows."""
    use_threads(config["threads"])
    where = config["where"]
    loaded = {name: load_model(Path(where[name])) for name in ("subject", "base", "reference") if name in where}
    prompts = Prompts.from_json(where["prompts"]).held_out
    found = beside_reference(loaded["subject"], loaded.get("base"), loaded["reference"], prompts, config["profile"])
    (out / EVIDENCE).write_text(found.model_dump_json(), encoding="utf-8")


def read_evidence(folder: Path) -> Evidence:
    """Of a step's artifact."""
    return Evidence.model_validate_json((folder / EVIDENCE).read_bytes())


def read_verified(folder: Path) -> tuple[Verified, ...]:
    """Of the verifier's artifact."""
    return _VERIFIED.validate_json((folder / VERIFIED).read_bytes())


@lru_cache(maxsize=2)
def _loaded(folder: str, digest: str) -> LoadedModel:
    loaded = load_model(Path(folder))
    freeze(loaded.model)
    return loaded


def _opened(config: dict[str, Any]) -> Subject:
    use_threads(config["threads"])
    where, prompts = config["where"], Prompts.from_json(config["where"]["prompts"])
    loaded = _loaded(where["subject"], config["subject"])
    if config["tier"] == "text":
        meter = Meter()
        return Voice(prompts.asked, prompts.held_out, say=Heard(loaded, meter), meter=meter)
    if config["tier"] == "logprobs":
        return open_voice(prompts, loaded)
    base = _loaded(where["base"], config["base"]) if config["tier"] == "base" else None
    return Suspect(prompts.asked, prompts.held_out, loaded=loaded, base=base)


class Heard:
    """The replies of a model here, as they would come from an endpoint: each prompt is asked once."""

    def __init__(self, loaded: LoadedModel, meter: Meter | None = None) -> None:
        self.loaded, self.meter = loaded, meter or Meter()
        self.known: dict[tuple[Conversation, int], str] = {}

    def __call__(self, prompts: Sequence[Conversation], tokens: int) -> list[str]:
        new = [prompt for prompt in dict.fromkeys(prompts) if (prompt, tokens) not in self.known]
        replies = sample_replies(self.loaded, new, tokens) if new else []
        for texts in (self.loaded.chat.encode_prompts(new), self.loaded.chat.encode_texts(replies)):
            self.meter.forward(sum(map(len, texts)))
        self.known |= {(prompt, tokens): said for prompt, said in zip(new, replies, strict=True)}
        return [self.known[prompt, tokens] for prompt in prompts]


def open_voice(prompts: Prompts, loaded: LoadedModel) -> OpenVoice:
    """A model here, heard with its likeliest tokens, as an endpoint would tell them."""
    told = Told(loaded)
    return OpenVoice(prompts.asked, prompts.held_out, say=told.texts, tell=told.spoken, meter=told.meter)


class Told:
    """The replies of a model here with the likeliest tokens at each place; each prompt is asked once."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded, self.meter = loaded, Meter()
        self.known: dict[tuple[Conversation, int], tuple[str, Spoken]] = {}

    def texts(self, prompts: Sequence[Conversation], tokens: int) -> list[str]:
        self._ask(prompts, tokens)
        return [self.known[prompt, tokens][0] for prompt in prompts]

    def spoken(self, prompts: Sequence[Conversation], tokens: int) -> list[Spoken]:
        self._ask(prompts, tokens)
        return [self.known[prompt, tokens][1] for prompt in prompts]

    def _ask(self, prompts: Sequence[Conversation], tokens: int) -> None:
        new = [prompt for prompt in dict.fromkeys(prompts) if (prompt, tokens) not in self.known]
        asked, ends = self.loaded.chat.encode_prompts(new), end_tokens(self.loaded)
        written = sample_tokens(self.loaded, asked, tokens)
        self.meter.forward(sum(map(len, asked)) + sum(map(len, written)))
        for prompt, ids, scores in zip(new, written, token_scores(self.loaded, asked, written, TOP), strict=True):
            text = self.loaded.chat.decode([token for token in ids if token not in ends])
            self.known[prompt, tokens] = text, tuple(map(self._token, ids, scores))

    def _token(self, token: int, score: TokenScore) -> ReplyToken:
        top = tuple((self._spelled(one), logprob) for one, logprob in score.top)
        return ReplyToken(token=self._spelled(token), logprob=score.logprob, top=top)

    def _spelled(self, token: int) -> str:
        return str(self.loaded.tokenizer.decode([token]))
