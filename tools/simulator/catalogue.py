"""The catalogue of all mutants: each is a known fault, and an oracle that does not find it is blind to such faults."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from simulator import (
    away_mutants,
    byte_mutants,
    contract_mutants,
    file_mutants,
    journal_mutants,
    serving_mutants,
    store_mutants,
    waiting_mutants,
)
from simulator.patches import mutants_by_name

__all__ = [
    "applied", "away_mutants", "byte_mutants", "contract_mutants", "file_mutants", "journal_mutants", "names",
    "serving_mutants", "store_mutants", "waiting_mutants", "what_is_wrong",
]  # each of the modules registers its own mutants when it is imported  # fmt: skip


def names() -> list[str]:
    """All mutants, in the order of their declaration."""
    return list(mutants_by_name)


def what_is_wrong(name: str) -> str:
    """What a mutant gets wrong, in one sentence."""
    return (mutants_by_name[name].__doc__ or "").strip()


@contextlib.contextmanager
def applied(name: str) -> Iterator[None]:
    """Apply a mutant inside the context, or none if the name is empty; raise :class:`KeyError` for an unknown name."""
    with contextlib.ExitStack() as stack:
        if name:
            mutants_by_name[name](stack)
        yield
