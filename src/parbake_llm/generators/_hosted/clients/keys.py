"""Keys from the environment: from a variable, or from the file that another one names. Their values are never shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from parbake.errors import FailureKind, ProviderError

_SHORTEST = 4
"""Shorter texts are not masked: they occur in ordinary words."""


def optional_key(environment: Mapping[str, str], variable: str) -> str:
    """Read a key from a variable, or from the file that ``<variable>_FILE`` names; empty if neither is set.

    Raises :class:`ProviderError` that names the variable if the file cannot be read.
    """
    key, file = environment.get(variable, "").strip(), environment.get(f"{variable}_FILE", "")
    if key or not file:
        return key
    try:
        return Path(file).read_text().strip()
    except (OSError, ValueError):
        reason = "the file that it names cannot be read as text"
    raise ProviderError(f"{variable}_FILE: {reason}", field=f"{variable}_FILE", kind=FailureKind.AUTH)


def required_key(environment: Mapping[str, str], variable: str) -> str:
    """Like :func:`optional_key`, but raises :class:`ProviderError` if neither variable is set."""
    key = optional_key(environment, variable)
    if not key:
        message = f"{variable} is not set; set it, or {variable}_FILE"
        raise ProviderError(message, field=variable, kind=FailureKind.AUTH)
    return key


def required(environment: Mapping[str, str], variable: str) -> str:
    """Read a setting that is not a secret; raises :class:`ProviderError` that names it if it is missing."""
    value = environment.get(variable, "").strip()
    if not value:
        raise ProviderError(f"{variable} is not set", field=variable, kind=FailureKind.REJECTED)
    return value


def check_key(key: str, variable: str, *, may_be_empty: bool = False) -> None:
    """Raise :class:`ProviderError` for a key that cannot stand in an HTTP header, or is empty although it may not be.

    Args:
        key: The key.
        variable: The variable that holds it, for the error.
        may_be_empty: Whether the key is optional.
    """
    if not isinstance(key, str) or not (key.strip() or (may_be_empty and not key)):
        raise ProviderError(f"{variable} is empty; set it to the key", field=variable, kind=FailureKind.AUTH)
    if not (key.isascii() and key.isprintable()):
        raise ProviderError(
            f"{variable} must not have a line break or a character outside ASCII; set it to the key alone",
            field=variable,
            kind=FailureKind.AUTH,
        )


def check_model(model: object) -> None:
    """Raise :class:`ProviderError` for a model that has no name."""
    if not isinstance(model, str) or not model.strip():
        raise ProviderError(f"model={model!r} must be the name of a model", field="model", kind=FailureKind.REJECTED)


def check_address(url: str | None, setting: str) -> None:
    """Raise :class:`ProviderError` for an address that no request could reach, or that holds a user or a password.

    Args:
        url: The address; ``None`` for the provider's own.
        setting: The setting that holds it, for the error, which does not show it.
    """
    if url is None:
        return
    try:
        parts = urlsplit(url)
        is_clean = url.isprintable() and " " not in url and not parts.query and not parts.fragment
        is_whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and is_clean
    except (ValueError, TypeError, AttributeError):
        is_whole, parts = False, None
    if not is_whole:
        message = f"{setting} must be an address such as http://127.0.0.1:8000/v1, without query and blanks"
        raise ProviderError(message, field=setting, kind=FailureKind.REJECTED)
    if parts is not None and "@" in parts.netloc:
        message = f"{setting} must not hold a user or a password, which the client would send instead of the key"
        raise ProviderError(message, field=setting, kind=FailureKind.AUTH)


def masked(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret replaced."""
    for secret in sorted((each for each in secrets if each), key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, "***")
    return text
