"""Numbers as settings: one that cannot be meant is refused where it is written, by its name and value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parbake.errors import ParbakeError


def check_whole(
    value: Any, *, field: str, error: type[ParbakeError], least: int = 1, most: int | None = None, of: str = ""
) -> None:
    """Raise ``error`` unless a value is a whole number from ``least`` to ``most``; ``of`` says whose setting it is."""
    expected = f"a whole number of at least {least}" if most is None else f"a whole number from {least} to {most}"
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or value < least or (most is not None and value > most):
        raise error(f"{of}{field}={value!r}: expected {expected}", field=field)


def check_flag(value: Any, *, field: str, error: type[ParbakeError]) -> None:
    """Raise ``error`` unless a value is ``True`` or ``False``: of anything else one reads what it does not mean."""
    if not isinstance(value, bool):
        raise error(f"{field}={value!r}: expected True or False", field=field)


def check_object(value: Any, *methods: str, field: str, error: type[ParbakeError], expected: str) -> None:
    """Raise ``error``, saying what was ``expected``, unless a value is an object (and no class) with these methods."""
    if isinstance(value, type) or not all(callable(getattr(value, name, None)) for name in methods):
        raise error(f"{field}={value!r}: expected {expected}", field=field)


def check_number(
    value: Any, *, field: str, error: type[ParbakeError], expected: str, fits: Callable[[float], bool]
) -> None:
    """Raise ``error``, saying what was ``expected``, unless a value is a finite number that ``fits``."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not float("-inf") < value < float("inf") or not fits(value):
        raise error(f"{field}={value!r}: expected {expected}", field=field)
