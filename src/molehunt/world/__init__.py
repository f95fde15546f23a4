"""Ordinary conversations: the embedded chat world."""
