"""Faults planted in the product on purpose: a judge that lets one pass is blind."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from parbake.lab.simulate.mutants import byte_mutants as plants_bytes
from parbake.lab.simulate.mutants import contract_mutants as plants_contract
from parbake.lab.simulate.mutants import serving_mutants as plants
from parbake.lab.simulate.mutants import store_mutants as plants_store  # each registers its own
from parbake.lab.simulate.mutants.planting import planted_by

__all__ = ["names", "planted", "plants", "plants_bytes", "plants_contract", "plants_store", "what_is_wrong"]


def names() -> list[str]:
    """All mutants, in the order of their declaration."""
    return list(planted_by)


def what_is_wrong(name: str) -> str:
    """What a mutant gets wrong, in a sentence."""
    return (planted_by[name].__doc__ or "").strip()


@contextlib.contextmanager
def planted(name: str) -> Iterator[None]:
    """Live with one mutant; the empty name is none. Raises :class:`KeyError` when there is no such."""
    with contextlib.ExitStack() as stack:
        if name:
            planted_by[name](stack)
        yield
