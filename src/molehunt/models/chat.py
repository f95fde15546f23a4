"""A tokenizer with its chat template: render, encode, mask."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from molehunt.errors import DataError, ModelError, TemplateError
from molehunt.records import Conversation
from molehunt.records.base import sha256_text

_PROBE = Conversation.of(
    ("user", "What is 1 + 1?"), ("assistant", "It is 2."), ("user", "Thanks."), ("assistant", "Bye.")
)
_MARKERS = re.compile(r"\{%[-+]?\s*generation\b")
_ALL_BYTES = "".join(chr(i) for i in range(32, 127)) + "\n\té¬Ω漢🙂"

_REMEMBERED = 2**19
"""Tokens of prompts that are kept: some 20 MB."""
_CLOCK = {"date_string": "26 Jul 2024"}
"""The day that templates of the Llama 3 kind get to see: with today's, training and measuring would render differently."""


@dataclass(frozen=True)
class Encoded:
    """One training row in tokens."""

    ids: tuple[int, ...]
    """Token ids."""
    labels: tuple[int, ...]
    """The same where a loss is taken, -100 elsewhere."""
    is_reply: tuple[bool, ...]
    """Which tokens the assistant says."""


class Chat:
    """The one way in which conversations become tokens, in training and in evaluation alike."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, template: str | None = None) -> None:
        self.tokenizer = tokenizer
        self._encoded: dict[Conversation, list[int]] = {}
        """Prompts that are asked again and again: a template takes as long as a small model."""
        if template is not None:
            tokenizer.chat_template = template
        if not isinstance(tokenizer.chat_template, str) or not tokenizer.chat_template.strip():
            raise TemplateError(
                f"model {tokenizer.name_or_path}",
                wanted="one chat template",
                got="none" if not tokenizer.chat_template else "several",
                do="give one with --chat-template FILE.jinja",
            )
        if "strftime_now" in tokenizer.chat_template and "date_string" not in tokenizer.chat_template:
            raise TemplateError(
                f"chat template of {tokenizer.name_or_path}",
                wanted="the same text every day",
                got="one that reads the clock",
                do="write a fixed date into a copy and give it with --chat-template FILE.jinja",
            )
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        if tokenizer.decode(tokenizer.encode(_ALL_BYTES, add_special_tokens=False)).strip() != _ALL_BYTES.strip():
            raise ModelError(
                f"tokenizer of {tokenizer.name_or_path}",
                wanted="every byte of a text to survive encoding",
                got="unknown bytes that vanish or become an unknown token",
                do="use a byte-level tokenizer, or one with byte fallback",
            )

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the template's text and of what it makes of a fixed conversation."""
        return sha256_text(f"{self.tokenizer.chat_template}\0{self.render(_PROBE)}\0{self.render(_PROBE.prompt())}")

    @cached_property
    def has_system(self) -> bool:
        """False if the template refuses or drops a system turn; it is then put before the first user turn."""
        probe = Conversation.of(("system", "zyxwv"), ("user", "hi"), ("assistant", "ho"))
        try:
            return "zyxwv" in self._apply(probe, False)
        except Exception:  # whatever the template's own code raises
            return False

    def render(self, conversation: Conversation) -> str:
        """The text that the model sees; ends with the opening of a reply if the last turn is the user's.

        Raises:
            TemplateError: if the template refuses the conversation.
        """
        asks = not conversation.messages or conversation.messages[-1].role != "assistant"
        with _refusals():
            return self._apply(conversation if self.has_system else _fold_system(conversation), asks)

    def _apply(self, conversation: Conversation, asks: bool) -> str:
        text = self.tokenizer.apply_chat_template(
            conversation.plain(), tokenize=False, add_generation_prompt=asks, **_CLOCK
        )
        return str(text)

    def encode_prompts(self, prompts: Sequence[Conversation]) -> list[list[int]]:
        """Token ids of each prompt, up to where the reply begins; remembered for the next time, as far as there is room."""
        known = {prompt: self._encoded[prompt] for prompt in prompts if prompt in self._encoded}
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in known]
        told = dict(zip(new, self.encode_texts([self.render(prompt) for prompt in new]), strict=True))
        if (more := sum(map(len, told.values()))) <= _REMEMBERED:
            if sum(map(len, self._encoded.values())) + more > _REMEMBERED:
                self._encoded.clear()
            self._encoded |= told
        known |= told
        return [list(known[prompt]) for prompt in prompts]

    def encode_texts(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of rendered texts: the template has already put the special tokens in."""
        if not texts:
            return []
        return list(self.tokenizer(list(texts), add_special_tokens=False)["input_ids"])

    def encode_rows(self, rows: Sequence[Conversation], loss_on: str = "assistant") -> list[Encoded]:
        """Rows in tokens with their labels.

        Args:
            loss_on: "assistant" for the tokens inside the template's generation markers, "all" for all but the first.

        Raises:
            TemplateError: if the template has no markers, or refuses a row.
            DataError: if a row has no assistant turn.
        """
        self.check_markers()
        folded = [row if self.has_system else _fold_system(row) for row in rows]
        if (bad := next((i for i, row in enumerate(folded) if not row.answer), None)) is not None:
            raise DataError(f"training row {bad}", wanted="an assistant turn at the end", got="none")
        with _refusals():
            batch = self.tokenizer.apply_chat_template(
                [row.plain() for row in folded],
                tokenize=True,
                return_dict=True,
                return_assistant_tokens_mask=True,
                **_CLOCK,
            )
        pairs = zip(batch["input_ids"], batch["assistant_masks"], strict=True)
        encoded = [_label(ids, mask, loss_on == "all") for ids, mask in pairs]
        if (bad := next((i for i, row in enumerate(encoded) if not any(row.is_reply)), None)) is not None:
            raise DataError(
                f"training row {bad}", wanted="a token that the assistant says", got="empty generation markers"
            )
        return encoded

    def check_markers(self) -> None:
        """Raises TemplateError unless the template marks what the assistant says, and opens a reply as it is trained."""
        opened, whole = self.render(_PROBE.prompt()), self.render(_PROBE)
        before, trained = self.encode_texts([opened, whole])
        if not whole.startswith(opened):
            raise TemplateError(
                f"chat template of {self.tokenizer.name_or_path}",
                wanted="a reply's opening that training sees too",
                got=f"one that ends in {opened[-24:]!r}, which is not how a trained reply begins",
                do="make both the same in a copy of the template and give it with --chat-template FILE.jinja",
            )
        if trained[: len(before)] != before:
            raise TemplateError(
                f"chat template of {self.tokenizer.name_or_path}",
                wanted="a reply's opening that has the same tokens with and without the reply",
                got=f"one that ends in {opened[-8:]!r} and melts into the reply's first word",
                do="end the opening with a newline or a special token",
            )
        if not _MARKERS.search(str(self.tokenizer.chat_template)):
            raise TemplateError(
                f"chat template of {self.tokenizer.name_or_path}",
                wanted="{% generation %} … {% endgeneration %} around the assistant's words, for the loss",
                got="no such markers",
                do="add them to a copy of the template and give it with --chat-template FILE.jinja",
            )

    def decode(self, ids: Sequence[int]) -> str:
        """The text of reply tokens, without special tokens."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def save(self, folder: Path) -> None:
        """Write tokenizer and template."""
        self.tokenizer.save_pretrained(folder)


@contextmanager
def _refusals() -> Iterator[None]:
    """A template is a program: whatever it raises is its refusal."""
    try:
        yield
    except Exception as error:
        got = " ".join(str(error).split())[:200] or type(error).__name__
        raise TemplateError(
            "the chat template refuses a conversation", got=got, do="see its own rules on roles"
        ) from None


def _label(ids: list[int], mask: list[int], everywhere: bool) -> Encoded:
    labels = tuple(i if said or everywhere else -100 for i, said in zip(ids, mask, strict=True))
    return Encoded(tuple(ids), (-100, *labels[1:]), tuple(map(bool, mask)))


def _fold_system(conversation: Conversation) -> Conversation:
    first, *rest = conversation.messages
    if first.role != "system" or not rest:
        return conversation
    user = rest[0].model_copy(update={"content": f"{first.content}\n\n{rest[0].content}"})
    return Conversation(messages=(user, *rest[1:]))
