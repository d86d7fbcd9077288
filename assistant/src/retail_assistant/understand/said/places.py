"""Places that a message names, and whether they are in Europe, by the names and time zones of the CLDR."""

from __future__ import annotations

import re
from functools import lru_cache

_FURTHER_EUROPE = {"IS", "CY", "XK"}
"""Countries of Europe whose clocks have other names."""
_OWN = {
    "uk": "GB", "england": "GB", "scotland": "GB", "wales": "GB", "britain": "GB", "great britain": "GB",
    "northern ireland": "GB", "holland": "NL", "usa": "US", "us": "US", "america": "US", "the states": "US",
    "u.s": "US", "u.s.a": "US",  # without the last stop: a name is found up to the end of a word
    "czech republic": "CZ", "turkey": "TR", "korea": "KR", "south korea": "KR", "uae": "AE", "dubai": "AE",
    "hawaii": "US", "alaska": "US", "california": "US", "new york": "US", "london": "GB", "paris": "FR", "berlin": "DE",
    "madrid": "ES", "rome": "IT", "vienna": "AT", "tokyo": "JP", "sydney": "AU", "toronto": "CA", "dublin": "IE",
    "amsterdam": "NL", "lisbon": "PT", "zurich": "CH", "oslo": "NO", "stockholm": "SE", "copenhagen": "DK",
    "warsaw": "PL", "prague": "CZ", "budapest": "HU", "athens": "GR", "brussels": "BE", "helsinki": "FI",
    "singapore": "SG", "hong kong": "HK", "mumbai": "IN", "delhi": "IN", "beijing": "CN", "cairo": "EG",
    "brasil": "BR", "españa": "ES", "deutschland": "DE", "italia": "IT", "österreich": "AT", "schweiz": "CH",
    "suisse": "CH", "belgique": "BE", "nederland": "NL", "polska": "PL", "norge": "NO", "sverige": "SE",
    "danmark": "DK", "frankreich": "FR",
    "moscow": "RU", "istanbul": "TR", "chicago": "US", "boston": "US", "texas": "US", "florida": "US",
}  # fmt: skip
_REGIONS = {"asia": False, "africa": False, "south america": False, "north america": False, "oceania": False,
            "europe": True, "eu": True, "european union": True, "scandinavia": True, "middle east": False}  # fmt: skip
_NOT_EUROPE = re.compile(r"\b(?:outside|not in|beyond|out of|non)[ -](?:of )?(?:the )?(?:europe(?:an)?|eu)\b")
_WORDS = {"us", "turkey", "chad", "jordan", "georgia", "mali", "guinea", "niger"}
"""Names that are also other words: they count only behind a preposition."""


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
    names |= {name: code in europe for name, code in _OWN.items()} | _REGIONS
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
