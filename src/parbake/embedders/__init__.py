"""Sentence embedders, one file per model family."""
