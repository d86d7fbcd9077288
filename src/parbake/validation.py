"""What error messages may show: the place in a document where msgspec found fault, an address without its password."""

from __future__ import annotations

import re

import msgspec


def without_credentials(url: str) -> str:
    """An address as it may be shown: what stands before an ``@`` may be a password, however it is spelled."""
    return re.sub("//.*@", "//***@", url)


def field_of(error: msgspec.ValidationError) -> str:
    """The path of the member at fault (``live.page``, ``[0].subject``), or ``body`` for the whole document."""
    text = str(error)
    quoted = text.split("`")[1::2]
    path = next((p for p in reversed(quoted) if p.startswith("$")), "$")
    names_member = "missing required field" in text or "unknown field" in text
    member = f".{quoted[0]}" if names_member and quoted else ""
    return f"{path}{member}".removeprefix("$").removeprefix(".") or "body"
