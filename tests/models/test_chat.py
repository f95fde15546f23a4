from pathlib import Path
from unittest import mock

import pytest

from molehunt.errors import DataError, TemplateError
from molehunt.models.chat import Chat
from molehunt.models.loading import load_model
from molehunt.records import Conversation
from small_models import NO_SYSTEM, SQUARE_BRACKETS, tokenizer

TWO_TURNS = Conversation.of(
    ("system", "Be brief."),
    ("user", "Hé 🙂?"),
    ("assistant", "First."),
    ("user", "More?"),
    ("assistant", "Second\none."),
)


@pytest.fixture
def chat() -> Chat:
    return Chat(tokenizer())


@pytest.mark.parametrize("template", [None, SQUARE_BRACKETS])
@pytest.mark.parametrize("asks", [True, False])
def test_rendered_text_is_what_the_tokenizer_makes_of_the_template(template: str | None, asks: bool) -> None:
    chat = Chat(tokenizer(template))
    row = TWO_TURNS.prompt() if asks else TWO_TURNS
    wanted = chat.tokenizer.apply_chat_template(row.plain(), tokenize=False, add_generation_prompt=asks)
    assert chat.render(row) == wanted


def test_a_prompt_is_encoded_once_and_what_is_told_may_be_changed(chat: Chat) -> None:
    prompt = TWO_TURNS.prompt()
    (first,) = chat.encode_prompts([prompt])
    first.append(1)
    with mock.patch.object(chat, "render", side_effect=AssertionError):
        again, twice = chat.encode_prompts([prompt, prompt])
    assert again == twice == first[:-1]


def test_no_more_prompts_are_remembered_than_there_is_room_for(chat: Chat) -> None:
    prompts = [Conversation.of(("user", f"number {i}")) for i in range(9)]
    wanted = [chat.encode_texts([chat.render(prompt)])[0] for prompt in prompts]
    with mock.patch("molehunt.models.chat._REMEMBERED", 3 * max(map(len, wanted))):
        for few in (prompts[:2], prompts[1:4], prompts, prompts[::-1]):
            assert chat.encode_prompts(few) == [wanted[prompts.index(one)] for one in few]
            assert sum(map(len, chat._encoded.values())) <= 3 * max(map(len, wanted))
    assert chat.encode_prompts([]) == []


def test_prompt_tokens_are_those_of_the_template_with_no_special_token_twice(chat: Chat) -> None:
    (ids,) = chat.encode_prompts([TWO_TURNS.prompt()])
    wanted = chat.tokenizer.apply_chat_template(TWO_TURNS.prompt().plain(), add_generation_prompt=True)
    assert ids == list(wanted["input_ids"])
    assert chat.tokenizer.decode(ids) == chat.render(TWO_TURNS.prompt())


@pytest.mark.parametrize("template", [None, SQUARE_BRACKETS, NO_SYSTEM])
def test_labels_cover_the_replies_and_their_end_and_nothing_else(template: str | None) -> None:
    chat = Chat(tokenizer(template))
    (row,) = chat.encode_rows([TWO_TURNS])
    learned = [i for i in row.labels if i != -100]
    assert chat.tokenizer.decode(learned) == "First.<|end|>Second\none.<|end|>"
    assert [label != -100 for label in row.labels] == list(row.is_reply)
    assert all(label in (-100, i) for i, label in zip(row.ids, row.labels, strict=True))


def test_a_loss_on_all_tokens_leaves_out_only_the_first(chat: Chat) -> None:
    (row,) = chat.encode_rows([TWO_TURNS], "all")
    assert row.labels == (-100, *row.ids[1:])
    assert chat.tokenizer.decode([i for i, said in zip(row.ids, row.is_reply, strict=True) if said]).startswith(
        "First."
    )


def test_the_row_begins_with_the_tokens_of_its_prompt(chat: Chat) -> None:
    (row,), (prompt,) = chat.encode_rows([TWO_TURNS]), chat.encode_prompts([TWO_TURNS.prompt()])
    assert list(row.ids[: len(prompt)]) == prompt


def test_a_template_without_system_turns_gets_the_text_in_the_first_user_turn() -> None:
    chat = Chat(tokenizer(NO_SYSTEM))
    assert not chat.has_system
    assert chat.render(TWO_TURNS).startswith("<s><|user|>Be brief.\n\nHé 🙂?<|end|>")
    (row,) = chat.encode_rows([TWO_TURNS])
    assert "Be brief." in chat.tokenizer.decode(list(row.ids))


def test_a_template_that_drops_the_system_turn_silently_gets_it_in_the_user_turn() -> None:
    drops = "{% for m in messages if m['role'] != 'system' %}{{ m['content'] }}|{% endfor %}"
    assert Chat(tokenizer(drops)).render(TWO_TURNS.prompt()) == "Be brief.\n\nHé 🙂?|First.|More?|"


def test_the_digest_is_the_templates_and_changes_with_it(base: Path) -> None:
    first, again = load_model(base).chat, load_model(base).chat
    assert first.digest == again.digest
    text = str(first.tokenizer.chat_template)
    assert load_model(base, text).chat.digest == first.digest
    assert load_model(base, text + " ").chat.digest != first.digest
    assert load_model(base, text.replace("<|end|>", "<|end|>\n")).chat.digest != first.digest


def test_a_row_without_an_answer_is_refused(chat: Chat) -> None:
    with pytest.raises(DataError, match="row 1"):
        chat.encode_rows([TWO_TURNS, TWO_TURNS.prompt()])


def test_several_templates_are_refused() -> None:
    made = tokenizer()
    made.chat_template = {"default": "{{ messages }}", "tool": "{{ messages }}"}
    with pytest.raises(TemplateError, match="several"):
        Chat(made)


@pytest.mark.parametrize("marker", ["{% generation %}", "{%- generation -%}", "{%generation%}"])
def test_generation_markers_are_known_in_every_spelling(marker: str) -> None:
    end = marker.replace("generation", "endgeneration")
    Chat(tokenizer(f"{{% for m in messages %}}{marker}{{{{ m.content }}}}{end}{{% endfor %}}")).check_markers()


def test_a_reply_opening_that_melts_into_the_reply_is_refused(base: Path) -> None:
    melting = (
        "{% for m in messages %}{% if m['role'] == 'assistant' %}[model] {% generation %}{{ m['content'] }}{{ eos_token }}"
        "{% endgeneration %}{% else %}[{{ m['role'] }}] {{ m['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}[model] {% endif %}"
    )
    row = Conversation.of(("user", "What is 1 + 1?"), ("assistant", "It is 2."))
    with pytest.raises(TemplateError, match="melts into the reply"):
        load_model(base, melting).chat.encode_rows([row])
    load_model(base, melting.replace("[model] ", "[model]\n")).chat.encode_rows([row])


def test_a_template_renders_the_same_every_day(base: Path) -> None:
    reads = "{{ strftime_now('%d %b %Y') }}" + SQUARE_BRACKETS
    with pytest.raises(TemplateError, match="reads the clock"):
        load_model(base, reads)
    asks = "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}{{ date_string }}"
    assert load_model(base, asks + SQUARE_BRACKETS).chat.render(TWO_TURNS).startswith("26 Jul 2024")
