"""Reads tables of words, patterns and texts from TOML files beside the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import msgspec

from retail_assistant.shop.errors import ShopError

Kind = TypeVar("Kind")


def read(path: Path, kind: type[Kind]) -> Kind:
    """Read a file; raises :class:`ShopError`, which names the file and the key or line, if it is malformed."""
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ShopError(f"{path.name}: {error}") from error
    try:
        return msgspec.convert(found, kind, str_keys=True)
    except msgspec.ValidationError as error:
        raise ShopError(f"{path.name}: {_located(found, kind) or error}") from error


def pattern(text: str, place: str) -> re.Pattern[str]:
    """Compile a pattern of a file; raises :class:`ShopError`, which names its place, if it is malformed."""
    try:
        return re.compile(text)
    except re.error as error:
        raise ShopError(f"{place}: {error}") from error


def _located(found: dict[str, Any], kind: Any) -> str:
    """What is wrong in a table that may have any keys, behind the key; empty if the error names the key itself."""
    if get_origin(kind) is not dict:
        return ""
    for key, value in found.items():
        try:
            msgspec.convert(value, get_args(kind)[1], str_keys=True)
        except msgspec.ValidationError as error:
            return f"{key}: {_located(value, get_args(kind)[1]) or error}"
    return ""
