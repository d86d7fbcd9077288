"""Where in a document msgspec found fault, as the error documents name it."""

from __future__ import annotations

import msgspec


def field_of(error: msgspec.ValidationError) -> str:
    """The path of the member at fault (``live.page``, ``[0].subject``), or ``body`` for the whole document."""
    text = str(error)
    quoted = text.split("`")[1::2]
    path = next((p for p in reversed(quoted) if p.startswith("$")), "$")
    names_member = "missing required field" in text or "unknown field" in text
    member = f".{quoted[0]}" if names_member and quoted else ""
    return f"{path}{member}".removeprefix("$").removeprefix(".") or "body"
