"""Which prefixes of prompts to have cached, for how long, and which to warm: a replay of a trace of requests."""
