"""Answers from the shop's policies: which section, whether it answers, and how a generator may word it."""
