"""Reads a table of words or texts from a TOML file beside the code."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

import msgspec

from retail_assistant.shop.errors import ShopError

Kind = TypeVar("Kind")


def read(path: Path, kind: type[Kind]) -> Kind:
    """Read a file; raises :class:`ShopError`, which names the file and the field or line, if it is malformed."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), kind, str_keys=True)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ShopError(f"{path.name}: {error}") from error
