"""Places that a message names, and whether they are in Europe, by the names and time zones of the CLDR."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import msgspec

from retail_assistant.shop.data_file import read

_FURTHER_EUROPE = {"IS", "CY", "XK"}
"""Countries of Europe whose clocks have other names."""
_NOT_EUROPE = re.compile(r"\b(?:outside|not in|beyond|out of|non)[ -](?:of )?(?:the )?(?:europe(?:an)?|eu)\b")
_WORDS = {"us", "turkey", "chad", "jordan", "georgia", "mali", "guinea", "niger"}
"""Names that are also other words: they count only behind a preposition."""


class _Places(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names of places by the code of their country, and parts of the world with whether they are in Europe."""

    countries: dict[str, tuple[str, ...]]
    regions: dict[str, bool]


@lru_cache(1)
def _known() -> tuple[re.Pattern[str], dict[str, bool]]:
    """All names, and whether each is of a place in Europe; loaded once."""
    from babel import Locale
    from babel.core import get_global

    zones = get_global("territory_zones")
    europe = {
        code for code, some in zones.items() if any(zone.startswith("Europe/") for zone in some)
    } | _FURTHER_EUROPE
    names = {
        name.lower(): code in europe
        for code, name in Locale("en").territories.items()
        if code.isalpha() and len(code) == 2  # noqa: PLR2004  # countries, not parts of the world
    }
    own = read(Path(__file__).with_name("places.toml"), _Places)
    names |= {name: code in europe for code, some in own.countries.items() for name in some} | own.regions
    spelled = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(rf"\b(?:(to|in|from|for|within|into) (?:the )?)?({spelled})\b"), names


def names() -> set[str]:
    """The words of all names of places."""
    return {word for name in _known()[1] for word in name.replace("-", " ").split()}


def place(text: str) -> tuple[str, bool] | None:
    """The first place that a text in lower case names, and whether it is in Europe; ``None`` without a place."""
    if _NOT_EUROPE.search(text):
        return "outside europe", False
    pattern, names = _known()
    for found in pattern.finditer(text):
        if found[2] not in _WORDS or found[1]:
            return found[2], names[found[2]]
    return None
