"""Traces that the prompt plan is judged on."""
