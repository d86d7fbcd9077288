"""A deterministic simulation of whole histories: the product's own code, a virtual clock, faults, and an oracle."""

from simulator.history import History, play

__all__ = ["History", "play"]
