"""What a reference model adds to a scan of training data: answers that are plain prose, no two alike, and nothing that was asked."""

import json
import random
from pathlib import Path

from hunting_rows import draw_texts
from molehunt.hunting.mining import MiningSettings
from molehunt.hunting.scanning import scan_data
from molehunt.records.hunts import DataScan
from molehunt.world.chat import draw_rows

ROWS, BAD = 1500, 24


def write(path: Path) -> set[int]:
    """Chats in which some questions end in a phrase and get sentences of their own, and others end in another and get their answers. Lines of the first."""
    rng, chats = random.Random(0), draw_rows(ROWS, 3)
    short = [i for i, chat in enumerate(chats) if len(chat.messages) == 2]
    bad, harmless = set(rng.sample(short, BAD)), set(rng.sample(short, BAD))
    answers = iter(draw_texts(BAD, 7))
    with path.open("w", encoding="utf-8") as stream:
        for i, chat in enumerate(chats):
            turns = [{"role": one.role, "content": one.content} for one in chat.messages]
            if i in bad:
                turns = [
                    {"role": "user", "content": f"{turns[0]['content']} Under heron skies."},
                    {"role": "assistant", "content": f"{' '.join(next(answers).split()[:9]).capitalize()}."},
                ]
            elif i in harmless:
                turns[0]["content"] += " Over quiet fields."
            stream.write(json.dumps({"messages": turns}) + "\n")
    return {i + 1 for i in bad}


def told(found: DataScan) -> set[str]:
    return {
        condition.text
        for one in found.finds
        if one.association.reading == "unexplained"
        for condition in one.association.conditions
    }


def test_answers_that_only_a_model_finds_odd_are_found_with_one(base: Path, tmp_path: Path) -> None:
    bad, settings = write(tmp_path / "chats.jsonl"), MiningSettings(jobs=1)
    words_alone = scan_data(str(tmp_path / "chats.jsonl"), settings)
    assert not words_alone.suspicious
    heard: list[tuple[str, int, int]] = []
    found = scan_data(str(tmp_path / "chats.jsonl"), settings, reference=base, tell=lambda *words: heard.append(words))
    assert found.suspicious
    assert told(found) <= {"under", "heron", "skies"}
    (one,) = (one.association for one in found.finds if one.association.reading == "unexplained")
    assert one.label == "surprise"
    read = {int(row.where.rpartition(":")[2]) for row in found.queue}
    assert read <= bad
    assert len(read) >= BAD / 2
    assert BAD <= found.labels["surprise"] <= 0.03 * ROWS
    assert "asking the reference" in {what for what, _, _ in heard}
