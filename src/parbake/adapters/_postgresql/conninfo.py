"""Reads a URL of libpq, and never shows what may be a part of a password."""

from __future__ import annotations

import re
from collections.abc import Mapping

from parbake.errors import ParbakeError

_URL = re.compile(r"(?s)\s*postgres(?:ql)?://(.*)")


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
    if (conninfo.strip() and not found) or _holds_a_password(conninfo, found):
        raise kind(
            f"{field}: the database's URL cannot be read; write postgresql://user:password@host:port/database, and "
            "percent-encode what a URL does not allow in a password",
            field=field,
        )
    return found


def _holds_a_password(conninfo: str, found: Mapping[str, str]) -> bool:
    """Whether something that is shown may be a part of a password.

    A password with an ``@`` ends in the host. One with a ``/`` or a ``?`` begins in the port, behind what is then taken
    for the host, and ends in the name of the database.
    """
    url = _URL.match(conninfo)
    path = url[1].partition("?")[0].partition("/")[2] if url else found.get("dbname", "").partition("://")[2]
    is_port = re.fullmatch(r"[0-9,\s]*", found.get("port", ""))
    return "@" in found.get("host", "") or "@" in path or is_port is None
