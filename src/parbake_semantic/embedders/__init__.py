"""Sentence embedders, one module per model family."""
