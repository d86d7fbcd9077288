"""The names of the ways to use a provider's prompt cache."""

NONE, LAST, MINUTES, HOUR, WARM = "no caching", "last block 5m", "always 5m", "always 1h", "warm all"
AUTOMATIC, PLANNED, CLAIRVOYANT = "provider automatic", "planned", "clairvoyant"
SIMPLE = (NONE, LAST, MINUTES, HOUR, WARM)
"""The rules that need no prediction, and that a client can follow."""
BY_VOLATILITY = "by volatility"
"""What servers do without a plan: everybody's part is marked for the longest time, a conversation for the shortest."""
BLOCK = 128
"""Tokens of a block, by which a plan tells prefixes apart."""
