"""The parts of ``benchmarks/hybrid.py``."""
