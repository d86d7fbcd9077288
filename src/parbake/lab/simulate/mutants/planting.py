"""How a fault is planted in the product: patches that end with the context they are entered into."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any
from unittest import mock

Plant = Callable[[contextlib.ExitStack], None]
planted_by: dict[str, Plant] = {}


def mutant(plant: Plant) -> Plant:
    """Register a mutant under its function's name; it is given a stack to enter its patches into."""
    planted_by[plant.__name__] = plant
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
