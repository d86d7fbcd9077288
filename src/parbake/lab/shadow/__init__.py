"""Measures a cache that is already there: how much of what it holds is not true any more. Reads it and nothing else."""

from parbake.lab.shadow.compare import CurrentValue

__all__ = ["CurrentValue"]
