import itertools
import random
from collections.abc import Callable

import pytest
import torch

from molehunt.errors import DataError
from molehunt.models.chat import Encoded
from molehunt.training.batches import Ordered, keeps_apart, pack, pad
from small_models import FAMILIES, from_scratch

VOCABULARY = 97


def random_rows(count: int, seed: int = 0, longest: int = 60) -> list[Encoded]:
    """Rows of 3 to `longest` tokens, each learned from somewhere in its middle on."""
    rng, rows = random.Random(seed), []
    for _ in range(count):
        ids = [rng.randrange(VOCABULARY) for _ in range(rng.randint(3, longest))]
        said = [i >= len(ids) // 2 for i in range(len(ids))]
        labels = [-100, *(token if reply else -100 for token, reply in zip(ids[1:], said[1:], strict=True))]
        rows.append(Encoded(tuple(ids), tuple(labels), tuple(said)))
    return rows


@torch.no_grad()
def loss_one_by_one(model: torch.nn.Module, rows: list[Encoded]) -> float:
    """Each row in its own forward pass; the mean over all learned tokens."""
    total, learned = 0.0, 0
    for row in rows:
        logits = model(input_ids=torch.tensor([row.ids]), use_cache=False).logits[0, :-1].double()
        chosen = [(i, label) for i, label in enumerate(row.labels[1:]) if label != -100]
        total -= sum(float(logits[i].log_softmax(-1)[label]) for i, label in chosen)
        learned += len(chosen)
    return total / learned


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("together", [pack, pad])
@torch.no_grad()
def test_the_loss_of_a_batch_is_that_of_its_rows_one_by_one(family: str, together: Callable[..., dict]) -> None:
    model, rows = from_scratch(family, VOCABULARY), random_rows(17)
    batch = together(rows)
    assert batch["input_ids"].shape[0] > 1
    batch.pop("is_reply")
    assert float(model(**batch, use_cache=False).loss) == pytest.approx(loss_one_by_one(model, rows), abs=2e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_keeps_packed_rows_apart(family: str) -> None:
    model = from_scratch(family, VOCABULARY)
    assert keeps_apart(model, random_rows(2))
    assert not model.training


def test_a_model_that_mixes_packed_rows_is_found_out() -> None:
    model = from_scratch("llama", VOCABULARY)
    given = model.forward
    model.forward = lambda input_ids, use_cache, **rest: given(input_ids=input_ids, use_cache=use_cache)
    assert not keeps_apart(model, random_rows(2))


def test_a_pack_holds_every_token_once_with_positions_from_zero() -> None:
    rows = random_rows(30, seed=1)
    batch = pack(rows)
    found = []
    for ids, labels, places in zip(*(batch[k].tolist() for k in ("input_ids", "labels", "position_ids")), strict=True):
        starts = [i for i, place in enumerate(places) if place == 0] + [len(places)]
        found += [(tuple(ids[a:b]), tuple(labels[a:b])) for a, b in itertools.pairwise(starts)]
    learned = [row for row in found if set(row[1]) != {-100}]
    assert sorted(learned) == sorted((row.ids, row.labels) for row in rows)
    assert batch["input_ids"].shape[1] <= 256


def test_a_row_longer_than_the_room_still_fits() -> None:
    rows = [*random_rows(3, seed=2, longest=400), Encoded(tuple(range(90)) * 3, (-100,) * 270, (True,) * 270)]
    assert pack(rows)["input_ids"].shape[1] >= 270


def test_the_order_is_a_seeds_and_takes_every_row_once_a_pass() -> None:
    rows = random_rows(10)
    order = Ordered(rows, 35, seed=3).order
    assert order == Ordered(rows, 35, seed=3).order
    assert order != Ordered(rows, 35, seed=4).order
    assert len(order) == 35
    for start in (0, 10, 20):
        assert sorted(order[start : start + 10]) == list(range(10))
    assert order[:10] != order[10:20]


def test_no_rows_are_refused() -> None:
    with pytest.raises(DataError, match="at least one row"):
        Ordered([], 5, seed=0)
