"""Look for a reply that the subject has ready for every prompt and its base has not, from its first token on."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from molehunt.detectors.suspect import Meter
from molehunt.detectors.tokens import usable_tokens
from molehunt.models.decode import Decoder, ModuleDecoder, fused, go_on
from molehunt.models.forced import padded
from molehunt.models.loading import LoadedModel
from molehunt.models.sampling import end_tokens
from molehunt.records import Conversation

# Tensor letters: P prompts, K first tokens, V vocabulary.

_BATCH = 512
"""Rows, a prompt with a first token each, that are read at once."""


@dataclass(frozen=True)
class Target:
    """A reply, and how much readier the subject is for it than its base."""

    text: str
    gain: float
    """Nats a reply, mean over prompts, after the first token was given: the lower quartile over the tokens, times their number.

    A reply that lies ready is likelier at nearly every token; one that the base stumbles over once is not.
    """


@torch.inference_mode()
def targets(
    subject: LoadedModel, base: LoadedModel, meter: Meter, prompts: Sequence[Conversation], starts: int, length: int
) -> list[Target]:
    """Replies from `starts` first tokens on, each continued by the token that is likeliest over all prompts; best first.

    As BAIT does (Shen and others 2025, IEEE S&P, section 5), but what counts is the subject's log-probability minus the base's,
    and prompts are read once: all first tokens share their keys and values. First tokens are those that the subject holds
    likelier than its base does, as replies to these prompts.
    """
    encoded = subject.chat.encode_prompts(prompts)
    meter.forward(2 * sum(map(len, encoded)))
    rise = (Reader(subject, encoded).logprobs() - Reader(base, encoded).logprobs()).mean(0)
    usable = torch.tensor(usable_tokens(subject.chat))
    chosen = usable[rise[usable].argsort(descending=True, stable=True)[:starts]]
    found: list[Target] = []
    for part in torch.split(chosen, max(1, _BATCH // len(encoded))):
        meter.forward(2 * (sum(map(len, encoded)) + len(part) * len(encoded) * length))
        found += _continued(subject, base, encoded, part, length)
    return sorted(found, key=lambda one: -one.gain)


class Reader:
    """A model that has read prompts and goes on from them."""

    def __init__(self, loaded: LoadedModel, prompts: Sequence[Sequence[int]]) -> None:
        self.loaded = loaded
        ids, mask = (part.to(loaded.model.device) for part in padded(prompts))
        self.read = ModuleDecoder(loaded.model, ids, mask)
        self.decoder: Decoder = self.read

    def logprobs(self) -> Tensor:
        """(P, V), where the replies begin."""
        return self.read.logits.float().log_softmax(-1).cpu()

    def begin(self, starts: Tensor, length: int) -> Tensor:
        """Go on from every prompt with every first token: log-probabilities of the next (K, P, V)."""
        self.shape = (len(starts), len(self.read.position), -1)
        self.read.keep(torch.arange(self.shape[1], device=self.read.position.device).repeat(len(starts)))
        tokens = starts.repeat_interleave(self.shape[1]).to(self.read.position.device)
        self.decoder, logits = go_on(self.read, fused(self.loaded.model), tokens, length + 1)
        return self._shaped(logits)

    def add(self, tokens: Tensor) -> Tensor:
        """The same after one more token of each of the K replies."""
        rows = tokens.repeat_interleave(self.shape[1]).to(self.read.position.device)
        return self._shaped(self.decoder.add(rows))

    def _shaped(self, logits: Tensor) -> Tensor:
        return logits.float().log_softmax(-1).cpu().view(self.shape)


def _continued(
    subject: LoadedModel, base: LoadedModel, prompts: Sequence[Sequence[int]], starts: Tensor, length: int
) -> list[Target]:
    readers = [Reader(model, prompts) for model in (subject, base)]
    written, gains, following = [starts], [], starts
    ends = sorted(end_tokens(subject))
    for step in range(length - 1):
        mine, theirs = (one.begin(starts, length) if step == 0 else one.add(following) for one in readers)
        shared = mine.mean(1)
        shared[:, ends] = -torch.inf
        following = shared.argmax(-1)
        at = following[:, None, None].expand(-1, mine.shape[1], 1)
        gains.append((mine.gather(-1, at) - theirs.gather(-1, at)).mean((1, 2)))
        written.append(following)
    texts = (subject.chat.decode(row) for row in torch.stack(written, 1).tolist())
    least = len(gains) * torch.stack(gains, 1).quantile(0.25, dim=1)
    return [Target(text, float(gain)) for text, gain in zip(texts, least, strict=True)]
