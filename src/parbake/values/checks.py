"""Checks for settings: an invalid value is rejected where it is given, with its name and value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parbake.errors import BadInput, ParbakeError


def check_whole(
    value: Any, *, field: str, error: type[ParbakeError], least: int = 1, most: int | None = None, of: str = ""
) -> None:
    """Raise ``error`` unless a value is a whole number in a range.

    Args:
        value: The value.
        field: The setting's name.
        error: The error to raise.
        least: The lowest valid number.
        most: The highest valid number; ``None`` for no limit.
        of: Prefix of the message that says whose setting it is.
    """
    expected = f"a whole number of at least {least}" if most is None else f"a whole number from {least} to {most}"
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or value < least or (most is not None and value > most):
        raise error(f"{of}{field}={value!r} must be {expected}", field=field)


def check_flag(value: Any, *, field: str, error: type[ParbakeError]) -> None:
    """Raise ``error`` unless a value is ``True`` or ``False``; any other value would count as its truth value.

    Args:
        value: The value.
        field: The setting's name.
        error: The error to raise.
    """
    if not isinstance(value, bool):
        raise error(f"{field}={value!r} must be True or False", field=field)


def check_object(value: Any, *methods: str, field: str, error: type[ParbakeError], expected: str) -> None:
    """Raise ``error`` unless a value is an object (not a class) with the given methods.

    Args:
        value: The value.
        methods: The names of the methods.
        field: The setting's name.
        error: The error to raise.
        expected: What a valid value is, for the message.
    """
    if isinstance(value, type) or not all(callable(getattr(value, name, None)) for name in methods):
        raise error(f"{field}={value!r} must be {expected}", field=field)


def check_number(
    value: Any, *, field: str, error: type[ParbakeError], expected: str, fits: Callable[[float], bool]
) -> None:
    """Raise ``error`` unless a value is a finite number that passes a test.

    Args:
        value: The value.
        field: The setting's name.
        error: The error to raise.
        expected: What a valid value is, for the message.
        fits: Whether a number is valid.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not float("-inf") < value < float("inf") or not fits(value):
        raise error(f"{field}={value!r} must be {expected}", field=field)


def check_app_name(value: Any) -> None:
    """Raise :class:`BadInput` unless a value names an app that another process can import."""
    module, _, attribute = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not module or not attribute or module.startswith("."):
        raise BadInput(f"app={value!r} must be module:attribute, such as 'shop:app'", field="app")


class Problems:
    """Collects the errors of checks that do not depend on each other: each runs within ``with problems:``."""

    def __init__(self) -> None:
        self.found: list[ParbakeError] = []

    def __enter__(self) -> None:
        """Begin a check."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        """Keep one of parbake's own errors; any other goes on."""
        if isinstance(error, ParbakeError):
            self.found.append(error)
        return isinstance(error, ParbakeError)

    def must_be_none(self) -> None:
        """Raise the first error, with the others in its ``others``."""
        if self.found:
            self.found[0].others = tuple(self.found[1:])
            raise self.found[0]
