"""The settings of a semantic cache that most applications leave as they are."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from parbake.errors import BadInput
from parbake.values.sizes import size_bytes
from parbake_semantic.cache.values import Values
from parbake_semantic.text.audience import Verifier
from parbake_semantic.text.given import must_be
from parbake_semantic.text.normalize import normalize
from parbake_semantic.text.veto import VETOES, Veto, checked

_CAPACITY, _MAX_BYTES = 100_000, "1GiB"
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")


class Options(TypedDict, total=False):
    """The further settings of :class:`parbake_semantic.SemanticCache`, by name; see there."""

    answers: Any
    same: Callable[[Any, Any], bool]
    form: Callable[[str], str]
    vetoes: Sequence[Veto]
    verifier: Verifier | None
    capacity: int
    max_bytes: str | int


@dataclass(frozen=True)
class Settings:
    """The checked settings.

    Attributes:
        name: The cache's name in the store.
        values: Encodes and decodes answers.
        same: Whether two answers say the same.
        form: Brings texts into the form in which they are repetitions of each other.
        vetoes: Hard refusals.
        verifier: A second check before a hit is served.
        most: The greatest number of answers.
        most_bytes: The greatest sum of their sizes.
    """

    name: str
    values: Values
    same: Callable[[Any, Any], bool]
    form: Callable[[str], str]
    vetoes: tuple[Veto, ...]
    verifier: Verifier | None
    most: int
    most_bytes: int


def settings_of(name: str, options: Options) -> Settings:
    """Check settings.

    Args:
        name: The cache's name.
        options: The further settings.

    Raises:
        BadInput: One is unknown or invalid; the error names it.
        DeclarationError: Answers of the type cannot be stored.
    """
    for unknown in options.keys() - Options.__annotations__.keys():
        near = difflib.get_close_matches(unknown, Options.__annotations__, n=1)
        advice = f"; did you mean {near[0]}=?" if near else ""
        raise BadInput(f"a cache has no setting {unknown!r}{advice}", field=unknown)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadInput(
            f"name={repr(name)[:80]} must be small letters, digits, '_', '.' and '-', such as 'answers'", field="name"
        )
    most = options.get("capacity", _CAPACITY)
    if not isinstance(most, int) or most < 1:
        raise BadInput(f"capacity={most!r} must be a whole number of at least 1", field="capacity")
    same, form, verifier = options.get("same", equal), options.get("form", normalize), options.get("verifier")
    for field, given in (("same", same), ("form", form), ("verifier", verifier or equal)):
        must_be(given, Callable, field=field, expected="a function")
    return Settings(
        name,
        Values(options.get("answers")),
        same,
        form,
        checked(options.get("vetoes", VETOES)),
        verifier,
        most,
        size_bytes(options.get("max_bytes", _MAX_BYTES), field="max_bytes", error=BadInput),
    )


def equal(known: object, fresh: object) -> bool:
    """Whether two answers are equal and of the same type, because ``1`` and ``True`` say different things."""
    return type(known) is type(fresh) and bool(known == fresh)
