"""What strategies are called; everywhere the same, and without what replaying them needs."""

REAL_TIME, ALL, LAZY = "real-time", "precompute all", "lazy"
PER_KEY, PER_KEY_EVENTS = "per key", "per key + events"
AHEAD = (ALL, PER_KEY, PER_KEY_EVENTS)
"""Those that compute something ahead."""
