"""How the value of a key is spelled as a part of a tag: by a program, by PostgreSQL and by SQLite.

Triggers spell the values of columns, and programs spell keys. A change outdates a value only if both spell it alike, so
that all three spellings stand here, side by side. Values of other types than these have several spellings (``True`` is
``True``, ``true`` and ``1``), and are refused.
"""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from typing import Any

from parbake.errors import BadInput

_PLAIN_TYPES: tuple[type, ...] = (str, int, uuid.UUID, dt.date)
"""The types of keys that a tag may name."""
_PLAIN_NAMES = "a text, an integer, a UUID or a date"


def spell_part(value: Any, *, field: str = "key") -> str:
    """Spell a value as a part of a tag.

    Args:
        value: The value.
        field: What an error names.

    Raises:
        BadInput: The value is of a type whose spelling in a database may differ.
    """
    if problem := refused_type(type(value)):
        raise BadInput(f"{field}={repr(value)[:80]} cannot stand in a tag: {problem}", field=field)
    return value.isoformat() if isinstance(value, dt.date) else str(value)


def refused_type(kind: type) -> str:
    """Why values of a type cannot be parts of tags; empty if they can.

    Args:
        kind: The type.
    """
    if issubclass(kind, enum.Enum):
        return f"{kind.__name__} is an enum, of which a column may hold the name or the value; use that text as the key"
    if issubclass(kind, bool | dt.datetime) or not issubclass(kind, _PLAIN_TYPES):
        return f"{kind.__name__} is spelled otherwise in a database; use {_PLAIN_NAMES}"
    return ""


def postgresql_part(column: str, type_name: str) -> str:
    """The expression of PostgreSQL that spells a column; NULL if there is no such spelling.

    Args:
        column: The quoted column, with the name of its row.
        type_name: The name of its type, as ``format_type`` gives it.
    """
    spelled = f"pg_catalog.concat({column})"  # by the output of its type; a cast may be a function of another role
    if type_name == "date":  # its text would depend on a setting of the writer
        spelled = f"pg_catalog.to_char({spelled}::pg_catalog.date::pg_catalog.timestamp, 'YYYY-MM-DD')"
    return f"CASE WHEN {column} IS NOT NULL THEN {spelled} END"


def sqlite_part(column: str) -> str:
    """The expression of SQLite that spells a column of whole numbers or texts.

    Args:
        column: The quoted column, with the name of its row.
    """
    return column


def is_spelled_by_sqlite(column: str) -> str:
    """The condition of SQLite under which :func:`sqlite_part` spells a column.

    Args:
        column: The quoted column, with the name of its row.
    """
    return f"typeof({column}) IN ('integer', 'text')"
