"""Semantic matching: a bank of questions, when a match may be served, and when it must not be."""
