"""Opens the database of a URL for capture, and captures tables in one call."""

from __future__ import annotations

import contextlib
import re

from parbake.errors import BadInput
from parbake.values.redaction import without_credentials
from parbake_capture.tables import Capture, parsed


def open_capture(url: str) -> Capture:
    """Open the database of a URL, ``postgresql://…`` or ``sqlite:///file``.

    Raises :class:`BadInput` for any other.
    """
    named = re.match(r"\s*([A-Za-z][A-Za-z0-9+.-]*):", url)
    scheme = named[1].lower() if named else ""
    is_conninfo = not scheme and re.match(r"\s*\w+\s*=", url) is not None  # libpq's other form, "host=... dbname=..."
    if scheme in ("postgresql", "postgres") or is_conninfo:
        from parbake_capture.postgresql_triggers import PostgresqlCapture

        return PostgresqlCapture(url)
    if scheme == "sqlite":
        from parbake_capture.sqlite_triggers import SqliteCapture

        return SqliteCapture.from_url(url)
    shown = without_credentials(url)
    raise BadInput(
        f"{shown!r} is not a database that can be captured: write postgresql://host/database or sqlite:///shop.db",
        field="DATABASE",
    )


def install(url: str, *tables: str, app: str = "app") -> None:
    """Install the triggers of some tables, as ``parbake capture install --apply`` does; it may be repeated.

    A table that is captured keeps the tags that it has, and what is there already is not made again. Without tables,
    the triggers of the app that are not whole are put back.

    Args:
        url: The database, such as ``postgresql://127.0.0.1/shop`` or ``sqlite:///shop.db``.
        tables: Each a table with its tags, such as ``prices:product/{asin},catalog``.
        app: The name of the app whose tags these are.

    Raises:
        BadInput: A table cannot be captured.
        SourceError: The database cannot be reached, or refuses.
    """
    with contextlib.closing(open_capture(url)) as capture:
        if tables:
            capture.run(capture.install(list(map(parsed, tables)), app=app))
            return
        repair = capture.repair(app=app)
        capture.run(repair.statements)
        if repair.refused:
            raise BadInput("; ".join(repair.refused), field="tables")
