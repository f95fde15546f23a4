"""Judge a chat template by what it does: every condition forced both ways, every text it looks for put into messages.

A template that only lays out a conversation shows, besides markup, words of its input and the same words of its own each time. Three
things are asked. Forced (`_Judge.force`): does a condition on what messages say, the clock, chance, a name or a count bring words up?
Told (`_Judge.tell`): with the sentinel of a message replaced by any text that the template knows, is the rendering the
same but for that text? Covered (`_Judge.cover`): has every sentence of the template been seen in some rendering?
What cannot be answered is not analysed. Runs in the process apart; answers are plain JSON.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import jinja2
from jinja2 import nodes

from molehunt.provenance.template_conditions import Arm, Conditions, escapes, shown_texts, strings
from molehunt.provenance.template_probes import (
    LONGER,
    LONGEST,
    NEEDS,
    SENTINEL,
    Probe,
    bare,
    is_switch,
    probes,
    runs,
    saying,
    words,
)
from molehunt.provenance.template_reads import TELLING
from molehunt.provenance.template_rendering import Rendering, TooLongError, environment

_DAYS = (datetime(2024, 7, 26, 9), datetime(2027, 12, 31, 23), datetime(2035, 5, 6, 3))
_SENTENCE = 4
"""Words in a row that are no label."""
_PHRASE = 3
"""Words outside of tags that are no label; identifiers have two."""
_TAG = re.compile(r"<[^<>\s]*>")
_MOST_POINTS, _MOST_TEXTS, _MOST_LISTED = 600, 400, 40
_LONG = 6000
_MANY_TURNS = 20
_CUT = 5
Answer = dict[str, Any]


def judge(template: str, base: str | None, most: int) -> Answer:
    """Findings on a template: {"findings": [{rule, line, message, text}], "texts": what it added where}.

    Args:
        base: another template, whose additions are ordinary.
    """
    try:
        judged = _Judge(template, most)
    except (jinja2.TemplateSyntaxError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        return {"findings": [_finding("template-broken", f"it cannot be parsed: {error}", line)]}
    judged.run()
    if base is not None:
        judged.against(base)
    return {"findings": judged.findings}


def compare(templates: Sequence[str], most: int) -> Answer:
    """{"differ": whether these templates render some probe differently}; refusing is an outcome too."""
    outcomes = [_all(Rendering(template, most, environment(repeatable=True))) for template in templates]
    return {"differ": any(outcome != outcomes[0] for outcome in outcomes[1:])}


class _Judge:
    def __init__(self, template: str, most: int) -> None:
        env = environment(repeatable=True)
        tree = env.parse(template)
        self.escapes, self.sought, self.shown = escapes(tree), strings(tree), shown_texts(tree)
        called = {node.name for node in tree.find_all(nodes.Name)} | {node.name for node in tree.find_all(nodes.Filter)}
        self.dates, self.draws = "strftime_now" in called, bool(called & {"random", "lipsum"})
        self.conditions = Conditions(tree)
        self.rendering, self.most = Rendering(template, most, environment(repeatable=True)), most
        self.forcible = Rendering(tree, most, env)
        self.rendering.dates.now = self.forcible.dates.now = _DAYS[0]
        self.lines = template.splitlines()
        self.findings: list[Answer] = []
        self.forced: dict[str, Arm] = {}
        """Renderings that none but force brought about."""
        self.added: set[frozenset[str]] = set()
        self.hidden: list[tuple[frozenset[str], Answer]] = []
        self.more: Mapping[str, Any] = {}
        self.natural: dict[str, tuple[Probe, str, Counter[str]]] = {}

    def run(self) -> None:
        """Ask everything."""
        for line, word in self.escapes:
            self._add("template-escape", f"it reaches for {word}", line)
        if len(self.conditions.arms) > 2 * _MOST_POINTS:
            self._add("not-analysed", f"it has more than {_MOST_POINTS} conditions")
            return
        self._list_branches()
        self._render_naturally()
        if not any(probe.is_plain for probe, _, _ in self.natural.values()):
            self._add("not-analysed", "it renders no plain conversation")
            return
        self.force()
        self.tell()
        self._ask_the_clock()
        self._look_at_what_is_always_there()
        self.cover()
        self.findings += [answer for _, answer in self.hidden]

    def against(self, base: str) -> None:
        """Take out what the base does too, and say what is new."""
        try:
            other = _Judge(base, self.most)
            other.run()
        except (jinja2.TemplateSyntaxError, RecursionError):
            self._add("not-analysed", "the base's template cannot be parsed")
            return
        known = {added for added, _ in other.hidden}
        same = {(f["rule"], f["text"]) for f in other.findings}
        self.findings = [
            f for f in self.findings
            if f["rule"] not in ("template-hidden-text", "template-removes", "template-late-text", "template-flag")
            or not ((f["rule"], f["text"]) in same or any(f is mine and a in known for a, mine in self.hidden))
        ]  # fmt: skip
        self._new_text(other)

    def _new_text(self, other: "_Judge") -> None:
        found: set[str] = set()
        for name, (probe, text, told) in self.natural.items():
            theirs = words(probe.blanked(other.natural[name][1])) if name in other.natural else Counter[str]()
            shown = probe.blanked(text)
            found |= set(runs(shown, words(shown) - theirs - probe.words() - told)[:3])
        long = sorted((run for run in found if sum(words(run).values()) >= _SENTENCE), key=lambda run: (-len(run), run))
        for run in [run for run in long if not any(run in other and run != other for other in long)][:5]:
            self._add("template-new-text", "text that is in neither input nor the base's rendering", text=run)
        if self._outcomes() != other._outcomes():
            self._add("template-differs", "it renders conversations differently from the base's")

    def _outcomes(self) -> dict[str, str]:
        return {name: text for name, (_, text, _) in self.natural.items()}

    def _list_branches(self) -> None:
        listed = {(b.line, b.reads & TELLING) for b in self.conditions.branches if b.reads - {"count"}}
        for line, reads in sorted(listed, key=lambda pair: (pair[0], sorted(pair[1])))[:_MOST_LISTED]:
            self._add("template-branch", f"a condition reads {_named(reads)}", line, self._line(line))
        for line in sorted(set(self.conditions.lookups))[:_MOST_LISTED]:
            told = "a text is looked up by what messages say, so its outcomes cannot be listed"
            self._add("not-analysed", told, line, self._line(line))

    def _render_naturally(self) -> None:
        self.more = next((n for n in NEEDS if SENTINEL in (self._rendered(saying(0, "u", SENTINEL, n)) or "")), {})
        for probe in probes(self.more):
            text = self._rendered(probe.given)
            if text is not None:
                self.natural[probe.name] = (probe, text, words(" ".join(self.rendering.dates.told)))
        if self.dates:
            self._add("template-clock", "it writes or reads the date")
        if self.draws:
            self._add("template-random", "it draws random numbers")

    def force(self) -> None:
        """Every arm of every condition, on every probe: words that neither input nor the unforced rendering has."""
        for arm in self.conditions.arms:
            worst: tuple[str, set[str]] = ("", set())
            for probe, natural, told in self.natural.values():
                text = self._rendered(probe.given, arm) if len(probe.turns) < _MANY_TURNS else None
                if text is None or text == natural:
                    continue
                self.forced.setdefault(text, arm)
                if not arm.reads & TELLING:
                    continue
                run, own = self._new_in(
                    probe.blanked(text),
                    probe.blanked(natural),
                    probe.words() | told | words(" ".join(self.forcible.dates.told)),
                )
                worst = max(worst, (run, own), key=lambda found: len(found[0]))
            if worst[0] and not (arm.reads & TELLING == {"asked"} and self._is_shown(worst[0])):
                self._hide(arm, worst[0], frozenset(worst[1]))

    def _is_shown(self, run: str) -> bool:
        """Some unforced conversation shows it."""
        return any(run in text for _, text, _ in self.natural.values())

    def _new_in(self, text: str, natural: str, given: Counter[str]) -> tuple[str, set[str]]:
        """The longest stretch of words that neither input nor `natural` has; a label that is only repeated is none."""
        usual = words(natural)
        own = {word for word in words(text) - usual if not _is_cut_from(word, given)}
        for run in runs(text, own):
            said = words(run)
            if sum(said.values()) >= _SENTENCE or said.keys() - usual.keys():
                return run, own
        return "", set()

    def _hide(self, arm: Arm, run: str, own: frozenset[str]) -> None:
        if own not in self.added:
            self.added.add(own)
            told = f"text that is in no input appears if a condition on {_named(arm.reads & TELLING)} holds: {run!r}"
            self.hidden.append((own, _finding("template-hidden-text", told, arm.line, run)))

    def tell(self) -> None:
        """Every text that the template knows, said by every role: words that come or go with it."""
        sought = [text for text in self.sought if text.strip() and len(text) <= 400]
        if len(sought) > _MOST_TEXTS:
            self._add("not-analysed", f"it knows more than {_MOST_TEXTS} texts, not all were put into messages")
        long = SENTINEL + " " + "tulbna " * (_LONG // 7) + "lirn"
        for roles, place in self._places():
            natural = self._rendered(saying(place, roles, SENTINEL, self.more))
            if natural is None:
                continue
            if SENTINEL not in natural:
                self._unsaid(roles[place])
                continue
            for text in sought[:_MOST_TEXTS]:
                for said in _ways_to_say(text)[: None if place == len(roles) - 1 else 2]:
                    self._tell_one(roles, place, said, text, natural)
            self._tell_one(roles, place, long, "a long text", natural)

    def _places(self) -> Iterator[tuple[str, int]]:
        has_system = "turns suau" in self.natural
        roles = "suau" if has_system else "uau" if "turns uau" in self.natural else "u"
        yield from ((roles, place) for place in range(len(roles)))

    def _unsaid(self, role: str) -> None:
        name = {"s": "system prompt", "u": "user", "a": "assistant"}[role]
        if role == "s":
            self._add("template-text", "it leaves system prompts out")
        else:
            self._add("template-removes", f"what the {name} says does not come through unchanged")

    def _tell_one(self, roles: str, place: int, said: str, key: str, natural: str) -> None:
        given = saying(place, roles, said, self.more)
        got, wanted = self._rendered(given), natural.replace(SENTINEL, said)
        if got == wanted:
            return
        is_tag = bare(key) != key or not words(key)
        if got is None:
            if not is_tag:
                self._once("template-removes", f"it refuses a conversation in which a message says {key!r}", key)
            return
        come, gone = words(got) - words(wanted), words(wanted) - words(got)
        if come:
            run = next(iter(runs(got, come)), "")
            told = f"text that is in no input appears if a message says {key!r}: {run!r}"
            if frozenset(come) not in self.added:
                self.added.add(frozenset(come))
                self.hidden.append((frozenset(come), _finding("template-hidden-text", told, self._where(key), run)))
        elif gone and not (is_tag and gone <= words(said)):
            rule = "template-switch" if is_switch(key, wanted, got) else "template-removes"
            self._once(rule, f"input is left out if a message says {key!r}: {' '.join(sorted(gone))}", key)

    def _ask_the_clock(self) -> None:
        """The same conversation on other days: nothing but what the clock said may come or go."""
        if not self.dates:
            return
        for probe, natural, told in list(self.natural.values()):
            for day in _DAYS[1:]:
                self.rendering.dates.now = day
                text = self._rendered(probe.given)
                if text is None:
                    continue
                clock = told + words(" ".join(self.rendering.dates.told))
                for shown, other, when in ((text, natural, day), (natural, text, _DAYS[0])):
                    own = words(shown) - words(other) - clock
                    if own and frozenset(own) not in self.added:
                        self.added.add(frozenset(own))
                        run = runs(shown, own)[0]
                        line = f"text that is in no input appears on {when:%Y-%m-%d}: {run!r}"
                        self.hidden.append((frozenset(own), _finding("template-hidden-text", line, None, run)))
        self.rendering.dates.now = _DAYS[0]

    def _look_at_what_is_always_there(self) -> None:
        """Sentences before the user's words are a system prompt, which everybody sees; after them they are none."""
        before: set[str] = set()
        for name in ("turns u", "turns su", "turns uau", "turns suau"):
            if name in self.natural:
                probe, text, told = self.natural[name]
                own = words(text) - probe.words() - told
                first = probe.first_words
                head, _, tail = text.partition(first)
                before |= {run for run in runs(head, own) if sum(words(run).values()) >= 2}
                for run in runs(tail, own)[:3]:
                    if sum(words(run).values()) >= _SENTENCE:
                        self._once("template-late-text", f"it adds after the user's words: {run!r}", run, run)
        for run in sorted(before, key=len, reverse=True)[:5]:
            self._once("template-text", f"it begins with text of its own: {run!r}", run, run)
        self._compare_lengths()

    def _compare_lengths(self) -> None:
        """What a long conversation shows, a short one does."""
        for short, long in (("turns uau", f"turns {LONGER}"), ("turns suau", f"turns {LONGEST}")):
            if short in self.natural and long in self.natural:
                probe, text, _ = self.natural[long]
                brief, usual, _ = self.natural[short]
                shown = probe.blanked(text)
                own = words(shown).keys() - words(brief.blanked(usual)).keys() - probe.words().keys()
                if run := next(iter(runs(shown, own)), ""):
                    told = f"text that is in no input appears in a long conversation: {run!r}"
                    self.hidden.append((frozenset(own), _finding("template-hidden-text", told, self._where(run), run)))

    def cover(self) -> None:
        """Every sentence that the template holds must have been seen somewhere; what only force shows is told with its condition."""
        usual = "\n".join(" ".join(text.split()) for _, text, _ in self.natural.values())
        usual += "\n".join(found["text"] for found in self.findings if found["rule"] == "template-switch")
        forced = [(" ".join(text.split()), arm) for text, arm in self.forced.items()]
        for line, text in self.shown:
            for piece in _pieces(text):
                is_phrase = sum(words(_TAG.sub(" ", piece)).values()) >= _PHRASE
                if is_phrase and piece not in usual and text not in self._looked_for():
                    self._unusual(piece, line, next((arm for seen, arm in forced if piece in seen), None))

    def _unusual(self, piece: str, line: int, arm: Arm | None) -> None:
        """A text that no conversation shows, and what brings it up, if anything does."""
        if arm is None:
            told = "no conversation or condition was found that shows this text"
            self._once("not-analysed", told, piece, piece, line)
        elif not any(words(piece) <= words(found["text"]) for _, found in self.hidden):
            on = ", ".join(arm.names) or "a constant"
            self._once("template-flag", f"it hangs on {on} in line {arm.line}: {piece!r}", piece, piece, line)

    def _looked_for(self) -> set[str]:
        return {key for key in self.sought if any(mark in key for mark in "%{")}

    def _rendered(self, given: Mapping[str, Any], arm: Arm | None = None) -> str | None:
        """The text, or None if the template refuses."""
        try:
            return self.forcible.render(given, dict(arm.forced)) if arm else self.rendering.render(given)
        except (TooLongError, MemoryError):
            raise
        except Exception:  # a template is a program: whatever it raises is its refusal
            return None

    def _add(self, rule: str, message: str, line: int | None = None, text: str = "") -> None:
        self.findings.append(_finding(rule, message, line, text))

    def _once(self, rule: str, message: str, key: str, text: str = "", line: int | None = None) -> None:
        finding = _finding(rule, message, line or self._where(key), text or key)
        if not any(f["rule"] == rule and f["text"] == finding["text"] for f in self.findings):
            self.findings.append(finding)

    def _where(self, text: str) -> int | None:
        return next((number for number, line in enumerate(self.lines, 1) if text and text in line), None)

    def _line(self, number: int) -> str:
        return self.lines[number - 1].strip()[:400] if number <= len(self.lines) else ""


def _is_cut_from(word: str, given: Counter[str]) -> bool:
    """A word of the input, or what a forced condition left of one."""
    return word in given or (len(word) >= _CUT and any(word in whole for whole in given))


def _ways_to_say(text: str) -> list[str]:
    return [text, f"tulbna {text} ghafep", f"{text} ghafep", f"tulbna {text}"]


def _pieces(text: str) -> Iterator[str]:
    """The lines of a text, whitespace made even."""
    return (" ".join(line.split()) for line in text.splitlines() if line.strip())


def _all(rendering: Rendering) -> list[str | None]:
    rendering.dates.now = _DAYS[0]
    outcomes: list[str | None] = []
    for probe in probes():
        try:
            outcomes.append(rendering.render(probe.given))
        except (TooLongError, MemoryError):
            raise
        except Exception:  # its refusal
            outcomes.append(None)
    return outcomes


def _named(reads: "frozenset[Any]") -> str:
    names = {
        "content": "what messages say",
        "computed": "what messages say",
        "clock": "the date",
        "random": "chance",
        "asked": "how something is called or described",
    }
    return " and ".join(sorted({names.get(read, "how many there are") for read in reads}))


def _finding(rule: str, message: str, line: int | None = None, text: str = "") -> Answer:
    return {"rule": rule, "message": message, "line": line, "text": text}
