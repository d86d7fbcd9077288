"""Faults planted in the product on purpose: a judge that lets one pass is blind."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

Plant = Callable[[contextlib.ExitStack], None]
_mutants: dict[str, Plant] = {}


def names() -> list[str]:
    """All mutants, in the order of their declaration."""
    from parbake.testing.simulation import plants, plants_store  # each registers its own

    del plants, plants_store
    return list(_mutants)


def what_is_wrong(name: str) -> str:
    """What a mutant gets wrong, in a sentence."""
    return (_mutants[name].__doc__ or "").strip()


@contextlib.contextmanager
def planted(name: str) -> Iterator[None]:
    """Live with one mutant; the empty name is none. Raises :class:`KeyError` when there is no such."""
    names()
    with contextlib.ExitStack() as stack:
        if name:
            _mutants[name](stack)
        yield


def mutant(plant: Plant) -> Plant:
    """Register a mutant under its function's name; it is given a stack to enter its patches into."""
    _mutants[plant.__name__] = plant
    return plant


def everywhere(stack: contextlib.ExitStack, original: Any, replacement: Any) -> None:
    """Replace a function wherever a module of the product holds it by name."""
    for name, module in list(sys.modules.items()):
        if not name.startswith("parbake.") or name.startswith("parbake.testing"):
            continue
        for attribute, value in list(vars(module).items()):
            if value is original:
                stack.enter_context(mock.patch.object(module, attribute, replacement))


def method(stack: contextlib.ExitStack, owner: type, name: str, replacement: Any) -> None:
    """Replace a method."""
    stack.enter_context(mock.patch.object(owner, name, replacement))
