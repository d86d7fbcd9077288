"""How a mutant changes the product: by patches, which end with the stack that they are entered into."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any
from unittest import mock

Mutant = Callable[[contextlib.ExitStack], None]
mutants_by_name: dict[str, Mutant] = {}


def mutant(function: Mutant) -> Mutant:
    """Register a mutant under its function's name; the function enters its patches into the stack that it gets."""
    mutants_by_name[function.__name__] = function
    return function


def everywhere(stack: contextlib.ExitStack, original: Any, replacement: Any) -> None:
    """Replace a function in every module of the product that holds it by name.

    Args:
        stack: The stack that ends the patch.
        original: The function.
        replacement: Its replacement.
    """
    found = [
        (module, attribute)
        for name, module in list(sys.modules.items())
        if name.partition(".")[0].startswith("parbake") and not name.startswith("parbake.testing")
        for attribute, value in list(vars(module).items())
        if value is original
    ]
    assert found, f"nothing in the product is named {original!r}; the mutant would change nothing"
    for module, attribute in found:
        stack.enter_context(mock.patch.object(module, attribute, replacement))


def method(stack: contextlib.ExitStack, owner: type, name: str, replacement: Any) -> None:
    """Replace a method that a class itself defines, for all its objects, until the stack is closed.

    Args:
        stack: The stack that ends the patch.
        owner: The class.
        name: The name of the method.
        replacement: Its replacement.
    """
    assert name in vars(owner), f"{owner.__name__} does not define {name}; the mutant would change something else"
    stack.enter_context(mock.patch.object(owner, name, replacement))
