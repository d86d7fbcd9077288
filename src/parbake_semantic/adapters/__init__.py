"""Semantic caches in the slots that libraries have for a cache; each module needs the extra of its name."""
