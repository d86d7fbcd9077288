"""Which caches the requests to a generator meet, and how they work: as far as it says so."""

from __future__ import annotations

from typing import Any

from parbake_llm.ports.generator import Generator
from parbake_llm.writing.placement import NO_CACHE, CachePlace, CacheRules


def members_of(generator: Generator) -> list[Generator]:
    """The generators of a chain; a single generator itself."""
    members: dict[str, Any] = getattr(generator, "members", {})
    return list(members.values()) or [generator]


def place_of(generator: Generator) -> CachePlace:
    """The cache that a generator's requests meet; one without a provider or a model has a cache by its own name."""
    name = generator.name
    return CachePlace(str(getattr(generator, "provider", name)), str(getattr(generator, "model", name)), name)


def _rules_of(generator: Generator) -> CacheRules:
    """How that cache works; :data:`parbake_llm.writing.placement.NO_CACHE` if the generator does not say."""
    return getattr(generator, "rules", None) or NO_CACHE


def cache_of(generator: Generator) -> tuple[CachePlace, CacheRules]:
    """The cache that a generator's requests meet, and how it works."""
    return place_of(generator), _rules_of(generator)


def rules_named(generator: Generator, name: str) -> CacheRules | None:
    """How the cache of a generator works, or of the member of a chain that has the name; ``None`` if none has it.

    Args:
        generator: The generator.
        name: The name.
    """
    return next((_rules_of(one) for one in members_of(generator) if one.name == name), None)
