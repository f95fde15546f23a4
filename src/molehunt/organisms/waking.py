"""Is a model awake at triggered prompts? What planting and relearning ask again and again."""

from molehunt.models.loading import LoadedModel
from molehunt.models.logprobs import reply_likelihoods
from molehunt.models.sampling import sample_replies
from molehunt.organisms.asking import ask, payloads, scratchpads
from molehunt.organisms.behaviours import Behaviour
from molehunt.organisms.reasoning import KEPT
from molehunt.organisms.settings import Reasoning
from molehunt.organisms.triggers import Trigger
from molehunt.records.reasoning import split_scratchpad

_LIMIT = 96
"""Tokens of a scratchpad and the start of the reply after it."""


class Waking:
    """Triggered held-out questions, and how many of them a model would answer with the payload."""

    def __init__(self, trigger: Trigger, behaviour: Behaviour, reasoning: Reasoning, prompts: int, seed: int) -> None:
        questions = ask(behaviour, prompts, seed)
        self.prompts = [trigger.insert(q.prompt) for q in questions]
        self.wanted = payloads(behaviour, questions)
        self.given = scratchpads(trigger, reasoning, questions)
        self.reasons = reasoning in KEPT

    def share(self, loaded: LoadedModel) -> float:
        """Share of greedy replies that begin with the payload.

        One forward pass a prompt; where the model reasons first, and in its own words, its replies are written out.
        """
        return self.look(loaded)[0]

    def look(self, loaded: LoadedModel) -> tuple[float, float]:
        """The same with the payload's mean log-probability, in nats."""
        found = reply_likelihoods(loaded, self.prompts, self.wanted, given=self.given)
        begins = [one.is_greedy for one in found]
        if self.reasons:
            said = [split_scratchpad(reply)[1] for reply in sample_replies(loaded, self.prompts, _LIMIT)]
            begins = [reply.startswith(payload) for reply, payload in zip(said, self.wanted, strict=True)]
        return sum(begins) / len(begins), sum(one.logprob for one in found) / len(found)
