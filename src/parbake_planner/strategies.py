"""The strategies' names, in a module without the imports that replaying them needs."""

REAL_TIME, ALL, LAZY = "real-time", "precompute all", "lazy"
PER_KEY, PER_KEY_EVENTS = "per key", "per key + events"
AHEAD = (ALL, PER_KEY, PER_KEY_EVENTS)
"""The strategies that compute something ahead."""
