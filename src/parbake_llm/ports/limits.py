"""How long a provider may take, how often it is tried, and when it is not asked any more."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from parbake.errors import FailureKind, ProviderError

_SETTINGS = {"FIRST_S": "first_s", "TOTAL_S": "total_s", "TRIES": "tries", "FAILURES": "failures", "PAUSE_S": "pause_s"}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one request to a provider may take, and after how many failures the next ones fail at once.

    Attributes:
        first_s: The most seconds until the provider's first byte of a reply.
        total_s: The most seconds of a whole request with all its tries, even if the caller would wait for longer; by
            default only the caller's time counts.
        tries: How often one request is tried. Only what is likely to pass is tried again, and only before any of the
            reply was passed on.
        failures: After so many failed requests in a row, or while so many hang, no request is made; each fails at once.
        pause_s: The seconds until then one request may try again.
    """

    first_s: float = 60.0
    total_s: float = math.inf
    tries: int = 2
    failures: int = 3
    pause_s: float = 30.0

    def __post_init__(self) -> None:
        """Raise :class:`ProviderError` for a limit that is not above 0."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            is_count = name in ("tries", "failures")
            if isinstance(value, bool) or not isinstance(value, int if is_count else int | float) or not value > 0:
                what = "a whole number of at least 1" if is_count else "a number of seconds above 0"
                raise _refused(f"{name}={value!r}: expected {what}", name)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], provider: str) -> Limits:
        """Read the limits of a provider, such as ``OPENAI_FIRST_S``; those that are not set keep their defaults.

        The variables end in ``_FIRST_S``, ``_TOTAL_S``, ``_TRIES``, ``_FAILURES`` and ``_PAUSE_S``.

        Args:
            environment: The environment.
            provider: The first part of the variables' names, such as ``OPENAI``.

        Raises:
            ProviderError: A limit is not a number, or not above 0; the error names the variable.
        """
        found: dict[str, float] = {}
        for end, name in _SETTINGS.items():
            variable = f"{provider}_{end}"
            if text := environment.get(variable, "").strip():
                try:
                    found[name] = float(text) if name.endswith("_s") else int(text)
                    cls(**{name: found[name]})  # type: ignore[arg-type]  # the checks of the class say more
                except (ValueError, ProviderError):
                    raise _refused(f"{variable}={text[:40]!r}: expected a number above 0", variable) from None
        return cls(**found)  # type: ignore[arg-type]  # each was checked above


def _refused(message: str, field: str) -> ProviderError:
    return ProviderError(message, field=field, kind=FailureKind.REJECTED)
