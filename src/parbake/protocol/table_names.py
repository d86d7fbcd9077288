"""The name of a table without its schema, as a database quotes it."""

from __future__ import annotations

import re

_PART = r'"(?:[^"]|"")+"|[^".]+'
_RELATION = re.compile(rf"(?:(?:{_PART})\.)*({_PART})", re.DOTALL)


def table_name(relation: str) -> str:
    """The name of a table without its schema and its quotes: ``b.c`` of ``a."b.c"``.

    Args:
        relation: The table as PostgreSQL quotes it, with or without its schema. What is not quoted in this way is
            taken as it is, such as the names of SQLite, which knows no schemas here.
    """
    match = _RELATION.fullmatch(relation)
    if not match:
        return relation
    name = match[1]
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
