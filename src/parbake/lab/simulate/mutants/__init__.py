"""Mutants: known faults that are put into the product, to check that the simulation finds them."""
