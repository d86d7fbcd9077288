"""Checks of values before they are stored; each raises :class:`BadValue` naming the field and what to send."""

from __future__ import annotations

import re
from collections.abc import Sequence

from retail_assistant.shop.errors import BadValue

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Among them are those that turn the direction of text, so that something else is shown than what is stored."""
MAX_INTEGER = 2**53 - 1
MOST_COPIES = 1_000_000
"""The most copies of a product in a line of an order."""
END_OF_TIME = 253_402_300_800
"""The first second of the year 10000, which no calendar here has."""


def identifier(value: str, field: str) -> str:
    """Return an id of 1 to 64 letters, digits, dots, dashes, colons and underscores."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise BadValue(f"{field}: send 1 to 64 letters, digits, '.', '_', ':' or '-'", field=field)
    return value


def text(value: str, field: str, *, longest: int, shortest: int = 1) -> str:
    """Return text within the length limits (characters) and without control characters other than tab and newline."""
    if not isinstance(value, str) or not shortest <= len(value.strip()) <= longest or len(value) > longest:
        raise BadValue(f"{field}: send text of {shortest} to {longest} characters", field=field)
    if has_control_characters(value):
        raise BadValue(f"{field}: remove the control characters", field=field)
    return value


def has_control_characters(value: str) -> bool:
    """Whether text has control characters other than tab and newline, direction overrides, or half a character."""
    return bool(_CONTROL.search(value))


def plain(value: str, field: str) -> str:
    """Return text that holds no ``{{``: in replies that would be a slot."""
    if "{{" in value or "}}" in value:
        raise BadValue(f"{field}: remove the doubled braces", field=field)
    return value


def integer(value: int, field: str, *, least: int, most: int = MAX_INTEGER) -> int:
    """Return a whole number within the limits."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadValue(f"{field}: send a whole number from {least} to {most}", field=field)
    return value


def moment(value: float, field: str) -> float:
    """Return a time in epoch seconds that a calendar has a day for."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < END_OF_TIME:
        raise BadValue(f"{field}: send a time in epoch seconds, not in milliseconds", field=field)
    return float(value)


def choice(value: str, field: str, among: Sequence[str]) -> str:
    """Return a value that is one of ``among``."""
    if value not in among:
        raise BadValue(f"{field}: send one of {', '.join(among)}", field=field)
    return value
