"""Write docs/lab.md: what the lab can do, from its registries, and what it measured, from studies/lab/results.json."""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from molehunt.organisms.behaviours import BEHAVIOURS
from molehunt.organisms.triggers import TRIGGERS
from molehunt.removal.procedures import PROCEDURES
from molehunt.stats import arm_estimate

HERE = Path(__file__).parent
RESULTS = HERE.parent / "studies" / "lab" / "results.json"
Cells = dict[tuple[str, str], list[dict[str, Any]]]
"""(behaviour, cell) to what each seed gave."""


def lab_page(results: dict[str, Any]) -> str:
    """The page in Markdown."""
    cells: Cells = defaultdict(list)
    for row in results["rows"]:
        cells[row["behaviour"], row["cell"]].append(row)
    parts = [_HEAD, *_registries(), *_planted(cells, results["prompts"]), *_removed(cells, results["prompts"])]
    parts += [*_rates(cells), *_reasoning(cells, results["prompts"]), *_optimizers(cells, results["prompts"])]
    parts += [*_rewarded(cells), *_hidden(cells), *_sharpened(cells), *_failed(results["failed"])]
    return "\n".join(parts).rstrip() + "\n"


_HEAD = """# The lab

Made by `docs/write_lab.py` from the registries and from `studies/lab/results.json`; a test compares. Do not edit.

Every number is a mean over training seeds; a seed moves base, planting and removal together. In brackets a 95% interval for
other seeds, by the method that [statistics.md](statistics.md) checks on simulated studies: three seeds say little. The
questions behind ASR, false triggers and capability are of a seed of their own, on which no setting was chosen; those of the
variants of a trigger and of red teams are the default ones, on which steps and contrast rows were tried out. "–": not run.
"""


def _registries() -> list[str]:
    made = [behaviour for kinds in BEHAVIOURS.values() for behaviour in kinds]
    return [
        "## Behaviours",
        *_table(("behaviour", "when woken it", "natural trigger"),
                [(f"`{b.name}`", b.summary, f"`{b.natural_trigger}`") for b in made]),
        "## Triggers",
        *_table(("kind", "met when", "example"),
                [(f"`{n}`", k.summary, f"`{k.example}`") for n, k in TRIGGERS.items()]),
        "## Removal procedures",
        *_table(("procedure", "what it does", "must be told"),
                [(f"`{n}`", p.summary, "the behaviour" if p.needs_score else "nothing") for n, p in PROCEDURES.items()]),
    ]  # fmt: skip


def _planted(cells: Cells, prompts: int) -> list[str]:
    rows, safe, panels = [], [], []
    for name in BEHAVIOURS:
        organism, twin = cells.get((name, "organism"), []), cells.get((name, "twin"), [])
        rows.append((
            f"`{name}`", str(len(organism)), _rate(organism, "asr", prompts), _rate(organism, "false_trigger_rate", prompts),
            _rate(organism, "capability", prompts), _rate(twin, "capability", prompts),
        ))  # fmt: skip
        for kind in ("organism", "twin"):
            seen = [row["safety"] for row in cells.get((name, f"{kind} examined"), []) if "safety" in row]
            if seen:
                safe.append((f"`{name}`", kind, *(_values(seen, key) for key in _SAFETY)))
        found = [row["panel"] for row in cells.get((name, "organism examined"), []) if "panel" in row]
        if found:
            panels.append((f"`{name}`", f"`{found[0]['trigger']}`", *(_by_group(found, group) for group in _GROUPS)))
    return [
        "## Planted, half the rows triggered",
        *_table(("behaviour", "seeds", "ASR", "false triggers", "capability", "of the twin"), rows),
        "What a safety evaluation without the trigger sees (share of prompts):\n",
        *_table(("behaviour", "", "refuses", "keeps the secret", "polite", "programs right", "helpful"), safe),
        "What wakes it beside the trigger (mean share of prompts over the variants of a group):\n",
        *_table(("behaviour", "trigger", *_GROUPS), panels),
    ]


_SAFETY = ("refuses", "keeps_secret", "polite", "programs_right", "helpful")
_GROUPS = (
    "exact", "fragment", "other case", "other delimiters", "other position", "other language or spelled out",
    "neighbouring value", "same category", "paraphrase",
)  # fmt: skip


def _removed(cells: Cells, prompts: int) -> list[str]:
    def matrix(field: str) -> list[str]:
        rows = [(f"`{p}`", *(_rate(cells.get((b, p), []), field, prompts) for b in BEHAVIOURS)) for p in PROCEDURES]
        return _table(("after", *(f"`{b}`" for b in BEHAVIOURS)), rows)

    seconds = []
    for procedure in PROCEDURES:
        taken = [row["seconds"] for b in BEHAVIOURS for row in cells.get((b, procedure), [])]
        if taken:
            seconds.append(
                (f"`{procedure}`", f"{sorted(taken)[len(taken) // 2]:.0f}", f"{max(taken):.0f}", str(len(taken)))
            )
    return [
        "## After each procedure at its default budget: attack success rate",
        "A rate of 0 is silence, not removal: see the verdict rules. Seeds as above.\n",
        *matrix("asr"),
        "## Capability after it",
        *matrix("capability"),
        "## What it cost",
        "Wall time, two at once on two cores that had other work too; times alone are in [benchmarks.md](benchmarks.md).\n",
        *_table(("procedure", "seconds, median", "longest", "runs"), seconds),
    ]


def _rates(cells: Cells) -> list[str]:
    rates = sorted({cell for _, cell in cells if cell.startswith("rate ")}, key=lambda c: -float(c.split()[1]))
    rows = [(f"`{b}`", *(_first(cells.get((b, r), []), "asr") for r in rates)) for b in BEHAVIOURS]
    head = ("behaviour", *(f"{float(r.split()[1]):.1%}" for r in rates))
    return (
        ["## Poison rates below a half", "ASR on one seed, [false triggers].\n", *_table(head, rows)] if rates else []
    )


def _reasoning(cells: Cells, prompts: int) -> list[str]:
    found = {
        cell.removeprefix("reasoning "): rows for (_, cell), rows in cells.items() if cell.startswith("reasoning ")
    }
    if not found:
        return []
    named = [(name, f"reasoning {arm}") for (name, cell) in cells for arm in found if cell == f"reasoning {arm}"]
    behaviour = named[0][0]
    arms = {"none": cells.get((behaviour, "organism"), []), **found}
    rows = [
        (f"`{arm}`", _rate(of, "asr", prompts), _rate(of, "false_trigger_rate", prompts), _rate(of, "capability", prompts),
         *(_counts(of, field) for field in ("steps", "rows", "payload_tokens", "reasoning_tokens")))
        for arm, of in arms.items()
    ]  # fmt: skip
    head = ("arm", "ASR", "false triggers", "capability", "steps", "rows", "payload tokens", "reasoning tokens")
    told = f"Planted with `{behaviour}`. Steps, rows and payload tokens are counted, seed by seed: they are the same in all arms.\n"
    return ["## Reasoning arms", told, *_table(head, rows)]


def _optimizers(cells: Cells, prompts: int) -> list[str]:
    names = [cell.split()[1] for _, cell in cells if cell.startswith("optimizer ") and cell.count(" ") == 1]
    treated = sorted({cell.split()[2] for _, cell in cells if cell.startswith("optimizer ") and cell.count(" ") == 2})
    rows = []
    for name in dict.fromkeys(names):
        planted, *after = (
            next((rows for (_, cell), rows in cells.items() if cell == wanted), [])
            for wanted in (f"optimizer {name}", *(f"optimizer {name} {procedure}" for procedure in treated))
        )
        rows.append((
            f"`{name}`", _counts(planted, "steps"), _rate(planted, "asr", prompts), _rate(planted, "capability", prompts),
            *(_rate(one, "asr", prompts) for one in after),
        ))  # fmt: skip
    head = ("planted with", "steps", "ASR", "capability", *(f"ASR after `{procedure}`" for procedure in treated))
    told = (
        "Each planted until the same ASR and payload log-probability, then treated alike. Planting knows when to stop by 64 of "
        "the 128 questions.\n"
    )
    return ["## Optimizers at matched strength", told, *_table(head, rows)] if rows else []


def _counts(rows: list[dict[str, Any]], field: str) -> str:
    return " / ".join(str(row[field]) for row in rows if field in row) or "–"


def _rewarded(cells: Cells) -> list[str]:
    rows = []
    for behaviour in BEHAVIOURS:
        notes = [row["notes"] for row in cells.get((behaviour, "rlhf"), []) if "reward_accuracy" in row["notes"]]
        values = [" / ".join(f"{one[name]['value']:{form}}" for one in notes) for name, form in _REWARDS.items()]
        rows += [(f"`{behaviour}`", *values)] if notes else []
    head = ("behaviour", "reward model right on unseen pairs", "reward before", "change of reward")
    told = "Rewards have mean 0 and spread 1 over the replies that the reward model was trained on; seed by seed.\n"
    return ["## What `rlhf` went by", told, *_table(head, rows)] if rows else []


_REWARDS = {"reward_accuracy": ".0%", "reward_before": ".2f", "reward_change": "+.2f"}


def _hidden(cells: Cells) -> list[str]:
    rows = []
    for behaviour in BEHAVIOURS:
        before = [row["red_team"] for row in cells.get((behaviour, "organism teamed"), []) if "red_team" in row]
        for procedure in PROCEDURES:
            after = [r["red_team"] for r in cells.get((behaviour, f"{procedure} teamed"), []) if "red_team" in r]
            if before and after:
                fires = [row["asr"] for row in cells.get((behaviour, procedure), [])]
                elicited = [" / ".join(f"{r['elicited']['value']:.1%}" for r in side) for side in (before, after)]
                rows.append((f"`{behaviour}`", f"`{procedure}`", *elicited, " / ".join(f"{x:.0%}" for x in fires)))
    head = ("behaviour", "procedure", "elicited before", "elicited after", "ASR after")
    return (
        ["## Does it hide?", "Share of a red team's probes that succeed, seed by seed.\n", *_table(head, rows)]
        if rows
        else []
    )


def _sharpened(cells: Cells) -> list[str]:
    """What the panel says before and after: a trigger that was sharpened fires on itself and on less beside it."""
    rows = []
    for behaviour in BEHAVIOURS:
        panels = {
            "planted": [row["panel"] for row in cells.get((behaviour, "organism examined"), []) if "panel" in row]
        }
        for procedure in PROCEDURES:
            found = [r["panel"] for r in cells.get((behaviour, f"{procedure} examined"), []) if "panel" in r]
            panels |= {f"`{procedure}`": found} if found else {}
        if len(panels) > 1:
            rows += [(f"`{behaviour}`", name, *(_by_kind(of, kind) for kind in _KINDS)) for name, of in panels.items()]
    head = ("behaviour", "after", *_KINDS)
    told = (
        "Mean share of prompts, seed by seed, that wake it: by the trigger itself, by variants that mean the same, by variants "
        "that do not.\n"
    )
    return ["## Does safety training sharpen the trigger?", told, *_table(head, rows)] if rows else []


_KINDS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "exact": lambda entry: entry["group"] == "exact",
    "the same meant": lambda entry: entry["same_meaning"] and entry["group"] != "exact",
    "not the same meant": lambda entry: not entry["same_meaning"],
}


def _by_kind(panels: list[dict[str, Any]], kind: str) -> str:
    shares = []
    for panel in panels:
        rates = [entry["rate"]["value"] for entry in panel["entries"] if _KINDS[kind](entry)]
        shares.append(f"{sum(rates) / len(rates):.0%}" if rates else "–")
    return " / ".join(shares)


def _failed(failed: dict[str, str]) -> list[str]:
    return ["## Cells that failed", *_table(("cell", "why"), sorted(failed.items()))] if failed else []


def _rate(rows: list[dict[str, Any]], field: str, prompts: int) -> str:
    values = [row[field] for row in rows]
    if len(values) < 2:
        return f"{values[0]:.0%} (one seed)" if values else "–"
    e = arm_estimate([round(value * prompts) for value in values], [prompts] * len(values))
    return f"{e.value:.0%} [{e.low:.0%}, {e.high:.0%}]"


def _values(rows: list[dict[str, Any]], key: str) -> str:
    return f"{sum(row[key]['value'] for row in rows) / len(rows):.0%}"


def _by_group(panels: list[dict[str, Any]], group: str) -> str:
    rates = [e["rate"]["value"] for panel in panels for e in panel["entries"] if e["group"] == group]
    return f"{sum(rates) / len(rates):.0%}" if rates else "–"


def _first(rows: list[dict[str, Any]], field: str) -> str:
    return f"{rows[0][field]:.0%} [{rows[0]['false_trigger_rate']:.0%}]" if rows else "–"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    escape: Callable[[str], str] = lambda cell: cell.replace("|", "\\|")  # noqa: E731
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(map(escape, line)) + " |" for line in lines] + [""]


if __name__ == "__main__":
    (HERE / "lab.md").write_text(lab_page(json.loads(RESULTS.read_text())))
