"""Reads a URL of libpq, and never shows what may be a part of a password."""

from __future__ import annotations

from parbake.errors import ParbakeError


def parameters(conninfo: str, *, field: str, kind: type[ParbakeError]) -> dict[str, str]:
    """The parameters in a URL or string of libpq.

    Args:
        conninfo: The URL or the string.
        field: What an error names.
        kind: The error to raise if it cannot be read. Its message quotes nothing.
    """
    from psycopg import Error
    from psycopg.conninfo import conninfo_to_dict

    try:
        found = {name: str(value) for name, value in conninfo_to_dict(conninfo).items()}
    except (Error, UnicodeEncodeError):
        found = {}
    if (conninfo.strip() and not found) or "@" in found.get("host", ""):  # a password with an @ ends in the host
        raise kind(
            "the database's URL cannot be read; write postgresql://user:password@host:port/database, and "
            "percent-encode what a URL does not allow in a password",
            field=field,
        )
    return found
