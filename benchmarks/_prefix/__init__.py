"""Conversations with the local model, whose prompts share a prefix."""
