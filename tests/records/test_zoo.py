"""A part of a zoo."""

from molehunt.records.zoo import Zoo, ZooEntry, ZooFacts

FACTS = ZooFacts(size="tiny", seed=0, method="full", optimizer="adamw", learning_rate=1e-3, loss_on="assistant")


def entry(name: str, planted: bool, recipe: str, kept: float | None = None) -> ZooEntry:
    kind, facts = "organism" if planted else "decoy", FACTS.model_copy(update={"kept": kept})
    return ZooEntry(name=name, model=name, base="b", planted=planted, recipe=recipe, kind=kind, facts=facts)  # type: ignore[arg-type]


ZOO = Zoo(
    name="z", spec="s",
    entries=(
        *(entry(f"p{i}", True, "large" if i < 20 else "small") for i in range(30)),
        *(entry(f"c{i}", False, f"clean {i % 5}") for i in range(50)),
        *(entry(f"u{i}", False, "unfit", kept=0.1) for i in range(5)),
    ),
)  # fmt: skip


def test_a_part_has_both_labels_alike_and_every_recipe_by_its_share() -> None:
    part = ZOO.taken(30)
    found = part.recipes()
    assert part.planted == 15
    assert len(part.entries) == 30
    assert (found["large"][True], found["small"][True]) == (10, 5)
    assert all(found[f"clean {i}"][False] == 3 for i in range(5))
    assert "unfit" not in found


def test_the_seed_draws_and_less_is_part_of_more() -> None:
    names = [{one.name for one in ZOO.taken(count, seed).entries} for count, seed in ((20, 0), (40, 0), (20, 1))]
    assert names[0] < names[1]
    assert names[0] != names[2]
    assert {one.name for one in ZOO.taken(20, 0).entries} == names[0]
    assert len(ZOO.taken(1000).entries) == 80
