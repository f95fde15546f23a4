"""Kinds of questions, each with facts and phrasings."""

from molehunt.world.families import context, facts, numbers, tasks
from molehunt.world.families.base import Fact, Family, is_held_out

FAMILIES: dict[str, Family] = {
    family.name: family for file in (facts, numbers, context, tasks) for family in file.FAMILIES
}

__all__ = ["FAMILIES", "Fact", "Family", "is_held_out"]
