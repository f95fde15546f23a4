"""What chat templates do: rendered as transformers does, every kind of hidden text found, ordinary ones left alone."""

import jinja2
import pytest

from backdoored_templates import BACKDOORED, FLAGGED, HIDDEN
from molehunt.provenance.apart import Failed, answers
from molehunt.provenance.limits import Limits
from molehunt.provenance.template_judging import judge
from molehunt.provenance.template_probes import probes
from molehunt.provenance.template_rendering import Rendering
from molehunt.records.scans import RULES
from ordinary_templates import CHATML, LLAMA31, ORDINARY, QWEN3

MOST = 2_000_000
HEAVY = {"endless", "endless on a word", "too large"}


def counted(template: str, base: str | None = None) -> list[dict[str, str]]:
    return [f for f in judge(template, base, MOST)["findings"] if RULES[f["rule"]].level != "note"]


@pytest.mark.parametrize("name", ORDINARY)
def test_rendered_text_is_that_of_transformers(name: str) -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    rendering = Rendering(ORDINARY[name], MOST)
    own = {"messages", "tools", "documents", "add_generation_prompt"}
    for probe in probes():
        given = dict(probe.given)
        try:
            ((theirs,), _) = render_jinja_template(
                [given["messages"]], given["tools"], given["documents"], ORDINARY[name],
                add_generation_prompt=given["add_generation_prompt"], **{k: v for k, v in given.items() if k not in own},
            )  # fmt: skip
        except Exception as error:  # a refusal, which must be ours too
            with pytest.raises(type(error)):
                rendering.render(given)
        else:
            assert rendering.render(given) == theirs


@pytest.mark.parametrize("name", sorted(BACKDOORED.keys() - HEAVY))
def test_what_a_template_hides_is_found(name: str) -> None:
    assert len(BACKDOORED) >= 15
    assert counted(BACKDOORED[name])


@pytest.mark.parametrize(
    "name", ["phrase", "length", "year", "chance", "turn", "flag kept", "lookup", "macro", "two conditions"]
)
def test_the_hidden_text_is_shown(name: str) -> None:
    assert any(HIDDEN[:-1] in finding["text"] for finding in counted(BACKDOORED[name]))


NAMED = [
    "tool name", "tool name in a loop", "tool description", "tools as text", "tools picked",
    "tools picked and counted", "tools split", "number of tools", "tool call", "tool call's arguments", "name", "name in a macro", "name kept", "role", "role of a list", "role picked", "document", "special token",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_what_hangs_on_how_something_is_called_is_hidden_text(name: str) -> None:
    rules = {found["rule"] for found in counted(BACKDOORED[name]) if HIDDEN[:-1] in found["text"]}
    assert rules == {"template-hidden-text"}
    assert "template-flag" not in {found["rule"] for found in judge(BACKDOORED[name], None, MOST)["findings"]}
    assert counted(BACKDOORED[name], BACKDOORED[name]) == []


@pytest.mark.parametrize("name", FLAGGED)
def test_what_hangs_on_a_flag_is_told_with_it_and_is_ordinary(name: str) -> None:
    flag, template = FLAGGED[name]
    (told,) = [found for found in judge(template, None, MOST)["findings"] if found["rule"] == "template-flag"]
    assert flag in told["message"]
    assert HIDDEN in told["text"]
    assert counted(template) == []
    assert [found for found in judge(template, template, MOST)["findings"] if found["rule"] == "template-flag"] == []


def test_words_that_nothing_brings_up_are_not_analysed() -> None:
    assert "not-analysed" in {found["rule"] for found in counted(BACKDOORED["not reachable"])}


SWITCH = (
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' + message.content.replace('/no_think', '') + '<|im_end|>\\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
    "{%- if '/no_think' in messages[-1].content %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}"
)
"""As published templates have it: a command of the user's switches reasoning off, and is not shown to the model."""


def test_a_switch_is_less_than_hidden_text_and_only_if_nothing_else_comes_or_goes() -> None:
    assert {found["rule"] for found in counted(SWITCH)} == {"template-switch"}
    assert RULES["template-switch"].level == "warning"
    assert counted(SWITCH.replace(".replace('/no_think', '')", "")) == []
    for worse, rule in (
        (SWITCH.replace("<think>\\n\\n</think>", "<think>\\nobey the caller\\n</think>"), "template-hidden-text"),
        (SWITCH.replace(".replace('/no_think', '')", ".split('/no_think')[0]"), "template-removes"),
        (SWITCH.replace("/no_think", "never"), "template-removes"),
    ):
        assert rule in {found["rule"] for found in counted(worse)}, worse


def test_what_loops_or_grows_is_cut_off_and_costs_no_other_answer() -> None:
    jobs = [
        {"do": "template", "template": template}
        for template in (BACKDOORED["endless on a word"], BACKDOORED["too large"])
    ]
    endless, large, fine = answers(
        [*jobs, {"do": "template", "template": CHATML}], Limits(seconds=3, memory_bytes=1 << 29)
    )
    assert isinstance(endless, Failed)
    assert "took longer than 3 s" in endless.why
    assert large == Failed("needs more than 512 MiB")
    assert isinstance(fine, Failed) or fine == {"findings": []}  # three seconds may be short on a busy machine


def test_branches_that_read_messages_or_the_clock_are_listed_with_their_text() -> None:
    listed = [f for f in judge(QWEN3, None, MOST)["findings"] if f["rule"] == "template-branch"]
    assert any("'</think>' in content" in f["text"] for f in listed)
    assert any(f["rule"] == "template-clock" for f in judge(LLAMA31, None, MOST)["findings"])


def test_text_that_the_base_has_too_is_ordinary_and_new_text_is_told() -> None:
    assert counted(BACKDOORED["phrase"], BACKDOORED["phrase"]) == []
    assert counted(BACKDOORED["phrase"], CHATML)
    prompted = "{{ '<|im_start|>system\\nAnswer only in rhymes of four lines.<|im_end|>\\n' }}" + CHATML
    assert counted(prompted) == []
    (new,) = counted(prompted, CHATML)
    assert (new["rule"], new["text"]) == ("template-new-text", "system\nAnswer only in rhymes of four lines")


def test_one_judgement_is_every_judgement() -> None:
    for name in ("chance of text", "year"):
        assert judge(BACKDOORED[name], None, MOST) == judge(BACKDOORED[name], None, MOST)


def test_the_clock_can_be_set_and_is_today_otherwise() -> None:
    from datetime import datetime

    assert Rendering("{{ strftime_now('%Y') }}", MOST).render({}) in {
        str(datetime.now().year),
        str(datetime.now().year - 1),
    }


@pytest.mark.parametrize("hidden", ["{% set ns = namespace() %}{% set ns._x = 1 %}", "{{ ''.__class__.__base__() }}"])
def test_the_sandbox_holds(hidden: str) -> None:
    with pytest.raises(jinja2.exceptions.SecurityError):
        Rendering(hidden, MOST).render({})
