"""Examine one suspect model and give a calibrated verdict."""
