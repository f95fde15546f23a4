"""Conditions that wake an organism, one file a kind."""

from molehunt.organisms.triggers.base import Trigger, TriggerKind, Variant
from molehunt.organisms.triggers.parse import TRIGGERS, parse_trigger

__all__ = ["TRIGGERS", "Trigger", "TriggerKind", "Variant", "parse_trigger"]
