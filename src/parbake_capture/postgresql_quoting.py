"""Names and texts as statements of PostgreSQL write them, quoted by its driver."""

from __future__ import annotations

from collections.abc import Sequence


def identifier(name: str) -> str:
    """A name of a column or the like."""
    from psycopg import sql

    return sql.Identifier(name).as_string(None)


def literal(value: str) -> str:
    """A text, whatever the session says about backslashes."""
    from psycopg import sql

    return sql.Literal(value).as_string(None).strip()


def array(values: Sequence[str]) -> str:
    """An array of texts."""
    return f"ARRAY[{', '.join(map(literal, values))}]::pg_catalog.TEXT[]"


def body(text: str) -> str:
    """The body of a function within dollars, readable for who executes the statements by hand.

    Args:
        text: The body, which may contain names of others, and thereby what would end it.
    """
    mark = "parbake"
    while f"${mark}" in text:
        mark += "_"
    return f"${mark}${text}${mark}$"
