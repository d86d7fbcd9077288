"""Opens the database of a URL for capture."""

from __future__ import annotations

from urllib.parse import urlsplit

from parbake.errors import BadInput
from parbake.values.redaction import without_credentials
from parbake_capture.tables import Capture


def open_capture(url: str) -> Capture:
    """Open the database of a URL, ``postgresql://…`` or ``sqlite:///file``.

    Raises :class:`BadInput` for any other.
    """
    scheme = urlsplit(url).scheme
    if scheme in ("postgresql", "postgres"):
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
