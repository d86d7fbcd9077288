"""The event lane: events are applied and acknowledged, and the values that they outdate are refreshed."""
