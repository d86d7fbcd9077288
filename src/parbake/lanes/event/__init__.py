"""Something changed: events are applied, acknowledged, and what they outdate is refreshed."""
