"""The FAQ lane: a bank of recurring questions, and their answers compiled from the current policies."""
