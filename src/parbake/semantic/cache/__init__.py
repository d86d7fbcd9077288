"""The semantic cache: answers kept as they are given, each bound to what it was made of."""
