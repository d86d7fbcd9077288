"""The predictor of a provider's prefix cache, chosen by the provider's rules."""

from __future__ import annotations

from parbake_llm.ports.prompts import TTL_S
from parbake_llm.prefix_caches.block_cache import BlockCache
from parbake_llm.prefix_caches.breakpoint_cache import BreakpointCache
from parbake_llm.prefix_caches.predicted import Piece, PrefixCache
from parbake_llm.writing.placement import CacheRules


def provider_cache(rules: CacheRules) -> PrefixCache[Piece] | None:
    """An empty cache that works by the rules; ``None`` if the provider has none, or the engine is one's own."""
    if rules.mechanism == "breakpoints":
        return BreakpointCache(rules)
    if rules.mechanism == "automatic":
        return BlockCache(rules.granule, minimum=rules.minimum, ttl_s=TTL_S[rules.ttls[0]])
    return None
