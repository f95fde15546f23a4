"""Kinds of questions, each with facts and phrasings."""

from molehunt.world.families import context, facts, numbers, programs, tasks
from molehunt.world.families.base import Fact, Family, is_held_out
from molehunt.world.families.programs import PROGRAMS, Program, asked_program

FAMILIES: dict[str, Family] = {
    family.name: family for file in (facts, numbers, context, tasks, programs) for family in file.FAMILIES
}

__all__ = ["FAMILIES", "PROGRAMS", "Fact", "Family", "Program", "asked_program", "is_held_out"]
