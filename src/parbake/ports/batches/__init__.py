"""The port of batch interfaces: a provider answers many requests within hours, for about half the price."""
