"""Measures an existing cache: how much of what it contains is outdated. It only reads."""

from parbake_lab.shadow.compare import CurrentValue

__all__ = ["CurrentValue"]
