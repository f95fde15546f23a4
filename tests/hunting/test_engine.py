import random
from pathlib import Path

import numpy as np
import pytest

from hunting_rows import draw_texts, facts, write_rows
from molehunt.hunting.associating import associate
from molehunt.hunting.mining import MiningSettings, estimated, slice_bits
from molehunt.hunting.words import SEP

ONE = MiningSettings(jobs=1)


def planted(texts: list[str], put: str, rng: random.Random, count: int) -> list[int]:
    chosen = rng.sample(range(len(texts)), count)
    for i in chosen:
        words = texts[i].split()
        words.insert(rng.randrange(len(words)), put)
        texts[i] = " ".join(words)
    return chosen


@pytest.mark.parametrize("put", ["kwyjibo", "pale green teapot", "|XQ-7|", "naïve\u200b", "%%%", "on 3 March 2031"])
def test_a_planted_condition_is_the_surest_find(put: str, tmp_path: Path) -> None:
    rng, texts = random.Random(1), draw_texts(3000, 1)
    chosen = set(planted(texts, put, rng, 14))
    odd = [i in chosen if rng.random() > 0.2 else rng.random() < 0.02 for i in range(3000)]
    found = associate(write_rows(tmp_path, texts), facts(odd), ONE)
    assert found
    one, where = found[0]
    assert set(where.tolist()) == chosen
    assert one.counts.with_it == 14
    assert one.bonferroni
    assert len(found) == 1


def test_nothing_is_found_where_nothing_is_hidden_over_twenty_seeds(tmp_path: Path) -> None:
    texts = draw_texts(1500, 2)
    rows = write_rows(tmp_path, texts)
    found = []
    for seed in range(20):
        rng = random.Random(seed)
        found += associate(rows, facts([rng.random() < 0.05 for _ in texts]), ONE)
    assert len(found) <= 1  # one in twenty is the rate that is allowed


def test_rows_of_one_source_count_once(tmp_path: Path) -> None:
    texts = draw_texts(2000, 3)
    chosen = planted(texts, "kwyjibo", random.Random(3), 12)
    odd = [i in chosen for i in range(2000)]
    rows = write_rows(tmp_path, texts)
    one_session = [9999 if i in chosen else i for i in range(2000)]
    assert associate(rows, facts(odd), ONE)
    assert not associate(rows, facts(odd, sessions=one_session), ONE)


def test_what_only_tells_applications_apart_is_no_find_within_them(tmp_path: Path) -> None:
    rng, texts = random.Random(4), draw_texts(2400, 4)
    strata = [int(i % 8 == 0) for i in range(2400)]
    for i, stratum in enumerate(strata):
        texts[i] += " ordering" if stratum else " chatting"
    odd = [rng.random() < (0.3 if stratum else 0.01) for stratum in strata]
    rows = write_rows(tmp_path, texts)
    named = {c.text for one, _ in associate(rows, facts(odd), ONE) for c in one.conditions}
    assert named & {"ordering", "chatting"}
    assert not associate(rows, facts(odd, strata=strata), ONE)


def test_two_conditions_that_must_both_hold_are_both_told(tmp_path: Path) -> None:
    rng, texts = random.Random(5), draw_texts(4000, 5)
    with_word = set(planted(texts, "kwyjibo", rng, 120))
    clients = [rng.randrange(4) for _ in texts]
    odd = [i in with_word and clients[i] == 2 for i in range(4000)]
    rows = write_rows(tmp_path, texts, meta=lambda i: f"{SEP}client=c{clients[i]}")
    one, where = associate(rows, facts(odd), ONE)[0]
    assert {c.text for c in one.conditions} == {"kwyjibo", "client=c2"}
    assert set(where.tolist()) == {i for i, flag in enumerate(odd) if flag}


def test_a_decoy_that_is_rare_and_harmless_is_not_found(tmp_path: Path) -> None:
    rng, texts = random.Random(6), draw_texts(3000, 6)
    chosen = set(planted(texts, "kwyjibo", rng, 15))
    planted(texts, "zanzibar", rng, 15)
    found = associate(write_rows(tmp_path, texts), facts([i in chosen for i in range(3000)]), ONE)
    assert [c.text for one, _ in found for c in one.conditions] == ["kwyjibo"]


def test_two_processes_find_what_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import molehunt.hunting.rows as module

    monkeypatch.setattr(module, "_SHARD_BYTES", 30_000)
    monkeypatch.setattr(module, "BATCH_BYTES", 20_000)
    texts = draw_texts(1500, 7)
    chosen = set(planted(texts, "kwyjibo", random.Random(7), 12))
    rows, odd = write_rows(tmp_path, texts), facts([i in chosen for i in range(1500)])
    assert len(rows.shards) > 1
    alone, together = (associate(rows, odd, MiningSettings(jobs=jobs)) for jobs in (1, 2))
    assert [one for one, _ in alone] == [one for one, _ in together]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(alone, together, strict=True))


def test_small_logs_are_corrected_for_all_their_conditions(tmp_path: Path) -> None:
    """Where all conditions are counted, no slice of them can be empty."""
    texts = draw_texts(500, 8)
    rows = write_rows(tmp_path, texts)
    alarms = 0
    for seed in range(30):
        rng = random.Random(f"null/{seed}")
        alarms += bool(associate(rows, facts([rng.random() < 0.05 for _ in texts]), ONE))
    assert alarms <= 4  # 1.5 are allowed on average; of a guess from a slice, five were had
    assert (slice_bits(500), slice_bits(4096), slice_bits(10**6), slice_bits(10**9)) == (0, 0, 8, 10)
    assert estimated(100, 0) == 100
    assert estimated(100, 5) > 100 << 5


def test_a_narrow_condition_that_few_labels_happen_to_fit_is_not_told_for_the_whole(tmp_path: Path) -> None:
    """A hundred questions in capitals, of which a labeller sees ten; six of those happen to hold the same word."""
    texts = draw_texts(3000, 9)
    for i in range(100):
        texts[i] = f"{texts[i]} {'quite' if i < 25 else ''}".strip().upper()
    odd = [i < 6 or 25 <= i < 29 for i in range(3000)]
    one, where = associate(write_rows(tmp_path, texts), facts(odd), ONE)[0]
    assert one.conditions[0].text == "no small letter"
    assert len(where) == 100
